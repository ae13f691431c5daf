//! The order of the lines, as far as it is the user's: kept by what each line is, so that it stays when they are thought through anew.

use std::collections::BTreeMap;

use crate::curate::plan;
use crate::flow::JobId;
use crate::model::Operation;

use super::{Key, PlanPane, key};

impl PlanPane {
    /// In the user's order, as far as lines can run in it.
    pub(super) fn in_order(&self, mut operations: Vec<Operation>) -> Vec<Operation> {
        if !self.order.is_empty() {
            let places: BTreeMap<&Key, usize> = self.order.iter().enumerate().map(|(at, key)| (key, at)).collect();
            operations.sort_by_cached_key(|line| places.get(&key(line)).copied().unwrap_or(usize::MAX));
        }
        plan::arranged(operations)
    }

    /// Moves the line under the cursor before the one above it, or after the one below, among those of its place.
    ///
    /// # Errors
    /// Why it can't.
    pub fn shift_selected(&mut self, step: isize) -> Result<(), &'static str> {
        let no_line = "there is no line under the cursor";
        let at = self.selected_at().ok_or(no_line)?;
        let place = self.lines.get(at).map(|line| line.place.clone()).ok_or(no_line)?;
        let mut near: Box<dyn Iterator<Item = usize>> = if step < 0 { Box::new((0..at).rev()) } else { Box::new(at + 1..self.lines.len()) };
        let other = near.find(|n| self.lines.get(*n).is_some_and(|line| line.place == place));
        drop(near);
        let other = other.ok_or(if step < 0 { "it is the first there" } else { "it is the last there" })?;
        let (ahead, behind) = (at.min(other), at.max(other));
        let operation = |n: usize| self.lines.get(n).map(|line| &line.operation);
        if let (Some(ahead), Some(behind)) = (operation(ahead), operation(behind))
            && let Some(why) = plan::held_back(ahead, behind)
        {
            return Err(why);
        }
        let mut order: Vec<Key> = self.lines.iter().map(|line| key(&line.operation)).collect();
        let moved = order.remove(at);
        order.insert(other, moved);
        self.order = order;
        self.think();
        Ok(())
    }

    /// The lines are looked at, to see whether they could run.
    pub fn begin_try(&mut self, job: JobId) {
        self.tried.clear();
        self.trying = Some(job);
    }
}
