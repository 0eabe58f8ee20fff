//! A ledger whose disk is full at one step.

use std::cell::Cell;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use tender::run::{Ledger, RunId, RunRecord, Started, StopReason};
use tender::store::Store;

pub struct Broken {
    store: Store,
    fails: Cell<&'static str>,
}

impl Broken {
    pub fn new(store: Store, fails: &'static str) -> Self {
        Self { store, fails: Cell::new(fails) }
    }

    pub fn mend(&self) {
        self.fails.set("");
    }

    fn step(&self, name: &str) -> Result<()> {
        if self.fails.get() == name {
            bail!("disk full");
        }
        Ok(())
    }
}

impl Ledger for Broken {
    async fn starting(&self, run: &RunId, started: &Started) -> Result<()> {
        self.step("starting")?;
        self.store.starting(run, started).await
    }
    async fn not_started(&self, run: &RunId) -> Result<()> {
        self.store.not_started(run).await
    }
    async fn running(&self, run: &RunId, at: DateTime<Utc>, deadline: Option<DateTime<Utc>>) -> Result<()> {
        self.store.running(run, at, deadline).await
    }
    async fn stopping(&self, run: &RunId, why: StopReason, kill_at: DateTime<Utc>) -> Result<()> {
        self.store.stopping(run, why, kill_at).await
    }
    async fn finished(&self, record: &RunRecord) -> Result<()> {
        self.step("finished")?;
        self.store.finished(record).await
    }
}
