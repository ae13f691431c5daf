//! What may be typed for the commands that look into layers.

use clap::{Args, ValueHint};

use crate::model::{Platform, size};

#[derive(Debug, Args)]
pub(super) struct FilesArgs {
    /// The image; of one in a registry only the layers that are needed are fetched
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) reference: String,

    /// Only what this layer holds and takes away, by its number in `inspect`: 0 is the lowest
    #[arg(long, value_name = "N")]
    pub(super) layer: Option<usize>,

    /// Of a multi-platform image, this one: os/architecture[/variant]
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The image to start from
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) before: String,

    /// The image to compare it with, of the same source or another
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) after: String,

    /// Write it as Markdown
    #[arg(long, conflicts_with = "json")]
    pub(super) markdown: bool,

    /// Of multi-platform images, this one: os/architecture[/variant]
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Say how much of an image is wasted, and fail when it is too much\n\nWasted are the bytes of files that a later layer writes again or takes away. Efficiency is counted as dive counts it: of each path the least size in any layer, by all its sizes together, from 0 to 1. Without a bound, less than 0.9 is too little."
)]
pub(super) struct CiArgs {
    /// The image; one in a registry is read without being pulled
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath)]
    pub(super) reference: String,

    /// Fail when the efficiency is less, from 0 to 1
    #[arg(long, value_name = "F", value_parser = fraction)]
    pub(super) min_efficiency: Option<f64>,

    /// Fail when more is wasted, such as 20MB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(super) max_wasted: Option<u64>,

    /// Of a multi-platform image, this one: os/architecture[/variant]
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
}

fn fraction(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_not_a_number| "this is not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("it is from 0 to 1".to_owned()) }
}

fn bytes(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| "this is not a size such as 20MB or 1.5GiB".to_owned())
}
