//! `inspect` and `history`: everything known of an image.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::args::{HistoryArgs, InspectArgs};
use super::find::{self, Found};
use super::images::used_by;
use super::print::{Align, Printer, Table, or_dash};
use super::session::{Place, Reader, Session};
use super::{Done, Tally, Verdict};
use crate::curate::words::counted;
use crate::model::{Foreign, HistoryEntry, Image, ImageConfig, LayerInfo, Name, Platform, Problem, ProblemKind, Safe, size, time};
use crate::source::{self, Ctx};
use crate::work::clock::now;

pub(super) async fn run(session: &Session, args: &InspectArgs) -> Verdict {
    let mut images = Vec::new();
    let mut tally = Tally::default();
    for text in &args.references {
        match one(session, text, args.verify).await {
            Ok((found, gaps)) => {
                tally.done += found.len();
                images.extend(found);
                for gap in &gaps {
                    tally.failed(gap, &session.printer);
                }
            }
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) => tally.failed(&problem, &session.printer),
        }
    }
    let mut layers = images.iter().flat_map(|image| image.layers.iter().flatten());
    let sound = layers.all(|layer| if args.verify { layer.verified == Some(true) } else { layer.verified != Some(false) });
    if session.printer.json {
        session.printer.document(&images)?;
    } else {
        let now = now();
        let texts: Vec<String> = images.iter().map(|image| text(image, now, &session.printer)).collect();
        session.printer.text(&texts.join("\n"))?;
    }
    Ok(if sound { tally.verdict() } else { Done::Failed })
}

/// The images that `text` means, and those beside them that can't be read.
async fn one(session: &Session, text: &str, verify: bool) -> Result<(Vec<Image>, Vec<Problem>), Problem> {
    let place = session.place(text).await?;
    let gaps = place.gaps();
    let images = session
        .run("inspect", |ctx| {
            Box::pin(async move {
                let mut images = images_of(&place, &ctx).await?;
                if verify {
                    for image in &mut images {
                        *image = source::verify(place.source.as_ref(), &ctx, image.clone()).await?;
                    }
                }
                Ok(images)
            })
        })
        .await?;
    Ok((images, gaps))
}

/// Every image of a place, each platform on its own.
pub(super) async fn images_of(place: &Place, ctx: &Ctx) -> Result<Vec<Image>, Problem> {
    match (&place.reader, &place.name) {
        (Reader::File(source), None) => return source.inspect_all(ctx).await,
        (Reader::Registry(source), Some(name)) => return source.inspect_all(ctx, &name.reference()?).await,
        _ => {}
    }
    let source = place.source.as_ref();
    let mut images = Vec::new();
    for Found { key, image, .. } in find::find(source, ctx, place.name.as_ref()).await? {
        images.push(match image {
            Some(image) => *image,
            None => source.inspect(ctx, &key).await?,
        });
    }
    Ok(images)
}

/// The one image of a place: of a multi-platform one that for `platform`, else for this machine.
///
/// # Errors
/// `NotFound`, also for a platform that it has not; `Usage` where several images are left.
pub(super) async fn one_image(place: &Place, ctx: &Ctx, platform: Option<&Platform>) -> Result<Image, Problem> {
    let source = place.source.as_ref();
    let Some(wanted) = platform else {
        let found = find::find_one(source, ctx, place.name.as_ref()).await?;
        return match found.image {
            Some(image) => Ok(*image),
            None => source.inspect(ctx, &found.key).await,
        };
    };
    if let (Reader::Registry(source), Some(name)) = (&place.reader, &place.name) {
        return source.inspect_platform(ctx, &name.reference()?, wanted).await;
    }
    for_platform(&images_of(place, ctx).await?, wanted, &source.id().to_string())
}

/// The image for `wanted`, exactly or in another variant.
fn for_platform(images: &[Image], wanted: &Platform, place: &str) -> Result<Image, Problem> {
    let doing = format!("find an image for {wanted} in {place}");
    let has: Vec<String> = images.iter().filter_map(|image| image.platform.as_ref().map(ToString::to_string)).collect();
    let serves = |exact: bool| {
        let fits = move |platform: &Platform| if exact { platform == wanted } else { platform.serves(wanted) };
        images.iter().filter(move |image| image.platform.as_ref().is_some_and(fits))
    };
    let mut fit: Vec<&Image> = serves(true).collect();
    if fit.is_empty() {
        fit = serves(false).collect();
    }
    if fit.windows(2).any(|pair| matches!(pair, [one, two] if one.id != two.id)) {
        return Err(Problem::new(ProblemKind::Usage, doing, "there are several").hint("name one of them"));
    }
    fit.first().map(|image| (*image).clone()).ok_or_else(|| {
        let problem = Problem::new(ProblemKind::NotFound, doing, "there is none");
        if has.is_empty() { problem } else { problem.hint(format!("it has {}", has.join(", "))) }
    })
}

pub(super) async fn history(session: &Session, args: &HistoryArgs) -> Verdict {
    let place = session.place(&args.reference).await?;
    let image = session.run("read the history", |ctx| Box::pin(async move { one_image(&place, &ctx, None).await })).await?;
    let steps = image.history.unwrap_or_default();
    if session.printer.json {
        session.printer.document(&steps)?;
    } else {
        session.printer.table(&steps_table(&steps, now(), 0))?;
    }
    Ok(Done::All)
}

fn steps_table(steps: &[HistoryEntry], now: Timestamp, indent: usize) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[("STEP", Right), ("CREATED", Right), ("SIZE", Right), ("CREATED BY", Left)]).indented(indent);
    for (at, step) in steps.iter().enumerate() {
        let text = match (&step.created_by, &step.comment) {
            (Some(by), _) if !by.is_empty() => by.safe(),
            (_, Some(comment)) => Safe::new(&format!("# {}", comment.raw())),
            _ => Safe::default(),
        };
        table.row(vec![
            (at + 1).to_string().into(),
            or_dash(step.created.map(|then| time::age(then, now).into())),
            or_dash(if step.empty_layer { None } else { step.size.map(|bytes| size::human(bytes).into()) }),
            or_dash(Some(text)),
        ]);
    }
    table
}

/// The image in words: a block of fields, then its layers.
fn text(image: &Image, now: Timestamp, printer: &Printer) -> String {
    let title = image.tags.first().map_or_else(|| Safe::new(image.id.as_str()), Name::safe);
    let mut out = printer.heading(&title);
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]).indented(2);
    let mut field = |name: &str, value: Option<Safe>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            table.row(vec![name.into(), value]);
        }
    };
    field("ID", Some(image.id.as_str().into()));
    field("Manifest", image.manifest_digest.as_ref().map(|digest| digest.as_str().into()));
    field("Media type", image.media_type.as_ref().map(Foreign::safe));
    for tag in &image.tags {
        field("Tag", Some(tag.safe()));
    }
    for digest in &image.repo_digests {
        field("Digest", Some(digest.safe()));
    }
    field("Created", image.created.map(|then| format!("{then} ({})", time::age(then, now)).into()));
    field("Platform", image.platform.as_ref().map(|platform| platform.to_string().into()));
    field("Size", image.size.map(|bytes| size::human(bytes).into()));
    field("Unique size", image.unique_size.map(|bytes| size::human(bytes).into()));
    field("Used by", image.containers.as_deref().map(|users| if users.is_empty() { "no container".into() } else { used_by(users) }));
    if let Some(config) = &image.config {
        config_fields(config, &mut field);
    }
    out.push_str(&table.render(false));
    if let Some(layers) = &image.layers {
        let _ = writeln!(out, "  {}", counted(layers.len(), "layer"));
        out.push_str(&layers_table(layers).render(false));
    }
    out
}

fn config_fields(config: &ImageConfig, field: &mut impl FnMut(&str, Option<Safe>)) {
    // As JSON, so that the borders of the words are seen; only for the eye, so it is made safe as a whole.
    let words = |words: &Vec<Foreign>| serde_json::to_string(words).ok().map(Safe::from);
    field("User", config.user.as_ref().map(Foreign::safe));
    field("Entrypoint", config.entrypoint.as_ref().and_then(words));
    field("Command", config.cmd.as_ref().and_then(words));
    field("Directory", config.working_dir.as_ref().map(Foreign::safe));
    for variable in &config.env {
        field("Variable", Some(variable.safe()));
    }
    for port in &config.exposed_ports {
        field("Port", Some(port.safe()));
    }
    for volume in &config.volumes {
        field("Volume", Some(volume.safe()));
    }
    for (key, value) in &config.labels {
        field("Label", Some(Safe::new(&format!("{key}={}", value.raw()))));
    }
    field("Health check", config.healthcheck.as_ref().and_then(words));
    field("Stop signal", config.stop_signal.as_ref().map(Foreign::safe));
}

fn layers_table(layers: &[LayerInfo]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[("#", Right), ("SIZE", Right), ("DIGEST", Left), ("VERIFIED", Left), ("CREATED BY", Left)]).indented(2);
    for layer in layers {
        let verified = match layer.verified {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        table.row(vec![
            layer.index.to_string().into(),
            or_dash(layer.size.map(|bytes| size::human(bytes).into())),
            or_dash(layer.digest.as_ref().or(layer.diff_id.as_ref()).map(|digest| digest.short().into())),
            verified.into(),
            or_dash(layer.created_by.as_ref().map(Foreign::safe)),
        ]);
    }
    table
}
