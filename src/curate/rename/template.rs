//! A rule by template: the new tag is written out with parts of what is known of the row.
//!
//! `{tag}`; `{major}`, `{minor}`, `{patch}`, `{pre}` and `{variant}` of a tag that is a version; `{date}` the day the image was made and
//! `{today}`, both as `20250131` in UTC or as strftime has it, `{date:%Y.%m}`; `{digest}` its first twelve hex digits, `{digest:7}` seven;
//! `{label:NAME}`; `{n}` the number of the row among those that get a name, `{n:03}` with zeros in front. `{{` and `}}` are braces.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Row, Why};
use crate::curate::mistake::Mistake;
use crate::curate::semver::Version;

const DATE: &str = "%Y%m%d";
const DIGITS: usize = 12;
/// Longest template, in bytes.
const LONGEST: usize = 1024;
/// Most digits that a number is filled up to.
const WIDEST: usize = 20;
const PARTS: &str = "there are {tag}, {major}, {minor}, {patch}, {pre}, {variant}, {date}, {today}, {digest}, {label:NAME} and {n}";

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Tag,
    Major,
    Minor,
    Patch,
    Pre,
    Variant,
    Date(String),
    Today(String),
    Digest(usize),
    Label(String),
    /// With zeros in front, up to this many digits.
    Number(usize),
}

impl Template {
    /// Compiles a template as typed.
    ///
    /// # Errors
    /// The first part that can't be understood.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text.len() > LONGEST {
            return Err(Mistake::at(text, LONGEST, format!("a template is at most {LONGEST} bytes long")));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let offset = text.len() - rest.len() + at;
            let (before, from) = rest.split_at_checked(at).unwrap_or_default();
            plain.push_str(before);
            if let Some(more) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.extend(from.chars().next());
                rest = more;
                continue;
            }
            let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((inner, more)) = inner else {
                return Err(Mistake::at(text, offset, "a brace without its other half").hint("a brace itself is written {{ or }}"));
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::parse(inner).map_err(|(words, hint)| Mistake::at(text, offset, words).hint(hint))?);
            rest = more;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Whether it asks when an image was made.
    #[must_use]
    pub fn needs_date(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Date(_)))
    }

    /// Whether it asks for labels, which cost requests to read.
    #[must_use]
    pub fn needs_labels(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Label(_)))
    }

    /// The new tag of a row whose tag is `tag`, as the `number`th that gets one.
    pub(super) fn apply(&self, row: &Row, tag: &str, number: u64, now: Timestamp) -> Result<String, Why> {
        let mut new = String::with_capacity(tag.len() + 16);
        let mut version = None;
        for part in &self.0 {
            if part.is_of_version() && version.is_none() {
                version = Some(Version::parse(tag).ok_or(Why::NoVersion)?);
            }
            part.write(&mut new, row, tag, version.as_ref(), number, now)?;
        }
        Ok(new)
    }
}

impl Part {
    /// The part in braces; else what is wrong with it, and what to write.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let (name, option) = text.split_once(':').map_or((text, None), |(name, option)| (name, Some(option)));
        let plain = |part: Self| match option {
            None => Ok(part),
            Some(_) => Err((format!("{{{name}}} takes nothing after a colon"), format!("write {{{name}}}"))),
        };
        let number = |text: &str, most: usize| text.parse::<usize>().ok().filter(|number| (1..=most).contains(number));
        match name {
            "tag" => plain(Self::Tag),
            "major" => plain(Self::Major),
            "minor" => plain(Self::Minor),
            "patch" => plain(Self::Patch),
            "pre" => plain(Self::Pre),
            "variant" => plain(Self::Variant),
            "date" => date(option.unwrap_or(DATE)).map(Self::Date),
            "today" => date(option.unwrap_or(DATE)).map(Self::Today),
            "digest" => option
                .map_or(Some(DIGITS), |digits| number(digits, 64))
                .map(Self::Digest)
                .ok_or_else(|| ("the digits of a digest are counted from 1 to 64".to_owned(), "write {digest:12}".to_owned())),
            "label" => match option.filter(|label| !label.is_empty()) {
                Some(label) => Ok(Self::Label(label.to_owned())),
                None => Err(("which label?".to_owned(), "write {label:org.opencontainers.image.version}".to_owned())),
            },
            "n" => match option {
                None => Ok(Self::Number(1)),
                Some(width) => number(width, WIDEST)
                    .map(Self::Number)
                    .ok_or_else(|| (format!("a number has 1 to {WIDEST} digits"), "write {n} or {n:03}".to_owned())),
            },
            _ => Err((format!("there is no part {{{text}}}"), PARTS.to_owned())),
        }
    }

    const fn is_of_version(&self) -> bool {
        matches!(self, Self::Major | Self::Minor | Self::Patch | Self::Pre | Self::Variant)
    }

    fn write(&self, new: &mut String, row: &Row, tag: &str, version: Option<&Version<'_>>, number: u64, now: Timestamp) -> Result<(), Why> {
        let numeral = |place: usize| version.and_then(|version| version.core.split('.').nth(place));
        let part = |text: Option<&str>, name: &'static str| text.map(str::to_owned).ok_or(Why::MissingPart(name));
        match self {
            Self::Text(text) => new.push_str(text),
            Self::Tag => new.push_str(tag),
            Self::Major => new.push_str(&part(numeral(0), "major number")?),
            Self::Minor => new.push_str(&part(numeral(1), "minor number")?),
            Self::Patch => new.push_str(&part(numeral(2), "patch number")?),
            Self::Pre => new.push_str(&part(version.and_then(|version| version.pre), "candidate such as rc1")?),
            Self::Variant => new.push_str(&part(version.and_then(|version| version.variant), "variant such as alpine")?),
            Self::Date(format) => new.push_str(&day(row.created.ok_or(Why::NoDate)?, format).ok_or(Why::NoDate)?),
            Self::Today(format) => new.push_str(&day(now, format).ok_or(Why::NoDate)?),
            Self::Digest(digits) => new.push_str(row.digest.hex().get(..*digits).unwrap_or_else(|| row.digest.hex())),
            Self::Label(label) => {
                let labels = row.labels.as_ref().ok_or(Why::LabelsUnknown)?;
                new.push_str(labels.get(label.as_str()).ok_or_else(|| Why::MissingLabel(label.clone()))?.raw());
            }
            Self::Number(width) => _ = write!(new, "{number:0width$}"),
        }
        Ok(())
    }
}

/// A format of dates that can be carried out.
fn date(format: &str) -> Result<String, (String, String)> {
    match day(Timestamp::UNIX_EPOCH, format) {
        Some(day) if !day.is_empty() => Ok(format.to_owned()),
        _ => Err((format!("{format:?} is no format of dates"), "write {date:%Y%m%d}".to_owned())),
    }
}

fn day(at: Timestamp, format: &str) -> Option<String> {
    jiff::fmt::strtime::format(format, &at.to_zoned(TimeZone::UTC)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Name};

    fn row(tag: &str) -> Row {
        Row {
            name: Name::new(&format!("app:{tag}")),
            digest: Digest::sha256(b""),
            created: "2025-05-06T23:59:59Z".parse().ok(),
            labels: Some([("org.opencontainers.image.version".into(), "7.7".into())].into()),
        }
    }

    fn apply(template: &str, tag: &str) -> Result<String, Why> {
        Template::parse(template).unwrap().apply(&row(tag), tag, 7, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_part_is_written_out() {
        for (template, tag, new) in [
            ("deprecated-{tag}", "x", "deprecated-x"),
            ("{major}.{minor}", "v1.04.0-rc2", "1.04"),
            ("{major}.{minor}.{patch}_{pre}.{variant}", "1.4.0-rc2-slim", "1.4.0_rc2.slim"),
            ("{date}-{date:%Y.%m}-{today}", "x", "20250506-2025.05-19700101"),
            ("{digest}.{digest:4}", "x", "e3b0c44298fc.e3b0"),
            ("{label:org.opencontainers.image.version}", "x", "7.7"),
            ("{n}-{n:03}-{n:2}", "x", "7-007-07"),
            ("{{{tag}}}", "x", "{x}"),
        ] {
            assert_eq!(apply(template, tag).as_deref(), Ok(new), "{template}");
        }
    }

    #[test]
    fn what_a_row_lacks_is_named() {
        assert_eq!(apply("{major}", "latest"), Err(Why::NoVersion));
        assert_eq!(apply("{patch}", "1.4"), Err(Why::MissingPart("patch number")));
        assert_eq!(apply("{pre}", "1.4.0"), Err(Why::MissingPart("candidate such as rc1")));
        assert_eq!(apply("{label:none}", "x"), Err(Why::MissingLabel("none".to_owned())));
        let unknown = Row { created: None, labels: None, ..row("x") };
        let of = |template| Template::parse(template).unwrap().apply(&unknown, "x", 1, Timestamp::UNIX_EPOCH);
        assert_eq!((of("{date}"), of("{label:a}")), (Err(Why::NoDate), Err(Why::LabelsUnknown)));
    }

    #[test]
    fn mistakes_are_told_by_column() {
        for (text, column, words) in [
            ("a-{tga}", 3, "no part {tga}"),
            ("{tag", 1, "other half"),
            ("x}", 2, "other half"),
            ("{digest:0}", 1, "1 to 64"),
            ("{n:99}", 1, "1 to 20"),
            ("{label}", 1, "which label"),
            ("{tag:3}", 1, "nothing after a colon"),
            ("{date:%}", 1, "format of dates"),
        ] {
            let mistake = Template::parse(text).unwrap_err();
            assert_eq!(mistake.column, column, "{text}");
            assert!(mistake.words.contains(words) && mistake.hint.is_some(), "{text}: {mistake}");
        }
        assert!(Template::parse(&"x".repeat(LONGEST + 1)).is_err());
    }
}
