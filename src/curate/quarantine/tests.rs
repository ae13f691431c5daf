//! What is found of a suspect, and what is said of it.

use std::collections::BTreeMap;

use super::*;
use crate::curate::plan::Wish;

fn digest(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

/// `a/b`: a layer by its digest and diff ID; either may be missing.
fn layers(text: &str) -> Vec<Layer> {
    let one = |seed: &str| (!seed.is_empty()).then(|| digest(seed));
    text.split(' ')
        .filter_map(|layer| layer.split_once('/'))
        .map(|(stored, diff)| Layer { digest: one(stored), diff_id: one(diff) })
        .collect()
}

fn image(seed: &str, container: Option<&str>) -> ImageSummary {
    let user = |name: &str| ContainerUse { id: "c1".into(), name: name.into(), running: true, state: "running".into() };
    ImageSummary {
        id: digest(seed),
        tags: vec![Name::new(&format!("{seed}:1"))],
        repo_digests: vec![Name::new(&format!("{seed}@{}", digest(&format!("{seed}-manifest"))))],
        created: None,
        size: None,
        unique_size: None,
        platform: None,
        containers: Some(container.map(user).into_iter().collect()),
        labels: BTreeMap::new(),
    }
}

fn remote(name: &str, parts: Option<&str>, children: Option<&[&str]>) -> Remote {
    Remote {
        name: Name::new(&format!("reg.io/{name}:1")),
        digest: digest(name),
        config: Some(digest(&format!("{name}-config"))),
        layers: parts.map(layers),
        children: children.map(|all| all.iter().map(|child| digest(child)).collect()),
    }
}

fn found(report: &Report) -> Vec<(String, How)> {
    let local = report.local.iter().map(|hit| (hit.tags[0].raw().to_owned(), hit.how.clone()));
    local.chain(report.remote.iter().map(|hit| (hit.name.raw().to_owned(), hit.how.clone()))).collect()
}

#[test]
fn a_layer_is_found_under_every_digest_it_is_known_by() {
    let (one, other, clean) = (image("one", Some("web-1")), image("other", None), image("clean", None));
    let local = [
        Local { image: &one, layers: Some(layers("/base /bad")) },
        Local { image: &other, layers: None },
        Local { image: &clean, layers: Some(layers("/base /good")) },
    ];
    let remotes = [
        remote("gz", Some("base-gz/base bad-gz/bad"), None),
        remote("zst", Some("bad-zst/bad"), None),
        remote("bare", Some("bad-zst/"), None),
        remote("good", Some("good-gz/"), None),
        remote("index", None, Some(&["good", "zst"])),
        remote("outer", None, Some(&["index"])),
        remote("dark", None, None),
        remote("dim", None, Some(&["nobody-knows"])),
    ];
    for suspect in ["bad", "bad-gz", "bad-zst"] {
        let report = trace(&digest(suspect), &local, &remotes);
        let names = found(&report);
        assert_eq!(
            names,
            [
                ("one:1", How::Layer(1)),
                ("reg.io/gz:1", How::Layer(1)),
                ("reg.io/zst:1", How::Layer(0)),
                ("reg.io/bare:1", How::Layer(0)),
                ("reg.io/index:1", How::Index),
                ("reg.io/outer:1", How::Index)
            ]
            .map(|(name, how)| (name.to_owned(), how)),
            "{suspect}"
        );
        assert_eq!(report.containers.len(), 1);
        assert_eq!(report.not_looked_into, NotLooked { local: 1, remote: 2, ..NotLooked::default() });
        assert_eq!(report.also.len(), 2);
    }
}

#[test]
fn an_image_pollutes_what_is_built_on_it_and_not_what_shares_its_base() {
    let (bad, child, sibling) = (image("bad", None), image("child", Some("db")), image("sibling", None));
    let local = [
        Local { image: &bad, layers: Some(layers("/base /own")) },
        Local { image: &child, layers: Some(layers("/base /own /more")) },
        Local { image: &sibling, layers: Some(layers("/base /else")) },
    ];
    let remotes = [remote("there", Some("b-gz/base o-gz/own m-gz/more"), None), remote("short", Some("b-gz/"), None)];
    for suspect in ["bad", "bad-manifest"] {
        let report = trace(&digest(suspect), &local, &remotes);
        let expected = [("bad:1", How::Itself), ("child:1", How::BuiltOnIt), ("reg.io/there:1", How::BuiltOnIt)];
        assert_eq!(found(&report), expected.map(|(name, how)| (name.to_owned(), how)), "{suspect}");
        assert_eq!(report.containers[0].image, digest("child"));
    }
    let by_config = trace(&digest("there-config"), &local, &remotes);
    let expected = [("child:1", How::BuiltOnIt), ("reg.io/there:1", How::Itself)];
    assert_eq!(found(&by_config), expected.map(|(name, how)| (name.to_owned(), how)), "what it is built on is not concerned");
    // An image without layers is a part of everything, and so of nothing.
    let empty = [Local { image: &bad, layers: Some(vec![]) }, Local { image: &child, layers: Some(layers("/base")) }];
    assert_eq!(found(&trace(&digest("bad"), &empty, &[])).len(), 1);
}

#[test]
fn an_index_is_looked_for_with_the_images_in_it() {
    let (child, other) = (image("child", Some("db")), image("other", None));
    let local = [Local { image: &child, layers: Some(layers("/base /own /more")) }, Local { image: &other, layers: Some(layers("/base")) }];
    let remotes = [
        remote("arm", Some("b/base p/else"), None),
        remote("amd", Some("b/base o/own"), None),
        remote("index", None, Some(&["arm", "amd"])),
    ];
    assert_eq!(found(&trace(&digest("index"), &local, &remotes)).len(), 1, "an index has no layers of its own");
    let report = trace_all(&[digest("index"), digest("arm"), digest("amd")], &local, &remotes).unwrap();
    let expected =
        [("child:1", How::BuiltOnIt), ("reg.io/index:1", How::Itself), ("reg.io/arm:1", How::Itself), ("reg.io/amd:1", How::Itself)];
    assert_eq!(found(&report), expected.map(|(name, how)| (name.to_owned(), how)));
    assert_eq!((report.suspect, report.containers.len()), (digest("index"), 1));
    assert_eq!(trace_all(&[], &local, &remotes), None);
}

#[test]
fn a_name_is_put_away_once() {
    let away = |name: &str| put_away(&Name::new(name), PREFIX).map(|name| name.raw().to_owned());
    assert_eq!(away("localhost:5000/app:1.2").as_deref(), Some("localhost:5000/app:quarantine-1.2"));
    for name in ["app:quarantine-1", "app", &format!("app:{}", "x".repeat(120)), &format!("app@{}", digest("x")), "app:\u{1b}[2J"] {
        assert_eq!(away(name), None, "{name}");
    }
}

#[test]
fn a_name_that_something_else_was_put_away_under_stays_with_that() {
    let names = |seed: &str, names: &[&str]| {
        let mut image = image(seed, None);
        image.tags = names.iter().map(|name| Name::new(name)).collect();
        image
    };
    let (older, newer) = (names("older", &["app:quarantine-latest"]), names("newer", &["app:latest", "app:quarantine-2", "app:2"]));
    let local = [&older, &newer].map(|image| Local { image, layers: Some(layers("/bad")) });
    let remotes = [remote("one", Some("/bad"), None)];
    let other = Remote { name: Name::new("reg.io/one:quarantine-1"), ..remote("two", Some("/clean"), None) };
    let away = |wishes: Vec<Wish>| -> Vec<String> {
        let given = wishes.into_iter().filter_map(|wish| if let Wish::Tag { to, .. } = wish { Some(to.raw().to_owned()) } else { None });
        given.collect()
    };
    let there = |report: &Report| away(report.wishes_there(Some(PREFIX)).into_iter().flat_map(|(_, wishes)| wishes).collect());
    let report = trace(&digest("bad"), &local, &[remotes[0].clone(), other]);
    let own = |tag: &str, seed: &str| format!("{tag}-{}", digest(seed).short());
    assert_eq!(away(report.wishes_here(Some(PREFIX))), [own("app:quarantine-latest", "newer"), "app:quarantine-2".to_owned()]);
    assert_eq!(there(&report), [own("reg.io/one:quarantine-1", "one")]);
    assert_eq!(there(&trace_all(&[digest("bad")], &[], &remotes).unwrap()), ["reg.io/one:quarantine-1"]);
}

#[test]
fn the_report_is_a_document_and_harmless_markdown() {
    let mut hostile = image("x", Some("a|b<script>\u{1b}[2J"));
    hostile.tags = vec![Name::new("evil`|\n# x:1")];
    let unknown = ImageSummary { containers: None, ..image("y", None) };
    let local = [Local { image: &hostile, layers: Some(layers("/bad")) }, Local { image: &unknown, layers: Some(layers("/bad")) }];
    let report = trace(&digest("bad"), &local, &[remote("dark", None, None)]);
    let text = report.markdown();
    assert!(text.contains("2 local images, 0 manifests in registries, 1 container (1 running)"), "{text}");
    assert!(text.contains("**Not all was looked into:**"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("<script>") && !text.contains("a|b"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| line.replace("\\|", "").matches('|').count() == 4), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["suspect"], digest("bad").as_str());
    assert_eq!(json["local"][0]["how"], serde_json::json!({"layer": 0}));
    assert_eq!(json["containers"][0]["running"], true);
    assert_eq!(json["not_looked_into"], serde_json::json!({"local": 0, "remote": 1, "repositories": 0, "containers": 1}));
}

#[test]
fn nothing_found_is_told_apart_from_not_looked() {
    let report = trace(&digest("bad"), &[], &[]);
    assert!(!report.markdown().contains("Not all"));
    let clean = image("clean", None);
    let report = trace(&digest("bad"), &[Local { image: &clean, layers: None }], &[]);
    assert!(report.local.is_empty() && report.markdown().contains("Not all"));
}
