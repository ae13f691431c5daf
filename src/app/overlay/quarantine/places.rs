//! Which repositories are looked through: the one that one is in, with what is known of it already, then all others of the registries that were
//! browsed in this session.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::state::State;
use crate::curate::quarantine::{Looked, Search};
use crate::flow::job::InRepository;
use crate::model::{Completeness, Digest, Safe, SourceId, TagDetails};

/// What is looked through, in one order.
pub(super) struct Places {
    /// Registry and repository, the one that one is in first.
    pub(super) all: Vec<(SourceId, String)>,
    pub(super) search: Search,
    pub(super) wanted: Vec<InRepository>,
    /// Registries of which not all repositories are known, in words.
    pub(super) dark: Vec<Safe>,
}

impl Places {
    pub(super) fn new(state: &State) -> Self {
        let (mut all, mut looked, mut wanted, mut dark) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut add = |place: (SourceId, String), known: Looked, ask: InRepository| {
            all.push(place);
            looked.push(known);
            wanted.push(ask);
        };
        let current = current(state);
        let here = current.as_ref().map(|(place, ..)| place.clone());
        if let Some((place, known, ask)) = current {
            add(place, known, ask);
        }
        let browsed = state.registries.browsed();
        for host in &browsed {
            let name = host.source.registry_host().unwrap_or_default();
            if let Some(why) = &host.gap {
                dark.push(Safe::from(format!("{}: not all its repositories are known: {why}", Safe::new(name))));
            }
            for (repository, listed) in &host.repositories {
                let place = (host.source.clone(), repository.clone());
                if here.as_ref() != Some(&place) {
                    let known = Looked::new(format!("{name}/{repository}"), *listed);
                    let ask = InRepository { source: host.source.clone(), repository: repository.clone(), tags: None, digests: Vec::new() };
                    add(place, known, ask);
                }
            }
        }
        let entered: BTreeSet<&SourceId> = browsed.iter().map(|host| &host.source).collect();
        let others = state.registries.hosts.rows.iter().filter(|row| !entered.contains(&row.id)).count();
        match others {
            0 => {}
            1 => dark.push(Safe::new("1 registry that was not opened in this session")),
            others => dark.push(Safe::from(format!("{others} registries that were not opened in this session"))),
        }
        Self { all, search: Search::new(looked), wanted, dark }
    }
}

type Current = ((SourceId, String), Looked, InRepository);

/// The repository that one is in, and what has to be read of it.
fn current(state: &State) -> Option<Current> {
    let tags = &state.registries.tags;
    let (source, name) = (tags.source.clone()?, tags.repository.clone());
    let full = format!("{}/{name}", source.registry_host().unwrap_or_default());
    let details: BTreeMap<String, TagDetails> =
        tags.details.iter().filter_map(|(tag, details)| Some((tag.clone(), details.as_ref().ok()?.clone()))).collect();
    let images: BTreeSet<Digest> = details.values().flat_map(TagDetails::images).collect();
    let digests: Vec<Digest> = images.into_iter().collect();
    let place = (source.clone(), name.clone());
    // A list that did not come to its end is asked for anew.
    let Some(listed) = tags.listed.as_ref().filter(|_| tags.job.is_none()) else {
        return Some((place, Looked::new(full, false), InRepository { source, repository: name, tags: None, digests }));
    };
    let unknown = tags.list.iter().filter(|row| row.fit).map(|row| row.tag.raw()).filter(|tag| !details.contains_key(*tag));
    let unknown: Vec<String> = unknown.map(str::to_owned).collect();
    let completeness: Completeness = listed.completeness.clone();
    let known = Looked::known(full, (tags.list.len() + listed.odd, completeness), details);
    Some((place, known, InRepository { source, repository: name, tags: Some(unknown), digests }))
}
