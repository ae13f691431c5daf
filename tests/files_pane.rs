//! The files of an image in the Layers pane, without a terminal or a source: keys and job events in, state, effects and pictures out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/explored.rs"]
mod explored;
#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use explored::layer;
use lighterman::app::overlay::Overlay;
use lighterman::app::{State, update};
use lighterman::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Msg, Shared};
use lighterman::layer::index::{self, Known};
use lighterman::layer::{Cost, Index, Peek, Tree};
use lighterman::model::{Problem, ProblemKind, Progress, Safe, SourceId, Step, StepState};
use lighterman::pane::PaneId;
use lighterman::pane::layers::Files;
use lighterman::ui::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

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

    /// Gives all layers, of which those above are empty, and reckons up what they carry for nothing.
    fn read_all(&mut self, layers: &[Arc<Index>]) {
        let (id, Job::Files { image, .. }) = self.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
        let mut all = layers.to_vec();
        all.resize_with(image.layers.as_ref().unwrap().len(), Arc::default);
        self.read(&all);
        self.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
        let (id, Job::Cost(tree)) = self.job(|job| matches!(job, Job::Cost(_))) else { panic!() };
        self.tell(Msg::Job(id, JobEvent::Done(JobOutput::Cost(Shared::new(Cost::new(&tree))))));
    }

    /// Does what the deck asked to have summed up.
    fn arrange(&mut self) {
        let (id, Job::Arrange { tree, look, open }) = self.job(|job| matches!(job, Job::Arrange { .. })) else { panic!() };
        let (view, rows) = look.at(&tree, open.as_ref().map(|(of, open)| (&**of, open.as_slice())));
        self.tell(Msg::Job(id, JobEvent::Done(JobOutput::Arranged { tree, look, view: Shared::new(view), rows: Shared::new(rows) })));
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
    assert_eq!(deck.rows(), ["0 etc", "0 usr", "0 var"], "looking takes as long as there are files: not while a key is answered");
    deck.arrange();
    assert_eq!(deck.rows(), ["0 usr", "1 usr/bin", "2 usr/bin/tool", "0 var", "1 var/cache", "2 var/cache/big"]);
    assert_eq!(deck.path(), "usr/bin/tool", "on the first of them");
    deck.press("]m");
    deck.arrange();
    deck.act(Action::FindFiles);
    deck.tell(Msg::Key { chord: Chord::ctrl('u'), held: false });
    deck.press("change:removed");
    deck.key(Key::Enter);
    deck.arrange();
    assert_eq!(deck.rows(), ["0 var", "1 var/cache", "2 var/cache/big"]);
    deck.key(Key::Esc);
    deck.arrange();
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

/// A layer with a file of these bytes beside a link to it and a device.
fn readable(bytes: &[u8]) -> Arc<Index> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o640);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, "etc/conf", bytes).unwrap();
    for (kind, path) in [(tar::EntryType::Symlink, "etc/link"), (tar::EntryType::Char, "etc/null")] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, path, "../srv/none").unwrap();
    }
    Arc::new(index::read(tar.into_inner().unwrap().as_slice(), &Known::default()))
}

/// In the files of one layer, on `etc/conf`.
fn on_a_file(width: u16, height: u16, bytes: &[u8]) -> Deck {
    let mut deck = Deck::new(width, height);
    deck.key(Key::Enter);
    deck.read(&[readable(bytes)]);
    deck.press("lj");
    deck
}

/// Answers what the deck asked to see of a file.
fn peeked(deck: &mut Deck, bytes: &[u8], whole: u64) {
    let (id, Job::Peek { columns, .. }) = deck.job(|job| matches!(job, Job::Peek { .. })) else { panic!() };
    let peek = Peek::new(bytes.to_vec(), whole, bytes.len() as u64 == whole, columns);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Peeked(Shared::new(peek)))));
}

#[test]
fn a_file_is_read_where_it_lies_and_looked_through() {
    let mut text = String::new();
    for n in 1..=200 {
        let _ = writeln!(text, "line\t{n}");
    }
    let mut deck = on_a_file(100, 30, text.as_bytes());
    deck.key(Key::Enter);
    let (id, Job::Peek { lies, .. }) = deck.job(|job| matches!(job, Job::Peek { .. })) else { panic!() };
    assert_eq!((lies.layer, lies.length), (0, text.len() as u64));
    assert!(deck.screen().contains("Reading the file"));
    // How far it is, is said only of what takes long.
    let steps = vec![Step { label: Safe::new("layer"), state: StepState::Running, done: 12_000_000, total: Some(80_000_000) }];
    deck.tell(Msg::Job(id, JobEvent::Progress(Progress { steps, ..Progress::default() })));
    assert!(!deck.screen().contains("80.0 MB"));
    let later = deck.state.now + jiff::SignedDuration::from_millis(600);
    deck.tell(Msg::Now(later));
    assert!(deck.screen().contains("12.0 MB of at most 80.0 MB"), "{}", deck.screen());
    peeked(&mut deck, text.as_bytes(), text.len() as u64);
    let screen = deck.screen();
    for words in ["/etc/conf", "layer 1 of", "200 lines", "     1  line    1", "1-25 of 200"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    deck.press("G");
    assert!(deck.screen().contains("   200  line    200"), "{}", deck.screen());
    deck.key(Key::Tab);
    assert!(deck.screen().contains("0a 6c 69 6e 65 09"), "{}", deck.screen());
    deck.press("g");
    assert!(deck.screen().contains("000000 6c 69 6e 65 09 31"), "{}", deck.screen());
    deck.key(Key::Esc);
    assert!(deck.state.overlays.is_empty() && deck.path() == "etc/conf");
}

#[test]
fn what_is_left_or_asked_anew_is_not_read_any_further() {
    let mut deck = on_a_file(100, 30, b"text");
    deck.press("p");
    let (id, _) = deck.job(|job| matches!(job, Job::Peek { .. }));
    deck.key(Key::Esc);
    assert!(deck.effects.contains(&Effect::Cancel(id)) && deck.state.overlays.is_empty());
    // Its answer comes too late for the next one.
    deck.press("p");
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Peeked(Shared::new(Peek::new(b"late".to_vec(), 4, true, 80))))));
    assert!(deck.screen().contains("Reading the file"));
    let (id, _) = deck.job(|job| matches!(job, Job::Peek { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Corrupt, "read a file", "it is not what it was"))));
    assert!(deck.screen().contains("it is not what it was"));
}

#[test]
fn a_file_that_is_no_text_too_long_or_hostile_is_shown_for_what_it_is() {
    let mut deck = on_a_file(80, 24, b"\0");
    deck.press("p");
    peeked(&mut deck, b"\x7fELF\0\\x1b[2J\x1b[2J", 5_000_000_000);
    let screen = deck.screen();
    for words in ["not text", "only the first 16 B, not checked", "7f 45 4c 46 00", ".ELF."] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    deck.key(Key::Esc);
    deck.press("p");
    let evil = "\u{1b}]0;title\u{7}\u{202e}txt\r\nzero\u{200b}width \u{feff}日本語";
    peeked(&mut deck, evil.as_bytes(), evil.len() as u64);
    for (width, height) in [(40, 10), (80, 24), (200, 60)] {
        deck.tell(Msg::Resize { width, height });
        let screen = deck.screen();
        assert!(screen.contains("\\x1b]0;title"), "{screen}");
        assert!(!screen.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}', '\u{feff}']), "{screen:?}");
    }
}

#[test]
fn a_link_tells_where_it_leads_and_what_has_no_content_says_so() {
    let mut deck = on_a_file(100, 30, b"text");
    deck.press("jp");
    let screen = deck.screen();
    assert!(screen.contains("A symbolic link to") && screen.contains("/srv/none is not there"), "{screen}");
    deck.press("e");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::File(_))), "there is nothing to save");
    deck.key(Key::Esc);
    deck.press("j");
    for key in ["p", "e"] {
        deck.press(key);
        assert!(deck.state.overlays.is_empty() && deck.screen().contains("a device has no content"), "{}", deck.screen());
    }
    assert!(!deck.state.jobs.values().any(|job| matches!(job, Job::Peek { .. })));
}

#[test]
fn a_file_is_saved_under_its_own_name() {
    let mut deck = on_a_file(100, 30, b"text");
    deck.press("e");
    let screen = deck.screen();
    assert!(screen.contains("Save a file") && screen.contains("/home/ana/conf") && screen.contains("nothing is replaced"), "{screen}");
    deck.key(Key::Enter);
    let (id, Job::SaveFile { file, lies, .. }) = deck.job(|job| matches!(job, Job::SaveFile { .. })) else { panic!() };
    assert_eq!((file.to_str().unwrap(), lies.length), ("/home/ana/conf", 4));
    assert!(deck.state.tasks.tasks.iter().any(|task| task.id == id), "it is a task that can be seen and cancelled");
    deck.tell(Msg::Job(
        id,
        JobEvent::Failed(Problem::new(ProblemKind::Conflict, "write /home/ana/conf", "a file of that name is already there")),
    ));
    assert!(deck.state.overlays.is_empty() && deck.screen().contains("a file of that name is already"), "{}", deck.screen());
}

/// Two layers with a hidden file, a removed key, a copy and a left cache.
fn wasteful() -> [Arc<Index>; 2] {
    [
        layer(&[("etc/passwd", 900), ("opt/data", 4_000_000), ("root/.ssh/id_rsa", 1700), ("srv/copy", 5000), ("srv/same", 5000)]),
        layer(&[("etc/passwd", 950), ("opt/.wh.data", 0), ("root/.ssh/.wh.id_rsa", 0), ("var/cache/apt/archives/big.deb", 70_000)]),
    ]
}

#[test]
fn what_is_carried_for_nothing_is_listed_and_each_row_leads_into_the_tree() {
    let mut deck = Deck::new(120, 40);
    deck.act(Action::Zoom);
    deck.press("c");
    assert!(deck.screen().contains("hidden files") && deck.screen().contains("Reading the layers"), "{}", deck.screen());
    deck.read_all(&wasteful());
    let screen = deck.screen();
    for words in ["4.00 MB wasted", "% efficient", "4.00 MB  removed", "/opt/data", "900 B  overwritten", "/etc/passwd", "1/3"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    // Who wrote it and who took it away, as for every row of the tree.
    for words in ["added    4.00 MB    1", "removed             2"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    deck.key(Key::Enter);
    deck.arrange();
    let files = deck.state.layers.files.as_ref().unwrap();
    assert_eq!((deck.path().as_str(), files.layer, files.merged), ("opt/data", 1, true), "where it was lost");
    deck.press("c");
    deck.press("jj");
    assert!(deck.screen().contains("3/3"), "{}", deck.screen());
    deck.press("c");
    let screen = deck.screen();
    for words in ["copies", "5.00 kB       2   5.00 kB  /srv/copy", "/srv/same"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    deck.press("j");
    deck.key(Key::Enter);
    assert!(deck.job(|job| matches!(job, Job::Arrange { .. })).0.0 > 0);
    deck.arrange();
    assert_eq!((deck.path().as_str(), deck.state.layers.files.as_ref().unwrap().layer), ("srv/same", 0));
    deck.press("ccc");
    let screen = deck.screen();
    for words in ["hints", "secret left in layer 1: /root/.ssh/id_rsa, which layer 2 only hides", "apt left 1 file in /var/cache/apt"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    // Keys of the tree do nothing to a list.
    let before = deck.effects.len();
    deck.press("p]m/e");
    assert!(deck.state.overlays.is_empty() && deck.effects.len() == before, "{:?}", &deck.effects[before..]);
    deck.press("c");
    assert!(deck.screen().contains("files all after layer 1"), "round to the tree: {}", deck.screen());
    // Back at the steps, each says what of it nobody sees.
    deck.key(Key::Esc);
    let screen = deck.screen();
    for words in ["Wasted", "4.00 MB wasted", "hidden later"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    deck.press("f");
    assert!(deck.screen().contains("4.01 MB  4.00 MB"), "{}", deck.screen());
    // Another image is another story.
    deck.act(Action::FocusImages);
    deck.press("g");
    assert!(deck.state.layers.reckoned.is_none());
}

/// A layer by its own table of contents: two files that may be alike.
fn by_table() -> Arc<Index> {
    let file = |name: &str| serde_json::json!({"name": name, "type": "reg", "size": 10, "offset": 1});
    let table = serde_json::json!({"version": 1, "entries": [file("a"), file("b")]});
    let index = index::from_table(table.to_string().as_bytes(), index::Packing::Zstd, 1000, None).unwrap();
    assert!(index.pieces().is_some());
    Arc::new(index)
}

#[test]
fn files_that_nobody_read_are_not_said_to_be_unlike() {
    let mut deck = Deck::new(120, 40);
    deck.act(Action::Zoom);
    deck.press("c");
    deck.read_all(&[by_table(), layer(&[("etc/passwd", 900)])]);
    assert!(deck.screen().contains("1 layer by its own table"), "{}", deck.screen());
    deck.press("c");
    let screen = deck.screen();
    assert!(screen.contains("copies") && screen.contains("1 layer by its own table"), "{screen}");
    assert!(
        screen.contains("Not known: the contents of files were not read") && screen.contains("1 layer known only by its own table"),
        "{screen}"
    );
    assert!(!screen.contains("No content is there twice"), "{screen}");
    deck.press("c");
    assert!(deck.screen().contains("Nothing stands out by names and sizes"), "{}", deck.screen());
    // Of layers that were read it is known.
    let mut deck = Deck::new(120, 40);
    deck.act(Action::Zoom);
    deck.press("cc");
    deck.read_all(&[layer(&[("etc/passwd", 900)])]);
    assert!(deck.screen().contains("No content is there twice") && !deck.screen().contains("own table"), "{}", deck.screen());
}

#[test]
fn of_layers_that_are_not_whole_nothing_is_reckoned() {
    let mut deck = Deck::new(120, 40);
    deck.press("c");
    let (id, Job::Files { image, .. }) = deck.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
    let count = image.layers.as_ref().unwrap().len();
    let mut layers = vec![base()];
    layers.resize_with(count, Arc::default);
    let broken = Problem::new(ProblemKind::Corrupt, "read the layer", "it ends early");
    let read = (0..count).map(|at| (at, (at == 2).then(|| broken.clone()))).collect();
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Files { tree: Shared::new(Tree::new(layers).unwrap()), read })));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    assert!(!deck.state.jobs.values().any(|job| matches!(job, Job::Cost(_))));
    assert!(deck.screen().contains("Layer 3 could not be read whole"), "{}", deck.screen());
    deck.key(Key::Esc);
    deck.key(Key::Esc);
    assert!(deck.state.layers.files.is_none());
}

#[test]
fn of_an_image_far_away_all_layers_are_read_for_its_waste() {
    let mut deck = Deck::new(160, 40);
    let image = deck.state.layers.image.value.clone().unwrap();
    let count = image.layers.as_ref().unwrap().len();
    deck.state.layers.files = Some(Box::new(Files::new(SourceId::registry("registry.example.com"), image, 1, false)));
    deck.press("c");
    let (_, Job::Files { layers, .. }) = deck.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
    assert_eq!(layers.len(), count);
}

#[test]
fn a_long_story_says_that_there_is_more_and_what_it_cost_in_all() {
    let mut deck = Deck::new(120, 40);
    deck.act(Action::Zoom);
    deck.key(Key::Enter);
    let opaque = layer(&[("a/.wh..wh..opq", 0)]);
    let write = |bytes| layer(&[("a/file", bytes)]);
    deck.read(&[write(1000), write(2000), opaque, write(3000), write(4000), write(5000), write(6000)]);
    deck.press("lj");
    let screen = deck.screen();
    assert!(screen.contains("/a/file") && screen.contains("21.0 kB in all"), "{screen}");
    assert!(screen.contains("with all of its folder"), "{screen}");
    deck.tell(Msg::Resize { width: 120, height: 24 });
    assert!(deck.screen().contains("times before that") && deck.screen().contains("6.00 kB"), "{}", deck.screen());
}

#[test]
fn what_is_folded_while_files_are_summed_up_stays_as_it_was_put() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    deck.read(&[base()]);
    deck.press("l");
    // A new tree came and is being summed up: one folder is folded meanwhile, and another opened.
    let (id, Job::Files { image, .. }) = deck.job(|job| matches!(job, Job::Files { .. })) else { panic!() };
    let mut layers = vec![base(), second()];
    layers.resize_with(image.layers.as_ref().unwrap().len(), Arc::default);
    let tree = Shared::new(Tree::new(layers).unwrap());
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Files { tree, read: BTreeMap::from([(0, None), (1, None)]) })));
    deck.press("hjl");
    assert_eq!((deck.rows(), deck.path().as_str()), (["0 etc", "0 usr", "1 usr/bin", "0 var"].map(str::to_owned).to_vec(), "usr"));
    deck.arrange();
    assert_eq!((deck.rows(), deck.path().as_str()), (["0 etc", "0 usr", "1 usr/bin", "0 var"].map(str::to_owned).to_vec(), "usr"));
}

#[test]
fn all_of_a_paths_story_is_told_wherever_it_is_met() {
    let mut deck = Deck::new(120, 40);
    deck.key(Key::Enter);
    let write = |bytes| layer(&[("a/file", bytes)]);
    let opaque = layer(&[("a/.wh..wh..opq", 0)]);
    let above = layer(&[("a", 7)]);
    deck.read_all(&[write(1000), write(1000), opaque, write(3000), above]);
    deck.press("lj");
    deck.key(Key::F(4));
    let screen = deck.screen();
    for words in [
        "Inspect /a/file",
        "kind ",
        "1.00 kB (1000 bytes)",
        "0644",
        "user 0, group 0",
        "layer 1, added",
        "layer 2, written again",
        "layer 3, removed with its folder",
        "layer 4, added",
        "layer 5, replaced from above",
        "5.00 kB",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    // What is told of the image meanwhile changes nothing of it.
    let _ = update(&mut deck.state, Msg::Act(Action::Refresh));
    deck.key(Key::Esc);
    deck.press("c");
    deck.key(Key::F(4));
    let screen = deck.screen();
    assert!(screen.contains("Inspect /a/file") && screen.contains("layer 5, replaced from above"), "{screen}");
    deck.key(Key::Esc);
    assert!(deck.state.overlays.is_empty());
}
