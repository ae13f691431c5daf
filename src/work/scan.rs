//! Looks what is wrong with an image.
use super::run::{Chunks, Env};
use crate::flow::{Job, JobOutput};
use crate::model::{Problem, ProblemKind};
use crate::source::Ctx;
use std::path::PathBuf;
use std::sync::Arc;

/// What images are looked at by.
#[derive(Debug, Clone, Default)]
pub struct Scanning {
    pub ignore: Option<PathBuf>,
}

pub(super) async fn run(job: Job, env: &Arc<Env>, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let _ = (job, env, ctx, chunks);
    Err(Problem::new(ProblemKind::Unsupported, "x", "y"))
}
