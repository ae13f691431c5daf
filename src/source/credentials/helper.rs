//! Asking a credential helper, `docker-credential-NAME get`: the host goes in on stdin, a JSON document comes out on stdout.
//!
//! Neither side is trusted: the name is held to a small alphabet, the program is found in absolute directories of `PATH` only and
//! run without a shell, its answer is bounded in bytes and time, and nothing it prints is ever shown, since it may hold secrets.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Credential, Secret};
use crate::model::{Problem, ProblemKind};

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: u64 = 64 << 10;

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// What the helper keeps for `server`; `None` when it says that it keeps nothing.
pub(super) async fn get(name: &str, server: &str, path: &OsStr, doing: &str) -> Result<Option<Credential>, Problem> {
    if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(Problem::new(
            ProblemKind::Usage,
            doing,
            format!("the docker config names a credential helper {name}, which is not the name of one"),
        ));
    }
    let program = format!("docker-credential-{name}");
    let failed = |cause: &str| {
        Problem::new(ProblemKind::Denied, doing, format!("the credential helper {program} {cause}"))
            .hint(format!("try it by hand: echo {server} | {program} get"))
    };
    let Some(file) = find(&program, path) else {
        return Err(failed("is named in the docker config, but is not in PATH"));
    };
    let answer = tokio::time::timeout(PATIENCE, run(&file, server)).await;
    let (success, output) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(&format!("can't be run: {}", error.kind()))),
        Err(_) => return Err(failed("did not answer within 10 seconds")),
    };
    if output.len() as u64 > LONGEST {
        return Err(failed("answered with more than 64 KiB"));
    }
    if !success {
        // The protocol's own words for "no such entry"; any other failure is one.
        let words = String::from_utf8_lossy(&output);
        return if words.trim() == "credentials not found in native keychain" { Ok(None) } else { Err(failed("failed")) };
    }
    let answer: Answer = match serde_json::from_slice(&output) {
        Ok(answer) => answer,
        Err(_) => return Err(failed("answered with something that is not a credential")),
    };
    if answer.secret.is_empty() && answer.username.is_empty() {
        return Ok(None);
    }
    if answer.username.chars().any(char::is_control) {
        return Err(failed("answered with a broken user name"));
    }
    let secret = Secret::new(answer.secret);
    Ok(Some(if answer.username == "<token>" {
        Credential::IdentityToken(secret)
    } else {
        Credential::Password { username: answer.username, password: secret }
    }))
}

/// The program in the first absolute directory of `path` that holds it.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let name = if cfg!(windows) { format!("{program}.exe") } else { program.to_owned() };
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(&name)).find(|file| file.is_file())
}

/// Runs it: whether it succeeded, and its output, at most one byte over the bound. Dropping the future kills it.
async fn run(file: &std::path::Path, server: &str) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut child =
        Command::new(file).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            // A helper that ends without reading is judged by what it answers.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
    };
    let mut output = Zeroizing::new(Vec::new());
    let receive = async {
        match stdout {
            Some(stdout) => stdout.take(LONGEST + 1).read_to_end(&mut output).await,
            None => Ok(0),
        }
    };
    let ((), read) = tokio::join!(send, receive);
    read?;
    if output.len() as u64 > LONGEST {
        return Ok((false, output));
    }
    Ok((child.wait().await?.success(), output))
}
