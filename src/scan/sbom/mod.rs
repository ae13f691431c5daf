//! Lists of what is in an image for others to read: CycloneDX 1.6 and SPDX 2.3, as JSON, the same bytes for the same image.
//!
//! The documents are written from a few structs of our own: the crates for them that were looked at stop at older versions or bring XML along. May
//! use model; pure. Facts: <https://cyclonedx.org/docs/1.6/json/>, <https://spdx.github.io/spdx-spec/v2.3/>,
//! <https://github.com/package-url/purl-spec>.

mod cyclonedx;
mod purl;
mod spdx;
#[cfg(test)]
mod tests;

pub use cyclonedx::cyclonedx;
pub use purl::purl;
pub use spdx::spdx;

use std::collections::HashSet;

use serde::Serialize;

use crate::model::package::{Installed, Inventory, Package};
use crate::model::safe::escape_json;
use crate::model::{Digest, Image};

const TOOL: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The image that a list is of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// As whoever asked named it.
    pub name: &'a str,
    pub image: &'a Image,
}

impl Subject<'_> {
    fn diff_id(&self, layer: usize) -> Option<&Digest> {
        self.image.layers.as_ref()?.get(layer)?.diff_id.as_ref()
    }
}

/// A package as a document names it.
struct Row<'a> {
    package: &'a Package,
    installed: &'a Installed,
    purl: Option<String>,
    /// No other row has it.
    reference: String,
}

fn rows(inventory: &Inventory) -> Vec<Row<'_>> {
    let mut taken = HashSet::new();
    let row = |(at, (package, installed)): (usize, (&'_ Package, &'_ Installed))| {
        let purl = purl(package, installed, inventory.distribution.as_ref());
        let mut reference = purl.clone().unwrap_or_else(|| format!("package-{at}"));
        if !taken.insert(reference.clone()) {
            reference = format!("{reference}#{at}");
        }
        (purl, reference)
    };
    let named: Vec<_> = inventory.packages.iter().enumerate().map(row).collect();
    let rows = inventory.packages.iter().zip(named);
    rows.map(|((package, installed), (purl, reference))| Row { package, installed, purl, reference }).collect()
}

/// The name of a hash as both formats have it, with a dash or without, and its value.
fn hashed(digest: &Digest) -> Option<(&'static str, &str)> {
    let name = match digest.algorithm() {
        "sha256" => "SHA-256",
        "sha512" => "SHA-512",
        _ => return None,
    };
    Some((name, digest.hex()))
}

/// A UUID that says what is in the document: the same for the same, another for every other.
fn document_id(inventory: &Inventory, subject: &Subject<'_>, format: &str) -> String {
    let mut hasher = crate::model::Hasher::sha256();
    let mut part = |text: &str| {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    };
    [format, VERSION, subject.name, subject.image.id.as_str()].into_iter().for_each(&mut part);
    for (package, installed) in &inventory.packages {
        [package.kind.name(), package.name.raw(), package.version.raw(), package.architecture.raw()].into_iter().for_each(&mut part);
        for place in &installed.places {
            part(place.path.raw());
        }
    }
    let digest = hasher.finish();
    let hex = digest.hex();
    let cut = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    // Version 8, one's own, of the usual variant.
    format!("{}-{}-8{}-8{}-{}", cut(0, 8), cut(8, 12), cut(12, 15), cut(15, 18), cut(18, 30))
}

fn text<T: Serialize>(document: &T) -> String {
    // Nothing in these structs can fail to be written.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    escape_json(&text) + "\n"
}
