use hyper::header::HeaderValue;

use hookstream_runtime::Settings;

use super::*;
use crate::sources::Sources;

fn endpoint(name: &str) -> Endpoint {
    let secrets = [("GITHUB_WEBHOOK_SECRET", "one"), ("INTERNAL_WEBHOOK_SECRET", "two")];
    let sources = Sources::read(&Settings::from_pairs(secrets)).unwrap();
    Endpoint { source: sources.get(name).unwrap(), default_type: None }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn content_types_are_those_of_the_endpoint() {
    for (value, github, internal) in [
        ("application/json", true, true),
        ("Application/JSON; charset=UTF-8", true, true),
        ("application/json;charset=\"utf-8\"", true, true),
        ("application/json; version=1", true, true),
        ("application/json; charset=latin1", false, false),
        ("application/x-www-form-urlencoded", true, false),
        ("application/json, text/plain", false, false),
        ("application/jsonp", false, false),
        ("text/plain", false, false),
        ("", false, false),
    ] {
        let headers = headers(&[("content-type", value)]);
        assert_eq!(content_type(&endpoint("github"), &headers).is_ok(), github, "{value}");
        assert_eq!(content_type(&endpoint("internal"), &headers).is_ok(), internal, "{value}");
    }
    let twice = headers(&[("content-type", "application/json"), ("content-type", "application/json")]);
    assert!(content_type(&endpoint("github"), &twice).is_err());
}

#[test]
fn compressed_bodies_are_refused() {
    for (encoding, taken) in [("identity", true), ("gzip", false), ("identity, gzip", false), ("", false)] {
        let headers = headers(&[("content-type", "application/json"), ("content-encoding", encoding)]);
        assert_eq!(content_type(&endpoint("github"), &headers).is_ok(), taken, "{encoding}");
    }
}

#[test]
fn an_unsigned_delivery_is_unauthorised_whatever_else_is_wrong_with_it() {
    let wrong = [("content-type", "text/plain"), ("content-encoding", "br")];
    for endpoint in [&endpoint("github"), &endpoint("internal")] {
        assert!(matches!(check_content(endpoint, &headers(&wrong)), Err(Refusal::Signature(_))));
        let signed = headers(&[wrong[0], wrong[1], ("x-hub-signature-256", "sha256=00")]);
        assert_eq!(check_content(endpoint, &signed), Err(Refusal::ContentEncoding));
    }
}
