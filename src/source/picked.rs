//! The one image that is copied out of a layout or an archive: all platforms of it or one, under the name it is to have.
//!
//! May use model and the formats of `source`. Blocking.

use std::io::Read;

use super::content::{Content, Descriptor, Packed, read_document};
use super::files::FileSource;
use super::oci;
use crate::model::{Digest, Name, Platform, Problem, ProblemKind};

/// One image of a file.
#[derive(Debug)]
pub(crate) struct Picked {
    file: FileSource,
    images: Vec<Packed>,
}

impl Picked {
    /// The image that `file` stands for: with a platform, that one alone and without its index; with a name, under that name only.
    ///
    /// # Errors
    /// A file with several images or none, or without the platform.
    pub(crate) fn new(file: FileSource, platform: Option<&Platform>, name: Option<&Name>, doing: &str) -> Result<Self, Problem> {
        let mut images = file.images().to_vec();
        let first = images.first().map(at).cloned();
        if images.iter().any(|image| Some(at(image)) != first.as_ref()) {
            let problem = Problem::new(ProblemKind::Usage, doing, "there are several images in it");
            return Err(problem.hint("name one of them: FILE:NAME"));
        }
        if let Some(wanted) = platform {
            images = of_platform(&file, images, wanted, doing)?;
        }
        if images.is_empty() {
            return Err(Problem::new(ProblemKind::NotFound, doing, "there is no image in it"));
        }
        for image in &mut images {
            if let Some(name) = name {
                image.names = vec![name.clone()];
            }
        }
        Ok(Self { file, images })
    }
}

/// What an image stands at.
fn at(image: &Packed) -> &Digest {
    image.root.as_ref().or(image.manifest.as_ref()).map_or(&image.config.digest, |at| &at.digest)
}

fn of_platform(file: &FileSource, images: Vec<Packed>, wanted: &Platform, doing: &str) -> Result<Vec<Packed>, Problem> {
    let mut has = Vec::new();
    let mut found: Option<Packed> = None;
    for image in images {
        let bytes = read_document(file.content(), &image.config, doing)?;
        let config = oci::parse_config(&bytes).map_err(|malformed| malformed.problem(doing))?;
        let Some(platform) = config.platform else { continue };
        // The exact one is preferred to one in another variant.
        if platform.serves(wanted) && (found.is_none() || platform == *wanted) {
            found = Some(Packed { root: image.manifest.clone(), ..image });
        }
        has.push(platform.to_string());
    }
    found.map(|found| vec![found]).ok_or_else(|| {
        let problem = Problem::new(ProblemKind::NotFound, doing, format!("there is no image for {wanted} in it"));
        if has.is_empty() { problem } else { problem.hint(format!("it has {}", has.join(", "))) }
    })
}

impl Content for Picked {
    fn images(&self) -> &[Packed] {
        &self.images
    }

    fn stored(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Problem> {
        self.file.content().stored(blob)
    }
}
