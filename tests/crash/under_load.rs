//! Jobs that are due every second, and a scheduler that is killed at any time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::books::Books;
use super::jobs::Kind;
use super::stack::Stack;
use crate::number;

#[test]
fn at_every_place_of_an_occurrence() {
    let stack = Stack::new("due", |_| vec![Kind::scheduled("due", "* * * * * *", "skip", "1.2")]);
    let mut scheduler = stack.start();
    for place in ["plan.due", "plan.stored", "run.create", "run.recorded", "skip.due", "skip.stored", "run.ended"] {
        stack.arm(place);
        scheduler.dies(place);
        stack.spawn(Some("recover.planned")).dies("recover.planned");
        scheduler = stack.start();
    }
    let _scheduler = stack.quiesce(scheduler);
    Books::open(&stack).audit();
}

/// Fifteen times, or as often as `CRASH_KILLS` says.
#[test]
fn at_any_time() {
    let stack = Stack::new("load", |_| {
        vec![
            Kind::scheduled("skips", "* * * * * *", "skip", "").saying(400, "sleep 1.1"),
            Kind::scheduled("queues", "* * * * * *", "queue", "").saying(200, "sleep 0.4"),
            Kind::scheduled("allows", "*/2 * * * * *", "allow", "").saying(300, "sleep 1"),
            Kind::scheduled("every", "@every 1s", "skip", "").saying(100, "sleep 0.1"),
        ]
    });
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut random = Random(u64::from(seed) | 1);
    for n in 0..number("CRASH_KILLS", 15) {
        let mut scheduler = stack.spawn(None);
        if n % 3 > 0 {
            // While it works; else while it starts.
            scheduler.says("armed");
        }
        // Not a wait for something: the time of death is a matter of chance.
        std::thread::sleep(Duration::from_millis(random.below(2500)));
        scheduler.kill();
    }
    let _scheduler = stack.quiesce(stack.start());
    println!("{} lines of history", stack.listed().len());
    Books::open(&stack).audit();
}

/// As good as needed: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
