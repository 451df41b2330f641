//! Exchanging the generations, in one transaction.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hookstream_projection::Projection;
use hookstream_store::generation::{self, Exchange, Generation, Relation, State};
use hookstream_store::{Connection, StoreError, leadership};

use super::build::STREAM;
use super::{SESSION, Work};
use crate::output::progress as tell;

/// How long to wait for the locks on all tables; meanwhile those who come later wait behind us.
const LOCK_MS: u32 = 40;

/// How often to try, where others hold the tables.
const TRIES: u32 = 100;

/// How long to let them go on before the next try.
const PAUSE: Duration = Duration::from_millis(250);

impl<P: Projection, F: Fn() -> anyhow::Result<P>> Work<'_, F> {
    /// Puts `next` in use. Nothing is changed unless all of it is.
    pub(super) async fn swap(
        &mut self,
        next: &Generation,
        live: i32,
        differing: Option<i64>,
    ) -> anyhow::Result<()> {
        let former = Generation { projection: P::NAME.to_owned(), number: live, state: State::InUse };
        generation::create(&self.postgres, &former, SESSION).await?;
        let shared = generation::shared(&mut self.session).await?;
        let act = if self.args.rollback { "generation_rolled_back" } else { "generation_swapped" };
        self.tell_act(act, |act| act.with("generation", next.number).with("rows_differing", differing))
            .await?;
        let mut told = false;
        for _ in 0..TRIES {
            let holder = self.holder().await?;
            self.align(&holder, next).await?;
            let exchanged = exchange::<P>(&holder, next, &former, &shared).await;
            // Whoever leads next begins where the new generation stands.
            leadership::unlock(&self.session, P::NAME).await?;
            match exchanged {
                Ok(Some(held)) => return self.swapped(next, held).await,
                Ok(None) => {}
                Err(error) if error.is_lock_timeout() => {}
                Err(error) => return Err(error).context("exchange the generations: nothing was changed"),
            }
            if !told {
                tell("rebuild: somebody holds the tables: trying again until they can be exchanged at once");
                told = true;
            }
            drop(holder);
            tokio::time::sleep(PAUSE).await;
        }
        bail!(
            "others hold the tables of {} all the time, so nothing was exchanged: end long queries and transactions on \
             them (see pg_stat_activity), then give the command again",
            P::NAME
        )
    }

    async fn swapped(&self, next: &Generation, held: Duration) -> anyhow::Result<()> {
        tell(format_args!(
            "rebuild: generation {} of {} is in use; readers were held up for {} ms at most",
            next.number,
            P::NAME,
            held.as_millis()
        ));
        tell("rebuild: the former one is kept: --rollback puts it back in use, --drop drops it");
        if let Err(error) = self.bus.delete_consumer(STREAM, &next.schema()).await {
            // The server takes it away by itself later.
            tell(format_args!("rebuild: consumer {} is left: {error}", next.schema()));
        }
        Ok(())
    }
}

/// One try, in the transaction that holds the tables; returns for how long readers were held up, or nothing if somebody
/// else holds the tables.
async fn exchange<P: Projection>(
    holder: &Connection,
    next: &Generation,
    former: &Generation,
    shared: &[Relation],
) -> Result<Option<Duration>, StoreError> {
    let exchange = Exchange::prepare(holder, next.clone(), former.clone(), shared, P::CARRIED).await?;
    let begun = Instant::now();
    if !exchange.lock(LOCK_MS).await? {
        return Ok(None);
    }
    exchange.finish().await?;
    holder.batch_execute("COMMIT").await?;
    Ok(Some(begun.elapsed()))
}
