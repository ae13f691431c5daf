//! Layers out of an engine, in one pass over its save and with no copy of it anywhere.
//!
//! Engines before 25 name a layer's file after nothing that an image tells of, and say only at the end, in `manifest.json`, which file was
//! which layer. So each is handed on as it passes, and its diff ID settles which it was. Newer engines and Podman name the files by their
//! digests: layers that nobody wants are then passed over. As soon as every wanted layer was there the engine is left alone.

use std::io::{self, Read};
use std::sync::Arc;

use super::EngineSource;
use super::save::save_stream;
use crate::layer::{Digests, Entry, Kind, Walker};
use crate::model::{Digest, Image, ImageKey, Problem, ProblemKind, Safe};
use crate::source::Ctx;
use crate::source::archive::{Table, entry_path};
use crate::source::export::{Incoming, MOST_DOCUMENTS, Part, fed, part};
use crate::source::oci;
use crate::source::opened::{self, Opened, Same, Taker, Ticket, Tickets};

pub(super) async fn open_layers(
    source: &EngineSource,
    ctx: &Ctx,
    image: &Image,
    places: &[usize],
    taker: Arc<dyn Taker>,
    doing: &str,
) -> Result<(), Problem> {
    let (waiting, nameless): (Vec<Same>, Vec<Same>) =
        opened::wanted(image, places, &*taker).into_iter().partition(|same| same.info.diff_id.is_some());
    for same in nameless {
        let cause = format!("the engine does not say what layer {} unpacks to", same.info.index);
        same.settle(&*taker, None, &Err(Problem::new(ProblemKind::Unsupported, doing, cause)));
    }
    if waiting.is_empty() {
        return Ok(());
    }
    ctx.meter.phase("waiting for the engine");
    let stream = save_stream(source, &[ImageKey::Id(image.id.clone())], doing).await?;
    let opening = Opening {
        image: image.clone(),
        waiting,
        taker,
        tickets: Tickets::default(),
        table: Table::default(),
        kept: 0,
        doing: doing.to_owned(),
        ctx: ctx.clone(),
    };
    fed(stream, image.size, ctx, doing, move |incoming| opening.read(incoming)).await
}

/// A file of the save that has passed.
enum Passed {
    Document(Vec<u8>),
    /// It was taken, and is no layer of the image by its diff ID.
    Stray(Ticket, Result<Digests, Problem>),
    Other,
}

struct Opening {
    image: Image,
    /// Wanted layers that have not come yet; each has a diff ID.
    waiting: Vec<Same>,
    taker: Arc<dyn Taker>,
    tickets: Tickets,
    table: Table<Passed>,
    /// Bytes of documents kept.
    kept: u64,
    doing: String,
    ctx: Ctx,
}

impl Opening {
    fn read(mut self, mut incoming: Incoming) -> Result<(), Problem> {
        self.ctx.meter.phase("reading");
        self.walk(&mut incoming).map_err(|problem| incoming.explain(problem))?;
        self.settle_rest();
        Ok(())
    }

    fn walk(&mut self, incoming: &mut Incoming) -> Result<(), Problem> {
        let mut walker = Walker::streaming(incoming);
        while let Some(entry) = walker.next_entry().map_err(|error| error.problem(&self.doing))? {
            self.ctx.check(&self.doing)?;
            let passed = if entry.kind == Kind::File { self.pass(&entry, &mut walker)? } else { Passed::Other };
            if self.waiting.is_empty() {
                return Ok(());
            }
            self.table.add(&entry, || passed, &self.doing)?;
        }
        walker.finish().map_err(|error| error.problem(&self.doing))
    }

    fn pass(&mut self, entry: &Entry, data: &mut (dyn Read + Send)) -> Result<Passed, Problem> {
        let path = entry_path(entry, &self.doing)?;
        if named_after(&path).is_some_and(|digest| self.is_layer(&digest) && !self.is_waited_for(&digest)) {
            return Ok(Passed::Other);
        }
        let unreadable = |error: io::Error| {
            let cause = format!("{} can't be read: {error}", Safe::new(&path));
            Problem::new(ProblemKind::Corrupt, &self.doing, cause)
        };
        Ok(match part(&path, entry.size, data).map_err(unreadable)? {
            Part::Document(bytes) => {
                self.kept += entry.size;
                if self.kept > MOST_DOCUMENTS {
                    return Err(Problem::new(ProblemKind::Limit, &self.doing, "its documents together are too large"));
                }
                Passed::Document(bytes)
            }
            Part::Small(bytes) => self.layer(&path, &mut bytes.as_slice()),
            Part::Layer => self.layer(&path, data),
            Part::Other => Passed::Other,
        })
    }

    fn layer(&mut self, path: &str, data: &mut (dyn Read + Send)) -> Passed {
        let ticket = self.tickets.next();
        let found = match self.taker.take(Opened::new(ticket, None, &self.image, data)) {
            Ok(found) => found,
            Err(error) => {
                let cause = format!("{} can't be read: {error}", Safe::new(path));
                return Passed::Stray(ticket, Err(Problem::new(ProblemKind::Corrupt, &self.doing, cause)));
            }
        };
        if let Some(at) = self.waiting.iter().position(|same| same.info.diff_id.as_ref() == Some(&found.diff_id)) {
            let same = self.waiting.remove(at);
            same.settle(&*self.taker, Some(ticket), &opened::verdict(&same.info, found, &self.doing));
            return Passed::Other;
        }
        if self.is_layer(&found.diff_id) {
            self.taker.forget(ticket);
            return Passed::Other;
        }
        Passed::Stray(ticket, Ok(found))
    }

    fn is_layer(&self, diff_id: &Digest) -> bool {
        self.image.layers.iter().flatten().any(|layer| layer.diff_id.as_ref() == Some(diff_id))
    }

    fn is_waited_for(&self, diff_id: &Digest) -> bool {
        self.waiting.iter().any(|same| same.info.diff_id.as_ref() == Some(diff_id))
    }

    /// Says of the layers that no diff ID settled what came in their place.
    fn settle_rest(&self) {
        for same in &self.waiting {
            let came = self.path(same.info.index).and_then(|path| self.table.get(&path));
            let (ticket, found) = if let Some(Passed::Stray(ticket, found)) = came {
                (Some(*ticket), found.clone().and_then(|found| opened::verdict(&same.info, found, &self.doing)))
            } else {
                let cause = format!("layer {} is not in what the engine sent", same.info.index);
                (None, Err(Problem::new(ProblemKind::NotFound, &self.doing, cause)))
            };
            same.settle(&*self.taker, ticket, &found);
        }
    }

    /// The file of a layer, as `manifest.json` has it for the image.
    fn path(&self, layer: usize) -> Option<String> {
        let Some(Passed::Document(bytes)) = self.table.get("manifest.json") else { return None };
        let listed = oci::parse_strict(bytes).ok()?;
        let listed = listed.as_array()?;
        let is_ours = |item: &&serde_json::Value| {
            let config = item.get("Config").and_then(serde_json::Value::as_str).and_then(|path| self.table.get(path));
            matches!(config, Some(Passed::Document(bytes)) if Digest::sha256(bytes) == self.image.id)
        };
        // Where images are kept as registries have them, an ID is the manifest's.
        let ours = listed.iter().find(is_ours).or_else(|| listed.first().filter(|_| listed.len() == 1))?;
        Some(ours.get("Layers")?.get(layer)?.as_str()?.to_owned())
    }
}

/// The digest that a file's name may stand for: `blobs/sha256/HEX`, or `HEX.tar` as Podman has it.
fn named_after(path: &str) -> Option<Digest> {
    let hex = path.strip_prefix("blobs/sha256/").or_else(|| path.strip_suffix(".tar"))?;
    format!("sha256:{hex}").parse().ok()
}
