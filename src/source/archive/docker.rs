//! The `manifest.json` of a docker-archive, in all the shapes that engines, Podman and builders write it: layers as `ID/layer.tar`, as
//! `HEX.tar`, as links to one another, as blobs of a layout, or compressed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::layer::Compression;
use crate::model::{Digest, Name, Problem, ProblemKind, Safe};
use crate::source::content::{Descriptor, Packed};
use crate::source::oci::{self, Config, media};

const MOST_IMAGES: usize = 100_000;
const MOST_LAYERS: usize = 4096;

/// The files of an archive, as this module needs them.
pub(in crate::source) trait Files {
    /// A small file's content.
    fn document(&self, path: &str) -> Result<Vec<u8>, Problem>;
    fn layer(&self, path: &str) -> Result<LayerFile, Problem>;
}

/// A layer's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct LayerFile {
    pub(in crate::source) size: u64,
    pub(in crate::source) compression: Compression,
    /// Of the stored bytes, where they are compressed: then the configuration doesn't tell.
    pub(in crate::source) digest: Option<Digest>,
}

/// An image, and where its parts are.
#[derive(Debug)]
pub(in crate::source) struct DockerImage {
    pub(in crate::source) packed: Packed,
    pub(in crate::source) config_path: String,
    /// One for each of `packed.layers`.
    pub(in crate::source) layer_paths: Vec<String>,
}

/// The images of a `manifest.json`.
///
/// # Errors
/// One that can't be understood, or an image with a part missing; the first is named.
pub(in crate::source) fn images(manifest: &[u8], files: &dyn Files, doing: &str) -> Result<Vec<DockerImage>, Problem> {
    let document = oci::parse_strict(manifest).map_err(|error| error.problem(format!("{doing} (manifest.json)")))?;
    let bad = |cause: String| Problem::new(ProblemKind::Corrupt, format!("{doing} (manifest.json)"), cause);
    let listed = match &document {
        Value::Array(listed) if listed.len() > MOST_IMAGES => {
            return Err(Problem::new(ProblemKind::Limit, doing, format!("it lists more than {MOST_IMAGES} images")));
        }
        Value::Array(listed) => listed,
        Value::Null => return Ok(Vec::new()),
        _ => return Err(bad("it is not a list of images".to_owned())),
    };
    listed
        .iter()
        .map(|item| {
            let config_path = item.get("Config").and_then(Value::as_str).ok_or_else(|| bad("an image has no Config".to_owned()))?;
            let names = texts(item.get("RepoTags")).ok_or_else(|| bad(format!("the names of {} are no texts", Safe::new(config_path))))?;
            let layers = texts(item.get("Layers")).ok_or_else(|| bad(format!("the layers of {} are no texts", Safe::new(config_path))))?;
            if layers.len() > MOST_LAYERS {
                return Err(Problem::new(ProblemKind::Limit, doing, format!("an image has more than {MOST_LAYERS} layers")));
            }
            image(config_path, &names, layers, files, doing)
        })
        .collect()
}

/// A list of texts; null and absent are an empty one.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}

fn image(config_path: &str, names: &[String], layers: Vec<String>, files: &dyn Files, doing: &str) -> Result<DockerImage, Problem> {
    let bytes = files.document(config_path)?;
    let digest = Digest::sha256(&bytes);
    let stem = config_path.rsplit('/').next().unwrap_or_default();
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    if let Ok(named) = format!("sha256:{stem}").parse::<Digest>()
        && named != digest
    {
        let cause = format!("{} should be {named}, but its bytes are {digest}", Safe::new(config_path));
        return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
    }
    let config = oci::parse_config(&bytes).map_err(|error| error.problem(format!("{doing} (the configuration {digest})")))?;
    if let Some(cause) = config.contradiction(layers.len()) {
        return Err(Problem::new(ProblemKind::Corrupt, doing, format!("image {digest}: {cause}")));
    }
    let described = layers.iter().zip(&config.diff_ids).map(|(path, diff_id)| layer(path, diff_id, files));
    let packed = Packed {
        names: names.iter().map(|name| Name::new(name)).collect(),
        root: None,
        manifest: None,
        layers: described.collect::<Result<_, _>>()?,
        base: None,
        config: config_descriptor(digest, bytes.len() as u64, &config),
    };
    Ok(DockerImage { packed, config_path: config_path.to_owned(), layer_paths: layers })
}

fn config_descriptor(digest: Digest, size: u64, config: &Config) -> Descriptor {
    Descriptor { media_type: media::OCI_CONFIG.to_owned(), digest, size, platform: config.platform.clone(), annotations: BTreeMap::new() }
}

fn layer(path: &str, diff_id: &Digest, files: &dyn Files) -> Result<Descriptor, Problem> {
    let file = files.layer(path)?;
    let (media_type, digest) = match (file.compression, file.digest) {
        (Compression::None, _) => (media::OCI_LAYER.to_owned(), diff_id.clone()),
        (compression, digest) => (format!("{}+{}", media::OCI_LAYER, compression.as_str()), digest.unwrap_or_else(|| diff_id.clone())),
    };
    Ok(Descriptor { media_type, digest, size: file.size, platform: None, annotations: BTreeMap::new() })
}
