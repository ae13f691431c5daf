//! What a policy said of the tags that lines are about: why each goes, and that what it keeps doesn't go along.

use std::collections::HashMap;

use crate::curate::plan::Wish;
use crate::model::{Digest, Foreign, Operation};

use super::{PlanPane, Repository};

/// What a policy says of a tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes, as long as it is at this digest, because of this rule.
    Drop(Digest, Foreign),
    Keep(Foreign),
}

/// What a policy says of a repository, by tag.
#[derive(Debug, Clone, Default)]
pub struct Ruled(pub HashMap<String, Verdict>);

impl PlanPane {
    /// A policy decides over a repository: what is wanted there next says why, and what it keeps does not go along.
    pub fn rule(&mut self, repository: Repository, ruled: Ruled) {
        self.begin();
        self.ruled.insert(repository, ruled);
    }

    /// Says at the lines of a repository what its policy says of them.
    pub(super) fn follow_rules(&self, repository: &Repository, lines: &mut [Operation]) {
        let Some(Ruled(ruled)) = self.ruled.get(repository) else { return };
        for line in lines.iter_mut().filter(|line| line.takes_away() && line.after.is_none()) {
            let Some(name) = line.target.name() else { continue };
            match name.split().1.and_then(|tag| ruled.get(tag)) {
                Some(Verdict::Drop(digest, why)) if line.before.as_ref() == Some(digest) => line.effects.push(why.clone()),
                // What moved was not decided over.
                Some(Verdict::Drop(..)) => line.protected = Some(Foreign::from("it moved after the policy had decided")),
                // A user may want by hand what the policy would keep.
                Some(Verdict::Keep(why)) if !self.wishes.contains(&(repository.0.clone(), Wish::Delete(line.target.clone()))) => {
                    line.protected = Some(Foreign::from(format!("the policy keeps it: {}", why.safe())));
                }
                _ => {}
            }
        }
    }
}
