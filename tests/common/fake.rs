//! A registry in memory, on the scripted server: healthy unless a test bends it, and it counts what it is asked.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test binary uses its own part; a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lighterman::model::Digest;
use lighterman::source::oci::media;
use serde_json::{Value, json};

use super::scripted::{Reply, Request, Server};

/// How it deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deletes {
    /// As the specification has it: a tag alone, or a manifest with all its tags.
    #[default]
    Spec,
    /// As Debian's registry: only manifests, with all their tags.
    DigestOnly,
    /// Not at all: 405.
    Disabled,
}

#[derive(Debug, Default)]
pub struct State {
    /// By repository and digest: media type and bytes.
    pub manifests: BTreeMap<(String, Digest), (String, Vec<u8>)>,
    pub tags: BTreeMap<(String, String), Digest>,
    pub blobs: BTreeMap<(String, Digest), Vec<u8>>,
    pub deletes: Deletes,
    pub referrers_api: bool,
    pub no_mounts: bool,
}

/// Looks at a request first: `Some` is the answer.
pub type Bend = dyn Fn(&Request, &mut State) -> Option<Reply> + Send + Sync;

pub struct Fake {
    pub server: Server,
    pub state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn new() -> Self {
        Self::bent(|_, _| None)
    }

    pub fn bent(bend: impl Fn(&Request, &mut State) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::new(move |request| {
            let mut state = shared.lock().unwrap();
            bend(request, &mut state).unwrap_or_else(|| state.answer(request))
        });
        Self { server, state }
    }

    pub fn host(&self) -> String {
        self.server.host()
    }

    /// Puts a manifest under a tag, and gives its digest.
    pub fn put(&self, repo: &str, tag: Option<&str>, body: &Value) -> Digest {
        self.put_bytes(repo, tag, body["mediaType"].as_str().unwrap_or(media::OCI_MANIFEST), body.to_string().into_bytes())
    }

    pub fn put_bytes(&self, repo: &str, tag: Option<&str>, media_type: &str, bytes: Vec<u8>) -> Digest {
        let digest = Digest::sha256(&bytes);
        let mut state = self.state.lock().unwrap();
        state.manifests.insert((repo.to_owned(), digest.clone()), (media_type.to_owned(), bytes));
        if let Some(tag) = tag {
            state.tags.insert((repo.to_owned(), tag.to_owned()), digest.clone());
        }
        digest
    }

    pub fn blob(&self, repo: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.state.lock().unwrap().blobs.insert((repo.to_owned(), digest.clone()), bytes.to_vec());
        digest
    }

    /// An image of one layer, which differs with `seed`.
    pub fn image(&self, repo: &str, tag: Option<&str>, architecture: &str, seed: &str) -> Digest {
        let layer = format!("layer {seed}").into_bytes();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2025-05-05T05:05:05Z", "config": {"Cmd": [seed]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]}
        });
        let config = config.to_string().into_bytes();
        let (layer_size, config_size) = (layer.len(), config.len());
        let (layer, config) = (self.blob(repo, &layer), self.blob(repo, &config));
        self.put(
            repo,
            tag,
            &json!({
                "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
                "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": config_size},
                "layers": [{"mediaType": media::OCI_LAYER, "digest": layer, "size": layer_size}]
            }),
        )
    }

    /// An index over manifests that are there: pairs of digest and platform.
    pub fn index(&self, repo: &str, tag: Option<&str>, children: &[(&Digest, &str)]) -> Digest {
        let entry = |(digest, architecture): &(&Digest, &str)| {
            let size = self.state.lock().unwrap().manifests.get(&(repo.to_owned(), (*digest).clone())).map_or(7, |(_, bytes)| bytes.len());
            json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": architecture}})
        };
        let entries: Vec<Value> = children.iter().map(entry).collect();
        self.put(repo, tag, &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries}))
    }

    /// A manifest about `subject`.
    pub fn referrer(&self, repo: &str, tag: Option<&str>, subject: &Digest, kind: &str) -> Digest {
        let empty = self.blob(repo, b"{}");
        let subject = json!({"mediaType": media::OCI_MANIFEST, "digest": subject, "size": 7});
        self.put(
            repo,
            tag,
            &json!({
                "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": kind, "subject": subject,
                "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
                "layers": [{"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2}]
            }),
        )
    }

    pub fn tag(&self, repo: &str, tag: &str) -> Option<Digest> {
        self.state.lock().unwrap().tags.get(&(repo.to_owned(), tag.to_owned())).cloned()
    }

    pub fn tags(&self, repo: &str) -> Vec<String> {
        self.state.lock().unwrap().tags.keys().filter(|(r, _)| r == repo).map(|(_, tag)| tag.clone()).collect()
    }

    pub fn has(&self, repo: &str, digest: &Digest) -> bool {
        self.state.lock().unwrap().manifests.contains_key(&(repo.to_owned(), digest.clone()))
    }

    /// Requests of that method whose path holds `part`.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.server.count(method, part)
    }

    /// Bytes of blobs that were sent or fetched.
    pub fn forget(&self) {
        self.server.forget();
    }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::Plain(status, vec![], json!({"errors": [{"code": code}]}).to_string().into_bytes())
}

impl State {
    /// The digest that a tag or digest means.
    fn resolve(&self, repo: &str, target: &str) -> Option<Digest> {
        let digest = target.parse().ok().or_else(|| self.tags.get(&(repo.to_owned(), target.to_owned())).cloned())?;
        self.manifests.contains_key(&(repo.to_owned(), digest.clone())).then_some(digest)
    }

    pub fn answer(&mut self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let Some(rest) = path.strip_prefix("/v2/") else { return Reply::status(404) };
        if rest.is_empty() {
            return Reply::body("{}");
        }
        for (word, verb) in [
            ("/manifests/", Self::manifest as fn(&mut Self, &Request, &str, &str) -> Reply),
            ("/blobs/uploads/", Self::upload),
            ("/blobs/", Self::blob),
            ("/referrers/", Self::referrers),
        ] {
            if let Some((repo, target)) = rest.split_once(word) {
                let _ = query;
                return verb(self, request, repo, target);
            }
        }
        if let Some(repo) = rest.strip_suffix("/tags/list") {
            let tags: Vec<&String> = self.tags.keys().filter(|(r, _)| r == repo).map(|(_, tag)| tag).collect();
            return Reply::body(json!({"name": repo, "tags": tags}).to_string());
        }
        if rest == "_catalog" {
            let mut repos: Vec<&String> = self.tags.keys().map(|(repo, _)| repo).collect();
            repos.dedup();
            return Reply::body(json!({"repositories": repos}).to_string());
        }
        Reply::status(404)
    }

    fn manifest(&mut self, request: &Request, repo: &str, target: &str) -> Reply {
        match request.method.as_str() {
            "PUT" => {
                let digest = Digest::sha256(&request.body);
                let kind = request.header("content-type").unwrap_or_default().to_owned();
                self.manifests.insert((repo.to_owned(), digest.clone()), (kind, request.body.clone()));
                if target.parse::<Digest>().is_err() {
                    self.tags.insert((repo.to_owned(), target.to_owned()), digest.clone());
                }
                Reply::status(201).with("Docker-Content-Digest", digest.to_string())
            }
            "DELETE" => self.delete(repo, target),
            _ => {
                let Some(digest) = self.resolve(repo, target) else { return error(404, "MANIFEST_UNKNOWN") };
                let (kind, bytes) = &self.manifests[&(repo.to_owned(), digest.clone())];
                Reply::body(bytes.clone()).with("Content-Type", kind.clone()).with("Docker-Content-Digest", digest.to_string())
            }
        }
    }

    fn delete(&mut self, repo: &str, target: &str) -> Reply {
        if self.deletes == Deletes::Disabled {
            return error(405, "UNSUPPORTED");
        }
        let Ok(digest) = target.parse::<Digest>() else {
            if self.deletes == Deletes::DigestOnly {
                return error(400, "DIGEST_INVALID");
            }
            let gone = self.tags.remove(&(repo.to_owned(), target.to_owned()));
            return if gone.is_some() { Reply::status(202) } else { error(404, "MANIFEST_UNKNOWN") };
        };
        if self.manifests.remove(&(repo.to_owned(), digest.clone())).is_none() {
            return error(404, "MANIFEST_UNKNOWN");
        }
        self.tags.retain(|(r, _), at| r != repo || *at != digest);
        Reply::status(202)
    }

    fn blob(&mut self, request: &Request, repo: &str, target: &str) -> Reply {
        let found = target.parse().ok().and_then(|digest: Digest| self.blobs.get(&(repo.to_owned(), digest)));
        let Some(bytes) = found else { return error(404, "BLOB_UNKNOWN") };
        if let Some((first, last)) = request.stretch()
            && first <= last
            && last < bytes.len()
        {
            let range = format!("bytes {first}-{last}/{}", bytes.len());
            return Reply::Plain(206, vec![("Content-Range", range)], bytes[first..=last].to_vec());
        }
        match request.range() {
            Some(from) if from < bytes.len() => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::Plain(206, vec![("Content-Range", range)], bytes[from..].to_vec())
            }
            _ => Reply::body(bytes.clone()),
        }
    }

    fn upload(&mut self, request: &Request, repo: &str, _session: &str) -> Reply {
        let query = request.path.split_once('?').map_or("", |(_, query)| query).replace("%3A", ":").replace("%2F", "/");
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        if request.method == "POST" {
            if let (Some(digest), Some(from), false) = (value("mount"), value("from"), self.no_mounts) {
                let digest: Digest = digest.parse().unwrap();
                if let Some(bytes) = self.blobs.get(&(from, digest.clone())).cloned() {
                    self.blobs.insert((repo.to_owned(), digest), bytes);
                    return Reply::status(201);
                }
            }
            return Reply::status(202).with("Location", format!("/v2/{repo}/blobs/uploads/session"));
        }
        let digest: Digest = value("digest").unwrap().parse().unwrap();
        if Digest::sha256(&request.body) != digest {
            return error(400, "DIGEST_INVALID");
        }
        self.blobs.insert((repo.to_owned(), digest), request.body.clone());
        Reply::status(201)
    }

    fn referrers(&mut self, _request: &Request, repo: &str, target: &str) -> Reply {
        if !self.referrers_api {
            return Reply::status(404);
        }
        let about = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok().is_some_and(|body| body["subject"]["digest"] == target);
        let entry = |((_, digest), (kind, bytes)): (&(String, Digest), &(String, Vec<u8>))| {
            let body: Value = serde_json::from_slice(bytes).unwrap();
            json!({"mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": body["artifactType"]})
        };
        let found: Vec<Value> = self.manifests.iter().filter(|((r, _), (_, bytes))| r == repo && about(bytes)).map(entry).collect();
        Reply::body(json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": found}).to_string())
            .with("Content-Type", media::OCI_INDEX)
    }
}
