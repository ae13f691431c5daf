//! Repositories that are looked through, and how far: of each it is said how many of its tags were looked at, and why not all.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gather::manifests;
use super::{Remote, Report};
use crate::curate::words::counted;
use crate::model::{Completeness, Digest, Found, Problem, ProblemKind, RemoteKind, Safe, Stack, TagDetails};

/// Repositories, and what was found out about them so far.
#[derive(Debug, Clone, Default)]
pub struct Search {
    repositories: Vec<Looked>,
    /// What was read of manifests: one digest is the same image in all repositories.
    read: BTreeMap<Digest, Stack>,
}

/// A repository, as far as it was looked through.
#[derive(Debug, Clone)]
pub struct Looked {
    /// With its registry's host.
    name: String,
    /// Its registry lists it, and goes on doing so when its last tag has gone.
    listed: bool,
    /// How many tags it has, and whether these are all; `None` while they were not listed.
    tags: Option<(usize, Completeness)>,
    /// What its tags point at, as far as that is known.
    details: BTreeMap<String, TagDetails>,
    /// Why the first of those points at nothing known.
    unread: Option<Safe>,
    ended: Option<Result<(), Problem>>,
    /// Questions that were asked, and those that were answered.
    asked: usize,
    told: usize,
}

/// How far a repository was looked through, in the shape of a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InRepository {
    pub name: String,
    /// Tags it has; null where they could not be listed.
    pub tags: Option<usize>,
    /// Those of them whose images were read.
    pub looked_at: usize,
    /// What keeps it from having been looked through as a whole.
    pub why: Option<String>,
}

impl InRepository {
    /// Such as "2 of 3 tags looked at: denied".
    #[must_use]
    pub fn words(&self) -> Safe {
        let why = self.why.as_ref().map_or_else(String::new, |why| format!(": {}", Safe::new(why)));
        match self.tags {
            None => Safe::from(format!("not looked at{why}")),
            Some(tags) => Safe::from(format!("{} of {} looked at{why}", self.looked_at, counted(tags, "tag"))),
        }
    }

    /// Whether all of it was looked at.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.why.is_none()
    }
}

impl Looked {
    /// A repository with its registry's host, of which nothing is known. `listed`: its registry's catalog has it.
    #[must_use]
    pub const fn new(name: String, listed: bool) -> Self {
        Self { name, listed, tags: None, details: BTreeMap::new(), unread: None, ended: None, asked: 1, told: 0 }
    }

    /// One of which the tags are known, and what some of them point at.
    #[must_use]
    pub fn known(name: String, tags: (usize, Completeness), details: BTreeMap<String, TagDetails>) -> Self {
        let images: usize = details.values().map(|details| details.images().len()).sum();
        let asked = tags.0.saturating_sub(details.len()) + images;
        Self { tags: Some(tags), details, asked, ..Self::new(name, true) }
    }

    fn take(&mut self, found: &Found) {
        match found {
            Found::Listed { tags, completeness } => {
                self.tags = Some((*tags, completeness.clone()));
                (self.asked, self.told) = (self.asked + tags, self.told + 1);
            }
            Found::Tags(told) => {
                self.told += told.len();
                for (tag, details) in told {
                    match details {
                        Ok(details) => {
                            self.asked += details.images().len();
                            self.details.insert(tag.clone(), details.clone());
                        }
                        Err(problem) => _ = self.unread.get_or_insert_with(|| problem.cause.clone()),
                    }
                }
            }
            Found::Stacks(stacks) => self.told += stacks.len(),
            Found::Ended(ended) => self.end(ended.clone()),
        }
    }

    fn end(&mut self, ended: Result<(), Problem>) {
        self.told = self.asked;
        let gone = matches!(&ended, Err(problem) if problem.kind == ProblemKind::NotFound && self.tags.is_none());
        if gone && self.listed {
            // Its last tag went, and there is nothing to look at.
            self.tags = Some((0, Completeness::Complete));
            self.ended = Some(Ok(()));
        } else {
            self.ended = Some(ended);
        }
    }

    /// Tags of which it is not known where they point.
    fn unknown(&self) -> usize {
        self.tags.as_ref().map_or(0, |(tags, _)| tags.saturating_sub(self.details.len()))
    }

    fn report(&self, read: &BTreeMap<Digest, Stack>) -> InRepository {
        let has_layers = |digest: &Digest| read.get(digest).is_some_and(|stack| stack.layers.is_ok());
        let is_looked_at = |details: &&TagDetails| match details.kind {
            RemoteKind::Image | RemoteKind::Index => details.images().iter().all(has_layers),
            // Nothing is in it that could be polluted.
            RemoteKind::Artifact => true,
            RemoteKind::Schema1 => false,
        };
        let looked_at = self.details.values().filter(is_looked_at).count();
        let tags = self.tags.as_ref().map(|(tags, _)| *tags);
        let all = tags == Some(looked_at);
        let unread = || {
            let broken = self.details.values().flat_map(TagDetails::images).find_map(|digest| read.get(&digest)?.layers.as_ref().err());
            self.unread.clone().or_else(|| broken.map(|problem| problem.cause.clone()))
        };
        let why = match (&self.ended, &self.tags) {
            (Some(Err(problem)), _) => Some(problem.cause.clone()),
            (_, Some((_, Completeness::Incomplete(why)))) => Some(Safe::from(format!("there may be more of them: {why}"))),
            (Some(Ok(())), _) if all => None,
            (None, _) if !all => Some(unread().unwrap_or_else(|| Safe::new("stopped before its end"))),
            (None, _) => None,
            (Some(Ok(())), _) => Some(unread().unwrap_or_else(|| Safe::new("the others can't be read"))),
        };
        InRepository { name: self.name.clone(), tags, looked_at, why: why.map(|why| why.to_string()) }
    }
}

impl Search {
    #[must_use]
    pub const fn new(repositories: Vec<Looked>) -> Self {
        Self { repositories, read: BTreeMap::new() }
    }

    /// Takes what was found out about the repository at a place.
    pub fn take(&mut self, at: usize, found: Found) {
        if let Some(repository) = self.repositories.get_mut(at) {
            repository.take(&found);
        }
        if let Found::Stacks(stacks) = found {
            for stack in stacks {
                // One repository may have what another has lost.
                let better = stack.layers.is_ok() || !self.read.contains_key(&stack.digest);
                if better {
                    self.read.insert(stack.digest.clone(), stack);
                }
            }
        }
    }

    /// Questions that were answered, and those that were asked so far.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        let sum = |of: fn(&Looked) -> usize| self.repositories.iter().map(of).sum::<usize>();
        (sum(|one| one.told), sum(|one| one.asked))
    }

    /// Repositories that were looked through to their end or given up, and all of them.
    #[must_use]
    pub fn ended(&self) -> (usize, usize) {
        (self.repositories.iter().filter(|one| one.ended.is_some()).count(), self.repositories.len())
    }

    /// The manifests of all repositories.
    #[must_use]
    pub fn manifests(&self) -> Vec<Remote> {
        self.repositories.iter().flat_map(|one| manifests(&one.name, one.details.values(), &self.read)).collect()
    }

    /// What tags point at, whatever repository they are in.
    pub fn tags(&self) -> impl Iterator<Item = &TagDetails> {
        self.repositories.iter().flat_map(|one| one.details.values())
    }

    /// Adds to a report how far the repositories were looked through.
    pub fn add_to(&self, report: &mut Report) {
        report.repositories = self.repositories.iter().map(|one| one.report(&self.read)).collect();
        report.not_looked_into.remote += self.repositories.iter().map(Looked::unknown).sum::<usize>();
        report.not_looked_into.repositories = report.repositories.iter().filter(|one| !one.is_whole()).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::quarantine::trace;

    fn digest(seed: &str) -> Digest {
        Digest::sha256(seed.as_bytes())
    }

    fn tag(tag: &str, seed: &str) -> (String, Result<TagDetails, Problem>) {
        let details = TagDetails {
            tag: tag.to_owned(),
            digest: digest(seed),
            media_type: "".into(),
            kind: RemoteKind::Image,
            artifact_type: None,
            size: None,
            created: None,
            platforms: vec![],
            children: vec![],
            subject: None,
            signed: None,
            gap: None,
        };
        (tag.to_owned(), Ok(details))
    }

    fn stack(seed: &str, layer: &str) -> Stack {
        Stack { digest: digest(seed), config: None, layers: Ok(vec![(Some(digest(layer)), None)]) }
    }

    fn no(kind: ProblemKind, cause: &str) -> Problem {
        Problem::new(kind, "read", cause)
    }

    fn listed(tags: usize) -> Found {
        Found::Listed { tags, completeness: Completeness::Complete }
    }

    fn report(search: &Search) -> Report {
        let mut report = trace(&digest("bad"), &[], &search.manifests());
        search.add_to(&mut report);
        report
    }

    #[test]
    fn every_repository_says_how_far_it_was_looked_through() {
        let names = ["r.io/a", "r.io/b", "r.io/denied", "r.io/empty", "r.io/typo", "r.io/late", "r.io/part"];
        let mut search = Search::new(names.iter().map(|name| Looked::new((*name).to_owned(), *name != "r.io/typo")).collect());
        assert_eq!((search.progress(), search.ended()), ((0, 7), (0, 7)));
        search.take(0, listed(1));
        search.take(0, Found::Tags(vec![tag("1", "one")]));
        assert_eq!(search.progress(), (2, 9), "the list and the tag were told, the image is next");
        search.take(0, Found::Stacks(vec![stack("one", "bad")]));
        search.take(0, Found::Ended(Ok(())));
        // The same image, which is not read twice, and one that is gone.
        search.take(1, listed(3));
        let gone = no(ProblemKind::NotFound, "gone");
        search.take(1, Found::Tags(vec![tag("1", "one"), tag("2", "two"), ("3".to_owned(), Err(gone.clone()))]));
        search.take(1, Found::Stacks(vec![Stack { digest: digest("two"), config: None, layers: Err(gone.clone()) }]));
        search.take(1, Found::Ended(Ok(())));
        search.take(2, Found::Ended(Err(no(ProblemKind::Denied, "denied"))));
        search.take(3, Found::Ended(Err(gone.clone())));
        search.take(4, Found::Ended(Err(gone)));
        search.take(6, Found::Listed { tags: 0, completeness: Completeness::Incomplete(Safe::new("cut off")) });
        search.take(6, Found::Ended(Ok(())));
        search.take(99, listed(1));
        let report = report(&search);
        let words: Vec<String> = report.repositories.iter().map(|one| format!("{} {}", one.name, one.words())).collect();
        let expected = [
            "r.io/a 1 of 1 tag looked at",
            "r.io/b 1 of 3 tags looked at: gone",
            "r.io/denied not looked at: denied",
            "r.io/empty 0 of 0 tags looked at",
            "r.io/typo not looked at: gone",
            "r.io/late not looked at: stopped before its end",
            "r.io/part 0 of 0 tags looked at: there may be more of them: cut off",
        ];
        assert_eq!(words, expected);
        let found: Vec<&str> = report.remote.iter().map(|hit| hit.name.raw()).collect();
        assert_eq!(found, ["r.io/a:1", "r.io/b:1"], "one image in two repositories is found in both");
        assert_eq!((report.not_looked_into.remote, report.not_looked_into.repositories), (2, 5));
        assert_eq!(search.ended(), (6, 7));
        let (told, asked) = search.progress();
        assert_eq!(asked - told, 1, "only the one that was never begun is still to be asked");
    }

    #[test]
    fn what_is_known_of_a_repository_is_not_asked_again() {
        let details: BTreeMap<String, TagDetails> = [tag("1", "one")].into_iter().map(|(tag, details)| (tag, details.unwrap())).collect();
        let mut search = Search::new(vec![Looked::known("r.io/a".to_owned(), (2, Completeness::Complete), details)]);
        assert_eq!(search.progress(), (0, 2), "a tag, and the image of the other");
        assert_eq!(search.tags().count(), 1);
        search.take(0, Found::Stacks(vec![stack("one", "x")]));
        let report = report(&search);
        assert_eq!(report.repositories[0].words().as_str(), "1 of 2 tags looked at: stopped before its end");
        assert_eq!(serde_json::to_value(&report).unwrap()["repositories"][0]["looked_at"], 1);
        // What another repository has is not lost by one that has not.
        let broken = Stack { layers: Err(no(ProblemKind::Corrupt, "broken")), ..stack("one", "x") };
        search.take(0, Found::Stacks(vec![broken]));
        assert_eq!(self::report(&search).repositories[0].looked_at, 1);
    }
}
