//! Makes small layered images for tests: as a layout directory, an oci-archive or a docker-archive, always the same bytes for the same
//! description.
//!
//! ```ignore
//! let image = ImageSpec::new("acme/api:v1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/api", b"…")]).label("a", "b");
//! std::fs::write(path, docker_archive(&[image.clone()])).unwrap();
//! oci_layout(&dir, &[image], Pack::Gzip);
//! ```

use std::io::Write;
use std::path::Path;

use lighterman::model::Digest;
use serde_json::{Value, json};

/// How layers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pack {
    None,
    Gzip,
    Zstd,
}

impl Pack {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }
}

/// What an image is to be.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    pub names: Vec<String>,
    pub architecture: String,
    /// Path and content, a layer each.
    pub layers: Vec<Vec<(String, Vec<u8>)>>,
    /// Paths of files that may be run.
    pub programs: Vec<String>,
    pub labels: Vec<(String, String)>,
    pub created: String,
}

impl ImageSpec {
    /// An image with that name and no layer yet; an empty name makes an untagged one.
    pub fn new(name: &str) -> Self {
        let names = if name.is_empty() { Vec::new() } else { vec![name.to_owned()] };
        let created = "2026-01-02T03:04:05Z".to_owned();
        Self { names, architecture: "amd64".to_owned(), layers: Vec::new(), programs: Vec::new(), labels: Vec::new(), created }
    }

    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    #[must_use]
    pub fn layer(mut self, files: &[(&str, &[u8])]) -> Self {
        self.layers.push(files.iter().map(|(path, body)| ((*path).to_owned(), body.to_vec())).collect());
        self
    }

    #[must_use]
    pub fn program(mut self, path: &str) -> Self {
        self.programs.push(path.to_owned());
        self
    }

    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    #[must_use]
    pub fn created(mut self, created: &str) -> Self {
        created.clone_into(&mut self.created);
        self
    }
}

#[derive(Debug, Clone)]
pub struct BuiltLayer {
    pub tar: Vec<u8>,
    pub stored: Vec<u8>,
    pub diff_id: Digest,
    pub digest: Digest,
}

/// An image's documents and layers.
#[derive(Debug, Clone)]
pub struct Built {
    pub names: Vec<String>,
    pub config: Vec<u8>,
    pub config_digest: Digest,
    pub layers: Vec<BuiltLayer>,
    pub manifest: Vec<u8>,
    pub manifest_digest: Digest,
}

/// A tar of these files, in this order.
pub fn tar<P: AsRef<str>, B: AsRef<[u8]>>(files: &[(P, B)]) -> Vec<u8> {
    tar_with(files, &[])
}

fn tar_with<P: AsRef<str>, B: AsRef<[u8]>>(files: &[(P, B)], programs: &[String]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (path, body) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.as_ref().len() as u64);
        header.set_mode(if programs.iter().any(|program| program == path.as_ref()) { 0o755 } else { 0o644 });
        header.set_mtime(0);
        out.append_data(&mut header, path.as_ref(), body.as_ref()).unwrap();
    }
    out.into_inner().unwrap()
}

pub fn build(spec: &ImageSpec, pack: Pack) -> Built {
    let layers: Vec<_> = spec
        .layers
        .iter()
        .map(|files| {
            let tar = tar_with(files, &spec.programs);
            let stored = pack.pack(&tar);
            BuiltLayer { diff_id: Digest::sha256(&tar), digest: Digest::sha256(&stored), tar, stored }
        })
        .collect();
    let labels: Value = spec.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<serde_json::Map<_, _>>().into();
    let mut history: Vec<_> =
        (0..layers.len()).map(|i| json!({"created": spec.created, "created_by": format!("COPY layer-{i} / # buildkit")})).collect();
    history.push(json!({"created": spec.created, "created_by": "CMD [\"/bin/sh\"]", "empty_layer": true}));
    let config = serde_json::to_vec(&json!({
        "architecture": spec.architecture, "os": "linux", "created": spec.created,
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": labels, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>()},
        "history": history,
    }))
    .unwrap();
    let config_digest = Digest::sha256(&config);
    let described: Vec<_> =
        layers.iter().map(|layer| json!({"mediaType": pack.media_type(), "digest": layer.digest, "size": layer.stored.len()})).collect();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
        "layers": described,
    }))
    .unwrap();
    Built { names: spec.names.clone(), config_digest, config, layers, manifest_digest: Digest::sha256(&manifest), manifest }
}

/// A classic docker-archive, as `docker save` of engines before 25 writes it.
pub fn docker_archive(specs: &[ImageSpec]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut listed = Vec::new();
    for spec in specs {
        let image = build(spec, Pack::None);
        let mut paths = Vec::new();
        for layer in &image.layers {
            let path = format!("{}/layer.tar", layer.diff_id.hex());
            if !files.iter().any(|(known, _)| *known == path) {
                files.push((path.clone(), layer.tar.clone()));
            }
            paths.push(path);
        }
        let config = format!("{}.json", image.config_digest.hex());
        listed.push(json!({"Config": config, "RepoTags": spec.names, "Layers": paths}));
        files.push((config, image.config));
    }
    files.push(("manifest.json".to_owned(), serde_json::to_vec(&listed).unwrap()));
    tar(&files)
}

/// The files of an image layout, `index.json` last.
pub fn oci_files(specs: &[ImageSpec], pack: Pack) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut entries = Vec::new();
    for spec in specs {
        let image = build(spec, pack);
        let mut blob = |digest: &Digest, bytes: &[u8]| {
            let path = format!("blobs/sha256/{}", digest.hex());
            if !files.iter().any(|(known, _)| *known == path) {
                files.push((path, bytes.to_vec()));
            }
        };
        for layer in &image.layers {
            blob(&layer.digest, &layer.stored);
        }
        blob(&image.config_digest, &image.config);
        blob(&image.manifest_digest, &image.manifest);
        let entry = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.manifest_digest, "size": image.manifest.len(),
            "platform": {"os": "linux", "architecture": spec.architecture},
        });
        if spec.names.is_empty() {
            entries.push(entry);
        } else {
            for name in &spec.names {
                let mut entry = entry.clone();
                entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
                entries.push(entry);
            }
        }
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
    files.push(("index.json".to_owned(), serde_json::to_vec(&index).unwrap()));
    files
}

/// Writes an image layout into `dir`, which is made when missing.
pub fn oci_layout(dir: &Path, specs: &[ImageSpec], pack: Pack) {
    for (path, bytes) in oci_files(specs, pack) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

pub fn oci_archive(specs: &[ImageSpec], pack: Pack) -> Vec<u8> {
    tar(&oci_files(specs, pack))
}

/// Bytes that don't pack.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}
