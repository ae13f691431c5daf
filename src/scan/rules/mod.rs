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

/// Changes when a rule does: what was found by other rules is looked for anew.
#[must_use]
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let secrets =
            SECRETS.iter().map(|rule| format!("{} {:?} {:?} {} {}", rule.id, rule.severity, rule.keywords, rule.back, rule.pattern));
        let files = FILES.iter().map(|rule| format!("{} {:?}", rule.id, rule.severity));
        let all: Vec<String> = secrets.chain(files).collect();
        Digest::sha256(all.join("\n").as_bytes()).hex().chars().take(16).collect()
    });
    &VERSION
}
