//! Which variants of kernels are fastest on a device: each is run on buffers of its own and timed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wgrad_core::plan::{Buffer, BufferIndex, Plan, Role, Stage, Task, Work};
use wgrad_core::{
    Backend, BufferId, Choice, Choices, DeviceInfo, Error, Launch, Limits, ProgramId, Result, Site, Spec, TimedVariant,
    Tuned,
};

use super::backend::GpuBackend;
use super::cache;

/// Runs per variant, of which the median counts, and when to stop before that.
const RUNS: usize = 9;
const ENOUGH: Duration = Duration::from_millis(200);
/// A variant replaces the default one if it takes less than this share of its time: noise must not decide.
const BETTER: f64 = 0.95;
/// For how long to run where only the host has a clock: submitting takes time, too.
const LONG: Duration = Duration::from_millis(5);

/// One op of a plan.
#[derive(Clone, Copy)]
struct At<'a> {
    work: &'a Work,
    site: &'a Site,
    choice: &'a Choice,
}

fn late(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

impl GpuBackend {
    /// See [`Backend::tune`]. Each variant is compiled, run on zeros and timed, at most nine times: by the device's clock,
    /// or where it has none by the host's.
    pub(super) fn tune_plan(&mut self, plan: &Plan, limit: Duration, f: &mut dyn FnMut(&Tuned)) -> Result<Choices> {
        let deadline = Instant::now().checked_add(limit);
        let mut sites: Vec<At<'_>> = vec![];
        for task in &plan.tasks {
            for stage in &task.stages {
                let Work::Op { choices, .. } = &stage.work else { continue };
                for choice in choices {
                    let known = sites.iter().any(|at| at.choice.site == choice.site) || self.decided(choice);
                    if choice.variants.len() > 1 && !known {
                        sites.push(At { work: &stage.work, site: &task.site, choice });
                    }
                }
            }
        }
        for (at, left) in sites.iter().zip((0..sites.len()).rev()) {
            let Some((default, best)) = self.best(*at, deadline)? else { break };
            let variant = |(i, time): (usize, Duration)| TimedVariant { variant: at.choice.variants[i], time };
            let (site, default, chosen) = (at.choice.site.clone(), variant(default), variant(best));
            self.choices.set(&site, chosen.variant);
            f(&Tuned { site, default, chosen, left });
        }
        Ok(self.choices.clone())
    }

    /// Whether a site has a row, and it is of this version: it names a variant that exists.
    fn decided(&self, choice: &Choice) -> bool {
        self.choices.knows(&choice.site)
            && self.choices.get(&choice.site).is_some_and(|name| choice.variants.contains(&name))
    }

    /// The default variant at a site and the fastest one, with their times; none if there was no time to try them all.
    #[allow(clippy::type_complexity, reason = "two variants with their times")]
    fn best(
        &mut self,
        at: At<'_>,
        deadline: Option<Instant>,
    ) -> Result<Option<((usize, Duration), (usize, Duration))>> {
        let Choice { variants, chosen, .. } = at.choice;
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

    /// The median time of an op in one of its variants; of one run only if that takes longer than `longest`.
    fn time(
        &mut self,
        at: At<'_>,
        variant: usize,
        longest: Duration,
        deadline: Option<Instant>,
    ) -> Result<Option<Duration>> {
        if late(deadline) {
            return Ok(None);
        }
        let mut limits = self.limits();
        limits.choices.set(&at.choice.site, at.choice.variants[variant]);
        let mut bound = vec![];
        let loaded = self.load_alone(at, &limits, &mut bound);
        let program = loaded.as_ref().ok().copied();
        let time = loaded.and_then(|program| self.median(program, longest, deadline));
        self.release(program, &bound);
        time
    }

    fn median(&mut self, program: ProgramId, longest: Duration, deadline: Option<Instant>) -> Result<Option<Duration>> {
        // A driver may compile at the first run.
        let first = self.clock(program, 1)?;
        let runs = u32::try_from(LONG.as_nanos() / first.as_nanos().max(1)).unwrap_or(64).clamp(1, 64);
        let mut times: Vec<Duration> = vec![];
        while times.is_empty() || (times.len() < RUNS && times[0] <= longest && times.iter().sum::<Duration>() < ENOUGH)
        {
            if late(deadline) {
                return Ok(None);
            }
            times.push(self.clock(program, runs)?);
        }
        times.sort();
        Ok(Some(times[times.len() / 2]))
    }

    /// Loads a plan of one op alone, whose buffers are all bound.
    fn load_alone(&mut self, at: At<'_>, limits: &Limits, bound: &mut Vec<BufferId>) -> Result<ProgramId> {
        let Work::Op { op, signature, .. } = at.work else { unreachable!("only a structured op has variants") };
        let mut launch = Launch::new(&signature.inputs, &signature.outputs, limits);
        op.launch(&mut launch);
        let Launch { dispatches, scratch, choices, .. } = launch;
        let mut buffers = vec![];
        let mut place = |backend: &mut Self, specs: &[Spec]| -> Result<Vec<BufferIndex>> {
            let first = buffers.len();
            for spec in specs {
                bound.push(backend.allocate(spec)?);
                buffers.push(Buffer { spec: spec.clone(), role: Role::Fetch });
            }
            Ok((first..buffers.len()).map(BufferIndex).collect())
        };
        let (inputs, outputs) = (place(self, &signature.inputs)?, place(self, &signature.outputs)?);
        let scratch = place(self, &scratch)?;
        let work = Work::Op { op: op.clone(), dispatches, scratch, choices, signature: signature.clone() };
        let plan = Plan {
            buffers,
            slots: vec![],
            tasks: vec![Task { stages: vec![Stage { work, inputs, outputs }], site: at.site.clone() }],
            inputs: vec![],
            variables: vec![],
            schedule: vec![],
            counters: vec![],
            fetches: vec![],
            passes: vec![],
            launches: true,
        };
        let bound: Vec<_> = bound.iter().copied().map(Some).collect();
        self.load(Arc::new(plan), &bound, &[])
    }

    /// The time of a run: by the device's clock, or the mean of so many runs by the host's.
    fn clock(&mut self, program: ProgramId, runs: u32) -> Result<Duration> {
        if self.gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return self.profile(program).map(|times| times.iter().sum());
        }
        let start = Instant::now();
        self.run(program, runs as usize)?;
        self.gpu.wait(None)?;
        self.gpu.check()?;
        Ok(start.elapsed() / runs)
    }
}

/// Where the choices for a device are kept in a folder: one file per adapter and driver.
fn file(folder: &Path, device: &DeviceInfo) -> PathBuf {
    cache::of_device(folder, device, "choices")
}

/// The choices that [`save_choices`] kept for a device; none if there are none, or the file is damaged.
#[must_use]
pub fn load_choices(folder: impl AsRef<Path>, device: &DeviceInfo) -> Choices {
    std::fs::read_to_string(file(folder.as_ref(), device))
        .map_or_else(|_| Choices::default(), |text| Choices::parse(&text))
}

/// Keeps choices in a folder, such as [`cache_folder`](super::cache_folder), as text: one file per adapter and driver,
/// which is returned.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn save_choices(folder: impl AsRef<Path>, device: &DeviceInfo, choices: &Choices) -> Result<PathBuf> {
    let path = file(folder.as_ref(), device);
    match cache::replace(&path, choices.to_string().as_bytes()) {
        Ok(()) => Ok(path),
        Err(error) => Err(Error::Device(format!("{} could not be written: {error}", path.display()))),
    }
}
