use std::fmt::Debug;
use std::time::Duration;

use tokio::time::Instant;

/// What a probe saw: what it waits for, or what was there instead.
pub trait Outcome {
    /// What the wait yields.
    type Value;
    /// The awaited value, or a text that tells what was seen instead.
    fn seen(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();

    fn seen(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".to_owned())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Debug> Outcome for Result<T, E> {
    type Value = T;

    fn seen(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// Asks `probe` until it yields, at most for `patience`. The probe returns a `bool`, an `Option`, or a `Result` whose
/// error tells what was seen instead.
///
/// # Panics
/// When the time is up, saying what was waited for and what was last seen.
pub async fn eventually<O: Outcome>(
    what: &str,
    patience: Duration,
    mut probe: impl AsyncFnMut() -> O,
) -> O::Value {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(2);
    let mut last = "nothing yet: the probe did not return".to_owned();
    loop {
        match tokio::time::timeout_at(deadline, probe()).await.ok().map(Outcome::seen) {
            Some(Ok(value)) => return value,
            Some(Err(seen)) => last = seen,
            None => panic!("waited {patience:?} for {what}; last seen: {last}"),
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}; last seen: {last}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
