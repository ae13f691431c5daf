//! Jobs: everything asynchronous, as data. `work` runs them, one `match` in all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::layer::tree::{Lies, Look, Rows};
use crate::layer::{Cost, NodeId, Peek, Tree, View};
use crate::model::change::ArchiveFormat;
use crate::model::comparison::{Comparison, Section};
use crate::model::findings::{Arranged, Look as FindingsLook, Reach};
use crate::model::image::LayersOf;
use crate::model::remote::Held;
use crate::model::{
    Change, Copy, Digest, Drift, Family, Finding, Found, Image, ImageKey, ImageList, ImportPreview, Labels, Layers, LineState, Listed,
    LocalTag, Locator, LoggedIn, LoggedOut, LoggedRun, Login, Name, Plan, Problem, Progress, Quota, Referrers, RepoRow, RepositoryView,
    Safe, Scan, SourceId, SourceInfo, Space, Stack, TagDetails, TagRow, Transfer, Uses,
};

use super::Shared;

/// Names one run of one job; never reused, so an answer to a forgotten question is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Jobs in one slot replace each other: the newest wins, the older is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    Sources,
    List,
    Watch,
    /// Whatever follows the cursor.
    Inspect,
    Preview,
    Repositories,
    Tags,
    /// What the tags that are seen point at.
    Details,
    Labels,
    Files,
    Arrange,
    Cost,
    Peek,
    Referrers,
    /// How local tags stand to those of their registries.
    Drift,
    /// What the images of this machine hold.
    Layers,
    Family,
    Space,
    Pullable,
    Trace,
    Compare,
    Sift,
    Scan,
    ArrangeFindings,
    Runs,
    Restorable,
    DryRun,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Find the engines, contexts, stores and files there are.
    Discover,
    /// Make a file, a layout or a registry that the user named a source.
    Open(Locator),
    /// All images of a source. Asks the version first where it isn't known, so it is also how a source is (re)connected.
    List {
        source: SourceId,
    },
    /// Live changes of a source; ends only when cancelled or when the stream breaks. Each change that matters to the list is one
    /// [`JobOutput::Changed`] chunk.
    Watch {
        source: SourceId,
    },
    Inspect {
        source: SourceId,
        key: ImageKey,
    },
    /// What layers of an image hold, at these places, counted from the bottom: a tree in chunks, each with more than the one before: further layers,
    /// or more of one that is still coming, which is told again.
    Files {
        source: SourceId,
        image: Arc<Image>,
        layers: Vec<usize>,
    },
    /// What is to be seen of a tree, summed up. What is open stays open: directories of that tree or the one before it.
    Arrange {
        tree: Shared<Tree>,
        look: Look,
        open: Option<(Shared<Tree>, Shared<Vec<NodeId>>)>,
    },
    /// What all layers of a tree carry for nothing.
    Cost(Shared<Tree>),
    /// The beginning of a file in a layer, laid out for that many columns.
    Peek {
        source: SourceId,
        image: Arc<Image>,
        lies: Lies,
        columns: u16,
    },
    /// Write one file of a layer into a new file.
    SaveFile {
        source: SourceId,
        image: Arc<Image>,
        lies: Lies,
        file: PathBuf,
    },
    /// What an archive holds, before it is imported.
    PreviewImport {
        source: SourceId,
        file: PathBuf,
    },
    /// What pruning would take away: read again from the source, with the bytes no other image shares.
    PreviewPrune {
        source: SourceId,
    },
    /// What a copy would replace: read from where it goes.
    PreviewCopy {
        source: SourceId,
        copy: Box<Copy>,
    },
    /// What pushes would replace: read from the registries they go to.
    PreviewPush {
        source: SourceId,
        pushes: Vec<(Name, Digest)>,
    },
    /// Write images into one archive file.
    Export {
        source: SourceId,
        keys: Vec<ImageKey>,
        file: PathBuf,
        format: ArchiveFormat,
        overwrite: bool,
    },
    /// What differs between two images: first what their documents say, then what their layers hold.
    Compare(Box<[(SourceId, ImageKey); 2]>),
    /// Which rows of a comparison have these parts in their names.
    SiftComparison {
        found: Shared<Comparison>,
        section: Section,
        filter: String,
    },
    /// Write what differs between two images of these names into a new file: as JSON where the file's name says so, else as Markdown.
    SaveComparison {
        found: Shared<Comparison>,
        names: Box<[Safe; 2]>,
        file: PathBuf,
    },
    /// What is wrong with an image, in chunks that each have more than the one before; put together with the reports in these files.
    Scan {
        source: SourceId,
        key: ImageKey,
        image: Arc<Image>,
        reach: Reach,
        imports: Vec<PathBuf>,
    },
    /// Findings as they are to be seen.
    ArrangeFindings {
        scan: Shared<Scan>,
        look: FindingsLook,
    },
    /// Write findings that a filter lets through into a new file: as JSON, SARIF or a table, as its name says.
    SaveFindings {
        scan: Shared<Scan>,
        look: FindingsLook,
        image: Safe,
        file: PathBuf,
    },
    /// Note in the user's ignore file that a finding doesn't count, and why, until some day; and put that together with what is known.
    Ignore {
        finding: Box<Finding>,
        statement: String,
        expired_at: Option<Date>,
        with: Shared<Scan>,
    },
    /// Put a report that lies in a file together with what is known of an image, which has these digests.
    ImportReport {
        file: PathBuf,
        image: Vec<Digest>,
        with: Shared<Scan>,
    },
    /// Every repository of a registry, in chunks while they arrive.
    Repositories {
        source: SourceId,
    },
    /// Every tag of a repository, in chunks while they arrive.
    Tags {
        source: SourceId,
        repository: String,
    },
    /// What tags point at, in this order, in chunks.
    Details {
        source: SourceId,
        repository: String,
        tags: Vec<String>,
    },
    /// The labels of the images that these tags point at, in chunks.
    Labels {
        source: SourceId,
        repository: String,
        details: Vec<TagDetails>,
    },
    /// How local tags stand to those of their registries.
    Drift {
        tags: Vec<LocalTag>,
    },
    /// Whether registries still have these images, under one of the `repository@digest` names they came by.
    Pullable {
        images: Vec<(Digest, Vec<Name>)>,
    },
    /// What refers to a manifest: signatures, SBOMs, attestations.
    Referrers {
        source: SourceId,
        repository: String,
        subject: Digest,
    },
    /// All of a repository that decides what may be changed there, with what refers to these tags and manifests.
    View {
        source: SourceId,
        repository: String,
        tags: Vec<String>,
        digests: Vec<Digest>,
    },
    /// What manifests of a repository hold, for the bytes that a plan frees: those that come first first.
    Weigh {
        source: SourceId,
        repository: String,
        digests: Vec<Digest>,
    },
    /// What images of an engine or store hold that others may hold too, in chunks.
    Layers {
        source: SourceId,
        images: Vec<Digest>,
    },
    /// Where an image comes from and what came of it, among those of a list of which this is known.
    Family {
        image: Shared<Image>,
        list: Shared<ImageList>,
        layers: Shared<Layers>,
    },
    /// What takes the space, among the images of a list of which this is known.
    Space {
        list: Shared<ImageList>,
        layers: Shared<Layers>,
    },
    /// What images are made of, to find one layer among them: images of a source, and manifests of repositories, in chunks.
    Trace {
        local: Option<(SourceId, Vec<Digest>)>,
        remote: Vec<InRepository>,
    },
    /// The deck's only way to take anything away or give it a name: a plan, written down before it runs.
    Apply(Box<Applying>),
    /// Whether each line of a plan could run now. Changes nothing.
    DryRun(Box<Plan>),
    /// Look again at what was cut short.
    Recover,
    /// The runs that the journal has.
    Runs,
    /// Whether the lines of a run could be taken back now.
    Restorable {
        run: String,
    },
    /// The plan that takes a run back, does it again, or goes on with it: this one, or the last that it makes sense for.
    Back {
        way: Way,
        run: Option<String>,
        /// Only these of its lines.
        lines: Option<Vec<usize>>,
    },
    SavePlan {
        plan: Box<Plan>,
        file: PathBuf,
    },
    /// Write a report into a new file.
    SaveText {
        text: String,
        file: PathBuf,
    },
    /// The text of a policy file.
    ReadPolicy {
        file: PathBuf,
    },
    /// Writes a policy into a file that isn't there yet.
    SavePolicy {
        text: String,
        file: PathBuf,
    },
    LogIn {
        source: SourceId,
        login: Login,
    },
    LogOut {
        source: SourceId,
    },
    /// Moves images: everything else that changes is a plan.
    Change(Change),
}

impl Job {
    /// The slot this job shares with others of its kind, if newest wins.
    #[must_use]
    pub const fn slot(&self) -> Option<Slot> {
        match self {
            Self::Discover => Some(Slot::Sources),
            Self::List { .. } => Some(Slot::List),
            Self::Watch { .. } => Some(Slot::Watch),
            Self::Inspect { .. } => Some(Slot::Inspect),
            Self::PreviewImport { .. }
            | Self::PreviewPrune { .. }
            | Self::PreviewCopy { .. }
            | Self::PreviewPush { .. }
            | Self::Back { .. } => Some(Slot::Preview),
            Self::Repositories { .. } => Some(Slot::Repositories),
            Self::Tags { .. } => Some(Slot::Tags),
            Self::Details { .. } => Some(Slot::Details),
            Self::Labels { .. } => Some(Slot::Labels),
            Self::Files { .. } => Some(Slot::Files),
            Self::Arrange { .. } => Some(Slot::Arrange),
            Self::Cost(_) => Some(Slot::Cost),
            Self::Peek { .. } => Some(Slot::Peek),
            Self::Referrers { .. } => Some(Slot::Referrers),
            Self::Drift { .. } => Some(Slot::Drift),
            Self::Layers { .. } => Some(Slot::Layers),
            Self::Family { .. } => Some(Slot::Family),
            Self::Space { .. } => Some(Slot::Space),
            Self::DryRun(_) => Some(Slot::DryRun),
            Self::Pullable { .. } => Some(Slot::Pullable),
            Self::Trace { .. } => Some(Slot::Trace),
            Self::Compare(_) => Some(Slot::Compare),
            Self::SiftComparison { .. } => Some(Slot::Sift),
            Self::Scan { .. } => Some(Slot::Scan),
            Self::ArrangeFindings { .. } => Some(Slot::ArrangeFindings),
            Self::Runs => Some(Slot::Runs),
            Self::Restorable { .. } => Some(Slot::Restorable),
            Self::Open(_)
            | Self::LogIn { .. }
            | Self::LogOut { .. }
            | Self::Export { .. }
            | Self::SaveFile { .. }
            | Self::Change(_)
            | Self::View { .. }
            | Self::Weigh { .. }
            | Self::Apply(_)
            | Self::SavePlan { .. }
            | Self::SaveText { .. }
            | Self::SaveComparison { .. }
            | Self::SaveFindings { .. }
            | Self::Ignore { .. }
            | Self::ImportReport { .. }
            | Self::ReadPolicy { .. }
            | Self::SavePolicy { .. }
            | Self::Recover => None,
        }
    }

    /// Whether it serves the plan or the log, whatever is looked at meanwhile.
    #[must_use]
    pub const fn is_about_plans(&self) -> bool {
        matches!(
            self,
            Self::View { .. }
                | Self::Weigh { .. }
                | Self::Layers { .. }
                | Self::SavePlan { .. }
                | Self::ReadPolicy { .. }
                | Self::SavePolicy { .. }
                | Self::DryRun(_)
                | Self::Recover
                | Self::Runs
                | Self::Restorable { .. }
                | Self::Back { .. }
        )
    }

    /// Whether it is about a registry, for the Registries pane.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(
            self,
            Self::Repositories { .. }
                | Self::Tags { .. }
                | Self::Details { .. }
                | Self::Labels { .. }
                | Self::Referrers { .. }
                | Self::LogIn { .. }
                | Self::LogOut { .. }
        )
    }

    /// The source whose bandwidth it takes, for those that move images.
    #[must_use]
    pub const fn transfer(&self) -> Option<&SourceId> {
        match self {
            Self::Export { source, .. }
            | Self::SaveFile { source, .. }
            | Self::Change(
                Change::Pull { source, .. } | Change::Push { source, .. } | Change::Import { source, .. } | Change::Copy { source, .. },
            ) => Some(source),
            _ => None,
        }
    }

    /// Whether it is listed in the Tasks drawer (long, user-started) rather than shown in its pane.
    #[must_use]
    pub const fn is_task(&self) -> bool {
        matches!(self, Self::Export { .. } | Self::SaveFile { .. } | Self::Change(_) | Self::Apply(_))
    }
}

/// What a finished job brought (or, for [`JobEvent::Chunk`], brings on the way).
#[derive(Debug, Clone, PartialEq)]
pub enum JobOutput {
    Sources(Vec<SourceInfo>),
    Opened(SourceInfo),
    /// With the words of the source's version, such as "Docker 28.2.2, API 1.50".
    Images {
        list: Arc<ImageList>,
        version: Safe,
    },
    /// The last known list of a source, from the cache, while the source is being asked.
    Known(Arc<ImageList>),
    /// When the images of the list that follows were used last, as far as that was noted.
    Uses(Arc<Uses>),
    /// The source says that something changed: list again.
    Changed,
    /// The event stream (re)opened after a gap: list again.
    Watching,
    Image(Arc<Image>),
    /// The layers that were read so far, with what is wrong with each, as a tree.
    Files {
        tree: Shared<Tree>,
        read: BTreeMap<usize, Option<Problem>>,
    },
    /// A tree as it is to be seen.
    Arranged {
        tree: Shared<Tree>,
        look: Look,
        view: Shared<View>,
        rows: Shared<Rows>,
    },
    /// What a tree carries for nothing.
    Cost(Shared<Cost>),
    /// The beginning of a file.
    Peeked(Shared<Peek>),
    /// Some repositories of a registry, while they arrive.
    Repositories(Vec<RepoRow>),
    /// Some tags of a repository, while they arrive.
    Tags(Vec<TagRow>),
    /// The repositories a registry had when it was last asked, from the cache, while it is being asked.
    KnownRepositories(Vec<RepoRow>),
    /// The tags a repository had, in the same way.
    KnownTags(Vec<TagRow>),
    /// How much a registry still gives, as it said last.
    Quota(Quota),
    /// The end of a list of repositories or tags.
    Listed(Listed),
    /// What some tags point at, or why that is not known.
    Details(Vec<(String, Result<TagDetails, Problem>)>),
    /// When some tags were first seen at what they point at.
    FirstSeen(Vec<(String, Digest, Timestamp)>),
    /// The labels behind some tags, by what they point at, or why they are not known.
    Labels(Vec<(Digest, Result<Labels, Problem>)>),
    Referrers(Arc<Referrers>),
    /// All that was asked for was told.
    Told,
    ImportPreview(ImportPreview),
    /// Images without a tag, with the bytes no other image shares.
    Prunable(Arc<ImageList>),
    /// The copy, with what it would replace.
    CopyPreview(Box<Copy>),
    /// What the tag that a push gives is at now, or why that can't be seen from here.
    PushPreview(Vec<Result<Option<Digest>, Problem>>),
    /// What differs so far, and why some of it is not known.
    Compared(Arc<Comparison>, Vec<Problem>),
    /// The places of the rows that were asked for.
    Sifted(Vec<usize>),
    /// What is known so far of what is wrong with an image.
    Scanned(Shared<Scan>),
    /// The same without what was noted in that file as of no account.
    Ignored {
        scan: Shared<Scan>,
        file: PathBuf,
    },
    /// Findings as they are to be seen.
    FindingsArranged {
        scan: Shared<Scan>,
        look: FindingsLook,
        arranged: Arranged,
    },
    /// How some local tags stand, or why that is not known.
    Drift(Vec<(LocalTag, Result<Drift, Problem>)>),
    /// Whether some images can be pulled again, or why that is not known.
    Pullable(Vec<(Digest, Result<bool, Problem>)>),
    /// What some images of this machine are made of.
    Stacks(Vec<Stack>),
    /// What was found out about repositories, by their places in the job.
    Found(Vec<(usize, Found)>),
    LoggedIn(LoggedIn),
    LoggedOut(LoggedOut),
    Viewed(Box<RepositoryView>),
    /// What manifests hold, as far as they could be read.
    Held(BTreeMap<Digest, Held>),
    /// What some images hold; `None` of those of which it can't be told.
    Layers(Vec<LayersOf>),
    Family(Box<Family>),
    Space(Shared<Space>),
    /// How some lines of a plan stand now, that runs or is looked at.
    Lines(Vec<(usize, LineState)>),
    /// How a plan went.
    Ran(Arc<LoggedRun>),
    /// How many runs were found cut short just now, and looked at again.
    Recovered(usize),
    /// Newest first.
    Runs(Arc<Vec<LoggedRun>>),
    Restorable(Box<LoggedRun>),
    Back {
        plan: Box<Plan>,
        about: About,
    },
    Saved(PathBuf),
    /// Of a policy.
    Text(String),
    Exported {
        file: PathBuf,
        transfer: Transfer,
    },
    /// How a [`Job::Change`] ended.
    Applied(Transfer),
}

/// What is to be read of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InRepository {
    pub source: SourceId,
    /// Without the registry's host.
    pub repository: String,
    /// Tags of which it is not known yet where they point; `None` where they are to be listed first.
    pub tags: Option<Vec<String>>,
    pub digests: Vec<Digest>,
}

/// A plan on its way to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Applying {
    pub plan: Plan,
    /// Write what would be lost into a backup first.
    pub backup: bool,
    /// The run that it is about.
    pub about: Option<About>,
}

/// What a plan does about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Undo,
    Redo,
    /// Does what a run that was cut short did not come to.
    Resume,
}

/// The run a plan is about, and which of its lines each line of the plan is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub way: Way,
    pub run: String,
    pub lines: Vec<usize>,
}

/// What a job tells while it lives. The last one is `Done`, `Failed` or `Cancelled`, exactly once.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    Progress(Progress),
    Chunk(JobOutput),
    Done(JobOutput),
    Failed(Problem),
    Cancelled,
}
