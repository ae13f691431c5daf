//! A value that is fetched: the old one stays on screen while a new one is under way or has failed.

use crate::model::Problem;

use super::job::JobId;

#[derive(Debug, Clone, PartialEq)]
pub struct Loadable<T> {
    pub value: Option<T>,
    /// The job that fetches it now.
    pub job: Option<JobId>,
    /// Why the last try failed.
    pub problem: Option<Problem>,
}

impl<T> Default for Loadable<T> {
    fn default() -> Self {
        Self { value: None, job: None, problem: None }
    }
}

impl<T> Loadable<T> {
    pub fn start(&mut self, job: JobId) {
        self.job = Some(job);
    }

    /// Takes the answer of `job`; an answer to an older job is dropped and `false` returned.
    pub fn finish(&mut self, job: JobId, answer: Result<T, Problem>) -> bool {
        if self.job != Some(job) {
            return false;
        }
        self.job = None;
        match answer {
            Ok(value) => {
                self.value = Some(value);
                self.problem = None;
            }
            Err(problem) => self.problem = Some(problem),
        }
        true
    }

    #[must_use]
    pub const fn is_loading(&self) -> bool {
        self.job.is_some()
    }
}
