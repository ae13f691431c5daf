//! Lists of a registry, page by page: a real registry, and scripted servers for what a healthy one never does.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lighterman::model::{Completeness, Listed, Name, Problem, ProblemKind, TagRow};
use lighterman::source::credentials::Credentials;
use lighterman::source::registry::{Client, RegistrySettings, Repo, Timers};
use serde_json::{Value, json};

mod common;
#[path = "common/scripted.rs"]
mod scripted;

use scripted::{Reply, Server};

fn client() -> Client {
    let timers = Timers {
        connect: Duration::from_secs(2),
        header: Duration::from_millis(700),
        no_progress: Duration::from_millis(400),
        tries: 3,
        backoff: Duration::from_millis(5),
        ..Timers::default()
    };
    Client::new(RegistrySettings { timers, ..RegistrySettings::default() }, Credentials::none()).unwrap()
}

fn repo(host: &str) -> Repo {
    Repo::of(&Name::new(&format!("{host}/team/app:v1")).reference().unwrap()).unwrap()
}

async fn rows(server: &Server) -> Result<(Vec<TagRow>, Listed), Problem> {
    let mut rows = Vec::new();
    let listed = client().tags(&repo(&server.host()), &mut |page| rows.extend(page)).await?;
    assert_eq!(listed.count, rows.len());
    Ok((rows, listed))
}

async fn tags(server: &Server) -> (Vec<String>, Listed) {
    let (rows, listed) = rows(server).await.unwrap();
    (rows.into_iter().map(|row| row.tag.raw().to_owned()).collect(), listed)
}

fn why(listed: &Listed) -> String {
    match &listed.completeness {
        Completeness::Complete => String::new(),
        Completeness::Incomplete(why) => why.to_string(),
    }
}

fn list(tags: &Value) -> Reply {
    Reply::body(json!({"name": "team/app", "tags": tags}).to_string())
}

fn numbered(from: usize, to: usize) -> Value {
    (from..to).map(|i| format!("v{i:05}")).collect::<Vec<_>>().into()
}

/// The value of a parameter in a request's path.
fn parameter(path: &str, name: &str) -> Option<String> {
    path.split_once('?')?
        .1
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value.to_owned())
}

#[tokio::test]
async fn pages_are_followed_where_their_link_says() {
    let server = Server::new(|request| match parameter(&request.path, "token").as_deref() {
        None => list(&json!(["a", "b"])).with("Link", "</v2/team/app/tags/list?token=X%2Fy&n=7>; rel=\"next\""),
        Some("X%2Fy") => list(&json!(["b", "c"])).with("Link", "<list?token=z#part>; rel=next"),
        Some("z") => list(&json!(["d"])).with("Link", "</v2/team/app/tags/list>; rel=\"prev\""),
        Some(_) => Reply::status(400),
    });
    let (tags, listed) = tags(&server).await;
    assert_eq!(tags, ["a", "b", "c", "d"], "the repeated one comes once");
    assert_eq!((listed.odd, listed.completeness), (0, Completeness::Complete));
    let seen: Vec<String> = server.seen().into_iter().map(|request| request.path).collect();
    assert_eq!(
        seen,
        ["/v2/team/app/tags/list?n=1000", "/v2/team/app/tags/list?token=X%2Fy&n=7", "/v2/team/app/tags/list?token=z"],
        "verbatim, and no request more"
    );
}

#[tokio::test]
async fn a_link_that_leads_nowhere_good_leaves_the_list_incomplete() {
    for (link, words, requests) in [
        ("</v2/team/app/tags/list?n=1000>; rel=\"next\"", "circle", 1),
        ("</v2/team/app/tags/list?page=b>; rel=\"next\"", "circle", 2),
        ("<http://127.0.0.1:1/v2/team/app/tags/list?x=1>; rel=\"next\"", "another host", 1),
        ("<https://evil.example/list>; rel=\"next\"", "another host", 1),
        ("<http://u:p@127.0.0.1/list>; rel=\"next\"", "another host", 1),
        ("</v2/team/app/tags/list?x=1>", "not understood", 1),
        ("<http://[>; rel=\"next\"", "no address", 1),
    ] {
        let pages = AtomicUsize::new(0);
        let server = Server::new(move |_| {
            let page = pages.fetch_add(1, Ordering::SeqCst);
            list(&json!([format!("t{page}")])).with("Link", link)
        });
        let (tags, listed) = tags(&server).await;
        assert!(!listed.is_complete() && why(&listed).contains(words), "{link}: {listed:?}");
        assert_eq!((tags.len(), server.seen().len()), (requests, requests), "{link}");
    }
}

#[tokio::test]
async fn endless_pages_end() {
    // A to B and back to A, with new addresses each time but nothing new in them.
    let pages = AtomicUsize::new(0);
    let server = Server::new(move |_| {
        let page = pages.fetch_add(1, Ordering::SeqCst);
        list(&json!([if page.is_multiple_of(2) { "a" } else { "b" }]))
            .with("Link", format!("</v2/team/app/tags/list?p={page}>; rel=\"next\""))
    });
    let (tags, listed) = tags(&server).await;
    assert_eq!(tags, ["a", "b"]);
    assert!(why(&listed).contains("nothing new"), "{listed:?}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_hundred_thousand_pages_are_not_asked_for() {
    let pages = AtomicUsize::new(0);
    let server = Server::new(move |_| {
        let page = pages.fetch_add(1, Ordering::SeqCst);
        list(&json!([format!("t{page}")])).with("Link", format!("</v2/team/app/tags/list?p={page}>; rel=\"next\""))
    });
    let mut count = 0;
    let listed = client().tags(&repo(&server.host()), &mut |page| count += page.len()).await.unwrap();
    assert_eq!((count, listed.count), (10_000, 10_000));
    assert!(why(&listed).contains("10000 pages"), "{listed:?}");
}

#[tokio::test]
async fn a_server_that_ignores_n_gives_one_complete_page() {
    let server = Server::new(|_| list(&numbered(0, 2500)));
    let (tags, listed) = tags(&server).await;
    assert!(tags.len() == 2500 && listed.is_complete());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_full_last_page_without_a_link_is_asked_beyond() {
    // One that knows `last` but sends no Link.
    let knows = Server::new(|request| {
        let from = parameter(&request.path, "last").map_or(0, |last| last.trim_start_matches('v').parse::<usize>().unwrap() + 1);
        list(&numbered(from, (from + 1000).min(2300)))
    });
    let (all, listed) = tags(&knows).await;
    assert!(all.len() == 2300 && listed.is_complete(), "{} {listed:?}", all.len());
    // One that has exactly a thousand and ignores `last`.
    let ignores = Server::new(|_| list(&numbered(0, 1000)));
    let (all, listed) = tags(&ignores).await;
    assert!(all.len() == 1000 && listed.is_complete());
    assert_eq!(ignores.seen().len(), 2);
}

#[tokio::test]
async fn a_page_number_that_is_refused_is_left_out() {
    let server = Server::new(|request| {
        if parameter(&request.path, "n").is_some() {
            Reply::Plain(400, vec![], br#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}"#.to_vec())
        } else {
            list(&json!(["a"]))
        }
    });
    let (tags, listed) = tags(&server).await;
    assert!(tags == ["a"] && listed.is_complete());
}

#[tokio::test]
async fn odd_entries_are_counted_and_odd_names_can_not_be_acted_on() {
    let long = "a".repeat(1 << 20);
    let digest = format!("sha256:{}", "a".repeat(64));
    let server = Server::new(move |_| list(&json!(["v1", null, 7, digest, "v1", long, "\u{1b}[31mred", "a/b", ["x"], {"y": 1}, "v2"])));
    let (rows, listed) = rows(&server).await.unwrap();
    let shown: Vec<(String, bool)> = rows.iter().map(|row| (row.tag.safe().to_string(), row.fit)).collect();
    assert_eq!(
        shown,
        [("v1".into(), true), ("\\x1b[31mred".into(), false), ("a/b".into(), false), ("v2".into(), true)],
        "shown escaped, and not fit for use"
    );
    assert_eq!(listed.odd, 4, "null, 7, the digest, the long one");
    for body in ["null", "[]"] {
        let server = Server::new(move |_| Reply::body(format!("{{\"name\":\"team/app\",\"tags\":{body}}}")));
        let (tags, listed) = tags(&server).await;
        assert!(tags.is_empty() && listed.is_complete());
    }
}

#[tokio::test]
async fn what_is_no_list_is_refused() {
    for (body, words) in [("<html>welcome", "sound JSON"), ("{}", "no list of tags"), ("{\"tags\":[\"a\"", "middle"), ("", "middle")] {
        let server = Server::new(move |_| Reply::body(body));
        let problem = rows(&server).await.unwrap_err();
        assert!(problem.kind == ProblemKind::Corrupt && problem.cause.as_str().contains(words), "{body}: {problem}");
    }
    let endless = Server::new(|_| Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n{\"tags\":[".to_vec(), b"\"a\",".repeat(20_000)));
    let problem = rows(&endless).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit, "{problem}");
    let absent = Server::new(|_| Reply::Plain(404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()));
    assert_eq!(rows(&absent).await.unwrap_err().kind, ProblemKind::NotFound);
}

#[tokio::test]
async fn a_page_that_breaks_is_asked_for_again_and_its_names_come_once() {
    let count = AtomicUsize::new(0);
    let server = Server::new(move |_| {
        let body = json!({"tags": ["a", "b", "c"]}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let cut = if count.fetch_add(1, Ordering::SeqCst) < 2 { 14 } else { body.len() };
        Reply::Raw([head.as_bytes(), &body.as_bytes()[..cut]].concat())
    });
    let (all, listed) = tags(&server).await;
    assert_eq!(all, ["a", "b", "c"]);
    assert!(listed.is_complete() && server.seen().len() == 3);
}

#[tokio::test]
async fn a_later_page_that_fails_leaves_the_earlier_ones() {
    let server = Server::new(|request| {
        if request.path.contains("p=2") { Reply::status(500) } else { list(&json!(["a"])).with("Link", "<list?p=2>; rel=\"next\"") }
    });
    let (all, listed) = tags(&server).await;
    assert_eq!(all, ["a"]);
    assert!(why(&listed).contains("page 2") && why(&listed).contains("500"), "{listed:?}");
}

#[tokio::test]
async fn the_first_names_come_before_the_last_are_sent() {
    // Ten thousand names, then nothing more: the list must not wait for an end that never comes.
    let body = json!({"tags": numbered(0, 10_000)}).to_string();
    let raw = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), body.as_bytes()[..body.len() - 2].as_ref()].concat();
    let server = Server::new(move |_| Reply::Trickle(raw.clone(), Duration::from_secs(3600)));
    let first = Arc::new(Mutex::new(None));
    let (seen, began) = (Arc::clone(&first), Instant::now());
    let mut each = |rows: Vec<TagRow>| {
        seen.lock().unwrap().get_or_insert((rows.len(), began.elapsed()));
    };
    let problem = client().tags(&repo(&server.host()), &mut each).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unreachable, "{problem}");
    let (count, after) = first.lock().unwrap().unwrap();
    assert!(count > 0 && after < Duration::from_millis(350), "{count} after {after:?}, before anything stalled");
}

#[tokio::test]
async fn a_registry_without_a_catalog_says_so_and_what_to_do() {
    let replies = [
        Reply::status(401),
        Reply::status(403),
        Reply::status(404),
        Reply::status(405),
        Reply::body("<html>".to_owned() + &"x".repeat(10 << 20)),
        Reply::body("null"),
        Reply::body("{\"repositories\":\"none\"}"),
    ];
    for reply in replies {
        let server = Server::new(move |_| reply.clone());
        let problem = client().repositories(&server.host(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(problem.kind, ProblemKind::Unsupported | ProblemKind::Denied), "{problem}");
        let hint = problem.hint.unwrap();
        assert!(hint.as_str().contains("name the repository: 127.0.0.1:"), "{hint}");
    }
    let down = Server::new(|_| Reply::status(503));
    assert_eq!(client().repositories(&down.host(), &mut |_| {}).await.unwrap_err().kind, ProblemKind::Unreachable);
    assert_eq!(client().repositories("a b/c", &mut |_| {}).await.unwrap_err().kind, ProblemKind::Usage);
}

#[tokio::test]
async fn a_catalog_is_asked_for_with_its_own_scope() {
    let issuer = Server::new(|_| Reply::body(json!({"token": "good"}).to_string()));
    let realm = format!("http://{}/token", issuer.host());
    let server = Server::new(move |request| match request.header("authorization") {
        Some("Bearer good") => Reply::body(json!({"repositories": ["team/app", "UPPER/x", "library/a"]}).to_string()),
        _ => Reply::status(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"s\"")),
    });
    let mut all = Vec::new();
    let listed = client().repositories(&server.host(), &mut |rows| all.extend(rows)).await.unwrap();
    let all: Vec<(&str, bool)> = all.iter().map(|row| (row.name.raw(), row.fit)).collect();
    assert_eq!(all, [("team/app", true), ("UPPER/x", false), ("library/a", true)]);
    assert!(listed.is_complete());
    assert!(issuer.seen()[0].path.contains("scope=registry%3Acatalog%3A*"), "{}", issuer.seen()[0].path);
}

#[test]
fn a_typed_repository_is_read_as_the_grammar_of_references_reads_it() {
    for (text, full) in [
        ("127.0.0.1:5000/team/app", "127.0.0.1:5000/team/app"),
        ("localhost/app", "localhost/app"),
        ("ghcr.io/a/b/c", "ghcr.io/a/b/c"),
        ("alpine", "docker.io/library/alpine"),
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("acme/api", "docker.io/acme/api"),
    ] {
        let slow = Repo::of(&Name::new(text).reference().unwrap()).unwrap();
        assert_eq!((Repo::parse(text).unwrap().full(), slow.full()), (full.to_owned(), full.to_owned()));
    }
    for bad in ["", "ghcr.io/UPPER", "ghcr.io/a//b", "ghcr.io/../x", "a b/c", "ghcr.io/a?x=1", "ghcr.io/"] {
        assert!(Repo::parse(bad).is_err(), "{bad}");
    }
}
