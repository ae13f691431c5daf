//! What a frame costs: the whole deck over ten thousand images, and making their rows anew for a filter or a sort.
//!
//! Targets: a frame at 200×60 below 2 ms, a key to a changed frame below 16 ms. `cargo bench --bench draw`.

#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::allow_attributes,
    reason = "a bench that can't make its scene has nothing to measure"
)]

use divan::Bencher;
use lighterman::app::State;
use lighterman::flow::Action;
use lighterman::model::filter::Filter;
use lighterman::ui::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

#[path = "../tests/common/scene.rs"]
mod scene;

fn main() {
    divan::main();
}

fn frame(bencher: Bencher<'_, '_>, state: &State) {
    let theme: Theme = scene::dark();
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.width, state.height));
    bencher.bench_local(|| lighterman::app::draw::draw_in(divan::black_box(&mut buffer), divan::black_box(state), &theme));
}

#[divan::bench(args = [(80, 24), (120, 40), (200, 60)])]
fn frame_of_ten_thousand(bencher: Bencher<'_, '_>, (width, height): (u16, u16)) {
    frame(bencher, &scene::many(width, height));
}

#[divan::bench]
fn frame_with_marks_and_tasks_200x60(bencher: Bencher<'_, '_>) {
    let mut state = scene::with_tasks(scene::many(200, 60));
    state.drawer = Some(lighterman::pane::PaneId::Tasks);
    state.images.act(Action::InvertMarks, scene::now());
    scene::size(&mut state, 200, 60);
    frame(bencher, &state);
}

#[divan::bench]
fn frame_of_hostile_text_200x60(bencher: Bencher<'_, '_>) {
    frame(bencher, &scene::hostile(200, 60));
}

#[divan::bench(args = ["", "quay", "service v1 !build", "size:>500MB age:>30d unused", "re:service-0[1-3]"])]
fn filter_ten_thousand(bencher: Bencher<'_, '_>, text: &str) {
    let mut state = scene::many(200, 60);
    state.images.filter = Filter::parse(text).unwrap();
    bencher.bench_local(|| state.images.rebuild(scene::now()));
}

#[divan::bench(args = [Action::SortName, Action::SortSize, Action::SortUse])]
fn sort_ten_thousand(bencher: Bencher<'_, '_>, action: Action) {
    let mut state = scene::many(200, 60);
    bencher.bench_local(|| state.images.act(action, scene::now()));
}

/// A theme is read at the start and when another is chosen.
#[divan::bench]
fn read_a_theme() -> Theme {
    scene::dark().at(lighterman::ui::Depth::Indexed)
}
