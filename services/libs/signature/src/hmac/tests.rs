use proptest::prelude::*;

use super::*;

// printf '{"id":1}' | openssl dgst -sha256 -hmac 'generic secret' [-binary | base64]
const BODY: &[u8] = br#"{"id":1}"#;
const HEX: &str = "31c3474bd7c455247e8c382bcc0455387d192ef1a7b87361aa47159f0581c8fd";
const BASE64: &str = "McNHS9fEVSR+jDgrzARVOH0ZLvGnuHNhqkcVnwWByP0=";

fn ring() -> Keyring {
    Keyring::new(vec![Key::plain("any", b"generic secret").unwrap()]).unwrap()
}

fn form(prefix: &str, encoding: Encoding) -> Form {
    Form { prefix: prefix.to_owned(), encoding }
}

fn verify_text(form: &Form, value: &str) -> Result<Verified, VerifyError> {
    verify(&ring(), form, &[value.as_bytes()], 0, BODY)
}

#[test]
fn what_openssl_made_verifies_in_every_form_and_is_what_we_make() {
    for (prefix, encoding, tag) in [
        ("", Encoding::Hex, HEX),
        ("sha256=", Encoding::Hex, HEX),
        ("", Encoding::Base64, BASE64),
        ("HMAC ", Encoding::Base64, BASE64),
    ] {
        let (form, value) = (form(prefix, encoding), format!("{prefix}{tag}"));
        let verified = verify_text(&form, &value).unwrap();
        assert_eq!((verified.key_id(), verified.signature()), ("any", value.as_str()));
        assert_eq!(sign(&ring().keys()[0], &form, BODY), value);
    }
    assert!(verify_text(&form("", Encoding::Hex), &HEX.to_uppercase()).is_ok());
}

#[test]
fn githubs_vector_is_one_of_these() {
    let ring = Keyring::new(vec![Key::plain("k", b"It's a Secret to Everybody").unwrap()]).unwrap();
    let value: &[u8] = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert!(verify(&ring, &form("sha256=", Encoding::Hex), &[value], 0, b"Hello, World!").is_ok());
}

#[test]
fn a_header_that_is_missing_or_doubled_is_not_verified() {
    let form = form("", Encoding::Hex);
    assert_eq!(verify(&ring(), &form, &[], 0, BODY), Err(VerifyError::Missing));
    let twice = verify(&ring(), &form, &[HEX.as_bytes(), HEX.as_bytes()], 0, BODY);
    assert_eq!(twice, Err(VerifyError::Malformed));
}

#[test]
fn a_value_out_of_its_form_is_malformed() {
    let (hex, base64) = (form("sha256=", Encoding::Hex), form("", Encoding::Base64));
    for value in [
        String::new(),
        HEX.to_owned(),
        "sha256=".to_owned(),
        format!("SHA256={HEX}"),
        format!("sha256={}", &HEX[..62]),
        format!("sha256={HEX}00"),
        format!("sha256= {HEX}"),
        format!("sha256={HEX}\n"),
        format!("sha256={BASE64}"),
    ] {
        assert_eq!(verify_text(&hex, &value), Err(VerifyError::Malformed), "{value:?}");
    }
    for value in [
        String::new(),
        HEX.to_owned(),
        BASE64.trim_end_matches('=').to_owned(),
        BASE64.replace('+', "-"),
        format!("{BASE64}="),
        format!(" {BASE64}"),
        // The same 32 bytes, spelt with other bits at the end.
        BASE64.replace("P0=", "P1="),
        "A".repeat(44),
    ] {
        assert_eq!(verify_text(&base64, &value), Err(VerifyError::Malformed), "{value:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_headers_never_verify_and_never_panic(value: Vec<u8>, body: Vec<u8>, base64: bool) {
        let form = form("", if base64 { Encoding::Base64 } else { Encoding::Hex });
        prop_assert!(verify(&ring(), &form, &[&value], 0, &body).is_err());
    }

    #[test]
    fn nothing_changed_verifies(body: Vec<u8>) {
        prop_assume!(body != BODY);
        let form = form("", Encoding::Hex);
        prop_assert_eq!(verify(&ring(), &form, &[HEX.as_bytes()], 0, &body), Err(VerifyError::Mismatch));
    }
}
