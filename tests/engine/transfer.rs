//! Pulling, pushing and watching.

use std::time::Duration;

use futures_util::StreamExt as _;
use lighterman::model::{Digest, Name, ProblemKind, StepState};
use lighterman::source::{Ctx, Source as _};

use crate::common;
use crate::peer::{Made, noise, peers};

#[tokio::test]
async fn what_is_pushed_can_be_pulled_again() {
    let test = "what_is_pushed_can_be_pulled_again";
    let Some(registry) = common::registry(test) else { return };
    for peer in peers(test) {
        let prefix = peer.prefix("push");
        let made = Made::with(&prefix, &[noise(&prefix, 3_000_000), b"small".to_vec()]);
        let name = format!("{registry}/{prefix}/app:v1");
        peer.load(&made, &[&name]).await;
        let reference = Name::new(&name).reference().unwrap();
        let curator = peer.source.curator().unwrap();
        let ctx = Ctx::default();
        let conflict = curator.push(&ctx, &reference, &Digest::sha256(b"other")).await.unwrap_err();
        assert_eq!(conflict.kind, ProblemKind::Conflict, "{conflict:?}");
        let pushed = curator.push(&ctx, &reference, &made.id).await.unwrap();
        let digest = pushed.digest.clone().expect("a push tells the manifest's digest");
        if !peer.podman {
            assert!(pushed.bytes_transferred >= 3_000_000, "{pushed:?}");
            let again = Ctx::default();
            let pushed = curator.push(&again, &reference, &made.id).await.unwrap();
            assert_eq!((pushed.digest.as_ref(), pushed.bytes_transferred), (Some(&digest), 0));
            assert!(again.meter.snapshot().steps.iter().all(|step| step.state == StepState::Skipped), "{:?}", again.meter.snapshot());
        }
        peer.clear(&[&name], None).await;
        assert_eq!(peer.holder(&name).await, None);
        let ctx = Ctx::default();
        let pulled = curator.pull(&ctx, &reference, None).await.unwrap();
        assert_eq!(pulled.digest, Some(digest.clone()));
        assert_eq!(peer.holder(&name).await, Some(made.id.clone()));
        let steps = ctx.meter.snapshot().steps;
        assert!(!steps.is_empty(), "layers are steps");
        if !peer.podman {
            assert!(steps.iter().all(|step| step.state == StepState::Done), "{steps:?}");
            assert!(pulled.bytes_transferred >= 3_000_000, "{pulled:?}");
        }
        let image = peer.source.inspect(&ctx, &lighterman::model::ImageKey::Name(reference.clone())).await.unwrap();
        assert_eq!(image.manifest_digest, Some(digest.clone()));
        // By digest.
        peer.clear(&[&name], None).await;
        let by_digest = Name::new(&format!("{registry}/{prefix}/app@{digest}")).reference().unwrap();
        assert_eq!(curator.pull(&ctx, &by_digest, None).await.unwrap().digest, Some(digest));
        assert!(peer.holder(made.id.as_str()).await.is_some());
        peer.clear(&[made.id.as_str()], None).await;
    }
}

#[tokio::test]
async fn a_failed_transfer_says_why() {
    let test = "a_failed_transfer_says_why";
    let Some(registry) = common::registry(test) else { return };
    for peer in peers(test) {
        let prefix = peer.prefix("fail");
        let (ctx, curator) = (Ctx::default(), peer.source.curator().unwrap());
        let unknown = Name::new(&format!("{registry}/{prefix}/none:v1")).reference().unwrap();
        let problem = curator.pull(&ctx, &unknown, None).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::NotFound, "{problem:?}");
        let nobody = Name::new(&format!("127.0.0.1:1/{prefix}/none:v1")).reference().unwrap();
        let problem = curator.pull(&ctx, &nobody, None).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unreachable, "{problem:?}");
        let made = Made::new(&prefix, 1);
        let name = nobody.whole();
        peer.load(&made, &[&name]).await;
        let problem = curator.push(&ctx, &nobody, &made.id).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unreachable, "{problem:?}");
        peer.clear(&[&name], None).await;
    }
}

#[tokio::test]
async fn a_change_is_told_and_dropping_ends_it() {
    for peer in peers("a_change_is_told_and_dropping_ends_it") {
        let prefix = peer.prefix("watch");
        let made = Made::new(&prefix, 1);
        let name = crate::peer::tagged(&peer, &prefix, "1");
        let ctx = Ctx::default();
        let mut changes = peer.source.watcher().unwrap().watch(&ctx).await.unwrap();
        changes.next().await.expect("an item when open").unwrap();
        peer.load(&made, &[&name]).await;
        let told = tokio::time::timeout(Duration::from_secs(10), changes.next()).await;
        told.expect("a change is told").unwrap().unwrap();
        drop(changes);
        peer.clear(&[&name], None).await;
    }
}
