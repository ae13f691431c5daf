//! What a registry has on an image besides the image: reports that somebody attached to it, and what the registry's own scanner says where that is a Harbor.

use std::time::Duration;

use super::told::{Told, mismatch};
use crate::model::{Digest, Image, Problem, ProblemKind};
use crate::scan::import::Imported;
use crate::scan::{attached, harbor};
use crate::source::registry::{Client, Repo};
use crate::source::{Ctx, Source};

/// How often a Harbor is asked whether its scan is done, and for how long.
const PAUSE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(600);

/// What was said, to be put together with the rest; nothing for an image that is in no registry. `start` has a Harbor scan it first.
///
/// # Errors
/// The wish to stop. What else goes wrong is among the problems.
pub(super) async fn ask(source: &dyn Source, ctx: &Ctx, image: &Image, start: bool) -> Result<Told, Problem> {
    let mut told = Told::default();
    let reference = image.repo_digests.first().and_then(|name| name.reference().ok());
    let Some((client, (repo, digest))) =
        source.registry().zip(reference.and_then(|reference| Repo::of(&reference).ok()).zip(image.manifest_digest.as_ref()))
    else {
        return Ok(told);
    };
    let names: Vec<Digest> = image.digests().cloned().collect();
    match attached::find(client, ctx, &repo, digest, &names).await {
        Ok(found) => {
            for one in found.attached.into_iter().filter(|one| one.is_of_image != Some(false)) {
                take(&mut told, one.imported, &names, "what is attached to it");
            }
        }
        Err(problem) => give_up(&mut told, problem)?,
    }
    match harbor(client, ctx, &repo, digest, start).await {
        Ok(None) => {}
        Ok(Some(report)) => take(&mut told, Ok(Imported::Report(Box::new(report))), &names, "Harbor's report"),
        Err(problem) => give_up(&mut told, problem)?,
    }
    Ok(told)
}

fn give_up(told: &mut Told, problem: Problem) -> Result<(), Problem> {
    if problem.is_cancelled() {
        return Err(problem);
    }
    told.problems.push(problem);
    Ok(())
}

fn take(told: &mut Told, imported: Result<Imported, Problem>, image: &[Digest], whose: &str) {
    match imported {
        Ok(Imported::Report(report)) => match mismatch(&report, image, whose) {
            Some(problem) => told.problems.push(problem),
            None => told.reports.push(*report),
        },
        Ok(Imported::Statements(statements)) => told.statements.extend(statements),
        Err(problem) => told.problems.push(problem),
    }
}

/// What a Harbor says; `None` where the registry is none, or has not looked at the image.
async fn harbor(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest, start: bool) -> Result<Option<crate::model::Report>, Problem> {
    // One that doesn't answer such a question is none.
    match harbor::is_harbor(client, ctx, repo.host()).await {
        Ok(true) => {}
        Err(problem) if problem.is_cancelled() => return Err(problem),
        Ok(false) | Err(_) if start => {
            let doing = format!("have {} scan the image", repo.host());
            return Err(Problem::new(ProblemKind::Unsupported, doing, "it is no Harbor"));
        }
        Ok(false) | Err(_) => return Ok(None),
    }
    if start {
        harbor::start(client, ctx, repo, image).await?;
        wait(client, ctx, repo, image).await?;
    }
    match harbor::report(client, ctx, repo, image).await {
        Err(problem) if problem.kind == ProblemKind::NotFound && !start => Ok(None),
        report => report.map(Some),
    }
}

/// Waits for the end of a scan that was begun.
async fn wait(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest) -> Result<(), Problem> {
    let doing = format!("wait for the scan of {}", repo.host());
    ctx.meter.phase(&format!("{} is looking", repo.host()));
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let state = harbor::overview(client, ctx, repo, image).await?;
        match state.as_ref().map(|state| state.status.raw()) {
            Some("Success") => return Ok(()),
            Some("Error" | "Stopped") => {
                return Err(Problem::new(ProblemKind::Other, doing, "its scanner failed").hint("its log is in Harbor"));
            }
            _ if tokio::time::Instant::now() >= until => {
                return Err(Problem::new(ProblemKind::Unreachable, doing, "it takes too long").hint("it goes on there; ask again later"));
            }
            _ => {}
        }
        tokio::select! {
            () = ctx.cancel.cancelled() => return Err(Problem::cancelled(doing)),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
