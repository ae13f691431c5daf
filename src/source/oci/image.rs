//! From an image's documents to what is shown: [`Image`] and its row in a list, [`ImageSummary`].

use super::config::Config;
use super::media;
use crate::model::image::ContentsAt;
use crate::model::{Foreign, HistoryEntry, Image, ImageSummary, LayerInfo};
use crate::source::content::{Descriptor, Packed};

/// The whole image. Steps of the history get their layer's size and digests only where steps and layers match in number; an image
/// without a history gets one nameless step a layer. Diff IDs are given only where there is one for each layer.
#[must_use]
pub fn image_from(packed: &Packed, config: &Config) -> Image {
    let layers = layers(packed, config);
    Image {
        id: packed.config.digest.clone(),
        manifest_digest: packed.manifest.as_ref().map(|manifest| manifest.digest.clone()),
        media_type: packed.manifest.as_ref().map(|manifest| Foreign::new(&manifest.media_type)),
        tags: packed.names.clone(),
        repo_digests: Vec::new(),
        created: config.created,
        platform: platform(packed, config),
        size: Some(size(packed)),
        unique_size: None,
        containers: None,
        config: Some(config.run.clone()),
        history: Some(history(config, &layers)),
        layers: Some(layers),
        base: packed.base.clone(),
    }
}

/// The image's row in a list.
#[must_use]
pub fn summary_from(packed: &Packed, config: &Config) -> ImageSummary {
    ImageSummary {
        id: packed.config.digest.clone(),
        tags: packed.names.clone(),
        repo_digests: Vec::new(),
        created: config.created,
        size: Some(size(packed)),
        unique_size: None,
        platform: platform(packed, config),
        containers: None,
        labels: config.run.labels.iter().map(|(key, value)| (key.as_str().into(), value.clone())).collect(),
    }
}

fn size(packed: &Packed) -> u64 {
    packed.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
}

/// The configuration's own word counts; the index's only where the configuration has none.
fn platform(packed: &Packed, config: &Config) -> Option<crate::model::Platform> {
    config.platform.clone().or_else(|| packed.manifest.as_ref()?.platform.clone())
}

fn layers(packed: &Packed, config: &Config) -> Vec<LayerInfo> {
    let diff_ids = if config.contradiction(packed.layers.len()).is_none() { config.diff_ids.as_slice() } else { &[] };
    let steps = config.steps_to_layers(packed.layers.len()).unwrap_or_default();
    let mut made_by = vec![None; packed.layers.len()];
    for (step, layer) in config.history.iter().zip(&steps) {
        if let Some(slot) = layer.and_then(|layer| made_by.get_mut(layer)) {
            slot.clone_from(&step.created_by);
        }
    }
    let described = packed.layers.iter().zip(made_by).enumerate();
    described
        .map(|(index, (layer, created_by))| LayerInfo {
            index,
            digest: Some(layer.digest.clone()),
            diff_id: diff_ids.get(index).cloned(),
            size: Some(layer.size),
            uncompressed_size: None,
            media_type: (!layer.media_type.is_empty()).then(|| Foreign::new(&layer.media_type)),
            compression: media::compression(&layer.media_type),
            created_by,
            verified: None,
            contents: contents(layer),
        })
        .collect()
}

/// Where a layer's descriptor says that its table of contents is. One that can't be understood is none: the layer is read as any other.
fn contents(layer: &Descriptor) -> Option<ContentsAt> {
    let told = |name: &str| layer.annotations.get(name).map(Foreign::raw);
    if let Some(digest) = told("containerd.io/snapshot/stargz/toc.digest") {
        return Some(ContentsAt::Estargz { digest: digest.parse().ok()? });
    }
    // The second is how it was called at first, and some still do.
    let of = |name: &str| ["io.github.containers", "io.containers"].iter().find_map(|house| told(&format!("{house}.zstd-chunked.{name}")));
    let digest = of("manifest-checksum")?.parse().ok()?;
    // The last part is the kind of table; there is one kind.
    let mut parts = of("manifest-position")?.split(':').map(str::parse::<u64>);
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        (Ok(offset), Ok(length), Ok(unpacked), Ok(1), None) => Some(ContentsAt::Chunked { offset, length, unpacked, digest }),
        _ => None,
    }
}

fn history(config: &Config, layers: &[LayerInfo]) -> Vec<HistoryEntry> {
    let of_layer = |layer: Option<&LayerInfo>| HistoryEntry {
        created: None,
        created_by: None,
        comment: None,
        empty_layer: false,
        size: layer.and_then(|layer| layer.size),
        layer_digest: layer.and_then(|layer| layer.digest.clone()),
        diff_id: layer.and_then(|layer| layer.diff_id.clone()),
    };
    if config.history.is_empty() {
        return layers.iter().map(|layer| of_layer(Some(layer))).collect();
    }
    let matched = config.steps_to_layers(layers.len());
    let steps = config.history.iter().enumerate();
    steps
        .map(|(i, step)| {
            let layer = matched.as_ref().and_then(|matched| matched.get(i).copied().flatten()).and_then(|layer| layers.get(layer));
            let mut entry = of_layer(layer);
            entry.created = step.created;
            entry.created_by.clone_from(&step.created_by);
            entry.comment.clone_from(&step.comment);
            entry.empty_layer = step.empty_layer;
            if step.empty_layer {
                entry.size = Some(0);
            }
            entry
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::model::{Digest, Name};
    use crate::source::content::Descriptor;
    use crate::source::oci::parse_config;

    fn blob(text: &str, size: u64) -> Descriptor {
        let (media_type, digest) = (media::OCI_LAYER.to_owned(), Digest::sha256(text.as_bytes()));
        Descriptor { media_type, digest, size, platform: None, annotations: BTreeMap::new() }
    }

    fn packed(layers: &[u64]) -> Packed {
        let layers = layers.iter().map(|&size| blob(&size.to_string(), size)).collect();
        Packed { names: vec![Name::new("a:b")], root: None, manifest: None, config: blob("c", 2), layers, base: None }
    }

    fn config(diff_ids: usize, empty: &[bool]) -> Config {
        let ids: Vec<_> = (0..diff_ids).map(|i| Digest::sha256(&[u8::try_from(i).unwrap()])).collect();
        let history: Vec<_> = empty.iter().map(|empty| json!({"created_by": "RUN", "empty_layer": empty})).collect();
        parse_config(&serde_json::to_vec(&json!({"rootfs": {"diff_ids": ids}, "history": history})).unwrap()).unwrap()
    }

    #[test]
    fn steps_carry_the_bytes_of_their_layer() {
        let image = image_from(&packed(&[10, 20]), &config(2, &[false, true, false]));
        let sizes: Vec<_> = image.history.unwrap().iter().map(|step| step.size).collect();
        assert_eq!(sizes, [Some(10), Some(0), Some(20)]);
        assert_eq!(image.size, Some(30));
        assert_eq!(image.layers.unwrap()[1].created_by.as_ref().unwrap().raw(), "RUN");
    }

    #[test]
    fn a_history_that_does_not_match_gets_no_sizes() {
        let image = image_from(&packed(&[10, 20]), &config(1, &[false, true]));
        assert_eq!(image.history.unwrap()[0].size, None);
        assert!(image.layers.unwrap().iter().all(|layer| layer.diff_id.is_none() && layer.created_by.is_none()));
    }

    #[test]
    fn an_image_without_a_history_shows_its_layers() {
        let image = image_from(&packed(&[10, 20]), &config(2, &[]));
        let history = image.history.unwrap();
        assert_eq!((history.len(), history[1].size), (2, Some(20)));
        assert!(history[1].diff_id.is_some());
    }
}
