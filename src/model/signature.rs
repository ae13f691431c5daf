//! Signatures of an image: which there are, and what was made of each.
//!
//! Plain data. A signature that nobody verified is never the same as one that is good.

use serde::Serialize;
use serde::ser::SerializeStruct as _;

use super::digest::Digest;
use super::report::NotLooked;
use super::safe::{Foreign, Safe};

/// In which way it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureKind {
    /// Cosign's own form, under a tag.
    Cosign,
    /// A Sigstore bundle, as cosign makes it today.
    Bundle,
    /// Signed words about the image, such as how it was built. They don't say that the image is good.
    Attestation,
    Notation,
    /// It is one by its name, and can't be read as one.
    Other,
}

impl SignatureKind {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::Bundle => "bundle",
            Self::Attestation => "attestation",
            Self::Notation => "notation",
            Self::Other => "other",
        }
    }
}

/// What was made of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// The key has made it, for this very image.
    Verified,
    /// It is there, and the key has not made it, or it is for something else.
    Refused,
    /// It is there, and nobody has verified it.
    NotVerified,
    /// It could not be read.
    NotEvaluated,
}

impl SignatureState {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::NotVerified => "not_verified",
            Self::NotEvaluated => "not_evaluated",
        }
    }
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub kind: SignatureKind,
    /// Of the manifest that holds it.
    pub digest: Digest,
    pub state: SignatureState,
    pub why: Safe,
    /// What an attestation is about, by its type.
    pub predicate: Option<Foreign>,
    /// Who a certificate beside it names. Nobody has verified the certificate.
    pub identity: Option<Foreign>,
    /// Who vouched for that identity, as the certificate says; not verified either.
    pub issuer: Option<Foreign>,
}

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Signature", 7)?;
        out.serialize_field("kind", &self.kind)?;
        out.serialize_field("digest", &self.digest)?;
        out.serialize_field("state", &self.state)?;
        out.serialize_field("why", self.why.as_str())?;
        out.serialize_field("predicate_type", &self.predicate)?;
        out.serialize_field("unverified_identity", &self.identity)?;
        out.serialize_field("unverified_issuer", &self.issuer)?;
        out.end()
    }
}

/// What verifying an image with a key came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The key has made at least one signature of this very image. Attestations don't count.
    pub verified: bool,
    pub signatures: Vec<Signature>,
    /// Where nobody looked, such as servers of other kinds of signatures.
    #[serde(skip)]
    pub not_looked_for: Vec<NotLooked>,
}
