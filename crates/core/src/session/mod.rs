//! Sessions: a device with a set of variables and any number of compiled steps.

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
    Array, Counter, DType, Error, FeedError, Fetching, Graph, Limits, OnWarning, OutOfMemory, Params, Profile, Result,
    Shape, Spec, Step, TaskTime, Tensor, TuningChoices,
};

/// Device with a set of variables. A session compiles graphs and runs them.
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
/// A session can be moved to another thread or between the tasks of an async runtime, except in a browser. In this
/// example, a thread owns the session and answers requests from a channel:
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
///         // The client may have dropped its receiver.
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
    pub(crate) choices: TuningChoices,
    on_warning: OnWarning,
    /// The texts of the warnings that were reported, which are not reported again.
    reported: HashSet<String>,
    pub(crate) id: usize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variables, steps) = (self.holdings.variables(), self.holdings.steps());
        write!(f, "Session({}, {variables} variables, {steps} steps)", self.backend.device())
    }
}

impl Session {
    /// Creates a session on a device, with the variables of `params`.
    ///
    /// # Errors
    /// When a parameter or buffer was declared twice in `params`.
    pub fn new(backend: impl Into<Box<dyn Backend>>, params: &Params) -> Result<Self> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        params.check()?;
        let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Self {
            backend: backend.into(),
            params: params.clone(),
            holdings: Holdings::default(),
            choices: TuningChoices::default(),
            on_warning: Arc::new(|warning| eprintln!("{warning}")),
            reported: HashSet::new(),
            id,
        })
    }

    /// Returns the description of the device.
    pub fn device(&self) -> DeviceInfo {
        self.backend.device()
    }

    /// Returns the device's limits, which every plan that runs on it must respect.
    pub fn limits(&self) -> Limits {
        self.backend.limits()
    }

    /// Sets the callback that reports the progress of [`Self::compile`] while new kernels are compiled, which may
    /// take seconds on a GPU. The callback receives the number of kernels compiled so far and the total number. It
    /// replaces an earlier callback.
    pub fn on_compile(&mut self, f: OnCompile) {
        self.backend.on_compile(f);
    }

    /// Sets the callback that receives the [`Warning`](crate::Warning)s of graphs compiled after this call, each
    /// warning once. By default, warnings are printed to standard error.
    pub fn on_warning(&mut self, f: OnWarning) {
        self.on_warning = f;
    }

    /// Plans a graph and loads the plan on the device. Errors and warnings about the graph are reported here.
    ///
    /// # Errors
    /// Returns an error, and frees what was allocated, in these cases:
    ///
    /// - An op could not take its inputs. The error is about the first such op and contains its source line.
    /// - A parameter or buffer was declared twice, or a variable belongs to another `Params` store.
    /// - A fetched tensor belongs to another graph.
    /// - The plan exceeds the device's limits. If memory is not enough, the error lists what needs it.
    pub fn compile(&mut self, graph: &Graph, fetches: &[&Tensor]) -> Result<Step> {
        self.params.check()?;
        self.holdings.release(&mut *self.backend);
        let limits = self.backend.limits();
        let plan = Plan::new(graph, fetches, &limits)?;
        for warning in graph.review() {
            if self.reported.insert(warning.to_string()) {
                (self.on_warning)(&warning);
            }
        }
        plan.check(&limits, &|| self.backend.device())?;
        let bill = plan.bill();
        match self.holdings.load(&mut *self.backend, &self.params, graph, plan, self.id) {
            Ok(step) => {
                self.choices.extend(step.plan().choices().map(|choice| (&choice.key, choice.variant())));
                Ok(step)
            }
            Err(Error::OutOfMemory(error)) => Err(OutOfMemory { bill: Some(bill), ..*error }.into()),
            Err(error) => Err(error),
        }
    }

    /// Runs a step once and reads its fetched tensors.
    ///
    /// # Errors
    /// The same as for [`Self::submit`] and [`Self::fetch`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Vec<Array>> {
        pollster::block_on(self.run_async(step, feeds))
    }

    /// Runs a step once and reads its fetched tensors, without blocking the thread.
    ///
    /// # Errors
    /// The same as for [`Self::submit`] and [`Self::fetch`].
    pub async fn run_async(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Vec<Array>> {
        self.start(step, None, feeds, |backend, reads| backend.run_and_read(step.0.program, 1, reads))?.await
    }

    /// Runs a step `steps` times and reads its fetched tensors, each of shape `[steps, …]`.
    ///
    /// The results have the same bits as those of `steps` calls of [`Self::run`], but all steps are submitted to
    /// the device at once. An input can be fed an array with a new first axis `[steps, …]`, which contains one
    /// value per step, or an array in the input's shape, which all steps use. For one step after another, the host
    /// computes the scheduled numbers (see `Graph::scheduled`), such as the learning rate, and increments the
    /// counters. Other state that these numbers depend on does not change during the call.
    ///
    /// The first run with a number of steps allocates memory for them. Further runs allocate nothing.
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
    /// The same as for [`Self::submit_many`] and [`Self::fetch`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_many(&mut self, step: &Step, steps: usize, feeds: &[(&Tensor, &Array)]) -> Result<Vec<Array>> {
        self.run_many_later(step, steps, feeds)?.wait()
    }

    /// Starts [`Self::run_many`] without waiting for the results, so that the host can prepare and start the next
    /// steps in the meantime.
    ///
    /// # Errors
    /// The same as for [`Self::submit_many`].
    pub fn run_many_later(&mut self, step: &Step, steps: usize, feeds: &[(&Tensor, &Array)]) -> Result<Fetching> {
        let run = |backend: &mut dyn Backend, reads: &[Read]| backend.run_and_read(step.0.program, steps, reads);
        self.start(step, Some(steps), feeds, run).map(Fetching)
    }

    /// Runs a step once without reading results. May return before the device has finished.
    ///
    /// # Errors
    /// When an input is not fed, is fed twice, or is fed an array of the wrong shape or type; when a fed tensor is
    /// not an input of the step; when the device is lost.
    pub fn submit(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        self.start(step, None, feeds, |backend, _| backend.run(step.0.program, 1))
    }

    /// Runs a step `steps` times as [`Self::run_many`] does, without reading results. May return before the device
    /// has finished. The results of all steps stay on the device until the next run, and [`Self::fetch`] reads
    /// them.
    ///
    /// # Errors
    /// The same as for [`Self::submit`]; also when `steps` is 0, or the device does not have enough memory for the
    /// inputs or results of `steps` steps.
    pub fn submit_many(&mut self, step: &Step, steps: usize, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        self.start(step, Some(steps), feeds, |backend, _| backend.run(step.0.program, steps))
    }

    /// Runs a step once and measures the time of each task of its plan.
    ///
    /// # Errors
    /// The same as for [`Self::submit`]; also when the device cannot measure times.
    pub fn profile(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Profile> {
        let times = self.start(step, None, feeds, |backend, _| backend.profile(step.0.program))?;
        let labels = step.0.plan.tasks.iter().map(Task::label);
        Ok(Profile { tasks: labels.zip(times).map(|(name, time)| TaskTime { name, time }).collect() })
    }

    /// Prepares a run of `steps` steps (`None` means one step), starts it by calling `run`, and records that the
    /// variables that the step updates are newer on the device.
    fn start<T>(
        &mut self,
        step: &Step,
        steps: Option<usize>,
        feeds: &[(&Tensor, &Array)],
        run: impl FnOnce(&mut dyn Backend, &[Read]) -> Result<T>,
    ) -> Result<T> {
        if steps == Some(0) {
            return Err(FeedError::NoSteps.into());
        }
        self.feed(step, steps, feeds)?;
        self.holdings.upload(&mut *self.backend, step)?;
        let counters = &step.0.plan.counters;
        let before: Vec<u64> = counters.iter().map(Counter::get).collect();
        step.0.last.set(steps);
        let scheduled = self.schedule(step, steps.unwrap_or(1));
        let result = scheduled.and_then(|()| run(&mut *self.backend, &step.fetched()));
        if result.is_ok() {
            self.holdings.mark_ahead(step);
        } else {
            counters.iter().zip(before).for_each(|(counter, before)| counter.set(before));
        }
        result
    }

    /// Checks the fed arrays and writes them to the device.
    fn feed(&mut self, step: &Step, steps: Option<usize>, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        if step.0.session != self.id {
            return Err(FeedError::OtherSession.into());
        }
        let per_step = |spec: &Spec| steps.map(|steps| Shape::from([&[steps], spec.shape.dims()].concat()));
        for (tensor, array) in feeds {
            if !tensor.graph().is(&step.0.graph) {
                return Err(FeedError::OtherGraph { tensor: format!("{tensor:?}") }.into());
            }
            let Some(input) = step.0.plan.inputs.iter().find(|input| input.value == tensor.id()) else {
                return Err(FeedError::NotAnInput { tensor: format!("{tensor:?}") }.into());
            };
            let (shape, many) = (array.shape(), per_step(&input.spec));
            if !(*shape == input.spec.shape || Some(shape) == many.as_ref()) || !array.dtype().feeds(input.spec.dtype) {
                return Err(FeedError::Spec {
                    input: input.name.clone(),
                    spec: input.spec.clone(),
                    per_step: many.map(|shape| Spec::new(shape, input.spec.dtype)),
                    fed: array.spec(),
                }
                .into());
            }
        }
        for input in &step.0.plan.inputs {
            let mut fed = feeds.iter().filter(|(tensor, _)| tensor.id() == input.value);
            match (fed.next(), fed.next(), input.buffer) {
                (_, Some(_), _) => return Err(FeedError::Twice { input: input.name.clone() }.into()),
                (None, _, Some(_)) => {
                    let (input, spec) = (input.name.clone(), input.spec.clone());
                    return Err(FeedError::Missing { input, spec }.into());
                }
                (Some((_, array)), None, Some(buffer)) => {
                    let shared = *array.shape() == input.spec.shape;
                    let slots = steps.filter(|_| !shared).unwrap_or(1);
                    self.backend.write(step.bound(buffer), array, slots)?;
                }
                (_, None, None) => {}
            }
        }
        Ok(())
    }

    /// Computes the scheduled numbers, such as the learning rate, for each step, increments the counters after
    /// each step, and writes the numbers to the device.
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

    /// Reads the fetched tensors of a step's last run, in the order passed to `compile`. After
    /// [`Self::submit_many`], each array has an additional first axis for the steps.
    ///
    /// # Errors
    /// When the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fetch(&mut self, step: &Step) -> Result<Vec<Array>> {
        self.fetch_later(step)?.wait()
    }

    /// Does the same as [`Self::fetch`] without blocking the thread.
    ///
    /// # Errors
    /// When the device is lost.
    pub async fn fetch_async(&mut self, step: &Step) -> Result<Vec<Array>> {
        self.fetch_later(step)?.await
    }

    /// Starts [`Self::fetch`] without waiting for the results. Later runs can start in the meantime and do not
    /// change the results.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn fetch_later(&mut self, step: &Step) -> Result<Fetching> {
        Ok(Fetching(self.backend.read(&step.fetched())?))
    }

    /// Copies the values of all updated variables back to [`Params`], so that they can be read and saved.
    ///
    /// # Errors
    /// When the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn sync(&mut self) -> Result<()> {
        pollster::block_on(self.sync_async())
    }

    /// Does the same as [`Self::sync`] without blocking the thread.
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
