//! The files of an image in the Layers pane, without a terminal or a source: keys and job events in, state, effects and pictures out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use lighterman::app::{State, update};
use lighterman::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Msg, Shared};
use lighterman::layer::index::{self, Known};
use lighterman::layer::{Index, Tree, View};
use lighterman::model::{Problem, ProblemKind, SourceId};
use lighterman::pane::PaneId;
use lighterman::pane::layers::Files;
use lighterman::ui::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// A layer of these members: a path that ends with a slash is a directory, any other a file of so many bytes.
fn layer(members: &[(&str, usize)]) -> Arc<Index> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in members {
        let mut header = tar::Header::new_ustar();
        let directory = path.ends_with('/');
        header.set_entry_type(if directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_size(*bytes as u64);
        header.set_path(path).unwrap();
        header.set_cksum();
        tar.append(&header, vec![b'x'; *bytes].as_slice()).unwrap();
    }
    Arc::new(index::read(tar.into_inner().unwrap().as_slice(), &Known::default()))
}

struct Deck {
    state: State,
    effects: Vec<Effect>,
}

impl Deck {
    /// In the Layers pane, on its first step.
    fn new(width: u16, height: u16) -> Self {
        let mut deck = Self { state: scene::full(width, height), effects: Vec::new() };
        deck.act(Action::FocusLayers);
        deck.act(Action::Top);
        deck
    }

    fn tell(&mut self, msg: Msg) {
        let effects = update(&mut self.state, msg);
        self.effects.extend(effects);
    }

    fn act(&mut self, action: Action) {
        self.tell(Msg::Act(action));
    }

    fn press(&mut self, keys: &str) {
        for c in keys.chars() {
            self.tell(Msg::Key { chord: Chord::char(c), held: false });
        }
    }

    fn key(&mut self, key: Key) {
        self.tell(Msg::Key { chord: Chord::plain(key), held: false });
    }

    /// The newest job of a kind.
    fn job(&self, kind: impl Fn(&Job) -> bool) -> (JobId, Job) {
        let found = self.state.jobs.iter().filter(|(_, job)| kind(job)).max_by_key(|(id, _)| id.0);
        found.map(|(id, job)| (*id, job.clone())).unwrap()
    }

    /// Gives what is read of the layers, the lowest first; the others hold nothing yet.
    fn read(&mut self, layers: &[Arc<Index>]) {
        self.read_at(layers, 0);
    }

    /// The same, of which those from `first` on were read.
    fn read_at(&mut self, layers: &[Arc<Index>], first: usize) {
        let (id, Job::Files { image, .. }) = self.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
        let count = image.layers.as_ref().unwrap().len();
        let all = (0..count).map(|at| layers.get(at).cloned().unwrap_or_default()).collect();
        let tree = Shared::new(Tree::new(all).unwrap());
        let read = (first..layers.len()).map(|at| (at, None)).collect();
        self.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Files { tree, read })));
        self.arrange();
    }

    /// Does what the deck asked to have summed up.
    fn arrange(&mut self) {
        let (id, Job::Arrange { tree, scope, order }) = self.job(|job| matches!(job, Job::Arrange { .. })) else { panic!() };
        let mut view = View::new(&tree, scope);
        view.set_order(&tree, order);
        self.tell(Msg::Job(id, JobEvent::Done(JobOutput::Arranged { tree, view: Shared::new(view) })));
    }

    fn screen(&self) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.state.width, self.state.height));
        lighterman::app::draw::draw_in(&mut buffer, &self.state, &Theme::builtin("lighterman-dark").unwrap());
        let mut text = String::new();
        for y in 0..buffer.area.height {
            let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The rows as `depth path`.
    fn rows(&self) -> Vec<String> {
        let seen = self.state.layers.files.as_ref().unwrap().shown.as_ref().unwrap();
        let row = |at| seen.rows.get(at).map(|row| format!("{} {}", row.depth, String::from_utf8(seen.tree.path(row.node)).unwrap()));
        (0..seen.rows.len()).filter_map(row).collect()
    }

    fn path(&self) -> String {
        String::from_utf8(self.state.layers.files.as_ref().unwrap().path().unwrap()).unwrap()
    }
}

fn base() -> Arc<Index> {
    layer(&[("etc/", 0), ("etc/os-release", 40), ("etc/passwd", 900), ("usr/bin/tool", 5000), ("var/cache/big", 2_000_000)])
}

fn second() -> Arc<Index> {
    layer(&[("etc/", 0), ("etc/passwd", 950), ("srv/app", 7000), ("var/cache/.wh.big", 0)])
}

/// Nobody has read such a layer: that is said beside what it is said to hold.
#[test]
fn a_layer_that_is_known_by_its_own_table_is_marked() {
    let table = br#"{"version": 1, "entries": [{"name": "etc/issue", "type": "reg", "size": 9, "offset": 1}]}"#;
    let told = Arc::new(index::from_table(table, index::Packing::Gzip, 99, None).unwrap());
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    deck.read(&[told]);
    let screen = deck.screen();
    assert!(screen.contains("etc/") && screen.contains("by its own table"), "{screen}");
    deck.read(&[base()]);
    assert!(!deck.screen().contains("own table"));
}

#[test]
fn a_step_opens_its_files_and_the_tree_grows_while_layers_are_read() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    let (_, Job::Files { layers, image, .. }) = deck.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
    assert_eq!(layers.len(), image.layers.as_ref().unwrap().len(), "of an image that is here, all layers are read");
    assert!(deck.screen().contains("Reading the layer"));
    deck.read(&[base()]);
    assert_eq!(deck.rows(), ["0 etc", "0 usr", "0 var"]);
    deck.press("l");
    assert_eq!(deck.rows(), ["0 etc", "1 etc/os-release", "1 etc/passwd", "0 usr", "0 var"]);
    deck.press("jj");
    // What arrives later neither folds nor moves anything.
    deck.read(&[base(), second()]);
    assert_eq!((deck.rows().len(), deck.path().as_str()), (5, "etc/passwd"));
    // A file has nothing to open, and nothing is lost.
    deck.key(Key::Enter);
    assert_eq!((deck.rows().len(), deck.path().as_str()), (5, "etc/passwd"));
    deck.act(Action::Zoom);
    let screen = deck.screen();
    for words in ["files done by layer 1 of", "2 of", "os-release", "/etc/passwd", "added", "modified", "-rw-r--r--"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    deck.press("h");
    assert_eq!(deck.path(), "etc", "to the folder above first");
    deck.press("h");
    assert_eq!(deck.rows(), ["0 etc", "0 usr", "0 var"]);
}

#[test]
fn layers_are_gone_through_and_the_whole_tree_shows_what_went() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    deck.read(&[base(), second()]);
    deck.press("]");
    deck.arrange();
    assert_eq!(deck.rows(), ["0 etc", "0 srv", "0 var"], "only what the second layer did");
    assert!(deck.screen().contains("files done by layer 2 of"));
    deck.press("G l j l j");
    assert_eq!(deck.path(), "var/cache/big");
    assert!(deck.screen().contains("removed"), "{}", deck.screen());
    deck.press("m");
    deck.arrange();
    assert_eq!((deck.path().as_str(), deck.rows()[0].as_str()), ("var/cache/big", "0 etc"), "the cursor stays on its path");
    assert!(deck.rows().contains(&"0 usr".to_owned()), "all that is there: {:?}", deck.rows());
    deck.press("[");
    deck.arrange();
    deck.press("S");
    deck.arrange();
    assert_eq!(deck.rows()[0], "0 var", "the largest first");
    deck.press("[");
    assert_eq!(deck.state.layers.files.as_ref().unwrap().layer, 0, "there is none below the first");
    // What is asked for already is not asked for again.
    let asked = deck.effects.len();
    deck.press("N");
    let first = deck.effects.iter().skip(asked).filter(|effect| matches!(effect, Effect::Start(_, Job::Arrange { .. }))).count();
    deck.press("NN[[");
    let all = deck.effects.iter().skip(asked).filter(|effect| matches!(effect, Effect::Start(_, Job::Arrange { .. }))).count();
    assert_eq!((first, all), (1, 1));
    // One that fails is told and not tried for ever.
    let (id, _) = deck.job(|job| matches!(job, Job::Arrange { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Other, "sum up the files", "its thread was lost"))));
    assert!(!deck.state.jobs.values().any(|job| matches!(job, Job::Arrange { .. })));
}

#[test]
fn files_are_found_by_name_size_and_change_in_all_folders() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    deck.read(&[base(), second()]);
    deck.press("/size:many");
    deck.key(Key::Enter);
    assert!(!deck.state.overlays.is_empty(), "what means nothing is not taken");
    for _ in 0..4 {
        deck.key(Key::Backspace);
    }
    deck.press(">1k");
    deck.key(Key::Enter);
    assert_eq!(deck.rows(), ["0 usr", "1 usr/bin", "2 usr/bin/tool", "0 var", "1 var/cache", "2 var/cache/big"]);
    deck.press("]m");
    deck.arrange();
    deck.act(Action::FindFiles);
    deck.tell(Msg::Key { chord: Chord::ctrl('u'), held: false });
    deck.press("change:removed");
    deck.key(Key::Enter);
    assert_eq!(deck.rows(), ["0 var", "1 var/cache", "2 var/cache/big"]);
    deck.key(Key::Esc);
    assert_eq!(deck.rows().first().map(String::as_str), Some("0 etc"), "without the filter");
    assert!(deck.state.layers.files.is_some());
    deck.key(Key::Esc);
    assert!(deck.state.layers.files.is_none() && deck.state.focus == PaneId::Layers, "back at the steps");
}

#[test]
fn what_nobody_looks_at_is_not_read_any_further() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    let (id, _) = deck.job(|job| matches!(job, Job::Files { .. }));
    deck.key(Key::Esc);
    assert!(deck.effects.contains(&Effect::Cancel(id)));
    assert!(!deck.state.jobs.contains_key(&id));
    // An answer that comes all the same is nobody's.
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    assert!(deck.state.layers.files.is_none());
}

#[test]
fn a_layer_that_is_broken_shows_what_is_readable_and_why_not_more() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    let (id, Job::Files { image, .. }) = deck.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
    let mut layers = vec![base()];
    layers.resize_with(image.layers.as_ref().unwrap().len(), Arc::default);
    let broken = Problem::new(ProblemKind::Corrupt, "read the layer", "it ends in the middle of usr/bin/tool");
    let read = BTreeMap::from([(0, Some(broken))]);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Files { tree: Shared::new(Tree::new(layers).unwrap()), read })));
    deck.arrange();
    assert_eq!(deck.rows().len(), 3);
    deck.act(Action::Zoom);
    assert!(deck.screen().contains("it ends in the middle"), "{}", deck.screen());
    // Of one that lies above, it is said which one is broken, and of one that is not there yet that it isn't.
    deck.press("]");
    deck.arrange();
    assert!(deck.screen().contains("layer 1: it ends in the middle"), "{}", deck.screen());
    assert!(deck.screen().contains("This layer is not read yet"), "{}", deck.screen());
    // Where nothing came at all, that is said instead.
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    let (id, _) = deck.job(|job| matches!(job, Job::Files { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "read the layers", "nobody answers"))));
    assert!(deck.screen().contains("nobody answers"));
    deck.press("r");
    assert!(deck.screen().contains("Reading the layer"), "again");
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let mut deck = Deck::new(80, 24);
    deck.key(Key::Enter);
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["evil\u{1b}[2Jname", "\u{202e}txt.exe", "日本語/ファイル"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
    }
    let hostile = Arc::new(index::read(tar.into_inner().unwrap().as_slice(), &Known::default()));
    assert_eq!(hostile.len(), 3);
    deck.read(&[hostile]);
    let screen = deck.screen();
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{202e}'), "{screen:?}");
    for (width, height) in [(40, 10), (80, 24), (200, 60)] {
        deck.tell(Msg::Resize { width, height });
        assert!(deck.screen().contains("evil"), "{width}x{height}");
    }
}

#[test]
fn of_an_image_far_away_only_the_layers_that_are_looked_at_are_read() {
    let mut deck = Deck::new(160, 40);
    let image = deck.state.layers.image.value.clone().unwrap();
    deck.state.layers.files = Some(Box::new(Files::new(SourceId::registry("registry.example.com"), image, 1, false)));
    let wanted = |deck: &Deck| {
        let (_, Job::Files { layers, .. }) = deck.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
        layers
    };
    deck.press("]");
    assert_eq!(wanted(&deck), [2]);
    deck.read_at(&[Arc::default(), Arc::default(), base()], 2);
    assert!(deck.screen().contains("layers below are not read"), "{}", deck.screen());
    deck.press("m");
    assert_eq!(wanted(&deck), [0, 1, 2], "all that is there needs all of them");
    // What was passed by before it came is not wanted any longer.
    deck.press("m]]");
    assert_eq!(wanted(&deck), [2, 4]);
}
