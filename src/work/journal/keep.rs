//! How long runs are kept: the last thousand, none older than 90 days, and the manifests and backups that those need. A run without an end
//! stays until somebody looked at it, and one that is being taken back or gone on with stays for that.

use std::collections::HashSet;
use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::{Locked, RunId, Step};
use crate::model::{Digest, Problem};

const MOST_RUNS: usize = 1000;
/// Runs beyond that before any goes: each going reads all that stay.
const SLACK: usize = 50;
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Locked {
    /// Takes away what is not kept any more; how many runs went. `about` is the run that the next one will be about: it stays, however old,
    /// as do those that it is about. A file that can't be read stays.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn sweep(&self, now: Timestamp, about: Option<RunId>) -> Result<usize, Problem> {
        self.sweep_beyond(now, about, MOST_RUNS, SLACK)
    }

    fn sweep_beyond(&self, now: Timestamp, about: Option<RunId>, most: usize, slack: usize) -> Result<usize, Problem> {
        let ids = self.journal().ids()?;
        let surplus = if ids.len() > most + slack { ids.len() - most } else { 0 };
        let old = |id: RunId| now.duration_since(id.at()) > LONGEST;
        let due: Vec<RunId> = ids.into_iter().enumerate().filter(|(at, id)| *at < surplus || old(*id)).map(|(_, id)| id).collect();
        if due.is_empty() {
            return Ok(0);
        }
        let needed = self.chain(about);
        let mut gone = 0;
        for id in due.into_iter().filter(|id| !needed.contains(id)) {
            // One that was never planned did nothing.
            if self.journal().read(id).is_ok_and(|run| run.is_none_or(|run| run.end.is_some() && !run.damaged)) {
                gone += usize::from(fs::remove_file(self.journal().file(id)).is_ok());
            }
        }
        if gone > 0 {
            self.sweep_saved()?;
        }
        Ok(gone)
    }

    /// A run, the one that it is about, and so on.
    fn chain(&self, first: Option<RunId>) -> HashSet<RunId> {
        let (mut chain, mut next) = (HashSet::new(), first);
        while let Some(id) = next.filter(|id| chain.insert(*id)) {
            next = self.journal().read(id).ok().flatten().and_then(|run| run.header.about).map(|about| about.run);
        }
        chain
    }

    /// Removes the manifests and backups that no run needs. Nothing goes while a run can't be read: nobody knows what that needs.
    fn sweep_saved(&self) -> Result<(), Problem> {
        let (runs, unreadable) = self.journal().runs()?;
        if !unreadable.is_empty() {
            return Ok(());
        }
        let steps: Vec<Step> = runs.into_iter().flat_map(|run| run.header.steps).collect();
        // What takes an undo back names the backups of the run that wrote them, which may be long gone.
        let backups: HashSet<&str> = steps.iter().filter_map(|step| step.backup.as_deref()?.split_once('/')).map(|(run, _)| run).collect();
        self.sweep_backups(&backups);
        let manifests = steps.iter().flat_map(|step| step.saved.iter().chain(&step.restore)).map(|saved| &saved.digest).collect();
        self.sweep_blobs(&manifests);
        Ok(())
    }

    /// `needed` names runs.
    fn sweep_backups(&self, needed: &HashSet<&str>) {
        let Ok(entries) = fs::read_dir(self.journal().dir.join("backups")) else { return };
        for entry in entries.filter_map(Result::ok) {
            let unneeded = entry.file_name().to_str().filter(|name| !needed.contains(name)).and_then(|name| name.parse::<RunId>().ok());
            if let Some(id) = unneeded {
                let _ = fs::remove_dir_all(self.journal().backups(id));
            }
        }
    }

    fn sweep_blobs(&self, needed: &HashSet<&Digest>) {
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
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{begun, finish, journal, planned};
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
        assert_eq!(locked.sweep_beyond(at(1_700_000_100), None, 3, 0).unwrap(), 2, "the one without an end stays");
        assert_eq!(journal.ids().unwrap(), [ids[1], ids[3], ids[4], ids[5]]);
        assert!(journal.saved(&Digest::sha256(&[b'm', 0])).is_ok(), "still needed");
        assert_eq!(locked.sweep_beyond(at(1_700_000_100 + 91 * 86_400), None, 100, 0).unwrap(), 3);
        assert_eq!(journal.ids().unwrap(), [ids[1]]);
        assert!(journal.saved(&Digest::sha256(&[b'm', 2])).is_err());
    }

    #[tokio::test]
    async fn what_the_next_run_is_about_stays_with_all_it_needs() {
        let (_dir, journal) = journal();
        let locked = journal.lock().unwrap();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut ids = Vec::new();
        for n in 0..4_u8 {
            let digest = Digest::sha256(&[n]);
            locked.save(&digest, &[n]).unwrap();
            let (id, writer) = begun(&locked, at(1_700_000_000 + i64::from(n)), &digest, ids.get(1).copied().filter(|_| n == 2), None);
            finish(writer).await;
            ids.push(id);
        }
        let late = at(1_700_000_000 + 91 * 86_400);
        assert_eq!(locked.sweep(late, Some(ids[2])).unwrap(), 2);
        assert_eq!(journal.ids().unwrap(), [ids[1], ids[2]], "an undo, and the run that it took back");
        assert!(journal.saved(&Digest::sha256(&[1])).is_ok() && journal.saved(&Digest::sha256(&[2])).is_ok());
        assert!(journal.saved(&Digest::sha256(&[0])).is_err() && journal.saved(&Digest::sha256(&[3])).is_err());
        assert_eq!(locked.sweep(late, None).unwrap(), 2, "when nothing is about them any more");
    }

    #[tokio::test]
    async fn a_backup_stays_as_long_as_any_run_names_it() {
        let (_dir, journal) = journal();
        let locked = journal.lock().unwrap();
        let at = |day: i64| Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap();
        let digest = Digest::sha256(b"m");
        let first = locked.next_id(at(0)).unwrap();
        let name = format!("{first}/0");
        let backup = journal.backup(&name).unwrap();
        fs::create_dir_all(backup.parent().unwrap()).unwrap();
        fs::write(&backup, b"image").unwrap();
        // Deleted with a backup, taken back, and deleted again, which is what can be taken back now.
        for (day, about, backup) in [(0, None, Some(name.as_str())), (50, Some(first), Some(&name)), (60, None, Some(&name))] {
            let (_, writer) = begun(&locked, at(day), &digest, about, backup);
            finish(writer).await;
        }
        assert_eq!(locked.sweep(at(91), None).unwrap(), 1);
        assert!(backup.exists(), "the later ones need it");
        assert_eq!(locked.sweep(at(200), None).unwrap(), 2);
        assert!(!backup.parent().unwrap().exists());
    }
}
