//! Archives into the engine. A load is not atomic and its "200 OK" proves nothing (dockerd 20.10 prints nothing at all for three kinds of
//! broken archives), so the archive is read and verified by us, its last bytes are held back until it was, and afterwards every tag
//! is looked up again.
//!
//! A docker-archive goes as it is; anything else is sent as a docker-archive, the one format that every engine reads. Of an index of
//! several platforms the one for this machine is taken, since a docker-archive has no place for more.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::EngineSource;
use super::change::{held, holder};
use super::session::Session;
use super::upload::{self, Form};
use crate::model::{Copy, CopyFrom, Digest, ImageKey, ImportPreview, ImportTag, Name, Platform, Problem, ProblemKind, Transfer};
use crate::source::content::{Content, Packed};
use crate::source::files::FileSource;
use crate::source::picked::Picked;
use crate::source::{Ctx, archive, blocking, export};

/// What an archive would bring.
pub(super) struct Bringing {
    pub content: Arc<dyn Content>,
    pub images: Vec<Packed>,
    pub tags: Vec<(Name, Digest)>,
    untagged: usize,
    pub form: Form,
    pub bytes: u64,
}

/// A context for blocking threads that ends with the future that waits for them.
pub(super) fn bounded(ctx: &Ctx) -> (Ctx, tokio_util::sync::DropGuard) {
    let cancel: CancellationToken = ctx.cancel.child_token();
    (Ctx { meter: ctx.meter.clone(), cancel: cancel.clone() }, cancel.drop_guard())
}

/// Opens an archive and decides what of it is for an engine.
async fn open(ctx: &Ctx, file: &Path, doing: &str) -> Result<Bringing, Problem> {
    let (path, ctx, words) = (file.to_owned(), ctx.clone(), doing.to_owned());
    blocking(doing, move || {
        let meta = std::fs::metadata(&path).map_err(|error| Problem::disk(&words, &path, &error))?;
        let content: Arc<dyn Content> = Arc::from(archive::open_until(&path, &ctx.cancel)?);
        if let Some(gap) = content.gaps().first() {
            return Err(gap.clone());
        }
        let images = for_this_machine(content.images());
        if images.is_empty() {
            return Err(Problem::new(ProblemKind::Corrupt, &words, "it holds no image"));
        }
        let form = if meta.is_file() && upload::is_docker_archive(&path) { Form::AsItIs } else { Form::Converted };
        let (tags, untagged) = tags(&images, form, &words)?;
        Ok(Bringing { content, images, tags, untagged, form, bytes: meta.len() })
    })
    .await
}

/// The tags that will be set, and how many images have none.
fn tags(images: &[Packed], form: Form, doing: &str) -> Result<(Vec<(Name, Digest)>, usize), Problem> {
    let mut tags: HashMap<Name, Digest> = HashMap::new();
    let mut order = Vec::new();
    let mut untagged = 0;
    let corrupt = |cause: String| Problem::new(ProblemKind::Corrupt, doing, cause);
    for image in images {
        let before = order.len();
        for name in &image.names {
            if !is_tag(name) {
                match form {
                    // The engine would stop in the middle, with some of the images loaded.
                    Form::AsItIs => return Err(corrupt(format!("it has the tag {}, which is none", name.safe()))),
                    Form::Converted => continue,
                }
            }
            match tags.insert(name.clone(), image.config.digest.clone()) {
                Some(other) if other != image.config.digest => {
                    return Err(corrupt(format!("two of its images have the tag {}", name.safe())));
                }
                Some(_) => {}
                None => order.push((name.clone(), image.config.digest.clone())),
            }
        }
        untagged += usize::from(order.len() == before);
    }
    Ok((order, untagged))
}

/// Whether an engine can hold the name as a tag.
fn is_tag(name: &Name) -> bool {
    let (repository, tag) = name.split();
    tag.is_some() && !repository.is_empty() && !name.raw().contains('@') && name.reference().is_ok()
}

/// Of each index the image for this machine, or its first.
fn for_this_machine(images: &[Packed]) -> Vec<Packed> {
    let host = Platform::host();
    let index = |image: &Packed| {
        let (root, manifest) = (image.root.as_ref()?, image.manifest.as_ref()?);
        (root.digest != manifest.digest).then(|| root.digest.clone())
    };
    let serves = |image: &Packed| {
        image.manifest.as_ref().and_then(|manifest| manifest.platform.as_ref()).is_some_and(|platform| platform.serves(&host))
    };
    let mut chosen: Vec<Packed> = Vec::new();
    for image in images {
        let same = index(image).and_then(|root| chosen.iter().position(|other| index(other).as_ref() == Some(&root)));
        match same.and_then(|at| chosen.get_mut(at)) {
            None => chosen.push(image.clone()),
            Some(other) if !serves(other) && serves(image) => *other = image.clone(),
            Some(_) => {}
        }
    }
    chosen
}

/// Who holds the tags now.
async fn holders(source: &EngineSource, session: &Session, tags: &[(Name, Digest)], doing: &str) -> Result<Vec<Option<Digest>>, Problem> {
    let mut holders = Vec::with_capacity(tags.len());
    for (name, _) in tags {
        holders.push(holder(source, session, &name.reference()?, doing).await?);
    }
    Ok(holders)
}

pub(super) async fn preview(source: &EngineSource, ctx: &Ctx, file: &Path, doing: &str) -> Result<ImportPreview, Problem> {
    let session = source.session(doing).await?;
    let (ctx, _guard) = bounded(ctx);
    let bringing = open(&ctx, file, doing).await?;
    let (content, images, words) = (Arc::clone(&bringing.content), bringing.images.clone(), doing.to_owned());
    blocking(doing, move || export::check_images(&*content, &images, &ctx, &words)).await?;
    let holders = holders(source, &session, &bringing.tags, doing).await?;
    let tags = bringing.tags.into_iter().zip(holders).map(|((name, id), holder)| ImportTag { name, id, holder }).collect();
    Ok(ImportPreview { file: file.to_owned(), tags, untagged: bringing.untagged, bytes: bringing.bytes })
}

pub(super) async fn import(
    source: &EngineSource,
    ctx: &Ctx,
    file: &Path,
    moves: &[(Name, Digest)],
    doing: &str,
) -> Result<Transfer, Problem> {
    // An engine that is not there is known before anything is read.
    source.session(doing).await?;
    let (ctx, _guard) = bounded(ctx);
    let bringing = open(&ctx, file, doing).await?;
    bring(source, &ctx, file, &bringing, moves, doing).await
}

/// Brings one image of a file in, under one name.
pub(super) async fn copy(source: &EngineSource, ctx: &Ctx, copy: &Copy, doing: &str) -> Result<Transfer, Problem> {
    let CopyFrom::File(locator) = &copy.from else {
        return Err(Problem::new(ProblemKind::Unsupported, doing, "the engine pulls from a registry by itself"));
    };
    let reference = copy.to.reference()?;
    if reference.digest().is_some() {
        return Err(Problem::new(ProblemKind::Usage, doing, "an image is copied to a tag").hint("write REPOSITORY:TAG"));
    }
    source.session(doing).await?;
    let (ctx, _guard) = bounded(ctx);
    let file = FileSource::open(locator).await?;
    let name = Name::new(&format!("{}/{}:{}", reference.registry(), reference.repository(), reference.tag().unwrap_or("latest")));
    let (platform, wanted, words) = (copy.platforms.first().cloned(), name.clone(), doing.to_owned());
    let picked = blocking(doing, move || Picked::new(file, platform.as_ref(), Some(&wanted), &words)).await?;
    let images = for_this_machine(picked.images());
    let bytes = images.iter().flat_map(|image| &image.layers).fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    let tags = images.iter().map(|image| (name.clone(), image.config.digest.clone())).collect();
    let path = locator.path.clone().unwrap_or_default();
    let bringing = Bringing { content: Arc::new(picked), images, tags, untagged: 0, form: Form::Converted, bytes };
    let moves: Vec<_> = copy.replaces.iter().map(|holder| (name.clone(), holder.clone())).collect();
    bring(source, &ctx, &path, &bringing, &moves, doing).await
}

/// Sends what was opened, unless it would move a tag that was not agreed to, and looks whether it arrived.
async fn bring(
    source: &EngineSource,
    ctx: &Ctx,
    file: &Path,
    bringing: &Bringing,
    moves: &[(Name, Digest)],
    doing: &str,
) -> Result<Transfer, Problem> {
    let session = source.session(doing).await?;
    let holders = holders(source, &session, &bringing.tags, doing).await?;
    for ((name, id), holder) in bringing.tags.iter().zip(&holders) {
        if let Some(holder) = holder.as_ref().filter(|holder| *holder != id)
            && !moves.iter().any(|(agreed, from)| agreed == name && from == holder)
        {
            let cause = format!("it would move the tag {} away from the image {}, which was not agreed to", name.safe(), holder.short());
            return Err(Problem::new(ProblemKind::Conflict, doing, cause).hint("read the archive again, look, and confirm"));
        }
    }
    upload::send(source, &session, ctx, file, bringing, doing).await?;
    ctx.meter.phase("looking at what is there now");
    verify(source, &session, bringing, doing).await?;
    let digest = match bringing.images.as_slice() {
        [one] => Some(one.config.digest.clone()),
        _ => None,
    };
    Ok(Transfer { digest, bytes_transferred: bringing.bytes, bytes_skipped: 0 })
}

/// Reads again that everything arrived.
async fn verify(source: &EngineSource, session: &Session, bringing: &Bringing, doing: &str) -> Result<(), Problem> {
    let missing = |what: String| {
        Problem::new(ProblemKind::Corrupt, doing, format!("the engine reported no error, but {what} is not there"))
            .hint("refresh to see what the engine made of it")
    };
    for image in &bringing.images {
        // Engines that store manifests call an image by its manifest.
        let also = image.root.iter().chain(&image.manifest).map(|part| &part.digest);
        let known: Vec<&Digest> = also.chain([&image.config.digest]).collect();
        let names = bringing.tags.iter().filter(|(_, id)| *id == image.config.digest).map(|(name, _)| name);
        let mut named = false;
        for name in names {
            named = true;
            let now = held(source, session, &ImageKey::Name(name.reference()?), doing).await?;
            if !now.is_some_and(|now| known.contains(&&now.id) || now.descriptor.is_some()) {
                return Err(missing(format!("the tag {}", name.safe())));
            }
        }
        if !named {
            let key = ImageKey::Id(image.config.digest.clone());
            let stores_manifests = session.version >= super::session::Api { major: 1, minor: 44 };
            if held(source, session, &key, doing).await?.is_none() && !stores_manifests {
                return Err(missing(format!("the image {}", image.config.digest.short())));
            }
        }
    }
    Ok(())
}
