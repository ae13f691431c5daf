use super::*;
use crate::model::{Digest, Operation, PlanKind, SourceId, Target, Verb};

pub(super) fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::new(&dir.path().join("state"));
    (dir, journal)
}

fn plan(before: &Digest) -> Plan {
    let target = Target::try_from("localhost:5000/app:v1".to_owned()).unwrap();
    let line = Operation::new(Verb::DeleteTag, SourceId::registry("localhost:5000"), target, Some(before.clone()), None);
    Plan {
        version: 1,
        kind: PlanKind::Delete,
        made_at: Timestamp::UNIX_EPOCH,
        made_by: "test".into(),
        all_or_nothing: false,
        operations: vec![line.clone(), line],
    }
}

pub(super) fn planned(locked: &Locked, now: Timestamp, saved: &Digest) -> (RunId, Writer) {
    begun(locked, now, saved, None, None)
}

pub(super) fn begun(locked: &Locked, now: Timestamp, saved: &Digest, about: Option<RunId>, backup: Option<&str>) -> (RunId, Writer) {
    let id = locked.next_id(now).unwrap();
    let saved_one = Saved { digest: saved.clone(), media_type: "m".into() };
    let step = Step { saved: vec![saved_one], backup: backup.map(str::to_owned), ..Step::default() };
    let about = about.map(|run| Relation { run, lines: vec![0, 1] });
    let writer = locked.begin(header(id, now, plan(saved), about, vec![step, Step::default()])).unwrap();
    (id, writer)
}

pub(super) async fn finish(writer: Writer) {
    writer.close(&Entry::Commit { at: Timestamp::UNIX_EPOCH }).await.unwrap();
}

fn digest() -> Digest {
    Digest::sha256(b"manifest")
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_run_reads_back_as_far_as_it_was_written() {
    let (_dir, journal) = journal();
    assert_eq!(journal.runs().unwrap(), (vec![], vec![]), "looking makes nothing");
    assert!(!journal.dir.exists());
    let locked = journal.lock().unwrap();
    let (id, writer) = planned(&locked, Timestamp::UNIX_EPOCH, &digest());
    writer.write(&Entry::Begin { n: 0 }).await.unwrap();
    writer.note(&Entry::Done { n: 0, observed: None, recovered: false }, Some(b"{}\n".to_vec())).await;
    writer.write(&Entry::Begin { n: 1 }).await.unwrap();
    let run = journal.read(id).unwrap().unwrap();
    assert_eq!(run.states, [StepState::Done { observed: None, recovered: false }, StepState::Begun]);
    assert_eq!((run.end.clone(), run.damaged), (None, false));
    finish(writer).await;
    assert!(matches!(journal.read(id).unwrap().unwrap().end, Some(End::Commit(_))));
    assert_eq!((mode(&journal.dir), mode(&journal.file(id)), mode(&journal.state.join("audit.jsonl"))), (0o700, 0o600, 0o600));
}

#[tokio::test]
async fn a_second_writer_is_refused_and_can_still_read() {
    let (_dir, journal) = journal();
    let locked = journal.lock().unwrap();
    let (id, writer) = planned(&locked, Timestamp::UNIX_EPOCH, &digest());
    let refused = Journal::new(&journal.state).lock().unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    assert!(refused.cause.as_str().contains("another Lighterman holds the journal"));
    assert!(journal.read(id).unwrap().is_some());
    finish(writer).await;
    drop(locked);
    assert!(journal.lock().is_ok());
}

#[tokio::test]
async fn a_torn_end_is_taken_off_before_more_is_written() {
    let (_dir, journal) = journal();
    let locked = journal.lock().unwrap();
    let (id, writer) = planned(&locked, Timestamp::UNIX_EPOCH, &digest());
    writer.write(&Entry::Begin { n: 0 }).await.unwrap();
    drop(writer);
    let path = journal.file(id);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"event\":\"done\",\"n\":0"].concat()).unwrap();
    let (run, writer) = locked.reopen(id).unwrap();
    assert_eq!(run.states[0], StepState::Begun);
    writer.write(&Entry::NotApplied { n: 0 }).await.unwrap();
    finish(writer).await;
    let run = journal.read(id).unwrap().unwrap();
    assert_eq!((run.states[0].clone(), run.damaged), (StepState::NotApplied, false));
    assert!(locked.reopen(id).is_err(), "it has ended");
    // A plan that was not written to its end did nothing.
    fs::write(&path, &whole[..40]).unwrap();
    assert_eq!(journal.read(id).unwrap(), None);
}

#[tokio::test]
async fn damage_and_other_versions_are_told_from_what_is_whole() {
    let (_dir, journal) = journal();
    let locked = journal.lock().unwrap();
    let (id, writer) = planned(&locked, Timestamp::UNIX_EPOCH, &digest());
    writer.write(&Entry::Begin { n: 0 }).await.unwrap();
    finish(writer).await;
    let path = journal.file(id);
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 3;
    let mut bent = whole.clone();
    bent[second] ^= 1;
    fs::write(&path, &bent).unwrap();
    let run = journal.read(id).unwrap().unwrap();
    assert!(run.damaged && run.end.is_none() && locked.reopen(id).is_err());
    bent[3] ^= 1;
    fs::write(&path, &bent).unwrap();
    assert!(journal.read(id).is_ok_and(|run| run.is_none()) || journal.read(id).is_err());
    let newer = line::write(&serde_json::json!({"event": "plan", "version": 2, "steps": "who knows"})).unwrap();
    fs::write(&path, newer).unwrap();
    assert_eq!(journal.read(id).unwrap_err().kind, ProblemKind::Unsupported);
    drop(locked);
    let refused = journal.lock().unwrap_err();
    assert!(refused.cause.as_str().contains("another version"), "{refused}");
}

#[tokio::test]
async fn ids_follow_each_other_when_the_clock_is_set_back() {
    let (_dir, journal) = journal();
    let locked = journal.lock().unwrap();
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let (first, writer) = planned(&locked, at(1_800_000_000), &digest());
    finish(writer).await;
    let (second, writer) = planned(&locked, at(1_700_000_000), &digest());
    finish(writer).await;
    assert!(first < second);
    assert_eq!(journal.ids().unwrap(), [first, second]);
}

#[tokio::test]
async fn saved_bytes_are_verified_when_they_are_read() {
    let (_dir, journal) = journal();
    let locked = journal.lock().unwrap();
    locked.save(&digest(), b"manifest").unwrap();
    locked.save(&digest(), b"manifest").unwrap();
    assert_eq!(journal.saved(&digest()).unwrap(), b"manifest");
    let path = journal.dir.join("blobs/sha256").join(digest().hex());
    assert_eq!(mode(&path), 0o600);
    fs::write(&path, b"manifesto").unwrap();
    assert_eq!(journal.saved(&digest()).unwrap_err().kind, ProblemKind::Corrupt);
    locked.save(&digest(), b"manifest").unwrap();
    assert!(journal.saved(&digest()).is_ok(), "and written anew where they are needed");
}

#[test]
fn without_a_place_to_write_there_is_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    fs::write(&file, b"").unwrap();
    let refused = Journal::new(&file).lock().unwrap_err();
    assert!(refused.cause.as_str().contains("nothing is changed that can't be written down first"), "{refused}");
}
