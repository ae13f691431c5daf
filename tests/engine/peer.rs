//! A real engine under test, with bollard as a second pair of eyes, and small images made on the spot.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test binary uses its own part")]

use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ImportImageOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures_util::StreamExt as _;
use lighterman::model::Digest;
use lighterman::source::credentials::Credentials;
use lighterman::source::engine::{Endpoint, EngineSource};
use serde_json::json;

use super::common;

pub struct Peer {
    pub source: EngineSource,
    pub docker: Docker,
    pub podman: bool,
}

/// Every engine that is there.
pub fn peers(test: &str) -> Vec<Peer> {
    let named = [(common::docker(test), false), (common::podman(test), true)];
    named.into_iter().filter_map(|(address, podman)| Some(Peer::new(&address?, podman))).collect()
}

impl Peer {
    pub fn new(address: &str, podman: bool) -> Self {
        let endpoint = Endpoint::parse(address, "peer", "test", None, false).unwrap();
        let docker = Docker::connect_with_unix(address, 60, API_DEFAULT_VERSION).unwrap();
        Self { source: EngineSource::new(endpoint, Credentials::none()), docker, podman }
    }

    /// A name that no other test and no other run uses.
    pub fn prefix(&self, test: &str) -> String {
        let engine = if self.podman { "podman" } else { "docker" };
        format!("lm-{engine}-{test}-{}", std::process::id())
    }

    pub async fn load(&self, made: &Made, names: &[&str]) {
        let options = ImportImageOptionsBuilder::default().build();
        let mut stream = Box::pin(self.docker.import_image(options, body_full(made.archive(names).into()), None));
        while let Some(line) = stream.next().await {
            line.unwrap();
        }
    }

    /// A container that was never started.
    pub async fn container(&self, image: &str) -> String {
        let body = bollard::models::ContainerCreateBody { image: Some(image.to_owned()), ..Default::default() };
        let options = CreateContainerOptionsBuilder::default().build();
        self.docker.create_container(Some(options), body).await.unwrap().id
    }

    pub async fn clear(&self, names: &[&str], container: Option<&str>) {
        if let Some(container) = container {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            self.docker.remove_container(container, Some(options)).await.unwrap();
        }
        for name in names {
            let _ = self.docker.remove_image(name, Some(RemoveImageOptionsBuilder::default().build()), None).await;
        }
    }

    /// The ID that holds `name` now.
    pub async fn holder(&self, name: &str) -> Option<Digest> {
        self.docker.inspect_image(name).await.ok().and_then(|image| image.id?.parse().ok())
    }
}

/// How this engine spells a local name.
pub fn tagged(peer: &Peer, repository: &str, tag: &str) -> String {
    if peer.podman { format!("localhost/{repository}:{tag}") } else { format!("{repository}:{tag}") }
}

/// An image made here, small and new.
pub struct Made {
    pub id: Digest,
    pub diff_ids: Vec<Digest>,
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
}

impl Made {
    pub fn new(seed: &str, layers: usize) -> Self {
        let bytes: Vec<Vec<u8>> = (0..layers).map(|n| format!("{seed} step {n}").into_bytes()).collect();
        Self::with(seed, &bytes)
    }

    /// One layer a content, each a file `step-N`.
    pub fn with(seed: &str, contents: &[Vec<u8>]) -> Self {
        let layers: Vec<Vec<u8>> = contents.iter().enumerate().map(|(n, bytes)| tar_of(&[(format!("step-{n}"), bytes.clone())])).collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
        let mut history: Vec<_> =
            (0..layers.len()).map(|n| json!({"created": "2020-09-13T12:26:40Z", "created_by": format!("COPY step-{n} /")})).collect();
        history.push(json!({"created": "2020-09-13T12:26:40Z", "created_by": "CMD [\"/step\"]", "empty_layer": true}));
        let config = json!({"architecture": "amd64", "os": "linux", "created": "2020-09-13T12:26:40Z", "history": history,
            "config": {"Cmd": ["/step"], "Env": ["PATH=/", "WORD=two words"], "Labels": {"made": seed}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids.iter().map(Digest::as_str).collect::<Vec<_>>()}});
        let config = serde_json::to_vec(&config).unwrap();
        Self { id: Digest::sha256(&config), diff_ids, config, layers }
    }

    /// A docker-archive with these tags.
    pub fn archive(&self, names: &[&str]) -> Vec<u8> {
        let mut files = self.files();
        files.push(("manifest.json".to_owned(), serde_json::to_vec(&json!([self.entry(names)])).unwrap()));
        tar_of(&files)
    }

    /// Layers and configuration.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let paths = self.diff_ids.iter().map(|id| format!("{}/layer.tar", id.hex()));
        let mut files: Vec<_> = paths.zip(self.layers.iter().cloned()).collect();
        files.push((format!("{}.json", self.id.hex()), self.config.clone()));
        files
    }

    /// The image's part of a `manifest.json`.
    pub fn entry(&self, names: &[&str]) -> serde_json::Value {
        let paths: Vec<String> = self.diff_ids.iter().map(|id| format!("{}/layer.tar", id.hex())).collect();
        let names = if names.is_empty() { serde_json::Value::Null } else { json!(names) };
        json!({"Config": format!("{}.json", self.id.hex()), "RepoTags": names, "Layers": paths})
    }
}

/// Bytes that don't compress, the same for the same seed.
pub fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    let mut block = Digest::sha256(seed.as_bytes());
    while bytes.len() < length {
        bytes.extend(block.hex().as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()));
        block = Digest::sha256(block.hex().as_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}
