//! Reports and VEX documents that lie beside an image in its registry: bare, as `oras attach` puts them, or in an attestation's envelope.
//!
//! Whoever may push there may have put them: nothing here verifies an envelope's signature (see `signature`), and what comes of it says so.
//!
//! May use model and source. Facts: the OCI distribution specification's referrers, in-toto's statement, cosign's types of predicates.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::import::{self, Imported};
use crate::model::report::NotLooked;
use crate::model::{Completeness, Digest, Foreign, Problem, ProblemKind, Referrer, StepState, size};
use crate::source::content::Descriptor;
use crate::source::oci::Manifest;
use crate::source::registry::{Client, Repo};
use crate::source::{Ctx, blocking};

/// Most things about one image that are looked at.
const MOST: usize = 50;
/// Most files in one of them.
const MOST_LAYERS: usize = 8;
/// What all of them together may have, in bytes.
const MOST_BYTES: u64 = 2 * import::LARGEST as u64;

/// Parts of types that reports go by.
const KINDS: [&str; 12] = [
    "sarif",
    "cyclonedx",
    "openvex",
    "trivy",
    "grype",
    "vnd.security.vulnerability.report",
    "vnd.scanner.adapter.vuln.report",
    "clair",
    "osv-scanner",
    "dockle",
    "hadolint",
    "vulnerability",
];
const ENVELOPES: [&str; 3] = ["vnd.dsse.envelope", "vnd.dev.sigstore.bundle", "vnd.in-toto"];

/// A document beside an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// Of the manifest that holds it.
    pub digest: Digest,
    /// The type it goes by there.
    pub kind: Foreign,
    /// It came out of an attestation, whose signature nobody verified.
    pub is_attestation: bool,
    /// Whether it names this image; `None` where it names none.
    pub is_of_image: Option<bool>,
    pub imported: Result<Imported, Problem>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub attached: Vec<Attached>,
    /// What was not looked at, with the reason.
    pub not_looked_for: Vec<NotLooked>,
}

/// Looks for reports beside the manifest `image` of a repository. `names` are all digests that the image goes by: of its manifest, of the index it
/// is in, of its configuration.
///
/// # Errors
/// What the registry answered when it was asked for the list; the caller's wish to stop. What can't be read of a report is said with it.
pub async fn find(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest, names: &[Digest]) -> Result<Found, Problem> {
    let doing = format!("look for reports on {} in {}", image.short(), repo.full());
    ctx.check(&doing)?;
    let listed = client.referrers(repo, image, None).await?;
    let mut found = Found { attached: Vec::new(), not_looked_for: Vec::new() };
    if let Completeness::Incomplete(why) = &listed.completeness {
        found.not_looked_for.push(NotLooked::new("reports beside the image", why.as_str()));
    }
    if listed.referrers.len() > MOST {
        let why = format!("there are {} things about the image; the first {MOST} were looked at", listed.referrers.len());
        found.not_looked_for.push(NotLooked::new("reports beside the image", why.as_str()));
    }
    let mut looking = Looking { client, ctx, repo, names, left: MOST_BYTES };
    for referrer in listed.referrers.iter().take(MOST).filter(|referrer| may_be(kind(referrer))) {
        ctx.check(&doing)?;
        match looking.read(referrer).await {
            Ok(some) => found.attached.extend(some),
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) => found.attached.push(Attached {
                digest: referrer.digest.clone(),
                kind: Foreign::new(kind(referrer)),
                is_attestation: false,
                is_of_image: None,
                imported: Err(problem),
            }),
        }
    }
    Ok(found)
}

fn kind(referrer: &Referrer) -> &str {
    referrer.artifact_type.as_ref().map_or("", |kind| kind.raw())
}

fn is_report(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    KINDS.iter().any(|part| kind.contains(part))
}

fn is_envelope(kind: &str) -> bool {
    ENVELOPES.iter().any(|part| kind.contains(part))
}

/// Whether a report may be in it, as far as it says: older registries say nothing.
fn may_be(kind: &str) -> bool {
    is_report(kind) || is_envelope(kind) || kind.is_empty() || kind.starts_with("application/vnd.oci.") || kind.contains("cosign.sbom")
}

struct Looking<'a> {
    client: &'a Client,
    ctx: &'a Ctx,
    repo: &'a Repo,
    names: &'a [Digest],
    /// Bytes that may still be fetched.
    left: u64,
}

impl Looking<'_> {
    async fn read(&mut self, referrer: &Referrer) -> Result<Vec<Attached>, Problem> {
        let manifest = match self.client.manifest(self.repo, referrer.digest.as_str()).await?.manifest {
            Manifest::Image(manifest) => manifest,
            Manifest::Index(_) => return Ok(Vec::new()),
        };
        let whole = manifest.artifact_type.as_deref().unwrap_or(kind(referrer));
        let mut all = Vec::new();
        for layer in manifest.layers.iter().take(MOST_LAYERS) {
            let is_envelope = is_envelope(&layer.media_type);
            // A file in an artifact of reports may go by a type that says nothing.
            let is_bare = is_report(&layer.media_type) || (is_report(whole) && layer.media_type.ends_with("json"));
            if !is_envelope && !is_bare {
                continue;
            }
            let kind = if is_report(&layer.media_type) || is_envelope { &layer.media_type } else { whole };
            let imported = match self.blob(layer).await {
                Ok(bytes) => self.import(bytes, is_envelope).await,
                Err(problem) => Err(problem),
            };
            let imported = match imported {
                Err(problem) if problem.is_cancelled() => return Err(problem),
                // An attestation on something else.
                Ok(None) => continue,
                Ok(Some(imported)) => Ok(imported),
                Err(problem) => Err(problem),
            };
            let is_of_image = imported.as_ref().ok().and_then(|imported| self.is_of_image(imported));
            let (digest, kind) = (referrer.digest.clone(), Foreign::new(kind));
            all.push(Attached { digest, kind, is_attestation: is_envelope, is_of_image, imported });
        }
        Ok(all)
    }

    fn is_of_image(&self, imported: &Imported) -> Option<bool> {
        match imported {
            Imported::Report(report) if report.digests.is_empty() => None,
            Imported::Report(report) => Some(report.digests.iter().any(|digest| self.names.contains(digest))),
            Imported::Statements(_) => None,
        }
    }

    /// A blob, held against its digest.
    async fn blob(&mut self, layer: &Descriptor) -> Result<Vec<u8>, Problem> {
        let doing = "read a report beside an image";
        let most = self.left.min(import::LARGEST as u64);
        if layer.size > most {
            let cause = format!("it has {}; {} are left for all of them", size::human(layer.size), size::human(most));
            return Err(Problem::new(ProblemKind::Limit, doing, cause));
        }
        self.left = self.left.saturating_sub(layer.size);
        let step = self.ctx.meter.step("a report".into(), Some(layer.size));
        let fetched = tokio::select! {
            fetched = self.client.blob(self.ctx, self.repo, layer, step, || Ok(Vec::new())) => fetched?,
            () = self.ctx.cancel.cancelled() => return Err(Problem::cancelled(doing)),
        };
        self.ctx.meter.finish(step, StepState::Done);
        Ok(fetched.out)
    }

    /// `None` for an attestation that holds no report.
    async fn import(&self, bytes: Vec<u8>, is_envelope: bool) -> Result<Option<Imported>, Problem> {
        blocking("read a report beside an image", move || {
            if !is_envelope {
                return import::import(&bytes).map(Some);
            }
            let Some(statement) = statement(&bytes) else { return Ok(None) };
            let Some(report) = report_in(&statement) else { return Ok(None) };
            import::import(report.as_bytes()).map(Some)
        })
        .await
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Envelope {
    payload: String,
    /// In a Sigstore bundle.
    dsse_envelope: Option<Inner>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Inner {
    payload: String,
}

/// What is in an envelope, or the statement itself where there is none.
fn statement(bytes: &[u8]) -> Option<Vec<u8>> {
    let envelope: Envelope = serde_json::from_slice(bytes).ok()?;
    let payload = envelope.dsse_envelope.map_or(envelope.payload, |inner| inner.payload);
    if payload.is_empty() { Some(bytes.to_vec()) } else { super::signature::base64(&payload) }
}

#[derive(Deserialize)]
struct Statement<'a> {
    #[serde(rename = "predicateType", default)]
    kind: String,
    #[serde(borrow)]
    predicate: &'a RawValue,
}

/// Where cosign's words on weaknesses have what the scanner said.
#[derive(Deserialize)]
struct Weaknesses<'a> {
    #[serde(borrow)]
    scanner: Scanner<'a>,
}

#[derive(Deserialize)]
struct Scanner<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

/// Older attestations have a document beside the time it was made.
#[derive(Deserialize)]
struct Dated<'a> {
    #[serde(borrow, rename = "Data")]
    data: &'a RawValue,
}

fn report_in(statement: &[u8]) -> Option<String> {
    let statement: Statement<'_> = serde_json::from_slice(statement).ok()?;
    let predicate = statement.predicate.get();
    let kind = statement.kind.to_ascii_lowercase();
    if kind.contains("attestation/vuln") {
        let all: Weaknesses<'_> = serde_json::from_str(predicate).ok()?;
        return Some(all.scanner.result.get().to_owned());
    }
    let known = ["cyclonedx", "openvex", "sarif"];
    let is_known = known.iter().any(|known| kind.contains(known));
    let inner = serde_json::from_str::<Dated<'_>>(predicate).map_or(predicate, |dated| dated.data.get());
    is_known.then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn envelope(statement: &serde_json::Value) -> Vec<u8> {
        let payload = base64::engine::general_purpose::STANDARD.encode(statement.to_string());
        json!({"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": []}).to_string().into_bytes()
    }

    #[test]
    fn reports_come_out_of_their_envelopes() {
        let of = |value: serde_json::Value| report_in(&statement(&envelope(&value)).unwrap());
        let vuln = json!({"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "predicate": {"scanner": {"uri": "x", "result": {"a": 1}}}});
        assert_eq!(of(vuln).unwrap(), r#"{"a":1}"#);
        assert_eq!(of(json!({"predicateType": "https://cyclonedx.org/bom", "predicate": {"b": 1}})).unwrap(), r#"{"b":1}"#);
        assert_eq!(
            of(json!({"predicateType": "https://openvex.dev/ns", "predicate": {"Data": {"c": 1}, "Timestamp": ""}})).unwrap(),
            r#"{"c":1}"#
        );
        assert_eq!(of(json!({"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}})), None);
        let bundle = json!({"dsseEnvelope": serde_json::from_slice::<serde_json::Value>(&envelope(&json!({}))).unwrap()});
        assert_eq!(statement(bundle.to_string().as_bytes()).unwrap(), b"{}");
    }

    #[test]
    fn types_tell_what_may_be_a_report() {
        for kind in [
            "application/sarif+json",
            "application/vnd.cyclonedx+json",
            "application/vnd.openvex+json",
            "application/vnd.aquasec.trivy.report+json",
        ] {
            assert!(is_report(kind) && may_be(kind), "{kind}");
        }
        for kind in ["application/vnd.cncf.notary.signature", "application/vnd.dev.cosign.simplesigning.v1+json", "text/plain"] {
            assert!(!may_be(kind), "{kind}");
        }
        assert!(may_be("") && may_be("application/vnd.dsse.envelope.v1+json"));
    }

    proptest! {
        #[test]
        fn any_bytes_hold_a_report_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = statement(&bytes).map(|statement| report_in(&statement));
        }
    }
}
