//! Copying an image into a repository: out of another one, of this registry or another, or out of a file. Blobs first, each asked for and
//! mounted where that can be, so that nothing is sent twice; then the manifests below, then the tag. Bytes are never changed, so digests
//! stay; only a choice of platforms makes an index of its own.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, TryStreamExt as _};

use super::write::{Put, moved};
use super::{Client, Feed, Repo, Uploaded, is_runnable, no_platform, target};
use crate::model::{Copy, CopyFrom, Digest, Foreign, Platform, Problem, ProblemKind, Safe, StepState, Transfer};
use crate::source::content::{Descriptor, read_document, read_problem};
use crate::source::files::FileSource;
use crate::source::oci::{self, Index, Manifest};
use crate::source::{Ctx, store};

/// Indexes within indexes that are followed.
const DEEPEST: usize = 4;
const MOST_PARTS: usize = 10_000;
const ABOUT: &str = "vnd.docker.reference.digest";

/// Where a copy comes from.
#[derive(Debug)]
pub(super) enum Origin {
    Registry(Repo),
    File {
        file: FileSource,
        /// Manifests that the file doesn't have.
        made: HashMap<Digest, Bytes>,
    },
}

/// What an index lists and its origin hasn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// A registry takes no index without its children.
    Refused,
    /// Out of a file into a layout an index goes as it is: engines and the store keep those of its platforms that they were asked for.
    LeftOut,
}

/// A manifest with its bytes.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Bytes,
    pub manifest: Manifest,
}

/// All of an image: what it stands at, the manifests below it (the deepest first), and the blobs, each once.
#[derive(Debug)]
pub(super) struct Tree {
    pub root: Part,
    pub below: Vec<Part>,
    pub blobs: Vec<Descriptor>,
}

/// A blob of a file on its way out.
struct Filed {
    file: FileSource,
    blob: Descriptor,
}

impl Feed for Filed {
    fn pour(&self, out: &mut dyn Write) -> Result<(), Problem> {
        let doing = || format!("send {}", self.blob.digest.short());
        let mut reader = self.file.content().open(&self.blob)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = reader.read(&mut buffer).map_err(|error| read_problem(&doing(), &self.blob.digest, &error))?;
            if read == 0 {
                return Ok(());
            }
            let written = out.write_all(buffer.get(..read).unwrap_or_default());
            written.map_err(|error| Problem::new(ProblemKind::Other, doing(), error.to_string()))?;
        }
    }
}

impl Client {
    /// Copies into `to` under `tag`.
    ///
    /// # Errors
    /// What a registry answered, a source that moved since it was seen, a tag that holds something else by now, layers that live elsewhere.
    pub async fn copy(&self, ctx: &Ctx, copy: &Copy, to: &Repo, tag: &str) -> Result<Transfer, Problem> {
        let doing = format!("copy to {}:{tag}", to.full());
        tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => Err(Problem::cancelled(doing)),
            done = self.copy_all(ctx, copy, to, tag, &doing) => done,
        }
    }

    async fn copy_all(&self, ctx: &Ctx, copy: &Copy, to: &Repo, tag: &str, doing: &str) -> Result<Transfer, Problem> {
        if copy.to.reference()?.digest().is_some() {
            return Err(Problem::new(ProblemKind::Usage, doing, "an image is copied to a tag").hint("write HOST/REPOSITORY:TAG"));
        }
        ctx.meter.phase("reading the manifests");
        let (origin, root) = self.origin(&copy.from, doing).await?;
        if let Some(expected) = copy.expected.as_ref().filter(|expected| **expected != root.digest) {
            let cause = format!("the source points at {} now, and no longer at {}", root.digest.short(), expected.short());
            return Err(Problem::new(ProblemKind::Conflict, doing, cause).hint("look again: it moved since it was shown"));
        }
        let root = if copy.platforms.is_empty() { root } else { chosen(root, &copy.platforms, doing)? };
        let now = self.0.digest_at(to, tag).await?;
        if now != copy.replaces && now.as_ref() != Some(&root.digest) {
            return Err(moved(doing, tag, now.as_ref()));
        }
        let tree = self.gather(&origin, root, Absent::Refused, doing).await?;
        let mut sum = Transfer { digest: Some(tree.root.digest.clone()), ..Transfer::default() };
        // A manifest that the repository has was accepted with all its parts.
        if now.as_ref() == Some(&tree.root.digest) || self.0.digest_at(to, tree.root.digest.as_str()).await?.is_some() {
            sum.bytes_skipped = tree.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size));
        } else {
            self.send_tree(ctx, &origin, to, &tree, &mut sum).await?;
        }
        ctx.meter.phase("pointing the tag");
        let tagged = self.0.put_tag(&put(to, tag, &tree.root, now.as_ref())).await;
        if tagged.as_ref().is_err_and(|problem| problem.cause.as_str().contains("BLOB_UNKNOWN")) {
            // A registry that collects garbage may take a blob away before its manifest comes.
            self.send_tree(ctx, &origin, to, &tree, &mut sum).await?;
            self.0.put_tag(&put(to, tag, &tree.root, now.as_ref())).await?;
        } else {
            tagged?;
        }
        if copy.referrers
            && let Origin::Registry(from) = &origin
        {
            self.copy_referrers(ctx, from, to, &tree, &mut sum).await?;
        }
        Ok(sum)
    }

    pub(super) async fn origin(&self, from: &CopyFrom, doing: &str) -> Result<(Origin, Part), Problem> {
        match from {
            CopyFrom::Registry(name) => {
                let reference = name.reference()?;
                let from = Repo::of(&reference)?;
                let found = self.manifest(&from, target(&reference)).await?;
                let root = Part { digest: found.digest, media_type: found.media_type, bytes: found.bytes, manifest: found.manifest };
                Ok((Origin::Registry(from), root))
            }
            CopyFrom::File(locator) => {
                let file = FileSource::open(locator).await?;
                let doing = doing.to_owned();
                blocking(&doing.clone(), move || filed(file, &doing)).await
            }
        }
    }

    /// Everything that hangs on a manifest.
    pub(super) async fn gather(&self, origin: &Origin, root: Part, absent: Absent, doing: &str) -> Result<Tree, Problem> {
        let mut gathered = Gathered { client: self, origin, absent, doing, parts: Vec::new(), seen: HashSet::new(), blobs: Vec::new() };
        gathered.add(root, DEEPEST).await?;
        let Gathered { mut parts, blobs, .. } = gathered;
        let root = parts.pop().ok_or_else(|| Problem::new(ProblemKind::Other, doing, "nothing was gathered"))?;
        if let Some(foreign) = blobs.iter().find(|blob| is_foreign(&blob.media_type)) {
            let cause =
                format!("its layer {} lives elsewhere ({}) and is not copied", foreign.digest.short(), Safe::new(&foreign.media_type));
            return Err(Problem::new(ProblemKind::Unsupported, doing, cause));
        }
        Ok(Tree { root, below: parts, blobs })
    }

    /// Sends the blobs and the manifests below the root.
    pub(super) async fn send_tree(&self, ctx: &Ctx, origin: &Origin, to: &Repo, tree: &Tree, sum: &mut Transfer) -> Result<(), Problem> {
        ctx.meter.phase("copying");
        let sending = stream::iter(tree.blobs.iter().cloned()).map(|blob| async move {
            let step = ctx.meter.step_named(&Safe::new(blob.digest.short()));
            ctx.meter.edit(step, |step| step.total = Some(blob.size));
            let sent = match origin {
                Origin::Registry(from) => self.copy_blob(ctx, from, to, &blob, step).await,
                Origin::File { file, .. } => {
                    let feed = Arc::new(Filed { file: file.clone(), blob: blob.clone() });
                    self.push_blob(ctx, to, &blob, feed, None, step).await
                }
            };
            let sent = sent.inspect_err(|_| ctx.meter.finish(step, StepState::Failed))?;
            ctx.meter.finish(step, if sent == Uploaded::Sent { StepState::Done } else { StepState::Skipped });
            Ok::<_, Problem>((sent, blob.size))
        });
        let at_once = self.0.host(to.host()).transfers.max(1);
        let sent: Vec<(Uploaded, u64)> = sending.buffer_unordered(at_once).try_collect().await?;
        for (uploaded, size) in sent {
            let counter = if uploaded == Uploaded::Sent { &mut sum.bytes_transferred } else { &mut sum.bytes_skipped };
            *counter = counter.saturating_add(size);
        }
        for part in &tree.below {
            self.put_manifest(to, part.digest.as_str(), &part.media_type, part.bytes.clone()).await?;
        }
        Ok(())
    }
}

pub(super) fn put<'a>(repo: &'a Repo, tag: &'a str, root: &'a Part, before: Option<&'a Digest>) -> Put<'a> {
    Put { repo, tag, media_type: &root.media_type, bytes: &root.bytes, digest: &root.digest, before }
}

fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

/// What a file's locator stands for: one image or one index.
fn filed(file: FileSource, doing: &str) -> Result<(Origin, Part), Problem> {
    let mut made = HashMap::new();
    let mut roots: Vec<Descriptor> = Vec::new();
    for packed in file.images() {
        let root = packed.root.clone().or_else(|| packed.manifest.clone()).unwrap_or_else(|| {
            let (descriptor, bytes) = store::manifest_of(packed);
            made.insert(descriptor.digest.clone(), Bytes::from(bytes));
            descriptor
        });
        if !roots.iter().any(|known| known.digest == root.digest) {
            roots.push(root);
        }
    }
    match roots.as_slice() {
        [root] => {
            let part = file_part(&file, &made, root, doing)?;
            Ok((Origin::File { file, made }, part))
        }
        [] => Err(Problem::new(ProblemKind::NotFound, doing, "there is no image in it")),
        more => {
            let problem = Problem::new(ProblemKind::Usage, doing, format!("there are {} images in it", more.len()));
            Err(problem.hint("name one of them: FILE:NAME"))
        }
    }
}

fn file_part(file: &FileSource, made: &HashMap<Digest, Bytes>, at: &Descriptor, doing: &str) -> Result<Part, Problem> {
    let bytes = match made.get(&at.digest) {
        Some(bytes) => bytes.clone(),
        None => read_document(file.content(), at, doing)?.into(),
    };
    part(at, bytes, doing)
}

fn part(at: &Descriptor, bytes: Bytes, doing: &str) -> Result<Part, Problem> {
    let manifest = oci::parse_manifest(&bytes, Some(&at.media_type)).map_err(|malformed| malformed.problem(doing))?;
    let media_type = match &manifest {
        Manifest::Index(index) => index.media_type.clone(),
        Manifest::Image(image) => image.media_type.clone(),
    };
    Ok(Part { digest: at.digest.clone(), media_type, bytes, manifest })
}

async fn blocking<T: Send + 'static>(doing: &str, work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::new(ProblemKind::Other, doing, error.to_string()))?
}

/// An index with the chosen platforms only, and what is about these. Fields that are not known here stay as they are.
pub(super) fn chosen(root: Part, platforms: &[Platform], doing: &str) -> Result<Part, Problem> {
    let Manifest::Index(index) = &root.manifest else { return Ok(root) };
    let runnable: Vec<Descriptor> = index.manifests.iter().filter(|child| is_runnable(child)).cloned().collect();
    let serves = |child: &Descriptor, wanted: &Platform| child.platform.as_ref().is_some_and(|platform| platform.serves(wanted));
    if let Some(missing) = platforms.iter().find(|wanted| !runnable.iter().any(|child| serves(child, wanted))) {
        return Err(no_platform(doing, &runnable, missing));
    }
    let wanted = |child: &Descriptor| is_runnable(child) && platforms.iter().any(|platform| serves(child, platform));
    let kept: HashSet<&Digest> = index.manifests.iter().filter(|child| wanted(child)).map(|child| &child.digest).collect();
    let about = |child: &Descriptor| child.annotations.get(ABOUT).and_then(|about| about.raw().parse::<Digest>().ok());
    let keeps: Vec<bool> =
        index.manifests.iter().map(|child| wanted(child) || about(child).is_some_and(|about| kept.contains(&about))).collect();
    if keeps.iter().all(|keep| *keep) {
        return Ok(root);
    }
    let mut document = oci::parse_strict(&root.bytes).map_err(|malformed| malformed.problem(doing))?;
    if let Some(list) = document.get_mut("manifests").and_then(|list| list.as_array_mut()) {
        let mut keeps = keeps.iter();
        list.retain(|_| keeps.next().copied().unwrap_or(false));
    }
    let bytes = Bytes::from(document.to_string());
    let at = Descriptor {
        media_type: root.media_type,
        digest: Digest::sha256(&bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: std::collections::BTreeMap::new(),
    };
    part(&at, bytes, doing)
}

/// A tree in the making.
struct Gathered<'a> {
    client: &'a Client,
    origin: &'a Origin,
    absent: Absent,
    doing: &'a str,
    parts: Vec<Part>,
    seen: HashSet<Digest>,
    blobs: Vec<Descriptor>,
}

impl Gathered<'_> {
    /// Adds what is below a manifest, then the manifest.
    fn add(&mut self, part: Part, deepest: usize) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            if self.parts.len() >= MOST_PARTS {
                return Err(Problem::new(ProblemKind::Limit, self.doing, format!("it has more than {MOST_PARTS} manifests")));
            }
            self.seen.insert(part.digest.clone());
            match &part.manifest {
                Manifest::Index(index) => self.children(index, deepest).await?,
                Manifest::Image(image) => {
                    for blob in std::iter::once(&image.config).chain(&image.layers) {
                        if self.seen.insert(blob.digest.clone()) {
                            self.blobs.push(blob.clone());
                        }
                    }
                }
            }
            self.parts.push(part);
            Ok(())
        })
    }

    async fn children(&mut self, index: &Index, deepest: usize) -> Result<(), Problem> {
        if deepest == 0 {
            return Err(Problem::new(ProblemKind::Limit, self.doing, format!("indexes lie in it more than {DEEPEST} deep")));
        }
        for child in &index.manifests {
            // The same child twice, and an index that leads back to itself, are followed once.
            if self.seen.contains(&child.digest) {
                continue;
            }
            match self.part(child).await {
                Ok(part) if self.leaves_out(&part) => {}
                Ok(part) => self.add(part, deepest - 1).await?,
                Err(problem) if problem.kind == ProblemKind::NotFound && self.absent == Absent::LeftOut => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }

    /// Whether only the manifest of a platform is there, and its blobs are not and need not be.
    fn leaves_out(&self, part: &Part) -> bool {
        let (Origin::File { file, .. }, Manifest::Image(image), Absent::LeftOut) = (self.origin, &part.manifest, self.absent) else {
            return false;
        };
        let missing = |blob: &Descriptor| file.content().open(blob).is_err_and(|problem| problem.kind == ProblemKind::NotFound);
        std::iter::once(&image.config).chain(&image.layers).any(missing)
    }

    async fn part(&self, at: &Descriptor) -> Result<Part, Problem> {
        let missing = |problem: Problem| {
            if problem.kind != ProblemKind::NotFound {
                return problem;
            }
            let platform =
                at.platform.as_ref().map(|platform| format!(" ({})", Foreign::from(platform.to_string()).safe())).unwrap_or_default();
            let cause = format!("its index lists {}{platform}, which is missing", at.digest);
            Problem::new(ProblemKind::NotFound, self.doing, cause).hint("choose the platforms that are there")
        };
        match self.origin {
            Origin::Registry(from) => {
                let found = self.client.manifest(from, at.digest.as_str()).await.map_err(missing)?;
                Ok(Part { digest: found.digest, media_type: found.media_type, bytes: found.bytes, manifest: found.manifest })
            }
            Origin::File { file, made } => {
                let (file, made, at, doing) = (file.clone(), made.clone(), at.clone(), self.doing.to_owned());
                blocking(self.doing, move || file_part(&file, &made, &at, &doing)).await.map_err(missing)
            }
        }
    }
}
