//! What is asked of the network, and only on somebody's word: databases as a whole, by `db update`.
//!
//! A download goes to a temporary file, is read as any other zip is, and takes the place of what was there only then. What the server says that it
//! still has is not fetched again. May use model and source. Facts: <https://google.github.io/osv.dev/data/>.

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Response, StatusCode};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use super::compiled::{Database, PREFIX, file_name};
use super::import::{From, Imported, make_dir, take};
use super::osv::ECOSYSTEMS;
use crate::model::{Problem, ProblemKind, Safe, StepState, size};
use crate::source::{Ctx, blocking};

/// Where OSV publishes its databases: below it a folder an ecosystem with an `all.zip`.
pub const PUBLIC: &str = "https://osv-vulnerabilities.storage.googleapis.com";
/// Stands for the ecosystem's name in an address; without it the folder and file are put after the address.
const MARK: &str = "<ECOSYSTEM>";

const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for the next piece.
const STILL: Duration = Duration::from_secs(60);
/// Largest download.
const MOST: u64 = 4 << 30;
const MOST_REDIRECTS: usize = 5;

/// What came of asking for a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// The server has nothing newer.
    Same,
    New(Imported),
}

/// The ecosystem of that name, however it is written.
///
/// # Errors
/// There is none of which packages are found in images.
pub fn ecosystem(name: &str) -> Result<&'static str, Problem> {
    let found = ECOSYSTEMS.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
    found.ok_or_else(|| {
        let problem =
            Problem::new(ProblemKind::Usage, "get a database of advisories", format!("{name} is no ecosystem that is known here"));
        problem.hint(format!("there are {}", ECOSYSTEMS.join(", ")))
    })
}

/// A client that follows few redirects, and none from TLS to plain HTTP.
///
/// # Errors
/// The system's certificates can't be read.
pub fn client() -> Result<reqwest::Client, Problem> {
    // Whoever was first has installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let follow = reqwest::redirect::Policy::custom(|attempt| {
        let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > MOST_REDIRECTS || (was_safe && attempt.url().scheme() != "https") {
            attempt.stop()
        } else {
            attempt.follow()
        }
    });
    let builder = reqwest::Client::builder()
        .user_agent(concat!("lighterman/", env!("CARGO_PKG_VERSION")))
        .redirect(follow)
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(STILL);
    builder.build().map_err(|error| failed("reach databases of advisories", error))
}

/// Gets the database of `ecosystem`, as [`ecosystem()`] names it, from below `address`, where the server has another than the one in `dir`.
///
/// # Errors
/// The server doesn't answer or has none; what it sends is no database; a disk that is full; the wish to stop. What was there stays then.
pub async fn update(
    client: &reqwest::Client,
    dir: &Path,
    address: &str,
    ecosystem: &'static str,
    now: Timestamp,
    ctx: &Ctx,
) -> Result<Updated, Problem> {
    let doing = format!("get the advisories of {ecosystem}");
    let url = url(address, ecosystem, &doing)?;
    ctx.meter.phase(&doing);
    let mut request = client.get(url.clone());
    for (name, value) in known(dir, ecosystem, &url) {
        request = request.header(name, value);
    }
    let response = stopped(ctx, &doing, request.send()).await?.map_err(|error| failed(&doing, error))?;
    match response.status() {
        StatusCode::NOT_MODIFIED => return Ok(Updated::Same),
        status if status.is_success() => {}
        status => {
            let kind = if status == StatusCode::NOT_FOUND { ProblemKind::NotFound } else { ProblemKind::Other };
            let problem = Problem::new(kind, &doing, format!("{url} answers {status}"));
            return Err(problem.hint("the address is set under [advisories] in the configuration"));
        }
    }
    let header = |name: HeaderName| text(response.headers(), &name);
    let from = From { origin: url.to_string(), only: Some(ecosystem.to_owned()), etag: header(ETAG), last_modified: header(LAST_MODIFIED) };
    make_dir(dir).map_err(|error| Problem::disk(&doing, dir, &error))?;
    let temp = download(response, dir, &doing, ctx).await?;
    let (dir, ctx) = (dir.to_owned(), ctx.clone());
    // What was sent is nobody's mistake here, and the temporary file is no name to tell.
    let told = |problem: Problem| {
        let kind = if problem.kind == ProblemKind::Usage { ProblemKind::Corrupt } else { problem.kind };
        Problem::new(kind, &doing, problem.cause.as_str())
    };
    blocking("get advisories", move || take(&dir, temp.path(), &from, now, &ctx)).await.map(Updated::New).map_err(told)
}

fn url(address: &str, ecosystem: &str, doing: &str) -> Result<Url, Problem> {
    let usage =
        |cause: String| Problem::new(ProblemKind::Usage, doing, cause).hint("the address is set under [advisories] in the configuration");
    let mut url = Url::parse(&address.replace(MARK, ecosystem)).map_err(|error| usage(format!("{address}: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(usage(format!("{address} is no address of the web")));
    }
    if !address.contains(MARK) {
        let mut path = url.path_segments_mut().map_err(|()| usage(format!("{address} is no address of the web")))?;
        path.pop_if_empty().push(ecosystem).push("all.zip");
    }
    Ok(url)
}

/// What the server is told of the one that is there, where it came from the same place.
fn known(dir: &Path, ecosystem: &str, url: &Url) -> Vec<(HeaderName, String)> {
    let Ok(database) = Database::open(&dir.join(file_name(ecosystem))) else { return Vec::new() };
    let about = database.about();
    if about.origin != url.as_str() {
        return Vec::new();
    }
    let etag = about.etag.clone().map(|etag| (IF_NONE_MATCH, etag));
    etag.into_iter().chain(about.last_modified.clone().map(|time| (IF_MODIFIED_SINCE, time))).collect()
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|text| text.len() <= 512).map(str::to_owned)
}

async fn download(mut response: Response, dir: &Path, doing: &str, ctx: &Ctx) -> Result<tempfile::NamedTempFile, Problem> {
    let too_large = || Problem::new(ProblemKind::Limit, doing, format!("it is larger than {}", size::human(MOST)));
    let length = response.content_length();
    if length.is_some_and(|length| length > MOST) {
        return Err(too_large());
    }
    let disk = |error: &std::io::Error| Problem::disk(doing, dir, error);
    let temp = tempfile::Builder::new().prefix(PREFIX).tempfile_in(dir).map_err(|error| disk(&error))?;
    let mut file = tokio::fs::File::from_std(temp.reopen().map_err(|error| disk(&error))?);
    let step = ctx.meter.step(Safe::new("download"), length);
    let mut taken = 0_u64;
    while let Some(piece) = stopped(ctx, doing, response.chunk()).await?.map_err(|error| failed(doing, error))? {
        taken += piece.len() as u64;
        if taken > MOST {
            return Err(too_large());
        }
        file.write_all(&piece).await.map_err(|error| disk(&error))?;
        ctx.meter.add(step, piece.len() as u64);
    }
    file.flush().await.map_err(|error| disk(&error))?;
    if length.is_some_and(|length| length != taken) {
        return Err(Problem::new(ProblemKind::Corrupt, doing, "the server sent less than it said"));
    }
    ctx.meter.finish(step, StepState::Done);
    Ok(temp)
}

/// Waits for an answer, or for the wish to stop.
pub(super) async fn stopped<T>(ctx: &Ctx, doing: &str, answer: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::select! {
        biased;
        () = ctx.cancel.cancelled() => Err(Problem::cancelled(doing)),
        answer = answer => Ok(answer),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is made into the problem")]
pub(super) fn failed(doing: &str, error: reqwest::Error) -> Problem {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        next = cause.source();
    }
    Problem::new(ProblemKind::Unreachable, doing, words)
}

/// What an interrupted download or import left behind, of which nobody can be told any more; those of another program that still runs are young.
pub fn tidy(dir: &Path, now: Timestamp) {
    const ABANDONED: i64 = 24 * 3600;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let changed = entry.metadata().ok().filter(fs::Metadata::is_file).as_ref().and_then(super::import::changed);
        if is_ours && changed.is_some_and(|changed| now.as_second().saturating_sub(changed) > ABANDONED) {
            // Somebody else may have done it at the same time.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_an_ecosystem_each() {
        let of = |address: &str, ecosystem: &str| url(address, ecosystem, "x").map(|url| url.to_string()).map_err(|problem| problem.kind);
        assert_eq!(of(PUBLIC, "Debian").unwrap(), format!("{PUBLIC}/Debian/all.zip"));
        assert_eq!(of("https://mirror.lan/osv/", "Red Hat").unwrap(), "https://mirror.lan/osv/Red%20Hat/all.zip");
        assert_eq!(of("https://mirror.lan/<ECOSYSTEM>.zip?x", "npm").unwrap(), "https://mirror.lan/npm.zip?x");
        assert_eq!([of("file:///etc", "npm"), of("mirror", "npm")], [Err(ProblemKind::Usage), Err(ProblemKind::Usage)]);
        assert_eq!(ecosystem("pypi").unwrap(), "PyPI");
        assert!(ecosystem("cobol").unwrap_err().to_string().contains("Debian"));
    }
}
