//! Pages of lists: a key, a limit, and where the next one begins.

use hookstream_store::Row;
use serde::Serialize;

use crate::cursor;
use crate::problem::Problem;
use crate::values::column;

/// Which page of a list.
#[derive(Debug)]
pub(crate) struct PageRequest<K> {
    /// Most rows.
    pub(crate) limit: i64,
    /// Key of the last row of the page before.
    pub(crate) after: Option<K>,
    /// The projections must have applied this sequence.
    pub(crate) min_sequence: u64,
    /// What a cursor to the next page belongs to.
    pub(crate) scope: String,
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

impl<K> PageRequest<K> {
    /// How many rows to ask for: one more than the page has, to see whether there is a next one.
    pub(crate) fn rows_wanted(&self) -> i64 {
        self.limit + 1
    }

    fn items_max(&self) -> usize {
        // From 1 to 500.
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }
}

impl<K: Serialize> PageRequest<K> {
    /// The page of `rows`, of which the last one only shows that there are more.
    pub(crate) fn answer<T>(
        &self,
        rows: &[Row],
        read: impl Fn(&Row) -> Result<T, Problem>,
        key: impl Fn(&T) -> K,
    ) -> Result<Page<T>, Problem> {
        self.page(rows, rows.len() > self.items_max(), read, key)
    }

    /// The same where the query may have cut the page short: column `page_rows` tells how many rows there would be.
    pub(crate) fn answer_cut<T>(
        &self,
        rows: &[Row],
        read: impl Fn(&Row) -> Result<T, Problem>,
        key: impl Fn(&T) -> K,
    ) -> Result<Page<T>, Problem> {
        let found = rows.len().min(self.items_max());
        let more = match rows.first() {
            // A few hundred.
            Some(row) => column::<i64>(row, "page_rows")?.unsigned_abs() > found as u64,
            None => false,
        };
        self.page(rows, more, read, key)
    }

    fn page<T>(
        &self,
        rows: &[Row],
        more: bool,
        read: impl Fn(&Row) -> Result<T, Problem>,
        key: impl Fn(&T) -> K,
    ) -> Result<Page<T>, Problem> {
        let items: Vec<T> = rows.iter().take(self.items_max()).map(read).collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| more).map(key);
        Ok(Page { next_cursor: last.map(|key| cursor::encode(&self.scope, &key)), items })
    }
}
