//! What layouts and archives have in common once their index was walked: images whose blobs are looked up by digest. Whoever says how a
//! blob is found is a [`Content`], and can be walked.

use std::fmt::Debug;
use std::io::Read;

use super::content::{Content, Descriptor, Packed, read_small};
use super::oci::{Blobs, Collected};
use crate::layer::Verified;
use crate::model::Problem;

/// A collection that is read where it lies.
pub(super) trait Collection: Send + Sync + Debug {
    /// For problems: "read the archive app.tar".
    fn doing(&self) -> &str;

    fn found(&self) -> &Collected;

    /// A blob's stored bytes, not yet verified.
    ///
    /// # Errors
    /// A blob that isn't there, or has another size.
    fn blob<'a>(&'a self, blob: &Descriptor) -> Result<impl Read + Send + 'a, Problem>;
}

impl<T: Collection> Blobs for T {
    fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, Problem> {
        read_small(Verified::new(self.blob(blob)?, blob.digest.clone(), blob.size), blob, self.doing())
    }

    fn present(&self, blob: &Descriptor) -> Result<(), Problem> {
        self.blob(blob).map(drop)
    }
}

impl<T: Collection> Content for T {
    fn images(&self) -> &[Packed] {
        &self.found().images
    }

    fn stored(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Problem> {
        Ok(Box::new(self.blob(blob)?))
    }

    fn gaps(&self) -> &[Problem] {
        &self.found().gaps
    }
}
