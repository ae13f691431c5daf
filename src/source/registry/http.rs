//! The one way a request leaves: authorization, redirects of our own, timeouts, tries and per-host back-off.
//!
//! Redirects: at most ten; Authorization is dropped for good once scheme, host or port changes; never from https to http, and
//! never from a public host to a private address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use url::{Host, Url};

use super::errors::{Refusal, chain};
use super::{Inner, Repo, auth, challenge, retry};
use crate::model::{Digest, Problem, ProblemKind};

const MOST_REDIRECTS: usize = 10;
const LONGEST_URL: usize = 8192;

/// One request, repeatable.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// As in a reference.
    pub host: &'a str,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Token scopes, such as `repository:a/b:pull`.
    pub scope: Vec<String>,
    /// For problems.
    pub doing: String,
    /// Whether a mirror may answer: only where it doesn't matter who has it.
    pub mirrored: bool,
}

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Worth another try, after the wait that was asked for.
    Again(Problem, Option<Duration>),
    Final(Problem),
}

impl Failure {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Again(problem, _) | Self::Final(problem) => problem,
        }
    }
}

impl Inner {
    /// A URL under a repository. `tail` is made of parsed digests, checked tags and fixed words.
    pub(super) fn url(&self, repo: &Repo, tail: &str) -> Result<Url, Problem> {
        let base = self.base(repo.host())?;
        base.join(&format!("{}/{tail}", repo.name()))
            .map_err(|error| Problem::new(ProblemKind::Usage, format!("reach {}", repo.full()), error.to_string()))
    }

    /// Sends and repeats until there is an answer that another try would not change.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<reqwest::Response, Problem> {
        if let Some(reply) = self.mirrored(ask).await {
            return Ok(reply);
        }
        let mut tried = 1;
        loop {
            self.keep_quiet(ask.host).await;
            let (problem, asked) = match self.attempt(ask).await {
                Ok(reply) if retry::is_transient(reply.status()) => {
                    let asked = retry::asked(reply.headers(), (self.settings.now)());
                    let refusal = Refusal::read(reply, &self.settings.timers).await;
                    (refusal.problem(&ask.doing, ask.host), asked)
                }
                Ok(reply) => return Ok(reply),
                Err(Failure::Again(problem, asked)) => (problem, asked),
                Err(Failure::Final(problem)) => return Err(problem),
            };
            self.pause(ask.host, &mut tried, problem, asked).await?;
        }
    }

    /// What a mirror has, where one is set. Asked once each and only for what is named by its digest: it is verified as from anywhere, and a
    /// mirror that is down or has it not costs one request.
    async fn mirrored(&self, ask: &Ask<'_>) -> Option<reqwest::Response> {
        let by_digest = ask.url.path_segments()?.next_back()?.parse::<Digest>().is_ok();
        if !ask.mirrored || !by_digest {
            return None;
        }
        let base = self.base(ask.host).ok()?;
        let tail = ask.url.as_str().strip_prefix(base.as_str())?;
        for mirror in self.host(ask.host).mirrors {
            let Ok(url) = self
                .base(&mirror)
                .and_then(|base| base.join(tail).map_err(|error| Problem::new(ProblemKind::Usage, &ask.doing, error.to_string())))
            else {
                continue;
            };
            let there = Ask {
                host: &mirror,
                method: ask.method.clone(),
                url,
                headers: ask.headers.clone(),
                body: Bytes::new(),
                scope: ask.scope.clone(),
                doing: ask.doing.clone(),
                mirrored: false,
            };
            match self.attempt(&there).await {
                Ok(reply) if matches!(reply.status().as_u16(), 200 | 206) => return Some(reply),
                _ => {}
            }
        }
        None
    }

    /// Waits before the next try, or gives up with the problem. A wait that the registry asked for holds for all requests to the host.
    pub(super) async fn pause(&self, host: &str, tried: &mut u32, problem: Problem, asked: Option<Duration>) -> Result<(), Problem> {
        let timers = &self.settings.timers;
        if let Some(wait) = asked.filter(|wait| *wait > timers.longest_wait) {
            let at = retry::moment((self.settings.now)(), wait);
            return Err(problem.hint(format!("{host} asks to be left alone until then: retry at {at}")));
        }
        if *tried >= timers.tries {
            return Err(if *tried > 1 { problem.detail(format!("tried {tried} times")) } else { problem });
        }
        match asked {
            Some(wait) => {
                let until = Instant::now() + wait;
                let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
                let held = quiet.entry(host.to_owned()).or_insert(until);
                *held = (*held).max(until);
            }
            None => tokio::time::sleep(retry::backoff(timers, *tried)).await,
        }
        *tried += 1;
        Ok(())
    }

    /// Waits as long as the host asked.
    pub(super) async fn keep_quiet(&self, host: &str) {
        loop {
            let until = self.quiet.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// One try: as whoever we were last, and once more with a fresh token when that is refused.
    pub(super) async fn attempt(&self, ask: &Ask<'_>) -> Result<reqwest::Response, Failure> {
        let host = ask.host;
        let known = self.auth.cached(host, &ask.scope).await;
        let reply = self.follow(ask.host, &ask.method, &ask.url, &ask.headers, ask.body.clone(), known.as_ref(), &ask.doing).await?;
        self.heed(ask, &reply);
        if reply.status() != StatusCode::UNAUTHORIZED || !same_origin(reply.url(), &ask.url) {
            return Ok(reply);
        }
        let challenges = challenge::challenges(reply.headers());
        drop(reply);
        let fresh = self.answer(host, &ask.scope, &challenges, known.as_ref()).await?;
        let reply = self.follow(ask.host, &ask.method, &ask.url, &ask.headers, ask.body.clone(), Some(&fresh), &ask.doing).await?;
        self.heed(ask, &reply);
        Ok(reply)
    }

    /// Notes what the registry says of itself; what it redirected to speaks for somebody else.
    fn heed(&self, ask: &Ask<'_>, reply: &reqwest::Response) {
        if same_origin(reply.url(), &ask.url) {
            self.note_quota(ask.host, reply.headers());
        }
    }

    /// Sends once on behalf of the registry `host`, and follows redirects.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    pub(super) async fn follow(
        &self,
        host: &str,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: Bytes,
        authorization: Option<&HeaderValue>,
        doing: &str,
    ) -> Result<reqwest::Response, Failure> {
        let mut url = url.clone();
        let mut authorization = authorization;
        for _ in 0..=MOST_REDIRECTS {
            let request = self.request(host, method.clone(), &url).map_err(Failure::Final)?;
            let mut request = request.headers(headers.clone()).body(body.clone());
            request = request.header(ACCEPT_ENCODING, "identity");
            if let Some(authorization) = authorization {
                request = request.header(auth::HEADER, authorization.clone());
            }
            let sent = tokio::time::timeout(self.settings.timers.header, request.send()).await;
            let Ok(answer) = sent else {
                let cause = format!("{} did not answer within {} s", place(&url), self.settings.timers.header.as_secs_f32());
                return Err(Failure::Again(Problem::new(ProblemKind::Unreachable, doing, cause), None));
            };
            let reply = answer.map_err(|error| self.broken(error, &url, doing))?;
            let follows = matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let reads = *method == Method::GET || *method == Method::HEAD;
            if !follows || (!reads && !matches!(reply.status().as_u16(), 307 | 308)) {
                return Ok(reply);
            }
            let next = redirect(&url, reply.headers())
                .map_err(|cause| Failure::Final(Problem::new(ProblemKind::Denied, doing, cause).hint("the redirect was not followed")))?;
            if !same_origin(&url, &next) {
                // Only a login is sent as a form, and its secret is in the body.
                if headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded") {
                    let cause = format!("{} redirects a login to {}", place(&url), place(&next));
                    return Err(Failure::Final(Problem::new(ProblemKind::Denied, doing, cause).hint("the redirect was not followed")));
                }
                authorization = None;
            }
            url = next;
        }
        let cause = format!("{} redirected more than {MOST_REDIRECTS} times", place(&url));
        Err(Failure::Final(Problem::new(ProblemKind::Limit, doing, cause)))
    }

    /// A connection's failure in words. Certificates don't get better by another try.
    pub(super) fn broken(&self, error: reqwest::Error, url: &Url, doing: &str) -> Failure {
        let is_timeout = error.is_timeout();
        let words = chain(&error.without_url());
        let at = place(url);
        let certificate = words.contains("certificate");
        let not_tls = words.contains("corrupt message") || words.contains("InvalidContentType") || words.contains("wrong version");
        if certificate && !self.tls().1 {
            let problem =
                Problem::new(ProblemKind::Denied, doing, format!("{at}: no certificates of authorities were found on this machine"));
            return Failure::Final(problem.hint("install the package ca-certificates"));
        }
        if certificate {
            let (cause, hint) = untrusted(&words);
            return Failure::Final(Problem::new(ProblemKind::Denied, doing, format!("{at}: {cause}")).hint(hint));
        }
        if not_tls {
            let problem = Problem::new(ProblemKind::Unreachable, doing, format!("{at} does not speak TLS"));
            return Failure::Final(problem.hint("if plain HTTP is right, name the host under insecure in the configuration"));
        }
        let cause = if is_timeout {
            format!("{at}: no connection within {} s", self.settings.timers.connect.as_secs_f32())
        } else {
            format!("{at}: {words}")
        };
        let problem = Problem::new(ProblemKind::Unreachable, doing, cause).hint("check the host's name, the port and the network");
        if words.contains("builder error") || words.contains("invalid HTTP header") {
            Failure::Final(problem)
        } else {
            Failure::Again(problem, None)
        }
    }
}

/// What is wrong with a certificate and what to try, from the words of the TLS library.
fn untrusted(words: &str) -> (String, &'static str) {
    let of = |what: &str| format!("its certificate {what} ({words})");
    if words.contains("NotValidYet") || words.contains("not valid yet") {
        (of("is not valid yet"), "check this machine's clock, or wait")
    } else if words.contains("Expired") || words.contains("expired") {
        (of("has expired"), "it has to be renewed there; if it was, check this machine's clock")
    } else if words.contains("NotValidForName") || words.contains("not valid for name") {
        (of("is for another name"), "use the name it is for, or have one made for this name")
    } else if words.contains("Revoked") || words.contains("revoked") {
        (of("has been revoked"), "ask whoever runs it")
    } else {
        (
            of("is not trusted by this machine"),
            "if it is the right one, name the file of its authority as ca under [registries] in the configuration",
        )
    }
}

/// Host and port of a URL, and nothing that could hold a secret.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// The `Location` of an answer, joined and judged.
pub(super) fn redirect(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let at = place(from);
    let location = headers.get(LOCATION).ok_or_else(|| format!("{at} sent no Location"))?;
    let text = location.to_str().map_err(|_not_text| format!("{at} sent a Location that is not text"))?;
    if text.is_empty() || text.len() > LONGEST_URL {
        return Err(format!("{at} sent a Location of {} bytes", text.len()));
    }
    let mut next = from.join(text).map_err(|error| format!("{at} sent a bad Location: {error}"))?;
    next.set_fragment(None);
    if next.host().is_none() || !matches!(next.scheme(), "http" | "https") {
        return Err(format!("{at} redirects to {}:", next.scheme()));
    }
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(format!("{at} redirects to {} without encryption", place(&next)));
    }
    if !is_private(from) && is_private(&next) && from.host() != next.host() {
        return Err(format!("{at} redirects to the private address {}", place(&next)));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(format!("{at} redirects to a URL with a login"));
    }
    Ok(next)
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        }
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    address(url).is_some_and(|address| address.is_loopback())
}

/// Loopback, link-local, private or unspecified, as far as a literal address tells.
pub(super) fn is_private(url: &Url) -> bool {
    address(url).is_some_and(|address| match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || local_v6(v6),
    })
}

fn local_v6(v6: Ipv6Addr) -> bool {
    v6.is_unique_local() || v6.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(from: &str, to: &str) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(to).unwrap());
        redirect(&Url::parse(from).unwrap(), &headers).map(String::from)
    }

    #[test]
    fn redirects_are_joined_and_judged() {
        let from = "https://registry.example/v2/a/blobs/uploads/";
        assert_eq!(goes(from, "abc?_state=x").unwrap(), "https://registry.example/v2/a/blobs/uploads/abc?_state=x");
        assert_eq!(goes(from, "/v2/x").unwrap(), "https://registry.example/v2/x");
        assert_eq!(goes(from, "//cdn.example/x#frag").unwrap(), "https://cdn.example/x");
        assert!(goes(from, "http://registry.example/x").is_err());
        assert!(goes(from, "https://127.0.0.1/x").is_err());
        assert!(goes(from, "https://localhost/x").is_err());
        assert!(goes(from, "https://[::1]/x").is_err());
        assert!(goes(from, "file:///etc/passwd").is_err());
        assert!(goes(from, "https://u:p@registry.example/x").is_err());
        assert!(goes(from, "").is_err());
        assert!(goes(from, &format!("/{}", "a".repeat(9000))).is_err());
        assert!(goes("http://127.0.0.1:5000/v2/", "http://127.0.0.1:6000/x").is_ok());
    }
}
