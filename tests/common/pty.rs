//! The real program in a pseudo-terminal, with its screen as a terminal would show it.
//!
//! ```text
//! let mut screen = Start::new(&["demo"]).size(120, 40).spawn();
//! screen.wait_for("Images");
//! screen.send("jj");
//! screen.wait_until("the filter", |s| s.contents().contains("/web"));
//! assert_eq!(screen.quit(), 0);
//! ```
//!
//! Each start gets a home, configuration, cache, data and state directory of its own in a temporary folder, and an environment of its
//! own: nothing of the user's is seen or touched. Waiting is for a condition, and fails after [`PATIENCE`] with the screen as it is.
#![allow(
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::allow_attributes,
    reason = "tests wait within a time; a slice off a boundary fails the test"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the program as a shell does, and tells its exit code on the terminal. When the leader of a session ends, the system throws away
/// what its terminal has not read; so the leader stays until the end was seen.
const LEADER: &str = r#""$0" "$@"; printf '\033]9;ended %d\033\134' $?; read -r _"#;

/// How to start the program.
#[derive(Debug)]
pub struct Start {
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    size: (u16, u16),
    home: Option<Arc<TempDir>>,
    reads: bool,
    led: bool,
}

impl Start {
    /// `lighterman` with these arguments, started by a shell.
    #[must_use]
    pub fn new(args: &[&str]) -> Self {
        Self { led: true, ..Self::program(env!("CARGO_BIN_EXE_lighterman"), args) }
    }

    /// `lighterman` as the leader of its session, as a terminal starts the one program of its window.
    #[must_use]
    pub fn alone(args: &[&str]) -> Self {
        Self { led: false, ..Self::new(args) }
    }

    /// Another program, such as a shell of the test's own.
    #[must_use]
    pub fn program(program: impl AsRef<Path>, args: &[&str]) -> Self {
        let env = [
            ("TERM", "xterm-256color"),
            ("COLORTERM", "truecolor"),
            ("LANG", "C.UTF-8"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            // Nothing answers there: a test that wants an engine says which.
            ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
        ];
        Self {
            program: program.as_ref().to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: env.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            size: (120, 40),
            home: None,
            reads: true,
            led: false,
        }
    }

    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.env.insert(key.to_owned(), value.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.env.remove(key);
        self
    }

    /// Columns and rows.
    #[must_use]
    pub const fn size(mut self, width: u16, height: u16) -> Self {
        self.size = (width, height);
        self
    }

    /// Starts in the home of an earlier screen, to find what it left there.
    #[must_use]
    pub fn home_of(mut self, other: &Screen) -> Self {
        self.home = Some(Arc::clone(&other.home));
        self
    }

    /// Writes a file below the home directory, such as `.config/lighterman/config.toml`.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        let home = self.home.get_or_insert_with(|| Arc::new(TempDir::new().unwrap()));
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Begins without reading what the program writes: a terminal that hangs.
    #[must_use]
    pub const fn unread(mut self) -> Self {
        self.reads = false;
        self
    }

    /// # Panics
    /// When the program can't be started.
    #[must_use]
    pub fn spawn(self) -> Screen {
        let home = self.home.unwrap_or_else(|| Arc::new(TempDir::new().unwrap()));
        let pty = native_pty_system().openpty(pty_size(self.size)).unwrap();
        let mut command = CommandBuilder::new(if self.led { Path::new("/bin/sh") } else { &self.program });
        if self.led {
            command.args(["-c", LEADER]);
            command.arg(&self.program);
        }
        command.args(&self.args);
        command.env_clear();
        for (key, value) in &self.env {
            command.env(key, value);
        }
        let at = |name: &str| home.path().join(name);
        for (key, path) in [
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at(".config")),
            ("XDG_CACHE_HOME", at(".cache")),
            ("XDG_DATA_HOME", at(".local/share")),
            ("XDG_STATE_HOME", at(".local/state")),
            ("XDG_RUNTIME_DIR", at("run")),
            ("DOCKER_CONFIG", at(".docker")),
        ] {
            if !self.env.contains_key(key) {
                command.env(key, path);
            }
        }
        command.cwd(home.path());
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let seen = Arc::new(Seen::new(self.size, self.reads));
        let mut from = pty.master.try_clone_reader().unwrap();
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                into.wait_to_read();
                match from.read(&mut buffer) {
                    Ok(n) if n > 0 && !into.lock().closing => into.take(&buffer[..n]),
                    _ => break,
                }
            }
            // The terminal is closed when its last reader is gone.
            drop(from);
            into.end();
        });
        let keys = pty.master.take_writer().unwrap();
        Screen { master: Some(pty.master), keys: Some(keys), child, led: self.led, seen, home }
    }
}

/// The screen reader has at least one cell.
fn cells(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap_or(NonZero::<u16>::MIN)
}

const fn pty_size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// What came out of the program so far.
struct Seen {
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    terminal: vt100::Parser,
    bytes: Vec<u8>,
    ended: bool,
    /// As the leader told it.
    code: Option<u32>,
    reads: bool,
    closing: bool,
}

impl Seen {
    fn new((width, height): (u16, u16), reads: bool) -> Self {
        let terminal = vt100::Parser::new(cells(height), cells(width), 0);
        Self {
            inner: Mutex::new(Inner { terminal, bytes: Vec::new(), ended: false, code: None, reads, closing: false }),
            changed: Condvar::new(),
        }
    }

    /// A test that failed while it looked must still end its program.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_to_read(&self) {
        drop(self.changed.wait_while(self.lock(), |inner| !inner.reads));
    }

    fn take(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.terminal.process(bytes);
        inner.bytes.extend_from_slice(bytes);
        if let Some((length, code)) = told_end(&inner.bytes) {
            let end = inner.bytes.len() - length;
            inner.bytes.truncate(end);
            (inner.code, inner.ended) = (Some(code), true);
        }
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

/// The length of what the leader said last, and the exit code in it.
fn told_end(bytes: &[u8]) -> Option<(usize, u32)> {
    let tail = &bytes[bytes.len().saturating_sub(24)..];
    let text = String::from_utf8_lossy(tail);
    let (_, code) = text.strip_suffix("\x1b\\")?.rsplit_once("\x1b]9;ended ")?;
    Some(("\x1b]9;ended \x1b\\".len() + code.len(), code.parse().ok()?))
}

/// A running program and what its terminal shows.
pub struct Screen {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    led: bool,
    seen: Arc<Seen>,
    home: Arc<TempDir>,
}

impl Screen {
    /// The program's home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        if self.led { self.children()[0] } else { self.child.process_id().unwrap() }
    }

    /// The processes that the session's leader started.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let leader = self.child.process_id().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Types. Names in angle brackets are keys: `"/web<Enter>"`, `"<Esc>"`, `"<Ctrl-t>"`, `"<Down>"`; `<lt>` is `<`.
    ///
    /// # Panics
    /// An unknown key.
    pub fn send(&mut self, keys: &str) {
        let mut bytes = Vec::new();
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            if c == '<'
                && let Some((name, tail)) = rest[1..].split_once('>')
            {
                bytes.extend(key_bytes(name));
                rest = tail;
            } else {
                bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
        self.send_bytes(&bytes);
    }

    /// Answers a dialog, no faster than a finger: keys that come all at once are taken for a paste, which answers nothing.
    pub fn answer(&mut self, keys: &str) {
        std::thread::sleep(Duration::from_millis(30));
        self.send(keys);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let keys = self.keys.as_mut().unwrap();
        keys.write_all(bytes).unwrap();
        keys.flush().unwrap();
    }

    /// Pastes, as a terminal with bracketed paste does.
    pub fn paste(&mut self, text: &str) {
        self.send_bytes(format!("\x1b[200~{text}\x1b[201~").as_bytes());
    }

    /// Presses the left button on a cell, counted from 0.
    pub fn click(&mut self, column: u16, row: u16) {
        let (x, y) = (column + 1, row + 1);
        self.send_bytes(format!("\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m").as_bytes());
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.seen.lock().terminal.screen_mut().set_size(cells(height), cells(width));
        self.master.as_ref().unwrap().resize(pty_size((width, height))).unwrap();
    }

    /// Goes on, or stops, reading what the program writes.
    pub fn read(&self, reads: bool) {
        self.seen.lock().reads = reads;
        self.seen.changed.notify_all();
    }

    /// Closes the terminal, as when its window is closed.
    pub fn hang_up(&mut self) {
        self.seen.lock().closing = true;
        // What it draws now wakes the reader, which then goes.
        self.resize(90, 30);
        let gone = self.seen.changed.wait_timeout_while(self.seen.lock(), PATIENCE, |inner| !inner.ended);
        assert!(gone.is_ok_and(|(inner, _)| inner.ended), "the reader goes");
        self.keys = None;
        self.master = None;
    }

    /// The text of the screen, line by line, without blanks at the ends of lines.
    #[must_use]
    pub fn contents(&self) -> String {
        self.with(|screen| {
            let width = screen.size().1.get();
            let lines: Vec<_> = screen.rows(0, width).map(|line| line.trim_end().to_owned()).collect();
            lines.join("\n").trim_end().to_owned()
        })
    }

    /// Every byte the program wrote so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().bytes.clone()
    }

    /// Looks at the screen's cells.
    pub fn with<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen.lock().terminal.screen())
    }

    /// The cells, row by row: what each shows.
    #[must_use]
    pub fn cells(&self) -> Vec<Vec<vt100::Cell>> {
        self.with(|screen| {
            let (height, width) = screen.size();
            let (height, width) = (height.get(), width.get());
            (0..height).map(|row| (0..width).filter_map(|column| screen.cell(row, column).cloned()).collect()).collect()
        })
    }

    /// Waits until the screen shows this text.
    ///
    /// # Panics
    /// When it doesn't come, with the screen.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Waits until the screen no longer shows this text.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub fn wait_gone(&self, text: &str) {
        self.wait_until(&format!("no {text:?}"), |screen| !screen.contains(text));
    }

    /// Waits until the screen's text is so; `what` names it for the failure.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        self.wait_screen(what, |screen| is_so(&screen.contents()));
    }

    /// Waits until the terminal is so.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub fn wait_screen(&self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        self.wait_inner(what, |inner| is_so(inner.terminal.screen()));
    }

    /// Waits until the bytes the program wrote are so.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub fn wait_bytes(&self, what: &str, is_so: impl Fn(&[u8]) -> bool) {
        self.wait_inner(what, |inner| is_so(&inner.bytes));
    }

    /// Waits until nothing was written for a while: for making pictures, not for judging them.
    pub fn wait_quiet(&self, quiet: Duration) {
        let mut inner = self.seen.lock();
        loop {
            let before = inner.bytes.len();
            inner = self.seen.changed.wait_timeout_while(inner, quiet, |inner| inner.bytes.len() == before).unwrap().0;
            if inner.bytes.len() == before {
                return;
            }
        }
    }

    fn wait_inner(&self, what: &str, is_so: impl Fn(&Inner) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut inner = self.seen.lock();
        while !is_so(&inner) {
            let left = until.saturating_duration_since(Instant::now());
            let shown = inner.terminal.screen().contents();
            assert!(!inner.ended || is_so(&inner), "waited for {what}, but the program ended; the screen:\n{shown}");
            assert!(!left.is_zero(), "waited for {what}; the screen:\n{shown}");
            inner = self.seen.changed.wait_timeout(inner, left).unwrap().0;
        }
    }

    /// Waits for the end of the program, and gives its exit code. All that it wrote has been read then.
    ///
    /// # Panics
    /// When it doesn't end.
    pub fn wait_exit(&mut self) -> u32 {
        let until = Instant::now() + PATIENCE;
        let mut inner = self.seen.lock();
        while !inner.ended {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the program does not end; the screen:\n{}", inner.terminal.screen().contents());
            inner = self.seen.changed.wait_timeout(inner, left).unwrap().0;
        }
        let told = inner.code;
        drop(inner);
        told.unwrap_or_else(|| self.child.wait().unwrap().exit_code())
    }

    /// Waits for the end of a process started alone, whether or not its terminal is read, and gives its exit code.
    ///
    /// # Panics
    /// When it doesn't end.
    pub fn wait_child(&mut self) -> u32 {
        let mut killer = self.child.clone_killer();
        let (tell, ended) = std::sync::mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            let late = ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = killer.kill();
            }
            late
        });
        let code = self.child.wait().unwrap().exit_code();
        drop(tell);
        assert!(!watchdog.join().unwrap(), "the program does not end");
        code
    }

    /// Presses `q` and gives the exit code.
    pub fn quit(&mut self) -> u32 {
        self.send("q");
        self.wait_exit()
    }

    /// Sends the process a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let done = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(done.success(), "kill -s {name} {pid}");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.read(true);
        self.master = None;
        let _ = self.child.wait();
    }
}

/// What was written holds no control sequence but those that the program draws with.
///
/// # Panics
/// At the first other one.
pub fn assert_own_sequences(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == 0x7f) {
        let escape = &rest[at..];
        let length = match escape {
            // CSI, with parameters and a final byte.
            [0x1b, b'[', tail @ ..] => {
                let end = tail.iter().position(|b| (0x40..=0x7e).contains(b)).unwrap();
                assert!(tail[..end].iter().all(|b| (0x30..=0x3f).contains(b)), "{:?}", String::from_utf8_lossy(&tail[..=end]));
                assert!(b"HmhlJKABCDGdu".contains(&tail[end]), "{:?}", String::from_utf8_lossy(&tail[..=end]));
                end + 3
            }
            [b'\r' | b'\n', ..] => 1,
            other => panic!("a stray control byte: {:?}", String::from_utf8_lossy(&other[..other.len().min(20)])),
        };
        rest = &rest[at + length..];
    }
}

fn key_bytes(name: &str) -> Vec<u8> {
    if let Some(c) = name.strip_prefix("Ctrl-").and_then(|c| c.bytes().next()) {
        return vec![c & 0x1f];
    }
    let text = match name {
        "Enter" => "\r",
        "Esc" => "\x1b",
        "Tab" => "\t",
        "Shift-Tab" => "\x1b[Z",
        "Backspace" => "\x7f",
        "Space" => " ",
        "lt" => "<",
        "Up" => "\x1b[A",
        "Down" => "\x1b[B",
        "Right" => "\x1b[C",
        "Left" => "\x1b[D",
        "Home" => "\x1b[H",
        "End" => "\x1b[F",
        "PgUp" => "\x1b[5~",
        "PgDn" => "\x1b[6~",
        "Delete" => "\x1b[3~",
        "F4" => "\x1bOS",
        "F5" => "\x1b[15~",
        other => panic!("no key <{other}>"),
    };
    text.as_bytes().to_vec()
}
