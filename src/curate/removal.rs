//! Which of the chosen rows can go, what goes with them, and how many bytes that frees.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Digest, ImageList, ImageSummary, Name, Removal, Safe, size};

use super::{Statement, Tone};

/// A removal thought through against one list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RemovalPlan {
    /// In the order they run: refused ones are not among them.
    pub items: Vec<Removal>,
    pub statements: Vec<Statement>,
    /// Tags that only lose their name, their image staying under another.
    pub untagged: usize,
    /// Images that go altogether.
    pub deleted: usize,
    pub refused: usize,
    /// Bytes freed if nothing that goes shares a layer with what stays.
    pub freed_at_most: u64,
    /// Bytes freed for certain: those that no other image shares, where the source told.
    pub freed_at_least: Option<u64>,
}

impl RemovalPlan {
    /// Thinks through removing `chosen`: pairs of image ID and, for a tagged row, its tag.
    #[must_use]
    pub fn new(list: &ImageList, chosen: &[(Digest, Option<Name>)]) -> Self {
        let mut by_image: BTreeMap<&Digest, BTreeSet<&Name>> = BTreeMap::new();
        for (id, name) in chosen {
            by_image.entry(id).or_default().extend(name);
        }
        let mut plan = Self { freed_at_least: Some(0), ..Self::default() };
        for image in &list.images {
            if let Some(tags) = by_image.get(&image.id) {
                plan.image(image, tags);
            }
        }
        if plan.deleted == 0 {
            plan.freed_at_least = Some(0);
        }
        plan
    }

    fn image(&mut self, image: &ImageSummary, tags: &BTreeSet<&Name>) {
        let going: Vec<&Name> = image.tags.iter().filter(|tag| tags.contains(tag)).collect();
        let staying: Vec<&Name> = image.tags.iter().filter(|tag| !tags.contains(tag)).collect();
        if !staying.is_empty() {
            for tag in going {
                let text = format!("untag {}: the image stays as {}", tag.safe(), names(&staying));
                self.statements.push((Tone::Plain, Safe::from(text)));
                self.items.push(Removal::Tag { name: tag.clone(), expected: image.id.clone() });
                self.untagged += 1;
            }
            return;
        }
        let title = if going.is_empty() { format!("untagged image {}", image.id.short()) } else { names(&going) };
        if let Some(user) = image.containers.iter().flatten().next() {
            let more = image.containers.as_ref().map_or(0, Vec::len) - 1;
            let others = if more == 0 { String::new() } else { format!(" and {more} more") };
            let state = if user.running { "running" } else { "stopped" };
            let text = format!("refused: {title} is used by {state} container {}{others}", user.name.safe());
            self.statements.push((Tone::Warning, Safe::from(text)));
            self.refused += going.len().max(1);
            return;
        }
        let bytes = image.size.map_or_else(String::new, |bytes| format!(", {}", size::human(bytes)));
        let what = match going.len() {
            0 => format!("delete {title}{bytes}"),
            1 => format!("delete {title}: its only tag, so image {} goes too{bytes}", image.id.short()),
            n => format!("delete {title}: all its {n} tags, so image {} goes too{bytes}", image.id.short()),
        };
        self.statements.push((Tone::Loss, Safe::from(what)));
        if going.is_empty() {
            self.items.push(Removal::Untagged { id: image.id.clone() });
        }
        self.items.extend(going.into_iter().map(|tag| Removal::Tag { name: tag.clone(), expected: image.id.clone() }));
        self.deleted += 1;
        self.freed_at_most = self.freed_at_most.saturating_add(image.size.unwrap_or(0));
        self.freed_at_least = self.freed_at_least.zip(image.unique_size).map(|(sum, unique)| sum.saturating_add(unique));
    }

    /// The last line of the dialog: what it comes to.
    #[must_use]
    pub fn total(&self) -> Safe {
        let mut parts = Vec::new();
        if self.untagged > 0 {
            parts.push(format!("{} untagged", counted(self.untagged, "reference")));
        }
        if self.deleted > 0 {
            parts.push(format!("{} deleted, {}", counted(self.deleted, "image"), freed(self.freed_at_least, self.freed_at_most)));
        }
        if self.refused > 0 {
            parts.push(format!("{} refused", self.refused));
        }
        Safe::from(parts.join("; "))
    }
}

/// How many bytes a removal frees, as exactly as is known.
#[must_use]
pub fn freed(at_least: Option<u64>, at_most: u64) -> String {
    match at_least {
        Some(least) if least == at_most => format!("frees {}", size::human(least)),
        Some(least) => format!("frees between {} and {}", size::human(least), size::human(at_most)),
        None => format!("frees at most {}, less what other images share", size::human(at_most)),
    }
}

/// `1 image`, `2 images`.
#[must_use]
pub fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Up to three names, then how many more.
fn names(names: &[&Name]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| name.safe().to_string()).collect();
    let more = names.len().saturating_sub(3);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::ContainerUse;

    fn image(seed: &str, tags: &[&str], size: u64) -> ImageSummary {
        ImageSummary {
            id: Digest::sha256(seed.as_bytes()),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: None,
            size: Some(size),
            unique_size: None,
            platform: None,
            containers: Some(vec![]),
            labels: std::collections::BTreeMap::default(),
        }
    }

    fn list(images: Vec<ImageSummary>) -> ImageList {
        ImageList { images, at: Timestamp::UNIX_EPOCH, gaps: vec![] }
    }

    fn row(seed: &str, tag: Option<&str>) -> (Digest, Option<Name>) {
        (Digest::sha256(seed.as_bytes()), tag.map(Name::new))
    }

    #[test]
    fn one_of_two_tags_only_untags() {
        let list = list(vec![image("a", &["app:1", "app:latest"], 100)]);
        let plan = RemovalPlan::new(&list, &[row("a", Some("app:1"))]);
        assert_eq!((plan.untagged, plan.deleted, plan.freed_at_most), (1, 0, 0));
        assert!(plan.statements[0].1.as_str().contains("stays as app:latest"));
    }

    #[test]
    fn all_tags_delete_the_image_and_count_its_bytes_once() {
        let list = list(vec![image("a", &["app:1", "app:latest"], 100), image("b", &[], 7)]);
        let plan = RemovalPlan::new(&list, &[row("a", Some("app:1")), row("a", Some("app:latest")), row("b", None)]);
        assert_eq!((plan.untagged, plan.deleted, plan.freed_at_most, plan.items.len()), (0, 2, 107, 3));
        assert_eq!(plan.freed_at_least, None, "nobody told what is shared");
    }

    #[test]
    fn what_a_container_uses_is_refused_unless_another_tag_keeps_the_image() {
        let mut used = image("a", &["app:1", "app:2"], 100);
        used.containers = Some(vec![ContainerUse { id: "c".into(), name: "web-1".into(), running: false, state: "exited".into() }]);
        let list = list(vec![used]);
        let both = RemovalPlan::new(&list, &[row("a", Some("app:1")), row("a", Some("app:2"))]);
        assert_eq!((both.refused, both.items.len()), (2, 0));
        assert!(both.statements[0].1.as_str().contains("stopped container web-1"));
        let one = RemovalPlan::new(&list, &[row("a", Some("app:1"))]);
        assert_eq!((one.refused, one.untagged), (0, 1));
    }

    #[test]
    fn a_row_that_is_no_longer_there_is_left_out() {
        let plan = RemovalPlan::new(&list(vec![]), &[row("gone", None)]);
        assert!(plan.items.is_empty() && plan.statements.is_empty());
    }
}
