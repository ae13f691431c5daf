//! Where images live, behind one short verb list.
//!
//! Every source implements [`Source`]; one that can change its images also gives a [`Curator`], one that tells of changes a
//! [`Watcher`], one that can be browsed a [`Catalog`], one that gives stretches of layers a [`Ranged`]. Screens ask [`Source::powers`] and grey out
//! the rest. One contract suite (`tests/source_contract.rs`) runs over all.
//!
//! May use model and layer; must not name the screen, `flow`, `app` or `pane`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;

pub use crate::model::image::LayersOf;
use crate::model::remote::Held;
use crate::model::{
    ArchiveFormat, Copy, Digest, Foreign, Image, ImageKey, ImageList, ImportPreview, Kept, Labels, Listed, LoggedIn, LoggedOut, Login,
    Name, Platform, Powers, Problem, ProblemKind, Quota, Reference, Referrers, Removal, Removed, RepoRow, RepositoryView, Safe, SourceId,
    SourceKind, TagDetails, TagRow, Target, Transfer,
};

pub mod archive;
mod collection;
pub mod content;
pub mod credentials;
pub mod engine;
pub mod export;
pub mod files;
mod keep;
pub mod layout;
pub mod meter;
pub mod oci;
pub mod opened;
mod part;
pub mod peek;
mod picked;
pub mod registry;
pub mod shelf;
pub mod sink;
pub mod store;
mod verify;

pub use meter::Meter;
pub use opened::{Opened, ReadLayer, Taker, Ticket, read_layers};
pub use part::{Part, Sink, copy_part};
pub use verify::verify;

pub type Answer<'a, T> = BoxFuture<'a, Result<T, Problem>>;

/// The moment at which a source answered. The one clock of this room: a list without its age would look fresh for ever.
#[expect(clippy::disallowed_methods, reason = "a list is stamped where it is read")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// What a running verb gets from its caller: where to report, and whether to stop. Futures may also simply be dropped; `cancel`
/// is for blocking threads.
#[derive(Debug, Clone, Default)]
pub struct Ctx {
    pub meter: Meter,
    pub cancel: CancellationToken,
}

impl Ctx {
    /// # Errors
    /// A cancelled [`Problem`] when the caller asked to stop.
    pub fn check(&self, doing: &str) -> Result<(), Problem> {
        if self.cancel.is_cancelled() { Err(Problem::cancelled(doing)) } else { Ok(()) }
    }
}

/// Runs `work` on a thread where it may block.
///
/// # Errors
/// What `work` said, or that its thread was lost, which only a defect can cause.
pub async fn blocking<T: Send + 'static>(doing: &str, work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Problem::new(ProblemKind::Other, doing, error.to_string())))
}

/// A place with images.
pub trait Source: Send + Sync + Debug {
    fn id(&self) -> &SourceId;
    fn kind(&self) -> SourceKind;
    /// May be asked before the source was reached, and may grow or shrink after.
    fn powers(&self) -> Powers;

    /// Connects where needed and says what answered, such as "Docker 28.2.2, API 1.50".
    fn version<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, Safe>;

    fn list<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList>;

    /// The same with the intermediate images that building left, where the source keeps such apart; every other source lists all it has.
    fn list_all<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList> {
        self.list(ctx)
    }

    /// The list with when the containers there are used their images last; every source but an engine knows of none.
    fn list_with_uses<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, (ImageList, LastUses)> {
        Box::pin(async { Ok((self.list(ctx).await?, LastUses::new())) })
    }

    fn inspect<'a>(&'a self, ctx: &'a Ctx, key: &'a ImageKey) -> Answer<'a, Image>;

    /// What each of these images holds that others may hold too, in the order the answers come; `None` where that can't be told. A source of
    /// which nothing can be deleted tells nothing.
    fn layers<'a>(&'a self, _ctx: &'a Ctx, _images: &'a [Digest], _each: Each<'a, LayersOf>) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Opens the layers of `image`, as this source gave it, at the places `layers`, counted from the bottom, and hands each to `taker` in
    /// whatever order it has them: the order asked for where it can. Bytes go nowhere but to the taker.
    ///
    /// An error means that the source doesn't answer, or the caller's wish to stop; what was settled before stays good. A layer that is
    /// missing or is not what its digests say is no error of the whole: it is settled as such.
    fn open_layers<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, layers: &'a [usize], taker: Arc<dyn Taker>) -> Answer<'a, ()>;

    /// Writes `keys` into one archive at `to.file`, by way of a temporary file beside it that is read to its end, verified and
    /// fsynced before it gets the final name.
    fn export<'a>(&'a self, ctx: &'a Ctx, keys: &'a [ImageKey], to: &'a ExportTo) -> Answer<'a, Transfer>;

    /// The registry's client, of one.
    fn registry(&self) -> Option<&registry::Client> {
        None
    }

    fn curator(&self) -> Option<&dyn Curator> {
        None
    }

    fn watcher(&self) -> Option<&dyn Watcher> {
        None
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        None
    }

    fn ranged(&self) -> Option<&dyn Ranged> {
        None
    }
}

/// The power to read a stretch of a layer's stored bytes without what stands before it.
pub trait Ranged: Send + Sync {
    /// `length` bytes from `offset` on of the layer of `image` at `place`, as they are stored. No digest vouches for them: whoever asks knows one.
    /// Unsupported where whoever has the layer gives it as a whole only.
    fn stretch<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, place: usize, offset: u64, length: u64) -> Answer<'a, bytes::Bytes>;
}

/// Where and how to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportTo {
    pub file: PathBuf,
    pub format: ArchiveFormat,
    /// Replace an existing regular file (atomically, after success). Anything else in the way is refused.
    pub overwrite: bool,
}

/// The power to change images. Only `work::change` and `work::apply` call these.
pub trait Curator: Send + Sync {
    /// Points `to` at `id`. `replaces` is what held the name when the user confirmed; a different holder now is a conflict.
    fn tag<'a>(&'a self, ctx: &'a Ctx, id: &'a Digest, to: &'a Reference, replaces: Option<&'a Digest>) -> Answer<'a, ()>;

    /// Carries out removals one by one, never by force. Each is read again first; what moved, is in use or is refused is kept, with the
    /// reason. Where the caller cancels, what was not sent yet is not. `Err` only when nothing at all could be tried.
    fn remove<'a>(&'a self, ctx: &'a Ctx, items: &'a [Removal]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)>;

    /// What pruning would take away: untagged images, with what uses them and their unique size where the source can tell.
    fn prunable<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList>;

    fn pull<'a>(&'a self, ctx: &'a Ctx, reference: &'a Reference, platform: Option<&'a Platform>) -> Answer<'a, Transfer>;

    /// Pushes the local image `reference`, which must still be `expected`.
    fn push<'a>(&'a self, ctx: &'a Ctx, reference: &'a Reference, expected: &'a Digest) -> Answer<'a, Transfer>;

    /// Reads an archive to its end without changing anything, and says which tags it would move.
    fn preview_import<'a>(&'a self, ctx: &'a Ctx, file: &'a Path) -> Answer<'a, ImportPreview>;

    /// Takes tags alone away where a registry can only delete whole manifests.
    fn untag<'a>(&'a self, _ctx: &'a Ctx, items: &'a [(Name, Digest)]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)> {
        let what = items.first().map_or_else(String::new, |(name, _)| name.safe().to_string());
        Box::pin(
            async move { Err(Problem::new(ProblemKind::Unsupported, format!("untag {what}"), "only a registry is untagged this way")) },
        )
    }

    /// Copies an image in: into a registry from anywhere, without going through the disk; into an engine or a store from a file.
    fn copy<'a>(&'a self, _ctx: &'a Ctx, copy: &'a Copy) -> Answer<'a, Transfer> {
        Box::pin(async {
            let doing = format!("copy to {}", copy.to.safe());
            Err(Problem::new(ProblemKind::Unsupported, doing, "it takes no copies"))
        })
    }

    /// What a target is at now; `None` when there is nothing. Of a registry the digest is the manifest's, else the image's ID.
    fn look<'a>(&'a self, _ctx: &'a Ctx, target: &'a Target) -> Answer<'a, Option<Seen>> {
        Box::pin(async { Err(unable("look at", target)) })
    }

    /// The manifest `digest` of the target's repository as it lies there, the last of the list; before it, with `parts`, those of an index.
    /// Sources whose images come back by their ID have nothing to keep.
    fn keep<'a>(&'a self, _ctx: &'a Ctx, _target: &'a Target, _digest: &'a Digest, _parts: bool) -> Answer<'a, Vec<KeptManifest>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Puts manifests that were kept back where they are missing, the last one under the target, which must still be at `before`.
    fn put_back<'a>(
        &'a self,
        _ctx: &'a Ctx,
        target: &'a Target,
        _manifests: &'a [KeptManifest],
        _before: Option<&'a Digest>,
    ) -> Answer<'a, ()> {
        Box::pin(async { Err(unable("put back", target)) })
    }

    /// Why `manifests` could not be put back in the target's repository now, if they couldn't: what of them is missing there.
    fn missing<'a>(&'a self, _ctx: &'a Ctx, _target: &'a Target, _manifests: &'a [KeptManifest]) -> Answer<'a, Option<Safe>> {
        Box::pin(async { Ok(None) })
    }

    /// Writes all of the target, which must be at `digest`, into `file`: an archive, or of a registry a layout, verified and on the disk.
    fn back_up<'a>(&'a self, _ctx: &'a Ctx, target: &'a Target, _digest: &'a Digest, _file: &'a Path) -> Answer<'a, ()> {
        Box::pin(async { Err(unable("back up", target)) })
    }

    /// Brings back what [`Curator::back_up`] wrote. The target must be at `before`.
    fn bring_back<'a>(
        &'a self,
        _ctx: &'a Ctx,
        target: &'a Target,
        _digest: &'a Digest,
        _file: &'a Path,
        _before: Option<&'a Digest>,
    ) -> Answer<'a, ()> {
        Box::pin(async { Err(unable("bring back", target)) })
    }

    /// Changes that may run at a time.
    fn at_once(&self) -> usize {
        8
    }

    /// Removals that may run at a time, each of an image of its own.
    fn removals_at_once(&self) -> usize {
        1
    }

    /// Brings in what `file` holds. A broken archive changes nothing. `moves` are the tags the user agreed to move; another one that
    /// would move is a conflict and nothing is imported.
    fn import<'a>(&'a self, ctx: &'a Ctx, file: &'a Path, moves: &'a [(Name, Digest)]) -> Answer<'a, Transfer>;
}

fn unable(verb: &str, target: &Target) -> Problem {
    Problem::new(ProblemKind::Unsupported, format!("{verb} {}", target.safe()), "this source can't do that")
}

/// What a target is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub digest: Digest,
    /// Every name of an image of this machine.
    pub names: Vec<Name>,
}

/// A manifest as a registry holds it, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptManifest {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: bytes::Bytes,
}

/// Takes the pieces of an answer while they arrive. Called on the verb's own task: it should be quick.
pub type Each<'a, T> = &'a mut (dyn FnMut(T) + Send);

/// The power to browse a registry. Repositories are named without the registry's host.
pub trait Catalog: Send + Sync {
    /// Every repository, in pieces. Most public registries don't tell: the problem says so, and that a name can be typed.
    fn repositories<'a>(&'a self, ctx: &'a Ctx, each: Each<'a, Vec<RepoRow>>) -> Answer<'a, Listed>;

    /// Every tag of a repository, in pieces and in the registry's order. A request a page and no more.
    fn tags<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, each: Each<'a, Vec<TagRow>>) -> Answer<'a, Listed>;

    /// What each of these tags points at, in the order the answers come: the rows that are seen should be asked for first. A tag that is
    /// gone or can't be understood has a problem of its own; `Err` when the registry stops answering.
    fn details<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, tags: &'a [String], each: Each<'a, TagAnswer>) -> Answer<'a, ()>;

    /// The labels of images, as `details` told of them, by the digest of what their tags point at and in the order the answers come. What can't
    /// be read has a problem of its own; `Err` when the registry stops answering.
    fn labels<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, details: &'a [TagDetails], each: Each<'a, LabelsAnswer>) -> Answer<'a, ()>;

    /// What refers to a manifest: signatures, SBOMs, attestations; with `artifact_type` only those of that type.
    fn referrers<'a>(
        &'a self,
        ctx: &'a Ctx,
        repository: &'a str,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
    ) -> Answer<'a, Referrers>;

    /// All of a repository that decides what may be changed there: where every tag points, what indexes list, and what refers to the
    /// manifests of `tags` and to `digests`.
    fn view<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, tags: &'a [String], digests: &'a [Digest]) -> Answer<'a, RepositoryView>;

    /// What manifests of a repository hold, with those in them, for sums of bytes. Those that come first are read first; what can't be read,
    /// or is too much to ask for, is left out.
    fn held<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, digests: &'a [Digest]) -> Answer<'a, BTreeMap<Digest, Held>>;

    /// Where tags of any of its repositories point now, with their place in `tags`; `None` for one that is not there. Names outside the
    /// grammar have a problem of their own; `Err` when the registry stops answering.
    fn resolve<'a>(&'a self, ctx: &'a Ctx, tags: &'a [(String, String)], each: Each<'a, Resolved>) -> Answer<'a, ()>;

    /// Tries a login and uses it from then on.
    fn log_in<'a>(&'a self, ctx: &'a Ctx, login: &'a Login) -> Answer<'a, LoggedIn>;

    /// Forgets the login.
    fn log_out<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, LoggedOut>;
    /// How much the registry said last that it still gives; `None` when it hasn't, and most never do. Asks nobody.
    fn quota(&self) -> Option<Quota> {
        None
    }
}

/// A tag, and what it points at or why that is not known.
pub type TagAnswer = (String, Result<TagDetails, Problem>);

/// What tags point at, and the labels of the image or why they are not known.
pub type LabelsAnswer = (Digest, Result<Labels, Problem>);

/// The place of a repository and tag in what was asked, and the digest there.
pub type Resolved = (usize, Result<Option<Digest>, Problem>);

/// Images, each once, and when a container of theirs ran last.
pub type LastUses = Vec<(Digest, jiff::Timestamp)>;

/// One thing that happened to images or containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    Change,
    /// A change by which an image was used, named as whoever used it did: by reference or ID.
    Use {
        image: Foreign,
        at: jiff::Timestamp,
    },
}

/// The power to tell of changes as they happen.
pub trait Watcher: Send + Sync {
    /// Opens the stream of changes. The first item means "open from now on"; each later one "something about images or containers
    /// changed". It ends with a problem when the source is lost.
    fn watch<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, BoxStream<'static, Result<Noticed, Problem>>>;
}
