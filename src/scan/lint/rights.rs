//! Rules about who may write and who may be whom. Facts: chmod(1) of POSIX and of GNU, sudo(8).

use super::command::Command;
use super::packages::installs;
use super::{Found, Scene};
use crate::model::Severity;

/// Files of one step that are known to be removed.
const MOST_REMOVED: usize = 1_000;

/// How a mode opens files to everybody.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Opens {
    /// It says so of others, or of all with all rights.
    Plainly,
    /// It lets all write what they can read: what tools are given that any user may run.
    ToAll,
}

/// What a mode says of writing by others; `None` where they may not, or not take away what is not theirs.
fn opens(mode: &str) -> Option<Opens> {
    if !mode.is_empty() && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        let mode = u32::from_str_radix(mode, 8).ok()?;
        return (mode & 0o002 != 0 && mode & 0o1000 == 0).then_some(Opens::Plainly);
    }
    let mut opens = None;
    for clause in mode.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, what) = clause.split_at(at);
        let (sign, rights) = (what.chars().next()?, what.get(1..)?);
        if !who.chars().all(|c| matches!(c, 'u' | 'g' | 'o' | 'a')) || rights.contains('t') {
            return None;
        }
        if sign == '-' || !rights.contains('w') {
            continue;
        }
        if who.contains('o') && !who.contains('u') || rights.contains('r') && who.contains(['a', 'o']) {
            opens = Some(Opens::Plainly);
        } else if who.contains(['a', 'o']) {
            opens = opens.or(Some(Opens::ToAll));
        }
    }
    opens
}

fn mode(command: &Command) -> Option<(Opens, Vec<&str>)> {
    let mut operands = command.operands();
    let opens = opens(operands.next()?)?;
    Some((opens, operands.collect()))
}

pub(super) fn chmod(scene: &Scene<'_>, found: &mut Found<'_>) {
    for step in &scene.steps {
        let removed: Vec<&str> =
            step.commands.iter().filter(|command| command.is(&["rm"])).flat_map(Command::operands).take(MOST_REMOVED).collect();
        for command in step.commands.iter().filter(|command| command.is(&["chmod"])) {
            let Some((opens, files)) = mode(command) else { continue };
            // What is gone at the end of the step, or was no file.
            let is_gone = |file: &&str| removed.contains(file) || file.starts_with("/dev/");
            if !files.is_empty() && files.iter().all(is_gone) {
                continue;
            }
            if let Some(finding) = found.command(scene, step, command).filter(|_| opens == Opens::ToAll) {
                finding.severity = Severity::Negligible;
            }
        }
    }
}

pub(super) fn sudo(scene: &Scene<'_>, found: &mut Found<'_>) {
    for (step, command) in scene.commands() {
        let is_used = command.goes_through("sudo") && command.words.len() > 1;
        if is_used || installs(command).is_some_and(|packages| packages.contains(&"sudo")) {
            found.command(scene, step, command);
        }
    }
}

pub(super) fn maintainer(scene: &Scene<'_>, found: &mut Found<'_>) {
    if let Some(step) = scene.steps.iter().find(|step| step.keyword == "MAINTAINER") {
        found.add(step.layer, "", None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_chmod_does() {
        for mode in ["777", "0777", "666", "0666", "2777", "a+rwx", "o+w", "go+w", "o=rw", "u+x,o+w", "ugo+rwx", "7"] {
            assert_eq!(opens(mode), Some(Opens::Plainly), "{mode}");
        }
        for mode in ["a+w", "ugo+w"] {
            assert_eq!(opens(mode), Some(Opens::ToAll), "{mode}");
        }
        for mode in [
            "755", "1777", "3777", "a+rwxt", "g+w", "u+w", "+x", "+w", "o-w", "a-w", "o+x", "a+rX", "ug=rwx", "775", "", "é", "777x", "o",
            ",",
        ] {
            assert_eq!(opens(mode), None, "{mode}");
        }
    }
}
