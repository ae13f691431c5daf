//! `sbom`: the packages of an image, as a document for other tools.

use super::inspect::one_image;
use super::scan_args::{SbomArgs, SbomFormat};
use super::session::Session;
use super::{Tally, Verdict};
use crate::model::{Problem, ProblemKind};
use crate::scan::sbom::{Subject, cyclonedx, spdx};
use crate::source::Ctx;
use crate::work::scan::{Scanning, alone};

pub(super) async fn run(session: &Session, args: &SbomArgs) -> Verdict {
    let place = session.place(&args.reference).await?;
    // Packages alone: what is known of them is not asked for.
    let scanning = &Scanning { advisories: None, ..session.scanning() };
    let (at, cache) = (&place, &session.layer_cache());
    let work = |ctx: Ctx| {
        Box::pin(async move {
            let image = one_image(at, &ctx, args.platform.as_ref()).await?;
            let scan = alone(at.source.as_ref(), &image, scanning, cache, &ctx).await?;
            let lost = || Problem::new(ProblemKind::Corrupt, "read the packages", "a layer could not be read");
            let found = scan.inventory.ok_or_else(|| scan.problems.into_iter().next().unwrap_or_else(lost))?;
            Ok((image, found))
        })
    };
    let (image, found) = session.run("read the packages", work).await?;
    let mut tally = Tally { done: 1, failed: None };
    for one in &found.skipped {
        let doing = format!("read the packages in {}", one.place.path.raw());
        tally.failed(&Problem::new(ProblemKind::Limit, doing, one.why.as_str()), &session.printer);
    }
    let more = found.skipped_count.saturating_sub(found.skipped.len());
    if more > 0 {
        tally.failed(&Problem::new(ProblemKind::Limit, "read the packages", format!("{more} more files were left out")), &session.printer);
    }
    let subject = Subject { name: &args.reference, image: &image };
    let document = match args.format {
        SbomFormat::Cyclonedx => cyclonedx(&found, &subject),
        SbomFormat::Spdx => spdx(&found, &subject),
    };
    session.printer.text(&document)?;
    Ok(tally.verdict())
}
