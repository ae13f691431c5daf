//! What is wrong with the steps of a build.
//!
//! What is shown of a step is put together of words that are no secret: a program, an option, a path; never the line as it stands.

use super::shell::{self, Command, Joint, SHELLS};
use super::{Around, Step, Told, names, place, settings};
use crate::model::finding::Evidence;
use crate::model::{Finding, FindingKind, Image, Severity};

const fn lint_rule(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    advice: &'static str,
    aliases: &'static [&'static str],
) -> Told {
    Told { id, kind: FindingKind::Lint, severity, title, advice, aliases, link: "" }
}

const ADD_URL: Told = lint_rule(
    "add-url",
    Severity::Low,
    "ADD fetches from an address",
    "What comes is not verified, and stays in its layer. Fetch it with a command that checks its digest, or use ADD --checksum.",
    &["CIS-DI-0009", "DL3020"],
);
const ADD_LOCAL: Told = lint_rule(
    "add-for-copy",
    Severity::Low,
    "ADD where COPY would do",
    "ADD unpacks archives and fetches addresses; COPY does what it says.",
    &["CIS-DI-0009", "DS-0005"],
);
const CURL_PIPE_SHELL: Told = lint_rule(
    "curl-pipe-shell",
    Severity::Medium,
    "What is fetched is run unseen",
    "Whatever comes is run, whole or not. Fetch it, check its digest, then run it.",
    &["DL4006"],
);
const TLS_OFF: Told = lint_rule(
    "tls-check-off",
    Severity::Medium,
    "Certificates or signatures are not checked",
    "Whoever is on the way can put in what they like. Add the certificate or key that is missing instead.",
    &[],
);
const CHMOD_ALL: Told = lint_rule(
    "chmod-777",
    Severity::Medium,
    "Everybody may write",
    "Any program in the container may change it. Give the rights to the one who needs them.",
    &[],
);
const UPDATE_ALONE: Told = lint_rule(
    "update-alone",
    Severity::Medium,
    "Updates package lists and installs nothing",
    "The step is cached, and what is installed later is old. Update and install in one step.",
    &["CIS-DI-0007", "DS-0017"],
);
const LISTS_KEPT: Told = lint_rule(
    "apt-lists-kept",
    Severity::Low,
    "apt's lists are left in the image",
    "Remove /var/lib/apt/lists/* in the step that updates them: later it is too late.",
    &["DKL-DI-0005"],
);
const APK_CACHE: Told = lint_rule(
    "apk-cache-kept",
    Severity::Low,
    "apk add without --no-cache",
    "Install with apk add --no-cache.",
    &["DKL-DI-0004", "DS-0025"],
);
const DIST_UPGRADE: Told = lint_rule(
    "dist-upgrade",
    Severity::Low,
    "Upgrades the whole system",
    "What is in the image depends on the day. Build on a newer base image instead.",
    &["DKL-DI-0003", "DS-0024"],
);
const SUDO: Told = lint_rule(
    "sudo",
    Severity::Medium,
    "Uses sudo",
    "A build runs as root or as whom USER names; with sudo in the image, so may whoever breaks in.",
    &["DKL-DI-0001", "DS-0010"],
);
const SECRET_IN_ARG: Told = Told {
    id: "secret-in-build-arg",
    kind: FindingKind::Secret,
    severity: Severity::High,
    title: "Secret in a build argument",
    advice: "The history tells every argument to whoever has the image. Mount it with RUN --mount=type=secret, and change it now.",
    aliases: &["CIS-DI-0010", "DS-0031"],
    link: "",
};
const SECRET_IN_STEP: Told = Told {
    id: "secret-in-step",
    kind: FindingKind::Secret,
    severity: Severity::High,
    title: "Secret in a build step",
    advice: "The history tells every step to whoever has the image. Mount it with RUN --mount=type=secret, and change it now.",
    aliases: &["CIS-DI-0010", "DS-0031"],
    link: "",
};

/// A rule, what tells the finding apart, and what it was seen by.
type Seen = (Told, String);

pub(super) fn lint(steps: &[Step<'_>], image: &Image, around: &Around<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut first_add = true;
    for step in steps {
        let mut here = secrets(step);
        let seen = match step.keyword {
            "RUN" => run(step.rest, around),
            "ADD" => add(step.rest, std::mem::take(&mut first_add)),
            _ => Vec::new(),
        };
        for (told, words) in seen {
            let nth = found.iter().chain(&here).filter(|finding| finding.id.raw() == told.id).count();
            let rest = if nth == 0 { String::new() } else { nth.to_string() };
            here.push(told.finding(&rest, Some(Evidence::plain(&words))));
        }
        for finding in &mut here {
            place(finding, step, image, around.base);
        }
        found.append(&mut here);
    }
    found
}

/// Secrets in arguments and in what a step says.
fn secrets(step: &Step<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = step.arguments.iter().filter_map(|(name, value)| settings::secret(&SECRET_IN_ARG, name, value)).collect();
    match step.keyword {
        "ARG" => found.extend(step.rest.split_once('=').and_then(|(name, value)| settings::secret(&SECRET_IN_ARG, name.trim(), value))),
        // What the image still sets is told of its settings already; a variable that was set and taken back is not.
        "ENV" => {
            for (name, value) in pairs(step.rest) {
                found.extend(settings::secret(&settings::SECRET_IN_ENV, &name, &value));
            }
        }
        "LABEL" => {}
        _ => {
            if let Some(hit) = names::known_form(step.rest)
                && let Some(rule) = hit.rule()
            {
                let mut finding = SECRET_IN_STEP.finding(rule.id, Some(hit.evidence.clone()));
                finding.severity = hit.severity;
                finding.title = format!("{}: {}", SECRET_IN_STEP.title, rule.title).into();
                finding.said = vec![super::said(SECRET_IN_STEP.id, hit.severity)];
                found.push(finding);
            }
        }
    }
    found
}

/// `A=1 B="2 3"`, or the old `A 1`.
fn pairs(rest: &str) -> Vec<(String, String)> {
    let Some((first, after)) = rest.split_once(|c: char| c == '=' || c.is_whitespace()) else { return Vec::new() };
    if !rest.get(first.len()..).is_some_and(|rest| rest.starts_with('=')) {
        return vec![(first.to_owned(), after.trim().to_owned())];
    }
    // A word before it, so that settings are taken for arguments.
    let words = shell::commands(&format!("ENV {rest}")).into_iter().next().map(|command| command.words).unwrap_or_default();
    words.iter().skip(1).filter_map(|word| word.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn add(rest: &str, is_first: bool) -> Vec<Seen> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_address = |word: &&&str| ["http://", "https://", "git://", "git@"].iter().any(|scheme| word.starts_with(scheme));
    if let Some(address) = words.iter().find(is_address) {
        let is_checked = words.iter().any(|word| word.starts_with("--checksum="));
        return if is_checked { Vec::new() } else { vec![(ADD_URL, public(address))] };
    }
    // The first one of the old builder is how a base image begins; archives are what ADD is there for.
    let is_base = is_first && words.first().is_some_and(|word| word.starts_with("file:") || word.starts_with("multi:"));
    let is_archive = words.iter().any(|word| [".tar", ".tgz", ".gz", ".xz", ".bz2", ".zst"].iter().any(|ending| word.contains(ending)));
    let to = words.last().filter(|_| words.len() > 1).copied().unwrap_or_default();
    let is_rootfs = to == "/" && is_first;
    if is_base || is_archive || is_rootfs || words.is_empty() { Vec::new() } else { vec![(ADD_LOCAL, format!("ADD … {to}"))] }
}

/// An address without who asks and what for.
fn public(address: &str) -> String {
    let bare = address.split(['?', '#']).next().unwrap_or_default();
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        None => "an address of Git".to_owned(),
    }
}

fn run(line: &str, around: &Around<'_>) -> Vec<Seen> {
    let commands = shell::commands(line);
    let mut seen: Vec<Seen> = Vec::new();
    for (at, command) in commands.iter().enumerate() {
        let later = commands.get(at + 1..).unwrap_or_default();
        seen.extend(piped(command, later));
        seen.extend(unchecked(command));
        seen.extend(open_to_all(command));
        seen.extend(packages(command, later, around));
        if command.is_sudo {
            seen.push((SUDO, "sudo".to_owned()));
        }
    }
    // Once a step is enough.
    let mut known = std::collections::HashSet::new();
    seen.retain(|(told, _)| known.insert(told.id));
    seen
}

const FETCHERS: [&str; 3] = ["curl", "wget", "fetch"];
const INTERPRETERS: [&str; 6] = ["python", "python3", "perl", "ruby", "node", "php"];

/// What is fetched and handed to a shell.
fn piped(command: &Command, later: &[Command]) -> Option<Seen> {
    let program = command.program();
    if FETCHERS.contains(&program) && command.joint == Joint::Pipe {
        let mut pipe = later.iter().scan(true, |goes_on, next| {
            let is_in = std::mem::replace(goes_on, next.joint == Joint::Pipe);
            is_in.then_some(next)
        });
        let runs = |next: &&Command| {
            let plain = |word: &str| word == "-" || (word.starts_with('-') && !word.contains('c')) || word == "--";
            let is_shell = SHELLS.contains(&next.program()) && !next.has("-c");
            is_shell || (INTERPRETERS.contains(&next.program()) && next.arguments().all(|word| word == "-" || plain(word) && word == "--"))
        };
        return pipe.find(runs).map(|next| (CURL_PIPE_SHELL, format!("{program} … | {}", next.program())));
    }
    let is_shell = SHELLS.contains(&program) || matches!(program, "eval" | "source" | ".");
    let fetches =
        |word: &str| FETCHERS.iter().any(|fetcher| ["$(", "<(", "`"].iter().any(|open| word.contains(&format!("{open}{fetcher} "))));
    (is_shell && command.arguments().any(fetches)).then(|| (CURL_PIPE_SHELL, format!("{program} … $(curl …)")))
}

/// Options by which certificates or signatures are not checked, by program.
const UNCHECKED: [(&[&str], &[&str]); 9] = [
    (&["curl"], &["-k", "--insecure"]),
    (&["wget"], &["--no-check-certificate"]),
    (&["apt-get", "apt"], &["--allow-unauthenticated", "--force-yes", "--allow-insecure-repositories"]),
    (&["apk"], &["--allow-untrusted"]),
    (&["yum", "dnf", "microdnf"], &["--nogpgcheck"]),
    (&["zypper"], &["--no-gpg-checks"]),
    (&["pip", "pip3"], &["--trusted-host"]),
    (&["npm", "yarn", "pnpm"], &["--strict-ssl=false"]),
    (&["gem"], &["--no-verify-ssl"]),
];

fn unchecked(command: &Command) -> Option<Seen> {
    let program = command.program();
    let by_option = UNCHECKED.iter().filter(|(programs, _)| programs.contains(&program)).flat_map(|(_, options)| *options);
    if let Some(option) = by_option.copied().find(|option| command.has(option)) {
        return Some((TLS_OFF, format!("{program} {option}")));
    }
    let words: Vec<&str> = command.arguments().collect();
    let sets = |name: &str, value: &str| {
        let follows = words.windows(2).any(|pair| pair.first() == Some(&name) && pair.last() == Some(&value));
        follows || words.iter().any(|word| word.split_once('=') == Some((name, value)))
    };
    let is_off = match program {
        "npm" | "yarn" | "pnpm" => sets("strict-ssl", "false"),
        "git" => sets("http.sslVerify", "false") || sets("http.sslverify", "false"),
        "export" => sets("NODE_TLS_REJECT_UNAUTHORIZED", "0") || sets("PYTHONHTTPSVERIFY", "0") || sets("GIT_SSL_NO_VERIFY", "1"),
        _ => false,
    };
    is_off.then(|| (TLS_OFF, format!("{program} with the check off")))
}

fn open_to_all(command: &Command) -> Option<Seen> {
    if command.program() != "chmod" {
        return None;
    }
    let mode = command.arguments().find(|word| !word.starts_with('-') || word.starts_with("-w"))?;
    let digits = mode.trim_start_matches('0');
    let is_number = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    // With the sticky bit before it, it is how a directory for all is made.
    let all_by_number = is_number && digits.ends_with(['2', '3', '6', '7']);
    let all_by_letter = mode.split(',').any(|part| {
        let (who, what) = part.split_once(['+', '=']).unwrap_or(("", ""));
        (who.is_empty() && part.contains('=') || who.contains(['o', 'a'])) && what.contains('w') && !what.contains('t')
    });
    (all_by_number || all_by_letter).then(|| (CHMOD_ALL, format!("chmod {mode}")))
}

fn packages(command: &Command, later: &[Command], around: &Around<'_>) -> Vec<Seen> {
    let (program, verb) = (command.program(), command.verb());
    let is_apt = matches!(program, "apt-get" | "apt" | "aptitude");
    let does =
        |programs: &[&str], verbs: &[&str]| later.iter().any(|next| programs.contains(&next.program()) && verbs.contains(&next.verb()));
    let mut seen = Vec::new();
    let alone = match (program, verb) {
        ("apt-get" | "apt" | "aptitude", "update") => {
            !does(
                &["apt-get", "apt", "aptitude"],
                &["install", "upgrade", "full-upgrade", "dist-upgrade", "build-dep", "satisfy", "download", "source", "reinstall"],
            ) && !later.iter().any(|next| next.program().starts_with("install"))
        }
        ("apk", "update") => !does(&["apk"], &["add", "upgrade", "fix"]),
        ("yum" | "dnf" | "microdnf", "makecache") => !does(&["yum", "dnf", "microdnf"], &["install", "update", "upgrade"]),
        _ => false,
    };
    if alone {
        seen.push((UPDATE_ALONE, format!("{program} {verb}")));
    }
    if (is_apt && matches!(verb, "dist-upgrade" | "full-upgrade")) || program == "do-release-upgrade" {
        seen.push((DIST_UPGRADE, format!("{program} {verb}").trim_end().to_owned()));
    }
    if matches!(verb, "install" | "add")
        && command.arguments().any(|word| word == "sudo")
        && (is_apt || matches!(program, "apk" | "yum" | "dnf" | "microdnf"))
    {
        seen.push((SUDO, format!("{program} {verb} sudo")));
    }
    // What the layers say is better than what steps make likely.
    if around.caches.is_some() {
        return seen;
    }
    let clears = |next: &Command| next.program() == "rm" && next.arguments().any(|word| word.starts_with("/var/lib/apt/lists"));
    if is_apt && verb == "update" && !later.iter().any(clears) && !does(&["apt-get", "apt"], &["distclean", "dist-clean"]) {
        seen.push((LISTS_KEPT, format!("{program} update")));
    }
    let clears = |next: &Command| next.program() == "rm" && next.arguments().any(|word| word.starts_with("/var/cache/apk"));
    if program == "apk" && verb == "add" && !command.has("--no-cache") && !later.iter().any(clears) {
        seen.push((APK_CACHE, "apk add".to_owned()));
    }
    seen
}
