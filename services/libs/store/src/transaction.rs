use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use crate::Connection;

/// A transaction on a [`Connection`]; dropping it rolls it back.
///
/// What it is asked with is prepared once in a session and not once in a call, which would cost a round trip and a plan
/// each time. Hence the texts are `&'static`: there are only so many of them. Others go to the inner transaction, by
/// [`Deref`].
pub struct Transaction<'c> {
    inner: tokio_postgres::Transaction<'c>,
    statements: &'c Statements,
}

/// An error that may be no more than what follows an error before it.
pub trait Aftermath {
    /// Whether it only says that a failed transaction takes nothing more.
    fn is_aftermath(&self) -> bool;
}

/// Awaits two things that are asked in one transaction, so that Postgres works on one while we compute the other. If both
/// fail, the error is the one that made the other fail.
pub async fn together<A, B, E: Aftermath>(
    one: impl Future<Output = Result<A, E>>,
    other: impl Future<Output = Result<B, E>>,
) -> Result<(A, B), E> {
    match tokio::join!(one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(aftermath), Err(cause)) if aftermath.is_aftermath() => Err(cause),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// The statements that a session has prepared, by their text.
#[derive(Default)]
pub(crate) struct Statements(Mutex<HashMap<&'static str, Statement>>);

impl Statements {
    fn get(&self, sql: &str) -> Option<Statement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    fn keep(&self, sql: &'static str, statement: Statement) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, statement);
    }
}

impl Connection {
    /// Begins a transaction.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let (client, statements) = self.parts();
        Ok(Transaction { inner: client.transaction().await?, statements })
    }
}

impl Transaction<'_> {
    /// Executes a statement; how many rows it changed.
    pub async fn execute(&self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        self.inner.execute(&self.prepared(sql).await?, parameters).await
    }

    /// All rows of a query.
    pub async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.inner.query(&self.prepared(sql).await?, parameters).await
    }

    /// The one row of a query; another number of rows is an error.
    pub async fn query_one(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        self.inner.query_one(&self.prepared(sql).await?, parameters).await
    }

    /// The row of a query that has one or none; more are an error.
    pub async fn query_opt(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        self.inner.query_opt(&self.prepared(sql).await?, parameters).await
    }

    /// Sets a savepoint, to which dropping the result goes back.
    pub async fn savepoint(&mut self, name: &str) -> Result<Transaction<'_>, Error> {
        Ok(Transaction { inner: self.inner.savepoint(name).await?, statements: self.statements })
    }

    /// Makes everything written last, or releases the savepoint.
    pub async fn commit(self) -> Result<(), Error> {
        self.inner.commit().await
    }

    /// Undoes everything written, back to the savepoint if it is one.
    pub async fn rollback(self) -> Result<(), Error> {
        self.inner.rollback().await
    }

    async fn prepared(&self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement);
        }
        let statement = self.inner.prepare(sql).await?;
        self.statements.keep(sql, statement.clone());
        Ok(statement)
    }
}

impl<'c> Deref for Transaction<'c> {
    type Target = tokio_postgres::Transaction<'c>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
