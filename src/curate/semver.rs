//! What a tag says of a version, and ranges of versions. More lenient than the specification of semantic versions, as tags are: `v1.4`,
//! `16.2-alpine` and `1.4.0-rc3-slim` are versions too.
//!
//! May use model only. What follows the numbers is told apart by its words: `rc`, `beta` and their kin make a candidate, which is older than
//! its release; anything else (`alpine`, `slim`, a build number) is a variant of it. Which of two tags is newer is [`version::compare`]'s.

use std::cmp::Ordering;

use crate::model::version;

/// Words that make a candidate, with or without a number behind them.
const CANDIDATES: [&str; 14] =
    ["alpha", "beta", "rc", "cr", "pre", "preview", "prerelease", "dev", "snapshot", "milestone", "nightly", "canary", "next", "ea"];
/// The same, only with a number.
const CANDIDATES_WITH_NUMBER: [&str; 3] = ["a", "b", "m"];

/// A tag read as a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// `v`, `V` or nothing.
    pub prefix: &'a str,
    /// The numbers as written: `1.4.0`.
    pub core: &'a str,
    pub major: u64,
    pub minor: Option<u64>,
    pub patch: Option<u64>,
    /// `rc3`, of a candidate.
    pub pre: Option<&'a str>,
    /// `alpine`, of a variant.
    pub variant: Option<&'a str>,
}

impl<'a> Version<'a> {
    /// Reads a tag; `None` when it begins with no number, has more than three, or one of more than 19 digits.
    #[must_use]
    pub fn parse(tag: &'a str) -> Option<Self> {
        let bare = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let prefix = tag.get(..tag.len() - bare.len())?;
        let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bare.len());
        let (core, rest) = bare.split_at_checked(end)?;
        let mut numbers = core.split('.');
        let major = numbers.next()?.parse().ok()?;
        let mut next = || numbers.next().map(str::parse::<u64>).transpose().ok();
        let (minor, patch) = (next()?, next()?);
        if numbers.next().is_some() {
            return None;
        }
        let (pre, variant) = suffix(rest)?;
        Some(Self { prefix, core, major, minor, patch, pre, variant })
    }

    /// The numbers up to the minor one, as written: `1.4` of `1.4.0`. `None` where there is none.
    #[must_use]
    pub fn minor_line(&self) -> Option<&'a str> {
        self.minor?;
        let mut dots = self.core.match_indices('.').map(|(at, _)| at);
        dots.next();
        self.core.get(..dots.next().unwrap_or(self.core.len()))
    }

    /// The major number as written.
    #[must_use]
    pub fn major_line(&self) -> &'a str {
        self.core.split('.').next().unwrap_or_default()
    }

    /// The words of the variant up to its first digit: `alpine` of `1.4-alpine3.19`, nothing of a mere build number.
    #[must_use]
    pub fn flavour(&self) -> &'a str {
        let variant = self.variant.unwrap_or_default();
        variant.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
    }

    /// Which of two versions is newer by numbers and candidates, whatever their variants.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        self.core_numbers().cmp(&other.core_numbers()).then_with(|| match (self.pre, other.pre) {
            (Some(one), Some(other)) => version::compare(one, other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        })
    }

    fn core_numbers(&self) -> [u64; 3] {
        [self.major, self.minor.unwrap_or(0), self.patch.unwrap_or(0)]
    }

    /// Where it stands among versions: variants of one version stand together.
    fn point(&self) -> Point {
        Point { core: self.core_numbers(), pre: self.pre.map_or(Pre::Release, |pre| Pre::Candidate(pre.to_owned())) }
    }
}

/// What follows the numbers: candidate and variant. `None` where it can't follow them.
fn suffix(rest: &str) -> Option<(Option<&str>, Option<&str>)> {
    if rest.is_empty() {
        return Some((None, None));
    }
    let Some(words) = rest.strip_prefix(['-', '_', '+']) else {
        // `1.4.0rc3`, as Python writes it.
        return is_candidate(rest).then_some((Some(rest), None));
    };
    if words.is_empty() {
        return None;
    }
    let (first, others) = words.split_once('-').map_or((words, None), |(first, others)| (first, Some(others)));
    if is_candidate(first) {
        return Some((Some(first), others));
    }
    match words.rsplit_once('-') {
        Some((variant, last)) if is_candidate(last) => Some((Some(last), Some(variant))),
        _ => Some((None, Some(words))),
    }
}

fn is_candidate(word: &str) -> bool {
    let letters = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
    let Some((letters, number)) = word.split_at_checked(letters) else { return false };
    let letters = letters.to_ascii_lowercase();
    let counted = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_');
    CANDIDATES.contains(&letters.as_str()) && (counted || number.is_empty())
        || CANDIDATES_WITH_NUMBER.contains(&letters.as_str()) && counted
}

/// A place in the order of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    core: [u64; 3],
    pre: Pre,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pre {
    /// Before every candidate.
    First,
    Candidate(String),
    Release,
}

impl Point {
    fn compare(&self, other: &Self) -> Ordering {
        let rank = |pre: &Pre| match pre {
            Pre::First => 0,
            Pre::Candidate(_) => 1,
            Pre::Release => 2,
        };
        self.core.cmp(&other.core).then_with(|| match (&self.pre, &other.pre) {
            (Pre::Candidate(one), Pre::Candidate(other)) => version::compare(one, other),
            (one, other) => rank(one).cmp(&rank(other)),
        })
    }
}

/// A range of versions: `>=1.2 <2`, `^1.4`, `~1.4.2`, `1.4.x`, `1 || 3`. All that stand together must hold, or all of another alternative.
///
/// Candidates of a version are below it: `<2` leaves `2.0.0-rc1` out as well, `1.4.x` takes `1.4.0-rc1` in, `>=1.4` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(Vec<Vec<Bound>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    side: Side,
    /// Whether the place itself is within.
    within: bool,
    at: Point,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

impl Range {
    /// Parses a range.
    ///
    /// # Errors
    /// A sentence on the part that can't be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split("||").map(alternative).collect::<Result<_, _>>().map(Self)
    }

    #[must_use]
    pub fn contains(&self, version: &Version<'_>) -> bool {
        let point = version.point();
        self.0.iter().any(|bounds| bounds.iter().all(|bound| bound.holds(&point)))
    }
}

impl Bound {
    fn holds(&self, point: &Point) -> bool {
        match (point.compare(&self.at), self.side) {
            (Ordering::Equal, _) => self.within,
            (order, Side::Above) => order == Ordering::Greater,
            (order, Side::Below) => order == Ordering::Less,
        }
    }
}

fn alternative(text: &str) -> Result<Vec<Bound>, String> {
    let mut bounds = Vec::new();
    let mut some = false;
    let mut sign = "";
    for word in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
        some = true;
        let rest = word.trim_start_matches(['<', '>', '=', '^', '~']);
        let (own, version) = word.split_at_checked(word.len() - rest.len()).unwrap_or_default();
        // A sign may stand apart from its version.
        let whole = match (sign, own) {
            ("", own) => own,
            (sign, "") => sign,
            _ => return Err(format!("{word:?} has two signs")),
        };
        if version.is_empty() {
            sign = whole;
            continue;
        }
        sign = "";
        bounds.extend(comparator(whole, version)?);
    }
    match (some, sign) {
        (true, "") => Ok(bounds),
        _ => Err(format!("{:?} lacks a version: write >=1.2 <2, ^1.4, ~1.4.2 or 1.4.x", text.trim())),
    }
}

/// One sign and its version as bounds.
fn comparator(sign: &str, text: &str) -> Result<Vec<Bound>, String> {
    let wrong = || format!("{text:?} is not a version: write it as 1, 1.4, 1.4.2, 1.4.0-rc1 or 1.4.x");
    let trimmed = text.trim_end_matches(".*").trim_end_matches(".x").trim_end_matches(".*").trim_end_matches(".x");
    if matches!(trimmed, "*" | "x") {
        return if sign.is_empty() { Ok(Vec::new()) } else { Err(wrong()) };
    }
    let version = Version::parse(trimmed).filter(|version| version.variant.is_none()).ok_or_else(wrong)?;
    let at = version.point();
    // The first place after everything that begins with these numbers.
    let [major, minor, patch] = at.core;
    let after = match (version.minor, version.patch) {
        (None, _) => [major.saturating_add(1), 0, 0],
        (_, None) => [major, minor.saturating_add(1), 0],
        _ => [major, minor, patch.saturating_add(1)],
    };
    let whole = version.patch.is_some() || version.pre.is_some();
    let first = |core| Point { core, pre: Pre::First };
    let above = |within, at| Bound { side: Side::Above, within, at };
    let below = |within, at| Bound { side: Side::Below, within, at };
    Ok(match sign {
        ">=" => vec![above(true, at)],
        ">" if whole => vec![above(false, at)],
        ">" => vec![above(true, Point { core: after, pre: Pre::Release })],
        "<" if version.pre.is_some() => vec![below(false, at)],
        "<" => vec![below(false, first(at.core))],
        "<=" if whole => vec![below(true, at)],
        "<=" => vec![below(false, first(after))],
        "" | "=" if whole => vec![above(true, at.clone()), below(true, at)],
        "" | "=" => vec![above(true, first(at.core)), below(false, first(after))],
        "~" => {
            let next = if version.minor.is_some() { [major, minor.saturating_add(1), 0] } else { after };
            vec![above(true, at), below(false, first(next))]
        }
        "^" => {
            let next = match (major, minor, version.minor, version.patch) {
                (0, 0, Some(_), Some(_)) => [0, 0, patch.saturating_add(1)],
                (0, _, Some(_), _) => [0, minor.saturating_add(1), 0],
                _ => [major.saturating_add(1), 0, 0],
            };
            vec![above(true, at), below(false, first(next))]
        }
        other => return Err(format!("{other:?} is no comparison: there are >=, >, <=, <, =, ^ and ~")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(tag: &str) -> Option<(&str, &str, Option<&str>, Option<&str>)> {
        Version::parse(tag).map(|version| (version.prefix, version.core, version.pre, version.variant))
    }

    #[test]
    fn tags_are_read_as_the_versions_people_see_in_them() {
        for (tag, read) in [
            ("1.4.0", ("", "1.4.0", None, None)),
            ("v1.4.0-rc3", ("v", "1.4.0", Some("rc3"), None)),
            ("1.4.0-rc.10-alpine", ("", "1.4.0", Some("rc.10"), Some("alpine"))),
            ("1.4.0-slim-rc1", ("", "1.4.0", Some("rc1"), Some("slim"))),
            ("1.4.0rc2", ("", "1.4.0", Some("rc2"), None)),
            ("16.2-alpine3.19", ("", "16.2", None, Some("alpine3.19"))),
            ("1.4.0-3-gdeadbee", ("", "1.4.0", None, Some("3-gdeadbee"))),
            ("22.04", ("", "22.04", None, None)),
            ("7", ("", "7", None, None)),
        ] {
            assert_eq!(parts(tag), Some(read), "{tag}");
        }
        for none in ["latest", "", "v", "1.2.3.4", "1..2", "1.4.", "1.4.0x", "1.4.0-", "99999999999999999999", "vv1"] {
            assert_eq!(parts(none), None, "{none}");
        }
        let version = Version::parse("v01.04.2-rc1").unwrap();
        assert_eq!((version.major_line(), version.minor_line()), ("01", Some("01.04")));
        assert_eq!(Version::parse("1.4").unwrap().minor_line(), Some("1.4"));
        assert_eq!(Version::parse("1").unwrap().minor_line(), None);
        for (tag, flavour) in
            [("1.4", ""), ("1.4-alpine3.19", "alpine"), ("1.4.0-rc1-slim-bookworm", "slim-bookworm"), ("1.4.0-3-gdead", "")]
        {
            assert_eq!(Version::parse(tag).unwrap().flavour(), flavour, "{tag}");
        }
    }

    #[test]
    fn ranges_take_in_what_they_say() {
        for (range, within, without) in [
            (">=1.2 <2", "1.2.0 v1.9.9 1.2 1.10.0-alpine 1.3.0-rc1", "1.1.9 2.0.0 2.0.0-rc1 1.2.0-rc1"),
            ("^1.4", "1.4.0 1.9.0", "1.3.9 2.0.0 2.0.0-beta 1.4.0-rc1"),
            ("^0.4.1", "0.4.1 0.4.9", "0.5.0 0.4.0"),
            ("^0.0.3", "0.0.3", "0.0.4"),
            ("~1.4.2", "1.4.2 1.4.9", "1.5.0 1.4.1"),
            ("~1", "1.0.0 1.9.0", "2.0.0"),
            ("1.4.x", "1.4.0 1.4.0-rc1 1.4", "1.5.0 1.5.0-rc1 1.3.9"),
            ("1.x.x", "1.0.0 1.9.9", "2.0.0"),
            ("1 || >= 3.1", "1.2.3 3.1.0 4", "2.0.0 3.0.0"),
            ("=1.4.0", "1.4.0 v1.4.0 1.4.0-slim", "1.4.1 1.4.0-rc1"),
            (">1.4", "1.5.0", "1.4.0 1.4.9"),
            (">1.4.0-rc1,<=1.4.0", "1.4.0-rc2 1.4.0-rc10 1.4.0", "1.4.0-rc1 1.4.1"),
            ("<=1.4", "1.4.9 0.1.0", "1.5.0 1.5.0-rc1"),
            ("*", "1.0.0 0.0.1-alpha", ""),
        ] {
            let parsed = Range::parse(range).unwrap();
            for tag in within.split(' ') {
                assert!(parsed.contains(&Version::parse(tag).unwrap()), "{tag} in {range}");
            }
            for tag in without.split(' ').filter(|tag| !tag.is_empty()) {
                assert!(!parsed.contains(&Version::parse(tag).unwrap()), "{tag} not in {range}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_said() {
        for bad in ["", ">=", "one", "1 ||", ">=^1", "=>1", ">*", "1.4-slim", "> >=1", "1.2.3.4"] {
            assert!(Range::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Every version is in exactly one of below, at and above any other.
        #[test]
        fn a_range_cuts_the_versions_in_three(a in "[0-3]\\.[0-3]\\.[0-3](-rc[0-9])?", b in "[0-3]\\.[0-3]\\.[0-3](-rc[0-9])?") {
            let version = Version::parse(&a).unwrap();
            let within = |sign: &str| usize::from(Range::parse(&format!("{sign}{b}")).unwrap().contains(&version));
            let candidate_of_b = a.split('-').next() == b.split('-').next() && a.contains('-') && !b.contains('-');
            prop_assert_eq!(within("<") + within("=") + within(">"), usize::from(!candidate_of_b));
            prop_assert_eq!(within(">="), within("=") + within(">"));
        }

        #[test]
        fn no_tag_breaks_it(tag in "\\PC{0,20}", range in "[0-9.<>=^~|x*, a-]{0,12}") {
            if let (Some(version), Ok(range)) = (Version::parse(&tag), Range::parse(&range)) {
                let _ = range.contains(&version);
            }
        }
    }
}
