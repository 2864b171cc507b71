//! Which variants of kernels are fastest on a device: each is run on buffers of its own and timed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wgrad_core::plan::{Buffer, Plan, Role, Stage, Task, Work};
use wgrad_core::{Backend, Choice, Choices, DeviceInfo, Error, Launch, Limits, Result, Site, Spec};

use super::backend::GpuBackend;

/// Runs per variant, of which the median counts, and when to stop before that.
const RUNS: usize = 9;
const ENOUGH: Duration = Duration::from_millis(200);
/// A variant replaces the default one if it takes less than this share of its time: noise must not decide.
const BETTER: f64 = 0.95;

impl GpuBackend {
    /// See [`Backend::tune`]. Each variant is compiled, run on zeros and timed by the device's clock, at most nine times.
    pub(super) fn tune_plan(&mut self, plan: &Plan) -> Result<Choices> {
        for (task, stage) in plan.tasks.iter().flat_map(|task| task.stages.iter().map(move |stage| (task, stage))) {
            let Work::Op { op, specs, .. } = &stage.work else { continue };
            let limits = self.limits();
            let mut launch = Launch::new(&specs.0, &specs.1, &limits);
            if specs.1.iter().any(|spec| spec.shape.numel() > 0) {
                op.launch(&mut launch);
            }
            for choice in launch.choices {
                if choice.variants.len() > 1 && !self.choices.knows(&choice.site) {
                    let best = self.best(&stage.work, &task.site, &choice, &limits)?;
                    self.choices.set(choice.site, choice.variants[best]);
                }
            }
        }
        Ok(self.choices.clone())
    }

    /// The fastest of the variants at one site.
    fn best(&mut self, work: &Work, site: &Site, choice: &Choice, limits: &Limits) -> Result<usize> {
        let mut time = |variant: usize, longest: Duration| {
            let mut limits = limits.clone();
            limits.choices.set(&choice.site, choice.variants[variant]);
            self.time(work, site, &limits, longest)
        };
        let default = time(choice.chosen, Duration::MAX)?;
        let (mut best, mut least) = (choice.chosen, default.mul_f64(BETTER));
        for variant in (0..choice.variants.len()).filter(|&variant| variant != choice.chosen) {
            let took = time(variant, least * 2)?;
            if took < least {
                (best, least) = (variant, took);
            }
        }
        Ok(best)
    }

    /// The median time of an op; of one run only if that takes longer than `longest`.
    fn time(&mut self, work: &Work, site: &Site, limits: &Limits, longest: Duration) -> Result<Duration> {
        let Work::Op { op, specs, .. } = work else { unreachable!("only a structured op has variants") };
        let mut launch = Launch::new(&specs.0, &specs.1, limits);
        op.launch(&mut launch);
        let (dispatches, scratch) = (launch.dispatches, launch.scratch);
        // A plan of this op alone, whose buffers are all bound.
        let mut buffers = vec![];
        let mut bound = vec![];
        let mut place = |backend: &mut Self, specs: &[Spec]| -> Result<Vec<usize>> {
            let first = buffers.len();
            for spec in specs {
                bound.push(backend.allocate(spec)?);
                buffers.push(Buffer { spec: spec.clone(), role: Role::Fetch });
            }
            Ok((first..buffers.len()).collect())
        };
        let (inputs, outputs) = (place(self, &specs.0)?, place(self, &specs.1)?);
        let scratch = place(self, &scratch)?;
        let work = Work::Op { op: op.clone(), dispatches, scratch, specs: specs.clone() };
        let plan = Plan {
            buffers,
            slots: vec![],
            tasks: vec![Task { stages: vec![Stage { work, inputs, outputs }], site: site.clone() }],
            inputs: vec![],
            variables: vec![],
            schedule: vec![],
            counters: vec![],
            fetches: vec![],
            passes: vec![],
            launches: true,
        };
        let program = self.load(Arc::new(plan), &bound.iter().copied().map(Some).collect::<Vec<_>>(), &[])?;
        let mut run = || self.profile(program).map(|times| times.iter().sum::<Duration>());
        // A driver may compile at the first run.
        let mut times = vec![run()?, run()?];
        times.swap_remove(0);
        while times.len() < RUNS && times[0] <= longest && times.iter().sum::<Duration>() < ENOUGH {
            times.push(run()?);
        }
        self.release(Some(program), &bound);
        times.sort();
        Ok(times[times.len() / 2])
    }
}

/// Where the choices for a device are kept in a folder: one file per adapter and driver.
fn file(folder: &Path, device: &DeviceInfo) -> PathBuf {
    let name = format!("{} {} {}", device.adapter, device.api, device.driver);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    folder.join(format!("{}.choices", name.chars().map(plain).collect::<String>()))
}

/// The choices that [`save_choices`] kept for a device; none if there are none.
#[must_use]
pub fn load_choices(folder: impl AsRef<Path>, device: &DeviceInfo) -> Choices {
    std::fs::read_to_string(file(folder.as_ref(), device))
        .map_or_else(|_| Choices::default(), |text| Choices::parse(&text))
}

/// Keeps choices in a folder, one file per adapter and driver, as text.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn save_choices(folder: impl AsRef<Path>, device: &DeviceInfo, choices: &Choices) -> Result<()> {
    let path = file(folder.as_ref(), device);
    std::fs::create_dir_all(folder.as_ref())
        .and_then(|()| std::fs::write(&path, choices.to_string()))
        .map_err(|error| Error::Device(format!("{} could not be written: {error}", path.display())))
}
