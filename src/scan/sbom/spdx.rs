//! The list as SPDX 2.3. May use model; pure.

use jiff::Timestamp;
use serde::Serialize;

use super::{Row, Subject, TOOL, VERSION, document_id, hashed, rows, text};
use crate::model::package::{Inventory, PackagePlace};

/// Of what nobody said anything.
const UNSAID: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const SYSTEM: &str = "SPDXRef-OperatingSystem";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    #[serde(rename = "documentNamespace")]
    namespace: String,
    creation_info: Creation,
    packages: Vec<Package<'a>>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct Creation {
    created: String,
    creators: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version_info: &'a str,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    source_info: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<External>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum<'a> {
    algorithm: String,
    checksum_value: &'a str,
}

#[derive(Serialize)]
struct External {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: &'static str,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    related_spdx_element: String,
}

/// The packages of an image as an SPDX document: JSON, harmless to print.
#[must_use]
pub fn spdx(inventory: &Inventory, subject: &Subject<'_>) -> String {
    let rows = rows(inventory);
    let digest = subject.image.manifest_digest.as_ref();
    let mut image = package(IMAGE.to_owned(), subject.name, digest.map(crate::model::Digest::as_str).unwrap_or_default(), "CONTAINER");
    let checksum = |(name, value): (&str, _)| Checksum { algorithm: name.replace('-', ""), checksum_value: value };
    image.checksums = digest.and_then(hashed).map(checksum).into_iter().collect();
    let system = inventory.distribution.as_ref().filter(|system| !system.id.is_empty());
    let system = system.map(|system| package(SYSTEM.to_owned(), system.id.raw(), system.version.raw(), "OPERATING-SYSTEM"));
    let mut packages = vec![image];
    packages.extend(system);
    packages.extend((1..).zip(&rows).map(|(at, row)| of(at, row, subject)));
    let contains = |package: &Package<'_>| relationship(IMAGE, "CONTAINS", &package.id);
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
    relationships.extend(packages.iter().skip(1).map(contains));
    let skipped = inventory.skipped_count;
    let document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: subject.name,
        namespace: format!("https://spdx.org/spdxdocs/{TOOL}-{}", document_id(inventory, subject, "spdx")),
        creation_info: Creation {
            // It has to have one; that of the image keeps the document the same.
            created: subject.image.created.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            creators: vec![format!("Tool: {TOOL}-{VERSION}")],
            comment: (skipped > 0).then(|| format!("{skipped} files that may list packages could not be read")),
        },
        packages,
        relationships,
    };
    text(&document)
}

fn package<'a>(id: String, name: &'a str, version: &'a str, purpose: &'static str) -> Package<'a> {
    Package {
        id,
        name,
        version_info: version,
        download_location: UNSAID,
        files_analyzed: false,
        license_concluded: UNSAID,
        license_declared: UNSAID,
        copyright_text: UNSAID,
        primary_package_purpose: purpose,
        checksums: Vec::new(),
        source_info: String::new(),
        external_refs: Vec::new(),
    }
}

fn of<'a>(at: usize, row: &Row<'a>, subject: &Subject<'_>) -> Package<'a> {
    let mut found = package(format!("SPDXRef-Package-{at}"), row.package.name.raw(), row.package.version.raw(), "LIBRARY");
    let place = |place: &PackagePlace| match subject.diff_id(place.layer) {
        Some(id) => format!("{} in layer {} ({id})", place.path.raw(), place.layer),
        None => format!("{} in layer {}", place.path.raw(), place.layer),
    };
    found.source_info = row.installed.places.iter().map(place).collect::<Vec<_>>().join("\n");
    let external = |purl: &String| External { category: "PACKAGE-MANAGER", kind: "purl", locator: purl.clone() };
    found.external_refs = row.purl.iter().map(external).collect();
    found
}

fn relationship(of: &'static str, kind: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: of, kind, related_spdx_element: to.to_owned() }
}
