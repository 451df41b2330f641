use hookstream_event::internal::WORKFLOW_COMPLETED;
use hyper::Method;

use crate::refusal::Refusal;

/// Where a webhook is posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// GitHub's webhooks.
    Github,
    /// Internal webhooks; the type of a body that names none.
    Internal(Option<&'static str>),
}

impl Endpoint {
    /// The source, as labels and logs name it.
    pub(crate) fn source_name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Internal(_) => "internal",
        }
    }
}

/// Finds the endpoint of a request. Paths match exactly: no trailing slash, no other case, nothing decoded.
pub(crate) fn route(method: &Method, path: &str) -> Result<Endpoint, Refusal> {
    let endpoint = match path {
        "/webhooks/github" | "/gh-webhook" => Endpoint::Github,
        "/webhooks/internal" => Endpoint::Internal(None),
        "/workflow-complete" => Endpoint::Internal(Some(WORKFLOW_COMPLETED)),
        _ => return Err(Refusal::UnknownPath),
    };
    if *method == Method::POST { Ok(endpoint) } else { Err(Refusal::Method) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_exactly() {
        for (path, endpoint) in [
            ("/webhooks/github", Endpoint::Github),
            ("/gh-webhook", Endpoint::Github),
            ("/webhooks/internal", Endpoint::Internal(None)),
            ("/workflow-complete", Endpoint::Internal(Some("workflow.completed"))),
        ] {
            assert_eq!(route(&Method::POST, path), Ok(endpoint), "{path}");
            for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::HEAD, Method::DELETE] {
                assert_eq!(route(&method, path), Err(Refusal::Method), "{method} {path}");
            }
        }
        for path in [
            "",
            "/",
            "*",
            "/webhooks",
            "/webhooks/",
            "/webhooks/gitlab",
            "/webhooks/github/",
            "//webhooks/github",
            "/webhooks//github",
            "/Webhooks/github",
            "/webhooks/%67ithub",
            "/webhooks/../webhooks/github",
            "/gh-webhook/",
        ] {
            assert_eq!(route(&Method::POST, path), Err(Refusal::UnknownPath), "{path}");
        }
    }
}
