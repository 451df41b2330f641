//! Reading JSON piece by piece, so that memory goes only to what is wanted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The members of one object.
pub(super) struct Members<'t> {
    /// The values of the wanted keys, each as its text; the last wins where a key occurs twice.
    pub(super) values: Vec<Option<&'t str>>,
    /// The first key that is not wanted; a few characters of it, if it is long.
    pub(super) foreign: Option<String>,
}

/// Reads an object. `Err` if `text` is none.
pub(super) fn members<'t>(
    text: &'t str,
    wanted: &'static [&'static str],
) -> Result<Members<'t>, serde_json::Error> {
    struct Wanted(&'static [&'static str]);

    impl<'de> Visitor<'de> for Wanted {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Members { values: vec![None; self.0.len()], foreign: None };
            while let Some(place) = map.next_key_seed(Key(self.0, &mut members.foreign))? {
                match place {
                    Some(place) => members.values[place] = Some(map.next_value::<&RawValue>()?.get()),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(members)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let values = deserializer.deserialize_map(Wanted(wanted))?;
    deserializer.end()?;
    Ok(values)
}

/// Finds a key's place among the wanted ones, or notes the first that has none. As bytes, because half a surrogate pair
/// is no text but may be ignored.
struct Key<'m>(&'static [&'static str], &'m mut Option<String>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        const SHOWN_BYTES: usize = 256;
        let place = self.0.iter().position(|name| name.as_bytes() == key);
        if place.is_none() && self.1.is_none() {
            *self.1 = Some(String::from_utf8_lossy(&key[..key.len().min(SHOWN_BYTES)]).into_owned());
        }
        Ok(place)
    }
}

/// The elements of an array, each as its text; `None` if it is no array or has more than `max`.
pub(super) fn elements(text: &str, max: usize) -> Option<Vec<&str>> {
    struct Elements(usize);

    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an array of at most {}", self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = array.next_element::<&RawValue>()? {
                if elements.len() == self.0 {
                    return Err(A::Error::invalid_length(self.0 + 1, &self));
                }
                elements.push(element.get());
            }
            Ok(elements)
        }
    }

    serde_json::Deserializer::from_str(text).deserialize_seq(Elements(max)).ok()
}

/// How many values a JSON text has, or some more: each stands behind a comma, a colon or an opening bracket.
pub(super) fn count_values(text: &str) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// An object whose keys and texts hold no U+0000, so that `jsonb` takes it. `None` if it is no object, or holds a
/// number beyond a double's range or half a surrogate pair.
pub(super) fn clean_object(text: &str) -> Option<Map<String, Value>> {
    let object: Map<String, Value> = serde_json::from_str(text).ok()?;
    let clean = !text.contains("\\u0000");
    Some(if clean { object } else { object.into_iter().map(without_nul).collect() })
}

fn without_nul((key, value): (String, Value)) -> (String, Value) {
    let value = match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| without_nul((String::new(), value)).1).collect())
        }
        Value::Object(object) => Value::Object(object.into_iter().map(without_nul).collect()),
        other => other,
    };
    (key.replace('\0', "\u{fffd}"), value)
}
