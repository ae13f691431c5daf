//! What may be typed for the commands that say what is in images and what is known of that.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use crate::model::Platform;

#[derive(Debug, Args)]
pub(super) struct SbomArgs {
    /// The image; one in a registry is read without being pulled
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) reference: String,

    /// The form of the document
    #[arg(long, value_name = "FORMAT", default_value = "cyclonedx")]
    pub(super) format: SbomFormat,

    /// Of a multi-platform image, this one: os/architecture[/variant]
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SbomFormat {
    /// CycloneDX 1.6, as JSON
    Cyclonedx,
    /// SPDX 2.3, as JSON
    Spdx,
}

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Take in what was published: a zip or folder of advisories in OSV's form, or Alpine's lists
    Import {
        #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
        from: PathBuf,
    },
    /// Get databases anew from where OSV or a mirror publishes them; what has not changed there is not fetched
    Update {
        /// Of this ecosystem, such as Debian, npm or PyPI; may be repeated. Without it those that are there already, or else the usual ones
        #[arg(long, value_name = "ECOSYSTEM")]
        ecosystem: Vec<String>,
    },
    /// Show which databases there are, of when, and where they came from
    Status,
}
