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
        let referrers = self.referrers(repo, digest, None).await?;
        let completeness = match (&resolved.completeness, referrers.completeness) {
            (Completeness::Complete, other) => other,
            (incomplete, _) => incomplete.clone(),
        };
        Ok(Survey {
            tags: resolved.at(digest).map(str::to_owned).collect(),
            parents: self.parents(repo, digest, resolved).await?,
            referrers: referrers.referrers.into_iter().map(|one| (one.digest, one.tag)).collect(),
            completeness,
        })
    }

    /// Tags whose index lists `digest`.
    async fn parents(&self, repo: &Repo, digest: &Digest, resolved: &Resolved) -> Result<Vec<String>, Problem> {
        let indexes: BTreeSet<(&Digest, &str)> = resolved
            .tags
            .values()
            .filter(|stat| media::is_index(&stat.media_type) && stat.digest != *digest)
            .map(|stat| (&stat.digest, stat.media_type.as_str()))
            .collect();
        let mut parents = Vec::new();
        for (index, media_type) in indexes {
            match self.0.known_manifest(repo, index, media_type).await {
                Ok(Manifest::Index(found)) if found.manifests.iter().any(|child| child.digest == *digest) => {
                    parents.extend(resolved.at(index).map(str::to_owned));
                }
                Ok(_) => {}
                Err(problem) if problem.kind == ProblemKind::NotFound => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(parents)
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
        Ok(Resolved { tags: resolved, completeness })
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
