//! The commands of a build step, as a shell would take its line apart: words, quotes and what stands between commands. No variables are filled in.
//!
//! Pure. Facts: POSIX, the shell command language.

/// Longest line that is taken apart, in bytes.
const LONGEST: usize = 128 << 10;
/// Commands of one line.
const MOST: usize = 2_000;
/// Lines within lines, as in `sh -c '…'`.
const DEEPEST: u8 = 3;

/// What joins a command to the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    Pipe,
    /// `&&`, `;`, the end of a line and whatever else.
    Other,
}

/// One command: the program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Without what is set for it, and without words of the shell before it.
    pub(super) words: Vec<String>,
    pub(super) joint: Joint,
    /// It is started by `sudo`.
    pub(super) is_sudo: bool,
}

impl Command {
    /// The program's name, without where it lies.
    pub(super) fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word))
    }

    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(1).map(String::as_str)
    }

    /// Whether it has that option: `-k` also among others, as in `-fsSLk`.
    pub(super) fn has(&self, option: &str) -> bool {
        let short = option.strip_prefix('-').filter(|letter| letter.len() == 1);
        self.arguments().any(|word| {
            let cluster =
                word.strip_prefix('-').filter(|rest| !rest.starts_with('-') && rest.bytes().all(|byte| byte.is_ascii_alphabetic()));
            word == option
                || word.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
                || short.zip(cluster).is_some_and(|(letter, rest)| rest.contains(letter))
        })
    }

    /// The first argument that is no option.
    pub(super) fn verb(&self) -> &str {
        self.arguments().find(|word| !word.starts_with('-')).unwrap_or_default()
    }
}

/// Takes a line apart, and the lines in it that it hands to another shell.
pub(super) fn commands(line: &str) -> Vec<Command> {
    let mut out = Vec::new();
    take(line, DEEPEST, &mut out);
    out
}

fn take(line: &str, deep: u8, out: &mut Vec<Command>) {
    if line.len() > LONGEST {
        return;
    }
    // A list of words as JSON is one command and no line.
    if let Ok(words) = serde_json::from_str::<Vec<String>>(line.trim()) {
        put(words, Joint::Other, deep, out);
        return;
    }
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            '\'' => word.get_or_insert_default().extend(chars.by_ref().take_while(|&next| next != '\'')),
            '"' => quoted(&mut chars, word.get_or_insert_default()),
            '$' | '<' | '>' if chars.peek() == Some(&'(') => {
                let word = word.get_or_insert_default();
                word.push(c);
                nested(&mut chars, word);
            }
            '#' if word.is_none() => while chars.next_if(|&next| next != '\n').is_some() {},
            ' ' | '\t' | '\r' => words.extend(word.take()),
            '|' | '&' | ';' | '\n' | '(' | ')' => {
                words.extend(word.take());
                // Two of them are no pipe.
                let twice = chars.next_if_eq(&c).is_some();
                let joint = if c == '|' && !twice { Joint::Pipe } else { Joint::Other };
                if joint == Joint::Pipe {
                    chars.next_if_eq(&'&');
                }
                put(std::mem::take(&mut words), joint, deep, out);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    put(words, Joint::Other, deep, out);
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
            },
            '$' if chars.peek() == Some(&'(') => {
                word.push(c);
                nested(chars, word);
            }
            c => word.push(c),
        }
    }
}

/// What stands in parentheses, as it is told.
fn nested(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) {
    let mut open = 0_u32;
    for c in chars.by_ref() {
        word.push(c);
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

/// Words of the shell before a command.
const BEFORE: [&str; 13] = ["if", "then", "else", "elif", "while", "until", "do", "!", "{", "}", "time", "exec", "command"];

fn put(words: Vec<String>, joint: Joint, deep: u8, out: &mut Vec<Command>) {
    if out.len() >= MOST {
        return;
    }
    let mut words = words.into_iter().peekable();
    let mut is_sudo = false;
    loop {
        let is_before = |word: &String| BEFORE.contains(&word.as_str()) || is_setting(word);
        if words.next_if(is_before).is_some() {
            continue;
        }
        if words.next_if(|word| word == "env" || word == "nice" || word == "nohup").is_some() {
            continue;
        }
        if words.next_if(|word| word == "sudo" || word.ends_with("/sudo")).is_some() {
            is_sudo = true;
            while words.next_if(|word| word.starts_with('-')).is_some() {}
            continue;
        }
        break;
    }
    let command = Command { words: words.collect(), joint, is_sudo };
    if command.words.is_empty() && !is_sudo {
        // What stood in parentheses goes on into the pipe.
        if joint == Joint::Pipe
            && let Some(last) = out.last_mut()
        {
            last.joint = joint;
        }
        return;
    }
    let inner = (deep > 0).then(|| line_of(&command)).flatten();
    out.push(command);
    if let Some(inner) = inner {
        take(&inner, deep - 1, out);
    }
}

/// `NAME=value` before a command.
fn is_setting(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// Shells, by the names of their programs.
pub(super) const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "zsh", "ksh"];

/// The line that a command hands to a shell.
fn line_of(command: &Command) -> Option<String> {
    match command.program() {
        "eval" => Some(command.arguments().collect::<Vec<_>>().join(" ")),
        program if SHELLS.contains(&program) => {
            let mut arguments =
                command.arguments().skip_while(|word| !(word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')));
            arguments.next()?;
            arguments.next().map(str::to_owned)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(line: &str) -> Vec<String> {
        let joint = |command: &Command| if command.joint == Joint::Pipe { " |" } else { "" };
        commands(line)
            .iter()
            .map(|command| format!("{}{}{}", if command.is_sudo { "# " } else { "" }, command.words.join(","), joint(command)))
            .collect()
    }

    #[test]
    fn a_line_is_taken_apart_as_a_shell_would() {
        for (line, wanted) in [
            ("apt-get update && apt-get  install -y curl", &["apt-get,update", "apt-get,install,-y,curl"][..]),
            ("set -eux; A=1 DEBIAN_FRONTEND=x make all || true", &["set,-eux", "make,all", "true"]),
            ("echo 'a && b; c' \"d | e\" f\\ g", &["echo,a && b; c,d | e,f g"]),
            ("curl -fsSL https://x.test/i.sh | sudo -E bash -", &["curl,-fsSL,https://x.test/i.sh |", "# bash,-"]),
            ("(curl x) | sh", &["curl,x |", "sh"]),
            ("a |& b 2>&1 & c", &["a |", "b,2>", "1", "c"]),
            ("if ! test -f a; then rm -rf b; fi # done; rm c", &["test,-f,a", "rm,-rf,b", "fi"]),
            ("sh -c 'apt-get update; sudo true'", &["sh,-c,apt-get update; sudo true", "apt-get,update", "# true"]),
            ("x=$(curl a | sh) echo", &["echo"]),
            ("bash -c \"$(curl -fsSL https://x.test)\"", &["bash,-c,$(curl -fsSL https://x.test)", "$(curl -fsSL https://x.test)"]),
            ("[\"apt-get\", \"install\", \"a && b\"]", &["apt-get,install,a && b"]),
            ("a \\\n  b\nc", &["a,b", "c"]),
            ("", &[]),
        ] {
            assert_eq!(told(line), wanted, "{line}");
        }
    }

    #[test]
    fn options_are_found_alone_and_among_others() {
        let command = &commands("curl -fsSLk --retry=3 https://x.test -o out")[0];
        assert!(command.has("-k") && command.has("--retry") && command.has("-o") && !command.has("-x") && !command.has("--ret"));
        assert_eq!((command.program(), command.verb()), ("curl", "https://x.test"));
        assert_eq!(commands("/usr/bin/apt-get -y update")[0].program(), "apt-get");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[a-z '\"\\\\$()|&;<>#\n=]{0,80}", any in ".{0,40}") {
            commands(&line);
            commands(&any);
        }
    }
}
