//! Keys, payloads, envelopes and bundles, made here: what is taken, what is refused, and that nothing else can happen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;

/// Somebody who signs.
struct Signer {
    pair: EcdsaKeyPair,
}

fn pem(head: &[u8], point: &[u8]) -> String {
    let der = [head, point].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// What stands before the point of a key on P-256.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00,
];
const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self { pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap() }
    }

    fn key(&self) -> PublicKey {
        PublicKey::from_pem(pem(&P256_HEAD, self.pair.public_key().as_ref()).as_bytes()).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn simple(&self, image: &Digest) -> Material {
        let payload = json!({"critical": {"identity": {"docker-reference": "x"}, "image": {"docker-manifest-digest": image}, "type": "cosign container image signature"}, "optional": null});
        let payload = payload.to_string().into_bytes();
        Material::Simple { signature: self.sign(&payload), payload }
    }

    fn statement(&self, image: &Digest, predicate: &str) -> serde_json::Value {
        let kind = "application/vnd.in-toto+json";
        let payload = json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "", "digest": {"sha512": "x"}}, {"digest": {"sha256": image.hex()}}], "predicateType": predicate, "predicate": {}});
        let payload = payload.to_string();
        let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let signatures = [json!({"sig": "AAAA", "keyid": ""}), json!({"sig": STANDARD.encode(self.sign(signed.as_bytes()))})];
        json!({"payload": STANDARD.encode(payload), "payloadType": kind, "signatures": signatures})
    }
}

const MEDIA: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn ready(bytes: &[u8]) -> Material {
    match material::bundle(bytes) {
        Ok((Held::Ready(material), _)) => material,
        _ => panic!("it is a bundle with an envelope"),
    }
}

#[test]
fn a_signature_counts_for_its_key_and_its_image_only() {
    let (anna, bert) = (Signer::new(), Signer::new());
    let (image, other) = (Digest::sha256(b"image"), Digest::sha256(b"other"));
    let envelope = anna.statement(&image, SIGN);
    let bundle =
        json!({"mediaType": MEDIA, "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []}, "dsseEnvelope": envelope});
    let message = Material::Message { digest: sha256(b"image"), signature: anna.sign(b"image"), manifest: b"image".to_vec() };
    for material in
        [anna.simple(&image), material::envelope(envelope.to_string().as_bytes()).unwrap(), ready(bundle.to_string().as_bytes()), message]
    {
        assert_eq!(material.check(&anna.key(), &image), Ok(()));
        assert_eq!(material.check(&bert.key(), &image), Err("this key has not made it"));
        assert_eq!(material.check(&anna.key(), &other), Err("it is of another image"));
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let hex = Digest::sha256(bytes);
    hex.hex().as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn what_is_signed_has_to_be_what_it_should() {
    let (anna, image) = (Signer::new(), Digest::sha256(b"image"));
    let simple = |payload: String| Material::Simple { signature: anna.sign(payload.as_bytes()), payload: payload.into_bytes() };
    let good = image.as_str();
    for payload in [
        String::new(),
        "[]".to_owned(),
        format!(r#"{{"critical":{{"image":{{"docker-manifest-digest":"{good}"}},"type":"something else"}}}}"#),
        format!(r#"{{"critical":{{"image":{{"docker-manifest-digest":"{good}"}}}}}}"#),
        // Another reader could take the first.
        format!(
            r#"{{"critical":{{"image":{{"docker-manifest-digest":"sha256:00","docker-manifest-digest":"{good}"}},"type":"cosign container image signature"}}}}"#
        ),
    ] {
        assert!(simple(payload.clone()).check(&anna.key(), &image).is_err(), "{payload}");
    }
    // Signed words of one kind are none of another, and an envelope's are none without it.
    let statement =
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": image.hex()}}], "predicateType": SIGN})
            .to_string();
    let bare = Material::Envelope {
        kind: "application/vnd.in-toto+json".into(),
        payload: statement.clone().into_bytes(),
        signatures: vec![anna.sign(statement.as_bytes())],
    };
    assert_eq!(bare.check(&anna.key(), &image), Err("this key has not made it"));
    let signed = format!("DSSEv1 4 text {} {statement}", statement.len());
    let odd = Material::Envelope { kind: "text".into(), payload: statement.into_bytes(), signatures: vec![anna.sign(signed.as_bytes())] };
    assert_eq!(odd.check(&anna.key(), &image), Err("what is signed is no statement on images"));
    let none = Material::Envelope { kind: String::new(), payload: Vec::new(), signatures: Vec::new() };
    assert!(none.check(&anna.key(), &image).is_err());
    // The manifest's own signature, beside the digest of another.
    let swapped = Material::Message { digest: sha256(b"other"), signature: anna.sign(b"image"), manifest: b"image".to_vec() };
    assert_eq!(swapped.check(&anna.key(), &image), Err("it is of another image"));
}

#[test]
fn an_attestation_is_no_signature_of_an_image() {
    let (anna, image) = (Signer::new(), Digest::sha256(b"image"));
    let referrer = Referrer {
        digest: Digest::sha256(b"manifest"),
        media_type: "x".into(),
        size: 1,
        artifact_type: None,
        created: None,
        annotations: Vec::new(),
        tag: None,
    };
    let of = |predicate: &str, kind| {
        let material = material::envelope(anna.statement(&image, predicate).to_string().as_bytes());
        Signatures { image: image.clone(), found: vec![found(&referrer, kind, material, None)], not_looked_for: Vec::new() }
    };
    let signed = verify(&of(SIGN, SignatureKind::Bundle), &anna.key());
    assert!(signed.verified);
    let built = of("https://slsa.dev/provenance/v1", SignatureKind::Attestation);
    assert!(!built.is_signed());
    let built = verify(&built, &anna.key());
    assert_eq!((built.verified, built.signatures[0].state), (false, SignatureState::Verified));
    let json = serde_json::to_value(&built).unwrap();
    assert_eq!(json["signatures"][0]["predicate_type"], "https://slsa.dev/provenance/v1");
    assert_eq!(json.as_object().unwrap().len(), 2);
}

#[test]
fn only_keys_that_are_known_are_taken() {
    let random = SystemRandom::new();
    let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let key = PublicKey::from_pem(pem(&ED25519_HEAD, pair.public_key().as_ref()).as_bytes()).unwrap();
    assert_eq!(key.kind(), "Ed25519");
    assert!(key.has_signed(b"x", pair.sign(b"x").as_ref()) && !key.has_signed(b"y", pair.sign(b"x").as_ref()));
    let said = |pem: &str| PublicKey::from_pem(pem.as_bytes()).unwrap_err().to_string();
    let private = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", STANDARD.encode(document.as_ref()));
    assert!(said(&private).contains("private key") && !said(&private).contains(&STANDARD.encode(document.as_ref())));
    for bad in [
        "",
        "hello",
        "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ] {
        assert!(said(bad).contains("no public key"), "{bad}");
    }
    assert!(said(&pem(&P256_HEAD, &[4; 64])).contains("looks like"), "a byte is missing");
    assert!(said(&pem(&P256_HEAD, &[3; 65])).contains("looks like"), "a packed point");
    assert!(said(&"x".repeat(70_000)).contains("larger"));
    let mut curve = P256_HEAD;
    curve[22] = 0x09;
    assert!(said(&pem(&curve, &[4; 65])).contains("curve"));
}

#[test]
fn bundles_that_are_none_say_so() {
    let envelope = Signer::new().statement(&Digest::sha256(b"x"), SIGN);
    for bad in [
        json!({}),
        json!([]),
        json!({"mediaType": "else", "dsseEnvelope": envelope}),
        json!({"mediaType": MEDIA}),
        json!({"mediaType": MEDIA, "dsseEnvelope": {"payload": "!", "payloadType": "", "signatures": []}}),
        json!({"mediaType": MEDIA, "dsseEnvelope": envelope, "messageSignature": {"signature": "AA=="}}),
        json!({"mediaType": MEDIA, "messageSignature": {"signature": "AA==", "messageDigest": {"algorithm": "MD5", "digest": "AA=="}}}),
        json!({"mediaType": MEDIA, "messageSignature": {"signature": "AA=="}}),
    ] {
        assert!(material::bundle(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
    let message = json!({"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2", "messageSignature": {"signature": "AA==", "messageDigest": {"algorithm": "SHA2_256", "digest": "AA=="}}});
    assert!(matches!(material::bundle(message.to_string().as_bytes()), Ok((Held::Message { .. }, None))));
}

proptest! {
    #[test]
    fn a_changed_byte_never_verifies_and_never_panics(at in any::<prop::sample::Index>(), bit in 0..8_u8, what in 0..2_u8) {
        let (anna, image) = (Signer::new(), Digest::sha256(b"image"));
        let Material::Simple { mut payload, mut signature } = anna.simple(&image) else { unreachable!("it is simple") };
        let bytes = if what == 0 { &mut payload } else { &mut signature };
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = Material::Simple { payload, signature };
        prop_assert!(changed.check(&anna.key(), &image).is_err());
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = material::bundle(&bytes);
        let _ = material::envelope(&bytes);
        let _ = PublicKey::from_pem(&bytes);
        let _ = PublicKey::from_pem(pem(&[], &bytes).as_bytes());
        let _ = certificate::of_der(&bytes);
        let mut key = [&P256_HEAD[..], &[4; 65]].concat();
        let at = at.index(key.len());
        key[at] = byte;
        let _ = PublicKey::from_pem(pem(&[], &key).as_bytes()).map(|key| key.has_signed(&bytes, &bytes));
    }
}
