//! Signatures in a real registry, made with the `openssl` program in the form in which cosign makes them.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/registries.rs"]
mod registries;
#[path = "common/scripted.rs"]
mod scripted;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certificates::openssl;
use lighterman::model::{Digest, SignatureKind, SignatureState, Verified};
use lighterman::scan::signature::{PublicKey, find, verify};
use lighterman::source::Ctx;
use lighterman::source::credentials::Credentials;
use lighterman::source::registry::{Client, RegistrySettings, Repo};
use registries::Registry;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A repository with one image in it, and a folder with keys.
struct Harbour {
    registry: Registry,
    client: Client,
    repo: Repo,
    keys: tempfile::TempDir,
}

impl Harbour {
    fn new(binary: &str) -> Self {
        let registry = Registry::open(binary);
        let client = Client::new(RegistrySettings::default(), Credentials::none()).unwrap();
        let repo = Repo::at(&registry.host(), "team/app").unwrap();
        let keys = tempfile::tempdir().unwrap();
        let new = |kind: &[&str], name: &str| {
            openssl(keys.path(), &[&["genpkey"], kind, &["-out", &format!("{name}.key")]].concat());
            openssl(keys.path(), &["pkey", "-in", &format!("{name}.key"), "-pubout", "-out", &format!("{name}.pem")]);
        };
        new(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "anna");
        new(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "bert");
        new(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "p384");
        new(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa");
        new(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "weak");
        new(&["-algorithm", "ED25519"], "edna");
        Self { registry, client, repo, keys }
    }

    fn key(&self, name: &str) -> PublicKey {
        PublicKey::from_pem(&std::fs::read(self.keys.path().join(format!("{name}.pem"))).unwrap()).unwrap()
    }

    /// Puts a blob with the program that everybody has.
    async fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::sha256(bytes);
        let http = reqwest::Client::builder().tls_certs_only(Vec::new()).build().unwrap();
        let base = format!("http://{}/v2/team/app/blobs/uploads/", self.registry.host());
        let begun = http.post(base).body("").send().await.unwrap();
        let at = begun.headers()["location"].to_str().unwrap().to_owned();
        let sign = if at.contains('?') { '&' } else { '?' };
        let put = http.put(format!("{at}{sign}digest={digest}")).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(put.status(), 201);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    async fn manifest(&self, under: Option<&str>, document: Value) -> Digest {
        let bytes = Bytes::from(document.to_string());
        let digest = Digest::sha256(&bytes);
        self.client.put_manifest(&self.repo, under.unwrap_or(digest.as_str()), MANIFEST, bytes).await.unwrap()
    }

    /// An image of its own, told from others by `seed`.
    async fn image(&self, seed: &str) -> Digest {
        let config = self.blob("application/vnd.oci.image.config.v1+json", format!(r#"{{"architecture":"{seed}"}}"#).as_bytes()).await;
        self.manifest(Some(seed), json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []})).await
    }

    /// Puts layers with what stands beside them under cosign's tag.
    async fn tagged(&self, image: &Digest, ending: &str, layers: Vec<(Value, Value)>) {
        let config = self.blob("application/vnd.oci.image.config.v1+json", b"{}").await;
        let layers: Vec<Value> = layers
            .into_iter()
            .map(|(mut layer, beside)| {
                layer["annotations"] = beside;
                layer
            })
            .collect();
        let tag = format!("sha256-{}.{ending}", image.hex());
        self.manifest(Some(&tag), json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})).await;
    }

    async fn sign(&self, image: &Digest, payload: &[u8], signature: &str) {
        let layer = self.blob(SIMPLE, payload).await;
        self.tagged(image, "sig", vec![(layer, json!({"dev.cosignproject.cosign/signature": signature}))]).await;
    }

    /// Puts artifacts that refer to the image, and the index that stands in for the API.
    async fn refer(&self, image: &Digest, artifacts: Vec<(&str, Value, Value)>) {
        let mut entries = Vec::new();
        for (kind, layer, annotations) in artifacts {
            let config = self.blob("application/vnd.oci.empty.v1+json", b"{}").await;
            let subject = json!({"mediaType": MANIFEST, "digest": image, "size": 1});
            let document = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": config, "layers": [layer], "subject": subject, "annotations": annotations});
            let size = document.to_string().len();
            let digest = self.manifest(None, document).await;
            entries.push(json!({"mediaType": MANIFEST, "digest": digest, "size": size, "artifactType": kind}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
        let tag = format!("sha256-{}", image.hex());
        let bytes = Bytes::from(index.to_string());
        self.client.put_manifest(&self.repo, &tag, "application/vnd.oci.image.index.v1+json", bytes).await.unwrap();
    }

    async fn verified(&self, image: &Digest, key: &str) -> Verified {
        let found = find(&self.client, &Ctx::default(), &self.repo, image).await.unwrap();
        verify(&found, &self.key(key))
    }
}

/// A signature of these bytes by `key`, as openssl makes it.
fn signed(keys: &Path, key: &str, bytes: &[u8], how: &[&str]) -> String {
    std::fs::write(keys.join("message"), bytes).unwrap();
    let file = format!("{key}.key");
    let signature = match key {
        "edna" => openssl(keys, &["pkeyutl", "-sign", "-inkey", &file, "-rawin", "-in", "message"]),
        _ => openssl(keys, &[&["dgst", "-sha256"], how, &["-sign", &file, "message"]].concat()),
    };
    STANDARD.encode(signature)
}

fn payload(image: &Digest) -> Vec<u8> {
    let critical = json!({"identity": {"docker-reference": "anything"}, "image": {"docker-manifest-digest": image}, "type": "cosign container image signature"});
    json!({"critical": critical, "optional": {"by": "a test"}}).to_string().into_bytes()
}

fn states(verified: &Verified) -> Vec<(SignatureKind, SignatureState)> {
    verified.signatures.iter().map(|signature| (signature.kind, signature.state)).collect()
}

#[tokio::test]
async fn cosigns_tag_is_verified_with_every_kind_of_key() {
    let Some(binary) = common::require("cosigns_tag_is_verified_with_every_kind_of_key", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let harbour = Harbour::new(&binary);
    let keys = harbour.keys.path();
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    for (place, (key, how)) in [("anna", &[][..]), ("p384", &[]), ("rsa", &[]), ("rsa", &pss), ("edna", &[])].into_iter().enumerate() {
        let image = harbour.image(&format!("image{place}")).await;
        assert!(harbour.verified(&image, key).await.signatures.is_empty(), "{key}: not signed yet");
        harbour.sign(&image, &payload(&image), &signed(keys, key, &payload(&image), how)).await;
        let good = harbour.verified(&image, key).await;
        assert!(good.verified, "{key}: {:?}", good.signatures);
        assert_eq!(states(&good), [(SignatureKind::Cosign, SignatureState::Verified)]);
        let other = if key == "anna" { "bert" } else { "anna" };
        let bad = harbour.verified(&image, other).await;
        assert!(!bad.verified, "{key} held against {other}");
        assert_eq!(states(&bad), [(SignatureKind::Cosign, SignatureState::Refused)]);
    }
    let weak = PublicKey::from_pem(&std::fs::read(keys.join("weak.pem")).unwrap()).unwrap_err();
    assert!(weak.to_string().contains("2048"), "{weak}");
    let private = PublicKey::from_pem(&std::fs::read(keys.join("anna.key")).unwrap()).unwrap_err();
    assert!(private.to_string().contains("private"), "{private}");
}

#[tokio::test]
async fn what_is_not_a_signature_of_this_image_is_refused() {
    let Some(binary) = common::require("what_is_not_a_signature_of_this_image_is_refused", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let harbour = Harbour::new(&binary);
    let keys = harbour.keys.path();
    let (one, two) = (harbour.image("one").await, harbour.image("two").await);
    // The good signature of another image, under this one's tag.
    harbour.sign(&two, &payload(&one), &signed(keys, "anna", &payload(&one), &[])).await;
    let swapped = harbour.verified(&two, "anna").await;
    assert!(!swapped.verified);
    assert_eq!(swapped.signatures[0].why.as_str(), "it is of another image");
    // This image's words beside a signature of other words, one that is no base64, and none.
    for (signature, state) in
        [(signed(keys, "anna", b"else", &[]), SignatureState::Refused), ("!!".to_owned(), SignatureState::NotEvaluated)]
    {
        harbour.sign(&two, &payload(&two), &signature).await;
        let bad = harbour.verified(&two, "anna").await;
        assert_eq!((bad.verified, states(&bad)), (false, vec![(SignatureKind::Cosign, state)]));
    }
    // Several, one of them good.
    let (good, bad) = (harbour.blob(SIMPLE, &payload(&two)).await, harbour.blob(SIMPLE, b"garbage").await);
    let beside = |key: &str, bytes: &[u8]| json!({"dev.cosignproject.cosign/signature": signed(keys, key, bytes, &[])});
    let layers = vec![(bad.clone(), beside("anna", b"garbage")), (bad, json!({})), (good, beside("anna", &payload(&two)))];
    harbour.tagged(&two, "sig", layers).await;
    let several = harbour.verified(&two, "anna").await;
    let expected = [SignatureState::Refused, SignatureState::NotEvaluated, SignatureState::Verified];
    assert!(several.verified);
    assert_eq!(several.signatures.iter().map(|signature| signature.state).collect::<Vec<_>>(), expected);
}

fn envelope(keys: &Path, key: &str, image: &Digest, predicate: &str) -> Value {
    let kind = "application/vnd.in-toto+json";
    let subject = json!([{"name": "app", "digest": {"sha256": image.hex()}}]);
    let statement =
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate, "predicate": {}}).to_string();
    let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    json!({"payload": STANDARD.encode(&statement), "payloadType": kind, "signatures": [{"sig": signed(keys, key, message.as_bytes(), &[])}]})
}

#[tokio::test]
async fn bundles_and_all_that_refers_to_the_image_are_found_without_the_api() {
    let test = "bundles_and_all_that_refers_to_the_image_are_found_without_the_api";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let harbour = Harbour::new(&binary);
    let keys = harbour.keys.path();
    let image = harbour.image("one").await;
    let material = json!({"publicKey": {"hint": "x"}, "tlogEntries": []});
    let sign = "https://sigstore.dev/cosign/sign/v1";
    let bundle = json!({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope(keys, "anna", &image, sign)});
    let bundle = harbour.blob(BUNDLE, bundle.to_string().as_bytes()).await;
    let manifest = harbour.client.manifest(&harbour.repo, image.as_str()).await.unwrap().bytes;
    let hash: Vec<u8> = openssl(
        keys,
        &["dgst", "-sha256", "-binary", {
            std::fs::write(keys.join("manifest"), &manifest).unwrap();
            "manifest"
        }],
    );
    let message = json!({"messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(hash)}, "signature": signed(keys, "anna", &manifest, &[])});
    let message = json!({"mediaType": BUNDLE, "verificationMaterial": material, "messageSignature": message});
    let message = harbour.blob(BUNDLE, message.to_string().as_bytes()).await;
    let built = json!({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope(keys, "anna", &image, "https://slsa.dev/provenance/v1")});
    let built = harbour.blob(BUNDLE, built.to_string().as_bytes()).await;
    // Keyless: a certificate stands in for the key.
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "k.key", "-out", "k.pem", "-subj", "/CN=x"];
    let names =
        ["-addext", "subjectAltName=email:anna@harbour.example", "-addext", "1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://issuer.example"];
    openssl(keys, &[&new[..], &names].concat());
    let der = openssl(keys, &["x509", "-in", "k.pem", "-outform", "DER"]);
    let beside = json!({"certificate": {"rawBytes": STANDARD.encode(der)}});
    let keyless = json!({"mediaType": BUNDLE, "verificationMaterial": beside, "dsseEnvelope": envelope(keys, "bert", &image, sign)});
    let keyless = harbour.blob(BUNDLE, keyless.to_string().as_bytes()).await;
    let broken = harbour.blob(BUNDLE, b"{\"mediaType\":1}").await;
    let notation = harbour.blob("application/jose+json", b"{}").await;
    let sbom = harbour.blob("application/spdx+json", b"{}").await;
    let thumb = json!({"io.cncf.notary.x509chain.thumbprint#S256": "[\"abc\"]"});
    let all = vec![
        (BUNDLE, bundle, json!({})),
        (BUNDLE, message, json!({})),
        (BUNDLE, built, json!({})),
        (BUNDLE, keyless, json!({})),
        (BUNDLE, broken, json!({})),
        ("application/vnd.cncf.notary.signature", notation, thumb),
        ("application/spdx+json", sbom, json!({})),
    ];
    harbour.refer(&image, all).await;
    let layer = harbour.blob("application/vnd.dsse.envelope.v1+json", envelope(keys, "anna", &image, sign).to_string().as_bytes()).await;
    harbour.tagged(&image, "att", vec![(layer, json!({"dev.sigstore.cosign/certificate": ""}))]).await;
    let found = harbour.verified(&image, "anna").await;
    use SignatureKind::{Attestation, Bundle, Notation};
    use SignatureState::{NotEvaluated, NotVerified, Verified};
    let expected = [
        (Bundle, Verified),
        (Bundle, Verified),
        (Attestation, Verified),
        (Bundle, NotVerified),
        (Bundle, NotEvaluated),
        (Notation, NotVerified),
        (Attestation, Verified),
    ];
    assert!(found.verified);
    assert_eq!(states(&found), expected, "{:?}", found.signatures);
    let keyless = &found.signatures[3];
    assert_eq!(keyless.identity.as_ref().unwrap().raw(), "anna@harbour.example");
    assert_eq!(keyless.issuer.as_ref().unwrap().raw(), "https://issuer.example");
    assert!(found.signatures[5].why.as_str().contains("abc"));
    assert!(found.not_looked_for[0].what.as_str().contains("Content Trust"));
    let other = harbour.verified(&image, "bert").await;
    assert!(other.verified, "bert made the one with the certificate, by a key too");
    assert!(!harbour.verified(&image, "edna").await.verified);
}

#[tokio::test]
async fn attestations_alone_verify_nothing() {
    let Some(binary) = common::require("attestations_alone_verify_nothing", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let harbour = Harbour::new(&binary);
    let image = harbour.image("one").await;
    let built = envelope(harbour.keys.path(), "anna", &image, "https://slsa.dev/provenance/v1");
    let layer = harbour.blob("application/vnd.dsse.envelope.v1+json", built.to_string().as_bytes()).await;
    harbour.tagged(&image, "att", vec![(layer, json!({}))]).await;
    let found = find(&harbour.client, &Ctx::default(), &harbour.repo, &image).await.unwrap();
    assert!(!found.is_signed());
    let verified = verify(&found, &harbour.key("anna"));
    assert!(!verified.verified);
    assert_eq!(states(&verified), [(SignatureKind::Attestation, SignatureState::Verified)]);
}
