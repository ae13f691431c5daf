//! What policies ask beyond the details of a tag: the labels of its image, and what it is about. Nothing is asked for again that was read for
//! the details.

use std::collections::{BTreeMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Client, Repo, pick};
use crate::model::{Digest, Foreign, Platform, Problem, ProblemKind, RemoteKind, TagDetails};
use crate::source::LabelsAnswer;
use crate::source::oci::{ImageManifest, Index, Manifest};

impl Client {
    /// What a manifest is about, of a signature or another referrer that has a tag of its own.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn subject(&self, repo: &Repo, details: &TagDetails) -> Result<Option<Digest>, Problem> {
        if !matches!(details.kind, RemoteKind::Artifact | RemoteKind::Index) {
            return Ok(None);
        }
        let inner = &*self.0;
        let _turn = inner.turn(repo.host()).await;
        let manifest = inner.known_manifest(repo, &details.digest, details.media_type.raw()).await?;
        let (Manifest::Image(ImageManifest { subject, .. }) | Manifest::Index(Index { subject, .. })) = manifest;
        Ok(subject.map(|subject| subject.digest))
    }

    /// The labels of several images, each digest once.
    ///
    /// # Errors
    /// A registry that stops answering or refuses: what was handed over stays good.
    pub async fn labels_of(&self, repo: &Repo, details: &[TagDetails], each: &mut (dyn FnMut(LabelsAnswer) + Send)) -> Result<(), Problem> {
        let mut seen = HashSet::new();
        let wanted: Vec<TagDetails> = details.iter().filter(|details| seen.insert(&details.digest)).cloned().collect();
        let asked = stream::iter(wanted).map(|details| async move {
            let answer = self.labels(repo, &details).await;
            (details.digest, answer)
        });
        let mut answers = std::pin::pin!(asked.buffer_unordered(self.0.host(repo.host()).requests));
        let mut end = Ok(());
        while let Some((digest, answer)) = answers.next().await {
            match answer {
                Err(problem) if matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Denied) => {
                    end = Err(problem);
                    break;
                }
                answer => each((digest, answer)),
            }
        }
        self.0.documents.settle().await;
        end
    }

    /// The labels of the image that `details` are of; of an index, those of the image that its date and size are of. What is no image has none.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn labels(&self, repo: &Repo, details: &TagDetails) -> Result<BTreeMap<Box<str>, Foreign>, Problem> {
        let inner = &*self.0;
        let _turn = inner.turn(repo.host()).await;
        let doing = format!("read the labels of {}:{}", repo.full(), details.tag);
        if !details.is_readable() {
            return Ok(BTreeMap::new());
        }
        let mut manifest = inner.known_manifest(repo, &details.digest, details.media_type.raw()).await?;
        if let Manifest::Index(_) = manifest {
            let runnable: Vec<_> = details.children.iter().filter(|child| child.platform.is_some()).collect();
            let one = pick(&runnable, |child| child.platform.as_ref(), &Platform::host()).or_else(|| runnable.first());
            let Some(one) = one.copied().or_else(|| details.children.first()) else { return Ok(BTreeMap::new()) };
            manifest = inner.known_manifest(repo, &one.digest, one.media_type.raw()).await?;
        }
        match manifest {
            Manifest::Image(image) if image.is_image() => {
                let config = inner.config(repo, &image.config).await?;
                Ok(config.run.labels.into_iter().map(|(key, value)| (key.into_boxed_str(), value)).collect())
            }
            Manifest::Image(_) => Ok(BTreeMap::new()),
            Manifest::Index(_) => Err(Problem::new(ProblemKind::Unsupported, doing, "its index leads to another index")),
        }
    }
}
