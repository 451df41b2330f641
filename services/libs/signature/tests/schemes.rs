//! What holds for every scheme alike.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use ::hmac::{Hmac, KeyInit as _, Mac as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookstream_signature::hmac::{Encoding, Form};
use hookstream_signature::{
    Key, KeyError, Keyring, Verified, VerifyError, gitlab, hmac, hub, slack, standard_webhooks, stripe,
};
use sha2::Sha256;

const NOW: i64 = 1_800_000_000;
const ID: &str = "msg_1";
const SECRET: &[u8] = b"one secret for all of them";
const BODY: &[u8] = br#"{"id": 1, "text": "gr\u00fc\u00dfe"}"#;

/// Verifies a body under a signed time and all values of the signature header.
type Verify = fn(&Keyring, &str, &[&[u8]], &[u8]) -> Result<Verified, VerifyError>;

/// A scheme that signs bodies.
struct Scheme {
    name: &'static str,
    /// What is signed of a body.
    signed: fn(time: &str, body: &[u8]) -> Vec<u8>,
    /// The signature header with these bytes for a tag.
    header: fn(time: &str, tag: &[u8]) -> String,
    verify: Verify,
    /// Whether a time is signed, too.
    timed: bool,
}

fn hex(tag: &[u8]) -> String {
    tag.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn form(encoding: Encoding) -> Form {
    Form { prefix: String::new(), encoding }
}

const SCHEMES: [Scheme; 6] = [
    Scheme {
        name: "hub",
        signed: |_, body| body.to_vec(),
        header: |_, tag| format!("sha256={}", hex(tag)),
        verify: |ring, _, signature, body| hub::verify(ring, signature, NOW, body),
        timed: false,
    },
    Scheme {
        name: "standard webhooks",
        signed: |time, body| [format!("{ID}.{time}.").as_bytes(), body].concat(),
        header: |_, tag| format!("v1,{}", STANDARD.encode(tag)),
        verify: |ring, time, signature, body| {
            let headers =
                standard_webhooks::Headers { id: &[ID.as_bytes()], timestamp: &[time.as_bytes()], signature };
            standard_webhooks::verify(ring, &headers, NOW, body)
        },
        timed: true,
    },
    Scheme {
        name: "stripe",
        signed: |time, body| [format!("{time}.").as_bytes(), body].concat(),
        header: |time, tag| format!("t={time},v1={}", hex(tag)),
        verify: |ring, _, signature, body| stripe::verify(ring, signature, NOW, body),
        timed: true,
    },
    Scheme {
        name: "slack",
        signed: |time, body| [format!("v0:{time}:").as_bytes(), body].concat(),
        header: |_, tag| format!("v0={}", hex(tag)),
        verify: |ring, time, signature, body| {
            slack::verify(ring, &slack::Headers { timestamp: &[time.as_bytes()], signature }, NOW, body)
        },
        timed: true,
    },
    Scheme {
        name: "hmac in hex",
        signed: |_, body| body.to_vec(),
        header: |_, tag| hex(tag),
        verify: |ring, _, signature, body| hmac::verify(ring, &form(Encoding::Hex), signature, NOW, body),
        timed: false,
    },
    Scheme {
        name: "hmac in base64",
        signed: |_, body| body.to_vec(),
        header: |_, tag| STANDARD.encode(tag),
        verify: |ring, _, signature, body| hmac::verify(ring, &form(Encoding::Base64), signature, NOW, body),
        timed: false,
    },
];

fn ring() -> Keyring {
    Keyring::new(vec![Key::plain("one", SECRET).unwrap(), Key::plain("two", b"another").unwrap()]).unwrap()
}

/// The tag, made with nothing of the crate that is tested.
fn tag(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

impl Scheme {
    fn tag(&self, time: &str, body: &[u8]) -> Vec<u8> {
        tag(SECRET, &(self.signed)(time, body))
    }

    fn verify(&self, time: &str, tag: &[u8], body: &[u8]) -> Result<Verified, VerifyError> {
        (self.verify)(&ring(), time, &[(self.header)(time, tag).as_bytes()], body)
    }
}

// T3
#[test]
fn a_tag_of_any_length_but_32_bytes_verifies_in_no_scheme() {
    for scheme in &SCHEMES {
        let time = NOW.to_string();
        let tag = scheme.tag(&time, BODY);
        assert!(scheme.verify(&time, &tag, BODY).is_ok(), "{}", scheme.name);
        let twice = [tag.clone(), tag.clone()].concat();
        let longer = [tag.clone(), vec![0]].concat();
        for wrong in [&tag[..0], &tag[..1], &tag[..31], &tag[1..], &longer, &twice] {
            let result = scheme.verify(&time, wrong, BODY);
            assert_eq!(result, Err(VerifyError::Malformed), "{}: {} bytes", scheme.name, wrong.len());
        }
    }
}

// T6
#[test]
fn a_signature_under_the_empty_key_or_a_trimmed_or_lengthened_one_verifies_in_no_scheme() {
    for scheme in &SCHEMES {
        let time = NOW.to_string();
        for secret in
            [&b""[..], b" ", b"\n", b"\0", &SECRET[1..], &[SECRET, b"\n"].concat(), &[SECRET, b" "].concat()]
        {
            let forged = tag(secret, &(scheme.signed)(&time, BODY));
            let result = scheme.verify(&time, &forged, BODY);
            assert_eq!(result, Err(VerifyError::Mismatch), "{} under {secret:?}", scheme.name);
        }
    }
    for secret in [&b""[..], b" ", b"\n", b"\r\n\t "] {
        assert_eq!(Key::plain("k", secret).unwrap_err(), KeyError::Empty("k".to_owned()));
        assert_eq!(Key::new("k", secret).unwrap_err(), KeyError::Empty("k".to_owned()));
    }
}

// T8
#[test]
fn a_body_that_is_not_byte_for_byte_what_was_signed_verifies_in_no_scheme() {
    // What `gzip` makes of `{}`; compressed bytes are just other bytes.
    let gzipped: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00";
    let mut changed: Vec<Vec<u8>> = vec![
        br#"{"id":1,"text":"gr\u00fc\u00dfe"}"#.to_vec(),
        r#"{"id": 1, "text": "grüße"}"#.as_bytes().to_vec(),
        br#"{"text": "gr\u00fc\u00dfe", "id": 1}"#.to_vec(),
        [BODY, b"\r\n"].concat(),
        [BODY, b"\n"].concat(),
        [b" ", BODY].concat(),
        [b"\xef\xbb\xbf", BODY].concat(),
        [BODY, b"\0"].concat(),
        BODY[..BODY.len() - 1].to_vec(),
        gzipped.to_vec(),
        Vec::new(),
    ];
    for bit in 0..BODY.len() * 8 {
        let mut body = BODY.to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        changed.push(body);
    }
    for scheme in &SCHEMES {
        let time = NOW.to_string();
        let tag = scheme.tag(&time, BODY);
        for body in &changed {
            let result = scheme.verify(&time, &tag, body);
            assert_eq!(result, Err(VerifyError::Mismatch), "{}: {}", scheme.name, body.escape_ascii());
        }
    }
}

// T5
#[test]
fn two_values_of_the_signature_header_verify_in_no_scheme() {
    for scheme in &SCHEMES {
        let time = NOW.to_string();
        let good = (scheme.header)(&time, &scheme.tag(&time, BODY));
        let bad = (scheme.header)(&time, &[0; 32]);
        for (one, other) in [(&good, &bad), (&bad, &good), (&good, &good)] {
            let result = (scheme.verify)(&ring(), &time, &[one.as_bytes(), other.as_bytes()], BODY);
            assert_eq!(result, Err(VerifyError::Malformed), "{}", scheme.name);
        }
    }
    assert_eq!(gitlab::verify(&ring(), &[b"another", b"another"], NOW), Err(VerifyError::Malformed));
}

// R6
#[test]
fn a_signed_time_counts_for_299_seconds_and_not_for_301_both_ways() {
    for scheme in SCHEMES.iter().filter(|scheme| scheme.timed) {
        for (offset, expected) in
            [(-301, false), (-300, true), (-299, true), (299, true), (300, true), (301, false)]
        {
            let time = (NOW + offset).to_string();
            let result = scheme.verify(&time, &scheme.tag(&time, BODY), BODY);
            let stale = result.as_ref().err() == Some(&VerifyError::Stale);
            assert_eq!((result.is_ok(), stale), (expected, !expected), "{}: {offset}", scheme.name);
        }
    }
}

// R6
#[test]
fn a_signed_time_that_is_no_plain_number_verifies_in_no_scheme_even_if_genuine() {
    for scheme in SCHEMES.iter().filter(|scheme| scheme.timed) {
        for time in [
            "",
            "-1",
            "-1800000000",
            "+1800000000",
            "9223372036854775808",
            "18446744073709551616",
            "1800000000.0",
            "1.8e9",
            "01800000000",
            "0x6b49d200",
            "NaN",
        ] {
            let result = scheme.verify(time, &scheme.tag(time, BODY), BODY);
            assert_eq!(result, Err(VerifyError::Malformed), "{}: {time:?}", scheme.name);
        }
    }
}
