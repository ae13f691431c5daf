//! A registry as something that can be changed: tags are moved and taken away, images are copied in. What only engines and the store
//! have (pruning, pulling, imports) it has not.

use std::path::Path;

use super::write::Put;
use super::{Client, HostSettings, RegistrySource, Repo};
use crate::model::{
    Copy, CopyFrom, Digest, ImageList, ImportPreview, Kept, Name, Platform, Problem, ProblemKind, Reference, Removal, Removed, Safe,
    Target, Transfer,
};
use crate::source::oci::Manifest;
use crate::source::{Answer, Ctx, Curator, KeptManifest, Seen};

impl Client {
    /// Points a tag of `repo` at a manifest that is there: a PUT of its bytes and nothing else. `before` is what the tag was seen at.
    ///
    /// # Errors
    /// What the registry answered; a conflict when the tag is somewhere else by now.
    pub async fn retag(&self, repo: &Repo, digest: &Digest, tag: &str, before: Option<&Digest>) -> Result<(), Problem> {
        let inner = &*self.0;
        let (bytes, media_type) = if let Some(bytes) = inner.documents.get(digest).await {
            let doing = format!("read the manifest {} of {}", digest.short(), repo.full());
            let found = crate::source::oci::parse_manifest(&bytes, None).map_err(|malformed| malformed.problem(&doing))?;
            (bytes, media_type(&found))
        } else {
            let found = inner.manifest(repo, digest.as_str()).await?;
            inner.documents.put(digest, &found.bytes);
            (found.bytes, found.media_type)
        };
        let put = Put { repo, tag, media_type: &media_type, bytes: &bytes, digest, before };
        inner.put_tag(&put).await
    }
}

pub(super) fn media_type(manifest: &Manifest) -> String {
    match manifest {
        Manifest::Index(index) => index.media_type.clone(),
        Manifest::Image(image) => image.media_type.clone(),
    }
}

impl RegistrySource {
    fn no<T>(&self, doing: &str) -> Result<T, Problem> {
        Err(Problem::new(ProblemKind::Unsupported, format!("{doing} {}", self.host()), "a registry can't do that"))
    }

    /// The repository and the tag or digest of a target.
    fn place(&self, target: &Target) -> Result<(Repo, String), Problem> {
        let (name, digest) = match target {
            Target::Tag(name) => (name, None),
            Target::Manifest { repository, digest } => (repository, Some(digest)),
            Target::Image(id) => {
                let doing = format!("look at {}", id.short());
                return Err(Problem::new(ProblemKind::Usage, doing, "a manifest of a registry is named by its repository"));
            }
        };
        let reference = name.reference()?;
        let at = digest.map_or_else(|| super::target(&reference).to_owned(), Digest::to_string);
        Ok((self.mine(&reference)?, at))
    }

    /// # Errors
    /// A name of another registry.
    fn mine(&self, reference: &Reference) -> Result<Repo, Problem> {
        let repo = Repo::of(reference)?;
        if repo.host() == self.host() {
            return Ok(repo);
        }
        Err(Problem::new(ProblemKind::Usage, format!("change {reference}"), format!("that is not in {}", self.host())))
    }
}

impl Curator for RegistrySource {
    fn tag<'a>(&'a self, _ctx: &'a Ctx, id: &'a Digest, to: &'a Reference, replaces: Option<&'a Digest>) -> Answer<'a, ()> {
        Box::pin(async move {
            let repo = self.mine(to)?;
            if to.digest().is_some() {
                let problem = Problem::new(ProblemKind::Usage, format!("tag as {to}"), "a digest can't be given to a manifest");
                return Err(problem.hint("write HOST/REPOSITORY:TAG"));
            }
            self.client().retag(&repo, id, to.tag().unwrap_or("latest"), replaces).await
        })
    }

    fn remove<'a>(&'a self, ctx: &'a Ctx, items: &'a [Removal]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)> {
        Box::pin(self.client().remove(ctx, items))
    }

    fn untag<'a>(&'a self, ctx: &'a Ctx, items: &'a [(Name, Digest)]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)> {
        Box::pin(self.client().untag(ctx, items))
    }

    fn copy<'a>(&'a self, ctx: &'a Ctx, copy: &'a Copy) -> Answer<'a, Transfer> {
        Box::pin(async move {
            let to = copy.to.reference()?;
            let repo = self.mine(&to)?;
            self.client().copy(ctx, copy, &repo, to.tag().unwrap_or("latest")).await
        })
    }

    fn look<'a>(&'a self, _ctx: &'a Ctx, target: &'a Target) -> Answer<'a, Option<Seen>> {
        Box::pin(async move {
            let (repo, at) = self.place(target)?;
            let stat = self.client().stat(&repo, &at).await?;
            Ok(stat.map(|stat| Seen { digest: stat.digest, names: Vec::new() }))
        })
    }

    fn keep<'a>(&'a self, _ctx: &'a Ctx, target: &'a Target, digest: &'a Digest, parts: bool) -> Answer<'a, Vec<KeptManifest>> {
        Box::pin(async move {
            let (repo, _) = self.place(target)?;
            self.client().keep(&repo, digest, parts).await
        })
    }

    fn put_back<'a>(
        &'a self,
        _ctx: &'a Ctx,
        target: &'a Target,
        manifests: &'a [KeptManifest],
        before: Option<&'a Digest>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let (repo, at) = self.place(target)?;
            self.client().put_back(&repo, &at, manifests, before).await
        })
    }

    fn missing<'a>(&'a self, _ctx: &'a Ctx, target: &'a Target, manifests: &'a [KeptManifest]) -> Answer<'a, Option<Safe>> {
        Box::pin(async move {
            let (repo, _) = self.place(target)?;
            self.client().missing(&repo, manifests).await
        })
    }

    fn back_up<'a>(&'a self, ctx: &'a Ctx, target: &'a Target, digest: &'a Digest, file: &'a Path) -> Answer<'a, ()> {
        Box::pin(async move {
            let (repo, _) = self.place(target)?;
            let from = CopyFrom::Registry(Name::new(&format!("{}@{digest}", repo.full())));
            self.client().save(ctx, &from, file, None, &[]).await.map(drop)
        })
    }

    fn bring_back<'a>(
        &'a self,
        ctx: &'a Ctx,
        target: &'a Target,
        digest: &'a Digest,
        file: &'a Path,
        before: Option<&'a Digest>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let (repo, at) = self.place(target)?;
            self.client().bring_back(ctx, &repo, &at, digest, file, before).await
        })
    }

    fn at_once(&self) -> usize {
        let hosts = &self.client().settings().hosts;
        hosts.get(self.host()).map_or_else(|| HostSettings::default().requests, |host| host.requests).max(1)
    }

    fn prunable<'a>(&'a self, _ctx: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async { self.no("prune") })
    }

    fn pull<'a>(&'a self, _ctx: &'a Ctx, _reference: &'a Reference, _platform: Option<&'a Platform>) -> Answer<'a, Transfer> {
        Box::pin(async { self.no("pull into") })
    }

    fn push<'a>(&'a self, _ctx: &'a Ctx, _reference: &'a Reference, _expected: &'a Digest) -> Answer<'a, Transfer> {
        Box::pin(async { self.no("push out of") })
    }

    fn preview_import<'a>(&'a self, _ctx: &'a Ctx, _file: &'a Path) -> Answer<'a, ImportPreview> {
        Box::pin(async { self.no("import into") })
    }

    fn import<'a>(&'a self, _ctx: &'a Ctx, _file: &'a Path, _moves: &'a [(Name, Digest)]) -> Answer<'a, Transfer> {
        Box::pin(async { self.no("import into") })
    }
}
