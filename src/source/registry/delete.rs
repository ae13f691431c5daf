//! Deleting tags and manifests. What registries do with a DELETE differs: by tag, some take the tag alone and some refuse; by digest, all
//! take every tag of the manifest along. So the tag is tried first; where that is refused, every tag of the repository is asked where it
//! points, and the manifest goes only when each of its tags was named, no index lists it and nothing refers to it. Or, when asked for, the
//! tag is first pointed at an empty manifest of its own, its stand-in, which is then deleted. What the stand-in is follows from the tag and
//! what it was at, so that it is known again when the process was killed between the two.
//!
//! Before and after each step the registry is read again. Blobs are never deleted.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, Method};
use serde_json::json;

use super::survey::{Resolved, Survey};
use super::write::{Put, Tried, moved};
use super::{Client, Inner, Repo, target};
use crate::model::{Completeness, Digest, Kept, Name, Problem, ProblemKind, Removal, Removed, Why};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::oci::media;
use crate::source::registry::upload::Small;

/// One tag or manifest that is to go.
#[derive(Debug, Clone)]
struct Item {
    reference: String,
    repo: Repo,
    /// A tag or a digest.
    target: String,
    expected: Digest,
}

impl Item {
    fn is_tag(&self) -> bool {
        self.target.parse::<Digest>().is_err()
    }

    /// Why it must be left alone where it is at `now`, if it must.
    fn moved(&self, now: Option<Digest>) -> Option<Why> {
        match now {
            None => Some(Why::Gone),
            Some(now) if now != self.expected => Some(format!("meanwhile it points at {}", now.short()).into()),
            Some(_) => None,
        }
    }

    fn removed(&self) -> Removed {
        Removed { reference: self.reference.clone(), digest: self.expected.clone() }
    }

    fn kept(&self, why: impl Into<Why>) -> Kept {
        Kept { reference: self.reference.clone(), digest: self.expected.clone(), why: why.into() }
    }
}

/// What came of the whole.
#[derive(Debug, Default)]
struct Sum {
    removed: Vec<Removed>,
    kept: Vec<Kept>,
}

/// How taking one tag away by its name ended.
enum Untagged {
    Done,
    Kept(Why),
    /// The registry deletes manifests only.
    Unable,
}

impl Client {
    /// Deletes `items`, each a tag or a manifest as it was seen. What moved, is needed or is refused is kept, with the reason.
    ///
    /// # Errors
    /// When nothing could be tried at all: the registry does not answer.
    pub async fn remove(&self, ctx: &Ctx, items: &[Removal]) -> Result<(Vec<Removed>, Vec<Kept>), Problem> {
        let mut sum = Sum::default();
        let mut by_repo: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in items {
            match parsed(item) {
                Ok(item) => by_repo.entry(item.repo.full()).or_default().push(item),
                Err(kept) => sum.kept.push(kept),
            }
        }
        for items in by_repo.into_values() {
            let batch = Batch { client: self, ctx, items: &items };
            match batch.run(&mut sum).await {
                Err(problem) if sum.removed.is_empty() && sum.kept.is_empty() => return Err(problem),
                Err(problem) => {
                    let done: BTreeSet<String> =
                        sum.removed.iter().map(|one| &one.reference).chain(sum.kept.iter().map(|one| &one.reference)).cloned().collect();
                    let left = items.iter().filter(|item| !done.contains(&item.reference));
                    sum.kept.extend(left.map(|item| item.kept(problem.cause.to_string())));
                }
                Ok(()) => {}
            }
        }
        Ok((sum.removed, sum.kept))
    }

    /// Takes tags alone away by way of an empty manifest, each tag as it was seen.
    ///
    /// # Errors
    /// When nothing could be tried at all.
    pub async fn untag(&self, ctx: &Ctx, items: &[(Name, Digest)]) -> Result<(Vec<Removed>, Vec<Kept>), Problem> {
        let mut sum = Sum::default();
        for (name, expected) in items {
            match parsed(&Removal::Tag { name: name.clone(), expected: expected.clone() }) {
                Ok(item) if ctx.cancel.is_cancelled() => sum.kept.push(item.kept(Why::NotTried)),
                Ok(item) if item.is_tag() => match self.untag_one(ctx, &item).await {
                    Ok(None) => sum.removed.push(item.removed()),
                    Ok(Some(why)) => sum.kept.push(item.kept(why)),
                    Err(problem) if problem.kind == ProblemKind::Unreachable && sum.removed.is_empty() && sum.kept.is_empty() => {
                        return Err(problem);
                    }
                    Err(problem) => sum.kept.push(item.kept(problem.cause.to_string())),
                },
                Ok(item) => sum.kept.push(item.kept("that is a manifest and not a tag")),
                Err(kept) => sum.kept.push(kept),
            }
        }
        Ok((sum.removed, sum.kept))
    }

    /// The reason when it was kept.
    async fn untag_one(&self, ctx: &Ctx, item: &Item) -> Result<Option<Why>, Problem> {
        let inner = &*self.0;
        let repo = &item.repo;
        let (config, manifest) = stand_in(item);
        let digest = Digest::sha256(&manifest);
        let now = inner.digest_at(repo, &item.target).await?;
        // Where an earlier try was cut short, the tag is on its stand-in already.
        if now.as_ref() != Some(&digest) {
            if let Some(why) = item.moved(now) {
                return Ok(Some(why));
            }
            // A registry that deletes tags needs no detour.
            match inner.delete_tag(item).await? {
                Untagged::Done => return Ok(None),
                Untagged::Kept(why) => return Ok(Some(why)),
                Untagged::Unable => {}
            }
        }
        // To be put back when the registry deletes nothing at all.
        let original = inner.manifest(repo, item.expected.as_str()).await?;
        let step = ctx.meter.step("empty manifest".into(), None);
        let blob = Descriptor {
            media_type: media::OCI_CONFIG.to_owned(),
            digest: Digest::sha256(&config),
            size: config.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        };
        self.push_blob(ctx, repo, &blob, std::sync::Arc::new(Small(config)), None, step).await?;
        let before = Some(&item.expected);
        let put = Put { repo, tag: &item.target, media_type: media::OCI_MANIFEST, bytes: &manifest, digest: &digest, before };
        inner.put_tag(&put).await?;
        let why = match inner.delete_manifest(repo, &digest).await {
            Ok(None) => match inner.digest_at(repo, &item.target).await? {
                None => return Ok(None),
                Some(now) if now == digest => format!("{} still has the tag after its manifest was deleted", repo.host()),
                Some(now) => return Ok(Some(moved("", &item.target, Some(&now)).cause.to_string().into())),
            },
            Ok(Some(why)) => why,
            Err(problem) => problem.cause.to_string(),
        };
        let (media_type, bytes) = (original.media_type.as_str(), &original.bytes);
        let back = Put { repo, tag: &item.target, media_type, bytes, digest: &item.expected, before: Some(&digest) };
        inner.put_tag(&back).await?;
        Ok(Some(format!("{why}; the tag was put back").into()))
    }
}

fn parsed(item: &Removal) -> Result<Item, Kept> {
    match item {
        Removal::Tag { name, expected } => {
            let keep = |why: String| Kept { reference: name.raw().to_owned(), digest: expected.clone(), why: why.into() };
            let reference = name.reference().map_err(|problem| keep(problem.cause.to_string()))?;
            let repo = Repo::of(&reference).map_err(|problem| keep(problem.cause.to_string()))?;
            let target = target(&reference).to_owned();
            Ok(Item { reference: name.raw().to_owned(), repo, target, expected: expected.clone() })
        }
        Removal::Untagged { id } => {
            let why = "a manifest of a registry is named by its repository: HOST/REPOSITORY@DIGEST".to_owned();
            Err(Kept { reference: id.to_string(), digest: id.clone(), why: why.into() })
        }
    }
}

/// The digest of what a tag of a registry is at in the middle of being taken away from `expected`; `None` for what is no tag.
#[must_use]
pub fn stand_in_digest(name: &Name, expected: &Digest) -> Option<Digest> {
    let item = parsed(&Removal::Tag { name: name.clone(), expected: expected.clone() }).ok()?;
    item.is_tag().then(|| Digest::sha256(&stand_in(&item).1))
}

/// A configuration and a manifest over it that no other tag can be at, the same each time.
fn stand_in(item: &Item) -> (Vec<u8>, Bytes) {
    let of = format!("{}:{}@{}", item.repo.full(), item.target, item.expected);
    let config = json!({
        "architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Labels": {"lighterman.untag": Digest::sha256(of.as_bytes()).hex()}}
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "layers": [],
        "config": {"mediaType": media::OCI_CONFIG, "digest": Digest::sha256(&config), "size": config.len()}
    });
    (config, manifest.to_string().into())
}

impl Inner {
    /// Reads the target again: why it must be left alone, if it must.
    async fn changed(&self, item: &Item) -> Result<Option<Why>, Problem> {
        Ok(item.moved(self.digest_at(&item.repo, &item.target).await?))
    }

    fn deletes_tags(&self, repo: &Repo) -> Option<bool> {
        self.tag_deletes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(repo).copied()
    }

    fn note_tag_deletes(&self, repo: &Repo, able: bool) {
        self.tag_deletes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(repo.clone(), able);
    }

    /// Deletes by tag, and looks whether it is gone.
    async fn delete_tag(&self, item: &Item) -> Result<Untagged, Problem> {
        if self.deletes_tags(&item.repo) == Some(false) {
            return Ok(Untagged::Unable);
        }
        let doing = format!("delete {}", item.reference);
        let mut tried = 1;
        loop {
            let scope = vec![format!("repository:{}:pull,delete", item.repo.name())];
            let ask = self.write(&item.repo, Method::DELETE, &item.target, HeaderMap::new(), Bytes::new(), scope, &doing)?;
            let answer = self.once(&ask).await?;
            // Whatever was answered: what is there now decides.
            let now = self.digest_at(&item.repo, &item.target).await?;
            if now.is_none() {
                return Ok(Untagged::Done);
            }
            if now.as_ref() != Some(&item.expected) {
                return Ok(Untagged::Kept(moved(&doing, &item.target, now.as_ref()).cause.to_string().into()));
            }
            match answer {
                Tried::Done => {
                    return Ok(Untagged::Kept(format!("{} says that it is deleted, but still serves it", item.repo.host()).into()));
                }
                Tried::Refused(refusal) => {
                    let unable = matches!(refusal.status.as_u16(), 400 | 404 | 405 | 501) || refusal.has("UNSUPPORTED");
                    if unable {
                        self.note_tag_deletes(&item.repo, false);
                        return Ok(Untagged::Unable);
                    }
                    return Ok(Untagged::Kept(refusal.problem(&doing, item.repo.host()).cause.to_string().into()));
                }
                Tried::Unknown(problem, wait) => self.pause(item.repo.host(), &mut tried, problem, wait).await?,
            }
        }
    }

    /// Deletes by digest, and looks whether it is gone; the reason when it is not.
    async fn delete_manifest(&self, repo: &Repo, digest: &Digest) -> Result<Option<String>, Problem> {
        let doing = format!("delete {}@{digest}", repo.full());
        let mut tried = 1;
        loop {
            let scope = vec![format!("repository:{}:pull,delete", repo.name())];
            let ask = self.write(repo, Method::DELETE, digest.as_str(), HeaderMap::new(), Bytes::new(), scope, &doing)?;
            let answer = self.once(&ask).await?;
            if self.digest_at(repo, digest.as_str()).await?.is_none() {
                return Ok(None);
            }
            match answer {
                Tried::Done => return Ok(Some(format!("{} says that it is deleted, but still serves it", repo.host()))),
                Tried::Refused(refusal) if matches!(refusal.status.as_u16(), 405 | 501) || refusal.has("UNSUPPORTED") => {
                    return Ok(Some(format!("{} does not allow deleting", repo.host())));
                }
                Tried::Refused(refusal) => return Ok(Some(refusal.problem(&doing, repo.host()).cause.to_string())),
                Tried::Unknown(problem, wait) => self.pause(repo.host(), &mut tried, problem, wait).await?,
            }
        }
    }
}

/// The items of one repository.
struct Batch<'a> {
    client: &'a Client,
    ctx: &'a Ctx,
    items: &'a [Item],
}

impl Batch<'_> {
    async fn run(&self, sum: &mut Sum) -> Result<(), Problem> {
        let mut whole: BTreeMap<Digest, Vec<&Item>> = BTreeMap::new();
        // The first one finds out what the registry can do.
        let (first, rest) = self.items.split_at(1.min(self.items.len()));
        let at_once = self.client.0.host(first.first().map_or("", |item| item.repo.host())).requests;
        let tried = stream::iter(first.iter()).then(|item| self.by_tag(item));
        let tried = tried.chain(stream::iter(rest.iter().map(|item| self.by_tag(item)).collect::<Vec<_>>()).buffered(at_once));
        let mut tried = std::pin::pin!(tried);
        while let Some((item, end)) = tried.next().await {
            match end? {
                Untagged::Done => sum.removed.push(item.removed()),
                Untagged::Kept(why) => sum.kept.push(item.kept(why)),
                Untagged::Unable => whole.entry(item.expected.clone()).or_default().push(item),
            }
        }
        if whole.is_empty() {
            return Ok(());
        }
        let Some(first) = self.items.first() else { return Ok(()) };
        self.ctx.meter.phase("looking where every tag points");
        let resolved = self.client.resolve(self.ctx, &first.repo).await?;
        // Referrers and indexes first, so that what they need can go after them.
        let mut order: Vec<(Digest, Vec<&Item>)> = whole.into_iter().collect();
        let is_index = |digest: &Digest| resolved.tags.values().any(|stat| stat.digest == *digest && media::is_index(&stat.media_type));
        order.sort_by_key(|(digest, _)| !is_index(digest));
        self.ctx.meter.phase("deleting");
        let mut gone = BTreeSet::new();
        for (digest, items) in order {
            let why = if self.ctx.cancel.is_cancelled() {
                Some(Why::NotTried)
            } else {
                self.whole(&digest, &items, &resolved, &mut gone).await?.map(Why::from)
            };
            match why {
                None => sum.removed.extend(items.iter().map(|item| item.removed())),
                Some(why) => sum.kept.extend(items.iter().map(|item| item.kept(why.clone()))),
            }
        }
        Ok(())
    }

    /// Takes one item away by its tag.
    async fn by_tag<'i>(&self, item: &'i Item) -> (&'i Item, Result<Untagged, Problem>) {
        if self.ctx.cancel.is_cancelled() {
            return (item, Ok(Untagged::Kept(Why::NotTried)));
        }
        let inner = &*self.client.0;
        let _turn = inner.turn(item.repo.host()).await;
        let end = match inner.changed(item).await {
            Ok(Some(why)) => Ok(Untagged::Kept(why)),
            Ok(None) if item.is_tag() => inner.delete_tag(item).await,
            Ok(None) => Ok(Untagged::Unable),
            Err(problem) => Err(problem),
        };
        (item, end)
    }

    /// Deletes a manifest with all its tags; the reason when it was kept.
    async fn whole(
        &self,
        digest: &Digest,
        items: &[&Item],
        resolved: &Resolved,
        gone: &mut BTreeSet<Digest>,
    ) -> Result<Option<String>, Problem> {
        let Some(repo) = items.first().map(|item| &item.repo) else { return Ok(None) };
        let survey = self.client.survey_in(repo, digest, resolved).await?;
        if let Some(why) = self.needed(&survey, gone) {
            return Ok(Some(why));
        }
        // Right before: the tags that were named, and any that came meanwhile.
        let mut now = Vec::new();
        let listed = self.client.tags(repo, &mut |rows| now.extend(rows)).await?;
        let new = now.iter().filter(|row| row.fit && !resolved.tags.contains_key(row.tag.raw())).map(|row| row.tag.raw().to_owned());
        let asked: Vec<String> = new.chain(survey.tags.iter().cloned()).collect();
        let stats = self.client.stats(self.ctx, repo, asked, None).await?;
        if !listed.is_complete() {
            return Ok(Some("the list of its tags can't be proved complete any more".to_owned()));
        }
        for (tag, stat) in &stats {
            let named = self.items.iter().any(|item| item.target == *tag);
            if stat.digest == *digest && !named {
                return Ok(Some(format!("meanwhile the tag {tag} points at it too")));
            }
            if stat.digest != *digest && survey.tags.contains(tag) {
                return Ok(Some(format!("meanwhile the tag {tag} points at {}", stat.digest.short())));
            }
        }
        let why = self.client.0.delete_manifest(repo, digest).await?;
        if why.is_some() {
            return Ok(why);
        }
        gone.insert(digest.clone());
        // Some registries leave tags that lead nowhere.
        let left = self.client.stats(self.ctx, repo, survey.tags.clone(), None).await?;
        Ok(left.into_iter().find(|(_, stat)| stat.digest == *digest).map(|(tag, _)| format!("{} still serves the tag {tag}", repo.host())))
    }

    /// Why a manifest has to stay.
    fn needed(&self, survey: &Survey, gone: &BTreeSet<Digest>) -> Option<String> {
        let named = |tag: &String| self.items.iter().any(|item| item.target == *tag);
        if let Completeness::Incomplete(why) = &survey.completeness {
            return Some(format!("this registry deletes a manifest with all its tags, and which these are can't be proved: {why}"));
        }
        let others: Vec<&str> = survey.tags.iter().filter(|tag| !named(tag)).map(String::as_str).collect();
        if !others.is_empty() {
            return Some(format!("this registry deletes a manifest with all its tags, and it has others: {}", shown(&others)));
        }
        // An index that was to go and did not still needs its parts.
        let went = |tag: &String| self.items.iter().any(|item| item.target == *tag && gone.contains(&item.expected));
        let parents: Vec<&str> = survey.parents.iter().filter(|tag| !went(tag)).map(String::as_str).collect();
        if !parents.is_empty() {
            return Some(format!("it is part of the index at {}", shown(&parents)));
        }
        let known = |digest: &Digest| gone.contains(digest) || self.items.iter().any(|item| item.expected == *digest);
        let referrers: Vec<&str> = survey
            .referrers
            .iter()
            .filter(|(digest, _)| !known(digest))
            .map(|(digest, tag)| tag.as_deref().unwrap_or(digest.as_str()))
            .collect();
        (!referrers.is_empty()).then(|| format!("signatures or other things refer to it: {}", shown(&referrers)))
    }
}

fn shown(names: &[&str]) -> String {
    let more = names.len().saturating_sub(8);
    let named = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_has_a_stand_in_of_its_own_and_always_the_same() {
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        let of = |name: &str, digest: &Digest| stand_in_digest(&Name::new(name), digest);
        let all = [of("h.example/a:x", &one), of("h.example/a:y", &one), of("h.example/b:x", &one), of("h.example/a:x", &two)];
        assert_eq!(all.iter().flatten().collect::<BTreeSet<_>>().len(), 4);
        // What an older version left must be known again: this must not change.
        assert_eq!(all[0].as_ref().map(Digest::as_str), Some("sha256:06ff4050226e3a3764e016416955d33f2b892b853e207ab84e751e89239e8a2e"));
        assert_eq!(of(&format!("h.example/a@{one}"), &one), None);
    }
}
