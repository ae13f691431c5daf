//! What must not be in an image: what credentials look like ([`SECRETS`]), and files that hold such things by their names ([`FILES`]).
//!
//! Rules are tables of data: one line a rule. They are precise rather than many: each knows a form that nothing else has, so that what is found is
//! worth a look. Where credentials are only shown, as in the documents and tests of installed software, [`place()`] says so; such findings are kept
//! aside, not thrown away.
//!
//! May use model. Pure. Facts: what the issuers of credentials publish about their forms; RFC 7468, 7292, 7519.

mod check;
mod content;
mod place;
mod search;
mod secrets;
mod sensitive;

use std::sync::LazyLock;

pub use place::{Place, place};
pub use search::{Hit, Search};
pub use secrets::SECRETS;
pub use sensitive::{Begins, FILES, FileRule, HEAD, look};

use crate::model::{Digest, Severity};
use check::Check;

/// What a kind of credential looks like.
#[derive(Clone, Copy)]
pub struct Rule {
    /// The id of its findings.
    pub id: &'static str,
    pub title: &'static str,
    pub severity: Severity,
    /// Bytes of which one must be there before anything else is tried.
    keywords: &'static [&'static str],
    /// How many bytes before the keyword it may begin.
    back: usize,
    /// The first group is what must not be shown. Tried right at the keyword where `back` is 0.
    pattern: &'static str,
    /// Files in which it is looked for; all where there is none.
    only: Option<fn(&[u8]) -> bool>,
    check: Check,
    /// It means something in the code of installed packages too.
    in_packages: bool,
    /// A try may look at thousands of bytes, and counts for many.
    is_far: bool,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Rule {
    /// Whether what it finds counts, by where it was found; else why not.
    ///
    /// # Errors
    /// The reason, as a sentence about what was found.
    pub const fn counts(&self, place: Place) -> Result<(), &'static str> {
        match place {
            Place::Ordinary => Ok(()),
            Place::Package if self.in_packages => Ok(()),
            Place::Package => Err("it stands in the code of installed software"),
            Place::Example => Err("it stands in the documents, tests or examples of installed software"),
            Place::Generated => Err("every installation makes its own one for itself"),
        }
    }
}

/// Raised with every change of what credentials look like, and of how they are looked for and checked.
const SECRETS_VERSION: u32 = 1;
/// Raised with every change of which files don't belong in an image.
const FILES_VERSION: u32 = 1;
/// Raised with every change of where what is found counts.
const PLACE_VERSION: u32 = 1;

/// Changes when a rule does: what was found by other rules is looked for anew.
#[must_use]
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let versions = format!("{SECRETS_VERSION} {FILES_VERSION} {PLACE_VERSION}");
        let secrets =
            SECRETS.iter().map(|rule| format!("{} {:?} {:?} {} {}", rule.id, rule.severity, rule.keywords, rule.back, rule.pattern));
        let files = FILES.iter().map(|rule| format!("{} {:?}", rule.id, rule.severity));
        let all: Vec<String> = std::iter::once(versions).chain(secrets).chain(files).collect();
        Digest::sha256(all.join("\n").as_bytes()).hex().chars().take(16).collect()
    });
    &VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of files, without comments, tests and how it is laid out.
    fn code(files: &[&str]) -> String {
        let mut code = String::new();
        for file in files {
            let lines = file.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]").filter(|line| !line.starts_with("//"));
            lines.for_each(|line| code.extend(line.chars().filter(|c| !c.is_whitespace())));
        }
        Digest::sha256(code.as_bytes()).hex().chars().take(16).collect()
    }

    /// What is kept of a layer was found by the rules of its time: whoever changes one raises the version of its table, then tells its code here.
    #[test]
    fn a_table_that_changes_has_a_new_version() {
        let secrets = [include_str!("secrets.rs"), include_str!("search.rs"), include_str!("check.rs"), include_str!("content.rs")];
        let files = [include_str!("sensitive.rs"), include_str!("content.rs")];
        assert_eq!((SECRETS_VERSION, code(&secrets).as_str()), (1, "c26cdd5ce85415e9"));
        assert_eq!((FILES_VERSION, code(&files).as_str()), (1, "228d7b809d201ec0"));
        assert_eq!((PLACE_VERSION, code(&[include_str!("place.rs")]).as_str()), (1, "085b988dc36ace30"));
    }
}
