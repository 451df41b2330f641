use proptest::prelude::*;

use super::*;
use crate::Key;

fn ring() -> Keyring {
    let key = |id, secret| Key::plain(id, secret).unwrap();
    Keyring::new(vec![key("new", b"glwhk-new"), key("old", b"glwhk-old")]).unwrap()
}

#[test]
fn the_token_is_the_secret_and_is_not_kept() {
    let verified = verify(&ring(), &[b"glwhk-new"], 0).unwrap();
    assert_eq!(verified.key_id(), "new");
    assert_eq!((verified.signature(), verified.signed_at()), (NO_SIGNATURE, None));
    assert!(!format!("{verified:?}").contains("glwhk"));
}

#[test]
fn a_part_of_the_token_or_more_than_it_does_not_verify() {
    for wrong in ["glwhk-ne", "glwhk-neww", "Glwhk-new", "g", "new", "x"] {
        assert_eq!(verify(&ring(), &[wrong.as_bytes()], 0), Err(VerifyError::Mismatch), "{wrong}");
    }
}

#[test]
fn a_header_that_is_missing_doubled_or_out_of_form_is_not_verified() {
    assert_eq!(verify(&ring(), &[], 0), Err(VerifyError::Missing));
    assert_eq!(verify(&ring(), &[b"glwhk-new", b"glwhk-new"], 0), Err(VerifyError::Malformed));
    let long = "a".repeat(BYTES_MAX + 1);
    for wrong in ["", &long] {
        assert_eq!(verify(&ring(), &[wrong.as_bytes()], 0), Err(VerifyError::Malformed), "{wrong:?}");
    }
    for wrong in [" ", " glwhk-new", "glwhk-new ", "glwhk-new\n", "glwhk-new\0", "é"] {
        assert_eq!(verify(&ring(), &[wrong.as_bytes()], 0), Err(VerifyError::Mismatch), "{wrong:?}");
    }
}

#[test]
fn a_token_may_be_whatever_gitlab_lets_people_type() {
    for token in ["my secret token", "naïve"] {
        let ring = Keyring::new(vec![Key::plain("k", token.as_bytes()).unwrap()]).unwrap();
        assert!(verify(&ring, &[token.as_bytes()], 0).is_ok(), "{token}");
    }
}

proptest! {
    #[test]
    fn arbitrary_tokens_never_verify_and_never_panic(token: Vec<u8>, now: i64) {
        prop_assume!(token != b"glwhk-new");
        prop_assert!(verify(&ring(), &[&token], now).is_err());
    }
}
