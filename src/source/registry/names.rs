//! Reads `{"tags": ["a", "b", …]}` while it arrives: names come out as soon as they are whole, and nothing but the name in hand is kept.
//!
//! Strict where it matters: one object, the list once, sound JSON to the last byte. Lenient where registries differ: the list may be
//! `null`, and entries that are no texts are counted, not refused (Nexus puts `null` there).

/// Deepest nesting that is followed.
const DEEPEST: usize = 64;
/// Longest name that is kept, in bytes as written.
const LONGEST: usize = 4096;

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Name(String),
    /// No text, or one that is too long.
    Odd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Structure,
    /// A text; whether the last byte was a backslash.
    Text(bool),
    /// A number or a word.
    Scalar,
}

/// The push parser.
#[derive(Debug)]
pub(super) struct Names {
    key: &'static str,
    /// Open objects (`{`) and arrays (`[`).
    open: Vec<u8>,
    expect: Expect,
    inside: Inside,
    /// The text or scalar in hand, as written; a text without its quotes.
    held: Vec<u8>,
    long: bool,
    /// The last key of the outermost object is the list's.
    at_key: bool,
    in_list: bool,
    found: bool,
}

impl Names {
    /// For the list under `key`.
    pub(super) fn new(key: &'static str) -> Self {
        Self {
            key,
            open: Vec::new(),
            expect: Expect::Value,
            inside: Inside::Structure,
            held: Vec::new(),
            long: false,
            at_key: false,
            in_list: false,
            found: false,
        }
    }

    /// Reads the next bytes and hands over what they complete.
    ///
    /// # Errors
    /// Words for what is not as it should be.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<Entry>) -> Result<(), String> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.inside {
                Inside::Text(escaped) => rest = self.text(rest, escaped, out)?,
                Inside::Scalar => {
                    if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) {
                        self.hold(&[byte]);
                        rest = after;
                    } else {
                        self.scalar(out)?;
                    }
                }
                Inside::Structure => {
                    self.structure(byte)?;
                    rest = after;
                }
            }
        }
        Ok(())
    }

    /// Says that the body is at its end.
    ///
    /// # Errors
    /// A body that ends too early, or one without the list.
    pub(super) fn end(&mut self) -> Result<(), String> {
        if self.inside == Inside::Scalar {
            self.scalar(&mut Vec::new())?;
        }
        if self.expect != Expect::Nothing {
            return Err("the list ends in the middle".to_owned());
        }
        if self.found { Ok(()) } else { Err(format!("there is no list of {} in it", self.key)) }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len().saturating_add(bytes.len()) > LONGEST {
            self.long = true;
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Goes on within a text, and gives what follows.
    fn text<'a>(&mut self, bytes: &'a [u8], mut escaped: bool, out: &mut Vec<Entry>) -> Result<&'a [u8], String> {
        for (at, &byte) in bytes.iter().enumerate() {
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                let (part, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
                self.hold(part);
                self.text_ends(out)?;
                return Ok(rest.get(1..).unwrap_or_default());
            } else if byte < 0x20 {
                return Err("a control character stands in a text".to_owned());
            }
        }
        self.hold(bytes);
        self.inside = Inside::Text(escaped);
        Ok(&[])
    }

    fn text_ends(&mut self, out: &mut Vec<Entry>) -> Result<(), String> {
        let (held, long) = (std::mem::take(&mut self.held), std::mem::take(&mut self.long));
        self.inside = Inside::Structure;
        let is_key = matches!(self.expect, Expect::Key | Expect::KeyOrEnd);
        let wanted = (is_key && self.open.len() == 1) || (!is_key && self.in_list && self.open.len() == 2);
        let text = if wanted && !long { Some(unescaped(held)?) } else { None };
        if is_key {
            self.at_key = text.as_deref() == Some(self.key);
            if self.at_key && self.found {
                return Err(format!("the key {} is there twice", self.key));
            }
            self.expect = Expect::Colon;
            return Ok(());
        }
        self.not_here()?;
        if wanted {
            out.push(text.map_or(Entry::Odd, Entry::Name));
        }
        self.value_ends();
        Ok(())
    }

    fn scalar(&mut self, out: &mut Vec<Entry>) -> Result<(), String> {
        let held = std::mem::take(&mut self.held);
        self.inside = Inside::Structure;
        if std::mem::take(&mut self.long) || serde_json::from_slice::<serde_json::Value>(&held).is_err() {
            return Err("it is not sound JSON".to_owned());
        }
        if self.at_list_value() {
            if held != b"null" {
                return Err(format!("{} is not a list", self.key));
            }
            self.found = true;
        } else if self.open.is_empty() {
            return Err("it is not an object".to_owned());
        } else if self.in_list && self.open.len() == 2 {
            out.push(Entry::Odd);
        }
        self.value_ends();
        Ok(())
    }

    /// Whether the value that begins here is the one the list should be.
    fn at_list_value(&self) -> bool {
        self.open.len() == 1 && self.at_key
    }

    /// A text can't stand where the object or the list should.
    fn not_here(&self) -> Result<(), String> {
        if self.at_list_value() {
            return Err(format!("{} is not a list", self.key));
        }
        if self.open.is_empty() { Err("it is not an object".to_owned()) } else { Ok(()) }
    }

    fn value_ends(&mut self) {
        if self.open.len() == 1 {
            self.at_key = false;
        }
        self.expect = if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn structure(&mut self, byte: u8) -> Result<(), String> {
        use Expect::{Colon, CommaOrEnd, Key, KeyOrEnd, Nothing, Value, ValueOrEnd};
        match (byte, self.expect) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => {}
            (b'"', Value | ValueOrEnd | Key | KeyOrEnd) => self.inside = Inside::Text(false),
            (b'{' | b'[', Value | ValueOrEnd) => self.opens(byte)?,
            (b'}', KeyOrEnd | CommaOrEnd) | (b']', ValueOrEnd | CommaOrEnd) => self.closes(byte)?,
            (b':', Colon) => self.expect = Value,
            (b',', CommaOrEnd) => self.expect = if self.open.last() == Some(&b'{') { Key } else { Value },
            (b'-' | b'0'..=b'9' | b't' | b'f' | b'n', Value | ValueOrEnd) => {
                self.inside = Inside::Scalar;
                self.hold(&[byte]);
            }
            (_, Nothing) => return Err("something follows the list".to_owned()),
            _ => return Err("it is not sound JSON".to_owned()),
        }
        Ok(())
    }

    fn opens(&mut self, byte: u8) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err("it is nested too deep".to_owned());
        }
        match (byte, self.open.is_empty()) {
            (b'[', true) => return Err("it is not an object".to_owned()),
            (b'{', false) => self.not_here_as_object()?,
            (b'[', false) if self.at_list_value() => {
                self.found = true;
                self.in_list = true;
            }
            _ => {}
        }
        self.open.push(byte);
        self.expect = if byte == b'{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        Ok(())
    }

    fn not_here_as_object(&self) -> Result<(), String> {
        if self.at_list_value() { Err(format!("{} is not a list", self.key)) } else { Ok(()) }
    }

    fn closes(&mut self, byte: u8) -> Result<(), String> {
        let opened = if byte == b'}' { b'{' } else { b'[' };
        if self.open.pop() != Some(opened) {
            return Err("it is not sound JSON".to_owned());
        }
        if self.open.len() == 1 {
            self.in_list = false;
        }
        self.value_ends();
        Ok(())
    }

    /// Whether the value that just ended was nested in the list.
    #[cfg(test)]
    fn is_done(&self) -> bool {
        self.expect == Expect::Nothing
    }
}

/// A text as it is meant. Most have no escapes.
fn unescaped(held: Vec<u8>) -> Result<String, String> {
    if !held.contains(&b'\\') {
        return String::from_utf8(held).map_err(|_not_text| "a text is not UTF-8".to_owned());
    }
    let quoted = [b"\"", held.as_slice(), b"\""].concat();
    serde_json::from_slice(&quoted).map_err(|error| format!("it is not sound JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8], piece: usize) -> Result<Vec<Entry>, String> {
        let mut names = Names::new("tags");
        let mut out = Vec::new();
        for part in body.chunks(piece.max(1)) {
            names.feed(part, &mut out)?;
        }
        names.end()?;
        assert!(names.is_done());
        Ok(out)
    }

    fn name(text: &str) -> Entry {
        Entry::Name(text.to_owned())
    }

    #[test]
    fn the_list_is_read_in_any_pieces() {
        let body = r#" {"name":"a/\u0062", "x":{"tags":["no"],"y":[1,[2]]}, "tags" : ["v1", "a\"\\b", "\u00e9", null, 7, {"tags":["z"]}, ["q"], "é"], "z":-1.5e3 } "#;
        let whole = read(body.as_bytes(), body.len()).unwrap();
        let odd = || Entry::Odd;
        assert_eq!(
            whole.iter().filter(|entry| **entry != Entry::Odd).cloned().collect::<Vec<_>>(),
            [name("v1"), name("a\"\\b"), name("é"), name("é")]
        );
        assert_eq!(whole.iter().filter(|entry| **entry == odd()).count(), 2, "{whole:?}");
        for piece in 1..40 {
            assert_eq!(read(body.as_bytes(), piece).unwrap(), whole, "{piece}");
        }
    }

    #[test]
    fn an_empty_or_null_list_is_a_list() {
        for body in [r#"{"tags":null}"#, r#"{"name":"x","tags":[]}"#] {
            assert_eq!(read(body.as_bytes(), 3), Ok(vec![]));
        }
    }

    #[test]
    fn what_is_no_such_list_is_refused_with_words() {
        for (body, words) in [
            ("", "middle"),
            ("null", "not an object"),
            ("[]", "not an object"),
            ("\"tags\"", "not an object"),
            ("{}", "no list of tags"),
            (r#"{"name":"tags"}"#, "no list of tags"),
            (r#"{"tags":["a""#, "middle"),
            (r#"{"tags":["a"]"#, "middle"),
            (r#"{"tags":["a"]}}"#, "follows"),
            (r#"{"tags":["a"]} {"#, "follows"),
            (r#"{"tags":["a"],"tags":["b"]}"#, "twice"),
            (r#"{"tags":{"a":1}}"#, "not a list"),
            (r#"{"tags":"a"}"#, "not a list"),
            (r#"{"tags":true}"#, "not a list"),
            (r#"{"tags":["a" "b"]}"#, "sound"),
            (r#"{"tags":["a",]}"#, "sound"),
            (r#"{"tags":["a"}"#, "sound"),
            (r#"{"tags":[nul]}"#, "sound"),
            (r#"{"tags":["\q"]}"#, "sound"),
            ("{\"tags\":[\"a\nb\"]}", "control"),
            ("<html>", "sound"),
            ("\u{feff}{\"tags\":[]}", "sound"),
        ] {
            let error = read(body.as_bytes(), 2).unwrap_err();
            assert!(error.contains(words), "{body}: {error}");
        }
        assert!(read(b"{\"tags\":[\"\xff\"]}", 4).unwrap_err().contains("UTF-8"));
        assert!(read("{\"a\":".repeat(10_000).as_bytes(), 7).unwrap_err().contains("deep"));
    }

    #[test]
    fn a_long_name_is_counted_and_not_kept() {
        let body = format!("{{\"tags\":[\"{}\",\"b\"]}}", "a".repeat(1 << 20));
        assert_eq!(read(body.as_bytes(), 1000), Ok(vec![Entry::Odd, name("b")]));
    }

    proptest! {
        #[test]
        fn sound_lists_read_as_serde_reads_them(tags in proptest::collection::vec("\\PC{0,12}", 0..20), piece in 1_usize..50) {
            let body = serde_json::json!({"name": "x", "tags": tags}).to_string();
            let read: Vec<String> = read(body.as_bytes(), piece).unwrap().into_iter().map(|entry| match entry {
                Entry::Name(name) => name,
                Entry::Odd => panic!("odd"),
            }).collect();
            prop_assert_eq!(read, tags);
        }

        #[test]
        fn what_it_takes_serde_takes(text in "[{}\\[\\]\":,a0-9tags \\\\]{0,40}") {
            let mut names = Names::new("tags");
            if names.feed(text.as_bytes(), &mut Vec::new()).and_then(|()| names.end()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
