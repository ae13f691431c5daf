//! What changes the store without moving blobs: tags and removals.
//!
//! Removing an image's last tag removes the image, as `docker rmi` does; its blobs go with it unless another image needs them.
//! A tag that moves to another image leaves the old one untagged.

use std::sync::Arc;

use super::Store;
use super::index::{self, Index};
use super::state::{Held, State};
use crate::model::{Digest, Kept, Name, Problem, ProblemKind, Reference, Removal, Removed, Why};
use crate::source::Ctx;

impl Store {
    pub(super) async fn tag(self: &Arc<Self>, ctx: &Ctx, id: &Digest, to: &Reference, replaces: Option<&Digest>) -> Result<(), Problem> {
        let doing = format!("tag {} as {to}", id.short());
        if to.digest().is_some() {
            return Err(Problem::new(ProblemKind::Usage, doing, "a tag can't be a digest").hint("name it REPOSITORY:TAG"));
        }
        let (id, name, replaces) = (id.clone(), index::canonical(to), replaces.cloned());
        self.change(ctx, doing.clone(), move |locked| {
            let state = locked.state();
            let image = state.by_id(&id).ok_or_else(|| State::absent(&doing))?;
            let Some(root) = image.roots.first() else { return Err(State::absent(&doing)) };
            free_for(state, &name, &id, replaces.as_ref(), &doing)?;
            let root = root.clone();
            locked.index.set(&name, &root);
            Ok(())
        })
        .await
    }

    pub(super) async fn remove(self: &Arc<Self>, ctx: &Ctx, items: &[Removal]) -> Result<(Vec<Removed>, Vec<Kept>), Problem> {
        let items = items.to_vec();
        self.change(ctx, "remove images from the store".to_owned(), move |locked| {
            let mut removed = Vec::new();
            let mut kept = Vec::new();
            for item in items {
                match take(&mut locked.index, &locked.state, &item) {
                    Ok(one) => removed.push(one),
                    Err(one) => kept.push(one),
                }
            }
            locked.collect = !removed.is_empty();
            Ok((removed, kept))
        })
        .await
    }
}

/// Whether the name may be given to `id`: it is free, or held by what the user saw.
pub(super) fn free_for(state: &State, name: &str, id: &Digest, replaces: Option<&Digest>, doing: &str) -> Result<(), Problem> {
    let Some(entry) = state.index.named(name) else { return Ok(()) };
    let holders: Vec<&Digest> = state.under(&entry.digest).map(super::state::Held::id).collect();
    // A name whose image can't be read may be given away: nothing could be lost that could still be used.
    let expected = holders.is_empty() || holders.contains(&id) || replaces.is_some_and(|replaces| holders.contains(&replaces));
    if expected {
        return Ok(());
    }
    let held = holders.first().map_or("another image", |holder| holder.short());
    Err(Problem::new(ProblemKind::Conflict, doing, format!("{} stands at {held} now", Name::new(name).safe()))
        .hint("look again: it moved since it was shown"))
}

fn take(index: &mut Index, state: &State, item: &Removal) -> Result<Removed, Kept> {
    let keep = |why: &str| item.kept(why);
    let gone = || item.kept(Why::Gone);
    match item {
        Removal::Tag { name, expected } => {
            // Exactly as listed first, then in its canonical spelling.
            let spelled = index.named(name.raw()).map(|_| name.raw().to_owned());
            let canonical = || name.reference().ok().filter(|reference| reference.digest().is_none()).map(|r| index::canonical(&r));
            let spelled = spelled.or_else(canonical).ok_or_else(|| keep("no such tag"))?;
            let root = index.named(&spelled).map(|entry| entry.digest.clone()).ok_or_else(gone)?;
            let mut holders = state.under(&root).peekable();
            if holders.peek().is_some() && !holders.any(|image| image.id() == expected) {
                return Err(keep("it stands at another image now"));
            }
            index.unname(&spelled);
            Ok(item.removed())
        }
        Removal::Untagged { id } => {
            let image = state.by_id(id).ok_or_else(gone)?;
            if !image.packed.names.is_empty() {
                return Err(keep("it has a tag now"));
            }
            for root in &image.roots {
                if index.forget(&root.digest) {
                    keep_siblings(index, state, image, &root.digest);
                }
            }
            // Kept on its own by a removal just before this one.
            if let Some(manifest) = &image.packed.manifest {
                index.forget(&manifest.digest);
            }
            Ok(item.removed())
        }
    }
}

/// An index that goes with one of its platforms leaves the others as images of their own.
fn keep_siblings(index: &mut Index, state: &State, gone: &Held, root: &Digest) {
    let left =
        |image: &&Held| image.id() != gone.id() && image.roots.iter().all(|of| gone.roots.iter().any(|going| going.digest == of.digest));
    for image in state.under(root).filter(left) {
        if let Some(manifest) = &image.packed.manifest {
            index.keep_from(manifest, &image.origins);
        }
    }
}
