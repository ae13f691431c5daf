//! A dockerd of our own that is killed in the middle of what it does.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;
use lighterman::model::{ArchiveFormat, ImageKey, Name, ProblemKind};
use lighterman::source::{Ctx, ExportTo, Source as _};

use crate::common;
use crate::peer::{Made, Peer, noise};

/// An engine that this test may kill. Everything it leaves behind is below one temporary folder.
struct Dockerd {
    program: String,
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Dockerd {
    fn new(program: String) -> Self {
        Self { program, dir: tempfile::Builder::new().prefix("lmd").tempdir().unwrap(), child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Starts it and waits until it answers.
    async fn start(&mut self) {
        let shown = |name: &str| self.path(name).display().to_string();
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = Command::new(&self.program)
            .args(["--data-root", &shown("data"), "--exec-root", &shown("exec"), "-p", &shown("pid"), "-H", &self.address()])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let source = crate::scripted::source(&self.address());
        for _ in 0..600 {
            if source.version(&Ctx::default()).await.is_ok() {
                return;
            }
            assert!(self.child.as_mut().unwrap().try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(self.path("log")).unwrap());
            pause().await;
        }
        panic!("dockerd did not come up: {}", std::fs::read_to_string(self.path("log")).unwrap());
    }

    /// SIGKILL, for it and for the containerd it started.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        end(&self.path("exec/containerd/containerd.pid"));
        let _ = std::fs::remove_file(self.path("pid"));
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends the process named in a pid file, and waits until it is gone.
fn end(file: &Path) {
    let pid = std::fs::read_to_string(file).ok().and_then(|text| rustix::process::Pid::from_raw(text.trim().parse().ok()?));
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        // A process that has ended, but was not waited for yet, has no program any more.
        while std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).is_ok() {
            std::thread::yield_now();
        }
        let _ = std::fs::remove_file(file);
    }
}

/// Between two looks at a condition.
async fn pause() {
    let _ = tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await;
}

/// Kills the engine once the running verb has moved some bytes.
async fn kill_when_it_moves(engine: &mut Dockerd, ctx: &Ctx) {
    while ctx.meter.snapshot().totals().0 == 0 {
        pause().await;
    }
    engine.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_killed_in_the_middle_is_a_problem_and_comes_back() {
    let test = "an_engine_killed_in_the_middle_is_a_problem_and_comes_back";
    let Some(program) = common::require(test, "LIGHTERMAN_TEST_DOCKERD_BIN") else { return };
    let mut engine = Dockerd::new(program);
    engine.start().await;
    let peer = Peer::new(&engine.address(), false);
    let made = Made::with("killed", &[noise("killed", 120 << 20)]);
    let archive = made.archive(&["killed:1"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.tar");
    std::fs::write(&file, &archive).unwrap();
    let curator = peer.source.curator().unwrap();

    // In the middle of a load.
    let ctx = Ctx::default();
    let (loaded, ()) = tokio::join!(curator.import(&ctx, &file, &[]), kill_when_it_moves(&mut engine, &ctx));
    assert_eq!(loaded.unwrap_err().kind, ProblemKind::Unreachable);
    assert_eq!(peer.source.list(&Ctx::default()).await.unwrap_err().kind, ProblemKind::Unreachable);
    engine.start().await;
    assert!(peer.source.list(&Ctx::default()).await.unwrap().images.is_empty(), "half a load is none");

    // The event stream.
    let mut changes = peer.source.watcher().unwrap().watch(&Ctx::default()).await.unwrap();
    changes.next().await.unwrap().unwrap();
    curator.import(&Ctx::default(), &file, &[]).await.unwrap();
    changes.next().await.unwrap().unwrap();

    // In the middle of a save.
    let ctx = Ctx::default();
    let to = ExportTo { file: dir.path().join("out.tar"), format: ArchiveFormat::Docker, overwrite: false };
    let keys = [ImageKey::Name(Name::new("killed:1").reference().unwrap())];
    let (saved, ()) = tokio::join!(peer.source.export(&ctx, &keys, &to), kill_when_it_moves(&mut engine, &ctx));
    let problem = saved.unwrap_err();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["in.tar"], "{problem}");
    loop {
        match changes.next().await {
            Some(Ok(_)) => {}
            Some(Err(problem)) => break assert_eq!(problem.kind, ProblemKind::Unreachable, "{problem:?}"),
            None => panic!("the stream must end with a problem"),
        }
    }
    engine.start().await;
    assert_eq!(peer.source.list(&Ctx::default()).await.unwrap().images[0].id, made.id);
    peer.source.export(&Ctx::default(), &keys, &to).await.unwrap();

    // In the middle of a pull.
    if let Some(registry) = common::registry(test) {
        let name = format!("{registry}/killed-{}:1", std::process::id());
        let reference = Name::new(&name).reference().unwrap();
        curator.tag(&Ctx::default(), &made.id, &reference, None).await.unwrap();
        curator.push(&Ctx::default(), &reference, &made.id).await.unwrap();
        peer.clear(&[&name, "killed:1"], None).await;
        let ctx = Ctx::default();
        let (pulled, ()) = tokio::join!(curator.pull(&ctx, &reference, None), kill_when_it_moves(&mut engine, &ctx));
        assert_eq!(pulled.unwrap_err().kind, ProblemKind::Unreachable);
        engine.start().await;
        assert!(peer.source.list(&Ctx::default()).await.unwrap().images.is_empty());
        curator.pull(&Ctx::default(), &reference, None).await.unwrap();
    }
}
