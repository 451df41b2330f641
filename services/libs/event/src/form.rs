//! The other form of GitHub's deliveries: `application/x-www-form-urlencoded` with the JSON in field `payload`.
//!
//! The signature is over the form, so the form is what is stored; whoever reads the JSON, gateway and projections
//! alike, takes it from here. Bytes are decoded to bytes: whether they are UTF-8 is for `check_body` to say.

use std::borrow::Cow;

use crate::InvalidBody;

/// The media type of a form.
pub const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// The JSON of a stored or received body: the body itself, or the `payload` of a form.
pub fn json<'b>(content_type: &str, body: &'b [u8]) -> Result<Cow<'b, [u8]>, InvalidBody> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(MEDIA_TYPE) { payload(body).map(Cow::Owned) } else { Ok(body.into()) }
}

/// The value of `payload`, which must be in the form exactly once: of two, readers might take different ones.
pub fn payload(form: &[u8]) -> Result<Vec<u8>, InvalidBody> {
    let mut values = form.split(|byte| *byte == b'&').filter_map(|field| {
        let (name, value) = match field.iter().position(|byte| *byte == b'=') {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &[][..]),
        };
        (decode(name) == b"payload").then_some(value)
    });
    let value = values.next().ok_or(InvalidBody::PayloadMissing)?;
    if values.next().is_some() { Err(InvalidBody::PayloadDoubled) } else { Ok(decode(value)) }
}

/// Undoes the encoding of one name or value; a `%` without two hex digits stands for itself, as the URL standard has it.
fn decode(encoded: &[u8]) -> Vec<u8> {
    let digit = |at: usize| encoded.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while at < encoded.len() {
        let pair = (encoded[at] == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        if let Some(byte) = pair.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(if encoded[at] == b'+' { b' ' } else { encoded[at] });
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_payload_of_a_form_is_its_json() {
        let form = b"payload=%7B%22a%22%3A+%22b%2Bc%26d%c3%bc%22%7d&other=1";
        let expected = r#"{"a": "b+c&dü"}"#.as_bytes();
        assert_eq!(payload(form).unwrap(), expected);
        assert_eq!(json("application/x-www-form-urlencoded; charset=utf-8", form).unwrap(), expected);
        assert_eq!(json("Application/X-WWW-Form-Urlencoded", form).unwrap(), expected);
        assert_eq!(json("application/json", b"{}").unwrap(), Cow::Borrowed(b"{}"));
    }

    // T12
    #[test]
    fn a_form_has_exactly_one_payload() {
        for form in [&b""[..], b"a=b", b"Payload={}", b"payloads={}"] {
            assert_eq!(payload(form), Err(InvalidBody::PayloadMissing));
        }
        for form in [&b"payload={}&payload={}"[..], b"payload={}&%70ayload=[]", b"payload&payload={}"] {
            assert_eq!(payload(form), Err(InvalidBody::PayloadDoubled));
        }
        assert_eq!(payload(b"x=1&payload").unwrap(), b"");
    }

    #[test]
    fn broken_encodings_stand_for_themselves_and_bytes_stay_bytes() {
        assert_eq!(payload(b"payload=100%&x=%").unwrap(), b"100%");
        assert_eq!(payload(b"payload=%zz%4%ff").unwrap(), b"%zz%4\xff");
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(body: Vec<u8>) {
            let encoded: String = body.iter().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
            prop_assert_eq!(payload(format!("payload={encoded}").as_bytes()), Ok(body));
        }

        #[test]
        fn arbitrary_forms_never_panic(form: Vec<u8>) {
            let _ = payload(&form);
        }
    }
}
