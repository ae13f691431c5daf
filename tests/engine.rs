//! The engine source against the real dockerd and Podman that `tests/run` starts.
#![allow(
    clippy::allow_attributes,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "what fails here fails the test"
)]

#[path = "engine/archive.rs"]
mod archive;
#[path = "engine/change.rs"]
mod change;
mod common;
#[path = "engine/peer.rs"]
mod peer;
#[path = "engine/transfer.rs"]
mod transfer;

use lighterman::model::{ImageKey, Name, ProblemKind};
use lighterman::source::{Ctx, Source as _};
use peer::{Made, peers, tagged};

#[tokio::test]
async fn version_is_in_words() {
    for peer in peers("version_is_in_words") {
        let words = peer.source.version(&Ctx::default()).await.unwrap().to_string();
        let name = if peer.podman { "Podman " } else { "Docker " };
        assert!(words.starts_with(name) && words.contains(", API 1."), "{words}");
    }
}

#[tokio::test]
async fn a_list_has_names_sizes_and_containers() {
    for peer in peers("a_list_has_names_sizes_and_containers") {
        let prefix = peer.prefix("list");
        let made = Made::new(&prefix, 3);
        let (one, two) = (tagged(&peer, &prefix, "1"), tagged(&peer, &prefix, "2"));
        peer.load(&made, &[&one, &two]).await;
        let container = peer.container(&one).await;
        let list = peer.source.list(&Ctx::default()).await.unwrap();
        assert!(list.gaps.is_empty(), "{:?}", list.gaps);
        let image = list.images.iter().find(|image| image.id == made.id).expect("the image is listed");
        let mut tags: Vec<_> = image.tags.iter().map(Name::raw).collect();
        tags.sort_unstable();
        assert_eq!(tags, [one.as_str(), two.as_str()]);
        assert!(image.size.unwrap() > 0);
        assert_eq!(image.labels["made"].raw(), prefix);
        assert_eq!(image.created.unwrap().as_second(), 1_600_000_000);
        let uses = image.containers.as_ref().unwrap();
        assert_eq!(uses.len(), 1, "{uses:?}");
        assert_eq!((uses[0].id.raw(), uses[0].running), (container.as_str(), false));
        peer.clear(&[&one, &two], Some(&container)).await;
    }
}

#[tokio::test]
async fn inspect_tells_layers_history_and_configuration() {
    for peer in peers("inspect_tells_layers_history_and_configuration") {
        let prefix = peer.prefix("inspect");
        let made = Made::new(&prefix, 2);
        let name = tagged(&peer, &prefix, "v1");
        peer.load(&made, &[&name]).await;
        let reference = Name::new(&name).reference().unwrap();
        for key in [ImageKey::Name(reference), ImageKey::Id(made.id.clone())] {
            let image = peer.source.inspect(&Ctx::default(), &key).await.unwrap();
            assert_eq!(image.id, made.id);
            assert_eq!(image.platform.as_ref().unwrap().to_string(), "linux/amd64");
            let layers = image.layers.unwrap();
            assert_eq!(layers.iter().map(|layer| layer.diff_id.clone().unwrap()).collect::<Vec<_>>(), made.diff_ids);
            assert!(layers.iter().all(|layer| layer.size.is_some_and(|size| size > 0)), "{layers:?}");
            let history = image.history.unwrap();
            assert_eq!(history.iter().map(|step| step.empty_layer).collect::<Vec<_>>(), [false, false, true]);
            assert_eq!(history[0].diff_id.as_ref(), Some(&made.diff_ids[0]));
            assert_eq!(history[2].created_by.as_ref().unwrap().raw(), "CMD [\"/step\"]");
            let config = image.config.unwrap();
            assert_eq!(config.cmd.unwrap()[0].raw(), "/step");
            assert!(config.env.iter().any(|env| env.raw() == "WORD=two words"));
            assert_eq!(config.labels["made"].raw(), prefix);
        }
        peer.clear(&[&name], None).await;
        let gone = peer.source.inspect(&Ctx::default(), &ImageKey::Id(made.id)).await.unwrap_err();
        assert_eq!(gone.kind, ProblemKind::NotFound, "{gone:?}");
    }
}
