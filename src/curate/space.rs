//! What takes the space where images are kept, by repository and image: true bytes, a layer that several hold counted once.
//!
//! May use model only.

use std::collections::BTreeMap;

use super::reclaim::{Holdings, Item};
use crate::model::space::Bytes;
use crate::model::{ImageList, ImageSpace, ImageSummary, Layers, Name, RepositorySpace, Space};

/// A repository's images, each with its names there.
type Members<'a> = Vec<(Item, &'a ImageSummary, Vec<&'a Name>)>;

/// Reckons it up for the images of `list`; `layers` is what is known of what they hold.
#[must_use]
pub fn space(list: &ImageList, layers: &Layers) -> Space {
    let mut holdings = Holdings::default();
    let mut repositories: BTreeMap<Option<&str>, Members<'_>> = BTreeMap::new();
    for image in &list.images {
        let item = match layers.get(&image.id) {
            Some(held) => holdings.add(held.iter().map(|(blob, size)| (blob, *size))),
            None => holdings.add_unknown(),
        };
        let mut names: BTreeMap<Option<&str>, Vec<&Name>> = BTreeMap::new();
        for tag in &image.tags {
            names.entry(Some(tag.split().0)).or_default().push(tag);
        }
        if names.is_empty() {
            names.insert(None, Vec::new());
        }
        for (repository, names) in names {
            repositories.entry(repository).or_default().push((item, image, names));
        }
    }
    let alone: Vec<Vec<Item>> = (0..holdings.len()).map(|item| vec![item]).collect();
    let of_images = holdings.of_groups(&alone);
    let groups: Vec<Vec<Item>> = repositories.values().map(|images| images.iter().map(|(item, ..)| *item).collect()).collect();
    let of_groups = holdings.of_groups(&groups);
    let key = |bytes: Option<Bytes>| bytes.map(|bytes| (bytes.own, bytes.shared));
    let bytes = |&(own, shared): &(u64, u64)| Bytes { own, shared };
    let image = |(item, image, names): &(Item, &ImageSummary, Vec<&Name>)| ImageSpace {
        id: image.id.clone(),
        name: names.first().map(|name| (*name).clone()),
        more: names.len().saturating_sub(1),
        bytes: of_images.get(*item).map(bytes).filter(|_| holdings.knows(*item)),
    };
    let mut told = Vec::with_capacity(repositories.len());
    for ((name, images), sums) in repositories.iter().zip(&of_groups) {
        let mut images: Vec<ImageSpace> = images.iter().map(image).collect();
        images.sort_by(|a, b| key(b.bytes).cmp(&key(a.bytes)).then_with(|| a.name.cmp(&b.name)));
        told.push(RepositorySpace { name: name.map(Name::new), bytes: bytes(sums), images });
    }
    // Those of one size stay in the order of their names.
    told.sort_by_key(|repository| std::cmp::Reverse((repository.bytes.own, repository.bytes.shared)));
    let (stored, own) = (holdings.stored(), of_groups.iter().fold(0_u64, |sum, (own, _)| sum.saturating_add(*own)));
    Space { stored, bytes: Bytes { own, shared: stored.saturating_sub(own) }, repositories: told, based_on: holdings.based_on() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Digest;

    fn image(id: &str, tags: &[&str]) -> ImageSummary {
        ImageSummary {
            id: Digest::sha256(id.as_bytes()),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: Vec::new(),
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn bytes_are_told_by_repository_and_image_each_once() {
        let images = vec![
            image("a1", &["acme/app:1", "acme/app:old"]),
            image("a2", &["acme/app:2", "mirror/app:2"]),
            image("b", &["base:1"]),
            image("none", &[]),
            image("unread", &["acme/app:3"]),
        ];
        let list = ImageList { images, at: jiff::Timestamp::UNIX_EPOCH, gaps: Vec::new() };
        let held = |id: &str, blobs: &[(&str, u64)]| {
            let blobs = blobs.iter().map(|(blob, size)| (Digest::sha256(blob.as_bytes()), *size)).collect();
            (Digest::sha256(id.as_bytes()), blobs)
        };
        let layers = Layers::from([
            held("a1", &[("base", 100), ("lib", 20), ("one", 3)]),
            held("a2", &[("base", 100), ("lib", 20), ("two", 4)]),
            held("b", &[("base", 100)]),
            held("none", &[("left", 50)]),
        ]);
        let found = space(&list, &layers);
        assert_eq!((found.stored, found.based_on), (177, (4, 5)));
        let told: Vec<_> = found.repositories.iter().map(|r| (r.name.as_ref().map(Name::raw), r.bytes.own, r.bytes.shared)).collect();
        // What is in two repositories is neither's own, and nor is what it holds.
        assert_eq!(told, [(None, 50, 0), (Some("acme/app"), 3, 124), (Some("mirror/app"), 0, 124), (Some("base"), 0, 100)]);
        assert_eq!(found.bytes, Bytes { own: 53, shared: 124 });
        let app: Vec<_> = found.repositories[1].images.iter().map(|i| (i.name.as_ref().unwrap().raw(), i.more, i.bytes)).collect();
        let bytes = |own, shared| Some(Bytes { own, shared });
        assert_eq!(app, [("acme/app:2", 0, bytes(4, 120)), ("acme/app:1", 1, bytes(3, 120)), ("acme/app:3", 0, None)]);
        assert_eq!(space(&ImageList { images: Vec::new(), ..list }, &layers), Space::default());
    }
}
