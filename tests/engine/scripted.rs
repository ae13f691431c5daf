//! An engine that says what a test tells it to: for what a real one never does on demand.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test binary uses its own part")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use lighterman::source::credentials::Credentials;
use lighterman::source::engine::{Endpoint, EngineSource};

/// What comes for a request.
pub enum Reply {
    /// These bytes as they are, and then the end of the connection.
    Raw(Vec<u8>),
    /// Read the request's body to its end first.
    AfterBody(Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

type Script = dyn Fn(&str) -> Reply + Send + Sync;

pub struct Scripted {
    pub source: EngineSource,
    seen: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

impl Scripted {
    /// `script` gets the request line without its API version, such as `GET /images/json`.
    pub fn new(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let script: Arc<Script> = Arc::new(script);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (script, noted) = (Arc::clone(&script), Arc::clone(&noted));
                std::thread::spawn(move || serve(stream, &*script, &noted));
            }
        });
        Self { source: source(&format!("unix://{}", path.display())), seen, dir }
    }

    /// A Docker engine that answers its version, and `script` where it has an answer.
    pub fn docker(script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::new(move |request| {
            script(request).unwrap_or_else(|| match request {
                "GET /version" => json(r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#),
                "GET /images/json" | "GET /containers/json" => json("[]"),
                _ => Reply::Raw(answer("404 Not Found", r#"{"message":"no such thing"}"#)),
            })
        })
    }
}

impl Scripted {
    /// How often it was asked for something with `part` in the request's first line.
    pub fn asked(&self, part: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }

    /// Where another program reaches it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.dir.path().join("engine.sock").display())
    }
}

pub fn source(address: &str) -> EngineSource {
    EngineSource::new(Endpoint::parse(address, "scripted", "test", None, false).unwrap(), Credentials::none())
}

pub fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

pub fn json(body: &str) -> Reply {
    Reply::Raw(answer("200 OK", body))
}

/// A chunked answer; without its last chunk it was cut.
pub fn chunked(body: &[u8], whole: bool) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    bytes.extend(format!("{:x}\r\n", body.len()).into_bytes());
    bytes.extend(body);
    bytes.extend(if whole { &b"\r\n0\r\n\r\n"[..] } else { &b"\r\n"[..] });
    bytes
}

fn serve(mut stream: UnixStream, script: &Script, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
    let mut words = text.split([' ', '?']);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path
        .strip_prefix("/v1.")
        .and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)).map(str::to_owned))
        .unwrap_or_else(|| path.to_owned());
    match script(&format!("{method} {path}")) {
        Reply::Raw(bytes) => drop(stream.write_all(&bytes)),
        Reply::AfterBody(bytes) => {
            while !head.ends_with(b"0\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(count) if count > 0 => {
                        head.extend_from_slice(&piece[..count]);
                        head.drain(..head.len().saturating_sub(16));
                    }
                    // The sender gave up.
                    _ => return,
                }
            }
            drop(stream.write_all(&bytes));
        }
        Reply::Hang => {
            // Ends when the other side hangs up.
            while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
        }
    }
}
