//! Asks OSV's service about the packages of an image, on somebody's word: it is told their names and versions, and nothing else.
//!
//! It says by id which advisories are about them; those are fetched and read as those of a database are, so that both find the same. May use model
//! and source. Facts: <https://google.github.io/osv.dev/api/>.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::matching::{AllSaid, Asked, Doubts, Matched, Questions, compare};
use super::osv::{self, Read};
use super::record::Record;
use super::remote::{failed, stopped};
use crate::model::finding::FindingKind;
use crate::model::package::Inventory;
use crate::model::report::NotLooked;
use crate::model::{Problem, ProblemKind, Safe, StepState};
use crate::source::Ctx;

/// Where the service is.
pub const API: &str = "https://api.osv.dev";

/// Questions of one request.
const BATCH: usize = 500;
/// Pages that are asked for, of all questions together.
const MOST_PAGES: usize = 1000;
const MOST_ADVISORIES: usize = 50_000;
const MOST_ANSWER: usize = 16 << 20;
const AT_ONCE: usize = 8;
const DOING: &str = "ask OSV about packages";

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    results: Vec<Option<Page>>,
}

#[derive(Deserialize, Default)]
struct Page {
    #[serde(default)]
    vulns: Option<Vec<Id>>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// The known weaknesses of the packages of an image, by the service at `address`, such as [`API`].
///
/// # Errors
/// The service doesn't answer, or what it answers can't be understood; the wish to stop.
pub async fn online(client: &reqwest::Client, address: &str, inventory: &Inventory, ctx: &Ctx) -> Result<Matched, Problem> {
    ctx.meter.phase(DOING);
    let questions = Questions::of(inventory);
    let base = address.trim_end_matches('/');
    let ids = ids(client, base, asked(&questions), ctx).await?;
    let step = ctx.meter.step(Safe::new("advisories"), Some(ids.len() as u64));
    let fetched = stream::iter(ids)
        .map(|id| async move {
            let found = advisory(client, base, &id, ctx).await;
            ctx.meter.add(step, 1);
            found
        })
        .buffer_unordered(AT_ONCE);
    let records: Vec<Vec<(String, Record)>> = fetched.try_collect().await?;
    ctx.meter.finish(step, StepState::Done);
    let mut matched = Matched { not_looked_for: questions.homeless, ..Matched::default() };
    if !questions.by_base.is_empty() {
        matched.looked_for.insert(FindingKind::Vulnerability);
    }
    let mut known = Known::of(records);
    let (mut said, mut doubts) = (AllSaid::new(), Doubts::default());
    for (base, asked) in questions.by_base {
        let system = questions.system.as_ref().filter(|system| system.base == base);
        for (name, asked) in asked {
            let records = known.0.remove(&(base.to_owned(), name.clone())).unwrap_or_default();
            compare(base, system, &name, &asked, &records, &mut said, &mut doubts);
        }
    }
    doubts.tell(&mut |why| matched.not_looked_for.push(NotLooked::new("vulnerability of some packages", why)));
    matched.tell(said, inventory);
    Ok(matched)
}

/// Records by base ecosystem and name, in an order that doesn't hang on which came first.
struct Known(BTreeMap<(String, String), Vec<Arc<Record>>>);

impl Known {
    fn of(fetched: Vec<Vec<(String, Record)>>) -> Self {
        let mut all: Vec<(String, Record)> = fetched.into_iter().flatten().collect();
        all.sort_by(|one, two| (&one.0, &one.1.id).cmp(&(&two.0, &two.1.id)));
        let mut known: BTreeMap<(String, String), Vec<Arc<Record>>> = BTreeMap::new();
        for (base, record) in all {
            let record = Arc::new(record);
            let names: BTreeSet<&str> = record.affected.iter().map(|affected| affected.name.as_str()).collect();
            for name in names {
                known.entry((base.clone(), name.to_owned())).or_default().push(Arc::clone(&record));
            }
        }
        Self(known)
    }
}

/// A question for each name and version, each once.
fn asked(questions: &Questions<'_>) -> Vec<Value> {
    let mut all = BTreeSet::new();
    for (base, asked) in &questions.by_base {
        let system = questions.system.as_ref().filter(|system| system.base == *base);
        let ecosystem = system.map_or_else(|| (*base).to_owned(), super::distribution::System::asked);
        let each = asked.iter().flat_map(|(name, asked)| asked.iter().map(move |one: &Asked<'_>| (name, &one.version)));
        all.extend(each.map(|(name, version)| (ecosystem.clone(), name.clone(), version.clone())));
    }
    let question = |(ecosystem, name, version)| json!({"package": {"ecosystem": ecosystem, "name": name}, "version": version});
    all.into_iter().map(question).collect()
}

/// The ids of what is about any of them.
async fn ids(client: &reqwest::Client, base: &str, mut waiting: Vec<Value>, ctx: &Ctx) -> Result<BTreeSet<String>, Problem> {
    let mut ids = BTreeSet::new();
    for _ in 0..MOST_PAGES {
        if waiting.is_empty() {
            return Ok(ids);
        }
        let batch: Vec<Value> = waiting.drain(..waiting.len().min(BATCH)).collect();
        let body = json!({"queries": batch}).to_string();
        let request = client.post(format!("{base}/v1/querybatch")).header("content-type", "application/json").body(body);
        let answer = answer(request, ctx).await?;
        let found: Batch = serde_json::from_slice(&answer).map_err(|error| unclear(&error))?;
        for (mut question, page) in batch.into_iter().zip(found.results) {
            let page = page.unwrap_or_default();
            ids.extend(page.vulns.unwrap_or_default().into_iter().map(|one| one.id).filter(|id| is_id(id)));
            if let Some(token) = page.next_page_token.filter(|token| !token.is_empty()) {
                question["page_token"] = token.into();
                waiting.push(question);
            }
        }
        if ids.len() > MOST_ADVISORIES {
            return Err(Problem::new(ProblemKind::Limit, DOING, format!("it tells of more than {MOST_ADVISORIES} advisories")));
        }
    }
    Err(Problem::new(ProblemKind::Limit, DOING, "its answer has no end"))
}

/// It goes into an address.
fn is_id(id: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    !id.is_empty() && id.len() <= 128 && !id.starts_with('.') && id.chars().all(is_allowed)
}

async fn advisory(client: &reqwest::Client, base: &str, id: &str, ctx: &Ctx) -> Result<Vec<(String, Record)>, Problem> {
    let bytes = answer(client.get(format!("{base}/v1/vulns/{id}")), ctx).await?;
    match osv::read(&bytes).map_err(|error| unclear(&error))? {
        Read::Records(records, _) => Ok(records),
        Read::Withdrawn | Read::Elsewhere => Ok(Vec::new()),
    }
}

async fn answer(request: reqwest::RequestBuilder, ctx: &Ctx) -> Result<Vec<u8>, Problem> {
    let mut response = stopped(ctx, DOING, request.send()).await?.map_err(|error| failed(DOING, error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(Problem::new(ProblemKind::Other, DOING, format!("{} answers {status}", response.url())));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = stopped(ctx, DOING, response.chunk()).await?.map_err(|error| failed(DOING, error))? {
        if bytes.len() + piece.len() > MOST_ANSWER {
            return Err(Problem::new(ProblemKind::Limit, DOING, "an answer is longer than it may be"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn unclear(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Corrupt, DOING, format!("its answer can't be understood: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::model::package::{Distribution, Installed, Package, PackageKind};

    /// Answers what is asked by path and body, as long as the test runs.
    fn serve(answer: impl Fn(&str, &str) -> String + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut path, mut length) = (String::new(), 0);
                for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                    if path.is_empty() {
                        line.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
                    }
                    if let Some(told) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = told.parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let text = answer(&path, &String::from_utf8(body).unwrap());
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len());
                let _ = stream.write_all((head + &text).as_bytes());
            }
        });
        address
    }

    fn inventory() -> Inventory {
        let mut found = Inventory::default();
        for (kind, name, version) in [(PackageKind::Npm, "left", "1.0.0"), (PackageKind::Deb, "acme", "1.0-1")] {
            let package = Package { kind, name: name.into(), version: version.into(), architecture: "".into() };
            found.packages.insert(package, Installed::default());
        }
        found.distribution = Some(Distribution { id: "debian".into(), version: "12".into(), ..Distribution::default() });
        found
    }

    fn advisory(id: &str, ecosystem: &str, name: &str) -> String {
        json!({"id": id, "affected": [{"package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0.0"}]}]}]})
        .to_string()
    }

    #[tokio::test]
    async fn packages_are_asked_for_and_pages_followed() {
        let address = serve(|path, body| match path {
            "/v1/querybatch" if body.contains("page_token") => json!({"results": [{"vulns": [{"id": "GHSA-2"}]}]}).to_string(),
            "/v1/querybatch" => {
                let asked: Value = serde_json::from_str(body).unwrap();
                assert_eq!(asked["queries"][0]["package"]["ecosystem"], "Debian:12");
                assert_eq!(asked["queries"].as_array().unwrap().len(), 2);
                json!({"results": [{"vulns": [{"id": "DSA-1"}, {"id": "../../admin"}]}, {"vulns": [{"id": "GHSA-1"}], "next_page_token": "more"}]})
                    .to_string()
            }
            "/v1/vulns/DSA-1" => advisory("DSA-1", "Debian:12", "acme"),
            "/v1/vulns/GHSA-1" => advisory("GHSA-1", "npm", "left"),
            "/v1/vulns/GHSA-2" => advisory("GHSA-2", "npm", "left"),
            other => panic!("{other} was asked for"),
        });
        let client = super::super::client().unwrap();
        let found = online(&client, &address, &inventory(), &Ctx::default()).await.unwrap();
        let ids: Vec<&str> = found.findings.iter().map(|one| one.id.raw()).collect();
        assert_eq!(ids, ["DSA-1", "GHSA-1", "GHSA-2"]);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_a_problem() {
        let client = super::super::client().unwrap();
        let of = async |text: &'static str| {
            let address = serve(move |_, _| text.to_owned());
            online(&client, &address, &inventory(), &Ctx::default()).await.map_err(|problem| problem.kind)
        };
        assert_eq!(of("<html>").await, Err(ProblemKind::Corrupt));
        assert!(of("{}").await.unwrap().findings.is_empty());
        let endless = r#"{"results": [{"next_page_token": "x"}]}"#;
        assert_eq!(of(endless).await, Err(ProblemKind::Limit));
        let ctx = Ctx::default();
        ctx.cancel.cancel();
        let address = serve(|_, _| "{}".to_owned());
        assert!(online(&client, &address, &inventory(), &ctx).await.unwrap_err().is_cancelled());
    }
}
