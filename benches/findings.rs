//! What reading a report costs: one of 2 MB has to be there before a user looks up.

use std::fmt::Write as _;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lighterman::scan::import;

fn main() {
    divan::main();
}

const SIZE: usize = 2 << 20;

/// As Trivy writes them: most of it is descriptions and links.
fn trivy() -> String {
    let words = "A flaw was found in how a length is computed, so that what is read may lie behind the end. ".repeat(6);
    let mut text = String::from(
        r#"{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"a","Class":"os-pkgs","Type":"debian","Vulnerabilities":["#,
    );
    let mut n = 0;
    while text.len() < SIZE {
        n += 1;
        let _ = write!(
            text,
            r#"{{"VulnerabilityID":"CVE-2026-{n:05}","PkgName":"package-{}","InstalledVersion":"1.{n}","FixedVersion":"2.{n}","Status":"fixed","Severity":"HIGH",
            "SeveritySource":"debian","Title":"a title of some length","Description":"{words}","CVSS":{{"nvd":{{"V3Vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","V3Score":9.8}}}},
            "References":["https://one.example/{n}","https://two.example/{n}","https://three.example/{n}"],"VendorSeverity":{{"nvd":3,"redhat":2}}}},"#,
            n % 300
        );
    }
    text.truncate(text.len() - 1);
    text.push_str("]}]}");
    text
}

/// As Grype writes them: everything twice, and how it was found besides.
fn grype() -> String {
    let words = "A flaw was found in how a length is computed, so that what is read may lie behind the end. ".repeat(3);
    let mut text = String::from(r#"{"matches":["#);
    let mut n = 0;
    while text.len() < SIZE {
        n += 1;
        let _ = write!(
            text,
            r#"{{"vulnerability":{{"id":"GHSA-aaaa-bbbb-{n:04}","severity":"High","description":"{words}","urls":["https://one.example/{n}"],"fix":{{"versions":["2.{n}"],"state":"fixed"}},
            "cvss":[{{"version":"3.1","vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","metrics":{{"baseScore":9.8}}}}]}},
            "relatedVulnerabilities":[{{"id":"CVE-2026-{n:05}","severity":"High","description":"{words}"}}],"matchDetails":[{{"type":"exact","searchedBy":{{"a":[1,2,3]}},"found":{{"b":"c"}}}}],
            "artifact":{{"name":"package-{}","version":"1.{n}","type":"npm","locations":[{{"path":"/app/{n}/package.json"}}],"purl":"pkg:npm/package@1.{n}","cpes":["cpe:2.3:a:x","cpe:2.3:a:y"]}}}},"#,
            n % 300
        );
    }
    text.truncate(text.len() - 1);
    text.push_str("]}");
    text
}

#[divan::bench]
fn import_trivy_2_mb(bencher: Bencher) {
    let text = trivy();
    bencher.counter(BytesCount::new(text.len())).bench_local(|| import::report(black_box(text.as_bytes())));
}

#[divan::bench]
fn import_grype_2_mb(bencher: Bencher) {
    let text = grype();
    bencher.counter(BytesCount::new(text.len())).bench_local(|| import::report(black_box(text.as_bytes())));
}
