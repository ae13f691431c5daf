//! The rules: a line each.

use super::Rule;
use super::check::{self, Check};
use crate::model::Severity::{self, Critical, High, Low, Medium};

/// A token of a form of its own: it begins with one of the keywords.
const fn token(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    keywords: &'static [&'static str],
    pattern: &'static str,
    check: Check,
) -> Rule {
    Rule { id, title, severity, keywords, back: 0, pattern, only: None, check, in_packages: true, is_far: false }
}

/// One that is often met in code which does no harm.
const fn common(rule: Rule) -> Rule {
    Rule { in_packages: false, ..rule }
}

const fn from(back: usize, rule: Rule) -> Rule {
    Rule { back, ..rule }
}

/// One that looks far.
const fn far(rule: Rule) -> Rule {
    Rule { is_far: true, ..rule }
}

fn is_maven_settings(path: &[u8]) -> bool {
    path.ends_with(b"/settings.xml") || path == b"settings.xml" || path.ends_with(b"/settings-security.xml")
}

/// Rules by which credentials are found, the more telling ones first where two fit the same bytes.
pub const SECRETS: &[Rule] = &[
    far(token(
        "gcp-service-account",
        "Key of a Google Cloud service account",
        Critical,
        &["\"private_key\""],
        r#""private_key"\s*:\s*"-----BEGIN (?:RSA )?PRIVATE KEY-----()"#,
        check::account_key,
    )),
    common(from(
        24,
        far(token(
            "private-key",
            "Private key",
            High,
            &["PRIVATE KEY"],
            r"-----BEGIN (?:(?:RSA|EC|DSA|OPENSSH|ENCRYPTED|PGP|ANY|SSH2 ENCRYPTED) )?PRIVATE KEY(?: BLOCK)?-----()",
            check::private_key,
        )),
    )),
    far(token(
        "putty-key",
        "Private key of PuTTY",
        High,
        &["PuTTY-User-Key-File-"],
        r"PuTTY-User-Key-File-[23]: [\w-]{4,40}\r?\nEncryption: none\r?\n(?s:.{0,4000}?)Private-Lines: \d+\r?\n([A-Za-z0-9+/=\r\n]{20,})",
        check::token,
    )),
    token("age-key", "Secret key of age", High, &["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1([0-9A-Z]{58})", check::token),
    common(token("aws-access-key-id", "AWS access key ID", Medium, &["AKIA", "ASIA"], r"(?:AKIA|ASIA)([A-Z2-7]{16})", check::token)),
    token(
        "aws-secret-access-key",
        "AWS secret access key",
        Critical,
        &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "aws_secret_key", "AWS_SECRET_KEY", "secretAccessKey", "SecretAccessKey"],
        r#"\w{14,22}["']?\s{0,4}(?::|=|=>)\s{0,4}["']?([A-Za-z0-9/+]{40})"#,
        check::base64,
    ),
    token(
        "github-token",
        "GitHub token",
        Critical,
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"gh[pousr]_([A-Za-z0-9]{36})",
        check::summed,
    ),
    token("github-token", "GitHub token", Critical, &["github_pat_"], r"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})", check::token),
    token(
        "gitlab-token",
        "GitLab token",
        Critical,
        &["glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-"],
        r"gl(?:pat|ptt|dt|rt|cbt|soat)-([A-Za-z0-9_-]{20,300})",
        check::token,
    ),
    token(
        "slack-token",
        "Slack token",
        High,
        &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"],
        r"x(?:ox[abprs]|app)-([0-9]{1,13}-[A-Za-z0-9-]{14,200})",
        check::token,
    ),
    token(
        "slack-webhook",
        "Address of a Slack webhook",
        Medium,
        &["hooks.slack.com/"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(T[A-Z0-9]{7,12}/[A-Z0-9]{8,14}/[A-Za-z0-9]{18,40})",
        check::token,
    ),
    token("stripe-key", "Live key of Stripe", Critical, &["sk_live_", "rk_live_"], r"[rs]k_live_([A-Za-z0-9]{20,200})", check::mixed),
    token("npm-token", "npm token", Critical, &["npm_"], r"npm_([A-Za-z0-9]{36})", check::mixed),
    token(
        "npm-token",
        "Login of npm",
        High,
        &["_authToken", "_auth=", "_auth ="],
        r#"_auth(?:Token)?\s{0,3}=\s{0,3}"?([A-Za-z0-9+/=_.-]{16,300})"#,
        check::mixed,
    ),
    token("pypi-token", "PyPI token", Critical, &["pypi-AgE"], r"pypi-AgE([A-Za-z0-9_-]{60,400})", check::token),
    common(token("google-api-key", "Google API key", Medium, &["AIza"], r"AIza([0-9A-Za-z_-]{35})", check::mixed)),
    token("google-oauth-secret", "Secret of a Google OAuth client", High, &["GOCSPX-"], r"GOCSPX-([A-Za-z0-9_-]{28})", check::mixed),
    token(
        "azure-storage-key",
        "Key of an Azure storage account",
        Critical,
        &["AccountKey="],
        r"AccountKey=([A-Za-z0-9+/]{86}==)",
        check::base64,
    ),
    from(
        3,
        token(
            "azure-client-secret",
            "Secret of an Azure client",
            Critical,
            &["8Q~"],
            r"([A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34})",
            check::mixed,
        ),
    ),
    token("docker-login", "Login of a registry", High, &["\"auth\""], r#""auth"\s*:\s*"([A-Za-z0-9+/]{8,2000}={0,2})""#, check::login),
    token(
        "docker-hub-token",
        "Docker Hub token",
        Critical,
        &["dckr_pat_", "dckr_oat_"],
        r"dckr_[po]at_([A-Za-z0-9_-]{20,80})",
        check::token,
    ),
    token("huggingface-token", "Hugging Face token", High, &["hf_"], r"hf_([A-Za-z0-9]{34})", check::token),
    from(
        180,
        token(
            "openai-key",
            "OpenAI key",
            Critical,
            &["T3BlbkFJ"],
            r"sk-((?:[a-z]+-)?[A-Za-z0-9_-]{20,170}T3BlbkFJ[A-Za-z0-9_-]{20,170})",
            check::mixed,
        ),
    ),
    token(
        "anthropic-key",
        "Anthropic key",
        Critical,
        &["sk-ant-"],
        r"sk-ant-(?:api|admin|oat)[0-9]{2}-([A-Za-z0-9_-]{80,200})",
        check::mixed,
    ),
    token("sendgrid-key", "SendGrid key", Critical, &["SG."], r"SG\.([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})", check::mixed),
    token(
        "twilio-token",
        "Twilio secret",
        High,
        &["TWILIO", "twilio", "Twilio"],
        r#"(?i:twilio)\w{0,30}["']?\s{0,4}[:=]\s{0,4}["']?([0-9a-f]{32})"#,
        check::mixed,
    ),
    token(
        "digitalocean-token",
        "DigitalOcean token",
        Critical,
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        r"do[opr]_v1_([0-9a-f]{64})",
        check::token,
    ),
    token("vault-token", "HashiCorp Vault token", Critical, &["hvs.", "hvb."], r"hv[bs]\.([A-Za-z0-9_-]{24,300})", check::mixed),
    from(
        14,
        token(
            "terraform-token",
            "Terraform Cloud token",
            Critical,
            &[".atlasv1."],
            r"([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,90})",
            check::mixed,
        ),
    ),
    token(
        "shopify-token",
        "Shopify token",
        High,
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        r"shp(?:at|ca|pa|ss)_([0-9a-fA-F]{32})",
        check::token,
    ),
    token("grafana-token", "Grafana token", High, &["glsa_"], r"glsa_([A-Za-z0-9]{32}_[0-9a-f]{8})", check::token),
    token("newrelic-key", "New Relic key", High, &["NRAK-"], r"NRAK-([A-Z0-9]{27})", check::token),
    token("atlassian-token", "Atlassian token", Critical, &["ATATT3xFfGF0"], r"ATATT3xFfGF0([A-Za-z0-9_=-]{150,250})", check::token),
    token(
        "discord-webhook",
        "Address of a Discord webhook",
        Medium,
        &["/api/webhooks/"],
        r"/api/webhooks/([0-9]{17,20}/[A-Za-z0-9_-]{60,80})",
        check::token,
    ),
    Rule {
        only: Some(is_maven_settings),
        ..token(
            "maven-password",
            "Password in the settings of Maven",
            High,
            &["<password>"],
            r"<password>\s*([^<\s]{4,200})",
            check::password,
        )
    },
    common(token(
        "url-password",
        "Password in an address",
        Medium,
        &[
            "postgres://",
            "postgresql://",
            "mysql://",
            "mariadb://",
            "mongodb://",
            "mongodb+srv://",
            "amqp://",
            "amqps://",
            "redis://",
            "rediss://",
        ],
        r#"[a-z+]{5,12}://[A-Za-z0-9_.%-]{0,64}:([^\s:/@"'`,;()]{6,128})"#,
        check::address,
    )),
    common(far(token(
        "jwt",
        "JSON web token",
        Low,
        &["eyJhbGci", "eyJ0eXAi", "eyJraWQi", "eyJ4NXQi"],
        r"(eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{16,1000})",
        check::jwt,
    ))),
];
