//! The family of an image in the inspect view: told once the images of this machine were read, by the deck and without a terminal.

#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/scene.rs"]
mod scene;

use lighterman::app::overlay::{InspectLine, Overlay};
use lighterman::app::{State, update};
use lighterman::curate;
use lighterman::flow::{Action, Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::model::Digest;
use lighterman::model::image::chain_ids;

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
    assert_eq!(lines[1], format!("built on it: {}", name(child)));
    assert!(lines[2].starts_with("bytes: 0 B in no other image here"), "{lines:?}");
    assert_eq!(lines.len(), 3, "all were read: {lines:?}");
    // What was read is not read again.
    let _ = update(&mut state, Msg::Act(Action::Back));
    let _ = update(&mut state, Msg::Act(Action::Inspect));
    assert_eq!(reading(&state), None);
}
