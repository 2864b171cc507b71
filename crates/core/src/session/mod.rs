//! Sessions: one device, one set of variables, any number of plans.

mod eval;
mod holdings;
pub(crate) mod state;
pub(crate) mod step;
mod tuning;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::DeviceInfo;
use crate::backend::{Backend, OnCompile, Read};
use crate::plan::{BufferIndex, Plan, Task};
use crate::session::holdings::Holdings;
use crate::{
    Array, Choices, Counter, DType, Error, Fetching, Graph, Limits, OnWarning, Params, Profile, Result, Shape, Spec,
    Step, TaskTime, Tensor,
};

/// Runs plans over one set of variables on one device.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [3], DType::F32);
/// let y = &x * 2.0 + 1.0;
/// let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
/// let step = session.compile(&graph, &[&y])?;
/// let results = session.run(&step, &[(&x, &Array::vector(vec![1.0f32, 2.0, 3.0]))])?;
/// assert_eq!(results[0].to_f32(), [3.0, 5.0, 7.0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// A session can live in a thread of its own, or move from task to task of an async runtime (not in a browser): here it
/// answers requests from a channel.
///
/// ```
/// use std::sync::mpsc;
/// use wgrad_core::{Array, CpuBackend, DType, Error, Graph, Mode, Params, Session};
/// let (requests, received) = mpsc::channel::<(Array, mpsc::Sender<Array>)>();
/// let server = std::thread::spawn(move || {
///     let graph = Graph::new(Mode::Evaluate);
///     let x = graph.input("x", [3], DType::F32);
///     let y = &x * 2.0 + 1.0;
///     let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
///     let step = session.compile(&graph, &[&y])?;
///     for (array, answer) in received {
///         // Whoever asked may be gone.
///         let _ = answer.send(session.run(&step, &[(&x, &array)])?.remove(0));
///     }
///     Ok::<(), Error>(())
/// });
/// let (answer, answered) = mpsc::channel();
/// requests.send((Array::vector(vec![1f32, 2.0, 3.0]), answer)).unwrap();
/// assert_eq!(answered.recv().unwrap().to_f32(), [3.0, 5.0, 7.0]);
/// drop(requests);
/// server.join().unwrap()?;
/// # Ok::<(), Error>(())
/// ```
pub struct Session {
    pub(crate) backend: Box<dyn Backend>,
    params: Params,
    holdings: Holdings,
    pub(crate) choices: Choices,
    on_warning: OnWarning,
    /// Warnings that were told, as they read.
    told: HashSet<String>,
    pub(crate) id: usize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variables, steps) = (self.holdings.variables(), self.holdings.steps());
        write!(f, "Session({}, {variables} variables, {steps} steps)", self.backend.device())
    }
}

impl Session {
    /// A session on a device, over the variables of `params`.
    ///
    /// # Errors
    /// When `params` declares a name twice.
    pub fn new(backend: impl Into<Box<dyn Backend>>, params: &Params) -> Result<Self> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        params.check()?;
        let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Self {
            backend: backend.into(),
            params: params.clone(),
            holdings: Holdings::default(),
            choices: Choices::default(),
            on_warning: Arc::new(|warning| eprintln!("{warning}")),
            told: HashSet::new(),
            id,
        })
    }

    /// What the device is.
    pub fn device(&self) -> DeviceInfo {
        self.backend.device()
    }

    /// What plans must keep to on the device.
    pub fn limits(&self) -> Limits {
        self.backend.limits()
    }

    /// Calls `f` with how many of how many kernels are compiled, whenever [`Self::compile`] needs kernels that the device
    /// does not have yet: a GPU may take seconds for its first. Replaces what was set before.
    pub fn on_compile(&mut self, f: OnCompile) {
        self.backend.on_compile(f);
    }

    /// Whom to tell the [`Warning`](crate::Warning)s of the graphs that are compiled from now on, each once; they go to
    /// standard error if nobody else is named.
    pub fn on_warning(&mut self, f: OnWarning) {
        self.on_warning = f;
    }

    /// Plans a graph and loads it: every error of the graph is reported here, and every warning is told.
    ///
    /// # Errors
    /// The first op that did not fit, with its source line; a name declared twice; a variable of other `Params`; a
    /// plan that exceeds the device's limits, with the bill of its memory when there is no room. Then nothing stays
    /// allocated.
    pub fn compile(&mut self, graph: &Graph, fetches: &[&Tensor]) -> Result<Step> {
        self.params.check()?;
        self.holdings.release(&mut *self.backend);
        let limits = self.backend.limits();
        let plan = Plan::new(graph, fetches, &limits)?;
        for warning in graph.review() {
            if self.told.insert(warning.to_string()) {
                (self.on_warning)(&warning);
            }
        }
        plan.check(&limits, &|| self.backend.device())?;
        let bill = plan.bill();
        match self.holdings.load(&mut *self.backend, &self.params, graph, plan, self.id) {
            Ok(step) => {
                self.choices.extend(step.plan().choices().map(|choice| (&choice.site, choice.variant())));
                Ok(step)
            }
            Err(Error::OutOfMemory(what)) => Err(Error::OutOfMemory(format!("{what}\n{bill}"))),
            Err(error) => Err(error),
        }
    }

    /// Runs a step once and reads its fetched tensors.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Self::fetch`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Vec<Array>> {
        pollster::block_on(self.run_async(step, feeds))
    }

    /// Runs a step once and reads its fetched tensors, without blocking the thread.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Self::fetch`].
    pub async fn run_async(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Vec<Array>> {
        self.start(step, None, feeds, |backend, reads| backend.run_and_read(step.0.program, 1, reads))?.await
    }

    /// Runs a step `steps` times and reads its fetched tensors, each of shape `[steps, …]`.
    ///
    /// Gives the same bits as so many calls of [`Self::run`], but asks the device once: an input is fed one row per step
    /// along a new first axis, `[steps, …]`, or, in its own shape, the same for all. Counters move, and scheduled numbers
    /// are computed, step by step; what else such a number depends on stays as it is during the call.
    ///
    /// The first run of so many steps allocates room for them, later ones nothing.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session};
    /// let params = Params::seeded(0);
    /// let total = params.variable("total", [], Kind::State, Init::Constant(0.0));
    /// let graph = Graph::new(Mode::Train);
    /// let (x, scale) = (graph.input("x", [], DType::F32), graph.input("scale", [], DType::F32));
    /// let sum = graph.variable(&total) + &x * &scale;
    /// graph.update(&total, &sum);
    /// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
    /// let step = session.compile(&graph, &[&sum])?;
    /// let (xs, scales) = (Array::vector(vec![1f32, 2.0, 3.0]), Array::scalar(10f32));
    /// let sums = session.run_many(&step, 3, &[(&x, &xs), (&scale, &scales)])?;
    /// assert_eq!(sums[0].to_f32(), [10.0, 30.0, 60.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::submit_many`] and [`Self::fetch`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_many(&mut self, step: &Step, steps: usize, feeds: &[(&Tensor, &Array)]) -> Result<Vec<Array>> {
        self.run_many_later(step, steps, feeds)?.wait()
    }

    /// Begins what [`Self::run_many`] does and does not wait for it: the host can prepare what the next steps are fed, and
    /// begin these, before it waits for the results of the first.
    ///
    /// # Errors
    /// As [`Self::submit_many`].
    pub fn run_many_later(&mut self, step: &Step, steps: usize, feeds: &[(&Tensor, &Array)]) -> Result<Fetching> {
        let run = |backend: &mut dyn Backend, reads: &[Read]| backend.run_and_read(step.0.program, steps, reads);
        self.start(step, Some(steps), feeds, run).map(Fetching)
    }

    /// Runs a step once without reading anything; may return before the device has finished.
    ///
    /// # Errors
    /// When an input is missing, fed twice, misshapen or of another type; when the device is lost.
    pub fn submit(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        self.start(step, None, feeds, |backend, _| backend.run(step.0.program, 1))
    }

    /// Runs a step `steps` times as [`Self::run_many`] does, without reading anything; may return before the device has
    /// finished. [`Self::fetch`] then gives the results of all steps, which stay on the device until the next run.
    ///
    /// # Errors
    /// As [`Self::submit`]; when there is no step to run, or the device has no room for the inputs or results of so many.
    pub fn submit_many(&mut self, step: &Step, steps: usize, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        self.start(step, Some(steps), feeds, |backend, _| backend.run(step.0.program, steps))
    }

    /// Runs a step once and measures each of its tasks.
    ///
    /// # Errors
    /// As [`Self::submit`]; when the device cannot tell the time.
    pub fn profile(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Profile> {
        let times = self.start(step, None, feeds, |backend, _| backend.profile(step.0.program))?;
        let labels = step.0.plan.tasks.iter().map(Task::label);
        Ok(Profile { tasks: labels.zip(times).map(|(name, time)| TaskTime { name, time }).collect() })
    }

    /// Prepares a run of `steps` steps, one if none, runs it, and takes note of what it changed.
    fn start<T>(
        &mut self,
        step: &Step,
        steps: Option<usize>,
        feeds: &[(&Tensor, &Array)],
        run: impl FnOnce(&mut dyn Backend, &[Read]) -> Result<T>,
    ) -> Result<T> {
        if steps == Some(0) {
            return Err(Error::Feed("there are no steps to run".into()));
        }
        self.feed(step, steps, feeds)?;
        self.holdings.upload(&mut *self.backend, step)?;
        let counters = &step.0.plan.counters;
        let before: Vec<u64> = counters.iter().map(Counter::get).collect();
        let rows = steps.unwrap_or(1);
        step.0.last.set(steps);
        let result = self.schedule(step, rows).and_then(|()| run(&mut *self.backend, &step.fetched()));
        if result.is_ok() {
            self.holdings.mark_ahead(step);
        } else {
            counters.iter().zip(before).for_each(|(counter, before)| counter.set(before));
        }
        result
    }

    /// Checks the feeds and writes them.
    fn feed(&mut self, step: &Step, steps: Option<usize>, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        if step.0.session != self.id {
            return Err(Error::Feed("the step was compiled by another session".into()));
        }
        let per_step = |spec: &Spec| steps.map(|steps| Shape::from([&[steps], spec.shape.dims()].concat()));
        for (tensor, array) in feeds {
            if !tensor.graph().is(&step.0.graph) {
                return Err(Error::Feed(format!("{tensor:?} belongs to another graph than this step")));
            }
            let Some(input) = step.0.plan.inputs.iter().find(|input| input.value == tensor.id()) else {
                return Err(Error::Feed(format!("{tensor:?} is not an input of this step")));
            };
            let (shape, many) = (array.shape(), per_step(&input.spec));
            if !(*shape == input.spec.shape || Some(shape) == many.as_ref()) || !array.dtype().feeds(input.spec.dtype) {
                let many = many.map(|many| format!(" (or {}{many}, a row for each step)", input.spec.dtype));
                return Err(Error::Feed(format!(
                    "input `{}` is {}{}, but was fed {}{}",
                    input.name,
                    input.spec,
                    many.unwrap_or_default(),
                    array.dtype(),
                    array.shape()
                )));
            }
        }
        for input in &step.0.plan.inputs {
            let mut fed = feeds.iter().filter(|(tensor, _)| tensor.id() == input.value);
            match (fed.next(), fed.next(), input.buffer) {
                (_, Some(_), _) => return Err(Error::Feed(format!("input `{}` was fed twice", input.name))),
                (None, _, Some(_)) => {
                    return Err(Error::Feed(format!("input `{}` ({}) was not fed", input.name, input.spec)));
                }
                (Some((_, array)), None, Some(buffer)) => {
                    let shared = *array.shape() == input.spec.shape;
                    let rows = steps.filter(|_| !shared).unwrap_or(1);
                    self.backend.write(step.bound(buffer), array, rows)?;
                }
                (_, None, None) => {}
            }
        }
        Ok(())
    }

    /// Writes the scheduled numbers of each step, and moves the counters past them.
    fn schedule(&mut self, step: &Step, steps: usize) -> Result<()> {
        let plan = &step.0.plan;
        let (mut floats, mut uints) = (vec![], vec![]);
        for _ in 0..steps {
            for number in &plan.schedule {
                let value = (number.scheduled.value)();
                match number.scheduled.dtype {
                    DType::U32 => uints.push(value as u64 as u32),
                    _ => floats.push(value),
                }
            }
            plan.counters.iter().for_each(|counter| counter.set(counter.get() + 1));
        }
        let buffer = |uint: bool| -> Option<BufferIndex> {
            let number = plan.schedule.iter().find(|number| (number.scheduled.dtype == DType::U32) == uint);
            number.map(|number| number.buffer)
        };
        if let Some(buffer) = buffer(false) {
            self.backend.write(step.bound(buffer), &Array::vector(floats), steps)?;
        }
        if let Some(buffer) = buffer(true) {
            self.backend.write(step.bound(buffer), &Array::vector(uints), steps)?;
        }
        Ok(())
    }

    /// Reads the fetched tensors of a step's last run, in the order given to `compile`: each in its shape, or with a
    /// first axis for the steps after [`Self::submit_many`].
    ///
    /// # Errors
    /// When the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fetch(&mut self, step: &Step) -> Result<Vec<Array>> {
        self.fetch_later(step)?.wait()
    }

    /// [`Self::fetch`] without blocking the thread.
    ///
    /// # Errors
    /// When the device is lost.
    pub async fn fetch_async(&mut self, step: &Step) -> Result<Vec<Array>> {
        self.fetch_later(step)?.await
    }

    /// Begins to read what [`Self::fetch`] reads, and does not wait for it: what is submitted from now on runs while the
    /// host waits, and does not change what arrives.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn fetch_later(&mut self, step: &Step) -> Result<Fetching> {
        Ok(Fetching(self.backend.read(&step.fetched())?))
    }

    /// Brings the values of all updated variables back to [`Params`], so that they can be read and saved.
    ///
    /// # Errors
    /// When the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn sync(&mut self) -> Result<()> {
        pollster::block_on(self.sync_async())
    }

    /// [`Self::sync`] without blocking the thread.
    ///
    /// # Errors
    /// When the device is lost.
    pub async fn sync_async(&mut self) -> Result<()> {
        let (ahead, reads) = self.holdings.ahead();
        let arrays = self.backend.read(&reads)?.await?;
        for (at, array) in ahead.into_iter().zip(arrays) {
            self.holdings.set(at, array)?;
        }
        Ok(())
    }
}
