//! Layouts, archives and exports against files as they come: made here, made by the real tools, and broken in every way.
#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are not inside test functions; what fails to be made fails its test; left-out tests say so"
)]

mod common;

#[path = "formats/broken.rs"]
mod broken;
#[path = "formats/disk.rs"]
mod disk;
#[path = "formats/peers.rs"]
mod peers;
#[path = "formats/reading.rs"]
mod reading;
#[path = "formats/save.rs"]
mod save;

use std::path::Path;

use common::images::ImageSpec;
use lighterman::model::{ArchiveFormat, Problem};
use lighterman::source::content::Content;
use lighterman::source::{Ctx, ExportTo, archive, export};

pub fn sample() -> ImageSpec {
    ImageSpec::new("acme/api:v1").layer(&[("etc/motd", b"hello"), ("bin/api", &[7; 3000])]).layer(&[("data", b"")]).label("a", "b")
}

pub fn second() -> ImageSpec {
    ImageSpec::new("acme/web:v2").name("acme/web:latest").layer(&[("etc/motd", b"hello"), ("bin/api", &[7; 3000])]).layer(&[("web", b"w")])
}

pub fn to(file: &Path, format: ArchiveFormat) -> ExportTo {
    ExportTo { file: file.to_owned(), format, overwrite: false }
}

/// Opens and reads everything.
pub fn check(path: &Path) -> Result<Box<dyn Content>, Problem> {
    let content = archive::open(path)?;
    export::check(content.as_ref(), &Ctx::default(), "read it")?;
    Ok(content)
}

/// Names and image ID of each image, sorted.
pub fn listing(content: &dyn Content) -> Vec<(Vec<String>, String, Vec<String>)> {
    let mut out: Vec<_> = content
        .images()
        .iter()
        .map(|image| {
            let mut names: Vec<_> =
                image.names.iter().map(|name| name.reference().map_or_else(|_| name.raw().to_owned(), |name| name.whole())).collect();
            names.sort();
            let config = export::read_config(content, image, "read it").unwrap();
            (names, image.config.digest.to_string(), config.diff_ids.iter().map(ToString::to_string).collect())
        })
        .collect();
    out.sort();
    out
}

/// Everything in a directory, by name.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
