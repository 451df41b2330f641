use std::sync::Arc;

use hookstream_event::internal::{self, WORKFLOW_COMPLETED};

use crate::body::BodyLimits;
use crate::refusal::Refusal;
use crate::sources::{Scheme, Source, Sources};

/// Where a webhook is posted to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Whose webhooks it takes.
    pub(crate) source: Arc<Source>,
    /// The type of an internal event whose body names none.
    pub(crate) default_type: Option<&'static str>,
}

impl Endpoint {
    /// The source, as labels and logs name it.
    pub(crate) fn source_name(&self) -> &'static str {
        self.source.name()
    }

    /// The limits of its bodies: internal events are small, whatever GitHub's may be.
    pub(crate) fn body_limits(&self, limits: BodyLimits) -> BodyLimits {
        match self.source.scheme {
            Scheme::Internal => {
                BodyLimits { bytes_max: limits.bytes_max.min(internal::BODY_BYTES_MAX), ..limits }
            }
            _ => limits,
        }
    }
}

/// Finds the endpoint of a path. Paths match exactly: no trailing slash, no other case, nothing decoded.
pub(crate) fn route(path: &str, sources: &Sources) -> Result<Endpoint, Refusal> {
    let (name, default_type) = match path {
        "/gh-webhook" => ("github", None),
        "/workflow-complete" => ("internal", Some(WORKFLOW_COMPLETED)),
        _ => (path.strip_prefix("/webhooks/").ok_or(Refusal::UnknownPath)?, None),
    };
    let source = sources.get(name).ok_or(Refusal::UnknownPath)?;
    Ok(Endpoint { source, default_type })
}

#[cfg(test)]
mod tests {
    use hookstream_runtime::Settings;

    use super::*;

    #[test]
    fn paths_match_exactly() {
        let secrets = [("GITHUB_WEBHOOK_SECRET", "one"), ("INTERNAL_WEBHOOK_SECRET", "two")];
        let sources = Sources::read(&Settings::from_pairs(secrets)).unwrap();
        for (path, endpoint) in [
            ("/webhooks/github", ("github", None)),
            ("/gh-webhook", ("github", None)),
            ("/webhooks/internal", ("internal", None)),
            ("/workflow-complete", ("internal", Some("workflow.completed"))),
        ] {
            let found = route(path, &sources).unwrap();
            assert_eq!((found.source_name(), found.default_type), endpoint, "{path}");
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
            assert_eq!(route(path, &sources).unwrap_err(), Refusal::UnknownPath, "{path}");
        }
    }
}
