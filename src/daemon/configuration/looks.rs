//! Who waits for which look at the configuration.

use tokio::sync::oneshot;

use crate::run::Reloaded;

/// Somebody who waits for a reload.
pub type Asker = oneshot::Sender<Result<Reloaded, String>>;

/// One look at a time. Who asks during one is answered by the next: what the present one finds may
/// be older than the question. However many ask, there is one next look.
#[derive(Debug, Default)]
pub struct Looks {
    now: Option<Vec<Asker>>,
    next: Option<Vec<Asker>>,
}

impl Looks {
    /// Asks for a look. Gives whether one is to begin now.
    pub fn ask(&mut self, asker: Option<Asker>) -> bool {
        let begins = self.now.is_none();
        let look = if begins { &mut self.now } else { &mut self.next };
        look.get_or_insert_default().extend(asker);
        begins
    }

    /// Whether a look is under way.
    pub const fn is_under_way(&self) -> bool {
        self.now.is_some()
    }

    /// The look under way has ended: answers those who wait for it. Gives whether the next one is
    /// to begin now.
    pub fn ended(&mut self, answer: &Result<Reloaded, String>) -> bool {
        for asker in self.now.take().into_iter().flatten() {
            // Whoever asked may have gone.
            let _ = asker.send(answer.clone());
        }
        self.now = self.next.take();
        self.now.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn askers_are_answered_by_a_look_that_began_after_their_question() {
        let mut looks = Looks::default();
        let (one, mut first) = oneshot::channel();
        assert!(looks.ask(Some(one)));
        // During it: a signal, two people. One look for all three.
        let (two, mut second) = oneshot::channel();
        let (three, mut third) = oneshot::channel();
        assert!(!looks.ask(None) && !looks.ask(Some(two)) && !looks.ask(Some(three)));
        assert!(looks.ended(&Err("old".to_owned())) && looks.is_under_way());
        assert_eq!(first.try_recv().unwrap(), Err("old".to_owned()));
        assert!(second.try_recv().is_err() && third.try_recv().is_err());
        let new = Ok(Reloaded { jobs: 7, ..Reloaded::default() });
        assert!(!looks.ended(&new) && !looks.is_under_way());
        assert_eq!((second.try_recv().unwrap(), third.try_recv().unwrap()), (new.clone(), new));
    }

    #[test]
    fn whoever_has_gone_holds_nothing_up() {
        let mut looks = Looks::default();
        let (asker, gone) = oneshot::channel();
        drop(gone);
        assert!(looks.ask(Some(asker)));
        assert!(!looks.ended(&Ok(Reloaded::default())));
        assert!(looks.ask(None), "and the next one begins");
    }
}
