//! Rules about the settings that containers start with. Facts: the OCI image specification's config, Docker's `USER`, `EXPOSE`, `VOLUME` and
//! `HEALTHCHECK`, and the variables that Node, Python, Git and npm document.

use super::{Found, Scene};
use crate::model::BaseSaid;
use crate::model::finding::Evidence;

/// What a user's name or number is without its group; what stands for root is `None`.
fn user(text: &str) -> Option<&str> {
    let user = text.split(':').next().unwrap_or_default().trim();
    let is_root = user.is_empty() || user == "root" || user.parse::<i128>() == Ok(0);
    (!is_root).then_some(user)
}

/// Whether who it is hangs on what `/etc/passwd` says.
pub(super) fn is_name(text: &str) -> bool {
    user(text).is_some_and(|user| user.parse::<i128>().is_err())
}

/// Whether an image is of Windows, where no user is root.
pub(super) fn is_windows(scene: &Scene<'_>) -> bool {
    scene.image.platform.as_ref().is_some_and(|platform| platform.os.eq_ignore_ascii_case("windows"))
}

/// The step that said it last.
fn said(scene: &Scene<'_>, keyword: &str) -> Option<usize> {
    scene.steps.iter().rev().find(|step| step.keyword == keyword).and_then(|step| step.layer)
}

pub(super) fn root(scene: &Scene<'_>, found: &mut Found<'_>) {
    if scene.image.config.is_none() || is_windows(scene) {
        return;
    }
    let text = scene.config.user.as_ref().map_or("", |user| user.raw());
    match user(text) {
        None if text.is_empty() => drop(found.add(None, "", Some(Evidence::plain("no USER")))),
        None => drop(found.add(said(scene, "USER"), "", Some(scene.evidence(&format!("USER {text}"))))),
        Some(name) => {
            if scene.facts.users.and_then(|users| users.get(name)) == Some(&0) {
                let evidence = scene.evidence(&format!("USER {text}, who is root by /etc/passwd"));
                found.add(said(scene, "USER"), "", Some(evidence));
            }
        }
    }
}

pub(super) fn unknown_user(scene: &Scene<'_>, found: &mut Found<'_>) {
    let text = scene.config.user.as_ref().map_or("", |user| user.raw());
    let Some(users) = scene.facts.users else { return };
    if is_name(text) && !is_windows(scene) && user(text).is_some_and(|user| !users.contains_key(user)) {
        found.add(said(scene, "USER"), "", Some(scene.evidence(&format!("USER {text}"))));
    }
}

pub(super) fn port_22(scene: &Scene<'_>, found: &mut Found<'_>) {
    if let Some(port) = scene.config.exposed_ports.iter().find(|port| matches!(port.raw().trim(), "22" | "22/tcp")) {
        found.add(said(scene, "EXPOSE"), "", Some(scene.evidence(&format!("EXPOSE {}", port.raw()))));
    }
}

pub(super) fn sensitive_volume(scene: &Scene<'_>, found: &mut Found<'_>) {
    for volume in &scene.config.volumes {
        let path = volume.raw().trim().trim_end_matches('/');
        let is_root = path.is_empty() && volume.raw().contains('/');
        if is_root || matches!(path, "/sys" | "/proc" | "/dev" | "/etc" | "/boot" | "/var/run/docker.sock" | "/run/docker.sock") {
            let path = if is_root { "/" } else { path };
            found.add(said(scene, "VOLUME"), path, Some(scene.evidence(&format!("VOLUME {path}"))));
        }
    }
}

pub(super) fn no_healthcheck(scene: &Scene<'_>, found: &mut Found<'_>) {
    if scene.image.config.is_some() && scene.config.healthcheck.as_ref().is_none_or(Vec::is_empty) {
        found.add(None, "", None);
    }
}

pub(super) fn tag_latest(scene: &Scene<'_>, found: &mut Found<'_>) {
    if scene.tag == Some("latest") {
        found.add(None, "", None);
    }
}

pub(super) fn base_latest(scene: &Scene<'_>, found: &mut Found<'_>) {
    let labelled = BaseSaid::among(&scene.config.labels);
    let Some(base) = scene.image.base.as_ref().or(labelled.as_ref()) else { return };
    let Ok(reference) = base.name.reference() else { return };
    if reference.digest().is_none() && reference.tag().is_none_or(|tag| tag == "latest") && reference.repository() != "library/scratch" {
        found.add(None, "", Some(scene.evidence(base.name.raw())));
    }
}

/// Whether that variable turns a check of certificates off.
pub(super) fn turns_tls_off(name: &str, value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']).to_ascii_lowercase();
    match name.to_ascii_uppercase().as_str() {
        "NODE_TLS_REJECT_UNAUTHORIZED" | "PYTHONHTTPSVERIFY" => value == "0",
        "GIT_SSL_NO_VERIFY" => !matches!(value.as_str(), "" | "0" | "false" | "no" | "off"),
        "NPM_CONFIG_STRICT_SSL" => value == "false",
        _ => false,
    }
}

pub(super) fn tls_check_off(scene: &Scene<'_>, found: &mut Found<'_>) {
    for variable in &scene.config.env {
        let Some((name, value)) = variable.raw().split_once('=').filter(|(name, value)| turns_tls_off(name, value)) else { continue };
        let sets = |text: &str| super::step::pairs(text).iter().any(|(set, _)| set == name);
        let step = scene.steps.iter().rev().find(|step| step.keyword == "ENV" && sets(&step.text));
        let evidence = scene.evidence(&format!("{name}={value}"));
        found.add(step.and_then(|step| step.layer), name, Some(evidence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_many_names() {
        for root in ["", "root", "0", "0:0", "root:root", "0:1000", "00", "+0", "-0", ":5", " 0", "000000000000000000000000"] {
            assert_eq!(user(root), None, "{root}");
        }
        for other in ["1", "10001", "10001:0", "app", "nobody:root", "rooty", "0x0", "1000:0"] {
            assert!(user(other).is_some(), "{other}");
        }
        assert!(is_name("app:0") && !is_name("1000") && !is_name("root"));
    }

    #[test]
    fn only_what_turns_the_check_off_does() {
        for (name, value) in [
            ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
            ("PYTHONHTTPSVERIFY", "0"),
            ("GIT_SSL_NO_VERIFY", "true"),
            ("npm_config_strict_ssl", "false"),
        ] {
            assert!(turns_tls_off(name, value), "{name}");
        }
        for (name, value) in
            [("NODE_TLS_REJECT_UNAUTHORIZED", "1"), ("GIT_SSL_NO_VERIFY", "false"), ("GIT_SSL_NO_VERIFY", ""), ("TLS", "0")]
        {
            assert!(!turns_tls_off(name, value), "{name}");
        }
    }
}
