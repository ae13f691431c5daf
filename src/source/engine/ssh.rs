//! An engine on another machine by way of the user's own `ssh`, which knows the keys and hosts: it runs `docker system dial-stdio`
//! there, and that joins the engine's socket to our pipe. The same as the docker command does.
//!
//! Own code instead of bollard's `ssh` feature, because that starts a second, long-lived master connection per request and can ask
//! for a password on the terminal we draw on.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::endpoint::SshHost;
use super::transport::ConnectError;

/// How much of what `ssh` complains about is kept.
const COMPLAINT: usize = 2048;

/// Starts `ssh`. Whether it gets through is seen at the first read.
pub(super) fn dial(host: &SshHost) -> Result<SshLine, ConnectError> {
    let mut command = Command::new("ssh");
    command.args(arguments(host)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Its own group: signals that the terminal sends to us are not for it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ConnectError::Ssh("the program ssh is not in PATH".to_owned()),
        _ => ConnectError::Ssh(format!("ssh can't be run: {error}")),
    })?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => {
            Ok(SshLine { _child: child, stdin: Some(stdin), stdout, stderr, complaint: Vec::new(), answered: false })
        }
        _ => Err(ConnectError::Ssh("ssh was started without pipes".to_owned())),
    }
}

/// The endpoint's parser has held every word to letters, digits and a few marks, so the far shell has nothing to expand.
fn arguments(host: &SshHost) -> Vec<String> {
    let mut arguments: Vec<String> = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"].map(str::to_owned).into();
    if let Some(user) = &host.user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = host.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["--".to_owned(), host.host.clone()]);
    let far: &[&str] = if host.podman { &["podman", "--remote"] } else { &["docker"] };
    arguments.extend(far.iter().map(|&word| word.to_owned()));
    if let Some(socket) = &host.socket {
        arguments.extend([if host.podman { "--url" } else { "--host" }.to_owned(), format!("unix://{socket}")]);
    }
    arguments.extend(["system", "dial-stdio"].map(str::to_owned));
    arguments
}

/// The pipes of a running `ssh`; dropping it ends the process.
#[derive(Debug)]
pub(super) struct SshLine {
    _child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    complaint: Vec<u8>,
    answered: bool,
}

impl SshLine {
    /// After an end without any answer: what `ssh` said on stderr is the reason.
    fn poll_complaint(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut space = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let done = ready!(Pin::new(&mut self.stderr).poll_read(cx, &mut buffer)).is_err() || buffer.filled().is_empty();
            if self.complaint.len() < COMPLAINT {
                self.complaint.extend_from_slice(buffer.filled());
            }
            if done {
                let text = String::from_utf8_lossy(&self.complaint);
                let text = text.trim();
                let text = if text.is_empty() { "the connection was closed without an answer" } else { text };
                return Poll::Ready(io::Error::other(ConnectError::Ssh(text.to_owned())));
            }
        }
    }
}

impl AsyncRead for SshLine {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.answered = true;
        } else if !self.answered && buf.remaining() > 0 {
            return Poll::Ready(Err(ready!(self.poll_complaint(cx))));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SshLine {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            // When ssh has ended, the read side tells why; a broken pipe here would hide it.
            Some(stdin) => match ready!(Pin::new(stdin).poll_write(cx, buf)) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !self.answered => Poll::Ready(Ok(buf.len())),
                other => Poll::Ready(other),
            },
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_the_docker_commands_own() {
        let host = SshHost { user: Some("me".into()), host: "far".into(), port: Some(2222), socket: None, podman: false };
        let tail = ["-l", "me", "-p", "2222", "--", "far", "docker", "system", "dial-stdio"];
        assert!(arguments(&host).ends_with(&tail.map(str::to_owned)), "{:?}", arguments(&host));
        let host = SshHost { user: None, host: "far".into(), port: None, socket: Some("/run/p.sock".into()), podman: true };
        let tail = ["--", "far", "podman", "--remote", "--url", "unix:///run/p.sock", "system", "dial-stdio"];
        assert!(arguments(&host).ends_with(&tail.map(str::to_owned)));
    }
}
