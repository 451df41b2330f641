//! One process leads a projection: who holds its session advisory lock.
//!
//! The lock goes with the session, so a leader that dies or is cut off loses it without doing anything.

use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;

use crate::StoreError;

/// Takes the lock of `projection` for this session if nobody holds it. Never waits.
pub async fn try_lock(client: &Client, projection: &str) -> Result<bool, StoreError> {
    let row = client.query_one(include_str!("leadership/try_lock.sql"), &[&key(projection)]).await?;
    Ok(row.try_get("locked")?)
}

/// Gives the lock back; false if this session did not hold it.
pub async fn unlock(client: &Client, projection: &str) -> Result<bool, StoreError> {
    let row = client.query_one(include_str!("leadership/unlock.sql"), &[&key(projection)]).await?;
    Ok(row.try_get("unlocked")?)
}

/// Advisory locks are numbers, one space for the whole database: a digest keeps clear of other users of it.
pub(crate) fn lock_key(purpose: &str) -> i64 {
    let digest = Sha256::digest(format!("hookstream {purpose}"));
    i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

fn key(projection: &str) -> i64 {
    lock_key(&format!("leader of {projection}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_have_keys_of_their_own() {
        assert_ne!(key("audit"), key("task_log"));
        assert_eq!(key("audit"), key("audit"));
    }
}
