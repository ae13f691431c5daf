use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{Action, Fact, Group, Newest, Reason, Row};
use super::*;
use crate::model::findings::Gist;
use crate::model::{Digest, Severity};

const NOW: i64 = 1_760_000_000;

fn said(text: &str) -> Said {
    policy(text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

fn row(tag: &str, days: i64) -> Row {
    Row {
        digest: Some(Digest::sha256(tag.as_bytes())),
        created: Timestamp::from_second(NOW - days * 86_400).ok(),
        labels: Some(std::collections::BTreeMap::new()),
        ..Row::unread(tag)
    }
}

fn reasons(text: &str, rows: &[Row]) -> Vec<Reason> {
    said(text).policy.decide(rows, Timestamp::from_second(NOW).unwrap()).reasons
}

#[test]
fn the_phrases_of_the_handbook_are_rules() {
    let Said { policy: all, toml, .. } =
        said("keep last 3 of v{semver} per minor, drop pr-* older than 14d, drop untagged older than 7d, keep in use, keep by label");
    let actions: Vec<&Action> = all.rules.iter().map(|rule| &rule.action).collect();
    let Action::KeepLast(last) = actions[0] else { panic!("{actions:?}") };
    assert_eq!((last.last, &last.per, last.by, last.drop_rest), (3, &Group::Minor, Newest::Version, false));
    assert_eq!(actions[1..], [&Action::Drop, &Action::Drop, &Action::Keep, &Action::Keep]);
    let matches = |at: usize| &all.rules[at].matches;
    assert!(
        matches(0).semver.is_some()
            && matches(0).tags.as_ref().unwrap().is_match("v1.2")
            && !matches(0).tags.as_ref().unwrap().is_match("1.2")
    );
    assert_eq!(matches(1).older_than, Some(14 * 86_400));
    assert_eq!((matches(2).untagged, matches(2).older_than), (Some(true), Some(7 * 86_400)));
    assert_eq!(matches(3).in_use, Some(true));
    assert_eq!(matches(4).labels, [("retention".to_owned(), Some("keep".to_owned()))]);
    assert!(toml.contains("name = \"drop pr-* older than 14d\""), "{toml}");
    // Short as they are typed.
    let short = said("drop pr-* older 14d; drop untagged\nkeep newest 2 of {semver:>=1.2 <2}-alpine by created");
    assert_eq!(short.phrases[0].to_string(), "drop pr-* older than 14d");
    assert_eq!(short.phrases[2].to_string(), "keep last 2 of {semver:>=1.2 <2}-alpine by created");
}

#[test]
fn a_line_decides_as_its_file_does() {
    let rows = [row("pr-1", 20), row("pr-2", 2), row("v1.0.1", 3), row("v1.0.0", 9), row("other", 400)];
    let line = "drop pr-* older than 14d, keep only the last 1 of v{semver} per minor, protect other|more, drop all";
    assert_eq!(
        reasons(line, &rows),
        [Reason::Dropped(0), Reason::Dropped(3), Reason::Last(1, 1), Reason::Beyond(1, 2), Reason::Protected(2)]
    );
    let file = Policy::parse(&said(line).toml).unwrap();
    assert_eq!(file.decide(&rows, Timestamp::from_second(NOW).unwrap()).reasons, reasons(line, &rows));
    // Without its number's `only`, the rest is left to what follows, and what no rule decides stays.
    assert_eq!(reasons("keep last 1 of v{semver}", &rows)[3], Reason::Undecided);
    assert_eq!(reasons("keep last 1 of v{semver}, drop v{semver}", &rows)[2..4], [Reason::Last(0, 1), Reason::Dropped(1)]);
    let unread = [Row { created: None, ..row("pr-9", 0) }];
    assert_eq!(reasons("drop pr-* older than 14d", &unread), [Reason::Unknown(0, Fact::Created)]);
}

#[test]
fn what_is_wrong_with_images_decides_where_somebody_looked() {
    let gist = |worst, worst_fixable: Option<Severity>| {
        Some(Gist { at: Timestamp::UNIX_EPOCH, total: 1, fixable: u32::from(worst_fixable.is_some()), worst: Some(worst), worst_fixable })
    };
    let rows = [
        Row { found: gist(Severity::Critical, Some(Severity::Critical)), ..row("bad", 40) },
        Row { found: gist(Severity::Critical, Some(Severity::Low)), ..row("unfixable", 40) },
        Row { found: gist(Severity::Critical, Some(Severity::Critical)), ..row("new", 4) },
        Row { found: gist(Severity::Low, None), ..row("fine", 40) },
        row("unknown", 40),
    ];
    let unknown = Reason::Unknown(0, Fact::Findings);
    let undecided = Reason::Undecided;
    let line = "drop when critical fixable older than 30d";
    assert_eq!(reasons(line, &rows), [Reason::Dropped(0), undecided, undecided, undecided, unknown]);
    assert_eq!(said(line).phrases[0].to_string(), "drop all older than 30d when critical fixable");
    let file = Policy::parse(&said(line).toml).unwrap();
    assert_eq!(file.decide(&rows, Timestamp::from_second(NOW).unwrap()).reasons, reasons(line, &rows));
    assert_eq!(reasons("drop all when fixable", &rows)[..4], [Reason::Dropped(0), Reason::Dropped(0), Reason::Dropped(0), undecided]);
    assert!(policy("drop all when awful").unwrap_err()[0].words.contains("when what"));
}

#[test]
fn mistakes_have_their_place_and_say_what_to_write() {
    let told = |text: &str| -> Vec<(usize, String)> {
        policy(text).unwrap_err().into_iter().map(|mistake| (mistake.column, mistake.to_string())).collect()
    };
    for (text, column, words) in [
        ("", 1, "no rule yet"),
        ("remove pr-*", 1, "begins with keep, drop or protect"),
        ("drop", 5, "what is this rule about?"),
        ("drop pr-* older", 16, "a span is missing"),
        ("drop pr-* older than soon", 22, "\"soon\" is no span"),
        ("drop pr-* elder than 3d", 11, "no condition here"),
        ("drop pr-* per minor", 11, "no condition here"),
        ("keep last three of v*", 11, "no number"),
        ("keep last 0", 11, "no number"),
        ("keep last 3 of", 15, "what is this rule about?"),
        ("keep only v*", 11, "only how many?"),
        ("drop a older 1d older 2d", 17, "said twice"),
        ("drop app-{semver}", 1, "only a v before it"),
        ("drop v{semver}|x", 1, "stands alone"),
        ("drop x|v{semver}", 1, "stands alone"),
        ("drop x|v{semverx}", 1, "stands alone"),
        ("drop v{semver}-{semver}", 1, "one {semver}"),
        ("drop 'v{semver'", 1, "has no end"),
        ("drop v{semver:nonsense}", 1, "nonsense"),
        ("drop all except v{semver}", 17, "can't be an exception (write a keep rule before it"),
        ("drop all except v{semver:>=2}", 17, "can't be an exception"),
        ("drop all except 'rc-*|v{SemVer}'|x", 17, "can't be an exception"),
        ("drop all except 'v*, keep last 5 of rc-*", 17, "a quote has no end (close it with ')"),
        ("keep a, drop \"b'c\\\"", 14, "a quote has no end (close it with \")"),
        ("drop all except v{1,{2}, keep x", 18, "a brace has no end"),
        ("keep a\ndrop é{b, c", 7, "a brace has no end"),
        ("drop a, drop all matching '('", 9, "not a regular expression"),
        ("drop all for x/y/z/w", 1, "latform"),
        ("drop a||b", 6, "empty pattern"),
        ("keep last 3 of v* per group line", 1, "no group line"),
        ("drop a since first seen", 1, "without an age"),
    ] {
        let mistakes = told(text);
        assert!(mistakes.len() == 1 && mistakes[0].0 == column && mistakes[0].1.contains(words), "{text}: {mistakes:?}");
    }
    assert_eq!(told("drop, keep, x").len(), 3, "all of them at once");
}

#[test]
fn what_is_quoted_is_no_word_of_the_language() {
    let phrase = |text: &str| said(text).phrases.remove(0);
    assert_eq!(phrase("drop 'all'").what, What::Tags(vec!["all".to_owned()]));
    assert_eq!(phrase("drop 'older' older 3d").what, What::Tags(vec!["older".to_owned()]));
    assert_eq!(phrase("drop {a,b}-*|'c, d'").what, What::Tags(vec!["{a,b}-*".to_owned(), "c, d".to_owned()]));
    assert_eq!(phrase("drop older than 3d").what, What::All);
    assert_eq!(phrase("keep by label older than 3d").what, What::Label(None));
    assert_eq!(phrase("keep last 5").to_string(), "keep last 5 of all");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9*._-]{1,6}", 1 => "[a-z*{}|,; '\"\\\\]{1,6}", 1 => prop::sample::select(vec!["all", "in", "older", "of", "than", "{a,b}"]).prop_map(str::to_owned)]
}

fn span() -> impl Strategy<Value = Option<String>> {
    prop::option::of((1_u32..400, prop::sample::select(vec!["d", "h", "mo"])).prop_map(|(n, unit)| format!("{n}{unit}")))
}

fn any_phrase() -> impl Strategy<Value = Phrase> {
    let per = prop_oneof![Just(Per::Minor), Just(Per::Major), text().prop_map(Per::Group)];
    let by = prop::option::of(prop::sample::select(vec!["version", "created", "first_seen"]));
    let last =
        (1_usize..9, any::<bool>(), prop::option::of(per), by).prop_map(|(count, only, per, by)| Verb::Last { count, only, per, by });
    let verb = prop_oneof![Just(Verb::Keep), Just(Verb::Drop), Just(Verb::Protect), last];
    let what = prop_oneof![
        Just(What::All),
        Just(What::Tagged),
        Just(What::Untagged),
        Just(What::InUse),
        prop::option::of(text()).prop_map(What::Label),
        prop::collection::vec(text(), 1..3).prop_map(What::Tags),
        prop::sample::select(vec!["v{semver}", "{semver:^1.4}-slim", "{semver:>=1 <2}"]).prop_map(|one| What::Tags(vec![one.to_owned()])),
    ];
    let conditions = (
        (prop::collection::vec(text(), 0..3), span(), span(), any::<bool>(), span()),
        (prop::collection::vec(text(), 0..2), prop::option::of(text()), prop::option::of(text()), prop::option::of(any::<bool>())),
        (prop::option::of(prop::sample::select(vec!["critical", "unknown"])), any::<bool>()),
    );
    let conditions =
        conditions.prop_map(|((except, older, newer, since, unused), (labels, platform, regex, in_use), (findings, fixable))| Conditions {
            since_first_seen: since && (older.is_some() || newer.is_some()),
            except,
            older,
            newer,
            unused,
            labels,
            platform,
            regex,
            in_use,
            findings,
            fixable,
        });
    (verb, what, conditions).prop_map(|(verb, what, mut conditions)| {
        if what == What::InUse {
            conditions.in_use = None;
        }
        Phrase { verb, what, conditions }
    })
}

proptest! {
    /// What is printed reads as what it was.
    #[test]
    fn a_phrase_reads_as_it_is_written(phrase in any_phrase()) {
        let text = phrase.to_string();
        let words = split(&text).map_err(|mistake| TestCaseError::fail(format!("{text}: {mistake}")))?;
        prop_assert_eq!(words.len(), 1, "{}", text);
        let read = Reader { text: &text, words: &words[0], next: 0 }.phrase();
        match &phrase.what {
            What::Tags(patterns) if phrase.fits().is_err() => prop_assert!(read.is_err(), "{patterns:?}"),
            _ => prop_assert_eq!(read.map_err(|mistake| TestCaseError::fail(format!("{text}: {mistake}")))?, phrase),
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(keep|drop|last|3|of|in|use|except|by|label|older|than|14d|per|minor|v\\{semver\\}|\\{|'|\"|,| |\\||\\\\|é){0,14}") {
        if let Ok(said) = policy(&text) {
            let again = Policy::parse(&said.toml).map_err(|mistakes| TestCaseError::fail(format!("{mistakes:?}")))?;
            prop_assert_eq!(format!("{:?}", again.rules), format!("{:?}", said.policy.rules));
            // In a glob it would be the word itself. A label may be called like that.
            let raw = said.toml.lines().find(|line| line.starts_with("match = ") && !line.contains("label = ") && line.contains(SEMVER));
            prop_assert_eq!(raw, None);
        }
    }

    #[test]
    fn no_foreign_text_breaks_the_reader(text in "\\PC{0,40}") {
        let _ = policy(&text);
    }
}
