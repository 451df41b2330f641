//! Just enough of `application/x-www-form-urlencoded` (WHATWG URL, §5.1) to take `payload` out of a form, byte for byte:
//! a decoder that makes text would replace invalid UTF-8, and we want to refuse it.

/// The decoded value of `payload`, if the form holds it exactly once.
pub(super) fn payload(form: &[u8]) -> Option<Vec<u8>> {
    let mut payloads = form.split(|byte| *byte == b'&').filter_map(|pair| {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        // Names may be encoded, too: p%61yload is a second payload to other parsers.
        (decode(name) == b"payload").then_some(value)
    });
    let value = payloads.next()?;
    payloads.next().is_none().then(|| decode(value))
}

/// `+` is a space and `%XX` a byte; a `%` with anything else behind it is itself.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        decoded.push(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
                hex(*high) << 4 | hex(*low)
            }
            _ => *byte,
        });
    }
    decoded
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_decoded_to_the_byte() {
        assert_eq!(payload(b"payload=%7B%22a%22%3A+1%7D").unwrap(), br#"{"a": 1}"#);
        assert_eq!(payload(b"x=1&payload=%e2%82%AC%ff&y").unwrap(), b"\xe2\x82\xac\xff");
        assert_eq!(payload(b"payload=100%&y=%2").unwrap(), b"100%");
        assert_eq!(payload(b"payload=a=b%3Dc").unwrap(), b"a=b=c");
        assert_eq!(payload(b"payload=").unwrap(), b"");
        assert_eq!(payload(b"payload").unwrap(), b"");
    }

    #[test]
    fn payload_is_there_exactly_once_however_it_is_spelt() {
        for wrong in
            [&b""[..], b"x=1", b"Payload=1", b"payload=1&payload=1", b"payload=1&p%61yload=2", b" payload=1"]
        {
            assert_eq!(payload(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
