//! The files of an archive as a table in memory, by their paths. Paths are only ever looked up here, never on a disk.

use std::collections::HashMap;

use crate::layer::{Entry, Kind};
use crate::model::{Problem, ProblemKind, Safe};

/// Bounds of the table: entries, and bytes of all paths together.
const MOST_FILES: usize = 1_000_000;
const MOST_TEXT: usize = 128 << 20;
/// Links leading to links.
const MOST_HOPS: usize = 8;

#[derive(Debug)]
enum Node<T> {
    File(T),
    /// The path a link leads to, from the archive's top.
    Link(String),
}

/// Files of type `T` and the links between them.
#[derive(Debug)]
pub(in crate::source) struct Table<T> {
    nodes: HashMap<String, Node<T>>,
    text: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { nodes: HashMap::new(), text: 0 }
    }
}

impl<T> Table<T> {
    /// Takes in an entry; what is neither file nor link is passed over.
    ///
    /// # Errors
    /// A path or link that leads out of the archive, a path that is there twice, or too much of everything.
    pub(in crate::source) fn add(&mut self, entry: &Entry, file: impl FnOnce() -> T, doing: &str) -> Result<(), Problem> {
        let path = entry_path(entry, doing)?;
        let node = match entry.kind {
            Kind::File => Node::File(file()),
            Kind::Symlink => match link_target(&path, entry, true) {
                Some(target) => Node::Link(target),
                None => return Err(outside(entry, "leads", doing)),
            },
            Kind::Hardlink => match link_target(&path, entry, false) {
                Some(target) => Node::Link(target),
                None => return Err(outside(entry, "leads", doing)),
            },
            _ => return Ok(()),
        };
        self.text += path.len();
        if self.nodes.len() >= MOST_FILES || self.text > MOST_TEXT {
            return Err(Problem::new(ProblemKind::Limit, doing, format!("it has more than {MOST_FILES} files")));
        }
        if let Some(path) = self.nodes.contains_key(&path).then(|| Safe::new(&path)) {
            return Err(Problem::new(ProblemKind::Corrupt, doing, format!("{path} is in it twice, so readers could differ on it")));
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Every file, in no order.
    pub(in crate::source) fn files(&self) -> impl Iterator<Item = (&str, &T)> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.as_str(), file)),
            Node::Link(_) => None,
        })
    }

    /// The file at `path`, through links.
    pub(in crate::source) fn get(&self, path: &str) -> Option<&T> {
        let mut path = normal(path)?;
        for _ in 0..=MOST_HOPS {
            match self.nodes.get(&path)? {
                Node::File(file) => return Some(file),
                Node::Link(target) => path.clone_from(target),
            }
        }
        None
    }
}

/// An entry's path from the archive's top.
///
/// # Errors
/// A path that isn't text, is absolute or has `..`.
pub(in crate::source) fn entry_path(entry: &Entry, doing: &str) -> Result<String, Problem> {
    let path = entry.path_str().filter(|path| !path.starts_with('/'));
    path.and_then(normal).ok_or_else(|| outside(entry, "is named", doing))
}

fn outside(entry: &Entry, how: &str, doing: &str) -> Problem {
    let path = Safe::new(&String::from_utf8_lossy(&entry.path));
    let cause = match &entry.link {
        Some(link) if how == "leads" => format!("its link {path} leads out of it, to {}", Safe::new(&String::from_utf8_lossy(link))),
        _ => format!("one of its files is named {path}, which is outside of it"),
    };
    Problem::new(ProblemKind::Corrupt, doing, cause)
}

/// A path without `.` and empty parts; `None` when it has `..`.
fn normal(path: &str) -> Option<String> {
    join(&[], path)
}

/// `path` as seen from the folder `from`; `None` when it leads above the top.
fn join(from: &[&str], path: &str) -> Option<String> {
    let is_link = !from.is_empty();
    let mut parts = from.to_vec();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if is_link => {
                parts.pop().filter(|part| *part != TOP)?;
            }
            ".." => return None,
            part => parts.push(part),
        }
    }
    parts.retain(|part| *part != TOP);
    Some(parts.join("/"))
}

/// Stands for the archive's top at the bottom of a link's folders; no part of a path can be it.
const TOP: &str = "/";

fn link_target(path: &str, entry: &Entry, relative: bool) -> Option<String> {
    let target = std::str::from_utf8(entry.link.as_deref()?).ok().filter(|target| !target.starts_with('/'))?;
    if !relative {
        return normal(target);
    }
    let mut from = vec![TOP];
    from.extend(path.rsplit_once('/').map(|(folder, _)| folder.split('/')).into_iter().flatten());
    join(&from, target)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, link: Option<&str>) -> Entry {
        Entry {
            path: path.as_bytes().to_vec(),
            link: link.map(|link| link.as_bytes().to_vec()),
            kind: if link.is_some() { Kind::Symlink } else { Kind::File },
            size: 0,
            content_size: 0,
            data_offset: 0,
            mode: None,
            uid: None,
            gid: None,
            mtime: None,
            device: None,
            capability: None,
            xattrs: 0,
        }
    }

    fn table(entries: &[(&str, Option<&str>)]) -> Result<Table<String>, Problem> {
        let mut table = Table::default();
        for (path, link) in entries {
            table.add(&entry(path, *link), || (*path).to_owned(), "read it")?;
        }
        Ok(table)
    }

    #[test]
    fn files_are_found_through_links_and_dots() {
        let table = table(&[("./a/layer.tar", None), ("b/layer.tar", Some("../a/layer.tar")), ("c", Some("b/../b/layer.tar"))]).unwrap();
        for path in ["a/layer.tar", "./a//layer.tar", "b/layer.tar", "c"] {
            assert_eq!(table.get(path).map(String::as_str), Some("./a/layer.tar"), "{path}");
        }
        assert_eq!(table.get("a/../a/layer.tar"), None);
        assert_eq!(table.get("missing"), None);
    }

    #[test]
    fn what_leads_outside_or_is_there_twice_is_refused_by_name() {
        for (entries, word) in [
            (&[("../x", None)][..], "../x"),
            (&[("/etc/passwd", None)], "/etc/passwd"),
            (&[("a/../../x", None)], "a/../../x"),
            (&[("a/l", Some("../../x"))], "../../x"),
            (&[("l", Some("/etc/passwd"))], "/etc/passwd"),
            (&[("a", None), ("./a", None)], "a is in it twice"),
        ] {
            let problem = table(entries).unwrap_err();
            assert!(problem.cause.as_str().contains(word), "{problem}");
        }
    }

    #[test]
    fn links_in_a_circle_lead_nowhere() {
        assert_eq!(table(&[("a", Some("b")), ("b", Some("a"))]).unwrap().get("a"), None);
    }

    proptest! {
        #[test]
        fn no_path_leads_above_the_top(path in "[a./]{0,20}", link in "[a./]{0,20}") {
            let path = normal(&path).unwrap_or_default();
            if let Some(target) = link_target(&path, &entry(&path, Some(&link)), true) {
                prop_assert!(!target.split('/').any(|part| part == ".."));
            }
        }
    }
}
