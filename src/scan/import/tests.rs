//! What holds for every format: a document that is cut or changed anywhere, or is hostile on purpose, is an error or a report, and nothing else.
//! What each says is in `tests/reports.rs`.

use proptest::prelude::*;

use super::*;
use crate::model::finding::FindingKind;

/// A small document of each format.
const SMALL: [(&str, &str); 12] = [
    (
        "Trivy",
        r#"{"SchemaVersion":2,"ArtifactName":"a","Metadata":{"DiffIDs":["sha256:x"]},"Results":[{"Target":"a","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-2024-1111","PkgName":"zlib","InstalledVersion":"1","FixedVersion":"2, 3","CVSS":{"nvd":{"V3Vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}}],"Secrets":[{"RuleID":"r","Match":"KEY=****"}]}]}"#,
    ),
    ("Trivy", r#"[{"Target":"a","Vulnerabilities":[{"VulnerabilityID":"CVE-2024-1111","PkgName":"zlib","Severity":"LOW"}]}]"#),
    (
        "Grype",
        r#"{"matches":[{"vulnerability":{"id":"GHSA-aaaa-bbbb-cccc","severity":"High","fix":{"versions":["2"],"state":"fixed"}},"relatedVulnerabilities":[{"id":"CVE-2024-1111"}],"artifact":{"name":"x","version":"1","type":"npm","locations":[{"path":"/a","layerID":"sha256:y"}]}}],"descriptor":{"version":"0.1"},"source":{"target":{"userInput":"a"}}}"#,
    ),
    (
        "Clair",
        r#"{"manifest_hash":"sha256:z","packages":{"1":{"name":"zlib","version":"1"}},"environments":{"1":[{"package_db":"var/lib/dpkg/status"}]},"vulnerabilities":{"9":{"name":"CVE-2024-1111","normalized_severity":"Low","fixed_in_version":"fixed=2"}},"package_vulnerabilities":{"1":["9"]},"enrichments":{"enricher=clair.cvss":[{"9":[{"baseScore":9.8}]}]}}"#,
    ),
    (
        "Harbor",
        r#"{"application/vnd.security.vulnerability.report; version=1.1":{"scanner":{"name":"Trivy"},"vulnerabilities":[{"id":"CVE-2024-1111","package":"zlib","severity":"High","links":["https://x"],"preferred_cvss":{"score_v3":7.5}}]}}"#,
    ),
    (
        "SARIF",
        r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy","rules":[{"id":"CVE-2024-1111","properties":{"tags":["vulnerability","HIGH"]}}]}},"results":[{"ruleId":"CVE-2024-1111","ruleIndex":0,"message":{"text":"Package: zlib\nInstalled Version: 1"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a"},"region":{"startLine":1}}}]}]}]}"#,
    ),
    (
        "CycloneDX",
        r#"{"bomFormat":"CycloneDX","components":[{"bom-ref":"r","name":"zlib","version":"1","purl":"pkg:deb/debian/zlib@1","components":[{"name":"in"}]}],"vulnerabilities":[{"id":"CVE-2024-1111","ratings":[{"severity":"high","vector":"AV:N/AC:L/Au:N/C:P/I:P/A:P"}],"affects":[{"ref":"r"}]}]}"#,
    ),
    ("Dockle", r#"{"summary":{"fatal":1},"details":[{"code":"CIS-DI-0010","title":"t","level":"FATAL","alerts":["ENV K=v"]}]}"#),
    (
        "OpenVEX",
        r#"{"@context":"https://openvex.dev/ns/v0.2.0","author":"a","statements":[{"vulnerability":{"name":"CVE-2024-1111"},"products":[{"@id":"pkg:npm/x@1","subcomponents":[{"@id":"pkg:npm/y"}]}],"status":"fixed"}]}"#,
    ),
    ("Hadolint", r#"[{"line":1,"column":1,"code":"DL3008","message":"pin","file":"Dockerfile","level":"warning"}]"#),
    ("gitleaks", r#"[{"RuleID":"key","Description":"d","StartLine":1,"EndLine":1,"Match":"key=SECRET","Secret":"SECRET","File":"a"}]"#),
    (
        "osv-scanner",
        r#"{"results":[{"source":{"path":"a"},"packages":[{"package":{"name":"x","version":"1","ecosystem":"npm"},"vulnerabilities":[{"id":"GHSA-aaaa-bbbb-cccc","aliases":["CVE-2024-1111"],"affected":[{"ranges":[{"events":[{"introduced":"0"},{"fixed":"2"}]}]}]}],"groups":[{"ids":["GHSA-aaaa-bbbb-cccc"],"max_severity":"7.5"}]}]}]}"#,
    ),
];

fn findings(imported: &Imported) -> usize {
    match imported {
        Imported::Report(report) => report.findings.len(),
        Imported::Statements(all) => all.len(),
    }
}

#[test]
fn parts_of_one_product_narrow_that_one_alone() {
    let text = r#"{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"vulnerability":{"name":"CVE-2024-1111"},"status":"fixed",
        "products":[{"@id":"pkg:npm/x"},{"@id":"pkg:oci/y","subcomponents":[{"@id":"pkg:npm/z"},{"identifiers":{"cpe23":"cpe:2.3:a"}}]}]}]}"#;
    let Imported::Statements(all) = import(text.as_bytes()).unwrap() else { panic!("no statements") };
    let told: Vec<_> = all.iter().map(|one| (one.products[0].raw(), one.parts.len())).collect();
    assert_eq!(told, [("pkg:npm/x", 0), ("pkg:oci/y", 2)]);
}

#[test]
fn every_format_is_told_by_its_top_in_any_order_of_keys() {
    for (name, text) in SMALL {
        assert_eq!(sniff(text).unwrap().name, name);
        assert!(findings(&import(text.as_bytes()).unwrap()) > 0, "{name}");
        let sorted: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(sniff(&sorted.to_string()).unwrap().name, name, "with its keys sorted");
        assert_eq!(import(sorted.to_string().as_bytes()).unwrap(), import(text.as_bytes()).unwrap(), "{name}");
        let marked = format!("\u{feff}{text}");
        assert_eq!(import(marked.as_bytes()).unwrap(), import(text.as_bytes()).unwrap(), "{name} behind a byte order mark");
    }
    let names: std::collections::BTreeSet<&str> = SMALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), FORMATS.len(), "a sample for each");
}

#[test]
fn what_is_no_report_is_refused_in_words() {
    let refused = |text: &[u8]| import(text).unwrap_err().to_string();
    for (text, word) in [
        (&b""[..], "cut off"),
        (b"[]", "empty list"),
        (b"{}", "no format"),
        (b"5", "no format"),
        (b"\"x\"", "no format"),
        (b"[5]", "empty list"),
        (b"{\"spdxVersion\":\"SPDX-2.3\"}", "SPDX"),
        (b"{\"hello\\u001b[31m\":1}", "hello\\x1b[31m"),
        (b"<bom/>", "line 1"),
        (b"Total: 5 (HIGH: 5)", "line 1"),
        (b"\xff\xfe{", "no text"),
        (b"{\"SchemaVersion\":2,\"Results\":[", "cut off"),
        (b"{\"application/vnd.security.vulnerability.report; version=1.1\":null}", "not scanned"),
        (b"{\"runs\":[]}", "no run"),
        (b"{\"results\":[{\"check_id\":1}]}", "no packages"),
        (b"{\"statements\":[]}", "context"),
    ] {
        let said = refused(text);
        assert!(said.contains(word), "{:?}: {said}", String::from_utf8_lossy(text));
    }
    assert!(report(SMALL[8].1.as_bytes()).unwrap_err().to_string().contains("VEX"));
}

#[test]
fn no_error_quotes_the_document() {
    for text in [
        r#"[{"RuleID":"r","Secret":"hunter2hunter2"}"#,
        r#"[{"RuleID":"r","Secret":"hunter2hunter2"} x"#,
        r#"{"matches":[],"descriptor":"hunter2hunter2"}"#,
        r#"{"SchemaVersion":2,"Metadata":"hunter2hunter2"}"#,
    ] {
        let problem = import(text.as_bytes()).unwrap_err();
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
}

#[test]
fn depth_takes_no_stack_and_size_has_a_bound() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        assert!(import(deep.as_bytes()).is_err());
        for (name, text) in SMALL {
            let inside = text.replacen('{', &format!("{{\"x\":{deep},"), 1);
            assert!(findings(&import(inside.as_bytes()).unwrap()) > 0, "{name}: what nobody reads may be deep");
            for value in ["[", "\"CVE-2024-1111\"", "\"1\"", "null"] {
                let _ = import(text.replacen(value, &deep, 1).as_bytes());
            }
        }
    }
    let large = vec![b' '; LARGEST + 1];
    assert_eq!(import(&large).unwrap_err().kind, ProblemKind::Limit);
}

/// Every way to put a value of another type in the place of one.
#[test]
fn other_types_anywhere_are_no_more_than_items_that_are_left_out() {
    fn swap(value: &serde_json::Value, with: &serde_json::Value, all: &mut Vec<serde_json::Value>) {
        let mut push = |make: &dyn Fn(&mut serde_json::Value)| {
            let mut copy = value.clone();
            make(&mut copy);
            all.push(copy);
        };
        match value {
            serde_json::Value::Object(map) => {
                for (key, inner) in map {
                    push(&|copy| copy[key] = with.clone());
                    let mut below = Vec::new();
                    swap(inner, with, &mut below);
                    for changed in below {
                        push(&|copy| copy[key] = changed.clone());
                    }
                }
            }
            serde_json::Value::Array(list) => {
                for (at, inner) in list.iter().enumerate() {
                    push(&|copy| copy[at] = with.clone());
                    let mut below = Vec::new();
                    swap(inner, with, &mut below);
                    for changed in below {
                        push(&|copy| copy[at] = changed.clone());
                    }
                }
            }
            _ => {}
        }
    }
    let types = [
        serde_json::json!(null),
        serde_json::json!(true),
        serde_json::json!(-1),
        serde_json::json!(1e308),
        serde_json::json!("é"),
        serde_json::json!([]),
        serde_json::json!([[{}]]),
        serde_json::json!({"a": [1]}),
    ];
    for (_, text) in SMALL {
        let whole: serde_json::Value = serde_json::from_str(text).unwrap();
        for with in &types {
            let mut all = Vec::new();
            swap(&whole, with, &mut all);
            assert!(!all.is_empty());
            for changed in all {
                let _ = import(changed.to_string().as_bytes());
            }
        }
    }
}

#[test]
fn one_bad_item_leaves_the_others() {
    let good = r#"{"VulnerabilityID":"CVE-2024-1111","PkgName":"a"}"#;
    for bad in ["5", "null", "\"x\"", "[]", "{}", r#"{"VulnerabilityID":{"a":1}}"#, r#"{"VulnerabilityID":"x","PkgName":[]}"#] {
        let text = format!(r#"{{"SchemaVersion":2,"Results":[{{"Class":"os-pkgs","Vulnerabilities":[{bad},{good}]}},{bad}]}}"#);
        let report = report(text.as_bytes()).unwrap();
        assert_eq!(report.findings.len(), 1, "{bad}");
        assert!(report.not_looked_for.iter().any(|left| left.why.as_str().contains("can't be read")), "{bad}");
    }
}

#[test]
fn what_a_gitleaks_report_has_of_secrets_is_not_kept() {
    let secret = "AKIAQ7TESTTESTTEST01";
    let text = format!(
        r#"[{{"RuleID":"aws","Description":"a key","StartLine":3,"EndLine":3,"Match":"aws_key = \"{secret}\"","Secret":"{secret}","File":"app/.env"}},
            {{"RuleID":"aws","Match":"{secret}","File":"app/.env"}}]"#
    );
    let report = report(text.as_bytes()).unwrap();
    assert!(!format!("{report:?}").contains(secret) && !serde_json::to_string(&report).unwrap().contains(secret));
    let seen: Vec<&str> =
        report.findings.iter().filter_map(|finding| finding.evidence.as_ref()).map(crate::model::finding::Evidence::as_str).collect();
    assert_eq!(seen, ["aws_key = \"******** (20 characters)", "******** (20 characters)"]);
    assert_ne!(report.findings[0].key, report.findings[1].key);
    assert_eq!((report.findings[0].kind, report.findings[0].lines), (FindingKind::Secret, Some((3, 3))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_change_of_any_byte_is_an_error_or_a_report(which in 0..SMALL.len(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(), is_cut in any::<bool>()) {
        let mut bytes = SMALL[which].1.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = import(&bytes);
    }

    #[test]
    fn any_text_is_an_error_or_a_report(text in "[\\[\\]{}:,\"a-zA-Z0-9 .-]{0,200}") {
        let _ = import(text.as_bytes());
    }
}

#[test]
fn every_cut_is_an_error_or_a_report() {
    for (name, text) in SMALL {
        for end in 0..text.len() {
            let bytes = &text.as_bytes()[..end];
            assert!(import(bytes).is_err(), "{name} cut at {end}");
        }
    }
}
