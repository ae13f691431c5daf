//! What is wrong with an image's configuration.

use super::{Around, Told, names};
use crate::model::finding::Evidence;
use crate::model::{Finding, FindingKind, Foreign, Image, ImageConfig, Name, Severity};

const CIS: &str = "https://www.cisecurity.org/benchmark/docker";

const USER_ROOT: Told = Told {
    id: "user-root",
    kind: FindingKind::Misconfiguration,
    severity: Severity::Medium,
    title: "Runs as root",
    advice: "What breaks out of the program has root's rights. Make a user and name it with USER, best by its number.",
    aliases: &["CIS-DI-0001", "DS-0002"],
    link: CIS,
};
const NO_HEALTHCHECK: Told = Told {
    id: "no-healthcheck",
    kind: FindingKind::Misconfiguration,
    severity: Severity::Low,
    title: "Says nothing of its health",
    advice: "Without HEALTHCHECK an engine takes a program that hangs for one that works. Kubernetes has probes of its own.",
    aliases: &["CIS-DI-0006", "DS-0026"],
    link: CIS,
};
const SENSITIVE_VOLUME: Told = Told {
    id: "sensitive-volume",
    kind: FindingKind::Misconfiguration,
    severity: Severity::High,
    title: "Wants a directory of the system as a volume",
    advice: "Whoever mounts the host's there gives the host away.",
    aliases: &["DKL-DI-0002"],
    link: "",
};
const PORT_SSH: Told = Told {
    id: "port-ssh",
    kind: FindingKind::Misconfiguration,
    severity: Severity::Medium,
    title: "Opens the port of SSH",
    advice: "A container is entered by its engine; a server for that is one more thing that can be broken into.",
    aliases: &["DS-0004"],
    link: "https://avd.aquasec.com/misconfig/ds-0004",
};
const LATEST_TAG: Told = Told {
    id: "latest-tag",
    kind: FindingKind::Misconfiguration,
    severity: Severity::Low,
    title: "Goes by a tag that moves",
    advice: "Tomorrow it may be another image. Name a version, or the digest.",
    aliases: &["DKL-DI-0006"],
    link: "",
};
const LATEST_BASE: Told = Told {
    id: "latest-base",
    kind: FindingKind::Misconfiguration,
    severity: Severity::Low,
    title: "Is built on a tag that moves",
    advice: "The next build may stand on another image. Name a version of the base image, or its digest.",
    aliases: &["DS-0001"],
    link: "https://avd.aquasec.com/misconfig/ds-0001",
};
pub(super) const SECRET_IN_ENV: Told = Told {
    id: "secret-in-env",
    kind: FindingKind::Secret,
    severity: Severity::High,
    title: "Secret in an environment variable",
    advice: "Whoever has the image can read it. Give it to the container when that starts, and change it now.",
    aliases: &["CIS-DI-0010", "DS-0031"],
    link: CIS,
};
const SECRET_IN_LABEL: Told = Told {
    id: "secret-in-label",
    kind: FindingKind::Secret,
    severity: Severity::High,
    title: "Secret in a label",
    advice: "Whoever has the image can read it. Take it out, and change it now.",
    aliases: &[],
    link: CIS,
};
pub(super) const TLS_OFF_ENV: Told = Told {
    id: "tls-check-off",
    kind: FindingKind::Misconfiguration,
    severity: Severity::Medium,
    title: "Certificates are not checked",
    advice: "Whoever is on the way can put in what they like. Add the certificate that is missing instead.",
    aliases: &[],
    link: "",
};

/// Variables that switch the check of certificates off, and the values that do.
const SWITCHES: [(&str, &[&str]); 6] = [
    ("NODE_TLS_REJECT_UNAUTHORIZED", &["0"]),
    ("PYTHONHTTPSVERIFY", &["0"]),
    ("GIT_SSL_NO_VERIFY", &["1", "true", "yes"]),
    ("NPM_CONFIG_STRICT_SSL", &["false", "0"]),
    ("CURL_INSECURE", &["1", "true"]),
    ("GODEBUG", &["x509ignoreCN=0"]),
];

pub(super) fn lint(image: &Image, around: &Around<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(name(image, around));
    let Some(config) = &image.config else { return found };
    found.extend(user(config, around));
    let command = config.healthcheck.as_deref().unwrap_or_default();
    if command.first().is_none_or(|word| word.raw() == "NONE") {
        found.push(NO_HEALTHCHECK.finding("", None));
    }
    for volume in &config.volumes {
        let path = format!("/{}", volume.raw().trim_matches('/'));
        if ["/sys", "/dev", "/proc", "/var/run/docker.sock", "/run/docker.sock", "/"].contains(&path.as_str()) {
            found.push(SENSITIVE_VOLUME.finding(&path, Some(Evidence::plain(&path))));
        }
    }
    for port in &config.exposed_ports {
        if matches!(port.raw(), "22" | "22/tcp") {
            found.push(PORT_SSH.finding("", Some(Evidence::plain("22/tcp"))));
        }
    }
    for variable in &config.env {
        let (name, value) = variable.raw().split_once('=').unwrap_or((variable.raw(), ""));
        found.extend(secret(&SECRET_IN_ENV, name, value));
        found.extend(switch(name, value));
    }
    for (name, value) in &config.labels {
        found.extend(secret(&SECRET_IN_LABEL, name, value.raw()));
    }
    found
}

/// A value that is a secret by its form, or by its name.
pub(super) fn secret(told: &Told, name: &str, value: &str) -> Option<Finding> {
    let shown: String = name.chars().take(60).collect();
    if let Some(hit) = names::known_form(&format!("{shown}={value}")) {
        let rule = hit.rule()?;
        let mut finding = told.finding(name, Some(hit.evidence.clone()));
        finding.severity = hit.severity;
        finding.title = format!("{}: {}", told.title, rule.title).into();
        finding.said = vec![super::said(told.id, hit.severity)];
        return Some(finding);
    }
    let is_one = names::is_secret(name) && names::is_value(value);
    is_one.then(|| told.finding(name, Some(Evidence::masked(&format!("{shown}="), value))))
}

pub(super) fn switch(name: &str, value: &str) -> Option<Finding> {
    let (name, values) = SWITCHES.iter().find(|(switch, _)| switch.eq_ignore_ascii_case(name))?;
    let is_off = values.iter().any(|off| value.trim().eq_ignore_ascii_case(off));
    is_off.then(|| TLS_OFF_ENV.finding(name, Some(Evidence::plain(&format!("{name}={}", value.trim())))))
}

fn user(config: &ImageConfig, around: &Around<'_>) -> Option<Finding> {
    let user = config.user.as_ref().map_or("", Foreign::raw).trim();
    let name = user.split(':').next().unwrap_or_default();
    let is_root = match name {
        "" | "root" => true,
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => name.trim_start_matches('0').is_empty(),
        _ => around.is_root.and_then(|users| users.is_root(name)).unwrap_or_default(),
    };
    let words = if user.is_empty() { "no user is set".to_owned() } else { format!("USER {user}") };
    is_root.then(|| USER_ROOT.finding("", Some(Evidence::plain(&words))))
}

fn name(image: &Image, around: &Around<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(name) = around.name
        && moves(name)
    {
        found.push(LATEST_TAG.finding("", Some(Evidence::plain(name))));
    }
    let labels = image.config.as_ref().and_then(|config| crate::model::BaseSaid::among(&config.labels));
    if let Some(base) = image.base.as_ref().or(labels.as_ref())
        && base.digest.is_none()
        && moves(base.name.raw())
    {
        found.push(LATEST_BASE.finding("", Some(Evidence::plain(base.name.raw()))));
    }
    found
}

/// Whether a name is one of a tag that moves: `latest`, said or not.
fn moves(name: &str) -> bool {
    let reference = Name::new(name).reference();
    reference.is_ok_and(|reference| reference.digest().is_none() && reference.tag().is_none_or(|tag| tag == "latest"))
}
