use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PATHS: [&str; 8] = ["a", "a.b", "a.b.c", "b", "b.a", "c", "c.c.c", "n"];

fn read(text: &str) -> Result<Vec<(&'static str, Picked)>, BodyError> {
    let selection = Selection::new(PATHS);
    let selected = selection.read(text.as_bytes())?;
    Ok(PATHS.iter().filter_map(|path| Some((*path, selected.get(path)?.clone()))).collect())
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn every_kind_of_value_is_picked_or_marked() {
    let selection = Selection::new(["null", "yes", "int", "float", "text", "list", "object", "none"]);
    let body =
        br#"{"null":null,"yes":true,"int":-7,"float":1.5,"text":"\u00fc","list":[1],"object":{"x":1}}"#;
    let selected = selection.read(body).unwrap();
    assert_eq!(selected.get("null"), Some(&Picked::Null));
    assert_eq!(selected.get("yes"), Some(&Picked::Boolean(true)));
    assert_eq!(selected.integer("int"), Some(-7));
    assert_eq!(selected.get("float"), Some(&Picked::Number));
    assert_eq!(selected.text("text"), Some("ü"));
    assert_eq!(selected.get("list"), Some(&Picked::Array));
    assert_eq!(selected.get("object"), Some(&Picked::Object));
    assert_eq!(selected.get("none"), None);
    assert!(selected.has("list") && !selected.has("null") && !selected.has("none"));
    assert_eq!(selected.name("int").as_deref(), Some("-7"));
    assert_eq!(selected.name("text").as_deref(), Some("ü"));
    assert_eq!(selected.name("yes"), None);
    assert_eq!((selected.text("int"), selected.integer("text")), (None, None));
}

// J2
#[test]
fn the_last_of_doubled_keys_wins_at_every_level() {
    assert_eq!(read(r#"{"c":1,"c":"two"}"#).unwrap(), [("c", Picked::Text("two".into()))]);
    let replaced = read(r#"{"a":{"b":{"c":1}},"b":{"a":1,"a":2},"a":{"x":1}}"#).unwrap();
    assert_eq!(
        replaced,
        [("a", Picked::Object), ("b", Picked::Object), ("b.a", Picked::Integer(2))],
        "nothing of the first a is left"
    );
    assert_eq!(read(r#"{"a":{"b":1},"\u0061":null}"#).unwrap(), [("a", Picked::Null)], "however it is spelt");
}

// J8
#[test]
fn bodies_that_are_no_json_object_say_why() {
    let cases: [(&[u8], BodyError); 18] = [
        (b"", BodyError::Empty),
        (b" \n", BodyError::NotJson),
        (b"\xff\xfe{}", BodyError::NotUtf8),
        (b"{\"a\":\"\xc0\xaf\"}", BodyError::NotUtf8),
        (b"\xef\xbb\xbf{}", BodyError::NotJson),
        (b"null", BodyError::NotAnObject),
        (b"[]", BodyError::NotAnObject),
        (b"[{\"a\":1}]", BodyError::NotAnObject),
        (b"\"x\"", BodyError::NotAnObject),
        (b"12", BodyError::NotAnObject),
        (b"true", BodyError::NotAnObject),
        (b"{\"a\":1", BodyError::NotJson),
        (b"{\"a\":1}}", BodyError::NotJson),
        (b"{} {}", BodyError::NotJson),
        (b"{'a':1}", BodyError::NotJson),
        (b"{\"a\":NaN}", BodyError::NotJson),
        (b"{\"a\":\"\x01\"}", BodyError::NotJson),
        (b"payload=%7B%7D", BodyError::NotJson),
    ];
    for (body, expected) in cases {
        let result = Selection::new(PATHS).read(body).map(|_| ());
        assert_eq!(result, Err(expected), "{:?}", String::from_utf8_lossy(body));
    }
}

// J1
#[test]
fn nesting_is_bounded_wherever_it_is() {
    for (depth, fits) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, false), (1_000_000, false)] {
        for key in ["a", "c", "unknown"] {
            let body = format!(r#"{{"{key}":{}}}"#, nested(depth));
            assert_eq!(read(&body).is_ok(), fits, "{key} {depth}");
            assert_eq!(check_body(body.as_bytes()).is_ok(), fits, "{key} {depth}");
        }
    }
    let open = "[".repeat(1_000_000);
    assert_eq!(check_body(open.as_bytes()), Err(BodyError::TooDeep));
    for count in [0, 1, 254, 255, 256, 511, 1000] {
        let brackets = "[{".repeat(count);
        assert_eq!(opening_brackets(brackets.as_bytes()), 2 * count);
        let shallow = format!(r#"{{"text":"{brackets}"}}"#);
        assert_eq!(check_body(shallow.as_bytes()), Ok(&*shallow));
    }
    let objects = r#"{"a":"#.repeat(1_000_000);
    assert_eq!(read(&objects), Err(BodyError::TooDeep));
}

#[test]
fn brackets_in_texts_do_not_count_as_nesting() {
    let body = format!(r#"{{"c":"\\\"{}","d":"{}\\"}}"#, "[".repeat(500), "{".repeat(500));
    assert!(read(&body).is_ok());
    let wide = format!(r#"{{"c":[{}[]]}}"#, "[],".repeat(5000));
    assert_eq!(read(&wide).unwrap(), [("c", Picked::Array)]);
}

// J4
#[test]
fn numbers_beyond_every_range_are_numbers() {
    let huge = "9".repeat(100_000);
    for number in ["1e400", "-1e400", "0.1", "1e5", huge.as_str()] {
        assert_eq!(read(&format!(r#"{{"n":{number},"x":{number}}}"#)).unwrap(), [("n", Picked::Number)]);
    }
    let selection = Selection::new(["n"]);
    let beyond = |text: &str| selection.read(text.as_bytes()).unwrap().integer("n");
    assert_eq!(beyond(r#"{"n":9007199254740993}"#), Some(9_007_199_254_740_993), "2^53 + 1 is exact");
    assert_eq!(beyond(r#"{"n":9223372036854775808}"#), None);
    assert_eq!(beyond(r#"{"n":-0}"#), Some(0));
}

#[test]
fn texts_that_postgres_refuses_are_made_harmless() {
    let expected = [("n", Picked::Text("a\u{fffd}b".into()))];
    assert_eq!(read(r#"{"n":"a\u0000b"}"#).unwrap(), expected);
    let halved = read(r#"{"n":"x\ud800y","\udfff":1,"d":"\ud800"}"#).unwrap();
    let [("n", Picked::Text(text))] = halved.as_slice() else { panic!("{halved:?}") };
    assert!(text.starts_with("x\u{fffd}") && text.ends_with('y'), "{text:?}");
    assert_eq!(read(r#"{"n":"\ud83c\udf0a"}"#).unwrap(), [("n", Picked::Text("🌊".into()))]);
}

#[test]
fn half_a_surrogate_pair_or_an_endless_number_where_an_object_belongs_is_refused() {
    for value in [r#""\ud800""#, "1e400"] {
        assert_eq!(read(&format!(r#"{{"a":{value}}}"#)), Err(BodyError::NotJson), "{value}");
    }
}

#[test]
fn a_million_keys_and_elements_are_passed_over() {
    let keys: Vec<_> = (0..1_000_000).map(|key| format!(r#""k{key}":{key}"#)).collect();
    let elements = vec!["0"; 1_000_000].join(",");
    let body = format!(r#"{{{},"a":[{elements}],"c":"found"}}"#, keys.join(","));
    assert_eq!(read(&body).unwrap(), [("a", Picked::Array), ("c", Picked::Text("found".into()))]);
}

/// What [`Selection`] must find, by way of a whole `Value`.
fn walk(document: &Value, path: &str) -> Option<Picked> {
    let value = path.split('.').try_fold(document, |value, key| value.as_object()?.get(key))?;
    Some(match value {
        Value::Null => Picked::Null,
        Value::Bool(value) => Picked::Boolean(*value),
        Value::Number(number) => {
            let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            integer.map_or(Picked::Number, Picked::Integer)
        }
        Value::String(text) => Picked::Text(text.replace('\0', "\u{fffd}")),
        Value::Array(_) => Picked::Array,
        Value::Object(_) => Picked::Object,
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        let keys = prop_oneof![4 => "[abcn]", 1 => any::<String>()];
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => proptest::collection::vec((keys, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes an object with the members of both, so that keys occur twice.
fn doubled(first: &Value, second: &Value) -> String {
    let (first, second) = (first.to_string(), second.to_string());
    match (&first[1..first.len() - 1], &second[1..second.len() - 1]) {
        ("", members) | (members, "") => format!("{{{members}}}"),
        (first, second) => format!("{{{first},{second}}}"),
    }
}

proptest! {
    #[test]
    fn selecting_equals_walking_a_whole_value(first in any_json(), second in any_json()) {
        let [first, second] = [first, second].map(|value| if value.is_object() { value } else { json!({"a": value}) });
        let text = doubled(&first, &second);
        let document: Value = serde_json::from_str(&text).unwrap();
        let expected: Vec<_> = PATHS.iter().filter_map(|path| Some((*path, walk(&document, path)?))).collect();
        prop_assert_eq!(read(&text).unwrap(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let accepted = Selection::new(PATHS).read(&bytes).is_ok();
        prop_assert!(!accepted || serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value.is_object()));
    }

    #[test]
    fn mutated_documents_never_panic(document in any_json(), at: usize, byte: u8) {
        let mut bytes = document.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Selection::new(PATHS).read(&bytes);
    }
}
