//! Files that don't belong into an image, by their names and first bytes.
//!
//! A name alone is seldom enough: most rules look at the beginning of the file too. What has a form of its own is found by [`super::SECRETS`] in
//! any file, so that keys and tokens have no rule here. Facts: where tools document that they keep what they know.

use super::content;
use crate::model::Severity::{self, High, Low, Medium, Negligible};

/// Bytes of a file's beginning that a rule looks at.
pub const HEAD: usize = 4096;

/// A kind of file.
pub struct FileRule {
    /// The id of its findings.
    pub id: &'static str,
    pub title: &'static str,
    pub severity: Severity,
    is_named: fn(&Named<'_>) -> bool,
    /// By the first [`HEAD`] bytes.
    begins: fn(&[u8]) -> bool,
}

impl std::fmt::Debug for FileRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRule").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A path by its last two parts.
struct Named<'a> {
    dir: &'a [u8],
    name: &'a [u8],
}

impl Named<'_> {
    fn is(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name == name.as_bytes())
    }

    fn ends(&self, endings: &[&str]) -> bool {
        // The ending alone is a name without one.
        endings.iter().any(|ending| self.name.len() > ending.len() && self.name.ends_with(ending.as_bytes()))
    }

    /// In a directory of that name.
    fn lies(&self, dir: &str, names: &[&str]) -> bool {
        self.dir == dir.as_bytes() && self.is(names)
    }
}

const fn rule(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    is_named: fn(&Named<'_>) -> bool,
    begins: fn(&[u8]) -> bool,
) -> FileRule {
    FileRule { id, title, severity, is_named, begins }
}

/// Rules by which files are found, the first that fits a file.
pub const FILES: &[FileRule] = &[
    rule(
        "aws-credentials",
        "Credentials of AWS",
        High,
        |file| file.lies(".aws", &["credentials"]),
        |head| has(head, "aws_secret_access_key"),
    ),
    rule(
        "gcloud-credentials",
        "Credentials of Google Cloud",
        High,
        |file| file.is(&["application_default_credentials.json"]) || file.lies("gcloud", &["credentials.db", "access_tokens.db"]),
        something,
    ),
    rule(
        "azure-credentials",
        "Credentials of Azure",
        High,
        |file| file.lies(".azure", &["accessTokens.json", "msal_token_cache.json"]),
        something,
    ),
    rule(
        "kube-config",
        "Access to a Kubernetes cluster",
        High,
        |file| file.lies(".kube", &["config"]) || file.is(&["kubeconfig"]) || file.ends(&[".kubeconfig"]),
        |head| ["client-key-data:", "client-key:", "token:", "password:", "client-certificate-data:"].iter().any(|key| has(head, key)),
    ),
    rule("netrc", "Logins of machines", High, |file| file.is(&[".netrc", "_netrc"]), |head| has(head, "password")),
    rule("pgpass", "Passwords of PostgreSQL", High, |file| file.is(&[".pgpass", "pgpass.conf"]), |head| lines(head).any(is_pgpass)),
    rule(
        "mysql-login",
        "Login of MySQL",
        High,
        |file| file.is(&[".my.cnf", ".mylogin.cnf"]),
        |head| !is_text(head) || has(head, "password"),
    ),
    rule("pypirc", "Logins of PyPI", High, |file| file.is(&[".pypirc"]), |head| has(head, "password")),
    rule(
        "git-credentials",
        "Logins of Git",
        High,
        |file| file.is(&[".git-credentials"]) || file.lies("git", &["credentials"]),
        |head| lines(head).any(is_login),
    ),
    rule("env-file", "File of environment variables", Medium, is_env, |head| is_text(head) && lines(head).any(is_assignment)),
    rule(
        "htpasswd",
        "Passwords of a web server",
        Medium,
        |file| file.is(&[".htpasswd", "htpasswd", "passwd.db"]),
        |head| lines(head).any(is_htpasswd),
    ),
    rule(
        "terraform-state",
        "State of Terraform, which holds secrets as text",
        Medium,
        |file| file.ends(&[".tfstate", ".tfstate.backup"]),
        |head| has(head, "{"),
    ),
    rule(
        "terraform-variables",
        "Variables of Terraform",
        Low,
        |file| file.is(&["terraform.tfvars"]) || file.ends(&[".auto.tfvars"]),
        |head| lines(head).any(is_assignment),
    ),
    rule(
        "key-store",
        "Store of keys",
        Medium,
        |file| file.ends(&[".p12", ".pfx", ".jks", ".keystore", ".bks"]) || file.is(&[".keystore"]),
        content::is_key_store,
    ),
    rule(
        "password-store",
        "Store of passwords",
        Medium,
        |file| file.ends(&[".kdbx", ".kdb", ".psafe3", ".agilekeychain", ".keychain", ".keychain-db", ".opvault"]),
        something,
    ),
    rule("vpn-profile", "Access to a private network", Medium, |file| file.ends(&[".ovpn"]), |head| is_text(head) && has(head, "remote ")),
    rule("disk-key", "Key of an encrypted disk", Medium, |file| file.ends(&[".bek", ".fve"]), something),
    rule(
        "rails-key",
        "Key of a Rails application",
        High,
        |file| file.lies("config", &["master.key"]) || file.lies("credentials", &["production.key"]),
        is_hex,
    ),
    rule(
        "rails-secret",
        "Secrets of a Rails application",
        Low,
        |file| file.is(&["secret_token.rb"]) || file.lies("config", &["secrets.yml"]),
        |head| has(head, "secret"),
    ),
    rule(
        "database-settings",
        "Login of a database",
        Low,
        |file| file.lies("config", &["database.yml"]),
        |head| lines(head).any(is_password),
    ),
    rule(
        "credentials-file",
        "File of credentials",
        Medium,
        |file| {
            file.is(&[
                "credentials.json",
                "credential.json",
                "credentials",
                "credential",
                "password.txt",
                "passwords.txt",
                "credentials.xml",
            ]) || file.ends(&[".secret", ".private_key"])
        },
        |head| !head.starts_with(b"\x7fELF"),
    ),
    rule(
        "shell-history",
        "What somebody typed",
        Low,
        |file| {
            file.is(&[".bash_history", ".zsh_history", ".ash_history", ".sh_history", ".python_history", ".mysql_history", ".psql_history"])
                || file.is(&[".rediscli_history", ".node_repl_history", ".sqlite_history"])
        },
        something,
    ),
    rule("capture", "Captured network traffic", Low, |file| file.ends(&[".pcap", ".pcapng"]), |head| !is_text(head)),
    rule(
        "remote-desktop",
        "Access to a remote desktop",
        Low,
        |file| file.ends(&[".rdp"]),
        |head| has(head, "full address") || head.starts_with(b"\xff\xfe"),
    ),
    rule(
        "git-repository",
        "Git repository with its history",
        Low,
        |file| file.lies(".git", &["HEAD"]),
        |head| head.starts_with(b"ref: ") || is_hex(head),
    ),
    rule(
        "authorized-keys",
        "Keys that may log in",
        Negligible,
        |file| file.is(&["authorized_keys", "authorized_keys2"]),
        |head| lines(head).any(is_public_key),
    ),
    rule(
        "build-file",
        "File of the build",
        Negligible,
        |file| {
            file.is(&["Dockerfile", "Containerfile", "docker-compose.yml", "docker-compose.yaml", "compose.yaml"])
                || file.lies(".vscode", &["settings.json"])
                || file.is(&[".DS_Store"])
        },
        something,
    ),
];

/// Whether a file's beginning fits.
pub type Begins = fn(&[u8]) -> bool;

/// The rule that a file falls under by its normalised path, and whether its first [`HEAD`] bytes fit it.
#[must_use]
pub fn look(path: &[u8]) -> Option<(usize, Begins)> {
    let mut parts = path.rsplit(|&byte| byte == b'/');
    let file = Named { name: parts.next().unwrap_or_default(), dir: parts.next().unwrap_or_default() };
    FILES.iter().position(|rule| (rule.is_named)(&file)).and_then(|at| FILES.get(at).map(|rule| (at, rule.begins)))
}

fn is_env(file: &Named<'_>) -> bool {
    let shows = |kind: &[u8]| [&b"example"[..], b"sample", b"template", b"dist", b"defaults", b"schema", b"tmpl"].contains(&kind);
    match file.name.strip_prefix(b".env") {
        Some([]) => true,
        Some([b'.', rest @ ..]) => !rest.rsplit(|&byte| byte == b'.').any(shows),
        _ => false,
    }
}

const fn something(head: &[u8]) -> bool {
    !head.is_empty()
}

fn is_text(head: &[u8]) -> bool {
    !head.contains(&0)
}

fn has(head: &[u8], part: &str) -> bool {
    head.windows(part.len()).any(|window| window == part.as_bytes())
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// `NAME=value`, with a value.
fn is_assignment(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"export ").unwrap_or(line);
    let Some(at) = line.iter().position(|&byte| byte == b'=') else { return false };
    let (name, value) = line.split_at(at);
    let name = name.trim_ascii();
    let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    is_name && !matches!(value.trim_ascii(), b"=" | b"=\"\"" | b"=''")
}

/// `host:port:database:user:password`
fn is_pgpass(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
    fields.len() >= 5 && fields.last().is_some_and(|password| !password.is_empty())
}

/// An address with a name and a password.
fn is_login(line: &[u8]) -> bool {
    let Some(at) = line.windows(3).position(|part| part == b"://") else { return false };
    let rest = line.get(at + 3..).unwrap_or_default();
    let login = rest.split(|&byte| byte == b'@').next().filter(|login| login.len() < rest.len());
    login.is_some_and(|login| login.contains(&b':'))
}

/// `user:hash`
fn is_htpasswd(line: &[u8]) -> bool {
    let Some(at) = line.iter().position(|&byte| byte == b':') else { return false };
    let hash = line.get(at + 1..).unwrap_or_default();
    hash.starts_with(b"$") || hash.starts_with(b"{SHA}") || (hash.len() == 13 && hash.iter().all(u8::is_ascii_graphic))
}

/// `password: word`, where the word is neither empty nor taken from elsewhere.
fn is_password(line: &[u8]) -> bool {
    let value = line.strip_prefix(b"password:").map(<[u8]>::trim_ascii);
    value.is_some_and(|value| {
        !value.is_empty() && !value.starts_with(b"<%") && !value.starts_with(b"$") && value != b"\"\"" && value != b"''"
    })
}

fn is_public_key(line: &[u8]) -> bool {
    [&b"ssh-"[..], b"ecdsa-", b"sk-ssh-", b"sk-ecdsa-"].iter().any(|kind| line.windows(kind.len()).any(|part| part == *kind))
}

fn is_hex(head: &[u8]) -> bool {
    let word = head.trim_ascii();
    word.len() >= 32 && word.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: &str) -> Option<&'static str> {
        let (at, begins) = look(path.as_bytes())?;
        begins(content.as_bytes()).then(|| FILES[at].id)
    }

    #[test]
    fn a_name_and_what_is_in_it_make_a_finding() {
        for (path, content, wanted) in [
            ("app/.env", "# settings\nDB_HOST=db\n", Some("env-file")),
            ("app/.env.production", "export KEY='a'\n", Some("env-file")),
            ("app/.env", "# nothing\nKEY=\n", None),
            ("app/.env.example", "KEY=a\n", None),
            ("app/.env.production.sample", "KEY=a\n", None),
            ("app/.environment", "KEY=a\n", None),
            ("root/.aws/credentials", "[default]\naws_secret_access_key = x\n", Some("aws-credentials")),
            ("srv/credentials", "something", Some("credentials-file")),
            ("root/.kube/config", "users:\n- user:\n    token: x\n", Some("kube-config")),
            ("root/.kube/config", "clusters: []\n", None),
            ("root/.netrc", "machine a login b password c\n", Some("netrc")),
            ("root/.pgpass", "# hosts\ndb:5432:*:app:word\n", Some("pgpass")),
            ("root/.pgpass", "db:5432:*:app:\n", None),
            ("root/.git-credentials", "https://me:word@git.acme.test\n", Some("git-credentials")),
            ("root/.git-credentials", "https://git.acme.test\n", None),
            ("etc/nginx/.htpasswd", "admin:$apr1$x$y\n", Some("htpasswd")),
            ("infra/prod.tfstate", "{}", Some("terraform-state")),
            ("root/.bash_history", "ls\n", Some("shell-history")),
            ("root/.bash_history", "", None),
            ("app/.git/HEAD", "ref: refs/heads/main\n", Some("git-repository")),
            ("root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n", Some("authorized-keys")),
            ("root/.ssh/authorized_keys", "# none\n", None),
            ("app/Dockerfile", "FROM scratch\n", Some("build-file")),
            ("app/config/master.key", "0123456789abcdef0123456789abcdef", Some("rails-key")),
            ("app/config/database.yml", "production:\n  password: <%= ENV['P'] %>\n", None),
            ("app/config/database.yml", "production:\n  password: word\n", Some("database-settings")),
            ("etc/ssl/cert.pem", "-----BEGIN CERTIFICATE-----\n", None),
            ("app/trust.p12", "no store", None),
            ("app/settings.py", "KEY = 'a'\n", None),
            ("app/.jks", "", None),
        ] {
            assert_eq!(found(path, content), wanted, "{path}: {content}");
        }
    }

    #[test]
    fn ids_are_words_and_titles_are_told() {
        for rule in FILES {
            assert!(rule.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !rule.title.is_empty(), "{}", rule.id);
        }
    }
}
