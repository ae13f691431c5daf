//! A deck with one engine and one registry, driven by keys and by what jobs answer.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::allow_attributes,
    reason = "each test binary uses its own part"
)]

use jiff::Timestamp;
use lighterman::app::{Settings, State, start, update};
use lighterman::flow::{Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Msg};
use lighterman::model::{
    Change, Completeness, Digest, Foreign, Listed, Platform, Powers, Problem, RemoteChild, RemoteKind, RepoRow, Safe, SourceId, SourceInfo,
    SourceKind, TagDetails, TagRow,
};

pub const HOST: &str = "registry.example.com";
const NOW: i64 = 1_760_000_000;

pub struct Remote {
    pub state: State,
    pub effects: Vec<Effect>,
}

fn info(kind: SourceKind, id: &str, name: &str, read_only: bool) -> SourceInfo {
    SourceInfo {
        id: SourceId(id.to_owned()),
        kind,
        name: Safe::new(name),
        place: Safe::new(name),
        why: Safe::new("logged in"),
        powers: if kind == SourceKind::Registry { Powers::REGISTRY } else { Powers::ALL },
        read_only,
    }
}

pub fn registry() -> SourceId {
    SourceId::registry(HOST)
}

pub fn digest(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

pub fn complete(count: usize) -> Listed {
    Listed { count, odd: 0, completeness: Completeness::Complete }
}

/// What a tag points at: the image made from `seed`.
pub fn details(tag: &str, seed: &str, size: u64, days: i64) -> (String, Result<TagDetails, Problem>) {
    let details = TagDetails {
        tag: tag.to_owned(),
        digest: digest(seed),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        kind: RemoteKind::Image,
        artifact_type: None,
        size: Some(size),
        created: Timestamp::from_second(NOW - days * 86_400).ok(),
        platforms: vec![Platform::new("linux", "amd64", None)],
        children: Vec::new(),
        subject: None,
        signed: Some(seed == "signed"),
        gap: None,
    };
    (tag.to_owned(), Ok(details))
}

/// The same as an index of two platforms and an attestation.
pub fn index(tag: &str, seed: &str) -> (String, Result<TagDetails, Problem>) {
    let (tag, Ok(mut details)) = details(tag, seed, 42_000_000, 3) else { unreachable!("it is made well") };
    let child = |architecture: &str| RemoteChild {
        digest: digest(&format!("{seed}-{architecture}")),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        size: 1234,
        platform: Some(Platform::new("linux", architecture, None)),
        about: None,
    };
    details.kind = RemoteKind::Index;
    details.platforms = vec![Platform::new("linux", "amd64", None), Platform::new("linux", "arm64", Some("v8"))];
    details.children = vec![child("amd64"), child("arm64"), RemoteChild { about: Some(digest("x")), platform: None, ..child("unknown") }];
    (tag, Ok(details))
}

impl Remote {
    pub fn new(width: u16, height: u16, read_only: bool) -> Self {
        let settings = Settings { clipboard: true, ..Settings::default() };
        let mut state = State::new(settings, Timestamp::from_second(NOW).unwrap());
        let effects = start(&mut state);
        let mut deck = Self { state, effects };
        deck.tell(Msg::Resize { width, height });
        let discover = deck.job(|job| matches!(job, Job::Discover));
        let sources = vec![
            info(SourceKind::Engine, "engine:test", "docker", false),
            info(SourceKind::Registry, &registry().0, HOST, read_only),
            info(SourceKind::Registry, "registry:localhost:5000", "localhost:5000", false),
        ];
        deck.tell(Msg::Job(discover, JobEvent::Done(JobOutput::Sources(sources))));
        deck
    }

    /// In the repository `acme/web`, with these tags told and nothing known of them.
    pub fn in_tags(width: u16, height: u16, tags: &[&str]) -> Self {
        let mut deck = Self::in_repositories(width, height, &["acme/web"]);
        deck.press("j");
        deck.enter();
        let id = deck.job(|job| matches!(job, Job::Tags { .. }));
        deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(tags)))));
        deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(tags.len())))));
        deck
    }

    pub fn in_repositories(width: u16, height: u16, names: &[&str]) -> Self {
        let mut deck = Self::new(width, height, false);
        deck.press("2");
        deck.enter();
        let id = deck.job(|job| matches!(job, Job::Repositories { .. }));
        let repositories = names.iter().map(|name| RepoRow { name: Foreign::new(name), fit: true }).collect();
        deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Repositories(repositories))));
        deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(names.len())))));
        deck
    }

    /// The cursor stands still: what is seen is asked for.
    pub fn stand_still(&mut self) {
        self.tell(Msg::Follow(self.state.moves));
    }

    /// Answers the details that were asked for last.
    pub fn detail(&mut self, answers: Vec<(String, Result<TagDetails, Problem>)>) {
        let id = self.job(|job| matches!(job, Job::Details { .. }));
        self.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Details(answers))));
        self.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    }

    pub fn tell(&mut self, msg: Msg) {
        self.effects.extend(update(&mut self.state, msg));
    }

    pub fn press(&mut self, keys: &str) {
        for c in keys.chars() {
            self.tell(Msg::Key { chord: Chord::char(c), held: false });
        }
    }

    pub fn key(&mut self, key: Key) {
        self.tell(Msg::Key { chord: Chord::plain(key), held: false });
    }

    pub fn enter(&mut self) {
        self.key(Key::Enter);
    }

    /// The job started last that fits.
    pub fn job(&self, fits: impl Fn(&Job) -> bool) -> JobId {
        let started = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Start(id, job) if fits(job) => Some(*id),
            _ => None,
        });
        started.unwrap()
    }

    pub fn jobs(&self, fits: impl Fn(&Job) -> bool) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::Start(_, job) if fits(job))).count()
    }

    pub fn changes(&self) -> Vec<&Change> {
        let started = self.effects.iter().filter_map(|effect| match effect {
            Effect::Start(_, Job::Change(change)) => Some(change),
            _ => None,
        });
        started.collect()
    }

    /// The tags in the order they show.
    pub fn tags(&self) -> Vec<&str> {
        let tags = &self.state.registries.tags;
        (0..tags.rows.len()).filter_map(|row| tags.tag(row)).map(|row| row.tag.raw()).collect()
    }
}

pub fn rows(tags: &[&str]) -> Vec<TagRow> {
    tags.iter().map(|tag| TagRow { tag: Foreign::new(tag), fit: lighterman::model::remote::is_tag(tag) }).collect()
}
