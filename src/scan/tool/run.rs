//! Runs a program in a process group of its own, within bounds, and ends all of the group with it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::{Environment, Limits};
use crate::model::{Problem, ProblemKind, size};
use crate::source::Ctx;

/// Bytes of its complaints that are kept, from the end.
const COMPLAINT: usize = 8 << 10;
/// Lines of them that are shown.
const LINES: usize = 4;

pub(super) struct Run<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: &'a Environment,
    /// Besides, or in place of, those of the environment.
    pub(super) extra: Vec<(OsString, OsString)>,
    pub(super) limits: Limits,
    pub(super) doing: String,
}

/// What came of it.
pub(super) struct Ended {
    pub(super) is_success: bool,
    pub(super) output: Vec<u8>,
    /// Such as "exit status: 1".
    status: String,
    /// Its last complaints, fit to be shown.
    complaint: String,
}

impl Ended {
    pub(super) fn problem(&self, doing: &str, cause: &str) -> Problem {
        let cause = if self.complaint.is_empty() { cause.to_owned() } else { format!("{cause}: {}", self.complaint) };
        Problem::new(ProblemKind::Other, doing, cause)
    }

    pub(super) fn failed(&self, doing: &str) -> Problem {
        self.problem(doing, &format!("it ended with {}", self.status))
    }
}

/// All processes of a scan: they end when this does.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // One that is gone already is as good.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Run<'_> {
    /// Runs it, and takes it for a failure when it says that it failed.
    pub(super) async fn output(self, ctx: &Ctx) -> Result<Ended, Problem> {
        let doing = self.doing.clone();
        let ended = self.run(ctx).await?;
        if ended.is_success { Ok(ended) } else { Err(ended.failed(&doing)) }
    }

    pub(super) async fn run(self, ctx: &Ctx) -> Result<Ended, Problem> {
        ctx.check(&self.doing)?;
        let mut command = Command::new(self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.variables().iter().cloned()).envs(self.extra.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/").process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Problem::disk(&self.doing, self.program, &error))?;
        let group = Group::of(&child);
        let ended = tokio::select! {
            ended = tokio::time::timeout(self.limits.time, self.follow(&mut child, &group)) => ended,
            () = ctx.cancel.cancelled() => {
                self.end(&mut child, &group).await;
                return Err(Problem::cancelled(&self.doing));
            }
        };
        let Ok(ended) = ended else {
            self.end(&mut child, &group).await;
            let cause = format!("it took longer than {}", words(self.limits.time));
            return Err(Problem::new(ProblemKind::Limit, &self.doing, cause).hint("it was stopped"));
        };
        ended
    }

    /// Takes what it says until it ends.
    async fn follow(&self, child: &mut Child, group: &Group) -> Result<Ended, Problem> {
        let failed = |error: std::io::Error| Problem::disk(&self.doing, self.program, &error);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut output, mut complaint) = (Vec::new(), Vec::new());
        let status = {
            let listen = async { tokio::try_join!(take(stdout, &mut output, self.limits.output), tail(stderr, &mut complaint)) };
            tokio::pin!(listen);
            tokio::select! {
                listened = &mut listen => {
                    listened.map_err(|error| self.broken(&error))?;
                    child.wait().await.map_err(failed)?
                }
                status = child.wait() => {
                    let status = status.map_err(failed)?;
                    // What it started and left behind may hold the pipes open for ever.
                    match tokio::time::timeout(self.limits.grace, &mut listen).await {
                        Ok(listened) => drop(listened.map_err(|error| self.broken(&error))?),
                        Err(_) => group.signal(Signal::KILL),
                    }
                    status
                }
            }
        };
        let complaint = shown(&complaint);
        Ok(Ended { is_success: status.success(), output, status: status.to_string(), complaint })
    }

    fn broken(&self, error: &std::io::Error) -> Problem {
        if error.kind() == std::io::ErrorKind::FileTooLarge {
            let cause = format!("it said more than {}", size::human(self.limits.output as u64));
            return Problem::new(ProblemKind::Limit, &self.doing, cause).hint("it was stopped");
        }
        Problem::disk(&self.doing, self.program, error)
    }

    /// Asks it to end, and makes it.
    async fn end(&self, child: &mut Child, group: &Group) {
        group.signal(Signal::TERM);
        if tokio::time::timeout(self.limits.grace, child.wait()).await.is_err() {
            group.signal(Signal::KILL);
            let _ = child.wait().await;
        }
    }
}

fn words(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Reads to the end; an error where that is more than `most` bytes.
async fn take(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, most: usize) -> std::io::Result<()> {
    let Some(from) = from else { return Ok(()) };
    from.take(most as u64 + 1).read_to_end(into).await?;
    if into.len() > most { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

/// Reads to the end and keeps the last of it.
async fn tail(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 8 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        into.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let more = into.len().saturating_sub(COMPLAINT);
        into.drain(..more);
    }
}

/// The last lines of a complaint on one line, without what could be a login.
fn shown(complaint: &[u8]) -> String {
    static SECRET: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let login = r"://[^/@\s]+@";
        let header = r"(?i)\b(?:bearer|basic)\s+[^\s,]+";
        let assigned = r#"(?i)\b[\w-]*(?:password|passwd|secret|token|authorization|api[_-]?key)["']?\s*[=:]\s*["']?[^\s"',]+"#;
        let token = r"\beyJ[\w-]{8,}(?:\.[\w-]+)*";
        [login, header, assigned, token].into_iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
    });
    let text = String::from_utf8_lossy(complaint);
    let mut text = plain(&text);
    for secret in SECRET.iter() {
        text =
            secret.replace_all(&text, |found: &regex::Captures<'_>| if found[0].starts_with("://") { "://…@" } else { "…" }).into_owned();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    last.join(" / ").chars().take(800).collect()
}

/// Without the colours that programs print: nobody could read them as escapes.
fn plain(text: &str) -> String {
    static COLOUR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("\u{1b}\\[[0-9;]*m").ok());
    COLOUR.as_ref().map_or_else(|| text.to_owned(), |colour| colour.replace_all(text, "").into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_show_no_login() {
        let seen = shown(
            b"one\ntwo\n\x1b[31mFATAL\x1b[0m get https://anna:s3cret@host/v2/\n\
              Authorization: Bearer s3cret\nREGISTRY_TOKEN=s3cret {\"password\": \"s3cret\"} eyJhbGciOiJSUzI1NiJ9.s3cret.s3cret\n",
        );
        assert!(!seen.contains("s3cret"), "{seen}");
        assert!(seen.starts_with("two / FATAL get https://") && seen.contains("host/v2/"), "{seen}");
        assert_eq!(shown(b"\xff\n\n"), "\u{fffd}");
    }
}
