//! What an image's layers hold, for the deck: a tree that is of use while later layers are still read, and the looks at it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::layer_index::{self, Depth, Each, Indexed};
use super::run::{Chunks, Env};
use crate::flow::{JobOutput, Shared};
use crate::layer::tree::Look;
use crate::layer::{Cost, Index, NodeId, Tree};
use crate::model::{Image, Problem, SourceId};
use crate::source::{Ctx, blocking};

type Read = BTreeMap<usize, Indexed>;

/// Layers as they arrive, with how often something did.
#[derive(Default)]
struct Arriving {
    read: Mutex<(u64, Read)>,
    any: Notify,
}

/// Reads the layers of `image` at these places, counted from the bottom, and tells the tree of what was read again and again: made anew
/// when one is done, so that a fast source is not waited for.
///
/// # Errors
/// What the source said, where it doesn't answer.
pub(super) async fn explore(
    env: &Env,
    source: &SourceId,
    image: &Arc<Image>,
    layers: &[usize],
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    let count = image.layers.as_ref().map_or(0, Vec::len);
    let arriving = Arc::new(Arriving::default());
    let taking = Arc::clone(&arriving);
    let each: Each = Arc::new(move |indexed: &Indexed| {
        let mut read = taking.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a layer that is fetched once more, what came of it before is no part.
        read.1.insert(indexed.layer, indexed.clone());
        read.0 += 1;
        drop(read);
        taking.any.notify_one();
    });
    let reading = layer_index::read(&*source, ctx, &env.layers, image, layers, Depth::Contents, Some(each));
    let mut reading = std::pin::pin!(reading);
    let (mut told, mut ended, mut building) = (None, None, None);
    loop {
        if building.is_none() {
            let (times, read) = arriving.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let nothing_told = told.is_none() && matches!(ended, Some(Ok(_)));
            if nothing_told || !read.is_empty() && told != Some(times) {
                told = Some(times);
                building = Some(Box::pin(tree(read, count)));
            } else if let Some(ended) = ended.take() {
                break ended.map(|_: Vec<Indexed>| JobOutput::Told);
            }
        }
        let idle = building.is_none();
        // Reading goes on while a tree is put together.
        let built = async {
            match building.as_mut() {
                Some(building) => building.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            end = &mut reading, if ended.is_none() => ended = Some(end),
            built = built => {
                building = None;
                chunks.send(built?).await;
            }
            () = arriving.any.notified(), if idle => {}
        }
    }
}

/// The tree of what was read. A layer that was not holds nothing in it.
async fn tree(read: Read, count: usize) -> Result<JobOutput, Problem> {
    blocking("put the layers together", move || {
        let index = |place: usize| read.get(&place).map_or_else(|| Arc::new(Index::default()), |indexed| Arc::clone(&indexed.index));
        let tree = Shared::new(Tree::new((0..count).map(index).collect())?);
        let whole = read.into_values().filter(|indexed| !indexed.partial);
        Ok(JobOutput::Files { tree, read: whole.map(|indexed| (indexed.layer, indexed.problem)).collect() })
    })
    .await
}

/// Sums up what is seen of a tree.
///
/// # Errors
/// None that a caller could cause.
pub(super) async fn arrange(
    env: &Env,
    tree: Shared<Tree>,
    look: Look,
    open: Option<(Shared<Tree>, Shared<Vec<NodeId>>)>,
) -> Result<JobOutput, Problem> {
    // Nobody closes it, so it is only waited for; and it is given back when the work is done, not when nobody waits for that any more.
    let turn = Arc::clone(&env.looking).acquire_owned().await.ok();
    blocking("sum up the files", move || {
        let _turn = turn;
        let open = open.as_ref().map(|(of, open)| (&**of, open.as_slice()));
        let (view, rows) = look.at(&tree, open);
        Ok(JobOutput::Arranged { tree, look, view: Shared::new(view), rows: Shared::new(rows) })
    })
    .await
}

/// Reckons up what a tree carries for nothing.
///
/// # Errors
/// None that a caller could cause.
pub(super) async fn cost(tree: Shared<Tree>) -> Result<JobOutput, Problem> {
    blocking("reckon up the waste", move || Ok(JobOutput::Cost(Shared::new(Cost::new(&tree))))).await
}
