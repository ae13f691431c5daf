//! The engines' answers, as far as they are read, and leniently: a null, a missing or a negative number is "not said", a field of
//! the wrong type spoils its own field, an unknown one nothing.
//!
//! Own types instead of bollard's models, which refuse a whole list for one null label or one state word they don't know. Speed did not
//! decide: of ten thousand images (4 MB) dockerd 20.10 takes about 0.8 s to answer, and bollard's models 0.02 to 0.03 s to read it.
//! Facts: Docker Engine API 1.24–1.50; answers of dockerd 20.10 and Podman 4.3.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::model::{Digest, Foreign};

/// Text, borrowed from the answer where it has no escapes; empty when it was something else.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A count; `None` when negative, absent or no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count(pub(super) Option<u64>);

/// A time as seconds or as RFC 3339; `None` for the year 1, which is Go's "not set".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Option<Timestamp>);

/// A list; empty for null.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Labels; empty for null.
#[derive(Debug, Default)]
pub(super) struct Labels(pub(super) BTreeMap<Box<str>, Foreign>);

struct TextVisitor;

/// What a visitor expects, and arms for what is not wanted: read over, and taken as absent.
macro_rules! skips {
    ($expected:literal, $absent:expr; $($method:ident($kind:ty)),* $(,)?) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($expected)
        }
        $(fn $method<E>(self, _: $kind) -> Result<Self::Value, E> { Ok($absent) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($absent) }
    };
}

/// The same for a list and an object.
macro_rules! skips_nested {
    ($absent:expr; $life:lifetime; $($which:ident),*) => { $(skips_nested!(@ $which $absent; $life);)* };
    (@ list $absent:expr; $life:lifetime) => {
        fn visit_seq<A: SeqAccess<$life>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($absent)
        }
    };
    (@ object $absent:expr; $life:lifetime) => {
        fn visit_map<A: MapAccess<$life>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($absent)
        }
    };
}

/// A type that is whatever its visitor makes of the answer.
macro_rules! visited {
    ([$($generics:tt)*] $life:lifetime, $type:ty, $visitor:expr) => {
        impl<$($generics)*> Deserialize<$life> for $type {
            fn deserialize<D: Deserializer<$life>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        }
    };
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }

    skips!("text", Text::default(); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
    skips_nested!(Text::default(); 'de; list, object);
}

visited!(['de: 'a, 'a] 'de, Text<'a>, TextVisitor);

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
        Ok(Count(Some(number).filter(|&number| i64::try_from(number).is_ok())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(number).ok()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Count, E> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range-checked: 0 to 2^53")]
        Ok(Count((0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)))
    }

    skips!("a number", Count(None); visit_bool(bool), visit_str(&str));
    skips_nested!(Count(None); 'de; list, object);
}

visited!(['de] 'de, Count, CountVisitor);

struct MomentVisitor;

impl<'de> Visitor<'de> for MomentVisitor {
    type Value = Moment;

    fn visit_i64<E>(self, seconds: i64) -> Result<Moment, E> {
        Ok(Moment(Timestamp::from_second(seconds).ok()).but_not_zero())
    }

    fn visit_u64<E>(self, seconds: u64) -> Result<Moment, E> {
        Ok(Moment(i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())).but_not_zero())
    }

    fn visit_str<E>(self, text: &str) -> Result<Moment, E> {
        Ok(Moment(text.parse().ok()).but_not_zero())
    }

    skips!("a time", Moment(None); visit_bool(bool), visit_f64(f64));
    skips_nested!(Moment(None); 'de; list, object);
}

impl Moment {
    /// Without Go's zero time, `0001-01-01T00:00:00Z`.
    fn but_not_zero(self) -> Self {
        Self(self.0.filter(|time| time.as_second() > -62_135_596_800))
    }
}

visited!(['de] 'de, Moment, MomentVisitor);

struct ListVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(List(items))
    }

    skips!("a list", List(Vec::new()); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));
    skips_nested!(List(Vec::new()); 'de; object);
}

visited!(['de, T: Deserialize<'de>] 'de, List<T>, ListVisitor(std::marker::PhantomData));

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<Text<'_>, Text<'_>>()? {
            labels.insert(name.0.into(), Foreign::new(&value.0));
        }
        Ok(Labels(labels))
    }

    skips!("labels", Labels::default(); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));
    skips_nested!(Labels::default(); 'de; list);
}

visited!(['de] 'de, Labels, LabelsVisitor);

/// An image ID; Podman's own API leaves out the algorithm.
pub(super) fn id(text: &str) -> Option<Digest> {
    text.parse().ok().or_else(|| format!("sha256:{text}").parse().ok())
}

/// `GET /version`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Version<'a> {
    #[serde(borrow, rename = "Version")]
    pub number: Text<'a>,
    #[serde(borrow, rename = "ApiVersion")]
    pub api: Text<'a>,
    #[serde(borrow, rename = "MinAPIVersion")]
    pub oldest_api: Text<'a>,
    #[serde(borrow, rename = "Components")]
    pub components: List<Component<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Component<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// A row of `GET /images/json` and of `/system/df`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageRow<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub repo_tags: List<Text<'a>>,
    #[serde(borrow)]
    pub repo_digests: List<Text<'a>>,
    pub created: Moment,
    pub size: Count,
    pub shared_size: Count,
    pub labels: Labels,
}

/// A row of `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerRow<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub names: List<Text<'a>>,
    #[serde(borrow, rename = "ImageID")]
    pub image_id: Text<'a>,
    #[serde(borrow)]
    pub state: Text<'a>,
    /// In words: `Exited (0) 3 weeks ago`.
    #[serde(borrow)]
    pub status: Text<'a>,
    pub created: Moment,
}

/// A line of `GET /events`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "Type")]
    pub kind: Text<'a>,
    #[serde(borrow, rename = "Action")]
    pub action: Text<'a>,
    #[serde(borrow, rename = "Actor")]
    pub actor: Actor<'a>,
    pub time: Moment,
}

/// What an event is about: a container by its ID, or an image by its ID or name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Actor<'a> {
    #[serde(borrow, rename = "ID")]
    pub id: Text<'a>,
    #[serde(borrow, rename = "Attributes")]
    pub attributes: Attributes<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attributes<'a> {
    /// Of a container, its image as it was asked for.
    #[serde(borrow)]
    pub image: Text<'a>,
}

/// `GET /system/df`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DiskUsage<'a> {
    #[serde(borrow)]
    pub images: List<ImageRow<'a>>,
}

/// `GET /images/NAME/json`. The configuration is read from the tree, where each part may be missing or odd.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Inspected<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub repo_tags: List<Text<'a>>,
    #[serde(borrow)]
    pub repo_digests: List<Text<'a>>,
    pub created: Moment,
    #[serde(borrow)]
    pub os: Text<'a>,
    #[serde(borrow)]
    pub architecture: Text<'a>,
    #[serde(borrow)]
    pub variant: Text<'a>,
    pub size: Count,
    pub config: Value,
    #[serde(rename = "RootFS")]
    pub root_fs: Value,
    /// Only where the engine stores manifests (containerd's image store).
    pub descriptor: Value,
}

/// A row of `GET /images/NAME/history`, newest first.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HistoryRow<'a> {
    pub created: Moment,
    #[serde(borrow)]
    pub created_by: Text<'a>,
    #[serde(borrow)]
    pub comment: Text<'a>,
    pub size: Count,
}

/// One line of the streams that pull, push and load answer with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamLine<'a> {
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub stream: Text<'a>,
    #[serde(borrow)]
    pub error: Text<'a>,
    #[serde(rename = "errorDetail")]
    pub error_detail: Value,
    #[serde(rename = "progressDetail")]
    pub progress: Value,
    pub aux: Value,
}

impl StreamLine<'_> {
    /// What went wrong at the engine, if this line says so.
    pub(super) fn failure(&self) -> Option<String> {
        let detail = self.error_detail.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
        detail.or_else(|| Some(self.error.0.as_ref()).filter(|text| !text.is_empty())).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_answers_are_read_as_far_as_they_make_sense() {
        let row: ImageRow<'_> = serde_json::from_str(
            r#"{"Id":"sha256:aa","RepoTags":null,"RepoDigests":["a",null,7],"Created":"2024-01-01T00:00:00Z","Size":-5,"SharedSize":1e3,
                "Labels":{"a":null,"b":"x\n","c":[1]},"Unknown":{"deep":[1,2]}}"#,
        )
        .unwrap();
        assert_eq!(row.repo_tags.0.len(), 0);
        assert_eq!(row.repo_digests.0.iter().map(|text| text.0.as_ref()).collect::<Vec<_>>(), ["a", "", ""]);
        assert_eq!((row.size.0, row.shared_size.0), (None, Some(1000)));
        assert_eq!(row.created.0.unwrap().as_second(), 1_704_067_200);
        assert_eq!(row.labels.0["b"].raw(), "x\n");
        assert_eq!(row.labels.0["a"].raw(), "");
        let odd: ImageRow<'_> = serde_json::from_str(r#"{"Id":{},"RepoTags":{"a":1},"Created":true,"Size":"big","Labels":[{}]}"#).unwrap();
        assert!(odd.repo_tags.0.is_empty() && odd.created.0.is_none() && odd.size.0.is_none() && odd.labels.0.is_empty());
    }

    #[test]
    fn times_out_of_range_are_not_said() {
        for text in ["-62135596800", "\"0001-01-01T00:00:00Z\"", "9223372036854775807", "\"N/A\"", "\"\"", "null", "1e300"] {
            assert_eq!(serde_json::from_str::<Moment>(text).unwrap(), Moment(None), "{text}");
        }
        assert!(serde_json::from_str::<Moment>("-1").unwrap().0.is_some());
    }
}
