//! Keeps hold of an announcement while its phase runs.

use std::time::Duration;

use hookstream_bus::{Consumer, Message};
use tokio::time::Instant;

/// Says that we are alive, again and again, until the server cannot be trusted any more to know it: returns a tenth
/// before it would hand the message to somebody else, so that there is time to end what runs.
pub(super) async fn keep(consumer: &Consumer, message: &Message, lease: Duration) {
    let mut confirmed = Instant::now();
    let mut pause = lease / 6;
    loop {
        let trusted = confirmed + lease * 9 / 10;
        if tokio::time::timeout_at(trusted, tokio::time::sleep(pause)).await.is_err() {
            return;
        }
        let asked = Instant::now();
        match tokio::time::timeout_at(trusted, consumer.keep(message)).await {
            Ok(Ok(())) => {
                confirmed = asked;
                pause = lease / 6;
            }
            Ok(Err(_)) => pause = (lease / 30).min(Duration::from_secs(1)),
            Err(_) => return,
        }
    }
}
