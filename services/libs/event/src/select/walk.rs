//! The pass itself: serde seeds that follow the trie.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Node, Picked};
use crate::BodyError;

/// Reads one whole document and keeps what `root` wants of it in `values`.
pub(super) fn document(root: &Node, text: &str, values: &mut [Option<Picked>]) -> Result<(), BodyError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let kind =
        Branch { node: root, values }.deserialize(&mut deserializer).map_err(|_| BodyError::NotJson)?;
    deserializer.end().map_err(|_| BodyError::NotJson)?;
    if kind == Picked::Object { Ok(()) } else { Err(BodyError::NotAnObject) }
}

/// Reads the value at a node that has children, and returns what it is.
struct Branch<'a> {
    node: &'a Node,
    values: &'a mut [Option<Picked>],
}

impl<'de> DeserializeSeed<'de> for Branch<'_> {
    type Value = Picked;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Picked, D::Error> {
        // Recursion is bounded by the trie, not by the document.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Branch<'_> {
    type Value = Picked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Picked, A::Error> {
        while let Some(child) = map.next_key_seed(Key(self.node))? {
            let Some(child) = child else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            child.clear(self.values);
            let picked = if child.children.is_empty() {
                leaf(map.next_value()?)
            } else {
                map.next_value_seed(Branch { node: child, values: self.values })?
            };
            if let Some(place) = child.place {
                self.values[place] = Some(picked);
            }
        }
        Ok(Picked::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Picked, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Picked::Array)
    }

    fn visit_unit<E: Error>(self) -> Result<Picked, E> {
        Ok(Picked::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Picked, E> {
        Ok(Picked::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Picked, E> {
        Ok(Picked::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Picked, E> {
        Ok(Picked::Integer(value.into()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Picked, E> {
        Ok(Picked::Number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Picked, E> {
        Ok(Picked::Text(value.replace('\0', "\u{fffd}")))
    }
}

/// Reads a key and finds its node. As bytes, because half a surrogate pair in a key would be an error in a text.
struct Key<'a>(&'a Node);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.child(key))
    }
}

/// Reads the value at a node without children from its text, so that numbers beyond every range (`1e400`) are a
/// number and not an error.
fn leaf(raw: &RawValue) -> Picked {
    let raw = raw.get();
    match raw.as_bytes().first() {
        Some(b'"') => Picked::Text(text(raw)),
        Some(b'{') => Picked::Object,
        Some(b'[') => Picked::Array,
        Some(b'n') => Picked::Null,
        Some(b't') => Picked::Boolean(true),
        Some(b'f') => Picked::Boolean(false),
        _ => raw.parse().map_or(Picked::Number, Picked::Integer),
    }
}

/// The text of a JSON string literal; halves of surrogate pairs and U+0000 become U+FFFD.
fn text(literal: &str) -> String {
    struct Lossy;

    impl Visitor<'_> for Lossy {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}"))
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(literal);
    // The literal has been scanned already, so only its escapes can still be wrong.
    deserializer.deserialize_bytes(Lossy).unwrap_or_default()
}
