//! The input is the form; and, a second time, what a form is made of.
//!
//! - There is a payload if and only if another decoder (`form_urlencoded`) finds exactly one, and it is the same.
//! - What was encoded, in any of the ways there are, comes back to the byte, whatever fields are around it.

use std::fmt::Write as _;

use hookstream_event::form::{MEDIA_TYPE, json, payload};
use hookstream_event::{InvalidBody, select};

use crate::Seed;

pub(crate) fn check(data: &[u8]) -> bool {
    let found = payload(data);
    let others: Vec<_> = form_urlencoded::parse(data).filter(|(name, _)| name == "payload").collect();
    match (&found, others.as_slice()) {
        (Ok(value), [(_, other)]) => assert_eq!(String::from_utf8_lossy(value), *other),
        (Err(InvalidBody::PayloadMissing), []) | (Err(InvalidBody::PayloadDoubled), [_, _, ..]) => {}
        (found, others) => panic!("{found:?} where another decoder finds {others:?}"),
    }
    assert_eq!(json(MEDIA_TYPE, data).map(std::borrow::Cow::into_owned), found);
    if let Ok(value) = &found {
        // It goes on to what reads JSON, which must take anything.
        let _ = select::check_body(value);
    }
    round_trip(data);
    found.is_ok()
}

fn round_trip(value: &[u8]) {
    let usual: String = form_urlencoded::byte_serialize(value).collect();
    let mut every_byte = String::new();
    for (at, byte) in value.iter().enumerate() {
        // Digits of either case.
        let _ =
            if at % 2 == 0 { write!(every_byte, "%{byte:02x}") } else { write!(every_byte, "%{byte:02X}") };
    }
    for encoded in [usual, every_byte] {
        for form in [
            format!("payload={encoded}"),
            format!("a=1&&payload={encoded}&b"),
            format!("%70ayload={encoded}&Payload=x&payload%00=y"),
        ] {
            assert_eq!(payload(form.as_bytes()).as_deref(), Ok(value), "{form}");
        }
        let doubled = format!("payload={encoded}&payload={encoded}");
        assert_eq!(payload(doubled.as_bytes()), Err(InvalidBody::PayloadDoubled));
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let forms = [
        "payload=%7B%22a%22%3A+%22b%2Bc%26d%c3%bc%22%7d&other=1",
        "payload=%7B%22action%22%3A%22opened%22%2C%22issue%22%3A%7B%7D%7D",
        "p%61yload={}",
        "payload&x=1",
        "x=1&y=2&payload=",
        "payload={}&payload=[]",
        "payload=100%&%=%zz",
        "a=b",
        "",
    ];
    forms.iter().map(|form| Seed { head: Vec::new(), body: form.as_bytes().to_vec() }).collect()
}
