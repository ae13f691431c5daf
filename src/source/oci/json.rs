//! JSON that means one thing only. `serde_json::Value` silently keeps the last of two equal keys where other readers keep the
//! first, so the same digest could show two images; here a repeated key is an error, at any depth.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::model::{Problem, ProblemKind};

/// The largest manifest, index or configuration that is read, in bytes.
pub const LARGEST: u64 = 4 * 1024 * 1024;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it has {size} bytes; at most {most} are read")]
    TooLarge { size: usize, most: u64 },
    #[error("it is not sound JSON: {0}")]
    Json(String),
    #[error("its field {field} {why}")]
    Field { field: String, why: String },
    #[error("it has both {0} and {1}, so readers could differ on what it is")]
    Ambiguous(&'static str, &'static str),
    #[error("it calls itself {body}, but was given as {given}")]
    MediaType { body: String, given: String },
    #[error("it is neither an image manifest nor an index")]
    Neither,
    #[error("it has {count} {what}; at most {most} are read")]
    TooMany { what: &'static str, count: usize, most: usize },
    #[error("it is a manifest of schema 1, which Docker itself no longer accepts")]
    Schema1,
}

impl Malformed {
    pub(super) fn field(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Field { field: field.into(), why: why.into() }
    }

    /// The same for a person. `doing` should name the document, such as "read the manifest sha256:… of app.tar".
    #[must_use]
    pub fn problem(&self, doing: impl AsRef<str>) -> Problem {
        let kind = match self {
            Self::TooLarge { .. } | Self::TooMany { .. } => ProblemKind::Limit,
            Self::Schema1 => ProblemKind::Unsupported,
            _ => ProblemKind::Corrupt,
        };
        Problem::new(kind, doing, self.to_string())
    }
}

/// Parses at most [`LARGEST`] bytes of JSON; an object with a repeated key is refused, as is anything after the value.
///
/// # Errors
/// [`Malformed::TooLarge`] and [`Malformed::Json`].
pub fn parse_strict(bytes: &[u8]) -> Result<Value, Malformed> {
    parse_strict_of(bytes, LARGEST)
}

/// The same of at most `most` bytes, for a document of our own.
///
/// # Errors
/// As [`parse_strict`].
pub fn parse_strict_of(bytes: &[u8], most: u64) -> Result<Value, Malformed> {
    if bytes.len() as u64 > most {
        return Err(Malformed::TooLarge { size: bytes.len(), most });
    }
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0).map_err(|error| Malformed::Json(error.to_string()))
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictSeed.deserialize(deserializer).map(Self)
    }
}

struct StrictSeed;

impl<'de> DeserializeSeed<'de> for StrictSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if out.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} is there twice")));
            }
            let value = entries.next_value_seed(Self)?;
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

/// An object's fields, read one by one; `null` counts as absent, as it does for Go's readers.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) map: &'a Map<String, Value>,
    /// Where the object stands, such as `layers[3].`, for error texts.
    pub(super) at: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, at: &'a str) -> Result<Self, Malformed> {
        let map = value.as_object().ok_or_else(|| Malformed::field(at.trim_end_matches('.'), "is not an object"))?;
        Ok(Self { map, at })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn wrong(&self, key: &str, why: &str) -> Malformed {
        Malformed::field(format!("{}{key}", self.at), why)
    }

    /// A text; an empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Malformed> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(key, "is not a text")),
        }
    }

    pub(super) fn list(&self, key: &str, what: &'static str, most: usize) -> Result<&'a [Value], Malformed> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) if items.len() > most => Err(Malformed::TooMany { what, count: items.len(), most }),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.wrong(key, "is not a list")),
        }
    }

    pub(super) fn object(&self, key: &str, what: &'static str, most: usize) -> Result<Option<&'a Map<String, Value>>, Malformed> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) if map.len() > most => Err(Malformed::TooMany { what, count: map.len(), most }),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.wrong(key, "is not an object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":{},"b":[]}]}"#, r#"{"a":1,"\u0061":2}"#] {
            let error = parse_strict(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("twice"), "{error}");
        }
        assert_eq!(parse_strict(br#"{"a":{"a":1}}"#).unwrap(), serde_json::json!({"a": {"a": 1}}));
    }

    #[test]
    fn what_is_too_large_too_deep_or_followed_by_more_is_refused() {
        let large = vec![b' '; usize::try_from(LARGEST).unwrap() + 1];
        assert!(matches!(parse_strict(&large), Err(Malformed::TooLarge { .. })));
        assert!(parse_strict("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse_strict(b"{} {}").is_err());
        assert!(parse_strict(b"").is_err());
    }

    proptest! {
        #[test]
        fn sound_json_reads_as_serde_json_reads_it(keys in proptest::collection::btree_map("[a-z]{1,4}", any::<i64>(), 0..8)) {
            let text = serde_json::to_vec(&keys).unwrap();
            prop_assert_eq!(parse_strict(&text).unwrap(), serde_json::from_slice::<Value>(&text).unwrap());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_strict(&bytes);
        }
    }
}
