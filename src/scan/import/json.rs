//! Reads JSON of many versions of many programs: what is missing or `null` is nothing, one may stand for many, and an item of another shape than
//! expected is left out alone. Lists of any length are gone through item by item, so that no report takes more room than what is kept of it.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Longest text that is kept, in bytes: the rest is cut off.
pub(super) const LONGEST: usize = 8 << 10;
/// Most items of a list within an item.
const MOST_FEW: usize = 100;

/// A text; a number or a truth value as it is written, `null` as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Text(pub(super) String);

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// At most `most` bytes of a text.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(cut(text, LONGEST).to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_bool<E: Error>(self, is: bool) -> Result<Text, E> {
                Ok(Text(is.to_string()))
            }

            fn visit_unit<E: Error>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A number, written as such or as a text; `None` for all else.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Number(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Ok(Self(text.trim().parse().ok().filter(|number: &f64| number.is_finite())))
    }
}

impl Number {
    /// As a place in a list, from zero.
    pub(super) fn place(self) -> Option<usize> {
        let place = Self(self.0.map(|place| place + 1.0)).line()?;
        usize::try_from(place - 1).ok()
    }

    /// As a line of a file.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies within the bounds")]
    pub(super) fn line(self) -> Option<u32> {
        self.0.filter(|number| (1.0..=f64::from(u32::MAX)).contains(number)).map(|number| number as u32)
    }
}

/// A list, or one item in its place; the first of them.
#[derive(Debug, Clone)]
pub(super) struct Few<T>(pub(super) Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> std::ops::Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or one item of it")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Few<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() < MOST_FEW {
                    match seq.next_element()? {
                        Some(item) => items.push(item),
                        None => return Ok(Few(items)),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Few(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Few<T>, A::Error> {
                let item = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Few(vec![item]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Few<T>, E> {
                let item = T::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(Few(vec![item]))
            }

            fn visit_unit<E: Error>(self) -> Result<Few<T>, E> {
                Ok(Few::default())
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// What stands under keys that are no fixed words, in the order of the document; the first of them, and how many more there are.
#[derive(Debug, Clone)]
pub(super) struct Keyed<T, const MOST: usize = MOST_FEW> {
    pub(super) items: Vec<(String, T)>,
    pub(super) left: usize,
}

impl<T, const MOST: usize> Default for Keyed<T, MOST> {
    fn default() -> Self {
        Self { items: Vec::new(), left: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Keyed<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Any<T, MOST> {
            type Value = Keyed<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keyed<T, MOST>, A::Error> {
                let mut found = Keyed::default();
                while let Some(key) = map.next_key::<Text>()? {
                    if found.items.len() < MOST {
                        found.items.push((key.0, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        found.left += 1;
                    }
                }
                Ok(found)
            }

            fn visit_unit<E: Error>(self) -> Result<Keyed<T, MOST>, E> {
                Ok(Keyed::default())
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A list that is gone through later, where there is one.
pub(super) type Later<'a> = Option<&'a RawValue>;

/// Goes through a list: every item that can be read as one goes to `each`. Gives how many could not; one that is no list counts as one such.
pub(super) fn each<'a, T: Deserialize<'a>>(list: Later<'a>, mut each: impl FnMut(T)) -> usize {
    let Some(list) = list.map(RawValue::get) else { return 0 };
    let Some(mut rest) = list.trim_start().strip_prefix('[').map(str::trim_start) else { return 1 };
    let mut wrong = 0;
    while !rest.is_empty() && !rest.starts_with(']') {
        let mut items = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        let end = if let Some(Ok(item)) = items.next() {
            each(item);
            items.byte_offset()
        } else {
            wrong += 1;
            let mut any = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
            // The list as a whole was found to be sound.
            let Some(Ok(_)) = any.next() else { break };
            any.byte_offset()
        };
        rest = rest.get(end..).unwrap_or_default().trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    wrong
}

/// Reads what stands for itself, such as one entry of a table.
pub(super) fn one<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Option<T> {
    serde_json::from_str(text.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Item {
        name: Text,
        many: Few<Text>,
        score: Number,
        kept: Keyed<Number, 2>,
    }

    fn read(text: &str) -> (Vec<Item>, usize) {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let mut items = Vec::new();
        let wrong = each(Some(raw), |item: Item| items.push(item));
        (items, wrong)
    }

    #[test]
    fn what_is_of_another_shape_is_left_out_alone() {
        let text = r#" [ {"name": "a"}, 5 , "x",{"name": {"b": 1}}, null, [[[]]], {"name": null, "many": "one", "score": "7.5"},
            {"many": ["a", 1, null], "score": 3, "kept": {"a": 1, "b": "x", "c": 3}}, {"many": null, "kept": null, "else": [{}]} ] "#;
        let (items, wrong) = read(text);
        assert_eq!((items.len(), wrong), (4, 5));
        assert_eq!(&*items[0].name, "a");
        assert_eq!((items[1].many.len(), items[1].score), (1, Number(Some(7.5))));
        assert_eq!(items[2].many.iter().map(|text| &**text).collect::<Vec<_>>(), ["a", "1", ""]);
        assert_eq!((items[2].kept.items.len(), items[2].kept.left), (2, 1));
        assert!(items[3].many.is_empty());
    }

    #[test]
    fn lists_that_are_none_count_as_one_that_is_wrong() {
        for text in ["{}", "5", "\"x\""] {
            assert_eq!(read(text).1, 1, "{text}");
        }
        assert_eq!(each(None, |_: Item| ()), 0);
        assert_eq!(read("[]").1, 0);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        let (items, _) = read(&format!("[{{\"name\":\"{}\"}}]", "é".repeat(LONGEST)));
        assert_eq!(items[0].name.len(), LONGEST);
    }

    #[test]
    fn lines_are_numbers_from_one() {
        let lines = [Some(0.0), Some(-1.0), Some(1.0), Some(7.9), Some(1e300), None].map(|number| Number(number).line());
        assert_eq!(lines, [None, None, Some(1), Some(7), None, None]);
    }
}
