//! The family of an image in the inspect view: told once the images of this machine were read, by the deck and without a terminal.

#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/scene.rs"]
mod scene;

use std::sync::Arc;

use lighterman::app::overlay::{InspectLine, Overlay};
use lighterman::app::{State, update};
use lighterman::curate;
use lighterman::flow::{Action, Chord, Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::model::image::chain_ids;
use lighterman::model::{Digest, Drift, Problem, ProblemKind};

/// The fields of the view's section `Family`, as `name: value`.
fn family(state: &State) -> Vec<String> {
    let Some(Overlay::Inspect(inspect)) = state.overlays.last() else { panic!("no view is open") };
    let lines = inspect.lines.iter().skip_while(|line| **line != InspectLine::Heading("Family")).skip(1);
    let fields = lines.map_while(|line| match line {
        InspectLine::Field { name, value } => Some(format!("{name}: {value}")),
        _ => None,
    });
    fields.collect()
}

/// Does what the deck asked to have looked up.
fn look(state: &mut State) {
    let asked = state.jobs.iter().filter(|(_, job)| matches!(job, Job::Family { .. })).max_by_key(|(id, _)| id.0);
    let (id, Job::Family { image, list, layers }) = asked.map(|(id, job)| (*id, job.clone())).unwrap() else { panic!() };
    let found = curate::family::family(&image, &list, &layers);
    let _ = update(state, Msg::Job(id, JobEvent::Done(JobOutput::Family(Box::new(found)))));
}

#[test]
fn an_image_is_shown_with_its_base_and_with_what_is_built_on_it() {
    let mut state = scene::full(120, 40);
    let _ = update(&mut state, Msg::Act(Action::Inspect));
    let reading = |state: &State| state.jobs.iter().find(|(_, job)| matches!(job, Job::Layers { .. })).map(|(id, job)| (*id, job.clone()));
    let (job, Job::Layers { images, .. }): (JobId, Job) = reading(&state).unwrap() else { panic!() };
    let shown = state.layers.image.value.clone().unwrap();
    let diff_ids: Vec<Digest> = shown.layers.as_ref().unwrap().iter().filter_map(|layer| layer.diff_id.clone()).collect();
    assert!(diff_ids.len() > 2, "the picture has an image of several layers");
    assert_eq!(family(&state), Vec::<String>::new(), "it is looked for beside the screen");
    look(&mut state);
    assert_eq!(family(&state), [format!("based on: 0 of {} other images read", images.len() - 1)]);
    let chain: Vec<(Digest, u64)> = chain_ids(&diff_ids).into_iter().map(|id| (id, 10)).collect();
    let mut others = images.iter().filter(|id| **id != shown.id);
    let (base, child) = (others.next().unwrap(), others.next().unwrap());
    let longer = [chain.clone(), vec![(Digest::sha256(b"more"), 1)]].concat();
    let mut told = vec![(shown.id.clone(), Some(chain.clone())), (base.clone(), Some(chain[..2].to_vec())), (child.clone(), Some(longer))];
    told.extend(others.map(|id| (id.clone(), Some(vec![(Digest::sha256(b"another"), 1)]))));
    let _ = update(&mut state, Msg::Job(job, JobEvent::Chunk(JobOutput::Layers(told))));
    let _ = update(&mut state, Msg::Job(job, JobEvent::Done(JobOutput::Told)));
    look(&mut state);
    let lines = family(&state);
    let name = |id: &Digest| {
        let list = state.images.list.value.as_ref().unwrap();
        let image = list.images.iter().find(|image| image.id == *id).unwrap();
        image.tags.first().map_or_else(|| id.short().to_owned(), |name| name.raw().to_owned())
    };
    assert_eq!(lines[0], format!("built on: {}: its first 2 layers are all of that image's", name(base)));
    assert_eq!(lines[1], "that tag now: its registry was not asked: u asks");
    assert_eq!(lines[2], format!("built on it: {}", name(child)));
    assert!(lines[3].starts_with("bytes: 0 B in no other image here"), "{lines:?}");
    assert_eq!(lines.len(), 4, "all were read: {lines:?}");
    // What was read is not read again.
    let _ = update(&mut state, Msg::Act(Action::Back));
    let _ = update(&mut state, Msg::Act(Action::Inspect));
    assert_eq!(reading(&state), None);
}

#[test]
fn the_registry_of_its_base_is_asked_whether_the_tag_has_moved() {
    let mut state = scene::full(120, 40);
    let mut shown = (*state.layers.image.value.clone().unwrap()).clone();
    let mut config = shown.config.clone().unwrap_or_default();
    let then = Digest::sha256(b"base then");
    config.labels.insert("org.opencontainers.image.base.name".to_owned(), "registry.example.com/os:12".into());
    config.labels.insert("org.opencontainers.image.base.digest".to_owned(), then.to_string().into());
    shown.config = Some(config);
    state.layers.image.value = Some(Arc::new(shown));
    let _ = update(&mut state, Msg::Act(Action::Inspect));
    look(&mut state);
    let now = |state: &State| family(state).into_iter().find_map(|line| line.strip_prefix("that tag now: ").map(str::to_owned)).unwrap();
    assert_eq!(now(&state), "its registry was not asked: u asks");
    let asked = |state: &State| state.jobs.iter().find(|(_, job)| matches!(job, Job::Drift { .. })).map(|(id, job)| (*id, job.clone()));
    assert_eq!(asked(&state), None, "no registry hears of it before");
    let mut answers = |answer: Result<Drift, Problem>| {
        let _ = update(&mut state, Msg::Key { chord: Chord::char('u'), held: false });
        assert_eq!(now(&state), "its registry is being asked");
        let (id, Job::Drift { tags }) = asked(&state).unwrap() else { panic!() };
        let [tag] = &tags[..] else { panic!("{tags:?}") };
        assert_eq!(
            (tag.name.raw(), tag.repo_digests[0].raw()),
            ("registry.example.com/os:12", &*format!("registry.example.com/os@{then}"))
        );
        let _ = update(&mut state, Msg::Job(id, JobEvent::Chunk(JobOutput::Drift(vec![(tag.clone(), answer)]))));
        let _ = update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::Told)));
        now(&state)
    };
    assert_eq!(answers(Ok(Drift::Same)), "it has not moved");
    let to = Digest::sha256(b"base now");
    assert_eq!(answers(Ok(Drift::Moved(to.clone()))), format!("it has moved: registry.example.com/os:12 is at {} now", to.short()));
    assert_eq!(answers(Err(Problem::new(ProblemKind::Unreachable, "ask", "no route"))), "not known: no route");
}
