//! The user's own editor: the terminal is given away to it, with a text in a private file, and what became of the text is read back.
//!
//! Facts: `VISUAL` before `EDITOR`, as POSIX says of both. The command is split into words by blanks, quotes and backslashes, and started
//! as it is: no shell ever reads it, nor the name of the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::paths::{make_private_dir, read_bounded};
use super::term;
use crate::flow::effect::Draft;
use crate::model::{Problem, ProblemKind, Safe};
use crate::source::blocking;

const DOING: &str = "edit the text";
/// Longest text that is read back, in bytes.
const LONGEST: u64 = 16 << 20;
/// How long an editor may take to put its own things away when we have to end.
const GRACE: Duration = Duration::from_secs(2);

/// How the user wants texts to be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Editor {
    program: String,
    arguments: Vec<String>,
}

impl Editor {
    /// What `VISUAL`, else `EDITOR`, names; `None` where both are empty or not set.
    pub(super) fn find(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let mut words =
            ["VISUAL", "EDITOR"].iter().filter_map(|name| variable(name)).map(|text| words(&text)).find(|words| !words.is_empty())?;
        let program = words.remove(0);
        Some(Self { program, arguments: words })
    }

    /// The program's name without its folder, for the screen.
    pub(super) fn name(&self) -> String {
        Path::new(&self.program).file_name().map_or_else(|| self.program.clone(), |name| name.to_string_lossy().into_owned())
    }
}

/// Words as a shell splits them, with nothing expanded.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Edits a text. `alone` ends when nobody else reads the terminal; `stop` ends the editor. Afterwards the terminal's modes are as they were
/// before, whatever the editor left.
///
/// # Errors
/// The editor can't be started, or said that it failed; the text can't be written or read.
pub(super) async fn edit(
    editor: Editor,
    folder: PathBuf,
    draft: Draft,
    alone: impl Future<Output = ()>,
    stop: CancellationToken,
) -> Result<String, Problem> {
    let Draft { name, text } = draft;
    // A folder of its own: some editors keep a copy, or what they have not saved yet, beside the file.
    let folder = blocking(DOING, move || write(&folder, name, &text)).await?;
    let file = folder.path().join(name);
    alone.await;
    term::leave();
    let modes = tcgetattr(rustix::stdio::stdin()).ok();
    let ended = run(&editor, &file, &stop).await;
    if let Some(modes) = modes {
        // Where this fails, taking the terminal over again will tell.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes);
    }
    ended?;
    blocking(DOING, move || {
        let bytes = read_bounded(&file, LONGEST).map_err(|error| Problem::disk(DOING, &file, &error))?;
        drop(folder);
        String::from_utf8(bytes).map_err(|error| {
            Problem::new(ProblemKind::Usage, DOING, format!("what the editor wrote is no text: {error}")).hint("nothing is changed")
        })
    })
    .await
}

fn write(folder: &Path, name: &str, text: &str) -> Result<tempfile::TempDir, Problem> {
    let disk = |error: &std::io::Error| Problem::disk(DOING, folder, error);
    make_private_dir(folder).map_err(|error| disk(&error))?;
    let made = tempfile::Builder::new().prefix("edit-").tempdir_in(folder).map_err(|error| disk(&error))?;
    super::paths::write_whole(&made.path().join(name), text.as_bytes()).map_err(|error| disk(&error))?;
    Ok(made)
}

async fn run(editor: &Editor, file: &Path, stop: &CancellationToken) -> Result<(), Problem> {
    let shown = Safe::new(&editor.name());
    let mut command = Command::new(&editor.program);
    command.args(&editor.arguments).arg(file).kill_on_drop(true);
    let unstarted = |error: std::io::Error| {
        let problem = Problem::new(ProblemKind::NotFound, format!("{DOING} with {shown}"), error.to_string());
        problem.hint("VISUAL or EDITOR names the editor; nothing is changed")
    };
    let mut child = command.spawn().map_err(unstarted)?;
    let status = tokio::select! {
        status = child.wait() => status,
        () = stop.cancelled() => {
            end(&mut child).await;
            return Err(Problem::cancelled(DOING));
        }
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let problem = Problem::new(ProblemKind::Other, format!("{DOING} with {shown}"), format!("it ended with {status}"));
            Err(problem.hint("nothing is changed"))
        }
        Err(error) => Err(Problem::new(ProblemKind::Other, format!("{DOING} with {shown}"), error.to_string())),
    }
}

/// Asks an editor to end, so that it can give the terminal back; one that doesn't is killed when it is dropped.
async fn end(child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_into_words_and_never_read_by_a_shell() {
        let split = |text: &str| words(text);
        assert_eq!(split("code --wait"), ["code", "--wait"]);
        assert_eq!(split(r#""/opt/my editor/bin" -c 'set ft=conf' a\ b"#), ["/opt/my editor/bin", "-c", "set ft=conf", "a b"]);
        assert_eq!(split("vi; rm -rf $HOME"), ["vi;", "rm", "-rf", "$HOME"]);
        assert_eq!(split(r#"'' "\"" \"#), ["", "\"", ""]);
        assert!(split(" \t ").is_empty());
    }

    #[test]
    fn visual_comes_before_editor_and_blanks_are_none() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            Editor::find(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(&[("EDITOR", "ed"), ("VISUAL", "/usr/bin/vim -n")]).unwrap().name(), "vim");
        assert_eq!(with(&[("EDITOR", "ed"), ("VISUAL", " ")]).unwrap().name(), "ed");
        assert_eq!(with(&[]), None);
    }
}
