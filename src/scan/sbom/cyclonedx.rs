//! The list as CycloneDX 1.6. May use model; pure.

use serde::Serialize;

use super::{Subject, TOOL, VERSION, document_id, hashed, rows, text};
use crate::model::package::{Distribution, Inventory, PackagePlace};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency<'a>>,
    compositions: Vec<Composition>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    tools: Tools<'a>,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: Vec<Component<'a>>,
}

#[derive(Serialize, Default)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "String::is_empty")]
    reference: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct Evidence<'a> {
    occurrences: Vec<Occurrence<'a>>,
}

#[derive(Serialize)]
struct Occurrence<'a> {
    location: &'a str,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    of: &'a str,
    #[serde(rename = "dependsOn")]
    on: Vec<&'a str>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: Vec<&'static str>,
}

/// What the image itself is called within the document.
const IMAGE: &str = "image";
const SYSTEM: &str = "operating-system";

/// The packages of an image as a CycloneDX document: JSON, harmless to print.
#[must_use]
pub fn cyclonedx(inventory: &Inventory, subject: &Subject<'_>) -> String {
    let rows = rows(inventory);
    let packages: Vec<Component<'_>> = rows
        .iter()
        .map(|row| {
            let occurrences = row.installed.places.iter().map(|place| Occurrence { location: place.path.raw() }).collect();
            Component {
                kind: "library",
                reference: row.reference.clone(),
                name: row.package.name.raw(),
                version: row.package.version.raw(),
                purl: row.purl.clone(),
                evidence: (!row.installed.places.is_empty()).then_some(Evidence { occurrences }),
                properties: properties(&row.installed.places, subject),
                ..Component::default()
            }
        })
        .collect();
    let system = inventory.distribution.as_ref().filter(|system| !system.id.is_empty()).map(system);
    let mut on: Vec<&str> = system.iter().map(|_| SYSTEM).collect();
    on.extend(rows.iter().map(|row| row.reference.as_str()));
    let bom = Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        format: "CycloneDX",
        spec_version: "1.6",
        serial_number: format!("urn:uuid:{}", document_id(inventory, subject, "cyclonedx")),
        version: 1,
        metadata: Metadata {
            tools: Tools { components: vec![Component { kind: "application", name: TOOL, version: VERSION, ..Component::default() }] },
            component: image(subject),
        },
        components: system.into_iter().chain(packages).collect(),
        dependencies: vec![Dependency { of: IMAGE, on }],
        compositions: vec![Composition {
            // Files that could not be read may have listed more.
            aggregate: if inventory.skipped_count > 0 { "incomplete" } else { "unknown" },
            assemblies: vec![IMAGE],
        }],
    };
    text(&bom)
}

fn image<'a>(subject: &Subject<'a>) -> Component<'a> {
    let image = subject.image;
    let mut properties = vec![Property { name: "lighterman:image:id", value: image.id.to_string() }];
    properties.extend(image.platform.as_ref().map(|platform| Property { name: "lighterman:image:platform", value: platform.to_string() }));
    let digest = image.manifest_digest.as_ref();
    Component {
        kind: "container",
        reference: IMAGE.to_owned(),
        name: subject.name,
        version: digest.map(crate::model::Digest::as_str).unwrap_or_default(),
        hashes: digest.and_then(hashed).map(|(alg, content)| Hash { alg, content }).into_iter().collect(),
        properties,
        ..Component::default()
    }
}

fn system(system: &Distribution) -> Component<'_> {
    Component {
        kind: "operating-system",
        reference: SYSTEM.to_owned(),
        name: system.id.raw(),
        version: system.version.raw(),
        ..Component::default()
    }
}

/// The layers that it is in, each once.
fn properties(places: &[PackagePlace], subject: &Subject<'_>) -> Vec<Property> {
    let mut layers: Vec<usize> = places.iter().map(|place| place.layer).collect();
    layers.sort_unstable();
    layers.dedup();
    let mut told = Vec::new();
    for layer in layers {
        told.push(Property { name: "lighterman:layer:index", value: layer.to_string() });
        told.extend(subject.diff_id(layer).map(|id| Property { name: "lighterman:layer:diff_id", value: id.to_string() }));
    }
    told
}
