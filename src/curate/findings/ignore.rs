//! Files that say which findings don't count: in the shape of Trivy's `.trivyignore.yaml`, and its older form, a list of ids.
//!
//! Pure: texts in and out. An entry is added to a file without touching a character of what stands there: comments and order stay as they were.

use std::collections::HashMap;

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;
use serde::Deserialize;

use crate::model::Foreign;
use crate::model::finding::{Finding, FindingKind, Suppression};

/// Largest file that is read, in bytes.
pub const LARGEST: usize = 4 << 20;
/// Most entries of one file.
const MOST: usize = 100_000;

/// One thing that doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    pub id: String,
    /// Only in files of these globs; in any, where there is none.
    pub paths: Vec<String>,
    /// Only in these packages, of whatever version where a purl has none.
    pub purls: Vec<String>,
    /// Only the finding of that key; any, where it is empty. Other programs pass over it.
    pub finding: String,
    /// The last day on which it holds is the one before.
    pub expired_at: Option<Date>,
    /// Why.
    pub statement: String,
}

/// The lists of a file; one may be named and have nothing in it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    vulnerabilities: Option<Vec<Entry>>,
    misconfigurations: Option<Vec<Entry>>,
    secrets: Option<Vec<Entry>>,
    licenses: Option<Vec<Entry>>,
}

/// What a file says.
#[derive(Debug, Clone, Default)]
pub struct Ignores {
    name: Foreign,
    rules: Vec<Rule>,
    /// Where the rules of an id are, from the first.
    by_id: HashMap<String, Vec<usize>>,
}

/// An entry, ready to be held against findings.
#[derive(Debug, Clone)]
struct Rule {
    /// The list that it is in: `None` for any.
    list: Option<&'static str>,
    entry: Entry,
    globs: Vec<GlobMatcher>,
    /// Without qualifiers.
    purls: Vec<String>,
}

impl PartialEq for Ignores {
    fn eq(&self, other: &Self) -> bool {
        let told = |of: &Rule, other: &Rule| of.list == other.list && of.entry == other.entry;
        let same = self.rules.len() == other.rules.len() && self.rules.iter().zip(&other.rules).all(|(one, other)| told(one, other));
        self.name == other.name && same
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lists of entries.
    Yaml,
    /// The older one: an id a line.
    Lines,
}

impl Form {
    /// The form of a file of that name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let ending = std::path::Path::new(name).extension();
        let is_yaml = ending.is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"));
        if is_yaml { Self::Yaml } else { Self::Lines }
    }

    fn read(self, text: &str) -> Result<Listed, String> {
        match self {
            Self::Yaml => lists(text),
            Self::Lines => lines(text),
        }
    }
}

impl Ignores {
    /// Reads a file of that name.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    pub fn parse(text: &str, name: &str) -> Result<Self, String> {
        if text.len() > LARGEST {
            return Err(format!("it is larger than {} MiB", LARGEST >> 20));
        }
        let entries = Form::of(name).read(text)?;
        if entries.len() > MOST {
            return Err(format!("it has more than {MOST} entries"));
        }
        let rules = entries.into_iter().map(|(list, entry)| {
            if entry.id.is_empty() {
                return Err("an entry has no id".to_owned());
            }
            let glob = |path: &String| Glob::new(path.trim_start_matches('/')).map(|glob| glob.compile_matcher());
            let globs = entry.paths.iter().map(glob).collect::<Result<Vec<_>, _>>().map_err(|error| format!("{}: {error}", entry.id))?;
            let purls = entry.purls.iter().map(|purl| bare(purl).to_owned()).collect();
            Ok(Rule { list, entry, globs, purls })
        });
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
        let mut by_id: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            by_id.entry(rule.entry.id.clone()).or_default().push(at);
        }
        Ok(Self { name: name.into(), rules, by_id })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Ids of entries that don't hold any more on that day.
    pub fn expired(&self, today: Date) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &rule.entry).filter(move |entry| is_over(entry, today)).map(|entry| entry.id.as_str())
    }

    /// Suppresses what the file says doesn't count on that day. What is suppressed already stays so, by whom it was.
    pub fn apply(&self, findings: &mut [Finding], today: Date) {
        for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none()) {
            if let Some(entry) = self.first(finding, today) {
                finding.suppressed = Some(Suppression {
                    by: self.name.clone(),
                    status: "ignored".into(),
                    reason: entry.statement.as_str().into(),
                    until: entry.expired_at.and_then(|day| day.yesterday().ok()),
                });
            }
        }
    }

    /// The first entry that holds for it on that day.
    fn first(&self, finding: &Finding, today: Date) -> Option<&Entry> {
        let ids = std::iter::once(&finding.id).chain(&finding.aliases);
        let mut named = ids.filter_map(|id| self.by_id.get(id.raw())).peekable();
        named.peek()?;
        let about = About {
            list: list_of(finding.kind),
            key: finding.key.to_string(),
            path: finding.path.as_ref().map(Foreign::raw),
            purl: finding.package.as_ref().and_then(|package| package.purl.as_ref()).map(|purl| bare(purl.raw())),
        };
        let holds = |at: &usize| self.rules.get(*at).is_some_and(|rule| !is_over(&rule.entry, today) && rule.covers(&about));
        let first = named.filter_map(|rules| rules.iter().copied().find(holds)).min()?;
        self.rules.get(first).map(|rule| &rule.entry)
    }
}

/// What a finding is held against rules by, beside its id.
struct About<'a> {
    list: &'static str,
    key: String,
    path: Option<&'a str>,
    /// Without qualifiers.
    purl: Option<&'a str>,
}

impl Rule {
    fn covers(&self, about: &About<'_>) -> bool {
        self.list.is_none_or(|list| list == about.list)
            && (self.entry.finding.is_empty() || self.entry.finding.eq_ignore_ascii_case(&about.key))
            && (self.globs.is_empty() || about.path.is_some_and(|path| self.globs.iter().any(|glob| glob.is_match(path))))
            && (self.purls.is_empty() || about.purl.is_some_and(|purl| self.purls.iter().any(|other| is_same_package(other, purl))))
    }
}

fn is_over(entry: &Entry, today: Date) -> bool {
    entry.expired_at.is_some_and(|day| today >= day)
}

/// A purl without its qualifiers, which say where it was built for, not what it is.
fn bare(purl: &str) -> &str {
    purl.split(['?', '#']).next().unwrap_or_default()
}

/// Whether a bare purl is of the package that another says, in any version where that says none.
fn is_same_package(said: &str, found: &str) -> bool {
    // A scope's @ is written %40 in a purl: the last one begins a version.
    said == found || !said.contains('@') && found.rsplit_once('@').is_some_and(|(package, _)| package == said)
}

/// The lists of a file, in the order in which they are read.
const LISTS: [&str; 4] = ["vulnerabilities", "misconfigurations", "secrets", "licenses"];

/// The list of a file that is about findings of a kind.
const fn list_of(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Vulnerability => "vulnerabilities",
        FindingKind::Misconfiguration | FindingKind::Lint | FindingKind::Signature => "misconfigurations",
        FindingKind::Secret | FindingKind::SensitiveFile => "secrets",
        FindingKind::Licence => "licenses",
    }
}

type Listed = Vec<(Option<&'static str>, Entry)>;

fn lists(text: &str) -> Result<Listed, String> {
    if text.trim().is_empty() {
        return Ok(Listed::new());
    }
    let file: Option<File> = serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))?;
    let File { vulnerabilities, misconfigurations, secrets, licenses } = file.unwrap_or_default();
    let all = [vulnerabilities, misconfigurations, secrets, licenses];
    Ok(LISTS
        .into_iter()
        .zip(all)
        .flat_map(|(list, entries)| entries.unwrap_or_default().into_iter().map(move |entry| (Some(list), entry)))
        .collect())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("it is not YAML").to_owned()
}

/// The older form: an id a line, then words such as `exp:2030-01-31` and our own `finding:`; `#` begins a comment.
fn lines(text: &str) -> Result<Listed, String> {
    let mut entries = Listed::new();
    for line in text.lines() {
        let (words, comment) = line.split_once('#').unwrap_or((line, ""));
        let mut words = words.split_whitespace();
        let Some(id) = words.next() else { continue };
        let mut entry = Entry { id: id.to_owned(), statement: comment.trim().to_owned(), ..Entry::default() };
        for word in words {
            if let Some(day) = word.strip_prefix("exp:") {
                entry.expired_at = Some(day.parse().map_err(|_not_a_day| format!("{id}: {day} is not a day such as 2030-01-31"))?);
            } else if let Some(key) = word.strip_prefix("finding:") {
                key.clone_into(&mut entry.finding);
            }
        }
        entries.push((None, entry));
    }
    Ok(entries)
}

/// The entry that suppresses one finding and no other thing, in a file of that form. In YAML it names the package in whatever version, where it is
/// known by a package URL; else it names the finding itself.
#[must_use]
pub fn entry(form: Form, finding: &Finding, statement: &str, expired_at: Option<Date>) -> Entry {
    let id = finding.id.raw().to_owned();
    let key = finding.key.to_string();
    if form == Form::Lines {
        // All in one line.
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        return Entry { id, finding: key, expired_at, statement, ..Entry::default() };
    }
    // Without its version: an update that mends nothing would bring it back.
    let purl = finding.package.as_ref().and_then(|package| package.purl.as_ref()).map(|purl| {
        let bare = bare(purl.raw());
        bare.rsplit_once('@').map_or(bare, |(package, _)| package).to_owned()
    });
    let path = finding.path.as_ref().filter(|_| finding.package.is_none()).map(|path| globset::escape(path.raw()));
    let finding = if purl.is_none() { key } else { String::new() };
    Entry { id, paths: path.into_iter().collect(), purls: purl.into_iter().collect(), finding, expired_at, statement: statement.to_owned() }
}

/// The text of a file with an entry of [`entry`] more, for findings of that kind.
///
/// # Errors
/// A sentence on why nothing can be added to it: it can't be read, or is laid out in a way that an entry can't be put into by lines.
pub fn added(form: Form, text: &str, kind: FindingKind, entry: &Entry) -> Result<String, String> {
    match form {
        Form::Yaml => added_to_lists(text, kind, entry),
        Form::Lines => added_to_lines(text, entry),
    }
}

fn added_to_lines(text: &str, entry: &Entry) -> Result<String, String> {
    let mut expected = lines(text)?;
    let mut out = text.to_owned();
    end_line(&mut out);
    out.push_str(&entry.id);
    let day = entry.expired_at.map(|day| format!("exp:{day}"));
    let key = Some(&entry.finding).filter(|key| !key.is_empty()).map(|key| format!("finding:{key}"));
    let statement = Some(&entry.statement).filter(|why| !why.is_empty()).map(|why| format!("# {why}"));
    for word in [day, key, statement].into_iter().flatten() {
        out.push(' ');
        out.push_str(&word);
    }
    out.push('\n');
    expected.push((None, entry.clone()));
    if lines(&out).is_ok_and(|after| after == expected) {
        Ok(out)
    } else {
        Err(format!("{} can't be written as a line of it: use a file whose name ends in .yaml", entry.id))
    }
}

fn added_to_lists(text: &str, kind: FindingKind, entry: &Entry) -> Result<String, String> {
    let before = lists(text)?;
    let list = list_of(kind);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let head = lines.iter().position(|line| line.strip_prefix(list).is_some_and(is_bare_head));
    let mut out = String::with_capacity(text.len() + 256);
    if let Some(head) = head {
        let next = lines.iter().skip(head + 1).find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let indent = next.filter(|line| line.trim_start().starts_with("- ")).map_or(2, |line| line.len() - line.trim_start().len());
        for (at, line) in lines.iter().enumerate() {
            out.push_str(line);
            if at == head {
                end_line(&mut out);
                out.push_str(&yaml(entry, indent));
            }
        }
    } else {
        out.push_str(text);
        end_line(&mut out);
        out.push_str(list);
        out.push_str(":\n");
        out.push_str(&yaml(entry, 2));
    }
    // What the file says then is what it said, and this at the head of its list.
    let rank = |list: &str| LISTS.iter().position(|other| *other == list);
    let place = before.iter().take_while(|(other, _)| other.and_then(rank) < rank(list)).count();
    let mut expected = before;
    expected.insert(place, (Some(list), entry.clone()));
    if lists(&out).is_ok_and(|after| after == expected) {
        Ok(out)
    } else {
        Err(format!("it is laid out in a way that nothing can be added to: add {} by hand", entry.id))
    }
}

/// Whether nothing but a comment stands after the name of a list.
fn is_bare_head(rest: &str) -> bool {
    rest.strip_prefix(':').is_some_and(|rest| rest.trim().is_empty() || rest.trim_start().starts_with('#') && rest.starts_with([' ', '\t']))
}

fn end_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn yaml(entry: &Entry, indent: usize) -> String {
    // A JSON string is one of YAML too.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec![format!("- id: {}", quoted(&entry.id))];
    for (name, all) in [("paths", &entry.paths), ("purls", &entry.purls)] {
        if !all.is_empty() {
            let all: Vec<String> = all.iter().map(|one| quoted(one)).collect();
            lines.push(format!("  {name}: [{}]", all.join(", ")));
        }
    }
    if !entry.finding.is_empty() {
        lines.push(format!("  finding: {}", quoted(&entry.finding)));
    }
    lines.extend(entry.expired_at.map(|day| format!("  expired_at: {day}")));
    if !entry.statement.is_empty() {
        lines.push(format!("  statement: {}", quoted(&entry.statement)));
    }
    let pad = " ".repeat(indent);
    lines.iter().flat_map(|line| [pad.as_str(), line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::curate::findings::tests::vulnerability;
    use crate::model::Severity;

    const FILE: &str = "\
# ours
vulnerabilities:
  # not reachable
  - id: CVE-2022-0001
    purls: [\"pkg:deb/debian/zlib1g\"]
    expired_at: 2026-06-01
    statement: \"nobody calls it\"
  - id: CVE-2022-0002
secrets:
  - id: private-key
    paths:
      - \"usr/share/**\"
";

    fn found() -> Vec<Finding> {
        let mut zlib = vulnerability("CVE-2022-0001", "zlib1g", "1:1.2", Severity::High);
        zlib.package.as_mut().unwrap().purl = Some("pkg:deb/debian/zlib1g@1:1.2?arch=amd64".into());
        let mut other = vulnerability("CVE-2022-0001", "rsync", "3", Severity::High);
        other.package.as_mut().unwrap().purl = Some("pkg:deb/debian/rsync@3".into());
        vec![
            zlib,
            other,
            Finding { aliases: vec!["CVE-2022-0002".into()], ..vulnerability("GHSA-2", "x", "3", Severity::High) },
            Finding::new(FindingKind::Secret, "private-key", None, Some("usr/share/doc/key.pem"), "0"),
            Finding::new(FindingKind::Secret, "private-key", None, Some("etc/key.pem"), "0"),
            Finding::new(FindingKind::Lint, "CVE-2022-0002", None, None, ""),
        ]
    }

    fn hidden(file: &str, name: &str, today: Date) -> Vec<bool> {
        let mut findings = found();
        Ignores::parse(file, name).unwrap().apply(&mut findings, today);
        findings.iter().map(|finding| finding.suppressed.is_some()).collect()
    }

    #[test]
    fn what_a_file_names_is_suppressed_and_nothing_else() {
        let name = "a/.trivyignore.yaml";
        assert_eq!(hidden(FILE, name, date(2026, 5, 31)), [true, false, true, true, false, false]);
        assert_eq!(hidden(FILE, name, date(2026, 6, 1)), [false, false, true, true, false, false], "it is over");
        let file = Ignores::parse(FILE, name).unwrap();
        assert_eq!(file.expired(date(2026, 6, 1)).collect::<Vec<_>>(), ["CVE-2022-0001"]);
        let mut findings = found();
        file.apply(&mut findings, date(2026, 1, 1));
        let suppressed = findings[0].suppressed.as_ref().unwrap();
        assert_eq!((suppressed.reason.raw(), suppressed.until), ("nobody calls it", Some(date(2026, 5, 31))));
        let plain = "# old form\nCVE-2022-0002 # why\nprivate-key exp:2026-01-01\n";
        assert_eq!(hidden(plain, ".trivyignore", date(2026, 5, 31)), [false, false, true, false, false, true]);
    }

    #[test]
    fn an_entry_is_added_without_touching_what_is_there() {
        let findings = found();
        let day = Some(date(2027, 1, 2));
        for text in ["", FILE, "# only words\n", "secrets:\n- id: x\n", "vulnerabilities: # all\n\n    - id: y", "vulnerabilities:\n"] {
            let mut now = text.to_owned();
            for finding in &findings {
                now = added(Form::Yaml, &now, finding.kind, &entry(Form::Yaml, finding, "why: \"so\" # \n", day)).unwrap();
            }
            for line in text.lines() {
                assert!(now.lines().any(|other| other == line), "{line} of {text} in {now}");
            }
            assert_eq!(hidden(&now, "x.yaml", date(2027, 1, 1)), [true; 6], "{now}");
        }
    }

    #[test]
    fn an_entry_hides_the_one_finding_that_it_was_made_for() {
        let mut all = found();
        // The same ids elsewhere: in the settings, in a package without a purl, in another file.
        all.push(Finding::new(FindingKind::Lint, "CVE-2022-0002", None, None, "1"));
        all.push(vulnerability("GHSA-2", "y", "3", Severity::High));
        all.push(Finding::new(FindingKind::Secret, "private-key", None, Some("srv/key.pem"), "0"));
        for name in ["x.yaml", ".trivyignore"] {
            for finding in &all {
                let form = Form::of(name);
                let text = added(form, "", finding.kind, &entry(form, finding, "seen\n# twice", None)).unwrap();
                let mut findings = all.clone();
                Ignores::parse(&text, name).unwrap().apply(&mut findings, date(2026, 1, 1));
                let hidden: Vec<_> = findings.iter().filter(|one| one.suppressed.is_some()).map(|one| one.key).collect();
                assert_eq!(hidden, [finding.key], "{text}");
            }
        }
    }

    #[test]
    fn an_entry_is_added_to_a_list_of_lines_as_a_line() {
        let lint = &found()[5];
        let why = entry(Form::Lines, lint, "not ours", Some(date(2027, 1, 2)));
        let text = added(Form::Lines, "# ours\nCVE-1", lint.kind, &why).unwrap();
        assert_eq!(text, format!("# ours\nCVE-1\nCVE-2022-0002 exp:2027-01-02 finding:{} # not ours\n", lint.key));
        let read = Ignores::parse(&text, ".trivyignore").unwrap();
        let mut findings = found();
        read.apply(&mut findings, date(2027, 1, 1));
        assert_eq!(findings[5].suppressed.as_ref().unwrap().reason.raw(), "not ours");
        assert_eq!(read.expired(date(2027, 1, 2)).collect::<Vec<_>>(), ["CVE-2022-0002"]);
    }

    #[test]
    fn as_many_entries_as_findings_are_no_trouble() {
        let ids: Vec<String> = (0..MOST).map(|n| format!("CVE-2022-{n:06}")).collect();
        let many = Ignores::parse(&ids.join("\n"), ".trivyignore").unwrap();
        let mut findings: Vec<Finding> = ids.iter().map(|id| Finding::new(FindingKind::Vulnerability, id, None, None, "")).collect();
        many.apply(&mut findings, date(2026, 1, 1));
        assert!(findings.iter().all(|finding| finding.suppressed.is_some()));
    }

    #[test]
    fn what_cannot_be_added_to_is_left_alone() {
        let one = entry(Form::Yaml, &found()[0], "", None);
        for text in ["vulnerabilities: [{id: a}]\n", "vulnerabilities: {", "[1]", "vulnerabilities:\n  id: x\n"] {
            assert!(added(Form::Yaml, text, FindingKind::Vulnerability, &one).is_err(), "{text}");
        }
        for id in ["two words", "#", "", "two\nlines"] {
            let one = Entry { id: id.into(), ..Entry::default() };
            assert!(added(Form::Lines, "CVE-1\n", FindingKind::Lint, &one).is_err(), "{id}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_said() {
        for text in ["vulnerabilities: 3", "vulnerabilities:\n  - statement: x\n", "vulnerabilities:\n  - id: x\n    paths: ['[']\n"] {
            assert!(Ignores::parse(text, "x.yaml").is_err(), "{text}");
        }
        assert!(Ignores::parse("CVE-1 exp:soon", "x").unwrap_err().contains("soon"));
        assert!(Ignores::parse(&" ".repeat(LARGEST + 1), "x").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            drop(Ignores::parse(&text, "x.yaml"));
            let cut = String::from_utf8_lossy(&bytes).into_owned() + FILE;
            drop(Ignores::parse(&cut, "x.yaml"));
            drop(Ignores::parse(&cut, "x"));
        }
    }
}
