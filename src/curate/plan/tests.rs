use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::model::{Completeness, ContainerUse, ImageList, ImageSummary, Plan, PlanKind, RepositoryView, UndoClass};

const REPO: &str = "registry.example.com/app";

fn digest(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

fn named(tag: &str) -> Name {
    Name::new(&format!("{REPO}:{tag}"))
}

fn view(tags: &[(&str, &str)]) -> RepositoryView {
    let kind = |seed: &str| {
        if seed.starts_with("index") { "application/vnd.oci.image.index.v1+json" } else { "application/vnd.oci.image.manifest.v1+json" }
    };
    RepositoryView {
        source: SourceId::registry("registry.example.com"),
        name: REPO.to_owned(),
        tags: tags.iter().map(|(tag, seed)| ((*tag).to_owned(), (digest(seed), Foreign::new(kind(seed))))).collect(),
        indexes: BTreeMap::new(),
        referrers: BTreeMap::new(),
        held: BTreeMap::new(),
        completeness: Completeness::Complete,
    }
}

fn delete(tag: &str) -> Wish {
    Wish::Delete(Target::Tag(named(tag)))
}

fn retag(seed: &str, tag: &str) -> Wish {
    Wish::Tag { id: digest(seed), to: named(tag) }
}

fn lines(operations: &[Operation]) -> Vec<(Verb, String)> {
    let short = |line: &Operation| line.target.to_string().replace(REPO, "").trim_start_matches([':', '@']).to_owned();
    operations.iter().map(|line| (line.verb, short(line))).collect()
}

fn image(seed: &str, tags: &[&str], users: &[&str]) -> ImageSummary {
    let user = |name: &&str| ContainerUse { id: "c".into(), name: (*name).into(), running: true, state: "running".into() };
    ImageSummary {
        id: digest(seed),
        tags: tags.iter().map(|tag| Name::new(tag)).collect(),
        repo_digests: vec![],
        created: None,
        size: Some(10),
        unique_size: Some(4),
        platform: None,
        containers: Some(users.iter().map(user).collect()),
        labels: BTreeMap::new(),
    }
}

fn list(images: Vec<ImageSummary>) -> ImageList {
    ImageList { images, at: Timestamp::UNIX_EPOCH, gaps: vec![] }
}

fn engine() -> SourceId {
    SourceId("engine:unix:///run/docker.sock".to_owned())
}

#[test]
fn a_shared_digest_is_only_untagged_and_the_line_says_who_keeps_it() {
    let view = view(&[("a", "one"), ("b", "one"), ("latest", "one")]);
    let plan = remote(&view, &[delete("a")], &nothing());
    assert_eq!(lines(&plan), [(Verb::Untag, "a".to_owned())]);
    assert_eq!(plan[0].effects[0].raw(), "untag only, 2 other tags keep this digest: b, latest");
    assert_eq!(plan[0].undo, UndoClass::ReversibleNow);
    let all = remote(&view, &[delete("latest"), delete("a"), delete("b")], &nothing());
    assert_eq!(lines(&all), [(Verb::DeleteTag, "a".into()), (Verb::DeleteTag, "b".into()), (Verb::DeleteTag, "latest".into())]);
    assert_eq!(all[0].effects[0].raw(), "removes 3 tags: a, b, latest");
    assert_eq!(all[0].undo, UndoClass::UntilGarbageCollection);
}

#[test]
fn a_rename_gives_the_new_name_first_and_takes_the_old_one_alone() {
    let view = view(&[("old", "one")]);
    let plan = remote(&view, &[delete("old"), retag("one", "deprecated-old")], &nothing());
    assert_eq!(lines(&plan), [(Verb::Tag, "deprecated-old".into()), (Verb::Untag, "old".into())]);
    assert_eq!(clashes(&plan), []);
    assert_eq!(stages(&plan).len(), 2);
}

#[test]
fn the_child_of_a_kept_index_and_the_subject_of_kept_referrers_are_protected() {
    let mut view = view(&[("multi", "index"), ("amd", "child"), (&companion("child"), "signature")]);
    view.indexes.insert(digest("index"), [digest("child"), digest("other")].into());
    view.referrers.insert(digest("child"), vec![(digest("signature"), Some(companion("child")))]);
    let manifest = |seed: &str| Wish::Delete(Target::Manifest { repository: Name::new(REPO), digest: digest(seed) });
    let child = remote(&view, &[manifest("other")], &nothing());
    assert_eq!(child[0].protected.as_ref().unwrap().raw(), "child of 1 index: multi");
    // The tag alone may go: the index keeps the manifest.
    let tag = remote(&view, &[delete("amd")], &nothing());
    assert_eq!((tag[0].verb, tag[0].protected.as_ref()), (Verb::Untag, None));
    let both = remote(&view, &[manifest("other"), delete("multi")], &nothing());
    assert!(both.iter().all(|line| line.protected.is_none()), "{both:?}");
    let signature = remote(&view, &[delete(&companion("child"))], &nothing());
    assert!(signature[0].protected.as_ref().unwrap().raw().contains("which stays"), "{signature:?}");
}

#[test]
fn what_comes_from_another_repository_is_a_copy() {
    let from = Name::new("docker://elsewhere.example.com/app:1");
    let copy = |seed: &str, tag: &str| Wish::Copy { from: from.clone(), id: digest(seed), to: named(tag) };
    let view = view(&[("v1", "one"), ("v2", "two"), ("same", "new")]);
    let plan = remote(&view, &[copy("new", "v1"), copy("new", "v3"), copy("new", "same")], &nothing());
    assert_eq!(lines(&plan), [(Verb::Copy, "v1".to_owned()), (Verb::Copy, "v3".to_owned())], "what is so already is no wish");
    assert!(plan.iter().all(|line| line.from.as_ref() == Some(&from) && line.after == Some(digest("new"))));
    assert_eq!(plan[0].before, Some(digest("one")));
    assert_eq!((plan[0].undo, plan[1].undo), (UndoClass::UntilGarbageCollection, UndoClass::ReversibleNow));
    // A name that is protected is not taken away by a copy either; one that nothing has is given.
    let protection = Protection::new(&["**:v*".to_owned()]).unwrap();
    let plan = remote(&view, &[copy("new", "v1"), copy("new", "v3")], &protection);
    assert_eq!(plan.iter().map(|line| line.refused().is_some()).collect::<Vec<_>>(), [true, false]);
}

fn companion(seed: &str) -> String {
    format!("sha256-{}.sig", digest(seed).hex())
}

#[test]
fn a_signature_goes_along_with_its_subject_and_stays_with_a_protected_one() {
    let mut view = view(&[("v1", "one"), (&companion("one"), "signature"), ("v2", "two")]);
    view.referrers.insert(digest("one"), vec![(digest("signature"), Some(companion("one"))), (digest("sbom"), None)]);
    let plan = remote(&view, &[delete("v1")], &nothing());
    let verbs: Vec<Verb> = plan.iter().map(|line| line.verb).collect();
    assert_eq!(verbs, [Verb::DeleteTag, Verb::DeleteTag, Verb::DeleteManifest], "{plan:?}");
    assert!(plan.iter().all(|line| line.refused().is_none()), "{plan:?}");
    let kept = remote(&view, &[delete("v1")], &Protection::new(&["*:v1".to_owned()]).unwrap());
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|line| line.refused().is_some()), "{kept:?}");
}

#[test]
fn what_is_about_what_is_about_a_manifest_goes_and_stays_with_it() {
    let seeds: Vec<String> = (0..50).map(|n| format!("link-{n}")).collect();
    let mut view = view(&[("v1", "link-0"), (&companion("link-49"), "signature")]);
    for (subject, referrer) in seeds.iter().zip(seeds.iter().skip(1)) {
        view.referrers.insert(digest(subject), vec![(digest(referrer), None)]);
    }
    let plan = remote(&view, &[delete("v1")], &nothing());
    assert_eq!(plan.len(), 51, "the image, what is about it, and the signature of the last: {plan:?}");
    assert!(plan.iter().all(|line| line.refused().is_none()), "{plan:?}");
    let kept = remote(&view, &[delete("v1")], &Protection::new(&["*:v1".to_owned()]).unwrap());
    assert!(kept.len() == 51 && kept.iter().all(|line| line.refused().is_some()), "{kept:?}");
}

#[test]
fn a_list_that_is_not_whole_protects_what_would_take_a_manifest() {
    let mut view = view(&[("a", "one")]);
    view.completeness = Completeness::Incomplete("its next page is elsewhere".into());
    assert!(remote(&view, &[delete("a")], &nothing())[0].protected.is_some());
    assert!(remote(&view, &[Wish::Untag(named("a"))], &nothing())[0].protected.is_none());
}

#[test]
fn lines_that_get_into_each_others_way_are_named() {
    let view = view(&[("a", "one"), ("b", "two")]);
    let two = remote(&view, &[retag("one", "c"), retag("two", "c")], &nothing());
    assert_eq!(clashes(&two)[0].lines, (0, 1));
    assert!(clashes(&two)[0].why.as_str().contains("two lines change"), "{:?}", clashes(&two));
    let mixed = remote(&view, &[retag("two", "a"), delete("a")], &nothing());
    assert_eq!(clashes(&mixed).len(), 1, "{mixed:?}");
    let manifest = Wish::Delete(Target::Manifest { repository: Name::new(REPO), digest: digest("one") });
    let deleted = remote(&view, &[retag("one", "c"), manifest, delete("a")], &nothing());
    assert!(clashes(&deleted).iter().any(|clash| clash.why.as_str().contains("is to be deleted")), "{deleted:?}");
    // As a hand may write it.
    let gone = Operation::new(Verb::DeleteTag, view.source.clone(), Target::Tag(named("a")), Some(digest("one")), None);
    let new = Operation::new(Verb::Tag, view.source.clone(), Target::Tag(named("c")), None, Some(digest("one")));
    assert!(clashes(&[new, gone])[0].why.as_str().contains("untag it instead"));
}

#[test]
fn pushes_of_one_tag_and_changes_of_it_in_its_registry_get_into_each_others_way() {
    let view = view(&[("a", "one")]);
    let push = |engine: &str| super::push(&SourceId(engine.into()), &named("a"), &digest("image"), Some(Some(&digest("one")))).unwrap();
    let deleted = remote(&view, &[delete("a")], &nothing());
    assert_eq!(clashes(&[push("engine:x"), deleted[0].clone()]).len(), 1, "{deleted:?}");
    assert_eq!(clashes(&[push("engine:x"), push("engine:y")]).len(), 1);
    // The name here is another thing than the name there.
    let tag = Operation::new(Verb::Tag, SourceId("engine:x".into()), Target::Tag(named("a")), None, Some(digest("image")));
    assert_eq!(clashes(&[tag, push("engine:x")]), []);
}

#[test]
fn a_protected_tag_is_not_pushed_over() {
    let protection = Protection::new(&["**:stable".to_owned()]).unwrap();
    let images = list(vec![image("image", &["app:1"], &[])]);
    let push = |seen| {
        let wish = Wish::Push { id: digest("image"), name: named("stable"), seen };
        local(&engine(), &images, &[wish], &protection)[0].protected.is_some()
    };
    assert!(push(Some(Some(digest("there")))) && push(None), "nor where nobody knows what is there");
    assert!(!push(Some(None)), "a new tag takes nothing away");
}

#[test]
fn an_image_goes_with_its_last_name_and_not_under_a_container() {
    let list = list(vec![image("one", &["app:1", "app:2"], &[]), image("used", &["web:1"], &["web-1"]), image("none", &[], &[])]);
    let wish = |tag: &str| Wish::Delete(Target::Tag(Name::new(tag)));
    let one = local(&engine(), &list, &[wish("app:1")], &nothing());
    assert_eq!(lines(&one), [(Verb::Untag, "app:1".into())]);
    let both = local(&engine(), &list, &[wish("app:2"), wish("docker.io/library/app:1")], &nothing());
    assert_eq!(lines(&both), [(Verb::Untag, "app:1".into()), (Verb::DeleteImage, "app:2".into())]);
    assert_eq!(stages(&both), [vec![vec![0]], vec![vec![1]]]);
    assert_eq!(both[1].undo, UndoClass::OnlyFromBackup);
    let used = local(&engine(), &list, &[wish("web:1")], &nothing());
    assert_eq!(used[0].protected.as_ref().unwrap().raw(), "used by running container web-1");
    assert!(local(&engine(), &list, &[Wish::Untag(Name::new("web:1"))], &nothing())[0].protected.is_some());
    assert!(local(&engine(), &list, &[wish("gone:1")], &nothing()).is_empty());
    let pruned = prune(&engine(), &list, true);
    assert_eq!(lines(&pruned), [(Verb::DeleteImage, digest("none").to_string())]);
}

#[test]
fn prune_leaves_what_is_not_known_to_be_unused() {
    let mut unknown = image("one", &[], &[]);
    unknown.containers = None;
    let list = list(vec![unknown, image("used", &[], &["web"])]);
    assert!(prune(&engine(), &list, true).is_empty());
    assert_eq!(prune(&engine(), &list, false).len(), 1);
}

/// A registry as the models of these tests know it: tags and manifests of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    tags: BTreeMap<String, Digest>,
    manifests: BTreeSet<Digest>,
    /// Deletes a tag alone; otherwise only manifests, with all their tags.
    tag_delete: bool,
}

impl Model {
    fn of(view: &RepositoryView, tag_delete: bool) -> Self {
        let tags: BTreeMap<String, Digest> = view.tags.iter().map(|(tag, (digest, _))| (tag.clone(), digest.clone())).collect();
        Self { manifests: tags.values().cloned().collect(), tags, tag_delete }
    }

    /// Carries one line out; whether it went.
    fn run(&mut self, line: &Operation, named: &BTreeSet<String>) -> bool {
        let tag = line.target.name().map(|name| name.split().1.unwrap().to_owned());
        match (&tag, &line.after) {
            (Some(tag), _) if self.tags.get(tag) != line.before.as_ref() => false,
            (Some(tag), Some(after)) => {
                // Manifests come back from what was saved.
                self.manifests.insert(after.clone());
                self.tags.insert(tag.clone(), after.clone());
                true
            }
            (Some(tag), None) if line.verb == Verb::Untag || self.tag_delete => self.tags.remove(tag).is_some(),
            (Some(tag), None) => {
                let before = line.before.clone().unwrap();
                if self.tags.iter().any(|(other, at)| *at == before && !named.contains(other)) {
                    return false;
                }
                self.manifests.remove(&before);
                // The tags of the same manifest went with it: their own lines find them gone and count as done.
                self.tags.remove(tag).is_some()
            }
            (None, _) => false,
        }
    }

    fn apply(&mut self, lines: &[Operation]) -> Vec<Operation> {
        let named: BTreeSet<String> = lines
            .iter()
            .filter(|line| line.verb == Verb::DeleteTag)
            .filter_map(|line| line.target.name().and_then(|name| name.split().1.map(str::to_owned)))
            .collect();
        let order: Vec<usize> = stages(lines).into_iter().flatten().flatten().collect();
        order.into_iter().filter(|at| self.run(&lines[*at], &named)).map(|at| lines[at].clone()).collect()
    }
}

/// An engine: images by their tags; one goes with its last tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Engine(BTreeMap<Digest, BTreeSet<String>>);

impl Engine {
    fn apply(&mut self, lines: &[Operation]) -> Vec<Operation> {
        let order: Vec<usize> = stages(lines).into_iter().flatten().flatten().collect();
        order.into_iter().filter(|at| self.run(&lines[*at])).map(|at| lines[at].clone()).collect()
    }

    fn run(&mut self, line: &Operation) -> bool {
        let tag = line.target.name().map(|name| name.raw().to_owned());
        let holder = tag.as_ref().and_then(|tag| self.0.iter().find(|(_, tags)| tags.contains(tag)).map(|(id, _)| id.clone()));
        if tag.is_some() && holder != line.before {
            return false;
        }
        if let (Some(holder), Some(tag)) = (&holder, &tag) {
            let tags = self.0.get_mut(holder).unwrap();
            assert!(line.verb != Verb::Untag || tags.len() > 1, "an untag must never take an image: {line:?}");
            tags.remove(tag);
            if line.verb == Verb::DeleteImage {
                assert!(tags.is_empty(), "{line:?}");
                self.0.remove(holder);
            }
        } else if line.verb == Verb::DeleteImage {
            return self.0.remove(line.before.as_ref().unwrap()).is_some();
        }
        if let Some(after) = &line.after {
            self.0.entry(after.clone()).or_default().extend(tag);
        }
        true
    }
}

fn undo(done: &[Operation], backed_up: bool) -> Vec<Operation> {
    ordered(done.iter().rev().filter_map(|line| inverse(line, backed_up)).collect())
}

/// Tags `t0` to `t7` on manifests `m0` to `m3`.
fn tags() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::btree_map(0..8_u8, 0..4_u8, 1..8)
        .prop_map(|tags| tags.into_iter().map(|(tag, at)| (format!("t{tag}"), format!("m{at}"))).collect())
}

/// Retags of manifests that are there, and deletes.
fn wishes() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec((0..3_u8, 0..10_u8, 0..8_u8), 0..10)
}

fn wished(tags: &[(String, String)], wishes: &[(u8, u8, u8)], name: &dyn Fn(&str) -> Name) -> Vec<Wish> {
    let wish = |(kind, tag, from): &(u8, u8, u8)| match kind {
        0 => Wish::Tag { id: digest(&tags[usize::from(*from) % tags.len()].1), to: name(&format!("t{tag}")) },
        1 => Wish::Delete(Target::Tag(name(&format!("t{tag}")))),
        _ => Wish::Untag(name(&format!("t{tag}"))),
    };
    wishes.iter().map(wish).collect()
}

fn as_view(tags: &[(String, String)]) -> RepositoryView {
    view(&tags.iter().map(|(tag, at)| (tag.as_str(), at.as_str())).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn the_same_wishes_in_another_order_make_the_same_plan(tags in tags(), wishes in wishes(), seed in any::<u64>()) {
        let view = as_view(&tags);
        let mut wishes = wished(&tags, &wishes, &named);
        let plan = remote(&view, &wishes, &nothing());
        for at in (1..wishes.len()).rev() {
            wishes.swap(at, usize::try_from(seed >> (at % 60)).unwrap_or(0) % (at + 1));
        }
        prop_assert_eq!(&plan, &remote(&view, &wishes, &nothing()));
        let document = Plan {
            version: 1, kind: PlanKind::Mixed, made_at: Timestamp::UNIX_EPOCH, made_by: "t".into(), all_or_nothing: false, operations: plan,
        };
        prop_assert!(document.check("check").is_ok(), "{:?}", document.check("check"));
    }

    #[test]
    fn no_tag_goes_that_no_line_names(tags in tags(), wishes in wishes(), tag_delete in any::<bool>()) {
        let view = as_view(&tags);
        let plan = remote(&view, &wished(&tags, &wishes, &named), &nothing());
        prop_assume!(clashes(&plan).is_empty());
        let before = Model::of(&view, tag_delete);
        let mut after = before.clone();
        after.apply(&plan);
        let named: BTreeSet<&str> = plan.iter().filter_map(|line| line.target.name()?.split().1).collect();
        for (tag, at) in &before.tags {
            prop_assert!(named.contains(tag.as_str()) || after.tags.get(tag) == Some(at), "{} in {:?}", tag, plan);
        }
        for (tag, at) in &after.tags {
            prop_assert!(after.manifests.contains(at), "{} leads nowhere", tag);
        }
    }

    #[test]
    fn undone_is_as_it_was_in_a_registry(tags in tags(), wishes in wishes(), tag_delete in any::<bool>()) {
        let view = as_view(&tags);
        let plan = remote(&view, &wished(&tags, &wishes, &named), &nothing());
        prop_assume!(clashes(&plan).is_empty());
        let before = Model::of(&view, tag_delete);
        let mut model = before.clone();
        let done = model.apply(&plan);
        prop_assert_eq!(done.len(), plan.len(), "nobody interfered: {:?}", plan);
        let back = model.apply(&undo(&done, false));
        prop_assert_eq!(&model.tags, &before.tags);
        model.apply(&undo(&back, false));
        let mut again = before.clone();
        again.apply(&plan);
        prop_assert_eq!(&model.tags, &again.tags, "and redone");
    }

    #[test]
    fn undone_is_as_it_was_in_an_engine(tags in tags(), wishes in wishes()) {
        let mut images: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (tag, at) in &tags {
            images.entry(at).or_default().push(tag);
        }
        let name = |tag: &str| Name::new(&format!("app:{tag}"));
        let summary = |(seed, tags): (&&str, &Vec<&str>)| {
            let tags: Vec<String> = tags.iter().map(|tag| format!("app:{tag}")).collect();
            image(seed, &tags.iter().map(String::as_str).collect::<Vec<_>>(), &[])
        };
        let list = list(images.iter().map(summary).collect());
        let plan = local(&engine(), &list, &wished(&tags, &wishes, &name), &nothing());
        prop_assume!(clashes(&plan).is_empty() && plan.iter().all(|line| line.refused().is_none()));
        let before = Engine(list.images.iter().map(|image| (image.id.clone(), image.tags.iter().map(|tag| tag.raw().to_owned()).collect())).collect());
        let mut model = before.clone();
        let done = model.apply(&plan);
        prop_assert_eq!(done.len(), plan.len(), "{:?}", plan);
        model.apply(&undo(&done, true));
        prop_assert_eq!(model, before);
    }
}

/// Lines of every kind in two repositories and on this machine.
fn any_lines() -> impl Strategy<Value = Vec<Operation>> {
    let line = (0_usize..8, 0_usize..2, 0_usize..4).prop_map(|(kind, place, n)| {
        let remote = SourceId::registry("registry.example.com");
        let here = SourceId("engine:unix:///x.sock".to_owned());
        let name = Name::new(&format!("registry.example.com/{}:t{n}", ["app", "web"][place]));
        let manifest = |seed: &str| Target::Manifest { repository: Name::new("registry.example.com/app"), digest: digest(seed) };
        let (before, after) = (Some(digest(&format!("b{n}"))), Some(digest(&format!("a{n}"))));
        let tag = Target::Tag(name);
        match kind {
            0 => Operation::new(Verb::Copy, remote, tag, None, after),
            1 => Operation::new(Verb::Tag, remote, tag, None, after),
            2 => Operation::new(Verb::Push, here, tag, None, after),
            3 => Operation::new(Verb::Untag, here, tag, before, None),
            4 => Operation::new(Verb::DeleteTag, remote, tag, before, None),
            5 => Operation::new(Verb::DeleteImage, here, tag, before, None),
            6 => Operation::new(Verb::DeleteManifest, remote, manifest(&format!("b{n}")), before, None),
            _ => Operation {
                media_type: Some(Foreign::new("application/vnd.oci.image.index.v1+json")),
                ..Operation::new(Verb::DeleteManifest, remote, manifest(&format!("i{n}")), Some(digest(&format!("i{n}"))), None)
            },
        }
    });
    prop::collection::vec(line, 0..14)
}

proptest! {
    /// Nothing is lost, nothing runs before what it needs, an order that can run stays, and what may be swapped keeps its swap.
    #[test]
    fn an_order_is_kept_as_far_as_it_can_run(lines in any_lines()) {
        let arranged = super::arranged(lines.clone());
        let texts = |lines: &[Operation]| { let mut all: Vec<String> = lines.iter().map(|line| format!("{line:?}")).collect(); all.sort(); all.dedup(); all };
        prop_assert_eq!(texts(&arranged), texts(&lines));
        prop_assert_eq!(super::arranged(arranged.clone()), arranged.clone(), "what can run is left as it is");
        prop_assert_eq!(super::arranged(ordered(lines.clone())).len(), arranged.len());
        for (at, ahead) in arranged.iter().enumerate() {
            for behind in arranged.iter().skip(at + 1) {
                prop_assert!(super::stage(ahead) <= super::stage(behind));
                if is_told_at_once(ahead) && is_told_at_once(behind) && unit(ahead, 0) == unit(behind, 0) {
                    prop_assert!(rank(ahead) <= rank(behind), "tags and indexes first");
                }
            }
        }
        for at in 1..arranged.len() {
            let mut swapped = arranged.clone();
            swapped.swap(at - 1, at);
            let kept = super::arranged(swapped.clone()) == swapped;
            match held_back(&arranged[at - 1], &arranged[at]) {
                None => prop_assert!(kept, "{:?} before {:?}", swapped[at - 1], swapped[at]),
                Some(_) => prop_assert!(!kept || is_told_at_once(&arranged[at])),
            }
        }
        // Groups of a stage begin in the order of their first lines, and every line is in one.
        let stages = stages(&arranged);
        for stage in &stages {
            prop_assert!(stage.iter().filter_map(|group| group.first()).is_sorted());
        }
        let mut all: Vec<usize> = stages.into_iter().flatten().flatten().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..arranged.len()).collect::<Vec<_>>());
    }
}
