//! Planner and store together, killed and started again at any moment, while the clock is set back
//! and forth: every occurrence is handed out or skipped once, and none comes twice.

use std::collections::BTreeSet;

use super::*;
use crate::run::SkipRow;
use crate::store::{Lease, Store};

#[derive(Debug, Clone)]
enum Event {
    /// Time passes; what is due is stored.
    Wait(i64),
    /// As before, and the scheduler starts anew.
    Restart(i64),
    /// Time passes; the scheduler is killed after it has planned, and before that is stored.
    Killed(i64),
    /// Time passes; the store cannot be written.
    Unwritable(i64),
    /// The clock is set.
    Step(i64),
    /// The clock is set, and the scheduler is killed before it stored what that means.
    KilledAtStep(i64),
    Reload,
}

/// Spans in milliseconds: less than the grace of a restart, hours, days.
fn spans() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![4 => 1_i64..40_000, 4 => 1_i64..9_000_000, 1 => 1_i64..300_000_000]
}

fn steps() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![3 => -10_800_000_i64..10_800_000, 1 => -5_000_i64..5_000]
}

fn events(steps: impl Strategy<Value = i64> + Clone + 'static) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => spans().prop_map(Event::Wait),
        2 => spans().prop_map(Event::Restart),
        2 => spans().prop_map(Event::Killed),
        1 => spans().prop_map(Event::Unwritable),
        2 => steps.clone().prop_map(Event::Step),
        1 => steps.prop_map(Event::KilledAtStep),
        1 => Just(Event::Reload),
    ];
    prop::collection::vec(event, 1..50)
}

/// What the store keeps, and a store that is asked to do the same.
#[derive(Default)]
struct Kept {
    marks: HashMap<JobName, Watermark>,
    era: u32,
    runs: BTreeSet<(String, DateTime<Utc>, u32)>,
    skips: Vec<Skip>,
    real: Option<(tempfile::TempDir, Lease, Store)>,
}

impl Kept {
    fn real() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease::try_take(dir.path(), None).unwrap().unwrap();
        let store = Store::open(dir.path(), &lease).unwrap().store;
        Self { real: Some((dir, lease, store)), ..Self::default() }
    }

    async fn store(&mut self, plan: Plan) {
        if let Some((_, _, store)) = &self.real {
            let skips = plan.skips.iter().cloned().map(|Skip { job, from, to, count, reason }| SkipRow {
                job,
                from,
                to,
                count: u32::try_from(count).unwrap(),
                reason,
            });
            let marks = plan.watermarks.iter().map(|(job, mark)| (job.clone(), mark.planned, mark.era)).collect();
            let new = store.plan(plan.rows.clone(), skips.collect(), marks, plan.era).await.unwrap();
            assert_eq!(new, plan.rows, "an occurrence was stored already");
        }
        self.era = self.era.max(plan.era.unwrap_or_default());
        for (job, mark) in plan.watermarks {
            let kept = self.marks.entry(job).or_insert(mark);
            if (mark.era, mark.planned) > (kept.era, kept.planned) {
                *kept = mark;
            }
        }
        for row in plan.rows {
            let occurrence = row.occurrence;
            let key = (occurrence.job.to_string(), occurrence.planned_for, occurrence.era);
            assert!(self.runs.insert(key.clone()), "handed out twice: {key:?}");
        }
        self.skips.extend(plan.skips);
    }

    /// What a start finds.
    async fn found(&mut self) -> (HashMap<JobName, Watermark>, u32) {
        if let Some((dir, lease, store)) = self.real.take() {
            drop(store);
            let store = Store::open(dir.path(), &lease).unwrap().store;
            let marks = store.watermarks().await.unwrap().into_iter();
            let marks = marks.map(|(job, mark)| (job, Watermark { planned: mark.at, era: mark.era }));
            assert_eq!(marks.collect::<HashMap<_, _>>(), self.marks);
            assert_eq!(store.era().await.unwrap(), self.era);
            self.real = Some((dir, lease, store));
        }
        (self.marks.clone(), self.era)
    }

    fn runs_of(&self, job: &str) -> Vec<(DateTime<Utc>, u32)> {
        self.runs.iter().filter(|(of, ..)| of == job).map(|(_, at, era)| (*at, *era)).collect()
    }

    fn skipped(&self, job: &str) -> u64 {
        self.skips.iter().filter(|skip| skip.job.as_str() == job).map(|skip| skip.count).sum()
    }
}

struct World {
    jobs: Vec<Job>,
    planner: Planner,
    kept: Kept,
    unwritten: Vec<Plan>,
    now: DateTime<Utc>,
    /// The latest time that the clock showed when a plan was stored.
    reached: DateTime<Utc>,
    /// The latest time that it showed at all.
    shown: DateTime<Utc>,
}

impl World {
    async fn new(jobs: Vec<Job>, kept: Kept) -> Self {
        let now = at("03-27T20:00:00");
        let planner = Planner::new(&jobs, &HashMap::new(), 0, "host", now);
        let mut world = Self { jobs, planner, kept, unwritten: vec![], now, reached: now, shown: now };
        world.store_due().await;
        world
    }

    async fn store_due(&mut self) {
        for plan in std::mem::take(&mut self.unwritten) {
            self.kept.store(plan).await;
        }
        let plan = self.planner.due(self.now);
        self.reached = self.reached.max(self.now);
        self.kept.store(plan).await;
    }

    async fn start(&mut self) {
        self.unwritten.clear();
        let (marks, era) = self.kept.found().await;
        self.planner = Planner::new(&self.jobs, &marks, era, "host", self.now);
        self.store_due().await;
    }

    fn pass(&mut self, milliseconds: i64) {
        self.now += TimeDelta::milliseconds(milliseconds);
        self.shown = self.shown.max(self.now);
    }

    /// Back, but never more than three hours behind what the clock has shown.
    fn step(&mut self, milliseconds: i64) -> DateTime<Utc> {
        let to = (self.now + TimeDelta::milliseconds(milliseconds)).max(self.shown - TimeDelta::hours(3));
        self.shown = self.shown.max(to);
        std::mem::replace(&mut self.now, to)
    }

    async fn happens(&mut self, event: &Event) {
        match event {
            Event::Wait(span) => {
                self.pass(*span);
                self.store_due().await;
            }
            Event::Restart(span) => {
                self.pass(*span);
                self.store_due().await;
                self.start().await;
            }
            Event::Killed(span) => {
                self.pass(*span);
                let _ = self.planner.due(self.now);
                self.start().await;
            }
            Event::Unwritable(span) => {
                self.pass(*span);
                self.unwritten.push(self.planner.due(self.now));
            }
            Event::Step(span) => {
                let from = self.step(*span);
                let _ = self.planner.clock_stepped(from, self.now);
                self.reached = self.reached.max(from);
                self.store_due().await;
            }
            Event::KilledAtStep(span) => {
                self.step(*span);
                self.start().await;
            }
            Event::Reload => self.planner.reload(&self.jobs, self.now),
        }
    }
}

fn jobs(texts: [&str; 3], missed: Missed) -> Vec<Job> {
    let policy = Policy { missed, ..Policy::default() };
    ["fixed", "wild", "every"]
        .into_iter()
        .zip(texts)
        .map(|(name, text)| Job { policy: policy.clone(), ..job(name, text) })
        .collect()
}

fn policies() -> impl Strategy<Value = Missed> {
    prop_oneof![Just(Missed::Skip), Just(Missed::Once), (1_u32..6).prop_map(Missed::All)]
}

fn fixed() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["30 1,2 * * *", "0-50/10 0-23 * * *", "CRON_TZ=Europe/Berlin 0,20,40 2,3 * * *"])
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
}

async fn any_history(events: Vec<Event>, fixed: &str, missed: Missed, kept: Kept) {
    let mut world = World::new(jobs([fixed, "*/7 * * * *", "@every 90s"], missed), kept).await;
    let start = world.now;
    for event in &events {
        world.happens(event).await;
    }
    world.store_due().await;
    // A fixed-time job knows no eras: each time that any clock has shown is dealt with once.
    let runs = world.kept.runs_of("fixed");
    assert!(runs.windows(2).all(|pair| pair[0].0 < pair[1].0), "doubled: {runs:?}");
    let schedule = &world.jobs[0].schedule;
    assert_eq!(runs.len() as u64 + world.kept.skipped("fixed"), schedule.count_between(start, world.reached));
    for skip in world.kept.skips.iter().filter(|skip| skip.job.as_str() == "fixed") {
        assert!(!runs.iter().any(|(at, _)| (skip.from..=skip.to).contains(at)), "run and skipped: {skip:?}");
    }
}

proptest! {
    #[test]
    fn fixed_times_come_once_whatever_happens(events in events(steps()), fixed in fixed(), missed in policies()) {
        run(any_history(events, fixed, missed, Kept::default()));
    }

    /// Without steps nobody's occurrences come twice or not at all.
    #[test]
    fn all_come_once_while_the_clock_is_left_alone(events in events(Just(0)), fixed in fixed(), missed in policies()) {
        run(async move {
            let mut world = World::new(jobs([fixed, "*/7 * * * *", "@every 90s"], missed), Kept::default()).await;
            let start = world.now;
            for event in events.iter().filter(|event| !matches!(event, Event::Step(_) | Event::KilledAtStep(_))) {
                world.happens(event).await;
            }
            world.store_due().await;
            assert_eq!(world.kept.era, 0);
            for job in &world.jobs {
                let name = job.name.as_str();
                let total = job.schedule.count_between(start, world.now);
                assert_eq!(world.kept.runs_of(name).len() as u64 + world.kept.skipped(name), total, "{name}");
            }
            if matches!(missed, Missed::Once) && world.now - start < TimeDelta::days(1) {
                // Of each time away the newest is run: the last one of all among them.
                let runs = world.kept.runs_of("wild");
                let newest = crate::scheduler::missed::newest(&world.jobs[1].schedule, start, world.now, 1);
                assert_eq!(runs.last().map(|run| run.0), newest.last().copied());
            }
        });
    }

    /// Jobs that follow elapsed time are due at each time that the clock passes through, again and again,
    /// and at none that it jumps over.
    #[test]
    fn elapsed_time_is_followed_through_steps(
        events in prop::collection::vec(prop_oneof![2 => spans().prop_map(Event::Wait), 1 => steps().prop_map(Event::Step)], 1..40),
        missed in policies(),
    ) {
        run(async move {
            let mut world = World::new(jobs(["@daily", "*/7 * * * *", "@every 90s"], missed), Kept::default()).await;
            let mut totals = [0, 0];
            let mut begun = world.now;
            for event in &events {
                let before = world.now;
                world.happens(event).await;
                if matches!(event, Event::Step(_)) {
                    for (total, job) in totals.iter_mut().zip(&world.jobs[1..]) {
                        *total += job.schedule.count_between(begun, before);
                    }
                    begun = world.now;
                }
            }
            for (total, job) in totals.iter_mut().zip(&world.jobs[1..]) {
                *total += job.schedule.count_between(begun, world.now);
                let name = job.name.as_str();
                assert_eq!(world.kept.runs_of(name).len() as u64 + world.kept.skipped(name), *total, "{name}");
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_store_keeps_its_part(events in events(steps()), fixed in fixed(), missed in policies()) {
        run(any_history(events, fixed, missed, Kept::real()));
    }
}
