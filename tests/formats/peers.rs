//! What the real tools write is read, and what we write they read.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use futures_util::stream;
use lighterman::model::{ArchiveFormat, ImageKey, Problem};
use lighterman::source::content::Content;
use lighterman::source::{Ctx, export};

use crate::common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use crate::{check, common, listing, to};

fn spec(tool: &str) -> ImageSpec {
    let same: &[(&str, &[u8])] = &[("same", b"same")];
    ImageSpec::new(&format!("lighterman-formats/{tool}:v1"))
        .layer(&[("etc/motd", b"hello"), ("bin/api", &vec![7; 300_000])])
        .layer(same)
        .layer(&[("data", b"x")])
        .layer(same)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn docker(host: &str) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_HOST", host);
    command
}

fn podman(url: &str) -> Command {
    let mut command = Command::new("podman");
    command.args(["--remote", "--url", url]);
    command
}

/// IDs and layers, without names: tools spell those differently.
fn ids(content: &dyn Content) -> Vec<(String, Vec<String>)> {
    listing(content).into_iter().map(|(_, id, layers)| (id, layers)).collect()
}

/// The standard output of a running command, as a stream.
fn output_of(mut command: Command) -> impl stream::Stream<Item = Result<Bytes, Problem>> + Send + Unpin {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = std::thread::spawn(move || run(command.stdout(writer).stdin(Stdio::null())));
    let mut running = Some(running);
    stream::iter(std::iter::from_fn(move || {
        let mut buffer = vec![0; 64 * 1024];
        let read = reader.read(&mut buffer).unwrap();
        buffer.truncate(read);
        if read == 0 {
            running.take()?.join().unwrap();
            return None;
        }
        Some(Ok(Bytes::from(buffer)))
    }))
}

fn skopeo(folder: &Path, archives: &[&Path]) {
    if Command::new("skopeo").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "skopeo is needed");
        eprintln!("left out: what skopeo reads and writes");
        return;
    }
    for archive in archives {
        // Skopeo writes a configuration of its own where it goes from Docker's format to OCI's.
        let layers = |path: &Path| ids(check(path).unwrap().as_ref()).into_iter().map(|(_, layers)| layers).collect::<Vec<_>>();
        let expected = layers(archive);
        let transport = if fs::read(archive).unwrap().windows(10).any(|w| w == b"index.json") { "oci-archive" } else { "docker-archive" };
        let source = format!("{transport}:{}", archive.display());
        run(Command::new("skopeo").args(["inspect", "--config", &source]));
        for target in ["docker-archive", "oci-archive", "oci"] {
            let file = folder.join(format!("skopeo-{target}"));
            run(Command::new("skopeo").args(["--insecure-policy", "copy", &source, &format!("{target}:{}:a/b:c", file.display())]));
            assert_eq!(layers(&file), expected, "{target}");
            if file.is_dir() { fs::remove_dir_all(file).unwrap() } else { fs::remove_file(file).unwrap() }
        }
    }
}

#[tokio::test]
async fn docker_and_we_read_each_others_archives() {
    let Some(host) = common::docker("docker_and_we_read_each_others_archives") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let spec = spec("docker");
    let name = spec.names[0].as_str();
    fs::write(at("ours.tar"), docker_archive(std::slice::from_ref(&spec))).unwrap();
    let expected = listing(check(&at("ours.tar")).unwrap().as_ref());
    run(docker(&host).args(["load", "-i"]).arg(at("ours.tar")));
    // Docker's own save, from a file and as a stream.
    run(docker(&host).args(["save", name, "-o"]).arg(at("saved.tar")));
    let saved = check(&at("saved.tar")).unwrap();
    assert_eq!(listing(saved.as_ref()), expected);
    let mut exported = vec![at("saved.tar")];
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let mut command = docker(&host);
        command.args(["save", name]);
        let file = at(&format!("stream-{format:?}"));
        let key = ImageKey::Name(name.parse().unwrap());
        export::from_save(output_of(command), &[key], None, &to(&file, format), &Ctx::default()).await.unwrap();
        assert_eq!(listing(check(&file).unwrap().as_ref()), expected);
        exported.push(file);
        let file = at(&format!("file-{format:?}"));
        export::write(saved.as_ref(), saved.images(), &to(&file, format), &Ctx::default()).unwrap();
        exported.push(file);
    }
    // Docker takes our docker-archives back, even made from packed layers.
    fs::write(at("oci.tar"), oci_archive(std::slice::from_ref(&spec), Pack::Zstd)).unwrap();
    let content = check(&at("oci.tar")).unwrap();
    export::write(content.as_ref(), content.images(), &to(&at("unpacked.tar"), ArchiveFormat::Docker), &Ctx::default()).unwrap();
    for file in ["stream-Docker", "file-Docker", "unpacked.tar"] {
        run(docker(&host).args(["rmi", name]));
        let said = run(docker(&host).args(["load", "-i"]).arg(at(file)));
        assert!(String::from_utf8_lossy(&said.stdout).contains(name));
        let id = run(docker(&host).args(["image", "inspect", "--format", "{{.Id}}", name]));
        assert_eq!(String::from_utf8_lossy(&id.stdout).trim(), expected[0].1);
    }
    run(docker(&host).args(["rmi", name]));
    skopeo(folder.path(), &exported.iter().map(AsRef::as_ref).collect::<Vec<_>>());
}

#[tokio::test]
async fn podman_and_we_read_each_others_archives() {
    let Some(url) = common::podman("podman_and_we_read_each_others_archives") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut spec = spec("podman");
    spec.names = vec!["localhost/lighterman-formats/podman:v1".to_owned()];
    let name = spec.names[0].as_str();
    fs::write(at("ours.tar"), oci_archive(std::slice::from_ref(&spec), Pack::Gzip)).unwrap();
    let content = check(&at("ours.tar")).unwrap();
    let expected = ids(content.as_ref());
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let file = at(&format!("export-{format:?}"));
        export::write(content.as_ref(), content.images(), &to(&file, format), &Ctx::default()).unwrap();
        run(podman(&url).args(["load", "-i"]).arg(&file));
        run(podman(&url).args(["image", "exists", name]));
        for kind in ["docker-archive", "oci-archive"] {
            let saved = at(&format!("{format:?}-{kind}"));
            run(podman(&url).args(["save", "--format", kind, "-o"]).arg(&saved).arg(name));
            let read = check(&saved).unwrap();
            // Podman writes a configuration of its own into an oci-archive when the image came as Docker's.
            let layers = |all: Vec<(String, Vec<String>)>| all.into_iter().map(|(_, layers)| layers).collect::<Vec<_>>();
            assert_eq!(layers(ids(read.as_ref())), layers(expected.clone()), "{format:?} {kind}");
            let bytes = fs::read(&saved).unwrap();
            let target = if kind == "oci-archive" { ArchiveFormat::Oci } else { format };
            let stream = stream::iter(bytes.chunks(30_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>());
            let again = at("again");
            export::from_save(stream, &[ImageKey::Name(name.parse().unwrap())], None, &to(&again, target), &Ctx::default()).await.unwrap();
            assert_eq!(ids(check(&again).unwrap().as_ref()), ids(read.as_ref()));
            fs::remove_file(again).unwrap();
        }
        run(podman(&url).args(["rmi", name]));
    }
}
