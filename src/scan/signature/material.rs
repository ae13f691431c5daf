//! What signatures are made of: the signed bytes, the signature, and what the signed bytes say they are about. Facts: cosign's specification of
//! signatures, DSSE, in-toto's statement, and the Sigstore bundle.
//!
//! Who signs says nothing of what: each form names the image by its digest within what is signed, and that is held against the image's own.

use serde::Deserialize;
use serde_json::Value;

use super::certificate::{self, Named};
use super::key::{PublicKey, base64};
use crate::model::Digest;
use crate::source::oci::parse_strict_of;

/// Largest document of a signature, in bytes.
pub(super) const LARGEST: u64 = 4 << 20;
/// Most signatures in one envelope.
const MOST: usize = 16;

const SIMPLE: &str = "cosign container image signature";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// The statement that is a signature and nothing more.
pub(super) const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// What can be held against a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// Cosign's payload, and its signature.
    Simple { payload: Vec<u8>, signature: Vec<u8> },
    /// An envelope around a statement.
    Envelope { kind: String, payload: Vec<u8>, signatures: Vec<Vec<u8>> },
    /// A signature of the manifest's own bytes, with the digest that it names.
    Message { digest: Vec<u8>, signature: Vec<u8>, manifest: Vec<u8> },
}

impl Material {
    /// Whether it is the key's, and of this image.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn check(&self, key: &PublicKey, image: &Digest) -> Result<(), &'static str> {
        const OTHER_KEY: &str = "this key has not made it";
        match self {
            Self::Simple { payload, signature } => {
                if !key.has_signed(payload, signature) {
                    return Err(OTHER_KEY);
                }
                of_simple(payload, image)
            }
            Self::Envelope { kind, payload, signatures } => {
                let signed = encode(kind, payload);
                if !signatures.iter().any(|signature| key.has_signed(&signed, signature)) {
                    return Err(OTHER_KEY);
                }
                of_statement(kind, payload, image)
            }
            Self::Message { digest, signature, manifest } => {
                if !key.has_signed(manifest, signature) {
                    return Err(OTHER_KEY);
                }
                if !image.is_of(manifest) || hex(digest) != image.hex() {
                    return Err("it is of another image");
                }
                Ok(())
            }
        }
    }

    /// The type of the statement in it.
    pub(super) fn predicate(&self) -> Option<String> {
        match self {
            Self::Envelope { payload, .. } => {
                statement(payload)?.get("predicateType")?.as_str().map(|text| text.chars().take(200).collect())
            }
            _ => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// What an envelope's signatures sign: kind and payload with their lengths, so that neither can pass for a part of the other.
fn encode(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut all = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    all.extend_from_slice(payload);
    all
}

fn of_simple(payload: &[u8], image: &Digest) -> Result<(), &'static str> {
    const BROKEN: &str = "what is signed is not cosign's payload";
    let document = parse_strict_of(payload, LARGEST).map_err(|_malformed| BROKEN)?;
    let critical = document.get("critical").ok_or(BROKEN)?;
    if critical.get("type").and_then(Value::as_str) != Some(SIMPLE) {
        return Err(BROKEN);
    }
    let named = critical.get("image").and_then(|image| image.get("docker-manifest-digest")).and_then(Value::as_str);
    if named == Some(image.as_str()) { Ok(()) } else { Err("it is of another image") }
}

fn statement(payload: &[u8]) -> Option<Value> {
    let document = parse_strict_of(payload, LARGEST).ok()?;
    let is_statement = document.get("_type")?.as_str()?.starts_with("https://in-toto.io/Statement/");
    is_statement.then_some(document)
}

fn of_statement(kind: &str, payload: &[u8], image: &Digest) -> Result<(), &'static str> {
    if kind != STATEMENT {
        return Err("what is signed is no statement on images");
    }
    let document = statement(payload).ok_or("what is signed is no statement on images")?;
    let subjects = document.get("subject").and_then(Value::as_array).into_iter().flatten();
    let mut digests = subjects.filter_map(|subject| subject.get("digest")?.get(image.algorithm())?.as_str());
    if digests.any(|digest| digest == image.hex()) { Ok(()) } else { Err("it is of another image") }
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    kind: String,
    signatures: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    verification_material: Option<Beside>,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_digest: Option<Hashed>,
    signature: String,
}

#[derive(Deserialize)]
struct Hashed {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Beside {
    certificate: Option<Raw>,
    x509_certificate_chain: Option<Chain>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Chain {
    certificates: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

impl Envelope {
    fn material(self) -> Option<Material> {
        let signatures: Vec<Vec<u8>> = self.signatures.iter().take(MOST).filter_map(|signed| base64(&signed.sig)).collect();
        Some(Material::Envelope { kind: self.kind, payload: base64(&self.payload)?, signatures })
    }
}

/// Reads a bare envelope, as cosign puts attestations under a tag.
pub(super) fn envelope(bytes: &[u8]) -> Option<Material> {
    let document = parse_strict_of(bytes, LARGEST).ok()?;
    serde_json::from_value::<Envelope>(document).ok()?.material()
}

/// What a bundle holds.
pub(super) enum Held {
    Ready(Material),
    /// A signature of the manifest itself, which has to be fetched for it.
    Message {
        digest: Vec<u8>,
        signature: Vec<u8>,
    },
}

/// Reads a Sigstore bundle, and whom its certificate names, where it has one.
///
/// # Errors
/// Why it can't be read.
pub(super) fn bundle(bytes: &[u8]) -> Result<(Held, Option<Named>), &'static str> {
    const BROKEN: &str = "it is not what a bundle looks like";
    let document = parse_strict_of(bytes, LARGEST).map_err(|_malformed| BROKEN)?;
    let bundle: Bundle = serde_json::from_value(document).map_err(|_malformed| BROKEN)?;
    if !bundle.media_type.starts_with("application/vnd.dev.sigstore.bundle") {
        return Err(BROKEN);
    }
    let beside = bundle.verification_material.unwrap_or_default();
    let chain = beside.x509_certificate_chain.unwrap_or_default().certificates;
    let first = beside.certificate.or_else(|| chain.into_iter().next());
    let named = first.map(|raw| base64(&raw.raw_bytes).map(|der| certificate::of_der(&der)).unwrap_or_default());
    let held = match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) => Held::Ready(envelope.material().ok_or(BROKEN)?),
        (None, Some(message)) => {
            let hashed =
                message.message_digest.filter(|hashed| hashed.algorithm == "SHA2_256").ok_or("it names no digest that is known")?;
            let (digest, signature) = (base64(&hashed.digest), base64(&message.signature));
            Held::Message { digest: digest.ok_or(BROKEN)?, signature: signature.ok_or(BROKEN)? }
        }
        _ => return Err(BROKEN),
    };
    Ok((held, named))
}
