//! What is to be changed, written down before anything is: one line a change, with the digest it was thought through against, what will
//! be true afterwards, and how far it can be taken back. The document is versioned JSON; one that comes from a file is hostile until
//! [`Plan::parse`] has looked at it.
//!
//! Made and ordered by `curate::plan`, carried out by `work::apply`.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::name::Name;
use super::platform::Platform;
use super::problem::{Problem, ProblemKind};
use super::safe::{Foreign, Safe};
use super::source_info::SourceId;

/// Of the document. A reader refuses any other.
pub const VERSION: u32 = 1;
/// Bytes of a plan's document.
pub const LARGEST: usize = 64 << 20;
/// Lines of a plan.
pub const MOST_LINES: usize = 100_000;
/// Entries of one list of a line; builders cut theirs shorter.
const MOST_NAMED: usize = 10_000;
/// Bytes of one text of a line.
const LONGEST_TEXT: usize = 4096;

/// A list of changes, in the order they run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    pub kind: PlanKind,
    pub made_at: Timestamp,
    /// Name and version of the tool that made it.
    pub made_by: Foreign,
    /// Take everything back when one line can't be done.
    #[serde(default)]
    pub all_or_nothing: bool,
    pub operations: Vec<Operation>,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanKind {
    Retag,
    Delete,
    Prune,
    Retain,
    Transfer,
    /// Of several kinds, as a drawer collects them.
    Mixed,
    Undo,
    Redo,
    Resume,
}

impl PlanKind {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retag => "retag",
            Self::Delete => "delete",
            Self::Prune => "prune",
            Self::Retain => "retain",
            Self::Transfer => "transfer",
            Self::Mixed => "mixed",
            Self::Undo => "undo",
            Self::Redo => "redo",
            Self::Resume => "resume",
        }
    }
}

/// What one line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Puts back a manifest by its digest, from the bytes that were saved.
    RestoreManifest,
    /// Brings back an image, from a backup.
    RestoreImage,
    Pull,
    Copy,
    Push,
    /// Gives a name that nothing has.
    Tag,
    /// Takes a name from one image and gives it to another.
    MoveTag,
    /// Takes a name alone away: the image, or the manifest, stays.
    Untag,
    /// Takes a tag of a registry away, and its manifest where the registry deletes whole manifests only.
    DeleteTag,
    DeleteManifest,
    /// Takes an image of this machine away: with its last tag, or by its ID when it has none.
    DeleteImage,
}

impl Verb {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RestoreManifest => "restore manifest",
            Self::RestoreImage => "restore image",
            Self::Pull => "pull",
            Self::Copy => "copy",
            Self::Push => "push",
            Self::Tag => "tag",
            Self::MoveTag => "move tag",
            Self::Untag => "untag",
            Self::DeleteTag => "delete tag",
            Self::DeleteManifest => "delete manifest",
            Self::DeleteImage => "delete image",
        }
    }

    /// Whether it moves what its target will be at, which may not be known before.
    #[must_use]
    pub const fn brings(self) -> bool {
        matches!(self, Self::Copy | Self::Pull | Self::Push)
    }

    /// Whether something is gone, or somewhere else, afterwards.
    #[must_use]
    pub const fn takes_away(self) -> bool {
        matches!(self, Self::MoveTag | Self::Untag | Self::DeleteTag | Self::DeleteManifest | Self::DeleteImage)
    }
}

/// What a line changes. In JSON one text: a full name, `repository@digest`, or an image ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    Tag(Name),
    Manifest {
        /// With the registry's host.
        repository: Name,
        digest: Digest,
    },
    Image(Digest),
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    /// As it is written in the document: not safe for a terminal, see [`Target::safe`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(name) => f.write_str(name.raw()),
            Self::Manifest { repository, digest } => write!(f, "{}@{digest}", repository.raw()),
            Self::Image(id) => write!(f, "{id}"),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > LONGEST_TEXT {
            return Err("a target is too long".to_owned());
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Image(id));
        }
        match text.split_once('@') {
            Some((repository, digest)) => {
                let digest = digest.parse().map_err(|error| format!("{}: {error}", Safe::ascii(&text)))?;
                Ok(Self::Manifest { repository: Name::new(repository), digest })
            }
            None => Ok(Self::Tag(Name::new(&text))),
        }
    }
}

impl Target {
    /// For display.
    #[must_use]
    pub fn safe(&self) -> Safe {
        Safe::ascii(&self.to_string())
    }

    /// The name, where it is one.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Tag(name) => Some(name),
            Self::Manifest { .. } | Self::Image(_) => None,
        }
    }

    /// The repository with its host in canonical spelling; `None` for an image ID or a name outside the grammar.
    #[must_use]
    pub fn repository(&self) -> Option<String> {
        let name = match self {
            Self::Tag(name) => name,
            Self::Manifest { repository, .. } => repository,
            Self::Image(_) => return None,
        };
        let reference = name.reference().ok()?;
        Some(format!("{}/{}", reference.registry(), reference.repository()))
    }

    /// The same text for every spelling of the same thing.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            Self::Tag(name) => name.canonical(),
            Self::Manifest { digest, .. } => {
                format!("{}@{digest}", self.repository().unwrap_or_default())
            }
            Self::Image(id) => id.to_string(),
        }
    }
}

/// How far a line can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoClass {
    ReversibleNow,
    UntilGarbageCollection,
    OnlyFromBackup,
    Irreversible,
}

impl UndoClass {
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::ReversibleNow => "reversible now",
            Self::UntilGarbageCollection => "until the registry collects garbage",
            Self::OnlyFromBackup => "only from a backup",
            Self::Irreversible => "irreversible",
        }
    }
}

/// Bytes that a line frees, shared ones counted once over the whole plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freed {
    pub at_least: u64,
    pub at_most: u64,
    /// What the figures rest on, such as "12 of 14 manifests".
    pub basis: Foreign,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub verb: Verb,
    pub source: SourceId,
    pub target: Target,
    /// Where a copy comes from, as it is typed.
    #[serde(default)]
    pub from: Option<Name>,
    /// Of a copy or pull, these platforms only; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "platforms")]
    pub platforms: Vec<Platform>,
    /// Of a copy, whether signatures and whatever else refers to it come along.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_referrers: bool,
    /// What the target was seen at; `None` where there was nothing. Of a registry the manifest's digest, else the image's ID.
    pub before: Option<Digest>,
    /// What it will be at; `None` where there will be nothing (or, of a pull or copy, where that can't be known before). Of a push the ID of the
    /// image that is sent.
    pub after: Option<Digest>,
    #[serde(default)]
    pub media_type: Option<Foreign>,
    /// What will be true afterwards, a sentence each.
    #[serde(default)]
    pub effects: Vec<Foreign>,
    /// Other tags that keep what the target was at.
    #[serde(default)]
    pub shares: Vec<Foreign>,
    /// Containers made of the image.
    #[serde(default)]
    pub used_by: Vec<Foreign>,
    /// Indexes that list the manifest: their tags, else their digests.
    #[serde(default)]
    pub parents: Vec<Foreign>,
    /// What refers to the manifest: tags, else digests.
    #[serde(default)]
    pub referrers: Vec<Foreign>,
    /// Filled in by whoever knows the layers.
    #[serde(default)]
    pub freed: Option<Freed>,
    pub undo: UndoClass,
    /// Why it may not run.
    #[serde(default)]
    pub protected: Option<Foreign>,
    /// Why it runs all the same, as a user typed it.
    #[serde(default)]
    pub override_reason: Option<Foreign>,
}

impl Operation {
    /// A line with nothing said about it yet.
    #[must_use]
    pub const fn new(verb: Verb, source: SourceId, target: Target, before: Option<Digest>, after: Option<Digest>) -> Self {
        Self {
            verb,
            source,
            target,
            from: None,
            platforms: Vec::new(),
            with_referrers: false,
            before,
            after,
            media_type: None,
            effects: Vec::new(),
            shares: Vec::new(),
            used_by: Vec::new(),
            parents: Vec::new(),
            referrers: Vec::new(),
            freed: None,
            undo: UndoClass::ReversibleNow,
            protected: None,
            override_reason: None,
        }
    }

    /// Where its target is: of a push the registry that it goes to, else where it runs.
    #[must_use]
    pub fn place(&self) -> Cow<'_, SourceId> {
        let reference = self.target.name().filter(|_| self.verb == Verb::Push).and_then(|name| name.reference().ok());
        reference.map_or(Cow::Borrowed(&self.source), |reference| Cow::Owned(SourceId::registry(reference.registry())))
    }

    /// Whether what its target is at can't be looked at, as of a push to a registry out of reach: it has no precondition and no way back.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.verb == Verb::Push && self.undo == UndoClass::Irreversible
    }

    /// What it changes, and from what to what: the rest is words about that.
    #[must_use]
    pub const fn change(&self) -> (Verb, &SourceId, &Target, Option<&Digest>, Option<&Digest>) {
        (self.verb, &self.source, &self.target, self.before.as_ref(), self.after.as_ref())
    }

    /// What is somewhere else once it ran, whatever it does there: no two lines of a plan change the same. A push changes what its registry
    /// has by that name, and not what this machine has.
    #[must_use]
    pub fn changes(&self) -> (Cow<'_, SourceId>, String) {
        (self.place(), self.target.canonical())
    }

    /// Why it is passed over: protected, and nobody said otherwise.
    #[must_use]
    pub fn refused(&self) -> Option<&Foreign> {
        if self.override_reason.as_ref().is_some_and(|reason| !reason.raw().trim().is_empty()) { None } else { self.protected.as_ref() }
    }

    /// Whether what the target was at is gone, or somewhere else, afterwards: a copy, pull or push takes an existing tag as a move does.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        self.verb.takes_away() || (self.verb.brings() && self.before.is_some() && self.before != self.after)
    }

    /// After "can't …".
    #[must_use]
    pub fn doing(&self) -> String {
        format!("{} {}", self.verb.word(), self.target.safe())
    }

    /// Whether its parts fit together, as far as that can be told from it alone.
    fn fault(&self) -> Option<String> {
        let lists = [&self.effects, &self.shares, &self.used_by, &self.parents, &self.referrers];
        let texts = [&self.media_type, &self.protected, &self.override_reason];
        let long = |text: &Foreign| text.raw().len() > LONGEST_TEXT;
        if self.platforms.len() > MOST_NAMED
            || lists.iter().any(|list| list.len() > MOST_NAMED || list.iter().any(long))
            || texts.iter().any(|text| text.as_ref().is_some_and(long))
        {
            return Some("it says more than a line can hold".to_owned());
        }
        let place = &self.source.0;
        if place.is_empty() || place.len() > LONGEST_TEXT || place.contains(|c: char| c.is_control() || c == '?') {
            return Some("its source is no place".to_owned());
        }
        match &self.target {
            Target::Tag(name) => match name.reference() {
                Err(problem) => return Some(problem.cause.to_string()),
                Ok(reference) if reference.digest().is_some() => return Some("a tag can't have a digest".to_owned()),
                Ok(_) => {}
            },
            Target::Manifest { repository, .. } if repository.reference().is_err() || repository.split().1.is_some() => {
                return Some("its repository is outside the grammar".to_owned());
            }
            Target::Manifest { .. } | Target::Image(_) => {}
        }
        if let (Some(host), Some(repository)) = (self.source.registry_host(), self.target.repository())
            && repository.split_once('/').is_none_or(|(registry, _)| registry != host)
        {
            return Some(format!("it is not in {host}"));
        }
        self.shape().map(str::to_owned)
    }

    /// What a verb needs.
    fn shape(&self) -> Option<&'static str> {
        let remote = self.source.registry_host().is_some();
        let (tag, manifest, image) =
            (self.target.name().is_some(), matches!(self.target, Target::Manifest { .. }), matches!(self.target, Target::Image(_)));
        let own = match &self.target {
            Target::Manifest { digest, .. } | Target::Image(digest) => Some(digest),
            Target::Tag(_) => None,
        };
        let (before, after) = (self.before.as_ref(), self.after.as_ref());
        let fits = match self.verb {
            Verb::Tag => tag && before.is_none() && after.is_some(),
            Verb::MoveTag => tag && before.is_some() && after.is_some() && before != after,
            Verb::Untag => tag && before.is_some() && after.is_none(),
            Verb::DeleteTag => remote && tag && before.is_some() && after.is_none(),
            Verb::DeleteManifest => remote && manifest && before == own && after.is_none(),
            Verb::DeleteImage => !remote && before.is_some() && after.is_none() && (tag || (image && before == own)),
            Verb::RestoreManifest => remote && manifest && before.is_none() && after == own,
            Verb::RestoreImage => !remote && before.is_none() && after.is_some() && (tag || (image && after == own)),
            Verb::Copy => remote && tag && self.from.is_some(),
            // What could not be looked at has no precondition.
            Verb::Push => !remote && tag && after.is_some() && (before.is_none() || !self.is_blind()),
            Verb::Pull => !remote && tag,
        };
        (!fits).then_some("its target, before and after don't fit what it does")
    }
}

/// As they are written: `os/architecture[/variant]`.
fn platforms<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Platform>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

/// A run as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRun {
    /// Sorts by time.
    pub id: String,
    pub at: Timestamp,
    /// User and machine.
    pub actor: Foreign,
    pub kind: PlanKind,
    pub lines: Vec<LoggedLine>,
    pub end: RunEnd,
    /// The run that this one takes back, does again or goes on with.
    pub about: Option<String>,
    /// Part of its file can't be read.
    pub damaged: bool,
}

/// One line of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedLine {
    pub operation: Operation,
    pub state: LineState,
    /// Why it could not be taken back now; `Some(None)` where it could, `None` where that was not asked.
    pub restorable: Option<Option<Safe>>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It runs, here or in another process.
    Running,
    /// It was killed in the middle: what it began was looked at, and the rest can be gone on with.
    CutShort,
    Whole,
    /// A user stopped it, or something that left no sense in going on.
    Stopped,
}

/// How a line of a running plan stands.
#[derive(Debug, Clone, PartialEq)]
pub enum LineState {
    Waiting,
    Running,
    Done {
        /// What is there now.
        observed: Option<Digest>,
    },
    /// The target is not where it was seen: nothing was done.
    Conflict {
        observed: Option<Digest>,
    },
    Failed(Problem),
    /// Not tried, and why.
    Skipped(Safe),
    /// Done, and taken back since.
    TakenBack,
}

impl LineState {
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done { .. } => "done",
            Self::Conflict { .. } => "conflict",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::TakenBack => "taken_back",
        }
    }

    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// More than the word says.
    #[must_use]
    pub fn why(&self) -> Option<Safe> {
        match self {
            Self::Conflict { observed: Some(now) } => Some(Safe::from(format!("it is at {} now", now.short()))),
            Self::Conflict { observed: None } => Some(Safe::new("it is gone")),
            Self::Failed(problem) => Some(problem.cause.clone()),
            Self::Skipped(why) => Some(why.clone()),
            Self::Waiting | Self::Running | Self::Done { .. } | Self::TakenBack => None,
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Plan {
    /// A plan of this program, without the promise of all or nothing.
    #[must_use]
    pub fn new(kind: PlanKind, made_at: Timestamp, operations: Vec<Operation>) -> Self {
        let made_by = Foreign::new(concat!("lighterman ", env!("CARGO_PKG_VERSION")));
        Self { version: VERSION, kind, made_at, made_by, all_or_nothing: false, operations }
    }

    /// Reads a document and checks it.
    ///
    /// # Errors
    /// `Limit` for one that is too large, `Unsupported` for another version, `Usage` for everything that is no plan, with the line.
    pub fn parse(bytes: &[u8], doing: &str) -> Result<Self, Problem> {
        if bytes.len() > LARGEST {
            return Err(Problem::new(ProblemKind::Limit, doing, format!("a plan has at most {} MiB", LARGEST >> 20)));
        }
        let bad = |error: serde_json::Error| {
            Problem::new(ProblemKind::Usage, doing, format!("it is no plan: {error}")).hint("`lighterman plan … -o FILE` writes one")
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(bad)?;
        if version != VERSION {
            let cause = format!("it has version {version}, and this program knows version {VERSION} only");
            return Err(Problem::new(ProblemKind::Unsupported, doing, cause).hint("use the version of Lighterman that made it"));
        }
        let plan: Self = serde_json::from_slice(bytes).map_err(bad)?;
        plan.check(doing)?;
        Ok(plan)
    }

    /// Whether every line is one that can be carried out as it stands.
    ///
    /// # Errors
    /// `Limit` or `Usage`, naming the first line at fault.
    pub fn check(&self, doing: &str) -> Result<(), Problem> {
        if self.operations.len() > MOST_LINES {
            return Err(Problem::new(ProblemKind::Limit, doing, format!("a plan has at most {MOST_LINES} lines")));
        }
        if self.made_by.raw().len() > LONGEST_TEXT {
            return Err(Problem::new(ProblemKind::Limit, doing, "the name of the tool that made it is too long"));
        }
        for (at, operation) in self.operations.iter().enumerate() {
            if let Some(fault) = operation.fault() {
                let cause = format!("line {} ({}): {fault}", at + 1, operation.doing());
                return Err(Problem::new(ProblemKind::Usage, doing, cause));
            }
        }
        Ok(())
    }

    /// The document.
    ///
    /// # Errors
    /// Never in practice: all of it can be written as JSON.
    pub fn to_json(&self) -> Result<String, Problem> {
        serde_json::to_string(self).map_err(|error| Problem::new(ProblemKind::Other, "write the plan", error.to_string()))
    }
}

#[cfg(test)]
mod tests;
