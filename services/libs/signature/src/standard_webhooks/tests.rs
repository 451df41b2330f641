use proptest::prelude::*;

use super::*;
use crate::KeyError;

// The vector of the reference libraries (standard-webhooks/standard-webhooks, libraries/rust/src/lib.rs).
const SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SIGNED_AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

/// One delivery, to be bent.
struct Delivery<'d> {
    id: &'d str,
    timestamp: &'d str,
    signature: &'d str,
    now: i64,
}

const GOOD: Delivery<'static> =
    Delivery { id: ID, timestamp: "1614265330", signature: SIGNATURE, now: SIGNED_AT };

impl Delivery<'_> {
    fn verify(&self) -> Result<Verified, VerifyError> {
        let headers = Headers {
            id: &[self.id.as_bytes()],
            timestamp: &[self.timestamp.as_bytes()],
            signature: &[self.signature.as_bytes()],
        };
        verify(&ring(), &headers, self.now, BODY)
    }
}

fn key() -> Key {
    Key::new("current", SECRET).unwrap()
}

fn ring() -> Keyring {
    Keyring::new(vec![key()]).unwrap()
}

// T11
#[test]
fn the_vector_of_the_reference_libraries_verifies() {
    let verified = GOOD.verify().unwrap();
    assert_eq!(verified.key_id(), "current");
    assert_eq!(verified.signature(), SIGNATURE);
    assert_eq!(verified.signed_at(), Some(SIGNED_AT));
    assert_eq!(sign(&key(), ID, SIGNED_AT, BODY), SIGNATURE);
}

#[test]
fn a_secret_without_the_prefix_is_its_own_key() {
    let key = Key::new("k", b"plain secret").unwrap();
    let signature = sign(&key, "msg_1", SIGNED_AT, b"{}");
    // printf 'msg_1.1614265330.{}' | openssl dgst -sha256 -hmac 'plain secret' -binary | base64
    assert_eq!(signature, "v1,C5ubqbTBZ8i/l1lkQbwICQ7g7acl3F/5ea9vZjveiyY=");
}

#[test]
fn a_secret_of_bad_or_no_base64_is_refused() {
    let error = Key::new("k", b"whsec_not base64!").unwrap_err();
    assert_eq!(error, KeyError::NotBase64("k".to_owned()));
    assert!(!format!("{error} {error:?}").contains("not base64!"), "errors hold no secret");
    assert_eq!(Key::new("k", b"whsec_").unwrap_err(), KeyError::Empty("k".to_owned()));
}

#[test]
fn a_secret_may_lack_its_padding() {
    let padded = Key::new("k", b"whsec_c2VjcmV0IQ==").unwrap();
    let bare = Key::new("k", b"whsec_c2VjcmV0IQ").unwrap();
    assert_eq!(sign(&padded, "a", 1, b""), sign(&bare, "a", 1, b""));
}

// R6
#[test]
fn each_missing_header_is_missing() {
    let one: &[&[u8]] = &[b"x"];
    let none: &[&[u8]] = &[];
    for (id, timestamp, signature) in
        [(none, one, one), (one, none, one), (one, one, none), (none, none, none)]
    {
        let headers = Headers { id, timestamp, signature };
        assert_eq!(verify(&ring(), &headers, SIGNED_AT, BODY).unwrap_err(), VerifyError::Missing);
    }
}

#[test]
fn each_doubled_header_is_malformed_even_if_both_values_are_good() {
    let (id, timestamp, signature) = (ID.as_bytes(), b"1614265330".as_slice(), SIGNATURE.as_bytes());
    for doubled in 0..3 {
        let mut values = [vec![id], vec![timestamp], vec![signature]];
        let again = values[doubled][0];
        values[doubled].push(again);
        let headers = Headers { id: &values[0], timestamp: &values[1], signature: &values[2] };
        assert_eq!(verify(&ring(), &headers, SIGNED_AT, BODY).unwrap_err(), VerifyError::Malformed);
    }
}

// R7
#[test]
fn an_id_that_could_be_ambiguous_or_do_harm_is_malformed() {
    for id in ["", "a.b", ".", "msg 1", "a\0", "é", "a\r\nb", &"a".repeat(257), &"a".repeat(10_000)] {
        assert_eq!(Delivery { id, ..GOOD }.verify(), Err(VerifyError::Malformed), "{id:?}");
    }
    let longest = "a".repeat(ID_BYTES_MAX);
    let signature = sign(&key(), &longest, SIGNED_AT, BODY);
    assert!(Delivery { id: &longest, signature: &signature, ..GOOD }.verify().is_ok());
}

#[test]
fn moving_the_dot_between_id_and_timestamp_does_not_verify() {
    // Signs "a.1614265330.{…}" as id "a" and tries to pass it off as id "a.1614265330".
    let signature = sign(&key(), "a", SIGNED_AT, BODY);
    let moved = Delivery { id: "a.1614265330", timestamp: "", signature: &signature, ..GOOD };
    assert_eq!(moved.verify(), Err(VerifyError::Malformed));
}

#[test]
fn a_timestamp_that_is_no_plain_number_is_malformed() {
    let wrong = [
        "",
        "-1614265330",
        "+1614265330",
        "01614265330",
        " 1614265330",
        "1614265330 ",
        "1614265330.0",
        "1.6e9",
        "0x60379c72",
        "1614265330000000",
        "9223372036854775808",
        "１６１４２６５３３０",
        "now",
    ];
    for timestamp in wrong {
        assert_eq!(Delivery { timestamp, ..GOOD }.verify(), Err(VerifyError::Malformed), "{timestamp:?}");
    }
}

#[test]
fn five_minutes_of_skew_are_tolerated_both_ways_and_a_second_more_is_not() {
    for skew in [-300, -299, 0, 299, 300] {
        assert!(Delivery { now: SIGNED_AT + skew, ..GOOD }.verify().is_ok(), "{skew}");
    }
    for skew in [-301, 301, -SIGNED_AT, i64::MAX - SIGNED_AT] {
        let late = Delivery { now: SIGNED_AT + skew, ..GOOD };
        assert_eq!(late.verify(), Err(VerifyError::Stale), "{skew}");
    }
    assert_eq!(Delivery { now: i64::MIN, ..GOOD }.verify(), Err(VerifyError::Stale));
}

#[test]
fn a_stale_forgery_is_a_mismatch() {
    let forged = Delivery { id: "msg_other", now: SIGNED_AT + 301, ..GOOD };
    assert_eq!(forged.verify(), Err(VerifyError::Mismatch));
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let zeros = format!("v1,{}", STANDARD.encode([0; 32]));
    let lists = [
        format!("{zeros} {SIGNATURE}"),
        format!("{SIGNATURE} {zeros}"),
        format!(
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== {SIGNATURE}"
        ),
        format!("v2,whatever {SIGNATURE}"),
    ];
    for list in lists {
        let verified = Delivery { signature: &list, ..GOOD }.verify().unwrap();
        assert_eq!(verified.signature(), list, "kept as received");
    }
    assert_eq!(Delivery { signature: &zeros, ..GOOD }.verify(), Err(VerifyError::Mismatch));
}

#[test]
fn a_signature_header_out_of_form_is_malformed() {
    let tag = SIGNATURE.strip_prefix("v1,").unwrap();
    let url_safe = tag.replace('+', "-").replace('/', "_");
    let wrong = [
        String::new(),
        "v1".to_owned(),
        "v1,".to_owned(),
        tag.to_owned(),
        format!(" {SIGNATURE}"),
        format!("{SIGNATURE} "),
        format!("{SIGNATURE}\n"),
        format!("{SIGNATURE}  {SIGNATURE}"),
        format!("v1, {tag}"),
        format!("v1={tag}"),
        format!("v1,{url_safe}"),
        format!("v1,{}", tag.trim_end_matches('=')),
        format!("v1,{}", STANDARD.encode([0; 31])),
        format!("v1,{}", STANDARD.encode([0; 33])),
        format!("v1,{}", STANDARD.encode([0; 64])),
        format!("v1,{}", STANDARD.encode([0_u8; 0])),
        format!("V1,{tag}"),
        format!("v1a,{tag}"),
        format!("v1,é{tag}"),
        format!("v1,\0{tag}"),
    ];
    for signature in wrong {
        let bent = Delivery { signature: &signature, ..GOOD };
        assert_eq!(bent.verify(), Err(VerifyError::Malformed), "{signature:?}");
    }
}

#[test]
fn a_list_of_signatures_is_bounded() {
    let list = |length| vec![SIGNATURE; length].join(" ");
    assert!(Delivery { signature: &list(SIGNATURES_MAX), ..GOOD }.verify().is_ok());
    let longer = list(SIGNATURES_MAX + 1);
    assert_eq!(Delivery { signature: &longer, ..GOOD }.verify(), Err(VerifyError::Malformed));
    let wide = format!("v1a,{} {SIGNATURE}", "a".repeat(SIGNATURE_BYTES_MAX));
    assert_eq!(Delivery { signature: &wide, ..GOOD }.verify(), Err(VerifyError::Malformed));
}

#[test]
fn both_keys_verify_while_a_secret_is_rotated() {
    let previous = Key::new("previous", b"whsec_cHJldmlvdXMgc2VjcmV0").unwrap();
    let signature = sign(&previous, ID, SIGNED_AT, BODY);
    let ring = Keyring::new(vec![key(), previous]).unwrap();
    for (signature, expected) in [(SIGNATURE, "current"), (signature.as_str(), "previous")] {
        let headers =
            Headers { id: &[ID.as_bytes()], timestamp: &[b"1614265330"], signature: &[signature.as_bytes()] };
        assert_eq!(verify(&ring, &headers, SIGNED_AT, BODY).unwrap().key_id(), expected);
    }
}

proptest! {
    #[test]
    fn no_change_to_anything_signed_verifies(id in "[A-Za-z0-9_-]{1,40}", skew in -300..=300_i64, body: Vec<u8>) {
        prop_assume!((id.as_str(), skew, body.as_slice()) != (ID, 0, BODY));
        let timestamp = (SIGNED_AT + skew).to_string();
        let headers = Headers {
            id: &[id.as_bytes()],
            timestamp: &[timestamp.as_bytes()],
            signature: &[SIGNATURE.as_bytes()],
        };
        prop_assert_eq!(verify(&ring(), &headers, SIGNED_AT, &body), Err(VerifyError::Mismatch));
        let signed = sign(&key(), &id, SIGNED_AT + skew, &body);
        let headers = Headers { signature: &[signed.as_bytes()], ..headers };
        prop_assert!(verify(&ring(), &headers, SIGNED_AT, &body).is_ok());
    }

    #[test]
    fn no_changed_signature_verifies(at in 3..47_usize, byte: u8) {
        let mut signature = SIGNATURE.as_bytes().to_vec();
        prop_assume!(signature[at] != byte);
        signature[at] = byte;
        let headers = Headers { id: &[ID.as_bytes()], timestamp: &[b"1614265330"], signature: &[&signature] };
        prop_assert!(verify(&ring(), &headers, SIGNED_AT, BODY).is_err());
    }

    #[test]
    fn arbitrary_headers_never_verify_and_never_panic(id: Vec<u8>, timestamp: Vec<u8>, signature: Vec<u8>, now: i64) {
        let headers = Headers { id: &[&id], timestamp: &[&timestamp], signature: &[&signature] };
        prop_assert!(verify(&ring(), &headers, now, BODY).is_err());
    }
}
