//! `completions` and `man`: texts made from the definitions of the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Cli;
use super::print::Printer;
use super::{Done, Verdict};
use crate::model::{Problem, ProblemKind};

pub(super) fn completions(shell: Shell, printer: &Printer) -> Verdict {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lighterman", &mut script);
    printer.text(&String::from_utf8_lossy(&script))?;
    Ok(Done::All)
}

/// One page with every command in it.
pub(super) fn man(printer: &Printer) -> Verdict {
    let failed = |error: std::io::Error| Problem::new(ProblemKind::Other, "write the manual page", error.to_string());
    let mut command = Cli::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    let mut roff = Vec::new();
    page.render(&mut roff).map_err(failed)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let page = clap_mangen::Man::new(sub.clone());
        let title = format!(".SH \"COMMAND {}\"\n", sub.get_name().to_uppercase());
        roff.extend_from_slice(title.as_bytes());
        page.render_synopsis_section(&mut roff).map_err(failed)?;
        page.render_description_section(&mut roff).map_err(failed)?;
        page.render_options_section(&mut roff).map_err(failed)?;
    }
    printer.text(&String::from_utf8_lossy(&roff))?;
    Ok(Done::All)
}
