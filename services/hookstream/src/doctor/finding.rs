use serde_json::{Value, json};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    /// It works, and somebody may be surprised.
    Warn,
    Fail,
    /// Could not be checked, or need not be.
    Skip,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    pub(crate) state: State,
    /// What there is.
    pub(crate) found: String,
    /// What to do; for all but `Ok`.
    pub(crate) advice: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), advice: None }
    }

    pub(crate) fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn skip(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Skip, found: found.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn to_row(&self) -> [String; 3] {
        [self.state.name().to_owned(), self.check.to_owned(), self.found.clone()]
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "check": self.check, "state": self.state.name(), "found": self.found, "advice": self.advice })
    }
}
