//! The one thread that writes.

use std::sync::mpsc;

use anyhow::{Result, anyhow};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::damage::{Damage, is_full};
use super::disk::Ballast;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// What a commit must outlive when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The death of this process (`synchronous=NORMAL` in WAL mode).
    Process,
    /// The loss of power (`synchronous=FULL`).
    Power,
}

/// Sends work to the thread; it ends when all senders are gone.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    work: mpsc::Sender<Work>,
    ballast: Ballast,
    damage: Damage,
}

impl Thread {
    /// Gives a connection to a thread of its own.
    pub(super) fn start(mut connection: Connection, ballast: Ballast, damage: Damage) -> Result<Self> {
        let (work, queue) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            while let Ok(work) = queue.recv() {
                work(&mut connection);
            }
        })?;
        Ok(Self { work, ballast, damage })
    }

    pub(super) const fn ballast(&self) -> &Ballast {
        &self.ballast
    }

    pub(super) const fn damage(&self) -> &Damage {
        &self.damage
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let (ballast, damage) = (self.ballast.clone(), self.damage.clone());
        let work: Work = Box::new(move |connection| {
            let done = work(connection).inspect_err(|error| {
                damage.judge(error);
                if is_full(error) {
                    // There is room for the next attempt.
                    ballast.give_up();
                }
            });
            // Nobody waits for the answer any more when a run's task was dropped.
            let _ = reply.send(done);
        });
        self.work.send(work).map_err(|_| anyhow!("the store's thread has ended"))?;
        answer.await.map_err(|_| anyhow!("the store's thread has ended"))?
    }

    /// Reads on the thread's connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call(|connection| work(connection)).await
    }

    /// Runs `work` in one transaction, committed when it succeeds.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call(move |connection| {
            // Outside of a transaction, as it must be. The sync of one commit covers all before it:
            // they are in the same log.
            if durability == Durability::Power {
                connection.pragma_update(None, "synchronous", "FULL")?;
            }
            let result = transact(connection, work);
            if durability == Durability::Power
                && let Err(error) = connection.pragma_update(None, "synchronous", "NORMAL")
            {
                // Slower and no less safe; what was committed is committed.
                tracing::warn!("the store goes on with full synchronization: {error}");
            }
            result
        })
        .await
    }
}

fn transact<T>(connection: &mut Connection, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&tx)?;
    tx.commit()?;
    Ok(value)
}
