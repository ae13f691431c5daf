//! `inspect --verify`: reads every layer and says whether it is what its digests say.
//!
//! Files and the store are read where they are. An engine's images are written to a temporary archive first, a registry's are pulled
//! into a temporary store: there is no other way to all their bytes.

use std::sync::Arc;

use super::inspect::images_of;
use super::session::{Place, Reader};
use crate::model::{ArchiveFormat, Change, Image, ImageKey, Locator, Name, Problem, ProblemKind, Transport};
use crate::source::content::Content as _;
use crate::source::export::verify_image;
use crate::source::files::FileSource;
use crate::source::registry::RegistrySource;
use crate::source::store::StoreSource;
use crate::source::{Ctx, ExportTo, Source as _, blocking};
use crate::work;

/// The images of a place with `verified` filled in for each layer.
pub(super) async fn images(place: &Place, ctx: &Ctx) -> Result<Vec<Image>, Problem> {
    if let (Reader::File(source), None) = (&place.reader, &place.name) {
        return source.verify(ctx, None).await;
    }
    let images = images_of(place, ctx).await?;
    let mut verified = Vec::with_capacity(images.len());
    for image in images {
        verified.push(match &place.reader {
            Reader::File(source) => first(source.verify(ctx, Some(&ImageKey::Id(image.id.clone()))).await?, image),
            Reader::Store(store) => in_store(store, ctx, image).await?,
            Reader::Engine => of_engine(place, ctx, image).await?,
            Reader::Registry(source) => of_registry(source, place, ctx, image).await?,
        });
    }
    Ok(verified)
}

fn first(images: Vec<Image>, otherwise: Image) -> Image {
    images.into_iter().next().unwrap_or(otherwise)
}

async fn in_store(store: &Arc<StoreSource>, ctx: &Ctx, mut image: Image) -> Result<Image, Problem> {
    let (store, ctx) = (Arc::clone(store), ctx.clone());
    let read = move || {
        let content = store.content(&[ImageKey::Id(image.id.clone())])?;
        if let Some(packed) = content.images().first() {
            verify_image(&content, packed, &mut image, &ctx, "read the store")?;
        }
        Ok(image)
    };
    blocking("read the store", read).await
}

fn temporary(doing: &str) -> Result<tempfile::TempDir, Problem> {
    tempfile::Builder::new().prefix(".lighterman-").tempdir().map_err(|error| Problem::disk(doing, &std::env::temp_dir(), &error))
}

async fn of_engine(place: &Place, ctx: &Ctx, mut image: Image) -> Result<Image, Problem> {
    let dir = temporary("verify the layers")?;
    let file = dir.path().join("image.tar");
    let to = ExportTo { file: file.clone(), format: ArchiveFormat::Docker, overwrite: false };
    place.source.export(ctx, &[ImageKey::Id(image.id.clone())], &to).await?;
    let saved = FileSource::open(&Locator { transport: Transport::DockerArchive, path: Some(file), name: None }).await?;
    let read = saved.verify(ctx, None).await?;
    let known = read.iter().find(|saved| saved.id == image.id).and_then(|saved| saved.layers.as_ref());
    for layer in image.layers.iter_mut().flatten() {
        let same = |other: &&crate::model::LayerInfo| layer.diff_id.is_some() && other.diff_id == layer.diff_id;
        if let Some(found) = known.into_iter().flatten().find(same) {
            (layer.verified, layer.uncompressed_size) = (found.verified, found.uncompressed_size);
        }
    }
    Ok(image)
}

async fn of_registry(source: &RegistrySource, place: &Place, ctx: &Ctx, mut image: Image) -> Result<Image, Problem> {
    let doing = "verify the layers";
    let dir = temporary(doing)?;
    let store = StoreSource::open(&dir.path().join("store"))?.with_client(source.client().clone());
    let name: Name = place.named(doing)?.clone();
    let change = Change::Pull { source: store.id().clone(), name, platform: image.platform.clone() };
    let curator = store.curator().ok_or_else(|| Problem::new(ProblemKind::Other, doing, "the temporary store can't be written"))?;
    work::change::apply(&change, curator, ctx).await?;
    image = in_store(&Arc::new(store), ctx, image).await?;
    Ok(image)
}
