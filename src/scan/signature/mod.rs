//! Signatures of images in a registry: found wherever their makers put them, and held against a public key.
//!
//! | where | what |
//! |---|---|
//! | the tag `sha256-<hex>.sig` | cosign's own form: a payload, and its signature beside it |
//! | the referrers API, or the tag `sha256-<hex>` in its place | Sigstore bundles as cosign makes them today; Notation |
//! | the tag `sha256-<hex>.att` | attestations in envelopes |
//!
//! A key's signature counts only where what is signed names this very image by its digest. Signatures that a certificate stands for (keyless),
//! and those of Notation, are told and not verified; servers of Docker Content Trust are not asked. Everything is hostile: bounded in number
//! and size, and one that can't be read says so alone.
//!
//! May use model and source. Facts: cosign's specification of signatures, the OCI distribution specification, the Sigstore bundle, Notary's
//! specification of signatures.

mod certificate;
mod der;
mod key;
mod material;

pub use key::PublicKey;
pub(super) use key::base64;

use certificate::Named;
use material::{Held, Material, SIGN};

use crate::model::report::NotLooked;
use crate::model::{
    Completeness, Digest, Foreign, Problem, ProblemKind, Referrer, Safe, Signature, SignatureKind, SignatureState, Verified, size,
};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::oci::Manifest;
use crate::source::registry::{Client, Repo};

/// Most things about one image that are looked at.
const MOST: usize = 200;
/// Most signatures in one manifest.
const MOST_LAYERS: usize = 64;

const SIMPLE_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIMPLE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const ENVELOPE_LAYER: &str = "application/vnd.dsse.envelope.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const NOTATION: &str = "application/vnd.cncf.notary.signature";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const THUMBPRINTS: &str = "io.cncf.notary.x509chain.thumbprint#S256";

const UNVERIFIED: &str = "present, not verified";
const KEYLESS: &str = "made with a certificate and not with a key: present, not verified";

/// What an image's signatures are, before any key is held against them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    image: Digest,
    found: Vec<Found>,
    not_looked_for: Vec<NotLooked>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    signature: Signature,
    /// `None` where nothing can be verified.
    material: Option<Material>,
    is_keyless: bool,
}

impl Signatures {
    /// Each as it is known without a key: present, not verified.
    #[must_use]
    pub fn listed(&self) -> Vec<Signature> {
        self.found.iter().map(|found| found.signature.clone()).collect()
    }

    /// Whether there is anything that says it is a signature, attestations aside.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.found.iter().any(|found| found.signature.kind != SignatureKind::Attestation)
    }

    /// Where nobody looked, or not to the end.
    #[must_use]
    pub fn not_looked_for(&self) -> &[NotLooked] {
        &self.not_looked_for
    }
}

/// Holds every signature against a key.
#[must_use]
pub fn verify(signatures: &Signatures, key: &PublicKey) -> Verified {
    let judge = |found: &Found| {
        let mut signature = found.signature.clone();
        let Some(material) = &found.material else { return signature };
        (signature.state, signature.why) = match material.check(key, &signatures.image) {
            Ok(()) => (SignatureState::Verified, Safe::new(&format!("made with this {} key, for this image", key.kind()))),
            Err(_) if found.is_keyless => (SignatureState::NotVerified, Safe::new(KEYLESS)),
            Err(why) => (SignatureState::Refused, Safe::new(why)),
        };
        signature
    };
    let all: Vec<Signature> = signatures.found.iter().map(judge).collect();
    let counts = |signature: &Signature| {
        signature.state == SignatureState::Verified && matches!(signature.kind, SignatureKind::Cosign | SignatureKind::Bundle)
    };
    Verified { verified: all.iter().any(counts), signatures: all, not_looked_for: signatures.not_looked_for.clone() }
}

/// Looks for the signatures of the manifest `image` of a repository.
///
/// # Errors
/// What the registry answered when it was asked for the list; the caller's wish to stop. What can't be read of a signature is said with it.
pub async fn find(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest) -> Result<Signatures, Problem> {
    let doing = format!("look for signatures of {} in {}", image.short(), repo.full());
    ctx.check(&doing)?;
    let listed = client.referrers(repo, image, None).await?;
    let mut not_looked_for = vec![NotLooked::new("Docker Content Trust", "not evaluated: it is a server of its own, which was not asked")];
    if let Completeness::Incomplete(why) = &listed.completeness {
        not_looked_for.push(NotLooked::new("all signatures", why.as_str()));
    }
    if listed.referrers.len() > MOST {
        let why = format!("there are {} things about the image; the first {MOST} were looked at", listed.referrers.len());
        not_looked_for.push(NotLooked::new("all signatures", why.as_str()));
    }
    let looking = Looking { client, ctx, repo, image };
    let mut found = Vec::new();
    for referrer in listed.referrers.iter().take(MOST) {
        ctx.check(&doing)?;
        match looking.read(referrer).await {
            Ok(some) => found.extend(some),
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) if is_signature(referrer) => {
                let signature = named(referrer, SignatureKind::Other, SignatureState::NotEvaluated, problem.cause.as_str());
                found.push(Found { signature, material: None, is_keyless: false });
            }
            Err(_) => {}
        }
    }
    Ok(Signatures { image: image.clone(), found, not_looked_for })
}

fn artifact(referrer: &Referrer) -> &str {
    referrer.artifact_type.as_ref().map_or("", |kind| kind.raw())
}

/// Whether it says that it is one.
fn is_signature(referrer: &Referrer) -> bool {
    let kind = artifact(referrer);
    [SIMPLE_LAYER, SIMPLE_ARTIFACT, ENVELOPE_LAYER, NOTATION].contains(&kind) || kind.starts_with(BUNDLE)
}

fn named(referrer: &Referrer, kind: SignatureKind, state: SignatureState, why: &str) -> Signature {
    Signature { kind, digest: referrer.digest.clone(), state, why: Safe::new(why), predicate: None, identity: None, issuer: None }
}

struct Looking<'a> {
    client: &'a Client,
    ctx: &'a Ctx,
    repo: &'a Repo,
    image: &'a Digest,
}

impl Looking<'_> {
    /// The signatures in what refers to the image; none where it is something else.
    async fn read(&self, referrer: &Referrer) -> Result<Vec<Found>, Problem> {
        // Older registries and tags in place of the API don't say of what type it is.
        let may_be = is_signature(referrer) || artifact(referrer).is_empty() || artifact(referrer).starts_with("application/vnd.oci.");
        if !may_be {
            return Ok(Vec::new());
        }
        let manifest = match self.client.manifest(self.repo, referrer.digest.as_str()).await?.manifest {
            Manifest::Image(manifest) => manifest,
            Manifest::Index(_) => return Ok(Vec::new()),
        };
        let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
        if kind == NOTATION || manifest.config.media_type == NOTATION {
            let told = manifest.annotations.get(THUMBPRINTS).map(|text| format!(" (certificates {})", text.safe())).unwrap_or_default();
            let signature = named(referrer, SignatureKind::Notation, SignatureState::NotVerified, &format!("{UNVERIFIED}{told}"));
            return Ok(vec![Found { signature, material: None, is_keyless: false }]);
        }
        let mut all = Vec::new();
        for layer in manifest.layers.iter().take(MOST_LAYERS) {
            let found = match layer.media_type.as_str() {
                SIMPLE_LAYER => self.simple(referrer, layer).await,
                ENVELOPE_LAYER => self.envelope(referrer, layer).await,
                bundle if bundle.starts_with(BUNDLE) => self.bundle(referrer, layer).await,
                _ => continue,
            };
            all.push(match found {
                Err(problem) if problem.is_cancelled() => return Err(problem),
                Err(problem) => {
                    let signature = named(referrer, SignatureKind::Other, SignatureState::NotEvaluated, problem.cause.as_str());
                    Found { signature, material: None, is_keyless: false }
                }
                Ok(found) => found,
            });
        }
        if manifest.layers.len() > MOST_LAYERS {
            let why = format!("there are {} in it; the first {MOST_LAYERS} were looked at", manifest.layers.len());
            let signature = named(referrer, SignatureKind::Other, SignatureState::NotEvaluated, &why);
            all.push(Found { signature, material: None, is_keyless: false });
        }
        Ok(all)
    }

    /// A blob, held against its digest.
    async fn blob(&self, layer: &Descriptor) -> Result<Vec<u8>, Problem> {
        let doing = format!("read a signature of {}", self.image.short());
        if layer.size > material::LARGEST {
            let cause = format!("it is larger than {}", size::human(material::LARGEST));
            return Err(Problem::new(ProblemKind::Limit, doing, cause));
        }
        let step = self.ctx.meter.step("a signature".into(), Some(layer.size));
        let fetched = tokio::select! {
            fetched = self.client.blob(self.ctx, self.repo, layer, step, || Ok(Vec::new())) => fetched?,
            () = self.ctx.cancel.cancelled() => return Err(Problem::cancelled(doing)),
        };
        self.ctx.meter.finish(step, crate::model::StepState::Done);
        Ok(fetched.out)
    }

    async fn simple(&self, referrer: &Referrer, layer: &Descriptor) -> Result<Found, Problem> {
        let told = layer.annotations.get(SIGNATURE).map(|text| key::base64(text.raw()));
        let certificate = layer.annotations.get(CERTIFICATE).map(|pem| certificate::of_pem(pem.raw()));
        let payload = self.blob(layer).await?;
        Ok(match told {
            Some(Some(signature)) => found(referrer, SignatureKind::Cosign, Some(Material::Simple { payload, signature }), certificate),
            Some(None) => broken(referrer, SignatureKind::Cosign, "the signature beside it is no base64"),
            None => broken(referrer, SignatureKind::Cosign, "there is no signature beside it"),
        })
    }

    async fn envelope(&self, referrer: &Referrer, layer: &Descriptor) -> Result<Found, Problem> {
        let certificate = layer.annotations.get(CERTIFICATE).filter(|pem| !pem.is_empty()).map(|pem| certificate::of_pem(pem.raw()));
        let material = material::envelope(&self.blob(layer).await?);
        Ok(match material {
            Some(material) => found(referrer, SignatureKind::Attestation, Some(material), certificate),
            None => broken(referrer, SignatureKind::Attestation, "it is not what an envelope looks like"),
        })
    }

    async fn bundle(&self, referrer: &Referrer, layer: &Descriptor) -> Result<Found, Problem> {
        let (held, certificate) = match material::bundle(&self.blob(layer).await?) {
            Ok(read) => read,
            Err(why) => return Ok(broken(referrer, SignatureKind::Bundle, why)),
        };
        let material = match held {
            Held::Ready(material) => material,
            Held::Message { digest, signature } => {
                let manifest = self.client.manifest(self.repo, self.image.as_str()).await?.bytes.to_vec();
                Material::Message { digest, signature, manifest }
            }
        };
        let kind = match (&material, material.predicate().as_deref()) {
            (Material::Message { .. }, _) | (_, Some(SIGN)) => SignatureKind::Bundle,
            _ => SignatureKind::Attestation,
        };
        Ok(found(referrer, kind, Some(material), certificate))
    }
}

fn found(referrer: &Referrer, kind: SignatureKind, material: Option<Material>, certificate: Option<Named>) -> Found {
    let is_keyless = certificate.is_some();
    let Named { identity, issuer } = certificate.unwrap_or_default();
    let why = if is_keyless { KEYLESS } else { UNVERIFIED };
    let predicate = material.as_ref().and_then(Material::predicate).filter(|_| kind == SignatureKind::Attestation).map(Foreign::from);
    let signature = Signature { predicate, identity, issuer, ..named(referrer, kind, SignatureState::NotVerified, why) };
    Found { signature, material, is_keyless }
}

fn broken(referrer: &Referrer, kind: SignatureKind, why: &str) -> Found {
    Found { signature: named(referrer, kind, SignatureState::NotEvaluated, why), material: None, is_keyless: false }
}

#[cfg(test)]
mod tests;
