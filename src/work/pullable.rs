//! Whether images can be pulled again: asks the registries they came from for the very digests, one HEAD each, and reads nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::flow::JobOutput;
use crate::model::{Digest, Name, Problem, ProblemKind, SourceId};
use crate::source::{Ctx, Resolved};

use super::catalog::{Arrived, catalog};
use super::run::{Chunks, Env};

/// Names an image is asked for by: one that came from more places than this is known well enough by these.
const NAMES: usize = 4;

type Told = (Digest, Result<bool, Problem>);

/// An image of which some names were not told yet.
#[derive(Debug)]
struct Open {
    id: Digest,
    left: usize,
    /// Why one of them is not known.
    problem: Option<Problem>,
}

/// Passes each image on when it is known: there as soon as one name is, and gone only when all of them are.
struct Asking<'a> {
    open: Mutex<Vec<Option<Open>>>,
    arrived: &'a Arrived<Told>,
}

impl Asking<'_> {
    fn tell(&self, at: usize, answer: Result<bool, Problem>) {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = all.get_mut(at) else { return };
        let Some(open) = place.as_mut() else { return };
        open.left = open.left.saturating_sub(1);
        let there = matches!(answer, Ok(true));
        if let Err(problem) = answer {
            open.problem.get_or_insert(problem);
        }
        if (there || open.left == 0)
            && let Some(open) = place.take()
        {
            let told = if there { Ok(true) } else { open.problem.map_or(Ok(false), Err) };
            self.arrived.put([(open.id, told)]);
        }
    }
}

pub(super) async fn pullable(env: &Env, images: Vec<(Digest, Vec<Name>)>, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let arrived = Arrived::new();
    let open = images.iter().map(|(id, names)| Some(Open { id: id.clone(), left: names.len().min(NAMES), problem: None }));
    let asking = Asking { open: Mutex::new(open.collect()), arrived: &arrived };
    let mut hosts: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
    for (at, (_, names)) in images.iter().enumerate() {
        for name in names.iter().take(NAMES) {
            match name.reference().map(|to| (to.registry().to_owned(), to.repository().to_owned(), to.digest().map(str::to_owned))) {
                Ok((host, repository, Some(digest))) => hosts.entry(host).or_default().push((at, (repository, digest))),
                Ok(_) => asking.tell(at, Err(Problem::new(ProblemKind::Usage, format!("look for {}", name.safe()), "it names no digest"))),
                Err(problem) => asking.tell(at, Err(problem)),
            }
        }
    }
    let all = hosts.into_iter().map(|(host, wanted)| ask(env, host, wanted, ctx, &asking));
    arrived.relay(futures_util::future::join_all(all), chunks, JobOutput::Pullable).await;
    ctx.check("look what can be pulled again")?;
    Ok(JobOutput::Told)
}

/// The place of an image, and its repository and digest.
type Wanted = (usize, (String, String));

async fn ask(env: &Env, host: String, wanted: Vec<Wanted>, ctx: &Ctx, asking: &Asking<'_>) {
    let (places, names): (Vec<usize>, Vec<(String, String)>) = wanted.into_iter().unzip();
    let mut told = vec![false; names.len()];
    let mut each = |(at, answer): Resolved| {
        if let (Some(place), Some(told), Some((_, digest))) = (places.get(at), told.get_mut(at), names.get(at)) {
            *told = true;
            asking.tell(*place, answer.map(|there| there.is_some_and(|there| there.as_str() == digest)));
        }
    };
    let asked = async {
        let source = env.table.get(&SourceId::registry(&host)).await?;
        catalog(&*source, "look what can be pulled again")?.resolve(ctx, &names, &mut each).await
    };
    if let Err(problem) = asked.await {
        for (place, _) in places.iter().zip(&told).filter(|(_, told)| !**told) {
            asking.tell(*place, Err(problem.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_there_under_one_name_and_gone_only_under_all() {
        let arrived = Arrived::new();
        let digest = |n: u8| Digest::sha256(&[n]);
        let open = |n: u8, left| Some(Open { id: digest(n), left, problem: None });
        let asking = Asking { open: Mutex::new(vec![open(0, 2), open(1, 2), open(2, 2), open(3, 3)]), arrived: &arrived };
        let down = || Problem::new(ProblemKind::Unreachable, "ask", "nobody answers");
        for (at, answer) in [
            (0, Ok(false)),
            (0, Ok(true)),
            (1, Ok(true)),
            (1, Err(down())),
            (2, Err(down())),
            (2, Ok(false)),
            (3, Ok(false)),
            (9, Ok(true)),
        ] {
            asking.tell(at, answer);
        }
        let told = arrived.take();
        assert_eq!(told, [(digest(0), Ok(true)), (digest(1), Ok(true)), (digest(2), Err(down()))], "the last one is not known yet");
    }
}
