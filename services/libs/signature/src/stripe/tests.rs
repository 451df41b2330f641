use proptest::prelude::*;

use super::*;

// Stripe's keys begin with whsec_ and are used as they are.
// printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test_secret
const SECRET: &[u8] = b"whsec_test_secret";
const SIGNED_AT: i64 = 1_492_774_577;
const BODY: &[u8] = br#"{"id":"evt_1"}"#;
const TAG: &str = "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";

fn key() -> Key {
    Key::plain("stripe", SECRET).unwrap()
}

fn verify_at(value: &str, now: i64) -> Result<Verified, VerifyError> {
    verify(&Keyring::new(vec![key()]).unwrap(), &[value.as_bytes()], now, BODY)
}

fn good() -> String {
    format!("t={SIGNED_AT},v1={TAG}")
}

#[test]
fn a_signature_that_openssl_made_verifies_and_is_what_we_make() {
    let verified = verify_at(&good(), SIGNED_AT).unwrap();
    assert_eq!(verified.key_id(), "stripe");
    assert_eq!(verified.signature(), good());
    assert_eq!(verified.signed_at(), Some(SIGNED_AT));
    assert_eq!(sign(&key(), SIGNED_AT, BODY), good());
}

#[test]
fn the_header_may_hold_several_signatures_and_schemes_in_any_order() {
    // The shape of the example in Stripe's documentation, which has a v0 beside the v1.
    let zeros = "0".repeat(64);
    for value in [
        format!("t={SIGNED_AT},v1={TAG},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"),
        format!("t={SIGNED_AT},v1={zeros},v1={TAG}"),
        format!("v1={TAG},v1={zeros},t={SIGNED_AT}"),
        format!("t={SIGNED_AT},v1={},v2=", TAG.to_uppercase()),
    ] {
        assert_eq!(verify_at(&value, SIGNED_AT).unwrap().signature(), value);
    }
}

#[test]
fn five_minutes_of_skew_are_tolerated_both_ways_and_a_second_more_is_not() {
    for skew in [-300, 0, 300] {
        assert!(verify_at(&good(), SIGNED_AT + skew).is_ok(), "{skew}");
    }
    for now in [SIGNED_AT - 301, SIGNED_AT + 301, i64::MIN, i64::MAX] {
        assert_eq!(verify_at(&good(), now), Err(VerifyError::Stale), "{now}");
    }
    let forged = format!("t={},v1={TAG}", SIGNED_AT + 1);
    assert_eq!(verify_at(&forged, SIGNED_AT + 1000), Err(VerifyError::Mismatch), "a stale forgery");
}

#[test]
fn a_header_that_is_missing_or_doubled_is_not_verified() {
    let ring = Keyring::new(vec![key()]).unwrap();
    let good = good();
    assert_eq!(verify(&ring, &[], SIGNED_AT, BODY), Err(VerifyError::Missing));
    let twice = [good.as_bytes(), good.as_bytes()];
    assert_eq!(verify(&ring, &twice, SIGNED_AT, BODY), Err(VerifyError::Malformed));
}

#[test]
fn a_header_out_of_form_is_malformed() {
    let wrong = [
        String::new(),
        ",".to_owned(),
        TAG.to_owned(),
        format!("v1={TAG}"),
        format!("t={SIGNED_AT}"),
        format!("t={SIGNED_AT},v0={TAG}"),
        format!("t={SIGNED_AT},v1="),
        format!("t={SIGNED_AT},v1={}", &TAG[..63]),
        format!("t={SIGNED_AT},v1={TAG}0"),
        format!("t={SIGNED_AT},v1={}", "g".repeat(64)),
        // A whole tag does not help a broken one beside it.
        format!("t={SIGNED_AT},v1={TAG},v1=00"),
        format!("t={SIGNED_AT},t={SIGNED_AT},v1={TAG}"),
        format!("t={SIGNED_AT}, v1={TAG}"),
        format!("t={SIGNED_AT},v1={TAG},"),
        format!("t={SIGNED_AT};v1={TAG}"),
        format!("T={SIGNED_AT},v1={TAG}"),
        format!("t={SIGNED_AT},V1={TAG}"),
        format!("t=0{SIGNED_AT},v1={TAG}"),
        format!("t=-{SIGNED_AT},v1={TAG}"),
        format!("t=,v1={TAG}"),
        format!("t={SIGNED_AT},v1={TAG},é=1"),
        format!("{}{}", good(), ",v0=0".repeat(ELEMENTS_MAX)),
        format!("{},v0={}", good(), "0".repeat(BYTES_MAX)),
    ];
    for value in wrong {
        assert_eq!(verify_at(&value, SIGNED_AT), Err(VerifyError::Malformed), "{value:?}");
    }
}

#[test]
fn the_old_or_the_new_secret_verifies_while_a_rotation_lasts() {
    let (old, new) = (key(), Key::plain("new", b"whsec_another").unwrap());
    let ring = Keyring::new(vec![new.clone(), old.clone()]).unwrap();
    for key in [&old, &new] {
        let value = sign(key, SIGNED_AT, BODY);
        assert_eq!(verify(&ring, &[value.as_bytes()], SIGNED_AT, BODY).unwrap().key_id(), key.id());
    }
}

proptest! {
    #[test]
    fn nothing_changed_verifies(body: Vec<u8>, skew in -300..=300_i64) {
        prop_assume!(body != BODY || skew != 0);
        let ring = Keyring::new(vec![key()]).unwrap();
        let moved = format!("t={},v1={TAG}", SIGNED_AT + skew);
        prop_assert_eq!(verify(&ring, &[moved.as_bytes()], SIGNED_AT, &body), Err(VerifyError::Mismatch));
        let signed = sign(&key(), SIGNED_AT + skew, &body);
        prop_assert!(verify(&ring, &[signed.as_bytes()], SIGNED_AT, &body).is_ok());
    }

    #[test]
    fn arbitrary_headers_never_verify_and_never_panic(header: Vec<u8>, body: Vec<u8>, now: i64) {
        prop_assert!(verify(&Keyring::new(vec![key()]).unwrap(), &[&header], now, &body).is_err());
    }
}
