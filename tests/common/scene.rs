//! States of the deck to draw: empty, loading, failed, full, and full of hostile text; and the means to draw them into a buffer.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::many_single_char_names,
    clippy::too_many_lines,
    reason = "each test binary uses its own part"
)]

#[path = "found.rs"]
pub mod found;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lighterman::app::{Settings, State, update};
use lighterman::flow::{Job, JobId, Loadable, Msg};
use lighterman::model::{
    Change, ContainerUse, Digest, Foreign, HistoryEntry, Image, ImageConfig, ImageList, ImageSummary, LayerInfo, Name, Platform, Powers,
    Problem, ProblemKind, Progress, Safe, SourceId, SourceInfo, SourceKind, SourceStatus, Step, StepState,
};
use lighterman::pane::tasks::{Task, TaskState};
use lighterman::ui::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The moment at which every scene plays.
pub fn now() -> Timestamp {
    "2026-03-14T15:09:26Z".parse().unwrap()
}

fn ago(days: i64, hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(days * 24 + hours)
}

pub fn digest(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

pub fn container(name: &str, running: bool) -> ContainerUse {
    let state = if running { "running" } else { "exited" };
    ContainerUse { id: Foreign::new("5d0a"), name: Foreign::new(name), running, state: Foreign::new(state) }
}

/// One image: its tags, megabytes, age in days, and the containers made from it (`+` runs, `-` stands still).
fn image(tags: &[&str], megabytes: f64, days: i64, containers: &[&str]) -> ImageSummary {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small literals")]
    let size = (megabytes * 1e6) as u64;
    let seed = format!("{}{size}{days}", tags.first().unwrap_or(&"none"));
    let id = digest(&seed);
    let version = tags.first().and_then(|tag| tag.rsplit_once(':')).map(|(_, version)| version.to_owned());
    ImageSummary {
        repo_digests: tags
            .first()
            .and_then(|tag| tag.rsplit_once(':'))
            .map(|(repository, _)| Name::new(&format!("{repository}@{}", digest(&format!("manifest {seed}")))))
            .into_iter()
            .collect(),
        id,
        tags: tags.iter().map(|tag| Name::new(tag)).collect(),
        created: Some(ago(days, 3)),
        size: Some(size),
        unique_size: Some(size / 3),
        platform: Some(Platform::new("linux", "amd64", None)),
        containers: Some(containers.iter().map(|name| container(&name[1..], name.starts_with('+'))).collect()),
        labels: version.map(|v| (Box::from("org.opencontainers.image.version"), Foreign::new(&v))).into_iter().collect(),
    }
}

pub fn catalogue() -> Vec<ImageSummary> {
    vec![
        image(
            &["ghcr.io/harbourworks/quay-api:2.14.1", "ghcr.io/harbourworks/quay-api:2.14", "ghcr.io/harbourworks/quay-api:latest"],
            187.4,
            1,
            &["+quay-api-1", "+quay-api-2"],
        ),
        image(&["ghcr.io/harbourworks/quay-api:2.14.0"], 186.9, 9, &["-quay-api-old"]),
        image(&["ghcr.io/harbourworks/quay-api:2.13.4"], 181.2, 41, &[]),
        image(&["ghcr.io/harbourworks/tide-worker:0.9.0-rc3", "ghcr.io/harbourworks/tide-worker:edge"], 412.6, 0, &["+tide-worker-1"]),
        image(&["ghcr.io/harbourworks/tide-worker:0.8.7"], 398.0, 27, &[]),
        image(&["ghcr.io/harbourworks/manifest-reader:1.0.0"], 23.8, 63, &[]),
        image(&["registry.example.net:5000/platform/observability/metrics-gateway:v1.42.0"], 96.3, 12, &["+metrics"]),
        image(&["registry.example.net:5000/platform/observability/trace-collector:v0.19.2-alpine"], 58.1, 12, &[]),
        image(&["registry.example.net:5000/ml/embedding-server:2026-03-01-cuda12"], 7_840.2, 13, &["-embeddings"]),
        image(&["registry.example.net:5000/ml/embedding-server:2026-01-15-cuda12"], 7_791.0, 58, &[]),
        image(&["postgres:17.4", "postgres:17"], 438.7, 22, &["+db"]),
        image(&["postgres:15.12"], 429.1, 22, &["-db-before-upgrade"]),
        image(&["redis:7.4-alpine"], 41.2, 31, &["+cache"]),
        image(&["nginx:1.27-alpine", "nginx:stable-alpine"], 51.7, 36, &["+edge-1", "+edge-2", "-edge-canary"]),
        image(&["debian:bookworm-slim"], 74.8, 17, &[]),
        image(&["alpine:3.21"], 7.8, 66, &[]),
        image(&["alpine:3.18"], 7.3, 640, &[]),
        image(&["rust:1.88-slim-bookworm"], 812.5, 30, &[]),
        image(&["node:22-bookworm"], 1_124.9, 19, &[]),
        image(&["golang:1.24"], 838.1, 25, &[]),
        image(&["python:3.13-slim"], 124.3, 20, &["-notebook"]),
        image(&["busybox:musl"], 1.5, 480, &[]),
        image(&["hello-world:latest"], 0.013, 1010, &[]),
        image(&["localhost/scratch-build:dev"], 0.9, 0, &[]),
        image(&[], 392.4, 2, &[]),
        image(&[], 391.8, 3, &[]),
        image(&[], 17.2, 95, &["-forgotten"]),
        image(&["registry.example.net:5000/legacy/billing-batch:2019.11"], 1_530.0, 2_300, &[]),
        image(&["mailhog/mailhog:v1.0.1"], 392.0, 2_050, &["+mail"]),
        image(&["grafana/grafana-oss:11.5.2"], 486.2, 28, &["+grafana"]),
        image(&["prom/prometheus:v3.2.1"], 295.6, 16, &["+prometheus"]),
        image(&["traefik:v3.3"], 189.9, 24, &[]),
    ]
}

fn step(by: &str, size: Option<u64>, days: i64) -> HistoryEntry {
    let layer = size.map(|_| digest(by));
    HistoryEntry {
        created: Some(ago(days, 3)),
        created_by: Some(Foreign::new(by)),
        comment: None,
        empty_layer: size.is_none(),
        size,
        diff_id: layer.as_ref().map(|layer| digest(layer.as_str())),
        layer_digest: layer,
    }
}

pub fn history() -> Vec<HistoryEntry> {
    vec![
        step("/bin/sh -c #(nop) ADD file:4b0f2b1d3e9a7c55 in / ", Some(74_811_392), 40),
        step("/bin/sh -c #(nop)  CMD [\"bash\"]", None, 40),
        step("ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8", None, 12),
        step(
            "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates curl libssl3 tini && rm -rf /var/lib/apt/lists/* # buildkit",
            Some(48_230_114),
            12,
        ),
        step("ARG TARGETARCH", None, 12),
        step(
            "RUN |1 TARGETARCH=amd64 /bin/sh -c curl -fsSL \"https://example.net/dist/${TARGETARCH}/quay.tar.gz\" | tar -xz -C /opt # buildkit",
            Some(31_400_962),
            9,
        ),
        step("COPY --chown=quay:quay --from=build /src/target/release/quay-api /usr/local/bin/quay-api # buildkit", Some(28_114_430), 1),
        step("COPY --chown=quay:quay static /srv/static # buildkit", Some(4_733_020), 1),
        step("RUN /bin/sh -c useradd --system --home-dir /srv quay && chown -R quay:quay /srv # buildkit", Some(341_200), 1),
        step("LABEL org.opencontainers.image.source=https://example.net/harbourworks/quay-api", None, 1),
        step("WORKDIR /srv", Some(93), 1),
        step("USER quay", None, 1),
        step("EXPOSE map[8080/tcp:{}]", None, 1),
        step(
            "HEALTHCHECK &{[\"CMD-SHELL\" \"curl -fs http://localhost:8080/healthz || exit 1\"] \"30s\" \"3s\" \"0s\" \"0s\" '\\x03'}",
            None,
            1,
        ),
        step("ENTRYPOINT [\"/usr/bin/tini\" \"--\"]", None, 1),
        step("CMD [\"quay-api\" \"--listen\" \"0.0.0.0:8080\"]", None, 1),
    ]
}

pub fn whole(summary: &ImageSummary, history: Vec<HistoryEntry>) -> Image {
    let layers = history.iter().filter(|step| !step.empty_layer).enumerate().map(|(index, step)| LayerInfo {
        index,
        digest: step.layer_digest.clone(),
        diff_id: step.diff_id.clone(),
        size: step.size,
        uncompressed_size: None,
        media_type: Some(Foreign::new("application/vnd.oci.image.layer.v1.tar+gzip")),
        compression: Some("gzip"),
        created_by: step.created_by.clone(),
        verified: None,
        contents: None,
    });
    let words = |list: &[&str]| list.iter().map(|word| Foreign::new(word)).collect::<Vec<_>>();
    let config = ImageConfig {
        user: Some(Foreign::new("quay")),
        entrypoint: Some(words(&["/usr/bin/tini", "--"])),
        cmd: Some(words(&["quay-api", "--listen", "0.0.0.0:8080"])),
        env: words(&["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "QUAY_LOG=info,quay=debug"]),
        working_dir: Some(Foreign::new("/srv")),
        exposed_ports: words(&["8080/tcp"]),
        volumes: words(&["/srv/data"]),
        labels: BTreeMap::from([("org.opencontainers.image.version".to_owned(), Foreign::new("2.14.1"))]),
        healthcheck: Some(words(&["CMD-SHELL", "curl -fs http://localhost:8080/healthz || exit 1"])),
        stop_signal: None,
    };
    Image {
        id: summary.id.clone(),
        manifest_digest: Some(digest("manifest")),
        media_type: Some(Foreign::new("application/vnd.oci.image.manifest.v1+json")),
        tags: summary.tags.clone(),
        repo_digests: summary.repo_digests.clone(),
        created: summary.created,
        platform: summary.platform.clone(),
        size: summary.size,
        unique_size: summary.unique_size,
        containers: summary.containers.clone(),
        config: Some(config),
        layers: Some(layers.collect()),
        history: Some(history),
        base: None,
    }
}

pub fn source() -> SourceInfo {
    SourceInfo {
        id: SourceId("engine:unix:///var/run/docker.sock".to_owned()),
        kind: SourceKind::Engine,
        name: Safe::new("docker"),
        place: Safe::new("unix:///var/run/docker.sock"),
        why: Safe::new("current context"),
        powers: Powers::ALL,
        read_only: false,
    }
}

pub fn store() -> SourceInfo {
    SourceInfo {
        id: SourceId("store".to_owned()),
        kind: SourceKind::Store,
        name: Safe::new("store"),
        place: Safe::new("~/.local/share/lighterman/store"),
        why: Safe::new("always there"),
        powers: Powers::ALL,
        read_only: false,
    }
}

pub fn refused() -> Problem {
    Problem::new(
        ProblemKind::Unreachable,
        "list the images of docker",
        "nobody listens on /var/run/docker.sock: connection refused (os error 111)",
    )
    .hint("start the engine (systemctl start docker), or choose the store, which needs none")
}

/// A deck of that size with a source and nothing asked yet.
pub fn blank(width: u16, height: u16) -> State {
    let settings = Settings {
        theme: "lighterman-dark".to_owned(),
        themes: lighterman::ui::theme::BUILTIN.iter().map(|(name, _)| (*name).to_owned()).collect(),
        clipboard: true,
        mouse: true,
        export_dir: "/home/ana".to_owned(),
        ..Settings::default()
    };
    let mut state = State::new(settings, now());
    state.sources.all.value = Some(vec![source(), store()]);
    state.sources.current = Some(source().id);
    size(&mut state, width, height);
    state
}

pub fn size(state: &mut State, width: u16, height: u16) {
    let _ = update(state, Msg::Resize { width, height });
}

pub fn loading(width: u16, height: u16) -> State {
    let mut state = blank(width, height);
    state.sources.status = SourceStatus::Connecting;
    state.images.list.job = Some(JobId(1));
    state.spin = 3;
    state
}

pub fn failed(width: u16, height: u16) -> State {
    let mut state = blank(width, height);
    state.sources.status = SourceStatus::Down(refused());
    state.sources.tries = 2;
    state.images.list.problem = Some(refused());
    state
}

/// A deck over these images, answered just now.
pub fn over(images: Vec<ImageSummary>, history: Vec<HistoryEntry>, width: u16, height: u16) -> State {
    let mut state = blank(width, height);
    state.sources.status = SourceStatus::Ready { version: Safe::new("Docker 28.2.2, API 1.50") };
    state.images.list.value = Some(Arc::new(ImageList { images, at: now(), gaps: Vec::new() }));
    state.images.rebuild(now());
    size(&mut state, width, height);
    select(&mut state, 0, history);
    state
}

/// Puts the cursor on a row, and its image into the Layers pane.
pub fn select(state: &mut State, row: usize, history: Vec<HistoryEntry>) {
    state.images.cursor.go(row);
    if let Some(image) = state.images.selected().map(|(summary, _)| whole(summary, history)) {
        let key = state.selected_key();
        state.layers.follow(key);
        state.layers.image = Loadable { value: Some(Arc::new(image)), job: None, problem: None };
        state.layers.arrived();
    }
    let (width, height) = (state.width, state.height);
    size(state, width, height);
    found::settle(state);
}

pub fn empty(width: u16, height: u16) -> State {
    over(Vec::new(), Vec::new(), width, height)
}

pub fn full(width: u16, height: u16) -> State {
    let mut state = over(catalogue(), history(), width, height);
    let row = state
        .images
        .rows
        .iter()
        .position(|row| state.images.at(*row).is_some_and(|(_, name)| name.is_some_and(|n| n.raw().ends_with("quay-api:2.14.1"))));
    select(&mut state, row.unwrap_or(0), history());
    state.layers.cursor.go(3);
    state
}

fn moving(label: &str, state: StepState, done: u64, total: u64) -> Step {
    Step { label: Safe::new(label), state, done, total: Some(total) }
}

/// Tasks of every kind: one that runs, one asked to stop, one done, one with something left out, one failed, one cancelled.
pub fn with_tasks(mut state: State) -> State {
    let job = |name: &str| Job::Change(Change::Pull { source: source().id, name: Name::new(name), platform: None });
    let start = |seconds: i64| now() - SignedDuration::from_secs(seconds);
    let mut id = 100;
    let mut add = |state: &mut State, title: &str, began: i64, ended: Option<(i64, TaskState)>| {
        id += 1;
        let mut task = Task::new(JobId(id), job(title), Safe::new(title), start(began));
        task.state = TaskState::Running;
        if let Some((end, how)) = ended {
            task.state = how;
            task.ended = Some(start(end));
            task.unfolded = false;
        }
        state.tasks.tasks.insert(0, task);
    };
    add(
        &mut state,
        "Export 3 images to /home/ana/backup.oci.tar",
        900,
        Some((840, TaskState::Done(Safe::new("1.24 GB written and verified")))),
    );
    add(&mut state, "Remove 4 tags", 700, Some((699, TaskState::Partial(Safe::new("3 removed, 1 kept: used by container db")))));
    let denied = Problem::new(
        ProblemKind::Denied,
        "push registry.example.net:5000/ml/embedding-server:2026-03-01-cuda12",
        "the registry answered 403: denied: requested access to the resource is denied",
    )
    .hint("log in with an account that may push there: docker login registry.example.net:5000");
    add(&mut state, "Push registry.example.net:5000/ml/embedding-server:2026-03-01-cuda12", 500, Some((482, TaskState::Failed(denied))));
    add(&mut state, "Pull node:20", 300, Some((290, TaskState::Cancelled)));
    add(&mut state, "Import old.tar", 60, Some((60, TaskState::Stopping)));
    add(&mut state, "Pull ghcr.io/harbourworks/tide-worker:0.9.0", 14, None);
    if let Some(task) = state.tasks.tasks.first_mut() {
        let at = |done: u64| Progress {
            phase: Safe::new("downloading"),
            steps: vec![
                moving("f18232174bc9", StepState::Skipped, 0, 0),
                moving("a3ed95caeb02", StepState::Done, 31_400_962, 31_400_962),
                moving("9b7c1e0d44aa", StepState::Running, done, 214_000_000),
                moving("0f3a8bd2c911", StepState::Running, done / 8, 48_000_000),
                moving("77c2d1ee0b4f", StepState::Waiting, 0, 12_800_000),
            ],
            ..Progress::default()
        };
        task.progressed(at(60_000_000), start(6));
        task.progressed(at(122_000_000), start(1));
    }
    for (id, state_in_line) in [(201, TaskState::Waiting), (202, TaskState::Paused)] {
        let title = format!("Pull ghcr.io/harbourworks/tide-worker:0.8.{id}");
        let mut task = Task::new(JobId(id), job(&title), Safe::new(&title), now());
        task.state = state_in_line;
        state.tasks.line.push(task.id);
        state.tasks.tasks.push(task);
    }
    if let Some(task) = state.tasks.tasks.get_mut(1) {
        task.ended = None;
        let steps = vec![moving("old.tar", StepState::Running, 1_200_000_000, 2_400_000_000)];
        task.progress = Progress { phase: Safe::new("sending"), steps, ..Progress::default() };
    }
    state.tasks.rebuild();
    state.spin = 5;
    let (width, height) = (state.width, state.height);
    size(&mut state, width, height);
    state
}

/// Text that is wide, that hides, that turns round, that is far too long.
pub fn hostile(width: u16, height: u16) -> State {
    let evil = [
        "app\u{1b}[31m:red",
        "\u{202e}gnp.exe:rtl",
        "zero\u{200b}width:1",
        "日本語のイメージ:最新",
        "registry.example.net/🚢/container:🦀",
        "z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}algo:1",
        "back\\x1bslash:1",
        "new\nline:1\t2",
        ":",
        "/",
        "",
        "Gro\u{df}/Sch\u{f6}n:\u{3164}",
    ];
    let mut images: Vec<_> =
        evil.iter().map(|name| image(&[name], 12.5, 4, &["+\u{1f6a2}-配信サーバー", "-\u{1b}]0;owned\u{7}"])).collect();
    images.push(image(&[&format!("{}:{}", "very-long/".repeat(40), "v".repeat(300))], 1.0, 1, &[]));
    let mut odd = image(&["odd:1"], 0.0, -400, &[]);
    (odd.size, odd.created, odd.unique_size, odd.containers) = (Some(u64::MAX), None, None, None);
    odd.labels = BTreeMap::from([(Box::from("org.opencontainers.image.version"), Foreign::new("１.０\u{202e}\u{1b}[2J"))]);
    images.push(odd);
    let mut steps = vec![
        step("RUN /bin/sh -c echo \"こんにちは世界、これは長いコマンドです\" && echo 🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢 # buildkit", Some(1_000), 1),
        step("RUN echo \u{1b}]52;c;ZXZpbA==\u{7}\t&& rm -rf '\u{202e}/'\nsecond line", Some(u64::MAX), 1),
        step(&format!("RUN {}", "x".repeat(6000)), Some(0), 1),
        step("", Some(12), 1),
    ];
    if let Some(last) = steps.last_mut() {
        last.created_by = None;
        last.created = None;
        last.size = None;
    }
    let mut state = over(images, steps, width, height);
    state.sources.status = SourceStatus::Ready { version: Safe::new("Evil\u{1b}c 1.0 \u{202e}") };
    state
}

/// Ten thousand images, two tags on every fourth.
pub fn many(width: u16, height: u16) -> State {
    let teams = ["harbour", "tide", "quay", "mast", "keel", "anchor", "beacon"];
    let images = (0..10_000_u32).map(|n| {
        let team = teams[n as usize % teams.len()];
        let name = format!("registry.example.net:5000/{team}/service-{:04}:v{}.{}.{}", n % 900, n % 4, n % 13, n % 31);
        let second = format!("registry.example.net:5000/{team}/service-{:04}:build-{n}", n % 900);
        let tags: &[&str] = if n % 4 == 0 { &[&name, &second] } else { &[&name] };
        image(tags, f64::from(n % 3000) / 1.7, i64::from(n % 700), if n % 9 == 0 { &["+web"] } else { &[] })
    });
    over(images.collect(), history(), width, height)
}

/// Draws a state into a buffer of its size; gives the terminal's cursor too.
pub fn draw(state: &State, theme: &Theme) -> (Buffer, Option<(u16, u16)>) {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.width, state.height));
    let caret = lighterman::app::draw::draw_in(&mut buffer, state, theme);
    (buffer, caret)
}

/// The screen as text.
pub fn draw_text(state: &State) -> String {
    let (buffer, _) = draw(state, &dark());
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

pub fn dark() -> Theme {
    Theme::builtin("lighterman-dark").unwrap()
}

/// Removals in the plan: an untagging, an image that goes, one that a container keeps, and one that runs.
pub fn planned(mut state: State) -> State {
    use lighterman::model::LineState;
    let rows: Vec<usize> = ["quay-api:2.14", "alpine:3.18", "postgres:17.4", "postgres:17", "redis:7.4-alpine"]
        .iter()
        .filter_map(|tag| {
            let named = |row: &lighterman::pane::images::Row| {
                state.images.at(*row).is_some_and(|(_, name)| name.is_some_and(|name| name.raw().ends_with(tag)))
            };
            state.images.rows.iter().position(named)
        })
        .collect();
    for row in rows {
        state.images.cursor.go(row);
        let _ = update(&mut state, Msg::Act(lighterman::flow::Action::Mark));
    }
    let _ = update(&mut state, Msg::Act(lighterman::flow::Action::Delete));
    let _ = update(&mut state, Msg::Act(lighterman::flow::Action::Down));
    let _ = update(&mut state, Msg::Act(lighterman::flow::Action::Open));
    state.plan.told(0, LineState::Done { observed: None });
    state.plan.told(1, LineState::Running);
    state
}

/// Runs in the journal: one that is whole and opened, one that was cut short, one that was taken back.
pub fn logged(mut state: State) -> State {
    use lighterman::model::{LineState, LoggedLine, LoggedRun, Operation, PlanKind, RunEnd, Target, UndoClass, Verb};
    let at = |tag: &str| Target::Tag(Name::new(&format!("registry.example.net:5000/ml/embedding-server:{tag}")));
    let line = |verb, tag: &str, before: Option<&str>, after: Option<&str>, state| {
        let source = SourceId::registry("registry.example.net:5000");
        let mut operation = Operation::new(verb, source, at(tag), before.map(digest), after.map(digest));
        operation.undo = UndoClass::UntilGarbageCollection;
        LoggedLine { operation, state, restorable: None }
    };
    let done = || LineState::Done { observed: None };
    let mut first = line(Verb::DeleteTag, "2025-11-02-cuda12", Some("old"), None, done());
    first.restorable = Some(None);
    let mut gone = line(Verb::DeleteTag, "2025-10-14-cuda12", Some("older"), None, done());
    gone.restorable = Some(Some(Safe::new("the manifest's layers are gone")));
    let moved = line(Verb::MoveTag, "stable", Some("a"), Some("b"), LineState::Conflict { observed: Some(digest("c")) });
    let run = |id: &str, minutes: i64, kind, lines: Vec<LoggedLine>, end| LoggedRun {
        id: id.to_owned(),
        at: now() - SignedDuration::from_mins(minutes),
        actor: Foreign::new("ana@harbour"),
        kind,
        lines,
        end,
        about: None,
        damaged: false,
    };
    let runs = vec![
        run("01jp9x3e0a", 12, PlanKind::Delete, vec![first, gone, moved], RunEnd::Whole),
        run(
            "01jp9w0000",
            190,
            PlanKind::Retag,
            vec![line(Verb::Tag, "1.4.0", None, Some("x"), done()), line(Verb::Tag, "1.4", None, Some("x"), LineState::Waiting)],
            RunEnd::CutShort,
        ),
        run("01jp80aaaa", 2900, PlanKind::Retag, vec![line(Verb::Tag, "edge", None, Some("y"), LineState::TakenBack)], RunEnd::Whole),
    ];
    let _ = update(&mut state, Msg::Act(lighterman::flow::Action::FocusLog));
    state.log.runs = Loadable { value: Some(Arc::new(runs)), job: None, problem: None };
    state.log.rebuild();
    let _ = update(&mut state, Msg::Act(lighterman::flow::Action::Open));
    state
}
