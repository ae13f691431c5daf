//! How many bytes a removal truly frees: what is stored once is counted once, over the whole set that goes and against all that stays.
//!
//! May use model only. [`Holdings`] is filled with the blobs each image or manifest holds: for a repository the configuration, the layers
//! and the manifest itself, of an index also its children's ([`repository`]); for an engine its layers by chain ID ([`chain_ids`]), because a layer that
//! lies on other layers is stored again. Identities are interned, so a set is weighed in one pass over numbers.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::Digest;
pub use crate::model::image::chain_ids;
pub use crate::model::remote::Held as Manifest;

/// One image or manifest among the [`Holdings`], by the order in which they were added.
pub type Item = usize;

/// Which blobs every image or manifest holds.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    ids: HashMap<Digest, u32>,
    /// Bytes of each blob. Where two items disagree the smaller holds, so that never more is promised than is freed.
    sizes: Vec<u64>,
    /// The blobs of all items, one after the other, each once an item.
    blobs: Vec<u32>,
    /// Where each item's blobs end. What an item begins with is where the one before it ends.
    ends: Vec<usize>,
    /// Whether an item's blobs are known, in the order of items.
    known: Vec<bool>,
}

/// What removing a set frees, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freed {
    /// Of all blobs that nothing staying holds, each once.
    pub bytes: u64,
    /// Of the blobs of the set that stay because something staying holds them, each once.
    pub kept: u64,
    /// Of each item of the set, in the order of items.
    pub items: Vec<Share>,
    /// Items whose blobs are known, and all items. While these differ, what is not known may hold some of the blobs too, so that
    /// fewer bytes are freed; and what is not known of the set itself frees more.
    pub based_on: (usize, usize),
}

/// One item's part of what is freed, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub item: Item,
    /// Of all its blobs.
    pub size: u64,
    /// Freed if it alone went: nothing else holds them.
    pub own: u64,
    /// Held by something that stays too.
    pub kept: u64,
    /// Whether its blobs are known; else the figures are 0.
    pub known: bool,
}

impl Freed {
    /// Whether the blobs of every item are known.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.based_on.0 == self.based_on.1
    }

    /// `based on 7 of 9 manifests`, or `None` where all are known.
    #[must_use]
    pub fn basis(&self, noun: &str) -> Option<String> {
        let (known, all) = self.based_on;
        (known < all).then(|| format!("based on {known} of {all} {noun}"))
    }
}

impl Holdings {
    /// Adds an image or manifest by the identity and the size in bytes of every blob it holds.
    pub fn add<'a>(&mut self, blobs: impl IntoIterator<Item = (&'a Digest, u64)>) -> Item {
        let from = self.blobs.len();
        for (digest, size) in blobs {
            let id = self.intern(digest, size);
            self.blobs.push(id);
        }
        // A layer may lie twice in one image, and is stored once.
        if let Some(own) = self.blobs.get_mut(from..) {
            own.sort_unstable();
        }
        let mut last = None;
        let mut write = from;
        for read in from..self.blobs.len() {
            let Some(&id) = self.blobs.get(read) else { break };
            if last != Some(id) {
                last = Some(id);
                if let Some(place) = self.blobs.get_mut(write) {
                    *place = id;
                }
                write += 1;
            }
        }
        self.blobs.truncate(write);
        self.end(true)
    }

    /// Adds an image or manifest whose blobs are not known.
    pub fn add_unknown(&mut self) -> Item {
        self.end(false)
    }

    fn end(&mut self, known: bool) -> Item {
        self.ends.push(self.blobs.len());
        self.known.push(known);
        self.ends.len() - 1
    }

    fn intern(&mut self, digest: &Digest, size: u64) -> u32 {
        if let Some(&id) = self.ids.get(digest) {
            if let Some(known) = self.sizes.get_mut(id as usize) {
                *known = size.min(*known);
            }
            return id;
        }
        // Four thousand million different digests do not fit in memory before they do not fit in this.
        let id = u32::try_from(self.sizes.len()).unwrap_or(u32::MAX);
        self.ids.insert(digest.clone(), id);
        self.sizes.push(size);
        id
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all blobs, each once: what is stored.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
    }

    fn of(&self, item: Item) -> &[u32] {
        let from = item.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(item).and_then(|end| self.blobs.get(from..*end)).unwrap_or_default()
    }

    fn size(&self, blob: u32) -> u64 {
        self.sizes.get(blob as usize).copied().unwrap_or(0)
    }

    /// What goes when these items go. Items that are none, or named twice, change nothing.
    #[must_use]
    pub fn free(&self, going: impl IntoIterator<Item = Item>) -> Freed {
        let mut goes = vec![false; self.len()];
        for item in going {
            if let Some(mark) = goes.get_mut(item) {
                *mark = true;
            }
        }
        let mut holders = vec![Holders::default(); self.sizes.len()];
        for (item, &goes) in goes.iter().enumerate() {
            for &blob in self.of(item) {
                let Some(held) = holders.get_mut(blob as usize) else { continue };
                held.all = held.all.saturating_add(1);
                held.stays |= !goes;
                held.goes |= goes;
            }
        }
        let mut freed = Freed { based_on: self.based_on(), ..Freed::default() };
        for (held, &size) in holders.iter().zip(&self.sizes).filter(|(held, _)| held.goes) {
            let sum = if held.stays { &mut freed.kept } else { &mut freed.bytes };
            *sum = sum.saturating_add(size);
        }
        freed.items = (0..self.len()).filter(|item| goes.get(*item) == Some(&true)).map(|item| self.share(item, &holders)).collect();
        freed
    }

    /// What each of these items frees when all of them go, in their order; a blob that several of them hold counts with the last one. The sum is
    /// what [`Holdings::free`] says of all. An item that is named twice stands where it is named last.
    #[must_use]
    pub fn attribute(&self, going: &[Item]) -> Vec<u64> {
        let mut last = vec![None; self.len()];
        for (at, item) in going.iter().enumerate() {
            if let Some(place) = last.get_mut(*item) {
                *place = Some(at);
            }
        }
        // Of each blob whether something staying holds it, and the last of those going that does.
        let mut holders = vec![(false, None); self.sizes.len()];
        for (item, place) in last.iter().enumerate() {
            for &blob in self.of(item) {
                let Some((stays, bears)) = holders.get_mut(blob as usize) else { continue };
                *stays |= place.is_none();
                *bears = (*bears).max(*place);
            }
        }
        let mut freed = vec![0_u64; going.len()];
        for ((stays, bears), size) in holders.into_iter().zip(&self.sizes) {
            if let Some(sum) = bears.filter(|_| !stays).and_then(|at| freed.get_mut(at)) {
                *sum = sum.saturating_add(*size);
            }
        }
        freed
    }

    /// The bytes of groups of items: of each those that no item outside of it holds, and those that one does, each blob once. An item may be in
    /// several groups; none of them holds it alone then.
    #[must_use]
    pub fn of_groups(&self, groups: &[Vec<Item>]) -> Vec<(u64, u64)> {
        const MANY: usize = usize::MAX;
        let mut of = vec![None; self.len()];
        for (group, items) in groups.iter().enumerate() {
            for item in items {
                if let Some(slot) = of.get_mut(*item) {
                    *slot = Some(if slot.is_none_or(|other| other == group) { group } else { MANY });
                }
            }
        }
        let mut holder = vec![None; self.sizes.len()];
        for item in 0..self.len() {
            let group = of.get(item).copied().flatten().unwrap_or(MANY);
            for &blob in self.of(item) {
                if let Some(slot) = holder.get_mut(blob as usize) {
                    *slot = Some(if slot.is_none_or(|other| other == group) { group } else { MANY });
                }
            }
        }
        let mut counted = vec![None; self.sizes.len()];
        let sum = |(group, items): (usize, &Vec<Item>)| {
            let mut sum = (0_u64, 0_u64);
            for &blob in items.iter().flat_map(|item| self.of(*item)) {
                let Some(seen) = counted.get_mut(blob as usize).filter(|seen| **seen != Some(group)) else { continue };
                *seen = Some(group);
                let alone = holder.get(blob as usize) == Some(&Some(group));
                let bytes = if alone { &mut sum.0 } else { &mut sum.1 };
                *bytes = bytes.saturating_add(self.size(blob));
            }
            sum
        };
        groups.iter().enumerate().map(sum).collect()
    }

    /// Items whose blobs are known, and all items.
    #[must_use]
    pub fn based_on(&self) -> (usize, usize) {
        (self.known.iter().filter(|known| **known).count(), self.len())
    }

    /// Whether the blobs of an item are known.
    #[must_use]
    pub fn knows(&self, item: Item) -> bool {
        self.known.get(item) == Some(&true)
    }

    fn share(&self, item: Item, holders: &[Holders]) -> Share {
        let mut share = Share { item, size: 0, own: 0, kept: 0, known: self.knows(item) };
        for &blob in self.of(item) {
            let size = self.size(blob);
            let held = holders.get(blob as usize).copied().unwrap_or_default();
            share.size = share.size.saturating_add(size);
            if held.all == 1 {
                share.own = share.own.saturating_add(size);
            }
            if held.stays {
                share.kept = share.kept.saturating_add(size);
            }
        }
        share
    }
}

/// Who holds one blob.
#[derive(Debug, Clone, Copy, Default)]
struct Holders {
    all: u32,
    stays: bool,
    goes: bool,
}

/// What each of `roots` holds in a repository: itself, its blobs, and over however many steps what is in its indexes. Of a root some part of
/// which is not among `manifests`, or was not read, nothing is known.
#[must_use]
pub fn repository<'a>(manifests: &BTreeMap<Digest, Manifest>, roots: impl IntoIterator<Item = &'a Digest>) -> Holdings {
    let mut all = Holdings::default();
    for root in roots {
        match tree(manifests, root) {
            Some(blobs) => all.add(blobs),
            None => all.add_unknown(),
        };
    }
    all
}

/// All blobs below `root`; `None` where something is missing.
fn tree<'a>(manifests: &'a BTreeMap<Digest, Manifest>, root: &Digest) -> Option<Vec<(&'a Digest, u64)>> {
    let mut blobs = Vec::new();
    let mut open = vec![root];
    let mut seen = HashSet::new();
    while let Some(next) = open.pop() {
        let (digest, manifest) = manifests.get_key_value(next)?;
        // An index that leads back to itself is read once.
        if !seen.insert(digest) {
            continue;
        }
        blobs.push((digest, manifest.size));
        blobs.extend(manifest.blobs.as_ref()?.iter().map(|(blob, size)| (blob, *size)));
        open.extend(&manifest.children);
    }
    Some(blobs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn blob(n: u8) -> Digest {
        Digest::sha256(&[n])
    }

    fn holdings(items: &[Vec<(u8, u64)>]) -> Holdings {
        let mut all = Holdings::default();
        for item in items {
            let blobs: Vec<(Digest, u64)> = item.iter().map(|(n, size)| (blob(*n), *size)).collect();
            all.add(blobs.iter().map(|(digest, size)| (digest, *size)));
        }
        all
    }

    #[test]
    fn a_hundred_images_on_one_base_free_it_once_and_only_together() {
        // The case for which naive sums are wrong: 100 images of 101 MB are 200 MB, and not 10 GB.
        let mut items: Vec<Vec<(u8, u64)>> = (1..=100).map(|n| vec![(0, 100_000_000), (n, 1_000_000)]).collect();
        let all = holdings(&items);
        assert_eq!(all.stored(), 200_000_000);
        assert_eq!(all.free(0..100).bytes, 200_000_000);
        let but_one = all.free(0..99);
        assert_eq!((but_one.bytes, but_one.kept, but_one.is_exact()), (99_000_000, 100_000_000, true));
        assert_eq!(but_one.items[0], Share { item: 0, size: 101_000_000, own: 1_000_000, kept: 100_000_000, known: true });
        // Two that share with each other only: neither frees it alone.
        items.push(vec![(200, 5)]);
        items.push(vec![(200, 5), (201, 1)]);
        let freed = holdings(&items).free([100, 101, 101, 9_999]);
        assert_eq!((freed.bytes, freed.items[0].own, freed.items[1].own), (6, 0, 1));
    }

    #[test]
    fn groups_own_what_nothing_outside_of_them_holds() {
        // Two of one group share 2; 1 is everybody's; the last item is in two groups, so neither owns its 5.
        let all = holdings(&[vec![(1, 100), (2, 10)], vec![(1, 100), (2, 10), (3, 1)], vec![(1, 100), (4, 7)], vec![(5, 5)]]);
        let groups = [vec![0, 1, 3], vec![2, 3, 3], vec![], vec![9]];
        assert_eq!(all.of_groups(&groups), [(11, 105), (7, 105), (0, 0), (0, 0)]);
        // What is in no group holds its own all the same.
        assert_eq!(all.of_groups(&[vec![0]]), [(0, 110)]);
        assert_eq!(all.of_groups(&[vec![0, 1, 2, 3]]), [(all.stored(), 0)]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut all = holdings(&[vec![(1, 10)], vec![(1, 10), (2, 1)]]);
        let unknown = all.add_unknown();
        let freed = all.free([1, unknown]);
        assert_eq!((freed.bytes, freed.kept, freed.based_on, freed.is_exact()), (1, 10, (2, 3), false));
        assert_eq!(freed.basis("manifests").as_deref(), Some("based on 2 of 3 manifests"));
        assert!(!freed.items[1].known);
        assert_eq!(holdings(&[]).free([]).basis("manifests"), None);
    }

    #[test]
    fn an_index_holds_what_is_in_it() {
        let image = |layers: &[u8]| Manifest { size: 1, blobs: Some(layers.iter().map(|n| (blob(*n), 10)).collect()), children: vec![] };
        let index = |children: &[u8]| Manifest { size: 2, blobs: Some(vec![]), children: children.iter().map(|n| blob(*n)).collect() };
        let mut manifests: BTreeMap<Digest, Manifest> =
            [(blob(100), image(&[1, 2])), (blob(101), image(&[1, 3])), (blob(102), index(&[100, 101])), (blob(103), index(&[102, 103]))]
                .into();
        let roots = [blob(102), blob(100), blob(103)];
        let freed = repository(&manifests, &roots).free([0, 2]);
        assert_eq!(freed.items.iter().map(|share| share.size).collect::<Vec<_>>(), [34, 36], "one that holds itself is counted once");
        assert_eq!((freed.bytes, freed.kept, freed.is_exact()), (2 + 2 + 1 + 10, 1 + 20, true));
        manifests.remove(&blob(101));
        assert_eq!(repository(&manifests, &roots).free([0]).based_on, (1, 3), "a child that is not known");
        manifests.insert(blob(100), Manifest { blobs: None, ..image(&[]) });
        assert_eq!(repository(&manifests, &roots).free([0]).based_on, (0, 3));
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let (a, b) = (blob(1), blob(2));
        let chain = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chain, [a.clone(), Digest::sha256(format!("{a} {b}").as_bytes())]);
        assert_ne!(chain_ids(std::slice::from_ref(&b))[0], chain[1], "the same layer elsewhere is stored again");
    }

    proptest! {
        #[test]
        fn a_set_is_weighed_as_by_counting_every_blob(
            items in prop::collection::vec(prop::collection::vec((0_u8..12, 0_u64..50), 0..8), 0..12),
            going in prop::collection::btree_set(0_usize..14, 0..10),
        ) {
            let freed = holdings(&items).free(going.iter().copied());
            let mut size: BTreeMap<u8, u64> = BTreeMap::new();
            for (n, bytes) in items.iter().flatten() {
                size.entry(*n).and_modify(|known| *known = (*known).min(*bytes)).or_insert(*bytes);
            }
            let held = |by: &dyn Fn(usize) -> bool| -> BTreeSet<u8> {
                items.iter().enumerate().filter(|(at, _)| by(*at)).flat_map(|(_, blobs)| blobs.iter().map(|(n, _)| *n)).collect()
            };
            let sum = |set: BTreeSet<u8>| set.iter().map(|n| size[n]).sum::<u64>();
            let (gone, staying) = (held(&|at| going.contains(&at)), held(&|at| !going.contains(&at)));
            prop_assert_eq!(freed.bytes, sum(&gone - &staying));
            let order: Vec<usize> = going.iter().copied().rev().collect();
            let each = holdings(&items).attribute(&order);
            prop_assert_eq!(each.iter().sum::<u64>(), freed.bytes);
            let mut left = &gone - &staying;
            for (item, bytes) in order.iter().zip(each).rev() {
                let its = held(&|at| at == *item);
                prop_assert_eq!(bytes, sum(&left & &its), "the last one that holds a blob bears it");
                left = &left - &its;
            }
            prop_assert_eq!(freed.kept, sum(&gone & &staying));
            let expected: Vec<usize> = going.iter().copied().filter(|at| *at < items.len()).collect();
            prop_assert_eq!(freed.items.iter().map(|share| share.item).collect::<Vec<_>>(), expected);
            for share in freed.items {
                let its = held(&|at| at == share.item);
                prop_assert_eq!(share.size, sum(its.clone()));
                prop_assert_eq!(share.own, sum(&its - &held(&|at| at != share.item)));
                prop_assert_eq!(share.kept, sum(&its & &staying));
            }
        }
    }
}
