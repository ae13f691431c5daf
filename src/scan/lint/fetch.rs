//! Rules about what a build loads from the network. Facts: the manuals of curl, wget, git, npm, pip, apt, apk and dnf; Docker's `ADD`.

use super::command::Command;
use super::settings::turns_tls_off;
use super::step::json;
use super::{Found, Scene, Step};
use crate::model::Severity;

/// The sources of an `ADD`, and where it puts them.
fn sources(step: &Step) -> (Vec<String>, String) {
    let mut words = json(&step.text).unwrap_or_else(|| step.text.split_whitespace().map(str::to_owned).collect());
    // What Buildah writes after its instructions.
    words.retain(|word| !word.starts_with('|'));
    let target = words.pop().unwrap_or_default();
    if words.last().is_some_and(|word| word == "in") && words.len() > 1 {
        words.pop();
    }
    (words, target)
}

fn is_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://") || lower.starts_with("ftp://")
}

/// A repository, which is loaded by its commit or branch.
fn is_git(text: &str) -> bool {
    let repository = text.split(['#', '?']).next().unwrap_or_default().trim_end_matches('/').to_ascii_lowercase();
    text.starts_with("git@")
        || text.starts_with("git://")
        || text.starts_with("ssh://")
        || repository.rsplit_once('.').is_some_and(|(_, ending)| ending == "git")
}

fn is_archive(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    [".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".tlz"].iter().any(|ending| name.ends_with(ending))
        || name.contains(".tar.")
        || name.contains(".tar*")
}

pub(super) fn add_url(scene: &Scene<'_>, found: &mut Found<'_>) {
    for step in scene.steps.iter().filter(|step| step.keyword == "ADD") {
        let (sources, target) = sources(step);
        let is_checked = step.flags.iter().any(|flag| flag.starts_with("--checksum="));
        if let Some(source) = sources.iter().find(|source| is_address(source) && !is_git(source)).filter(|_| !is_checked) {
            found.text(scene, step, &format!("ADD {source} {target}"));
        }
    }
}

pub(super) fn add_not_copy(scene: &Scene<'_>, found: &mut Found<'_>) {
    // The first is what the image is made from.
    for step in scene.steps.iter().skip_while(|step| !step.makes_layer).skip(1).filter(|step| step.keyword == "ADD") {
        let (sources, target) = sources(step);
        let is_other = |source: &String| is_address(source) || is_git(source) || is_archive(source);
        if sources.is_empty() || sources.iter().any(is_other) {
            continue;
        }
        // The classic builder keeps a digest instead of the name: it may have been an archive.
        let may_be_archive = sources.iter().any(|source| source.starts_with("file:") || source.starts_with("multi:"));
        if let Some(finding) = found.text(scene, step, &format!("ADD {} {target}", sources.join(" "))).filter(|_| may_be_archive) {
            finding.severity = Severity::Negligible;
        }
    }
}

fn fetches(command: &Command) -> bool {
    command.is(&["curl", "wget", "fetch", "aria2c", "lynx", "http"])
}

/// The letters of options by which an interpreter is given a program; `None` for what is none.
fn interpreter(command: &Command) -> Option<&'static [&'static str]> {
    let name = command.name();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match bare {
        _ if command.is_shell() => Some(&["c"]),
        "python" | "pypy" => Some(&["c", "m"]),
        "perl" => Some(&["e", "E"]),
        "ruby" => Some(&["e"]),
        "node" | "nodejs" => Some(&["e", "p"]),
        "php" => Some(&["r"]),
        _ => None,
    }
}

/// What runs a script that comes from the network: which text shows it.
fn runs_unseen(command: &Command, all: &[Command]) -> Option<String> {
    let fetched = |places: &[usize]| places.iter().filter_map(|&at| all.get(at)).any(fetches);
    let at_start = |word: &super::command::Word, sign: &str| {
        word.text.starts_with(&format!("{sign}{}", super::shell::INNER)) && word.inner.first().is_some_and(|places| fetched(places))
    };
    if command.is(&["eval", ".", "source"]) {
        return command.argv().get(1).filter(|word| at_start(word, "$") || at_start(word, "<")).map(|_| command.shown(all));
    }
    let given = interpreter(command)?;
    let mut before = "";
    for word in command.argv().iter().skip(1) {
        let is_program = before.starts_with('-') && given.iter().any(|letter| before.ends_with(letter));
        if at_start(word, "<") || (is_program && at_start(word, "$")) {
            return Some(command.shown(all));
        }
        before = &word.text;
    }
    if !command.reads_program(given) {
        return None;
    }
    if fetched(&command.stdin) {
        return Some(format!("{} < …", command.shown(all)));
    }
    let mut shown = command.shown(all);
    let mut from = command.piped;
    for _ in 0..20 {
        let source = all.get(from?)?;
        shown = format!("{} | {shown}", source.shown(all));
        if fetches(source) || source.words.iter().flat_map(|word| &word.inner).any(|places| fetched(places)) {
            return Some(shown);
        }
        from = source.piped;
    }
    None
}

pub(super) fn piped(scene: &Scene<'_>, found: &mut Found<'_>) {
    for (step, command) in scene.commands() {
        if let Some(text) = runs_unseen(command, &step.commands) {
            found.text(scene, step, &text);
        }
    }
}

/// Whether curl's short options have that letter, before one that takes the rest as its value.
fn curl_has(command: &Command, letter: char) -> bool {
    const VALUED: &str = "AbcCdDeEFHKmoPQrtTuUwxXyYz";
    command
        .args()
        .filter_map(|arg| arg.strip_prefix('-'))
        .filter(|letters| !letters.starts_with('-'))
        .any(|letters| letters.chars().take_while(|&c| !VALUED.contains(c)).any(|c| c == letter))
}

/// Whether all that it asks is the machine itself.
fn is_local(command: &Command) -> bool {
    let hosts = command.operands().filter_map(|word| Some(word.split_once("://")?.1.split(['/', ':', '?']).next().unwrap_or_default()));
    let mut hosts = hosts.peekable();
    hosts.peek().is_some() && hosts.all(|host| matches!(host, "localhost" | "127.0.0.1"))
}

/// Whether `key=value` or `key value` stands among its words, in any case.
fn says(command: &Command, key: &str, values: &[&str]) -> bool {
    let mut before = String::new();
    command.args().any(|arg| {
        let arg = arg.to_ascii_lowercase();
        let (name, value) = arg.split_once('=').unwrap_or((&before, &arg));
        let is_it = name.trim_start_matches('-').trim_start_matches("-o") == key && values.contains(&value.trim_matches(['"', '\'', ';']));
        before = arg;
        is_it
    })
}

fn is_unchecked(command: &Command) -> bool {
    const OFF: [&str; 4] = ["false", "0", "no", "off"];
    const ON: [&str; 4] = ["true", "1", "yes", "on"];
    match command.name() {
        "curl" => (curl_has(command, 'k') || command.has(&["--insecure"])) && !is_local(command),
        "wget" => command.args().any(|arg| arg.starts_with("--no-check-cert")) && !is_local(command),
        "git" => says(command, "http.sslverify", &OFF),
        "npm" | "yarn" | "pnpm" => says(command, "strict-ssl", &OFF),
        "conda" | "mamba" => says(command, "ssl_verify", &OFF),
        "apt" | "apt-get" | "aptitude" => {
            command.has(&["--allow-unauthenticated", "--force-yes", "--allow-insecure-repositories"])
                || says(command, "apt::get::allowunauthenticated", &ON)
                || says(command, "acquire::allowinsecurerepositories", &ON)
                || says(command, "acquire::https::verify-peer", &OFF)
        }
        "apk" => {
            command.has(&["--allow-untrusted"])
                && !command.operands().any(|word| word.rsplit_once('.').is_some_and(|(_, ending)| ending == "apk") && !is_address(word))
        }
        "yum" | "dnf" | "microdnf" | "tdnf" => command.has(&["--nogpgcheck", "--no-gpgchecks", "--nogpg"]),
        "zypper" => command.has(&["--no-gpg-checks"]),
        name if is_pip(command, name) => trusts_host(command),
        _ => false,
    }
}

/// Whether it is pip, by its name or as a module of Python.
pub(super) fn is_pip(command: &Command, name: &str) -> bool {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_module = || {
        let mut args = command.args().skip_while(|arg| *arg != "-m");
        args.next().is_some() && args.next() == Some("pip")
    };
    bare == "pip" || (bare == "python" && is_module())
}

fn trusts_host(command: &Command) -> bool {
    let mut before = "";
    command.args().any(|arg| {
        let host = arg.strip_prefix("--trusted-host=").or_else(|| (before == "--trusted-host").then_some(arg));
        before = arg;
        host.is_some_and(|host| !host.starts_with("localhost") && !host.starts_with("127.0.0.1"))
    })
}

pub(super) fn tls_check_off(scene: &Scene<'_>, found: &mut Found<'_>) {
    for (step, command) in scene.commands() {
        if let Some((name, value)) = command.sets.iter().find(|(name, value)| turns_tls_off(name, value)) {
            let text = format!("{name}={value} {}", command.shown(&step.commands));
            found.text(scene, step, &text);
        } else if is_unchecked(command) {
            found.command(scene, step, command);
        }
    }
}
