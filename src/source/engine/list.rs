//! All images at once, with the containers made from each. Two requests run side by side, since the slower decides how long a person
//! waits; without the containers the images are still shown.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join;
use serde_json::value::RawValue;

use super::EngineSource;
use super::client::{Ask, LONGEST_LIST};
use super::used;
use super::wire::{self, ContainerRow, ImageRow, Text};
use crate::model::{ContainerUse, Digest, Foreign, ImageList, ImageSummary, Name, Problem};
use crate::source::LastUses;

/// How long the list of containers may hold up the list of images.
const CONTAINERS: Duration = Duration::from_secs(20);
const CONTAINERS_OF: &str = "list the containers";

/// The containers by image.
pub(super) type Uses = HashMap<Digest, Vec<ContainerUse>>;

/// Which images a list shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Without the intermediate ones that builds left for their cache.
    Finished,
    All,
}

pub(super) async fn list(source: &EngineSource, which: Which, doing: &str) -> Result<ImageList, Problem> {
    Ok(list_with_uses(source, which, doing).await?.0)
}

/// With when the containers there are ran last.
pub(super) async fn list_with_uses(source: &EngineSource, which: Which, doing: &str) -> Result<(ImageList, LastUses), Problem> {
    let session = source.session(doing).await?;
    let path = match which {
        Which::Finished => "/images/json",
        Which::All => "/images/json?all=true",
    };
    let images = source.client.fetch(Some(&session.api), Ask::get(path, doing), LONGEST_LIST);
    let rows = container_rows(source, &session.api, "");
    let (images, rows) = join(images, rows).await;
    let images = images.map_err(|failure| failure.into_problem(doing))?;
    let at = crate::source::now();
    let containers = rows.and_then(|bytes| {
        let rows = parsed(source, &bytes)?;
        Ok((by_image(&rows), used::last(&rows, at)))
    });
    let (containers, last) = match containers {
        Ok((uses, last)) => (Ok(uses), last),
        Err(problem) => (Err(problem), Vec::new()),
    };
    let garbage = || source.client.garbage(doing);
    let converted = tokio::task::spawn_blocking(move || convert(&images, containers)).await;
    let (images, gaps) = converted.map_err(|_join| garbage())?.ok_or_else(garbage)?;
    Ok((ImageList { images, at, gaps }, last))
}

/// The containers by image, or why they are not known. `filter` is a part of the query, beginning with `&`.
pub(super) async fn containers(source: &EngineSource, api: &str, filter: &str) -> Result<Uses, Problem> {
    let bytes = container_rows(source, api, filter).await?;
    Ok(by_image(&parsed(source, &bytes)?))
}

async fn container_rows(source: &EngineSource, api: &str, filter: &str) -> Result<Vec<u8>, Problem> {
    let ask = Ask { head: CONTAINERS, ..Ask::get(format!("/containers/json?all=true{filter}"), CONTAINERS_OF) };
    source.client.fetch(Some(api), ask, LONGEST_LIST).await.map_err(|failure| failure.into_problem(CONTAINERS_OF))
}

fn parsed<'a>(source: &EngineSource, bytes: &'a [u8]) -> Result<Vec<ContainerRow<'a>>, Problem> {
    serde_json::from_slice(bytes).map_err(|_json| source.client.garbage(CONTAINERS_OF))
}

fn by_image(rows: &[ContainerRow<'_>]) -> Uses {
    let mut uses = Uses::new();
    for row in rows {
        if let Some(image) = wire::id(&row.image_id.0) {
            uses.entry(image).or_default().push(container(row));
        }
    }
    uses
}

fn container(row: &ContainerRow<'_>) -> ContainerUse {
    let name = row.names.0.first().map_or("", |name| name.0.trim_start_matches('/'));
    ContainerUse { id: Foreign::new(&row.id.0), name: Foreign::new(name), running: is_running(row), state: Foreign::new(&row.state.0) }
}

pub(super) fn is_running(row: &ContainerRow<'_>) -> bool {
    matches!(row.state.0.as_ref(), "running" | "paused" | "restarting")
}

type Converted = (Vec<ImageSummary>, Vec<Foreign>);

/// `None` when the answer is no list of images at all.
fn convert(bytes: &[u8], containers: Result<Uses, Problem>) -> Option<Converted> {
    let (rows, mut unread) = rows(bytes)?;
    let mut gaps = Vec::new();
    let mut uses = match containers {
        Ok(uses) => Some(uses),
        Err(problem) => {
            gaps.push(Foreign::new(&format!("containers: {}", problem.cause)));
            None
        }
    };
    let mut images = Vec::with_capacity(rows.len());
    for row in rows {
        match summary(row, uses.as_mut()) {
            Some(image) => images.push(image),
            None => unread += 1,
        }
    }
    if unread > 0 {
        gaps.push(Foreign::from(format!("{unread} images whose description makes no sense")));
    }
    Some((images, gaps))
}

/// The rows that can be read, and how many can't.
fn rows(bytes: &[u8]) -> Option<(Vec<ImageRow<'_>>, usize)> {
    if let Ok(rows) = serde_json::from_slice(bytes) {
        return Some((rows, 0));
    }
    let raw: Vec<&RawValue> = serde_json::from_slice(bytes).ok()?;
    let rows: Vec<_> = raw.iter().filter_map(|row| serde_json::from_str(row.get()).ok()).collect();
    let unread = raw.len() - rows.len();
    Some((rows, unread))
}

fn summary(row: ImageRow<'_>, uses: Option<&mut Uses>) -> Option<ImageSummary> {
    let id = wire::id(&row.id.0)?;
    let containers = uses.map(|uses| uses.remove(&id).unwrap_or_default());
    Some(ImageSummary {
        tags: tags(&row.repo_tags.0),
        repo_digests: digests(&row.repo_digests.0),
        created: row.created.0,
        size: row.size.0,
        unique_size: None,
        platform: None,
        containers,
        labels: row.labels.0,
        id,
    })
}

/// The tags, without the engines' word for none (`<none>:<none>`, or `repository:<none>`).
pub(super) fn tags(texts: &[Text<'_>]) -> Vec<Name> {
    texts
        .iter()
        .map(|text| text.0.as_ref())
        .filter(|tag| !tag.is_empty() && !tag.starts_with("<none>") && !tag.ends_with(":<none>"))
        .map(Name::new)
        .collect()
}

/// `repository@digest`, without `<none>@<none>`.
pub(super) fn digests(texts: &[Text<'_>]) -> Vec<Name> {
    texts.iter().map(|text| text.0.as_ref()).filter(|digest| !digest.is_empty() && !digest.contains("<none>")).map(Name::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProblemKind;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn images(json: &str) -> Converted {
        convert(json.as_bytes(), Ok(Uses::new())).unwrap()
    }

    #[test]
    fn none_is_no_name() {
        let (list, gaps) = images(&format!(
            r#"[{{"Id":"{A}","RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"]}},{{"Id":"{A}","RepoTags":["r:<none>","r:1"],"RepoDigests":["r@{A}"]}}]"#
        ));
        assert!(list[0].is_dangling() && list[0].repo_digests.is_empty() && gaps.is_empty());
        assert_eq!(list[1].tags, [Name::new("r:1")]);
        assert_eq!(list[0].is_unused(), Some(true));
    }

    #[test]
    fn a_row_without_sense_is_a_gap_and_hides_no_other() {
        let (list, gaps) = images(&format!(r#"[7,{{"Id":"sha256:../../x"}},{{"Id":"{A}","Size":-1,"Labels":null,"RepoTags":null}},null]"#));
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].size, None);
        assert_eq!(gaps.len(), 1);
        assert!(gaps[0].raw().starts_with('3'), "{gaps:?}");
    }

    #[test]
    fn unknown_containers_are_a_gap() {
        let denied = Problem::new(ProblemKind::Denied, "list the containers", "permission denied");
        let (list, gaps) = convert(format!(r#"[{{"Id":"{A}"}}]"#).as_bytes(), Err(denied)).unwrap();
        assert_eq!(list[0].containers, None);
        assert_eq!(gaps, [Foreign::new("containers: permission denied")]);
    }

    #[test]
    fn what_is_no_list_is_none() {
        for text in ["", "<html>", "{}", "\"x\"", "[{}"] {
            assert!(convert(text.as_bytes(), Ok(Uses::new())).is_none(), "{text}");
        }
    }
}
