use proptest::prelude::*;

use super::*;
use crate::KeyError;

const GITHUB_SECRET: &[u8] = b"It's a Secret to Everybody";
const GITHUB_BODY: &[u8] = b"Hello, World!";
const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn ring(secrets: &[&[u8]]) -> Keyring {
    let keys = (0..).zip(secrets).map(|(at, secret)| Key::new(&format!("key-{at}"), secret).unwrap());
    Keyring::new(keys.collect()).unwrap()
}

/// No key here ever expires.
fn verify(keyring: &Keyring, signatures: &[&[u8]], body: &[u8]) -> Result<Verified, VerifyError> {
    super::verify(keyring, signatures, 0, body)
}

fn verify_text(value: &str) -> Result<Verified, VerifyError> {
    verify(&ring(&[GITHUB_SECRET]), &[value.as_bytes()], GITHUB_BODY)
}

// T11
#[test]
fn the_vector_of_githubs_documentation_verifies() {
    let verified = verify_text(GITHUB_SIGNATURE).unwrap();
    assert_eq!(verified.key_id(), "key-0");
    assert_eq!(verified.signature(), GITHUB_SIGNATURE);
    assert_eq!(verified.signed_at(), None);
    assert_eq!(sign(&Key::new("k", GITHUB_SECRET).unwrap(), GITHUB_BODY), GITHUB_SIGNATURE);
}

#[test]
fn the_vectors_of_rfc_4231_verify() {
    let repeated = |byte: u8, times: usize| vec![byte; times];
    let counted: Vec<u8> = (1..=25).collect();
    // Test case 5 is about truncated tags, which this scheme does not have.
    let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
        (
            repeated(0x0b, 20),
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            repeated(0xaa, 20),
            repeated(0xdd, 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (counted, repeated(0xcd, 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (
            repeated(0xaa, 131),
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            repeated(0xaa, 131),
            b"This is a test using a larger than block-size key and a larger than block-size data. The key \
              needs to be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (secret, body, hex) in cases {
        let header = format!("sha256={hex}");
        assert!(verify(&ring(&[&secret]), &[header.as_bytes()], &body).is_ok(), "{hex}");
    }
}

// T1
#[test]
fn a_missing_signature_is_missing() {
    assert_eq!(verify(&ring(&[GITHUB_SECRET]), &[], GITHUB_BODY), Err(VerifyError::Missing));
}

// T1
#[test]
fn an_empty_signature_is_malformed() {
    for value in ["", "sha256=", "sha256", "="] {
        assert_eq!(verify_text(value), Err(VerifyError::Malformed), "{value:?}");
    }
}

// T3
#[test]
fn a_tag_of_any_other_length_is_malformed() {
    let hex = GITHUB_SIGNATURE.strip_prefix("sha256=").unwrap();
    for digits in [0, 2, 62, 63] {
        assert_eq!(verify_text(&format!("sha256={}", &hex[..digits])), Err(VerifyError::Malformed));
    }
    for extended in ["0", "00", "17", hex] {
        assert_eq!(verify_text(&format!("{GITHUB_SIGNATURE}{extended}")), Err(VerifyError::Malformed));
    }
}

// T4
#[test]
fn hex_digits_may_be_of_either_case_but_the_prefix_may_not() {
    let hex = GITHUB_SIGNATURE.strip_prefix("sha256=").unwrap();
    let upper = format!("sha256={}", hex.to_uppercase());
    assert_eq!(verify_text(&upper).unwrap().signature(), upper, "kept as received");
    let mixed: String =
        hex.chars().enumerate().map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
    assert!(verify_text(&format!("sha256={mixed}")).is_ok());
    for prefix in ["SHA256=", "Sha256=", "sha-256=", "sha256:", "sha512=", "sha1="] {
        assert_eq!(verify_text(&format!("{prefix}{hex}")), Err(VerifyError::Malformed), "{prefix}");
    }
}

// T4
#[test]
fn nothing_is_trimmed_unquoted_or_overlooked() {
    let good = GITHUB_SIGNATURE;
    let hex = good.strip_prefix("sha256=").unwrap();
    let inside = format!("sha256={} {}", &hex[..31], &hex[32..]);
    let wrong = [
        format!(" {good}"),
        format!("{good} "),
        format!("\t{good}"),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("\"{good}\""),
        format!("sha256= {hex}"),
        format!("sha256 ={hex}"),
        format!("sha256=+{}", &hex[1..]),
        format!("sha256=g{}", &hex[1..]),
        format!("sha256=0x{}", &hex[2..]),
        format!("sha256=é{}", &hex[2..]),
        inside,
    ];
    for value in wrong {
        assert_eq!(verify_text(&value), Err(VerifyError::Malformed), "{value:?}");
    }
    let mut no_utf8 = good.as_bytes().to_vec();
    no_utf8[10] = 0xff;
    assert_eq!(verify(&ring(&[GITHUB_SECRET]), &[&no_utf8], GITHUB_BODY), Err(VerifyError::Malformed));
}

// T5
#[test]
fn two_signatures_are_malformed_even_if_both_are_good() {
    let good = GITHUB_SIGNATURE.as_bytes();
    let bad = format!("sha256={}", "0".repeat(64));
    for values in [[good, bad.as_bytes()], [bad.as_bytes(), good], [good, good]] {
        assert_eq!(verify(&ring(&[GITHUB_SECRET]), &values, GITHUB_BODY), Err(VerifyError::Malformed));
    }
    for list in [format!("{GITHUB_SIGNATURE},{GITHUB_SIGNATURE}"), format!("{GITHUB_SIGNATURE}, {bad}")] {
        assert_eq!(verify_text(&list), Err(VerifyError::Malformed), "{list}");
    }
}

// T7
#[test]
fn a_sha1_signature_never_counts() {
    // The value GitHub would send in X-Hub-Signature for its documented vector.
    let sha1 = "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59";
    assert_eq!(verify_text(sha1), Err(VerifyError::Malformed));
}

#[test]
fn the_wrong_secret_and_the_wrong_tag_do_not_match() {
    let other = ring(&[b"another secret"]);
    let result = verify(&other, &[GITHUB_SIGNATURE.as_bytes()], GITHUB_BODY);
    assert_eq!(result, Err(VerifyError::Mismatch));
    assert_eq!(verify_text(&format!("sha256={}", "0".repeat(64))), Err(VerifyError::Mismatch));
}

#[test]
fn every_active_key_verifies_and_says_which_it_was() {
    let secrets: [&[u8]; 3] = [b"next", b"current", b"previous"];
    let ring = ring(&secrets);
    for (at, secret) in secrets.iter().enumerate() {
        let header = sign(&Key::new("signer", secret).unwrap(), b"{}");
        let verified = verify(&ring, &[header.as_bytes()], b"{}").unwrap();
        assert_eq!(verified.key_id(), format!("key-{at}"));
    }
    let dropped = sign(&Key::new("signer", b"dropped").unwrap(), b"{}");
    assert_eq!(verify(&ring, &[dropped.as_bytes()], b"{}"), Err(VerifyError::Mismatch));
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["key-0", "key-1", "key-2"]);
}

#[test]
fn a_secret_of_white_space_or_none_is_refused() {
    for secret in [&b""[..], b" ", b"\n", b"\r\n\t "] {
        assert_eq!(Key::new("k", secret).unwrap_err(), KeyError::Empty("k".to_owned()));
    }
}

// T6
#[test]
fn a_secret_is_used_to_the_last_byte() {
    let signed_with_newline = sign(&Key::new("k", b"secret\n").unwrap(), b"{}");
    assert_eq!(
        verify(&ring(&[b"secret"]), &[signed_with_newline.as_bytes()], b"{}"),
        Err(VerifyError::Mismatch)
    );
    let ring = ring(&["grüße\0\u{1f6df}".as_bytes()]);
    let signed = sign(&Key::new("k", "grüße\0\u{1f6df}".as_bytes()).unwrap(), b"{}");
    assert!(verify(&ring, &[signed.as_bytes()], b"{}").is_ok());
}

#[test]
fn a_whsec_secret_is_plain_text_here() {
    let secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let header = sign(&Key::new("k", secret).unwrap(), b"{}");
    // From `openssl dgst -sha256 -hmac`.
    assert_eq!(header, "sha256=6cbbcdf2c8016ca85b50543b19e8e121ef16137967bdfa3ce660972922bafaeb");
}

proptest! {
    #[test]
    fn what_was_signed_verifies(secret in "[^ ]{1,100}", body: Vec<u8>) {
        prop_assume!(!secret.trim().is_empty() && !secret.starts_with("whsec_"));
        let header = sign(&Key::new("k", secret.as_bytes()).unwrap(), &body);
        let ring = ring(&[secret.as_bytes()]);
        prop_assert!(verify(&ring, &[header.as_bytes()], &body).is_ok());
    }

    #[test]
    fn no_changed_body_verifies(body in proptest::collection::vec(any::<u8>(), 1..200), at: usize, bit in 0..8_u32) {
        let header = sign(&Key::new("k", GITHUB_SECRET).unwrap(), &body);
        let mut changed = body.clone();
        let at = at % body.len();
        changed[at] ^= 1_u8 << bit;
        let longer = [body.as_slice(), b"\n"].concat();
        for other in [changed.as_slice(), &body[1..], &longer] {
            let result = verify(&ring(&[GITHUB_SECRET]), &[header.as_bytes()], other);
            prop_assert_eq!(result, Err(VerifyError::Mismatch));
        }
    }

    #[test]
    fn no_changed_signature_verifies(at in 0..71_usize, byte: u8) {
        let mut header = GITHUB_SIGNATURE.as_bytes().to_vec();
        prop_assume!(!header[at].eq_ignore_ascii_case(&byte));
        header[at] = byte;
        prop_assert!(verify(&ring(&[GITHUB_SECRET]), &[&header], GITHUB_BODY).is_err());
    }

    #[test]
    fn arbitrary_headers_never_verify_and_never_panic(header: Vec<u8>, body: Vec<u8>) {
        prop_assert!(verify(&ring(&[GITHUB_SECRET]), &[&header], &body).is_err());
    }
}
