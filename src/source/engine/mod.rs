//! Docker and Podman engines, over bollard and the Docker Engine API.
//!
//! | file | concern |
//! |---|---|
//! | [`endpoint`], [`mod@discover`], `contexts` | which engines there may be, and their addresses |
//! | `transport`, `tls`, `ssh` | connections |
//! | `client`, `session` | requests, bounds, problems; who answers, and in which API version |
//! | `wire` | the engines' answers, read leniently |
//! | `list`, `inspect`, `layers`, `watch` | reading |
//! | `change`, `transfer`, `progress` | tag, remove, prune; pull and push |
//! | `save`, `load`, `upload` | archives out of and into the engine |
//! | `open` | layers out of a save while it passes |
//!
//! Bollard speaks the verbs whose answers are small and settled (tag, remove, save); the others are asked for directly on the same
//! transport, because bollard's models refuse odd answers whole (see `wire`), and its bodies have no bound and no stall timer.
//!
//! Constructing an [`EngineSource`] connects nothing. Each request opens its own connection, so a source comes back by itself once its
//! engine does.
//!
//! May use model and the rest of source. Facts: Docker Engine API, and what dockerd 20.10.24 and Podman 4.3.1 really answer.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio::sync::Mutex;

use crate::model::{
    ArchiveFormat, Copy, Digest, Image, ImageKey, ImageList, ImportPreview, Kept, Name, Platform, Powers, Problem, ProblemKind, Reference,
    Removal, Removed, Safe, SourceId, SourceKind, Target, Transfer,
};
use crate::source::credentials::Credentials;
use crate::source::keep::{local_backup, local_key, local_return};
use crate::source::{Answer, Ctx, Curator, Each, ExportTo, LastUses, LayersOf, Noticed, Seen, Source, Taker, Watcher};

mod change;
mod client;
mod contexts;
pub mod discover;
pub mod endpoint;
mod inspect;
mod layers;
mod list;
mod load;
mod open;
mod progress;
mod save;
mod session;
mod ssh;
mod tls;
mod transfer;
mod transport;
mod upload;
mod used;
mod watch;
mod wire;

pub use discover::{Candidate, Disk, Files, Standing, Surroundings, Wish, discover};
pub use endpoint::Endpoint;

use client::Client;
use list::Which;
use session::Session;

/// One engine.
#[derive(Debug)]
pub struct EngineSource {
    endpoint: Endpoint,
    credentials: Credentials,
    client: Client,
    /// What the engine said of itself, until it is lost.
    session: Mutex<Option<Arc<Session>>>,
}

impl EngineSource {
    /// Connects nothing yet. `credentials` are for pulling and pushing.
    #[must_use]
    pub fn new(endpoint: Endpoint, credentials: Credentials) -> Self {
        let client = Client::new(&endpoint);
        Self { endpoint, credentials, client, session: Mutex::new(None) }
    }

    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks the engine who it is, once.
    async fn session(&self, doing: &str) -> Result<Arc<Session>, Problem> {
        let mut known = self.session.lock().await;
        if let Some(session) = known.as_ref() {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(session::open(&self.client, doing).await?);
        *known = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Runs a verb: it ends at once when the caller cancels, and an engine that was lost is asked again who it is (it may come back as
    /// another version).
    async fn run<T>(&self, ctx: &Ctx, doing: &str, verb: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let outcome = tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => Err(Problem::cancelled(doing)),
            outcome = verb => outcome,
        };
        if outcome.as_ref().is_err_and(|problem| matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Corrupt)) {
            *self.session.lock().await = None;
        }
        outcome
    }

    fn bollard_failure(&self, error: bollard::errors::Error, doing: &str) -> client::Failure {
        session::failure(&self.client, error, doing)
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} of {}", self.endpoint.name)
    }
}

impl Source for EngineSource {
    fn id(&self) -> &SourceId {
        &self.endpoint.id
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Engine
    }

    fn powers(&self) -> Powers {
        Powers::ALL
    }

    fn version<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, Safe> {
        Box::pin(async move {
            let doing = format!("reach {}", self.endpoint.name);
            self.run(ctx, &doing, async { Ok(self.session(&doing).await?.words.clone()) }).await
        })
    }

    fn list<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async move {
            let doing = self.doing("list the images");
            self.run(ctx, &doing, list::list(self, Which::Finished, &doing)).await
        })
    }

    fn list_all<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async move {
            let doing = self.doing("list all images");
            self.run(ctx, &doing, list::list(self, Which::All, &doing)).await
        })
    }

    fn list_with_uses<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, (ImageList, LastUses)> {
        Box::pin(async move {
            let doing = self.doing("list the images");
            self.run(ctx, &doing, list::list_with_uses(self, Which::Finished, &doing)).await
        })
    }

    fn inspect<'a>(&'a self, ctx: &'a Ctx, key: &'a ImageKey) -> Answer<'a, Image> {
        Box::pin(async move {
            let doing = format!("inspect {key}");
            self.run(ctx, &doing, inspect::inspect(self, key, &doing)).await
        })
    }

    fn layers<'a>(&'a self, ctx: &'a Ctx, images: &'a [Digest], each: Each<'a, LayersOf>) -> Answer<'a, ()> {
        Box::pin(async move {
            let doing = self.doing("read the layers");
            self.run(ctx, &doing, layers::layers(self, ctx, images, each, &doing)).await
        })
    }

    fn open_layers<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, layers: &'a [usize], taker: Arc<dyn Taker>) -> Answer<'a, ()> {
        Box::pin(async move {
            let doing = format!("read the layers of {}", image.id.short());
            self.run(ctx, &doing, open::open_layers(self, ctx, image, layers, taker, &doing)).await
        })
    }

    fn export<'a>(&'a self, ctx: &'a Ctx, keys: &'a [ImageKey], to: &'a ExportTo) -> Answer<'a, Transfer> {
        Box::pin(async move {
            let doing = format!("export to {}", to.file.display());
            self.run(ctx, &doing, save::export(self, ctx, keys, to, &doing)).await
        })
    }

    fn curator(&self) -> Option<&dyn Curator> {
        Some(self)
    }

    fn watcher(&self) -> Option<&dyn Watcher> {
        Some(self)
    }
}

impl Curator for EngineSource {
    fn tag<'a>(&'a self, ctx: &'a Ctx, id: &'a Digest, to: &'a Reference, replaces: Option<&'a Digest>) -> Answer<'a, ()> {
        Box::pin(async move {
            let doing = format!("tag {} as {to}", id.short());
            self.run(ctx, &doing, change::tag(self, id, to, replaces, &doing)).await
        })
    }

    fn remove<'a>(&'a self, ctx: &'a Ctx, items: &'a [Removal]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)> {
        Box::pin(async move {
            let doing = self.doing("remove images");
            // Not ended from outside: what was removed so far must be told. It looks at the cancel mark between two images.
            self.run(&Ctx::default(), &doing, change::remove(self, ctx, items, &doing)).await
        })
    }

    fn prunable<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async move {
            let doing = self.doing("look for images without a tag");
            self.run(ctx, &doing, change::prunable(self, &doing)).await
        })
    }

    fn pull<'a>(&'a self, ctx: &'a Ctx, reference: &'a Reference, platform: Option<&'a Platform>) -> Answer<'a, Transfer> {
        Box::pin(async move {
            let doing = format!("pull {reference}");
            self.run(ctx, &doing, transfer::pull(self, ctx, reference, platform, &doing)).await
        })
    }

    fn push<'a>(&'a self, ctx: &'a Ctx, reference: &'a Reference, expected: &'a Digest) -> Answer<'a, Transfer> {
        Box::pin(async move {
            let doing = format!("push {reference}");
            self.run(ctx, &doing, transfer::push(self, ctx, reference, expected, &doing)).await
        })
    }

    fn preview_import<'a>(&'a self, ctx: &'a Ctx, file: &'a Path) -> Answer<'a, ImportPreview> {
        Box::pin(async move {
            let doing = format!("read {}", file.display());
            self.run(ctx, &doing, load::preview(self, ctx, file, &doing)).await
        })
    }

    fn import<'a>(&'a self, ctx: &'a Ctx, file: &'a Path, moves: &'a [(Name, Digest)]) -> Answer<'a, Transfer> {
        Box::pin(async move {
            let doing = format!("import {}", file.display());
            self.run(ctx, &doing, load::import(self, ctx, file, moves, &doing)).await
        })
    }

    fn copy<'a>(&'a self, ctx: &'a Ctx, copy: &'a Copy) -> Answer<'a, Transfer> {
        Box::pin(async move {
            let doing = format!("copy to {}", copy.to.safe());
            self.run(ctx, &doing, load::copy(self, ctx, copy, &doing)).await
        })
    }

    fn look<'a>(&'a self, ctx: &'a Ctx, target: &'a Target) -> Answer<'a, Option<Seen>> {
        Box::pin(async move {
            let doing = format!("look at {}", target.safe());
            let key = local_key(target, &doing)?;
            let found = self.run(ctx, &doing, async {
                let session = self.session(&doing).await?;
                change::held(self, &session, &key, &doing).await
            });
            let found = found.await?;
            Ok(found.map(|held| Seen { digest: held.id, names: held.tags }))
        })
    }

    /// An engine takes longest over the disk, and hardly faster with more than eight; the others of these read again before and after.
    fn removals_at_once(&self) -> usize {
        12
    }

    /// What `docker load` takes keeps the image's ID.
    fn back_up<'a>(&'a self, ctx: &'a Ctx, target: &'a Target, digest: &'a Digest, file: &'a Path) -> Answer<'a, ()> {
        Box::pin(local_backup(self, ctx, target, digest, file, ArchiveFormat::Docker))
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

impl Watcher for EngineSource {
    fn watch<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, BoxStream<'static, Result<Noticed, Problem>>> {
        Box::pin(async move {
            let doing = self.doing("watch for changes");
            self.run(ctx, &doing, watch::watch(self, &doing)).await
        })
    }
}
