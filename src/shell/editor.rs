//! The user's own editor: the terminal is given away to it, with a text in a private file, and what became of the text is read back.
//!
//! Facts: `VISUAL` before `EDITOR`, as POSIX says of both. The command is split into words by blanks, quotes and backslashes, and started
//! as it is: no shell ever reads it, nor the name of the file.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::paths::{make_private_dir, read_bounded};
use super::term;
use crate::flow::effect::Draft;
use crate::model::{Problem, ProblemKind, Safe};
use crate::source::blocking;
use crate::work::leftovers::HELD;

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
/// The editor can't be started, or said that it failed; the text can't be written or read. What the user wrote until then is kept, and the
/// problem says where.
pub(super) async fn edit(
    editor: Editor,
    folder: PathBuf,
    draft: Draft,
    alone: impl Future<Output = ()>,
    stop: CancellationToken,
) -> Result<String, Problem> {
    let Draft { name, text } = draft;
    let lying = blocking(DOING, move || Lying::write(&folder, name, text)).await?;
    alone.await;
    term::leave();
    let modes = tcgetattr(rustix::stdio::stdin()).ok();
    let ended = run(&editor, &lying.file, &stop).await;
    if let Some(modes) = modes {
        // Where this fails, taking the terminal over again will tell.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes);
    }
    blocking(DOING, move || {
        let read = ended.and_then(|()| lying.read());
        // Where everything ends, nobody takes the text any more.
        let read = if stop.is_cancelled() { read.and(Err(Problem::cancelled(DOING))) } else { read };
        read.map_err(|problem| lying.keep(problem))
    })
    .await
}

/// A text in a folder of its own: some editors keep a copy, or what they have not saved yet, beside the file. All of it goes with this.
struct Lying {
    folder: tempfile::TempDir,
    file: PathBuf,
    /// The text as it was.
    before: String,
    /// Locked, so that no other deck sweeps the folder; see `work::leftovers`.
    _held: Option<File>,
}

impl Lying {
    fn write(folder: &Path, name: &str, text: String) -> Result<Self, Problem> {
        let disk = |error: std::io::Error| Problem::disk(DOING, folder, &error);
        make_private_dir(folder).map_err(disk)?;
        let folder = tempfile::Builder::new().prefix("edit-").tempdir_in(folder).map_err(disk)?;
        let held = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.path().join(HELD)).map_err(disk)?;
        // A file system without locks is no reason not to edit: the folder is then swept by its age alone.
        let held = flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(held);
        let file = folder.path().join(name);
        super::paths::write_whole(&file, text.as_bytes()).map_err(disk)?;
        Ok(Self { folder, file, before: text, _held: held })
    }

    fn read(&self) -> Result<String, Problem> {
        let bytes = read_bounded(&self.file, LONGEST).map_err(|error| Problem::disk(DOING, &self.file, &error))?;
        String::from_utf8(bytes).map_err(|error| {
            Problem::new(ProblemKind::Usage, DOING, format!("what the editor wrote is no text: {error}")).hint("nothing is changed")
        })
    }

    /// What is there that the user wrote: the file, or the folder with what the editor left beside it.
    fn written(&self) -> Option<PathBuf> {
        let same = read_bounded(&self.file, LONGEST).is_ok_and(|bytes| bytes == self.before.as_bytes());
        if !same && self.file.symlink_metadata().is_ok() {
            return Some(self.file.clone());
        }
        let known = [Path::new(HELD).file_name(), self.file.file_name()];
        let mut entries = fs::read_dir(self.folder.path()).ok()?.filter_map(Result::ok);
        entries.any(|entry| !known.contains(&Some(entry.file_name().as_os_str()))).then(|| self.folder.path().to_owned())
    }

    /// Keeps what the user wrote, and says in the problem where.
    fn keep(self, problem: Problem) -> Problem {
        let Some(written) = self.written() else { return problem };
        // Also makes the folder as young as this.
        let _ = fs::remove_file(self.folder.path().join(HELD));
        let _ = self.folder.keep();
        problem.hint(format!("what was written is in {}", written.display()))
    }
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
    fn what_was_written_is_kept_when_it_can_t_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let folders = || fs::read_dir(dir.path()).unwrap().count();
        let lying = || Lying::write(dir.path(), "retag.txt", "one → one\n".to_owned()).unwrap();
        let failed = || Problem::new(ProblemKind::Other, DOING, "it ended with 1").hint("nothing is changed");
        // Nothing was written.
        let same = lying();
        assert_eq!(same.read().unwrap(), "one → one\n");
        assert_eq!(same.keep(failed()), failed());
        let gone = lying();
        fs::remove_file(&gone.file).unwrap();
        assert_eq!(gone.keep(failed()), failed());
        drop(lying());
        assert_eq!(folders(), 0);
        // No text, and too much of it.
        let large = vec![b'x'; usize::try_from(LONGEST).unwrap() + 1];
        for (at, bytes) in [b"caf\xe9".as_slice(), &large].into_iter().enumerate() {
            let lying = lying();
            let (file, held) = (lying.file.clone(), lying.folder.path().join(HELD));
            fs::write(&file, bytes).unwrap();
            assert!(held.exists());
            let problem = lying.read().unwrap_err();
            let hint = lying.keep(problem).hint.unwrap().to_string();
            assert!(hint.contains(&format!("what was written is in {}", file.display())), "{hint}");
            assert!(fs::read(&file).unwrap() == bytes && !held.exists());
            assert_eq!(folders(), at + 1);
        }
        // Not saved yet, and beside the file.
        let lying = lying();
        let folder = lying.folder.path().to_owned();
        fs::write(folder.join(".retag.txt.swp"), "unsaved").unwrap();
        assert!(lying.keep(failed()).hint.unwrap().to_string().ends_with(folder.to_str().unwrap()));
        assert!(folder.join(".retag.txt.swp").exists());
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
