//! The world of `lighterman demo`: a store full of believable images, made in a moment, always the same but for the dates, which lie
//! before the `now` that is given. It names only example hosts, so nothing in it can reach anybody.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::index::Index;
use super::{INDEX, StoreSource, prepare};
use crate::model::{Digest, Name, Platform, Problem, ProblemKind};
use crate::source::content::Descriptor;
use crate::source::oci::{descriptor_json, media};

/// A layer of the world: what made it, and its files with their sizes in kB.
struct Layer {
    by: &'static str,
    files: &'static [(&'static str, u32)],
}

const DEBIAN: Layer = Layer {
    by: "/bin/sh -c #(nop) ADD file:3f1bd4ce9a0c07a25d19c4b2a7d5e1c6 in / ",
    files: &[
        ("etc/os-release", 1),
        ("etc/passwd", 1),
        ("usr/bin/bash", 420),
        ("usr/bin/apt", 30),
        ("usr/lib/x86_64-linux-gnu/libc.so.6", 640),
        ("usr/share/doc/README", 12),
    ],
};
const ALPINE: Layer = Layer {
    by: "ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit",
    files: &[("etc/alpine-release", 1), ("bin/busybox", 310), ("lib/ld-musl-x86_64.so.1", 240)],
};
const CERTIFICATES: Layer = Layer {
    by: "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* # buildkit",
    files: &[("etc/ssl/certs/ca-certificates.crt", 210), ("usr/bin/curl", 180), ("var/log/dpkg.log", 40)],
};
const PYTHON: Layer = Layer {
    by: "RUN /bin/sh -c apt-get install -y python3 python3-venv # buildkit",
    files: &[("usr/bin/python3.11", 520), ("usr/lib/python3.11/os.py", 40), ("usr/lib/python3.11/ssl.py", 50), ("var/log/dpkg.log", 60)],
};
const REDIS: Layer = Layer {
    by: "RUN /bin/sh -c make -C /usr/src/redis install # buildkit",
    files: &[("usr/local/bin/redis-server", 900), ("etc/redis.conf", 90)],
};
const NODE: Layer = Layer {
    by: "RUN /bin/sh -c apk add --no-cache nodejs npm # buildkit",
    files: &[("usr/bin/node", 1100), ("usr/lib/node_modules/npm/index.js", 60)],
};
const TOOLS: Layer = Layer {
    by: "RUN /bin/sh -c apt-get install -y git build-essential docker-cli jq # buildkit",
    files: &[("usr/bin/git", 700), ("usr/bin/gcc", 1400), ("usr/bin/jq", 60), ("usr/bin/docker", 900)],
};

/// An application's own files, which differ from build to build.
const API: &[(&str, u32)] = &[("app/api", 350), ("app/schema.sql", 12), ("etc/ssl/certs/ca-certificates.crt", 210)];
const WEB: &[(&str, u32)] = &[("app/server.js", 80), ("app/public/bundle.js", 260), ("app/public/.wh.old.js", 0)];
const JOBS: &[(&str, u32)] = &[("app/worker.py", 24), ("app/models/base.bin", 450), ("usr/lib/python3.11/.wh.ssl.py", 0)];

/// One image to make.
struct Spec {
    tags: &'static [&'static str],
    base: &'static [Layer],
    /// The application's files, and the number of the build.
    own: Option<(&'static [(&'static str, u32)], u32)>,
    days_old: i64,
    env: &'static [&'static str],
    cmd: &'static [&'static str],
    labels: &'static [(&'static str, &'static str)],
    platforms: &'static [&'static str],
}

const AMD64: &[&str] = &["linux/amd64"];
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const API_LABELS: &[(&str, &str)] = &[
    ("org.opencontainers.image.title", "acme-api"),
    ("org.opencontainers.image.source", "https://git.example.com/acme/api"),
    ("team", "harbour"),
];

const fn plain(tags: &'static [&'static str], base: &'static [Layer], days_old: i64, cmd: &'static [&'static str]) -> Spec {
    Spec { tags, base, own: None, days_old, env: &[PATH], cmd, labels: &[], platforms: AMD64 }
}

const fn api(tags: &'static [&'static str], build: u32, days_old: i64) -> Spec {
    Spec {
        tags,
        base: &[DEBIAN, CERTIFICATES],
        own: Some((API, build)),
        days_old,
        env: &[PATH, "APP_ENV=production", "PORT=8080"],
        cmd: &["/app/api", "--listen", "0.0.0.0:8080"],
        labels: API_LABELS,
        platforms: AMD64,
    }
}

const WORLD: &[Spec] = &[
    plain(&["docker.io/library/debian:bookworm-slim", "docker.io/library/debian:12-slim"], &[DEBIAN], 420, &["bash"]),
    plain(&["docker.io/library/alpine:3.20"], &[ALPINE], 260, &["/bin/sh"]),
    plain(&["docker.io/library/redis:7.4"], &[DEBIAN, REDIS], 150, &["redis-server"]),
    plain(&["registry.example.com/tools/ci-runner:2023.11"], &[DEBIAN, CERTIFICATES, PYTHON, TOOLS], 1090, &["bash"]),
    api(&["registry.example.com/acme/api:1.3.2"], 132, 210),
    api(
        &[
            "registry.example.com/acme/api:1.4.0",
            "registry.example.com/acme/api:1.4",
            "registry.example.com/acme/api:1",
            "registry.example.com/acme/api:stable",
        ],
        140,
        21,
    ),
    api(&["registry.example.com/acme/api:1.5.0-rc3"], 153, 2),
    api(&[], 151, 9),
    api(&[], 152, 5),
    Spec {
        tags: &["registry.example.com/acme/web:2.2.0", "registry.example.com/acme/web:latest"],
        base: &[ALPINE, NODE],
        own: Some((WEB, 220)),
        days_old: 12,
        env: &[PATH, "NODE_ENV=production"],
        cmd: &["node", "/app/server.js"],
        labels: &[("org.opencontainers.image.title", "acme-web"), ("org.opencontainers.image.licenses", "MIT")],
        platforms: &["linux/amd64", "linux/arm64/v8"],
    },
    Spec {
        tags: &["registry.example.com/acme/web:2.1.4"],
        base: &[ALPINE, NODE],
        own: Some((WEB, 214)),
        days_old: 75,
        env: &[PATH, "NODE_ENV=production"],
        cmd: &["node", "/app/server.js"],
        labels: &[("org.opencontainers.image.title", "acme-web")],
        platforms: AMD64,
    },
    Spec {
        tags: &["registry.example.com/acme/worker:nightly"],
        base: &[DEBIAN, CERTIFICATES, PYTHON],
        own: Some((JOBS, 7)),
        days_old: 0,
        env: &[PATH, "PYTHONUNBUFFERED=1", "QUEUE=harbour"],
        cmd: &["python3", "/app/worker.py"],
        labels: &[("org.opencontainers.image.title", "acme-worker"), ("team", "cranes")],
        platforms: AMD64,
    },
];

/// Fills the empty directory `dir` with the demo world, its dates before `now`, and opens it. Nothing outside `dir` is touched. The
/// files are not fsynced: the world can be made again.
///
/// # Errors
/// A directory that can't be written.
pub fn build(dir: &Path, now: Timestamp) -> Result<StoreSource, Problem> {
    prepare(dir)?;
    let mut maker = Maker { dir, now, made: BTreeMap::new() };
    let mut index = Index::default();
    for (nth, spec) in WORLD.iter().enumerate() {
        let root = maker.image(spec, i64::try_from(nth).unwrap_or_default())?;
        for tag in spec.tags {
            index.set(tag, &root);
            // What looks released was pulled from somewhere, and can be again.
            if !tag.contains("-rc") && !tag.ends_with("nightly") {
                let name = Name::new(tag);
                index.note_origin(&root.digest, &format!("{}@{}", name.split().0, root.digest));
            }
        }
        if spec.tags.is_empty() {
            index.keep(&root);
        }
    }
    write(&dir.join(INDEX), &index.bytes())?;
    StoreSource::open(dir)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    fs::write(path, bytes).map_err(|error| Problem::disk("make the demo world", path, &error))
}

struct Maker<'a> {
    dir: &'a Path,
    now: Timestamp,
    /// Layers made already: stored descriptor and diff ID.
    made: BTreeMap<String, (Descriptor, Digest)>,
}

impl Maker<'_> {
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Problem> {
        let digest = Digest::sha256(bytes);
        write(&self.dir.join("blobs/sha256").join(digest.hex()), bytes)?;
        let size = bytes.len() as u64;
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() })
    }

    /// What the index is to point at.
    fn image(&mut self, spec: &Spec, nth: i64) -> Result<Descriptor, Problem> {
        let mut manifests = Vec::new();
        for platform in spec.platforms {
            manifests.push(self.manifest(spec, nth, platform)?);
        }
        if manifests.len() == 1
            && let Some(one) = manifests.pop()
        {
            return Ok(Descriptor { platform: None, ..one });
        }
        let children: Vec<Value> = manifests.iter().map(descriptor_json).collect();
        let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children});
        self.blob(media::OCI_INDEX, body.to_string().as_bytes())
    }

    fn manifest(&mut self, spec: &Spec, nth: i64, platform: &str) -> Result<Descriptor, Problem> {
        let platform: Platform = platform.parse().map_err(|why: &str| Problem::new(ProblemKind::Other, "make the demo world", why))?;
        // Some hour of that day, so that rows do not all look alike.
        let age = SignedDuration::from_hours(spec.days_old * 24 + (nth * 5) % 23) + SignedDuration::from_secs(nth * 97);
        let created = self.now.checked_sub(age).unwrap_or(self.now);
        let mut layers = Vec::new();
        let mut history = Vec::new();
        for layer in spec.base {
            layers.push(self.layer(layer.files, 0, &platform)?);
            let older = created.checked_sub(SignedDuration::from_hours(24 * 30)).unwrap_or(created);
            history.push(json!({"created": older, "created_by": layer.by}));
        }
        for env in spec.env.iter().skip(1) {
            history.push(
                json!({"created": created, "created_by": format!("ENV {env}"), "comment": "buildkit.dockerfile.v0", "empty_layer": true}),
            );
        }
        if let Some((files, build)) = spec.own {
            layers.push(self.layer(files, build, &platform)?);
            history.push(
                json!({"created": created, "created_by": format!("COPY dist/{build}/ / # buildkit"), "comment": "buildkit.dockerfile.v0"}),
            );
        }
        for (key, value) in spec.labels {
            history.push(json!({"created": created, "created_by": format!("LABEL {key}={value}"), "comment": "buildkit.dockerfile.v0", "empty_layer": true}));
        }
        history.push(json!({"created": created, "created_by": format!("CMD {}", json!(spec.cmd)), "comment": "buildkit.dockerfile.v0", "empty_layer": true}));
        let labels: BTreeMap<&str, &str> = spec.labels.iter().copied().collect();
        let mut config = json!({
            "architecture": platform.architecture, "os": platform.os, "created": created,
            "config": {"Env": spec.env, "Cmd": spec.cmd, "Labels": labels, "WorkingDir": if spec.own.is_some() { "/app" } else { "" }},
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|(_, diff_id)| diff_id).collect::<Vec<_>>()},
            "history": history,
        });
        if let (Some(variant), Some(map)) = (&platform.variant, config.as_object_mut()) {
            map.insert("variant".to_owned(), json!(variant));
        }
        let config = self.blob(media::OCI_CONFIG, config.to_string().as_bytes())?;
        let body = json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": descriptor_json(&config),
            "layers": layers.iter().map(|(stored, _)| descriptor_json(stored)).collect::<Vec<_>>(),
        });
        Ok(Descriptor { platform: Some(platform), ..self.blob(media::OCI_MANIFEST, body.to_string().as_bytes())? })
    }

    /// A gzipped layer; the same files and build for the same platform are the same bytes.
    fn layer(&mut self, files: &[(&str, u32)], build: u32, platform: &Platform) -> Result<(Descriptor, Digest), Problem> {
        let key = format!("{platform} {build} {files:?}");
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let failed = |error: std::io::Error| Problem::new(ProblemKind::Other, "make the demo world", error.to_string());
        let mut tar = tar::Builder::new(Vec::new());
        for (path, size) in files {
            let bytes = content(&format!("{platform} {build} {path}"), *size);
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(if path.contains("bin/") { 0o755 } else { 0o644 });
            header.set_mtime(1_700_000_000);
            header.set_cksum();
            tar.append_data(&mut header, path, bytes.as_slice()).map_err(failed)?;
        }
        let tar = tar.into_inner().map_err(failed)?;
        let diff_id = Digest::sha256(&tar);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar).map_err(failed)?;
        let packed = gzip.finish().map_err(failed)?;
        let stored = self.blob(&format!("{}+gzip", media::OCI_LAYER), &packed)?;
        self.made.insert(key, (stored.clone(), diff_id.clone()));
        Ok((stored, diff_id))
    }
}

/// `kilobytes` of bytes that belong to `name`: half noise, as programs are, half text.
fn content(name: &str, kilobytes: u32) -> Vec<u8> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)) | 1;
    let mut out = Vec::with_capacity(kilobytes as usize * 1000);
    for block in 0..kilobytes {
        if block % 2 == 1 {
            let line = format!("{name}: line {block} of a file that is here to be looked at\n");
            out.extend(line.bytes().cycle().take(1000));
            continue;
        }
        for _ in 0..125 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.extend_from_slice(&state.to_le_bytes());
        }
    }
    out
}
