//! What differs between two images by what their documents say: configuration and layers. Files are compared in `layer`.
//!
//! May use model. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::model::{Digest, Image, LayerInfo};

/// One setting that differs; `None` where an image doesn't have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigChange {
    /// Such as `user`, `env.PATH`, `labels.tier`.
    pub field: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// On which side a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// In both images.
    Shared,
    /// In the first only.
    Removed,
    /// In the second only.
    Added,
}

/// A layer of one of the images or of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerChange {
    pub change: Side,
    pub diff_id: Option<Digest>,
    /// Bytes as stored where it was read; of a shared layer in the first image.
    pub size: Option<u64>,
    pub created_by: Option<crate::model::Foreign>,
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Foreign, ImageConfig};

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
}
