//! Reads the wanted files out of the layers of an image, each layer once and no further than its last wanted file where the source knows which
//! layer it has opened. A file is parsed as it passes, so that no more than the packages it lists are kept of it.
//!
//! What is read of a layer is not the whole, so no digest vouches for it: every file is held against what the layer's index says of its content.
//!
//! May use model, layer and source.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::listed::{Listed, Room, Unreadable};
use super::wanted::{List, Wanted, wanted};
use super::{HEAD, KINDS, Reads};
use crate::layer::compare::Finished;
use crate::layer::{ContentHash, Digests, Entry, Kind, TarError, Walker};
use crate::model::package::{Inventory, Package, Packages, SourcePackage};
use crate::model::{Digest, Image, Problem, ProblemKind};
use crate::source::{Ctx, Opened, ReadLayer, Source, read_layers};

/// Files of more bytes than that are kept in memory one at a time, however many layers are read at once.
const LARGE: u64 = 4 << 20;

/// The packages of `image`, as `source` gave it, whose finished tree `side` is.
///
/// # Errors
/// A layer that can't be read, or is no longer what it was when it was indexed; what [`Source::open_layers`] says.
pub async fn read(source: &dyn Source, ctx: &Ctx, image: &Image, side: &Finished<'_>) -> Result<Inventory, Problem> {
    Reader::default().read(source, ctx, image, wanted(side)).await
}

/// Reads the packages of several images, and what their layers have in common only once.
#[derive(Default)]
pub struct Reader {
    known: HashMap<Place, Arc<Parsed>>,
}

/// A file by the diff ID of its layer, where its data starts in that layer's tar, and its size.
type Place = (Digest, u64, u64);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("known", &self.known.len()).finish()
    }
}

impl Reader {
    /// The packages of an image in whose finished tree `wanted` was found.
    ///
    /// # Errors
    /// As [`read()`].
    pub async fn read(&mut self, source: &dyn Source, ctx: &Ctx, image: &Image, wanted: Wanted) -> Result<Inventory, Problem> {
        ctx.meter.phase("reading the packages");
        let layers = image.layers.as_deref().unwrap_or_default();
        let place = |layer: usize, offset: u64, size: u64| Some((layers.get(layer)?.diff_id.clone()?, offset, size));
        let is_new = |list: &&List| {
            let place = place(list.place.layer, list.offset, list.size);
            place.is_none_or(|place| !self.known.contains_key(&place))
        };
        let plan = Arc::new(Plan::new(wanted.lists.iter().filter(is_new)));
        for (layer, taken) in fresh(source, ctx, image, plan).await? {
            for ((offset, size), parsed) in &taken.files {
                // Where the source doesn't say what a layer unpacks to, none of its layers can be read.
                self.known.extend(place(layer, *offset, *size).map(|place| (place, Arc::clone(parsed))));
            }
        }
        gather(wanted, |list| self.known.get(&place(list.place.layer, list.offset, list.size)?))
    }
}

/// Reads what is planned, and gives what was made of each layer.
async fn fresh(source: &dyn Source, ctx: &Ctx, image: &Image, plan: Arc<Plan>) -> Result<Vec<(usize, Arc<Taken>)>, Problem> {
    let layers: Vec<usize> = plan.by_layer.keys().copied().collect();
    if layers.is_empty() {
        return Ok(Vec::new());
    }
    let slot: Arc<Mutex<Vec<ReadLayer<Taken>>>> = Arc::default();
    let settled = Arc::clone(&slot);
    let each = move |read: ReadLayer<Taken>| settled.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    read_layers(source, ctx, image, &layers, move |opened| take(opened, &plan), each).await?;
    let told = std::mem::take(&mut *slot.lock().unwrap_or_else(PoisonError::into_inner));
    let mut made = Vec::with_capacity(told.len());
    for read in told {
        match (read.made, read.found) {
            (Some(taken), found) if taken.enough || found.is_ok() => made.push((read.layer, taken)),
            (_, Err(problem)) => return Err(problem),
            // Whatever is missing is said of the files.
            (_, Ok(_)) => {}
        }
    }
    Ok(made)
}

/// Where in layers something is to be read.
struct Plan {
    /// By layer and place in its tar: size and kinds.
    by_layer: BTreeMap<usize, HashMap<u64, (u64, u32)>>,
    /// The same of all layers, for one of which it is not known yet which it is.
    any: HashMap<(u64, u64), u32>,
    /// Held by who has a large file in memory.
    large: Mutex<()>,
    room: Arc<Room>,
}

impl Plan {
    fn new<'a>(lists: impl Iterator<Item = &'a List>) -> Self {
        let mut plan = Self { by_layer: BTreeMap::new(), any: HashMap::new(), large: Mutex::new(()), room: Arc::default() };
        for list in lists {
            // Names of one file lead to one place.
            let places = plan.by_layer.entry(list.place.layer).or_default();
            places.entry(list.offset).or_insert((list.size, 0)).1 |= list.kinds;
            *plan.any.entry((list.offset, list.size)).or_default() |= list.kinds;
        }
        plan
    }

    /// What a file of `layer` is to be read as; 0 for one that is not wanted.
    fn kinds(&self, layer: Option<usize>, entry: &Entry) -> u32 {
        if entry.kind != Kind::File {
            return 0;
        }
        match layer {
            None => self.any.get(&(entry.data_offset, entry.size)).copied().unwrap_or_default(),
            Some(layer) => {
                let at = self.by_layer.get(&layer).and_then(|places| places.get(&entry.data_offset));
                at.filter(|(size, _)| *size == entry.size).map_or(0, |(_, kinds)| *kinds)
            }
        }
    }
}

/// What was made of a layer.
struct Taken {
    /// By place in the tar and size.
    files: HashMap<(u64, u64), Arc<Parsed>>,
    /// It was left as soon as all was there.
    enough: bool,
}

/// What was made of a file.
struct Parsed {
    listed: Listed,
    why_not: Option<Unreadable>,
    /// `None` where its first bytes said that it is of no use.
    content: Option<ContentHash>,
}

fn take(opened: Opened<'_>, plan: &Plan) -> (io::Result<Digests>, Taken) {
    let layer = opened.layer.map(|layer| layer.index);
    let mut left = layer.map_or(usize::MAX, |layer| plan.by_layer.get(&layer).map_or(0, HashMap::len));
    let mut taken = Taken { files: HashMap::new(), enough: false };
    let found = opened.reader().and_then(|mut reader| {
        let mut walker = Walker::buffered(&mut reader);
        while left > 0
            && let Some(entry) = walker.next_entry().map_err(broken)?
        {
            let kinds = plan.kinds(layer, &entry);
            if kinds != 0 {
                taken.files.insert((entry.data_offset, entry.size), Arc::new(parsed(&mut walker, entry.size, kinds, plan)?));
                left -= 1;
            }
        }
        taken.enough = layer.is_some() && left == 0;
        drop(walker);
        // Where the layer's digests have yet to say which it is, all of it is needed.
        if taken.enough { Err(io::Error::other("no more of it is needed")) } else { reader.finish() }
    });
    (found, taken)
}

fn broken(error: TarError) -> io::Error {
    match error {
        TarError::Io { source, .. } => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

fn parsed(data: &mut impl Read, size: u64, kinds: u32, plan: &Plan) -> io::Result<Parsed> {
    let mut made = Parsed { listed: Listed::within(&plan.room), why_not: None, content: None };
    let mut bytes = Vec::new();
    data.by_ref().take(HEAD as u64).read_to_end(&mut bytes)?;
    let fits = |kind: &&Reads| kind.begins.is_none_or(|begins| begins(&bytes));
    let fitting: Vec<&Reads> = of(kinds).filter(fits).collect();
    if fitting.is_empty() {
        return Ok(made);
    }
    let _alone = (size > LARGE).then(|| plan.large.lock().unwrap_or_else(PoisonError::into_inner));
    data.read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a file that is wanted"));
    }
    made.content = Some(ContentHash::of(&bytes));
    for kind in fitting {
        made.why_not = (kind.parse)(&bytes, &mut made.listed).err().or(made.why_not);
    }
    Ok(made)
}

pub(super) fn of(kinds: u32) -> impl Iterator<Item = &'static Reads> {
    KINDS.iter().enumerate().filter(move |(bit, _)| kinds & (1 << bit) != 0).map(|(_, kind)| kind)
}

/// Puts together what was made of the files.
fn gather<'a>(mut wanted: Wanted, made: impl Fn(&List) -> Option<&'a Arc<Parsed>>) -> Result<Inventory, Problem> {
    // Counted once more: one file may be there under very many names.
    let (mut packages, mut lists, room) = (Packages::new(), 0, Room::default());
    for list in std::mem::take(&mut wanted.lists) {
        let layer = list.place.layer;
        let Some(parsed) = made(&list).filter(|parsed| parsed.content.is_none_or(|content| Some(content) == list.content)) else {
            let doing = format!("read the packages in layer {layer}");
            return Err(Problem::new(ProblemKind::Corrupt, doing, "it is not what it was when the layer was read"));
        };
        let is_list = of(list.kinds).any(|kind| kind.begins.is_none()) || !parsed.listed.packages.is_empty();
        lists += usize::from(is_list);
        let full = !put(&mut packages, &list, &parsed.listed.packages, &room);
        if let Some(Unreadable(why)) = parsed.why_not {
            wanted.skip(list.place, why);
        } else if full || parsed.listed.cut {
            wanted.skip(list.place, "it lists more than is believed: only a part was taken in");
        }
    }
    Ok(Inventory { packages, distribution: None, lists, skipped: wanted.skipped, skipped_count: wanted.skipped_count })
}

/// Whether all of it could be taken in.
pub(super) fn put(packages: &mut Packages, list: &List, listed: &[(Package, Option<SourcePackage>)], room: &Room) -> bool {
    for (package, source) in listed {
        if !room.take(list.place.path.raw().len()) {
            return false;
        }
        let installed = packages.entry(package.clone()).or_default();
        installed.source = installed.source.take().or_else(|| source.clone());
        if installed.places.last() != Some(&list.place) {
            installed.places.push(list.place.clone());
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::package::PackagePlace;

    fn list(path: &str, offset: u64, bytes: &[u8]) -> List {
        let place = PackagePlace { layer: 0, path: path.into() };
        List { place, offset, size: bytes.len() as u64, content: Some(ContentHash::of(bytes)), kinds: 1 }
    }

    fn status(count: usize) -> Vec<u8> {
        (0..count).flat_map(|at| format!("Package: p{at}\nVersion: 1\n\n").into_bytes()).collect()
    }

    /// Each file alone is within its bounds.
    #[test]
    fn many_files_of_very_many_packages_are_cut_at_what_one_image_may_have() {
        let bytes = status(200_000);
        let lists: Vec<List> = (0..4).map(|at| list("var/lib/dpkg/status.d/a", at, &bytes)).collect();
        let plan = Plan::new(lists.iter());
        let made: Vec<Parsed> = lists.iter().map(|list| parsed(&mut &bytes[..], list.size, 1, &plan).unwrap()).collect();
        let kept: Vec<(usize, bool)> = made.iter().map(|parsed| (parsed.listed.packages.len(), parsed.listed.cut)).collect();
        assert_eq!(kept, [(200_000, false), (200_000, false), (100_000, true), (0, true)]);
    }

    #[test]
    fn a_file_under_very_many_names_is_not_told_of_without_end() {
        let bytes = status(1000);
        let made = list("a", 0, &bytes);
        let made = Arc::new(parsed(&mut &bytes[..], made.size, 1, &Plan::new([&made].into_iter())).unwrap());
        let mut wanted = Wanted::default();
        wanted.lists = (0..600).map(|at| list(&format!("var/lib/dpkg/status.d/{at}"), 0, &bytes)).collect();
        let found = gather(wanted, |_| Some(&made)).unwrap();
        let places: usize = found.packages.values().map(|installed| installed.places.len()).sum();
        assert_eq!((found.packages.len(), places, found.skipped_count), (1000, 500_000, 100));
    }
}
