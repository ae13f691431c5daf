//! Stretches of blobs: one Range, and only an answer that is just that stretch counts.

use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::blobs::range;
use super::body::whole;
use super::errors::Refusal;
use super::http::Ask;
use super::manifests::pull_scope;
use super::{Client, open};
use crate::model::{Image, Problem, ProblemKind};
use crate::source::opened;

impl Client {
    /// A stretch of a layer of an image that was inspected in its repository.
    ///
    /// # Errors
    /// What the registry answered; another stretch than was asked for; Unsupported where it only sends the whole.
    pub(super) async fn stretch(&self, image: &Image, place: usize, offset: u64, length: u64) -> Result<Bytes, Problem> {
        let repo = open::repository(image)?;
        let doing = format!("read a stretch of layer {place} of {}", repo.full());
        let info = image.layers.iter().flatten().nth(place);
        let info = info.ok_or_else(|| Problem::new(ProblemKind::NotFound, &doing, "the image has no such layer"))?;
        let blob = opened::blob(info, &doing)?;
        let last = offset.checked_add(length).and_then(|end| end.checked_sub(1)).filter(|&last| length > 0 && last < blob.size);
        let (Some(last), Ok(most)) = (last, usize::try_from(length)) else {
            return Err(Problem::new(ProblemKind::Corrupt, doing, format!("it would lie outside of the {} bytes of the layer", blob.size)));
        };
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&format!("bytes={offset}-{last}")) {
            headers.insert(RANGE, value);
        }
        let ask = Ask {
            host: repo.host(),
            method: Method::GET,
            url: self.0.url(&repo, &format!("blobs/{}", blob.digest))?,
            headers,
            body: Bytes::new(),
            scope: pull_scope(&repo),
            doing: doing.clone(),
            mirrored: true,
        };
        let mut tried = 1;
        loop {
            let reply = self.0.send(&ask).await?;
            match reply.status() {
                StatusCode::PARTIAL_CONTENT if range(reply.headers()) == Some((offset, last, blob.size)) => {}
                StatusCode::PARTIAL_CONTENT => {
                    let cause = format!("{} answered with another part than was asked for", repo.host());
                    return Err(Problem::new(ProblemKind::Unsupported, doing, cause));
                }
                // The body is not read: the connection ends with it.
                StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => {
                    return Err(Problem::new(ProblemKind::Unsupported, doing, format!("{} gives layers as a whole only", repo.host())));
                }
                _ => return Err(Refusal::read(reply, &self.0.settings.timers).await.problem(&doing, repo.host())),
            }
            let cause = match whole(reply, most, &self.0.settings.timers).await {
                Ok(bytes) if bytes.len() == most => return Ok(bytes),
                Ok(bytes) => format!("{} of {most} bytes came", bytes.len()),
                Err(broken) => broken.words(&self.0.settings.timers),
            };
            self.0.pause(repo.host(), &mut tried, Problem::new(ProblemKind::Unreachable, &doing, cause), None).await?;
        }
    }
}
