//! Public keys in PEM, and what they say of a signature. The key alone decides by which algorithm: nothing that is signed has a word in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use super::der::{Der, INTEGER, OID};
use crate::model::{Problem, ProblemKind};

/// Largest file with a key, in bytes.
const LARGEST: usize = 64 << 10;

const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

/// A key that signatures are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    /// As the kind has it: a point, 32 bytes, or the numbers of RSA.
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----`: ECDSA on P-256 or P-384, Ed25519, or RSA from 2048 bits.
    ///
    /// # Errors
    /// What is no such key. Never tells what stands in the file.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Problem> {
        let doing = "read the public key";
        let refused = |kind, cause: &str| Problem::new(kind, doing, cause);
        if pem.len() > LARGEST {
            return Err(refused(ProblemKind::Limit, "the file is larger than any key"));
        }
        let text = String::from_utf8_lossy(pem);
        if text.contains("PRIVATE KEY-----") {
            return Err(refused(ProblemKind::Usage, "it is a private key").hint("name the file of the public one"));
        }
        let Ok(spki) = SubjectPublicKeyInfoDer::from_pem_slice(pem) else {
            let hint = "it starts with -----BEGIN PUBLIC KEY-----";
            return Err(refused(ProblemKind::Usage, "there is no public key in it").hint(hint));
        };
        Self::from_spki(spki.as_ref()).map_err(|cause| refused(ProblemKind::Unsupported, cause))
    }

    fn from_spki(spki: &[u8]) -> Result<Self, &'static str> {
        const BROKEN: &str = "it is not what a public key looks like";
        let mut outer = Der(spki);
        let mut whole = outer.sequence().ok_or(BROKEN)?;
        let mut algorithm = whole.sequence().ok_or(BROKEN)?;
        let bytes = whole.bits().ok_or(BROKEN)?;
        if !outer.0.is_empty() || !whole.0.is_empty() {
            return Err(BROKEN);
        }
        let (kind, length) = match algorithm.of(OID).ok_or(BROKEN)? {
            EC => match algorithm.of(OID).ok_or(BROKEN)? {
                P256 => (Kind::P256, 65),
                P384 => (Kind::P384, 97),
                _ => return Err("its curve is none of those that are known: P-256, P-384"),
            },
            ED25519 => (Kind::Ed25519, 32),
            RSA => (Kind::Rsa, bytes.len()),
            _ => return Err("its algorithm is none of those that are known: ECDSA, Ed25519, RSA"),
        };
        if bytes.len() != length || (length > 32 && kind != Kind::Rsa && bytes.first() != Some(&4)) {
            return Err(BROKEN);
        }
        if kind == Kind::Rsa {
            let modulus = Der(bytes).sequence().and_then(|mut key| key.of(INTEGER)).ok_or(BROKEN)?;
            let bits = modulus.strip_prefix(&[0]).unwrap_or(modulus).len() * 8;
            if !(2048..=8192).contains(&bits) {
                return Err("it is an RSA key of a size that is not taken: 2048 to 8192 bits are");
            }
        }
        Ok(Self { kind, bytes: bytes.to_vec() })
    }

    /// As people know it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::P256 => "ECDSA P-256",
            Kind::P384 => "ECDSA P-384",
            Kind::Ed25519 => "Ed25519",
            Kind::Rsa => "RSA",
        }
    }

    /// Whether this key has made that signature of `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithms: &[&'static dyn VerificationAlgorithm] = match self.kind {
            Kind::P256 => &[&signature::ECDSA_P256_SHA256_ASN1],
            Kind::P384 => &[&signature::ECDSA_P384_SHA384_ASN1, &signature::ECDSA_P384_SHA256_ASN1],
            Kind::Ed25519 => &[&signature::ED25519],
            Kind::Rsa => &[&signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PSS_2048_8192_SHA256],
        };
        algorithms.iter().any(|algorithm| UnparsedPublicKey::new(*algorithm, &self.bytes).verify(message, signature).is_ok())
    }
}

/// Bytes in base64, however they are padded.
pub(in crate::scan) fn base64(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(&bare).or_else(|_| base64::engine::general_purpose::URL_SAFE.decode(&bare)).ok()
}
