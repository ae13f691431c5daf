//! What differs between two images by what their documents say: configuration and layers. Files are compared in `layer`.
//!
//! May use model. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::markdown::{plain, table};
use crate::model::comparison::{Changed, ComparedFile, Comparison, ConfigChange, FileChange, FindingChange, LayerChange, Section, Side};
use crate::model::{Digest, Foreign, Image, LayerInfo, Safe, size};

/// The settings that differ, by field. Of what Docker keeps as `NAME=VALUE`, and of labels, each has a field of its own.
#[must_use]
pub fn config(before: &Image, after: &Image) -> Vec<ConfigChange> {
    let (before, after) = (fields(before), fields(after));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |field: &&String| before.get(*field) != after.get(*field);
    let change =
        |field: &String| ConfigChange { field: field.clone(), before: before.get(field).cloned(), after: after.get(field).cloned() };
    all.into_iter().filter(differs).map(change).collect()
}

fn fields(image: &Image) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut put = |field: String, value: Value| {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            all.insert(field, value);
        }
    };
    if let Some(platform) = &image.platform {
        put("platform".to_owned(), Value::String(platform.to_string()));
    }
    let Some(config) = &image.config else { return all };
    for variable in &config.env {
        let (name, value) = variable.raw().split_once('=').unwrap_or((variable.raw(), ""));
        put(format!("env.{name}"), Value::String(value.to_owned()));
    }
    for (name, value) in &config.labels {
        put(format!("labels.{name}"), Value::String(value.raw().to_owned()));
    }
    // As `inspect` prints them.
    if let Ok(Value::Object(rest)) = serde_json::to_value(config) {
        for (field, value) in rest {
            if field != "env" && field != "labels" {
                put(field, value);
            }
        }
    }
    all
}

/// All layers of both images: those of the first from the bottom, then those that only the second has. A layer is the same wherever it lies
/// and however it is stored, if it unpacks to the same.
#[must_use]
pub fn layers(before: &Image, after: &Image) -> Vec<LayerChange> {
    let (before, after) = (before.layers.as_deref().unwrap_or_default(), after.layers.as_deref().unwrap_or_default());
    let ids = |layers: &[LayerInfo]| -> BTreeSet<Digest> { layers.iter().filter_map(|layer| layer.diff_id.clone()).collect() };
    let (ours, theirs) = (ids(before), ids(after));
    let within = |layer: &LayerInfo, others: &BTreeSet<Digest>| layer.diff_id.as_ref().is_some_and(|id| others.contains(id));
    let row = |layer: &LayerInfo, change| LayerChange {
        change,
        diff_id: layer.diff_id.clone(),
        size: layer.size,
        created_by: layer.created_by.clone(),
    };
    let first = before.iter().map(|layer| row(layer, if within(layer, &theirs) { Side::Shared } else { Side::Removed }));
    let second = after.iter().filter(|layer| !within(layer, &ours)).map(|layer| row(layer, Side::Added));
    first.chain(second).collect()
}

/// A value as it is shown; text without quotes, nothing as a dash.
#[must_use]
pub fn value(value: Option<&Value>) -> Safe {
    match value {
        None => Safe::new("–"),
        Some(Value::String(text)) => Safe::new(text),
        Some(other) => Safe::new(&other.to_string()),
    }
}

/// What a file is, in a few words: a link by where it leads, anything else by its size or kind.
#[must_use]
pub fn file(file: Option<&ComparedFile>) -> Safe {
    let Some(file) = file else { return Safe::new("–") };
    let what = match (&file.link, file.kind) {
        (Some(link), _) => return Safe::from(format!("→ {}", link.safe())),
        (None, "file") => size::human(file.size),
        (None, kind) => kind.to_owned(),
    };
    Safe::from(file.mode.as_ref().map_or_else(|| what.clone(), |mode| format!("{what} {mode}")))
}

/// A finding in a line: how bad it is, its id, and where.
#[must_use]
pub fn finding(change: &FindingChange) -> Safe {
    let finding = &change.finding;
    let place = finding.place().map(|place| format!(" {place}")).unwrap_or_default();
    Safe::from(format!("{} {}{place}", finding.severity.word(), finding.id.safe()))
}

/// Which findings nobody looked for in both images.
#[must_use]
pub fn not_compared(found: &Comparison) -> Option<String> {
    let kinds: Vec<&str> = found.not_compared.iter().map(|kind| kind.plural()).collect();
    (found.findings.is_some() && !kinds.is_empty()).then(|| format!("not looked for in both: {}", kinds.join(", ")))
}

/// A package's version, or a dash.
#[must_use]
pub fn version(version: Option<&Foreign>) -> Safe {
    version.map_or_else(|| Safe::new("–"), Foreign::safe)
}

impl Changed {
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Modified => "~",
            Self::Removed => "-",
        }
    }
}

impl Side {
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Shared => "=",
            Self::Removed => "-",
            Self::Added => "+",
        }
    }
}

/// The places of those rows of a section that have all parts of `filter` in their names, whatever the case.
#[must_use]
pub fn sift(found: &Comparison, section: Section, filter: &str) -> Vec<usize> {
    let filter = filter.to_lowercase();
    let parts: Vec<&str> = filter.split_whitespace().collect();
    let fits = |at: &usize| row_name(found, section, *at).is_some_and(|name| parts.iter().all(|part| name.contains(part)));
    (0..found.rows_of(section).unwrap_or(0)).filter(fits).collect()
}

/// What a row is about, in lower case.
fn row_name(found: &Comparison, section: Section, at: usize) -> Option<String> {
    Some(match section {
        Section::Settings => found.config.get(at)?.field.to_lowercase(),
        Section::Layers => found.layers.get(at)?.created_by.as_ref()?.raw().to_lowercase(),
        Section::Files => format!("/{}", found.files.as_ref()?.get(at)?.path.raw().to_lowercase()),
        Section::Packages => found.packages.as_ref()?.get(at)?.name.raw().to_lowercase(),
        Section::Findings => finding(found.findings.as_ref()?.get(at)?).as_str().to_lowercase(),
    })
}

/// All of it, for people: `before` and `after` are the images' names.
#[must_use]
pub fn markdown(found: &Comparison, before: &Safe, after: &Safe) -> String {
    let mut out = format!("# {} and {}\n", plain(before), plain(after));
    let heads = ["", "Before", "After"];
    let same = |out: &mut String, title: &str, why: &str| _ = writeln!(out, "\n## {title}\n\n{why}");
    let settings = found.config.iter().map(|one| [Safe::new(&one.field), value(one.before.as_ref()), value(one.after.as_ref())]);
    if found.config.is_empty() {
        same(&mut out, "Settings", "No difference.");
    }
    table(&mut out, "Settings", heads, settings);
    let layers = found.layers.iter().map(|one| {
        let bytes = one.size.map_or_else(|| Safe::new("–"), |bytes| size::human(bytes).into());
        let id = one.diff_id.as_ref().map_or_else(|| Safe::new("–"), |id| Safe::new(id.short()));
        [Safe::new(one.change.sign()), bytes, id, version(one.created_by.as_ref())]
    });
    table(&mut out, "Layers", ["", "Size", "Layer", "Created by"], layers);
    match &found.files {
        None => same(&mut out, "Files", "Not known."),
        Some(files) if files.is_empty() => same(&mut out, "Files", "No difference."),
        Some(files) => {
            let row =
                |one: &FileChange| [Safe::new(one.change.sign()), one.path.safe(), file(one.before.as_ref()), file(one.after.as_ref())];
            table(&mut out, "Files", ["", "Path", "Before", "After"], files.iter().map(row));
        }
    }
    match &found.packages {
        None => same(&mut out, "Packages", "Not known."),
        Some(packages) if packages.is_empty() => same(&mut out, "Packages", "No difference."),
        Some(packages) => {
            let rows = packages
                .iter()
                .map(|one| [one.name.safe(), Safe::new(one.kind.name()), version(one.before.as_ref()), version(one.after.as_ref())]);
            table(&mut out, "Packages", ["Package", "Type", "Before", "After"], rows);
        }
    }
    match &found.findings {
        None => same(&mut out, "Findings", "Not known."),
        Some(findings) if findings.is_empty() => same(&mut out, "Findings", "No difference."),
        Some(findings) => {
            let row = |one: &FindingChange| [Safe::new(one.change.sign()), finding(one), one.finding.title.safe()];
            table(&mut out, "Findings", ["", "Finding", "What"], findings.iter().map(row));
        }
    }
    if let Some(words) = not_compared(found) {
        _ = writeln!(out, "\nFindings {words}.");
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ImageConfig;

    fn image(config: ImageConfig, layers: &[&str]) -> Image {
        let layer = |(index, text): (usize, &&str)| LayerInfo {
            index,
            digest: None,
            diff_id: Some(Digest::sha256(text.as_bytes())),
            size: Some(text.len() as u64),
            uncompressed_size: None,
            media_type: None,
            compression: None,
            created_by: None,
            verified: None,
            contents: None,
        };
        Image {
            id: Digest::sha256(b"id"),
            manifest_digest: None,
            media_type: None,
            tags: Vec::new(),
            repo_digests: Vec::new(),
            created: None,
            platform: None,
            size: None,
            unique_size: None,
            containers: None,
            config: Some(config),
            layers: Some(layers.iter().enumerate().map(layer).collect()),
            history: None,
            base: None,
        }
    }

    #[test]
    fn each_setting_that_differs_is_told_with_both_its_values() {
        let before = ImageConfig {
            user: Some("root".into()),
            env: vec!["PATH=/bin".into(), "A=1".into(), "FLAG".into()],
            labels: [("tier".to_owned(), Foreign::new("web")), ("same".to_owned(), Foreign::new("x"))].into(),
            cmd: Some(vec!["sh".into()]),
            ..ImageConfig::default()
        };
        let after = ImageConfig {
            env: vec!["A=2=3".into(), "PATH=/bin".into()],
            labels: [("same".to_owned(), Foreign::new("x"))].into(),
            cmd: Some(vec!["sh".into(), "-c".into()]),
            exposed_ports: vec!["80/tcp".into()],
            ..ImageConfig::default()
        };
        let changes = config(&image(before.clone(), &[]), &image(after, &[]));
        let rows: Vec<Value> = changes.iter().map(|change| json!([change.field, change.before, change.after])).collect();
        let wanted = [
            json!(["cmd", ["sh"], ["sh", "-c"]]),
            json!(["env.A", "1", "2=3"]),
            json!(["env.FLAG", "", null]),
            json!(["exposed_ports", null, ["80/tcp"]]),
            json!(["labels.tier", "web", null]),
            json!(["user", "root", null]),
        ];
        assert_eq!(rows, wanted);
        assert_eq!(config(&image(before.clone(), &[]), &image(before, &[])), []);
    }

    #[test]
    fn a_layer_is_shared_wherever_it_lies() {
        let rows = layers(&image(ImageConfig::default(), &["a", "bb", "c"]), &image(ImageConfig::default(), &["a", "x", "bb"]));
        let told: Vec<_> = rows.iter().map(|row| (row.change, row.diff_id.clone().unwrap())).collect();
        let id = |text: &str| Digest::sha256(text.as_bytes());
        assert_eq!(told, [(Side::Shared, id("a")), (Side::Shared, id("bb")), (Side::Removed, id("c")), (Side::Added, id("x"))]);
    }

    #[test]
    fn a_report_keeps_foreign_text_in_its_place() {
        let found = Comparison {
            config: vec![ConfigChange { field: "labels.a|b".into(), before: Some(json!("<b>x\n|")), after: None }],
            files: Some(vec![FileChange {
                path: "etc/[a](b)".into(),
                change: Changed::Modified,
                before: Some(ComparedFile { kind: "file", size: 1200, mode: Some("0644".into()), link: None }),
                after: Some(ComparedFile { kind: "symlink", size: 0, mode: Some("0777".into()), link: Some("/x".into()) }),
            }]),
            packages: Some(Vec::new()),
            ..Comparison::default()
        };
        let text = markdown(&found, &Safe::new("a:1"), &Safe::new("a:2"));
        let wanted = [
            "# a:1 and a:2",
            "| labels.a\\|b | \\<b\\>x⏎\\| | – |",
            "| \\~ | etc/\\[a\\]\\(b\\) | 1.20 kB 0644 | → /x |",
            "## Packages\n\nNo difference.",
        ];
        for part in wanted {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
