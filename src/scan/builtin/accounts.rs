//! Who may log in to the finished image, and which system it says that it is.

use std::collections::BTreeMap;

use super::documents::layer;
use super::found::{by_rule, origin};
use super::layers::Layer;
use crate::layer::compare::Finished;
use crate::model::finding::Evidence;
use crate::model::package::Distribution;
use crate::model::{Finding, FindingKind, Image, Severity};
use crate::scan::facts::{Password, System, SystemFile};

/// What the finished image's own files say.
#[derive(Debug, Default)]
pub(super) struct Accounts<'a> {
    /// By path, with the layer that it is from.
    files: BTreeMap<&'static str, (usize, &'a SystemFile)>,
}

/// Files that tell of the system, those that say it best first.
const RELEASES: [&str; 4] = ["etc/os-release", "usr/lib/os-release", "etc/alpine-release", "etc/debian_version"];
const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";
const SHADOW: [&str; 2] = ["etc/shadow", "etc/master.passwd"];

impl<'a> Accounts<'a> {
    pub(super) fn of(side: &Finished<'_>, layers: &'a [Layer]) -> Self {
        let mut files = BTreeMap::new();
        for path in RELEASES.into_iter().chain([PASSWD, GROUP]).chain(SHADOW) {
            let found = side.tree.find(path.as_bytes()).filter(|&id| side.has(id)).and_then(|id| {
                let (index, _) = side.origin(id)?;
                let offset = side.member(id)?.offset();
                let file = layers.get(index)?.facts.system.iter().find(|file| file.path == path.as_bytes() && file.offset == offset)?;
                Some((index, file))
            });
            files.extend(found.map(|found| (path, found)));
        }
        Self { files }
    }

    fn system(&self, path: &str) -> Option<&'a System> {
        self.files.get(path).map(|(_, file)| &file.system)
    }

    pub(super) fn distribution(&self) -> Option<Distribution> {
        RELEASES.iter().find_map(|path| match self.system(path)? {
            System::Release(found) => Some(found.clone()),
            _ => None,
        })
    }

    /// The numbers of users by their names; none where no file tells of any.
    pub(super) fn users(&self) -> BTreeMap<String, u32> {
        match self.system(PASSWD) {
            Some(System::Users(users)) => {
                // What is said of a name first holds.
                users.iter().rev().filter_map(|user| Some((user.name.raw().to_owned(), user.uid?))).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// Accounts without a password, and numbers that several have.
    pub(super) fn findings(&self, image: &Image, base: Option<usize>) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut put = |path: &str, (id, title, severity): (&str, &str, Severity), rest: &str, words: &str| {
            let mut finding = by_rule(FindingKind::SensitiveFile, id, title, severity, path, rest);
            finding.evidence = Some(Evidence::plain(words));
            if let Some((index, _)) = self.files.get(path) {
                finding.layer = Some(layer(image, *index));
                finding.origin = origin(*index, base);
            }
            found.push(finding);
        };
        let empty = ("empty-password", "Account that needs no password", Severity::High);
        for path in SHADOW {
            if let Some(System::Shadow { empty: names, .. }) = self.system(path) {
                for name in names {
                    put(path, empty, name.raw(), name.raw());
                }
            }
        }
        if let Some(System::Users(users)) = self.system(PASSWD) {
            for user in users.iter().filter(|user| user.password == Password::Empty) {
                put(PASSWD, empty, user.name.raw(), user.name.raw());
            }
            let numbers = users.iter().filter_map(|user| Some((user.uid?, user.name.raw())));
            for (uid, names) in shared(numbers) {
                let severity = if uid == 0 { Severity::High } else { Severity::Low };
                let rule = ("duplicate-uid", "Users that are one to the system", severity);
                put(PASSWD, rule, &uid.to_string(), &format!("{uid}: {}", names.join(", ")));
            }
        }
        if let Some(System::Groups(groups)) = self.system(GROUP) {
            for (gid, names) in shared(groups.iter().map(|(name, gid)| (*gid, name.raw()))) {
                let rule = ("duplicate-gid", "Groups that are one to the system", Severity::Low);
                put(GROUP, rule, &gid.to_string(), &format!("{gid}: {}", names.join(", ")));
            }
        }
        found
    }
}

/// Numbers that go by several names.
fn shared<'a>(all: impl Iterator<Item = (u32, &'a str)>) -> Vec<(u32, Vec<&'a str>)> {
    let mut by_number: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (number, name) in all {
        let names = by_number.entry(number).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    by_number.into_iter().filter(|(_, names)| names.len() > 1).collect()
}
