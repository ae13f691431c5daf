//! What takes the space, without a terminal or a source: read once, reckoned beside the screen, and a way from each row to the images.

#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/scene.rs"]
mod scene;

use lighterman::app::overlay::{Overlay, SpaceRow, SpaceView};
use lighterman::app::{State, update};
use lighterman::curate;
use lighterman::flow::{Action, Chord, Job, JobEvent, JobId, JobOutput, Key, Msg, Shared};
use lighterman::model::{Digest, Problem, ProblemKind};
use lighterman::pane::PaneId;

fn act(state: &mut State, action: Action) {
    let _ = update(state, Msg::Act(action));
}

fn press(state: &mut State, key: Key) {
    let _ = update(state, Msg::Key { chord: Chord::plain(key), held: false });
}

fn newest(state: &State, kind: impl Fn(&Job) -> bool) -> Option<(JobId, Job)> {
    state.jobs.iter().filter(|(_, job)| kind(job)).max_by_key(|(id, _)| id.0).map(|(id, job)| (*id, job.clone()))
}

fn view(state: &State) -> &SpaceView {
    let Some(Overlay::Space(view)) = state.overlays.last() else { panic!("no view is open") };
    view
}

/// Does what was asked to have reckoned.
fn reckon(state: &mut State) {
    let (id, Job::Space { list, layers }) = newest(state, |job| matches!(job, Job::Space { .. })).unwrap() else { panic!() };
    let space = Shared::new(curate::space::space(&list, &layers));
    let _ = update(state, Msg::Job(id, JobEvent::Done(JobOutput::Space(space))));
}

/// Answers what images hold: a base of all, and a layer each that is larger the later the image stands.
fn read(state: &mut State, ends: bool) {
    let (id, Job::Layers { images, .. }) = newest(state, |job| matches!(job, Job::Layers { .. })).unwrap() else { panic!() };
    let of = |(n, image): (usize, &Digest)| {
        let own = (Digest::sha256(&n.to_le_bytes()), 1_000_000 * (n as u64 + 1));
        (image.clone(), Some(vec![(Digest::sha256(b"base"), 70_000_000), own]))
    };
    let told = images.iter().enumerate().map(of).collect();
    let _ = update(state, Msg::Job(id, JobEvent::Chunk(JobOutput::Layers(told))));
    if ends {
        let _ = update(state, Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    }
}

fn names(state: &State) -> Vec<String> {
    let view = view(state);
    let name = |row: &SpaceRow| match row {
        SpaceRow::Repository(n) => view.repository(*n).unwrap().name.as_ref().map_or_else(|| "-".to_owned(), |name| name.raw().to_owned()),
        SpaceRow::Image(n, at) => view.image(*n, *at).unwrap().name.as_ref().map_or_else(|| "-".to_owned(), |name| name.raw().to_owned()),
    };
    view.rows.iter().map(name).collect()
}

#[test]
fn repositories_are_told_by_what_they_alone_hold_and_lead_to_their_rows() {
    let mut state = scene::full(120, 40);
    act(&mut state, Action::Space);
    reckon(&mut state);
    assert!(scene::draw_text(&state).contains("Reading what the images hold"), "{}", scene::draw_text(&state));
    assert!(view(&state).is_reading);
    // What arrives shows, and one reckoning is under way at a time.
    read(&mut state, false);
    let (first, _) = newest(&state, |job| matches!(job, Job::Space { .. })).unwrap();
    read(&mut state, true);
    let (last, _) = newest(&state, |job| matches!(job, Job::Space { .. })).unwrap();
    assert!(first < last && !view(&state).is_reading, "at the end all is reckoned anew");
    reckon(&mut state);
    let space = view(&state).space.clone().unwrap();
    assert_eq!((space.based_on, space.bytes.shared), ((32, 32), 70_000_000));
    assert_eq!(space.stored, 70_000_000 + (1..=32).sum::<u64>() * 1_000_000);
    let own: Vec<u64> = space.repositories.iter().map(|repository| repository.bytes.own).collect();
    assert!(own.is_sorted_by(|a, b| a >= b), "{own:?}");
    // A repository unfolds into its images, by what each alone holds.
    let folded = names(&state);
    let at = folded.iter().position(|name| name == "postgres").unwrap();
    for _ in 0..at {
        press(&mut state, Key::Down);
    }
    press(&mut state, Key::Right);
    let unfolded = names(&state);
    assert_eq!(
        unfolded.len(),
        folded.len() + space.repositories.iter().find(|r| r.name.as_ref().is_some_and(|n| n.raw() == "postgres")).unwrap().images.len()
    );
    assert!(unfolded.get(at + 1).unwrap().starts_with("postgres:"), "{unfolded:?}");
    // What is known later neither folds nor moves anything.
    let again = newest(&state, |job| matches!(job, Job::Space { .. }));
    assert!(again.is_none());
    press(&mut state, Key::Down);
    let wanted = names(&state).get(view(&state).cursor.at).unwrap().clone();
    press(&mut state, Key::Enter);
    assert!(state.overlays.is_empty() && state.focus == PaneId::Images);
    assert_eq!(state.images.selected().unwrap().1.unwrap().raw(), wanted);
    // What was read is not read again, and a filter that hides the rows gives way.
    let _ = update(&mut state, Msg::Act(Action::Filter));
    for c in "redis".chars() {
        press(&mut state, Key::Char(c));
    }
    press(&mut state, Key::Enter);
    act(&mut state, Action::Space);
    assert!(newest(&state, |job| matches!(job, Job::Layers { .. })).is_none());
    reckon(&mut state);
    let at = names(&state).iter().position(|name| name == "postgres").unwrap();
    for _ in 0..at {
        press(&mut state, Key::Down);
    }
    press(&mut state, Key::Enter);
    assert_eq!(state.images.selected().unwrap().1.unwrap().split().0, "postgres");
    assert!(state.images.filter.is_empty());
}

#[test]
fn it_closes_and_what_fails_or_comes_late_breaks_nothing() {
    let mut state = scene::full(120, 40);
    act(&mut state, Action::Space);
    let (id, _) = newest(&state, |job| matches!(job, Job::Space { .. })).unwrap();
    press(&mut state, Key::Enter);
    assert_eq!(state.overlays.len(), 1, "there is nothing to go to yet");
    press(&mut state, Key::Esc);
    assert!(state.overlays.is_empty());
    let _ = update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::Space(Shared::new(lighterman::model::Space::default())))));
    assert!(state.overlays.is_empty());
    act(&mut state, Action::Space);
    let (id, _) = newest(&state, |job| matches!(job, Job::Space { .. })).unwrap();
    let lost = Problem::new(ProblemKind::Other, "reckon up the space", "its thread was lost");
    let _ = update(&mut state, Msg::Job(id, JobEvent::Failed(lost)));
    assert!(scene::draw_text(&state).contains("its thread was lost"));
    let mut empty = scene::empty(80, 24);
    act(&mut empty, Action::Space);
    reckon(&mut empty);
    assert!(scene::draw_text(&empty).contains("There are no images"), "{}", scene::draw_text(&empty));
}
