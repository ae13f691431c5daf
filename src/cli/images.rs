//! `images`: what the current engine or the store holds, newest first.

use std::sync::Arc;

use jiff::Timestamp;

use super::args::ImagesArgs;
use super::print::{Align, Printer, Table, or_dash};
use super::session::Session;
use super::{Done, Verdict};
use crate::model::filter::{Filter, Scratch, Subject};
use crate::model::findings;
use crate::model::{ContainerUse, Image, ImageList, ImageSummary, Name, Problem, ProblemKind, Safe, SourceId, Uses, size, time};
use crate::source::{LastUses, blocking};
use crate::work::Ledgers;
use crate::work::gists::Gists;

/// Most containers named in a row.
const MOST_USERS: usize = 3;

pub(super) async fn run(session: &Session, args: &ImagesArgs) -> Verdict {
    let filter = Filter::parse(args.filter.as_deref().unwrap_or_default())
        .map_err(|words| Problem::new(ProblemKind::Usage, "use this filter", words).hint("`lighterman images --help` shows examples"))?;
    let source = session.current().await?;
    let all = args.all;
    let id = source.id().clone();
    let list = session.run("list the images", |ctx| async move {
        if all {
            Ok((source.list_all(&ctx).await?, None))
        } else {
            source.list_with_uses(&ctx).await.map(|(list, used)| (list, Some(used)))
        }
    });
    let (list, used) = list.await?;
    let list = Arc::new(list);
    let uses = noted(session, id, &list, used).await?;
    for gap in &list.gaps {
        session.printer.say(format_args!("lighterman: not all could be read: {}", gap.safe()));
    }
    let gists = Gists::new(session.paths.gists()).read();
    print(Arc::unwrap_or_clone(list), (&uses, &gists), &filter, &session.printer)?;
    Ok(Done::All)
}

/// Notes when images were used, as the deck does, and says what is known of it. The images that `--all` adds are the engine's own, and stay out.
pub(super) async fn noted(session: &Session, id: SourceId, list: &Arc<ImageList>, used: Option<LastUses>) -> Result<Uses, Problem> {
    let (ledgers, list) = (Ledgers::new(session.paths.uses()), Arc::clone(list));
    blocking("note when images were used", move || {
        let keep = used.is_some();
        let uses = ledgers.listed(&id, &list, &used.unwrap_or_default());
        if keep {
            ledgers.keep(&id);
        }
        Ok(uses)
    })
    .await
}

fn print(mut list: ImageList, known: Known<'_>, filter: &Filter, printer: &Printer) -> Result<(), Problem> {
    let at = list.at;
    list.images.sort_by(|one, two| two.created.cmp(&one.created).then_with(|| one.tags.cmp(&two.tags)));
    let mut scratch = Scratch::default();
    if !printer.json {
        return printer.table(&table(&list.images, known, filter, at, &mut scratch));
    }
    if !filter.is_empty() {
        list.images.retain(|image| rows(image).any(|name| filter.matches(&subject(image, name, known), at, &mut scratch)));
    }
    printer.document(&list.images.into_iter().map(whole).collect::<Vec<_>>())
}

/// One row for each tag; a dangling image has one too.
fn rows(image: &ImageSummary) -> impl Iterator<Item = Option<&Name>> {
    image.tags.iter().map(Some).chain(image.tags.is_empty().then_some(None))
}

/// The image as documents show it: what a list doesn't tell is unknown.
fn whole(image: ImageSummary) -> Image {
    Image {
        id: image.id,
        manifest_digest: None,
        media_type: None,
        tags: image.tags,
        repo_digests: image.repo_digests,
        created: image.created,
        platform: image.platform,
        size: image.size,
        unique_size: image.unique_size,
        containers: image.containers,
        config: None,
        layers: None,
        history: None,
        base: None,
    }
}

/// When images were used, and what scans of them came to.
type Known<'a> = (&'a Uses, &'a findings::Gists);

fn subject<'a>(image: &'a ImageSummary, name: Option<&'a Name>, (uses, gists): Known<'a>) -> Subject<'a> {
    Subject { idle_since: uses.idle_since(&image.id), gist: gists.get(&image.id), ..Subject::image(image, name) }
}

fn table(images: &[ImageSummary], known: Known<'_>, filter: &Filter, now: Timestamp, scratch: &mut Scratch) -> Table {
    use Align::{Left, Right};
    let columns = [("REPOSITORY", Left), ("TAG", Left), ("IMAGE ID", Left), ("CREATED", Right), ("SIZE", Right), ("USED BY", Left)];
    let mut table = Table::new(&columns);
    for image in images {
        for name in rows(image).filter(|name| filter.matches(&subject(image, *name, known), now, scratch)) {
            table.row(row(image, name, now));
        }
    }
    table
}

fn row(image: &ImageSummary, name: Option<&Name>, now: Timestamp) -> Vec<Safe> {
    let none = || Safe::new("<none>");
    // A dangling image may still know where it came from.
    let origin = || image.repo_digests.first().map(|digest| digest.split().0);
    let (repository, tag) = name.map_or_else(|| (origin(), None), |name| (Some(name.split().0), name.split().1));
    vec![
        repository.map_or_else(none, Safe::new),
        tag.map_or_else(none, Safe::new),
        Safe::new(image.id.short()),
        or_dash(image.created.map(|then| time::age(then, now).into())),
        or_dash(image.size.map(|bytes| size::human(bytes).into())),
        or_dash(image.containers.as_deref().map(used_by)),
    ]
}

/// The containers' names, running ones first.
pub(super) fn used_by(containers: &[ContainerUse]) -> Safe {
    let mut users: Vec<&ContainerUse> = containers.iter().collect();
    users.sort_by_key(|user| !user.running);
    let named = users.iter().take(MOST_USERS).map(|user| user.name.raw()).collect::<Vec<_>>().join(", ");
    match users.len().saturating_sub(MOST_USERS) {
        0 => Safe::new(&named),
        more => Safe::new(&format!("{named}, +{more}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    fn image(tags: &[&str], containers: Option<Vec<ContainerUse>>) -> ImageSummary {
        ImageSummary {
            id: Digest::sha256(tags.concat().as_bytes()),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: Timestamp::from_second(86_400).ok(),
            size: Some(1_500_000),
            unique_size: None,
            platform: None,
            containers,
            labels: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_row_for_every_tag_and_one_for_a_dangling_image() {
        let user = |name: &str, running| ContainerUse { id: "1".into(), name: name.into(), running, state: "x".into() };
        let containers = Some(vec![user("old", false), user("web", true), user("a", false), user("b", false)]);
        let images = [image(&["localhost:5000/app:1", "app:\x1b[2J"], containers), image(&[], Some(vec![]))];
        let now = Timestamp::from_second(3 * 86_400).unwrap();
        let text =
            table(&images, (&Uses::default(), &findings::Gists::new()), &Filter::default(), now, &mut Scratch::default()).render(false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].starts_with("localhost:5000/app   1 "), "{text}");
        assert!(lines[1].ends_with("2d   1.50 MB   web, old, a, +1") || lines[1].ends_with("2d   1.5 MB   web, old, a, +1"), "{text}");
        assert!(lines[3].starts_with("<none>") && lines[3].ends_with(" -"), "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
        let filter = Filter::parse("=1").unwrap();
        assert_eq!(
            table(&images, (&Uses::default(), &findings::Gists::new()), &filter, now, &mut Scratch::default())
                .render(false)
                .lines()
                .count(),
            2
        );
    }
}
