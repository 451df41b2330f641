use proptest::prelude::*;

use super::*;

// The worked example of Slack's documentation.
const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
const SIGNED_AT: i64 = 1_531_420_618;
const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
    &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect\
    &text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554\
    %2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

fn ring() -> Keyring {
    Keyring::new(vec![Key::plain("slack", SECRET).unwrap()]).unwrap()
}

fn verify_at(time: &str, signature: &str, now: i64) -> Result<Verified, VerifyError> {
    let headers = Headers { timestamp: &[time.as_bytes()], signature: &[signature.as_bytes()] };
    verify(&ring(), &headers, now, BODY)
}

// T11
#[test]
fn the_vector_of_slacks_documentation_verifies() {
    let verified = verify_at("1531420618", SIGNATURE, SIGNED_AT).unwrap();
    assert_eq!((verified.key_id(), verified.signature()), ("slack", SIGNATURE));
    assert_eq!(verified.signed_at(), Some(SIGNED_AT));
    assert_eq!(sign(&ring().keys()[0], SIGNED_AT, BODY), SIGNATURE);
    assert!(verify_at("1531420618", &SIGNATURE.replace("a2114d", "A2114D"), SIGNED_AT).is_ok());
}

#[test]
fn five_minutes_of_skew_are_tolerated_both_ways_and_a_second_more_is_not() {
    for skew in [-300, 0, 300] {
        assert!(verify_at("1531420618", SIGNATURE, SIGNED_AT + skew).is_ok(), "{skew}");
    }
    for now in [SIGNED_AT - 301, SIGNED_AT + 301, i64::MIN, i64::MAX] {
        assert_eq!(verify_at("1531420618", SIGNATURE, now), Err(VerifyError::Stale), "{now}");
    }
    assert_eq!(verify_at("1531420619", SIGNATURE, i64::MAX), Err(VerifyError::Mismatch), "a stale forgery");
}

#[test]
fn each_header_is_there_exactly_once() {
    let (time, signature): (&[u8], &[u8]) = (b"1531420618", SIGNATURE.as_bytes());
    for (timestamps, signatures, expected) in [
        (&[][..], &[signature][..], VerifyError::Missing),
        (&[time], &[], VerifyError::Missing),
        (&[time, time], &[signature], VerifyError::Malformed),
        (&[time], &[signature, signature], VerifyError::Malformed),
    ] {
        let headers = Headers { timestamp: timestamps, signature: signatures };
        assert_eq!(verify(&ring(), &headers, SIGNED_AT, BODY), Err(expected));
    }
}

#[test]
fn headers_out_of_form_are_malformed() {
    for time in
        ["", "0", "01531420618", "-1531420618", "1531420618.0", " 1531420618", "1531420618000000", "now"]
    {
        let expected = if time == "0" { VerifyError::Mismatch } else { VerifyError::Malformed };
        assert_eq!(verify_at(time, SIGNATURE, SIGNED_AT), Err(expected), "{time:?}");
    }
    let digits = &SIGNATURE[3..];
    for signature in [
        String::new(),
        "v0=".to_owned(),
        digits.to_owned(),
        format!("v1={digits}"),
        format!("V0={digits}"),
        format!("v0={}", &digits[..62]),
        format!("v0={digits}00"),
        format!(" v0={digits}"),
        format!("v0={digits} "),
        format!("v0= {digits}"),
        format!("v0={}", "g".repeat(64)),
        format!("v0={}", "é".repeat(32)),
    ] {
        let result = verify_at("1531420618", &signature, SIGNED_AT);
        assert_eq!(result, Err(VerifyError::Malformed), "{signature:?}");
    }
}

#[test]
fn moving_the_colon_between_time_and_body_does_not_verify() {
    let key = &ring().keys()[0].clone();
    // Signs "v0:15:31420618:{}" and tries to pass it off as "v0:1531420618:{}".
    let signature = sign(key, 15, b"31420618:{}");
    let headers = Headers { timestamp: &[b"1531420618"], signature: &[signature.as_bytes()] };
    assert_eq!(verify(&ring(), &headers, SIGNED_AT, b"{}"), Err(VerifyError::Mismatch));
}

proptest! {
    #[test]
    fn arbitrary_headers_never_verify_and_never_panic(time: Vec<u8>, signature: Vec<u8>, body: Vec<u8>, now: i64) {
        let headers = Headers { timestamp: &[&time], signature: &[&signature] };
        prop_assert!(verify(&ring(), &headers, now, &body).is_err());
    }
}
