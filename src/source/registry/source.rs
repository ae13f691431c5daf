//! One registry as a [`Source`]: an image is inspected by its reference, straight from the registry and without its layers.
//! Its images are not listed as a whole: repositories and tags are its [`Catalog`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Client, RemoteManifest, Repo, Survey, target};
use crate::model::remote::Held;
use crate::model::{
    Digest, Image, ImageKey, ImageList, Listed, LoggedIn, LoggedOut, Login, Name, Platform, Powers, Problem, ProblemKind, Quota, Reference,
    Referrers, RepoRow, RepositoryView, Safe, SourceId, SourceKind, TagDetails, TagRow, Transfer,
};
use crate::source::content::{Descriptor, Packed};
use crate::source::oci::{self, ImageManifest, LARGEST, Manifest};
use crate::source::{Answer, Catalog, Ctx, Curator, Each, ExportTo, LabelsAnswer, Ranged, Resolved, Source, TagAnswer, Taker};

/// Platforms of an index that are inspected at a time.
const AT_ONCE: usize = 8;

/// A registry host.
#[derive(Debug)]
pub struct RegistrySource {
    id: SourceId,
    host: String,
    client: Client,
}

impl RegistrySource {
    #[must_use]
    pub fn new(client: Client, host: &str) -> Self {
        Self { id: SourceId::registry(host), host: host.to_owned(), client }
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Every platform of what `reference` points at: one image, or as many as its index has. Attestations and other things that are
    /// no images are left out of an index.
    ///
    /// # Errors
    /// What the registry answered; nothing to show.
    pub async fn inspect_all(&self, ctx: &Ctx, reference: &Reference) -> Result<Vec<Image>, Problem> {
        stoppable(ctx, format!("inspect {reference}"), self.all(ctx, reference)).await
    }

    /// The image for `platform`.
    ///
    /// # Errors
    /// What the registry answered; an index without that platform, which names those it has.
    pub async fn inspect_platform(&self, ctx: &Ctx, reference: &Reference, platform: &Platform) -> Result<Image, Problem> {
        stoppable(ctx, format!("inspect {reference}"), self.one(ctx, reference, platform)).await
    }

    /// What hangs on a manifest: said before it is deleted.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn survey(&self, ctx: &Ctx, repository: &str, digest: &Digest) -> Result<Survey, Problem> {
        let doing = format!("look at what needs {} in {}/{repository}", digest.short(), self.host);
        let work = async { self.client.survey(ctx, &Repo::at(&self.host, repository)?, digest).await };
        Box::pin(stoppable(ctx, doing, work)).await
    }

    async fn all(&self, ctx: &Ctx, reference: &Reference) -> Result<Vec<Image>, Problem> {
        let repo = Repo::of(reference)?;
        let found = self.client.manifest(&repo, target(reference)).await?;
        let root = root(&found);
        let index = match found.manifest {
            Manifest::Image(manifest) => return Ok(vec![self.image(ctx, reference, &repo, &root, &root, manifest).await?]),
            Manifest::Index(index) => index,
        };
        let children: Vec<Descriptor> = index.manifests.into_iter().filter(is_runnable).collect();
        let (repo, root) = (&repo, &root);
        let images =
            stream::iter(children).map(|child| async move { self.child(ctx, reference, repo, root, &child).await }).buffered(AT_ONCE);
        let images: Vec<_> = images.collect().await;
        let problem = images.iter().find_map(|image| image.as_ref().err().cloned());
        let images: Vec<Image> = images.into_iter().filter_map(Result::ok).flatten().collect();
        match problem {
            Some(problem) if images.is_empty() => Err(problem),
            _ => Ok(images),
        }
    }

    async fn one(&self, ctx: &Ctx, reference: &Reference, platform: &Platform) -> Result<Image, Problem> {
        let repo = Repo::of(reference)?;
        let found = self.client.manifest(&repo, target(reference)).await?;
        let root = root(&found);
        let index = match found.manifest {
            Manifest::Image(manifest) => return self.image(ctx, reference, &repo, &root, &root, manifest).await,
            Manifest::Index(index) => index,
        };
        let children: Vec<Descriptor> = index.manifests.into_iter().filter(is_runnable).collect();
        let child =
            super::pick(&children, |child| child.platform.as_ref(), platform).or_else(|| children.first().filter(|_| children.len() == 1));
        let child = child.ok_or_else(|| no_platform(&format!("inspect {reference}"), &children, platform))?;
        let image = self.child(ctx, reference, &repo, &root, child).await?;
        image.ok_or_else(|| Problem::new(ProblemKind::Corrupt, format!("inspect {reference}"), "its index leads to another index"))
    }

    /// `None` for an index within an index.
    async fn child(
        &self,
        ctx: &Ctx,
        reference: &Reference,
        repo: &Repo,
        root: &Descriptor,
        child: &Descriptor,
    ) -> Result<Option<Image>, Problem> {
        let found = self.client.manifest(repo, child.digest.as_str()).await?;
        match found.manifest {
            Manifest::Image(manifest) => self.image(ctx, reference, repo, root, child, manifest).await.map(Some),
            Manifest::Index(_) => Ok(None),
        }
    }

    async fn image(
        &self,
        ctx: &Ctx,
        reference: &Reference,
        repo: &Repo,
        root: &Descriptor,
        at: &Descriptor,
        manifest: ImageManifest,
    ) -> Result<Image, Problem> {
        let doing = format!("read the configuration of {reference}");
        if !manifest.is_image() {
            let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
            return Err(Problem::new(
                ProblemKind::Unsupported,
                format!("inspect {reference}"),
                format!("it is no image but a {}", Safe::new(kind)),
            ));
        }
        let bytes = self.client.small_blob(ctx, repo, &manifest.config, LARGEST).await?;
        let config = oci::parse_config(&bytes).map_err(|malformed| malformed.problem(&doing))?;
        let names = reference.tag().map(|tag| Name::new(&format!("{}:{tag}", repo.full()))).into_iter().collect();
        let base = manifest.base(at);
        let at = Descriptor { media_type: manifest.media_type, ..at.clone() };
        let packed = Packed { names, root: Some(root.clone()), manifest: Some(at), config: manifest.config, layers: manifest.layers, base };
        let mut image = oci::image_from(&packed, &config);
        image.repo_digests = vec![Name::new(&format!("{}@{}", repo.full(), root.digest))];
        Ok(image)
    }

    fn unsupported<T>(&self, doing: &str) -> Result<T, Problem> {
        let problem = Problem::new(ProblemKind::Unsupported, format!("{doing} {}", self.host), "a registry is read by reference only");
        Err(problem.hint(format!("name an image: docker://{}/REPOSITORY:TAG", self.host)))
    }
}

fn root(found: &RemoteManifest) -> Descriptor {
    Descriptor {
        media_type: found.media_type.clone(),
        digest: found.digest.clone(),
        size: found.bytes.len() as u64,
        platform: None,
        annotations: std::collections::BTreeMap::new(),
    }
}

/// Whether a child of an index is something to run: not an attestation, which names itself unknown/unknown.
pub(crate) fn is_runnable(child: &Descriptor) -> bool {
    let unknown = child.platform.as_ref().is_some_and(|platform| platform.os == "unknown" && platform.architecture == "unknown");
    !unknown && !child.annotations.contains_key("vnd.docker.reference.type")
}

/// The problem of an index without the platform wanted.
pub(crate) fn no_platform(doing: &str, children: &[Descriptor], wanted: &Platform) -> Problem {
    let has: Vec<String> = children.iter().filter_map(|child| child.platform.as_ref().map(ToString::to_string)).take(20).collect();
    let problem = Problem::new(ProblemKind::NotFound, doing, format!("there is no image for {wanted} in its index"));
    problem.hint(if has.is_empty() { "its index names no platforms".to_owned() } else { format!("it has {}", has.join(", ")) })
}

impl Source for RegistrySource {
    fn registry(&self) -> Option<&Client> {
        Some(&self.client)
    }

    fn id(&self) -> &SourceId {
        &self.id
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Registry
    }

    fn powers(&self) -> Powers {
        Powers::REGISTRY
    }

    fn version<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, Safe> {
        Box::pin(async { Ok(Safe::new(&format!("registry {}", self.host))) })
    }

    fn list<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async { self.unsupported("list the images of") })
    }

    /// The image for this machine's platform.
    fn inspect<'a>(&'a self, ctx: &'a Ctx, key: &'a ImageKey) -> Answer<'a, Image> {
        Box::pin(async move {
            match key {
                ImageKey::Name(reference) => self.inspect_platform(ctx, reference, &Platform::host()).await,
                ImageKey::Id(_) => self.unsupported("look for an image ID in"),
            }
        })
    }

    fn curator(&self) -> Option<&dyn Curator> {
        Some(self)
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        Some(self)
    }

    fn open_layers<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, layers: &'a [usize], taker: Arc<dyn Taker>) -> Answer<'a, ()> {
        Box::pin(stoppable(ctx, format!("open layers in {}", self.host), self.client.open_layers(ctx, image, layers, taker)))
    }

    fn ranged(&self) -> Option<&dyn Ranged> {
        Some(self)
    }

    fn export<'a>(&'a self, _ctx: &'a Ctx, _keys: &'a [ImageKey], _to: &'a ExportTo) -> Answer<'a, Transfer> {
        Box::pin(async { self.unsupported("export from") })
    }
}

impl Ranged for RegistrySource {
    fn stretch<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, place: usize, offset: u64, length: u64) -> Answer<'a, bytes::Bytes> {
        let doing = format!("read a stretch of a layer in {}", self.host);
        Box::pin(stoppable(ctx, doing, self.client.stretch(image, place, offset, length)))
    }
}

/// Runs a verb until it ends or the caller asks to stop.
async fn stoppable<T>(ctx: &Ctx, doing: String, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::select! {
        biased;
        () = ctx.cancel.cancelled() => Err(Problem::cancelled(doing)),
        done = work => done,
    }
}

impl Catalog for RegistrySource {
    fn repositories<'a>(&'a self, ctx: &'a Ctx, each: Each<'a, Vec<RepoRow>>) -> Answer<'a, Listed> {
        let doing = format!("list the repositories of {}", self.host);
        Box::pin(stoppable(ctx, doing, self.client.repositories(&self.host, each)))
    }

    fn tags<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, each: Each<'a, Vec<TagRow>>) -> Answer<'a, Listed> {
        let doing = format!("list the tags of {}/{repository}", self.host);
        let work = async move { self.client.tags(&Repo::at(&self.host, repository)?, each).await };
        Box::pin(stoppable(ctx, doing, work))
    }

    fn details<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, tags: &'a [String], each: Each<'a, TagAnswer>) -> Answer<'a, ()> {
        let doing = format!("read the tags of {}/{repository}", self.host);
        let work = async move { self.client.details(&Repo::at(&self.host, repository)?, tags, each).await };
        Box::pin(stoppable(ctx, doing, work))
    }

    fn labels<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, details: &'a [TagDetails], each: Each<'a, LabelsAnswer>) -> Answer<'a, ()> {
        let doing = format!("read the labels in {}/{repository}", self.host);
        let work = async move { self.client.labels_of(&Repo::at(&self.host, repository)?, details, each).await };
        Box::pin(stoppable(ctx, doing, work))
    }

    fn referrers<'a>(
        &'a self,
        ctx: &'a Ctx,
        repository: &'a str,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
    ) -> Answer<'a, Referrers> {
        let doing = format!("look for what refers to {} in {}/{repository}", subject.short(), self.host);
        let work = async move { self.client.referrers(&Repo::at(&self.host, repository)?, subject, artifact_type).await };
        Box::pin(stoppable(ctx, doing, work))
    }

    fn view<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, tags: &'a [String], digests: &'a [Digest]) -> Answer<'a, RepositoryView> {
        let doing = format!("look at {}/{repository}", self.host);
        let work = async move { self.client.view(ctx, &Repo::at(&self.host, repository)?, tags, digests).await };
        Box::pin(stoppable(ctx, doing, work))
    }

    fn held<'a>(&'a self, ctx: &'a Ctx, repository: &'a str, digests: &'a [Digest]) -> Answer<'a, BTreeMap<Digest, Held>> {
        let doing = format!("read what manifests of {}/{repository} hold", self.host);
        let work = async move { self.client.held(ctx, &Repo::at(&self.host, repository)?, digests).await };
        Box::pin(stoppable(ctx, doing, work))
    }

    fn quota(&self) -> Option<Quota> {
        self.client.quota(&self.host)
    }

    fn resolve<'a>(&'a self, ctx: &'a Ctx, tags: &'a [(String, String)], each: Each<'a, Resolved>) -> Answer<'a, ()> {
        let doing = format!("look where tags of {} point", self.host);
        Box::pin(stoppable(ctx, doing, self.client.resolve_names(&self.host, tags, each)))
    }

    fn log_in<'a>(&'a self, ctx: &'a Ctx, login: &'a Login) -> Answer<'a, LoggedIn> {
        Box::pin(stoppable(ctx, format!("log in to {}", self.host), self.client.log_in(&self.host, login)))
    }

    fn log_out<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, LoggedOut> {
        Box::pin(stoppable(ctx, format!("log out of {}", self.host), self.client.log_out(&self.host)))
    }
}
