//! What was browsed in this session: the registries that were entered, and their repositories as far as they were listed or typed. The lists of a
//! registry that was left are gone from the screen; their names are kept here.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Completeness, Safe, SourceId};

use super::{Registries, Repositories};

/// What is kept of the registries that were entered.
#[derive(Debug, Default)]
pub struct Browsed {
    hosts: BTreeMap<SourceId, Left>,
}

/// A registry that was entered, as it was when it was left.
#[derive(Debug, Default)]
struct Left {
    listed: BTreeSet<String>,
    /// Why there may be more repositories.
    gap: Option<Safe>,
    /// Repositories that were entered, listed or not.
    entered: BTreeSet<String>,
}

/// A registry that was browsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowsedHost {
    pub source: SourceId,
    /// Its repositories, and whether it lists them itself.
    pub repositories: BTreeMap<String, bool>,
    /// Why there may be more.
    pub gap: Option<Safe>,
}

fn names(repositories: &Repositories) -> impl Iterator<Item = String> {
    repositories.list.iter().filter(|row| row.fit).map(|row| row.name.raw().to_owned())
}

/// Why there may be more repositories than were listed.
fn gap(repositories: &Repositories) -> Option<Safe> {
    match (&repositories.listed, &repositories.problem) {
        (_, Some(problem)) => Some(problem.cause.clone()),
        (Some(listed), None) => match &listed.completeness {
            Completeness::Complete => None,
            Completeness::Incomplete(why) => Some(why.clone()),
        },
        (None, None) => Some(Safe::new("the list did not come to its end")),
    }
}

impl Registries {
    /// Turns to a registry; what was listed of the last one is kept.
    pub fn enter(&mut self, host: &SourceId) {
        let before = self.hosts.entered.replace(host.clone());
        if let Some(before) = before.filter(|before| before != host) {
            let left = self.browsed.hosts.entry(before).or_default();
            (left.listed, left.gap) = (names(&self.repositories).collect(), gap(&self.repositories));
        }
        self.browsed.hosts.entry(host.clone()).or_default();
    }

    /// Notes that a repository of the registry one is in was entered.
    pub fn enter_repository(&mut self, repository: &str) {
        if let Some(host) = &self.hosts.entered {
            self.browsed.hosts.entry(host.clone()).or_default().entered.insert(repository.to_owned());
        }
    }

    /// The registries that were entered in this session, the one that one is in first, with all of their repositories that are known.
    #[must_use]
    pub fn browsed(&self) -> Vec<BrowsedHost> {
        let here = self.hosts.entered.as_ref();
        let mut hosts: Vec<BrowsedHost> = self
            .browsed
            .hosts
            .iter()
            .map(|(source, left)| {
                let current = here == Some(source);
                let gap = if current { gap(&self.repositories) } else { left.gap.clone() };
                let mut repositories: BTreeMap<String, bool> = left.entered.iter().map(|name| (name.clone(), false)).collect();
                // While it is listed anew, what it had is not all there yet.
                if !current || gap.is_some() {
                    repositories.extend(left.listed.iter().map(|name| (name.clone(), true)));
                }
                if current {
                    repositories.extend(names(&self.repositories).map(|name| (name, true)));
                }
                BrowsedHost { source: source.clone(), repositories, gap }
            })
            .collect();
        hosts.sort_by_key(|host| here != Some(&host.source));
        hosts
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::JobId;
    use crate::model::{Foreign, Listed, RepoRow};

    fn told(registries: &mut Registries, names: &[&str], completeness: Completeness) {
        let rows: Vec<RepoRow> = names.iter().map(|name| RepoRow { name: Foreign::new(name), fit: *name != "UNFIT" }).collect();
        let listed = Listed { count: rows.len(), odd: 0, completeness };
        registries.repositories.begin(JobId(1));
        registries.repositories.arrived(rows, Timestamp::UNIX_EPOCH);
        registries.repositories.ended(listed, Timestamp::UNIX_EPOCH);
    }

    fn seen(registries: &Registries) -> Vec<String> {
        let words = |host: BrowsedHost| {
            let names: Vec<String> =
                host.repositories.iter().map(|(name, listed)| if *listed { name.clone() } else { format!("({name})") }).collect();
            format!("{} {} {}", host.source, names.join(" "), host.gap.map_or_else(String::new, |gap| gap.to_string()))
        };
        registries.browsed().into_iter().map(words).collect()
    }

    #[test]
    fn registries_that_were_left_are_still_known() {
        let mut registries = Registries::default();
        assert!(seen(&registries).is_empty());
        let (one, other) = (SourceId::registry("one.io"), SourceId::registry("other.io"));
        registries.enter(&one);
        assert_eq!(seen(&registries), ["registry:one.io  the list did not come to its end"]);
        told(&mut registries, &["a", "b", "UNFIT"], Completeness::Complete);
        registries.enter_repository("b");
        registries.enter_repository("typed");
        registries.enter(&other);
        told(&mut registries, &["x"], Completeness::Incomplete(Safe::new("cut off")));
        assert_eq!(seen(&registries), ["registry:other.io x cut off", "registry:one.io a b (typed) "]);
        // Back again: until the list has come, what it had stands.
        registries.enter(&one);
        registries.repositories.begin(JobId(2));
        assert_eq!(seen(&registries), ["registry:one.io a b (typed) the list did not come to its end", "registry:other.io x cut off"]);
        told(&mut registries, &["a"], Completeness::Complete);
        assert_eq!(seen(&registries)[0], "registry:one.io a (b) (typed) ", "it was entered, so it is looked at all the same");
    }
}
