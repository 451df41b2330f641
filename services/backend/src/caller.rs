//! Who may give commands: whoever has the bearer token.

use std::fmt;

use axum::extract::FromRequestParts;
use hookstream_event::BodyDigest;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use subtle::ConstantTimeEq as _;

use crate::Backend;
use crate::problem::Problem;

/// The token of the commands, as no more than its digest.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    digest: BodyDigest,
    name: String,
}

impl Token {
    pub(crate) fn new(token: &str) -> Self {
        // Another digest than the one that is compared, so that the name says nothing of that.
        let named = BodyDigest::of(format!("hookstream api token {token}").as_bytes()).to_string();
        Self { digest: BodyDigest::of(token.as_bytes()), name: format!("t-{}", &named[..12]) }
    }

    /// In constant time: a digest has one length, whatever was sent.
    fn is(&self, given: &str) -> bool {
        BodyDigest::of(given.as_bytes()).as_bytes().ct_eq(self.digest.as_bytes()).into()
    }
}

/// Somebody who has shown the token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// A fingerprint: the same for ever, and not the token.
    token_name: String,
}

impl Caller {
    pub(crate) fn token_name(&self) -> &str {
        &self.token_name
    }
}

/// As events name it: `api:` and the token's name.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "api:{}", self.token_name)
    }
}

impl FromRequestParts<Backend> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, backend: &Backend) -> Result<Self, Problem> {
        let token = backend.token.as_ref().ok_or(Problem::CommandsOff)?;
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let value = given.next().filter(|_| given.next().is_none());
        let bearer = value.and_then(|value| bearer(value.to_str().ok()?));
        match bearer {
            Some(bearer) if token.is(bearer) => Ok(Self { token_name: token.name.clone() }),
            _ => Err(Problem::Unauthorized),
        }
    }
}

/// The token of `Bearer <token>`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_and_its_name_says_nothing_of_it() {
        let token = Token::new("correct horse");
        assert!(token.is("correct horse"));
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert_eq!(token.name.len(), 14);
        assert!(!token.digest.to_string().contains(&token.name[2..]));
    }

    #[test]
    fn only_the_bearer_scheme_is_read() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for wrong in ["abc", "Basic abc", "Bearerabc", ""] {
            assert_eq!(bearer(wrong), None, "{wrong:?}");
        }
    }
}
