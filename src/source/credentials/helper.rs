//! Credential helpers, `docker-credential-NAME get|store|erase`: the host (or, to be stored, a JSON document) goes in on stdin, a JSON
//! document comes out on stdout.
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

use super::Credential;
use crate::model::{Login, Problem, ProblemKind, Secret};

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
    let helper = Helper::find(name, path, doing, &format!("echo {server} | docker-credential-{name} get"))?;
    let (success, output) = helper.run("get", server.as_bytes()).await?;
    if !success {
        return if is_unknown(&output) { Ok(None) } else { Err(helper.failed("failed")) };
    }
    let answer: Answer = match serde_json::from_slice(&output) {
        Ok(answer) => answer,
        Err(_) => return Err(helper.failed("answered with something that is not a credential")),
    };
    if answer.secret.is_empty() && answer.username.is_empty() {
        return Ok(None);
    }
    if answer.username.chars().any(char::is_control) {
        return Err(helper.failed("answered with a broken user name"));
    }
    let secret = Secret::new(answer.secret);
    Ok(Some(if answer.username == "<token>" {
        Credential::IdentityToken(secret)
    } else {
        Credential::Password { username: answer.username, password: secret }
    }))
}

/// Hands a login to the helper.
pub(super) async fn store(name: &str, server: &str, login: &Login, path: &OsStr, doing: &str) -> Result<(), Problem> {
    let helper = Helper::find(name, path, doing, &format!("docker login {server}"))?;
    let entry = serde_json::json!({"ServerURL": server, "Username": login.username, "Secret": login.secret.reveal()});
    let entry = Zeroizing::new(entry.to_string());
    let (success, _) = helper.run("store", entry.as_bytes()).await?;
    if success { Ok(()) } else { Err(helper.failed("did not take it")) }
}

/// Makes the helper forget a login; that it has none is as good.
pub(super) async fn erase(name: &str, server: &str, path: &OsStr, doing: &str) -> Result<(), Problem> {
    let helper = Helper::find(name, path, doing, &format!("docker logout {server}"))?;
    let (success, output) = helper.run("erase", server.as_bytes()).await?;
    if success || is_unknown(&output) { Ok(()) } else { Err(helper.failed("did not forget it")) }
}

/// The protocol's own words for "no such entry"; any other failure is one.
fn is_unknown(output: &[u8]) -> bool {
    String::from_utf8_lossy(output).trim() == "credentials not found in native keychain"
}

/// What the helper called `name` is started by.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// A helper that is there.
struct Helper<'a> {
    program: String,
    file: PathBuf,
    doing: &'a str,
    /// What a user may try by hand.
    by_hand: String,
}

impl<'a> Helper<'a> {
    fn find(name: &str, path: &OsStr, doing: &'a str, by_hand: &str) -> Result<Self, Problem> {
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            let cause = format!("the docker config names a credential helper {name}, which is not the name of one");
            return Err(Problem::new(ProblemKind::Usage, doing, cause));
        }
        let mut helper = Self { program: program(name), file: PathBuf::new(), doing, by_hand: by_hand.to_owned() };
        match find(&helper.program, path) {
            Some(file) => helper.file = file,
            None => return Err(helper.failed("is named in the docker config, but is not in PATH")),
        }
        Ok(helper)
    }

    fn failed(&self, cause: &str) -> Problem {
        let problem = Problem::new(ProblemKind::Denied, self.doing, format!("the credential helper {} {cause}", self.program));
        problem.hint(format!("try it by hand: {}", self.by_hand))
    }

    /// Runs it with `input` on stdin: whether it succeeded, and its output, within bounds.
    async fn run(&self, verb: &str, input: &[u8]) -> Result<(bool, Zeroizing<Vec<u8>>), Problem> {
        let answer = match tokio::time::timeout(PATIENCE, run(&self.file, verb, input)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.failed(&format!("can't be run: {}", error.kind()))),
            Err(_) => return Err(self.failed("did not answer within 10 seconds")),
        };
        if answer.1.len() as u64 > LONGEST {
            return Err(self.failed("answered with more than 64 KiB"));
        }
        Ok(answer)
    }
}

/// The program in the first absolute directory of `path` that holds it.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let name = if cfg!(windows) { format!("{program}.exe") } else { program.to_owned() };
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(&name)).find(|file| file.is_file())
}

/// Runs it: whether it succeeded, and its output, at most one byte over the bound. Dropping the future kills it.
async fn run(file: &std::path::Path, verb: &str, input: &[u8]) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut child =
        Command::new(file).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            // A helper that ends without reading is judged by what it answers.
            let _ = stdin.write_all(input).await;
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
