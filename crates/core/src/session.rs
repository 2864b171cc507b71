//! Sessions: one device, one set of variables, any number of plans.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::backend::{Backend, BufferId, DeviceInfo, ProgramId};
use crate::plan::{Plan, Role};
use crate::{Array, CpuBackend, DType, Error, Graph, Kind, Mode, Params, Result, Spec, Tensor, Variable};

/// A compiled graph: its plan, loaded on the device of the session that compiled it.
///
/// Cheap to clone. When the last clone is gone, the session gives its buffers back at the next `compile`.
#[derive(Clone)]
pub struct Step(Arc<Loaded>);

struct Loaded {
    plan: Arc<Plan>,
    program: ProgramId,
    bound: Vec<Option<BufferId>>,
    /// The session's resident of each of the plan's variables.
    residents: Vec<usize>,
    session: usize,
    mode: Mode,
    graph: Graph,
}

impl Step {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.0.plan
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

/// What a step holds on the device, to be released when nobody holds the step.
struct Lease {
    step: Weak<Loaded>,
    program: ProgramId,
    buffers: Vec<BufferId>,
}

struct Resident {
    variable: Variable,
    buffer: BufferId,
    version: Option<u64>,
    ahead: bool,
}

/// How long each task of a step took, measured once.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Task names with their scopes, and times.
    pub tasks: Vec<(String, Duration)>,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Duration = self.tasks.iter().map(|(_, time)| *time).sum();
        let width = self.tasks.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, time) in &self.tasks {
            let share = 100.0 * time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
            writeln!(f, "{name:<width$}  {:>10.1} µs  {share:>5.1} %", time.as_secs_f64() * 1e6)?;
        }
        write!(f, "{:<width$}  {:>10.1} µs", "total", total.as_secs_f64() * 1e6)
    }
}

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
pub struct Session {
    backend: Box<dyn Backend>,
    params: Params,
    resident: Vec<Resident>,
    leases: Vec<Lease>,
    by_name: HashMap<String, usize>,
    id: usize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variables, steps) = (self.resident.len(), self.leases.len());
        write!(f, "Session({}, {variables} variables, {steps} steps)", self.backend.device())
    }
}

impl From<CpuBackend<f32>> for Box<dyn Backend> {
    fn from(backend: CpuBackend<f32>) -> Self {
        Box::new(backend)
    }
}

impl From<CpuBackend<f64>> for Box<dyn Backend> {
    fn from(backend: CpuBackend<f64>) -> Self {
        Box::new(backend)
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
            resident: vec![],
            leases: vec![],
            by_name: HashMap::new(),
            id,
        })
    }

    /// What the device is.
    #[must_use]
    pub fn device(&self) -> DeviceInfo {
        self.backend.device()
    }

    /// Plans a graph and loads it: every error of the graph is reported here.
    ///
    /// # Errors
    /// The first op that did not fit, with its source line; a name declared twice; a variable of other `Params`; a
    /// plan that exceeds the device's limits.
    pub fn compile(&mut self, graph: &Graph, fetches: &[&Tensor]) -> Result<Step> {
        self.params.check()?;
        self.release();
        let limits = self.backend.limits();
        let plan = Plan::new(graph, fetches, &limits)?;
        if plan.largest_binding() as u64 > limits.binding_bytes {
            return Err(Error::Device(format!(
                "the plan's largest buffer has {}, but {} binds at most {}; use a smaller batch\n{plan}",
                crate::plan::human_bytes(plan.largest_binding()),
                self.backend.device(),
                crate::plan::human_bytes(usize::try_from(limits.binding_bytes).unwrap_or(usize::MAX)),
            )));
        }
        let residents = self.reside(&plan)?;
        let mut bound = Vec::with_capacity(plan.buffers.len());
        let mut buffers = vec![];
        for buffer in &plan.buffers {
            bound.push(match &buffer.role {
                Role::Temp(..) | Role::Passed => None,
                Role::Variable(i) => Some(self.resident[residents[*i]].buffer),
                role => {
                    let id = self.backend.allocate(&buffer.spec)?;
                    buffers.push(id);
                    if let Role::Array(array) = role {
                        self.backend.write(id, array)?;
                    }
                    Some(id)
                }
            });
        }
        let plan = Arc::new(plan);
        let program = self.backend.load(plan.clone(), &bound)?;
        let (mode, graph) = (graph.mode(), graph.clone());
        let loaded = Loaded { plan, program, bound, residents, session: self.id, mode, graph };
        let step = Step(Arc::new(loaded));
        self.leases.push(Lease { step: Arc::downgrade(&step.0), program, buffers });
        Ok(step)
    }

    /// Frees what steps held that nobody holds any more.
    fn release(&mut self) {
        let Self { backend, leases, .. } = self;
        leases.retain(|lease| {
            let held = lease.step.strong_count() > 0;
            if !held {
                backend.release(lease.program, &lease.buffers);
            }
            held
        });
    }

    /// The places of a plan's variables among the residents, with device buffers made on first use: side by side for
    /// parameters, and for what is updated together with them.
    fn reside(&mut self, plan: &Plan) -> Result<Vec<usize>> {
        let grouped = plan.grouped();
        let mut new: [Vec<&Variable>; 3] = Default::default();
        for (variable, buffer, _) in &plan.variables {
            if !variable.belongs_to(&self.params) {
                let name = variable.name();
                return Err(Error::Params(format!("`{name}` belongs to other Params than those of this session")));
            }
            if !self.by_name.contains_key(variable.name()) {
                let place = match variable.kind() {
                    Kind::Parameter => 0,
                    _ if grouped.contains(buffer) => 1,
                    _ => 2,
                };
                new[place].push(variable);
            }
        }
        for (place, variables) in new.into_iter().enumerate() {
            let specs: Vec<&Spec> = variables.iter().map(|variable| variable.spec()).collect();
            let buffers = if place < 2 {
                self.backend.allocate_together(&specs)?
            } else {
                specs.iter().map(|spec| self.backend.allocate(spec)).collect::<Result<Vec<_>>>()?
            };
            for (variable, buffer) in variables.into_iter().zip(buffers) {
                self.by_name.insert(variable.name().into(), self.resident.len());
                self.resident.push(Resident { variable: variable.clone(), buffer, version: None, ahead: false });
            }
        }
        Ok(plan.variables.iter().map(|(variable, ..)| self.by_name[variable.name()]).collect())
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
        self.submit(step, feeds)?;
        self.fetch_async(step).await
    }

    /// Runs a step once without reading anything; may return before the device has finished.
    ///
    /// # Errors
    /// When an input is missing, fed twice, misshapen or of another type; when the device is lost.
    pub fn submit(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        self.prepare(step, feeds)?;
        self.backend.run(step.0.program)?;
        self.after(step);
        Ok(())
    }

    /// Runs a step once and measures each of its tasks.
    ///
    /// # Errors
    /// As [`Self::submit`]; when the device cannot tell the time.
    pub fn profile(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<Profile> {
        self.prepare(step, feeds)?;
        let times = self.backend.profile(step.0.program)?;
        self.after(step);
        Ok(Profile { tasks: step.0.plan.tasks.iter().map(crate::plan::Task::label).zip(times).collect() })
    }

    fn prepare(&mut self, step: &Step, feeds: &[(&Tensor, &Array)]) -> Result<()> {
        if step.0.session != self.id {
            return Err(Error::Feed("the step was compiled by another session".into()));
        }
        for (tensor, array) in feeds {
            if !tensor.graph().is(&step.0.graph) {
                return Err(Error::Feed(format!("{tensor:?} belongs to another graph than this step")));
            }
            let Some(input) = step.0.plan.inputs.iter().find(|input| input.value == tensor.id()) else {
                return Err(Error::Feed(format!("{tensor:?} is not an input of this step")));
            };
            if *array.shape() != input.spec.shape || !array.dtype().feeds(input.spec.dtype) {
                return Err(Error::Feed(format!(
                    "input `{}` is {}, but was fed {}{}",
                    input.name,
                    input.spec,
                    array.dtype(),
                    array.shape()
                )));
            }
        }
        let plan = step.0.plan.clone();
        for input in &plan.inputs {
            let mut fed = feeds.iter().filter(|(tensor, _)| tensor.id() == input.value);
            match (fed.next(), fed.next(), input.buffer) {
                (_, Some(_), _) => return Err(Error::Feed(format!("input `{}` was fed twice", input.name))),
                (None, _, Some(_)) => {
                    return Err(Error::Feed(format!("input `{}` ({}) was not fed", input.name, input.spec)));
                }
                (Some((_, array)), None, Some(buffer)) => self.backend.write(bound(step, buffer), array)?,
                (_, None, None) => {}
            }
        }
        for ((variable, ..), &at) in plan.variables.iter().zip(&step.0.residents) {
            let resident = &mut self.resident[at];
            if resident.version != Some(variable.version()) {
                let (array, version) = variable.host();
                self.backend.write(resident.buffer, &array)?;
                (resident.version, resident.ahead) = (Some(version), false);
            }
        }
        for dtype in [DType::F32, DType::U32] {
            let entries: Vec<_> = plan.schedule.iter().filter(|(entry, ..)| entry.dtype == dtype).collect();
            let Some(&&(_, buffer, _)) = entries.first() else { continue };
            let values: Vec<f64> = entries.iter().map(|(entry, ..)| (entry.value)()).collect();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters wrap at 32 bits")]
            let array = match dtype {
                DType::U32 => Array::vector(values.iter().map(|&value| value as u64 as u32).collect()),
                _ => Array::vector(values),
            };
            self.backend.write(bound(step, buffer), &array)?;
        }
        Ok(())
    }

    /// What a run changes on the host.
    fn after(&mut self, step: &Step) {
        for counter in &step.0.plan.counters {
            counter.set(counter.get() + 1);
        }
        for ((variable, _, written), &at) in step.0.plan.variables.iter().zip(&step.0.residents) {
            if *written && !self.resident[at].ahead {
                self.resident[at].ahead = true;
                variable.mark_ahead();
            }
        }
    }

    /// Reads the fetched tensors of a step's last run, in the order given to `compile`.
    ///
    /// # Errors
    /// When the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fetch(&mut self, step: &Step) -> Result<Vec<Array>> {
        pollster::block_on(self.fetch_async(step))
    }

    /// Reads the fetched tensors of a step's last run without blocking the thread.
    ///
    /// # Errors
    /// When the device is lost.
    pub async fn fetch_async(&mut self, step: &Step) -> Result<Vec<Array>> {
        let buffers: Vec<_> =
            step.0.plan.fetches.iter().map(|(buffer, spec)| (bound(step, *buffer), spec.clone())).collect();
        self.backend.read(&buffers).await
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
        let ahead: Vec<usize> = (0..self.resident.len()).filter(|&i| self.resident[i].ahead).collect();
        let buffers: Vec<(BufferId, Spec)> =
            ahead.iter().map(|&i| (self.resident[i].buffer, self.resident[i].variable.spec().clone())).collect();
        let arrays = self.backend.read(&buffers).await?;
        for (i, array) in ahead.into_iter().zip(arrays) {
            let resident = &mut self.resident[i];
            resident.variable.set(array)?;
            resident.version = Some(resident.variable.version());
            resident.ahead = false;
        }
        Ok(())
    }
}

fn bound(step: &Step, buffer: usize) -> BufferId {
    step.0.bound[buffer].expect("everything but temporaries is bound")
}
