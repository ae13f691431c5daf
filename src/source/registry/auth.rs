//! Who we are to a registry: Basic, Bearer and identity tokens, and the rule where credentials may go.
//!
//! Credentials leave for the registry's own origin (which is https unless the host is loopback or named insecure), and for a
//! token realm that is https on the same host or on the list of known pairs, or http on the same host as an insecure registry.
//! Anything else is asked anonymously or, where a login exists, refused with the reason. Tokens live in memory only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::challenge::Challenge;
use super::errors::Refusal;
use super::http::{Failure, is_loopback, is_private};
use super::{Client, Inner, RegistrySettings, body};
use crate::model::{LoggedIn, LoggedOut, Login, Problem, ProblemKind, Secret};
use crate::source::credentials::{Credential, Credentials};

/// Longest answer of a token server.
const TOKEN_LIMIT: usize = 64 * 1024;
/// A token is used at least this long, whatever the server says.
const SHORTEST: u64 = 60;

/// Tokens by registry host and scope; one fetch at a time for each.
#[derive(Debug)]
pub(super) struct Authority {
    credentials: Credentials,
    slots: Mutex<HashMap<(String, String), Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

#[derive(Debug, Clone)]
struct Held {
    header: HeaderValue,
    /// `None` for Basic, which does not age.
    until: Option<Instant>,
}

impl Held {
    fn fresh(&self) -> Option<HeaderValue> {
        self.until.is_none_or(|until| Instant::now() < until).then(|| self.header.clone())
    }
}

impl Authority {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, slots: Mutex::default() }
    }

    /// The login for a host as Basic, where there is one with a password.
    pub(super) async fn basic(&self, host: &str) -> Result<Option<HeaderValue>, Problem> {
        Ok(match self.credentials.for_registry(host).await? {
            Some(Credential::Password { username, password }) => Some(basic(&username, &password)),
            _ => None,
        })
    }

    fn slot(&self, host: &str, scope: &[String]) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry((host.to_owned(), scope.join(" "))).or_default())
    }

    /// Drops what was got for a host: the login changed.
    fn drop_tokens(&self, host: &str) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != host);
    }

    /// What to send without having been asked: what worked before.
    pub(super) async fn cached(&self, host: &str, scope: &[String]) -> Option<HeaderValue> {
        self.slot(host, scope).lock().await.as_ref().and_then(Held::fresh)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Inner {
    /// Answers a registry's challenge. `stale` is what was refused; if another request fetched a newer one meanwhile, that is used.
    pub(super) async fn answer(
        &self,
        host: &str,
        scope: &[String],
        challenges: &[Challenge],
        stale: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Failure> {
        let slot = self.auth.slot(host, scope);
        let mut held = slot.lock().await;
        if let Some(newer) = held.as_ref().and_then(Held::fresh).filter(|header| Some(header) != stale) {
            return Ok(newer);
        }
        *held = None;
        let login = self.auth.credentials.for_registry(host).await.map_err(Failure::Final)?;
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service.as_deref(), scope.as_deref())),
            Challenge::Basic => None,
        });
        let new = match (bearer, &login) {
            (Some(_), Some(Credential::RegistryToken(token))) => Held { header: bearing(token.reveal(), host)?, until: None },
            (Some((realm, service, asked)), login) => {
                let wanted = Wanted { host, realm, service, scope: union(scope, asked) };
                self.token(&wanted, login.as_ref()).await?
            }
            (None, Some(Credential::Password { username, password })) if challenges.contains(&Challenge::Basic) => {
                Held { header: basic(username, password), until: None }
            }
            (None, _) => return Err(Failure::Final(refused(host, challenges.is_empty()))),
        };
        // What does not age and was refused would only be refused again.
        if new.until.is_none() && stale == Some(&new.header) {
            return Err(Failure::Final(refused(host, false).hint(format!("the login was refused: docker login {host}"))));
        }
        *held = Some(new.clone());
        Ok(new.header)
    }

    async fn token(&self, wanted: &Wanted<'_>, login: Option<&Credential>) -> Result<Held, Failure> {
        let doing = format!("get a token for {}", wanted.host);
        let base = self.base(wanted.host).map_err(Failure::Final)?;
        let deny = |cause: String| Failure::Final(Problem::new(ProblemKind::Denied, &doing, cause));
        let mut realm = Url::parse(wanted.realm).map_err(|error| deny(format!("the registry's token realm is not a URL: {error}")))?;
        let trust = trust(&realm, &base, wanted.host, &self.settings).map_err(&deny)?;
        let place = realm.host_str().unwrap_or_default().to_owned();
        if trust == Trust::Anonymous && login.is_some() {
            let hint = "if that is right, add the pair to the trusted realms in the configuration";
            let cause = format!("{} wants its credentials sent to {place}", wanted.host);
            return Err(Failure::Final(Problem::new(ProblemKind::Denied, &doing, cause).hint(hint)));
        }
        let mut headers = HeaderMap::new();
        let reply = if let Some(Credential::IdentityToken(secret)) = login {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            let form = wanted.identity_form(secret);
            self.follow(wanted.host, &Method::POST, &realm, &headers, form.into(), None, &doing).await?
        } else {
            wanted.query(&mut realm, login);
            let authorization = match login {
                Some(Credential::Password { username, password }) => Some(basic(username, password)),
                _ => None,
            };
            self.follow(wanted.host, &Method::GET, &realm, &headers, bytes::Bytes::new(), authorization.as_ref(), &doing).await?
        };
        self.read_token(reply, &doing, &place).await
    }

    async fn read_token(&self, reply: reqwest::Response, doing: &str, place: &str) -> Result<Held, Failure> {
        let status = reply.status();
        if status != StatusCode::OK {
            let refusal = Refusal::read(reply, self.timers()).await;
            return Err(if super::retry::is_transient(status) {
                Failure::Again(refusal.problem(doing, place), None)
            } else {
                Failure::Final(refusal.problem(doing, place))
            });
        }
        let received = Instant::now();
        let bad = |cause: &str| Failure::Final(Problem::new(ProblemKind::Corrupt, doing, format!("{place} {cause}")));
        let body = match body::whole(reply, TOKEN_LIMIT, self.timers()).await {
            Ok(body) => body,
            Err(body::Broken::TooLong) => return Err(bad("sent a token longer than 64 KiB")),
            Err(broken) => {
                let problem = Problem::new(ProblemKind::Unreachable, doing, broken.words(self.timers()));
                return Err(Failure::Again(problem, None));
            }
        };
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_not_shown| bad("did not answer with a token"))?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty()).ok_or_else(|| bad("sent no token"))?;
        let header = bearing(&token, place)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a minute and a day")]
        let seconds = answer.expires_in.unwrap_or(60.0).clamp(60.0, 86_400.0) as u64;
        // A tenth is kept in reserve for the way.
        let lives = Duration::from_secs(seconds.max(SHORTEST)).mul_f64(0.9);
        Ok(Held { header, until: Some(received + lives) })
    }
}

impl Client {
    /// Tries a login, and uses it from then on: stored by the registry's credential helper where one is set, else for as long as this client
    /// lives. One that is refused changes nothing.
    ///
    /// # Errors
    /// What the registry answered, or that it asks for no login.
    pub async fn log_in(&self, host: &str, login: &Login) -> Result<LoggedIn, Problem> {
        let inner = &*self.0;
        let doing = format!("log in to {host}");
        if login.username.is_empty() || login.username.contains(|c: char| c.is_control() || c == ':') {
            return Err(Problem::new(ProblemKind::Usage, doing, "a user name has no colon and no control characters, and is not empty"));
        }
        let credentials = &inner.auth.credentials;
        let before = credentials.try_out(host, login);
        inner.auth.drop_tokens(host);
        if let Err(problem) = inner.check_login(host, &doing).await {
            credentials.put_back(host, before);
            inner.auth.drop_tokens(host);
            return Err(problem);
        }
        credentials.store(host, login).await
    }

    /// Forgets the login to a registry.
    ///
    /// # Errors
    /// A credential helper that fails.
    pub async fn log_out(&self, host: &str) -> Result<LoggedOut, Problem> {
        self.0.auth.drop_tokens(host);
        self.0.auth.credentials.forget(host).await
    }
}

impl Inner {
    /// Asks for the API's root, first as nobody, so that a registry that takes everybody is told from one that took the login.
    async fn check_login(&self, host: &str, doing: &str) -> Result<(), Problem> {
        let url = self.base(host)?;
        let mut tried = 1;
        loop {
            let headers = HeaderMap::new();
            let asked = self.follow(host, &Method::GET, &url, &headers, bytes::Bytes::new(), None, doing).await;
            let result = match asked {
                Ok(reply) if reply.status() == StatusCode::UNAUTHORIZED => {
                    let challenges = super::challenge::challenges(reply.headers());
                    self.logged_in(host, &url, &challenges, doing).await
                }
                Ok(reply) if reply.status().is_success() => {
                    let problem = Problem::new(ProblemKind::Unsupported, doing, format!("{host} takes everybody: it asks for no login"));
                    Err(Failure::Final(problem))
                }
                Ok(reply) => Err(Failure::Final(Refusal::read(reply, self.timers()).await.problem(doing, host))),
                Err(failure) => Err(failure),
            };
            match result {
                Ok(()) => return Ok(()),
                Err(Failure::Final(problem)) => return Err(problem),
                Err(Failure::Again(problem, wait)) => self.pause(host, &mut tried, problem, wait).await?,
            }
        }
    }

    async fn logged_in(&self, host: &str, url: &Url, challenges: &[Challenge], doing: &str) -> Result<(), Failure> {
        let header = self.answer(host, &[], challenges, None).await?;
        let reply = self.follow(host, &Method::GET, url, &HeaderMap::new(), bytes::Bytes::new(), Some(&header), doing).await?;
        if reply.status().is_success() {
            return Ok(());
        }
        Err(Failure::Final(Refusal::read(reply, self.timers()).await.problem(doing, host).hint("look at the user name and the password")))
    }
}

/// A token to ask for.
struct Wanted<'a> {
    host: &'a str,
    realm: &'a str,
    service: Option<&'a str>,
    scope: Vec<String>,
}

impl Wanted<'_> {
    fn query(&self, realm: &mut Url, login: Option<&Credential>) {
        let mut pairs = realm.query_pairs_mut();
        if let Some(service) = self.service {
            pairs.append_pair("service", service);
        }
        for scope in &self.scope {
            pairs.append_pair("scope", scope);
        }
        if let Some(Credential::Password { username, .. }) = login {
            pairs.append_pair("account", username);
        }
    }

    fn identity_form(&self, secret: &Secret) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", "lighterman");
        form.append_pair("service", self.service.unwrap_or(self.host));
        form.append_pair("scope", &self.scope.join(" "));
        form.append_pair("refresh_token", secret.reveal());
        form.finish()
    }
}

/// Our scopes, then what the registry names beyond them.
fn union(ours: &[String], asked: Option<&str>) -> Vec<String> {
    let mut all = ours.to_vec();
    for scope in asked.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()) {
        if !all.iter().any(|known| covers(known, scope)) {
            all.push(scope.to_owned());
        }
    }
    all
}

/// Whether `known` grants at least the actions of `scope` on the same thing.
fn covers(known: &str, scope: &str) -> bool {
    match (known.rsplit_once(':'), scope.rsplit_once(':')) {
        (Some((thing, actions)), Some((same, wanted))) => {
            thing == same && wanted.split(',').all(|action| actions.split(',').any(|has| has == action))
        }
        _ => known == scope,
    }
}

fn basic(user: &str, password: &Secret) -> HeaderValue {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.reveal()));
    // Base64 is always a header's value.
    let mut header = HeaderValue::from_str(&format!("Basic {encoded}")).unwrap_or(HeaderValue::from_static("Basic"));
    header.set_sensitive(true);
    header
}

/// A Bearer header; a token with characters that no header may hold is refused.
fn bearing(token: &str, place: &str) -> Result<HeaderValue, Failure> {
    let header = token.bytes().all(|b| (0x21..0x7f).contains(&b)).then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
    let mut header = header.ok_or_else(|| {
        let cause = format!("the token of {place} has characters that no header may hold");
        Failure::Final(Problem::new(ProblemKind::Corrupt, format!("get a token from {place}"), cause))
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn refused(host: &str, wordless: bool) -> Problem {
    let cause = if wordless { "wants a login in a way that is not known here" } else { "wants a login" };
    Problem::new(ProblemKind::Denied, format!("use the registry {host}"), format!("{host} {cause}"))
        .hint(format!("log in with: docker login {host}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Credentials,
    Anonymous,
}

/// What may be sent to `realm` on behalf of the registry `host`, whose API is at `base`.
fn trust(realm: &Url, base: &Url, host: &str, settings: &RegistrySettings) -> Result<Trust, String> {
    let place = realm.host_str().unwrap_or_default();
    let same = realm.host() == base.host();
    if !realm.username().is_empty() || realm.password().is_some() {
        return Err("the registry's token realm carries a login of its own".to_owned());
    }
    let known = settings.trusted_realms.iter().any(|(registry, trusted)| registry == host && trusted == place);
    match realm.scheme() {
        "http" if same && base.scheme() == "http" => Ok(Trust::Credentials),
        "http" => Err(format!("the registry wants a token fetched from {place} without encryption")),
        "https" if same || known => Ok(Trust::Credentials),
        "https" if is_private(realm) && !is_loopback(base) => {
            Err(format!("the registry wants a token fetched from the private address {place}"))
        }
        "https" => Ok(Trust::Anonymous),
        other => Err(format!("the registry wants a token fetched by {other}:")),
    }
}

/// The header that carries an authorization, for `http`.
pub(super) const HEADER: http::HeaderName = AUTHORIZATION;

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(realm: &str, base: &str, host: &str) -> Result<Trust, String> {
        trust(&Url::parse(realm).unwrap(), &Url::parse(base).unwrap(), host, &RegistrySettings::default())
    }

    #[test]
    fn credentials_go_to_the_same_host_or_a_known_pair_only() {
        let hub = ("https://registry-1.docker.io/v2/", "docker.io");
        assert_eq!(trusts("https://auth.docker.io/token", hub.0, hub.1), Ok(Trust::Credentials));
        assert_eq!(trusts("https://auth.docker.io.evil.example/token", hub.0, hub.1), Ok(Trust::Anonymous));
        let ghcr = ("https://ghcr.io/v2/", "ghcr.io");
        assert_eq!(trusts("https://ghcr.io/token", ghcr.0, ghcr.1), Ok(Trust::Credentials));
        assert_eq!(trusts("https://auth.docker.io/token", ghcr.0, ghcr.1), Ok(Trust::Anonymous));
        assert!(trusts("http://ghcr.io/token", ghcr.0, ghcr.1).is_err());
        assert!(trusts("http://169.254.169.254/latest", ghcr.0, ghcr.1).is_err());
        assert!(trusts("https://169.254.169.254/latest", ghcr.0, ghcr.1).is_err());
        assert!(trusts("https://localhost/x", ghcr.0, ghcr.1).is_err());
        assert!(trusts("https://[::ffff:10.0.0.1]/x", ghcr.0, ghcr.1).is_err());
        assert!(trusts("file:///etc/passwd", ghcr.0, ghcr.1).is_err());
        assert!(trusts("https://user:pw@ghcr.io/token", ghcr.0, ghcr.1).is_err());
        let local = ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000");
        assert_eq!(trusts("http://127.0.0.1:5001/token", local.0, local.1), Ok(Trust::Credentials));
        assert!(trusts("http://example.org/token", local.0, local.1).is_err());
    }

    #[test]
    fn scopes_are_joined_without_repeating() {
        let ours = vec!["repository:a/b:pull,push".to_owned()];
        assert_eq!(union(&ours, Some("repository:a/b:pull")), ours);
        assert_eq!(union(&ours, Some("repository:c:pull registry:catalog:*")).len(), 3);
    }

    #[test]
    fn secrets_do_not_print() {
        assert!(!format!("{:?}", basic("anna", &Secret::new("hunter2".into()))).contains("YW5uYTpodW50ZXIy"));
        assert!(!format!("{:?}", bearing("abc", "h").unwrap()).contains("abc"));
        assert!(bearing("a\nb", "h").is_err() && bearing("a b", "h").is_err());
    }
}
