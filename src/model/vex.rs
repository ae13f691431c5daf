//! What somebody states about weaknesses in products (VEX): that one doesn't count here, and why.
//!
//! Plain data, and which of it counts for a finding.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

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
    /// What it is about, any of them: package URLs or other names, of images as well. Empty where the document leaves that to its reader.
    pub products: Vec<Foreign>,
    /// Parts of these products that it is about alone; empty for all of them.
    pub parts: Vec<Foreign>,
    /// `not_affected`, `affected`, `fixed` or `under_investigation`, or what else the document has there.
    pub status: Foreign,
    pub reason: Foreign,
    pub author: Foreign,
    pub made: Option<Timestamp>,
}

/// Statements as they are looked up for the findings of one image.
#[derive(Debug, Default)]
pub struct Vex<'a> {
    /// By each name of a weakness, the newest first.
    by_id: HashMap<&'a str, Vec<Rc<About<'a>>>>,
}

/// One statement, and what of the image it is about.
#[derive(Debug)]
struct About<'a> {
    statement: &'a VexStatement,
    /// All of the image.
    is_whole: bool,
    /// Else the packages of these bare names.
    packages: Vec<String>,
    /// Of these only the packages of these bare names; `None` for all.
    parts: Option<Vec<String>>,
}

impl<'a> Vex<'a> {
    /// What `statements` say of the image of these digests. A product that is an image counts by its digest alone; one that is neither that nor a
    /// package URL is something else.
    #[must_use]
    pub fn of(statements: &'a [VexStatement], image: &[Digest]) -> Self {
        let mut sorted: Vec<&VexStatement> = statements.iter().collect();
        // Of two of the same time, the one that comes later.
        sorted.reverse();
        sorted.sort_by_key(|statement| std::cmp::Reverse(statement.made));
        let mut by_id: HashMap<&str, Vec<Rc<About<'_>>>> = HashMap::new();
        for statement in sorted {
            let is_whole = statement.products.is_empty() || statement.products.iter().any(|product| is_image(product.raw(), image));
            let named = packages(&statement.products);
            if !is_whole && named.is_empty() {
                continue;
            }
            let parts = (!statement.parts.is_empty()).then(|| packages(&statement.parts));
            let about = Rc::new(About { statement, is_whole, packages: named, parts });
            let ids: HashSet<&str> = std::iter::once(&statement.id).chain(&statement.aliases).map(Foreign::raw).collect();
            for id in ids {
                by_id.entry(id).or_default().push(Rc::clone(&about));
            }
        }
        Self { by_id }
    }

    /// Why `finding` doesn't count, if the newest statement on it says so.
    #[must_use]
    pub fn suppression(&self, finding: &Finding) -> Option<Suppression> {
        let package = finding.package.as_ref().and_then(|package| package.purl.as_ref()).map(|purl| bare(purl.raw()));
        let of_id = |id: &Foreign| self.by_id.get(id.raw())?.iter().find(|about| about.covers(package.as_deref()));
        let found = std::iter::once(&finding.id).chain(&finding.aliases).filter_map(of_id);
        // What says it of the finding's own id goes before what says it of an alias at the same time.
        let newest = found.reduce(|best, next| if next.statement.made > best.statement.made { next } else { best })?;
        let VexStatement { status, reason, author, .. } = newest.statement;
        if !matches!(status.raw(), "not_affected" | "fixed") {
            return None;
        }
        let by = if author.is_empty() { "VEX".into() } else { Foreign::from(format!("VEX of {}", author.raw())) };
        Some(Suppression { by, status: status.clone(), reason: reason.clone(), until: None })
    }
}

impl About<'_> {
    /// Whether it is about a package of that bare name.
    fn covers(&self, package: Option<&str>) -> bool {
        let is_one = |names: &[String]| package.is_some_and(|package| names.iter().any(|name| is_of(name, package)));
        (self.is_whole || is_one(&self.packages)) && self.parts.as_deref().is_none_or(is_one)
    }
}

/// Whether a product is the image of one of these digests.
fn is_image(product: &str, image: &[Digest]) -> bool {
    let product = product.replace("%3A", ":").replace("%3a", ":");
    let named = product.split(['?', '#']).next().unwrap_or_default();
    // Not the path of a page on it.
    let is_page = named.contains("://");
    let digest = named.rsplit_once('@').map_or(named, |(_, digest)| digest);
    !is_page && image.iter().any(|other| other.as_str() == digest)
}

/// The bare names of those that are packages.
fn packages(names: &[Foreign]) -> Vec<String> {
    let is_package = |name: &&str| name.starts_with("pkg:") && !["pkg:oci/", "pkg:docker/"].iter().any(|kind| name.starts_with(kind));
    names.iter().map(Foreign::raw).filter(is_package).map(bare).collect()
}

/// A package URL without what says where and for what it was built.
fn bare(purl: &str) -> String {
    purl.split(['?', '#'])
        .next()
        .unwrap_or_default()
        .replace("%2B", "+")
        .replace("%2b", "+")
        .replace("%3A", ":")
        .replace("%3a", ":")
        .replace("%40", "@")
}

/// Whether a bare name means that package. One without a version means all of them.
fn is_of(name: &str, package: &str) -> bool {
    name == package || !name.ends_with('/') && package.strip_prefix(name).is_some_and(|rest| rest.starts_with('@'))
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

    fn why(statements: &[VexStatement], finding: &Finding, image: &Digest) -> Option<Suppression> {
        Vex::of(statements, std::slice::from_ref(image)).suppression(finding)
    }

    fn found() -> (Finding, Digest) {
        let package =
            FindingPackage { name: "zlib".into(), purl: Some("pkg:deb/debian/zlib1g@1.2?arch=amd64".into()), ..FindingPackage::default() };
        (Finding::new(FindingKind::Vulnerability, "CVE-2024-1111", Some(package), None, ""), Digest::sha256(b"image"))
    }

    #[test]
    fn a_product_of_another_kind_is_not_this_image() {
        let (zlib, digest) = found();
        let says = |products: &[&str], parts: &[&str]| why(&[statement(products, parts, "not_affected")], &zlib, &digest).is_some();
        let here = format!("registry.example/app@{digest}");
        let page = format!("https://registry.example/app@{digest}");
        for product in ["https://harbour.example/app", "cpe:2.3:a:harbour:app:1:*:*:*:*:*:*:*", "app", "pkg:oci/app", "pkg:deb/", "", &page]
        {
            assert!(!says(&[product], &[]), "{product}");
            assert!(says(&[product, &here], &[]), "{product}, or the image");
        }
        assert!(says(&[digest.as_str()], &[]));
        assert!(!says(&["registry.example/app@sha256:00"], &[]));
        assert!(!says(&[], &["cpe:2.3:a:zlib:zlib:1:*:*:*:*:*:*:*"]), "a part that nobody knows");
        assert!(says(&[&here], &["pkg:npm/x", "pkg:deb/debian/zlib1g"]));
        assert!(!says(&[&here], &["pkg:npm/x"]));
        assert!(!says(&["pkg:deb/debian/zlib1g"], &["pkg:npm/x"]), "a part of zlib");
        assert!(!says(&["pkg:npm/x"], &["pkg:deb/debian/zlib1g"]), "as a part of x");
    }

    #[test]
    fn the_newest_statement_counts() {
        let (zlib, digest) = found();
        let at = |status: &str, seconds: i64| VexStatement { made: Timestamp::from_second(seconds).ok(), ..statement(&[], &[], status) };
        let says = |statements: &[VexStatement]| why(statements, &zlib, &digest).is_some();
        assert!(!says(&[at("not_affected", 1), at("affected", 2)]));
        assert!(!says(&[at("affected", 2), at("not_affected", 1)]));
        assert!(says(&[at("fixed", 2), at("under_investigation", 1), statement(&[], &[], "affected")]));
        assert!(says(&[at("affected", 1), at("fixed", 1)]), "the later one of the same time");
        let elsewhere = VexStatement { products: vec!["pkg:npm/x".into()], ..at("affected", 3) };
        assert!(says(&[at("fixed", 1), elsewhere]), "that is about another package");
        let by_alias = VexStatement { id: "GHSA-aaaa-bbbb-cccc".into(), aliases: Vec::new(), ..at("affected", 3) };
        let known = Finding { aliases: vec!["GHSA-aaaa-bbbb-cccc".into()], ..zlib.clone() };
        assert!(why(&[at("fixed", 1), by_alias], &known, &digest).is_none());
    }

    #[test]
    fn a_statement_counts_for_its_weakness_package_and_image_only() {
        let package = |purl: &str| FindingPackage { name: "zlib".into(), purl: Some(purl.into()), ..FindingPackage::default() };
        let finding = |id: &str, purl: &str| Finding::new(FindingKind::Vulnerability, id, Some(package(purl)), None, "");
        let (zlib, digest) = (finding("CVE-2024-1111", "pkg:deb/debian/zlib1g@1.2?arch=amd64"), Digest::sha256(b"image"));
        let image = format!("pkg:oci/app@{}?repository_url=x", digest.as_str().replace(':', "%3A"));
        let says = |statement: &VexStatement, finding: &Finding| why(std::slice::from_ref(statement), finding, &digest).is_some();
        assert!(says(&statement(&[], &[], "not_affected"), &zlib));
        assert!(says(&statement(&[&image], &["pkg:deb/debian/zlib1g@1.2"], "fixed"), &zlib));
        assert!(says(&statement(&["pkg:deb/debian/zlib1g"], &[], "not_affected"), &zlib));
        assert!(says(&statement(&[], &[], "not_affected"), &finding("GHSA-aaaa-bbbb-cccc", "pkg:npm/x@1")));
        assert!(!says(&statement(&[], &[], "affected"), &zlib));
        assert!(!says(&statement(&[], &[], "not_affected"), &finding("CVE-2024-2", "pkg:npm/x@1")));
        assert!(!says(&statement(&["pkg:deb/debian/zlib"], &[], "not_affected"), &zlib), "another package");
        assert!(!says(&statement(&["pkg:oci/app@sha256%3Aabc"], &[], "not_affected"), &zlib), "another image");
        let why = why(&[statement(&[], &[], "fixed")], &zlib, &digest).unwrap();
        assert_eq!((why.by.raw(), why.status.raw(), why.reason.raw()), ("VEX of harbour", "fixed", "the code is not there"));
    }
}
