//! The steps of a build as an image's history tells them: the instruction, what a `RUN` ran command by command, the build arguments that it was
//! given, and the layer that it made.
//!
//! Both builders' spellings are read, and those of other tools as far as they follow. Pure. Facts: the OCI image specification's history, and what
//! the classic builder, BuildKit, Buildah and Kaniko write into it.

use super::command::{Command, assignment};
use super::shell;
use crate::model::dockerfile::instruction;
use crate::model::{HistoryEntry, Image};

/// Steps that are looked at.
const MOST_STEPS: usize = 4_000;
/// Bytes of all of them together.
const MOST_BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Step {
    /// As in a Dockerfile; `RUN` also for what has no keyword and made a layer.
    pub(super) keyword: &'static str,
    /// What stands after the keyword; of a `RUN` the script.
    pub(super) text: String,
    /// Of a `RUN`.
    pub(super) commands: Vec<Command>,
    /// Build arguments with their values.
    pub(super) given: Vec<(String, String)>,
    /// Options of the instruction, such as `--mount=type=cache,…`.
    pub(super) flags: Vec<String>,
    /// The layer that it made, or the last one before; from the bottom.
    pub(super) layer: Option<usize>,
    pub(super) makes_layer: bool,
}

/// The steps of an image, oldest first.
pub(super) fn steps(image: &Image) -> Vec<Step> {
    let history = image.history.as_deref().unwrap_or_default();
    let mut made = 0_usize;
    let mut bytes = 0_usize;
    let mut steps = Vec::new();
    for entry in history.iter().take(MOST_STEPS) {
        made += usize::from(!entry.empty_layer);
        let by = entry.created_by.as_ref().map_or("", |by| by.raw());
        bytes = bytes.saturating_add(by.len());
        if bytes > MOST_BYTES {
            break;
        }
        let layer = told(image, entry).or_else(|| made.checked_sub(1));
        steps.push(Step { layer, makes_layer: !entry.empty_layer, ..step(by, entry.empty_layer) });
    }
    steps
}

/// The layer that the history itself names.
fn told(image: &Image, entry: &HistoryEntry) -> Option<usize> {
    let diff_id = entry.diff_id.as_ref().filter(|_| !entry.empty_layer)?;
    let layers = image.layers.as_deref()?;
    let mut same = layers.iter().filter(|layer| layer.diff_id.as_ref() == Some(diff_id));
    // Equal layers are told apart by counting.
    same.next().filter(|_| same.next().is_none()).map(|layer| layer.index)
}

fn step(by: &str, is_empty: bool) -> Step {
    let text = by.trim();
    let text = text.strip_suffix("# buildkit").map_or(text, str::trim_end);
    let (keyword, rest) = instruction(text);
    match keyword {
        "RUN" => run(text.strip_prefix("RUN ").unwrap_or(text)),
        "" if !is_empty && !text.starts_with("/bin/sh -c #(nop)") => run(text),
        "ADD" | "COPY" => {
            let mut rest = rest;
            let flags = flags(&mut rest);
            Step { keyword, text: rest.to_owned(), flags, ..Step::default() }
        }
        _ => Step { keyword, text: rest.to_owned(), ..Step::default() },
    }
}

/// Takes the options from the front of an instruction.
fn flags(text: &mut &str) -> Vec<String> {
    let mut flags = Vec::new();
    while text.starts_with("--") {
        let (flag, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        flags.push(flag.to_owned());
        *text = rest.trim_start();
    }
    flags
}

fn run(text: &str) -> Step {
    let mut text = text.trim();
    let flags = flags(&mut text);
    let (given, text) = given(text);
    let (commands, text) = if let Some(words) = json(text) {
        (shell::exec(words.clone()), words.join(" "))
    } else if is_windows(text) {
        (Vec::new(), text.to_owned())
    } else {
        let script = script(text).unwrap_or(text);
        (shell::commands(script), script.to_owned())
    };
    Step { keyword: "RUN", text, commands, given, flags, ..Step::default() }
}

/// The words of an instruction's exec form.
pub(super) fn json(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn is_windows(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    ["cmd", "cmd.exe", "powershell", "powershell.exe", "pwsh"].iter().any(|shell| first == *shell || first.ends_with(&format!("\\{shell}")))
}

/// What a shell before it runs: the rest after its `-c`, as it is.
fn script(text: &str) -> Option<&str> {
    let mut rest = text;
    let (shell, after) = word(&mut rest)?;
    if !matches!(shell.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash" | "zsh" | "ksh")) {
        return None;
    }
    rest = after;
    // A shell, its options, and their values: /bin/bash -o pipefail -c …
    for _ in 0..8 {
        let (option, after) = word(&mut rest)?;
        rest = after;
        let letters = option.strip_prefix('-')?;
        if letters.ends_with('c') && !letters.starts_with('-') {
            return Some(rest.trim_start());
        }
        if letters.ends_with('o') {
            (_, rest) = word(&mut rest)?;
        }
    }
    None
}

/// The first word, and what comes after it.
fn word<'a>(text: &mut &'a str) -> Option<(&'a str, &'a str)> {
    let start = text.trim_start();
    let (word, rest) = start.split_once(char::is_whitespace).unwrap_or((start, ""));
    (!word.is_empty()).then_some((word, rest))
}

/// Build arguments before a command: `|2 A=1 B=2 /bin/sh -c make`. Their values stand there without quotes.
fn given(text: &str) -> (Vec<(String, String)>, &str) {
    let Some((count, arguments)) = text.strip_prefix('|').and_then(|text| text.split_once(char::is_whitespace)) else {
        return (Vec::new(), text);
    };
    let Ok(count) = count.parse::<usize>() else { return (Vec::new(), text) };
    // Where the command begins: at a shell that is told a script, else after so many values.
    let mut starts = arguments
        .match_indices('/')
        .map(|(at, _)| at)
        .filter(|&at| at == 0 || arguments.get(..at).is_some_and(|b| b.ends_with([' ', '\t'])));
    let shell = starts.by_ref().take(1_000).find(|&at| arguments.get(at..).is_some_and(|rest| script(rest).is_some()));
    let at = shell.unwrap_or_else(|| after_words(arguments, count));
    let (arguments, command) = arguments.split_at_checked(at).unwrap_or((arguments, ""));
    (pairs(arguments), command)
}

fn after_words(text: &str, count: usize) -> usize {
    let mut rest = text;
    for _ in 0..count {
        match word(&mut rest) {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    text.len() - rest.len()
}

/// Names and values, where values may have blanks: a value ends where the next name begins.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in text.split_whitespace() {
        match (assignment(word), pairs.last_mut()) {
            (Some((name, value)), _) => pairs.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(word);
            }
            (None, None) => {}
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(by: &str) -> String {
        let step = step(by, false);
        let commands: Vec<String> =
            step.commands.iter().map(|command| command.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")).collect();
        let given: Vec<String> = step.given.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} [{}] {}", step.keyword, given.join(","), if commands.is_empty() { step.text } else { commands.join("; ") })
    }

    #[test]
    fn every_builder_is_understood() {
        for (by, step) in [
            ("/bin/sh -c apt-get update && make", "RUN [] apt-get update; make"),
            ("RUN /bin/sh -c make -j2 # buildkit", "RUN [] make -j2"),
            ("RUN /bin/bash -o pipefail -c make | tee log # buildkit", "RUN [] make; tee log"),
            ("/bin/bash -eo pipefail -c make", "RUN [] make"),
            ("RUN |2 A=1 B=two words /bin/sh -c make # buildkit", "RUN [A=1,B=two words] make"),
            ("|1 DIR=/bin/sh /bin/sh -c make", "RUN [DIR=/bin/sh] make"),
            ("RUN |1 A=1 make all", "RUN [A=1] make all"),
            ("RUN [\"apt-get\", \"install\", \"a b\"]", "RUN [] apt-get install a b"),
            ("RUN [\"sh\", \"-c\", \"make; echo\"]", "RUN [] sh -c make; echo; make; echo"),
            ("RUN --mount=type=cache,target=/var/cache/apt apt-get update", "RUN [] apt-get update"),
            ("RUN # debian.sh --arch 'amd64' out/ 'trixie' '@1'", "RUN []  # debian.sh --arch 'amd64' out/ 'trixie' '@1'"),
            ("/bin/sh -c #(nop) ADD file:0a1b in / ", "ADD [] file:0a1b in /"),
            ("ADD --checksum=sha256:ab https://h.example/f /f # buildkit", "ADD [] https://h.example/f /f"),
            ("cmd /S /C apt-get update", "RUN [] cmd /S /C apt-get update"),
            ("", "RUN [] "),
        ] {
            assert_eq!(told(by).replace("[] #", "[]  #"), step, "{by}");
        }
    }

    proptest! {
        #[test]
        fn any_history_is_read(by in r#"(RUN |/bin/sh -c |\|[0-9]|ADD |\[|"|'|\$\(|\)|`|<<E|\n|;|&&| |--|-c|=|é|[a-z]){0,60}"#, other in ".{0,200}") {
            let _ = (told(&by), told(&other));
        }
    }
}
