//! What a policy's run did, as text that a Prometheus exporter reads from a file. May use model; pure but for the reading and the writing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::model::Problem;
use crate::shell::paths::{read_bounded, write_readable};

const SUCCESS: &str = "lighterman_policy_last_success_timestamp_seconds";
/// Longest file that is looked into, in bytes.
const LONGEST: u64 = 4 << 20;

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// With its registry.
    pub(super) repository: String,
    /// Tags: kept, dropped and failed. `None` where nothing could be decided.
    pub(super) tags: Option<[usize; 3]>,
    /// Bytes that what was done freed, at least and at most.
    pub(super) freed: Option<(u64, u64)>,
    /// All that the policy asked for was done.
    pub(super) success: bool,
}

/// Replaces `file` as a whole; a time of success that it told stays for what did not succeed now. `now` is in seconds since 1970.
///
/// # Errors
/// What the file system said; the file is as it was.
pub(super) fn write(file: &Path, samples: &[Sample], now: i64) -> Result<(), Problem> {
    // What can't be read tells no time; that it can't be replaced is said below.
    let old = read_bounded(file, LONGEST).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let text = text(samples, &successes(&old), now);
    write_readable(file, text.as_bytes()).map_err(|error| Problem::disk("write the metrics", file, &error))
}

/// The times of success in the text of an earlier run, by repository as it is quoted there.
fn successes(old: &str) -> BTreeMap<&str, i64> {
    let of = |line: &'_ str| -> Option<(usize, usize, i64)> {
        let start = SUCCESS.len() + "{repository=\"".len();
        let rest = line.strip_prefix(SUCCESS)?.strip_prefix("{repository=\"")?;
        let (name, time) = rest.rsplit_once("\"} ")?;
        Some((start, start + name.len(), time.parse().ok()?))
    };
    old.lines().filter_map(|line| of(line).and_then(|(from, to, time)| Some((line.get(from..to)?, time)))).collect()
}

fn text(samples: &[Sample], before: &BTreeMap<&str, i64>, now: i64) -> String {
    let mut out = String::new();
    let head = |out: &mut String, name: &str, help: &str| _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    head(&mut out, "lighterman_policy_tags", "Tags of a repository by what a policy's last run did with them.");
    for sample in samples {
        let name = quoted(&sample.repository);
        let counts = sample.tags.iter().flatten();
        for (decision, count) in ["kept", "dropped", "failed"].into_iter().zip(counts) {
            _ = writeln!(out, "lighterman_policy_tags{{repository=\"{name}\",decision=\"{decision}\"}} {count}");
        }
    }
    let help = "Bytes that no manifest needs any more since the last run: what the registry's garbage collection frees.";
    head(&mut out, "lighterman_policy_freed_bytes", help);
    for sample in samples {
        let name = quoted(&sample.repository);
        for (bound, bytes) in sample.freed.iter().flat_map(|(least, most)| [("at_least", least), ("at_most", most)]) {
            _ = writeln!(out, "lighterman_policy_freed_bytes{{repository=\"{name}\",bound=\"{bound}\"}} {bytes}");
        }
    }
    head(&mut out, "lighterman_policy_success", "Whether the last run did all that the policy asked for.");
    for sample in samples {
        _ = writeln!(out, "lighterman_policy_success{{repository=\"{}\"}} {}", quoted(&sample.repository), u8::from(sample.success));
    }
    head(&mut out, "lighterman_policy_last_run_timestamp_seconds", "When a policy was run last.");
    _ = writeln!(out, "lighterman_policy_last_run_timestamp_seconds {now}");
    head(&mut out, SUCCESS, "When a run last did all that the policy asked for.");
    for sample in samples {
        let name = quoted(&sample.repository);
        let time = if sample.success { Some(now) } else { before.get(&*name).copied() };
        if let Some(time) = time {
            _ = writeln!(out, "{SUCCESS}{{repository=\"{name}\"}} {time}");
        }
    }
    out
}

/// A label's value between its quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn sample(repository: &str, tags: Option<[usize; 3]>) -> Sample {
        let freed = tags.map(|[_, dropped, _]| (10 * dropped as u64, 11 * dropped as u64));
        Sample { repository: repository.to_owned(), tags, freed, success: tags.is_some_and(|[_, _, failed]| failed == 0) }
    }

    #[test]
    fn a_time_of_success_outlives_a_run_that_failed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.prom");
        write(&file, &[sample("h:5/a", Some([3, 2, 0])), sample("h:5/b\"\\", Some([1, 0, 0]))], 100).unwrap();
        write(&file, &[sample("h:5/a", Some([3, 1, 1])), sample("h:5/b\"\\", None), sample("h:5/c", None)], 200).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let values: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            values,
            [
                "lighterman_policy_tags{repository=\"h:5/a\",decision=\"kept\"} 3",
                "lighterman_policy_tags{repository=\"h:5/a\",decision=\"dropped\"} 1",
                "lighterman_policy_tags{repository=\"h:5/a\",decision=\"failed\"} 1",
                "lighterman_policy_freed_bytes{repository=\"h:5/a\",bound=\"at_least\"} 10",
                "lighterman_policy_freed_bytes{repository=\"h:5/a\",bound=\"at_most\"} 11",
                "lighterman_policy_success{repository=\"h:5/a\"} 0",
                "lighterman_policy_success{repository=\"h:5/b\\\"\\\\\"} 0",
                "lighterman_policy_success{repository=\"h:5/c\"} 0",
                "lighterman_policy_last_run_timestamp_seconds 200",
                "lighterman_policy_last_success_timestamp_seconds{repository=\"h:5/a\"} 100",
                "lighterman_policy_last_success_timestamp_seconds{repository=\"h:5/b\\\"\\\\\"} 100",
            ]
        );
        // Others read it, and nothing else is left behind.
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write(&dir.path().join("absent/policy.prom"), &[], 1).is_err());
    }
}
