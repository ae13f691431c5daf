//! Files of the finished image by their rights: what runs as somebody else, and what everybody may write.
//!
//! Facts: POSIX on modes; Linux's capabilities(7) on file capabilities.

use super::documents::layer;
use super::found::{by_rule, origin};
use crate::layer::compare::Finished;
use crate::layer::{Kind, Member, NodeId};
use crate::model::finding::Evidence;
use crate::model::{Finding, FindingKind, Image, Severity};
use crate::scan::lint::{Cache, CacheKind};

/// Findings of one kind.
const MOST: usize = 1_000;

/// Programs that systems install with these rights: known, looked after, and still better gone.
const KNOWN: [&str; 36] = [
    "at",
    "bbsuid",
    "bsd-write",
    "chage",
    "chfn",
    "chsh",
    "crontab",
    "dbus-daemon-launch-helper",
    "dotlockfile",
    "expiry",
    "fusermount",
    "fusermount3",
    "gpasswd",
    "grub2-set-bootflag",
    "locate",
    "mlocate",
    "mount",
    "mount.nfs",
    "newgidmap",
    "newgrp",
    "newuidmap",
    "pam_extrausers_chkpwd",
    "pam_timestamp_check",
    "passwd",
    "ping",
    "ping6",
    "pkexec",
    "polkit-agent-helper-1",
    "ssh-agent",
    "ssh-keysign",
    "su",
    "sudo",
    "umount",
    "unix_chkpwd",
    "utempter",
    "wall",
];
/// Directories in which systems have them.
const DIRS: [&[u8]; 8] = [b"bin/", b"sbin/", b"usr/bin/", b"usr/sbin/", b"usr/lib/", b"usr/libexec/", b"lib/", b"usr/lib64/"];

/// What was found, and how much was not kept.
#[derive(Debug, Default)]
pub(super) struct ByMode {
    pub(super) findings: Vec<Finding>,
    pub(super) beyond: usize,
    pub(super) caches: Vec<Cache>,
}

/// Looks at all that is there in the end. Layers of which only names are known are looked at as well: rights stand beside them.
pub(super) fn look(image: &Image, side: &Finished<'_>, base: Option<usize>) -> ByMode {
    let mut found = ByMode::default();
    for id in side.tree.nodes() {
        let Some(member) = side.member(id).filter(|_| side.has(id)) else { continue };
        if is_unusual(&member) {
            one(image, side, (id, &member), base, &mut found);
        }
    }
    found.caches = caches(side);
    found
}

fn is_unusual(member: &Member<'_>) -> bool {
    let mode = member.mode().unwrap_or_default();
    match member.kind() {
        Kind::File | Kind::Sparse => mode & 0o6002 != 0 || member.capability().is_some(),
        Kind::Directory => mode & 0o1002 == 0o0002,
        _ => false,
    }
}

fn one(image: &Image, side: &Finished<'_>, (id, member): (NodeId, &Member<'_>), base: Option<usize>, into: &mut ByMode) {
    let bytes = side.tree.path(id);
    let path = String::from_utf8_lossy(&bytes);
    let mode = member.mode().unwrap_or_default();
    let shown = format!("mode {:04o}", mode & 0o7777);
    let mut here: Vec<(&str, &str, Severity, String)> = Vec::new();
    if member.kind() == Kind::Directory {
        here.push(("world-writable-directory", "Directory that everybody may write to", Severity::Medium, shown));
    } else {
        // Without the right to run it, the bit does nothing.
        let weight = if is_known(&bytes) { Severity::Negligible } else { Severity::Medium };
        if mode & 0o4000 != 0 && mode & 0o111 != 0 {
            here.push(("setuid-file", "Program that runs as its owner", weight, shown.clone()));
        }
        if mode & 0o2000 != 0 && mode & 0o010 != 0 {
            here.push(("setgid-file", "Program that runs as its group", weight, shown.clone()));
        }
        if mode & 0o002 != 0 {
            here.push(("world-writable-file", "File that everybody may write to", Severity::Medium, shown));
        }
        if let Some(value) = member.capability() {
            let (words, is_harmless) = capabilities(value);
            let weight = if is_harmless || is_known(&bytes) { Severity::Negligible } else { Severity::Medium };
            here.push(("file-capability", "Program that runs with rights of root", weight, words));
        }
    }
    let index = side.origin(id).map(|(layer, _)| layer);
    for (rule, title, severity, words) in here {
        if into.findings.len() >= MOST {
            into.beyond += 1;
            continue;
        }
        let mut finding = by_rule(FindingKind::SensitiveFile, rule, title, severity, &path, "");
        finding.evidence = Some(Evidence::plain(&words));
        if let Some(index) = index {
            finding.layer = Some(layer(image, index));
            finding.origin = origin(index, base);
        }
        into.findings.push(finding);
    }
}

fn is_known(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    DIRS.iter().any(|dir| path.starts_with(dir)) && KNOWN.iter().any(|known| known.as_bytes() == name)
}

/// Names of capabilities, by their numbers.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// What a file's capabilities are, and whether these are only such as let it use the network.
fn capabilities(value: &[u8]) -> (String, bool) {
    let word = |at: usize| value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let permitted = u64::from(word(4)) | u64::from(word(12)) << 32;
    let numbers: Vec<usize> = (0..64).filter(|bit| permitted >> bit & 1 == 1).collect();
    let name = |number: &usize| CAPABILITIES.get(*number).map_or_else(|| format!("cap_{number}"), |name| format!("cap_{name}"));
    let names: Vec<String> = numbers.iter().map(name).collect();
    let is_harmless = numbers.iter().all(|number| matches!(number, 10 | 13));
    (if names.is_empty() { "no capability".to_owned() } else { names.join(", ") }, is_harmless)
}

/// What package managers left, by layer: also what a later layer takes away, since it costs as much.
fn caches(side: &Finished<'_>) -> Vec<Cache> {
    let mut found: Vec<Cache> = Vec::new();
    for (place, index) in side.tree.layers().iter().enumerate() {
        for (_, member) in index.members() {
            if member.kind() != Kind::File || member.stored() == 0 || member.whiteout().is_some() {
                continue;
            }
            let Some(kind) = CacheKind::of(&member.path()) else { continue };
            match found.iter_mut().find(|cache| (cache.layer, cache.kind) == (place, kind)) {
                Some(cache) => cache.bytes = cache.bytes.saturating_add(member.stored()),
                None => found.push(Cache { layer: place, kind, bytes: member.stored() }),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named() {
        let value = |low: u32, high: u32| [[0, 0, 0, 2], low.to_le_bytes(), [0; 4], high.to_le_bytes(), [0; 4]].concat();
        assert_eq!(capabilities(&value(1 << 13, 0)), ("cap_net_raw".to_owned(), true));
        assert_eq!(capabilities(&value(1 << 10 | 1 << 21, 1 << 7)), ("cap_net_bind_service, cap_sys_admin, cap_bpf".to_owned(), false));
        assert_eq!(capabilities(b""), ("no capability".to_owned(), true));
        assert_eq!(capabilities(&value(0, 1 << 31)).0, "cap_63");
    }

    #[test]
    fn what_systems_install_is_known_by_its_place_too() {
        assert!(is_known(b"usr/bin/passwd") && is_known(b"bin/su") && is_known(b"usr/lib/openssh/ssh-keysign"));
        assert!(!is_known(b"opt/su") && !is_known(b"usr/bin/tool") && !is_known(b"usr/local/bin/sudo"));
    }
}
