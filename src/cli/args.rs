//! What may be typed: the commands and options, as clap derives them. Names and meanings are the contract of the command line;
//! nothing is read or decided here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::layer_args::{CiArgs, DiffArgs, FilesArgs};
use super::scan::ScanArgs;
use super::scan_args::{DbCommand, SbomArgs};
use crate::model::{ArchiveFormat, Platform};

const AFTER: &str = "\
References are written as for docker and skopeo:
  app:1.2, ID or its beginning   the current engine, or the embedded store where no engine is found
  docker-daemon:REF              the engine
  store:REF                      the embedded store
  docker://HOST/REPO[:TAG]       a registry
  oci:DIR[:TAG]                  an OCI layout on disk
  oci-archive:FILE[:TAG]         an OCI layout in a tar file
  docker-archive:FILE[:REF]      what `docker save` writes

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 4 findings at or over --fail-on, 130 interrupted.";

/// Browse and curate container images: local engines, registries and archives, with or without a daemon.
///
/// Without a command the deck opens, a full-screen view of the images on this machine, at the image or on the archives that REF… name.
#[derive(Debug, Parser)]
#[command(name = "lighterman", version, after_help = AFTER, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) globals: Globals,

    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// What to show in the deck: an image, or archives and layouts to open
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) references: Vec<String>,
}

/// Options every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Globals {
    /// The engine to use: unix://SOCKET, tcp://HOST:PORT, ssh://USER@HOST, or `store` for the embedded store
    ///
    /// Without it, DOCKER_HOST, DOCKER_CONTEXT, the current docker context, CONTAINER_HOST and the usual sockets of Docker and Podman are tried in this order.
    #[arg(short = 'H', long, global = true, value_name = "HOST", conflicts_with = "context", help_heading = "Where")]
    pub(super) host: Option<String>,

    /// The docker context to use
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub(super) context: Option<String>,

    /// The directory of the embedded store
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Where")]
    pub(super) store: Option<PathBuf>,

    /// A registry (or an engine at a tcp:// address) that may be spoken to without TLS; may be repeated
    #[arg(long, global = true, value_name = "HOST[:PORT]", help_heading = "Where")]
    pub(super) insecure: Vec<String>,

    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "How")]
    pub(super) config: Option<PathBuf>,

    /// Refuse everything that would change anything
    #[arg(long, global = true, help_heading = "How")]
    pub(super) read_only: bool,

    /// Print one JSON document on standard output instead of text
    #[arg(long, global = true, help_heading = "How")]
    pub(super) json: bool,

    /// Tell of every finished step on standard error
    #[arg(short, long, global = true, help_heading = "How")]
    pub(super) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open the deck on a sample world of its own, touching nothing of yours
    Demo,
    /// List the images of the current engine, or of the store
    Images(ImagesArgs),
    /// Show everything known of an image
    Inspect(InspectArgs),
    /// Show the steps an image was built of, oldest first
    History(HistoryArgs),
    /// List the files of an image, or of one of its layers
    Files(FilesArgs),
    /// Show what differs between two images: settings, layers, files, packages
    Diff(DiffArgs),
    /// Say how much of an image is wasted, and fail when it is too much
    Ci(CiArgs),
    /// Say what is wrong with an image: settings, secrets, packages with known weaknesses
    Scan(ScanArgs),
    /// Fetch an image from a registry
    Pull(PullArgs),
    /// Send an image to its registry
    Push(PushArgs),
    /// List the repositories of a registry
    Repos(ReposArgs),
    /// List the tags of a repository
    Tags(TagsArgs),
    /// Copy an image to, from or between registries, every byte verified
    Copy(CopyArgs),
    /// Give an image more names; in a registry no layer moves
    Tag(TagArgs),
    /// Write an image to an archive file
    Export(ExportArgs),
    /// Bring in the images of an archive file
    Import(ImportArgs),
    /// Take away tags, and the images that had no other
    Delete(DeleteArgs),
    /// Write down what is to be changed, with what it leaves and how far it can be taken back; nothing is changed
    Plan {
        #[command(subcommand)]
        what: PlanCommand,
    },
    /// Carry a plan out, line by line, each looked at again right before it is done
    Apply(ApplyArgs),
    /// Take back what a run did
    Undo(UndoArgs),
    /// Do again what an undo took back
    Redo(UndoArgs),
    /// List what was done; of one run each line, and whether it can still be taken back
    Log {
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Say which tags a retention policy would keep and drop, and why
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// List the packages of an image, as a document for other tools
    Sbom(SbomArgs),
    /// Keep the databases of advisories that scans go by
    Db {
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Show what was found on this machine, and why something is missing
    Doctor,
    /// Print the completion script of a shell
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(super) struct ImagesArgs {
    /// Also the intermediate images that builds left in an engine; the store has none, and always lists all it holds
    #[arg(short, long)]
    pub(super) all: bool,

    /// Only these: the deck's filter language, such as 'app size:>500MB age:>30d unused', or 'unused:30d' for what was not seen used for so long
    #[arg(short, long, value_name = "FILTER")]
    pub(super) filter: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// References, or archives and layouts for all their images
    #[arg(value_name = "REF", required = true, value_hint = ValueHint::AnyPath)]
    pub(super) references: Vec<String>,

    /// Read every layer and check it against its digest and diff ID
    #[arg(long)]
    pub(super) verify: bool,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) reference: String,
}

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// The image in its registry
    #[arg(value_name = "REF")]
    pub(super) reference: String,

    /// Of a multi-platform image, this one: os/architecture[/variant]
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// The local image, by the name it shall have in its registry
    #[arg(value_name = "REF")]
    pub(super) reference: String,
}

#[derive(Debug, Args)]
pub(super) struct ReposArgs {
    /// The registry, such as localhost:5000
    #[arg(value_name = "HOST")]
    pub(super) host: String,
}

#[derive(Debug, Args)]
pub(super) struct TagsArgs {
    /// The repository, such as localhost:5000/team/app
    #[arg(value_name = "HOST/REPO")]
    pub(super) repository: String,

    /// Also what each tag points at: digest, size, date, platforms
    #[arg(short, long)]
    pub(super) details: bool,
}

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// docker://, oci:, oci-archive:, docker-archive:, store: or docker-daemon:
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(super) from: String,

    /// docker://, oci:, oci-archive:, docker-archive:, store: or docker-daemon:
    #[arg(value_name = "DST", value_hint = ValueHint::AnyPath)]
    pub(super) to: String,

    /// Of a multi-platform image, only this: os/architecture[/variant]; may be repeated
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Vec<Platform>,

    /// From registry to registry: also signatures, SBOMs and whatever else refers to it
    #[arg(long)]
    pub(super) referrers: bool,
}

#[derive(Debug, Args)]
pub(super) struct TagArgs {
    #[arg(value_name = "SRC")]
    pub(super) from: String,

    #[arg(value_name = "DST", required = true)]
    pub(super) to: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) reference: String,

    /// The archive to write; docker-archive:FILE and oci-archive:FILE also say the format
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: String,

    /// The archive's format; without it `oci` for names that end in .oci.tar, else `docker`
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,

    /// Replace an existing file, once the new one is complete
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The archive to read
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: String,

    /// Don't ask before tags are moved
    #[arg(short, long)]
    pub(super) yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[arg(value_name = "REF", required = true)]
    pub(super) references: Vec<String>,

    /// In a registry that can only delete whole manifests: also every other tag of the same digest
    #[arg(long, conflicts_with = "tag_only")]
    pub(super) all_tags: bool,

    /// In such a registry: take the tag alone away, by way of an empty manifest
    #[arg(long)]
    pub(super) tag_only: bool,

    /// Don't ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Give images other names; in a registry no layer moves
    Retag(PlanRetagArgs),
    /// Take tags and images away
    Delete(PlanDeleteArgs),
    /// Take images without a tag away that nothing uses
    Prune {
        #[command(flatten)]
        how: PlanArgs,
    },
    /// Take the tags away that a policy lets go
    Retain(PlanRetainArgs),
    /// Find all that contains a polluted image or layer, and put it away under another name, or delete it
    Quarantine(PlanQuarantineArgs),
}

#[derive(Debug, Args)]
#[command(
    long_about = "Find all that contains a polluted image or layer, and put it away under another name, or delete it\n\nLooks through the images of this machine and the repositories that are named: a layer is found under every digest it has, and an image pollutes what begins with all of its layers. Of each repository it is said how many of its tags were looked at; what can't be looked into makes the exit code 3."
)]
pub(super) struct PlanQuarantineArgs {
    /// The image, or the digest of an image or a layer
    #[arg(value_name = "REF|DIGEST")]
    pub(super) suspect: String,

    /// Look through this repository too, such as localhost:5000/team/app, or with a host alone through all that its registry lists; may be
    /// repeated
    #[arg(long = "in", value_name = "HOST[/REPO]")]
    pub(super) repositories: Vec<String>,

    /// What the new tags begin with
    #[arg(long, value_name = "TEXT", default_value = "quarantine-", conflicts_with = "delete")]
    pub(super) tag_prefix: String,

    /// Delete instead of putting away
    #[arg(long)]
    pub(super) delete: bool,

    /// Write what was found into this new file: JSON where its name ends in .json, else Markdown
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) list: Option<PathBuf>,

    #[command(flatten)]
    pub(super) how: PlanArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanRetainArgs {
    /// The policy
    #[arg(value_name = "POLICY", value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,

    /// The repositories, such as localhost:5000/team/app
    #[arg(value_name = "HOST/REPO", required = true)]
    pub(super) repositories: Vec<String>,

    /// Yes, more of this repository may go than the policy allows at once; may be repeated
    #[arg(long, value_name = "HOST/REPO")]
    pub(super) confirm: Vec<String>,

    #[command(flatten)]
    pub(super) how: PlanArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanRetagArgs {
    /// The new name of each; `:TAG` stays in the repository of its source
    #[arg(value_name = "SRC=DST")]
    pub(super) pairs: Vec<String>,

    /// Also the pairs of this file, `source -> target` a line; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) from: Option<PathBuf>,

    /// Put a rule to every tag of HOST/REPO, or of a repository of this machine (store:REPO, docker-daemon:REPO); may be repeated
    #[arg(long = "repo", value_name = "REPO", requires = "rule")]
    pub(super) repositories: Vec<String>,

    /// The rule: what this finds in a tag is replaced; tags without it keep their names
    #[arg(long = "match", value_name = "REGEX", group = "rule", requires_all = ["to", "repositories"])]
    pub(super) find: Option<String>,

    /// What is put in its place; $1 or ${name} stand for groups
    #[arg(long, value_name = "TEXT", requires = "find")]
    pub(super) to: Option<String>,

    /// The rule: the new tag with parts such as {tag}, {major}, {date}, {digest:7} and {label:NAME}
    #[arg(long, value_name = "TEMPLATE", group = "rule", requires = "repositories")]
    pub(super) template: Option<String>,

    /// The rule: promote, release, deprecate, mirror:HOST/NAMESPACE, prefix:TEXT or suffix:TEXT
    #[arg(long, value_name = "NAME", group = "rule", requires = "repositories")]
    pub(super) preset: Option<String>,

    #[command(flatten)]
    pub(super) how: PlanArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanDeleteArgs {
    #[arg(value_name = "REF", required = true)]
    pub(super) references: Vec<String>,

    /// Take the tags alone away, and leave what they are at
    #[arg(long)]
    pub(super) untag: bool,

    #[command(flatten)]
    pub(super) how: PlanArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Write the plan to this file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,

    /// Take everything back when one line can't be done
    #[arg(long)]
    pub(super) all_or_nothing: bool,

    /// Protect references like this, such as '*:stable'; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(super) protect: Vec<String>,

    /// Run lines that are protected all the same, for this reason
    #[arg(long = "override", value_name = "REASON")]
    pub(super) override_reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// What `lighterman plan … -o FILE` wrote; - reads standard input
    #[arg(value_name = "PLAN", value_hint = ValueHint::FilePath, required_unless_present = "resume")]
    pub(super) plan: Option<PathBuf>,

    /// Go on with a run that was cut short instead, the last one or this one
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["plan", "dry_run", "all_or_nothing", "backup"])]
    pub(super) resume: Option<String>,

    /// Don't ask
    #[arg(short, long)]
    pub(super) yes: bool,

    /// Only look whether each line could be done now
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Take everything back when one line can't be done
    #[arg(long)]
    pub(super) all_or_nothing: bool,

    /// Write out the images that would be lost, before anything is done
    #[arg(long)]
    pub(super) backup: bool,
}

#[derive(Debug, Args)]
pub(super) struct UndoArgs {
    /// The run, as `lighterman log` lists it; the last one that fits when absent
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,

    /// Only this line, counted from one; may be repeated
    #[arg(long, value_name = "N")]
    pub(super) line: Vec<usize>,

    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Put a policy to the tags of a repository: each with its decision and the rule that made it; nothing is changed
    Check(PolicyCheckArgs),
    /// Take away what a policy lets go, in the repositories it names; through the journal, so that it can be undone
    Run(PolicyRunArgs),
    /// Print a policy to start from, with every rule and condition explained
    Example,
    /// Take over the policy of another registry as TOML; what has no equivalent is named
    Import(PolicyImportArgs),
}

#[derive(Debug, Args)]
pub(super) struct PolicyCheckArgs {
    /// The policy; none is named with --rule
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "rule")]
    pub(super) file: Option<PathBuf>,

    /// The repository, such as localhost:5000/team/app
    #[arg(value_name = "HOST/REPO")]
    pub(super) repository: Option<String>,

    /// Rules as they are said, instead of a file: 'drop pr-* older than 14d, keep only last 3 of v{semver} per minor'
    #[arg(long, value_name = "RULES")]
    pub(super) rule: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct PolicyRunArgs {
    /// The policy; none is named with --rule
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "rule")]
    pub(super) file: Option<PathBuf>,

    /// Rules as they are said, instead of a file: 'drop pr-* older than 14d, keep only last 3 of v{semver} per minor'
    #[arg(long, value_name = "RULES")]
    pub(super) rule: Option<String>,

    /// Only these of the repositories that the policy names
    #[arg(value_name = "HOST/REPO")]
    pub(super) repositories: Vec<String>,

    /// Yes, more of this repository may go than the policy allows at once; may be repeated
    #[arg(long, value_name = "HOST/REPO")]
    pub(super) confirm: Vec<String>,

    /// Don't ask
    #[arg(short, long)]
    pub(super) yes: bool,

    /// Only look what would be done, and whether it could be
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Afterwards write what was done to this file, for a Prometheus exporter that reads text files
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "dry_run")]
    pub(super) metrics: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PolicyImportArgs {
    /// Where the policy is from
    #[arg(value_name = "KIND")]
    pub(super) kind: PolicyKind,

    /// Its JSON, as the registry's API or command line gives it
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
}

/// Whose policies can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PolicyKind {
    /// A lifecycle policy of Amazon ECR
    Ecr,
    /// Tag retention rules of Harbor
    Harbor,
}

/// `--format` as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Docker,
    Oci,
}

impl From<Format> for ArchiveFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Docker => Self::Docker,
            Format::Oci => Self::Oci,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli = Cli::try_parse_from(["lighterman", "--json", "images", "--host", "store", "--all"]).unwrap();
        assert!(cli.globals.json);
        assert_eq!(cli.globals.host.as_deref(), Some("store"));
        assert!(matches!(cli.command, Some(Command::Images(ImagesArgs { all: true, .. }))));
        let cli = Cli::try_parse_from(["lighterman", "-H", "ssh://me@there", "app:1", "oci:dir"]).unwrap();
        assert_eq!(cli.references, ["app:1", "oci:dir"]);
        assert!(cli.command.is_none());
    }

    #[test]
    fn a_platform_is_checked_where_it_is_typed() {
        assert!(Cli::try_parse_from(["lighterman", "pull", "app", "--platform", "linux/arm64/v8"]).is_ok());
        assert!(Cli::try_parse_from(["lighterman", "pull", "app", "--platform", "arm"]).is_err());
        assert!(Cli::try_parse_from(["lighterman", "images", "--host", "store", "--context", "x"]).is_err());
    }
}
