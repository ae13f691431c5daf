//! What each line of a plan frees, and what that comes to: weighed over all lines of one place together, against all that stays there.
//!
//! May use model only. A place is an engine or store, whose images lie on layers, or a repository of a registry, whose manifests hold blobs.
//! What several lines free only together counts with the last of them in the plan's order, so the lines' figures may be added up. A name
//! that goes alone frees nothing.
//!
//! In a repository the figure is what no manifest needs any more to which a tag or a referrer leads: what the registry can collect. A
//! registry that keeps the manifests of a deleted index, because nobody deleted them, keeps their bytes as long. On an engine the figure is of
//! layers: what a build cache holds of them stays until that is pruned.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::reclaim::{self, Holdings, Item};
use crate::model::{Completeness, Digest, Foreign, Freed, ImageList, Layers, Operation, RepositoryView, Safe, Verb};

/// What a figure of nothing rests on: the image, or manifest, stays.
const NAME: &str = "a name alone";

/// What lies in one place, and who holds it.
#[derive(Debug, Clone)]
pub struct Stock {
    holdings: Holdings,
    items: HashMap<Digest, Item>,
    /// Of an image whose layers are not known: bytes that no other image shares, and its size.
    bounds: HashMap<Digest, (u64, u64)>,
    noun: &'static str,
    /// Whether nothing can be there that was not listed.
    complete: bool,
}

/// What all lines of a place free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    pub at_least: u64,
    pub at_most: u64,
    /// Images or manifests whose blobs are known, and all of them.
    pub based_on: (usize, usize),
    noun: &'static str,
    complete: bool,
}

impl Total {
    /// `based on 7 of 9 manifests`, or `None` where all are known.
    #[must_use]
    pub fn basis(&self) -> Option<String> {
        let (known, all) = self.based_on;
        (known < all || !self.complete).then(|| format!("based on {known} of {all} {}{}", self.noun, listed(self.complete)))
    }
}

const fn listed(complete: bool) -> &'static str {
    if complete { "" } else { " that were listed, and there may be more" }
}

impl Stock {
    /// The images of an engine or store, with the layers of those that were read.
    #[must_use]
    pub fn of_images(list: &ImageList, layers: &Layers) -> Self {
        let mut stock = Self::new("images");
        for image in &list.images {
            let known = layers.get(&image.id).map(|layers| layers.iter().map(|(chain, bytes)| (chain, *bytes)));
            stock.add(&image.id, known);
            if let Some(size) = image.size {
                stock.bounds.insert(image.id.clone(), (image.unique_size.unwrap_or(0).min(size), size));
            }
        }
        stock
    }

    /// The manifests of a repository to which something leads: those of tags, those that were asked about, and what refers to these.
    #[must_use]
    pub fn of_repository(view: &RepositoryView) -> Self {
        let roots = roots(view);
        let mut stock = Self::new("manifests");
        stock.holdings = reclaim::repository(&view.held, roots.iter().copied());
        stock.items = roots.into_iter().cloned().zip(0..).collect();
        stock.complete = view.completeness == Completeness::Complete;
        stock
    }

    fn new(noun: &'static str) -> Self {
        Self { holdings: Holdings::default(), items: HashMap::new(), bounds: HashMap::new(), noun, complete: true }
    }

    /// An image is in a list once.
    fn add<'a>(&mut self, id: &Digest, known: Option<impl Iterator<Item = (&'a Digest, u64)>>) {
        if self.items.contains_key(id) {
            return;
        }
        let item = match known {
            Some(blobs) => self.holdings.add(blobs),
            None => self.holdings.add_unknown(),
        };
        self.items.insert(id.clone(), item);
    }

    /// Says of each line what it frees, and gives what all of them free. `lines` are those about this place, in the order they run; one that
    /// may not run frees nothing, and neither do the others that its image or manifest would have gone with.
    pub fn fill<'a>(&self, lines: impl IntoIterator<Item = &'a mut Operation>) -> Total {
        let mut lines: Vec<&mut Operation> = lines.into_iter().collect();
        let going = self.going(&lines);
        let items: Vec<Item> = going.iter().map(|(_, item)| *item).collect();
        let attributed = self.holdings.attribute(&items);
        let freed: HashMap<usize, (Item, u64)> = going.iter().zip(attributed).map(|((n, item), bytes)| (*n, (*item, bytes))).collect();
        // Of several lines of one image whose layers are not known the last one bears its bounds too.
        let last: HashMap<Item, usize> = going.iter().map(|(n, item)| (*item, *n)).collect();
        let mut total = Total { at_least: 0, at_most: 0, based_on: self.holdings.based_on(), noun: self.noun, complete: self.complete };
        let basis = Foreign::from(self.basis());
        for (n, line) in lines.iter_mut().enumerate() {
            line.freed = None;
            if line.refused().is_some() || !line.takes_away() {
                continue;
            }
            let (at_least, at_most) = match freed.get(&n) {
                Some((item, bytes)) if last.get(item) == Some(&n) => self.range(line, *item, *bytes),
                _ => (0, 0),
            };
            total.at_least = total.at_least.saturating_add(at_least);
            total.at_most = total.at_most.saturating_add(at_most);
            let basis = if is_whole(line) { basis.clone() } else { Foreign::new(NAME) };
            line.freed = Some(Freed { at_least, at_most, basis });
        }
        total
    }

    /// Lines that take a whole image or manifest away, and which.
    fn going(&self, lines: &[&mut Operation]) -> Vec<(usize, Item)> {
        let stay: HashSet<&Digest> =
            lines.iter().filter(|line| line.takes_away() && line.refused().is_some()).filter_map(|line| before(line)).collect();
        let whole = lines.iter().enumerate().filter(|(_, line)| is_whole(line) && line.refused().is_none());
        let goes = |line: &Operation| self.items.get(before(line).filter(|digest| !stay.contains(*digest))?).copied();
        whole.filter_map(|(n, line)| Some((n, goes(line)?))).collect()
    }

    /// What a line that takes an item away frees at least and at most, where what is known says `bytes`.
    fn range(&self, line: &Operation, item: Item, bytes: u64) -> (u64, u64) {
        let (known, all) = self.holdings.based_on();
        if known == all && self.complete {
            return (bytes, bytes);
        }
        let bounds = before(line).and_then(|digest| self.bounds.get(digest)).copied();
        match bounds {
            Some((least, most)) if !self.holdings.knows(item) => (least, most),
            // Whatever is not known may hold the same.
            Some((least, _)) => (least.min(bytes), bytes),
            None => (0, bytes),
        }
    }

    fn basis(&self) -> String {
        let (known, all) = self.holdings.based_on();
        if known == all && self.complete {
            format!("all {}", super::words::counted(all, self.noun.trim_end_matches('s')))
        } else {
            format!("{known} of {all} {}{}", self.noun, listed(self.complete))
        }
    }
}

fn roots(view: &RepositoryView) -> BTreeSet<&Digest> {
    let referrers = view.referrers.iter().flat_map(|(subject, about)| std::iter::once(subject).chain(about.iter().map(|(one, _)| one)));
    view.tags.values().map(|(digest, _)| digest).chain(referrers).collect()
}

/// The manifests that have to be read to weigh these lines, those that go first; none where all were read, or no line takes any away.
#[must_use]
pub fn unread(view: &RepositoryView, lines: &[Operation]) -> Vec<Digest> {
    let going: BTreeSet<&Digest> = lines.iter().filter(|line| is_whole(line)).filter_map(before).collect();
    if going.is_empty() {
        return Vec::new();
    }
    let staying = roots(view).into_iter().filter(|digest| !going.contains(*digest));
    going.iter().copied().chain(staying).filter(|digest| !view.held.contains_key(*digest)).cloned().collect()
}

/// What lines of a plan free in one place, as they say themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// An engine, a store, or a repository with its host.
    pub place: Safe,
    pub at_least: u64,
    pub at_most: u64,
    pub basis: Foreign,
}

impl Sum {
    /// `frees 40.8 MB of localhost:5000/app, based on 7 of 9 manifests`.
    #[must_use]
    pub fn words(&self) -> Safe {
        let basis = self.basis.raw();
        let basis = if self.at_least == self.at_most || basis.is_empty() {
            Safe::default()
        } else {
            Safe::from(format!(", based on {}", self.basis.safe()))
        };
        Safe::from(format!("{} of {}{basis}", super::words::freed(Some(self.at_least), self.at_most), self.place))
    }
}

/// What the lines that may run free, by place; places where nothing is freed are left out.
#[must_use]
pub fn sums(lines: &[Operation]) -> Vec<Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.refused().is_none()) {
        let Some(freed) = line.freed.as_ref().filter(|freed| freed.at_most > 0) else { continue };
        let place = line.source.registry_host().and_then(|_| line.target.repository()).unwrap_or_else(|| line.source.0.clone());
        let empty = || Sum { place: Safe::ascii(&place), at_least: 0, at_most: 0, basis: freed.basis.clone() };
        let sum = sums.entry(place.clone()).or_insert_with(empty);
        sum.at_least = sum.at_least.saturating_add(freed.at_least);
        sum.at_most = sum.at_most.saturating_add(freed.at_most);
    }
    sums.into_values().collect()
}

/// Whether an image or a manifest goes, and not a name alone.
const fn is_whole(line: &Operation) -> bool {
    matches!(line.verb, Verb::DeleteTag | Verb::DeleteManifest | Verb::DeleteImage)
}

const fn before(line: &Operation) -> Option<&Digest> {
    line.before.as_ref()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::curate::plan::{Wish, local, nothing, ordered, remote};
    use crate::model::remote::Held;
    use crate::model::{Completeness, ImageSummary, Name, SourceId, Target};

    const REPO: &str = "registry.example.com/app";

    fn blob(n: u8) -> Digest {
        Digest::sha256(&[n])
    }

    fn image(n: u8, tags: &[String], size: u64, unique: Option<u64>) -> ImageSummary {
        ImageSummary {
            id: blob(n),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: None,
            size: Some(size),
            unique_size: unique,
            platform: None,
            containers: Some(vec![]),
            labels: BTreeMap::new(),
        }
    }

    fn list(images: Vec<ImageSummary>) -> ImageList {
        ImageList { images, at: Timestamp::UNIX_EPOCH, gaps: vec![] }
    }

    fn engine() -> SourceId {
        SourceId("engine:unix:///x".into())
    }

    fn delete(name: &str) -> Wish {
        Wish::Delete(Target::Tag(Name::new(name)))
    }

    fn figures(lines: &[Operation]) -> Vec<Option<(u64, u64)>> {
        lines.iter().map(|line| line.freed.as_ref().map(|freed| (freed.at_least, freed.at_most))).collect()
    }

    fn held(size: u64, blobs: &[(u8, u64)], children: &[u8]) -> Held {
        Held {
            size,
            blobs: Some(blobs.iter().map(|(n, size)| (blob(*n), *size)).collect()),
            children: children.iter().map(|n| blob(*n)).collect(),
        }
    }

    fn view(tags: &[(&str, u8)], manifests: Vec<(u8, Held)>) -> RepositoryView {
        let kind = Foreign::new("application/vnd.oci.image.manifest.v1+json");
        RepositoryView {
            source: SourceId::registry("registry.example.com"),
            name: REPO.to_owned(),
            tags: tags.iter().map(|(tag, n)| ((*tag).to_owned(), (blob(*n), kind.clone()))).collect(),
            indexes: BTreeMap::new(),
            referrers: BTreeMap::new(),
            held: manifests.into_iter().map(|(n, held)| (blob(n), held)).collect(),
            completeness: Completeness::Complete,
        }
    }

    #[test]
    fn shared_layers_count_once_with_the_last_line_that_holds_them() {
        let images = [(1, "a:1"), (2, "b:1"), (3, "c:1")].map(|(n, tag)| image(n, &[tag.into()], 110, Some(10)));
        let list = list(images.to_vec());
        let layers: Layers = (1..=3).map(|n| (blob(n), vec![(blob(100), 100), (blob(n + 10), 10)])).collect();
        let stock = Stock::of_images(&list, &layers);
        let mut lines = local(&engine(), &list, &[delete("a:1"), delete("b:1")], &nothing());
        let total = stock.fill(&mut lines);
        assert_eq!((total.at_least, total.at_most, total.basis()), (20, 20, None), "c:1 keeps the layer below");
        let mut lines = local(&engine(), &list, &[delete("a:1"), delete("b:1"), delete("c:1")], &nothing());
        assert_eq!(stock.fill(&mut lines).at_most, 130);
        assert_eq!(figures(&lines), [Some((10, 10)), Some((10, 10)), Some((110, 110))]);
        assert_eq!(lines[0].freed.as_ref().unwrap().basis.raw(), "all 3 images");
        // What may not run frees nothing, and keeps what it shares.
        lines[1].protected = Some("because".into());
        assert_eq!(stock.fill(&mut lines).at_most, 20);
        assert_eq!(figures(&lines), [Some((10, 10)), None, Some((10, 10))]);
    }

    #[test]
    fn a_name_alone_frees_nothing_and_the_last_one_all() {
        let list = list(vec![image(1, &["a:1".into(), "a:2".into()], 110, Some(10))]);
        let stock = Stock::of_images(&list, &[(blob(1), vec![(blob(9), 110)])].into());
        let mut lines = local(&engine(), &list, &[delete("a:1")], &nothing());
        assert_eq!((stock.fill(&mut lines).at_most, figures(&lines)), (0, vec![Some((0, 0))]));
        assert_eq!(lines[0].freed.as_ref().unwrap().basis.raw(), "a name alone");
        let mut lines = local(&engine(), &list, &[delete("a:1"), delete("a:2")], &nothing());
        stock.fill(&mut lines);
        assert_eq!(figures(&lines), [Some((0, 0)), Some((110, 110))]);
        // Where its first name has to stay, so does the image.
        lines[0].protected = Some("because".into());
        assert_eq!(stock.fill(&mut lines).at_most, 0);
    }

    #[test]
    fn what_is_not_known_gives_bounds_and_is_said() {
        let list = list((1..=3).map(|n| image(n, &[format!("a:{n}")], 110, (n != 2).then_some(10))).collect());
        let layers: Layers = [(blob(1), vec![(blob(100), 100), (blob(11), 10)])].into();
        let stock = Stock::of_images(&list, &layers);
        let mut lines = local(&engine(), &list, &[delete("a:1"), delete("a:2")], &nothing());
        let total = stock.fill(&mut lines);
        assert_eq!(figures(&lines), [Some((10, 110)), Some((0, 110))]);
        assert_eq!((total.at_least, total.at_most, total.basis().as_deref()), (10, 220, Some("based on 1 of 3 images")));
        assert_eq!(lines[0].freed.as_ref().unwrap().basis.raw(), "1 of 3 images");
        let words: Vec<String> = sums(&lines).iter().map(|sum| sum.words().to_string()).collect();
        assert_eq!(words, ["frees between 10 B and 220 B of engine:unix:///x, based on 1 of 3 images"]);
    }

    #[test]
    fn a_repository_frees_what_no_manifest_needs_that_is_left() {
        let manifests = vec![
            (1, held(3, &[(50, 100), (51, 10)], &[])),
            (2, held(3, &[(50, 100), (52, 20)], &[])),
            (3, held(2, &[], &[1, 4])),
            (4, held(3, &[(53, 30)], &[])),
            (5, held(1, &[(54, 5)], &[])),
        ];
        let mut view = view(&[("a", 1), ("b", 2), ("b-too", 2), ("multi", 3)], manifests);
        // A signature of the index, by its digest alone.
        view.referrers.insert(blob(3), vec![(blob(5), None)]);
        let stock = Stock::of_repository(&view);
        let freed = |tags: &[&str]| {
            let wishes: Vec<Wish> = tags.iter().map(|tag| delete(&format!("{REPO}:{tag}"))).collect();
            let mut lines = remote(&view, &wishes, &nothing());
            (stock.fill(&mut lines).at_most, figures(&lines).into_iter().flatten().map(|(_, most)| most).collect::<Vec<_>>())
        };
        assert_eq!(freed(&["a"]), (0, vec![0]), "the index needs it");
        assert_eq!(freed(&["b"]), (0, vec![0]), "another tag is there too");
        assert_eq!(freed(&["b", "b-too"]), (23, vec![0, 23]));
        assert_eq!(freed(&["multi"]), (2 + 3 + 30 + 6, vec![35, 6]), "with what is in it, but not what has a tag");
        assert_eq!(freed(&["a", "b", "b-too", "multi"]).0, 3 + 3 + 2 + 3 + 100 + 10 + 20 + 30 + 6);
        // A tag that was not listed may hold the same.
        let mut partial = view.clone();
        partial.completeness = Completeness::Incomplete(Safe::new("the list was cut"));
        let mut lines = remote(&partial, &[delete(&format!("{REPO}:b")), delete(&format!("{REPO}:b-too"))], &nothing());
        for line in &mut lines {
            line.protected = None;
        }
        let total = Stock::of_repository(&partial).fill(&mut lines);
        assert_eq!((total.at_least, total.at_most), (0, 23));
        assert!(total.basis().is_some_and(|basis| basis.contains("4 of 4 manifests that were listed, and there may be more")), "{total:?}");
        view.held.remove(&blob(4));
        let mut lines = remote(&view, &[delete(&format!("{REPO}:b")), delete(&format!("{REPO}:b-too"))], &nothing());
        assert_eq!(unread(&view, &lines), [], "what a manifest lists is not asked for by itself");
        let total = Stock::of_repository(&view).fill(&mut lines);
        assert_eq!((total.at_least, total.at_most, total.based_on), (0, 23, (3, 4)), "what is not known may hold any of it");
        view.held.clear();
        let all = unread(&view, &lines);
        assert_eq!((all.first(), all.len()), (Some(&blob(2)), 4), "what goes first, and each once");
        assert_eq!(unread(&view, &[]), []);
    }

    proptest! {
        #[test]
        fn lines_add_up_to_what_the_set_frees_in_any_order(
            // Of each image: its layers, and its names.
            images in prop::collection::vec((prop::collection::vec(0_u8..8, 1..5), 0_usize..3), 1..8),
            going in prop::collection::vec((0_usize..8, 0_usize..3), 0..12),
            refused in prop::collection::vec(any::<bool>(), 24),
            shuffle in any::<prop::sample::Index>(),
        ) {
            let name = |at: usize, tag: usize| format!("image-{at}:{tag}");
            let id = |at: usize| 100 + u8::try_from(at).unwrap();
            let summary = |(at, (layers, tags)): (usize, &(Vec<u8>, usize))| {
                let tags: Vec<String> = (0..*tags).map(|tag| name(at, tag)).collect();
                image(id(at), &tags, layers.iter().map(|n| u64::from(*n) + 1).sum(), None)
            };
            let list = list(images.iter().enumerate().map(summary).collect());
            let layers: Layers =
                images.iter().enumerate().map(|(at, (layers, _))| (blob(id(at)), layers.iter().map(|n| (blob(*n), u64::from(*n) + 1)).collect())).collect();
            let wish = |(at, tag): &(usize, usize)| match images.get(*at) {
                Some((_, 0)) | None => Wish::Delete(Target::Image(blob(id(*at)))),
                Some(_) => delete(&name(*at, *tag)),
            };
            let plan = |wishes: &[Wish]| {
                let mut lines = local(&engine(), &list, wishes, &nothing());
                for (line, refused) in lines.iter_mut().zip(&refused) {
                    line.protected = refused.then(|| "because".into());
                }
                lines
            };
            let mut wishes: Vec<Wish> = going.iter().map(wish).collect();
            let mut lines = plan(&wishes);
            let stock = Stock::of_images(&list, &layers);
            let total = stock.fill(&mut lines);
            // An image goes where one of its lines takes it, and none of them is refused.
            let goes = |summary: &ImageSummary| {
                let mut its = lines.iter().filter(|line| line.before.as_ref() == Some(&summary.id)).peekable();
                its.peek().is_some() && its.clone().all(|line| line.refused().is_none()) && its.any(|line| line.verb == Verb::DeleteImage)
            };
            let gone: Vec<Item> = list.images.iter().enumerate().filter(|(_, image)| goes(image)).map(|(at, _)| at).collect();
            let expected = stock.holdings.free(gone).bytes;
            prop_assert_eq!((total.at_least, total.at_most), (expected, expected));
            prop_assert_eq!(figures(&lines).into_iter().flatten().map(|(least, _)| least).sum::<u64>(), expected);
            prop_assert!(total.at_most <= stock.holdings.stored());
            if !wishes.is_empty() {
                let middle = shuffle.index(wishes.len());
                wishes.rotate_left(middle);
                wishes.reverse();
            }
            let mut again = plan(&wishes);
            stock.fill(&mut again);
            prop_assert_eq!(ordered(again), lines);
        }
    }
}
