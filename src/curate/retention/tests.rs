//! Policies put to lists: what each rule decides, what follows, what is refused, and what can't be got wrong whatever the policy.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_760_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn days_ago(days: i64) -> Option<Timestamp> {
    Timestamp::from_second(NOW - days * 86_400).ok()
}

fn digest(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

fn row(tag: &str, days: i64) -> Row {
    Row {
        digest: Some(digest(tag)),
        created: days_ago(days),
        labels: Some(BTreeMap::new()),
        platforms: Some(vec![Platform::new("linux", "amd64", None)]),
        ..Row::unread(tag)
    }
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

/// The tags that go.
fn gone<'a>(policy: &Policy, rows: &'a [Row]) -> Vec<&'a str> {
    let report = policy.decide(rows, now());
    rows.iter().zip(report.reasons).filter(|(_, reason)| reason.drops()).map(|(row, _)| row.tag.as_deref().unwrap_or("-")).collect()
}

#[test]
fn the_example_is_a_policy_and_decides_as_it_says() {
    let example = policy(EXAMPLE);
    assert!(example.is_for("localhost:5000/a/b") && !example.is_for("docker.io/library/app"));
    assert!(example.is_for("registry.example.com/team/a") && !example.is_for("registry.example.com/team/a/b"));
    assert!(example.needs_labels());
    let mut rows: Vec<Row> = ["1.4.0", "1.4.1", "1.4.2", "1.4.3", "1.3.0", "latest", "prod-1"].map(|tag| row(tag, 400)).into();
    rows.extend([row("pr-1", 15), row("pr-2", 13), row("1.5.0-rc1", 20), row("main-7", 1)]);
    rows.extend((1..=6).map(|n| row(&format!("dev-{n}"), 10 - n)));
    rows.push(Row { tag: None, ..row("untagged", 8) });
    rows.push(Row { tag: None, ..row("fresh", 6) });
    rows.push(Row { labels: Some([("retention".into(), "keep".into())].into()), ..row("1.4.0-kept", 500) });
    assert_eq!(gone(&example, &rows), ["1.4.0", "pr-1", "1.5.0-rc1", "dev-1", "-"]);
    let report = example.decide(&rows, now());
    let words = |at: usize| example.words(report.reasons[at], &rows).to_string();
    assert_eq!(words(0), "rule 3: three of each minor line; only the 4th newest of its group");
    assert_eq!(words(3), "rule 3: three of each minor line; the newest of its group");
    assert_eq!(words(5), "rule 1: names that others deploy by");
    assert!(words(7).starts_with("rule 4: drop older_than 14d, tag ["), "{}", words(7));
    assert_eq!(words(8), "no rule decides");
    assert_eq!((report.of, report.dropped, report.share(), report.needs_name), (20, 5, 25, false));
}

#[test]
fn the_first_rule_that_decides_wins_but_protection_holds_anywhere() {
    let rows = [row("a", 1), row("b", 1), row("c", 1)];
    let text = "[[rule]]\nmatch = { tag = \"a\" }\naction = \"keep\"\n[[rule]]\nmatch = { tag = \"*\" }\naction = \"drop\"\n\
                [[rule]]\nmatch = { tag = \"b\" }\naction = \"keep\"\n[[rule]]\nmatch = { tag = \"c\" }\naction = \"protect\"";
    assert_eq!(gone(&policy(text), &rows), ["b"]);
}

#[test]
fn what_is_not_known_stays() {
    let drop = |condition: &str| policy(&format!("[[rule]]\nmatch = {{ tag = \"*\", {condition} }}\naction = \"drop\""));
    let blank = Row { digest: Some(digest("x")), ..Row::unread("x") };
    for condition in ["older_than = \"1d\"", "label = \"a\"", "platform = \"linux/amd64\"", "unused_for = \"1d\"", "newer_than = \"99y\""] {
        let report = drop(condition).decide(std::slice::from_ref(&blank), now());
        assert!(matches!(report.reasons[0], Reason::Unknown(0, _)), "{condition}: {:?}", report.reasons);
    }
    assert_eq!(gone(&policy("[[rule]]\nmatch = { tag = \"*\" }\naction = \"drop\""), &[Row::unread("x")]), [""; 0], "without a digest");
    // A rule that may drop it leaves it to the next, which does.
    let two = policy("[[rule]]\nmatch = { label = \"a\" }\naction = \"drop\"\n[[rule]]\nmatch = { tag = \"x\" }\naction = \"drop\"");
    assert_eq!(gone(&two, std::slice::from_ref(&blank)), ["x"]);
    // One that may keep it keeps it.
    let keep = policy("[[rule]]\nmatch = { label = \"a\" }\naction = \"protect\"\n[[rule]]\nmatch = { tag = \"x\" }\naction = \"drop\"");
    assert_eq!(gone(&keep, std::slice::from_ref(&blank)), [""; 0]);
    // What has no place in the order neither goes nor counts.
    let last = policy("[[rule]]\nmatch = { tag = \"*\" }\nkeep_last = 1\nrest = \"drop\"");
    assert_eq!(gone(&last, &[blank, row("new", 1), row("old", 2)]), ["old"]);
}

#[test]
fn two_names_of_one_image_count_once() {
    let last = policy("[[rule]]\nmatch = { semver = \"*\" }\nkeep_last = 2\nper = \"major\"\nrest = \"drop\"");
    let floating = Row { digest: Some(digest("1.4.2")), ..row("1.4", 1) };
    let rows = [row("1.4.2", 1), floating, row("1.4.1", 1), row("1.4.0", 1), row("2.0.0", 1)];
    assert_eq!(gone(&last, &rows), ["1.4.0"]);
    let report = last.decide(&rows, now());
    assert_eq!((report.reasons[1], report.reasons[2]), (Reason::LastToo(0), Reason::Last(0, 2)));
}

#[test]
fn of_two_that_are_as_new_the_same_one_stays_in_any_order() {
    let last = policy("[[rule]]\nmatch = { all = true }\nkeep_last = 1\nrest = \"drop\"");
    let untagged = |seed: &str| Row { tag: None, ..row(seed, 3) };
    for (one, other) in [(untagged("a"), untagged("b")), (row("1.9", 3), row("1.10", 3)), (untagged("a"), row("x", 3))] {
        let goes =
            |rows: &[Row]| rows.iter().zip(last.decide(rows, now()).reasons).find(|(_, reason)| reason.drops()).map(|(row, _)| row.clone());
        let (there, back) = (goes(&[one.clone(), other.clone()]), goes(&[other, one]));
        assert!(there.is_some() && there == back, "{there:?} {back:?}");
    }
}

#[test]
fn a_variant_is_a_line_of_its_own() {
    let last = policy("[[rule]]\nmatch = { semver = \"*\" }\nkeep_last = 1\nper = \"minor\"\nrest = \"drop\"");
    let rows = ["1.4.0", "1.4.1", "1.4.0-alpine3.18", "1.4.1-alpine3.19", "1.4.0-slim", "1.4.1-2"].map(|tag| row(tag, 1));
    assert_eq!(gone(&last, &rows), ["1.4.0", "1.4.1", "1.4.0-alpine3.18"]);
}

#[test]
fn parts_signatures_and_referrers_go_with_what_they_belong_to() {
    let drop = policy(
        "[[rule]]\nmatch = { tag = \"old*\" }\naction = \"drop\"\n[[rule]]\nmatch = { untagged = true }\naction = \"drop\"\n\
                       [[rule]]\nmatch = { tag = \"sha256-*\" }\naction = \"drop\"",
    );
    let part = |seed: &str| Row { tag: None, ..row(seed, 90) };
    let index = |tag: &str, parts: &[&str]| Row { children: parts.iter().map(|seed| digest(seed)).collect(), ..row(tag, 90) };
    let signature = |of: &str| row(&format!("sha256-{}.sig", digest(of).hex()), 90);
    let about = |seed: &str, of: &str| Row { tag: None, subject: Some(digest(of)), ..row(seed, 90) };
    let rows = [
        index("new", &["shared", "n1"]), // 0
        index("old", &["shared", "o1"]), // 1 goes
        part("shared"),                  // 2 stays with new
        part("n1"),                      // 3 stays
        part("o1"),                      // 4 goes with old
        signature("new"),                // 5 stays
        signature("old"),                // 6 goes
        signature("n1"),                 // 7 stays: of a part
        about("sbom", "old"),            // 8 goes
        about("of-sbom", "sbom"),        // 9 goes, over two steps
        signature("elsewhere"),          // 10 nobody knows of what
        about("ring-a", "ring-b"),       // 11 and 12 hang on each other alone
        about("ring-b", "ring-a"),       // 12
        part("stray"),                   // 13 an untagged image of its own
        index("keeper", &["old-arm"]),   // 14
        row("old-arm", 90),              // 15 a tag of its own, and a part of what stays
        signature("old-arm"),            // 16 with it
    ];
    let report = drop.decide(&rows, now());
    let gone: Vec<usize> = (0..rows.len()).filter(|at| report.reasons[*at].drops()).collect();
    assert_eq!(gone, [1, 4, 6, 8, 9, 13], "{:?}", report.reasons);
    assert_eq!(report.reasons[5], Reason::Follows(0));
    assert_eq!(report.reasons[10], Reason::Orphan);
    assert_eq!(report.reasons[15], Reason::PartOf(14));
    assert_eq!(drop.words(report.reasons[6], &rows).as_str(), "it belongs to old, which goes");
    assert_eq!((report.of, report.dropped), (5, 2), "what follows is not counted");
}

#[test]
fn a_list_that_may_not_be_whole_is_refused() {
    let rows = [row("a", 1)];
    let why = Completeness::Incomplete(Safe::new("the registry sent no end"));
    let listing = Listing { repository: "h/r", rows: &rows, completeness: &why };
    let problem = policy(EXAMPLE).check(listing, now()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict);
    assert!(problem.to_string().contains("the registry sent no end"), "{problem}");
    let whole = Listing { completeness: &Completeness::Complete, ..listing };
    assert!(policy(EXAMPLE).check(whole, now()).is_ok());
    let unread = [row("a", 1), Row::unread("b"), Row::unread("c")];
    let problem = policy(EXAMPLE).check(Listing { rows: &unread, ..whole }, now()).unwrap_err();
    assert!(problem.to_string().contains("what b and 1 more points at is not known"), "{problem}");
}

#[test]
fn more_than_the_share_needs_the_name() {
    let of = |most: &str, tags: &[&str]| {
        let text = format!("{most}\n[[rule]]\nmatch = {{ tag = \"x*\" }}\naction = \"drop\"");
        let rows: Vec<Row> = tags.iter().map(|tag| row(tag, 1)).collect();
        policy(&text).decide(&rows, now()).needs_name
    };
    assert!(!of("", &["x1", "a"]), "half is not more than half");
    assert!(of("", &["x1", "x2", "a"]));
    assert!(!of("most_dropped = 100", &["x1"]));
    assert!(of("most_dropped = 0", &["x1", "a", "b", "c"]));
    assert!(!of("most_dropped = 0", &["a"]) && !of("", &[]));
}

#[test]
fn every_mistake_has_its_place_and_what_to_write() {
    for (text, line, column, words, hint) in [
        ("", 1, 1, "without a rule", "policy example"),
        ("[[rule]]\nmatch = { tga = \"v*\" }\naction = \"keep\"", 2, 11, "no \"tga\"", "did you mean tag?"),
        ("[[rule]]\nmatch = { tag = \"v*\" }\nactoin = \"keep\"", 3, 1, "no \"actoin\"", "did you mean action?"),
        ("[[rule]]\nmatch = { tag = \"v*\" }\naction = \"delete\"", 3, 10, "expected one of \"keep\", \"drop\"", ""),
        ("[[rule]]\nmatch = { regex = \"(\" }\naction = \"keep\"", 2, 19, "unclosed group", ""),
        ("[[rule]]\nmatch = { tag = [\"a\", \"[\"] }\naction = \"keep\"", 2, 23, "not a glob", ""),
        ("[[rule]]\nmatch = { semver = \">=x\" }\naction = \"keep\"", 2, 20, "not a version", ""),
        ("[[rule]]\nmatch = { older_than = \"soon\" }\naction = \"drop\"", 2, 24, "no span", ""),
        ("[[rule]]\nmatch = { age_by = \"created\" }\naction = \"drop\"", 2, 11, "age_by says nothing", ""),
        ("\n[[rule]]\naction = \"drop\"", 2, 1, "which tags", "all = true"),
        ("[[rule]]\nmatch = {}\naction = \"drop\"", 2, 9, "without a condition", "all = true"),
        ("[[rule]]\nmatch = { tag = \"v*\" }", 1, 1, "what shall this rule do", "keep_last = 3"),
        ("[[rule]]\nmatch = { tag = \"v*\" }\naction = \"keep\"\nkeep_last = 1", 1, 1, "action and keep_last", "two rules"),
        ("[[rule]]\nmatch = { tag = \"v*\" }\naction = \"drop\"\nper = \"minor\"", 4, 1, "per says nothing", ""),
        ("[[rule]]\nmatch = { tag = \"v*\" }\nkeep_last = 0", 3, 13, "from 1 to", ""),
        ("[[rule]]\nmatch = { tag = \"v*\" }\nkeep_last = 1\nper = \"group:x\"", 1, 1, "no group x", "(?<name>…)"),
        ("most_dropped = 101\n[[rule]]\nmatch = { all = true }\naction = \"keep\"", 1, 16, "0 to 100", ""),
        ("[rule]\nmatch = { all = true }", 1, 1, "stand in a list", "[[rule]]"),
        ("[[rule]]\nmatch = { all = false }\naction = \"keep\"", 2, 17, "about nothing", ""),
        ("[[rule]\n", 1, 8, "", ""),
    ] {
        let mistakes = Policy::parse(text).unwrap_err();
        let first = &mistakes[0];
        assert_eq!((first.line, first.column), (line, column), "{text}\n{mistakes:?}");
        assert!(first.words.contains(words) && first.hint.clone().unwrap_or_default().contains(hint), "{text}\n{mistakes:?}");
    }
    let two = Policy::parse("[[rule]]\nmatch = { tga = 1 }\naction = 1").unwrap_err();
    assert_eq!(two.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [2, 3], "all at once");
}

const ECR: &str = r#"{"rules": [
    {"rulePriority": 9, "description": "ten of all", "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
     "action": {"type": "expire"}},
    {"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPrefixList": ["pr-"], "countType": "sinceImagePushed", "countUnit": "days",
     "countNumber": 14}, "action": {"type": "expire"}},
    {"rulePriority": 2, "selection": {"tagStatus": "tagged", "tagPatternList": ["a*", "*b"], "countType": "imageCountMoreThan", "countNumber": 1},
     "action": {"type": "expire"}},
    {"rulePriority": 3, "selection": {"tagStatus": "untagged", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 1},
     "action": {"type": "transition", "targetStorageClass": "archive"}}]}"#;

#[test]
fn an_ecr_policy_is_taken_over_in_its_order() {
    let imported = import::ecr(ECR).unwrap();
    let policy = policy(&imported.toml);
    let words: Vec<&str> = policy.rules.iter().map(|rule| rule.words.as_str()).collect();
    assert_eq!(
        words,
        ["rule 1", "rule 1: the younger ones", "rule 2, which has no equivalent", "rule 3, which has no equivalent", "ten of all"]
    );
    let left_out: Vec<&str> = imported.notes.iter().filter(|note| note.left_out).map(|note| note.at.as_str()).collect();
    assert_eq!(left_out, ["rule 2", "rule 3"]);
    assert!(imported.toml.contains("# rule 2 (left out): several prefixes"), "{}", imported.toml);
    let mut rows = vec![row("pr-1", 15), row("pr-2", 13), row("ab", 999), Row { tag: None, ..row("u", 999) }];
    rows.extend((0..12).map(|n| row(&format!("x{n:02}"), n)));
    assert_eq!(gone(&policy, &rows), ["pr-1", "x10", "x11"], "what a rule selects is out of reach of later ones");
}

#[test]
fn harbor_rules_are_taken_over_with_the_drop_that_they_imply() {
    let rules = |template: &str, extra: &str| {
        format!(
            r#"{{"algorithm": "or", "rules": [
            {{"action": "retain", "template": "latestPushedK", "params": {{"latestPushedK": 2}}, {extra}
              "tag_selectors": [{{"kind": "doublestar", "decoration": "matches", "pattern": "v**", "extras": "{{\"untagged\":false}}"}}],
              "scope_selectors": {{"repository": [{{"kind": "doublestar", "decoration": "repoMatches", "pattern": "team/**"}}]}}}},
            {{"action": "retain", "template": "{template}", "params": {{"{template}": 7}},
              "tag_selectors": [{{"kind": "doublestar", "decoration": "excludes", "pattern": "v*", "extras": "{{\"untagged\":true}}"}}],
              "scope_selectors": {{"repository": [{{"kind": "doublestar", "decoration": "repoMatches", "pattern": "team/**"}}]}}}}]}}"#
        )
    };
    let rows = [row("v1", 1), row("v2", 2), row("v3", 3), row("x", 6), row("y", 8)];
    let imported = import::harbor(&rules("nDaysSinceLastPush", "")).unwrap();
    let whole = policy(&imported.toml);
    assert_eq!(gone(&whole, &rows), ["v3", "y"]);
    assert!(whole.is_for("harbor.example.com/team/app") && !whole.is_for("harbor.example.com/other/app"));
    // A rule that can't be taken over takes the final drop with it.
    let part = import::harbor(&rules("nDaysSinceLastPull", "")).unwrap();
    assert_eq!(gone(&policy(&part.toml), &rows), [""; 0]);
    assert!(part.notes.iter().any(|note| note.left_out && note.words.as_str().contains("nDaysSinceLastPull")), "{:?}", part.notes);
    let disabled = import::harbor(&rules("always", "\"disabled\": true,")).unwrap();
    assert_eq!(gone(&policy(&disabled.toml), &rows), ["v1", "v2", "v3"]);
}

#[test]
fn what_is_no_policy_of_others_is_said() {
    for text in ["", "[]", "{}", "{\"rules\": []}", "{\"rules\": [{}]}"] {
        assert!(import::ecr(text).is_err() && import::harbor(text).is_err(), "{text}");
    }
    let hostile = ECR.replace("ten of all", "x\\\"\\n[[rule]]\\u001b");
    assert_eq!(policy(&import::ecr(&hostile).unwrap().toml).rules.len(), 5);
}

/// Rules of every kind, to be put together at random.
const RULES: [&str; 10] = [
    "match = { untagged = true }\nkeep_last = 1\nrest = \"drop\"",
    "match = { tag = \"latest\" }\naction = \"protect\"",
    "match = { tag = \"*\" }\naction = \"drop\"",
    "match = { all = true, older_than = \"5d\" }\naction = \"drop\"",
    "match = { untagged = true }\naction = \"drop\"",
    "match = { tag = \"1.*\" }\naction = \"keep\"",
    "match = { semver = \"*\" }\nkeep_last = 1\nper = \"minor\"\nrest = \"drop\"",
    "match = { regex = \"^([a-z])\" }\nkeep_last = 2\nper = \"group:1\"\nrest = \"drop\"",
    "match = { all = true }\nkeep_last = 2",
    "match = { label = \"keep\" }\naction = \"protect\"",
];

prop_compose! {
    fn any_row()(
        tag in prop::option::weighted(0.8, prop::sample::select(vec!["latest", "1.0.0", "1.0.1", "1.1.0", "2", "a", "b", "pr-1"])),
        seed in prop::option::weighted(0.9, 0_u8..8), days in prop::option::weighted(0.9, 0_i64..9), children in prop::collection::vec(0_u8..8, 0..2),
        subject in prop::option::weighted(0.2, 0_u8..10), in_use in prop::bool::weighted(0.1), labels in prop::option::of(any::<bool>()),
    ) -> Row {
        let of = |seed: u8| digest(&seed.to_string());
        Row {
            tag: tag.map(str::to_owned), digest: seed.map(of), created: days.and_then(days_ago), in_use,
            children: children.into_iter().map(of).collect(), subject: subject.map(of),
            labels: labels.map(|keep| if keep { [("keep".into(), "".into())].into() } else { BTreeMap::new() }),
            ..Row::default()
        }
    }
}

prop_compose! {
    fn any_policy()(rules in prop::collection::vec(prop::sample::select(RULES.to_vec()), 1..6)) -> Policy {
        policy(&rules.iter().flat_map(|rule| ["[[rule]]\n", rule, "\n"]).collect::<String>())
    }
}

/// Rows with a tag each, and untagged ones, as a repository has them: a tag once, an untagged digest once.
fn repository(mut rows: Vec<Row>) -> Vec<Row> {
    let mut seen = std::collections::HashSet::new();
    rows.retain(|row| seen.insert((row.tag.clone(), if row.tag.is_none() { row.digest.clone() } else { None })));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_protected_or_used_or_belonging_to_what_stays_ever_goes(policy in any_policy(), rows in prop::collection::vec(any_row(), 0..12)) {
        let rows = repository(rows);
        let report = policy.decide(&rows, now());
        let protects = policy.rules.iter().filter(|rule| rule.action == Action::Protect).map(|rule| &rule.matches).collect::<Vec<_>>();
        for (row, reason) in rows.iter().zip(&report.reasons).filter(|(_, reason)| reason.drops()) {
            prop_assert!(!row.in_use && row.digest.is_some(), "{row:?} {reason:?}");
            prop_assert!(protects.iter().all(|matches| matches.holds(row, now()) == rule::Truth::No), "{row:?} {reason:?}");
            for (other, _) in rows.iter().zip(&report.reasons).filter(|(_, reason)| !reason.drops()) {
                let belongs = row.subject.is_some() && row.subject == other.digest;
                let part = row.digest.as_ref().is_some_and(|digest| other.children.contains(digest)) && row.digest != other.digest;
                prop_assert!(!belongs && !part, "{row:?} goes, and belongs to {other:?}, which stays");
            }
        }
        prop_assert_eq!(report.reasons.len(), rows.len());
    }

    #[test]
    fn the_order_of_rows_does_not_matter(policy in any_policy(), rows in prop::collection::vec(any_row(), 0..12), turn in 0_usize..12) {
        let rows = repository(rows);
        let mut turned: Vec<Row> = rows.iter().rev().cloned().collect();
        turned.rotate_left(turn.min(rows.len()));
        let (one, other) = (policy.decide(&rows, now()), policy.decide(&turned, now()));
        for (row, reason) in rows.iter().zip(&one.reasons) {
            let at = turned.iter().position(|other| other == row).unwrap();
            prop_assert_eq!(reason.drops(), other.reasons[at].drops(), "{:?}", row);
            prop_assert_eq!(reason.rule(), other.reasons[at].rule());
        }
        prop_assert_eq!((one.of, one.dropped, one.needs_name), (other.of, other.dropped, other.needs_name));
    }

    #[test]
    fn keep_last_keeps_the_newest_and_no_more(days in prop::collection::vec(0_i64..50, 0..30), last in 1_usize..9) {
        let rows: Vec<Row> = days.iter().enumerate().map(|(at, days)| row(&format!("t{at}"), *days)).collect();
        let text = format!("[[rule]]\nmatch = {{ tag = \"*\" }}\nkeep_last = {last}\nrest = \"drop\"");
        let report = policy(&text).decide(&rows, now());
        prop_assert_eq!(rows.len() - report.dropped, last.min(rows.len()));
        let of = |drops: bool| days.iter().zip(&report.reasons).filter(move |(_, reason)| reason.drops() == drops).map(|(days, _)| *days);
        prop_assert!(of(false).max() <= of(true).min() || of(true).count() == 0);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "([a-z_]{1,8} = |\\[\\[rule\\]\\]\n|match|keep_last|\\{|\\}|\"|[0-9]|\n|,|é| ){0,25}") {
        let _ = Policy::parse(&text);
    }
}
