//! Compiled steps, and the results of running them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::backend::{BufferId, Pending, ProgramId, Read};
use crate::plan::{BufferIndex, Plan};
use crate::{Array, Graph, Mode, Result, Tensor};

/// Compiled graph, whose plan is loaded on the device of the session that compiled it.
///
/// Clones are cheap and refer to the same step. After the last clone is dropped, the session frees the step's
/// buffers at the next `compile`.
#[derive(Clone)]
#[must_use]
pub struct Step(pub(crate) Arc<Loaded>);

pub(crate) struct Loaded {
    pub plan: Arc<Plan>,
    pub program: ProgramId,
    pub bound: Vec<Option<BufferId>>,
    /// The buffer of each fetched tensor.
    pub fetched: Vec<BufferId>,
    /// The ids of the plan's variables, in the plan's order. An id is a position in the session's list of
    /// variables on the device.
    pub residents: Vec<ResidentId>,
    pub session: usize,
    pub mode: Mode,
    pub graph: Graph,
    pub last: Last,
}

/// Position of a variable among the variables on a session's device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResidentId(pub usize);

/// Number of times that the last run executed a compiled step.
#[derive(Default)]
pub(crate) struct Last(AtomicUsize);

impl Last {
    /// Sets the number. `None` means that the step was executed once and that its results have no additional axis
    /// for the steps.
    pub fn set(&self, steps: Option<usize>) {
        self.0.store(steps.unwrap_or(0), Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&steps| steps > 0)
    }
}

impl Step {
    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Returns whether `tensor` is an input of this step.
    pub fn reads(&self, tensor: &Tensor) -> bool {
        self.plan().inputs.iter().any(|input| input.value == tensor.id())
    }

    /// Returns the requests that read the fetched tensors of the last run.
    pub(crate) fn fetched(&self) -> Vec<Read> {
        let steps = self.0.last.get();
        let fetches = self.0.fetched.iter().zip(&self.0.plan.fetches);
        fetches.map(|(&buffer, fetch)| Read { buffer, spec: fetch.spec.clone(), steps }).collect()
    }

    pub(crate) fn bound(&self, buffer: BufferIndex) -> BufferId {
        self.0.bound[buffer].expect("everything but temporaries is bound")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.plan.fmt(f)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({:?}, {} tasks)", self.0.mode, self.0.plan.tasks.len())
    }
}

/// Fetched tensors that are being read to the host, returned by
/// [`Session::fetch_later`](crate::Session::fetch_later). Await this future, or call [`Self::wait`].
#[must_use = "the tensors arrive when this is awaited"]
pub struct Fetching(pub(crate) Pending);

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetching")
    }
}

impl Fetching {
    /// Waits for the tensors and returns them in the order passed to `compile`.
    ///
    /// # Errors
    /// When the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(self) -> Result<Vec<Array>> {
        pollster::block_on(self)
    }
}

impl Future for Fetching {
    type Output = Result<Vec<Array>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// Times of all tasks of a step's plan, measured in one run.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The tasks, in the order of the plan.
    pub tasks: Vec<TaskTime>,
}

/// Time of a task.
#[derive(Clone, Debug)]
pub struct TaskTime {
    /// The task's name, followed by the scope in which its op was traced.
    pub name: String,
    /// The time on the device.
    pub time: Duration,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Duration = self.tasks.iter().map(|task| task.time).sum();
        let width = self.tasks.iter().map(|task| task.name.chars().count()).max().unwrap_or(0);
        for TaskTime { name, time } in &self.tasks {
            let percent = 100.0 * time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
            writeln!(f, "{name:<width$}  {:>10.1} µs  {percent:>5.1} %", time.as_secs_f64() * 1e6)?;
        }
        write!(f, "{:<width$}  {:>10.1} µs", "total", total.as_secs_f64() * 1e6)
    }
}
