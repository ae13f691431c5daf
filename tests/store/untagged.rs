//! Untagged platforms of an index, and an index file with very many tags.

use std::fs;
use std::time::{Duration, Instant};

use lighterman::model::{Digest, ImageKey, Name, Removal};
use lighterman::source::content::Content as _;
use lighterman::source::store::StoreSource;
use lighterman::source::{Ctx, Source as _};

use super::{MULTI, STABLE, curator, id, list, named, remove, row, verify, world};

/// Takes the tag away from the index of two platforms; gives their IDs.
async fn untag_the_index(store: &StoreSource) -> [Digest; 2] {
    let platforms: Vec<_> = list(store).await.images.into_iter().filter(|image| image.tags.contains(&Name::new(MULTI))).collect();
    let stable = id(store, STABLE).await;
    for tag in platforms[0].tags.clone() {
        let tag = named(tag.raw());
        curator(store).tag(&Ctx::default(), &stable, &tag, Some(&platforms[0].id)).await.unwrap();
    }
    [platforms[0].id.clone(), platforms[1].id.clone()]
}

async fn take(store: &StoreSource, ids: &[&Digest]) -> usize {
    let items: Vec<Removal> = ids.iter().map(|&id| Removal::Untagged { id: id.clone() }).collect();
    curator(store).remove(&Ctx::default(), &items).await.unwrap().0.len()
}

async fn has(store: &StoreSource, id: &Digest) -> bool {
    list(store).await.images.iter().any(|image| image.id == *id)
}

#[tokio::test]
async fn an_untagged_platform_that_goes_leaves_its_siblings() {
    for gone in [0, 1] {
        let (dir, store) = world();
        let platforms = untag_the_index(&store).await;
        let origins = list(&store).await.images.into_iter().find(|image| image.id == platforms[1 - gone]).unwrap().repo_digests;
        assert_eq!(take(&store, &[&platforms[gone]]).await, 1);
        let left = &platforms[1 - gone];
        assert!(!has(&store, &platforms[gone]).await && has(&store, left).await, "{gone}");
        let image = store.inspect(&Ctx::default(), &ImageKey::Id(left.clone())).await.unwrap();
        assert!(image.tags.is_empty() && image.repo_digests == origins, "{image:?}");
        let content = store.content(&[ImageKey::Id(left.clone())]).unwrap();
        for layer in &content.images()[0].layers {
            std::io::copy(&mut content.open(layer).unwrap(), &mut std::io::sink()).unwrap();
        }
        verify(dir.path());
        assert_eq!(take(&store, &[left]).await, 1);
        assert!(!has(&store, left).await);
        verify(dir.path());
    }
}

#[tokio::test]
async fn all_platforms_of_an_untagged_index_go_at_once() {
    let (dir, store) = world();
    let [one, two] = untag_the_index(&store).await;
    assert_eq!(take(&store, &[&one, &two]).await, 2);
    assert!(!has(&store, &one).await && !has(&store, &two).await);
    verify(dir.path());
}

#[tokio::test]
async fn twenty_thousand_tags_are_listed_and_changed() {
    const TAGS: usize = 20_000;
    let (dir, store) = world();
    let path = dir.path().join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let there = list(&store).await.images.iter().map(|image| image.tags.len()).sum::<usize>();
    let stable = entries.iter().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == STABLE).unwrap().clone();
    for n in 0..TAGS {
        let mut entry = stable.clone();
        entry["annotations"]["org.opencontainers.image.ref.name"] =
            format!("registry.example.com/a-team-with-a-long-name/a-service-with-a-long-name:build-{n:08}").into();
        entries.push(entry);
    }
    fs::write(&path, index.to_string()).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 4 << 20, "larger than a foreign document may be");
    let started = Instant::now();
    let listed = list(&store).await;
    assert!(listed.gaps.is_empty(), "{:?}", listed.gaps);
    assert_eq!(listed.images.iter().map(|image| image.tags.len()).sum::<usize>(), there + TAGS);
    let gone = "registry.example.com/a-team-with-a-long-name/a-service-with-a-long-name:build-00012345";
    remove(&store, gone).await.unwrap();
    assert!(row(&store, gone).await.is_none() && row(&store, STABLE).await.is_some());
    let took = started.elapsed();
    // A second or two, unoptimised; minutes if any step looked at every tag for each tag.
    assert!(took < Duration::from_secs(30), "{took:?}");
    eprintln!("{TAGS} tags: listed twice and changed once in {took:?}");
}
