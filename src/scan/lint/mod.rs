//! What is wrong with an image by its settings and its build history alone: who it runs as, secrets in its variables, and steps of the build that
//! cost or endanger it. Of layers it knows what it is told ([`Facts`]).
//!
//! `RULES` has a row for each rule, with the function that looks: a rule is one row here and one function beside it. Rules are precise rather than
//! many; steps are read command by command (`shell`), never by searching their text. What is shown of a command is masked.
//!
//! May use model. Pure. Facts: the OCI image specification, Docker's reference and its notes on building, the CIS Docker Benchmark.

mod cache;
mod card;
mod command;
mod fetch;
mod mask;
mod name;
mod packages;
mod rights;
mod secret;
mod settings;
mod shell;
mod step;

use std::collections::{BTreeMap, BTreeSet};

pub use cache::{Cache, CacheKind};
pub use card::{Known, card};

use command::Command;
use mask::Mask;
use settings as set;
use step::Step;

use crate::model::finding::{Evidence, FindingLayer};
use crate::model::report::NotLooked;
use crate::model::{Finding, FindingKind, Image, ImageConfig, Severity};

/// Findings of one rule.
const MOST_OF_RULE: usize = 200;

/// A credential in a text, without what must not be shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHit {
    /// The id of its findings.
    pub rule: &'static str,
    pub title: &'static str,
    pub severity: Severity,
    /// Masked.
    pub evidence: Evidence,
}

/// Finds a credential in a text by its form.
pub type SecretIn<'a> = dyn Fn(&str) -> Option<SecretHit> + 'a;

/// What is known of an image besides its settings and history.
#[derive(Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The numbers of the users in the finished `/etc/passwd`; empty where there is no such file, `None` where layers weren't read.
    pub users: Option<&'a BTreeMap<String, u32>>,
    /// What package managers left, layer by layer; `None` where layers weren't read.
    pub caches: Option<&'a [Cache]>,
    /// Finds a credential by its form.
    pub secret_in: Option<&'a SecretIn<'a>>,
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts").field("users", &self.users).field("caches", &self.caches).finish_non_exhaustive()
    }
}

/// What is looked for, and how.
struct Rule {
    id: &'static str,
    kind: FindingKind,
    /// Unless it is told otherwise of what is found.
    severity: Severity,
    title: &'static str,
    /// What to do instead.
    advice: &'static str,
    /// The same rule of others.
    aliases: &'static [&'static str],
    look: fn(&Scene<'_>, &mut Found<'_>),
}

const fn setting(
    id: &'static str,
    severity: Severity,
    aliases: &'static [&'static str],
    look: fn(&Scene<'_>, &mut Found<'_>),
    title: &'static str,
    advice: &'static str,
) -> Rule {
    Rule { id, kind: FindingKind::Misconfiguration, severity, title, advice, aliases, look }
}

const fn build(
    id: &'static str,
    severity: Severity,
    aliases: &'static [&'static str],
    look: fn(&Scene<'_>, &mut Found<'_>),
    title: &'static str,
    advice: &'static str,
) -> Rule {
    Rule { kind: FindingKind::Lint, ..setting(id, severity, aliases, look, title, advice) }
}

const fn secret(id: &'static str, look: fn(&Scene<'_>, &mut Found<'_>), title: &'static str, advice: &'static str) -> Rule {
    Rule { kind: FindingKind::Secret, ..setting(id, Severity::High, &["CIS-DI-0010", "DS-0031", "DL3064"], look, title, advice) }
}

use Severity::{High, Low, Medium, Negligible};

/// Every rule.
const RULES: &[Rule] = &[
    setting(
        "user-root",
        Medium,
        &["CIS-DI-0001", "DS-0002", "DL3002"],
        set::root,
        "Runs as root",
        "Say USER with another user near the end of the build; a number such as 10001 works everywhere.",
    ),
    setting(
        "user-unknown",
        Negligible,
        &[],
        set::unknown_user,
        "Runs as a user that the image doesn't have",
        "Add the user during the build, or name it by its number: a container does not start with a name that is not in /etc/passwd.",
    ),
    secret(
        "env-secret",
        secret::env,
        "An environment variable holds a secret",
        "Whoever has the image can read it. Give it to the container when it starts, and change the secret: a later step does not take it away.",
    ),
    secret(
        "arg-secret",
        secret::arg,
        "A build argument holds a secret",
        "Build arguments stay in the history. Use RUN --mount=type=secret, and change the secret.",
    ),
    secret("label-secret", secret::label, "A label holds a secret", "Labels are for everybody. Leave it out, and change the secret."),
    secret(
        "step-secret",
        secret::step,
        "A step of the build holds a secret",
        "The history keeps every command as it was written. Use RUN --mount=type=secret, and change the secret.",
    ),
    setting(
        "env-tls-check-off",
        High,
        &[],
        set::tls_check_off,
        "Certificates are not checked",
        "Every program in the container trusts whoever answers. Add the missing certificate authority instead.",
    ),
    setting(
        "port-22",
        Low,
        &["DS-0004"],
        set::port_22,
        "Port 22 is exposed",
        "A container is entered with exec; a server for SSH is one more thing to keep safe.",
    ),
    setting(
        "sensitive-volume",
        Medium,
        &["DKL-DI-0002"],
        set::sensitive_volume,
        "A directory of the system is a volume",
        "Keep volumes to the data of the application: what is mounted there comes into every container that is made of the image.",
    ),
    setting(
        "no-healthcheck",
        Negligible,
        &["CIS-DI-0006", "DS-0026"],
        set::no_healthcheck,
        "Has no HEALTHCHECK",
        "Say HEALTHCHECK, so that an engine sees when the application hangs. Orchestrators have probes of their own, and tools that build images in OCI format may leave it out.",
    ),
    setting(
        "tag-latest",
        Low,
        &["DKL-DI-0006"],
        set::tag_latest,
        "Goes by the tag latest",
        "Name a version: what latest means changes, and nobody can tell which image runs.",
    ),
    setting(
        "base-latest",
        Low,
        &["DS-0001", "DL3007"],
        set::base_latest,
        "Was built on the tag latest of another image",
        "Name a version of the base image, or its digest, so that the next build starts from the same.",
    ),
    build(
        "add-url",
        Medium,
        &["CIS-DI-0009", "DS-0005", "DL3020"],
        fetch::add_url,
        "ADD loads a file from the network unchecked",
        "Say what it must be with ADD --checksum, or load and check it in a RUN step.",
    ),
    build(
        "add-not-copy",
        Low,
        &["CIS-DI-0009", "DS-0005", "DL3020"],
        fetch::add_not_copy,
        "ADD where COPY would do",
        "COPY takes files as they are; ADD also loads and unpacks, which may surprise.",
    ),
    build(
        "curl-pipe-shell",
        Medium,
        &[],
        fetch::piped,
        "A script from the network runs unseen",
        "Load it to a file, check its digest or signature, then run it: who answers at that address decides what is in the image.",
    ),
    build(
        "tls-check-off",
        High,
        &[],
        fetch::tls_check_off,
        "Loads from the network without checking who answers",
        "Install ca-certificates, or add the certificate authority that is missing, and leave the check on.",
    ),
    build(
        "chmod-world-writable",
        Medium,
        &[],
        rights::chmod,
        "Files are made writable for everybody",
        "Give them to the user that needs them with chown or COPY --chown, or to its group.",
    ),
    build(
        "update-alone",
        Low,
        &["CIS-DI-0007", "DS-0017"],
        packages::update_alone,
        "Package lists are updated in a step of their own",
        "Update and install in the same RUN: a cached update makes later installs take old packages.",
    ),
    build(
        "apt-lists-kept",
        Low,
        &["DKL-DI-0005", "DL3009"],
        packages::apt_lists,
        "Package lists of apt stay in the layer",
        "Remove /var/lib/apt/lists/* in the same RUN, or mount a cache there.",
    ),
    build(
        "apt-packages-kept",
        Low,
        &["DKL-DI-0005"],
        packages::apt_archives,
        "Downloaded packages of apt stay in the layer",
        "Say apt-get clean in the same RUN, or mount a cache at /var/cache/apt.",
    ),
    build(
        "apk-cache-kept",
        Low,
        &["DKL-DI-0004", "DS-0025", "DL3019"],
        packages::apk,
        "Package lists of apk stay in the layer",
        "Say apk add --no-cache.",
    ),
    build(
        "dnf-cache-kept",
        Low,
        &["DS-0015", "DS-0019", "DS-0020", "DL3032", "DL3036", "DL3040"],
        packages::dnf,
        "Downloads of the package manager stay in the layer",
        "Say dnf clean all (yum clean all, zypper clean) in the same RUN, or mount a cache.",
    ),
    build(
        "pip-cache-kept",
        Negligible,
        &["DL3042"],
        packages::pip,
        "The cache of pip stays in the layer",
        "Say pip install --no-cache-dir, or mount a cache.",
    ),
    build(
        "npm-cache-kept",
        Low,
        &["DL3060"],
        packages::npm,
        "The cache of npm or Yarn stays in the layer",
        "Say npm cache clean --force in the same RUN, or mount a cache.",
    ),
    build(
        "dist-upgrade",
        Low,
        &["DKL-DI-0003", "DS-0024"],
        packages::dist_upgrade,
        "The whole distribution is upgraded",
        "Take a newer base image: an upgrade doubles the files that it replaces, and differs from day to day.",
    ),
    build(
        "no-yes",
        Negligible,
        &["DS-0021", "DL3014"],
        packages::no_yes,
        "A package manager is left to ask",
        "Say -y: nobody is there to answer.",
    ),
    build(
        "ssh-server",
        Low,
        &["DS-0004"],
        packages::ssh_server,
        "A server for SSH is installed",
        "A container is entered with exec; leave the server out.",
    ),
    build(
        "sudo",
        Low,
        &["DKL-DI-0001", "DS-0010", "DL3004"],
        rights::sudo,
        "sudo is used or installed",
        "Do what needs root before USER; to change the user when a container starts, setpriv, gosu or su-exec leave nothing to log in with.",
    ),
    build(
        "maintainer",
        Negligible,
        &["DS-0022", "DL4000"],
        rights::maintainer,
        "MAINTAINER is no longer used",
        "Say LABEL org.opencontainers.image.authors=…",
    ),
];

/// The image as rules look at it.
struct Scene<'a> {
    image: &'a Image,
    config: &'a ImageConfig,
    tag: Option<&'a str>,
    steps: Vec<Step>,
    facts: &'a Facts<'a>,
    /// Secrets in settings and steps, which must not be seen anywhere.
    values: Vec<String>,
}

impl Scene<'_> {
    /// The commands of all `RUN` steps.
    fn commands(&self) -> impl Iterator<Item = (&Step, &Command)> {
        self.steps.iter().flat_map(|step| step.commands.iter().map(move |command| (step, command)))
    }

    /// A text that may be shown.
    fn masked(&self, text: &str) -> String {
        let has_secret = |text: &str| self.facts.secret_in.is_some_and(|find| find(text).is_some());
        Mask { has_secret: &has_secret, values: &self.values }.hide(text)
    }

    fn evidence(&self, text: &str) -> Evidence {
        Evidence::plain(&self.masked(text))
    }
}

/// What a rule found.
struct Found<'a> {
    rule: &'a Rule,
    findings: &'a mut Vec<Finding>,
    count: usize,
    /// How often each was seen: equal commands of several steps are told apart by their order.
    seen: BTreeMap<String, usize>,
}

impl Found<'_> {
    /// Adds a finding. `rest` tells it apart from others of the rule, and holds no secret; it is `None` when there are too many.
    fn add(&mut self, layer: Option<usize>, rest: &str, evidence: Option<Evidence>) -> Option<&mut Finding> {
        self.add_as(self.rule.id, layer, rest, evidence)
    }

    /// The same under the id of another rule.
    fn add_as(&mut self, id: &str, layer: Option<usize>, rest: &str, evidence: Option<Evidence>) -> Option<&mut Finding> {
        if self.count >= MOST_OF_RULE {
            return None;
        }
        self.count += 1;
        let times = self.seen.entry(format!("{id} {rest}")).or_default();
        *times += 1;
        let rest = if *times > 1 { format!("{rest}\0{times}") } else { rest.to_owned() };
        let rule = self.rule;
        self.findings.push(Finding {
            aliases: rule.aliases.iter().map(|&alias| alias.into()).collect(),
            severity: rule.severity,
            severity_source: "rule".into(),
            title: rule.title.into(),
            description: rule.advice.into(),
            layer: layer.map(|index| FindingLayer { index: Some(index), ..FindingLayer::default() }),
            evidence,
            ..Finding::new(rule.kind, id, None, None, &rest)
        });
        self.findings.last_mut()
    }

    /// Adds a finding about a command of a step.
    fn command(&mut self, scene: &Scene<'_>, step: &Step, command: &Command) -> Option<&mut Finding> {
        self.text(scene, step, &command.shown(&step.commands))
    }

    /// Adds a finding about a step, shown by that text of it.
    fn text(&mut self, scene: &Scene<'_>, step: &Step, text: &str) -> Option<&mut Finding> {
        let evidence = scene.evidence(text);
        let rest = evidence.as_str().to_owned();
        self.add(step.layer, &rest, Some(evidence))
    }
}

/// What is wrong with an image by its settings and its history. `tag` is the one that it was asked for by. Findings name layers by their index
/// alone; whether they came with the base image is left to who knows it.
#[must_use]
pub fn settings(image: &Image, tag: Option<&str>, facts: &Facts<'_>) -> Vec<Finding> {
    let none = ImageConfig::default();
    let config = image.config.as_ref().unwrap_or(&none);
    let mut scene = Scene { image, config, tag, steps: step::steps(image), facts, values: Vec::new() };
    scene.values = secret::values(&scene);
    let mut findings = Vec::new();
    for rule in RULES {
        (rule.look)(&scene, &mut Found { rule, findings: &mut findings, count: 0, seen: BTreeMap::new() });
    }
    for finding in &mut findings {
        let Some(at) = finding.layer.as_mut() else { continue };
        if let Some(layer) = at.index.and_then(|index| image.layers.as_ref()?.iter().find(|layer| layer.index == index)) {
            (at.digest, at.diff_id) = (layer.digest.clone(), layer.diff_id.clone());
        }
    }
    findings
}

/// What [`settings()`] looks for in such an image, and what it can't and why. Secrets are looked for in settings and steps only, so that they are
/// not among the kinds.
#[must_use]
pub fn looked_for(image: &Image, facts: &Facts<'_>) -> (BTreeSet<FindingKind>, Vec<NotLooked>) {
    let mut kinds = BTreeSet::new();
    let mut not = Vec::new();
    if image.config.is_some() {
        kinds.insert(FindingKind::Misconfiguration);
        let is_named = image.config.as_ref().and_then(|config| config.user.as_ref()).is_some_and(|user| set::is_name(user.raw()));
        if is_named && facts.users.is_none() {
            not.push(NotLooked::new("misconfiguration: whether the user is root by another name", "/etc/passwd was not read"));
        }
    } else {
        not.push(NotLooked::new("misconfiguration", "the source tells nothing of the image's settings"));
    }
    if image.history.as_ref().is_some_and(|history| history.iter().any(|entry| entry.created_by.is_some())) {
        kinds.insert(FindingKind::Lint);
    } else {
        not.push(NotLooked::new("lint", "the image has no build history"));
    }
    if facts.secret_in.is_none() {
        not.push(NotLooked::new("secret in settings by its form", "only names of variables were looked at"));
    }
    (kinds, not)
}

#[cfg(test)]
mod tests;
