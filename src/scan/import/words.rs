//! What the words of reports mean: ids, types of packages, scores, digests, states. Facts: the package URL specification's list of types, what
//! Trivy, Grype, OSV and Clair call ecosystems, and the specifications of CVSS.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;

use super::json::{Few, Number, Text, cut};
use crate::model::finding::{Cvss, Evidence, FindingPackage, FixState, Score, is_cve};
use crate::model::finding_filter::thousandths;
use crate::model::{Digest, Foreign};

/// Longest name, id or version that is kept, in bytes.
const LONGEST_NAME: usize = 512;
/// Longest description.
const LONGEST_TEXT: usize = 4 << 10;

/// A name, an id or a version.
pub(super) fn name(text: &str) -> Foreign {
    Foreign::new(cut(text.trim(), LONGEST_NAME))
}

/// A description.
pub(super) fn text(text: &str) -> Foreign {
    Foreign::new(cut(text.trim(), LONGEST_TEXT))
}

/// One that may be missing.
pub(super) fn told(text: &str) -> Option<Foreign> {
    Some(name(text)).filter(|text| !text.is_empty())
}

/// The first text that says anything.
pub(super) fn first<'a>(texts: impl IntoIterator<Item = &'a str>) -> &'a str {
    texts.into_iter().find(|text| !text.trim().is_empty()).unwrap_or_default()
}

pub(super) fn links<'a>(all: impl IntoIterator<Item = &'a str>) -> Vec<Foreign> {
    let mut links: Vec<Foreign> = Vec::new();
    for link in all {
        let link = name(link);
        if !link.is_empty() && !links.contains(&link) {
            links.push(link);
        }
    }
    links
}

/// The id that a weakness is known by, and its others. That is its own where it is a CVE, or the one CVE that it is the same as; what stands for
/// several CVEs, such as a distribution's advisory, keeps its own. Neither another CVE nor an advisory over several is another name of it.
pub(super) fn ids<'a>(own: &'a str, others: impl IntoIterator<Item = &'a str>) -> (Foreign, Vec<Foreign>) {
    let own = own.trim();
    let mut all: Vec<&str> = vec![own];
    for other in others.into_iter().map(str::trim) {
        if !other.is_empty() && !all.contains(&other) {
            all.push(other);
        }
    }
    let mut cves = all.iter().copied().filter(|id| is_cve(id));
    let id = match (is_cve(own), cves.next(), cves.next()) {
        (false, Some(only), None) => only,
        _ => own,
    };
    let is_name = |other: &&&str| **other != id && !is_cve(other) && !is_errata(other);
    (name(id), all.iter().filter(is_name).map(|other| name(other)).collect())
}

/// Whether it is a distribution's advisory, which mends a package of whatever was wrong with it.
fn is_errata(id: &str) -> bool {
    let of_red_hat = ["RH", "AL", "RL", "EL", "CE"];
    let (by, rest) = id.split_once('-').unwrap_or((id, ""));
    let is_red_hat =
        by.len() == 4 && of_red_hat.iter().any(|of| by.starts_with(of)) && ["SA", "BA", "EA"].iter().any(|kind| by.ends_with(kind));
    let others = ["DSA", "DLA", "USN", "SUSE", "openSUSE", "FEDORA", "GLSA", "MGASA"];
    // "UBUNTU-CVE-2024-1" is one on that CVE alone.
    !rest.starts_with("CVE-") && (is_red_hat || by.starts_with("ALAS") || others.contains(&by))
}

/// The first id of a weakness in a text, such as a title that goes on behind it.
pub(super) fn id_in(text: &str) -> Option<&str> {
    static ID: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let kinds = [r"CVE-[0-9]{4}-[0-9]{4,}", r"GHSA(?:-[0-9a-z]{4}){3}", r"(?:RH|AL|RL|EL|CE)[SBE]A-[0-9]{4}[:-][0-9]+(?::[0-9]+)?"];
        let more = [r"(?:GO|PYSEC|RUSTSEC|OSV|MAL|TEMP|DSA|DLA|USN|ALAS2?|ALPINE|BIT|SNYK)-[0-9A-Za-z:.-]*[0-9A-Za-z]"];
        Regex::new(&format!(r"\b(?:{}|{})", kinds.join("|"), more.join("|"))).ok()
    });
    ID.as_ref()?.find(text).map(|found| found.as_str())
}

/// The type that package URLs have for what a scanner, a distribution or an ecosystem is called; in its own word where it is none of those.
pub(super) fn purl_type(word: &str) -> &str {
    let word = word.trim();
    let lower = word.to_ascii_lowercase();
    // OSV: "Alpine:v3.18", "Debian:12".
    match lower.split(':').next().unwrap_or_default() {
        "apk" | "alpine" | "wolfi" | "chainguard" | "alpaquita" | "bellsoft hardened containers" | "minimos" => "apk",
        "deb" | "dpkg" | "debian" | "ubuntu" | "echo" | "raspbian" => "deb",
        "rpm"
        | "redhat"
        | "red hat"
        | "rhel"
        | "centos"
        | "rocky"
        | "rocky linux"
        | "alma"
        | "almalinux"
        | "amazon"
        | "amazonlinux"
        | "amzn"
        | "fedora"
        | "oracle"
        | "ol"
        | "photon"
        | "cbl-mariner"
        | "mariner"
        | "azurelinux"
        | "azure linux"
        | "suse"
        | "opensuse"
        | "sles"
        | "suse linux enterprise server"
        | "opensuse-leap"
        | "opensuse-tumbleweed"
        | "opensuse.leap"
        | "opensuse.tumbleweed"
        | "openeuler" => "rpm",
        "npm" | "node-pkg" | "nodejs" | "node" | "yarn" | "pnpm" | "bun" | "javascript" => "npm",
        "pypi" | "python" | "python-pkg" | "pip" | "pipenv" | "poetry" | "uv" | "pylock" => "pypi",
        "golang" | "go" | "go-module" | "gobinary" | "gomod" => "golang",
        "cargo" | "crates.io" | "rust" | "rust-crate" | "rustbinary" => "cargo",
        "maven" | "java" | "java-archive" | "jar" | "pom" | "gradle" | "sbt" | "jenkins-plugin" => "maven",
        "gem" | "rubygems" | "ruby" | "gemspec" | "bundler" => "gem",
        "nuget" | "dotnet" | "dotnet-core" | "packages-props" | "packages-config" => "nuget",
        "composer" | "packagist" | "php" | "php-composer" | "composer-vendor" => "composer",
        "conda" | "conda-pkg" | "conda-environment" => "conda",
        "hex" | "mix-lock" | "hex.pm" | "erlang" => "hex",
        "pub" | "dart" | "dart-pub" => "pub",
        "swift" | "swifturl" => "swift",
        "cocoapods" | "pod" => "cocoapods",
        "conan" | "conancenter" => "conan",
        "bitnami" => "bitnami",
        _ => word,
    }
}

/// The parts of a package URL that count here.
pub(super) struct Purl<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
}

/// Reads a package URL as far as it can be told without undoing its percent signs.
pub(super) fn purl(text: &str) -> Option<Purl<'_>> {
    let rest = text.trim().strip_prefix("pkg:")?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (kind, rest) = rest.trim_start_matches('/').split_once('/')?;
    let (path, version) = rest.rsplit_once('@').filter(|(path, _)| !path.is_empty()).unwrap_or((rest, ""));
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    Some(Purl { kind, namespace, name, version })
}

/// A package in the words that the embedded inventory has too, so that both mean the same one.
pub(super) fn package(own: &str, version: &str, kind: &str, url: &str) -> FindingPackage {
    let parts = purl(url);
    let kind = parts.as_ref().map_or_else(|| purl_type(kind), |parts| purl_type(parts.kind));
    let (own, version) = (own.trim(), version.trim());
    let own = match &parts {
        Some(parts) if kind == "maven" && !parts.namespace.is_empty() && !own.contains(':') => {
            name(&format!("{}:{}", parts.namespace, parts.name))
        }
        Some(parts) if own.is_empty() => name(parts.name),
        _ => name(own),
    };
    let version = if version.is_empty() { parts.as_ref().map_or("", |parts| parts.version) } else { version };
    let version = match (kind, own.raw()) {
        ("golang", "stdlib") => name(version.trim_start_matches("go").trim_start_matches('v')),
        ("golang", _) if version.starts_with(|first: char| first.is_ascii_digit()) => name(&format!("v{version}")),
        _ => name(version),
    };
    FindingPackage { name: own, version, kind: name(kind), purl: told(url), source_name: None }
}

/// What stands in a list that is one text: "3.1.0, 2.6.9".
pub(super) fn versions(text: &str) -> Vec<Foreign> {
    // Some of old wrote a range of versions.
    text.split([',', '|', ';']).filter_map(|version| told(version.trim().trim_start_matches(['>', '=', '~']))).collect()
}

/// A rating; `None` where neither its score nor its vector says anything. Where only a vector is told, its score is computed.
pub(super) fn cvss(vector: &str, score: Number, source: &str) -> Option<Cvss> {
    let vector = cut(vector.trim(), LONGEST_NAME);
    let score = score.0.filter(|score| *score > 0.0).and_then(Score::from_float).or_else(|| score_of(vector));
    (score.is_some() || !vector.is_empty()).then(|| Cvss { score, vector: Foreign::new(vector), source: name(source) })
}

/// The score of a CVSS vector of any version.
pub(super) fn score_of(vector: &str) -> Option<Score> {
    let bare = vector.trim().trim_start_matches('(').trim_end_matches(')');
    let score = if bare.starts_with("CVSS:") {
        bare.parse::<cvss::Cvss>().ok()?.score()
    } else {
        bare.parse::<cvss::v2::Vector>().ok()?.score().value()
    };
    Score::from_float(score)
}

/// In the words of Trivy, Grype and Harbor; where nothing is said, a fixed version says enough.
pub(super) fn fix_state(word: &str, has_fix: bool) -> FixState {
    match word.trim().to_ascii_lowercase().replace('-', "_").as_str() {
        "fixed" => FixState::Fixed,
        "affected" | "not_fixed" if !has_fix => FixState::NotFixed,
        "will_not_fix" | "wont_fix" => FixState::WontFix,
        "fix_deferred" | "deferred" => FixState::Deferred,
        "end_of_life" | "eol" => FixState::EndOfLife,
        _ if has_fix => FixState::Fixed,
        _ => FixState::Unknown,
    }
}

/// A likelihood between 0 and 1, in thousandths.
pub(super) fn epss(likelihood: Number) -> Option<u16> {
    likelihood.0.and_then(thousandths)
}

pub(super) fn lines(from: Number, to: Number) -> Option<(u32, u32)> {
    let from = from.line()?;
    Some((from, to.line().map_or(from, |to| to.max(from))))
}

/// A moment; years that a program writes where it has none are none.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.trim().parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

/// The digest in a text such as "app@sha256:…".
pub(super) fn digest(text: &str) -> Option<Digest> {
    let at = text.rfind("sha256:").or_else(|| text.rfind("sha512:"))?;
    let rest = text.get(at..)?;
    let end = rest.char_indices().skip(7).find(|(_, c)| !c.is_ascii_hexdigit()).map_or(rest.len(), |(end, _)| end);
    rest.get(..end)?.parse().ok()
}

pub(super) fn digests<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Digest> {
    let mut all = Vec::new();
    for digest in texts.into_iter().filter_map(digest) {
        if !all.contains(&digest) {
            all.push(digest);
        }
    }
    all
}

pub(super) fn texts(few: &Few<Text>) -> impl Iterator<Item = &str> {
    few.iter().map(|text| &**text)
}

/// The line that a secret was found in. Nobody can rely on its scanner to have masked it: only the name that it is assigned to is let through,
/// and that only where the scanner did mask what follows.
pub(super) fn secret_line(line: &str) -> Evidence {
    let line = cut(line.trim(), LONGEST_TEXT);
    let Some(at) = line.find(['=', ':']) else { return Evidence::masked("", line) };
    let (before, rest) = line.split_at_checked(at + 1).unwrap_or(("", line));
    if rest.contains("****") && is_variable(before.trim_end_matches(['=', ':'])) {
        Evidence::masked(before, rest)
    } else {
        Evidence::masked("", line)
    }
}

/// What stands before a secret that is known, as far as it is a name and a sign.
pub(super) fn before_secret<'a>(line: &'a str, secret: &str) -> &'a str {
    let before = if secret.is_empty() { "" } else { line.split_once(secret).map_or("", |(before, _)| before) };
    let bare = before.trim_end_matches(['"', '\'', ' ', '=', ':']);
    if is_variable(bare) { before } else { "" }
}

/// Words about a setting, without the value that is given to anything that is called like a secret.
pub(super) fn masked(words: &str) -> String {
    static GIVEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let name = r#"(?i)((?:pass(?:word|wd|phrase)?|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|auth)[\w-]*["']?\s*[=:]\s*)"#;
        Regex::new(&format!(r#"{name}("[^"]*"|'[^']*'|\S+)"#)).ok()
    });
    GIVEN.as_ref().map_or_else(String::new, |given| given.replace_all(words, "$1********").into_owned())
}

/// Whether it may be the name of a setting, and hardly a secret: letters with few digits, no longer than such names are.
fn is_variable(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'']);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    !text.is_empty()
        && text.len() <= 40
        && digits <= 3
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && text.bytes().any(|byte| b"_-.".contains(&byte) || byte.is_ascii_uppercase() || text.len() <= 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_cve_that_it_is_the_same_as_names_it() {
        let named = |own, others: &[&'static str]| {
            let (id, aliases) = ids(own, others.iter().copied());
            let aliases: Vec<String> = aliases.iter().map(|alias| alias.raw().to_owned()).collect();
            (id.raw().to_owned(), aliases.join(" "))
        };
        let pair = |id: &str, aliases: &str| (id.to_owned(), aliases.to_owned());
        assert_eq!(named("GHSA-a", &["CVE-2024-1234", "PYSEC-1"]), pair("CVE-2024-1234", "GHSA-a PYSEC-1"));
        assert_eq!(named("CVE-2024-1234", &["CVE-2024-1235"]), pair("CVE-2024-1234", ""));
        assert_eq!(named("RHSA-2024:1", &["CVE-2024-1234", "CVE-2024-1235"]), pair("RHSA-2024:1", ""));
        assert_eq!(
            named("CVE-2024-1234", &["RHSA-2024:1", "SUSE-CVE-2024-1234", "ALAS2-2024-1"]),
            pair("CVE-2024-1234", "SUSE-CVE-2024-1234")
        );
        assert_eq!(named("DSA-1-1", &["CVE-2024-1234"]), pair("CVE-2024-1234", ""));
        assert_eq!(named("GHSA-a", &["", "GHSA-a"]), pair("GHSA-a", ""));
    }

    #[test]
    fn ids_are_found_in_texts() {
        for (text, id) in [
            ("CVE-2022-23219 glibc", Some("CVE-2022-23219")),
            ("RHSA-2022:0892: libarchive security update", Some("RHSA-2022:0892")),
            ("CVE-2019-14697-musl", Some("CVE-2019-14697")),
            ("GHSA-abcd-1234-wxyz-log4j", Some("GHSA-abcd-1234-wxyz")),
            ("ALAS2-2023-2100: x", Some("ALAS2-2023-2100")),
            ("nothing of note", None),
            ("", None),
        ] {
            assert_eq!(id_in(text), id, "{text}");
        }
    }

    #[test]
    fn packages_of_all_scanners_have_the_same_words() {
        let shown = |own, version, kind, url| {
            let package = package(own, version, kind, url);
            format!("{} {} {}", package.kind.raw(), package.name.raw(), package.version.raw())
        };
        assert_eq!(shown("musl", "1.1.20-r4", "alpine", ""), "apk musl 1.1.20-r4");
        let log4j = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1?type=jar";
        assert_eq!(shown("log4j-core", "2.14.1", "java-archive", log4j), "maven org.apache.logging.log4j:log4j-core 2.14.1");
        assert_eq!(
            shown("org.apache.logging.log4j:log4j-core", "2.14.1", "jar", log4j),
            "maven org.apache.logging.log4j:log4j-core 2.14.1"
        );
        assert_eq!(shown("stdlib", "go1.22.1", "go-module", ""), "golang stdlib 1.22.1");
        assert_eq!(shown("stdlib", "v1.22.1", "gobinary", ""), "golang stdlib 1.22.1");
        assert_eq!(shown("golang.org/x/net", "0.1.0", "gobinary", ""), "golang golang.org/x/net v0.1.0");
        assert_eq!(shown("", "", "", "pkg:npm/%40scope/x@1.0#sub"), "npm x 1.0");
        assert_eq!(shown("x", "1", "Debian:12", ""), "deb x 1");
        assert_eq!(shown("x", "1", "k8s", ""), "k8s x 1");
        assert_eq!(shown("x", "1", "", "pkg:/"), " x 1");
    }

    #[test]
    fn scores_come_out_of_vectors() {
        let score = |vector: &str| score_of(vector).map(|score| score.to_string()).unwrap_or_default();
        assert_eq!(score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), "9.8");
        assert_eq!(score("CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N"), "2.5");
        assert_eq!(score("AV:N/AC:L/Au:N/C:P/I:P/A:P"), "7.5");
        assert_eq!(score("(AV:N/AC:L/Au:N/C:P/I:P/A:P)"), "7.5");
        assert_eq!(score("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"), "10.0");
        for broken in ["", "CVSS:9.9/AV:N", "CVSS:3.1/AV:Q", "High", "AV:N/AV:N"] {
            assert_eq!(score(broken), "", "{broken}");
        }
        let told = cvss("AV:N/AC:L/Au:N/C:P/I:P/A:P", Number(Some(5.0)), "nvd").unwrap();
        assert_eq!(told.score.unwrap().0, 50, "what is told counts");
        assert_eq!(cvss(" ", Number(None), "nvd"), None);
    }

    #[test]
    fn states_and_moments_are_understood() {
        let states = ["affected", "fixed", "will_not_fix", "wont-fix", "fix_deferred", "end_of_life", "not-fixed", "", "odd"];
        let read = |has| states.map(|word| fix_state(word, has).word()).join(" ");
        assert_eq!(read(false), "not_fixed fixed wont_fix wont_fix deferred end_of_life not_fixed unknown unknown");
        assert_eq!(read(true), "fixed fixed wont_fix wont_fix deferred end_of_life fixed fixed fixed");
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert!(time("2024-05-01T12:00:00.123456789+02:00").is_some());
        let hex = "a".repeat(64);
        assert_eq!(digest(&format!("image@sha256:{hex}:/etc/x")).unwrap().hex(), hex);
        assert_eq!([digest("sha256:abc"), digest("é sha256:é"), digest("")], [None, None, None]);
        assert_eq!([epss(Number(Some(0.97565))), epss(Number(Some(1.5)))], [Some(976), None]);
    }

    #[test]
    fn values_of_secrets_are_masked_in_words() {
        for (words, seen) in [
            ("ENV DB_PASSWORD=hunter2 is bad", "ENV DB_PASSWORD=******** is bad"),
            ("set api-key: \"a b\" here", "set api-key: ******** here"),
            ("AUTH_TOKEN='x y' PATH=/usr", "AUTH_TOKEN=******** PATH=/usr"),
            ("pin the versions of what is installed", "pin the versions of what is installed"),
        ] {
            assert_eq!(masked(words), seen);
        }
    }

    #[test]
    fn no_secret_stays_in_the_line_it_was_in() {
        let seen = |line| secret_line(line).as_str().to_owned();
        assert_eq!(seen("AWS_ACCESS_KEY_ID=********************"), "AWS_ACCESS_KEY_ID=******** (20 characters)");
        assert_eq!(seen("\"password\": ****"), "\"password\":******** (5 characters)");
        assert_eq!(seen("token = hunter2hunter2"), "******** (22 characters)", "nobody masked it");
        assert_eq!(seen("ghp_s3cr3tS3cr3t0123456789:****"), "******** (31 characters)", "no name");
        assert_eq!(seen("hunter2"), "******** (7 characters)");
        assert_eq!(before_secret("aws_secret = \"abc\"", "abc"), "aws_secret = \"");
        assert_eq!(before_secret("abc abc", "abc"), "");
        assert_eq!(before_secret("old=zzz1234567890 new=abc", "abc"), "");
        assert_eq!(before_secret("key=abc", ""), "");
    }
}
