//! Exports onto a disk that fills up, and onto targets that are in the way.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lighterman::model::{ArchiveFormat, ProblemKind};
use lighterman::source::{Ctx, ExportTo, archive, export};

use crate::common::images::{Pack, docker_archive, oci_archive};
use crate::{names, sample, second, to};

/// A file system in memory, unmounted at the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4k", "lighterman-test"]).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} was left out: it needs to mount a tmpfs");
        eprintln!("left out: {test} (needs root, to mount a tmpfs)");
        None
    }

    fn resize(&self, kib: usize) {
        let size = format!("remount,size={kib}k");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_the_target_as_it_was() {
    let Some(small) = Small::mount("a_full_disk_is_named_and_leaves_the_target_as_it_was") else { return };
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("it.tar");
    fs::write(&file, oci_archive(&[sample(), second()], Pack::Gzip)).unwrap();
    let content = archive::open(&file).unwrap();
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let target = small.0.path().join("out.tar");
        let mut failed = 0;
        for pages in 2.. {
            small.resize(4 * pages);
            fs::write(&target, b"old").unwrap();
            let to = ExportTo { overwrite: true, ..to(&target, format) };
            let done = export::write(content.as_ref(), content.images(), &to, &Ctx::default());
            assert_eq!(names(small.0.path()), ["out.tar"]);
            match done {
                Ok(_) => break,
                Err(problem) => {
                    failed += 1;
                    assert!(problem.kind == ProblemKind::Disk && problem.hint.is_some(), "{problem}");
                    assert!(problem.cause.as_str().contains("out.tar"), "{problem}");
                    assert_eq!(fs::read(&target).unwrap(), b"old");
                }
            }
        }
        assert!(failed >= 3, "{format:?} failed only {failed} times");
        fs::remove_file(target).unwrap();
    }
}

#[test]
fn what_is_in_the_way_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    fs::write(at("source.tar"), oci_archive(&[sample()], Pack::Gzip)).unwrap();
    let content = archive::open(&at("source.tar")).unwrap();
    fs::write(at("file"), "old").unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink(at("file"), at("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let before = names(folder.path());
    let export = |name: &Path, overwrite: bool| {
        let to = ExportTo { overwrite, ..to(name, ArchiveFormat::Oci) };
        export::write(content.as_ref(), content.images(), &to, &Ctx::default())
    };
    for name in ["directory", "link", "fifo"] {
        for overwrite in [false, true] {
            assert_eq!(export(&at(name), overwrite).unwrap_err().kind, ProblemKind::Conflict, "{name}");
        }
    }
    assert_eq!(export(&at("file"), false).unwrap_err().kind, ProblemKind::Conflict);
    assert_eq!(export(&at("no/where"), false).unwrap_err().kind, ProblemKind::NotFound);
    assert_eq!((names(folder.path()), fs::read(at("file")).unwrap()), (before, b"old".to_vec()));
    export(&at("file"), true).unwrap();
    assert!(archive::open(&at("file")).is_ok());
}

/// The temporary folder is a file system of its own, whose last twentieth must stay free.
#[test]
fn a_packed_archive_is_not_unpacked_to_the_last_byte_of_a_disk() {
    let Some(small) = Small::mount("a_packed_archive_is_not_unpacked_to_the_last_byte_of_a_disk") else { return };
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("it.tar.gz");
    let tar = docker_archive(&[sample().layer(&[("big", &vec![7; 4_000_000])])]);
    fs::write(&file, Pack::Gzip.pack(&tar)).unwrap();
    let kib = tar.len() / 1024;
    let inspect = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lighterman"));
        command.env_clear().env("HOME", home.path()).env("TMPDIR", small.0.path());
        command.args(["--host", "store", "inspect"]).arg(format!("docker-archive:{}", file.display())).output().unwrap()
    };
    // Too small; just large enough for the file, but not for what is to stay free; and enough for both.
    for (kib, fits) in [(kib / 2, false), (kib + 64, false), (kib + kib / 10, true)] {
        small.resize(kib);
        let output = inspect();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!fits)), "{kib} KiB: {words}");
        for word in ["it.tar.gz", small.0.path().to_str().unwrap(), "are free", "TMPDIR"] {
            assert!(fits || words.contains(word), "{kib} KiB: {word}: {words}");
        }
        assert!(names(small.0.path()).is_empty(), "nothing stays");
    }
}

#[test]
fn a_cancelled_export_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.tar");
    fs::write(&source, oci_archive(&[sample()], Pack::Gzip)).unwrap();
    let content = archive::open(&source).unwrap();
    let ctx = Ctx::default();
    ctx.cancel.cancel();
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let problem = export::write(content.as_ref(), content.images(), &to(&folder.path().join("out"), format), &ctx).unwrap_err();
        assert!(problem.is_cancelled(), "{problem}");
    }
    assert_eq!(names(folder.path()), ["source.tar"]);
}
