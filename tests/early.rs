//! A large layer of a real registry that has no table of contents: what stands early in it is listed and read long before the whole has passed.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod common;
#[path = "common/gate.rs"]
mod gate;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::images::{ImageSpec, Pack, noise, oci_archive};
use common::program::Program;
use gate::Gate;
use lighterman::model::{ImageKey, Problem, Reference};
use lighterman::source::credentials::Credentials;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource};
use lighterman::source::{Ctx, Part, Sink, Source as _, copy_part};
use lighterman::work::LayerCache;
use lighterman::work::layer_index::{self, Depth, Each, Indexed};

struct Kept(Vec<u8>);

impl Sink for Kept {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn what_stands_early_in_a_layer_is_there_before_the_layer_is() {
    const RELEASE: &[u8] = b"ID=sample\nVERSION_ID=12\n";
    let Some(host) = common::registry("what_stands_early_in_a_layer_is_there_before_the_layer_is") else { return };
    let program = Program::without_engine();
    let bulk = noise(30_000_000);
    let image = ImageSpec::new("acme/app:1").layer(&[("etc/os-release", RELEASE), ("usr/bulk", &bulk), ("var/last", b"z")]);
    let repository = format!("early-{}", std::process::id());
    std::fs::write(program.home().join("in.tar"), oci_archive(&[image], Pack::Gzip)).unwrap();
    program.run(&["copy", "oci-archive:in.tar", &format!("docker://{host}/{repository}:1")]).ended(0);
    let gate = Gate::new(host.rsplit(':').next().unwrap().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::new(RegistrySettings::default(), Credentials::none()).unwrap();
        let source = RegistrySource::new(client, &gate.host());
        let reference: Reference = format!("{}/{repository}:1", gate.host()).parse().unwrap();
        let ctx = Ctx::default();
        let image = source.inspect(&ctx, &ImageKey::Name(reference)).await.unwrap();
        assert!(image.layers.as_ref().unwrap()[0].size.unwrap() > 30_000_000);
        gate.down.allow(8_000_000);
        let (told, heard) = mpsc::channel();
        let each: Each = Arc::new(move |indexed: &Indexed| drop(told.send(indexed.clone())));
        let cache = LayerCache::none();
        let reading = layer_index::read(&source, &ctx, &cache, &image, &[0], Depth::Contents, Some(each));
        let early = async {
            let first = tokio::task::spawn_blocking(move || (heard.recv_timeout(Duration::from_secs(30)).unwrap(), heard));
            let (first, heard) = first.await.unwrap();
            assert!(first.partial && first.problem.is_none(), "not all of it came");
            let (_, member) = first.index.members().find(|(_, member)| member.path() == b"etc/os-release").unwrap();
            assert_eq!(first.index.len(), 1, "what comes after it is not there yet");
            // Reading it fetches no more than the beginning either.
            gate.down.allow(8_000_000);
            let part = Part { offset: member.offset(), length: member.size() };
            assert_eq!(copy_part(&source, &ctx, &image, 0, part, || Ok(Kept(Vec::new()))).await.unwrap().0, RELEASE);
            assert!(gate.down.passed() <= 8_000_000 + (64 << 10), "{} bytes", gate.down.passed());
            gate.down.allow(u64::MAX);
            heard
        };
        let (whole, heard) = tokio::join!(reading, early);
        let whole = whole.unwrap();
        assert!(!whole[0].partial && whole[0].problem.is_none() && whole[0].index.len() == 3);
        let last = heard.try_iter().last().unwrap();
        assert!(!last.partial && last.index.len() == 3, "the whole is told in the end");
    });
}
