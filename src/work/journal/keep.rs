//! How long runs are kept: the last thousand, none older than 90 days, and the manifests that those need. A run without an end stays until
//! somebody looked at it.

use std::collections::HashSet;
use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::{Locked, RunId};
use crate::model::{Digest, Problem};

const MOST_RUNS: usize = 1000;
/// Runs beyond that before any goes: each going reads all that stay.
const SLACK: usize = 50;
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Locked {
    /// Takes away what is not kept any more; how many runs went. A file that can't be read stays.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, Problem> {
        self.sweep_beyond(now, MOST_RUNS, SLACK)
    }

    fn sweep_beyond(&self, now: Timestamp, most: usize, slack: usize) -> Result<usize, Problem> {
        let ids = self.journal().ids()?;
        let surplus = if ids.len() > most + slack { ids.len() - most } else { 0 };
        let old = |id: RunId| now.duration_since(id.at()) > LONGEST;
        let mut gone = 0;
        for (at, id) in ids.iter().enumerate() {
            let due = at < surplus || old(*id);
            // One that was never planned did nothing.
            if due && self.journal().read(*id).is_ok_and(|run| run.is_none_or(|run| run.end.is_some() && !run.damaged)) {
                let _ = fs::remove_dir_all(self.journal().backups(*id));
                gone += usize::from(fs::remove_file(self.journal().file(*id)).is_ok());
            }
        }
        if gone > 0 {
            self.sweep_blobs()?;
        }
        Ok(gone)
    }

    /// Removes the manifests that no run needs. Nothing goes while a run can't be read: nobody knows what that needs.
    fn sweep_blobs(&self) -> Result<(), Problem> {
        let (runs, unreadable) = self.journal().runs()?;
        if !unreadable.is_empty() {
            return Ok(());
        }
        let needed: HashSet<Digest> = runs
            .into_iter()
            .flat_map(|run| run.header.steps)
            .flat_map(|step| step.saved.into_iter().chain(step.restore))
            .map(|saved| saved.digest)
            .collect();
        for algorithm in ["sha256", "sha512"] {
            let Ok(entries) = fs::read_dir(self.journal().dir.join("blobs").join(algorithm)) else { continue };
            for entry in entries.filter_map(Result::ok) {
                let digest = entry.file_name().to_str().and_then(|hex| format!("{algorithm}:{hex}").parse::<Digest>().ok());
                // What is no digest is a temporary file of a killed process.
                if digest.is_none_or(|digest| !needed.contains(&digest)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{finish, journal, planned};
    use super::*;

    #[tokio::test]
    async fn old_and_surplus_runs_go_with_what_only_they_need() {
        let (_dir, journal) = journal();
        let locked = journal.lock().unwrap();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut ids = Vec::new();
        for n in 0..6_u8 {
            let saved = [b'm', n / 2];
            let digest = Digest::sha256(&saved);
            locked.save(&digest, &saved).unwrap();
            let (id, writer) = planned(&locked, at(1_700_000_000 + i64::from(n)), &digest);
            ids.push(id);
            if n != 1 {
                finish(writer).await;
            }
        }
        assert_eq!(locked.sweep_beyond(at(1_700_000_100), 3, 0).unwrap(), 2, "the one without an end stays");
        assert_eq!(journal.ids().unwrap(), [ids[1], ids[3], ids[4], ids[5]]);
        assert!(journal.saved(&Digest::sha256(&[b'm', 0])).is_ok(), "still needed");
        assert_eq!(locked.sweep_beyond(at(1_700_000_100 + 91 * 86_400), 100, 0).unwrap(), 3);
        assert_eq!(journal.ids().unwrap(), [ids[1]]);
        assert!(journal.saved(&Digest::sha256(&[b'm', 2])).is_err());
    }
}
