//! Who may write: two locks that the kernel keeps and gives back when their holder dies.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// The right to write to a state dir and to act on a stack, for as long as it is held.
#[derive(Debug)]
pub struct Lease {
    file: File,
    /// Guards the stack against a second scheduler that has another state dir.
    _stack: Option<File>,
    generation: u64,
}

impl Lease {
    /// Takes the lease if it is free: `<state>/lease` guards the store, the folder of the stack
    /// guards the stack. `None` while another process holds either of them.
    ///
    /// # Errors
    /// When one of the two cannot be opened or locked.
    pub fn try_take(state_dir: &Path, compose_dir: Option<&Path>) -> Result<Option<Self>> {
        fs::create_dir_all(state_dir).with_context(|| format!("failed to create {}", state_dir.display()))?;
        let path = state_dir.join("lease");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("failed to open {}", path.display()))?;
        if !lock(&file, &path)? {
            return Ok(None);
        }
        let stack = match compose_dir {
            None => None,
            Some(dir) => {
                let folder = File::open(dir).with_context(|| format!("failed to open {}", dir.display()))?;
                if !lock(&folder, dir)? {
                    return Ok(None);
                }
                Some(folder)
            }
        };
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("failed to read {}", path.display()))?;
        let found = text.trim();
        let generation = if found.is_empty() {
            1
        } else {
            found.parse().with_context(|| format!("{} holds no generation: {found:?}; remove it", path.display()))?
        };
        let mut lease = Self { file, _stack: stack, generation };
        if found.is_empty() {
            lease.set_generation(generation)?;
        }
        Ok(Some(lease))
    }

    /// Which generation of the scheduler holds it; a hand-over counts it up.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Sets the generation; durable when it returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_generation(&mut self, generation: u64) -> Result<()> {
        // One write of fixed width: a reader sees the old number or the new one.
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(format!("{generation:020}\n").as_bytes()))
            .and_then(|()| self.file.sync_all())
            .context("failed to write the generation into the lease")?;
        self.generation = generation;
        Ok(())
    }
}

fn lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("failed to lock {}", path.display())),
    }
}

/// The random id of a state dir, created once: twelve hexadecimal digits.
///
/// # Errors
/// When the file can neither be read nor written.
pub fn instance(state_dir: &Path, lease: &Lease) -> Result<String> {
    let _ = lease;
    let path = state_dir.join("instance");
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
    let id = crate::run::RunId::random().0;
    // Under the lease nobody else writes it; a torn one was never given out.
    let new = path.with_extension("new");
    File::create(&new)
        .and_then(|mut file| file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| File::open(state_dir)?.sync_all())
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(id)
}
