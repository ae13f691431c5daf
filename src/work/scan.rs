//! Looks what is wrong with an image: our own scanner, others that are here, reports that are there already, and what the user says doesn't count, put
//! together again and again while it comes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::beside;
use super::clock;
use super::gists::Gists;
use super::layer_cache::LayerCache;
use super::run::{Chunks, Env};
use super::told::{Told, mismatch};
use crate::curate::family;
use crate::flow::{JobEvent, JobOutput, Msg, Shared};
use crate::model::findings::{Gist, Reach};
use crate::model::{Digest, Image, ImageKey, Problem, ProblemKind, Report, Scan, SourceId, SourceKind};
use crate::scan::advisory::{self, Databases};
use crate::scan::builtin::{self, Known};
use crate::scan::facts::FactsCache;
use crate::scan::tool::{self, Environment, Limits, Target, Tool};
use crate::source::{Ctx, Source, blocking};

const LOOK: &str = "look what is wrong with the image";

/// What images are looked at by.
#[derive(Debug, Clone)]
pub struct Scanning {
    /// The user's file of what doesn't count, whether it is there or not.
    pub ignore: Option<PathBuf>,
    /// More such files, that are there.
    pub ignores: Vec<PathBuf>,
    /// The databases of advisories; `None` to match nothing.
    pub advisories: Option<PathBuf>,
    /// Where newer ones may lie in the layout of osv-scanner's cache.
    pub advisory_caches: Vec<PathBuf>,
    /// What layers held that were read before.
    pub facts: FactsCache,
    /// Whether our own scanner looks.
    pub builtin: bool,
    /// Others that are run where they are installed, with this environment.
    pub tools: Vec<Tool>,
    /// They were asked for by name: one that is not there is missed.
    pub named: bool,
    pub environment: Environment,
    /// Whether a registry is asked for what it has on an image besides.
    pub beside: bool,
    /// Whether the registry's own scanner is set to work first.
    pub start: bool,
}

impl Default for Scanning {
    fn default() -> Self {
        Self {
            ignore: None,
            ignores: Vec::new(),
            advisories: None,
            advisory_caches: Vec::new(),
            facts: FactsCache::none(),
            builtin: true,
            tools: Vec::new(),
            named: false,
            environment: Environment::default(),
            beside: false,
            start: false,
        }
    }
}

/// An image that is to be looked at, and by what.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// In the words of who asks.
    pub name: &'a str,
    pub source: &'a dyn Source,
    pub image: &'a Image,
    pub reach: Reach,
    /// Files with reports.
    pub imports: &'a [PathBuf],
    pub scanning: &'a Scanning,
    pub layers: &'a LayerCache,
    /// Where it is noted what it came to.
    pub gists: &'a Gists,
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("name", &self.name).field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// Who is told of what is known on the way.
pub type Each = Arc<dyn Fn(Scan) + Send + Sync>;

/// Looks at an image as far as is asked for.
///
/// # Errors
/// Our own scanner can't reach the image; the wish to stop. What else goes wrong is said in the scan.
pub async fn look(asked: Asked<'_>, ctx: &Ctx, each: Option<Each>) -> Result<Scan, Problem> {
    let image: Vec<Digest> = asked.image.digests().cloned().collect();
    let mut told = imported(asked, &image).await?;
    let ours = ours(asked, ctx, &told, &image, each);
    let beside = beside(asked, ctx);
    // Where our own can't look, nobody waits for the others.
    let (ours, others, beside) = tokio::try_join!(ours, others(asked, ctx), beside)?;
    let reach = match ours {
        Some(Known::All(scanned)) => {
            told.reports.insert(0, scanned.report);
            // Of a part of an image nobody can say what is installed in the end.
            told.inventory = scanned.problems.is_empty().then_some(scanned.inventory);
            told.problems.extend(scanned.problems);
            Reach::Whole
        }
        Some(Known::Documents(report)) => {
            told.reports.insert(0, *report);
            Reach::Known
        }
        None => asked.reach,
    };
    let after_ours = usize::from(asked.scanning.builtin);
    for other in others {
        match other {
            Ok(report) => told.reports.insert(after_ours.min(told.reports.len()), report),
            Err(problem) => told.problems.push(problem),
        }
    }
    let Told { reports, statements, problems, .. } = beside;
    told.reports.extend(reports);
    told.statements.extend(statements);
    told.problems.extend(problems);
    if told.reports.is_empty() {
        let nobody = || Problem::new(ProblemKind::Unsupported, LOOK, "nobody looked");
        return Err(told.problems.into_iter().next().unwrap_or_else(nobody));
    }
    let gists = asked.gists.clone();
    blocking(LOOK, move || {
        let scan = told.scan(&image, reach);
        // Of a part of an image nobody knows what is wrong with it.
        if scan.inventory.is_some() {
            gists.note(&image, Gist::of(&scan.findings, clock::now()));
        }
        Ok(scan)
    })
    .await
}

/// Looks at all of an image by our own scanner alone, and leaves nothing noted: others may have said more of it before. It reads each layer that was
/// not read before once, for its index too.
///
/// # Errors
/// As [`look`].
pub async fn alone(source: &dyn Source, image: &Image, scanning: &Scanning, layers: &LayerCache, ctx: &Ctx) -> Result<Scan, Problem> {
    let scanning = Scanning { builtin: true, tools: Vec::new(), beside: false, ..scanning.clone() };
    let (reach, gists) = (Reach::Whole, Gists::default());
    look(Asked { name: "", source, image, reach, imports: &[], scanning: &scanning, layers, gists: &gists }, ctx, None).await
}

/// What is there already: reports in files, and what the user says doesn't count.
async fn imported(asked: Asked<'_>, image: &[Digest]) -> Result<Told, Problem> {
    let (imports, image) = (asked.imports.to_vec(), image.to_vec());
    let ignores: Vec<PathBuf> = asked.scanning.ignore.iter().chain(&asked.scanning.ignores).cloned().collect();
    blocking("read the report", move || {
        let mut told = Told::default();
        for file in &imports {
            told.import(file, &image);
        }
        for file in &ignores {
            told.ignore(file);
        }
        Ok(told)
    })
    .await
}

/// What our own scanner says, and how far that goes.
async fn ours(asked: Asked<'_>, ctx: &Ctx, told: &Told, image: &[Digest], each: Option<Each>) -> Result<Option<Known>, Problem> {
    if !asked.scanning.builtin {
        return Ok(None);
    }
    let options = options(asked, ctx);
    if asked.reach == Reach::Known {
        let (image, options) = (asked.image.clone(), options.clone());
        return blocking(LOOK, move || builtin::known(&image, &options)).await.map(Some);
    }
    let (told, image) = (Mutex::new(told.clone()), image.to_vec());
    let each = each.map(|each| -> builtin::Each {
        Arc::new(move |report: &Report| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.reports.insert(0, report.clone());
            let scan = told.scan(&image, Reach::Partly);
            told.reports.remove(0);
            drop(told);
            each(scan);
        })
    });
    let scanned = builtin::scan(asked.source, ctx, asked.image, &options, each).await?;
    Ok(Some(Known::All(Box::new(scanned))))
}

fn options(asked: Asked<'_>, ctx: &Ctx) -> builtin::Options {
    let matcher = asked.scanning.advisories.clone().map(|dir| -> builtin::Matcher {
        let (caches, ctx) = (asked.scanning.advisory_caches.clone(), ctx.clone());
        Arc::new(move |inventory| {
            // What can't be taken in is said by `db status`; what was there before stands.
            if let Err(problem) = advisory::refresh(&dir, &caches, clock::now(), &ctx)
                && problem.is_cancelled()
            {
                return Err(problem);
            }
            Ok(Databases::open(&dir).matches(inventory))
        })
    });
    builtin::Options {
        facts: asked.scanning.facts.clone(),
        indexes: Arc::new(asked.layers.clone()),
        base: family::guessed_layers(asked.image),
        name: asked.name.into(),
        signed: None,
        matcher,
    }
}

/// What other scanners say that are installed here; nothing unless all of the image is to be looked at.
async fn others(asked: Asked<'_>, ctx: &Ctx) -> Result<Vec<Result<Report, Problem>>, Problem> {
    let mut said = Vec::new();
    if asked.reach == Reach::Known {
        return Ok(said);
    }
    for tool in &asked.scanning.tools {
        let environment = &asked.scanning.environment;
        let answer = match (tool::probe(ctx, *tool, environment).await, target(asked)) {
            (Ok(None), _) if asked.scanning.named => Err(missing(*tool)),
            (Ok(Some(_)), None) if asked.scanning.named => Err(unfit(*tool, asked)),
            (Ok(None), _) | (Ok(Some(_)), None) => continue,
            (Ok(Some(found)), Some(target)) => tool::scan(ctx, &found, &target, environment, Limits::default()).await,
            (Err(problem), _) => Err(problem),
        };
        match answer {
            Err(problem) if problem.is_cancelled() => return Err(problem),
            // Of a file with several images some take the first, whichever was meant.
            Ok(report) => {
                let image: Vec<Digest> = asked.image.digests().cloned().collect();
                said.push(mismatch(&report, &image, &format!("what {} said", tool.name())).map_or(Ok(report), Err));
            }
            answer => said.push(answer),
        }
    }
    Ok(said)
}

/// What the registry itself has on it; nothing unless all of the image is to be looked at.
async fn beside(asked: Asked<'_>, ctx: &Ctx) -> Result<Told, Problem> {
    if asked.reach == Reach::Known || !asked.scanning.beside {
        return Ok(Told::default());
    }
    beside::ask(asked.source, ctx, asked.image, asked.scanning.start).await
}

fn missing(tool: Tool) -> Problem {
    let problem = Problem::new(ProblemKind::NotFound, format!("scan with {}", tool.name()), "it is not installed");
    problem.hint(format!("there is no {} on the PATH", tool.program()))
}

fn unfit(tool: Tool, asked: Asked<'_>) -> Problem {
    let cause = format!("it has no way to an image of {}", asked.source.id());
    Problem::new(ProblemKind::Unsupported, format!("scan with {}", tool.name()), cause).hint("export the image, and scan the archive")
}

/// The image in the words that other scanners understand; `None` for what they have no way to.
fn target(asked: Asked<'_>) -> Option<Target> {
    let reference = asked.image.tags.first().map_or_else(|| asked.image.id.to_string(), |name| name.raw().to_owned());
    let place = asked.source.id().0.as_str();
    match asked.source.kind() {
        SourceKind::Engine => {
            let host = place.strip_prefix("engine:").map(str::to_owned);
            let is_podman = host.as_ref().is_some_and(|host| host.contains("podman"));
            Some(Target::Engine { reference, is_podman, host })
        }
        SourceKind::Registry => {
            // The image itself: what a tag or an index leads to may be for another platform.
            let name = asked.image.repo_digests.first()?.reference().ok()?;
            let digest = asked.image.manifest_digest.as_ref()?;
            let reference = format!("{}/{}@{digest}", name.registry(), name.repository());
            let is_plain = asked.source.registry().is_some_and(|client| client.is_plain(name.registry()));
            Some(Target::Registry { reference, is_plain })
        }
        SourceKind::Layout => place.strip_prefix("oci:").map(|dir| Target::Layout(dir.into())),
        SourceKind::Archive => {
            let docker = place.strip_prefix("docker-archive:").map(|file| Target::DockerArchive(file.into()));
            docker.or_else(|| place.strip_prefix("oci-archive:").map(|file| Target::OciArchive(file.into())))
        }
        // A layout of many images: what others take for one is the first of them.
        SourceKind::Store => None,
    }
}

/// Looks at an image of the deck, and tells what is known again and again.
///
/// # Errors
/// A source that is not there; the wish to stop.
pub(super) async fn run(
    env: &Env,
    source: &SourceId,
    (key, image): (&ImageKey, &Image),
    reach: Reach,
    imports: Vec<PathBuf>,
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    let asked = Asked {
        name: &key.to_string(),
        source: source.as_ref(),
        image,
        reach,
        imports: &imports,
        scanning: &env.scanning,
        layers: &env.layers,
        gists: &env.gists,
    };
    let (inbox, id) = (chunks.inbox.clone(), chunks.id);
    let each: Each = Arc::new(move |scan| {
        // What is lost to a full inbox comes again with the next, and all of it in the end.
        let _ = inbox.try_send(Msg::Job(id, JobEvent::Chunk(JobOutput::Scanned(Shared::new(scan)))));
    });
    Ok(JobOutput::Scanned(Shared::new(look(asked, ctx, Some(each)).await?)))
}
