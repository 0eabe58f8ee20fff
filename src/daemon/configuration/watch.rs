//! Files whose change is a reason to look again.

use std::path::PathBuf;

use tokio::task::JoinHandle;

use super::stamps::{Stamps, View};

/// Compares the files of the last look with what they are now, aside: a file system that does not
/// answer holds up a thread of its own and not the loop.
#[derive(Debug)]
pub struct Watch {
    view: View,
    /// As the last look found them.
    looked: Stamps,
    /// As they were a moment ago, when that is something else.
    changed: Option<Stamps>,
    asked: Option<JoinHandle<Stamps>>,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new(view: View) -> Self {
        Self { view, looked: Stamps::new(), changed: None, asked: None }
    }

    /// What can be seen.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The files that are watched.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.looked.keys().cloned().collect()
    }

    /// From now on these are watched: as a look found them.
    pub fn follow(&mut self, looked: Stamps) {
        self.looked = looked;
        self.changed = None;
    }

    /// Called once a second. Gives whether files have changed since the last look, and are quiet
    /// again: a checkout in the middle of a git operation is not worth a look.
    pub async fn tick(&mut self) -> bool {
        let now = match self.asked.take() {
            Some(asked) if !asked.is_finished() => {
                self.asked = Some(asked);
                return false;
            }
            Some(asked) => asked.await.ok(),
            None => None,
        };
        let (view, paths) = (self.view.clone(), self.paths());
        self.asked = Some(tokio::task::spawn_blocking(move || view.stamps(&paths)));
        now.is_some_and(|now| self.is_settled(now))
    }

    fn is_settled(&mut self, now: Stamps) -> bool {
        // Asked for before the last look named other files.
        if now == self.looked || !now.keys().eq(self.looked.keys()) {
            self.changed = None;
            return false;
        }
        let settled = self.changed.as_ref() == Some(&now);
        self.changed = Some(now);
        settled
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_counts_once_it_is_quiet_and_until_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let paths = vec![dir.path().join("one"), dir.path().join("two")];
        let view = View::whole();
        let mut watch = Watch::new(view.clone());
        watch.follow(view.stamps(&paths));
        assert!(!watch.is_settled(view.stamps(&paths)));
        fs::write(&paths[0], "a").unwrap();
        assert!(!watch.is_settled(view.stamps(&paths)), "just now");
        fs::write(&paths[1], "b").unwrap();
        assert!(!watch.is_settled(view.stamps(&paths)), "still going on");
        assert!(watch.is_settled(view.stamps(&paths)));
        assert!(watch.is_settled(view.stamps(&paths)), "nobody has looked yet");
        watch.follow(view.stamps(&paths));
        assert!(!watch.is_settled(view.stamps(&paths)));
        // And back again before anybody looked.
        fs::remove_file(&paths[1]).unwrap();
        assert!(!watch.is_settled(view.stamps(&paths)) && watch.is_settled(view.stamps(&paths)));
        // An answer to a question about other files says nothing.
        let old = view.stamps(&paths[..1]);
        assert!(!watch.is_settled(old.clone()) && !watch.is_settled(old));
    }

    #[tokio::test]
    async fn files_are_asked_for_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let mut watch = Watch::new(View::whole());
        watch.follow(View::whole().stamps([&path]));
        fs::write(&path, "a").unwrap();
        // Never in the first ticks; in the end it is.
        assert!(!watch.tick().await);
        while !watch.tick().await {
            tokio::task::yield_now().await;
        }
    }
}
