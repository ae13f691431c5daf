//! An image out of a registry into an OCI layout on disk: every blob verified and on the disk before the index names it, what is there
//! already not fetched again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream::{self, TryStreamExt as _};
use serde_json::{Value, json};

use super::copy::{Origin, Part, Tree, chosen};
use super::{Client, Repo};
use crate::layer::Verified;
use crate::model::{Digest, Platform, Problem, ProblemKind, Safe, StepState, Transfer};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::oci::{self, LARGEST, descriptor_json};
use crate::source::sink::AtomicFile;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Client {
    /// Writes the image at `target` into the layout `dir`, which is made where there is none, under `name`. Of an index only `platforms`,
    /// all when empty.
    ///
    /// # Errors
    /// What the registry answered; a directory that is something else; the disk.
    pub async fn save(
        &self,
        ctx: &Ctx,
        (from, target): (&Repo, &str),
        dir: &Path,
        name: Option<&str>,
        platforms: &[Platform],
    ) -> Result<Transfer, Problem> {
        let doing = format!("write {}", dir.display());
        let saved = async {
            ctx.meter.phase("reading the manifests");
            let (folder, words) = (dir.to_owned(), doing.clone());
            blocking(&doing, move || prepare(&folder, &words)).await?;
            let found = self.manifest(from, target).await?;
            let root = Part { digest: found.digest, media_type: found.media_type, bytes: found.bytes, manifest: found.manifest };
            let root = if platforms.is_empty() { root } else { chosen(root, platforms, &doing)? };
            let tree = self.gather(&Origin::Registry(from.clone()), root, &doing).await?;
            let mut sum = Transfer { digest: Some(tree.root.digest.clone()), ..Transfer::default() };
            self.fetch(ctx, from, dir, &tree, &mut sum).await?;
            ctx.meter.phase("storing");
            let (folder, words, name) = (dir.to_owned(), doing.clone(), name.map(str::to_owned));
            blocking(&doing, move || finish(&folder, &tree, name.as_deref(), &words)).await?;
            Ok(sum)
        };
        tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => Err(Problem::cancelled(&doing)),
            saved = saved => saved,
        }
    }

    async fn fetch(&self, ctx: &Ctx, from: &Repo, dir: &Path, tree: &Tree, sum: &mut Transfer) -> Result<(), Problem> {
        ctx.meter.phase("fetching");
        let fetching = stream::iter(tree.blobs.iter().cloned()).map(|blob| async move {
            let step = ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size));
            let path = blob_path(dir, &blob.digest);
            let (there, known) = (path.clone(), blob.clone());
            if blocking("look at a blob", move || Ok(is_there(&there, &known))).await? {
                ctx.meter.finish(step, StepState::Skipped);
                return Ok::<_, Problem>((0, blob.size));
            }
            let landed = self.land(ctx, from, &blob, step, &path).await.inspect_err(|_| ctx.meter.finish(step, StepState::Failed))?;
            ctx.meter.finish(step, StepState::Done);
            Ok((landed.transferred, landed.kept))
        });
        let done: Vec<(u64, u64)> = fetching.buffer_unordered(self.0.host(from.host()).transfers.max(1)).try_collect().await?;
        for (moved, skipped) in done {
            sum.bytes_transferred = sum.bytes_transferred.saturating_add(moved);
            sum.bytes_skipped = sum.bytes_skipped.saturating_add(skipped);
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(doing: &str, work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::new(ProblemKind::Other, doing, error.to_string()))?
}

/// A digest is made of its algorithm and hex digits only, so this stays inside.
fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs").join(digest.algorithm()).join(digest.hex())
}

/// Whether the blob is there, read to its end.
fn is_there(path: &Path, blob: &Descriptor) -> bool {
    let regular = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == blob.size);
    regular
        && fs::File::open(path).is_ok_and(|file| {
            let mut verified = Verified::new(file, blob.digest.clone(), blob.size);
            std::io::copy(&mut verified, &mut std::io::sink()).is_ok()
        })
}

/// Makes the folders, and refuses a folder that holds something else.
fn prepare(dir: &Path, doing: &str) -> Result<(), Problem> {
    let marked = dir.join("oci-layout").is_file();
    let taken = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if taken && !marked {
        let problem = Problem::new(ProblemKind::Conflict, doing, "the directory holds something that is no image layout");
        return Err(problem.hint("name an empty directory or an image layout"));
    }
    for algorithm in ["sha256", "sha512"] {
        let folder = dir.join("blobs").join(algorithm);
        fs::create_dir_all(&folder).map_err(|error| Problem::disk(doing, &folder, &error))?;
    }
    if marked { Ok(()) } else { whole(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#) }
}

fn whole(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let mut file = AtomicFile::create(path, true)?;
    let written = file.write_all(bytes);
    written.map_err(|error| file.problem(&error))?;
    file.commit(true)
}

/// Writes the manifests, and then the index that names the image.
fn finish(dir: &Path, tree: &Tree, name: Option<&str>, doing: &str) -> Result<(), Problem> {
    for part in tree.below.iter().chain([&tree.root]) {
        whole(&blob_path(dir, &part.digest), &part.bytes)?;
    }
    let path = dir.join("index.json");
    let mut index = match fs::File::open(&path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| Problem::disk(doing, &path, &error))?;
            oci::parse_index(&bytes).and_then(|_| oci::parse_strict(&bytes)).map_err(|malformed| malformed.problem(doing))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({"schemaVersion": 2, "manifests": []}),
        Err(error) => return Err(Problem::disk(doing, &path, &error)),
    };
    let mut entry = Descriptor {
        media_type: tree.root.media_type.clone(),
        digest: tree.root.digest.clone(),
        size: tree.root.bytes.len() as u64,
        platform: None,
        annotations: std::collections::BTreeMap::new(),
    };
    entry.annotations.extend(name.map(|name| (REF_NAME.to_owned(), name.into())));
    let named = |entry: &Value| entry.get("annotations").and_then(|all| all.get(REF_NAME)).and_then(Value::as_str).map(str::to_owned);
    let Some(map) = index.as_object_mut() else { return Err(Problem::new(ProblemKind::Corrupt, doing, "its index is no object")) };
    // Docker 25 wrote null where there was nothing to list.
    let list = map.entry("manifests").or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        let same = |old: &Value| match (name, named(old)) {
            (Some(name), Some(old)) => old == name,
            (None, None) => old.get("digest").and_then(Value::as_str) == Some(tree.root.digest.as_str()),
            _ => false,
        };
        list.retain(|old| !same(old));
        list.push(descriptor_json(&entry));
    }
    whole(&path, index.to_string().as_bytes())
}
