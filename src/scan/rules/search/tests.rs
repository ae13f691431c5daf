use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

/// Characters that follow no pattern, always the same for one seed.
fn noise(seed: u64, length: usize, from: &str) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let from: Vec<char> = from.chars().collect();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        from[usize::try_from(state >> 33).unwrap() % from.len()]
    };
    (0..length).map(|_| next()).collect()
}

const ALL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";

fn pem(kind: &str) -> String {
    let der: Vec<u8> = [0x30, 0x82, 1, 0x22].into_iter().chain(noise(7, 290, ALL).into_bytes()).collect();
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

fn jwt(sub: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&format!(r#"{{"sub":"{sub}"}}"#)), noise(3, 43, ALL))
}

/// A credential of every rule: its id, a text with it in it, and what of it must not be shown.
fn planted() -> Vec<(&'static str, String, String)> {
    let with = |id, before: &str, seed, length, from: &str, after: &str| {
        let secret = noise(seed, length, from);
        (id, format!("key = \"{before}{secret}{after}\"\n"), secret)
    };
    let long = |text: &str| text.chars().skip(30).take(40).collect::<String>();
    let account = format!("{{\"type\": \"service_account\", \"private_key\": \"{}\"}}", pem("PRIVATE KEY").replace('\n', "\\n"));
    let login = STANDARD.encode(format!("robot:{}", noise(9, 12, ALL)));
    let putty = format!(
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 1\n{}\nPrivate-MAC: 00\n",
        noise(10, 48, ALL)
    );
    let openai = format!("{}T3BlbkFJ{}", noise(12, 20, ALL), noise(13, 20, ALL));
    vec![
        ("gcp-service-account", account, pem("PRIVATE KEY").lines().nth(1).unwrap().to_owned()),
        ("private-key", pem("RSA PRIVATE KEY"), pem("A").lines().nth(2).unwrap().to_owned()),
        ("putty-key", putty, noise(10, 48, ALL)),
        with("age-key", "AGE-SECRET-KEY-1", 11, 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", ""),
        with("aws-access-key-id", "AKIA", 1, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ""),
        ("aws-secret-access-key", format!("aws_secret_access_key = {}\n", noise(2, 40, ALL)), noise(2, 40, ALL)),
        ("github-token", "t: 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\n".to_owned(), "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ".to_owned()),
        with("github-token", &format!("github_pat_{}_", noise(42, 22, ALL)), 4, 59, ALL, ""),
        with("gitlab-token", "glpat-", 5, 20, ALL, ""),
        with("slack-token", "xoxb-1234567890-", 6, 24, ALL, ""),
        with("slack-webhook", "https://hooks.slack.com/services/T01ABCDEF/B01ABCDEF/", 6, 24, ALL, ""),
        with("stripe-key", "sk_live_", 7, 24, ALL, ""),
        with("npm-token", "npm_", 8, 36, ALL, ""),
        ("npm-token", format!("//npm.acme.test/:_authToken={}\n", noise(21, 36, HEX)), noise(21, 36, HEX)),
        with("pypi-token", "pypi-AgEIcHlwaS5vcmc", 9, 100, ALL, ""),
        with("google-api-key", "AIza", 10, 35, ALL, ""),
        with("google-oauth-secret", "GOCSPX-", 11, 28, ALL, ""),
        with("azure-storage-key", "AccountKey=", 12, 86, ALL, "=="),
        with("azure-client-secret", "abc8Q~", 13, 34, ALL, ""),
        ("docker-login", format!("{{\"auths\": {{\"r.acme.test\": {{\"auth\": \"{login}\"}}}}}}"), login),
        with("docker-hub-token", "dckr_pat_", 14, 27, ALL, ""),
        with("huggingface-token", "hf_", 15, 34, ALL, ""),
        ("openai-key", format!("OPENAI=sk-{openai}\n"), openai),
        with("anthropic-key", "sk-ant-api03-", 16, 95, ALL, ""),
        with("sendgrid-key", &format!("SG.{}.", noise(41, 22, ALL)), 17, 43, ALL, ""),
        ("twilio-token", format!("TWILIO_AUTH_TOKEN={}\n", noise(18, 32, HEX)), noise(18, 32, HEX)),
        with("digitalocean-token", "dop_v1_", 19, 64, HEX, ""),
        with("vault-token", "hvs.", 20, 90, ALL, ""),
        with("terraform-token", &format!("{}.atlasv1.", noise(40, 14, ALL)), 22, 67, ALL, ""),
        with("shopify-token", "shpat_", 23, 32, HEX, ""),
        ("grafana-token", format!("glsa_{}_0a1b2c3d\n", noise(24, 32, ALL)), noise(24, 32, ALL)),
        with("newrelic-key", "NRAK-", 25, 27, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", ""),
        with("atlassian-token", "ATATT3xFfGF0", 26, 180, ALL, ""),
        with("discord-webhook", "https://discord.com/api/webhooks/123456789012345678/", 27, 68, ALL, ""),
        ("maven-password", format!("<server><password>{}</password></server>", noise(28, 12, ALL)), noise(28, 12, ALL)),
        ("url-password", format!("postgres://app:{}@db.acme.internal:5432/app\n", noise(29, 14, ALL)), noise(29, 14, ALL)),
        ("jwt", format!("Authorization: Bearer {}\n", jwt("u-77")), long(&jwt("u-77"))),
    ]
}

fn search(path: &str, pieces: &[&[u8]]) -> Vec<(&'static str, (u32, u32), String)> {
    let mut search = Search::default();
    search.begin(path.as_bytes());
    for piece in pieces {
        search.push(piece);
    }
    let (hits, _) = search.end();
    hits.iter().map(|hit| (hit.rule().unwrap().id, hit.lines, hit.evidence.as_str().to_owned())).collect()
}

fn ids(text: &str) -> Vec<&'static str> {
    search("root/settings.xml", &[text.as_bytes()]).into_iter().map(|(id, ..)| id).collect()
}

#[test]
fn every_rule_finds_its_own_and_gives_nothing_of_it_away() {
    let planted = planted();
    for (id, text, secret) in &planted {
        let found = search("root/settings.xml", &[text.as_bytes()]);
        assert_eq!(found.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [*id], "{text}");
        assert!(text.contains(secret.as_str()), "{id} hides nothing");
        let shown = &found[0].2;
        for part in secret.as_bytes().windows(6) {
            assert!(!shown.as_bytes().windows(6).any(|some| some == part), "{shown} shows a part of {secret}");
        }
    }
    for rule in SECRETS {
        assert!(planted.iter().any(|(id, ..)| *id == rule.id), "{} is not planted", rule.id);
        assert!(rule.back < BEFORE && rule.keywords.iter().all(|keyword| keyword.len() >= 3), "{}", rule.id);
    }
}

#[test]
fn what_only_looks_like_one_is_none() {
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "xAKIAQ7WZ5K3MBX2TLPVJ",
        "AKIAQ7WZ5K3MBX2TLPVJX",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "if line.startswith('-----BEGIN RSA PRIVATE KEY-----'):",
        "-----BEGIN PRIVATE KEY-----\nMII...\n-----END PRIVATE KEY-----",
        "//registry.npmjs.org/:_authToken=${NPM_TOKEN}",
        "postgresql://scott:tiger@localhost/test",
        "postgres://user:password@db.acme.test/x",
        "redis://:${REDIS_PASSWORD}@redis:6379",
        "mysql://app:secretword@example.com/x",
        "<password>repopwd</password>",
        "<password>proxypass</password>",
        "<password>${env.PASSWORD}</password>",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        "\"auth\": \"basic\"",
        "sk_live_example",
        "hf_hub_download(repo_id)",
    ] {
        assert_eq!(ids(text), [""; 0], "{text}");
    }
    assert_eq!(ids(&jwt("1234567890")), [""; 0], "the one that is shown everywhere");
    let found = search("srv/page.xml", &[b"<password>Zk81mTq0-w</password>"]);
    assert_eq!(found, [], "only Maven's settings");
}

#[test]
fn lines_are_counted_and_what_is_found_twice_is_told_twice() {
    let text = format!("a\n\nglpat-{}\n{}b\nglpat-{}\n", noise(5, 20, ALL), pem("EC PRIVATE KEY"), noise(6, 20, ALL));
    let found: Vec<_> = search("a", &[text.as_bytes()]).into_iter().map(|(id, lines, _)| (id, lines)).collect();
    let last = u32::try_from(text.lines().count()).unwrap();
    assert_eq!(found, [("gitlab-token", (3, 3)), ("private-key", (4, last - 2)), ("gitlab-token", (last, last))]);
}

#[test]
fn an_encrypted_key_and_a_wrong_checksum_weigh_less() {
    let mut search = Search::default();
    search.begin(b"a");
    let text = format!("{}ghp_{}\n", pem("ENCRYPTED PRIVATE KEY"), noise(31, 36, ALL));
    search.whole(text.as_bytes());
    let found: Vec<_> = search.end().0.iter().map(|hit| (hit.severity, hit.note.is_empty())).collect();
    assert_eq!(found, [(Severity::Medium, false), (Severity::Low, false)]);
}

#[test]
fn a_text_of_nothing_but_keywords_ends() {
    let mut search = Search::default();
    search.begin(b"a");
    let piece = "PRIVATE KEY AKIA ghp_ eyJhbGci ".repeat(10_000);
    for _ in 0..20 {
        search.push(piece.as_bytes());
    }
    let (hits, cut) = search.end();
    assert_eq!((hits.len(), cut), (0, true));
    search.begin(b"a");
    let many = format!("glpat-{}\n", noise(5, 20, ALL)).repeat(1000);
    search.push(many.as_bytes());
    let (hits, cut) = search.end();
    assert_eq!((hits.len(), cut), (MOST_HITS + 1, true));
}

/// Each alone is within the bounds of one text.
#[test]
fn many_texts_of_long_beginnings_end() {
    let mut search = Search::default();
    let head = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n".repeat(1000);
    let mut cut = 0;
    for _ in 0..150 {
        search.begin(b"a");
        search.whole(head.as_bytes());
        cut += u32::from(search.end().1);
    }
    assert_eq!(cut, 50, "a thousand tries a text, of a hundred thousand");
    search.begin(b"b");
    search.whole(b"no word of that kind");
    assert!(!search.end().1, "there was nothing to try");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Wherever windows and pieces meet, the same is found in the same lines.
    #[test]
    fn pieces_make_no_difference(before in 0..2 * WINDOW, gap in 0..WINDOW, size in 1..WINDOW, which in 0..30_usize) {
        let planted = planted();
        let (id, text, _) = &planted[which % planted.len()];
        let fill = |length: usize| "some words of no weight\n".chars().cycle().take(length).chain(['\n']).collect::<String>();
        let whole = format!("{}{text}{}{text}", fill(before), fill(gap));
        let pieces: Vec<&[u8]> = whole.as_bytes().chunks(size).collect();
        let found = search("root/settings.xml", &pieces);
        let mut at_once = Search::default();
        at_once.begin(b"root/settings.xml");
        at_once.whole(whole.as_bytes());
        let wanted: Vec<_> = at_once.end().0.iter().map(|hit| (hit.rule().unwrap().id, hit.lines, hit.evidence.as_str().to_owned())).collect();
        prop_assert_eq!(&found, &wanted);
        prop_assert_eq!(found.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [*id, *id]);
        let line = whole.chars().take(before + 1).filter(|c| *c == '\n').count();
        prop_assert!(found[0].1.0 as usize > line.saturating_sub(2), "{:?}", found);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0..40_usize, at in 0..200_usize) {
        let planted = planted();
        let mut text = planted[which % planted.len()].1.clone().into_bytes();
        let at = at % text.len();
        text.splice(at..at, bytes.iter().take(8).copied());
        search("root/settings.xml", &[&text, &bytes]);
        search("a", &[&text[..at], &bytes]);
        let (left, right) = text.split_at(at);
        prop_assert_eq!(search("a", &[left, right]), search("a", &[&text]));
    }
}
