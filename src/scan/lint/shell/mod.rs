//! Takes a shell script apart into its commands, as far as a lint needs it: what is run, with which words, and what is piped into it.
//!
//! No shell: nothing is expanded. What stands in `$( )`, `<( )` and backquotes, what `sh -c` and `eval` are given and what a here-document feeds
//! to a shell are scripts of their own, of which the commands are in the same list. Every script is hostile: bounded in length, number and depth,
//! and read once from its beginning to its end. Pure. Facts: the Shell Command Language of POSIX, and what bash adds to it.

use super::command::{Command, Word};

/// Longest script that is looked at, in bytes.
pub(super) const LONGEST: usize = 1 << 20;
/// Commands of one script.
const MOST_COMMANDS: usize = 20_000;
/// Here-documents of one line.
const MOST_HERE: usize = 64;
/// Scripts in scripts.
const DEEPEST: usize = 8;

/// Stands in a word for a script in it.
pub(super) const INNER: char = '\u{1}';

/// The commands of a script, those of scripts in it among them; an inner one comes before the command that uses what it prints.
#[must_use]
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut parser = Parser::default();
    let end = (0..=LONGEST.min(script.len())).rev().find(|&at| script.is_char_boundary(at)).unwrap_or_default();
    parser.script(script.get(..end).unwrap_or_default(), 0);
    parser.commands
}

/// The one command that such words are.
#[must_use]
pub(super) fn exec(words: Vec<String>) -> Vec<Command> {
    let mut parser = Parser::default();
    let words = words.into_iter().take(MOST_COMMANDS).map(|text| Word { text: text.replace(INNER, ""), inner: Vec::new() }).collect();
    parser.push(Command { words, ..Command::default() }, 0);
    parser.commands
}

#[derive(Default)]
struct Parser {
    commands: Vec<Command>,
}

/// What is not read yet.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) {
        while self.eat(" ") || self.eat("\t") || self.eat("\r") || self.eat("\\\n") || self.eat("\\\r\n") {}
    }

    /// Up to the end of the line, without it.
    fn line(&mut self) -> &str {
        let (line, rest) = self.rest.split_at(self.rest.find('\n').unwrap_or(self.rest.len()));
        self.rest = rest;
        line
    }
}

/// What a closing parenthesis may end.
#[derive(PartialEq)]
enum Open {
    Group,
    /// A `case`, with where the commands begin that are only its pattern.
    Case(usize),
}

struct HereDocument {
    end: String,
    is_indented: bool,
    of: Option<usize>,
}

/// A list of commands as it is read.
#[derive(Default)]
struct List {
    now: Command,
    /// The command whose output the one that is read gets.
    piped: Option<usize>,
    last: Option<usize>,
    open: Vec<Open>,
    here: Vec<HereDocument>,
    all: Vec<usize>,
}

impl Parser {
    fn script(&mut self, text: &str, depth: usize) -> Vec<usize> {
        if depth > DEEPEST {
            return Vec::new();
        }
        self.list(&mut Reader { rest: text }, depth, false)
    }

    /// Reads commands up to the end, or to the parenthesis that closes the list.
    fn list(&mut self, from: &mut Reader<'_>, depth: usize, is_closed: bool) -> Vec<usize> {
        let mut list = List::default();
        loop {
            from.blanks();
            let Some(c) = from.peek() else { break };
            match c {
                '#' => {
                    let _ = from.line();
                }
                '\n' => {
                    from.take();
                    self.end(&mut list, depth);
                    self.here_documents(&mut list, from, depth);
                }
                ';' => {
                    from.take();
                    self.end(&mut list, depth);
                    if from.eat(";")
                        && let Some(Open::Case(pattern)) = list.open.last_mut()
                    {
                        *pattern = self.commands.len();
                    }
                }
                '&' if from.eat("&>") => self.target(&mut list, from, depth, false),
                '|' | '&' => self.operator(&mut list, from, depth, c),
                '(' => {
                    from.take();
                    self.open(&mut list, from, depth);
                }
                ')' => {
                    from.take();
                    if self.close(&mut list, depth) && is_closed {
                        return list.all;
                    }
                }
                '<' | '>' if !from.rest.starts_with("<(") && !from.rest.starts_with(">(") => self.redirection(&mut list, from, depth),
                _ => {
                    if let Some(word) = self.word(from, depth) {
                        list.now.words.push(word);
                    }
                }
            }
        }
        self.end(&mut list, depth);
        list.all
    }

    fn operator(&mut self, list: &mut List, from: &mut Reader<'_>, depth: usize, first: char) {
        from.take();
        let is_double = from.eat(if first == '|' { "|" } else { "&" });
        self.end(list, depth);
        if first == '|' && !is_double {
            from.eat("&");
            list.piped = list.last;
        }
    }

    fn open(&mut self, list: &mut List, from: &mut Reader<'_>, depth: usize) {
        // A list as a value: x=(a b).
        if list.now.words.last().is_some_and(|word| word.text.ends_with('=')) {
            while let Some(c) = from.peek() {
                if from.eat(")") {
                    break;
                }
                if c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | '<' | '>') || self.word(from, depth).is_none() {
                    from.take();
                }
            }
            return;
        }
        from.blanks();
        if !list.now.words.is_empty() && from.eat(")") {
            // The name of a function that is defined.
            list.now = Command::default();
            return;
        }
        let piped = list.piped;
        self.end(list, depth);
        list.piped = piped;
        list.open.push(Open::Group);
    }

    /// Whether what closes was opened outside of the list.
    fn close(&mut self, list: &mut List, depth: usize) -> bool {
        self.end(list, depth);
        match list.open.last_mut() {
            Some(Open::Group) => {
                list.open.pop();
                false
            }
            Some(Open::Case(pattern)) => {
                for command in self.commands.iter_mut().skip(*pattern) {
                    command.words.clear();
                    command.piped = None;
                }
                *pattern = self.commands.len();
                list.piped = None;
                false
            }
            None => true,
        }
    }

    /// Ends the command that is read.
    fn end(&mut self, list: &mut List, depth: usize) {
        let mut command = std::mem::take(&mut list.now);
        let head = command.strip();
        if head == Some("esac") {
            while let Some(open) = list.open.pop() {
                if open != Open::Group {
                    break;
                }
            }
        }
        let is_case = command.words.first().is_some_and(|word| word.text == "case");
        command.piped = list.piped;
        if command.words.is_empty() && command.sets.is_empty() && command.stdin.is_empty() {
            return;
        }
        list.piped = None;
        let Some(at) = self.push(command, depth) else { return };
        list.last = Some(at);
        list.all.push(at);
        for here in list.here.iter_mut().filter(|here| here.of.is_none()) {
            here.of = Some(at);
        }
        if is_case {
            list.open.push(Open::Case(self.commands.len()));
        }
    }

    /// Takes in a command, and what is a script among its words.
    fn push(&mut self, command: Command, depth: usize) -> Option<usize> {
        if self.commands.len() >= MOST_COMMANDS {
            return None;
        }
        let script = command.script();
        let at = self.commands.len();
        self.commands.push(command);
        if let Some(script) = script {
            self.script(&script, depth + 1);
        }
        Some(at)
    }

    fn redirection(&mut self, list: &mut List, from: &mut Reader<'_>, depth: usize) {
        if from.eat("<<<") {
            self.target(list, from, depth, true);
        } else if from.eat("<<") {
            let is_indented = from.eat("-");
            from.blanks();
            if let Some(word) = self.word(from, depth).filter(|_| list.here.len() < MOST_HERE) {
                list.here.push(HereDocument { end: word.text, is_indented, of: None });
            }
        } else {
            let is_input = from.peek() == Some('<');
            from.take();
            let _ = from.eat(">") || from.eat("&") || from.eat("|");
            self.target(list, from, depth, is_input);
        }
    }

    /// Reads what a redirection leads to or from.
    fn target(&mut self, list: &mut List, from: &mut Reader<'_>, depth: usize, is_input: bool) {
        // The number of what is redirected was read as a word.
        from.blanks();
        let Some(word) = self.word(from, depth) else { return };
        if is_input {
            list.now.stdin.extend(word.inner.into_iter().flatten());
        }
    }

    fn here_documents(&mut self, list: &mut List, from: &mut Reader<'_>, depth: usize) {
        for here in std::mem::take(&mut list.here) {
            let mut text = String::new();
            while !from.rest.is_empty() {
                let line = from.line();
                let bare = if here.is_indented { line.trim_start_matches('\t') } else { line };
                let is_end = bare.trim_end_matches('\r') == here.end;
                if !is_end {
                    text.push_str(bare);
                    text.push('\n');
                }
                from.eat("\n");
                if is_end {
                    break;
                }
            }
            let of = here.of.and_then(|at| self.commands.get(at));
            if of.is_some_and(Command::is_fed_shell) {
                self.script(&text, depth + 1);
            }
        }
    }

    /// Reads a word; `None` where there is none, or it only numbers a redirection.
    fn word(&mut self, from: &mut Reader<'_>, depth: usize) -> Option<Word> {
        let mut word = Word::default();
        let mut is_quoted = false;
        let before = from.rest.len();
        while let Some(c) = from.peek() {
            match c {
                '<' | '>' if word.text.is_empty() && !is_quoted && (from.eat("<(") || from.eat(">(")) => {
                    word.text.push(c);
                    self.inner(&mut word, from, depth);
                }
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    from.take();
                    is_quoted = true;
                    let (text, rest) = from.rest.split_once('\'').unwrap_or((from.rest, ""));
                    word.text.extend(text.chars().filter(|&c| c != INNER));
                    from.rest = rest;
                }
                '"' => {
                    from.take();
                    is_quoted = true;
                    self.quoted(&mut word, from, depth);
                }
                '\\' => {
                    from.take();
                    if !from.eat("\n") && !from.eat("\r\n") {
                        word.text.extend(from.take().filter(|&c| c != INNER));
                    }
                    is_quoted = true;
                }
                _ => self.piece(&mut word, from, depth),
            }
        }
        let is_number = !is_quoted && !word.text.is_empty() && word.text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && matches!(from.peek(), Some('<' | '>')) {
            return None;
        }
        (from.rest.len() < before && (is_quoted || !word.text.is_empty())).then_some(word)
    }

    /// What stands between double quotes, up to the closing one.
    fn quoted(&mut self, word: &mut Word, from: &mut Reader<'_>, depth: usize) {
        while let Some(c) = from.peek() {
            match c {
                '"' => {
                    from.take();
                    return;
                }
                '\\' => {
                    from.take();
                    match from.take() {
                        Some('\n') | None => {}
                        Some(next @ ('"' | '\\' | '$' | '`')) => word.text.push(next),
                        Some(next) => word.text.extend(['\\', next].into_iter().filter(|&c| c != INNER)),
                    }
                }
                _ => self.piece(word, from, depth),
            }
        }
    }

    /// One character, or what a dollar or backquote begins.
    fn piece(&mut self, word: &mut Word, from: &mut Reader<'_>, depth: usize) {
        if from.eat("$((") {
            let mut open = 2_usize;
            while let Some(c) = from.take() {
                match c {
                    '(' => open += 1,
                    ')' => open -= 1,
                    _ => {}
                }
                if open == 0 {
                    break;
                }
            }
            word.text.push_str("$(())");
        } else if from.eat("$(") {
            word.text.push('$');
            self.inner(word, from, depth);
        } else if from.eat("${") {
            word.text.push_str("${");
            let mut open = 1_usize;
            while let Some(c) = from.take() {
                match c {
                    '{' => open += 1,
                    '}' => open -= 1,
                    _ => {}
                }
                if c != INNER {
                    word.text.push(c);
                }
                if open == 0 {
                    break;
                }
            }
        } else if from.eat("`") {
            let (text, rest) = from.rest.split_once('`').unwrap_or((from.rest, ""));
            from.rest = rest;
            word.inner.push(self.script(text, depth + 1));
            word.text.extend(['$', INNER]);
        } else {
            word.text.extend(from.take().filter(|&c| c != INNER));
        }
    }

    /// A script in a word, up to the parenthesis that closes it.
    fn inner(&mut self, word: &mut Word, from: &mut Reader<'_>, depth: usize) {
        if depth < DEEPEST {
            word.inner.push(self.list(from, depth + 1, true));
            word.text.push(INNER);
        } else {
            word.text.push('(');
        }
    }
}

#[cfg(test)]
mod tests;
