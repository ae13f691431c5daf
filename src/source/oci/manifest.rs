//! Manifests and indexes, Docker's and OCI's. One that could be taken for another kind (CVE-2021-41190) is refused.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::json::{Fields, Malformed, parse_strict};
use super::media;
use crate::model::{BaseSaid, Digest, Foreign, Platform};
use crate::source::content::Descriptor;

/// Most layers of an image.
const MOST_LAYERS: usize = 4096;
/// Most entries of an index.
const MOST_MANIFESTS: usize = 10_000;
const MOST_ANNOTATIONS: usize = 10_000;

/// What a manifest document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    Index(Index),
    Image(ImageManifest),
}

/// A list of manifests, one a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
    pub artifact_type: Option<String>,
    pub subject: Option<Descriptor>,
    pub annotations: BTreeMap<String, Foreign>,
}

/// One image, or an artifact in an image's clothes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    pub media_type: String,
    pub config: Descriptor,
    /// Bottom first.
    pub layers: Vec<Descriptor>,
    pub artifact_type: Option<String>,
    pub subject: Option<Descriptor>,
    pub annotations: BTreeMap<String, Foreign>,
}

impl ImageManifest {
    /// What it says that the image was built on, or what the descriptor says that points at it.
    #[must_use]
    pub fn base(&self, at: &Descriptor) -> Option<BaseSaid> {
        BaseSaid::among(&self.annotations).or_else(|| BaseSaid::among(&at.annotations))
    }

    /// Whether it is something to run, and not a signature, an attestation, a chart or another artifact.
    #[must_use]
    pub fn is_image(&self) -> bool {
        media::is_config(&self.config.media_type) && self.layers.iter().all(|layer| !layer.media_type.contains("in-toto"))
    }
}

/// Parses a manifest or index. `content_type` is what the peer or the pointing descriptor called it; parameters after a `;` and types
/// that say nothing (`application/json`, `application/octet-stream`, `text/plain`) don't count.
///
/// # Errors
/// Anything not sound, ambiguous, over a bound, or called otherwise than it calls itself.
pub fn parse_manifest(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, Malformed> {
    let document = parse_strict(bytes)?;
    let fields = Fields::of(&document, "")?;
    refuse_ambiguity(fields.map)?;
    let given = content_type.map(|given| given.split(';').next().unwrap_or_default().trim());
    let given = given.filter(|given| !matches!(*given, "" | "application/json" | "application/octet-stream" | "text/plain"));
    let body = fields.text("mediaType")?;
    if let (Some(body), Some(given)) = (body, given)
        && body != given
    {
        return Err(Malformed::MediaType { body: body.to_owned(), given: given.to_owned() });
    }
    let named = body.or(given);
    if fields.map.contains_key("manifests") {
        let media_type = named.unwrap_or(media::OCI_INDEX);
        if !media::is_index(media_type) {
            return Err(Malformed::MediaType { body: "a list of manifests".to_owned(), given: media_type.to_owned() });
        }
        index(fields, media_type).map(Manifest::Index)
    } else if fields.map.contains_key("layers") || fields.map.contains_key("config") {
        let media_type = named.unwrap_or(media::OCI_MANIFEST);
        if !media::is_manifest(media_type) {
            return Err(Malformed::MediaType { body: "an image manifest".to_owned(), given: media_type.to_owned() });
        }
        image(fields, media_type).map(Manifest::Image)
    } else if fields.map.contains_key("fsLayers") {
        Err(Malformed::Schema1)
    } else {
        Err(Malformed::Neither)
    }
}

/// Parses the `index.json` of an image layout. It may be without a media type, and Docker 25 wrote `"manifests": null` when there was
/// nothing to list.
///
/// # Errors
/// As [`parse_manifest`].
pub fn parse_index(bytes: &[u8]) -> Result<Index, Malformed> {
    match parse_manifest(bytes, None)? {
        Manifest::Index(index) => Ok(index),
        Manifest::Image(_) => Err(Malformed::field("manifests", "is missing")),
    }
}

fn refuse_ambiguity(map: &Map<String, Value>) -> Result<(), Malformed> {
    const KINDS: [&str; 4] = ["manifests", "layers", "config", "fsLayers"];
    // Go's readers take `Layers` for `layers`.
    let known = KINDS.iter().chain(&["mediaType", "schemaVersion"]);
    for key in map.keys() {
        if known.clone().any(|known| key != known && key.eq_ignore_ascii_case(known)) {
            return Err(Malformed::field(key.clone(), "is in the wrong case, so readers could differ on it"));
        }
    }
    for (one, other) in [("manifests", "layers"), ("manifests", "config"), ("manifests", "fsLayers"), ("layers", "fsLayers")] {
        if map.contains_key(one) && map.contains_key(other) {
            return Err(Malformed::Ambiguous(one, other));
        }
    }
    Ok(())
}

fn index(fields: Fields<'_>, media_type: &str) -> Result<Index, Malformed> {
    Ok(Index {
        media_type: media_type.to_owned(),
        manifests: descriptors(fields, "manifests", MOST_MANIFESTS)?,
        artifact_type: fields.text("artifactType")?.map(str::to_owned),
        subject: subject(fields)?,
        annotations: annotations(fields)?,
    })
}

fn image(fields: Fields<'_>, media_type: &str) -> Result<ImageManifest, Malformed> {
    let config = fields.get("config").ok_or_else(|| fields.wrong("config", "is missing"))?;
    Ok(ImageManifest {
        media_type: media_type.to_owned(),
        config: descriptor(config, "config.")?,
        layers: descriptors(fields, "layers", MOST_LAYERS)?,
        artifact_type: fields.text("artifactType")?.map(str::to_owned),
        subject: subject(fields)?,
        annotations: annotations(fields)?,
    })
}

fn subject(fields: Fields<'_>) -> Result<Option<Descriptor>, Malformed> {
    fields.get("subject").map(|value| descriptor(value, "subject.")).transpose()
}

fn descriptors(fields: Fields<'_>, key: &'static str, most: usize) -> Result<Vec<Descriptor>, Malformed> {
    let items = fields.list(key, key, most)?;
    items.iter().enumerate().map(|(i, item)| descriptor(item, &format!("{key}[{i}]."))).collect()
}

fn descriptor(value: &Value, at: &str) -> Result<Descriptor, Malformed> {
    let fields = Fields::of(value, at)?;
    let digest = fields.text("digest")?.ok_or_else(|| fields.wrong("digest", "is missing"))?;
    let digest = digest.parse::<Digest>().map_err(|error| fields.wrong("digest", &format!("is no digest: {error}")))?;
    let size = fields.get("size").ok_or_else(|| fields.wrong("size", "is missing"))?;
    let size = size.as_u64().filter(|&size| i64::try_from(size).is_ok()).ok_or_else(|| fields.wrong("size", "is not a number of bytes"))?;
    let platform_at = format!("{at}platform.");
    let platform = fields.get("platform").map(|value| platform(value, &platform_at)).transpose()?.flatten();
    Ok(Descriptor {
        media_type: fields.text("mediaType")?.unwrap_or_default().to_owned(),
        digest,
        size,
        platform,
        annotations: annotations(fields)?,
    })
}

fn platform(value: &Value, at: &str) -> Result<Option<Platform>, Malformed> {
    let fields = Fields::of(value, at)?;
    let (os, architecture) = (fields.text("os")?, fields.text("architecture")?);
    if os.is_none() && architecture.is_none() {
        return Ok(None);
    }
    Ok(Some(Platform::new(os.unwrap_or("unknown"), architecture.unwrap_or("unknown"), fields.text("variant")?)))
}

fn annotations(fields: Fields<'_>) -> Result<BTreeMap<String, Foreign>, Malformed> {
    let Some(map) = fields.object("annotations", "annotations", MOST_ANNOTATIONS)? else { return Ok(BTreeMap::new()) };
    map.iter()
        .map(|(key, value)| {
            let text = value.as_str().ok_or_else(|| fields.wrong(&format!("annotations.{key}"), "is not a text"))?;
            Ok((key.clone(), Foreign::new(text)))
        })
        .collect()
}

/// A descriptor as it is written in an index or manifest.
#[must_use]
pub fn descriptor_json(descriptor: &Descriptor) -> Value {
    let mut out = Map::new();
    if !descriptor.media_type.is_empty() {
        out.insert("mediaType".into(), json!(descriptor.media_type));
    }
    out.insert("digest".into(), json!(descriptor.digest));
    out.insert("size".into(), json!(descriptor.size));
    if let Some(platform) = &descriptor.platform {
        let mut map = Map::new();
        map.insert("architecture".into(), json!(platform.architecture));
        map.insert("os".into(), json!(platform.os));
        if let Some(variant) = &platform.variant {
            map.insert("variant".into(), json!(variant));
        }
        out.insert("platform".into(), Value::Object(map));
    }
    if !descriptor.annotations.is_empty() {
        out.insert("annotations".into(), json!(descriptor.annotations));
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(media_type: &str, c: char) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", c.to_string().repeat(64)), "size": 7})
    }

    fn parse(value: &Value, content_type: Option<&str>) -> Result<Manifest, Malformed> {
        parse_manifest(&serde_json::to_vec(value).unwrap(), content_type)
    }

    #[test]
    fn an_image_manifest_of_either_house_is_read() {
        for (kind, config) in [(media::OCI_MANIFEST, media::OCI_CONFIG), (media::DOCKER_MANIFEST, media::DOCKER_CONFIG)] {
            let body = json!({"schemaVersion": 2, "mediaType": kind, "config": blob(config, 'a'), "layers": [blob(media::OCI_LAYER, 'b')]});
            let Ok(Manifest::Image(manifest)) = parse(&body, Some(&format!("{kind}; charset=utf-8"))) else { panic!() };
            assert!(manifest.is_image());
            assert_eq!((manifest.layers.len(), manifest.layers[0].size), (1, 7));
        }
    }

    #[test]
    fn an_index_is_read_with_platforms_and_written_back_equal() {
        let mut child = blob(media::OCI_MANIFEST, 'c');
        child["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
        child["annotations"] = json!({"a": "b"});
        let Ok(Manifest::Index(index)) = parse(&json!({"manifests": [child.clone()]}), None) else { panic!() };
        assert_eq!(index.manifests[0].platform.as_ref().unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(descriptor_json(&index.manifests[0]), child);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let config = blob(media::OCI_CONFIG, 'a');
        for body in [
            json!({"manifests": [], "layers": []}),
            json!({"manifests": [], "config": config}),
            json!({"layers": [], "fsLayers": [], "config": config}),
            json!({"manifests": [], "fsLayers": []}),
            json!({"layers": [], "config": config, "Manifests": []}),
            json!({"layers": [], "Layers": [], "config": config}),
        ] {
            assert!(parse(&body, None).is_err(), "{body}");
        }
        let body = json!({"mediaType": media::OCI_MANIFEST, "config": config, "layers": []});
        assert!(matches!(parse(&body, Some(media::DOCKER_MANIFEST)), Err(Malformed::MediaType { .. })));
        assert!(parse(&body, Some("application/json")).is_ok());
        assert!(matches!(parse(&json!({"config": config, "layers": []}), Some(media::OCI_INDEX)), Err(Malformed::MediaType { .. })));
        assert_eq!(parse(&json!({"schemaVersion": 1, "fsLayers": []}), None), Err(Malformed::Schema1));
        assert_eq!(parse(&json!({}), None), Err(Malformed::Neither));
    }

    #[test]
    fn bad_digests_sizes_and_counts_are_refused_by_name() {
        let with = |layer: Value| json!({"config": blob(media::OCI_CONFIG, 'a'), "layers": [layer]});
        let good = blob(media::OCI_LAYER, 'b');
        for (field, value) in [
            ("digest", json!("sha256:../../etc/passwd")),
            ("digest", json!("md5:00")),
            ("size", json!(-1)),
            ("size", json!(1.5)),
            ("size", json!(u64::MAX)),
            ("size", json!("7")),
            ("mediaType", json!(7)),
            ("annotations", json!({"a": 1})),
        ] {
            let mut layer = good.clone();
            layer[field] = value;
            let error = parse(&with(layer), None).unwrap_err();
            assert!(error.to_string().contains(&format!("layers[0].{field}")), "{error}");
        }
        let many = json!({"config": blob(media::OCI_CONFIG, 'a'), "layers": vec![good; MOST_LAYERS + 1]});
        assert!(matches!(parse(&many, None), Err(Malformed::TooMany { what: "layers", .. })));
    }

    #[test]
    fn an_artifact_is_no_image() {
        let body = json!({"config": blob("application/vnd.oci.empty.v1+json", 'a'), "layers": []});
        let Ok(Manifest::Image(manifest)) = parse(&body, None) else { panic!() };
        assert!(!manifest.is_image());
    }
}
