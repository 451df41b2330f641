//! The rows that an event became, each as a line of text.

use hookstream_store::Connection;

use super::Sent;

/// Table and row, in the order of [`super::EVERY_EVENT`], then the phases that the event enqueued or reports on, then
/// whatever became a dead letter.
pub(super) async fn of(database: &Connection, sent: &Sent) -> anyhow::Result<Vec<(String, String)>> {
    let queue_id = sent.body["queue_id"].as_str();
    let rows = database.query(include_str!("rows.sql"), &[&sent.sequence, &queue_id]).await?;
    rows.iter().map(|row| Ok((row.try_get("table_name")?, row.try_get("row_text")?))).collect()
}
