//! `ci`: how much of an image is wasted, and whether that is too much.
//!
//! Efficiency is counted as `dive` counts it, so that a bound means the same to both. Wasted are the bytes that a later layer hides, each once:
//! what the image would be smaller by. `dive`'s own sum of waste counts the copy that is still seen, too.

use std::fmt::Write as _;

use serde::Serialize;

use super::files::look;
use super::layer_args::CiArgs;
use super::print::{Align, Table, or_dash};
use super::session::Session;
use super::{Done, Verdict};
use crate::layer::Tree;
use crate::layer::efficiency::Efficiency;
use crate::layer::waste::Waste;
use crate::model::{Safe, size};
use crate::work::layer_index::Depth;

/// The least efficiency where no bound was given, as `dive` has it.
const USUAL: f64 = 0.9;
/// Paths that are named.
const MOST_NAMED: usize = 10;

#[derive(Debug, Serialize)]
struct Score {
    /// From 0 to 1.
    efficiency: f64,
    wasted_bytes: u64,
    pass: bool,
}

pub(super) async fn run(session: &Session, args: &CiArgs) -> Verdict {
    let look = look(session, &args.reference, args.platform.as_ref(), None, Depth::Whole).await?;
    // A part of an image says nothing of the whole.
    if let Some(problem) = look.problems().next() {
        return Err(problem.clone());
    }
    let tree = look.tree()?;
    let (efficiency, waste) = (Efficiency::new(&tree).score, Waste::new(&tree));
    let (bounds, wasted_bytes) = (Bounds::new(args), waste.bytes());
    let score = Score { efficiency, wasted_bytes, pass: bounds.efficient(efficiency) && bounds.sparing(wasted_bytes) };
    if session.printer.json {
        session.printer.document(&score)?;
    } else {
        session.printer.text(&text(&score, &bounds, &waste, &tree))?;
    }
    Ok(if score.pass { Done::All } else { Done::Failed })
}

struct Bounds {
    least: Option<f64>,
    most: Option<u64>,
}

impl Bounds {
    fn new(args: &CiArgs) -> Self {
        let least = args.min_efficiency.or_else(|| args.max_wasted.is_none().then_some(USUAL));
        Self { least, most: args.max_wasted }
    }

    fn efficient(&self, score: f64) -> bool {
        self.least.is_none_or(|least| score >= least)
    }

    fn sparing(&self, wasted: u64) -> bool {
        self.most.is_none_or(|most| wasted <= most)
    }
}

fn text(score: &Score, bounds: &Bounds, waste: &Waste, tree: &Tree) -> String {
    use Align::{Left, Right};
    let word = |given: bool, holds: bool| match (given, holds) {
        (false, _) => "",
        (true, true) => "passes",
        (true, false) => "FAILS",
    };
    let mut table = Table::new(&[("", Left), ("", Right), ("", Left), ("", Left)]);
    let least = bounds.least.map(|least| format!("at least {least}")).unwrap_or_default();
    let most = bounds.most.map(|most| format!("at most {}", size::human(most))).unwrap_or_default();
    table.row(vec![
        "Efficiency".into(),
        format!("{:.4}", score.efficiency).into(),
        least.into(),
        word(bounds.least.is_some(), bounds.efficient(score.efficiency)).into(),
    ]);
    table.row(vec![
        "Wasted".into(),
        size::human(score.wasted_bytes).into(),
        most.into(),
        word(bounds.most.is_some(), bounds.sparing(score.wasted_bytes)).into(),
    ]);
    let mut out = table.render(false);
    if !waste.paths.is_empty() {
        let mut worst = Table::new(&[("WASTED", Right), ("OVERWRITTEN", Right), ("REMOVED", Right), ("PATH", Left)]);
        let some = |bytes: u64| or_dash((bytes > 0).then(|| size::human(bytes).into()));
        for path in waste.paths.iter().take(MOST_NAMED) {
            let name = Safe::new(&String::from_utf8_lossy(&tree.path(path.node)));
            worst.row(vec![size::human(path.bytes()).into(), some(path.overwritten), some(path.removed), name]);
        }
        out.push('\n');
        out.push_str(&worst.render(false));
        let rest = waste.paths.len().saturating_sub(MOST_NAMED);
        if rest > 0 {
            let _ = writeln!(out, "… and {rest} more");
        }
    }
    out
}
