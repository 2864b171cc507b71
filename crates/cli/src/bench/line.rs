//! Measurement of one workload on one device: the workload's results and its speed. Each measurement runs in a
//! separate process.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wgrad_core::{Array, Graph, Kind, Mode, Params, Plan, Result, Session, Step};
use wgrad_kernels::Device;
use wgrad_kernels::testing::DeviceHooks;

use super::workloads::{Traced, Work, Workload};
use crate::error::CommandError;

/// Least number of timings in a measurement. Each is the mean time of several consecutive steps. If there are
/// fewer steps than this number, each step is timed alone.
const SAMPLES: usize = 30;
/// Duration of the untimed steps before a measurement.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(2);

/// Number of training losses that are compared with the reference (the CPU in f64). The second loss depends on the
/// gradients and the update of the first step.
const LOSSES: usize = 2;
/// Number of values of each kernel's result that are compared with the reference.
const PROBES: usize = 64;
/// Largest allowed difference from the reference, as a fraction of the largest value in the same result. The bound
/// covers the rounding errors of single precision in the largest sums of these workloads. The parity tests have a
/// tighter bound for each kernel.
const BOUND: f64 = 1e-5;

/// A measurement. Bytes and dispatches are per step. Values that a device does not report are `None`, and null in
/// JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub workload: String,
    pub device: String,
    pub adapter: String,
    pub median_ms: f64,
    pub p10_ms: f64,
    pub p90_ms: f64,
    pub steps_per_s: f64,
    pub first_ms: f64,
    pub dispatches: Option<usize>,
    pub submissions: Option<f64>,
    pub planned_bytes: usize,
    pub peak_rss_bytes: Option<u64>,
    pub gflops: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gb_per_s: Option<f64>,
    /// Least memory of a training step in bytes: parameters, gradients, the optimizer's state, the batch and
    /// activations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_bytes: Option<usize>,
    /// Number of timed steps.
    pub steps: usize,
}

/// Values that are compared with the reference: one list for each result of a workload.
pub type Values = Vec<Vec<f64>>;

/// Settings of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Number of steps to time; `None` for as many as take about two seconds.
    pub steps: Option<usize>,
    /// Number of steps between two reads of the loss; 0 if the loss is never read.
    pub read_every: usize,
}

/// Values computed in a workload's first steps.
struct FirstSteps {
    values: Values,
    /// Time at which the first step ended.
    first_end: Instant,
}

struct Run {
    device: Device,
    session: Session,
    step: Step,
    traced: Traced,
}

impl Run {
    fn new(workload: Workload, device: Device) -> Result<Self> {
        let (params, graph) = (Params::seeded(1), Graph::new(Mode::Train));
        let traced = (workload.trace)(&params, &graph);
        let mut session = Session::new(device.clone(), &params)?;
        let step = session.compile(&graph, &traced.loss.iter().collect::<Vec<_>>())?;
        Ok(Self { device, session, step, traced })
    }

    /// Runs `steps` steps on the same batch and waits for the device. Returns the losses, if the workload has any.
    fn steps(&mut self, steps: usize) -> Result<Vec<f64>> {
        let feeds: Vec<_> = self.traced.feeds.iter().map(|(tensor, array)| (tensor, array)).collect();
        let fetched = self.session.run_many(&self.step, steps, &feeds)?;
        Ok(fetched.first().map(Array::to_f64).unwrap_or_default())
    }

    /// Runs `steps` steps. Waits for the device after every `every` steps and at the end; if `every` is 0, only at
    /// the end.
    fn sample(&mut self, steps: usize, every: usize) -> Result<Duration> {
        let every = if every == 0 { steps } else { every.min(steps) };
        let start = Instant::now();
        let mut left = steps;
        while left > 0 {
            let count = left.min(every);
            self.steps(count)?;
            left -= count;
        }
        Ok(start.elapsed())
    }

    /// Runs the first [`LOSSES`] steps of a training workload, or the first step of a kernel workload.
    fn first(&mut self) -> Result<FirstSteps> {
        let mut losses = self.steps(1)?;
        let first_end = Instant::now();
        if self.traced.loss.is_some() {
            while losses.len() < LOSSES {
                losses.extend(self.steps(1)?);
            }
            return Ok(FirstSteps { values: losses.into_iter().map(|loss| vec![loss]).collect(), first_end });
        }
        self.session.sync()?;
        let probe = |array: &Array| {
            let values = array.to_f64();
            // The values to compare are evenly spaced from the first value to the last.
            let at = |i: usize| values[i * (values.len() - 1) / (PROBES - 1)];
            (0..PROBES).map(at).collect()
        };
        let results = self.traced.results.iter().map(|variable| Ok(probe(&*variable.value()?)));
        Ok(FirstSteps { values: results.collect::<Result<_>>()?, first_end })
    }
}

/// Runs a workload's first steps on a device, and returns the values that are compared between devices.
///
/// # Errors
/// If the device cannot run the workload.
pub fn values(workload: Workload, device: Device) -> Result<Values> {
    Ok(Run::new(workload, device)?.first()?.values)
}

/// Runs a workload, compares its results with the reference, and measures it. `start` is the time at which the
/// process started.
///
/// # Errors
/// If the device cannot run the workload, or its results differ from the reference.
pub fn measure(workload: Workload, device: Device, reference: &Values, how: Measure, start: Instant) -> Result<Line> {
    let mut run = Run::new(workload, device)?;
    let FirstSteps { values, first_end } = run.first()?;
    let first_ms = ms(first_end - start);
    compare(workload, &values, reference)?;

    let (begin, mut warm) = (Instant::now(), 0);
    while begin.elapsed() < WARM_UP {
        run.sample(1 + warm / 4, how.read_every)?;
        warm += 1 + warm / 4;
    }
    let fit = MEASURE.as_secs_f64() / begin.elapsed().as_secs_f64() * real(warm);
    let steps = how.steps.unwrap_or((fit as usize).clamp(10, 100_000));
    let each = (steps / SAMPLES).max(1);
    let (samples, submitted) = (steps / each, run.device.submissions());
    let mut times = vec![];
    for _ in 0..samples {
        times.push(ms(run.sample(each, how.read_every)?) / real(each));
    }
    times.sort_by(f64::total_cmp);
    let steps = samples * each;
    let at = |tenths: usize| times[((samples - 1) * tenths + 5) / 10];
    let (plan, gpu) = (run.step.plan(), run.step.plan().launches);
    let submissions = gpu.then(|| {
        let submitted = u32::try_from(run.device.submissions() - submitted).unwrap_or(u32::MAX);
        f64::from(submitted) / real(steps)
    });
    let per_ms = |n: usize| real(n) / at(5) / 1e6;
    let (gflops, gb_per_s, needed_bytes) = match run.traced.work {
        Work::Training { flop, activations } => (Some(per_ms(flop)), None, Some(needed(plan, activations))),
        Work::Product { flop } => (Some(per_ms(flop)), None, None),
        Work::Memory { bytes } => (None, Some(per_ms(bytes)), None),
    };
    Ok(Line {
        workload: workload.name.into(),
        device: String::new(),
        adapter: run.session.device().adapter,
        median_ms: at(5),
        p10_ms: at(1),
        p90_ms: at(9),
        steps_per_s: 1e3 / at(5),
        first_ms,
        dispatches: gpu.then(|| plan.dispatches()),
        submissions,
        planned_bytes: plan.bytes().iter().sum(),
        peak_rss_bytes: peak_rss(),
        gflops,
        gb_per_s,
        needed_bytes,
        steps,
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn real(n: usize) -> f64 {
    n as f64
}

fn compare(workload: Workload, values: &Values, reference: &Values) -> Result<()> {
    for (result, (values, reference)) in values.iter().zip(reference).enumerate() {
        let largest = reference.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        for (value, truth) in values.iter().zip(reference) {
            let error = (value - truth).abs();
            if error.is_nan() || error > BOUND * largest {
                let (workload, bound) = (workload.name, BOUND * largest);
                return Err(CommandError::WrongResult { workload, value: *value, truth: *truth, result, bound }.into());
            }
        }
    }
    Ok(())
}

/// Returns the least memory of a training step in bytes. No arrangement of its buffers needs less.
fn needed(plan: &Plan, activations: usize) -> usize {
    let variables = plan.variables.iter().map(|used| {
        let variable = &used.variable;
        let with_gradient = if variable.kind() == Kind::Parameter { 2 } else { 1 };
        with_gradient * variable.spec().bytes()
    });
    let batch = plan.inputs.iter().map(|input| input.spec.bytes());
    variables.chain(batch).sum::<usize>() + activations * size_of::<f32>()
}

/// Returns the peak memory of this process in bytes, if the operating system reports it.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
