//! A registry as something that can be changed: tags are moved and taken away, images are copied in. What only engines and the store
//! have (pruning, pulling, imports) it has not.

use std::path::Path;

use super::write::Put;
use super::{Client, RegistrySource, Repo};
use crate::model::{
    Copy, Digest, ImageList, ImportPreview, Kept, Name, Platform, Problem, ProblemKind, Reference, Removal, Removed, Transfer,
};
use crate::source::oci::Manifest;
use crate::source::{Answer, Ctx, Curator};

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

fn media_type(manifest: &Manifest) -> String {
    match manifest {
        Manifest::Index(index) => index.media_type.clone(),
        Manifest::Image(image) => image.media_type.clone(),
    }
}

impl RegistrySource {
    fn no<T>(&self, doing: &str) -> Result<T, Problem> {
        Err(Problem::new(ProblemKind::Unsupported, format!("{doing} {}", self.host()), "a registry can't do that"))
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
