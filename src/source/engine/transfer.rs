//! Pulling and pushing, which the engine does and tells of line by line.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method};

use super::EngineSource;
use super::change::{held, holder, moved};
use super::client::{Ask, STALL};
use super::inspect::encode;
use super::progress::Told;
use super::session::{Kind, Session};
use crate::model::{Digest, ImageKey, Name, Platform, Problem, ProblemKind, Reference, Secret, Transfer};
use crate::source::Ctx;

/// Until the engine has found the registry and the manifest there.
const HEAD: Duration = Duration::from_secs(180);
/// While layers are unpacked (one of many gigabytes may be silent), and for Podman, which says nothing while bytes move.
const SILENT: Duration = Duration::from_secs(1800);

pub(super) async fn pull(
    source: &EngineSource,
    ctx: &Ctx,
    reference: &Reference,
    platform: Option<&Platform>,
    doing: &str,
) -> Result<Transfer, Problem> {
    let session = source.session(doing).await?;
    let credential = source.credentials.for_registry(reference.registry()).await?;
    ctx.meter.phase("asking the registry");
    let unsafe_podman = session.kind == Kind::Podman && is_loopback(reference.registry());
    let path = if unsafe_podman { libpod_pull(reference, platform) } else { compat_pull(reference, platform) };
    let mut ask = Ask { head: HEAD, ..Ask::new(Method::POST, path, doing) };
    if let Some(credential) = credential {
        put_auth(&mut ask.headers, &credential.engine_header(reference.registry()), doing)?;
    }
    let api = if unsafe_podman { None } else { Some(session.api.as_str()) };
    let answer = source.client.send(api, ask).await.map_err(|failure| explained(failure.into_problem(doing), reference))?;
    let told = listen(source, ctx, &session, source.client.lines(answer, SILENT, doing), doing).await?;
    if let Some(failure) = &told.failure {
        return Err(explained(Problem::new(ProblemKind::Other, doing, failure), reference));
    }
    let now = held(source, &session, &ImageKey::Name(reference.clone()), doing).await?;
    let now = now.ok_or_else(|| Problem::new(ProblemKind::Other, doing, "the engine reported no error, but the image is not there"))?;
    let digest = match session.kind {
        // Docker's last words after a whole pull. An image that was there before proves nothing about this pull.
        Kind::Docker => told.digest.clone(),
        // Podman's are the image's ID; what the registry calls it has to be looked up.
        Kind::Podman => told.names_image(&now.id).then(|| own_digest(&now.repo_digests, reference)).flatten(),
    };
    let unsaid = || Problem::new(ProblemKind::Other, doing, "the engine ended without saying what it pulled").hint("pull it again");
    Ok(Transfer { digest: Some(digest.ok_or_else(unsaid)?), bytes_transferred: told.moved(), bytes_skipped: told.skipped() })
}

/// What the reference's own repository calls the image. The same image may be in other repositories too, under other digests.
fn own_digest(repo_digests: &[Name], reference: &Reference) -> Option<Digest> {
    let own = |name: &Name| {
        let name = name.reference().ok()?;
        let same = name.registry() == reference.registry() && name.repository() == reference.repository();
        name.digest().filter(|_| same)?.parse::<Digest>().ok()
    };
    let mut digests: Vec<Digest> = repo_digests.iter().filter_map(own).collect();
    // Of an index and its manifest, which Podman both lists, the one that was asked for.
    if let Some(asked) = reference.digest() {
        digests.retain(|digest| digest.as_str() == asked);
    }
    digests.into_iter().next()
}

fn compat_pull(reference: &Reference, platform: Option<&Platform>) -> String {
    let repository = format!("{}/{}", reference.registry(), reference.repository());
    let tag = reference.digest().or(reference.tag()).unwrap_or("latest");
    let platform = platform.map(|platform| format!("&platform={}", encode(&platform.to_string()))).unwrap_or_default();
    format!("/images/create?fromImage={}&tag={}{platform}", encode(&repository), encode(tag))
}

/// Podman's own way, which is the only one that takes `tlsVerify` for pulling. It is used for registries on this machine alone.
fn libpod_pull(reference: &Reference, platform: Option<&Platform>) -> String {
    let platform = platform.map(|platform| {
        let variant = platform.variant.as_ref().map(|variant| format!("&Variant={}", encode(variant))).unwrap_or_default();
        format!("&OS={}&Arch={}{variant}", encode(&platform.os), encode(&platform.architecture))
    });
    format!("/v4.0.0/libpod/images/pull?reference={}&tlsVerify=false{}", encode(&reference.whole()), platform.unwrap_or_default())
}

pub(super) async fn push(
    source: &EngineSource,
    ctx: &Ctx,
    reference: &Reference,
    expected: &Digest,
    doing: &str,
) -> Result<Transfer, Problem> {
    let session = source.session(doing).await?;
    let Some(tag) = reference.tag().filter(|_| reference.digest().is_none()) else {
        return Err(Problem::new(ProblemKind::Usage, doing, "only a tag can be pushed"));
    };
    let now = holder(source, &session, reference, doing).await?;
    if now.as_ref() != Some(expected) {
        return Err(moved(doing, reference, now.as_ref()));
    }
    let credential = source.credentials.for_registry(reference.registry()).await?;
    ctx.meter.phase("asking the registry");
    let repository = format!("{}/{}", reference.registry(), reference.repository());
    let path = match session.kind {
        Kind::Docker => format!("/images/{repository}/push?tag={}", encode(tag)),
        Kind::Podman => {
            let verify = if is_loopback(reference.registry()) { "?tlsVerify=false" } else { "" };
            format!("/images/{}/push{verify}", reference.whole())
        }
    };
    let mut ask = Ask { head: HEAD, ..Ask::new(Method::POST, path, doing) };
    // Engines want the header even from somebody unknown.
    let header = credential.map_or_else(|| Secret::new("e30=".to_owned()), |credential| credential.engine_header(reference.registry()));
    put_auth(&mut ask.headers, &header, doing)?;
    let answer = source.client.send(Some(&session.api), ask).await.map_err(|failure| explained(failure.into_problem(doing), reference))?;
    let told = listen(source, ctx, &session, source.client.lines(answer, SILENT, doing), doing).await?;
    match (&told.failure, &told.digest) {
        (Some(failure), _) => Err(explained(Problem::new(ProblemKind::Other, doing, failure), reference)),
        (None, None) => Err(Problem::new(ProblemKind::Other, doing, "the engine ended without saying what it pushed")),
        (None, digest) => Ok(Transfer { digest: digest.clone(), bytes_transferred: told.moved(), bytes_skipped: told.skipped() }),
    }
}

/// Hears the engine out. A stream that stands still is given up, unless there is a reason for silence.
async fn listen(
    source: &EngineSource,
    ctx: &Ctx,
    session: &Session,
    lines: impl Stream<Item = Result<bytes::Bytes, Problem>>,
    doing: &str,
) -> Result<Told, Problem> {
    let mut lines = std::pin::pin!(lines);
    let mut told = Told::default();
    loop {
        let patience = if session.kind == Kind::Podman || told.is_unpacking() { SILENT } else { STALL };
        match tokio::time::timeout(patience, lines.next()).await {
            Err(_elapsed) => return Err(source.client.silent(doing, patience)),
            Ok(None) => return Ok(told),
            Ok(Some(line)) => told.take(&line?, &ctx.meter),
        }
    }
}

fn put_auth(headers: &mut HeaderMap, value: &Secret, doing: &str) -> Result<(), Problem> {
    let mut value = HeaderValue::from_str(value.reveal())
        .map_err(|_not_ascii| Problem::new(ProblemKind::Usage, doing, "the credentials do not fit into a header"))?;
    value.set_sensitive(true);
    headers.insert("X-Registry-Auth", value);
    Ok(())
}

/// Engines speak to HTTP without TLS only on this machine, and so do we ask for it only here.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The engine passes on the registry's words; they decide what kind of problem it is.
fn explained(mut problem: Problem, reference: &Reference) -> Problem {
    let words = problem.cause.as_str().to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if has(&["unauthorized", "denied", "authentication required", "no basic auth", "forbidden"]) {
        problem.kind = ProblemKind::Denied;
        return problem.hint(format!("log in to {} with docker login or podman login", reference.registry()));
    }
    if has(&["manifest unknown", "not found", "name unknown", "does not exist", "no matching manifest"]) {
        problem.kind = ProblemKind::NotFound;
    } else if has(&["no space left"]) {
        problem.kind = ProblemKind::Disk;
        return problem.hint("free some space where the engine keeps its images");
    } else if has(&["connection refused", "no such host", "timeout", "deadline", "network is unreachable", "tls:", "x509"]) {
        problem.kind = ProblemKind::Unreachable;
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for here in ["127.0.0.1:5000", "localhost:5000", "localhost", "[::1]:5000", "127.8.8.8"] {
            assert!(is_loopback(here), "{here}");
        }
        for there in ["registry.example:5000", "localhost.example", "10.0.0.1:5000", "[::2]:1", "128.0.0.1"] {
            assert!(!is_loopback(there), "{there}");
        }
    }

    #[test]
    fn what_is_asked_for_is_encoded() {
        let reference = "127.0.0.1:5000/a/b:v1".parse::<Reference>().unwrap();
        assert_eq!(
            compat_pull(&reference, Some(&Platform::new("linux", "arm64", Some("v8")))),
            "/images/create?fromImage=127.0.0.1%3A5000%2Fa%2Fb&tag=v1&platform=linux%2Farm64%2Fv8"
        );
        assert!(libpod_pull(&reference, None).ends_with("reference=127.0.0.1%3A5000%2Fa%2Fb%3Av1&tlsVerify=false"));
    }

    #[test]
    fn a_digest_is_the_own_repositorys() {
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        let names = [
            Name::new(&format!("r.example/other@{two}")),
            Name::new(&format!("a@{two}")),
            Name::new(&format!("r.example/a@{one}")),
            Name::new(&format!("docker.io/library/b@{two}")),
            Name::new(&format!("docker.io/library/b@{one}")),
        ];
        let own = |reference: &str| own_digest(&names, &reference.parse::<Reference>().unwrap());
        assert_eq!(own("r.example/a:1").as_ref(), Some(&one));
        assert_eq!(own("a:1").as_ref(), Some(&two), "short and whole names are the same repository");
        assert_eq!(own(&format!("b@{one}")).as_ref(), Some(&one), "the one that was asked for");
        assert_eq!(own("r.example/b:1"), None);
    }

    #[test]
    fn a_registrys_words_decide_the_kind() {
        let reference = "r.example/a:1".parse::<Reference>().unwrap();
        let kind = |words: &str| explained(Problem::new(ProblemKind::Other, "pull", words), &reference).kind;
        assert_eq!(kind("manifest for r not found: manifest unknown"), ProblemKind::NotFound);
        assert_eq!(kind("pull access denied for a, repository does not exist or may require 'docker login'"), ProblemKind::Denied);
        assert_eq!(kind("dial tcp 127.0.0.1:5598: connect: connection refused"), ProblemKind::Unreachable);
        assert_eq!(kind("something else"), ProblemKind::Other);
    }
}
