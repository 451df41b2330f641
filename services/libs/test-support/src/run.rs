use std::time::Duration;

/// How long a test may take. Generous: a slow machine is no failure, only a test that waits for ever is.
pub const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Runs a test that may use `?`, and fails it after [`TIME_LIMIT`].
///
/// ```no_run
/// # use hookstream_test_support::{TestNats, run_test};
/// #[tokio::test]
/// async fn a_server_answers() {
///     run_test(async || {
///         let nats = TestNats::start().await;
///         nats.connect("operator").await;
///         Ok(())
///     })
///     .await;
/// }
/// ```
pub async fn run_test(test: impl AsyncFnOnce() -> anyhow::Result<()>) {
    run_test_within(TIME_LIMIT, test).await;
}

/// The same with a limit of its own, for a test that repeats something slow.
pub async fn run_test_within(limit: Duration, test: impl AsyncFnOnce() -> anyhow::Result<()>) {
    let done = tokio::time::timeout(limit, test()).await.ok();
    let outcome = done.unwrap_or_else(|| panic!("the test was not done after {} s", limit.as_secs()));
    outcome.unwrap_or_else(|error| panic!("the test failed: {error:?}"));
}
