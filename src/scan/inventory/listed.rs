//! What one file lists, collected within bounds while it is parsed.
//!
//! May use model.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::Foreign;
use crate::model::package::{Package, PackageKind, SourcePackage};

/// Packages of one file that are believed.
const MOST: usize = 200_000;
/// Longest name, version or architecture, in bytes.
const LONGEST: usize = 1024;

/// Why a file could not be understood; what was put before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// What may still be taken in of one image, or one layer, by all that read it at a time: one file alone is no measure where there may be very many.
#[derive(Debug)]
pub(in crate::scan) struct Room {
    packages: AtomicU64,
    /// Of their names, versions and the like.
    bytes: AtomicU64,
    /// The one that this is a part of: that of the image that a layer is looked at for.
    above: Option<Arc<Self>>,
    is_full_above: AtomicBool,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(500_000, 256 << 20)
    }
}

impl Room {
    pub(in crate::scan) const fn of(packages: u64, bytes: u64) -> Self {
        Self { packages: AtomicU64::new(packages), bytes: AtomicU64::new(bytes), above: None, is_full_above: AtomicBool::new(false) }
    }

    /// The same, within another one.
    pub(in crate::scan) fn below(self, above: &Arc<Self>) -> Self {
        Self { above: Some(Arc::clone(above)), ..self }
    }

    /// Whether something found room here, and none in the one above.
    pub(in crate::scan) fn is_full_above(&self) -> bool {
        self.is_full_above.load(Ordering::Relaxed)
    }

    /// Whether there is room for one more package, with so many bytes of text.
    pub(super) fn take(&self, texts: usize) -> bool {
        let less = |left: &AtomicU64, by: u64| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(by)).is_ok();
        let is_here = less(&self.packages, 1) && less(&self.bytes, texts as u64);
        let is_above = is_here && self.above.as_ref().is_none_or(|above| above.take(texts));
        if is_here && !is_above {
            self.is_full_above.store(true, Ordering::Relaxed);
        }
        is_above
    }
}

/// Packages as a file lists them.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) packages: Vec<(Package, Option<SourcePackage>)>,
    /// Some were left out: too many, or with names that are none.
    pub(super) cut: bool,
    room: Arc<Room>,
}

impl Listed {
    pub(super) fn within(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), ..Self::default() }
    }

    /// Takes in a package. One without a name or version is none.
    pub(super) fn put(&mut self, kind: PackageKind, name: &str, version: &str, architecture: &str, source: Option<(&str, &str)>) {
        if name.is_empty() || version.is_empty() {
            return;
        }
        if self.packages.len() >= MOST || [name, version, architecture].iter().any(|text| text.len() > LONGEST) {
            self.cut = true;
            return;
        }
        let source = source
            .filter(|(its_name, its_version)| !its_name.is_empty() && (*its_name, *its_version) != (name, version))
            .filter(|(its_name, its_version)| its_name.len() <= LONGEST && its_version.len() <= LONGEST);
        let texts = [name, version, architecture].iter().map(|text| text.len()).sum::<usize>();
        if !self.room.take(texts + source.map_or(0, |(name, version)| name.len() + version.len())) {
            self.cut = true;
            return;
        }
        let source = source.map(|(name, version)| SourcePackage { name: Foreign::new(name), version: Foreign::new(version) });
        let package = Package { kind, name: Foreign::new(name), version: Foreign::new(version), architecture: Foreign::new(architecture) };
        self.packages.push((package, source));
    }
}

/// A list that is written as text.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if bytes.contains(&0) { Err(Unreadable("it is no text")) } else { Ok(String::from_utf8_lossy(bytes)) }
}

/// The value of a field of `NAME: value` lines; a line that goes on with a blank belongs to the one before and is no field.
pub(super) fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| {
        let (told, value) = line.split_once(':')?;
        told.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a parser finds, as `TYPE NAME VERSION ARCHITECTURE [SOURCE VERSION]`.
    pub(in crate::scan::inventory) fn told(parse: fn(&[u8], &mut Listed) -> Result<(), Unreadable>, bytes: &[u8]) -> Vec<String> {
        let mut listed = Listed::default();
        parse(bytes, &mut listed).unwrap();
        lines(&listed)
    }

    pub(in crate::scan::inventory) fn lines(listed: &Listed) -> Vec<String> {
        let line = |(package, source): &(Package, Option<SourcePackage>)| {
            let from = source.as_ref().map(|source| format!(" [{} {}]", source.name.raw(), source.version.raw())).unwrap_or_default();
            let words = [package.kind.name(), package.name.raw(), package.version.raw(), package.architecture.raw()];
            format!("{}{from}", words.join(" ").trim_end())
        };
        listed.packages.iter().map(line).collect()
    }

    #[test]
    fn what_has_no_name_or_an_endless_one_is_no_package() {
        let mut listed = Listed::default();
        listed.put(PackageKind::Npm, "", "1", "", None);
        listed.put(PackageKind::Npm, "a", "", "", None);
        assert!(listed.packages.is_empty() && !listed.cut);
        listed.put(PackageKind::Npm, &"a".repeat(LONGEST + 1), "1", "", None);
        assert!(listed.packages.is_empty() && listed.cut);
        for _ in 0..=MOST {
            listed.put(PackageKind::Npm, "a", "1", "", Some(("a", "1")));
        }
        assert_eq!((listed.packages.len(), listed.packages[0].1.is_none()), (MOST, true));
    }

    #[test]
    fn all_files_of_an_image_share_one_room() {
        let room = Arc::new(Room::of(3, 1 << 20));
        let of = |count: usize| {
            let mut listed = Listed::within(&room);
            (0..count).for_each(|_| listed.put(PackageKind::Deb, "a", "1", "", None));
            (listed.packages.len(), listed.cut)
        };
        assert_eq!([of(2), of(2), of(1)], [(2, false), (1, true), (0, true)]);
        let room = Arc::new(Room::of(100, 30));
        let mut listed = Listed::within(&room);
        for _ in 0..5 {
            listed.put(PackageKind::Deb, "libc6", "2.36", "i386", Some(("glibc", "1")));
        }
        assert_eq!((listed.packages.len(), listed.cut), (1, true), "the source's name counts too");
    }
}
