//! Reports that exist already, of other scanners: which one wrote it is told by what stands at its top, whatever its file is called.
//!
//! `FORMATS` has a line for each format, and each is one file here. All of them are read as their programs wrote them over the years: what is
//! missing is nothing, one may stand for many, and an item that can't be read is left out and counted. Nothing is read into a tree of values, and
//! what a report takes is bounded by what is kept of it. What our own findings hide, such as secrets, is hidden here too, on the way in.
//!
//! May use model.

mod clair;
mod cyclonedx;
mod dockle;
mod draft;
mod gitleaks;
mod grype;
mod hadolint;
mod harbor;
mod json;
mod openvex;
mod osv;
mod sarif;
mod trivy;
mod words;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{Problem, ProblemKind, Report, VexStatement, size};

/// Largest report that is read, in bytes.
pub const LARGEST: usize = 128 << 20;

const DOING: &str = "read the report";

/// What a file had in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    Report(Box<Report>),
    /// Statements on which findings don't count.
    Statements(Vec<VexStatement>),
}

/// Reads a report or VEX document. Blocking: 2 MB take some milliseconds.
///
/// # Errors
/// What is larger than [`LARGEST`], is no JSON, or of no format that is known. No error tells what stands in the document.
pub fn import(bytes: &[u8]) -> Result<Imported, Problem> {
    if bytes.len() > LARGEST {
        let cause = format!("it is larger than {}", size::human(LARGEST as u64));
        return Err(Problem::new(ProblemKind::Limit, DOING, cause));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::new(ProblemKind::Corrupt, DOING, format!("it is no text: {error}")).hint(HINT))?
        .trim_start_matches('\u{feff}');
    let format = sniff(text)?;
    (format.read)(text).map_err(|unreadable| unreadable.problem(format.name))
}

/// Reads a report, and refuses what is none.
///
/// # Errors
/// As [`import`]; a VEX document.
pub fn report(bytes: &[u8]) -> Result<Report, Problem> {
    match import(bytes)? {
        Imported::Report(report) => Ok(*report),
        Imported::Statements(_) => {
            Err(Problem::new(ProblemKind::Unsupported, DOING, "it is a VEX document: it says what doesn't count, and finds nothing"))
        }
    }
}

const HINT: &str =
    "these are read: the JSON of Trivy, Grype, Clair, Harbor, osv-scanner, Dockle, Hadolint and gitleaks, SARIF, CycloneDX, OpenVEX";

/// One kind of report.
struct Format {
    name: &'static str,
    /// Whether it is that, by the keys that were seen so far.
    is: fn(&Seen) -> bool,
    read: fn(&str) -> Result<Imported, Unreadable>,
}

/// The first that fits is it.
const FORMATS: [Format; 11] = [
    Format { name: "Trivy", is: trivy::is, read: trivy::read },
    Format { name: "Grype", is: |seen| seen.object("matches"), read: grype::read },
    Format { name: "Clair", is: |seen| seen.object("manifest_hash") || seen.object("package_vulnerabilities"), read: clair::read },
    Format { name: "Harbor", is: harbor::is, read: harbor::read },
    Format { name: "SARIF", is: |seen| seen.object("runs"), read: sarif::read },
    Format { name: "CycloneDX", is: |seen| seen.object("bomFormat"), read: cyclonedx::read },
    Format { name: "Dockle", is: |seen| seen.object("summary") && seen.object("details"), read: dockle::read },
    Format { name: "OpenVEX", is: |seen| seen.object("statements"), read: openvex::read },
    Format { name: "Hadolint", is: |seen| seen.list("code") && seen.list("level"), read: hadolint::read },
    Format { name: "gitleaks", is: |seen| seen.list("RuleID"), read: gitleaks::read },
    Format { name: "osv-scanner", is: |seen| seen.object("results"), read: osv::read },
];

/// Why a document is not what its keys promise. Holds no word of the document: there may be secrets in it.
#[derive(Debug)]
enum Unreadable {
    Json { line: usize, column: usize, is_cut: bool, is_deep: bool },
    Other(&'static str),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        // The library's words quote the document, but for these.
        let is_deep = error.is_syntax() && error.to_string().starts_with("recursion limit");
        Self::Json { line: error.line(), column: error.column(), is_cut: error.is_eof(), is_deep }
    }
}

impl Unreadable {
    fn problem(&self, format: &str) -> Problem {
        let doing = if format.is_empty() { DOING.to_owned() } else { format!("read the report as one of {format}") };
        match self {
            Self::Json { is_cut: true, .. } => Problem::new(ProblemKind::Corrupt, doing, "it is cut off: the end of its JSON is missing"),
            Self::Json { is_deep: true, .. } => Problem::new(ProblemKind::Limit, doing, "it is nested too deep"),
            Self::Json { line, column, .. } => {
                let cause = format!("what stands in line {line}, column {column} is no JSON, or not what belongs there");
                Problem::new(ProblemKind::Corrupt, doing, cause)
            }
            Self::Other(why) => Problem::new(ProblemKind::Unsupported, doing, why),
        }
    }
}

/// Keys at the top of a document.
#[derive(Debug, Default)]
struct Seen {
    keys: Vec<String>,
    /// They are of the first item of a list.
    is_list: bool,
    is_null: bool,
}

impl Seen {
    fn object(&self, key: &str) -> bool {
        !self.is_list && self.keys.iter().any(|seen| seen == key)
    }

    fn list(&self, key: &str) -> bool {
        self.is_list && self.keys.iter().any(|seen| seen == key)
    }

    fn format(&self) -> Option<&'static Format> {
        FORMATS.iter().find(|format| (format.is)(self))
    }
}

/// Keys that are looked at.
const MOST_KEYS: usize = 64;

/// Whose report it is. Reads no further than it has to.
fn sniff(text: &str) -> Result<&'static Format, Problem> {
    let mut seen = Seen::default();
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Sniff { seen: &mut seen, found: &mut found, is_inner: false }.deserialize(&mut reader);
    if let Some(format) = found {
        return Ok(format);
    }
    if let Err(error) = read {
        return Err(Unreadable::from(error).problem("").hint(HINT));
    }
    let unsupported = |cause: &str| Problem::new(ProblemKind::Unsupported, DOING, cause);
    Err(if seen.is_list && seen.keys.is_empty() {
        unsupported("it is an empty list, which doesn't say who looked for what")
    } else if seen.object("spdxVersion") {
        unsupported("it is an SPDX document, which lists packages and no findings")
    } else if seen.object("payloadType") || seen.object("predicateType") {
        unsupported("it is an attestation; take the report out of it first")
    } else {
        let keys: Vec<&str> = seen.keys.iter().take(5).map(|key| json::cut(key, 60)).collect();
        let known = if keys.is_empty() { String::new() } else { format!(" (it starts with {})", keys.join(", ")) };
        unsupported(&format!("it is of no format that is known{known}")).hint(HINT)
    })
}

struct Sniff<'s> {
    seen: &'s mut Seen,
    found: &'s mut Option<&'static Format>,
    /// The first item of a list.
    is_inner: bool,
}

impl<'a> DeserializeSeed<'a> for Sniff<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Sniff<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.seen.keys.len() < MOST_KEYS {
                self.seen.keys.push(key);
                *self.found = self.seen.format();
                if self.found.is_some() {
                    return Err(A::Error::custom("enough"));
                }
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.is_inner {
            self.seen.is_list = true;
            seq.next_element_seed(Sniff { seen: self.seen, found: self.found, is_inner: true })?;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if !self.is_inner {
            self.seen.is_null = true;
            *self.found = self.seen.format();
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
