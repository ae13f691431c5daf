//! `sbom`: the packages of an image, as a document for other tools.

use super::files::look;
use super::scan_args::{SbomArgs, SbomFormat};
use super::session::Session;
use super::{Tally, Verdict};
use crate::model::{Problem, ProblemKind};
use crate::scan::sbom::{Subject, cyclonedx, spdx};
use crate::work::inventory;
use crate::work::layer_index::Depth;

pub(super) async fn run(session: &Session, args: &SbomArgs) -> Verdict {
    let look = look(session, &args.reference, args.platform.as_ref(), None, Depth::Whole).await?;
    let (source, image, layers) = (look.place.source.as_ref(), &look.image, look.layers.as_slice());
    let found = session.run("read the packages", |ctx| Box::pin(async move { inventory::of(&ctx, source, image, layers).await })).await?;
    let mut tally = Tally { done: 1, failed: None };
    for one in &found.skipped {
        let doing = format!("read the packages in {}", one.place.path.raw());
        tally.failed(&Problem::new(ProblemKind::Limit, doing, one.why.as_str()), &session.printer);
    }
    let more = found.skipped_count.saturating_sub(found.skipped.len());
    if more > 0 {
        tally.failed(&Problem::new(ProblemKind::Limit, "read the packages", format!("{more} more files were left out")), &session.printer);
    }
    let subject = Subject { name: &args.reference, image };
    let document = match args.format {
        SbomFormat::Cyclonedx => cyclonedx(&found, &subject),
        SbomFormat::Spdx => spdx(&found, &subject),
    };
    session.printer.text(&document)?;
    Ok(tally.verdict())
}
