//! The lines in which engines tell of a pull, a push or a load, turned into steps of the meter and a result. Pure.

use std::collections::HashMap;

use serde_json::Value;

use super::wire::StreamLine;
use crate::model::{Digest, Safe, StepState};
use crate::source::Meter;

/// What the lines said so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of the manifest that was pulled or pushed.
    pub digest: Option<Digest>,
    /// The engine's words for what went wrong.
    pub failure: Option<String>,
    /// Layers that are being unpacked: the engine says little then, and that is no stall.
    unpacking: usize,
    layers: HashMap<Box<str>, Layer>,
    /// What the last line that was about anything was about.
    last: Box<str>,
}

#[derive(Debug, Default)]
struct Layer {
    moved: u64,
    total: u64,
    skipped: bool,
    unpacking: bool,
}

impl Told {
    /// Takes one piece of the answer: usually one JSON document, and some engines join several.
    pub(super) fn take(&mut self, line: &[u8], meter: &Meter) {
        for document in serde_json::Deserializer::from_slice(line).into_iter::<StreamLine<'_>>() {
            // A line that is no JSON says nothing; whether all went well is read from the engine afterwards.
            let Ok(document) = document else { return };
            self.document(&document, meter);
        }
    }

    pub(super) fn is_unpacking(&self) -> bool {
        self.unpacking > 0
    }

    /// Whether the engine came to speak of an image itself: Podman does so at the end of a pull, by the whole ID or its first twelve digits.
    pub(super) fn names_image(&self, id: &Digest) -> bool {
        self.layers.contains_key(id.short()) || *self.last == *id.hex() || *self.last == *id.short()
    }

    /// Bytes that moved.
    pub(super) fn moved(&self) -> u64 {
        self.layers.values().filter(|layer| !layer.skipped).fold(0, |sum, layer| sum.saturating_add(layer.moved))
    }

    /// Bytes that were there already, as far as the engine said how many.
    pub(super) fn skipped(&self) -> u64 {
        self.layers.values().filter(|layer| layer.skipped).fold(0, |sum, layer| sum.saturating_add(layer.total))
    }

    fn document(&mut self, line: &StreamLine<'_>, meter: &Meter) {
        if let Some(failure) = line.failure() {
            self.failure.get_or_insert(failure);
            return;
        }
        if !line.id.0.is_empty() {
            self.last = line.id.0.as_ref().into();
        }
        if let Some(digest) = line.aux.get("Digest").and_then(|digest| digest.as_str()?.parse().ok()) {
            self.digest = Some(digest);
        }
        let status = if line.status.0.is_empty() { line.stream.0.as_ref() } else { line.status.0.as_ref() };
        if let Some(digest) = digest_in(status) {
            self.digest = Some(digest);
        }
        if let (false, Some((phase, state))) = (line.id.0.is_empty(), meaning(status)) {
            self.layer(&line.id.0, &line.progress, phase, state, meter);
        } else if let Some(blob) = status.strip_prefix("Copying blob ") {
            // Podman names the blobs and tells no more of them.
            let short = blob.trim().parse::<Digest>().map_or_else(|_not| blob.trim().to_owned(), |digest| digest.short().to_owned());
            self.layer(&short, &Value::Null, "downloading", StepState::Running, meter);
        }
    }

    fn layer(&mut self, id: &str, progress: &Value, phase: &str, state: StepState, meter: &Meter) {
        // A hostile engine may name any number of layers.
        if self.layers.len() >= 4096 && !self.layers.contains_key(id) {
            return;
        }
        let layer = self.layers.entry(id.into()).or_default();
        let number = |name: &str| progress.get(name).and_then(Value::as_u64);
        let unpacking = phase == "extracting" && state == StepState::Running;
        match (layer.unpacking, unpacking) {
            (false, true) => self.unpacking += 1,
            (true, false) => self.unpacking = self.unpacking.saturating_sub(1),
            _ => {}
        }
        layer.unpacking = unpacking;
        layer.skipped |= state == StepState::Skipped;
        layer.total = layer.total.max(number("total").unwrap_or(0));
        layer.moved = layer.moved.max(if unpacking { layer.total } else { number("current").unwrap_or(0) });
        if state == StepState::Done {
            layer.moved = layer.moved.max(layer.total);
        }
        let (moved, total) = (layer.moved, Some(layer.total.max(layer.moved)).filter(|&total| total > 0));
        meter.phase(phase);
        let step = meter.step_named(&Safe::new(id));
        meter.edit(step, |step| {
            step.state = state;
            step.done = moved;
            step.total = total;
        });
    }
}

/// What a layer's status means; `None` for a line that is not about a layer.
fn meaning(status: &str) -> Option<(&'static str, StepState)> {
    Some(match status {
        "Pulling fs layer" => ("downloading", StepState::Waiting),
        "Preparing" | "Waiting" => ("waiting", StepState::Waiting),
        "Downloading" | "Verifying Checksum" | "Download complete" => ("downloading", StepState::Running),
        "Extracting" => ("extracting", StepState::Running),
        "Pull complete" => ("extracting", StepState::Done),
        "Already exists" | "Layer already exists" => ("checking", StepState::Skipped),
        "Pushing" => ("uploading", StepState::Running),
        "Pushed" => ("uploading", StepState::Done),
        other if other.starts_with("Mounted from") => ("checking", StepState::Skipped),
        other if other.starts_with("Retrying in") => ("waiting to try again", StepState::Running),
        _ => return None,
    })
}

/// `Digest: sha256:…` of a pull, `tag: digest: sha256:… size: 527` of a push.
fn digest_in(status: &str) -> Option<Digest> {
    let rest = status.strip_prefix("Digest: ").or_else(|| status.split_once(": digest: ").map(|(_, rest)| rest))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:71bf0b48e2c2cdadda815582c8ea214a6895a585435655ea52263e73ed950ee9";

    fn told(lines: &[&str]) -> (Told, crate::model::Progress) {
        let (meter, mut told) = (Meter::default(), Told::default());
        for line in lines {
            told.take(line.as_bytes(), &meter);
        }
        (told, meter.snapshot())
    }

    #[test]
    fn a_pull_is_a_step_for_each_layer_and_a_digest() {
        let lines = [
            r#"{"status":"Pulling from lm/a","id":"1"}"#,
            r#"{"status":"Already exists","progressDetail":{},"id":"aaa"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"bbb"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":40,"total":100},"progress":"[>]","id":"bbb"}"#,
            r#"{"status":"Extracting","progressDetail":{"current":10,"total":100},"id":"bbb"}"#,
        ];
        let (half, progress) = told(&lines);
        assert!(half.is_unpacking());
        assert_eq!(progress.phase.as_str(), "extracting");
        assert_eq!(progress.steps.iter().map(|step| step.state).collect::<Vec<_>>(), [StepState::Skipped, StepState::Running]);
        let end = [r#"{"status":"Pull complete","progressDetail":{},"id":"bbb"}"#, &format!(r#"{{"status":"Digest: {D}"}}"#)];
        let (whole, progress) = told(&[&lines[..], &end[..]].concat());
        assert_eq!(whole.digest.as_ref().unwrap().as_str(), D);
        assert_eq!((whole.moved(), whole.is_unpacking()), (100, false));
        assert_eq!((progress.steps[1].state, progress.steps[1].done, progress.steps[1].total), (StepState::Done, 100, Some(100)));
    }

    #[test]
    fn a_push_ends_with_the_digest_of_either_engine() {
        for line in [
            format!(r#"{{"status":"latest: digest: {D} size: 591"}}"#),
            format!(r#"{{"progressDetail":{{}},"aux":{{"Tag":"1","Digest":"{D}","Size":7}}}}"#),
        ] {
            assert_eq!(told(&[&line]).0.digest.unwrap().as_str(), D);
        }
    }

    #[test]
    fn a_failure_is_heard_in_every_form() {
        for line in [
            r#"{"errorDetail":{"message":"no such manifest"},"error":"x"}"#,
            r#"{"error":"no such manifest"}"#,
            r#"{"status":"ok"}{"error":"no such manifest"}"#,
            r#"{"errorDetail":{"code":1},"error":"no such manifest"}"#,
        ] {
            assert_eq!(told(&[line]).0.failure.as_deref(), Some("no such manifest"), "{line}");
        }
        assert!(told(&["<html>", "", "7", "[]", "{\"status\":7}"]).0.failure.is_none());
    }
}
