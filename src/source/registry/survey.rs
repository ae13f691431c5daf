//! Who needs a manifest: the tags that point at it, the indexes that list it, and what refers to it. Asked before anything is deleted by
//! digest, because that takes every tag of it along and breaks every index over it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Client, Repo, Stat};
use crate::model::{Completeness, Digest, Problem, ProblemKind, Safe, StepState, TagRow};
use crate::source::Ctx;
use crate::source::oci::{Manifest, media};

/// What hangs on one manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Tags that point at it.
    pub tags: Vec<String>,
    /// Tags of the indexes that list it.
    pub parents: Vec<String>,
    /// Manifests that refer to it: their tags where they have one, else their digests.
    pub referrers: Vec<(Digest, Option<String>)>,
    /// Whether all of the repository was seen.
    pub completeness: Completeness,
}

/// Where every tag of a repository points.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub tags: BTreeMap<String, Stat>,
    /// What the indexes among them list, by the index's digest.
    pub indexes: BTreeMap<Digest, BTreeSet<Digest>>,
    pub completeness: Completeness,
}

impl Resolved {
    /// Tags at `digest`.
    pub(super) fn at<'a>(&'a self, digest: &'a Digest) -> impl Iterator<Item = &'a str> {
        self.tags.iter().filter(move |(_, stat)| stat.digest == *digest).map(|(tag, _)| tag.as_str())
    }
}

impl Client {
    /// What hangs on `digest`.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn survey(&self, ctx: &Ctx, repo: &Repo, digest: &Digest) -> Result<Survey, Problem> {
        let resolved = self.resolve(ctx, repo).await?;
        self.survey_in(repo, digest, &resolved).await
    }

    pub(super) async fn survey_in(&self, repo: &Repo, digest: &Digest, resolved: &Resolved) -> Result<Survey, Problem> {
        let referrers = self.referrers_among(repo, digest, &resolved.tags).await?;
        let completeness = match (&resolved.completeness, referrers.completeness) {
            (Completeness::Complete, other) => other,
            (incomplete, _) => incomplete.clone(),
        };
        let parents = resolved.indexes.iter().filter(|(index, children)| *index != digest && children.contains(digest));
        Ok(Survey {
            tags: resolved.at(digest).map(str::to_owned).collect(),
            parents: parents.flat_map(|(index, _)| resolved.at(index)).map(str::to_owned).collect(),
            referrers: referrers.referrers.into_iter().map(|one| (one.digest, one.tag)).collect(),
            completeness,
        })
    }

    /// What each index among these tags lists; each is read once.
    async fn indexes(&self, repo: &Repo, tags: &BTreeMap<String, Stat>) -> Result<BTreeMap<Digest, BTreeSet<Digest>>, Problem> {
        let indexes: BTreeMap<Digest, String> = tags
            .values()
            .filter(|stat| media::is_index(&stat.media_type))
            .map(|stat| (stat.digest.clone(), stat.media_type.clone()))
            .collect();
        let asked = stream::iter(indexes).map(|(digest, media_type)| async move {
            let _turn = self.0.turn(repo.host()).await;
            let children = match self.0.known_manifest(repo, &digest, &media_type).await {
                Ok(Manifest::Index(found)) => found.manifests.into_iter().map(|child| child.digest).collect(),
                Ok(Manifest::Image(_)) => BTreeSet::new(),
                Err(problem) if problem.kind == ProblemKind::NotFound => BTreeSet::new(),
                Err(problem) => return Err(problem),
            };
            Ok((digest, children))
        });
        let mut answers = std::pin::pin!(asked.buffer_unordered(self.0.host(repo.host()).requests));
        let mut found = BTreeMap::new();
        while let Some(answer) = answers.next().await {
            found.extend([answer?]);
        }
        Ok(found)
    }

    /// Asks every tag of a repository where it points: one HEAD each.
    pub(super) async fn resolve(&self, ctx: &Ctx, repo: &Repo) -> Result<Resolved, Problem> {
        let mut rows: Vec<TagRow> = Vec::new();
        let listed = self.tags(repo, &mut |page| rows.extend(page)).await?;
        let mut completeness = listed.completeness;
        if let Some(odd) = rows.iter().find(|row| !row.fit) {
            completeness = Completeness::Incomplete(Safe::from(format!("the tag {} can't be asked for", odd.tag.safe())));
        }
        let tags: Vec<String> = rows.into_iter().filter(|row| row.fit).map(|row| row.tag.raw().to_owned()).collect();
        let step = ctx.meter.step(Safe::new("tags"), Some(tags.len() as u64));
        let resolved = self.stats(ctx, repo, tags, Some(step)).await?;
        ctx.meter.finish(step, StepState::Done);
        let indexes = self.indexes(repo, &resolved).await?;
        Ok(Resolved { tags: resolved, indexes, completeness })
    }

    /// Asks where tags of several repositories of `host` point: one HEAD each.
    ///
    /// # Errors
    /// When the registry does not answer at all.
    pub(super) async fn resolve_names(
        &self,
        host: &str,
        tags: &[(String, String)],
        each: &mut (dyn FnMut(crate::source::Resolved) + Send),
    ) -> Result<(), Problem> {
        let asked = stream::iter(tags.iter().cloned().enumerate()).map(|(at, (repository, tag))| async move {
            let repo = match Repo::at(host, &repository) {
                Ok(repo) => repo,
                Err(problem) => return (at, Err(problem)),
            };
            let _turn = self.0.turn(host).await;
            (at, self.0.digest_at(&repo, &tag).await)
        });
        let mut answers = std::pin::pin!(asked.buffer_unordered(self.0.host(host).requests));
        while let Some((at, answer)) = answers.next().await {
            match answer {
                Err(problem) if problem.kind == ProblemKind::Unreachable => return Err(problem),
                answer => each((at, answer)),
            }
        }
        Ok(())
    }

    /// Where these tags point now; those that are gone are left out.
    pub(super) async fn stats(
        &self,
        ctx: &Ctx,
        repo: &Repo,
        tags: Vec<String>,
        step: Option<usize>,
    ) -> Result<BTreeMap<String, Stat>, Problem> {
        let asked = stream::iter(tags).map(|tag| async move {
            ctx.check("look where the tags point")?;
            let _turn = self.0.turn(repo.host()).await;
            let stat = self.stat(repo, &tag).await?;
            Ok::<_, Problem>((tag, stat))
        });
        let mut answers = std::pin::pin!(asked.buffer_unordered(self.0.host(repo.host()).requests));
        let mut found = BTreeMap::new();
        while let Some(answer) = answers.next().await {
            let (tag, stat) = answer?;
            if let Some(step) = step {
                ctx.meter.add(step, 1);
            }
            found.extend(stat.map(|stat| (tag, stat)));
        }
        Ok(found)
    }
}
