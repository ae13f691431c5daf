//! Rules about package managers: what they leave in a layer, and how they are used. Facts: the manuals of apt-get, apk, dnf, yum, zypper and pip.
//!
//! A history doesn't tell of the caches that BuildKit mounts for a step: where layers were read ([`super::Facts::caches`]) their bytes decide.

use super::cache::CacheKind;
use super::command::Command;
use super::fetch::is_pip;
use super::{Found, Scene, Step};
use crate::model::finding::Evidence;
use crate::model::{Severity, size};

const APT: [&str; 3] = ["apt-get", "apt", "aptitude"];
const DNF: [&str; 5] = ["dnf", "yum", "microdnf", "tdnf", "zypper"];
const APT_INSTALLS: [&str; 10] =
    ["install", "upgrade", "dist-upgrade", "full-upgrade", "safe-upgrade", "build-dep", "satisfy", "download", "source", "reinstall"];

/// The first operand that is one of those.
fn verb<'a>(command: &'a Command, verbs: &[&str]) -> Option<&'a str> {
    command.operands().find(|operand| verbs.contains(operand))
}

fn is_apt_update(command: &Command) -> bool {
    command.is(&APT) && command.operands().find(|operand| !operand.contains('=')) == Some("update")
}

fn is_apt_install(command: &Command) -> bool {
    command.is(&APT) && verb(command, &APT_INSTALLS).is_some()
}

/// The packages that it installs, without their versions.
pub(super) fn installs(command: &Command) -> Option<Vec<&str>> {
    let verbs: &[&str] = match command.name() {
        name if APT.contains(&name) => &["install"],
        "apk" => &["add"],
        name if DNF.contains(&name) => &["install", "in"],
        _ => return None,
    };
    let packages = command.operands().skip_while(|operand| !verbs.contains(operand)).skip(1);
    let bare = |package: &'_ str| package.len().min(package.find(['=', '<', '>', '~', ':', '@']).unwrap_or(package.len()));
    let packages: Vec<&str> = packages.filter_map(|package| package.get(..bare(package))).collect();
    verb(command, verbs).map(|_| packages)
}

/// Whether that place is removed, whole or all that is in it.
fn removes(command: &Command, is_place: &dyn Fn(&str) -> bool) -> bool {
    let removes = command.is(&["rm", "rmdir", "unlink"])
        && (command.has_short('r')
            || command.has_short('R')
            || command.has(&["--recursive"])
            || command.operands().any(|word| word.contains('*')));
    let finds = command.is(&["find"]) && command.args().any(|arg| matches!(arg, "-delete" | "rm" | "/bin/rm"));
    (removes || finds) && command.operands().any(is_place)
}

/// Whether a step leaves nothing of that kind, as far as it tells.
fn is_mounted(step: &Step, places: &[&str]) -> bool {
    let at = |flag: &String| {
        let target = flag.split(',').find_map(|part| ["target=", "dst=", "destination="].iter().find_map(|key| part.strip_prefix(key)));
        target.is_some_and(|target| places.iter().any(|place| target.trim_end_matches('/').starts_with(place)))
    };
    step.flags.iter().filter(|flag| flag.starts_with("--mount=") && (flag.contains("type=cache") || flag.contains("type=tmpfs"))).any(at)
}

/// Bytes of that kind in a step's layer; `None` where nobody looked.
fn bytes(scene: &Scene<'_>, layer: Option<usize>, kind: CacheKind) -> Option<u64> {
    let caches = scene.facts.caches?;
    Some(caches.iter().filter(|cache| Some(cache.layer) == layer && cache.kind == kind).map(|cache| cache.bytes).sum())
}

/// Adds what steps leave by the look of them, unless their layers are known to have none, and then what else lies in layers.
fn kept(scene: &Scene<'_>, found: &mut Found<'_>, kind: CacheKind, leaves: &dyn Fn(&Step) -> Option<usize>) {
    let mut said = Vec::new();
    for step in scene.steps.iter().filter(|step| step.makes_layer) {
        let Some(command) = leaves(step).and_then(|at| step.commands.get(at)) else { continue };
        let known = bytes(scene, step.layer, kind);
        if known == Some(0) {
            continue;
        }
        let Some(finding) = found.command(scene, step, command) else { return };
        if let Some(bytes) = known {
            said.push(step.layer);
            cost(finding, bytes);
        }
    }
    for cache in scene.facts.caches.unwrap_or_default() {
        if cache.kind != kind || cache.bytes == 0 || said.contains(&Some(cache.layer)) {
            continue;
        }
        said.push(Some(cache.layer));
        let bytes = bytes(scene, Some(cache.layer), kind).unwrap_or_default();
        let evidence = Evidence::plain(&format!("/{}", kind.place()));
        let Some(finding) = found.add(Some(cache.layer), kind.place(), Some(evidence)) else { return };
        // Of the layer that an image is made from: nobody's step, and no news.
        finding.severity = if cache.layer == 0 { Severity::Negligible } else { finding.severity.min(Severity::Low) };
        cost(finding, bytes);
    }
}

fn cost(finding: &mut crate::model::Finding, bytes: u64) {
    finding.description = format!("It takes {}. {}", size::human(bytes), finding.description.raw()).into();
}

/// The place of the last command that is so, where none after it is as `mended` says.
fn last(step: &Step, is: impl Fn(&Command) -> bool, mended: impl Fn(&Command) -> bool) -> Option<usize> {
    let at = step.commands.iter().rposition(is)?;
    (!step.commands.iter().skip(at).any(mended)).then_some(at)
}

fn clears_lists(command: &Command) -> bool {
    let is_place = |word: &str| word.contains("/var/lib/apt") || (word.contains("/var/lib/{") && word.contains("apt"));
    removes(command, &is_place) || (command.is(&APT) && verb(command, &["distclean", "dist-clean"]).is_some())
}

pub(super) fn apt_lists(scene: &Scene<'_>, found: &mut Found<'_>) {
    kept(scene, found, CacheKind::AptLists, &|step| {
        if is_mounted(step, &["/var/lib/apt"]) {
            return None;
        }
        last(step, is_apt_update, clears_lists)
    });
}

/// Known by bytes alone: most base images are set up to keep none.
pub(super) fn apt_archives(scene: &Scene<'_>, found: &mut Found<'_>) {
    kept(scene, found, CacheKind::AptArchives, &|step| {
        let known = bytes(scene, step.layer, CacheKind::AptArchives)?;
        last(step, is_apt_install, |_| false).filter(|_| known > 0)
    });
}

pub(super) fn update_alone(scene: &Scene<'_>, found: &mut Found<'_>) {
    let is_update = |command: &Command| {
        is_apt_update(command) || (command.is(&["apk"]) && verb(command, &["update", "add", "upgrade", "fix"]) == Some("update"))
    };
    // What changes nothing that is installed; whatever else comes after may.
    let is_idle = |command: &Command| {
        is_update(command)
            || command.name().is_empty()
            || command.is(&["rm", "echo", "set", "true", "mkdir", "sleep", "ls", "cd", "touch", "date", "find", ":", "exit"])
            || (command.is(&APT) && verb(command, &["clean", "autoclean", "autoremove"]).is_some())
    };
    for step in scene.steps.iter().filter(|step| step.makes_layer) {
        let Some(at) = step.commands.iter().position(is_update) else { continue };
        let is_cleared = step.commands.iter().any(|command| clears_lists(command) || clears_apk(command));
        let after = step.commands.get(at..).unwrap_or_default();
        if let Some(command) = after.first().filter(|_| !is_cleared && after.iter().all(is_idle)) {
            found.command(scene, step, command);
        }
    }
}

fn clears_apk(command: &Command) -> bool {
    removes(command, &|word| {
        word.contains("/var/cache/apk")
            || word.trim_end_matches(['/', '*']) == "/var/cache"
            || (word.contains("/var/cache/{") && word.contains("apk"))
    })
}

pub(super) fn apk(scene: &Scene<'_>, found: &mut Found<'_>) {
    // What is installed for another root lies elsewhere.
    let is_other =
        |command: &Command| command.args().any(|arg| arg.starts_with("--root") || matches!(arg, "-p" | "--initdb" | "--no-network"));
    let keeps = |command: &Command| {
        command.is(&["apk"])
            && verb(command, &["add", "update", "upgrade"]).is_some()
            && !command.has(&["--no-cache"])
            && !is_other(command)
    };
    kept(scene, found, CacheKind::Apk, &|step| {
        if is_mounted(step, &["/var/cache/apk", "/etc/apk/cache"]) {
            return None;
        }
        last(step, keeps, clears_apk)
    });
}

pub(super) fn dnf(scene: &Scene<'_>, found: &mut Found<'_>) {
    let loads = |command: &Command| {
        let verbs = [
            "install",
            "in",
            "update",
            "up",
            "upgrade",
            "reinstall",
            "localinstall",
            "groupinstall",
            "makecache",
            "refresh",
            "distro-sync",
        ];
        let is_other = command.args().any(|arg| arg.starts_with("--installroot") || arg.starts_with("--root") || arg == "--downloadonly");
        command.is(&DNF) && verb(command, &verbs).is_some() && !is_other
    };
    let clears = |command: &Command| {
        let is_place = |word: &str| word.contains("/var/cache/") || word.trim_end_matches(['/', '*']) == "/var/cache";
        (command.is(&DNF) && verb(command, &["clean", "cc"]).is_some()) || removes(command, &is_place)
    };
    kept(scene, found, CacheKind::Dnf, &|step| {
        if is_mounted(step, &["/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5", "/var/cache/zypp", "/var/cache"]) {
            return None;
        }
        last(step, loads, clears)
    });
}

/// Whether a variable tells pip to keep nothing.
fn is_pip_off(name: &str, value: &str) -> bool {
    name == "PIP_NO_CACHE_DIR" && !value.is_empty()
}

pub(super) fn pip(scene: &Scene<'_>, found: &mut Found<'_>) {
    let is_off = scene.config.env.iter().filter_map(|variable| variable.raw().split_once('=')).any(|(name, value)| is_pip_off(name, value));
    let installs = |command: &Command| {
        let is_kept = !command.has(&["--no-cache-dir", "--no-cache"]) && !command.sets.iter().any(|(name, value)| is_pip_off(name, value));
        is_pip(command, command.name()) && verb(command, &["install", "wheel", "download"]).is_some() && is_kept
    };
    let clears = |command: &Command| {
        removes(command, &|word| word.contains(".cache")) || (is_pip(command, command.name()) && verb(command, &["cache"]).is_some())
    };
    let set = |step: &Step| step.commands.iter().flat_map(|command| &command.sets).any(|(name, value)| is_pip_off(name, value));
    let given = |step: &Step| step.given.iter().any(|(name, value)| is_pip_off(name, value));
    let from = found.findings.len();
    kept(scene, found, CacheKind::Pip, &|step| {
        if is_off || set(step) || given(step) || is_mounted(step, &["/root/.cache", "/home", "/var/cache", "/tmp"]) {
            return None;
        }
        last(step, installs, clears)
    });
    // It is cheap to be told of what is known to be there.
    if scene.facts.caches.is_some() {
        for finding in
            found.findings.iter_mut().skip(from).filter(|finding| finding.layer.as_ref().and_then(|layer| layer.index) != Some(0))
        {
            finding.severity = Severity::Low;
        }
    }
}

/// Known by bytes alone.
pub(super) fn npm(scene: &Scene<'_>, found: &mut Found<'_>) {
    kept(scene, found, CacheKind::Npm, &|step| {
        let known = bytes(scene, step.layer, CacheKind::Npm)?;
        last(step, |command| command.is(&["npm", "yarn", "npx", "corepack"]), |_| false).filter(|_| known > 0)
    });
}

pub(super) fn dist_upgrade(scene: &Scene<'_>, found: &mut Found<'_>) {
    for (step, command) in scene.commands() {
        if command.is(&APT) && verb(command, &["dist-upgrade", "full-upgrade"]).is_some() {
            found.command(scene, step, command);
        }
    }
}

pub(super) fn no_yes(scene: &Scene<'_>, found: &mut Found<'_>) {
    for (step, command) in scene.commands() {
        let asks = match command.name() {
            "apt-get" | "apt" | "aptitude" => verb(command, &["install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"]).is_some(),
            "yum" | "dnf" | "microdnf" | "tdnf" => verb(command, &["install", "update", "upgrade"]).is_some(),
            _ => false,
        };
        let quiet =
            command.args().any(|arg| arg.starts_with("-qq") || arg.starts_with("-q=") || arg.to_ascii_lowercase().contains("assume-yes"));
        let answered = command.has_short('y')
            || quiet
            || command.has(&[
                "--yes",
                "--assumeyes",
                "--force-yes",
                "--trivial-only",
                "--download-only",
                "-s",
                "--simulate",
                "--print-uris",
            ]);
        // Words that nobody can read, or an answer that is piped in.
        let unknown = command.args().any(|arg| arg.contains(['$', super::shell::INNER])) || command.piped.is_some();
        if asks && !answered && !unknown {
            found.command(scene, step, command);
        }
    }
}

pub(super) fn ssh_server(scene: &Scene<'_>, found: &mut Found<'_>) {
    for (step, command) in scene.commands() {
        if installs(command)
            .is_some_and(|packages| packages.iter().any(|package| matches!(*package, "openssh-server" | "dropbear" | "ssh")))
        {
            found.command(scene, step, command);
        }
    }
}
