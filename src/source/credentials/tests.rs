use std::path::Path;

use super::*;

fn credentials(dir: &Path, config: &str) -> Credentials {
    let file = dir.join("config.json");
    std::fs::write(&file, config).unwrap();
    Credentials::new(vec![file], dir.as_os_str().to_owned())
}

fn password(username: &str, password: &str) -> Credential {
    Credential::Password { username: username.into(), password: Secret::new(password.into()) }
}

/// A helper that is a shell script.
#[cfg(unix)]
fn helper(dir: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = dir.join(format!("docker-credential-{name}"));
    let partial = dir.join("partial");
    std::fs::write(&partial, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::rename(partial, file).unwrap();
}

#[tokio::test]
async fn an_entry_is_for_its_own_host_and_port_only() {
    let dir = tempfile::tempdir().unwrap();
    let auth = "dXNlcjpwYTpzcw=="; // user:pa:ss
    let config = format!(
        r#"{{"auths":{{"reg.example:5000":{{"auth":"{auth}"}},"https://old.example/v1/":{{"auth":"{auth}"}},
        "quay.io/team":{{"auth":"{auth}"}},"https://index.docker.io/v1/":{{"username":"hub","password":"line\nline"}}}}}}"#
    );
    let all = credentials(dir.path(), &config);
    assert_eq!(all.for_registry("reg.example:5000").await.unwrap(), Some(password("user", "pa:ss")));
    assert_eq!(all.for_registry("old.example").await.unwrap(), Some(password("user", "pa:ss")));
    for other in ["reg.example", "reg.example:5001", "x.reg.example:5000", "old.example:443", "quay.io", "example"] {
        assert_eq!(all.for_registry(other).await.unwrap(), None, "{other}");
    }
    for hub in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
        assert_eq!(all.for_registry(hub).await.unwrap(), Some(password("hub", "line\nline")), "{hub}");
    }
}

#[tokio::test]
async fn what_is_no_host_is_refused() {
    let none = Credentials::none();
    for bad in ["", "a b", "a\nb", "a/b", "user@host", "host:", "host:99999", "host:1:2", "[::1", "[zz]:5", "é"] {
        assert!(none.for_registry(bad).await.is_err(), "{bad}");
    }
    for good in ["localhost", "127.0.0.1:5000", "[::1]:5000", "[::1]", "a-b.example"] {
        assert_eq!(none.for_registry(good).await.unwrap(), None, "{good}");
    }
}

#[tokio::test]
async fn a_broken_entry_is_an_error_for_its_host_and_none_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"{"auths":{"a.example":{"auth":"!!secret!!"},"b.example":{"auth":"dTpw"},"c.example":7,"d.example":{"auth":["x"]},"e.example":{}}}"#;
    let all = credentials(dir.path(), config);
    for broken in ["a.example", "c.example", "d.example"] {
        let problem = all.for_registry(broken).await.unwrap_err();
        assert!(!format!("{problem} {problem:?}").contains("!!secret"), "{problem:?}");
    }
    assert_eq!(all.for_registry("b.example").await.unwrap(), Some(password("u", "p")));
    assert_eq!(all.for_registry("e.example").await.unwrap(), None);
}

#[tokio::test]
async fn a_broken_file_is_named_unless_another_knows_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("auth.json");
    std::fs::write(&good, r#"{"auths":{"b.example":{"auth":"dTpw"}}}"#).unwrap();
    for text in ["{\"auths\":{\"a\":\"secretvalue", "[]", "", &format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20))] {
        let mut all = credentials(dir.path(), text);
        all.files.push(good.clone());
        assert_eq!(all.for_registry("b.example").await.unwrap(), Some(password("u", "p")));
        let problem = all.for_registry("z.example").await.unwrap_err();
        assert!(problem.cause.as_str().contains("config.json"), "{problem}");
        assert!(!problem.cause.as_str().contains("secretvalue"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn helpers_are_asked_for_the_exact_host() {
    let dir = tempfile::tempdir().unwrap();
    helper(dir.path(), "echoes", r#"read -r host; printf '{"ServerURL":"","Username":"%s","Secret":"s3cret"}' "$host""#);
    helper(dir.path(), "token", r#"printf '{"Username":"<token>","Secret":"idtoken"}'"#);
    helper(dir.path(), "empty", "echo credentials not found in native keychain; exit 1");
    let config = r#"{"credsStore":"echoes","credHelpers":{"t.example":"token","n.example":"empty"},"auths":{"x.example":{},"own.example":{"auth":"dTpw"}}}"#;
    let all = credentials(dir.path(), config);
    assert_eq!(all.for_registry("x.example").await.unwrap(), Some(password("x.example", "s3cret")));
    assert_eq!(all.for_registry("docker.io").await.unwrap(), Some(password(HUB_KEY, "s3cret")));
    assert_eq!(all.for_registry("t.example").await.unwrap(), Some(Credential::IdentityToken(Secret::new("idtoken".into()))));
    assert_eq!(all.for_registry("n.example").await.unwrap(), None);
    assert_eq!(all.for_registry("own.example").await.unwrap(), Some(password("u", "p")));
}

#[cfg(unix)]
#[tokio::test]
async fn a_failing_helper_is_an_error_that_names_it_and_shows_nothing_it_said() {
    let dir = tempfile::tempdir().unwrap();
    helper(dir.path(), "fails", "echo s3cret; echo s3cret >&2; exit 3");
    helper(dir.path(), "noise", "echo s3cret");
    helper(dir.path(), "flood", "while :; do echo s3crets3crets3crets3crets3crets3crets3crets3crets3crets3cret; done");
    for name in ["fails", "noise", "flood", "absent"] {
        let config = format!(r#"{{"credHelpers":{{"a.example":"{name}"}},"auths":{{"a.example":{{"auth":"dTpw"}}}}}}"#);
        let problem = credentials(dir.path(), &config).for_registry("a.example").await.unwrap_err();
        assert!(problem.cause.as_str().contains(&format!("docker-credential-{name}")), "{problem}");
        assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
    }
    for name in ["../evil", "a b", "x;y", "a/b", "a\\u0000", "a\\n"] {
        let config = format!(r#"{{"credHelpers":{{"a.example":"{name}"}}}}"#);
        let problem = credentials(dir.path(), &config).for_registry("a.example").await.unwrap_err();
        assert!(problem.cause.as_str().contains("not the name of one"), "{name}: {problem}");
    }
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_helper_that_hangs_is_left_after_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    helper(dir.path(), "hangs", "exec sleep 1000");
    let all = credentials(dir.path(), r#"{"credsStore":"hangs"}"#);
    let problem = all.for_registry("a.example").await.unwrap_err();
    assert!(problem.cause.as_str().contains("10 seconds"), "{problem}");
}

#[test]
fn debug_shows_no_secret_and_the_engine_header_is_what_engines_read() {
    let one = password("u", "s3cret");
    assert!(!format!("{one:?}").contains("s3cret"));
    let header = one.engine_header("docker.io");
    let json = base64::engine::general_purpose::URL_SAFE.decode(header.reveal()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json, serde_json::json!({"username":"u","password":"s3cret","serveraddress":HUB_KEY}));
}

#[test]
fn places_follow_the_environment() {
    let env = |name: &str| match name {
        "HOME" => Some("/h".into()),
        "XDG_RUNTIME_DIR" => Some("/r".into()),
        _ => None,
    };
    let found = Credentials::from_environment(&env);
    assert_eq!(
        found.files,
        [Path::new("/h/.docker/config.json"), Path::new("/r/containers/auth.json"), Path::new("/h/.config/containers/auth.json")]
    );
}
