//! Tagging, removing and pruning.

use lighterman::model::{Digest, Name, ProblemKind, Removal};
use lighterman::source::{Ctx, Source as _};

use crate::peer::{Made, peers, tagged};

#[tokio::test]
async fn a_tag_is_set_only_on_what_was_confirmed() {
    for peer in peers("a_tag_is_set_only_on_what_was_confirmed") {
        let prefix = peer.prefix("tag");
        let (one, two) = (Made::new(&format!("{prefix}-a"), 1), Made::new(&format!("{prefix}-b"), 1));
        let (first, second) = (tagged(&peer, &prefix, "one"), tagged(&peer, &prefix, "two"));
        peer.load(&one, &[&first]).await;
        peer.load(&two, &[&second]).await;
        let (ctx, curator) = (Ctx::default(), peer.source.curator().unwrap());
        let to = Name::new(&tagged(&peer, &prefix, "new")).reference().unwrap();
        curator.tag(&ctx, &one.id, &to, None).await.unwrap();
        assert_eq!(peer.holder(&to.whole()).await, Some(one.id.clone()));
        // Again: it is as it should be.
        curator.tag(&ctx, &one.id, &to, None).await.unwrap();
        let conflict = curator.tag(&ctx, &two.id, &to, None).await.unwrap_err();
        assert_eq!(conflict.kind, ProblemKind::Conflict, "{conflict:?}");
        let conflict = curator.tag(&ctx, &two.id, &to, Some(&Digest::sha256(b"other"))).await.unwrap_err();
        assert_eq!(conflict.kind, ProblemKind::Conflict);
        assert_eq!(peer.holder(&to.whole()).await, Some(one.id.clone()), "a conflict changes nothing");
        curator.tag(&ctx, &two.id, &to, Some(&one.id)).await.unwrap();
        assert_eq!(peer.holder(&to.whole()).await, Some(two.id.clone()));
        let gone =
            curator.tag(&ctx, &Digest::sha256(b"nothing"), &Name::new(&tagged(&peer, &prefix, "x")).reference().unwrap(), None).await;
        assert_eq!(gone.unwrap_err().kind, ProblemKind::Conflict);
        peer.clear(&[&first, &second, &to.whole()], None).await;
    }
}

#[tokio::test]
async fn removal_takes_what_was_confirmed_and_keeps_the_rest_with_a_reason() {
    for peer in peers("removal_takes_what_was_confirmed_and_keeps_the_rest_with_a_reason") {
        let prefix = peer.prefix("remove");
        let (one, two, used) =
            (Made::new(&format!("{prefix}-a"), 1), Made::new(&format!("{prefix}-b"), 1), Made::new(&format!("{prefix}-c"), 1));
        let names: Vec<String> = ["a", "a2", "b", "c"].iter().map(|tag| tagged(&peer, &prefix, tag)).collect();
        peer.load(&one, &[&names[0], &names[1]]).await;
        peer.load(&two, &[&names[2]]).await;
        peer.load(&used, &[&names[3]]).await;
        let container = peer.container(&names[3]).await;
        let item = |name: &str, id: &Digest| Removal::Tag { name: Name::new(name), expected: id.clone() };
        let items = [
            item(&names[0], &one.id),
            item(&names[2], &one.id),
            item(&names[3], &used.id),
            item(&tagged(&peer, &prefix, "never"), &one.id),
            item("UPPER/case:1", &one.id),
            Removal::Untagged { id: two.id.clone() },
            Removal::Untagged { id: Digest::sha256(b"nothing") },
        ];
        let (removed, kept) = peer.source.curator().unwrap().remove(&Ctx::default(), &items).await.unwrap();
        assert_eq!(removed.iter().map(|removed| removed.reference.as_str()).collect::<Vec<_>>(), [names[0].as_str()], "{kept:?}");
        assert_eq!(kept.len(), 6, "{kept:?}");
        assert!(kept[0].why.to_string().contains("another image"), "{kept:?}");
        assert!(kept[1].why.to_string().contains(container.get(..12).unwrap()), "{kept:?}");
        assert_eq!(kept[2].why.to_string(), "already gone");
        assert!(kept[4].why.to_string().contains("has the tag"), "{kept:?}");
        assert_eq!(kept[5].why.to_string(), "already gone");
        assert_eq!(peer.holder(&names[1]).await, Some(one.id.clone()), "the other tag keeps the image");
        assert_eq!(peer.holder(&names[2]).await, Some(two.id.clone()));
        assert_eq!(peer.holder(&names[3]).await, Some(used.id.clone()), "a stopped container keeps its image");
        let (removed, kept) = peer.source.curator().unwrap().remove(&Ctx::default(), &[item(&names[1], &one.id)]).await.unwrap();
        assert_eq!((removed.len(), kept.len()), (1, 0), "{kept:?}");
        assert_eq!(peer.holder(one.id.as_str()).await, None, "the last tag takes the image along");
        peer.clear(&[], Some(&container)).await;
        peer.clear(&[&names[2], &names[3]], None).await;
    }
}

#[tokio::test]
async fn a_prune_takes_what_has_no_tag_and_says_who_uses_it() {
    for peer in peers("a_prune_takes_what_has_no_tag_and_says_who_uses_it") {
        let prefix = peer.prefix("prune");
        let (old, new) = (Made::new(&format!("{prefix}-old"), 2), Made::new(&format!("{prefix}-new"), 1));
        let name = tagged(&peer, &prefix, "1");
        peer.load(&old, &[&name]).await;
        let container = peer.container(&name).await;
        peer.load(&new, &[&name]).await;
        let curator = peer.source.curator().unwrap();
        let list = curator.prunable(&Ctx::default()).await.unwrap();
        let found = list.images.iter().find(|image| image.id == old.id).expect("the untagged image is listed");
        assert_eq!(found.is_unused(), Some(false));
        assert!(list.images.iter().all(|image| image.is_dangling() && image.id != new.id));
        if peer.podman {
            assert_eq!((found.unique_size, list.gaps.len()), (None, 1), "{:?}", list.gaps);
        } else {
            assert!(found.unique_size.unwrap() > 0 && found.unique_size <= found.size, "{found:?}");
        }
        let items = [Removal::Untagged { id: old.id.clone() }];
        let (removed, kept) = curator.remove(&Ctx::default(), &items).await.unwrap();
        assert_eq!((removed.len(), kept.len()), (0, 1), "a container uses it: {removed:?}");
        peer.clear(&[], Some(&container)).await;
        let (removed, kept) = curator.remove(&Ctx::default(), &items).await.unwrap();
        assert_eq!((removed.len(), kept.len()), (1, 0), "{kept:?}");
        assert_eq!(peer.holder(old.id.as_str()).await, None);
        peer.clear(&[&name], None).await;
    }
}
