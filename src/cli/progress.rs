//! How far a verb is, on standard error: one line drawn again at most ten times a second on a terminal, elsewhere a line for every
//! finished step when `--verbose` asks for it.

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::print::Printer;
use crate::model::{Progress, StepState, size};
use crate::source::Meter;

const EVERY: Duration = Duration::from_millis(100);

/// Runs `verb` to its end and tells how far it is.
pub(super) async fn shown<T>(verb: impl Future<Output = T>, meter: &Meter, printer: &Printer) -> T {
    if !printer.live && !printer.verbose {
        let answer = verb.await;
        warned(meter, printer);
        return answer;
    }
    let mut teller = Teller { printer, told: Vec::new(), version: 0, width: 0, drawn: false, rate: Rate::default() };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(verb);
    loop {
        tokio::select! {
            biased;
            answer = &mut verb => {
                teller.wipe();
                if printer.verbose {
                    teller.steps(&meter.snapshot());
                }
                warned(meter, printer);
                return answer;
            }
            _ = ticks.tick() => teller.tick(meter),
        }
    }
}

fn warned(meter: &Meter, printer: &Printer) {
    for warning in meter.snapshot().warnings {
        printer.say(format_args!("lighterman: warning: {warning}"));
    }
}

struct Teller<'a> {
    printer: &'a Printer,
    /// State of each step when it was last told of.
    told: Vec<StepState>,
    version: u64,
    width: usize,
    drawn: bool,
    rate: Rate,
}

impl Teller<'_> {
    fn tick(&mut self, meter: &Meter) {
        let version = meter.version();
        if version == self.version {
            return;
        }
        self.version = version;
        let progress = meter.snapshot();
        if self.printer.verbose {
            self.wipe();
            self.steps(&progress);
        }
        if self.printer.live {
            self.width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
            let line = cut(&line(&progress, self.rate.of(&progress)), self.width.saturating_sub(1));
            self.printer.draw(&format!("\r\x1b[2K{line}"));
            self.drawn = true;
        }
    }

    fn wipe(&mut self) {
        if self.drawn {
            self.printer.draw("\r\x1b[2K");
            self.drawn = false;
        }
    }

    fn steps(&mut self, progress: &Progress) {
        self.told.resize(progress.steps.len(), StepState::Waiting);
        for (step, told) in progress.steps.iter().zip(&mut self.told) {
            let word = match step.state {
                state if state == *told => continue,
                StepState::Done => "done",
                StepState::Skipped => "already there",
                StepState::Failed => "failed",
                StepState::Waiting | StepState::Running => continue,
            };
            *told = step.state;
            self.printer.say(format_args!("{}: {word}, {}", step.label, size::human(step.done)));
        }
    }
}

/// Bytes a second over about the last three seconds, in ticks of ours.
#[derive(Default)]
struct Rate {
    samples: std::collections::VecDeque<u64>,
}

impl Rate {
    fn of(&mut self, progress: &Progress) -> Option<u64> {
        let (done, _) = progress.totals();
        self.samples.push_back(done);
        if self.samples.len() > 31 {
            self.samples.pop_front();
        }
        let first = *self.samples.front()?;
        let ticks = u64::try_from(self.samples.len()).ok()?.checked_sub(1).filter(|&ticks| ticks > 2)?;
        Some(done.saturating_sub(first).saturating_mul(10) / ticks)
    }
}

fn line(progress: &Progress, rate: Option<u64>) -> String {
    let ended = |state| matches!(state, StepState::Done | StepState::Skipped);
    let steps = progress.steps.iter().filter(|step| ended(step.state)).count();
    let (done, total) = progress.totals();
    let mut line = progress.phase.to_string();
    if progress.steps.len() > 1 {
        let _ = write!(line, "  {steps}/{}", progress.steps.len());
    }
    if done > 0 {
        let _ = write!(line, "  {}", size::human(done));
        if let Some(total) = total {
            let _ = write!(line, " of {}", size::human(total));
            let _ = write!(line, " ({}%)", done.saturating_mul(100).checked_div(total).unwrap_or(0).min(100));
        }
    }
    if let Some(rate) = rate.filter(|&rate| rate > 0) {
        let _ = write!(line, "  {}/s", size::human(rate));
    }
    line
}

/// The beginning of `text` that fits into `width` columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Safe;

    #[test]
    fn one_line_says_how_far_it_is() {
        let meter = Meter::default();
        meter.phase("pulling app:1");
        let step = meter.step(Safe::new("layer"), Some(4_000_000));
        meter.step(Safe::new("other"), Some(4_000_000));
        meter.add(step, 2_000_000);
        let progress = meter.snapshot();
        assert_eq!(line(&progress, Some(1_000_000)), "pulling app:1  0/2  2.00 MB of 8.00 MB (25%)  1.00 MB/s");
        assert_eq!(cut("日本語", 5), "日本");
    }
}
