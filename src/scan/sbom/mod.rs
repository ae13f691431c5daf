//! Lists of what is in an image for others to read: CycloneDX 1.6 and SPDX 2.3, as JSON, the same bytes for the same image.
//!
//! The documents are written from a few structs of our own: the crates for them that were looked at stop at older versions or bring XML along. May
//! use model; pure. Facts: <https://cyclonedx.org/docs/1.6/json/>, <https://spdx.github.io/spdx-spec/v2.3/>,
//! <https://github.com/package-url/purl-spec>.

mod purl;

pub use purl::purl;
