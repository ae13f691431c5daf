//! A web server that does what a healthy registry never does: each test hands it a function from request to reply.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, clippy::format_push_string, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where its Range starts.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

impl Request {
    /// The first and the last byte of a Range that has both.
    pub fn stretch(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

#[derive(Debug, Clone)]
pub enum Reply {
    /// With a Content-Length of its own.
    Plain(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes, then the connection ends.
    Raw(Vec<u8>),
    /// These bytes, then one blank at a time, until the client goes.
    Trickle(Vec<u8>, Duration),
    /// These bytes, then the last piece again and again, until the client goes.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing, until the server ends.
    Silent,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Plain(status, Vec::new(), Vec::new())
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::Plain(200, Vec::new(), body.into())
    }

    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Plain(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Plain(status, headers, body)
            }
            other => other,
        }
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

struct State {
    script: Box<Script>,
    seen: Mutex<Vec<Request>>,
    over: Mutex<bool>,
    ended: Condvar,
    stopping: AtomicBool,
}

pub struct Server {
    state: Arc<State>,
    port: u16,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn new(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            script: Box::new(script),
            seen: Mutex::default(),
            over: Mutex::new(false),
            ended: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopping.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { continue };
                std::thread::spawn(move || {
                    let _ = serve(&shared, stream);
                });
            }
        });
        Self { state, port, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Starts counting anew.
    pub fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }

    pub fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|request| request.method == method && request.path.contains(part)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::Release);
        *self.state.over.lock().unwrap() = true;
        self.state.ended.notify_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    let Some(request) = read(&stream)? else { return Ok(()) };
    let reply = (state.script)(&request);
    state.seen.lock().unwrap().push(request.clone());
    match reply {
        Reply::Plain(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
            for (name, value) in &headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            stream.write_all(head.as_bytes())?;
            stream.write_all(b"\r\n")?;
            if request.method != "HEAD" {
                stream.write_all(&body)?;
            }
        }
        Reply::Raw(bytes) => stream.write_all(&bytes)?,
        Reply::Trickle(head, pace) => {
            stream.write_all(&head)?;
            loop {
                let over = state.over.lock().unwrap();
                if *state.ended.wait_timeout(over, pace).unwrap().0 {
                    return Ok(());
                }
                stream.write_all(b" ")?;
            }
        }
        Reply::Endless(head, piece) => {
            stream.write_all(&head)?;
            loop {
                stream.write_all(&piece)?;
            }
        }
        Reply::Silent => {
            let mut over = state.over.lock().unwrap();
            while !*over {
                over = state.ended.wait(over).unwrap();
            }
        }
    }
    Ok(())
}

fn read(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length").and_then(|text| text.parse::<u64>().ok()) {
        reader.by_ref().take(length).read_to_end(&mut body)?;
    }
    Ok(Some(Request { method, path, headers, body }))
}
