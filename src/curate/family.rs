//! Where an image comes from and what came of it, among the images of this machine: what it was built on, what is built on it, and what of its
//! bytes others hold too.
//!
//! May use model only. What an image says of its base itself is believed first (the `org.opencontainers.image.base.*` keys of the OCI image
//! specification), then the layers, which can't err but know only what is here; what is left is a guess, and is called one.

use std::collections::{BTreeSet, HashMap};

use crate::model::family::{Base, Family, Told};
use crate::model::image::chain_ids;
use crate::model::{BaseSaid, Digest, Image, ImageList, ImageSummary, Layers, Safe};

/// Labels that the images of some distributions give to everything that is built on them.
const NAME: &str = "org.opencontainers.image.ref.name";
const VERSION: &str = "org.opencontainers.image.version";

/// Finds the family of `image` in `list`; `layers` is what is known of what the images of the list hold.
#[must_use]
pub fn family(image: &Image, list: &ImageList, layers: &Layers) -> Family {
    let count = image.layers.as_ref().map_or(0, Vec::len);
    let places = places(image);
    let told = told(image, list);
    let mut found = Family { told, shared: vec![0; count], ..Family::default() };
    // A layer that it has twice stands at its first place.
    let distinct: BTreeSet<usize> = places.values().copied().collect();
    // What it holds beside its layers, such as a configuration, others of the same source hold too.
    let held = |id: &Digest| layers.get(id).map(|held| held.iter().filter(|(blob, _)| !places.contains_key(blob)).count());
    let beside = held(&image.id);
    for other in list.images.iter().filter(|other| other.id != image.id) {
        found.based_on.1 += 1;
        let Some(held) = layers.get(&other.id) else { continue };
        found.based_on.0 += 1;
        let common: BTreeSet<usize> = held.iter().filter_map(|(blob, _)| places.get(blob).copied()).collect();
        for at in &common {
            if let Some(shared) = found.shared.get_mut(*at) {
                *shared += 1;
            }
        }
        let begins = !common.is_empty() && common.iter().eq(distinct.iter().take(common.len()));
        let more = held.iter().filter(|(blob, _)| !places.contains_key(blob)).count();
        // Of an image that is not among them it can't be told what others hold beside layers, unless they hold nothing else.
        let Some(more) = beside.or((more == 0).then_some(0)).map(|beside| more > beside) else { continue };
        match (begins, common.len() == distinct.len(), more) {
            (true, true, false) => found.twins.push(other.id.clone()),
            (true, true, true) => found.built_on_it.push(other.id.clone()),
            (true, false, false) if found.base.as_ref().is_none_or(|base| base.layers < common.len()) => {
                found.base = Some(Base { image: other.id.clone(), layers: common.len() });
            }
            _ => {}
        }
    }
    if found.told.is_none() && found.base.is_none() {
        found.guess = guess(image);
    }
    let first = |at: usize| {
        let layer = image.layers.as_ref()?.get(at)?;
        layer.digest.as_ref().and_then(|digest| places.get(digest)).copied()
    };
    found.shared =
        (0..count).map(|at| first(at).and_then(|first| found.shared.get(first)).or(found.shared.get(at)).copied().unwrap_or(0)).collect();
    for (layer, shared) in image.layers.iter().flatten().zip(&found.shared) {
        let sum = if *shared == 0 { &mut found.bytes.0 } else { &mut found.bytes.1 };
        *sum = sum.saturating_add(layer.size.unwrap_or(0));
    }
    found
}

/// The place of each layer, by every name that a source may know it by. A layer that an image has twice stands at its first place.
fn places(image: &Image) -> HashMap<Digest, usize> {
    let layers = image.layers.as_deref().unwrap_or_default();
    let diff_ids: Vec<Digest> = layers.iter().map_while(|layer| layer.diff_id.clone()).collect();
    let stored = layers.iter().enumerate().filter_map(|(at, layer)| Some((layer.digest.clone()?, at)));
    let mut places = HashMap::new();
    for (name, at) in chain_ids(&diff_ids).into_iter().enumerate().map(|(at, id)| (id, at)).chain(stored) {
        places.entry(name).or_insert(at);
    }
    places
}

fn told(image: &Image, list: &ImageList) -> Option<Told> {
    // Builders write it into the manifest. Labels are inherited, so what one says may be said of the base's own base.
    let of_manifest = image.base.clone();
    let BaseSaid { name, digest } = of_manifest.or_else(|| BaseSaid::among(&image.config.as_ref()?.labels))?;
    let here = list.tagged(&name);
    let digests = |image: &ImageSummary| -> Vec<Digest> {
        image.repo_digests.iter().filter_map(|name| name.raw().rsplit_once('@')?.1.parse().ok()).collect()
    };
    let known: Vec<Digest> = here.iter().flat_map(|(image, _)| digests(image)).collect();
    let moved = digest.as_ref().filter(|_| !known.is_empty()).map(|digest| !known.contains(digest));
    Some(Told { name, digest, moved })
}

fn guess(image: &Image) -> Option<Safe> {
    let labels = &image.config.as_ref()?.labels;
    let name = labels.get(NAME).filter(|name| !name.is_empty())?;
    Some(match labels.get(VERSION) {
        Some(version) => Safe::from(format!("{} {}", name.safe(), version.safe())),
        None => name.safe(),
    })
}

/// How many layers, from the bottom, came with what the image was built on, as its history lets one guess: builders end an image by saying what it
/// runs, and what was built on it comes after that. `None` where nothing tells.
#[must_use]
pub fn guessed_layers(image: &Image) -> Option<usize> {
    let steps = image.history.as_deref()?;
    let says = |step: &&crate::model::HistoryEntry| {
        let by = step.created_by.as_ref().map_or("", |by| by.raw());
        step.empty_layer && matches!(crate::model::dockerfile::instruction(by).0, "CMD" | "ENTRYPOINT")
    };
    // What comes after the last layer says what this image runs itself.
    let own = steps.iter().rposition(|step| !step.empty_layer)?;
    let end = steps.get(..own)?.iter().rposition(|step| says(&step))?;
    let count = steps.get(..end)?.iter().filter(|step| !step.empty_layer).count();
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Foreign, ImageConfig, LayerInfo, Name};

    const BASE_NAME: &str = "org.opencontainers.image.base.name";
    const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    /// An image that has these layers, of a byte, two, three …
    fn image(id: &str, layers: &[&str], labels: &[(&str, &str)]) -> Image {
        let layer = |(index, text): (usize, &&str)| LayerInfo {
            index,
            digest: Some(digest(&format!("stored {text}"))),
            diff_id: Some(digest(text)),
            size: Some(index as u64 + 1),
            uncompressed_size: None,
            media_type: None,
            compression: None,
            created_by: None,
            verified: None,
            contents: None,
        };
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), Foreign::new(value))).collect();
        Image {
            id: digest(id),
            manifest_digest: None,
            media_type: None,
            tags: vec![],
            repo_digests: vec![],
            created: None,
            platform: None,
            size: None,
            unique_size: None,
            containers: None,
            config: Some(ImageConfig { labels, ..ImageConfig::default() }),
            layers: Some(layers.iter().enumerate().map(layer).collect()),
            history: None,
            base: None,
        }
    }

    fn listed(id: &str, tags: &[&str], repo_digests: &[String]) -> ImageSummary {
        ImageSummary {
            id: digest(id),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: repo_digests.iter().map(|name| Name::new(name)).collect(),
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    fn world(images: &[(&str, &[&str])]) -> (ImageList, Layers) {
        let list = images.iter().map(|(id, _)| listed(id, &[], &[])).collect();
        let chains = |layers: &[&str]| {
            let ids: Vec<Digest> = layers.iter().map(|text| digest(text)).collect();
            chain_ids(&ids).into_iter().map(|id| (id, 1)).collect()
        };
        let layers = images.iter().map(|(id, layers)| (digest(id), chains(layers))).collect();
        (ImageList { images: list, at: jiff::Timestamp::UNIX_EPOCH, gaps: vec![] }, layers)
    }

    #[test]
    fn the_base_with_the_most_layers_is_the_base_and_what_goes_on_is_built_on_it() {
        let (list, mut layers) = world(&[
            ("me", &["a", "b", "c"]),
            ("os", &["a"]),
            ("runtime", &["a", "b"]),
            ("child", &["a", "b", "c", "d"]),
            ("twin", &["a", "b", "c"]),
            ("sibling", &["a", "b", "x"]),
            ("other", &["y"]),
            ("unread", &["a"]),
        ]);
        layers.remove(&digest("unread"));
        let found = family(&image("me", &["a", "b", "c"], &[]), &list, &layers);
        assert_eq!(found.base, Some(Base { image: digest("runtime"), layers: 2 }));
        assert_eq!((found.built_on_it, found.twins), (vec![digest("child")], vec![digest("twin")]));
        assert_eq!(found.shared, [5, 4, 2]);
        assert_eq!((found.bytes, found.based_on), ((0, 6), (6, 7)));
        // The same layer on another one is not the same on an engine.
        let found = family(&image("new", &["b"], &[]), &list, &layers);
        assert_eq!((found.base, found.shared, found.bytes), (None, vec![0], (1, 0)));
    }

    #[test]
    fn in_a_store_layers_are_known_by_what_is_stored() {
        let blobs = |names: &[&str]| names.iter().map(|name| (digest(name), 1)).collect::<Vec<_>>();
        let (list, _) = world(&[("me", &[]), ("base", &[]), ("sibling", &[])]);
        let layers = Layers::from([
            (digest("me"), blobs(&["stored a", "stored b", "config me", "manifest me"])),
            (digest("base"), blobs(&["stored a", "config base", "manifest base"])),
            (digest("sibling"), blobs(&["stored a", "stored x", "config sibling", "manifest sibling"])),
        ]);
        let found = family(&image("me", &["a", "b"], &[]), &list, &layers);
        assert_eq!(found.base, Some(Base { image: digest("base"), layers: 1 }));
        assert_eq!((found.shared, found.bytes), (vec![2, 0], (2, 1)));
    }

    #[test]
    fn what_an_image_says_of_its_base_comes_before_a_guess() {
        let (mut list, layers) = world(&[]);
        let (old, new) = (digest("old"), digest("new"));
        let labels = [(NAME, "ubuntu"), (VERSION, "24.04")];
        let guessed = family(&image("me", &["a"], &labels), &list, &layers);
        assert_eq!((guessed.guess, guessed.told), (Some(Safe::new("ubuntu 24.04")), None));
        let said = [(BASE_NAME, "docker.io/library/debian:12"), (BASE_DIGEST, old.as_str()), (NAME, "x")];
        let told = |list: &ImageList| family(&image("me", &["a"], &said), list, &layers);
        assert_eq!(told(&list).told.map(|told| (told.digest, told.moved)), Some((Some(old.clone()), None)));
        assert_eq!(told(&list).guess, None);
        for (digest, moved) in [(&old, false), (&new, true)] {
            list.images = vec![listed("debian", &["debian:12"], &[format!("debian@{digest}")])];
            assert_eq!(told(&list).told.and_then(|told| told.moved), Some(moved));
        }
    }

    #[test]
    fn a_manifest_says_its_base_before_any_label() {
        let (list, layers) = world(&[]);
        let annotations = |name: &str, digest: &str| {
            BTreeMap::from([(BASE_NAME.to_owned(), Foreign::new(name)), (BASE_DIGEST.to_owned(), Foreign::new(digest))])
        };
        let built_on = digest("debian");
        let mut me = image("me", &["a"], &[(BASE_NAME, "docker.io/library/alpine:3")]);
        let told = |me: &Image| family(me, &list, &layers).told.map(|told| (told.name.raw().to_owned(), told.digest));
        me.base = BaseSaid::among(&annotations("docker.io/library/debian:12", built_on.as_str()));
        assert_eq!(told(&me), Some(("docker.io/library/debian:12".to_owned(), Some(built_on))));
        // What is no name is no word on it, however long; what is no digest is none.
        for name in ["", "\u{1b}[2J", "a b", &"x".repeat(1 << 20)] {
            me.base = BaseSaid::among(&annotations(name, "sha256:x"));
            assert_eq!(told(&me), Some(("docker.io/library/alpine:3".to_owned(), None)), "{name:.20}");
        }
        assert_eq!(BaseSaid::among(&annotations("a:1", "sha256:x")).and_then(|said| said.digest), None);
    }

    #[test]
    fn what_runs_marks_where_the_base_ended() {
        let with = |steps: &[(&str, bool)]| {
            let step = |(by, empty): &(&str, bool)| crate::model::HistoryEntry {
                created: None,
                created_by: Some((*by).into()),
                comment: None,
                empty_layer: *empty,
                size: None,
                layer_digest: None,
                diff_id: None,
            };
            guessed_layers(&Image { history: Some(steps.iter().map(step).collect()), ..image("x", &["a"], &[]) })
        };
        let base = ("/bin/sh -c #(nop) ADD file:1 in / ", false);
        let cmd = ("/bin/sh -c #(nop)  CMD [\"bash\"]", true);
        assert_eq!(with(&[base, cmd, ("RUN make # buildkit", false), ("CMD [\"app\"]", true)]), Some(1));
        assert_eq!(with(&[base, ("RUN x", false), ("ENTRYPOINT [\"a\"]", true), cmd, ("COPY . .", false)]), Some(2));
        assert_eq!(with(&[base, cmd]), None, "it is its own");
        assert_eq!(with(&[base, ("RUN make", false)]), None);
        assert_eq!(with(&[]), None);
    }
}
