//! What on this machine may go, in groups a person thinks in: untagged, left over from builds, unused, old, to be had again; each with the
//! bytes that it frees.
//!
//! May use model only. An image that a container uses, running or stopped, is in no group, and neither is one that is protected. What is not
//! known (whether a container uses it, when it was used last) puts an image into no group that asks for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::reclaim::Holdings;
use super::semver::Version;
use super::words::counted;
use crate::model::{Digest, ImageList, ImageSummary, Name, Safe, size, time, version};

/// What is known of the images of an engine or store.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub list: &'a ImageList,
    /// When each image was last used, pulled, or seen here for the first time; an image that is not in it was never watched.
    pub last_used: &'a BTreeMap<Digest, Timestamp>,
    /// Images that a registry has under the same digest.
    pub pullable: &'a BTreeSet<Digest>,
    /// Images that are not to go, whatever they are.
    pub protected: &'a BTreeSet<Digest>,
    /// The layers of images, by chain ID ([`super::reclaim::chain_ids`]) and with their bytes, as far as they were read.
    pub layers: &'a BTreeMap<Digest, Vec<(Digest, u64)>>,
    pub now: Timestamp,
}

/// Where the groups end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Seconds without use after which an image counts as long unused.
    pub unused_for: i64,
    /// Images of each repository's versions that stay.
    pub newest: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unused_for: 30 * 86_400, newest: 2 }
    }
}

/// What the images of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without a tag.
    Dangling,
    /// Without a tag, and never in a registry: a build made them, and a later one took their name.
    BuildLeftovers,
    /// No container uses them.
    Unused,
    /// Not used for this many seconds.
    UnusedFor(i64),
    /// Tags that are versions, but not the newest so many of their repository.
    OlderVersions(usize),
    /// A registry has them.
    Pullable,
}

impl Kind {
    /// Every kind, in the order in which a person looks: what nobody misses comes first.
    #[must_use]
    pub const fn all(limits: Limits) -> [Self; 6] {
        [
            Self::Dangling,
            Self::BuildLeftovers,
            Self::Unused,
            Self::UnusedFor(limits.unused_for),
            Self::OlderVersions(limits.newest),
            Self::Pullable,
        ]
    }

    /// For a person.
    #[must_use]
    pub fn words(self) -> Safe {
        match self {
            Self::Dangling => Safe::new("without a tag"),
            Self::BuildLeftovers => Safe::new("left over from builds"),
            Self::Unused => Safe::new("used by no container"),
            Self::UnusedFor(seconds) => {
                let span = match usize::try_from(seconds / 86_400) {
                    Ok(days) if seconds % 86_400 == 0 => counted(days, "day"),
                    _ => Timestamp::from_second(seconds)
                        .map_or_else(|_| format!("{seconds}s"), |then| time::age(Timestamp::UNIX_EPOCH, then)),
                };
                Safe::from(format!("not used for {span}"))
            }
            Self::OlderVersions(1) => Safe::new("versions older than the newest"),
            Self::OlderVersions(newest) => Safe::from(format!("versions older than the {newest} newest")),
            Self::Pullable => Safe::new("can be pulled again"),
        }
    }
}

/// Bytes that a group frees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// The layers of every image are known, those that stay too.
    Exact(u64),
    Between {
        /// `None` where it is not known what is shared.
        at_least: Option<u64>,
        at_most: u64,
    },
}

impl Bytes {
    /// For a person: `74.8 MB`, `between …`, `at most …`.
    #[must_use]
    pub fn words(self) -> Safe {
        Safe::from(match self {
            Self::Exact(bytes) => size::human(bytes),
            Self::Between { at_least: Some(least), at_most } if least == at_most => size::human(least),
            Self::Between { at_least: Some(least), at_most } => format!("between {} and {}", size::human(least), size::human(at_most)),
            Self::Between { at_least: None, at_most } => format!("at most {}", size::human(at_most)),
        })
    }
}

/// Rows that may go together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub kind: Kind,
    /// As a removal takes them: image ID, and the tag of a tagged row.
    pub chosen: Vec<(Digest, Option<Name>)>,
    /// Images that go altogether; of the others a tag goes alone.
    pub images: usize,
    pub bytes: Bytes,
}

/// Every group that has something in it. An image may be in several.
#[must_use]
pub fn groups(known: &Known<'_>, limits: Limits) -> Vec<Group> {
    let mut groups = every_group(known, limits);
    groups.retain(|group| !group.chosen.is_empty());
    groups
}

/// A group for each of [`Kind::all`], those with nothing in them too.
#[must_use]
pub fn every_group(known: &Known<'_>, limits: Limits) -> Vec<Group> {
    let weighed = Weighed::new(known);
    let candidates: Vec<&ImageSummary> =
        known.list.images.iter().filter(|image| image.is_unused() != Some(false) && !known.protected.contains(&image.id)).collect();
    let dangling = |image: &ImageSummary| image.is_dangling();
    let long_unused = |image: &ImageSummary| {
        let last = known.last_used.get(&image.id);
        last.is_some_and(|last| known.now.as_second().saturating_sub(last.as_second()) > limits.unused_for)
    };
    let whole =
        |holds: &dyn Fn(&ImageSummary) -> bool| candidates.iter().filter(|image| holds(image)).flat_map(|image| rows(image)).collect();
    let chosen = |kind| match kind {
        Kind::Dangling => whole(&dangling),
        Kind::BuildLeftovers => whole(&|image| dangling(image) && image.repo_digests.is_empty()),
        Kind::Unused => whole(&|image| image.is_unused() == Some(true)),
        Kind::UnusedFor(_) => whole(&|image| image.is_unused() == Some(true) && long_unused(image)),
        Kind::OlderVersions(newest) => older(&known.list.images, &candidates, newest),
        Kind::Pullable => whole(&|image| known.pullable.contains(&image.id)),
    };
    Kind::all(limits).into_iter().map(|kind| weighed.group(kind, chosen(kind))).collect()
}

/// What rows of several groups come to together: images that go altogether, and the bytes that this frees, each once.
#[must_use]
pub fn together(known: &Known<'_>, chosen: &BTreeSet<(Digest, Option<Name>)>) -> (usize, Bytes) {
    let rows = chosen.iter().map(|(id, name)| (id, name.as_ref())).collect();
    Weighed::new(known).weigh(&rows)
}

/// All rows of an image: one for each tag, or one without.
fn rows(image: &ImageSummary) -> Vec<(Digest, Option<Name>)> {
    if image.is_dangling() {
        return vec![(image.id.clone(), None)];
    }
    image.tags.iter().map(|tag| (image.id.clone(), Some(tag.clone()))).collect()
}

/// A tag, the name it is of, and its image.
type Tagged<'a> = (&'a str, &'a Name, &'a Digest);

/// Tags that are versions older than the newest `keep` images of their repository, each variant by itself. Which are the newest is said of all
/// images, and what goes is among the candidates.
fn older(images: &[ImageSummary], candidates: &[&ImageSummary], keep: usize) -> Vec<(Digest, Option<Name>)> {
    let mut lines: BTreeMap<(&str, &str), Vec<Tagged<'_>>> = BTreeMap::new();
    for image in images {
        for name in &image.tags {
            if let (repository, Some(tag)) = name.split()
                && let Some(version) = Version::parse(tag)
            {
                lines.entry((repository, version.flavour())).or_default().push((tag, name, &image.id));
            }
        }
    }
    let may_go: BTreeSet<&Digest> = candidates.iter().map(|image| &image.id).collect();
    let mut chosen = Vec::new();
    for mut line in lines.into_values() {
        line.sort_by(|(one, ..), (other, ..)| version::compare(other, one));
        let mut newest: BTreeSet<&Digest> = BTreeSet::new();
        for (_, name, id) in line {
            if newest.len() < keep {
                newest.insert(id);
            } else if !newest.contains(id) && may_go.contains(id) {
                chosen.push((id.clone(), Some(name.clone())));
            }
        }
    }
    chosen
}

/// The images with their layers.
struct Weighed<'a> {
    list: &'a ImageList,
    holdings: Holdings,
    at: HashMap<&'a Digest, usize>,
}

impl<'a> Weighed<'a> {
    fn new(known: &Known<'a>) -> Self {
        let (mut holdings, mut at) = (Holdings::default(), HashMap::new());
        for image in &known.list.images {
            let item = match known.layers.get(&image.id) {
                Some(layers) => holdings.add(layers.iter().map(|(chain, bytes)| (chain, *bytes))),
                None => holdings.add_unknown(),
            };
            at.insert(&image.id, item);
        }
        Self { list: known.list, holdings, at }
    }

    fn group(&self, kind: Kind, chosen: Vec<(Digest, Option<Name>)>) -> Group {
        let rows = chosen.iter().map(|(id, name)| (id, name.as_ref())).collect();
        let (images, bytes) = self.weigh(&rows);
        Group { kind, chosen, images, bytes }
    }

    fn weigh(&self, rows: &HashSet<(&Digest, Option<&Name>)>) -> (usize, Bytes) {
        // An image goes when the last of its tags does.
        let goes = |image: &&ImageSummary| {
            let tags = || image.tags.iter().all(|tag| rows.contains(&(&image.id, Some(tag))));
            if image.is_dangling() { rows.contains(&(&image.id, None)) } else { tags() }
        };
        let going: Vec<&ImageSummary> = self.list.images.iter().filter(goes).collect();
        let freed = self.holdings.free(going.iter().filter_map(|image| self.at.get(&image.id).copied()));
        let bytes = if freed.is_exact() {
            Bytes::Exact(freed.bytes)
        } else {
            // What is known to be shared with what stays is not freed, whatever else is unknown.
            let unread: BTreeSet<_> = freed.items.iter().filter(|share| !share.known).map(|share| share.item).collect();
            let unread = going.iter().filter(|image| self.at.get(&image.id).is_some_and(|item| unread.contains(item)));
            let unknown = unread.fold(0_u64, |sum, image| sum.saturating_add(image.size.unwrap_or(0)));
            let most = going.iter().filter_map(|image| image.size).fold(0_u64, u64::saturating_add);
            let least = going.iter().try_fold(0_u64, |sum, image| Some(sum.saturating_add(image.unique_size?)));
            Bytes::Between { at_least: least, at_most: most.min(freed.bytes.saturating_add(unknown)) }
        };
        (going.len(), bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ContainerUse;

    const NOW: i64 = 1_760_000_000;

    fn id(seed: &str) -> Digest {
        Digest::sha256(seed.as_bytes())
    }

    fn image(seed: &str, tags: &[&str]) -> ImageSummary {
        ImageSummary {
            id: id(seed),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: None,
            size: Some(110),
            unique_size: None,
            platform: None,
            containers: Some(vec![]),
            labels: BTreeMap::new(),
        }
    }

    fn used(image: ImageSummary) -> ImageSummary {
        let container = ContainerUse { id: "c".into(), name: "web-1".into(), running: false, state: "exited".into() };
        ImageSummary { containers: Some(vec![container]), ..image }
    }

    fn list(images: Vec<ImageSummary>) -> ImageList {
        ImageList { images, at: Timestamp::UNIX_EPOCH, gaps: vec![] }
    }

    #[derive(Default)]
    struct Facts {
        last_used: BTreeMap<Digest, Timestamp>,
        pullable: BTreeSet<Digest>,
        protected: BTreeSet<Digest>,
        layers: BTreeMap<Digest, Vec<(Digest, u64)>>,
    }

    impl Facts {
        fn groups(&self, list: &ImageList, limits: Limits) -> Vec<Group> {
            let Self { last_used, pullable, protected, layers } = self;
            groups(&Known { list, last_used, pullable, protected, layers, now: Timestamp::from_second(NOW).unwrap() }, limits)
        }
    }

    fn names(groups: &[Group], kind: Kind) -> Vec<String> {
        let of = groups.iter().find(|group| group.kind == kind);
        of.map_or_else(Vec::new, |group| {
            group
                .chosen
                .iter()
                .map(|(id, name)| name.as_ref().map_or_else(|| id.short().to_owned(), |name| name.raw().to_owned()))
                .collect()
        })
    }

    #[test]
    fn each_image_is_in_the_groups_that_it_is_of() {
        let pulled = ImageSummary { repo_digests: vec![Name::new("app@sha256:aa")], ..image("moved", &[]) };
        let unknown = ImageSummary { containers: None, ..image("unknown", &["unknown:main"]) };
        let list = list(vec![
            image("leftover", &[]),
            pulled,
            used(image("busy", &["busy:main"])),
            unknown,
            image("idle", &["idle:main"]),
            image("idle2", &["idle2:main"]),
            image("pullable", &["hub:main"]),
            image("dear", &["dear:main"]),
        ]);
        let ago = |days: i64| Timestamp::from_second(NOW - days * 86_400).unwrap();
        let facts = Facts {
            last_used: [(id("idle"), ago(31)), (id("idle2"), ago(29)), (id("busy"), ago(99)), (id("dear"), ago(99))].into(),
            pullable: [id("pullable"), id("busy"), id("dear")].into(),
            protected: [id("dear")].into(),
            ..Facts::default()
        };
        let groups = facts.groups(&list, Limits::default());
        let of = |kind| names(&groups, kind);
        assert_eq!(of(Kind::Dangling), [id("leftover").short(), id("moved").short()]);
        assert_eq!(of(Kind::BuildLeftovers), [id("leftover").short()]);
        assert_eq!(of(Kind::Unused).len(), 5, "{:?}", of(Kind::Unused));
        assert!(!of(Kind::Unused).iter().any(|name| name.contains("unknown") || name.contains("busy") || name.contains("dear")));
        assert_eq!(of(Kind::UnusedFor(30 * 86_400)), ["idle:main"]);
        assert_eq!(of(Kind::Pullable), ["hub:main"]);
        assert_eq!(Kind::UnusedFor(30 * 86_400).words().as_str(), "not used for 30 days");
    }

    #[test]
    fn the_newest_versions_stay_each_variant_by_itself() {
        let list = list(vec![
            image("a", &["app:1.0.0", "app:1.0"]),
            image("b", &["app:1.9.0"]),
            image("c", &["app:1.10.0", "app:1", "app:latest"]),
            image("d", &["app:1.0.0-alpine"]),
            used(image("e", &["app:0.1.0"])),
            image("f", &["other:0.1.0"]),
        ]);
        let groups = Facts::default().groups(&list, Limits { newest: 2, ..Limits::default() });
        assert_eq!(names(&groups, Kind::OlderVersions(2)), ["app:1.0.0", "app:1.0"]);
        let groups = Facts::default().groups(&list, Limits { newest: 1, ..Limits::default() });
        assert_eq!(names(&groups, Kind::OlderVersions(1)), ["app:1.9.0", "app:1.0.0", "app:1.0"]);
    }

    #[test]
    fn bytes_are_exact_where_every_layer_is_known_and_bounded_elsewhere() {
        let list = list(vec![image("a", &[]), image("b", &[]), image("c", &["c:main"])]);
        let layers = |own: &str| vec![(id("base"), 100), (id(own), 10)];
        let mut facts = Facts { layers: ["a", "b", "c"].map(|seed| (id(seed), layers(seed))).into(), ..Facts::default() };
        let dangling = |facts: &Facts| facts.groups(&list, Limits::default()).swap_remove(0);
        assert_eq!((dangling(&facts).kind, dangling(&facts).bytes), (Kind::Dangling, Bytes::Exact(20)));
        // What stays may hold more than is known.
        facts.layers.remove(&id("c"));
        assert_eq!(dangling(&facts).bytes, Bytes::Between { at_least: None, at_most: 120 });
        facts.layers.remove(&id("a"));
        assert_eq!(dangling(&facts).bytes, Bytes::Between { at_least: None, at_most: 220 });
        assert_eq!(dangling(&facts).bytes.words().as_str(), "at most 220 B");
    }

    #[test]
    fn what_several_groups_have_in_common_counts_once() {
        let list = list(vec![image("a", &[]), image("b", &["b:main", "b:1"]), image("c", &["c:main"])]);
        let layers = |own: &str| vec![(id("base"), 100), (id(own), 10)];
        let facts = Facts { layers: ["a", "b", "c"].map(|seed| (id(seed), layers(seed))).into(), ..Facts::default() };
        let Facts { last_used, pullable, protected, layers } = &facts;
        let known = Known { list: &list, last_used, pullable, protected, layers, now: Timestamp::UNIX_EPOCH };
        let all = facts.groups(&list, Limits::default());
        let mut picks: BTreeSet<_> = all.iter().flat_map(|group| group.chosen.clone()).collect();
        assert_eq!(together(&known, &picks), (3, Bytes::Exact(130)));
        picks.remove(&(id("b"), Some(Name::new("b:1"))));
        assert_eq!(together(&known, &picks), (2, Bytes::Exact(20)), "an image with a name left stays, and what it lies on");
        assert_eq!(together(&known, &BTreeSet::new()), (0, Bytes::Exact(0)));
        let every = every_group(&known, Limits::default());
        assert_eq!(every.iter().map(|group| group.kind).collect::<Vec<_>>(), Kind::all(Limits::default()));
    }

    proptest! {
        /// No group ever names what a container uses or what is protected, and none says more than all images hold.
        #[test]
        fn what_is_used_or_protected_is_in_no_group(
            images in prop::collection::vec((prop::collection::vec("[ab]:[01]\\.[0-2]", 0..3), 0_u8..3, any::<bool>(), any::<bool>()), 0..8), newest in 0_usize..3,
        ) {
            let mut facts = Facts::default();
            let mut all = Vec::new();
            for (at, (tags, usage, protected, known)) in images.iter().enumerate() {
                let tags: Vec<String> = tags.iter().map(|tag| format!("{tag}.{at}")).collect();
                let one = image(&at.to_string(), &tags.iter().map(String::as_str).collect::<Vec<_>>());
                let one = match usage { 0 => one, 1 => used(one), _ => ImageSummary { containers: None, ..one } };
                if *protected { facts.protected.insert(one.id.clone()); }
                if *known { facts.layers.insert(one.id.clone(), vec![(id("base"), 100), (one.id.clone(), 10)]); }
                facts.pullable.insert(one.id.clone());
                all.push(one);
            }
            let list = list(all);
            for group in facts.groups(&list, Limits { newest, ..Limits::default() }) {
                for (chosen, _) in &group.chosen {
                    let image = list.images.iter().find(|image| image.id == *chosen).unwrap();
                    prop_assert!(image.is_unused() != Some(false) && !facts.protected.contains(chosen));
                }
                let most = match group.bytes { Bytes::Exact(bytes) => bytes, Bytes::Between { at_most, .. } => at_most };
                prop_assert!(most <= 110 * list.images.len() as u64);
            }
        }
    }
}
