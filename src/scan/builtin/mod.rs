//! Our own scanner: one pass over each layer that nobody read before, and none over the others.
//!
//! [`scan`] reads the layers of an image where it is, or takes what was kept of them; puts them together into the finished tree, and says what is
//! wrong with what is there, and with what is there no longer but can still be read in its layer. Packages come out of the same pass; who matches
//! them to advisories is given by the caller. A layer that can't be read is named, and the rest stands.
//!
//! May use model, layer and source.

mod accounts;
mod documents;
mod found;
mod layers;
mod modes;
mod whole;

use std::fmt;
use std::sync::Arc;

pub use layers::Indexes;
use layers::Listener;

use super::advisory::Matched;
use super::facts::FactsCache;
use crate::model::report::{NotLooked, Scanner};
use crate::model::{FindingKind, Foreign, Image, Inventory, Problem, Report};
use crate::source::{Ctx, Source, blocking};

const DOING: &str = "scan the image";

/// Matches packages to advisories. Called on a thread that may block.
pub type Matcher = Arc<dyn Fn(&Inventory) -> Result<Matched, Problem> + Send + Sync>;

/// Who is told what is known so far: first what the documents say, then more with each layer. Findings may still change until the end.
pub type Each = Arc<dyn Fn(&Report) + Send + Sync>;

/// How an image is scanned.
#[derive(Clone)]
pub struct Options {
    /// Facts of layers that were read before.
    pub facts: FactsCache,
    /// Indexes of layers that were read before.
    pub indexes: Arc<dyn Indexes>,
    /// How many of its layers, from the bottom, are those of its base image.
    pub base: Option<usize>,
    /// The name that it was asked for by; empty where there is none.
    pub name: Foreign,
    /// Whether one of its signatures was checked and is good; `None` where nobody looked.
    pub signed: Option<bool>,
    /// `None` where there are no advisories.
    pub matcher: Option<Matcher>,
}

impl Default for Options {
    fn default() -> Self {
        Self { facts: FactsCache::none(), indexes: Arc::new(()), base: None, name: "".into(), signed: None, matcher: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("facts", &self.facts).field("base", &self.base).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What came of a scan.
#[derive(Debug, Clone)]
pub struct Scanned {
    pub report: Report,
    /// Of the layers that could be read.
    pub inventory: Inventory,
    /// Of layers that are not known whole.
    pub problems: Vec<Problem>,
}

/// Scans `image`, as `source` gave it. Layers of which both facts and index are kept are not opened.
///
/// # Errors
/// Where the source doesn't answer, or the caller's wish to stop. A layer that can't be read is no error: the report names it.
pub async fn scan(source: &dyn Source, ctx: &Ctx, image: &Image, options: &Options, each: Option<Each>) -> Result<Scanned, Problem> {
    ctx.meter.phase("reading the layers");
    let first = begin(image, options);
    let listener = match each {
        Some(each) => Some(listener(each, image, options, &first).await?),
        None => None,
    };
    let read = layers::read(source, ctx, image, options, listener).await?;
    ctx.check(DOING)?;
    ctx.meter.phase("looking at what is there");
    let (image, options) = (image.clone(), options.clone());
    blocking(DOING, move || whole::put_together(&image, &options, first, &read)).await
}

/// Tells what the documents say, which stays at the head of all that is told on the way.
async fn listener(each: Each, image: &Image, options: &Options, first: &Report) -> Result<Listener, Problem> {
    let (image, options, first) = (image.clone(), options.clone(), first.clone());
    let documents = blocking(DOING, move || Ok(by_documents(&image, &options, &first))).await?;
    each(&documents);
    Ok(Listener { each, documents })
}

/// What can be told of `image` without opening a layer: all of it where facts and indexes of all its layers are kept, else what its documents say.
/// Blocking, for as long as it takes to read what is kept.
///
/// # Errors
/// What the matcher says.
pub fn known(image: &Image, options: &Options) -> Result<Known, Problem> {
    let first = begin(image, options);
    let Some(layers) = layers::kept(image, options) else { return Ok(Known::Documents(Box::new(by_documents(image, options, &first)))) };
    whole::put_together(image, options, first, &layers).map(|scanned| Known::All(Box::new(scanned)))
}

/// What is known without opening a layer.
#[derive(Debug, Clone)]
pub enum Known {
    All(Box<Scanned>),
    Documents(Box<Report>),
}

/// What the documents alone say, beside what `first` says already.
fn by_documents(image: &Image, options: &Options, first: &Report) -> Report {
    let mut report = first.clone();
    documents::tell(&mut report, image, documents::Around::default());
    report.findings = documents::look(image, options, documents::Around::default());
    report
}

fn told(name: &Foreign) -> Option<&str> {
    Some(name.raw()).filter(|name| !name.is_empty())
}

/// A report in which nothing was found yet.
fn begin(image: &Image, options: &Options) -> Report {
    let scanner = Scanner { name: "Lighterman".into(), version: Some(env!("CARGO_PKG_VERSION").into()), db_date: None };
    let mut report = Report::new(options.name.clone(), scanner);
    report.digests = image.manifest_digest.iter().chain([&image.id]).cloned().collect();
    report.made = Some(crate::source::now());
    report.not_looked_for.push(NotLooked::new(FindingKind::Licence.word(), "this scanner reads no licences"));
    if options.signed.is_none() {
        report.not_looked_for.push(NotLooked::new(FindingKind::Signature.word(), "nobody asked for signatures"));
    }
    report
}
