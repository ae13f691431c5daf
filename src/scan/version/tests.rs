use proptest::prelude::*;

use super::*;

const ALL: [Order; 7] = [Order::Alpine, Order::Debian, Order::Maven, Order::Plain, Order::Python, Order::Rpm, Order::Semver];

/// Each text is before the next; those that a `=` parts are one.
#[track_caller]
fn rising(order: Order, line: &str) {
    let groups: Vec<Vec<&str>> = line.split_whitespace().map(|group| group.split('=').collect()).collect();
    let place = |at: usize| groups[at].iter().map(move |text| (at, *text));
    let all: Vec<(usize, &str)> = (0..groups.len()).flat_map(place).collect();
    for (at, one) in &all {
        for (its, two) in &all {
            let parsed = |text| order.parse(text).unwrap_or_else(|| panic!("{text} is refused"));
            assert_eq!(parsed(one).partial_cmp(&parsed(two)), Some(at.cmp(its)), "{one} and {two}");
        }
    }
}

#[track_caller]
fn refused(order: Order, texts: &[&str]) {
    for text in texts {
        assert!(order.parse(text).is_none(), "{text} is taken for a version");
    }
}

#[test]
fn debian() {
    rising(
        Order::Debian,
        "1.0~~ 1.0~~a 1.0~ 1.0=1.0-0=0:1.0 1.0-0a 1.0-1~deb12u1 1.0-1=1.0-01 1.0-1+b1 1.0-1.1 1.0-2 1.0a 1.0+b 1.0.1 1.9 1.10 1:0.1",
    );
    rising(Order::Debian, "2.36-9+deb12u3 2.36-9+deb12u10 2.36-10");
    rising(Order::Debian, "99999999999999999999998 99999999999999999999999");
    refused(Order::Debian, &["", "a:1", ":1", "1:", "1.0 2", "1.0/2", "é"]);
}

#[test]
fn rpm() {
    rising(Order::Rpm, "1.0~rc1 1.0~rc1^git1 1.0 1.0^20240101 1.0a 1.0.1 1.1=1.01=1_1 1.10 2 1:0.1 2:0.0");
    rising(Order::Rpm, "1.0 1.0-1.el9 1.0-1.el9_2 1.0-1.el9_10 1.0-2.el8 1.0-10");
    rising(Order::Rpm, "5.14.0-362.8.1.el9_3 5.14.0-427.el9 5.14.1-1");
}

#[test]
fn alpine() {
    rising(
        Order::Alpine,
        "1.1_alpha 1.1_alpha2 1.1_beta1 1.1_pre1 1.1_rc1 1.1_rc1-r1 1.1 1.1-r1=1.1-r01 1.1-r2 1.1_git20240101 1.1_p1 1.1_p2 1.1a 1.1p1 1.1.1 1.2 1.10 2",
    );
    rising(Order::Alpine, "1.01 1.1");
    rising(Order::Alpine, "1.2 1.2~0abc 1.2~0abd");
    refused(Order::Alpine, &["", "a", ".1", "1.", "1..2", "1_blah1", "1-x", "1.2A", "1-r1-r2", "1~xyz", "1.0bc"]);
}

#[test]
fn python() {
    rising(
        Order::Python,
        "what.ever 0.9-stable 1.0.dev1 1.0a1.dev2 1.0a1 1.0b2 1.0rc1=1.0c1 1.0=1=1.0.0 1.0+local.1 1.0.post1=1.0-1 1.1 1.10 2!0.1",
    );
    rising(Order::Python, "1.0-bad-a 1.0-bad-b 1.0-bad-b-9 1.0-bad-b-10 0.1");
    assert_ne!(Order::Python.parse("1.0-final-"), Order::Python.parse("1.0"), "what is no version is none of them");
}

#[test]
fn semantic() {
    rising(
        Order::Semver,
        "0 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0=v1.0.0=1=v1.0=1.0.0+build 1.2.3 1.10",
    );
    rising(Order::Semver, "v0.0.0-20190308221718-c2843e01d9a2 v0.0.0-20210921155107-089bfa567519 v0.1.0 v2.0.0+incompatible=2.0.0");
    rising(Order::Semver, "1.20.14 1.21.0-0 1.21rc2 1.21rc3 1.21.0=1.21 1.21.3");
    rising(Order::Semver, "0 18446744073709551616 18446744073709551617");
    refused(Order::Semver, &["", "v", "(devel)", "latest", "1.x", "1.0.0-", "1.0.0-a..b", "1.", "*", ">=1.0"]);
}

#[test]
fn maven() {
    rising(
        Order::Maven,
        "1-alpha-1=1a1=1.0-ALPHA-1 1-alpha-2 1-beta 1-milestone-1=1m1 1-rc=1cr 1-SNAPSHOT 1=1.0=1.0.0=1-ga=1.final=1-0 1-sp 1-jre 1-jre8 1-1 1-2 1.0.1 1.1 1.10 2",
    );
    rising(Order::Maven, "9.4.19.Final 9.4.20.Final 20190126.1 99999999999999999999.1");
}

#[test]
fn without_a_rule() {
    rising(Order::Plain, "1.0rc1 1.0=v1=1.0.0 1.0.1 1.9 1.10 2-beta 2");
}

#[test]
fn ecosystems_have_their_orders_and_two_orders_nothing_in_common() {
    use Order::{Alpine, Debian, Maven, Plain, Python, Rpm, Semver};
    let of =
        ["Debian:12", "Ubuntu:22.04:LTS", "Alpine:v3.19", "Wolfi", "AlmaLinux:9", "PyPI", "Go", "Maven", "Hex"].map(Order::of_ecosystem);
    assert_eq!(of, [Debian, Debian, Alpine, Alpine, Rpm, Python, Semver, Maven, Plain]);
    let [one, two] = [Debian, Rpm].map(|order| order.parse("1.0").unwrap());
    assert_eq!(one.partial_cmp(&two), None);
    assert_ne!(one, two);
    assert!(ALL.iter().all(|order| order.parse(&"1".repeat(LONGEST + 1)).is_none() && order.parse("1\u{1b}").is_none()));
}

/// What versions are made of, so that the interesting cases come up.
fn versions() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9]{1,2}",
        Just("00".to_owned()),
        "[a-c.+~^:_-]",
        prop_oneof![Just("alpha"), Just("rc"), Just("final"), Just("ga"), Just("-r"), Just("_p"), Just("dev"), Just("post"), Just("-")]
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| format!("1{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_order_is_total(texts in proptest::collection::vec(versions(), 3)) {
        for order in ALL {
            let Some(all) = texts.iter().map(|text| order.parse(text)).collect::<Option<Vec<_>>>() else { continue };
            let [one, two, three] = all.as_slice() else { unreachable!() };
            prop_assert_eq!(one.partial_cmp(one), Some(Ordering::Equal));
            prop_assert_eq!(one.partial_cmp(two), two.partial_cmp(one).map(Ordering::reverse), "{:?}", order);
            // By its own rule Maven's goes round in some corners.
            if order != Order::Maven && one <= two && two <= three {
                prop_assert!(one <= three, "{:?}: {:?}", order, texts);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), version in versions(), at in 0..8_usize) {
        let mut mixed: Vec<char> = version.chars().collect();
        mixed.splice(at.min(mixed.len())..at.min(mixed.len()), text.chars());
        for order in ALL {
            let parsed = [&text, &mixed.iter().collect::<String>()].map(|text| order.parse(text));
            if let [Some(one), Some(two)] = &parsed {
                prop_assert!(one.partial_cmp(two).is_some());
            }
        }
    }
}
