//! What a tag points at, with as few requests as there can be: a HEAD for each tag; the manifest and, where it says what is wanted, the
//! configuration once for each digest, however many tags share it; and none of these when they were read before, in this run or another.
//!
//! Eight requests at a time go to one host, whoever asks (see [`HostSettings::requests`](super::HostSettings::requests)).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;

use super::errors::Refusal;
use super::http::Ask;
use super::manifests::pull_scope;
use super::source::is_runnable;
use super::{Client, Inner, RemoteManifest, Repo, Stat, body, pick};
use crate::model::{Digest, Foreign, Platform, Problem, ProblemKind, RemoteChild, RemoteKind, TagDetails};
use crate::source::TagAnswer;
use crate::source::content::Descriptor;
use crate::source::oci::{self, ImageManifest, Index, LARGEST, Manifest, media};

/// Digests whose facts are kept in memory.
const MOST_FACTS: usize = 50_000;
const CREATED: &str = "org.opencontainers.image.created";
/// Where an attestation of an index says what it is about.
const ABOUT: &str = "vnd.docker.reference.digest";

/// What is the same for every tag at one digest.
#[derive(Debug, Clone)]
struct Facts {
    media_type: Foreign,
    kind: RemoteKind,
    artifact_type: Option<Foreign>,
    size: Option<u64>,
    created: Option<Timestamp>,
    platforms: Vec<Platform>,
    children: Vec<RemoteChild>,
    subject: Option<Digest>,
    gap: Option<Problem>,
}

/// Facts by digest; whoever comes second waits for the first instead of asking too.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Digest, Slot>>);

type Slot = Arc<tokio::sync::Mutex<Option<Facts>>>;

impl Known {
    fn slot(&self, digest: &Digest) -> Slot {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_FACTS && !all.contains_key(digest) {
            all.clear();
        }
        Arc::clone(all.entry(digest.clone()).or_default())
    }
}

impl Client {
    /// What each of `tags` points at, in the order the answers come. A tag that is gone or can't be understood has a problem of its own.
    ///
    /// # Errors
    /// A registry that stops answering or refuses: what was handed over stays good.
    pub async fn details(&self, repo: &Repo, tags: &[String], each: &mut (dyn FnMut(TagAnswer) + Send)) -> Result<(), Problem> {
        let at_once = self.0.host(repo.host()).requests;
        let asked = stream::iter(tags.iter().cloned()).map(|tag| async move {
            let answer = self.detail(repo, &tag).await;
            (tag, answer)
        });
        let mut answers = std::pin::pin!(asked.buffer_unordered(at_once));
        let mut end = Ok(());
        while let Some((tag, answer)) = answers.next().await {
            match answer {
                Err(problem) if matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Denied) => {
                    end = Err(problem);
                    break;
                }
                answer => each((tag, answer)),
            }
        }
        self.0.documents.settle().await;
        end
    }

    /// What one tag points at.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn detail(&self, repo: &Repo, tag: &str) -> Result<TagDetails, Problem> {
        let inner = &*self.0;
        let _turn = inner.turn(repo.host()).await;
        let Some((stat, read)) = inner.look(repo, tag).await? else {
            let doing = format!("read the manifest of {}:{tag}", repo.full());
            return Err(Problem::new(ProblemKind::NotFound, doing, "the tag is not there"));
        };
        let slot = inner.known.slot(&stat.digest);
        let mut held = slot.lock().await;
        let facts = if let Some(facts) = &*held {
            facts.clone()
        } else {
            let facts = inner.facts(repo, tag, &stat, read).await?;
            // What was not whole may be whole the next time.
            if facts.gap.is_none() {
                *held = Some(facts.clone());
            }
            facts
        };
        drop(held);
        Ok(TagDetails {
            tag: tag.to_owned(),
            signed: inner.signed(repo, &stat.digest),
            digest: stat.digest,
            media_type: facts.media_type,
            kind: facts.kind,
            artifact_type: facts.artifact_type,
            size: facts.size,
            created: facts.created,
            platforms: facts.platforms,
            children: facts.children,
            subject: facts.subject,
            gap: facts.gap,
        })
    }
}

impl Inner {
    async fn facts(&self, repo: &Repo, tag: &str, stat: &Stat, read: Option<RemoteManifest>) -> Result<Facts, Problem> {
        let media_type = Foreign::new(&stat.media_type);
        if media::is_schema1(&stat.media_type) {
            return Ok(Facts { media_type, ..Facts::of(RemoteKind::Schema1) });
        }
        let manifest = match read {
            Some(read) => {
                self.documents.put(&read.digest, &read.bytes);
                read.manifest
            }
            None => match self.known_manifest(repo, &stat.digest, &stat.media_type).await {
                Err(problem) if problem.kind == ProblemKind::NotFound => self.moved(repo, tag, stat).await?,
                manifest => manifest?,
            },
        };
        match manifest {
            Manifest::Image(image) => Ok(self.image_facts(repo, media_type, &image).await),
            Manifest::Index(index) => Ok(self.index_facts(repo, media_type, &index).await),
        }
    }

    /// The digest that a HEAD told can't be had: the registry's word was wrong, or the tag moved meanwhile.
    async fn moved(&self, repo: &Repo, tag: &str, stat: &Stat) -> Result<Manifest, Problem> {
        let read = self.manifest(repo, tag).await?;
        if read.digest == stat.digest {
            return Ok(read.manifest);
        }
        let doing = format!("read the manifest of {}:{tag}", repo.full());
        let cause = format!("{} names {} for it, but sends {}", repo.host(), stat.digest, read.digest);
        Err(Problem::new(ProblemKind::Corrupt, doing, cause).hint("look again: the tag may have moved meanwhile"))
    }

    async fn image_facts(&self, repo: &Repo, media_type: Foreign, image: &ImageManifest) -> Facts {
        let annotated = image.annotations.get(CREATED).and_then(|text| text.raw().parse().ok());
        let size = image.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        if !image.is_image() {
            let kind = image.artifact_type.as_deref().unwrap_or(&image.config.media_type);
            let artifact_type = Some(Foreign::new(kind)).filter(|kind| !kind.is_empty());
            let subject = image.subject.as_ref().map(|subject| subject.digest.clone());
            return Facts { media_type, artifact_type, size: Some(size), created: annotated, subject, ..Facts::of(RemoteKind::Artifact) };
        }
        let facts = Facts { media_type, size: Some(size), created: annotated, ..Facts::of(RemoteKind::Image) };
        match self.config(repo, &image.config).await {
            Ok(config) => Facts { created: config.created.or(annotated), platforms: config.platform.into_iter().collect(), ..facts },
            Err(problem) => Facts { gap: Some(problem), ..facts },
        }
    }

    async fn index_facts(&self, repo: &Repo, media_type: Foreign, index: &Index) -> Facts {
        let annotated = index.annotations.get(CREATED).and_then(|text| text.raw().parse().ok());
        let runnable: Vec<&Descriptor> = index.manifests.iter().filter(|child| is_runnable(child)).collect();
        let mut facts = Facts {
            media_type,
            artifact_type: index.artifact_type.as_deref().map(Foreign::new),
            created: annotated,
            platforms: runnable.iter().filter_map(|child| child.platform.clone()).collect(),
            children: index.manifests.iter().map(child).collect(),
            subject: index.subject.as_ref().map(|subject| subject.digest.clone()),
            ..Facts::of(RemoteKind::Index)
        };
        let one = pick(&runnable, |child| child.platform.as_ref(), &Platform::host()).or_else(|| runnable.first());
        let Some(one) = one else { return facts };
        match self.known_manifest(repo, &one.digest, &one.media_type).await {
            Ok(Manifest::Image(image)) => {
                let of = self.image_facts(repo, Foreign::default(), &image).await;
                facts.size = of.size;
                facts.created = of.created.or(annotated);
                facts.gap = of.gap;
                if facts.platforms.is_empty() {
                    facts.platforms = of.platforms;
                }
            }
            Ok(Manifest::Index(_)) => {
                let doing = format!("read the index in {}", repo.full());
                facts.gap = Some(Problem::new(ProblemKind::Unsupported, doing, "it leads to another index"));
            }
            Err(problem) => facts.gap = Some(problem),
        }
        facts
    }

    /// A manifest by its digest, from the cache where it was read before.
    pub(super) async fn known_manifest(&self, repo: &Repo, digest: &Digest, media_type: &str) -> Result<Manifest, Problem> {
        let Some(bytes) = self.documents.get(digest).await else {
            let read = self.manifest(repo, digest.as_str()).await?;
            self.documents.put(digest, &read.bytes);
            return Ok(read.manifest);
        };
        let doing = format!("read the manifest {} of {}", digest.short(), repo.full());
        oci::parse_manifest(&bytes, Some(media_type)).map_err(|malformed| malformed.problem(&doing))
    }

    /// A configuration, from the cache where it was read before.
    pub(super) async fn config(&self, repo: &Repo, blob: &Descriptor) -> Result<oci::Config, Problem> {
        let doing = format!("read the configuration {} of {}", blob.digest.short(), repo.full());
        let bytes = if let Some(bytes) = self.documents.get(&blob.digest).await {
            bytes
        } else {
            let bytes = self.document(repo, blob, &doing).await?;
            self.documents.put(&blob.digest, &bytes);
            bytes
        };
        oci::parse_config(&bytes).map_err(|malformed| malformed.problem(&doing))
    }

    /// A small blob whole, verified. It is asked for again from its beginning when the connection breaks.
    pub(super) async fn document(&self, repo: &Repo, blob: &Descriptor, doing: &str) -> Result<Bytes, Problem> {
        if blob.size > LARGEST {
            return Err(Problem::new(ProblemKind::Limit, doing, format!("it is said to have {} bytes; at most 4 MiB are read", blob.size)));
        }
        let size = usize::try_from(blob.size).unwrap_or(usize::MAX);
        let ask = Ask {
            host: repo.host(),
            method: Method::GET,
            url: self.url(repo, &format!("blobs/{}", blob.digest))?,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scope: pull_scope(repo),
            doing: doing.to_owned(),
            mirrored: true,
        };
        let mut tried = 1;
        let bytes = loop {
            let reply = self.send(&ask).await?;
            if reply.status() != StatusCode::OK {
                return Err(Refusal::read(reply, self.timers()).await.problem(doing, repo.host()));
            }
            match body::whole(reply, size, self.timers()).await {
                Ok(bytes) => break bytes,
                Err(body::Broken::TooLong) => {
                    let cause = format!("{} sends more than the {size} bytes its manifest says", repo.host());
                    return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
                }
                Err(broken) => {
                    let problem = Problem::new(ProblemKind::Unreachable, doing, broken.words(self.timers()));
                    self.pause(repo.host(), &mut tried, problem, None).await?;
                }
            }
        };
        let mut hasher = blob.digest.hasher();
        hasher.update(&bytes);
        let found = hasher.finish();
        if bytes.len() != size || found != blob.digest {
            let cause = format!("{} sent {} bytes of digest {found}", repo.host(), bytes.len());
            return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
        }
        Ok(bytes)
    }
}

impl Facts {
    fn of(kind: RemoteKind) -> Self {
        Self {
            media_type: Foreign::default(),
            kind,
            artifact_type: None,
            size: None,
            created: None,
            platforms: Vec::new(),
            children: Vec::new(),
            subject: None,
            gap: None,
        }
    }
}

fn child(child: &Descriptor) -> RemoteChild {
    RemoteChild {
        digest: child.digest.clone(),
        media_type: Foreign::new(&child.media_type),
        size: child.size,
        platform: child.platform.clone().filter(|_| is_runnable(child)),
        about: child.annotations.get(ABOUT).and_then(|about| about.raw().parse().ok()),
    }
}
