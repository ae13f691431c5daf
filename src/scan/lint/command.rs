//! One command of a script: what it is called, and what it is given.
//!
//! Pure. Facts: the manuals of sh, bash, env, sudo, su, timeout, nice and xargs.

use super::shell::INNER;

/// A word without its quotes; an [`INNER`] stands where a script was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub(super) text: String,
    /// For each script in it, the places of its commands.
    pub(super) inner: Vec<Vec<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// Variables that it sets, for itself or for what follows.
    pub(super) sets: Vec<(String, String)>,
    /// The place of the command whose output it reads.
    pub(super) piped: Option<usize>,
    /// The places of commands whose output it reads by a redirection.
    pub(super) stdin: Vec<usize>,
}

/// Longest text of a command, in bytes, about.
const LONGEST_SHOWN: usize = 4_000;

/// Words that a command may come after.
const KEYWORDS: [&str; 15] = ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "esac", "{", "}", "!", "time", "coproc"];

const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"];

/// Commands that run another one: their options that have a value, and how many words they take before it.
const WRAPPERS: [(&str, &[&str], usize); 19] = [
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-D", "-R", "--user", "--group"], 0),
    ("doas", &["-u", "-C"], 0),
    ("env", &["-u", "-C", "--unset", "--chdir"], 0),
    ("exec", &["-a"], 0),
    ("command", &[], 0),
    ("builtin", &[], 0),
    ("nohup", &[], 0),
    ("nice", &["-n"], 0),
    ("ionice", &["-c", "-n"], 0),
    ("stdbuf", &["-i", "-o", "-e"], 0),
    ("timeout", &["-s", "-k", "--signal", "--kill-after"], 1),
    ("gosu", &[], 1),
    ("su-exec", &[], 1),
    ("chroot", &[], 1),
    ("linux32", &[], 0),
    ("eatmydata", &[], 0),
    ("fakeroot", &[], 0),
    ("xargs", &["-I", "-n", "-P", "-L", "-d", "-a", "-s", "-E"], 0),
    ("busybox", &[], 0),
];

/// The name and value that a word sets.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.is_empty();
    (is_name && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, value))
}

fn base(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or_default()
}

impl Command {
    /// Takes keywords and variables from its front; says which word ended a `case`.
    pub(super) fn strip(&mut self) -> Option<&'static str> {
        let mut from = 0;
        let mut ended = None;
        for word in &self.words {
            if KEYWORDS.contains(&word.text.as_str()) {
                ended = ended.or((word.text == "esac").then_some("esac"));
            } else if let Some((name, value)) = assignment(&word.text) {
                self.sets.push((name.to_owned(), value.to_owned()));
            } else {
                break;
            }
            from += 1;
        }
        let kept = self.words.split_off(from);
        self.words = kept;
        if matches!(self.name(), "export" | "declare" | "local" | "readonly" | "typeset") {
            let sets = self.words.iter().skip(1).filter_map(|word| assignment(&word.text));
            self.sets.extend(sets.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        ended
    }

    /// The words of the command itself, without those that only say how to run it.
    pub(super) fn argv(&self) -> &[Word] {
        let mut argv = self.words.as_slice();
        for _ in 0..8 {
            let Some(first) = argv.first() else { break };
            let Some((_, valued, operands)) = WRAPPERS.iter().find(|(name, ..)| *name == base(&first.text)) else { break };
            let Some(inner) = argv.get(wrapped(argv, valued, *operands)..).filter(|inner| !inner.is_empty()) else { break };
            argv = inner;
        }
        argv
    }

    /// The program's name without its directory; empty where there is none.
    pub(super) fn name(&self) -> &str {
        self.argv().first().map_or("", |word| base(&word.text))
    }

    /// Whether it is one of those.
    pub(super) fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name())
    }

    /// What comes after its name.
    pub(super) fn args(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.argv().iter().skip(1).map(|word| word.text.as_str())
    }

    /// What comes after its name and is no option.
    pub(super) fn operands(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.args().filter(|arg| !arg.starts_with('-'))
    }

    pub(super) fn has(&self, options: &[&str]) -> bool {
        self.args().any(|arg| options.contains(&arg))
    }

    /// Whether it has a short option, alone or with others after one dash.
    pub(super) fn has_short(&self, letter: char) -> bool {
        self.args().any(|arg| short(arg).is_some_and(|letters| letters.contains(letter)))
    }

    /// Whether it runs that program at any of its words that run one.
    pub(super) fn goes_through(&self, name: &str) -> bool {
        let front = self.words.len() - self.argv().len();
        self.words.iter().take(front + 1).any(|word| base(&word.text) == name)
    }

    pub(super) fn is_shell(&self) -> bool {
        self.is(&SHELLS)
    }

    /// It as text, with what stands in it, out of those commands; not to be shown before it is masked.
    pub(super) fn shown(&self, all: &[Self]) -> String {
        let mut out = String::new();
        self.write(all, &mut out, 0);
        out
    }

    fn write(&self, all: &[Self], out: &mut String, depth: usize) {
        for word in &self.words {
            if out.len() > LONGEST_SHOWN {
                return;
            }
            if !out.is_empty() && !out.ends_with(['(', ' ']) {
                out.push(' ');
            }
            let mut inner = word.inner.iter();
            for c in word.text.chars().take(LONGEST_SHOWN) {
                if c != INNER {
                    out.push(c);
                    continue;
                }
                out.push('(');
                let commands = inner.next().into_iter().flatten().filter_map(|&at| all.get(at)).filter(|_| depth < 4);
                for (nth, command) in commands.enumerate() {
                    if nth > 0 {
                        out.push_str(if command.piped.is_some() { " | " } else { "; " });
                    }
                    command.write(all, out, depth + 1);
                }
                out.push(')');
            }
        }
    }

    /// The script that it is given as a word.
    pub(super) fn script(&self) -> Option<String> {
        let text = match self.name() {
            "eval" => self.args().collect::<Vec<_>>().join(" "),
            "su" | "runuser" => {
                let mut args = self.args().skip_while(|arg| !matches!(*arg, "-c" | "--command"));
                match args.next() {
                    Some(_) => args.next()?.to_owned(),
                    None => self.args().find_map(|arg| arg.strip_prefix("--command="))?.to_owned(),
                }
            }
            _ if self.is_shell() => self.script_word()?.text.clone(),
            _ => return None,
        };
        (!text.chars().all(|c| matches!(c, INNER | '$') || c.is_whitespace())).then_some(text)
    }

    /// The word after a shell's `-c`.
    pub(super) fn script_word(&self) -> Option<&Word> {
        let mut args = self.argv().iter().skip(1);
        let mut is_next = false;
        while let Some(word) = args.next() {
            match short(&word.text) {
                Some(letters) => {
                    is_next |= letters.contains('c');
                    if letters.ends_with(['o', 'O']) {
                        args.next();
                    }
                }
                None if word.text.starts_with("--") => {}
                None => return is_next.then_some(word),
            }
        }
        None
    }

    /// A shell that reads what to do from its input.
    pub(super) fn is_fed_shell(&self) -> bool {
        self.is_shell() && self.reads_program(&["c"])
    }

    /// Whether an interpreter reads its program from its input: no option gives it one, and no operand names one.
    pub(super) fn reads_program(&self, given: &[&str]) -> bool {
        let mut args = self.args();
        while let Some(arg) = args.next() {
            match short(arg) {
                Some(letters) if self.is_shell() && letters.contains('s') => return true,
                Some(letters) if given.iter().any(|letter| letters.contains(letter)) => return false,
                Some(letters) if self.is_shell() && letters.ends_with(['o', 'O']) => drop(args.next()),
                Some(_) => {}
                None if arg == "--" => return args.next().is_none_or(|next| next == "-"),
                None if arg.starts_with("--") => {}
                None => return matches!(arg, "-" | "/dev/stdin"),
            }
        }
        true
    }
}

/// The letters after one dash.
fn short(arg: &str) -> Option<&str> {
    arg.strip_prefix('-').filter(|letters| letters.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Where the command begins that a wrapper runs.
fn wrapped(argv: &[Word], valued: &[&str], mut operands: usize) -> usize {
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        let text = word.text.as_str();
        if valued.contains(&text) {
            at += 2;
        } else if text.starts_with('-') || assignment(text).is_some() {
            at += 1;
        } else if operands > 0 {
            operands -= 1;
            at += 1;
        } else {
            break;
        }
    }
    at
}
