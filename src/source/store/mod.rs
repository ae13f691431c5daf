//! The embedded store: images on a machine without an engine, and the world of `demo`.
//!
//! It is an OCI image layout, readable by others while it is used: content-addressed blobs, each written to a temporary file,
//! fsynced and renamed, and `index.json`, written the same way and last. At any moment a crash leaves the old state or the new
//! one, and leftovers that the next collection takes away. One writer at a time (`lock`); readers wait for nobody.
//!
//! An image's ID is the digest of its configuration. Names are full canonical references. Removing an image's last tag removes the
//! image, as `docker rmi` does; a tag that moves leaves its old image untagged, for prune.
//!
//! May use model, layer, and the formats and registries of `source`. Facts: the OCI image layout specification 1.0.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::model::{
    ArchiveFormat, Copy, Digest, Image, ImageKey, ImageList, ImportPreview, Kept, Name, Platform, Powers, Problem, ProblemKind, Reference,
    Removal, Removed, Safe, SourceId, SourceKind, Target, Transfer,
};
use crate::source::content::{Content, Descriptor, Packed};
use crate::source::credentials::Credentials;
use crate::source::keep::{local_backup, local_key, local_return};
use crate::source::oci;
use crate::source::opened::{self, Taker};
use crate::source::registry::{Client, RegistrySettings};
use crate::source::sink::AtomicFile;
use crate::source::{Answer, Ctx, Curator, Each, ExportTo, LayersOf, Noticed, Source, Watcher, blocking};

mod blobs;
mod change;
pub mod demo;
mod gc;
mod import;
mod index;
mod lock;
mod pull;
mod push;
mod state;

use blobs::Blobs;
pub(crate) use import::manifest_of;
use index::{Index, LARGEST_INDEX};
use lock::{Lease, WriteLock};
use state::{Documents, State};

const INDEX: &str = "index.json";
const LAYOUT: &str = "oci-layout";

/// The store as a source that can do everything.
#[derive(Debug)]
pub struct StoreSource {
    id: SourceId,
    store: Arc<Store>,
}

struct Store {
    root: PathBuf,
    blobs: Blobs,
    seen: Mutex<Seen>,
    changed: tokio::sync::watch::Sender<u64>,
    registries: RegistrySettings,
    credentials: Credentials,
    /// Made when it is first needed: loading the system's certificates takes a while.
    client: OnceLock<Client>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.root).finish()
    }
}

/// What was read before.
#[derive(Debug, Default)]
struct Seen {
    documents: Documents,
    state: Option<(Identity, Arc<State>)>,
}

/// Which `index.json` it was: a rename makes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// The store in a writer's hands: what was read under the lock, and the index as it will be written.
struct Locked {
    state: Arc<State>,
    index: Index,
    /// Whether garbage is to be collected afterwards.
    collect: bool,
}

impl Locked {
    fn state(&self) -> &State {
        &self.state
    }
}

impl StoreSource {
    /// Opens the store in `dir`, and makes it when there is none. Anonymous at registries; see [`StoreSource::with_registries`].
    ///
    /// # Errors
    /// A directory that holds something else, or can't be written.
    pub fn open(dir: &Path) -> Result<Self, Problem> {
        prepare(dir)?;
        let (changed, _) = tokio::sync::watch::channel(0);
        let store = Store {
            root: dir.to_owned(),
            blobs: Blobs::new(dir),
            seen: Mutex::default(),
            changed,
            registries: RegistrySettings::default(),
            credentials: Credentials::none(),
            client: OnceLock::new(),
        };
        Ok(Self { id: SourceId(format!("store:{}", dir.display())), store: Arc::new(store) })
    }

    /// The same with settings and credentials for pull and push.
    #[must_use]
    pub fn with_registries(self, registries: RegistrySettings, credentials: Credentials) -> Self {
        let store = Store {
            root: self.store.root.clone(),
            blobs: self.store.blobs.clone(),
            seen: Mutex::default(),
            changed: tokio::sync::watch::channel(0).0,
            registries,
            credentials,
            client: OnceLock::new(),
        };
        Self { id: self.id, store: Arc::new(store) }
    }

    /// The same with a client that others use too, so that tokens and what registries said are shared.
    #[must_use]
    pub fn with_client(self, client: Client) -> Self {
        let source = self.with_registries(client.settings().clone(), Credentials::none());
        let _ = source.store.client.set(client);
        source
    }

    /// The images of `keys` (all of them, when empty) with their blobs, for exporting and copying. Blocking.
    ///
    /// # Errors
    /// A key that means nothing here.
    pub fn content(&self, keys: &[ImageKey]) -> Result<StoreContent, Problem> {
        self.store.content(keys)
    }
}

/// Images of the store, as they were when it was asked for.
#[derive(Debug)]
pub struct StoreContent {
    blobs: Blobs,
    images: Vec<Packed>,
}

impl Content for StoreContent {
    fn images(&self) -> &[Packed] {
        &self.images
    }

    fn stored(&self, blob: &Descriptor) -> Result<Box<dyn std::io::Read + Send + '_>, Problem> {
        Ok(Box::new(self.blobs.stored(blob)?))
    }
}

/// Makes the folders and files of an empty layout; one that is there is left as it is.
fn prepare(dir: &Path) -> Result<(), Problem> {
    let doing = format!("open the store {}", dir.display());
    let disk = |path: &Path, error: &std::io::Error| Problem::disk(&doing, path, error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| disk(dir, &error))?;
    let layout = dir.join(LAYOUT);
    if !layout.exists() {
        let mut others = fs::read_dir(dir).map_err(|error| disk(dir, &error))?.filter_map(Result::ok);
        if others.any(|entry| {
            !entry.file_name().as_encoded_bytes().starts_with(b".lighterman") && entry.file_name() != "blobs" && entry.file_name() != INDEX
        }) {
            let problem = Problem::new(ProblemKind::Usage, doing, "the directory holds something else");
            return Err(problem.hint("choose an empty directory, or an OCI image layout"));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("blobs/sha256")).map_err(|error| disk(dir, &error))?;
        if !dir.join(INDEX).exists() {
            write_whole(&dir.join(INDEX), &Index::default().bytes())?;
        }
        write_whole(&layout, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    }
    let folder = dir.join("blobs/sha256");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| disk(&folder, &error))
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let mut file = AtomicFile::create(path, true)?;
    let written = std::io::Write::write_all(&mut file, bytes);
    written.map_err(|error| file.problem(&error))?;
    file.commit(true)
}

/// Ends with a cancelled problem as soon as the caller asks for it.
async fn cancellable<T>(ctx: &Ctx, doing: &str, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::select! {
        biased;
        () = ctx.cancel.cancelled() => Err(Problem::cancelled(doing)),
        done = work => done,
    }
}

impl Store {
    fn client(&self) -> Result<Client, Problem> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let made = Client::new(self.registries.clone(), self.credentials.clone())?;
        Ok(self.client.get_or_init(|| made).clone())
    }

    /// The state now; read again only when the index is another file.
    fn state(&self) -> Result<Arc<State>, Problem> {
        let path = self.root.join(INDEX);
        let doing = format!("read the store {}", self.root.display());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let file = fs::File::open(&path).map_err(|error| Problem::disk(&doing, &path, &error))?;
        let metadata = file.metadata().map_err(|error| Problem::disk(&doing, &path, &error))?;
        let identity = Identity { inode: metadata.ino(), size: metadata.size(), modified: (metadata.mtime(), metadata.mtime_nsec()) };
        if let Some((known, state)) = &seen.state
            && *known == identity
        {
            return Ok(Arc::clone(state));
        }
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST_INDEX + 1), &mut bytes)
            .map_err(|error| Problem::disk(&doing, &path, &error))?;
        let index = Index::parse(&bytes, &doing)?;
        let state = Arc::new(seen.documents.state(&self.blobs, index));
        seen.state = Some((identity, Arc::clone(&state)));
        Ok(state)
    }

    fn content(&self, keys: &[ImageKey]) -> Result<StoreContent, Problem> {
        let state = self.state()?;
        if keys.is_empty() {
            let images = state.images.iter().map(|image| image.packed.clone()).collect();
            return Ok(StoreContent { blobs: self.blobs.clone(), images });
        }
        let mut images: Vec<Packed> = Vec::new();
        for key in keys {
            let held = state.find(key).ok_or_else(|| State::absent(&format!("read {key}")))?;
            let mut packed = held.packed.clone();
            // Only the name that was asked for goes along.
            if let ImageKey::Name(reference) = key {
                let name = Name::new(&index::canonical(reference));
                packed.names.retain(|known| *known == name);
            }
            match images.iter_mut().find(|image| image.config.digest == packed.config.digest) {
                Some(image) => image.names.extend(packed.names.into_iter().filter(|name| !image.names.contains(name)).collect::<Vec<_>>()),
                None => images.push(packed),
            }
        }
        Ok(StoreContent { blobs: self.blobs.clone(), images })
    }

    /// Changes the index under the lock: `edit` sees the state as it is now, and its index is written when it differs.
    async fn change<T, F>(self: &Arc<Self>, ctx: &Ctx, doing: String, edit: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&mut Locked) -> Result<T, Problem> + Send + 'static,
    {
        let lock = WriteLock::wait(ctx, &self.root, &doing).await?;
        let store = Arc::clone(self);
        blocking(&doing, move || store.change_locked(&lock, edit)).await
    }

    fn change_locked<T>(&self, lock: &WriteLock, edit: impl FnOnce(&mut Locked) -> Result<T, Problem>) -> Result<T, Problem> {
        let state = self.state()?;
        let mut locked = Locked { index: state.index.clone(), state, collect: false };
        let done = edit(&mut locked)?;
        if locked.index != locked.state.index {
            let bytes = locked.index.bytes();
            if bytes.len() as u64 > LARGEST_INDEX {
                let cause = format!("it would be larger than {} MiB", LARGEST_INDEX >> 20);
                return Err(Problem::new(ProblemKind::Limit, "write the store's index", cause).hint("remove some tags"));
            }
            write_whole(&self.root.join(INDEX), &bytes)?;
            self.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
        if locked.collect {
            self.collect(lock, &locked.index);
        }
        Ok(done)
    }

    /// Takes away what nothing reaches. Failing to do so harms nothing, and is tried again the next time.
    fn collect(&self, lock: &WriteLock, index: &Index) {
        match gc::reachable(&self.blobs, index) {
            Ok(reached) => {
                let floor = lock::oldest_lease(&self.root, lock);
                let freed = gc::collect(&self.blobs, &reached, floor);
                tracing::debug!(freed, "collected garbage in the store");
            }
            Err(problem) => tracing::warn!(%problem, "garbage was not collected"),
        }
        gc::sweep(&self.blobs, &self.root);
    }

    /// Announces a transfer, so that what it brings is not collected before the index knows it.
    async fn lease(self: &Arc<Self>, ctx: &Ctx, doing: &str) -> Result<Lease, Problem> {
        let lock = WriteLock::wait(ctx, &self.root, doing).await?;
        let (store, words) = (Arc::clone(self), doing.to_owned());
        blocking(doing, move || {
            gc::sweep(&store.blobs, &store.root);
            Lease::take(&store.root, &words, &lock)
        })
        .await
    }

    fn inspect(&self, key: &ImageKey) -> Result<Image, Problem> {
        let state = self.state()?;
        let held = state.find(key).ok_or_else(|| State::absent(&format!("inspect {key}")))?;
        let config = state::config(&self.blobs, &held.packed.config)?;
        let mut image = oci::image_from(&held.packed, &config);
        image.repo_digests.clone_from(&held.origins);
        image.unique_size = Some(held.unique);
        Ok(image)
    }

    fn rows(&self, wanted: impl Fn(&state::Held) -> bool) -> Result<ImageList, Problem> {
        let state = self.state()?;
        let images = state.images.iter().filter(|image| wanted(image)).map(state::Held::summary).collect();
        Ok(ImageList { images, at: (self.registries.now)(), gaps: state.gaps.clone() })
    }
}

/// All blobs of an image.
fn blobs_of(packed: &Packed) -> Vec<(Digest, u64)> {
    packed.manifest.iter().chain([&packed.config]).chain(&packed.layers).map(|blob| (blob.digest.clone(), blob.size)).collect()
}

impl Source for StoreSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Store
    }

    fn powers(&self) -> Powers {
        Powers::ALL
    }

    fn version<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, Safe> {
        Box::pin(async { Ok(Safe::new("embedded store, OCI image layout 1.0.0")) })
    }

    fn list<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, ImageList> {
        let store = Arc::clone(&self.store);
        Box::pin(async { blocking("list the store's images", move || store.rows(|_| true)).await })
    }

    fn inspect<'a>(&'a self, _ctx: &'a Ctx, key: &'a ImageKey) -> Answer<'a, Image> {
        let (store, key) = (Arc::clone(&self.store), key.clone());
        Box::pin(async move { blocking("inspect an image", move || store.inspect(&key)).await })
    }

    fn layers<'a>(&'a self, _ctx: &'a Ctx, images: &'a [Digest], each: Each<'a, LayersOf>) -> Answer<'a, ()> {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let state = blocking("read the layers of the store's images", move || store.state()).await?;
            let of: HashMap<&Digest, &Packed> = state.images.iter().map(|image| (image.id(), &image.packed)).collect();
            for id in images {
                each((id.clone(), of.get(id).map(|packed| blobs_of(packed))));
            }
            Ok(())
        })
    }

    fn open_layers<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, layers: &'a [usize], taker: Arc<dyn Taker>) -> Answer<'a, ()> {
        let content = Arc::new(StoreContent { blobs: self.store.blobs.clone(), images: Vec::new() });
        Box::pin(opened::from_content(ctx, content, image, layers, taker, "read the store"))
    }

    fn export<'a>(&'a self, ctx: &'a Ctx, keys: &'a [ImageKey], to: &'a ExportTo) -> Answer<'a, Transfer> {
        let (store, ctx, keys, to) = (Arc::clone(&self.store), ctx.clone(), keys.to_vec(), to.clone());
        Box::pin(async move { blocking("export images", move || store.export(&ctx, &keys, &to)).await })
    }

    fn curator(&self) -> Option<&dyn Curator> {
        Some(self)
    }

    fn watcher(&self) -> Option<&dyn Watcher> {
        Some(self)
    }
}

impl Curator for StoreSource {
    fn tag<'a>(&'a self, ctx: &'a Ctx, id: &'a Digest, to: &'a Reference, replaces: Option<&'a Digest>) -> Answer<'a, ()> {
        Box::pin(self.store.tag(ctx, id, to, replaces))
    }

    fn remove<'a>(&'a self, ctx: &'a Ctx, items: &'a [Removal]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)> {
        Box::pin(self.store.remove(ctx, items))
    }

    fn prunable<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, ImageList> {
        let store = Arc::clone(&self.store);
        Box::pin(async { blocking("list the untagged images", move || store.rows(|image| image.packed.names.is_empty())).await })
    }

    fn pull<'a>(&'a self, ctx: &'a Ctx, reference: &'a Reference, platform: Option<&'a Platform>) -> Answer<'a, Transfer> {
        Box::pin(async move { cancellable(ctx, &format!("pull {reference}"), self.store.pull(ctx, reference, platform)).await })
    }

    fn push<'a>(&'a self, ctx: &'a Ctx, reference: &'a Reference, expected: &'a Digest) -> Answer<'a, Transfer> {
        Box::pin(async move { cancellable(ctx, &format!("push {reference}"), self.store.push(ctx, reference, expected)).await })
    }

    fn preview_import<'a>(&'a self, ctx: &'a Ctx, file: &'a Path) -> Answer<'a, ImportPreview> {
        Box::pin(self.store.preview_import(ctx, file))
    }

    fn import<'a>(&'a self, ctx: &'a Ctx, file: &'a Path, moves: &'a [(Name, Digest)]) -> Answer<'a, Transfer> {
        Box::pin(self.store.import(ctx, file, moves))
    }

    fn copy<'a>(&'a self, ctx: &'a Ctx, copy: &'a Copy) -> Answer<'a, Transfer> {
        Box::pin(self.store.copy(ctx, copy))
    }

    fn look<'a>(&'a self, _ctx: &'a Ctx, target: &'a Target) -> Answer<'a, Option<super::Seen>> {
        Box::pin(async move {
            let doing = format!("look at {}", target.safe());
            let (key, store) = (local_key(target, &doing)?, Arc::clone(&self.store));
            let seen = |image: &state::Held| super::Seen { digest: image.id().clone(), names: image.packed.names.clone() };
            blocking(&doing, move || Ok(store.state()?.find(&key).map(seen))).await
        })
    }

    fn back_up<'a>(&'a self, ctx: &'a Ctx, target: &'a Target, digest: &'a Digest, file: &'a Path) -> Answer<'a, ()> {
        Box::pin(local_backup(self, ctx, target, digest, file, ArchiveFormat::Oci))
    }

    fn bring_back<'a>(
        &'a self,
        ctx: &'a Ctx,
        target: &'a Target,
        digest: &'a Digest,
        file: &'a Path,
        before: Option<&'a Digest>,
    ) -> Answer<'a, ()> {
        Box::pin(local_return(self, ctx, target, digest, file, before))
    }
}

impl Watcher for StoreSource {
    /// Tells of this program's own changes; those of others are seen with the next list.
    fn watch<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, BoxStream<'static, Result<Noticed, Problem>>> {
        let changes = self.store.changed.subscribe();
        Box::pin(async move {
            let later =
                stream::unfold(changes, |mut changes| async move { changes.changed().await.ok().map(|()| (Ok(Noticed::Change), changes)) });
            Ok(stream::iter([Ok(Noticed::Change)]).chain(later).boxed())
        })
    }
}
