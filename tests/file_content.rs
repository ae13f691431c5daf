//! The content of one file of an image, from real layers of every packing: what is saved is what was indexed or nothing, private, never over anything
//! and never through a link; and the real deck's way there.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::images::{ImageSpec, Pack, build, docker_archive, noise, oci_layout};
use common::program::Program;
use common::pty::{Screen, Start};
use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::layer::index::{self, Known};
use lighterman::layer::tree::{Held, Lies, Look, Order, Place, Scope, Wanted};
use lighterman::layer::{ContentHash, Tree, View};
use lighterman::model::{Image, Locator, Problem, ProblemKind};
use lighterman::source::files::FileSource;
use lighterman::source::{Ctx, Part, Sink, copy_part};
use lighterman::work::content::save;
use lighterman::work::journal::Journal;
use lighterman::work::{Env, KnownLists, Table, Worker};

fn spec() -> ImageSpec {
    let big = noise(3_000_000);
    ImageSpec::new("acme/app:1")
        .layer(&[("etc/motd", b"first\n"), ("bin/app", &big)])
        .layer(&[("etc/motd", b"second\n"), ("bin/.wh.app", b"")])
}

async fn layout(at: &Path, pack: Pack) -> (FileSource, Image) {
    oci_layout(at, &[spec()], pack);
    let source = FileSource::open(&Locator::parse(&format!("oci:{}", at.display())).unwrap()).await.unwrap();
    let image = source.inspect_all(&Ctx::default()).await.unwrap().remove(0);
    (source, image)
}

/// Where a path's content lies, as a look at one layer tells it.
fn lies(layer: usize, path: &str) -> Lies {
    let layers = build(&spec(), Pack::None).layers;
    let tree = Tree::new(layers.iter().map(|layer| Arc::new(index::read(layer.tar.as_slice(), &Known::default()))).collect()).unwrap();
    match View::new(&tree, Scope::Layer(layer)).held(&tree, tree.find(path.as_bytes()).unwrap()) {
        Held::File(lies) => lies,
        other => unreachable!("{other:?}"),
    }
}

fn offset(lies: &Lies) -> u64 {
    let Place::Tar { offset, .. } = lies.at else { unreachable!("{lies:?}") };
    offset
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_saved_as_the_layer_that_is_looked_at_has_it() {
    for pack in [Pack::None, Pack::Gzip, Pack::Zstd] {
        let folder = tempfile::tempdir().unwrap();
        let (source, image) = layout(&folder.path().join("layout"), pack).await;
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let ctx = Ctx::default();
        for (layer, path, name, expected) in [
            (0, "etc/motd", "old", b"first\n".to_vec()),
            (1, "etc/motd", "new", b"second\n".to_vec()),
            (1, "bin/app", "gone", noise(3_000_000)),
        ] {
            save(&source, &image, &lies(layer, path), &out.join(name), &ctx).await.unwrap();
            assert_eq!(fs::read(out.join(name)).unwrap(), expected, "{pack:?} {name}");
            assert_eq!(fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(names(&out), ["gone", "new", "old"]);
        let (done, all) = ctx.meter.snapshot().totals();
        assert!(done > 0 && all.is_some_and(|all| all >= done), "how far it was could be told: {done} of {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (source, image) = layout(&folder.path().join("layout"), Pack::Gzip).await;
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "mine").unwrap();
    symlink(at("file"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    let before = names(folder.path());
    for name in ["file", "link", "dangling", "directory"] {
        let ctx = Ctx::default();
        let problem = save(&source, &image, &lies(0, "etc/motd"), &at(name), &ctx).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Conflict, "{name}: {problem}");
        assert!(problem.to_string().contains("choose another name: nothing is replaced"), "{problem}");
        assert_eq!(ctx.meter.snapshot().totals().0, 0, "refused before anything is read");
    }
    let nowhere = save(&source, &image, &lies(0, "etc/motd"), &at("no/such/place"), &Ctx::default()).await.unwrap_err();
    assert_eq!(nowhere.kind, ProblemKind::NotFound);
    assert_eq!((names(folder.path()), fs::read(at("file")).unwrap()), (before, b"mine".to_vec()));
    assert!(!at("nowhere").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_were_indexed_are_never_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (source, image) = layout(&folder.path().join("layout"), Pack::None).await;
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    // One byte of the file changed after it was indexed; the tar is as long as it was.
    let here = lies(0, "bin/app");
    let blob = folder.path().join("layout/blobs/sha256").join(build(&spec(), Pack::None).layers[0].digest.hex());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[usize::try_from(offset(&here)).unwrap() + 1_000_000] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let problem = save(&source, &image, &here, &out.join("app"), &Ctx::default()).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt, "{problem}");
    assert!(problem.to_string().contains("not what it was when the layer was indexed"), "{problem}");
    // Cut short, it is told in other words.
    fs::write(&blob, &bytes[..bytes.len() / 2]).unwrap();
    let problem = save(&source, &image, &here, &out.join("app"), &Ctx::default()).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt, "{problem}");
    assert_eq!(names(&out), Vec::<String>::new());
}

/// Stops the whole at the first bytes, as a user would.
struct Stops(Ctx, lighterman::source::sink::AtomicFile);

impl Sink for Stops {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        use std::io::Write as _;
        self.0.cancel.cancel();
        self.1.write_all(bytes).map_err(|error| self.1.problem(&error))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_or_has_nowhere_to_go_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (source, image) = layout(&folder.path().join("layout"), Pack::Gzip).await;
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let here = lies(0, "bin/app");
    let part = Part { offset: offset(&here), length: here.length };
    let (ctx, target) = (Ctx::default(), out.join("app"));
    let (inner, file) = (ctx.clone(), target.clone());
    let make = move || Ok(Stops(inner.clone(), lighterman::source::sink::AtomicFile::create(&file, false)?));
    let problem = copy_part(&source, &ctx, &image, here.layer, part, make).await.err().unwrap();
    assert!(problem.is_cancelled(), "{problem}");
    assert_eq!(names(&out), Vec::<String>::new());
    // Cancelled when all is read already.
    let ctx = Ctx::default();
    ctx.cancel.cancel();
    let problem = save(&source, &image, &here, &target, &ctx).await.unwrap_err();
    assert!(problem.is_cancelled() && names(&out).is_empty(), "{problem}");
    // What the sink says is what is told.
    let full = || Err::<Stops, _>(Problem::new(ProblemKind::Disk, "write app", "no space is left"));
    let problem = copy_part(&source, &Ctx::default(), &image, here.layer, part, full).await.err().unwrap();
    assert_eq!((problem.kind, problem.cause.as_str()), (ProblemKind::Disk, "no space is left"));
    let nowhere = folder.path().join("none/x");
    let make = move || Ok(Stops(Ctx::default(), lighterman::source::sink::AtomicFile::create(&nowhere, false)?));
    let problem = copy_part(&source, &Ctx::default(), &image, here.layer, part, make).await.err().unwrap();
    assert_eq!(problem.kind, ProblemKind::NotFound, "{problem}");
    let beyond = Part { offset: part.offset, length: u64::MAX };
    let make = move || Ok(Stops(Ctx::default(), lighterman::source::sink::AtomicFile::create(&target, false)?));
    let problem = copy_part(&source, &Ctx::default(), &image, here.layer, beyond, make).await.err().unwrap();
    assert!(problem.kind == ProblemKind::Corrupt && names(&out).is_empty(), "{problem}");
}

/// Runs a job as the deck does, and gives all that it tells but how far it is; the last is its end.
async fn run(worker: &mut (Worker, tokio::sync::mpsc::Receiver<Msg>), id: u64, job: Job) -> Vec<JobEvent> {
    worker.0.start(JobId(id), job);
    let mut told = Vec::new();
    while let Some(msg) = tokio::time::timeout(Duration::from_secs(30), worker.1.recv()).await.unwrap() {
        worker.0.saw(&msg);
        match msg {
            Msg::Job(_, JobEvent::Progress(_)) => {}
            Msg::Job(of, event) if of == JobId(id) => {
                let last = !matches!(event, JobEvent::Chunk(_));
                told.push(event);
                if last {
                    break;
                }
            }
            _ => {}
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decks_jobs_read_layers_arrange_reckon_show_and_save() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = layout(&folder.path().join("layout"), Pack::Zstd).await;
    let image = Arc::new(image);
    let table = Table::new(Arc::new(Vec::new), Arc::new(|locator: &Locator| lighterman::work::files::found(locator, "named")));
    let locator = Locator::parse(&format!("oci:{}", folder.path().join("layout").display())).unwrap();
    let source = table.open(&locator).unwrap().id;
    let env = Env::new(table, KnownLists::none(), Journal::new(&folder.path().join("state")));
    let mut worker = Worker::new(Arc::new(env));
    // No chunk knows less than the one before it, and the last one all.
    let files = Job::Files { source: source.clone(), image: Arc::clone(&image), layers: vec![0, 1] };
    let told = run(&mut worker, 1, files.clone()).await;
    assert_eq!(told.last(), Some(&JobEvent::Done(JobOutput::Told)));
    let known: Vec<usize> = told
        .iter()
        .filter_map(|event| if let JobEvent::Chunk(JobOutput::Files { read, .. }) = event { Some(read.len()) } else { None })
        .collect();
    assert!(known.is_sorted() && known.last() == Some(&2), "{known:?}");
    let Some(JobEvent::Chunk(JobOutput::Files { tree, .. })) = told.iter().rev().nth(1) else { unreachable!("{told:?}") };
    // Of no layers there is a tree too.
    let told = run(&mut worker, 2, Job::Files { source: source.clone(), image: Arc::clone(&image), layers: Vec::new() }).await;
    assert!(matches!(told.as_slice(), [JobEvent::Chunk(JobOutput::Files { read, .. }), JobEvent::Done(_)] if read.is_empty()), "{told:?}");
    let look = Look { scope: Scope::Merged(1), order: Order::Name, wanted: Some(Wanted::parse("motd").unwrap()) };
    let told = run(&mut worker, 3, Job::Arrange { tree: tree.clone(), look: look.clone(), open: None }).await;
    let [JobEvent::Done(JobOutput::Arranged { look: of, view, rows, .. })] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!((of, rows.len()), (&look, 2));
    // Of many looks that replace each other the newest is what is told, whatever became of the others.
    for id in 100..150 {
        worker.0.start(JobId(id), Job::Arrange { tree: tree.clone(), look: look.clone(), open: None });
    }
    let told = run(&mut worker, 150, Job::Arrange { tree: tree.clone(), look: look.clone(), open: None }).await;
    assert!(matches!(told.as_slice(), [JobEvent::Done(JobOutput::Arranged { .. })]), "{told:?}");
    let told = run(&mut worker, 4, Job::Cost(tree.clone())).await;
    assert!(matches!(told.as_slice(), [JobEvent::Done(JobOutput::Cost(cost))] if cost.wasted == 3_000_006), "{told:?}");
    let Held::File(lies) = view.held(tree, rows.get(1).unwrap().node) else { unreachable!() };
    let told = run(&mut worker, 5, Job::Peek { source: source.clone(), image: Arc::clone(&image), lies: lies.clone(), columns: 80 }).await;
    let [JobEvent::Done(JobOutput::Peeked(peek))] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!((peek.text_row(0), peek.is_checked()), (Some((Some(1), "second".to_owned())), true));
    let Place::Tar { offset, .. } = lies.at else { unreachable!() };
    let wrong = Lies { at: Place::Tar { offset, content: ContentHash::of(b"other") }, ..lies };
    let told = run(&mut worker, 6, Job::Peek { source: source.clone(), image: Arc::clone(&image), lies: wrong, columns: 80 }).await;
    assert!(matches!(told.as_slice(), [JobEvent::Failed(problem)] if problem.kind == ProblemKind::Corrupt), "{told:?}");
    let file = folder.path().join("motd");
    let told = run(&mut worker, 7, Job::SaveFile { source, image, lies, file: file.clone() }).await;
    assert!(matches!(told.as_slice(), [JobEvent::Done(JobOutput::Exported { .. })]), "{told:?}");
    assert_eq!(fs::read(&file).unwrap(), b"second\n");
}

/// The deck on an archive, in the files of its highest layer.
fn in_files(folder: &Path) -> Screen {
    let archive = folder.join("app.tar");
    fs::write(&archive, docker_archive(&[spec()])).unwrap();
    let mut screen = Start::new(&[&format!("docker-archive:{}", archive.display())]).spawn();
    screen.wait_for("acme/app");
    screen.wait_for("2 layers");
    screen.send("3");
    screen.wait_for("Step 1");
    screen.send("G<Enter>");
    screen.wait_for("files all after layer 2 of 2");
    screen.wait_for("etc/");
    screen
}

#[test]
fn the_deck_shows_a_file_and_saves_it_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut screen = in_files(folder.path());
    screen.send("/motd<Enter>");
    screen.wait_for("motd");
    screen.wait_gone("bin/");
    screen.send("G<Enter>");
    screen.wait_for("second");
    screen.wait_for("1 line");
    screen.send("<Esc>");
    screen.wait_gone("1 line");
    let out = folder.path().join("out.txt");
    let save = |screen: &mut Screen, to: &Path| {
        screen.send("e");
        screen.wait_for("Save a file");
        screen.send("<Ctrl-u>");
        screen.paste(&to.display().to_string());
        screen.wait_for(to.file_name().unwrap().to_str().unwrap());
        screen.send("<Enter>");
        screen.wait_gone("Save a file");
    };
    save(&mut screen, &out);
    screen.wait_for("written");
    assert_eq!(fs::read(&out).unwrap(), b"second\n");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o7777, 0o600);
    // What is there stays as it is, and a link is not followed.
    let aim = folder.path().join("aim");
    symlink(&aim, folder.path().join("link")).unwrap();
    save(&mut screen, &folder.path().join("link"));
    screen.wait_for("symbolic");
    assert!(!aim.exists());
    fs::write(&out, "mine").unwrap();
    save(&mut screen, &out);
    screen.wait_for("already");
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(names(folder.path()), ["app.tar", "link", "out.txt"], "nothing else was left");
    assert_eq!(screen.quit(), 0);
}

/// Through an engine, whose layers come out of a save in any order and under any name.
fn of_engine(host: &str) {
    let name = "localhost/acme/peeked:1";
    let program = Program::with_engine(host);
    let archive = program.home().join("image.tar");
    let image = ImageSpec { names: vec![name.to_owned()], ..spec() };
    fs::write(&archive, docker_archive(&[image])).unwrap();
    program.run(&["import", archive.to_str().unwrap(), "--yes"]).ended(0);
    let mut screen = Start::new(&["--host", host]).spawn();
    screen.wait_for("acme/peeked");
    screen.send("/peeked<Enter>");
    screen.wait_for("1 of ");
    screen.send("3");
    screen.wait_for("2 layers");
    screen.send("gc");
    screen.wait_for("/bin/app");
    screen.wait_for("3.00 MB  removed");
    screen.send("<Enter>");
    screen.wait_for("files all after layer 2 of 2");
    screen.wait_for("─ /bin/app ─");
    screen.send("e");
    screen.wait_for("Save a file");
    let out = program.home().join("app");
    screen.send("<Ctrl-u>");
    screen.paste(&out.display().to_string());
    screen.send("<Enter>");
    screen.wait_for("written");
    assert_eq!(fs::read(&out).unwrap(), noise(3_000_000), "the one that was removed");
    screen.send("/motd<Enter>");
    screen.wait_for("only motd");
    screen.wait_for("─ /etc/motd ─");
    screen.send("<Enter>");
    screen.wait_for("second");
    screen.send("<Esc>");
    screen.wait_gone("1 line");
    assert_eq!(screen.quit(), 0);
    program.run(&["delete", name, "--yes"]).ended(0);
}

#[test]
fn docker_gives_one_file_of_a_layer() {
    if let Some(host) = common::docker("docker_gives_one_file_of_a_layer") {
        of_engine(&host);
    }
}

#[test]
fn podman_gives_one_file_of_a_layer() {
    if let Some(host) = common::podman("podman_gives_one_file_of_a_layer") {
        of_engine(&host);
    }
}
