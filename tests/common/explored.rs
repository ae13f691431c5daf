//! Layers made as they are told, and a deck that looks into them: its jobs done on the spot.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "what fails here fails the test; each test binary uses its own part"
)]

use std::fmt::Write as _;
use std::sync::Arc;

use lighterman::app::{State, update};
use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg, Shared};
use lighterman::layer::index::{self, Known};
use lighterman::layer::{Cost, Index, Peek, Tree};

/// A layer of these members: a path that ends with a slash is a directory, any other a file of so many bytes.
pub fn layer(members: &[(&str, usize)]) -> Arc<Index> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in members {
        let mut header = tar::Header::new_ustar();
        let directory = path.ends_with('/');
        header.set_entry_type(if directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_size(*bytes as u64);
        header.set_path(path).unwrap();
        header.set_cksum();
        tar.append(&header, vec![b'x'; *bytes].as_slice()).unwrap();
    }
    Arc::new(index::read(tar.into_inner().unwrap().as_slice(), &Known::default()))
}

/// What the image of the scenes could hold: files written again and taken away, copies, a cache and a key that were left.
pub fn layers() -> Vec<Arc<Index>> {
    let base = [("etc/", 0), ("etc/os-release", 382), ("etc/passwd", 1240), ("usr/bin/bash", 1_346_480), ("usr/lib/libc.so.6", 1_926_232)];
    let packages = [
        ("etc/passwd", 1298),
        ("var/cache/apt/archives/libssl3_3.0.16_amd64.deb", 2_024_312),
        ("var/lib/dpkg/status", 81_200),
        ("usr/bin/curl", 265_688),
        ("usr/lib/libssl.so.3", 688_160),
    ];
    let fetched = [("opt/quay.tar.gz", 3_100_000), ("opt/quay/lib/libssl.so.3", 688_160), ("root/.netrc", 96)];
    let program = [("opt/.wh.quay.tar.gz", 0), ("root/.wh..netrc", 0), ("usr/local/bin/quay-api", 2_811_443)];
    let site = [("srv/static/app.js", 412_000), ("srv/static/app.js.map", 1_230_000), ("srv/static/logo.svg", 8_204)];
    let owned = [("etc/passwd", 1341), ("srv/static/app.js", 412_001), ("srv/static/logo.svg", 8_204)];
    [&base[..], &packages, &fetched, &program, &site, &owned, &[]].into_iter().map(layer).collect()
}

/// A text with what a text may have.
pub fn text() -> Vec<u8> {
    let mut out = String::from("# The ports of quay-api\n[listen]\naddress = \"0.0.0.0:8080\"\tworkers = 8\n\n");
    for n in 1..60 {
        let long = "a/rather/long/path/that/goes/on/below/where/there/is/no/room";
        let _ = writeln!(out, "[upstream.{n}]\n\turl = \"https://upstream-{n}.example.net/{long}\"");
    }
    out.into_bytes()
}

fn newest(state: &State, kind: impl Fn(&Job) -> bool) -> Option<(JobId, Job)> {
    state.jobs.iter().filter(|(_, job)| kind(job)).max_by_key(|(id, _)| id.0).map(|(id, job)| (*id, job.clone()))
}

/// Does all that the deck asks to have read and reckoned, until it asks for nothing.
pub fn settle(state: &mut State, layers: &[Arc<Index>], content: &[u8]) {
    let kinds = |job: &Job| matches!(job, Job::Files { .. } | Job::Arrange { .. } | Job::Cost(_) | Job::Peek { .. });
    while let Some((id, job)) = newest(state, kinds) {
        let done = match job {
            Job::Files { image, .. } => {
                let mut all = layers.to_vec();
                all.resize_with(image.layers.as_ref().unwrap().len(), Arc::default);
                let read = (0..all.len()).map(|at| (at, None)).collect();
                let tree = Shared::new(Tree::new(all).unwrap());
                let _ = update(state, Msg::Job(id, JobEvent::Chunk(JobOutput::Files { tree, read })));
                JobOutput::Told
            }
            Job::Arrange { tree, look, open } => {
                let (view, rows) = look.at(&tree, open.as_ref().map(|(of, open)| (&**of, open.as_slice())));
                JobOutput::Arranged { tree, look, view: Shared::new(view), rows: Shared::new(rows) }
            }
            Job::Cost(tree) => JobOutput::Cost(Shared::new(Cost::new(&tree))),
            Job::Peek { columns, .. } => JobOutput::Peeked(Shared::new(Peek::new(content.to_vec(), content.len() as u64, true, columns))),
            _ => break,
        };
        let _ = update(state, Msg::Job(id, JobEvent::Done(done)));
    }
}
