//! Tuning: measures the variants of each op's kernels on a device. Each variant runs with separately allocated
//! buffers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wgrad_core::plan::{Buffer, BufferIndex, Plan, Role, Task, TaskStage, Work};
use wgrad_core::{Backend, BufferId, Launch, Limits, ProgramId, Result, Site, Spec, TimedVariant, Tuned, TuningChoice};

/// Largest number of timed runs per variant. The median time is used.
const RUNS: usize = 9;
/// Total time of a variant's runs after which no further run is started.
const ENOUGH: Duration = Duration::from_millis(200);
/// Threshold for another variant: it replaces the default if its time is less than this fraction of the default's
/// time. A small difference may be noise.
const BETTER: f64 = 0.95;
/// Time that one measurement with the host's clock should take. It covers several runs, because submitting takes
/// time, too.
const LONG: Duration = Duration::from_millis(5);

/// Op of a plan whose kernel has several variants, and the choice between them.
#[derive(Clone, Copy)]
struct TuningCase<'a> {
    work: &'a Work,
    site: &'a Site,
    choice: &'a TuningChoice,
}

/// Returns whether the deadline has passed; `false` if there is none.
fn late(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Measures variants of kernels on a device.
pub(super) struct Tuner<'a> {
    pub backend: &'a mut dyn Backend,
    /// The device's limits. They contain the tuning choices made so far, to which new choices are added.
    pub limits: &'a mut Limits,
    /// True if the device supports timestamps.
    pub clock: bool,
}

impl Tuner<'_> {
    /// Chooses variants; see [`Backend::tune`]. Each variant is compiled, run on zeros and timed at most nine
    /// times. The time comes from the device's timestamps if it supports them, else from the host's clock.
    ///
    /// # Errors
    /// Returns an error if a variant does not run. Choices made before that are kept.
    pub fn tune(&mut self, plan: &Plan, limit: Duration, f: &mut dyn FnMut(&Tuned)) -> Result<()> {
        let deadline = Instant::now().checked_add(limit);
        let mut sites: Vec<TuningCase<'_>> = vec![];
        for task in &plan.tasks {
            for stage in &task.stages {
                let Work::Op { choices, .. } = &stage.work else { continue };
                for choice in choices {
                    let known = sites.iter().any(|at| at.choice.key == choice.key) || self.decided(choice);
                    if choice.variants.len() > 1 && !known {
                        sites.push(TuningCase { work: &stage.work, site: &task.site, choice });
                    }
                }
            }
        }
        for (at, left) in sites.iter().zip((0..sites.len()).rev()) {
            let Some((default, best)) = self.best(*at, deadline)? else { break };
            let variant = |(i, time): (usize, Duration)| TimedVariant { variant: at.choice.variants[i], time };
            let (key, default, chosen) = (at.choice.key.clone(), variant(default), variant(best));
            self.limits.choices.set(&key, chosen.variant);
            f(&Tuned { key, default, chosen, left });
        }
        Ok(())
    }

    /// Returns whether a choice has been made and names an existing variant. A choice of another version of wgrad
    /// may name a variant that no longer exists.
    fn decided(&self, choice: &TuningChoice) -> bool {
        let made = &self.limits.choices;
        made.contains(&choice.key) && made.get(&choice.key).is_some_and(|name| choice.variants.contains(&name))
    }

    /// Returns the default variant and the fastest one, with their times. Returns `None` if the deadline passed
    /// before all variants were measured.
    #[allow(clippy::type_complexity, reason = "two variants with their times")]
    fn best(
        &mut self,
        at: TuningCase<'_>,
        deadline: Option<Instant>,
    ) -> Result<Option<((usize, Duration), (usize, Duration))>> {
        let TuningChoice { variants, chosen, .. } = at.choice;
        let Some(time) = self.time(at, *chosen, Duration::MAX, deadline)? else { return Ok(None) };
        let default = (*chosen, time);
        let (mut best, mut least) = (default, time.mul_f64(BETTER));
        for variant in (0..variants.len()).filter(|variant| variant != chosen) {
            let Some(took) = self.time(at, variant, least * 2, deadline)? else { return Ok(None) };
            if took < least {
                (best, least) = ((variant, took), took);
            }
        }
        Ok(Some((default, best)))
    }

    /// Returns the median time of a variant. If one run takes longer than `longest`, that is the only run. Returns
    /// `None` after the deadline.
    fn time(
        &mut self,
        at: TuningCase<'_>,
        variant: usize,
        longest: Duration,
        deadline: Option<Instant>,
    ) -> Result<Option<Duration>> {
        if late(deadline) {
            return Ok(None);
        }
        let mut limits = self.limits.clone();
        limits.choices.set(&at.choice.key, at.choice.variants[variant]);
        let mut bound = vec![];
        let loaded = self.load_alone(at, &limits, &mut bound);
        let program = loaded.as_ref().ok().copied();
        let time = loaded.and_then(|program| self.median(program, longest, deadline));
        self.backend.release(program, &bound);
        time
    }

    /// Returns the median time of several runs of a program. Returns `None` after the deadline.
    fn median(&mut self, program: ProgramId, longest: Duration, deadline: Option<Instant>) -> Result<Option<Duration>> {
        // The first run does not count, because the driver may still compile during it.
        let first = self.time_of_run(program, 1)?;
        let runs = u32::try_from(LONG.as_nanos() / first.as_nanos().max(1)).unwrap_or(64).clamp(1, 64);
        let mut times: Vec<Duration> = vec![];
        while times.is_empty() || (times.len() < RUNS && times[0] <= longest && times.iter().sum::<Duration>() < ENOUGH)
        {
            if late(deadline) {
                return Ok(None);
            }
            times.push(self.time_of_run(program, runs)?);
        }
        times.sort();
        Ok(Some(times[times.len() / 2]))
    }

    /// Loads a plan that consists of a single op. All buffers of the plan are allocated here and added to `bound`.
    fn load_alone(&mut self, at: TuningCase<'_>, limits: &Limits, bound: &mut Vec<BufferId>) -> Result<ProgramId> {
        let Work::Op { op, signature, .. } = at.work else { unreachable!("only a structured op has variants") };
        let mut launch = Launch::new(&signature.inputs, &signature.outputs, limits);
        op.launch(&mut launch);
        let Launch { dispatches, scratch, choices, .. } = launch;
        let mut buffers = vec![];
        let mut place = |specs: &[Spec]| -> Result<Vec<BufferIndex>> {
            let first = buffers.len();
            for spec in specs {
                bound.push(self.backend.allocate(spec)?);
                buffers.push(Buffer { spec: spec.clone(), role: Role::Fetch });
            }
            Ok((first..buffers.len()).map(BufferIndex).collect())
        };
        let (inputs, outputs) = (place(&signature.inputs)?, place(&signature.outputs)?);
        let scratch = place(&scratch)?;
        let work = Work::Op { op: op.clone(), dispatches, scratch, choices, signature: signature.clone() };
        let plan = Plan {
            buffers,
            slots: vec![],
            tasks: vec![Task { stages: vec![TaskStage { work, inputs, outputs }], site: at.site.clone() }],
            inputs: vec![],
            variables: vec![],
            schedule: vec![],
            counters: vec![],
            fetches: vec![],
            passes: vec![],
            launches: true,
        };
        let bound: Vec<_> = bound.iter().copied().map(Some).collect();
        self.backend.load(Arc::new(plan), &bound, &[])
    }

    /// Returns the time of one run: measured with the device's timestamps, or the mean of `runs` runs on the
    /// host's clock.
    fn time_of_run(&mut self, program: ProgramId, runs: u32) -> Result<Duration> {
        if self.clock {
            return self.backend.profile(program).map(|times| times.iter().sum());
        }
        let start = Instant::now();
        pollster::block_on(self.backend.run_and_read(program, runs as usize, &[])?)?;
        Ok(start.elapsed() / runs)
    }
}
