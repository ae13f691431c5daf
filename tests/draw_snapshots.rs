//! What the screen looks like: every pane in every state at three sizes, every overlay once, without colour and in plain ASCII; and that no size and no
//! text makes drawing panic. A snapshot holds the text; colours have their own below it, run by run, where the picture hangs on them.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are not inside test functions")]

#[path = "common/explored.rs"]
mod explored;
#[path = "common/remote.rs"]
mod remote;
#[path = "common/scene.rs"]
mod scene;
#[path = "common/svg.rs"]
mod svg;

use std::fmt::Write as _;
use std::sync::Arc;

use lighterman::app::overlay::Overlay;
use lighterman::app::settings::ColourDepth;
use lighterman::app::toast::ToastKind;
use lighterman::app::{State, update};
use lighterman::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Loadable, Msg};
use lighterman::model::{Completeness, Digest, Found, ImageList, Problem, ProblemKind, Safe, Stack, Uses};
use lighterman::pane::PaneId;
use lighterman::ui::{Depth, Theme};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use remote::{Remote, details, index};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// The screen as lines of text. A wide character's second cell is left out.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let (mut line, mut x) = (String::new(), 0);
        while x < buffer.area.width {
            let symbol = buffer.cell((x, y)).unwrap().symbol();
            line.push_str(symbol);
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).unwrap().max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The modifiers of each line, as letters under the text.
fn modifiers(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let letters: String = (0..buffer.area.width)
            .map(|x| {
                let m = buffer.cell((x, y)).unwrap().modifier;
                match (
                    m.contains(Modifier::REVERSED),
                    m.contains(Modifier::BOLD),
                    m.contains(Modifier::UNDERLINED),
                    m.contains(Modifier::DIM),
                ) {
                    (true, ..) => 'R',
                    (_, true, true, _) => 'B',
                    (_, true, ..) => 'b',
                    (_, _, true, _) => 'u',
                    (_, _, _, true) => 'd',
                    _ => ' ',
                }
            })
            .collect();
        let _ = writeln!(out, "{}", letters.trim_end());
    }
    out
}

/// Draws, checks what holds for every picture, and compares with the stored one.
fn check(name: &str, state: &State) {
    let theme = scene::dark();
    let (buffer, caret) = scene::draw(state, &theme);
    harmless(&buffer);
    if let Some(folder) = std::env::var_os("LIGHTERMAN_PICTURES") {
        let picture = svg::svg(&buffer, caret, svg::Terminal::default(), "lighterman");
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.svg")), picture).unwrap();
    }
    insta::assert_snapshot!(name, text(&buffer));
}

/// No cell holds what could steer a terminal, and every wide character has its two cells.
fn harmless(buffer: &Buffer) {
    for cell in &buffer.content {
        for c in cell.symbol().chars() {
            assert!(!c.is_control(), "{c:?}");
            assert!(!matches!(u32::from(c), 0x200b..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069 | 0xe0000..=0xe007f | 0xfeff), "{c:?}");
        }
    }
}

fn each_size(name: &str, make: impl Fn(u16, u16) -> State) {
    for (width, height) in SIZES {
        check(&format!("{name}-{width}x{height}"), &make(width, height));
    }
}

/// At 80 columns one pane shows at a time: the others are seen by giving them the focus.
fn focused(mut state: State, pane: PaneId) -> State {
    state.focus = pane;
    if pane.is_drawer() {
        state.drawer = Some(pane);
    }
    let (width, height) = (state.width, state.height);
    scene::size(&mut state, width, height);
    state
}

fn press(state: &mut State, keys: &str) {
    for c in keys.chars() {
        let _ = update(state, Msg::Key { chord: Chord::char(c), held: false });
    }
}

#[test]
fn images() {
    each_size("images-empty", scene::empty);
    each_size("images-loading", scene::loading);
    each_size("images-failed", scene::failed);
    each_size("images-full", scene::full);
    each_size("images-hostile", scene::hostile);
}

#[test]
fn images_in_other_ways() {
    check("images-zoomed-200x60", &{
        let mut state = scene::full(200, 60);
        state.zoomed = true;
        state
    });
    check("images-marked-120x40", &{
        let mut state = scene::full(120, 40);
        press(&mut state, "gjj  jjvjjj");
        state
    });
    check("images-filtered-120x40", &{
        let mut state = scene::full(120, 40);
        press(&mut state, "/quay size:>1MB");
        state
    });
    check("images-filter-mistaken-120x40", &{
        let mut state = scene::full(120, 40);
        press(&mut state, "/size:>plenty");
        state
    });
    check("images-filtered-away-120x40", &{
        let mut state = scene::full(120, 40);
        press(&mut state, "/=nowhere");
        let _ = update(&mut state, Msg::Key { chord: Chord::plain(Key::Enter), held: false });
        state
    });
    check("images-remembered-120x40", &{
        let mut state = scene::full(120, 40);
        state.images.remembered = true;
        state.images.list.job = Some(JobId(1));
        state.sources.status = lighterman::model::SourceStatus::Connecting;
        state.now += jiff::SignedDuration::from_hours(3);
        state
    });
    check("images-read-only-120x40", &{
        let mut state = scene::full(120, 40);
        state.settings.read_only = true;
        state
    });
    check("images-many-120x40", &{
        let mut state = scene::many(120, 40);
        press(&mut state, "G");
        state
    });
}

/// In the Registries pane, at a level of it.
fn browsing(level: &str, width: u16, height: u16) -> State {
    let tags = ["2.0.0-rc1", "1.10.0", "1.9.3", "1.9.2", "stable", "latest", "nightly", "\u{202e}evil"];
    let mut deck = match level {
        "hosts" | "loading" | "failed" => Remote::new(width, height, false),
        "repositories" => Remote::in_repositories(width, height, &["acme/web", "acme/api", "tools/ci", "redis", "team/platform/gateway"]),
        _ => Remote::in_tags(width, height, &tags),
    };
    match level {
        "hosts" => deck.press("2"),
        "loading" => {
            deck.press("2");
            deck.enter();
        }
        "failed" => {
            deck.press("2");
            deck.enter();
            let id = deck.job(|job| matches!(job, Job::Repositories { .. }));
            let problem =
                Problem::new(ProblemKind::Unsupported, "list the repositories of registry.example.com", "its catalog is refused (404)")
                    .hint("type a repository: registry.example.com/NAMESPACE/NAME");
            deck.tell(Msg::Job(id, JobEvent::Failed(problem)));
        }
        "repositories" => deck.press("l"),
        _ => {
            deck.stand_still();
            deck.detail(vec![
                index("2.0.0-rc1", "rc"),
                index("1.10.0", "multi"),
                details("1.9.3", "signed", 38_400_000, 30),
                details("1.9.2", "old", 938_400_000, 400),
                index("stable", "multi"),
                index("latest", "multi"),
                ("nightly".to_owned(), Err(Problem::new(ProblemKind::Corrupt, "read nightly", "its manifest is not what its digest says"))),
            ]);
        }
    }
    match level {
        "grouped" => deck.press("Dj v"),
        "parts" => {
            deck.press("j");
            deck.enter();
        }
        "delete" => deck.press("jd"),
        _ => {}
    }
    deck.state
}

#[test]
fn registries() {
    for level in ["hosts", "loading", "failed", "repositories", "tags", "parts"] {
        each_size(&format!("registries-{level}"), |width, height| browsing(level, width, height));
    }
    check("registries-grouped-120x40", &browsing("grouped", 120, 40));
    check("registries-delete-120x40", &browsing("delete", 120, 40));
}

#[test]
fn layers() {
    each_size("layers-full", |w, h| focused(scene::full(w, h), PaneId::Layers));
    each_size("layers-hostile", |w, h| focused(scene::hostile(w, h), PaneId::Layers));
    each_size("layers-dockerfile", |w, h| {
        let mut state = focused(scene::full(w, h), PaneId::Layers);
        press(&mut state, "fjjjj");
        state
    });
    let with = |image| {
        move |w, h| {
            let mut state = focused(scene::full(w, h), PaneId::Layers);
            state.layers.image = Clone::clone(&image);
            state.layers.steps.clear();
            state.layers.cursor.set_len(0);
            state
        }
    };
    each_size("layers-loading", with(Loadable { value: None, job: Some(JobId(9)), problem: None }));
    let gone = Problem::new(ProblemKind::NotFound, "inspect postgres:17", "the engine has no such image any more").hint("refresh the list");
    each_size("layers-failed", with(Loadable { value: None, job: None, problem: Some(gone) }));
    each_size("layers-empty", |w, h| focused(scene::over(scene::catalogue(), Vec::new(), w, h), PaneId::Layers));
}

/// The deck in the findings of its image after these keys; `s` looks for them.
fn scanned(keys: &str, width: u16, height: u16) -> State {
    let mut state = focused(scene::full(width, height), PaneId::Findings);
    for c in keys.chars() {
        if c == '\n' {
            let _ = update(&mut state, Msg::Key { chord: Chord::plain(Key::Enter), held: false });
        } else {
            press(&mut state, &c.to_string());
        }
        scene::found::settle(&mut state);
    }
    state
}

#[test]
fn findings() {
    each_size("findings-known", |w, h| scanned("", w, h));
    each_size("findings-whole", |w, h| scanned("sjj", w, h));
    each_size("findings-by-package", |w, h| scanned("sm+jjjj", w, h));
    each_size("findings-explained", |w, h| scanned("sjj\n", w, h));
    check("findings-ignored-120x40", &scanned("saG", 120, 40));
    check("findings-none-120x40", &scanned("s/nothing\n", 120, 40));
    check("findings-filter-120x40", &scanned("s/severity:high", 120, 40));
    check("findings-ignore-120x40", &scanned("sjji", 120, 40));
    let mut state = focused(scene::full(120, 40), PaneId::Findings);
    press(&mut state, "s");
    check("findings-looking-120x40", &state);
    let mut about = scanned("s", 120, 40);
    let _ = update(&mut about, Msg::Key { chord: Chord::plain(Key::F(4)), held: false });
    check("findings-about-120x40", &about);
}

#[test]
fn tasks() {
    each_size("tasks-full", |w, h| focused(scene::with_tasks(scene::full(w, h)), PaneId::Tasks));
    each_size("tasks-empty", |w, h| focused(scene::full(w, h), PaneId::Tasks));
    each_size("tasks-strip", |w, h| scene::with_tasks(scene::full(w, h)));
    each_size("tasks-failed", |w, h| {
        let mut state = scene::with_tasks(scene::full(w, h));
        state.tasks.tasks.retain(|task| matches!(task.state, lighterman::pane::tasks::TaskState::Failed(_)));
        state.tasks.rebuild();
        focused(state, PaneId::Tasks)
    });
    each_size("tasks-hostile", |w, h| {
        let mut state = scene::with_tasks(scene::hostile(w, h));
        for task in &mut state.tasks.tasks {
            task.title = Safe::new("Pull 日本語\u{1b}[2J\u{202e}配信:🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢");
        }
        focused(state, PaneId::Tasks)
    });
}

/// A deck with what an action opened on it.
fn after(keys: &str, width: u16, height: u16) -> State {
    let mut state = scene::full(width, height);
    press(&mut state, keys);
    assert!(!state.overlays.is_empty(), "{keys:?} opens nothing");
    state
}

#[test]
fn overlays() {
    for (name, keys) in [
        ("help", "?"),
        ("palette", ":tag"),
        ("palette-all", ":"),
        ("copy", "y"),
        ("delete", "dx"),
        ("retag", "t"),
        ("batch-retag", "g        Tpromote:edge"),
        ("batch-rule", "*Ts/^v?(\\d+).*/$1-x/"),
        ("pull", "p"),
        ("export", "e"),
    ] {
        check(&format!("overlay-{name}-120x40"), &after(keys, 120, 40));
    }
    check("overlay-help-80x24", &after("?", 80, 24));
    check("overlay-help-200x60", &after("?", 200, 60));
    check("overlay-delete-many-80x24", &after("g            dx", 80, 24));
    for (name, action) in
        [("themes", Action::Themes), ("sources", Action::Sources), ("inspect", Action::Inspect), ("open", Action::OpenFile)]
    {
        for (width, height) in [(80, 24), (120, 40)] {
            let mut state = scene::full(width, height);
            let _ = update(&mut state, Msg::Act(action));
            check(&format!("overlay-{name}-{width}x{height}"), &state);
        }
    }
    check("overlay-waiting-120x40", &{
        let mut state = scene::full(120, 40);
        state.overlays.push(Overlay::Waiting { what: Safe::new("Reading what can be pruned"), job: JobId(4), wishes: Vec::new() });
        state
    });
    for (name, there) in [
        ("push", Ok(Some(Digest::sha256(b"there")))),
        ("push-new", Ok(None)),
        ("push-blind", Err(Problem::new(ProblemKind::Unreachable, "look at it", "connection refused"))),
    ] {
        let mut state = after("P", 120, 40);
        let asked = state.jobs.iter().find(|(_, job)| matches!(job, Job::PreviewPush { .. })).map(|(id, _)| *id);
        let id = asked.expect("the registry is asked first");
        let _ = update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::PushPreview(vec![there]))));
        check(&format!("overlay-{name}-120x40"), &state);
    }
    check("overlay-refused-120x40", &{
        let mut state = after("t", 120, 40);
        press(&mut state, "/UPPER case");
        state
    });
    check("overlay-agree-120x40", &{
        let mut state = after("dx", 120, 40);
        let _ = update(&mut state, Msg::Key { chord: Chord::plain(Key::Tab), held: false });
        state
    });
}

#[test]
fn the_plan_and_the_log() {
    for (width, height) in SIZES {
        check(&format!("plan-lines-{width}x{height}"), &scene::planned(scene::full(width, height)));
        check(&format!("log-runs-{width}x{height}"), &scene::logged(scene::full(width, height)));
    }
}

/// What can go, with what was noted and what registries told: a group unfolded, and another picked.
fn cleaning(width: u16, height: u16) -> State {
    let mut state = scene::full(width, height);
    let list = state.images.list.value.clone().unwrap();
    let mut uses = Uses::default();
    let mut before = (*list).clone();
    before.at = scene::now() - jiff::SignedDuration::from_hours(24 * 90);
    uses.listed(&before, &[]);
    state.images.uses = Arc::new(uses);
    let effects = update(&mut state, Msg::Key { chord: Chord::char('X'), held: false });
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Start(id, Job::Pullable { images }) => Some((*id, images.clone())),
        _ => None,
    });
    if let Some((id, images)) = asked {
        let refused = Problem::new(ProblemKind::Denied, "ask", "you may not");
        let told = images.iter().enumerate().map(|(n, (image, _))| match n {
            0 => (image.clone(), Err(refused.clone())),
            n => (image.clone(), Ok(n % 2 == 1)),
        });
        let _ = update(&mut state, Msg::Job(id, JobEvent::Chunk(JobOutput::Pullable(told.collect()))));
        let _ = update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    }
    press(&mut state, " lj jj");
    state
}

/// Where something polluted is: in one repository, not in another, and not looked for in the others.
fn quarantined(ended: bool, width: u16, height: u16) -> State {
    let names = ["acme/api", "acme/locked", "acme/web", "team/platform/gateway-with-a-long-name/of-its-own"];
    let mut deck = Remote::in_repositories(width, height, &names);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    let images = Arc::new(ImageList { images: scene::catalogue(), at: scene::now(), gaps: Vec::new() });
    let ids: Vec<_> = images.images.iter().map(|image| image.id.clone()).collect();
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 28.2.2") })));
    deck.press("1gQ");
    let id = deck.job(|job| matches!(job, Job::Trace { .. }));
    let layers = |seeds: &[&str]| Ok(seeds.iter().map(|seed| (None, Some(scene::digest(seed)))).collect());
    let suspect = deck.state.images.selected().unwrap().0.id.clone();
    let stack = |id: &Digest| {
        let own: &[&str] = if *id == suspect { &["base", "own"] } else { &["base", "own", "more"] };
        let clean = ids.iter().position(|other| other == id).is_some_and(|at| at % 5 != 0) && *id != suspect;
        Stack { digest: id.clone(), config: Some(id.clone()), layers: layers(if clean { &["base"] } else { own }) }
    };
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Stacks(ids.iter().map(stack).collect()))));
    let remote = |seed: &str, seeds: &[&str]| Stack { digest: scene::digest(seed), config: None, layers: layers(seeds) };
    let listed = |tags| Found::Listed { tags, completeness: Completeness::Complete };
    let found = vec![
        (0, listed(2)),
        (0, Found::Tags(vec![details("1.0", "m1", 10, 1), details("1.1", "m2", 10, 1)])),
        (0, Found::Stacks(vec![remote("m1", &["base", "own", "x"]), remote("m2", &["base"])])),
        (0, Found::Ended(Ok(()))),
        (1, Found::Ended(Err(Problem::new(ProblemKind::Denied, "list", "registry.example.com refuses it (403): denied")))),
        (2, listed(1200)),
        (2, Found::Tags(vec![details("stable", "m3", 10, 1)])),
    ];
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Found(found))));
    if ended {
        deck.key(Key::Esc);
    }
    deck.state
}

/// Two images side by side, in a section, with layers read or while they are.
fn compared(section: &str, read: bool, width: u16, height: u16) -> State {
    use lighterman::model::comparison::{Changed, ComparedFile, Comparison, ConfigChange, FileChange, LayerChange, Side};
    let mut state = scene::full(width, height);
    press(&mut state, "g =");
    let id = state.jobs.iter().find(|(_, job)| matches!(job, Job::Compare(_))).map(|(id, _)| *id).expect("it is asked for");
    let layer = |change, seed: &str, by: &str| LayerChange {
        change,
        diff_id: Some(scene::digest(seed)),
        size: Some(30_000_000),
        created_by: Some(by.into()),
    };
    let setting = |field: &str, before: Option<&str>, after: Option<&str>| ConfigChange {
        field: field.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    };
    let mut found = Comparison {
        config: vec![
            setting("env.PATH", Some("/usr/local/bin:/usr/bin"), Some("/opt/app/bin:/usr/local/bin:/usr/bin")),
            setting("labels.org.opencontainers.image.version", None, Some("2.0.1")),
            setting("user", Some("root"), None),
        ],
        layers: vec![
            layer(Side::Shared, "base", "ADD rootfs.tar.xz / # buildkit"),
            layer(Side::Removed, "one", "RUN make install # buildkit"),
            layer(Side::Added, "two", "COPY dist /srv # buildkit"),
        ],
        ..Comparison::default()
    };
    if read {
        let file = |size| Some(ComparedFile { kind: "file", size, mode: Some("0644".into()), link: None });
        let one = |path: &str, change, before, after| FileChange { path: path.into(), change, before, after };
        let many = (0..60).map(|n| one(&format!("srv/app/static/chunk-{n:03}.js"), Changed::Added, None, file(1000 + n)));
        let few = [
            one("etc/passwd", Changed::Modified, file(1200), file(1300)),
            one("usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.33", Changed::Removed, file(2_400_000), None),
        ];
        found.files = Some(few.into_iter().chain(many).collect());
        found.packages = Some(Vec::new());
    }
    let output = JobOutput::Compared(Arc::new(found), Vec::new());
    let _ = update(&mut state, Msg::Job(id, if read { JobEvent::Done(output) } else { JobEvent::Chunk(output) }));
    press(&mut state, section);
    state
}

#[test]
fn two_images_side_by_side() {
    each_size("overlay-compare-files", |width, height| compared("3jj", true, width, height));
    check("overlay-compare-settings-80x24", &compared("1j", true, 80, 24));
    check("overlay-compare-layers-120x40", &compared("2", true, 120, 40));
    check("overlay-compare-same-80x24", &compared("4", true, 80, 24));
    check("overlay-compare-reading-80x24", &compared("3", false, 80, 24));
}

#[test]
fn what_can_go_and_what_is_polluted() {
    each_size("overlay-what-can-go", cleaning);
    each_size("overlay-quarantine", |width, height| quarantined(true, width, height));
    check("overlay-quarantine-reading-80x24", &quarantined(false, 80, 24));
}

/// The deck in the files of its image, on a path of them, after these keys.
fn exploring(keys: &str, content: &[u8], width: u16, height: u16) -> State {
    let mut state = focused(scene::full(width, height), PaneId::Layers);
    let layers = explored::layers();
    for c in keys.chars() {
        if c == '\n' {
            let _ = update(&mut state, Msg::Key { chord: Chord::plain(Key::Enter), held: false });
        } else {
            press(&mut state, &c.to_string());
        }
        explored::settle(&mut state, &layers, content);
    }
    state
}

#[test]
fn files_and_what_they_cost() {
    // A tree with the third layer's changes, a list of each kind, and the steps after all was read.
    for (name, keys) in [("tree", "g\nm]]]ljGljG"), ("hidden", "cj"), ("copies", "ccj"), ("hints", "ccc"), ("text", "g\n/os-release\nG\nj")]
    {
        each_size(&format!("files-{name}"), |width, height| exploring(keys, &explored::text(), width, height));
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(1500).collect();
    each_size("files-bytes", |width, height| exploring("g\n/os-release\nG\nj", &bytes, width, height));
    each_size("files-path", |width, height| {
        let mut state = exploring("cjjj", &[], width, height);
        let _ = update(&mut state, Msg::Act(Action::InspectPath));
        scene::size(&mut state, width, height);
        state
    });
    each_size("layers-cost", |width, height| {
        let mut state = exploring("c", &[], width, height);
        let _ = update(&mut state, Msg::Act(Action::Back));
        let _ = update(&mut state, Msg::Act(Action::Back));
        press(&mut state, "gjjj");
        state
    });
    check("layers-cost-dockerfile-120x40", &{
        let mut state = exploring("c", &[], 120, 40);
        let _ = update(&mut state, Msg::Act(Action::Back));
        let _ = update(&mut state, Msg::Act(Action::Back));
        press(&mut state, "f+");
        state
    });
}

/// What takes the space, with half of the images read or all of them, and a repository unfolded.
fn space(all: bool, width: u16, height: u16) -> State {
    let mut state = scene::full(width, height);
    let _ = update(&mut state, Msg::Act(Action::Space));
    let newest = |state: &State, kind: &dyn Fn(&Job) -> bool| {
        let found = state.jobs.iter().filter(|(_, job)| kind(job)).max_by_key(|(id, _)| id.0);
        found.map(|(id, job)| (*id, job.clone())).unwrap()
    };
    let (id, job) = newest(&state, &|job| matches!(job, Job::Layers { .. }));
    if let Job::Layers { images, .. } = job {
        // Bases of three kinds, and a layer of each image's own that grows.
        let base = |n: usize| (Digest::sha256(&(n % 3).to_be_bytes()), 30_000_000 * (n as u64 % 3 + 1));
        let held = |n: usize| vec![base(n), (Digest::sha256(&n.to_le_bytes()), (n as u64).pow(3) * 9_000)];
        let told = images.iter().enumerate().map(|(n, id)| (id.clone(), (all || n % 2 == 0).then(|| held(n)))).collect();
        let _ = update(&mut state, Msg::Job(id, JobEvent::Chunk(JobOutput::Layers(told))));
        if all {
            let _ = update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::Told)));
        }
    }
    for _ in 0..2 {
        if let Some((id, Job::Space { list, layers })) = state
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job, Job::Space { .. }))
            .max_by_key(|(id, _)| id.0)
            .map(|(id, job)| (*id, job.clone()))
        {
            let space = lighterman::curate::space::space(&list, &layers);
            let _ = update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::Space(lighterman::flow::Shared::new(space)))));
        }
        press(&mut state, "gjjl");
    }
    state
}

#[test]
fn what_takes_the_space() {
    each_size("overlay-space", |width, height| space(true, width, height));
    check("overlay-space-reading-80x24", &space(false, 80, 24));
    let mut state = space(true, 80, 24);
    state.settings.ascii = true;
    let (buffer, _) = scene::draw(&state, &scene::dark());
    assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
    insta::assert_snapshot!("ascii-space", text(&buffer));
}

#[test]
fn toasts() {
    let mut state = scene::full(120, 40);
    let _ = state.toasts.show(ToastKind::Info, "The engine is back", None);
    let _ = state.toasts.show(ToastKind::Good, "Copied: postgres:17.4", None);
    let _ = state.toasts.show(ToastKind::Warning, "Copying is switched off", Some(Safe::new("set clipboard = true in the configuration")));
    let _ = state.toasts.problem(&scene::refused());
    check("toasts-120x40", &state);
}

#[test]
fn too_small() {
    for (width, height) in [(39, 24), (80, 9), (20, 5), (5, 2), (1, 1)] {
        check(&format!("too-small-{width}x{height}"), &scene::full(width, height));
    }
}

#[test]
fn ascii_is_ascii() {
    let stays_ascii = |name: &str, mut state: State| {
        state.settings.ascii = true;
        let (buffer, _) = scene::draw(&state, &scene::dark());
        assert!(text(&buffer).is_ascii(), "{name}:\n{}", text(&buffer));
        insta::assert_snapshot!(format!("ascii-{name}"), text(&buffer));
    };
    stays_ascii("full", scene::full(120, 40));
    stays_ascii("hostile", scene::hostile(120, 40));
    stays_ascii("tasks", focused(scene::with_tasks(scene::full(120, 40)), PaneId::Tasks));
    stays_ascii("help", after("?", 120, 40));
    stays_ascii("delete", after("dx", 120, 40));
    stays_ascii("loading", scene::loading(120, 40));
    stays_ascii("registries", browsing("tags", 120, 40));
}

/// Without a colour the cursor, marks, focus and buttons are still told apart.
#[test]
fn monochrome_keeps_every_meaning() {
    let theme = scene::dark().at(Depth::from(ColourDepth::None));
    for (name, state) in [
        ("marked", {
            let mut state = scene::full(120, 40);
            press(&mut state, "gjj  jj");
            state
        }),
        ("delete", after("dx", 120, 40)),
    ] {
        let (buffer, _) = scene::draw(&state, &theme);
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
        insta::assert_snapshot!(format!("monochrome-{name}"), format!("{}\n{}", text(&buffer), modifiers(&buffer)));
    }
}

/// Everything that foreign text reaches is cut to its columns: the frames stay where they are.
#[test]
fn wide_text_moves_no_frame() {
    for (width, height) in SIZES {
        let full = scene::draw(&scene::full(width, height), &scene::dark()).0;
        let hostile = scene::draw(&scene::hostile(width, height), &scene::dark()).0;
        for y in 0..height {
            for x in 0..width {
                let (a, b) = (full.cell((x, y)).unwrap().symbol(), hostile.cell((x, y)).unwrap().symbol());
                assert_eq!(
                    ["│", "╭", "╮", "╰", "╯"].contains(&a) || a == "┃",
                    ["│", "╭", "╮", "╰", "╯"].contains(&b) || b == "┃",
                    "{x},{y}: {a} {b}"
                );
            }
        }
    }
}

fn any_state() -> impl Strategy<Value = (usize, usize, u16, u16, bool)> {
    (0..12_usize, 0..10_usize, 1..=500_u16, 1..=200_u16, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn no_size_makes_it_panic((which, over, width, height, small) in any_state()) {
        let (width, height) = if small { (width % 60 + 1, height % 24 + 1) } else { (width, height) };
        let mut state = match which {
            0 => scene::empty(width, height),
            1 => scene::loading(width, height),
            2 => scene::failed(width, height),
            3..6 => scene::hostile(width, height),
            _ => scene::full(width, height),
        };
        if which % 2 == 1 {
            state = scene::with_tasks(state);
        }
        state.focus = PaneId::ALL[which % PaneId::ALL.len()];
        state.zoomed = which % 4 == 3;
        state.drawer = [None, None, Some(PaneId::Tasks), Some(PaneId::Plan), Some(PaneId::Log)][which % 5];
        state.settings.ascii = over % 5 == 4;
        let keys = ["", "?", ":", "y", "d", "t", "/x y", "e", "p", "f"][over];
        press(&mut state, keys);
        let _ = state.toasts.problem(&scene::refused());
        // The screen may be drawn once more before the new size has gone through the state.
        let (buffer, _) = scene::draw(&state, &scene::dark());
        harmless(&buffer);
        scene::size(&mut state, height, width);
        let (buffer, caret) = scene::draw(&state, &scene::dark());
        harmless(&buffer);
        if let Some((x, y)) = caret {
            prop_assert!(x < state.width && y < state.height);
        }
        let mut other = Buffer::empty(ratatui::layout::Rect::new(0, 0, width, height));
        let _ = lighterman::app::draw::draw_in(&mut other, &state, &scene::dark());
    }
}

/// Every theme draws, at every depth.
#[test]
fn every_theme_draws() {
    let state = scene::with_tasks(scene::full(120, 40));
    for (name, _) in lighterman::ui::theme::BUILTIN {
        for depth in [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True] {
            let theme = Theme::builtin(name).unwrap().at(depth);
            let (buffer, caret) = scene::draw(&state, &theme);
            harmless(&buffer);
            if let Some(folder) = std::env::var_os("LIGHTERMAN_PICTURES") {
                let picture = svg::svg(&buffer, caret, svg::Terminal::default(), name);
                std::fs::write(std::path::Path::new(&folder).join(format!("theme-{name}-{depth:?}.svg")), picture).unwrap();
            }
        }
    }
}
