//! What is durable about the one rotation that is under way, and how it is taken back.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::name::temporary;
use crate::journal::Journal;

/// How far the rotation of a log got. Written before what it speaks of is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// At most a temporary file was made; the log is untouched.
    Copying(Plan),
    /// A whole archive exists, under its temporary or its final name, and the log may have been cut.
    Archived(Archived),
}

/// What a rotation is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Path of the log's folder.
    pub folder: OsString,
    /// Name of the log in it.
    pub log: OsString,
    /// The log itself, whatever its name becomes.
    pub inode: u64,
    /// Name of the archive.
    pub archive: OsString,
    /// Level of gzip.
    pub level: u32,
    /// First byte of the log that holds data: what lies before is a hole.
    pub start: u64,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

impl Plan {
    /// Path of the log.
    pub fn path(&self) -> PathBuf {
        Path::new(&self.folder).join(&self.log)
    }
}

/// A whole archive of the first bytes of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Archived {
    /// What it is about.
    pub plan: Plan,
    /// The archive itself.
    pub archive_inode: u64,
    /// Its bytes, without the tail that is added after the cut.
    pub packed: u64,
    /// The archive holds the log up to this byte.
    pub end: u64,
}

/// The desk on which one rotation lies.
#[derive(Debug)]
pub struct Desk {
    /// Where it stands.
    pub journal: Journal<Rotation>,
    /// What a log got after its archive was closed, as it is; goes to the archive after the cut.
    pub tail: PathBuf,
}

impl Desk {
    /// The desk that belongs to a state file.
    pub fn of(state: &Path) -> Self {
        Self { journal: Journal::at(super::beside(state, ".journal")), tail: super::beside(state, ".tail") }
    }

    /// Removes the tail; gone already is fine.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn drop_tail(&self) -> Result<()> {
        match fs::remove_file(&self.tail) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove {}", self.tail.display()))
            }
            _ => Ok(()),
        }
    }

    /// Takes back a rotation whose log is still whole.
    ///
    /// # Errors
    /// When something cannot be removed; the journal then still stands.
    pub fn undo(&self, folder: &Folder) -> Result<()> {
        let (plan, archived) = match self.journal.read()? {
            None => return Ok(()),
            Some(Rotation::Copying(plan)) => (plan, None),
            Some(Rotation::Archived(archived)) => (archived.plan, Some(archived.archive_inode)),
        };
        folder.remove(&temporary(&plan.archive))?;
        if archived.is_some() && folder.look(&plan.archive)?.map(|stat| stat.st_ino) == archived {
            folder.remove(&plan.archive)?;
        }
        folder.sync()?;
        self.drop_tail()?;
        self.journal.clear()
    }
}
