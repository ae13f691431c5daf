//! Reads Alpine's own lists: one JSON document a branch and repository, with the versions that mended something.
//!
//! They know nothing of what nobody has mended yet. May use nothing else of ours but the records. Facts: <https://secdb.alpinelinux.org>.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::record::{Affected, Event, Record};
use crate::model::finding::is_cve;
use crate::scan::version::{Order, Version};

/// What never was in Alpine's package is listed under this.
const NEVER: &str = "0";
/// Longest name, version or line of ids.
const LONGEST: usize = 512;

#[derive(Deserialize)]
struct Document {
    #[serde(alias = "distroversion")]
    distroversion: String,
    reponame: String,
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    pkg: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    secfixes: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// The list of one branch and repository.
#[derive(Debug)]
pub(super) struct List {
    /// Such as "v3.19".
    pub(super) branch: String,
    /// Such as "main".
    pub(super) repository: String,
    pub(super) records: Vec<Record>,
    /// Versions that are none.
    pub(super) unclear: u64,
}

/// Whether it looks like such a document, by its first part.
pub(super) fn is(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let has = |text: &[u8]| head.windows(text.len()).any(|part| part == text);
    has(b"\"distroversion\"") || has(b"\"secfixes\"") || has(b"\"apkurl\"")
}

/// Reads a document.
///
/// # Errors
/// Why it can't be understood.
pub(super) fn read(bytes: &[u8]) -> Result<List, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let is_word = |text: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        !text.is_empty() && text.len() <= 64 && text.chars().all(is_allowed)
    };
    if !is_word(&document.distroversion) || !is_word(&document.reponame) {
        return Err("it doesn't say which branch and repository it is of".to_owned());
    }
    let ecosystem = format!("Alpine:{}", document.distroversion);
    let mut list = List { branch: document.distroversion, repository: document.reponame, records: Vec::new(), unclear: 0 };
    for Entry { pkg } in document.packages {
        if pkg.name.is_empty() || pkg.name.len() > LONGEST {
            continue;
        }
        let (mended, unclear) = mended(pkg.secfixes.unwrap_or_default());
        list.unclear += unclear;
        let record = |(id, (version, aliases)): (String, Mended)| Record {
            links: vec![format!("https://security.alpinelinux.org/vuln/{id}")],
            id,
            aliases,
            affected: vec![Affected {
                ecosystem: ecosystem.clone(),
                name: pkg.name.clone(),
                ranges: vec![vec![Event::Introduced("0".to_owned()), Event::Fixed(version)]],
                ..Affected::default()
            }],
            ..Record::default()
        };
        list.records.extend(mended.into_iter().map(record));
    }
    Ok(list)
}

/// The version that mends it, and its other ids.
type Mended = (String, Vec<String>);

/// By id; of several versions for one the last, since those before were not enough.
fn mended(fixes: BTreeMap<String, Option<Vec<String>>>) -> (BTreeMap<String, Mended>, u64) {
    let mut found: BTreeMap<String, (Version, Mended)> = BTreeMap::new();
    let mut unclear = 0;
    for (version, lines) in fixes.into_iter().filter(|(version, _)| version != NEVER) {
        let Some(parsed) = Order::Alpine.parse(&version) else {
            unclear += 1;
            continue;
        };
        for (id, aliases) in lines.unwrap_or_default().iter().filter(|line| line.len() <= LONGEST).flat_map(|line| ids(line)) {
            let is_later = found.get(&id).is_none_or(|(known, _)| *known < parsed);
            if is_later {
                found.insert(id, (parsed.clone(), (version.clone(), aliases)));
            }
        }
    }
    (found.into_iter().map(|(id, (_, mended))| (id, mended)).collect(), unclear)
}

/// The ids in a line, each with its other names. Of several CVEs each is one, whatever else stands there.
fn ids(line: &str) -> Vec<(String, Vec<String>)> {
    let is_id = |word: &&str| {
        let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        has_digit && word.contains('-') && word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(is_allowed)
    };
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')')).filter(is_id).collect();
    let (cves, others): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| is_cve(word));
    match (cves.as_slice(), others.as_slice()) {
        ([], []) => Vec::new(),
        ([], [first, rest @ ..]) => vec![((*first).to_owned(), rest.iter().map(|&id| id.to_owned()).collect())],
        ([one], others) => vec![((*one).to_owned(), others.iter().map(|&id| id.to_owned()).collect())],
        (several, _) => several.iter().map(|&id| (id.to_owned(), Vec::new())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_have_several_ids() {
        let told = |line: &str| {
            ids(line).iter().map(|(id, aliases)| format!("{id} {}", aliases.join(" ")).trim_end().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told("CVE-2019-1234"), ["CVE-2019-1234"]);
        assert_eq!(told("CVE-2019-1234 GHSA-aaaa-1111-bbbb"), ["CVE-2019-1234 GHSA-aaaa-1111-bbbb"]);
        assert_eq!(told("CVE-2019-1234, CVE-2019-1235 (+ regression)"), ["CVE-2019-1234", "CVE-2019-1235"]);
        assert_eq!(told("XSA-300 ZBX-17"), ["XSA-300 ZBX-17"]);
        assert_eq!(told("none yet"), [""; 0]);
    }

    #[test]
    fn the_last_fix_counts_and_zero_means_never() {
        let text = r#"{"distroversion": "v3.99", "reponame": "main", "apkurl": "x", "packages": [
            {"pkg": {"name": "harbour", "secfixes": {"0": ["CVE-2020-0001"], "1.2-r0": ["CVE-2020-0002", "CVE-2020-0003"],
                "1.10-r1": ["CVE-2020-0002"], "what?": ["CVE-2020-0004"], "1.3-r0": null}}},
            {"pkg": {"name": "empty"}}, {"pkg": {"name": "none", "secfixes": null}}]}"#;
        assert!(is(text.as_bytes()));
        let list = read(text.as_bytes()).unwrap();
        let told = |record: &Record| format!("{} {:?}", record.id, record.affected[0].ranges[0][1]);
        assert_eq!(
            list.records.iter().map(told).collect::<Vec<_>>(),
            ["CVE-2020-0002 Fixed(\"1.10-r1\")", "CVE-2020-0003 Fixed(\"1.2-r0\")"]
        );
        assert_eq!((list.records[0].affected[0].ecosystem.as_str(), list.unclear), ("Alpine:v3.99", 1));
        assert!(read(br#"{"distroversion": "../x", "reponame": "main", "packages": []}"#).is_err());
    }
}
