//! What somebody states about weaknesses in products (VEX): that one doesn't count here, and why.
//!
//! Plain data.

use jiff::Timestamp;

use super::digest::Digest;
use super::finding::{Finding, Suppression};
use super::safe::Foreign;

/// One statement on one weakness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VexStatement {
    /// The weakness, by the name that the statement has for it.
    pub id: Foreign,
    pub aliases: Vec<Foreign>,
    /// What it is about: package URLs or other names, of images as well. Empty where the document leaves that to its reader.
    pub products: Vec<Foreign>,
    /// Parts of these products; empty for all of them.
    pub parts: Vec<Foreign>,
    /// `not_affected`, `affected`, `fixed` or `under_investigation`, or what else the document has there.
    pub status: Foreign,
    pub reason: Foreign,
    pub author: Foreign,
    pub made: Option<Timestamp>,
}

impl VexStatement {
    /// Whether it is about the image of one of these digests, or doesn't name an image.
    #[must_use]
    pub fn is_about(&self, image: &[Digest]) -> bool {
        let is_image = |product: &&Foreign| ["pkg:oci/", "pkg:docker/"].iter().any(|kind| product.raw().starts_with(kind));
        let names = |product: &Foreign| {
            let text = product.raw().replace("%3A", ":").replace("%3a", ":");
            image.iter().any(|digest| text.contains(digest.as_str()))
        };
        let mut images = self.products.iter().filter(is_image).peekable();
        images.peek().is_none() || images.any(names)
    }

    /// Why `finding` of the image of these digests doesn't count, if the statement says so.
    #[must_use]
    pub fn suppresses(&self, finding: &Finding, image: &[Digest]) -> Option<Suppression> {
        if !matches!(self.status.raw(), "not_affected" | "fixed") || !self.is_about(image) || !self.names(finding) {
            return None;
        }
        let by = if self.author.is_empty() { "VEX".into() } else { Foreign::from(format!("VEX of {}", self.author.raw())) };
        Some(Suppression { by, status: self.status.clone(), reason: self.reason.clone(), until: None })
    }

    /// Whether it is about the finding's weakness in the finding's package.
    fn names(&self, finding: &Finding) -> bool {
        let ours = || std::iter::once(&finding.id).chain(&finding.aliases);
        let is_id = std::iter::once(&self.id).chain(&self.aliases).any(|id| ours().any(|our| our == id));
        let packages = || self.parts.iter().chain(&self.products).map(Foreign::raw).filter(|name| is_package(name));
        is_id && (packages().next().is_none() || packages().any(|package| is_of(package, finding)))
    }
}

fn is_package(name: &str) -> bool {
    name.starts_with("pkg:") && !name.starts_with("pkg:oci/") && !name.starts_with("pkg:docker/")
}

/// Whether a package URL means the finding's package. One without a version means all of them; qualifiers are left aside.
fn is_of(purl: &str, finding: &Finding) -> bool {
    let bare = |text: &str| text.split(['?', '#']).next().unwrap_or_default().replace("%2B", "+").replace("%40", "@");
    let Some(package) = &finding.package else { return false };
    let Some(ours) = package.purl.as_ref().map(|ours| bare(ours.raw())) else { return false };
    let theirs = bare(purl);
    theirs == ours || ours.strip_prefix(theirs.as_str()).is_some_and(|rest| rest.starts_with('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{FindingKind, FindingPackage};

    fn statement(products: &[&str], parts: &[&str], status: &str) -> VexStatement {
        let all = |names: &[&str]| names.iter().map(|name| Foreign::new(name)).collect();
        VexStatement {
            id: "CVE-2024-1111".into(),
            aliases: vec!["GHSA-aaaa-bbbb-cccc".into()],
            products: all(products),
            parts: all(parts),
            status: status.into(),
            reason: "the code is not there".into(),
            author: "harbour".into(),
            made: None,
        }
    }

    #[test]
    fn a_statement_counts_for_its_weakness_package_and_image_only() {
        let package = |purl: &str| FindingPackage { name: "zlib".into(), purl: Some(purl.into()), ..FindingPackage::default() };
        let finding = |id: &str, purl: &str| Finding::new(FindingKind::Vulnerability, id, Some(package(purl)), None, "");
        let (zlib, digest) = (finding("CVE-2024-1111", "pkg:deb/debian/zlib1g@1.2?arch=amd64"), Digest::sha256(b"image"));
        let image = format!("pkg:oci/app@{}?repository_url=x", digest.as_str().replace(':', "%3A"));
        let here = std::slice::from_ref(&digest);
        let says = |statement: &VexStatement, finding: &Finding| statement.suppresses(finding, here).is_some();
        assert!(says(&statement(&[], &[], "not_affected"), &zlib));
        assert!(says(&statement(&[&image], &["pkg:deb/debian/zlib1g@1.2"], "fixed"), &zlib));
        assert!(says(&statement(&["pkg:deb/debian/zlib1g"], &[], "not_affected"), &zlib));
        assert!(says(&statement(&[], &[], "not_affected"), &finding("GHSA-aaaa-bbbb-cccc", "pkg:npm/x@1")));
        assert!(!says(&statement(&[], &[], "affected"), &zlib));
        assert!(!says(&statement(&[], &[], "not_affected"), &finding("CVE-2024-2", "pkg:npm/x@1")));
        assert!(!says(&statement(&["pkg:deb/debian/zlib"], &[], "not_affected"), &zlib), "another package");
        assert!(!says(&statement(&["pkg:oci/app@sha256%3Aabc"], &[], "not_affected"), &zlib), "another image");
        let why = statement(&[], &[], "fixed").suppresses(&zlib, here).unwrap();
        assert_eq!((why.by.raw(), why.status.raw(), why.reason.raw()), ("VEX of harbour", "fixed", "the code is not there"));
    }
}
