use std::borrow::Cow;

use serde_json::Value;

/// What stands in for U+0000, which Postgres refuses in `text` and `jsonb` (22021, 22P05).
const REPLACEMENT: &str = "\u{fffd}";

/// `text` as Postgres can hold it: U+0000 becomes U+FFFD.
pub fn clean_text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', REPLACEMENT)) } else { Cow::Borrowed(text) }
}

/// `value` as `jsonb` can hold it: U+0000 becomes U+FFFD in every string and key.
///
/// Recursion is bounded by the parser, which refuses the 128th level.
#[must_use]
pub fn clean_json(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', REPLACEMENT)),
        Value::Array(items) => Value::Array(items.into_iter().map(clean_json).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (clean_text(&key).into_owned(), clean_json(value)))
                .collect(),
        ),
        clean => clean,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_string_and_no_key_keeps_a_zero() {
        let dirty = json!({"a\u{0}b": ["x\u{0}", {"y": "\u{0}"}, 1, null], "clean": "grüße"});
        let clean = json!({"a\u{fffd}b": ["x\u{fffd}", {"y": "\u{fffd}"}, 1, null], "clean": "grüße"});
        assert_eq!(clean_json(dirty), clean);
        assert!(matches!(clean_text("plain"), Cow::Borrowed("plain")));
        assert_eq!(clean_text("a\0b"), "a\u{fffd}b");
    }
}
