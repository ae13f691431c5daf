//! Layouts and archives named on the command line or opened from the palette, as sources that can only be read.

use std::fmt;
use std::sync::Arc;

use super::content::{Content, Packed, read_document};
use super::export;
use super::opened::{self, Taker};
use super::picked::Picked;
use super::{Answer, Ctx, ExportTo, Source, archive, oci};
use crate::model::{
    Foreign, Image, ImageKey, ImageList, ImageSummary, Locator, Name, Platform, Powers, Problem, ProblemKind, Safe, SourceId, SourceKind,
    Transfer, Transport,
};

/// One layout directory or archive file, or the part of it that its locator names.
#[derive(Clone)]
pub struct FileSource(Arc<Inner>);

struct Inner {
    id: SourceId,
    kind: SourceKind,
    /// As "the archive app.tar".
    place: String,
    content: Arc<dyn Content>,
    images: Vec<Packed>,
    /// Nothing of it was named.
    whole: bool,
}

impl FileSource {
    /// Opens what an `oci:`, `oci-archive:` or `docker-archive:` locator names; with a name in it, only that image.
    ///
    /// # Errors
    /// What can't be read or understood, or a name that isn't in it.
    pub async fn open(locator: &Locator) -> Result<Self, Problem> {
        let locator = locator.clone();
        run(&Ctx::default(), "open the file", move |ctx| Self::open_blocking(&locator, ctx)).await
    }

    fn open_blocking(locator: &Locator, ctx: &Ctx) -> Result<Self, Problem> {
        let (prefix, kind, what) = match locator.transport {
            Transport::Layout => ("oci", SourceKind::Layout, "the image layout"),
            Transport::OciArchive => ("oci-archive", SourceKind::Archive, "the archive"),
            Transport::DockerArchive => ("docker-archive", SourceKind::Archive, "the archive"),
            _ => return Err(Problem::new(ProblemKind::Usage, "open the file", "this is not the name of a layout or an archive")),
        };
        let path = locator.path.as_deref().ok_or_else(|| Problem::new(ProblemKind::Usage, "open the file", "the path is missing"))?;
        let place = format!("{what} {}", path.display());
        let content: Arc<dyn Content> = match kind {
            SourceKind::Layout => Arc::new(super::layout::Layout::open(path)?),
            _ => Arc::from(archive::open_until(path, &ctx.cancel)?),
        };
        let images = match &locator.name {
            None => content.images().to_vec(),
            Some(name) => {
                let found = named(content.images(), name);
                if found.is_empty() {
                    return Err(not_found(content.as_ref(), &format!("read {place}"), &name.safe()));
                }
                found
            }
        };
        let whole = std::path::absolute(path).unwrap_or_else(|_unchanged| path.to_owned());
        let id = match &locator.name {
            None => format!("{prefix}:{}", whole.display()),
            Some(name) => format!("{prefix}:{}:{}", whole.display(), name.raw()),
        };
        Ok(Self(Arc::new(Inner { id: SourceId(id), kind, place, content, images, whole: locator.name.is_none() })))
    }

    /// The images and their blobs, for importing and pushing.
    #[must_use]
    pub fn content(&self) -> &dyn Content {
        self.0.content.as_ref()
    }

    /// Whether it stands for everything that is there, and not for one image of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.whole
    }

    /// The images this source stands for.
    #[must_use]
    pub fn images(&self) -> &[Packed] {
        &self.0.images
    }

    /// Writes the one image that is meant into an archive, of its platforms only that one where one is named, and under `name` where there is one.
    ///
    /// # Errors
    /// As [`Source::export`], and several images, or not that platform.
    pub async fn export_as(&self, ctx: &Ctx, platform: Option<Platform>, name: Option<Name>, to: &ExportTo) -> Result<Transfer, Problem> {
        let (file, to) = (self.clone(), to.clone());
        run(ctx, "export", move |ctx| {
            let doing = format!("export to {}", to.file.display());
            let picked = Picked::new(file, platform.as_ref(), name.as_ref(), &doing)?;
            export::write(&picked, picked.images(), &to, ctx)
        })
        .await
    }

    /// Every image, each platform on its own.
    ///
    /// # Errors
    /// An image whose documents can't be read.
    pub async fn inspect_all(&self, ctx: &Ctx) -> Result<Vec<Image>, Problem> {
        let inner = Arc::clone(&self.0);
        run(ctx, "read the images", move |ctx| {
            let one = |packed| ctx.check("read the images").and_then(|()| inner.inspect(packed));
            inner.images.iter().map(one).collect()
        })
        .await
    }
}

impl Inner {
    fn config(&self, packed: &Packed) -> Result<oci::Config, Problem> {
        let doing = format!("read {}", self.place);
        let bytes = read_document(self.content.as_ref(), &packed.config, &doing)?;
        oci::parse_config(&bytes).map_err(|error| error.problem(format!("{doing} (the configuration {})", packed.config.digest)))
    }

    fn inspect(&self, packed: &Packed) -> Result<Image, Problem> {
        Ok(oci::image_from(packed, &self.config(packed)?))
    }

    fn list(&self, ctx: &Ctx) -> Result<ImageList, Problem> {
        let mut images: Vec<ImageSummary> = Vec::new();
        let mut gaps: Vec<Foreign> = self.content.gaps().iter().map(|gap| gap.to_string().into()).collect();
        for packed in &self.images {
            ctx.check("list the images")?;
            let row = match self.config(packed) {
                Ok(config) => oci::summary_from(packed, &config),
                Err(problem) => {
                    gaps.push(problem.to_string().into());
                    continue;
                }
            };
            match images.iter_mut().find(|known| known.id == row.id) {
                Some(known) => known.tags.extend(row.tags.into_iter().filter(|tag| !known.tags.contains(tag)).collect::<Vec<_>>()),
                None => images.push(row),
            }
        }
        Ok(ImageList { images, at: super::now(), gaps })
    }

    fn find(&self, key: &ImageKey) -> Result<Vec<Packed>, Problem> {
        let found: Vec<_> = match key {
            ImageKey::Id(id) => {
                let is = |packed: &&Packed| {
                    let points = [packed.root.as_ref(), packed.manifest.as_ref(), Some(&packed.config)];
                    points.into_iter().flatten().any(|at| at.digest == *id)
                };
                self.images.iter().filter(is).cloned().collect()
            }
            ImageKey::Name(reference) => named(&self.images, &Name::new(&reference.whole())),
        };
        if found.is_empty() {
            return Err(not_found(self.content.as_ref(), &format!("read {}", self.place), &Safe::new(&key.to_string())));
        }
        Ok(found)
    }

    /// The images of all keys, each once, with the names they were asked for by.
    fn choose(&self, keys: &[ImageKey]) -> Result<Vec<Packed>, Problem> {
        let mut chosen: Vec<Packed> = Vec::new();
        for key in keys {
            for packed in self.find(key)? {
                let same = |known: &&mut Packed| known.config == packed.config && known.manifest == packed.manifest;
                match chosen.iter_mut().find(same) {
                    Some(known) => known.names.extend(packed.names.into_iter().filter(|n| !known.names.contains(n)).collect::<Vec<_>>()),
                    None => chosen.push(packed),
                }
            }
        }
        Ok(chosen)
    }
}

/// The images of a name, with that name only. A name is the whole, as its source wrote it or in its canonical form; or just the tag,
/// where that is all a layout has, or where no other image has it.
fn named(images: &[Packed], name: &Name) -> Vec<Packed> {
    let wanted = name.reference().ok().map(|reference| reference.whole());
    let whole = |known: &Name| known == name || (wanted.is_some() && known.reference().ok().map(|known| known.whole()) == wanted);
    let tag = |known: &Name| known.split().1 == Some(name.raw());
    let pick = |is: &dyn Fn(&Name) -> bool| -> Vec<Packed> {
        let with = images.iter().map(|packed| Packed { names: packed.names.iter().filter(|n| is(n)).cloned().collect(), ..packed.clone() });
        with.filter(|packed| !packed.names.is_empty()).collect()
    };
    let found = pick(&whole);
    if !found.is_empty() {
        return found;
    }
    let by_tag = pick(&tag);
    let mut names: Vec<_> = by_tag.iter().flat_map(|packed| &packed.names).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() == 1 { by_tag } else { Vec::new() }
}

fn not_found(content: &dyn Content, doing: &str, what: &Safe) -> Problem {
    if let Some(gap) = content.gaps().first() {
        return gap.clone();
    }
    let mut names: Vec<_> = content.images().iter().flat_map(|packed| &packed.names).map(|name| name.safe().to_string()).collect();
    names.truncate(10);
    let problem = Problem::new(ProblemKind::NotFound, doing, format!("{what} is not in it"));
    if names.is_empty() { problem } else { problem.hint(format!("it has {}", names.join(", "))) }
}

/// Of the platforms of one name, the one that runs here, else the first.
fn for_this_machine(found: &[Packed], inner: &Inner) -> Result<Image, Problem> {
    let mut images = Vec::with_capacity(found.len());
    for packed in found {
        images.push(inner.inspect(packed)?);
    }
    let here = images.iter().position(|image| image.platform.as_ref().is_some_and(|platform| platform.serves(&Platform::host())));
    let chosen = here.unwrap_or_default();
    images.into_iter().nth(chosen).ok_or_else(|| Problem::new(ProblemKind::NotFound, format!("read {}", inner.place), "nothing is in it"))
}

/// Runs blocking work that stops when the caller does.
async fn run<T: Send + 'static>(
    ctx: &Ctx,
    doing: &str,
    work: impl FnOnce(&Ctx) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let inner = Ctx { meter: ctx.meter.clone(), cancel: ctx.cancel.child_token() };
    // A dropped future must not leave a thread at work.
    let _stop = inner.cancel.clone().drop_guard();
    super::blocking(doing, move || work(&inner)).await
}

impl Source for FileSource {
    fn id(&self) -> &SourceId {
        &self.0.id
    }

    fn kind(&self) -> SourceKind {
        self.0.kind
    }

    fn powers(&self) -> Powers {
        Powers::READ_ONLY
    }

    fn version<'a>(&'a self, _: &'a Ctx) -> Answer<'a, Safe> {
        Box::pin(async { Ok(Safe::new(&self.0.place)) })
    }

    fn list<'a>(&'a self, ctx: &'a Ctx) -> Answer<'a, ImageList> {
        let inner = Arc::clone(&self.0);
        Box::pin(run(ctx, "list the images", move |ctx| inner.list(ctx)))
    }

    fn inspect<'a>(&'a self, ctx: &'a Ctx, key: &'a ImageKey) -> Answer<'a, Image> {
        let (inner, key) = (Arc::clone(&self.0), key.clone());
        Box::pin(run(ctx, "read the image", move |_| for_this_machine(&inner.find(&key)?, &inner)))
    }

    fn open_layers<'a>(&'a self, ctx: &'a Ctx, image: &'a Image, layers: &'a [usize], taker: Arc<dyn Taker>) -> Answer<'a, ()> {
        let content = Arc::clone(&self.0.content);
        Box::pin(async move { opened::from_content(ctx, content, image, layers, taker, &format!("read {}", self.0.place)).await })
    }

    fn export<'a>(&'a self, ctx: &'a Ctx, keys: &'a [ImageKey], to: &'a ExportTo) -> Answer<'a, Transfer> {
        let (inner, keys, to) = (Arc::clone(&self.0), keys.to_vec(), to.clone());
        Box::pin(run(ctx, "export", move |ctx| export::write(inner.content.as_ref(), &inner.choose(&keys)?, &to, ctx)))
    }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileSource").field(&self.0.id).finish()
    }
}
