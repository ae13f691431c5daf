//! Changes as they happen, from the engine's event stream. Dropping the stream closes the connection.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::EngineSource;
use super::client::Ask;
use super::inspect::encode;
use super::used;
use crate::model::{Problem, ProblemKind};
use crate::source::Noticed;

/// Between two events any time may pass.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What changes the list. Health checks and executions in containers come many times a minute, and change nothing that is shown.
const ACTIONS: [&str; 17] = [
    "build", "create", "delete", "destroy", "die", "import", "load", "pause", "prune", "pull", "remove", "rename", "start", "stop", "tag",
    "unpause", "untag",
];

pub(super) async fn watch(source: &EngineSource, doing: &str) -> Result<BoxStream<'static, Result<Noticed, Problem>>, Problem> {
    let session = source.session(doing).await?;
    let filters = serde_json::json!({"type": ["image", "container"], "event": ACTIONS}).to_string();
    let ask = Ask::get(format!("/events?filters={}", encode(&filters)), doing);
    let answer = source.client.send(Some(&session.api), ask).await.map_err(|failure| failure.into_problem(doing))?;
    let changes = source.client.lines(answer, FOR_EVER, doing).filter_map(async |line| match line {
        Ok(line) if line.iter().all(u8::is_ascii_whitespace) => None,
        Ok(line) => Some(Ok(used::noticed(&line, crate::source::now()))),
        Err(problem) => Some(Err(problem)),
    });
    let end = Problem::new(ProblemKind::Unreachable, doing, format!("the engine at {} ended its stream of events", source.client.place()));
    let all = stream::once(async { Ok(Noticed::Change) }).chain(changes).chain(stream::once(async { Err(end) }));
    // After the first problem there is nothing more.
    let all = all.scan(false, |over, item| {
        let last = std::mem::replace(over, item.is_err());
        std::future::ready((!last).then_some(item))
    });
    Ok(all.boxed())
}
