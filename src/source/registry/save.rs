//! An image out of a registry or a file into an OCI layout on disk: every blob verified and on the disk before the index names it, what is there
//! already not fetched again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream::{self, TryStreamExt as _};
use serde_json::{Value, json};

use super::Client;
use super::copy::{Absent, Origin, Tree, chosen};
use crate::layer::Verified;
use crate::model::{CopyFrom, Digest, Platform, Problem, ProblemKind, Safe, StepState, Transfer};
use crate::source::Ctx;
use crate::source::content::{Descriptor, read_problem};
use crate::source::files::FileSource;
use crate::source::oci::{self, LARGEST, descriptor_json};
use crate::source::sink::AtomicFile;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Client {
    /// Writes the image of `from` into the layout `dir`, which is made where there is none, under `name`. Of an index only `platforms`,
    /// all when empty.
    ///
    /// # Errors
    /// What the registry answered; a file that can't be read; a directory that is something else; the disk.
    pub async fn save(
        &self,
        ctx: &Ctx,
        from: &CopyFrom,
        dir: &Path,
        name: Option<&str>,
        platforms: &[Platform],
    ) -> Result<Transfer, Problem> {
        let doing = format!("write {}", dir.display());
        let saved = async {
            ctx.meter.phase("reading the manifests");
            let (folder, words) = (dir.to_owned(), doing.clone());
            blocking(&doing, move || prepare(&folder, &words)).await?;
            let (origin, root) = self.origin(from, &doing).await?;
            let root = if platforms.is_empty() { root } else { chosen(root, platforms, &doing)? };
            let absent = if matches!(origin, Origin::File { .. }) { Absent::LeftOut } else { Absent::Refused };
            let tree = self.gather(&origin, root, absent, &doing).await?;
            let mut sum = Transfer { digest: Some(tree.root.digest.clone()), ..Transfer::default() };
            self.fetch(ctx, &origin, dir, &tree, &mut sum).await?;
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

    async fn fetch(&self, ctx: &Ctx, origin: &Origin, dir: &Path, tree: &Tree, sum: &mut Transfer) -> Result<(), Problem> {
        ctx.meter.phase("fetching");
        let at_once = match origin {
            Origin::Registry(from) => self.0.host(from.host()).transfers.max(1),
            Origin::File { .. } => 1,
        };
        let fetching = stream::iter(tree.blobs.iter().cloned()).map(|blob| async move {
            let step = ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size));
            let path = blob_path(dir, &blob.digest);
            let (there, known) = (path.clone(), blob.clone());
            if blocking("look at a blob", move || Ok(is_there(&there, &known))).await? {
                ctx.meter.finish(step, StepState::Skipped);
                return Ok::<_, Problem>((0, blob.size));
            }
            let landed = match origin {
                Origin::Registry(from) => self.land(ctx, from, &blob, step, &path).await.map(|landed| (landed.transferred, landed.kept)),
                Origin::File { file, .. } => {
                    let (file, inner) = (file.clone(), Ctx { meter: ctx.meter.clone(), cancel: ctx.cancel.child_token() });
                    // A dropped future must not leave a thread at work.
                    let _stop = inner.cancel.clone().drop_guard();
                    blocking("store a blob", move || take(&inner, &file, &blob, step, &path)).await
                }
            };
            let landed = landed.inspect_err(|_| ctx.meter.finish(step, StepState::Failed))?;
            ctx.meter.finish(step, StepState::Done);
            Ok(landed)
        });
        let done: Vec<(u64, u64)> = fetching.buffer_unordered(at_once).try_collect().await?;
        for (moved, skipped) in done {
            sum.bytes_transferred = sum.bytes_transferred.saturating_add(moved);
            sum.bytes_skipped = sum.bytes_skipped.saturating_add(skipped);
        }
        Ok(())
    }
}

/// Copies a blob out of a file, whose reader verifies it.
fn take(ctx: &Ctx, file: &FileSource, blob: &Descriptor, step: usize, path: &Path) -> Result<(u64, u64), Problem> {
    let doing = format!("copy {}", blob.digest.short());
    let mut out = AtomicFile::create(path, true)?;
    let mut reader = file.content().open(blob)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        ctx.check(&doing)?;
        let read = reader.read(&mut buffer).map_err(|error| read_problem(&doing, &blob.digest, &error))?;
        if read == 0 {
            break;
        }
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(|error| out.problem(&error))?;
        ctx.meter.add(step, read as u64);
    }
    out.commit(true)?;
    Ok((blob.size, 0))
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
