//! Whether the trail in Postgres is whole.

use hookstream_store::{GenericClient, StoreError};
use hookstream_trail::chain::Verifier;
use hookstream_trail::{Broken, Fault, Head};

use crate::rows;

/// Entries read at a time while verifying: what bounds the memory.
const PAGE_ENTRIES: i64 = 1000;

/// The trail could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not what was written. Names the first wrong entry.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Recomputes every hash of the trail, from the first entry to where it ends now, in constant memory; returns its head.
///
/// Finds every entry that was changed, removed, inserted or moved, unless all entries behind it were rewritten too.
/// Entries removed at the end are found as long as the checkpoint tells of them; to be sure, compare the head with one
/// that was noted elsewhere.
pub async fn verify_trail<C: GenericClient + Sync>(client: &C) -> Result<Head, VerifyError> {
    let mut verifier = Verifier::after(Head::EMPTY);
    let statement = client.prepare(include_str!("sql/page.sql")).await.map_err(StoreError::from)?;
    // Below the first, so that an entry that was put there is seen too.
    let mut position = i64::MIN;
    loop {
        let page = client.query(&statement, &[&position, &PAGE_ENTRIES]).await.map_err(StoreError::from)?;
        for row in &page {
            let unreadable =
                |_| Broken { audit_sequence: verifier.head().audit_sequence + 1, fault: Fault::Unreadable };
            let entry = rows::entry(row).map_err(unreadable)?;
            verifier.check(&entry)?;
        }
        if page.is_empty() {
            break;
        }
        position = verifier.head().audit_sequence;
    }
    check_tail(client).await?;
    Ok(verifier.head())
}

/// Whether the last event that the checkpoint passed is the last entry.
async fn check_tail<C: GenericClient + Sync>(client: &C) -> Result<(), VerifyError> {
    let row = client.query_opt(include_str!("sql/tail.sql"), &[]).await.map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(()) };
    let present: bool = row.try_get("present").map_err(StoreError::from)?;
    if present {
        return Ok(());
    }
    let last: Option<i64> = row.try_get("audit_sequence").map_err(StoreError::from)?;
    let stream_sequence = row.try_get("stream_sequence").map_err(StoreError::from)?;
    Err(Broken { audit_sequence: last.unwrap_or(0) + 1, fault: Fault::Tail { stream_sequence } }.into())
}
