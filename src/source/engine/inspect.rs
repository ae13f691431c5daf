//! One image: its configuration, and its history matched with its layers.
//!
//! The engine lists layers (diff IDs, oldest first) and history (sizes, newest first) separately and doesn't say which steps made a
//! layer. A step with bytes did; of the steps without, those that only set something did not. Where that leaves a doubt, sizes are
//! unknown rather than guessed.

use futures_util::future::join3;
use serde_json::Value;

use super::EngineSource;
use super::client::{Ask, LONGEST};
use super::list::{containers, digests, tags};
use super::wire::{self, HistoryRow, Inspected, List, Text};
use crate::model::{Digest, Foreign, HistoryEntry, Image, ImageConfig, ImageKey, LayerInfo, Name, Platform, Problem};

/// Most layers and history steps that are believed.
pub(super) const MOST: usize = 10_000;

pub(super) async fn inspect(source: &EngineSource, key: &ImageKey, doing: &str) -> Result<Image, Problem> {
    let session = source.session(doing).await?;
    let (client, api, path) = (&source.client, Some(session.api.as_str()), path(key));
    let image = client.fetch(api, Ask::get(format!("{path}/json"), doing), LONGEST);
    let history = client.fetch(api, Ask::get(format!("{path}/history"), doing), LONGEST);
    let filter = format!("&filters={}", encode(&serde_json::json!({"ancestor": [name(key)]}).to_string()));
    let (image, history, uses) = join3(image, history, containers(source, &session.api, &filter)).await;
    let bytes = image.map_err(|failure| failure.into_problem(doing))?;
    let image: Inspected<'_> = serde_json::from_slice(&bytes).map_err(|_json| client.garbage(doing))?;
    let id = wire::id(&image.id.0).ok_or_else(|| client.garbage(doing))?;
    let history = history.map_err(|failure| failure.into_problem(doing))?;
    let mut rows: List<HistoryRow<'_>> = serde_json::from_slice(&history).map_err(|_json| client.garbage(doing))?;
    rows.0.truncate(MOST);
    rows.0.reverse();
    let diff_ids = diff_ids(&image.root_fs);
    let (layers, history) = match_up(&diff_ids, &rows.0);
    let repo_digests = digests(&image.repo_digests.0);
    Ok(Image {
        manifest_digest: manifest_digest(&image.descriptor, &repo_digests),
        media_type: image.descriptor.get("mediaType").and_then(Value::as_str).map(Foreign::new),
        tags: tags(&image.repo_tags.0),
        repo_digests,
        created: image.created.0,
        platform: platform(&image),
        size: image.size.0,
        unique_size: None,
        containers: uses.ok().map(|mut uses| uses.remove(&id).unwrap_or_default()),
        config: Some(config(&image.config)),
        layers: Some(layers),
        history: Some(history),
        base: None,
        id,
    })
}

/// The path of an image, without a part behind it. IDs and parsed references hold nothing that a path could misread.
pub(super) fn path(key: &ImageKey) -> String {
    format!("/images/{}", name(key))
}

pub(super) fn name(key: &ImageKey) -> String {
    match key {
        ImageKey::Id(id) => id.to_string(),
        ImageKey::Name(reference) => reference.whole(),
    }
}

/// Percent-encodes a query value.
pub(super) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn platform(image: &Inspected<'_>) -> Option<Platform> {
    let (os, architecture) = (image.os.0.as_ref(), image.architecture.0.as_ref());
    (!os.is_empty() && !architecture.is_empty()).then(|| Platform::new(os, architecture, Some(&image.variant.0)))
}

/// The digest that all repositories agree on, or what an engine that stores manifests says.
fn manifest_digest(descriptor: &Value, repo_digests: &[Name]) -> Option<Digest> {
    if let Some(digest) = descriptor.get("digest").and_then(Value::as_str) {
        return digest.parse().ok();
    }
    let mut digests = repo_digests.iter().map(|name| name.raw().rsplit_once('@').and_then(|(_, digest)| digest.parse::<Digest>().ok()));
    let first = digests.next()??;
    digests.all(|digest| digest.as_ref() == Some(&first)).then_some(first)
}

pub(super) fn diff_ids(root_fs: &Value) -> Vec<Option<Digest>> {
    let layers = root_fs.get("Layers").and_then(Value::as_array);
    layers.into_iter().flatten().take(MOST).map(|layer| layer.as_str().and_then(|text| text.parse().ok())).collect()
}

/// Joins layers and steps, both oldest first.
pub(super) fn match_up(diff_ids: &[Option<Digest>], rows: &[HistoryRow<'_>]) -> (Vec<LayerInfo>, Vec<HistoryEntry>) {
    let made = which_made_layers(diff_ids.len(), rows);
    let mut layers: Vec<LayerInfo> = diff_ids.iter().enumerate().map(|(index, diff_id)| layer(index, diff_id.clone())).collect();
    let mut next = 0;
    let history = rows.iter().enumerate().map(|(at, row)| {
        let made_layer = made.as_ref().map_or_else(|| row.size.0 != Some(0), |made| made.contains(&at));
        let layer = if made_layer && made.is_some() { layers.get_mut(next) } else { None };
        let diff_id = layer.as_ref().and_then(|layer| layer.diff_id.clone());
        if let Some(layer) = layer {
            layer.size = row.size.0;
            layer.created_by = text(&row.created_by);
            next += 1;
        }
        HistoryEntry {
            created: row.created.0,
            created_by: text(&row.created_by),
            comment: text(&row.comment),
            empty_layer: !made_layer,
            size: row.size.0,
            layer_digest: None,
            diff_id,
        }
    });
    let history = history.collect();
    (layers, history)
}

fn layer(index: usize, diff_id: Option<Digest>) -> LayerInfo {
    LayerInfo {
        index,
        digest: None,
        diff_id,
        size: None,
        uncompressed_size: None,
        media_type: None,
        compression: None,
        created_by: None,
        verified: None,
        contents: None,
    }
}

/// The steps that made the layers, in order; `None` where that is in doubt.
fn which_made_layers(layers: usize, rows: &[HistoryRow<'_>]) -> Option<Vec<usize>> {
    let pick = |wanted: &dyn Fn(&HistoryRow<'_>) -> bool| -> Option<Vec<usize>> {
        let picked: Vec<usize> = rows.iter().enumerate().filter(|(_, row)| wanted(row)).map(|(at, _)| at).collect();
        (picked.len() == layers).then_some(picked)
    };
    pick(&|_| true)
        .or_else(|| pick(&|row| row.size.0.is_some_and(|size| size > 0)))
        .or_else(|| pick(&|row| row.size.0.is_some_and(|size| size > 0) || !only_sets(&row.created_by.0)))
}

/// Dockerfile words that make no layer (WORKDIR makes one only when the directory wasn't there).
const SETTERS: [&str; 14] = [
    "ARG",
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Whether a step's command only sets something in the configuration.
fn only_sets(command: &str) -> bool {
    let word = command.split_once("#(nop)").map_or(command, |(_, rest)| rest).split_whitespace().next().unwrap_or_default();
    SETTERS.contains(&word)
}

fn text(text: &Text<'_>) -> Option<Foreign> {
    Some(text.0.as_ref()).filter(|text| !text.is_empty()).map(Foreign::new)
}

/// The part of the configuration that runs a container; what is missing or odd is left out.
fn config(config: &Value) -> ImageConfig {
    let word = |name: &str| config.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(Foreign::new);
    let words = |value: Option<&Value>| -> Option<Vec<Foreign>> {
        match value? {
            Value::Array(words) => Some(words.iter().filter_map(Value::as_str).map(Foreign::new).collect()),
            Value::String(word) => Some(vec![Foreign::new(word)]),
            _ => None,
        }
    };
    let keys = |name: &str| -> Vec<Foreign> {
        let mut keys: Vec<_> =
            config.get(name).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| Foreign::new(key)).collect();
        keys.sort();
        keys
    };
    let labels = config.get("Labels").and_then(Value::as_object).into_iter().flatten();
    ImageConfig {
        user: word("User"),
        entrypoint: words(config.get("Entrypoint")),
        cmd: words(config.get("Cmd")),
        env: words(config.get("Env")).unwrap_or_default(),
        working_dir: word("WorkingDir"),
        exposed_ports: keys("ExposedPorts"),
        volumes: keys("Volumes"),
        labels: labels.map(|(name, value)| (name.clone(), Foreign::new(value.as_str().unwrap_or_default()))).collect(),
        healthcheck: words(config.get("Healthcheck").and_then(|check| check.get("Test"))),
        stop_signal: word("StopSignal"),
    }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
