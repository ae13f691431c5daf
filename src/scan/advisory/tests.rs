use std::io::{Cursor, Write as _};
use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::*;
use crate::model::finding::Finding;
use crate::model::package::{Distribution, Installed, Inventory, Package, PackageKind, PackagePlace, SourcePackage};
use crate::model::{Problem, ProblemKind};
use crate::source::Ctx;

fn now() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().unwrap()
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, body) in files {
        out.start_file(*name, SimpleFileOptions::default()).unwrap();
        out.write_all(body).unwrap();
    }
    out.finish().unwrap().into_inner()
}

fn zip_of(documents: &[Value]) -> Vec<u8> {
    let texts: Vec<(String, String)> =
        documents.iter().map(|one| (format!("{}.json", one["id"].as_str().unwrap()), one.to_string())).collect();
    let files: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zipped(&files)
}

fn advisory(id: &str, ecosystem: &str, name: &str, events: &[(&str, &str)]) -> Value {
    let events: Vec<Value> = events.iter().map(|&(what, at)| json!({what: at})).collect();
    json!({
        "schema_version": "1.7.0", "id": id, "modified": "2026-02-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
    })
}

/// A directory of databases made from that zip.
fn taken(documents: &[Value]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    take_bytes(dir.path(), &zip_of(documents)).unwrap();
    dir
}

fn take_bytes(dir: &Path, bytes: &[u8]) -> Result<Imported, Problem> {
    let file = dir.join("in.zip");
    std::fs::write(&file, bytes).unwrap();
    import(dir, &file, now(), &Ctx::default())
}

struct Image(Inventory);

impl Image {
    fn of(id: &str, version: &str) -> Self {
        let distribution = Distribution { id: id.into(), version: version.into(), ..Distribution::default() };
        Self(Inventory { distribution: Some(distribution), ..Inventory::default() })
    }

    fn with(self, kind: PackageKind, name: &str, version: &str) -> Self {
        self.from(kind, name, version, None)
    }

    fn from(mut self, kind: PackageKind, name: &str, version: &str, source: Option<(&str, &str)>) -> Self {
        let package = Package { kind, name: name.into(), version: version.into(), architecture: "".into() };
        let source = source.map(|(name, version)| SourcePackage { name: name.into(), version: version.into() });
        let places = vec![PackagePlace { layer: 1, path: format!("srv/{name}").as_str().into() }];
        self.0.packages.insert(package, Installed { source, places });
        self
    }

    fn found(&self, dir: &tempfile::TempDir) -> Vec<Finding> {
        Databases::open(dir.path()).matches(&self.0).findings
    }

    /// As `PACKAGE ID [FIXED]`.
    fn told(&self, dir: &tempfile::TempDir) -> Vec<String> {
        let line = |one: &Finding| {
            let fixed: Vec<&str> = one.fixed_versions.iter().map(crate::model::Foreign::raw).collect();
            let name = one.package.as_ref().unwrap().name.raw();
            format!("{name} {} {}", one.id.raw(), fixed.join(",")).trim_end().to_owned()
        };
        self.found(dir).iter().map(line).collect()
    }

    fn not_looked(&self, dir: &Path) -> Vec<String> {
        Databases::open(dir).matches(&self.0).not_looked_for.iter().map(|not| format!("{}: {}", not.what, not.why)).collect()
    }
}

#[test]
fn packages_of_systems_are_looked_up_by_their_source_and_release() {
    let dir = taken(&[
        advisory("DEBIAN-CVE-2026-0001", "Debian:12", "glibc", &[("introduced", "0"), ("fixed", "2.36-9+deb12u4")]),
        advisory("DEBIAN-CVE-2026-0002", "Debian:11", "glibc", &[("introduced", "0")]),
        advisory("DEBIAN-CVE-2026-0003", "Debian:12", "libc6", &[("introduced", "0")]),
        advisory("RLSA-2026:1", "Rocky Linux:9", "dbus-libs", &[("introduced", "0"), ("fixed", "1:1.12.20-9.el9")]),
        advisory("RLSA-2026:2", "Rocky Linux:9", "dbus", &[("introduced", "0"), ("fixed", "1:1.12.20-8.el9")]),
    ]);
    let debian = Image::of("debian", "12").from(PackageKind::Deb, "libc6", "2.36-9+b1", Some(("glibc", "2.36-9+deb12u3")));
    assert_eq!(debian.told(&dir), ["libc6 DEBIAN-CVE-2026-0001 2.36-9+deb12u4"]);
    let mended = Image::of("debian", "12").from(PackageKind::Deb, "libc6", "2.36-9", Some(("glibc", "2.36-9+deb12u4")));
    assert_eq!(mended.told(&dir), [""; 0]);
    // A source without the epoch that all of it has.
    let rocky = Image::of("rocky", "9.3").from(PackageKind::Rpm, "dbus-libs", "1:1.12.20-8.el9", Some(("dbus", "1.12.20-8.el9")));
    assert_eq!(rocky.told(&dir), ["dbus-libs RLSA-2026:1 1:1.12.20-9.el9"]);
}

#[test]
fn packages_of_languages_are_found_wherever_they_lie() {
    let dir = taken(&[
        advisory("PYSEC-2026-1", "PyPI", "Acme.Tools", &[("introduced", "0"), ("fixed", "2.0")]),
        advisory("GO-2026-0001", "Go", "stdlib", &[("introduced", "1.21.0-0"), ("fixed", "1.21.3")]),
        advisory("GO-2026-0002", "Go", "example.com/a", &[("introduced", "0"), ("fixed", "0.0.0-20240101000000-abcdefabcdef")]),
        advisory("RUSTSEC-2026-0001", "crates.io", "acme", &[("introduced", "0.0.0-0"), ("fixed", "1.2.3")]),
        json!({"id": "MAL-2026-1", "affected": [{"package": {"ecosystem": "npm", "name": "@acme/left"}, "versions": ["1.0.0", "1.0.1"]}]}),
    ]);
    let mut image = Image::of("scratchy", "")
        .with(PackageKind::Pypi, "acme_tools", "1.9")
        .with(PackageKind::Golang, "stdlib", "1.21.1")
        .with(PackageKind::Golang, "example.com/a", "v0.0.0-20230101000000-abcdefabcdef")
        .with(PackageKind::Golang, "example.com/b", "(devel)")
        .with(PackageKind::Cargo, "acme", "1.2.3")
        .with(PackageKind::Npm, "@acme/left", "1.0.1");
    let found = image.told(&dir);
    assert_eq!(
        found,
        [
            "example.com/a GO-2026-0002 0.0.0-20240101000000-abcdefabcdef",
            "stdlib GO-2026-0001 1.21.3",
            "@acme/left MAL-2026-1",
            "acme_tools PYSEC-2026-1 2.0"
        ]
    );
    let malicious = &image.found(&dir)[2];
    assert_eq!((malicious.severity.word(), malicious.severity_source.raw()), ("critical", "malicious package"));
    assert_eq!((malicious.path.as_ref().unwrap().raw(), malicious.layer.as_ref().unwrap().index), ("srv/@acme/left", Some(1)));
    let places = image.0.packages.values_mut().next_back().unwrap();
    places.places.push(PackagePlace { layer: 2, path: "opt/x".into() });
    assert_eq!(image.found(&dir).len(), 5, "once for each place");
}

#[test]
fn what_databases_say_of_one_weakness_is_one_finding() {
    let mut github = advisory("GHSA-aaaa-bbbb-cccc", "PyPI", "acme", &[("introduced", "0"), ("fixed", "2.0")]);
    github["aliases"] = json!(["CVE-2026-1111", "PYSEC-2026-7"]);
    github["summary"] = json!("Acme runs what it is given");
    github["severity"] =
        json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, {"type": "CVSS_V3", "score": "rubbish"}]);
    github["references"] = json!([{"type": "WEB", "url": "https://example.com/web"}, {"type": "ADVISORY", "url": "https://example.com/a"}, {"type": "WEB", "url": "javascript:x"}]);
    let mut pypa = advisory("PYSEC-2026-7", "PyPI", "acme", &[("introduced", "0"), ("fixed", "2.1")]);
    // Round in a circle.
    pypa["aliases"] = json!(["GHSA-aaaa-bbbb-cccc", "PYSEC-2026-7"]);
    // Withdrawn, and one of a version that is not there.
    let mut withdrawn = advisory("GHSA-wwww-wwww-wwww", "PyPI", "acme", &[("introduced", "0")]);
    withdrawn["withdrawn"] = json!("2026-01-01T00:00:00Z");
    let other = advisory("PYSEC-2026-8", "PyPI", "acme", &[("introduced", "3.0")]);
    let dir = taken(&[github, pypa, withdrawn, other]);
    let found = Image::of("", "").with(PackageKind::Pypi, "acme", "1.0").found(&dir);
    let [one] = found.as_slice() else { panic!("{found:?}") };
    let raw = |all: &[crate::model::Foreign]| all.iter().map(|one| one.raw().to_owned()).collect::<Vec<_>>();
    assert_eq!((one.id.raw(), raw(&one.aliases)), ("CVE-2026-1111", vec!["GHSA-aaaa-bbbb-cccc".to_owned(), "PYSEC-2026-7".to_owned()]));
    assert_eq!((one.severity.word(), one.severity_source.raw(), one.cvss.len()), ("critical", "GitHub CVSS 3.1", 1));
    assert_eq!(raw(&one.fixed_versions), ["2.0", "2.1"]);
    assert_eq!(raw(&one.links), ["https://example.com/a", "https://example.com/web"]);
    assert_eq!((one.title.raw(), one.fix_state.word()), ("Acme runs what it is given", "fixed"));
    assert!(one.package.as_ref().unwrap().purl.is_some());
}

#[test]
fn an_advisory_over_several_weaknesses_is_as_many_findings() {
    let mut dsa = advisory("DSA-1-1", "Debian:12", "acme", &[("introduced", "0"), ("fixed", "1.2")]);
    dsa["upstream"] = json!(["CVE-2026-0001", "CVE-2026-0002"]);
    let mut tracked = advisory("DEBIAN-CVE-2026-0001", "Debian:12", "acme", &[("introduced", "0"), ("fixed", "1.2")]);
    tracked["upstream"] = json!(["CVE-2026-0001"]);
    tracked["affected"][0]["ecosystem_specific"] = json!({"urgency": "unimportant"});
    let mut open = advisory("DEBIAN-CVE-2026-0003", "Debian:12", "acme", &[("introduced", "0")]);
    open["affected"][0]["ecosystem_specific"] = json!({"urgency": "end-of-life"});
    let mut errata = advisory("ALSA-2026:1", "AlmaLinux:9", "acme", &[("introduced", "0"), ("fixed", "1.2")]);
    errata["summary"] = json!("Important: acme security update");
    errata["related"] = json!(["CVE-2026-0004", "CVE-2026-0005"]);
    let dir = taken(&[dsa, tracked, open, errata]);
    let debian = Image::of("debian", "12").with(PackageKind::Deb, "acme", "1.0");
    assert_eq!(debian.told(&dir), ["acme CVE-2026-0001 1.2", "acme CVE-2026-0002 1.2", "acme DEBIAN-CVE-2026-0003"]);
    let found = debian.found(&dir);
    let aliases: Vec<&str> = found[0].aliases.iter().map(crate::model::Foreign::raw).collect();
    assert_eq!(aliases, ["DEBIAN-CVE-2026-0001"], "what covers two is the name of neither");
    assert!(found[0].said.iter().any(|said| said.id.raw() == "DSA-1-1"));
    assert_eq!((found[0].severity.word(), found[0].severity_source.raw()), ("negligible", "Debian"));
    assert_eq!((found[2].fix_state.word(), found[2].severity.word()), ("end_of_life", "unknown"));
    let alma = Image::of("almalinux", "9.4").with(PackageKind::Rpm, "acme", "1.0-1.el9");
    assert_eq!(alma.told(&dir), ["acme CVE-2026-0004 1.2", "acme CVE-2026-0005 1.2"]);
    assert_eq!(alma.found(&dir)[0].severity.word(), "high");
}

#[test]
fn one_advisory_may_come_once_for_each_release() {
    let dir = taken(&[
        advisory("ALSA-2026:1", "AlmaLinux:8", "acme", &[("introduced", "0"), ("fixed", "1-1.el8")]),
        json!({"id": "ALSA-2026:2", "affected": []}),
    ]);
    let of = |release: &str| {
        advisory("ALSA-2026:1", &format!("AlmaLinux:{release}"), "acme", &[("introduced", "0"), ("fixed", &format!("1-1.el{release}"))])
            .to_string()
    };
    take_bytes(dir.path(), &zipped(&[("8/a.json", of("8").as_bytes()), ("9/a.json", of("9").as_bytes())])).unwrap();
    let told = |release: &str| Image::of("almalinux", release).with(PackageKind::Rpm, "acme", "1-0").told(&dir);
    assert_eq!([told("8.9"), told("9.4")], [["acme ALSA-2026:1 1-1.el8"], ["acme ALSA-2026:1 1-1.el9"]]);
}

fn alpine_list(repository: &str, fixes: &Value) -> String {
    json!({"apkurl": "x", "distroversion": "v3.99", "reponame": repository, "packages": [{"pkg": {"name": "openssl", "secfixes": fixes}}]})
        .to_string()
}

#[test]
fn the_lists_of_alpine_are_taken_in_and_say_what_they_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("v3.99");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("main.json"), alpine_list("main", &json!({"3.1.4-r5": ["CVE-2026-0001"], "0": ["CVE-2026-0002"]}))).unwrap();
    std::fs::write(folder.join("community.json"), alpine_list("community", &json!({"9-r0": ["CVE-2026-0003"]}))).unwrap();
    let into = dir.path().join("db");
    let done = import(&into, dir.path(), now(), &Ctx::default()).unwrap();
    let names: Vec<&str> = done.databases.iter().map(|renewed| renewed.status.name.raw()).collect();
    assert_eq!(names, ["Alpine v3.99 community", "Alpine v3.99 main"]);
    let image = Image::of("alpine", "3.99.1").from(PackageKind::Apk, "libcrypto3", "3.1.4-r4", Some(("openssl", "3.1.4-r4")));
    let found = Databases::open(&into).matches(&image.0);
    let ids: Vec<&str> = found.findings.iter().map(|one| one.id.raw()).collect();
    assert_eq!(ids, ["CVE-2026-0001", "CVE-2026-0003"]);
    assert!(found.not_looked_for[0].why.as_str().contains("mended"), "{:?}", found.not_looked_for);
    // One list alone takes the place of itself only.
    import(&into, &folder.join("main.json"), now(), &Ctx::default()).unwrap();
    assert_eq!(Databases::open(&into).status().len(), 2);
}

#[test]
fn what_was_not_looked_for_is_said() {
    let none = tempfile::tempdir().unwrap();
    let image = Image::of("debian", "7").with(PackageKind::Deb, "acme", "1.0").with(PackageKind::Npm, "left", "1.0");
    let told = image.not_looked(none.path());
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("vulnerability: no advisory database: inventory only"), "{told:?}");
    assert!(Databases::open(none.path()).matches(&image.0).looked_for.is_empty());
    let dir = taken(&[
        advisory("DEBIAN-CVE-2026-0001", "Debian:12", "acme", &[("introduced", "0")]),
        advisory("GO-1", "Go", "example.com/a", &[("introduced", "0"), ("fixed", "what?")]),
    ]);
    let told = image.not_looked(dir.path());
    assert!(told[0].contains("Debian:7") && told[0].contains("nothing of this release"), "{told:?}");
    assert!(told[1].contains("npm packages: no advisory database of npm"), "{told:?}");
    let odd = Image::of("fedora", "40").with(PackageKind::Rpm, "acme", "1-1").with(PackageKind::Golang, "example.com/a", "(devel)");
    let told = odd.not_looked(dir.path());
    assert_eq!(told.len(), 2);
    assert!(told[0].contains("rpm packages: 1 of them") && told[0].contains("fedora"), "{told:?}");
    assert!(told[1].contains("such as that of example.com/a (devel)"), "{told:?}");
    let unclear = Image::of("", "").with(PackageKind::Golang, "example.com/a", "v1.0.0");
    assert!(unclear.not_looked(dir.path())[0].contains("1 advisories have versions"), "nobody knows");
    let stateless = Image(Inventory { distribution: None, ..Image::of("", "").with(PackageKind::Deb, "acme", "1").0 });
    assert!(stateless.not_looked(dir.path())[0].contains("doesn't say which system"));
}

#[test]
fn what_is_broken_in_a_zip_is_counted_and_the_rest_is_taken() {
    let good = advisory("GO-1", "Go", "example.com/a", &[("introduced", "0")]).to_string();
    let huge = vec![b' '; (17 << 20) + 1];
    let bytes = zipped(&[
        ("../../../escaped.json", good.as_bytes()),
        ("cut.json", &good.as_bytes()[..30]),
        ("list.json", b"[1, 2]"),
        ("wrong.json", br#"{"id": "GO-2", "affected": "all"}"#),
        ("no-id.json", b"{}"),
        ("bomb.json", &huge),
        ("again.json", good.as_bytes()),
        ("elsewhere.json", br#"{"id": "X-1", "affected": [{"package": {"ecosystem": "Android", "name": "x"}, "versions": ["1"]}]}"#),
        ("git.json", br#"{"id": "X-2", "affected": [{"package": {"ecosystem": "Go", "name": "x"}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, {"versions": null}]}"#),
        ("null.json", br#"{"id": "GO-3", "aliases": null, "severity": null, "affected": [{"package": {"ecosystem": "Go", "name": "y"}, "ranges": null, "versions": ["1.0.0"]}]}"#),
        ("README.md", b"no advisory"),
        ("deep.json", "[".repeat(100_000).as_bytes()),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("in/side");
    std::fs::create_dir_all(&into).unwrap();
    let done = take_bytes(&into, &bytes).unwrap();
    assert_eq!((done.documents, done.broken, done.repeated, done.elsewhere), (11, 6, 1, 2), "{done:?}");
    assert_eq!(done.databases[0].status.advisories, 2);
    assert!(done.named.iter().any(|one| one.name.raw() == "bomb.json" && one.why.as_str().contains("larger than")));
    assert!(!dir.path().join("escaped.json").exists());
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 2, "nothing but the zip and the database");
}

#[test]
fn a_file_that_is_no_database_leaves_what_was_there() {
    let dir = taken(&[advisory("GO-1", "Go", "example.com/a", &[("introduced", "0")])]);
    let kind = |bytes: &[u8]| take_bytes(dir.path(), bytes).unwrap_err().kind;
    let whole = zip_of(&[advisory("GO-2", "Go", "example.com/a", &[("introduced", "0")])]);
    assert_eq!(kind(&whole[..whole.len() / 2]), ProblemKind::Corrupt);
    assert_eq!(kind(&zipped(&[])), ProblemKind::Corrupt);
    assert_eq!(kind(b"PK"), ProblemKind::Corrupt);
    assert_eq!(kind(b"{}"), ProblemKind::Usage);
    assert_eq!(kind(advisory("GO-2", "Go", "x", &[("introduced", "0")]).to_string().as_bytes()), ProblemKind::Usage);
    let ctx = Ctx::default();
    ctx.cancel.cancel();
    std::fs::write(dir.path().join("in.zip"), &whole).unwrap();
    assert!(import(dir.path(), &dir.path().join("in.zip"), now(), &ctx).unwrap_err().is_cancelled());
    let image = Image::of("", "").with(PackageKind::Golang, "example.com/a", "v1.0.0");
    assert_eq!(image.told(&dir), ["example.com/a GO-1"]);
    let done = take_bytes(dir.path(), &whole).unwrap();
    assert_eq!((done.databases[0].before, image.told(&dir)), (Some(1), vec!["example.com/a GO-2".to_owned()]));
}

#[test]
fn zips_in_the_layout_of_osv_scanner_are_taken_in_when_they_are_new() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, into) = (dir.path().join("cache"), dir.path().join("db"));
    let at = cache.join("osv-scanner/Go");
    std::fs::create_dir_all(&at).unwrap();
    let mixed = [advisory("GO-1", "Go", "a", &[("introduced", "0")]), advisory("NPM-1", "npm", "a", &[("introduced", "0")])];
    std::fs::write(at.join("all.zip"), zip_of(&mixed)).unwrap();
    let (done, problems) = refresh(&into, std::slice::from_ref(&cache), now(), &Ctx::default()).unwrap();
    assert_eq!((done.len(), problems.len(), done[0].databases.len()), (1, 0, 1), "only of the ecosystem that it is filed under");
    let (done, _) = refresh(&into, std::slice::from_ref(&cache), now(), &Ctx::default()).unwrap();
    assert_eq!(done.len(), 0, "it is known");
    std::fs::write(at.join("all.zip"), b"PK").unwrap();
    let (done, problems) = refresh(&into, &[cache], now(), &Ctx::default()).unwrap();
    assert_eq!((done.len(), problems.len(), Databases::open(&into).status()[0].advisories), (0, 1, 1));
}

#[test]
fn a_database_says_what_it_is() {
    let dir = taken(&[
        advisory("DEBIAN-CVE-2026-0001", "Debian:12", "a", &[("introduced", "0")]),
        advisory("DEBIAN-CVE-2026-0002", "Debian:11", "b", &[("introduced", "0")]),
    ]);
    let open = Databases::open(dir.path());
    let [one] = open.status() else { panic!("{open:?}") };
    assert_eq!((one.name.raw(), one.advisories, one.packages, one.fixes_only), ("Debian", 2, 2, false));
    assert_eq!(one.releases.keys().collect::<Vec<_>>(), ["Debian:11", "Debian:12"]);
    assert_eq!((one.date.unwrap().to_string(), one.imported.unwrap()), ("2026-02-01T00:00:00Z".to_owned(), now()));
    let file =
        std::fs::read_dir(dir.path()).unwrap().flatten().find(|entry| entry.path().extension().is_some_and(|end| end == "advisories"));
    let file = file.unwrap().path();
    assert_eq!(one.size, std::fs::metadata(&file).unwrap().len());
    // What is open stays as it was, and what is broken is named.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, b"rubbish").unwrap();
    let image = Image::of("debian", "12").with(PackageKind::Deb, "a", "1");
    assert_eq!(open.matches(&image.0).findings.len(), 1);
    let broken = Databases::open(dir.path());
    assert!(broken.is_empty() && broken.status()[0].problem.is_some());
}

/// Many records of one name and names beside it, over many blocks.
#[test]
fn a_package_of_very_many_advisories_is_read_whole() {
    let mut all = Vec::new();
    for at in 0..3000 {
        let mut one =
            advisory(&format!("DEBIAN-CVE-2026-{at:05}"), "Debian:12", "linux", &[("introduced", "0"), ("fixed", &format!("6.1.{at}-1"))]);
        one["details"] = json!(format!("weakness {at} {}", "of a kind ".repeat(at % 50)));
        all.push(one);
        all.push(advisory(&format!("DEBIAN-CVE-2025-{at:05}"), "Debian:12", &format!("package-{at}"), &[("introduced", "0")]));
    }
    let dir = taken(&all);
    let found = Image::of("debian", "12").from(PackageKind::Deb, "linux-libc-dev", "6.1.1000-1", Some(("linux", "6.1.1000-1"))).found(&dir);
    assert_eq!(found.len(), 1999);
    assert!(found.iter().all(|one| one.description.raw().starts_with("weakness")));
    let image = Image::of("debian", "12").with(PackageKind::Deb, "package-2999", "1");
    assert_eq!(image.told(&dir), ["package-2999 DEBIAN-CVE-2025-02999"]);
}

#[test]
fn very_many_ranges_are_no_trouble() {
    let events: Vec<Value> =
        (0..100_000).flat_map(|at| [json!({"introduced": format!("{at}.0.0")}), json!({"fixed": format!("{at}.0.1")})]).collect();
    let one = json!({"id": "GO-1", "affected": [{"package": {"ecosystem": "Go", "name": "a"}, "ranges": [{"type": "SEMVER", "events": events}],
        "versions": (0..10_000).map(|at| format!("{at}.0.0")).collect::<Vec<_>>()}]});
    let dir = taken(&[one]);
    assert_eq!(Image::of("", "").with(PackageKind::Golang, "a", "v77777.0.0").told(&dir), ["a GO-1 77777.0.1"]);
    assert_eq!(Image::of("", "").with(PackageKind::Golang, "a", "v77777.0.2").told(&dir), [""; 0]);
}

fn sample() -> Vec<u8> {
    let mut one = advisory("GHSA-1", "PyPI", "acme", &[("introduced", "0"), ("fixed", "2.0")]);
    one["aliases"] = json!(["CVE-2026-1111"]);
    one["severity"] = json!([{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]);
    zip_of(&[one, advisory("PYSEC-2", "PyPI", "acme", &[("introduced", "1.0"), ("last_affected", "1.5")])])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_make_it_panic(at in 0..10_000_usize, byte: u8, cut in 0..20_000_usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = sample();
        let place = at % bytes.len();
        bytes[place] ^= byte;
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(18_000)));
        let _ = take_bytes(dir.path(), &bytes);
        // A database that was made, and damaged then.
        take_bytes(dir.path(), &sample()).unwrap();
        let file = dir.path().join("pypi.advisories");
        let mut kept = std::fs::read(&file).unwrap();
        let place = at % kept.len();
        kept[place] ^= byte.max(1);
        kept.truncate(kept.len().saturating_sub(cut.saturating_sub(18_000)));
        std::fs::write(&file, kept).unwrap();
        let found = Databases::open(dir.path()).matches(&Image::of("", "").with(PackageKind::Pypi, "acme", "1.0").0);
        prop_assert!(found.findings.is_empty(), "a byte of it was another, and nothing was said");
        prop_assert!(!found.not_looked_for.is_empty());
    }

    #[test]
    fn no_document_makes_it_panic(text in "\\PC{0,200}", vector in "CVSS:[234]\\.[01](/[A-Z]{1,3}:[A-Z]){0,12}", events in proptest::collection::vec(("introduced|fixed|last_affected|limit", "[0-9a-z.*-]{0,6}"), 0..8)) {
        let _ = osv::read(text.as_bytes());
        let _ = secdb::read(text.as_bytes());
        let _ = osv::scored(&vector);
        let _ = osv::scored(&text);
        let told: Vec<(&str, &str)> = events.iter().map(|(what, at)| (what.as_str(), at.as_str())).collect();
        for ecosystem in osv::ECOSYSTEMS {
            prop_assert!(osv::read(advisory("X", ecosystem, "a", &told).to_string().as_bytes()).is_ok());
        }
    }
}
