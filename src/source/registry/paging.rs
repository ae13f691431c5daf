//! Lists of repositories and of tags: page by page, handed over while they arrive.
//!
//! The next page is where `Link` says, taken verbatim and on the same origin only; it is never built, because registries differ on what
//! they want to be asked (quay.io once had a token of its own, Debian's registry ignores `n` and `last`). One exception asks whether
//! there is more: a last page that holds exactly as many names as were asked for, without a `Link`. Loops, pages that bring nothing new
//! and broken pages end the list, and it says that it may not be whole.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use bytes::Bytes;
use http::header::{GetAll, LINK};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::body::{Broken, Reader};
use super::errors::Refusal;
use super::http::{Ask, same_origin};
use super::manifests::pull_scope;
use super::names::{Entry, Names};
use super::{Client, Inner, Repo, check_host};
use crate::model::remote::{is_repository, is_tag};
use crate::model::{Completeness, Digest, Foreign, Listed, Problem, ProblemKind, RepoRow, Safe, TagRow};

/// Names asked for at a time: the most that registries with default settings allow.
const PAGE: usize = 1000;
const MOST_PAGES: usize = 10_000;
const MOST_NAMES: usize = 1_000_000;
/// Longest body of one page.
const LONGEST_PAGE: u64 = 32 << 20;

impl Client {
    /// Every repository that the registry `host` lists. `each` gets them in pieces, as they arrive.
    ///
    /// # Errors
    /// A registry that does not list its repositories, as most public ones don't, or whose first page can't be read. What goes wrong
    /// later makes the list incomplete.
    pub async fn repositories(&self, host: &str, each: &mut (dyn FnMut(Vec<RepoRow>) + Send)) -> Result<Listed, Problem> {
        let doing = format!("list the repositories of {host}");
        check_host(host).map_err(|cause| Problem::new(ProblemKind::Usage, &doing, cause))?;
        let url = self.0.base(host)?.join("_catalog").map_err(|error| Problem::new(ProblemKind::Usage, &doing, error.to_string()))?;
        let scope = vec!["registry:catalog:*".to_owned()];
        let mut rows = |names: Vec<String>| {
            each(names.into_iter().map(|name| RepoRow { fit: is_repository(&name), name: Foreign::from(name) }).collect());
        };
        let list = List { inner: &self.0, host, key: "repositories", url, scope, doing: doing.clone() };
        list.run(&mut rows).await.map_err(|problem| no_catalog(problem, host))
    }

    /// Every tag of a repository. `each` gets them in pieces, as they arrive and in the registry's order.
    ///
    /// # Errors
    /// What the registry answered to the first request. What goes wrong later makes the list incomplete.
    pub async fn tags(&self, repo: &Repo, each: &mut (dyn FnMut(Vec<TagRow>) + Send)) -> Result<Listed, Problem> {
        let url = self.0.url(repo, "tags/list")?;
        let doing = format!("list the tags of {}", repo.full());
        let mut rows = |tags: Vec<String>| {
            for tag in &tags {
                self.0.note_signature(repo, tag);
            }
            each(tags.into_iter().map(|tag| TagRow { fit: is_tag(&tag), tag: Foreign::from(tag) }).collect());
        };
        List { inner: &self.0, host: repo.host(), key: "tags", url, scope: pull_scope(repo), doing }.run(&mut rows).await
    }
}

/// Public registries refuse in every way there is.
fn no_catalog(problem: Problem, host: &str) -> Problem {
    let refused = matches!(
        problem.kind,
        ProblemKind::Denied | ProblemKind::NotFound | ProblemKind::Unsupported | ProblemKind::Corrupt | ProblemKind::Other
    );
    let certificate = problem.cause.as_str().contains("certificate");
    if !refused || certificate {
        return problem;
    }
    let kind = if problem.kind == ProblemKind::Denied { ProblemKind::Denied } else { ProblemKind::Unsupported };
    let login = problem.hint.filter(|hint| hint.as_str().contains("login")).map(|hint| format!("; or {hint}")).unwrap_or_default();
    let cause = format!("this registry does not list its repositories: {}", problem.cause);
    Problem { detail: problem.detail, ..Problem::new(kind, problem.doing.as_str(), cause) }
        .hint(format!("name the repository: {host}/REPOSITORY{login}"))
}

struct List<'a> {
    inner: &'a Inner,
    host: &'a str,
    key: &'static str,
    url: Url,
    scope: Vec<String>,
    doing: String,
}

/// What was handed over so far.
struct Taken<'a> {
    each: &'a mut (dyn FnMut(Vec<String>) + Send),
    /// Two hashes of each name with keys of this run: names that differ in both may be taken for different.
    seen: HashSet<(u64, u64)>,
    keys: (RandomState, RandomState),
    odd: usize,
    last: String,
}

/// One page, read.
struct Page {
    /// Entries, whatever they were.
    entries: usize,
    new: usize,
    next: Next,
}

pub(super) enum Next {
    None,
    Url(Url),
    /// There is more, but not to be had.
    Unusable(String),
}

/// Why a page came to nothing.
enum Miss {
    Problem(Problem),
    /// The registry does not like being asked for so many at a time.
    Number(Problem),
}

impl Taken<'_> {
    /// Hands over what is new, and says how much that was.
    fn take(&mut self, entries: &mut Vec<Entry>, is_tags: bool) -> usize {
        let mut new = Vec::with_capacity(entries.len());
        for entry in entries.drain(..) {
            match entry {
                // Artifactory lists digests among the tags.
                Entry::Name(name) if is_tags && name.parse::<Digest>().is_ok() => self.odd += 1,
                Entry::Name(name) => {
                    if self.seen.insert((self.keys.0.hash_one(&name), self.keys.1.hash_one(&name))) {
                        new.push(name);
                    }
                }
                Entry::Odd => self.odd += 1,
            }
        }
        let count = new.len();
        if let Some(last) = new.last() {
            self.last.clone_from(last);
            (self.each)(new);
        }
        count
    }
}

impl List<'_> {
    async fn run(&self, each: &mut (dyn FnMut(Vec<String>) + Send)) -> Result<Listed, Problem> {
        let mut taken = Taken { each, seen: HashSet::new(), keys: (RandomState::new(), RandomState::new()), odd: 0, last: String::new() };
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("n", &PAGE.to_string());
        let first = match self.page(&url, &mut taken).await {
            Err(Miss::Number(_)) => {
                url = self.url.clone();
                self.page(&url, &mut taken).await
            }
            page => page,
        };
        let first = first.map_err(|(Miss::Problem(problem) | Miss::Number(problem))| problem)?;
        let completeness = self.rest(url, first, &mut taken).await;
        Ok(Listed { count: taken.seen.len(), odd: taken.odd, completeness })
    }

    /// Every page after the first.
    async fn rest(&self, first: Url, mut page: Page, taken: &mut Taken<'_>) -> Completeness {
        let incomplete = |why: String| Completeness::Incomplete(Safe::new(&why));
        let asked_for = first.query().is_some();
        let mut visited = HashSet::from([first.clone()]);
        let mut asked_on = false;
        for number in 1.. {
            let next = match page.next {
                Next::Url(next) => next,
                Next::Unusable(why) => return incomplete(why),
                // As many as were asked for and no word on more.
                Next::None if asked_for && page.entries == PAGE && page.new > 0 => {
                    asked_on = true;
                    let mut next = first.clone();
                    next.query_pairs_mut().append_pair("last", &taken.last);
                    next
                }
                Next::None => return Completeness::Complete,
            };
            if number >= MOST_PAGES || taken.seen.len() >= MOST_NAMES {
                return incomplete(format!("it goes on beyond {number} pages and {} names", taken.seen.len()));
            }
            if !visited.insert(next.clone()) {
                return incomplete("its pages lead round in a circle".to_owned());
            }
            page = match self.page(&next, taken).await {
                Ok(page) => page,
                Err(Miss::Problem(problem) | Miss::Number(problem)) => {
                    return incomplete(format!("page {} can't be had: {}", number + 1, problem.cause));
                }
            };
            if page.new == 0 {
                return match page.next {
                    // Nobody promised another page.
                    Next::None => Completeness::Complete,
                    _ if asked_on => Completeness::Complete,
                    _ => incomplete(format!("page {} brought nothing new but promises more", number + 1)),
                };
            }
        }
        Completeness::Complete
    }

    /// One page, with as many tries as a request has: a page that breaks is asked for again, and what it brought is not handed over twice.
    async fn page(&self, url: &Url, taken: &mut Taken<'_>) -> Result<Page, Miss> {
        let mut tried = 1;
        let mut new = 0;
        loop {
            let ask = Ask {
                host: self.host,
                method: Method::GET,
                url: url.clone(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
                scope: self.scope.clone(),
                doing: self.doing.clone(),
                mirrored: false,
            };
            let reply = self.inner.send(&ask).await.map_err(Miss::Problem)?;
            if reply.status() != StatusCode::OK {
                let refusal = Refusal::read(reply, self.inner.timers()).await;
                let problem = refusal.problem(&self.doing, self.host);
                let number = refusal.status == StatusCode::BAD_REQUEST && refusal.has("PAGINATION_NUMBER_INVALID");
                return Err(if number { Miss::Number(problem) } else { Miss::Problem(problem) });
            }
            let next = next_page(self.host, &self.url, reply.url(), &reply.headers().get_all(LINK));
            match self.read(Reader::new(reply, self.inner.timers()), taken, &mut new).await? {
                Ok(entries) => return Ok(Page { entries, new, next }),
                Err(broken) => {
                    let problem = Problem::new(ProblemKind::Unreachable, &self.doing, broken.words(self.inner.timers()));
                    self.inner.pause(self.host, &mut tried, problem, None).await.map_err(Miss::Problem)?;
                }
            }
        }
    }

    /// Reads a body to its end; the inner error is a broken connection.
    async fn read(&self, mut reader: Reader, taken: &mut Taken<'_>, new: &mut usize) -> Result<Result<usize, Broken>, Miss> {
        let corrupt = |why: String| Miss::Problem(Problem::new(ProblemKind::Corrupt, &self.doing, format!("{}: {why}", self.host)));
        let mut names = Names::new(self.key);
        let (mut entries, mut count, mut length) = (Vec::new(), 0_usize, 0_u64);
        loop {
            let piece = match reader.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(broken) => return Ok(Err(broken)),
            };
            length = length.saturating_add(piece.len() as u64);
            let fed = names.feed(&piece, &mut entries);
            count = count.saturating_add(entries.len());
            *new += taken.take(&mut entries, self.key == "tags");
            fed.map_err(corrupt)?;
            if length > LONGEST_PAGE || taken.seen.len() > MOST_NAMES {
                let problem = Problem::new(ProblemKind::Limit, &self.doing, format!("{} sends more than can be listed", self.host));
                return Err(Miss::Problem(problem));
            }
        }
        names.end().map_err(corrupt)?;
        Ok(Ok(count))
    }
}

/// The next page of a list that began at `first`, as the `Link` headers of the page at `at` say.
pub(super) fn next_page(host: &str, first: &Url, at: &Url, links: &GetAll<'_, HeaderValue>) -> Next {
    let mut links = links.iter().peekable();
    if links.peek().is_none() {
        return Next::None;
    }
    let texts: Vec<&str> = links.filter_map(|value| value.to_str().ok()).filter(|text| text.len() <= 16_384).collect();
    let found: Vec<(&str, Option<String>)> = texts.iter().flat_map(|text| parse(text)).collect();
    let Some((target, _)) = found.iter().find(|(_, rel)| rel.as_deref() == Some("next")) else {
        let named = !found.is_empty() && found.iter().all(|(_, rel)| rel.is_some());
        return if named { Next::None } else { Next::Unusable(format!("{host} points on in a way that is not understood")) };
    };
    match at.join(target) {
        Ok(mut next) if same_origin(&next, first) && next.username().is_empty() && next.password().is_none() => {
            next.set_fragment(None);
            Next::Url(next)
        }
        Ok(next) => Next::Unusable(format!("{host} points on to another host, {}", super::http::place(&next))),
        Err(error) => Next::Unusable(format!("{host} points on to something that is no address: {error}")),
    }
}

/// Targets and relations of a `Link` header: `<target>; rel="next", <other>; rel=prev`.
fn parse(text: &str) -> Vec<(&str, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((target, after)) = rest.split_once('<').and_then(|(_, after)| after.split_once('>')) {
        // The parameters end at a comma outside of quotes.
        let mut quoted = false;
        let end = after.find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (parameters, following) = after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, ""));
        let rel = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        found.push((target.trim(), rel));
        rest = following;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_apart() {
        let rel = |text: &str| Some(text.to_owned());
        assert_eq!(parse("</v2/x?n=1&last=b>; rel=\"next\""), [("/v2/x?n=1&last=b", rel("next"))]);
        assert_eq!(parse("<a>; title=\"x, y\"; REL=Prev, <b>;rel=next"), [("a", rel("prev")), ("b", rel("next"))]);
        assert_eq!(parse("</v2/x>"), [("/v2/x", None)]);
        assert_eq!(parse("nonsense <"), []);
        assert_eq!(parse(""), []);
    }
}
