//! Real registries of a test's own, each a process that ends with the test: open, with a password behind TLS of a private authority, and
//! with tokens of a token server that is ours.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "each test binary uses its own part; a test fails by panicking; it waits for servers to start"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use serde_json::json;

use super::certificates::{certificates, openssl};
use super::scripted::{Reply, Request, Server};

/// bcrypt of `haven-4711`, cost 5.
const USERS: &str = "anna:$2y$05$abcdefghijklmnopqrstuue3tyuU6i5NYdJfDhJ/mX9owk7IeSUKG\n";
pub const LOGIN: &str = "anna:haven-4711";

/// A registry of the test's own, killed when dropped.
pub struct Registry {
    binary: String,
    child: Child,
    pub dir: tempfile::TempDir,
    pub port: u16,
    /// Hands out tokens, for a registry that wants them.
    pub tokens: Option<Tokens>,
}

/// A token server, and how many tokens it gave.
pub struct Tokens {
    pub server: Server,
    pub given: Arc<AtomicUsize>,
    /// Seconds a token is good for.
    pub lives: Arc<AtomicU64>,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Registry {
    pub fn open(binary: &str) -> Self {
        Self::start(binary, tempfile::tempdir().unwrap(), "", "", None)
    }

    /// One that knows its uploads again when it is started anew.
    pub fn with_secret(binary: &str) -> Self {
        Self::start(binary, tempfile::tempdir().unwrap(), "  secret: harbour\n", "", None)
    }

    /// For `anna` only, behind the TLS of `server.pem` and `server.key` in `dir`.
    pub fn behind(binary: &str, dir: tempfile::TempDir) -> Self {
        std::fs::write(dir.path().join("users"), USERS).unwrap();
        let root = dir.path().display().to_string();
        let tls = format!("  tls: {{certificate: {root}/server.pem, key: {root}/server.key}}\n");
        let auth = format!("auth: {{htpasswd: {{realm: haven, path: {root}/users}}}}\n");
        Self::start(binary, dir, &tls, &auth, None)
    }

    /// Behind TLS, for `anna` only; its authority is `ca()`.
    pub fn guarded(binary: &str) -> Self {
        Self::behind_tls(binary, "IP:127.0.0.1", false)
    }

    /// As [`Registry::guarded`], with a certificate for `name`, and where `asks` only for who shows a certificate of the authority.
    pub fn behind_tls(binary: &str, name: &str, asks: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path(), name);
        std::fs::write(dir.path().join("users"), USERS).unwrap();
        let root = dir.path().display().to_string();
        let clients = if asks { format!(", clientcas: [{root}/ca.pem]") } else { String::new() };
        let tls = format!("  tls: {{certificate: {root}/server.pem, key: {root}/server.key{clients}}}\n");
        let auth = format!("auth: {{htpasswd: {{realm: haven, path: {root}/users}}}}\n");
        Self::start(binary, dir, &tls, &auth, None)
    }

    /// With tokens: `anna` may do everything, anybody may pull.
    pub fn with_tokens(binary: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        openssl(dir.path(), &[&new[..], &["-keyout", "token.key", "-out", "token.pem", "-subj", "/CN=tokens"]].concat());
        let tokens = tokens(dir.path());
        let auth = format!(
            "auth: {{token: {{realm: 'http://{}/token', service: haven, issuer: harbour, rootcertbundle: {}/token.pem}}}}\n",
            tokens.server.host(),
            dir.path().display()
        );
        Self::start(binary, dir, "", &auth, Some(tokens))
    }

    fn start(binary: &str, dir: tempfile::TempDir, http: &str, auth: &str, tokens: Option<Tokens>) -> Self {
        let port = free_port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {root}/data}}\n  delete: {{enabled: true}}\n\
             http:\n  addr: '127.0.0.1:{port}'\n{http}{auth}",
            root = dir.path().display()
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let mut registry = Self { binary: binary.to_owned(), child: run(binary, dir.path()), dir, port, tokens };
        registry.wait();
        registry
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the registry did not start");
            assert!(self.child.try_wait().unwrap().is_none(), "the registry ended");
            std::thread::yield_now();
        }
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and data; it has no secret of its own, so it forgets every upload.
    pub fn restart(&mut self) {
        self.kill();
        self.child = run(&self.binary, self.dir.path());
        self.wait();
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

fn run(binary: &str, dir: &Path) -> Child {
    let mut command = Command::new(binary);
    command.arg("serve").arg(dir.join("config.yml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A config file with the login for `host`, as docker writes it.
pub fn login(dir: &Path, host: &str) -> PathBuf {
    let file = dir.join("config.json");
    let auth = base64::engine::general_purpose::STANDARD.encode(LOGIN);
    std::fs::write(&file, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
    file
}

fn tokens(dir: &Path) -> Tokens {
    let (given, lives) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(300)));
    let certificate = std::fs::read_to_string(dir.join("token.pem")).unwrap();
    let der: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let (counted, seconds, dir) = (Arc::clone(&given), Arc::clone(&lives), dir.to_owned());
    let server = Server::new(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let lives = seconds.load(Ordering::SeqCst);
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(LOGIN));
        if request.header("authorization").is_some_and(|shown| shown != basic) {
            return Reply::status(401);
        }
        let token = token(&dir, &der, request, lives);
        Reply::body(json!({"token": token, "expires_in": lives}).to_string()).with("Content-Type", "application/json")
    });
    Tokens { server, given, lives }
}

/// What a request for a token gets: all it asks for with the login, pulling without.
fn token(dir: &Path, der: &str, request: &Request, lives: u64) -> String {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(LOGIN));
    let known = request.header("authorization") == Some(basic.as_str());
    let url = url::Url::parse(&format!("http://x{}", request.path)).unwrap();
    let access: Vec<_> = url
        .query_pairs()
        .filter(|(key, _)| key == "scope")
        .filter_map(|(_, scope)| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').filter(|action| known || *action == "pull").collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]}).to_string();
    let claims = json!({
        "iss": "harbour", "sub": "anna", "aud": "haven", "iat": now, "nbf": now - 5, "exp": now + lives, "jti": "1", "access": access
    });
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
    let file = tempfile::NamedTempFile::new_in(dir).unwrap();
    std::fs::write(file.path(), &signed).unwrap();
    let signature = openssl(dir, &["dgst", "-sha256", "-sign", "token.key", file.path().to_str().unwrap()]);
    format!("{signed}.{}", encode(&signature))
}
