use std::time::Duration;

use hookstream_test_support::{eventually, run_test_within};

#[tokio::test]
async fn eventually_yields_what_the_probe_found() {
    let mut left = 3;
    let found = eventually("the third time", Duration::from_secs(5), async || {
        left -= 1;
        (left == 0).then_some("found")
    })
    .await;
    assert_eq!(found, "found");
}

#[tokio::test]
#[should_panic(expected = "for a number above 5; last seen: \"it was 2\"")]
async fn eventually_says_what_it_last_saw() {
    eventually("a number above 5", Duration::from_millis(20), async || Err::<(), _>("it was 2")).await;
}

#[tokio::test]
#[should_panic(expected = "the probe did not return")]
async fn a_probe_that_hangs_is_bounded_too() {
    eventually("anything", Duration::from_millis(20), async || std::future::pending::<bool>().await).await;
}

#[tokio::test]
#[should_panic(expected = "the test was not done after 0 s")]
async fn a_test_that_hangs_fails() {
    run_test_within(Duration::from_millis(20), async || std::future::pending().await).await;
}

#[tokio::test]
#[should_panic(expected = "no such thing")]
async fn a_test_that_returns_an_error_fails_with_its_text() {
    run_test_within(Duration::from_secs(5), async || anyhow::bail!("no such thing")).await;
}
