//! Engines that are absent, hang, lie, break off, or are killed in the middle.
#![allow(
    clippy::allow_attributes,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "what fails here fails the test"
)]

mod common;
#[path = "engine/killed.rs"]
mod killed;
#[path = "engine/peer.rs"]
mod peer;
#[path = "engine/scripted.rs"]
mod scripted;

use std::time::Duration;

use futures_util::StreamExt as _;
use lighterman::model::{ArchiveFormat, Digest, ImageKey, Name, ProblemKind, Removal, Why};
use lighterman::source::{Ctx, ExportTo, Source as _};
use peer::Made;
use scripted::{Reply, Scripted, answer, chunked, json, source};

#[tokio::test]
async fn each_way_of_not_being_there_has_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("unix://{}", dir.path().join(name).display());
    std::fs::write(dir.path().join("file"), "").unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("dead")).unwrap());
    for (name, kind, words) in [
        ("absent", ProblemKind::Unreachable, "there is no socket"),
        ("file", ProblemKind::Usage, "is not a socket"),
        ("dead", ProblemKind::Unreachable, "nobody listens"),
    ] {
        let problem = source(&path(name)).list(&Ctx::default()).await.unwrap_err();
        assert_eq!(problem.kind, kind, "{problem:?}");
        assert!(problem.cause.as_str().contains(words), "{problem}");
        assert!(problem.hint.is_some(), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_is_given_up_after_a_minute() {
    let engine = Scripted::new(|_| Reply::Hang);
    let problem = engine.source.list(&Ctx::default()).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unreachable);
    assert!(problem.cause.as_str().contains("did not answer for 60 seconds"), "{problem}");
    let late = Scripted::docker(|request| (request == "GET /images/json").then_some(Reply::Hang));
    assert!(late.source.list(&Ctx::default()).await.unwrap_err().cause.as_str().contains("did not answer"));
    let cut = Scripted::docker(|request| {
        (request == "GET /images/json").then(|| Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[".to_vec()))
    });
    assert_eq!(cut.source.list(&Ctx::default()).await.unwrap_err().kind, ProblemKind::Unreachable);
}

#[tokio::test]
async fn a_hanging_engine_can_be_cancelled_at_once() {
    let engine = Scripted::new(|_| Reply::Hang);
    let ctx = Ctx::default();
    let (listed, ()) = tokio::join!(engine.source.list(&ctx), async {
        tokio::task::yield_now().await;
        ctx.cancel.cancel();
    });
    assert!(listed.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_stranger_is_recognised() {
    let strangers: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>Hi</html>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"ApiVersion\":\"x\"}",
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
    ];
    for bytes in strangers {
        let problem = Scripted::new(|_| Reply::Raw(bytes.to_vec())).source.version(&Ctx::default()).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Corrupt, "{}: {problem:?}", String::from_utf8_lossy(bytes));
        assert!(problem.cause.as_str().contains("neither Docker nor Podman"), "{problem}");
    }
    let old = Scripted::new(|_| json(r#"{"Version":"1.9.0","ApiVersion":"1.21","MinAPIVersion":"1.12"}"#));
    assert_eq!(old.source.version(&Ctx::default()).await.unwrap_err().kind, ProblemKind::Unsupported);
    let new = Scripted::new(|_| json(r#"{"Version":"99.0.0","ApiVersion":"2.9","MinAPIVersion":"2.0"}"#));
    assert_eq!(new.source.version(&Ctx::default()).await.unwrap_err().kind, ProblemKind::Unsupported);
}

#[tokio::test]
async fn a_hostile_list_is_shown_safely_and_without_containers_it_is_still_a_list() {
    let id = Digest::sha256(b"x");
    let list = format!(
        r#"[{{"Id":"{id}","RepoTags":["a\u001b[31m:\u202e1","ok:1",null],"Labels":{{"\u0007":"\u009b"}},"Size":9223372036854775808,"Created":"9999-99-99"}},
            {{"Id":"sha256:../../etc"}}]"#
    );
    let engine = Scripted::docker(move |request| match request {
        "GET /images/json" => Some(json(&list)),
        "GET /containers/json" => Some(Reply::Raw(answer("500 Internal Server Error", r#"{"message":"no \u001b]0;containers"}"#))),
        _ => None,
    });
    let list = engine.source.list(&Ctx::default()).await.unwrap();
    assert_eq!(list.images.len(), 1);
    let image = &list.images[0];
    assert_eq!((image.tags.len(), image.size, image.created, image.containers.as_ref()), (2, None, None, None));
    assert!(image.tags[0].reference().is_err(), "it can't be acted on");
    assert!(image.tags[0].safe().as_str().chars().all(|c| !c.is_control()));
    assert_eq!(list.gaps.len(), 2, "{:?}", list.gaps);
    assert!(list.gaps[0].raw().contains("containers"));
}

#[tokio::test]
async fn endless_answers_are_cut() {
    let engine = Scripted::docker(|request| {
        let endless = || {
            let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
            bytes.resize(3 << 20, b'x');
            Reply::Raw(bytes)
        };
        match request {
            "POST /images/create" | "GET /events" => Some(endless()),
            _ => None,
        }
    });
    let name = Name::new("127.0.0.1:9/x:1").reference().unwrap();
    let problem = engine.source.curator().unwrap().pull(&Ctx::default(), &name, None).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit, "{problem:?}");
    let items: Vec<_> = engine.source.watcher().unwrap().watch(&Ctx::default()).await.unwrap().collect().await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[1].as_ref().unwrap_err().kind, ProblemKind::Limit);
}

#[tokio::test]
async fn a_pull_is_believed_only_when_the_engine_ends_it() {
    let (own, other) = (Digest::sha256(b"own"), Digest::sha256(b"other"));
    let name = Name::new("r.example/app:1").reference().unwrap();
    let started = r#"{"status":"Pulling from app","id":"1"}"#;
    let told = format!("{started}\n{{\"status\":\"Digest: {own}\"}}\n{{\"status\":\"Status: Image is up to date\"}}\n");
    // The image is there from before, under this name and under another repository's.
    let there = format!(r#"{{"Id":"{}","RepoDigests":["r.example/fork@{other}","r.example/app@{own}"]}}"#, Digest::sha256(b"id"));
    let fork = format!(r#"{{"Id":"{}","RepoDigests":["r.example/fork@{other}"]}}"#, Digest::sha256(b"id"));
    let podman = r#"{"Version":"4.3.1","ApiVersion":"1.41","MinAPIVersion":"1.24","Components":[{"Name":"Podman Engine"}]}"#;
    let docker = r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;
    let id = Digest::sha256(b"id");
    let complete = format!(r#"{{"status":"Download complete","progressDetail":{{}},"id":"{}"}}"#, id.short());
    let own_api = format!(r#"{{"images":["{0}"],"id":"{0}"}}"#, id.hex());
    let layer = r#"{"status":"Download complete","progressDetail":{},"id":"0f6e605e7fd4"}"#;
    for (case, version, stream, image, whole) in [
        ("docker, whole", docker, told.as_str(), &there, true),
        ("docker, ended early", docker, started, &there, false),
        ("docker, nothing said", docker, "", &there, false),
        ("podman, whole", podman, complete.as_str(), &there, true),
        ("podman's own API, whole", podman, own_api.as_str(), &there, true),
        ("podman, ended early", podman, layer, &there, false),
        ("podman, nothing said", podman, "", &there, false),
        ("podman, another repository's", podman, complete.as_str(), &fork, false),
    ] {
        let (stream, image) = (stream.to_owned(), image.clone());
        let engine = Scripted::new(move |request| match request {
            "GET /version" => json(version),
            "POST /images/create" => Reply::Raw(chunked(stream.as_bytes(), true)),
            "GET /images/r.example/app:1/json" => json(&image),
            _ => Reply::Raw(answer("404 Not Found", r#"{"message":"no such thing"}"#)),
        });
        let pulled = engine.source.curator().unwrap().pull(&Ctx::default(), &name, None).await;
        match pulled {
            Ok(transfer) => assert_eq!((transfer.digest.as_ref(), whole), (Some(&own), true), "{case}"),
            Err(problem) => {
                assert!(!whole && problem.cause.as_str().contains("without saying what it pulled"), "{case}: {problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_cancelled_removal_that_hangs_still_tells_what_went() {
    let id = Digest::sha256(b"id");
    let row = format!(r#"{{"Id":"{id}","RepoTags":["a:1","a:2","a:3"]}}"#);
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let gone = std::sync::atomic::AtomicBool::new(false);
    let engine = Scripted::docker(move |request| match request {
        "DELETE /images/docker.io/library/a:1" => {
            gone.store(true, std::sync::atomic::Ordering::SeqCst);
            Some(json("[]"))
        }
        "DELETE /images/docker.io/library/a:2" => {
            told.send(()).unwrap();
            Some(Reply::Hang)
        }
        "GET /images/docker.io/library/a:1/json" if gone.load(std::sync::atomic::Ordering::SeqCst) => None,
        other => (other.starts_with("GET /images/docker.io/library/a:") && other.ends_with("/json")).then(|| json(&row)),
    });
    let items: Vec<_> = ["a:1", "a:2", "a:3"].map(|tag| Removal::Tag { name: Name::new(tag), expected: id.clone() }).into();
    let ctx = Ctx::default();
    let removal = engine.source.curator().unwrap().remove(&ctx, &items);
    let both = async {
        tokio::join!(removal, async {
            heard.recv().await.unwrap();
            ctx.cancel.cancel();
        })
    };
    let (outcome, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("it is not waited for as long as it likes");
    let (removed, kept) = outcome.unwrap();
    assert_eq!(removed.iter().map(|one| one.reference.as_str()).collect::<Vec<_>>(), ["a:1"]);
    let kept: Vec<_> = kept.iter().map(|one| (one.reference.as_str(), one.why.to_string())).collect();
    assert!(
        matches!(&kept[..], [("a:2", two), ("a:3", three)] if two.contains("may have gone") && three.contains("not tried")),
        "{kept:?}"
    );
}

/// Between the look and the write there is time to change one's mind.
#[tokio::test]
async fn a_removal_that_is_cancelled_while_it_is_looked_at_is_not_sent() {
    let id = Digest::sha256(b"id");
    let row = format!(r#"{{"Id":"{id}","RepoTags":["a:1"]}}"#);
    let ctx = Ctx::default();
    let cancel = ctx.cancel.clone();
    let engine = Scripted::docker(move |request| {
        (request == "GET /images/docker.io/library/a:1/json").then(|| {
            cancel.cancel();
            json(&row)
        })
    });
    let item = Removal::Tag { name: Name::new("a:1"), expected: id };
    let (removed, kept) = engine.source.curator().unwrap().remove(&ctx, std::slice::from_ref(&item)).await.unwrap();
    assert_eq!((removed, kept, engine.asked("DELETE")), (vec![], vec![item.kept(Why::NotTried)], 0));
}

#[tokio::test]
async fn a_lost_event_stream_ends_with_a_problem() {
    for whole in [true, false] {
        let engine = Scripted::docker(move |request| {
            (request == "GET /events").then(|| Reply::Raw(chunked(b"{\"Type\":\"image\",\"Action\":\"tag\"}\n", whole)))
        });
        let items: Vec<_> = engine.source.watcher().unwrap().watch(&Ctx::default()).await.unwrap().collect().await;
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false], "{items:?}");
        assert_eq!(items[2].as_ref().unwrap_err().kind, ProblemKind::Unreachable);
    }
}

#[tokio::test]
async fn a_save_that_is_not_whole_leaves_no_file() {
    let made = Made::new("save", 2);
    let tar = made.archive(&["app:1"]);
    let inspect = format!(r#"{{"Id":"{}"}}"#, made.id);
    let mut with_error = tar[..tar.len() - 2048].to_vec();
    with_error.extend(br#"{"message":"layer store is broken"}"#);
    let mut flipped = tar.clone();
    flipped[520] ^= 1;
    let sized = |length: usize, body: &[u8]| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
        bytes.extend(body);
        bytes
    };
    let cases = [
        ("cut in its chunks", chunked(&tar[..tar.len() / 2], false), None),
        ("cut, but ended in form", chunked(&tar[..tar.len() / 2], true), None),
        ("shorter than announced", sized(tar.len() + 10_000, &tar), None),
        ("an error in its tail", chunked(&with_error, true), Some("layer store is broken")),
        ("an error instead", answer("500 Internal Server Error", r#"{"message":"no space left on device"}"#), Some("no space left")),
        ("one byte wrong", chunked(&flipped, true), None),
        ("empty", chunked(b"", true), None),
    ];
    for (case, bytes, words) in cases {
        for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
            let (bytes, inspect) = (bytes.clone(), inspect.clone());
            let engine = Scripted::docker(move |request| match request {
                "GET /images/get" => Some(Reply::Raw(bytes.clone())),
                other if other.ends_with("/json") && other.starts_with("GET /images/sha256:") => Some(json(&inspect)),
                _ => None,
            });
            let dir = tempfile::tempdir().unwrap();
            let to = ExportTo { file: dir.path().join("out.tar"), format, overwrite: false };
            let problem = engine.source.export(&Ctx::default(), &[ImageKey::Id(made.id.clone())], &to).await.expect_err(case);
            if let Some(words) = words {
                assert!(problem.to_string().contains(words), "{case}: {problem}");
            }
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{case} ({format:?}): {problem}");
        }
    }
}

#[tokio::test]
async fn a_load_is_believed_only_when_it_is_seen() {
    let made = Made::new("load", 1);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.tar");
    std::fs::write(&file, made.archive(&["app:1"])).unwrap();
    for (case, line, words) in [
        ("an error inside", r#"{"errorDetail":{"message":"no space left"},"error":"no space left"}"#, "no space left"),
        ("nothing said", "", "is not there"),
        ("a lie", r#"{"stream":"Loaded image: app:1\n"}"#, "is not there"),
    ] {
        let engine = Scripted::docker(move |request| (request == "POST /images/load").then(|| Reply::AfterBody(answer("200 OK", line))));
        let problem = engine.source.curator().unwrap().import(&Ctx::default(), &file, &[]).await.expect_err(case);
        assert!(problem.cause.as_str().contains(words), "{case}: {problem}");
    }
}

#[tokio::test]
async fn a_broken_archive_never_reaches_its_end_at_the_engine() {
    let made = Made::with("held", &[peer::noise("held", 500_000)]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.tar");
    let mut bytes = made.archive(&["app:1"]);
    bytes[300_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let engine = Scripted::docker(move |request| {
        (request == "POST /images/load").then(|| {
            told.lock().unwrap().send(()).unwrap();
            // Answered only if the body comes to its end.
            Reply::AfterBody(answer("200 OK", r#"{"stream":"Loaded image: app:1\n"}"#))
        })
    });
    let problem = engine.source.curator().unwrap().import(&Ctx::default(), &file, &[]).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt, "{problem:?}");
    assert!(problem.cause.as_str().contains("sha256:"), "the blob is named: {problem}");
    heard.recv_timeout(Duration::from_secs(5)).expect("it was being sent while it was verified");
}
