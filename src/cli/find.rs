//! From what was typed to an image of a source: a reference in any of its spellings, an ID or the beginning of one.

use crate::model::{Digest, Image, ImageKey, ImageList, ImageSummary, Name, Platform, Problem, ProblemKind, Reference};
use crate::source::{Ctx, Source};

/// Fewer hex digits than this are a name.
const SHORTEST_PREFIX: usize = 4;
/// Most candidates that an error names.
const MOST_NAMED: usize = 8;

/// An image that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) id: Digest,
    /// How its source is asked for it: by name when it was named, so that an export keeps the name.
    pub(super) key: ImageKey,
    /// The name it was found under, as the source spells it.
    pub(super) name: Option<Name>,
    pub(super) tags: Vec<Name>,
    pub(super) platform: Option<Platform>,
    /// The whole image, where finding it has brought it.
    pub(super) image: Option<Box<Image>>,
}

/// Every image that `wanted` means: several when a name stands for a multi-platform image; all when nothing is named.
///
/// # Errors
/// `NotFound`; `Usage` for an ID's beginning that several images share.
pub(super) async fn find(source: &dyn Source, ctx: &Ctx, wanted: Option<&Name>) -> Result<Vec<Found>, Problem> {
    let Some(wanted) = wanted else {
        let list = source.list(ctx).await?;
        return Ok(list.images.iter().map(|image| Found::of(image, None)).collect());
    };
    if let Some(image) = direct(source, ctx, wanted).await? {
        return Ok(vec![image]);
    }
    let list = source.list(ctx).await?;
    let found = in_list(&list, wanted)?;
    if found.is_empty() {
        let missing = Problem::new(ProblemKind::NotFound, format!("find {} in {}", wanted.raw(), source.id()), "there is no such image");
        return Err(missing.hint("`lighterman images` lists what there is"));
    }
    Ok(found)
}

/// The one image that `wanted` means; of several platforms under one name, this machine's.
///
/// # Errors
/// As [`find`]; `Usage` when several remain.
pub(super) async fn find_one(source: &dyn Source, ctx: &Ctx, wanted: Option<&Name>) -> Result<Found, Problem> {
    let found = find(source, ctx, wanted).await?;
    let what = wanted.map_or_else(|| source.id().to_string(), |name| name.raw().to_owned());
    only(found, &what)
}

fn only(mut found: Vec<Found>, what: &str) -> Result<Found, Problem> {
    let here = Platform::host();
    let named = |image: &Found| image.name.clone().or_else(|| image.tags.first().cloned());
    let one_name = found.windows(2).all(|pair| matches!(pair, [one, two] if named(one) == named(two)));
    if found.len() > 1 && one_name {
        let fits = |image: &Found| image.platform.as_ref().is_some_and(|platform| platform.serves(&here));
        if found.iter().filter(|image| fits(image)).count() == 1 {
            found.retain(fits);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Problem::new(ProblemKind::NotFound, format!("find an image in {what}"), "there is none")),
        (Some(last), false) => {
            found.push(last);
            let candidates = found.iter().map(|image| (&image.id, image.name.as_ref().or(image.tags.first())));
            Err(ambiguous(what, candidates))
        }
    }
}

/// Whether a name may as well be an ID or the beginning of one.
pub(super) fn may_be_id(name: &Name) -> bool {
    is_prefix(name.raw()).is_some()
}

impl Found {
    fn of(image: &ImageSummary, name: Option<&Name>) -> Self {
        Self {
            id: image.id.clone(),
            key: ImageKey::Id(image.id.clone()),
            name: name.cloned(),
            tags: image.tags.clone(),
            platform: image.platform.clone(),
            image: None,
        }
    }

    fn whole(image: Image, key: ImageKey, name: Option<Name>) -> Self {
        Self { id: image.id.clone(), key, name, tags: image.tags.clone(), platform: image.platform.clone(), image: Some(Box::new(image)) }
    }
}

/// Asks the source for just this image, where it answers that faster than with its whole list: engines and registries.
async fn direct(source: &dyn Source, ctx: &Ctx, wanted: &Name) -> Result<Option<Found>, Problem> {
    use crate::model::SourceKind::{Engine, Registry};
    if !matches!(source.kind(), Engine | Registry) {
        return Ok(None);
    }
    let key = match (wanted.raw().parse::<Digest>(), is_prefix(wanted.raw())) {
        (Ok(id), _) => ImageKey::Id(id),
        (Err(_), Some(Prefix::Only(_))) => return Ok(None),
        (Err(_), _) => match wanted.reference() {
            Ok(reference) => ImageKey::Name(reference),
            Err(problem) if is_prefix(wanted.raw()).is_none() => return Err(problem),
            Err(_) => return Ok(None),
        },
    };
    match source.inspect(ctx, &key).await {
        Ok(image) => {
            let name = if let ImageKey::Name(reference) = &key { Some(spelled(&image, wanted, reference)) } else { None };
            Ok(Some(Found::whole(image, key, name)))
        }
        Err(problem) if problem.kind == ProblemKind::NotFound && source.kind() == Engine => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The source's own spelling of the name, if it has one for it.
fn spelled(image: &Image, wanted: &Name, reference: &Reference) -> Name {
    let same = |tag: &&Name| tag.raw() == wanted.raw() || tag.reference().is_ok_and(|tag| tag == *reference);
    image.tags.iter().find(same).unwrap_or(wanted).clone()
}

/// What may be the beginning of an ID.
enum Prefix<'a> {
    /// It can be nothing else: `sha256:12ab`.
    Only(&'a str),
    /// It may be a name too: `12ab`.
    Maybe(&'a str),
}

fn is_prefix(text: &str) -> Option<Prefix<'_>> {
    let hex = |text: &str| text.len() >= SHORTEST_PREFIX && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.strip_prefix("sha256:") {
        Some(rest) => hex(rest).then_some(Prefix::Only(rest)),
        None => hex(text).then_some(Prefix::Maybe(text)),
    }
}

/// Looks through a list: the exact spelling first, then the same reference spelled otherwise, the tag alone, the beginning of an ID.
fn in_list(list: &ImageList, wanted: &Name) -> Result<Vec<Found>, Problem> {
    let text = wanted.raw();
    let prefix = is_prefix(text);
    if !matches!(prefix, Some(Prefix::Only(_))) {
        // Podman keeps names without a registry under localhost/.
        for spelling in [text.to_owned(), format!("localhost/{text}")] {
            let named: Vec<Found> =
                list.tagged(&Name::new(&spelling)).into_iter().map(|(image, tag)| Found::of(image, Some(tag)).named()).collect();
            if !named.is_empty() {
                return Ok(named);
            }
        }
        let by_tag = |image: &ImageSummary| {
            let tag = image.tags.iter().find(|tag| tag.split().1 == Some(text))?;
            Some(Found::of(image, Some(tag)).named())
        };
        let tagged: Vec<Found> = list.images.iter().filter_map(by_tag).collect();
        if !tagged.is_empty() {
            let one_name = tagged.windows(2).all(|pair| matches!(pair, [one, two] if one.name == two.name));
            return if one_name { Ok(tagged) } else { Err(ambiguous(text, tagged.iter().map(|image| (&image.id, image.name.as_ref())))) };
        }
    }
    let Some(Prefix::Only(hex) | Prefix::Maybe(hex)) = prefix else { return Ok(Vec::new()) };
    let matching: Vec<&ImageSummary> = list.images.iter().filter(|image| image.id.hex().starts_with(hex)).collect();
    if matching.windows(2).any(|pair| matches!(pair, [one, two] if one.id != two.id)) {
        return Err(ambiguous(text, matching.iter().map(|image| (&image.id, image.tags.first()))));
    }
    Ok(matching.first().map(|image| Found::of(image, None)).into_iter().collect())
}

impl Found {
    /// Asked for by its name, where that name can be acted on.
    fn named(mut self) -> Self {
        if let Some(reference) = self.name.as_ref().and_then(|name| name.reference().ok()) {
            self.key = ImageKey::Name(reference);
        }
        self
    }
}

fn ambiguous<'a>(what: &str, candidates: impl Iterator<Item = (&'a Digest, Option<&'a Name>)>) -> Problem {
    let mut names: Vec<String> = candidates
        .map(|(id, name)| name.map_or_else(|| id.short().to_owned(), |name| format!("{} ({})", id.short(), name.raw())))
        .collect();
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    Problem::new(ProblemKind::Usage, format!("tell which image {what} means"), format!("it may be {}", names.join(", ")))
        .hint("write more of the ID, or the whole reference")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(images: &[(&str, &[&str])]) -> ImageList {
        let image = |(id, tags): &(&str, &[&str])| ImageSummary {
            id: format!("sha256:{id}{}", "0".repeat(64 - id.len())).parse().unwrap(),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: std::collections::BTreeMap::new(),
        };
        ImageList { images: images.iter().map(image).collect(), at: jiff::Timestamp::UNIX_EPOCH, gaps: vec![] }
    }

    fn hits(list: &ImageList, text: &str) -> Vec<String> {
        in_list(list, &Name::new(text)).unwrap().iter().map(|image| image.id.hex().chars().take(5).collect()).collect()
    }

    #[test]
    fn names_come_before_ids() {
        let list = list(&[("abcd1", &["app:1", "app:latest"]), ("abcd2", &["localhost/cafe:latest"]), ("cafe3", &[])]);
        assert_eq!(hits(&list, "app:1"), ["abcd1"]);
        assert_eq!(hits(&list, "app"), ["abcd1"]);
        assert_eq!(hits(&list, "docker.io/library/app:1"), ["abcd1"]);
        assert_eq!(hits(&list, "cafe"), ["abcd2"], "a name that looks like an ID is a name");
        assert_eq!(hits(&list, "sha256:cafe"), ["cafe3"]);
        assert_eq!(hits(&list, "cafe3"), ["cafe3"]);
        assert_eq!(hits(&list, "1"), ["abcd1"], "the tag alone");
        assert_eq!(hits(&list, "abc"), Vec::<String>::new(), "too short");
        assert_eq!(hits(&list, "app:2"), Vec::<String>::new());
    }

    #[test]
    fn what_several_images_share_is_refused_and_they_are_named() {
        let list = list(&[("abcd1", &["app:1"]), ("abcd2", &["web:1"])]);
        let problem = in_list(&list, &Name::new("abcd")).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Usage);
        assert!(problem.cause.as_str().contains("app:1") && problem.cause.as_str().contains("abcd20000000"), "{problem}");
        assert!(in_list(&list, &Name::new("1")).is_err());
    }

    #[test]
    fn a_name_may_stand_for_several_platforms() {
        let list = list(&[("aaaa1", &["app:1"]), ("bbbb2", &["app:1"])]);
        assert_eq!(hits(&list, "app:1"), ["aaaa1", "bbbb2"]);
        assert_eq!(hits(&list, "app:1").len(), hits(&list, "docker.io/library/app:1").len());
    }
}
