//! Stands before a server, counts what passes in each direction, and holds it back where a test says so.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "each test binary uses its own part; a test fails by panicking; it waits within a time"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One direction.
#[derive(Debug)]
pub struct Way {
    passed: AtomicU64,
    allowed: AtomicU64,
}

impl Way {
    fn new() -> Arc<Self> {
        Arc::new(Self { passed: AtomicU64::new(0), allowed: AtomicU64::new(u64::MAX) })
    }

    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Counts anew, and stands still once that many bytes have passed.
    pub fn allow(&self, bytes: u64) {
        self.allowed.store(bytes, Ordering::SeqCst);
        self.passed.store(0, Ordering::SeqCst);
    }

    /// Waits until it stands still.
    pub fn stands(&self) {
        let began = Instant::now();
        while self.passed() < self.allowed.load(Ordering::SeqCst) {
            assert!(began.elapsed() < Duration::from_secs(30), "{} bytes passed", self.passed());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[derive(Debug)]
pub struct Gate {
    port: u16,
    /// From the server.
    pub down: Arc<Way>,
    /// To the server.
    pub up: Arc<Way>,
}

impl Gate {
    pub fn new(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self { port: listener.local_addr().unwrap().port(), down: Way::new(), up: Way::new() };
        let (down, up) = (Arc::clone(&gate.down), Arc::clone(&gate.up));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                // Nobody there: the client sees its connection end.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for (from, to, way) in [(&server, &client, &down), (&client, &server, &up)] {
                    let (from, to, way) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(way));
                    std::thread::spawn(move || pass(from, to, &way));
                }
            }
        });
        gate
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, way: &Way) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        while way.passed() >= way.allowed.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        way.passed.fetch_add(read as u64, Ordering::SeqCst);
    }
    let _ = to.shutdown(Shutdown::Both);
}
