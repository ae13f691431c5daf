//! Rules, wishes and texts together.

use proptest::prelude::*;

use super::*;

const REPO: &str = "registry.example.com/team/app";

fn row(tag: &str, seed: &str) -> Row {
    Row { name: joined(REPO, tag), digest: Digest::sha256(seed.as_bytes()), created: None, labels: None }
}

fn rows(tags: &[&str]) -> Vec<Row> {
    tags.iter().map(|tag| row(tag, tag)).collect()
}

fn names(rows: &[Row]) -> Names {
    rows.iter().map(|row| (row.name.clone(), row.digest.clone())).collect()
}

fn preset(text: &str) -> Rule {
    Rule::Preset(Preset::parse(text).unwrap())
}

/// What a rule makes of tags, in a repository that also has `others`: the new tags of each, or why not.
fn made(rule: &Rule, tags: &[&str], others: &[&str]) -> Vec<String> {
    let all = names(&rows(&[tags, others].concat()));
    let rows = rows(tags);
    let answers = rule.answers(&Rows { rows: &rows, names: &all, now: Timestamp::UNIX_EPOCH });
    let tag = |name: &Name| name.split().1.unwrap_or_default().to_owned();
    answers
        .iter()
        .map(|answer| match answer {
            Answer::Unchanged => "=".to_owned(),
            Answer::Names(names) => names.iter().map(tag).collect::<Vec<_>>().join(" "),
            Answer::Not(why) => format!("! {}", why.words()),
        })
        .collect()
}

#[test]
fn only_the_newest_candidate_of_a_version_is_promoted() {
    let of = made(&preset("promote:latest,stable"), &["1.4.0-rc2", "1.4.0-rc10", "1.4.0", "latest"], &["1.3.9"]);
    assert_eq!(of[0], "! 1.4.0-rc10 is a newer candidate of the same version");
    assert_eq!(of[1], "1.4.0 1.4 1 latest stable");
    assert_eq!(of[2], "! it is no candidate of a version");
    assert_eq!(of[3], "! its tag is no version");
    // A newer one that was not marked counts as well.
    assert!(made(&preset("promote"), &["1.4.0-rc2"], &["1.4.0-rc3"])[0].contains("1.4.0-rc3 is a newer"));
}

#[test]
fn a_line_s_name_moves_only_to_its_newest_release() {
    let promote = preset("promote:latest");
    assert_eq!(made(&promote, &["1.4.0-rc3"], &["1.4.2", "1.3.0"]), ["1.4.0 1 latest".replace(" 1 latest", "")]);
    assert_eq!(made(&promote, &["1.4.3-rc1"], &["1.4.2", "1.5.0", "1.5"]), ["1.4.3 1.4"]);
    assert_eq!(made(&promote, &["1.6.0-rc1"], &["1.5.0", "2.0.0"]), ["1.6.0 1.6 1"]);
    assert_eq!(made(&promote, &["1.6.0-rc1", "1.6.1-rc1"], &[]), ["1.6.0", "1.6.1 1.6 1 latest"], "promoted together");
    assert_eq!(made(&promote, &["v2.0.0-rc1-alpine"], &["v2.1.0", "1.0.0-alpine"]), ["v2.0.0-alpine v2.0-alpine v2-alpine latest-alpine"]);
    assert_eq!(made(&promote, &["16.2-rc1"], &["16.1", "16"]), ["16.2 16 latest"], "versions of two numbers");
    assert_eq!(made(&preset("release"), &["1.4.0-rc3"], &[]), ["1.4.0"]);
}

#[test]
fn words_before_and_behind_are_put_once() {
    assert_eq!(made(&preset("deprecate"), &["1.0", "deprecated-1.0"], &[]), ["deprecated-1.0", "="]);
    assert_eq!(made(&preset("suffix:-old"), &["a", &"b".repeat(126)], &[])[0], "a-old");
    assert!(made(&preset("suffix:-old"), &[&"b".repeat(126)], &[])[0].contains("is no tag"));
    for bad in ["prefix:", "prefix:-x", "suffix:a b", "mirror:", "mirror:host", "mirror:a.b/UP", "promote:a/b", "deprecate:x", "none"] {
        assert!(Preset::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_mirror_keeps_the_path() {
    let (all, mut list) = (Names::new(), rows(&["v1"]));
    list.push(Row { name: Name::new("docker.io/library/alpine:3"), ..row("x", "x") });
    list.push(Row { name: Name::new("alpine:3"), ..row("x", "x") });
    list.push(Row { name: Name::new("alpine"), ..row("x", "x") });
    let wishes = wishes(&Rows { rows: &list, names: &all, now: Timestamp::UNIX_EPOCH }, &preset("mirror:localhost:5000/hub"));
    let to: Vec<&str> = wishes.iter().map(|wish| wish.to.raw()).collect();
    assert_eq!(to, ["localhost:5000/hub/team/app:v1", "localhost:5000/hub/library/alpine:3", "localhost:5000/hub/alpine:3"]);
}

#[test]
fn numbers_count_the_rows_that_get_one() {
    let rule = Rule::Template(Template::parse("{major}-{n:02}").unwrap());
    assert_eq!(made(&rule, &["1.0", "latest", "2.0"], &[]), ["1-01", "! its tag is no version", "2-02"]);
}

#[test]
fn all_wishes_are_looked_at_together() {
    let list = rows(&["a", "b", "c"]);
    let wish = |from: usize, to: &str| Wish { from: list[from].name.clone(), to: joined(REPO, to), digest: list[from].digest.clone() };
    let wishes = [wish(0, "new"), wish(0, "b"), wish(0, "two"), wish(1, "two"), wish(0, "two"), wish(2, "c"), wish(0, "-x")];
    let marks = check(&wishes, &names(&list));
    assert_eq!(
        marks,
        [
            Mark::New,
            Mark::Overwrites(list[1].digest.clone()),
            Mark::Collides(3),
            Mark::Collides(2),
            Mark::Collides(3),
            Mark::Same,
            Mark::Invalid
        ]
    );
    // Two names of one image may agree.
    let same = [wish(0, "x"), Wish { from: list[1].name.clone(), ..wish(0, "x") }];
    assert_eq!(check(&same, &names(&list)), [Mark::New, Mark::New]);
}

#[test]
fn a_text_is_read_as_it_is_written_by_hand() {
    let list = rows(&["1.4.0-rc3", "old", "x", "y-"]);
    let text = "# comment\n\n1.4.0-rc3 → 1.4.0 1.4 # behind\nold->deprecated-old\nold -\n x  z\ny- -> other.io/app:1\r\nx -> x\nx → z\n";
    let edited = text::read(text, &list).unwrap();
    let got: Vec<(&str, &str)> = edited.wishes.iter().map(|wish| (wish.from.split().1.unwrap(), wish.to.raw())).collect();
    let at = |tag: &str| format!("{REPO}:{tag}");
    let (rc, minor, old, z) = (at("1.4.0"), at("1.4"), at("deprecated-old"), at("z"));
    assert_eq!(got, [("1.4.0-rc3", &*rc), ("1.4.0-rc3", &minor), ("old", &old), ("x", &z), ("y-", "other.io/app:1")]);
    assert_eq!(edited.untag, [(list[1].name.clone(), list[1].digest.clone())]);
}

#[test]
fn every_mistake_in_a_text_has_its_place() {
    let list = rows(&["a", "b"]);
    let text = "a → ok\nç → x\na\n→ x\na → .x\na → y → z\n  b → ok\n";
    let mistakes = text::read(text, &list).unwrap_err();
    let told: Vec<(usize, usize, &str)> = mistakes.iter().map(|it| (it.line, it.column, it.words.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, 1, "there is no ç among the tags"),
            (3, 2, "the target is missing"),
            (4, 1, "the source is missing"),
            (5, 5, ".x is no tag"),
            (6, 7, "a second arrow"),
            (7, 7, "ok is given to another image in line 1"),
        ]
    );
    let both = text::read("a → b\nb → -\n", &list).unwrap_err();
    assert_eq!((both.len(), both[0].line, both[0].column), (1, 2, 5), "{both:?}");
}

#[test]
fn what_is_no_name_is_left_out_of_a_text() {
    let mut list = rows(&["a"]);
    list.push(Row { name: Name::new("app:evil → b\n\u{1b}[2J"), ..row("x", "x") });
    let text = text::write(&list, None);
    assert!(text.contains("# left out") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(text::read(&text, &list), Ok(text::Edited::default()));
}

proptest! {
    /// From rows to text to wishes, whatever a rule made of them, in one repository and in several.
    #[test]
    fn a_text_says_what_the_rule_said(
        tags in prop::collection::btree_set("[a-z0-9_][a-z0-9._-]{0,6}", 1..12),
        repos in prop::collection::vec(prop::sample::select(vec![REPO, "app", "localhost:5000/a/b"]), 12),
        rule in prop::sample::select(vec!["deprecate", "suffix:.x", "promote:latest", "mirror:m.io/n"]),
        one in any::<bool>(),
    ) {
        let list: Vec<Row> = tags.iter().zip(repos).map(|(tag, repo)| {
            Row { name: joined(if one { REPO } else { repo }, tag), digest: Digest::sha256(tag.as_bytes()), created: None, labels: None }
        }).collect();
        let all = names(&list);
        let rows = Rows { rows: &list, names: &all, now: Timestamp::UNIX_EPOCH };
        let answers = preset(rule).answers(&rows);
        let wished = wished(&list, answers.clone());
        prop_assume!(!check(&wished, &all).iter().any(|mark| matches!(mark, Mark::Collides(_))));
        let text = text::write(&list, Some(&answers));
        let edited = text::read(&text, &list).map_err(|mistakes| TestCaseError::fail(format!("{mistakes:?}\n{text}")))?;
        prop_assert_eq!(edited.wishes, wished);
        prop_assert!(edited.untag.is_empty());
        prop_assert_eq!(text::read(&text::write(&list, None), &list), Ok(text::Edited::default()));
    }

    /// Whatever a rule makes, what it calls a name is one.
    #[test]
    fn no_rule_makes_what_is_no_name(
        tags in prop::collection::vec("[ -~é]{0,9}", 1..6), find in "[a-z0-9.()|+*^$\\\\d]{0,8}", with in "[ -~]{0,8}", template in "[a-z{}:0-9 .]{0,12}",
    ) {
        let list = rows(&tags.iter().map(String::as_str).collect::<Vec<_>>());
        let all = names(&list);
        let of = Rows { rows: &list, names: &all, now: Timestamp::UNIX_EPOCH };
        let pattern = Pattern::new(&find, &with, false, Case::AsIs).ok().map(Rule::Pattern);
        let template = Template::parse(&template).ok().map(Rule::Template);
        for rule in pattern.into_iter().chain(template).chain([preset("promote"), preset("deprecate")]) {
            for wish in wishes(&of, &rule) {
                prop_assert!(check::is_name(&wish.to), "{:?}", wish.to);
            }
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[a-c→>#\n é-]{0,60}") {
        let _ = text::read(&text, &rows(&["a", "b", "a-b"]));
    }
}
