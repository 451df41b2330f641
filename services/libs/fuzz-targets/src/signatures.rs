//! `[scheme][time][shape of the headers][texts of three headers][body]`.
//!
//! - What a key of the ring made for these bytes verifies, in every scheme.
//! - What verifies is what its key makes for these bytes, apart from the case of hex digits; the key is good at the
//!   time, a signed time is within the tolerance, and the kept signature is what came, plain and short.
//! - What verified verifies again, and with one bit of the body changed does not.
//! - A header that is there twice never verifies; "missing" is said only where one is missing.

use std::sync::LazyLock;

use hookstream_signature::hmac::{Encoding, Form};
use hookstream_signature::{
    Key, Keyring, TOLERANCE_SECONDS, Verified, VerifyError, gitlab, hmac, hub, slack, standard_webhooks,
    stripe,
};

use crate::Seed;
use crate::input::{Input, text};

/// About now.
const NOW: i64 = 1_800_000_000;
const OLD_ENDS: i64 = NOW + 100;
/// Ids and secrets of the ring's keys.
const KEYS: [(&str, &str); 4] = [
    ("new", "the-new-one"),
    ("whsec", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("token", "glwhk-token"),
    ("old", "the-old-one"),
];
const SCHEMES: u8 = 7;
const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid"}"#;
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";

static RING: LazyLock<Keyring> = LazyLock::new(|| {
    let key = |(id, secret): (&str, &str)| Key::new(id, secret.as_bytes()).unwrap();
    let keys = KEYS.into_iter().map(key).map(|key| match key.id() {
        "old" => key.until(Some(OLD_ENDS)),
        _ => key,
    });
    Keyring::new(keys.collect()).unwrap()
});

/// What came: a scheme and up to three headers with any number of values.
struct Delivery<'d> {
    scheme: u8,
    headers: [Vec<&'d [u8]>; 3],
    now: i64,
}

impl Delivery<'_> {
    fn verify(&self, body: &[u8]) -> Result<Verified, VerifyError> {
        let ([signature, time, id], now) = (&self.headers, self.now);
        match self.scheme {
            0 => hub::verify(&RING, signature, now, body),
            1 => stripe::verify(&RING, signature, now, body),
            2 => slack::verify(&RING, &slack::Headers { timestamp: time, signature }, now, body),
            3 => {
                let headers = standard_webhooks::Headers { id, timestamp: time, signature };
                standard_webhooks::verify(&RING, &headers, now, body)
            }
            4 => hmac::verify(&RING, &hex(), signature, now, body),
            5 => hmac::verify(&RING, &base64(), signature, now, body),
            _ => gitlab::verify(&RING, signature, now),
        }
    }

    /// Those that the scheme looks at.
    fn needed(&self) -> &[Vec<&[u8]>] {
        let count = match self.scheme {
            2 => 2,
            3 => 3,
            _ => 1,
        };
        &self.headers[..count]
    }
}

fn hex() -> Form {
    Form { prefix: "sha256=".to_owned(), encoding: Encoding::Hex }
}

fn base64() -> Form {
    Form { prefix: String::new(), encoding: Encoding::Base64 }
}

/// The signature header that `key` makes.
fn sign(scheme: u8, key: &Key, id: &str, time: i64, body: &[u8]) -> String {
    match scheme {
        0 => hub::sign(key, body),
        1 => stripe::sign(key, time, body),
        2 => slack::sign(key, time, body),
        3 => standard_webhooks::sign(key, id, time, body),
        4 => hmac::sign(key, &hex(), body),
        5 => hmac::sign(key, &base64(), body),
        _ => KEYS.iter().find(|(id, _)| *id == key.id()).unwrap().1.to_owned(),
    }
}

pub(crate) fn check(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let scheme = input.byte() % SCHEMES;
    let now = input.number();
    let shape = input.byte();
    let texts = [input.text(), input.text(), input.text()];
    let body = input.rest();
    let headers = [0, 2, 4].map(|bit| (shape >> bit) & 3).into_iter().zip(texts);
    let headers: Vec<Vec<&[u8]>> = headers
        .map(|(count, text)| match count {
            0 => vec![text],
            1 => vec![],
            2 => vec![text, text],
            _ => vec![text, b"other"],
        })
        .collect();
    let delivery = Delivery { scheme, headers: headers.try_into().unwrap(), now };

    signed_verifies(scheme, now.clamp(1, 999_999_999_999), body);
    let result = delivery.verify(body);
    assert_eq!(result, delivery.verify(body), "the second answer is another");
    match &result {
        Ok(verified) => genuine(&delivery, verified, body),
        Err(error) => {
            let missing = delivery.needed().iter().any(Vec::is_empty);
            assert!(missing || *error != VerifyError::Missing, "nothing is missing");
            assert!(!missing || [VerifyError::Missing, VerifyError::Malformed].contains(error), "{error}");
        }
    }
    result.is_ok()
}

fn signed_verifies(scheme: u8, now: i64, body: &[u8]) {
    let signed = sign(scheme, &RING.keys()[0], ID, now, body);
    let time = now.to_string();
    let delivery = Delivery {
        scheme,
        headers: [vec![signed.as_bytes()], vec![time.as_bytes()], vec![ID.as_bytes()]],
        now,
    };
    delivery.verify(body).expect("what was signed just now verifies");
}

fn genuine(delivery: &Delivery<'_>, verified: &Verified, body: &[u8]) {
    assert!(
        delivery.needed().iter().all(|values| values.len() == 1),
        "a header that is there twice verified"
    );
    let key = RING.keys().iter().find(|key| key.id() == verified.key_id()).expect("a key of the ring");
    assert!(!key.has_expired(delivery.now), "an expired key verified");
    if let Some(time) = verified.signed_at() {
        assert!(delivery.now.abs_diff(time) <= TOLERANCE_SECONDS.unsigned_abs(), "a stale time verified");
    }
    let came = str::from_utf8(delivery.headers[0][0]).expect("a signature is plain");
    let id = delivery.headers[2].first().map_or("", |id| str::from_utf8(id).unwrap_or_default());
    let made = sign(delivery.scheme, key, id, verified.signed_at().unwrap_or_default(), body);
    let same = match delivery.scheme {
        0 | 2 | 4 => came.eq_ignore_ascii_case(&made),
        1 => {
            let tag = made.split_once("v1=").unwrap().1;
            let time = format!("t={}", verified.signed_at().unwrap());
            let tags = came.split(',').filter_map(|element| element.strip_prefix("v1="));
            came.split(',').any(|element| element == time)
                && tags.into_iter().any(|t| t.eq_ignore_ascii_case(tag))
        }
        3 => came.split(' ').any(|element| element == made),
        _ => came == made,
    };
    assert!(same, "{came} verified, but {} makes {made}", key.id());
    if delivery.scheme == SCHEMES - 1 {
        assert_eq!(verified.signature(), gitlab::NO_SIGNATURE, "a token must not be kept");
        return;
    }
    assert_eq!(verified.signature(), came);
    assert!(came.len() <= 2048 && came.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{came}");
    let mut changed = [body, &[0]].concat();
    changed[body.len() / 2] ^= 1;
    for changed in [&changed[..], &changed[..body.len()]] {
        let outcome = delivery.verify(changed);
        assert!(changed == body || outcome == Err(VerifyError::Mismatch), "a changed body gave {outcome:?}");
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (scheme, key) in (0..SCHEMES).flat_map(|scheme| RING.keys().iter().map(move |key| (scheme, key))) {
        for offset in [0, 300, -301] {
            let signed = sign(scheme, key, ID, NOW, BODY);
            let parts = [
                text(signed.as_bytes()),
                text(NOW.to_string().as_bytes()),
                text(ID.as_bytes()),
                BODY.to_vec(),
            ];
            let head = [&[scheme][..], &i64::to_be_bytes(NOW + offset), &[0]].concat();
            seeds.push(Seed { head, body: parts.concat() });
        }
    }
    seeds
}
