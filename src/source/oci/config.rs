//! Image configurations: platform, diff IDs, history and how a container of it is run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::json::{Fields, Malformed, parse_strict};
use crate::model::{Digest, Foreign, ImageConfig, Platform};

const MOST_HISTORY: usize = 10_000;
const MOST_LAYERS: usize = 4096;
const MOST_ENTRIES: usize = 10_000;

/// A configuration document, as far as it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub created: Option<Timestamp>,
    pub author: Option<Foreign>,
    pub platform: Option<Platform>,
    pub run: ImageConfig,
    /// Digests of the uncompressed layers, bottom first.
    pub diff_ids: Vec<Digest>,
    /// Oldest first.
    pub history: Vec<Step>,
}

/// One step of the build, as the configuration tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub created: Option<Timestamp>,
    pub created_by: Option<Foreign>,
    pub comment: Option<Foreign>,
    pub empty_layer: bool,
}

impl Config {
    /// Which history step made which layer: for each step the layer's index. `None` when the steps and the layers can't be matched.
    #[must_use]
    pub fn steps_to_layers(&self, layers: usize) -> Option<Vec<Option<usize>>> {
        let mut next = 0;
        let matched = self
            .history
            .iter()
            .map(|step| {
                if step.empty_layer {
                    return None;
                }
                next += 1;
                Some(next - 1)
            })
            .collect();
        (next == layers).then_some(matched)
    }

    /// How the configuration contradicts `layers` layers, in words. An image without diff IDs for its layers can't be run; a history
    /// that counts otherwise (squashed and hand-made images have that) is only less telling.
    #[must_use]
    pub fn contradiction(&self, layers: usize) -> Option<String> {
        (self.diff_ids.len() != layers)
            .then(|| format!("the configuration has {} diff IDs, but the image has {layers} layers", self.diff_ids.len()))
    }
}

/// Parses a configuration. Times that mean nothing (missing, "N/A", the year 1) are read as unknown; digests, lists and texts must be
/// what they should be.
///
/// # Errors
/// Anything not sound or over a bound.
pub fn parse_config(bytes: &[u8]) -> Result<Config, Malformed> {
    let document = parse_strict(bytes)?;
    let fields = Fields::of(&document, "")?;
    let run = match fields.get("config") {
        Some(value) => run(Fields::of(value, "config.")?)?,
        None => ImageConfig::default(),
    };
    let (os, architecture) = (fields.text("os")?, fields.text("architecture")?);
    let platform = match (os, architecture) {
        (None, None) => None,
        (os, architecture) => Some(Platform::new(os.unwrap_or("unknown"), architecture.unwrap_or("unknown"), fields.text("variant")?)),
    };
    Ok(Config {
        created: time(fields.get("created")),
        author: fields.text("author")?.map(Foreign::new),
        platform,
        run,
        diff_ids: diff_ids(fields)?,
        history: history(fields)?,
    })
}

fn diff_ids(fields: Fields<'_>) -> Result<Vec<Digest>, Malformed> {
    let Some(rootfs) = fields.get("rootfs") else { return Ok(Vec::new()) };
    let rootfs = Fields::of(rootfs, "rootfs.")?;
    rootfs
        .list("diff_ids", "diff IDs", MOST_LAYERS)?
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let wrong = |why: &str| Malformed::field(format!("rootfs.diff_ids[{i}]"), why);
            value.as_str().ok_or_else(|| wrong("is not a text"))?.parse().map_err(|error| wrong(&format!("is no digest: {error}")))
        })
        .collect()
}

fn history(fields: Fields<'_>) -> Result<Vec<Step>, Malformed> {
    let steps = fields.list("history", "history steps", MOST_HISTORY)?;
    steps
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let at = format!("history[{i}].");
            let step = Fields::of(value, &at)?;
            let empty_layer = match step.get("empty_layer") {
                None => false,
                Some(value) => value.as_bool().ok_or_else(|| step.wrong("empty_layer", "is neither true nor false"))?,
            };
            Ok(Step {
                created: time(step.get("created")),
                created_by: step.text("created_by")?.map(Foreign::new),
                comment: step.text("comment")?.map(Foreign::new),
                empty_layer,
            })
        })
        .collect()
}

/// A moment that can have been one. Go writes the year 1 for "not set".
fn time(value: Option<&Value>) -> Option<Timestamp> {
    let time = value?.as_str()?.parse::<Timestamp>().ok()?;
    (time.as_second() >= -2_208_988_800).then_some(time)
}

fn run(fields: Fields<'_>) -> Result<ImageConfig, Malformed> {
    let healthcheck = match fields.get("Healthcheck") {
        Some(value) => texts(Fields::of(value, "config.Healthcheck.")?, "Test")?,
        None => None,
    };
    Ok(ImageConfig {
        user: fields.text("User")?.map(Foreign::new),
        entrypoint: texts(fields, "Entrypoint")?,
        cmd: texts(fields, "Cmd")?,
        env: texts(fields, "Env")?.unwrap_or_default(),
        working_dir: fields.text("WorkingDir")?.map(Foreign::new),
        exposed_ports: keys(fields, "ExposedPorts")?,
        volumes: keys(fields, "Volumes")?,
        labels: labels(fields)?,
        healthcheck,
        stop_signal: fields.text("StopSignal")?.map(Foreign::new),
    })
}

/// A list of texts. Old images have a single text where a list belongs, and engines take it for a list of one.
fn texts(fields: Fields<'_>, key: &'static str) -> Result<Option<Vec<Foreign>>, Malformed> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![Foreign::new(text)])),
        Some(_) => fields
            .list(key, key, MOST_ENTRIES)?
            .iter()
            .map(|item| item.as_str().map(Foreign::new).ok_or_else(|| fields.wrong(key, "has something other than texts")))
            .collect::<Result<_, _>>()
            .map(Some),
    }
}

fn keys(fields: Fields<'_>, key: &'static str) -> Result<Vec<Foreign>, Malformed> {
    let map = fields.object(key, key, MOST_ENTRIES)?;
    Ok(map.map(|map| map.keys().map(|key| Foreign::new(key)).collect()).unwrap_or_default())
}

fn labels(fields: Fields<'_>) -> Result<BTreeMap<String, Foreign>, Malformed> {
    let Some(map) = fields.object("Labels", "labels", MOST_ENTRIES)? else { return Ok(BTreeMap::new()) };
    map.iter()
        .map(|(key, value)| match value {
            Value::Null => Ok((key.clone(), Foreign::default())),
            Value::String(text) => Ok((key.clone(), Foreign::new(text))),
            _ => Err(fields.wrong("Labels", "has something other than texts")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<Config, Malformed> {
        parse_config(&serde_json::to_vec(value).unwrap())
    }

    #[test]
    fn a_full_configuration_is_read() {
        let config = parse(&json!({
            "architecture": "arm64", "os": "linux", "variant": "v8", "created": "2026-01-02T03:04:05.123456789Z", "author": "me",
            "config": {
                "User": "app", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["/x"], "Cmd": null, "Volumes": {"/d": {}},
                "WorkingDir": "/w", "Labels": {"a": "b"}, "StopSignal": "SIGTERM", "Healthcheck": {"Test": ["CMD", "true"]}
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "a".repeat(64))]},
            "history": [{"created_by": "FROM"}, {"created_by": "ENV", "empty_layer": true, "created": "0001-01-01T00:00:00Z"}]
        }))
        .unwrap();
        assert_eq!(config.platform.as_ref().unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(config.created.unwrap().to_string(), "2026-01-02T03:04:05.123456789Z");
        assert_eq!((config.run.user.unwrap().raw(), config.run.cmd), ("app", None));
        assert_eq!(config.history[1].created, None);
        assert_eq!((config.diff_ids.len(), config.history.len()), (1, 2));
    }

    #[test]
    fn nulls_and_odd_times_are_unknown() {
        for created in [json!(null), json!("N/A"), json!(""), json!(-1), json!("9999-99-99"), json!("0001-01-01T00:00:00Z")] {
            let config = parse(&json!({"created": created, "config": null, "history": null, "rootfs": {"diff_ids": null}})).unwrap();
            assert_eq!(config.created, None, "{created}");
        }
        assert!(parse(&json!({"created": "1970-01-01T00:00:00Z"})).unwrap().created.is_some());
        assert!(parse(&json!({"created": "2026-01-01T00:00:00+02:00"})).unwrap().created.is_some());
    }

    #[test]
    fn wrong_shapes_are_refused_by_name() {
        for (body, field) in [
            (json!({"rootfs": {"diff_ids": ["sha256:x"]}}), "rootfs.diff_ids[0]"),
            (json!({"config": {"Env": [1]}}), "config.Env"),
            (json!({"config": {"Labels": {"a": 1}}}), "config.Labels"),
            (json!({"history": [{"empty_layer": "yes"}]}), "history[0].empty_layer"),
            (json!({"os": 1}), "os"),
        ] {
            assert!(parse(&body).unwrap_err().to_string().contains(field), "{body}");
        }
        assert!(matches!(parse(&json!({"history": vec![json!({}); MOST_HISTORY + 1]})), Err(Malformed::TooMany { .. })));
    }

    #[test]
    fn steps_are_matched_to_layers_or_not_at_all() {
        let config = parse(&json!({"history": [{}, {"empty_layer": true}, {}]})).unwrap();
        assert_eq!(config.steps_to_layers(2), Some(vec![Some(0), None, Some(1)]));
        assert_eq!(config.steps_to_layers(3), None);
        assert_eq!(config.steps_to_layers(1), None);
        assert!(config.contradiction(2).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_config(&bytes);
        }
    }
}
