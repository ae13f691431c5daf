//! The real program in a home of its own: nothing of the user's environment, configuration, logins or engines reaches it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home directory, removed at the end.
#[derive(Debug)]
pub struct Program {
    home: TempDir,
    /// Options in front of the arguments, such as `--host` and its value.
    before: Vec<String>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// On a machine without any engine.
    pub fn without_engine() -> Self {
        Self::with(&["--host", "store"])
    }

    /// With that engine.
    pub fn with_engine(host: &str) -> Self {
        Self::with(&["--host", host])
    }

    pub fn with(before: &[&str]) -> Self {
        Self { home: tempfile::tempdir().unwrap(), before: before.iter().map(|&text| text.to_owned()).collect() }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program with these arguments, not yet started; nothing on its standard input.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lighterman"));
        command.env_clear().env("HOME", self.home()).env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command.current_dir(self.home()).args(&self.before).args(args).stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs with `--json`; standard output must be exactly one document.
    pub fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> serde_json::Value {
        let ran = Ran::from(self.command(args).arg("--json").output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.document()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Asserts how it ended.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn document(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Asserts that nothing in `text` could command a terminal or deceive its reader: no controls but line ends, nothing that
/// reorders or hides.
#[track_caller]
pub fn assert_tame(text: &str) {
    let bad = text.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    });
    assert_eq!(bad, None, "{text:?}");
}
