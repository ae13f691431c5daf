//! Looking through repositories of a registry in memory: within its bound, each image once, and whatever one of them answers.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests start servers")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lighterman::curate::quarantine::{Looked, Search};
use lighterman::flow::job::InRepository;
use lighterman::model::{Problem, ProblemKind, SourceId};
use lighterman::source::credentials::Credentials;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource, Timers};
use lighterman::source::{Ctx, Source};
use lighterman::work::trace;

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use fake::Fake;
use scripted::Reply;

/// Looks through these repositories; gives how far, a line each, and what the search knows.
async fn look(registry: &Fake, names: &[&str], most: usize, ctx: &Ctx) -> (Vec<String>, Result<(), Problem>) {
    let timers = Timers { header: Duration::from_secs(2), tries: 1, backoff: Duration::from_millis(5), ..Timers::default() };
    let client = Client::new(RegistrySettings { timers, ..RegistrySettings::default() }, Credentials::none()).unwrap();
    let host = registry.host();
    let id = SourceId::registry(&host);
    let source: Arc<dyn Source> = Arc::new(RegistrySource::new(client, &host));
    let sources = BTreeMap::from([(id.clone(), Ok(source))]);
    let wanted: Vec<InRepository> =
        names.iter().map(|name| InRepository { source: id.clone(), repository: (*name).to_owned(), tags: None, digests: vec![] }).collect();
    let search = Mutex::new(Search::new(names.iter().map(|name| Looked::new((*name).to_owned(), false)).collect()));
    let each = |at, found| search.lock().unwrap().take(at, found);
    let ended = trace::repositories(&sources, &wanted, most, ctx, &each).await;
    let search = search.into_inner().unwrap();
    let mut report = lighterman::curate::quarantine::trace(&nothing(), &[], &search.manifests());
    search.add_to(&mut report);
    (report.repositories.iter().map(|one| format!("{} {}", one.name, one.words())).collect(), ended)
}

fn nothing() -> lighterman::model::Digest {
    lighterman::model::Digest::sha256(b"nothing")
}

#[tokio::test]
async fn what_is_asked_has_a_bound_and_what_was_left_out_is_named() {
    let registry = Fake::new();
    for n in 0..6 {
        registry.image("team/app", Some(&format!("{n}")), "amd64", &format!("image {n}"));
    }
    registry.image("team/other", Some("1"), "amd64", "image 0");
    let names = ["team/app", "team/other"];
    // A list, six tags, six images; and a list and a tag, whose image is known by then or is read again.
    let (looked, ended) = look(&registry, &names, 100, &Ctx::default()).await;
    assert_eq!((looked, ended), (vec!["team/app 6 of 6 tags looked at".to_owned(), "team/other 1 of 1 tag looked at".to_owned()], Ok(())));
    let one = [names[0]];
    for (most, looked_at) in [(0, None), (1, Some(0)), (4, Some(0)), (9, Some(2)), (12, Some(5)), (13, Some(6))] {
        let (looked, ended) = look(&registry, &one, most, &Ctx::default()).await;
        let why = format!(": at most {most} lists, tags and manifests are read at a time");
        let expected = match looked_at {
            None => format!("team/app not looked at{why}"),
            Some(6) => "team/app 6 of 6 tags looked at".to_owned(),
            Some(some) => format!("team/app {some} of 6 tags looked at{why}"),
        };
        assert_eq!((looked, ended), (vec![expected], Ok(())), "{most}");
    }
}

#[tokio::test]
async fn one_repository_that_cant_be_read_keeps_no_other_from_being_read() {
    let registry = Fake::bent(|request, _| {
        let denied = br#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#;
        request.path.contains("/team/locked/").then(|| Reply::Plain(403, vec![], denied.to_vec()))
    });
    registry.image("team/app", Some("1"), "amd64", "one");
    registry.image("team/locked", Some("1"), "amd64", "one");
    let (looked, ended) = look(&registry, &["team/locked", "team/app"], 100, &Ctx::default()).await;
    assert_eq!(ended, Ok(()));
    assert!(looked[0].starts_with("team/locked not looked at: "), "{looked:?}");
    assert_eq!(looked[1], "team/app 1 of 1 tag looked at");
}

#[tokio::test]
async fn a_search_that_is_stopped_says_so() {
    let registry = Fake::new();
    registry.image("team/app", Some("1"), "amd64", "one");
    let ctx = Ctx::default();
    ctx.cancel.cancel();
    let (looked, ended) = look(&registry, &["team/app"], 100, &ctx).await;
    assert_eq!(ended.unwrap_err().kind, ProblemKind::Cancelled);
    assert_eq!(looked, ["team/app not looked at: cancelled"]);
}
