//! The words of the dialogs that are not about removing.

use jiff::Timestamp;

use crate::model::{Digest, ImageList, ImageSummary, ImportPreview, Name, Problem, Safe, size, time};

use super::words::counted;
use super::{Statement, Tone};

/// The image that holds `name` in this list, however its source spells it.
#[must_use]
pub fn holder<'a>(list: &'a ImageList, name: &Name) -> Option<&'a ImageSummary> {
    list.tagged(name).first().map(|(image, _)| *image)
}

/// What giving `id` the name `to` will do. `None` when it is there already.
#[must_use]
pub fn tag(list: &ImageList, id: &Digest, to: &Name, now: Timestamp) -> Option<Vec<Statement>> {
    let mut statements = vec![(Tone::Plain, Safe::from(format!("{} will name image {}", to.safe(), id.short())))];
    if let Some(holder) = holder(list, to) {
        if holder.id == *id {
            return None;
        }
        statements.push((Tone::Warning, Safe::from(format!("it names image {} now{}", holder.id.short(), facts(holder, now)))));
        let others = holder.tags.len().saturating_sub(1);
        statements.push(if others == 0 {
            (Tone::Loss, Safe::new("that image is left without a tag: a prune would delete it"))
        } else {
            (Tone::Quiet, Safe::from(format!("that image keeps {}", counted(others, "other tag"))))
        });
    }
    Some(statements)
}

/// What importing will do: new tags, tags that stay, tags that move.
#[must_use]
pub fn import(preview: &ImportPreview) -> Vec<Statement> {
    let mut statements = vec![(
        Tone::Plain,
        Safe::from(format!(
            "{}: {}, {}, read to the end and verified",
            preview.file.display(),
            counted(preview.tags.len(), "tag"),
            size::human(preview.bytes)
        )),
    )];
    for tag in &preview.tags {
        statements.push(match &tag.holder {
            None => (Tone::Plain, Safe::from(format!("new: {} is image {}", tag.name.safe(), tag.id.short()))),
            Some(holder) if *holder == tag.id => (Tone::Quiet, Safe::from(format!("same: {} is here already", tag.name.safe()))),
            Some(holder) => {
                (Tone::Loss, Safe::from(format!("moves: {} from image {} to image {}", tag.name.safe(), holder.short(), tag.id.short())))
            }
        });
    }
    if preview.untagged > 0 {
        statements.push((Tone::Quiet, Safe::from(format!("and {} without a tag", counted(preview.untagged, "image")))));
    }
    statements
}

/// What pushing will do; `there` is what the tag is at in its registry now, or why that can't be seen from here.
#[must_use]
pub fn push(name: &Name, id: &Digest, there: &Result<Option<Digest>, Problem>) -> Vec<Statement> {
    let place = name.reference().map_or_else(|_| "its registry".to_owned(), |reference| reference.registry().to_owned());
    let replaced = match there {
        Ok(None) => vec![(Tone::Plain, Safe::new("the tag is new there"))],
        Ok(Some(digest)) => vec![
            (Tone::Warning, Safe::from(format!("the tag is there and at {}: it will move", digest.short()))),
            (Tone::Quiet, Safe::new("it can be moved back until the registry collects garbage")),
        ],
        Err(problem) => vec![
            (Tone::Loss, Safe::new("what the tag is at there can't be seen from here, so this push can't be undone")),
            (Tone::Quiet, problem.cause.clone()),
        ],
    };
    let sent = vec![
        (Tone::Plain, Safe::from(format!("sends image {} to {place} as {}", id.short(), name.safe()))),
        (Tone::Quiet, Safe::new("layers that are there already are not sent again")),
    ];
    sent.into_iter().chain(replaced).collect()
}

fn facts(image: &ImageSummary, now: Timestamp) -> String {
    let age = image.created.map_or_else(String::new, |then| format!(", made {} ago", time::age(then, now)));
    let bytes = image.size.map_or_else(String::new, |bytes| format!(", {}", size::human(bytes)));
    format!("{age}{bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> ImageList {
        let image = |seed: &[u8], tags: &[&str]| ImageSummary {
            id: Digest::sha256(seed),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: std::collections::BTreeMap::default(),
        };
        ImageList {
            images: vec![image(b"a", &["docker.io/library/app:latest"]), image(b"b", &["web:1", "web:2"])],
            at: Timestamp::UNIX_EPOCH,
            gaps: vec![],
        }
    }

    #[test]
    fn a_short_name_finds_its_canonical_holder() {
        let list = list();
        assert_eq!(holder(&list, &Name::new("app")).map(|image| &image.id), Some(&Digest::sha256(b"a")));
        assert!(holder(&list, &Name::new("app:2")).is_none());
    }

    #[test]
    fn moving_a_tag_says_what_its_old_image_keeps() {
        let (list, now) = (list(), Timestamp::UNIX_EPOCH);
        assert_eq!(tag(&list, &Digest::sha256(b"a"), &Name::new("app"), now), None);
        assert_eq!(tag(&list, &Digest::sha256(b"a"), &Name::new("new:1"), now).unwrap().len(), 1);
        let lost = tag(&list, &Digest::sha256(b"b"), &Name::new("app:latest"), now).unwrap();
        assert_eq!(lost[2].0, Tone::Loss);
        let kept = tag(&list, &Digest::sha256(b"a"), &Name::new("web:1"), now).unwrap();
        assert!(kept[2].1.as_str().contains("1 other tag"));
    }
}
