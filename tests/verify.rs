//! What registries hold about images: signatures, made with the `openssl` program in the form in which cosign makes them; reports; and what a
//! Harbor says, in whose place a server of the test's own stands.
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
use lighterman::model::{Digest, ProblemKind, Severity, SignatureKind, SignatureState, Verified};
use lighterman::scan::import::Imported;
use lighterman::scan::signature::{PublicKey, find, verify};
use lighterman::scan::{attached, harbor};
use lighterman::source::Ctx;
use lighterman::source::credentials::Credentials;
use lighterman::source::registry::{Client, RegistrySettings, Repo};
use registries::{LOGIN, Registry};
use scripted::{Reply, Server};
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

/// A bundle with this beside what is signed, and its blob's descriptor.
async fn bundled(harbour: &Harbour, beside: &Value, field: &str, signed: Value) -> Value {
    let mut bundle = json!({"mediaType": BUNDLE, "verificationMaterial": beside});
    bundle[field] = signed;
    harbour.blob(BUNDLE, bundle.to_string().as_bytes()).await
}

/// A signature of the manifest's own bytes by anna.
async fn message(harbour: &Harbour, image: &Digest) -> Value {
    let keys = harbour.keys.path();
    let manifest = harbour.client.manifest(&harbour.repo, image.as_str()).await.unwrap().bytes;
    std::fs::write(keys.join("manifest"), &manifest).unwrap();
    let hash = openssl(keys, &["dgst", "-sha256", "-binary", "manifest"]);
    json!({"messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(hash)}, "signature": signed(keys, "anna", &manifest, &[])})
}

/// What stands beside a signature that was made without a key of one's own.
fn certificate(keys: &Path) -> Value {
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "k.key", "-out", "k.pem", "-subj", "/CN=x"];
    let names =
        ["-addext", "subjectAltName=email:anna@harbour.example", "-addext", "1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://issuer.example"];
    openssl(keys, &[&new[..], &names].concat());
    json!({"certificate": {"rawBytes": STANDARD.encode(openssl(keys, &["x509", "-in", "k.pem", "-outform", "DER"]))}})
}

#[tokio::test]
async fn bundles_and_all_that_refers_to_the_image_are_found_without_the_api() {
    use SignatureKind::{Attestation, Bundle, Notation};
    use SignatureState::{NotEvaluated, NotVerified, Verified};
    let test = "bundles_and_all_that_refers_to_the_image_are_found_without_the_api";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let harbour = Harbour::new(&binary);
    let keys = harbour.keys.path();
    let image = harbour.image("one").await;
    let key = json!({"publicKey": {"hint": "x"}, "tlogEntries": []});
    let (sign, built) = ("https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1");
    let none = json!({});
    let thumb = json!({"io.cncf.notary.x509chain.thumbprint#S256": "[\"abc\"]"});
    let all = vec![
        (BUNDLE, bundled(&harbour, &key, "dsseEnvelope", envelope(keys, "anna", &image, sign)).await, none.clone()),
        (BUNDLE, bundled(&harbour, &key, "messageSignature", message(&harbour, &image).await).await, none.clone()),
        (BUNDLE, bundled(&harbour, &key, "dsseEnvelope", envelope(keys, "anna", &image, built)).await, none.clone()),
        (BUNDLE, bundled(&harbour, &certificate(keys), "dsseEnvelope", envelope(keys, "bert", &image, sign)).await, none.clone()),
        (BUNDLE, harbour.blob(BUNDLE, b"{\"mediaType\":1}").await, none.clone()),
        ("application/vnd.cncf.notary.signature", harbour.blob("application/jose+json", b"{}").await, thumb),
        ("application/spdx+json", harbour.blob("application/spdx+json", b"{}").await, none),
    ];
    harbour.refer(&image, all).await;
    let layer = harbour.blob("application/vnd.dsse.envelope.v1+json", envelope(keys, "anna", &image, sign).to_string().as_bytes()).await;
    harbour.tagged(&image, "att", vec![(layer, json!({"dev.sigstore.cosign/certificate": ""}))]).await;
    let found = harbour.verified(&image, "anna").await;
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
    assert!(harbour.verified(&image, "bert").await.verified, "bert made the one with the certificate, by a key too");
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

#[tokio::test]
async fn reports_beside_an_image_are_read() {
    let Some(binary) = common::require("reports_beside_an_image_are_read", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let harbour = Harbour::new(&binary);
    let image = harbour.image("one").await;
    let item = r#"{"VulnerabilityID":"CVE-2026-0001","PkgName":"tar","InstalledVersion":"1"}"#;
    let trivy = |about: &str| {
        format!(
            r#"{{"SchemaVersion":2,"Metadata":{{"RepoDigests":["x@{about}"]}},"Results":[{{"Class":"os-pkgs","Vulnerabilities":[{item}]}}]}}"#
        )
    };
    let sarif = r#"{"runs":[{"tool":{"driver":{"name":"grype"}},"results":[{"ruleId":"CVE-2026-0002-sed","message":{"text":"m"}}]}]}"#;
    let vex = r#"{"@context":"https://openvex.dev/ns","author":"a","statements":[{"vulnerability":{"name":"CVE-2026-0001"},"status":"not_affected"}]}"#;
    let kinds = ["application/vnd.aquasec.trivy.report+json", "application/sarif+json", "application/vnd.openvex+json", "text/plain"];
    let other = trivy(Digest::sha256(b"another").as_str());
    let (ours, broken) = (trivy(image.as_str()), format!("[{}]", "[".repeat(9)));
    let mut artifacts = Vec::new();
    for (kind, text) in [
        (kinds[0], ours.as_str()),
        (kinds[0], other.as_str()),
        (kinds[1], sarif),
        (kinds[2], vex),
        (kinds[1], broken.as_str()),
        (kinds[3], "hello"),
    ] {
        artifacts.push((kind, harbour.blob(kind, text.as_bytes()).await, json!({})));
    }
    harbour.refer(&image, artifacts).await;
    let result: Value = serde_json::from_str(&ours).unwrap();
    let statement = json!({"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "predicate": {"scanner": {"result": result}}});
    let envelope =
        json!({"payload": STANDARD.encode(statement.to_string()), "payloadType": "application/vnd.in-toto+json", "signatures": []});
    let layer = harbour.blob("application/vnd.dsse.envelope.v1+json", envelope.to_string().as_bytes()).await;
    harbour.tagged(&image, "att", vec![(layer, json!({}))]).await;
    let found = attached::find(&harbour.client, &Ctx::default(), &harbour.repo, &image, std::slice::from_ref(&image)).await.unwrap();
    let seen: Vec<(String, bool, Option<bool>)> = found
        .attached
        .iter()
        .map(|one| {
            let what = match &one.imported {
                Ok(Imported::Report(report)) => format!("{} {}", report.scanner.name.raw(), report.findings.len()),
                Ok(Imported::Statements(all)) => format!("VEX {}", all.len()),
                Err(problem) => format!("{:?}", problem.kind),
            };
            (what, one.is_attestation, one.is_of_image)
        })
        .collect();
    let expected = [
        ("Trivy 1", false, Some(true)),
        ("Trivy 1", false, Some(false)),
        ("grype 1", false, None),
        ("VEX 1", false, None),
        ("Corrupt", false, None),
        ("Trivy 1", true, Some(true)),
    ];
    assert_eq!(seen, expected.map(|(what, is_attestation, is_of_image)| (what.to_owned(), is_attestation, is_of_image)));
    let bare = harbour.image("two").await;
    let none = attached::find(&harbour.client, &Ctx::default(), &harbour.repo, &bare, &[]).await.unwrap();
    assert!(none.attached.is_empty() && none.not_looked_for.is_empty());
}

/// A client for `host` with a login for it.
fn client(dir: &Path, host: &str) -> Client {
    let file = registries::login(dir, host);
    Client::new(RegistrySettings::default(), Credentials::new(vec![file], "".into())).unwrap()
}

const REPORT: &str = r#"{"application/vnd.security.vulnerability.report; version=1.1": {"generated_at": "2026-03-04T10:11:12Z",
    "scanner": {"name": "Trivy", "version": "v0.60.0"}, "vulnerabilities": [{"id": "CVE-2026-3001", "package": "sed", "version": "4", "severity": "High"}]}}"#;
const OVERVIEW: &str = r#"{"digest": "x", "scan_overview": {"application/vnd.security.vulnerability.report; version=1.1": {"report_id": "r", "scan_status": "Success",
    "severity": "Critical", "summary": {"total": 7, "fixable": 3, "summary": {"Critical": 1}}, "complete_percent": 100, "end_time": "2026-03-04T10:11:12Z", "scanner": {"name": "Trivy", "version": "v0.60.0"}}}}"#;

#[tokio::test]
async fn a_harbor_is_asked_with_its_own_login_and_on_its_own_paths() {
    let image = Digest::sha256(b"image");
    let artifact = format!("/api/v2.0/projects/team/repositories/sub%252Fapp/artifacts/{image}");
    let place = artifact.clone();
    let server = Server::new(move |request| {
        let login = format!("Basic {}", STANDARD.encode(LOGIN));
        if request.path == "/api/v2.0/systeminfo" {
            return Reply::body(r#"{"auth_mode": "db_auth", "harbor_version": "v2.11.0"}"#);
        }
        if request.header("authorization") != Some(login.as_str()) {
            return Reply::status(401);
        }
        let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        match (request.method.as_str(), path.strip_prefix(place.as_str())) {
            ("GET", Some("/additions/vulnerabilities"))
                if request.header("x-accept-vulnerabilities").is_some_and(|kinds| kinds.contains("version=1.1")) =>
            {
                Reply::body(REPORT)
            }
            ("GET", Some("")) if request.path.ends_with("?with_scan_overview=true&with_tag=false&with_label=false") => {
                Reply::body(OVERVIEW)
            }
            ("POST", Some("/scan")) => Reply::status(202),
            _ => Reply::status(404),
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (client, ctx) = (client(dir.path(), &server.host()), Ctx::default());
    let repo = Repo::at(&server.host(), "team/sub/app").unwrap();
    assert!(harbor::is_harbor(&client, &ctx, &server.host()).await.unwrap());
    let report = harbor::report(&client, &ctx, &repo, &image).await.unwrap();
    assert_eq!((report.findings.len(), report.digests.as_slice()), (1, std::slice::from_ref(&image)));
    assert_eq!(report.image.raw(), format!("{}@{image}", repo.full()));
    let overview = harbor::overview(&client, &ctx, &repo, &image).await.unwrap().unwrap();
    assert_eq!((overview.total, overview.fixable, overview.severity, overview.percent), (7, 3, Severity::Critical, Some(100)));
    assert!(overview.is_done() && overview.scanner.raw() == "Trivy 0.60.0");
    harbor::start(&client, &ctx, &repo, &image).await.unwrap();
    let other = Digest::sha256(b"other");
    assert_eq!(harbor::report(&client, &ctx, &repo, &other).await.unwrap_err().kind, ProblemKind::NotFound);
    let flat = Repo::at(&server.host(), "app").unwrap();
    assert_eq!(harbor::report(&client, &ctx, &flat, &image).await.unwrap_err().kind, ProblemKind::Usage);
    let stranger = Client::new(RegistrySettings::default(), Credentials::none()).unwrap();
    assert_eq!(harbor::start(&stranger, &ctx, &repo, &image).await.unwrap_err().kind, ProblemKind::Denied);
    ctx.cancel.cancel();
    assert!(harbor::report(&client, &ctx, &repo, &image).await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn what_is_no_harbor_or_lies_gets_nothing_and_gives_nothing() {
    let elsewhere = Server::new(|_| Reply::body(REPORT));
    let to = format!("http://{}/x", elsewhere.host());
    let image = Digest::sha256(b"image");
    let answers = [
        (Reply::Plain(302, vec![("Location", to)], Vec::new()), ProblemKind::Denied, false),
        (Reply::body("null"), ProblemKind::NotFound, false),
        (Reply::body(" {} "), ProblemKind::NotFound, true),
        (Reply::body("<html>"), ProblemKind::Corrupt, false),
        (Reply::body(r#"{"a": 1}"#), ProblemKind::Unsupported, true),
        (Reply::status(403), ProblemKind::Denied, false),
        (Reply::status(404), ProblemKind::NotFound, false),
        (Reply::Plain(200, vec![("Content-Length", (1_u64 << 40).to_string())], Vec::new()), ProblemKind::Limit, false),
    ];
    for (answer, kind, is_artifact) in answers {
        let shown = format!("{answer:?}");
        let server = match answer {
            // Its own Content-Length is not the body's.
            Reply::Plain(200, headers, _) if !headers.is_empty() => {
                Server::new(move |_| Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", headers[0].1).into_bytes()))
            }
            answer => Server::new(move |_| answer.clone()),
        };
        let dir = tempfile::tempdir().unwrap();
        let client = client(dir.path(), &server.host());
        let repo = Repo::at(&server.host(), "team/app").unwrap();
        let problem = harbor::report(&client, &Ctx::default(), &repo, &image).await.unwrap_err();
        assert_eq!(problem.kind, kind, "{shown}: {problem}");
        assert!(!harbor::is_harbor(&client, &Ctx::default(), &server.host()).await.unwrap(), "{shown}");
        let overview = harbor::overview(&client, &Ctx::default(), &repo, &image).await;
        assert_eq!(overview.is_ok_and(|found| found.is_none()), is_artifact, "{shown}");
    }
    assert!(elsewhere.seen().iter().all(|request| request.header("authorization").is_none()), "the login went elsewhere");
}
