//! Recorded PyTorch steps, which wgrad repeats and compares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{SafeTensors, TensorView};
use wgrad_core::{
    Array, DType, Deviation, Error, Expected, Graph, Kind, Mode, Params, Result, Session, Shape, Tensor, Variable,
    expected, gradients,
};

use super::comparison::{Compared, ComparedStage, Comparison};
use crate::error::{Mismatch, RecordingError};
use crate::snapshot::Snapshot;
use wgrad_nn::entries::{entries, set, unreadable, value, words};
use wgrad_nn::optim::Optimizer;

/// PyTorch training step that `examples/record_pytorch.py` has recorded: the batch, the outputs of modules, the
/// loss, the gradients, and the state dict before and after the step.
///
/// ```no_run
/// use wgrad_core::{CpuBackend, Params, Session};
/// use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::AdamW};
/// use wgrad_train::Recording;
/// let params = Params::seeded(0);
/// let model = Linear::new(&params.at("fc"), 30, 1);
/// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
/// let recording = Recording::read("step.safetensors")?;
/// let comparison = recording.compare(&mut session, &params, &AdamW::new(1e-3), |x, y| {
///     BceWithLogitsLoss::new().forward(&model.forward(x), y)
/// })?;
/// println!("{comparison}");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recording {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Names of the modules in the order of execution. If a module is called several times, its calls are
    /// `NAME#0`, `NAME#1` and so on.
    order: Vec<String>,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// When the file cannot be read, is not a safetensors file, or is not a recording.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let shown = path.display().to_string();
        let damaged = |error| unreadable(&shown, &bytes, &error);
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let known = header.metadata().as_ref();
        let order = known.filter(|all| all.get("format").is_some_and(|format| format == "wgrad-recording"));
        let order = order.and_then(|all| serde_json::from_str(all.get("order")?).ok());
        let order = order.ok_or_else(|| RecordingError::NotRecording { path: path.clone() })?;
        SafeTensors::deserialize(&bytes).map_err(damaged)?;
        Ok(Self { path, bytes, order })
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("it was read before")
    }

    /// Returns a tensor of the recording. Integers are labels and are converted to `u32`.
    fn array(&self, name: &str) -> Result<Array> {
        let (path, tensors) = (&self.path, self.tensors());
        let missing = |_| RecordingError::Missing { path: path.clone(), name: name.into() };
        let view = tensors.tensor(name).map_err(missing)?;
        let unusable = |reason| RecordingError::Tensor { path: path.clone(), name: name.into(), reason };
        Ok(array(&view).map_err(unusable)?)
    }

    /// Repeats the recorded step and compares its values. Loads the recorded parameters and buffers into `params`
    /// by name, and traces `loss` on the recorded batch, followed by an update with `optimizer`. Computes the
    /// values of this graph in `f64` and compares the recorded values with them. Two values count as equal if they
    /// differ by no more than the rounding errors of a run in `f32` ([`expected`]). Also runs the step on the
    /// session's device and checks it node by node ([`Session::lockstep`]). All variables and counters are
    /// restored afterwards.
    ///
    /// A module is identified by its dotted name, which is the scope in which a layer declares its variables and
    /// traces its ops. If a module is called several times, its calls are compared in order. `optimizer` should be
    /// new, with the same settings as the recorded optimizer.
    ///
    /// # Errors
    /// Returns an error if names or shapes in the state dict differ, if the step draws random numbers (which
    /// differ from PyTorch's), or if the device is lost. Also returns errors of the ops in the step,
    /// such as mismatched shapes.
    #[track_caller]
    pub fn compare(
        &self,
        session: &mut Session,
        params: &Params,
        optimizer: &dyn Optimizer,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Result<Comparison> {
        session.sync()?;
        let before = Snapshot::take(params)?;
        let result = self.load(params).and_then(|()| self.compare_step(session, params, optimizer, &loss));
        let restored = session.sync().and_then(|()| before.restore(params));
        result.and_then(|comparison| restored.map(|()| comparison))
    }

    /// Loads the recorded parameters and buffers into `params`.
    fn load(&self, params: &Params) -> Result<()> {
        let tensors = self.tensors();
        let mut model = entries(params);
        let mut found = vec![];
        let mut wrong = vec![];
        for (name, view) in tensors.iter().filter_map(|(name, view)| Some((name.strip_prefix("before/")?, view))) {
            match model.remove(name) {
                None => wrong.push(Mismatch::NotInModel { name: name.into() }),
                Some(entry) => match value(&entry, &view) {
                    Ok(value) => found.push((entry, value)),
                    Err(why) => wrong.push(Mismatch::Value { name: name.into(), reason: why }),
                },
            }
        }
        wrong.extend(model.keys().map(|name| Mismatch::NotRecorded { name: name.clone() }));
        if !wrong.is_empty() {
            wrong.sort_by_cached_key(ToString::to_string);
            return Err(RecordingError::OtherModel { path: self.path.clone(), mismatches: wrong }.into());
        }
        found.into_iter().try_for_each(|(entry, value)| set(entry, value))
    }

    #[track_caller]
    fn compare_step(
        &self,
        session: &mut Session,
        params: &Params,
        optimizer: &dyn Optimizer,
        loss: &dyn Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Result<Comparison> {
        let (x, y) = (self.array("input")?, self.array("target")?);
        let graph = Graph::new(Mode::Train);
        let input = graph.input("input", x.shape(), DType::F32);
        let dtype = if y.dtype().is_float() { DType::F32 } else { DType::U32 };
        let target = graph.input("target", y.shape(), dtype);
        let loss = loss(&input, &target);
        optimizer.minimize(&loss);
        graph.check()?;
        not_random(&graph)?;
        let Outputs { mut values, mut skipped, unseen } = self.outputs(&graph)?;
        let recorded = self.array("loss")?;
        let recorded = Array::new(loss.shape(), recorded.to_f64())?;
        let (stage, tensor) = (ComparedStage::Loss, loss.clone());
        values.push(RecordedValue { stage, name: "loss".into(), tensor, recorded, unseen });
        values.extend(self.gradients(&graph, &loss)?);
        let variables = params.variables().into_iter().filter(|variable| variable.kind() != Kind::State);
        for variable in variables {
            let recorded = self.array(&format!("after/{}", variable.name()))?;
            if recorded.shape() == variable.shape() {
                let latest = graph.latest(&variable);
                values.push(RecordedValue::new(ComparedStage::Updated, &variable, latest, recorded));
            }
        }
        graph.check()?;
        let feeds = [(&input, &x), (&target, &y)];
        let tensors: Vec<&Tensor> = values.iter().map(|value| &value.tensor).collect();
        let truth = expected(&graph, &tensors, &feeds)?;
        let noise = noise(&values, &truth);
        skipped.extend(noise.iter().map(|name| format!("{name} (its gradient is 0 here, rounding errors there)")));
        let comparable = values.iter().zip(&truth).filter(|(value, _)| {
            !matches!(value.stage, ComparedStage::Gradient | ComparedStage::Updated)
                || !noise.contains(&value.name.as_str())
        });
        let compared = comparable.map(|(value, truth)| value.compare(truth)).collect();
        let lockstep = session.lockstep(&graph, &[&loss], &feeds)?;
        Ok(Comparison { compared, skipped, lockstep })
    }

    /// Finds the graph tensor for each recorded output of a module, in the order of execution.
    fn outputs(&self, graph: &Graph) -> Result<Outputs> {
        let mut values: Vec<RecordedValue> = vec![];
        let (mut skipped, mut unseen) = (vec![], vec![]);
        for name in &self.order {
            let recorded = self.array(&format!("output/{name}"))?;
            match self.output(graph, name, recorded.shape()) {
                Ok(tensor) => {
                    let (stage, name) = (ComparedStage::Output, name.clone());
                    values.push(RecordedValue { stage, name, tensor, recorded, unseen });
                    unseen = vec![];
                }
                // A module that only calls other modules has no ops, so its output cannot be found.
                Err(_)
                    if self
                        .order
                        .iter()
                        .any(|other| is_inside(ModuleCall::parse(other).module, ModuleCall::parse(name).module)) => {}
                Err(why) => {
                    skipped.push(format!("{name} ({why})"));
                    unseen.push(name.clone());
                }
            }
        }
        Ok(Outputs { values, skipped, unseen })
    }

    /// Finds the graph tensor for each recorded gradient, from the last parameter to the first.
    fn gradients(&self, graph: &Graph, loss: &Tensor) -> Result<Vec<RecordedValue>> {
        let tensors = self.tensors();
        let recorded: BTreeMap<&str, _> =
            tensors.iter().filter_map(|(name, view)| Some((name.strip_prefix("gradient/")?, view))).collect();
        let of = |variable: &Variable| variable.kind() == Kind::Parameter && recorded.contains_key(variable.name());
        let variables: Vec<Variable> = graph.variables().into_iter().filter(of).collect();
        let handles: Vec<Tensor> = variables.iter().map(|variable| graph.variable(variable)).collect();
        let mut values = vec![];
        for (variable, gradient) in variables.iter().zip(gradients(loss, &handles)).rev() {
            let Some(gradient) = gradient else { continue };
            let recorded = self.array(&format!("gradient/{}", variable.name()))?;
            if *recorded.shape() == gradient.shape() {
                values.push(RecordedValue::new(ComparedStage::Gradient, variable, gradient, recorded));
            }
        }
        Ok(values)
    }

    /// Returns the last tensor of the recorded shape that a module traces in the recorded call, or the reason why
    /// there is none.
    fn output(&self, graph: &Graph, name: &str, shape: &Shape) -> Result<Tensor, String> {
        let ModuleCall { module, call } = ModuleCall::parse(name);
        let calls = graph.calls_of(module);
        let values: Vec<&Tensor> = match call {
            None => calls.iter().flatten().collect(),
            Some(call) => {
                let there = self.order.iter().filter(|other| ModuleCall::parse(other).module == module).count();
                if !calls.is_empty() && calls.len() != there {
                    return Err(format!("called {there} times there, {} times here", calls.len()));
                }
                calls.get(call).into_iter().flatten().collect()
            }
        };
        let mut fitting = values.into_iter().filter(|tensor| tensor.shape() == *shape && tensor.dtype().is_float());
        fitting.next_back().cloned().ok_or_else(|| "nothing here has that name and shape".into())
    }
}

/// Limit for rounding noise. If a gradient is exactly 0 in wgrad, its recorded value counts as noise if it is
/// smaller than this fraction of the largest recorded gradient.
const NOISE: f64 = 1e-5;

/// Recorded outputs of modules, with the graph tensors that they are compared with.
struct Outputs {
    values: Vec<RecordedValue>,
    /// Outputs that cannot be compared, with the reason.
    skipped: Vec<String>,
    /// Modules that PyTorch called after the last output in `values`. Their outputs cannot be compared.
    unseen: Vec<String>,
}

/// Returns the names of parameters whose recorded gradients are only rounding errors. These parameters cannot be
/// compared, because an optimizer that normalises gradients, such as Adam, turns even tiny errors into updates of
/// the usual size.
fn noise<'w>(values: &'w [RecordedValue], truth: &[Expected]) -> Vec<&'w str> {
    let gradients = values.iter().zip(truth).filter(|(value, _)| value.stage == ComparedStage::Gradient);
    let size = |array: &Array| array.to_f64().iter().fold(0f64, |size, x| size.max(x.abs()));
    let largest = gradients.clone().map(|(value, _)| size(&value.recorded)).fold(0.0, f64::max);
    gradients
        .filter(|(value, truth)| truth.values.iter().all(|x| *x == 0.0) && size(&value.recorded) < NOISE * largest)
        .map(|(value, _)| value.name.as_str())
        .collect()
}

/// Recorded value and the tensor of the graph that it is compared with.
struct RecordedValue {
    stage: ComparedStage,
    name: String,
    tensor: Tensor,
    recorded: Array,
    unseen: Vec<String>,
}

impl RecordedValue {
    fn new(stage: ComparedStage, variable: &Variable, tensor: Tensor, recorded: Array) -> Self {
        Self { stage, name: variable.name().into(), tensor, recorded, unseen: vec![] }
    }

    fn compare(&self, truth: &Expected) -> Compared {
        let Self { stage, name, tensor, recorded, unseen } = self;
        let site = tensor.node().site.clone();
        let worst = Deviation::worst(recorded, &truth.values, &truth.bounds);
        Compared { stage: *stage, name: name.clone(), site, shape: tensor.shape(), worst, unseen: unseen.clone() }
    }
}

/// Name of a module in a recording, with the number of the call if the module is called several times.
struct ModuleCall<'n> {
    module: &'n str,
    call: Option<usize>,
}

impl<'n> ModuleCall<'n> {
    fn parse(name: &'n str) -> Self {
        let call =
            name.rsplit_once('#').and_then(|(module, call)| Some(Self { module, call: Some(call.parse().ok()?) }));
        call.unwrap_or(Self { module: name, call: None })
    }
}

fn is_inside(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'))
}

/// Returns an error if a step draws random numbers.
fn not_random(graph: &Graph) -> Result<()> {
    let nodes = graph.nodes();
    let Some(node) = nodes.iter().find(|node| matches!(node.name(), "dropout" | "bernoulli")) else {
        return Ok(());
    };
    Err(RecordingError::Random { op: node.name().into(), site: node.site.clone() }.into())
}

fn array(view: &TensorView<'_>) -> Result<Array, String> {
    let (shape, bytes) = (Shape::from(view.shape()), view.data());
    let array = match view.dtype() {
        Dtype::F32 => Array::new(shape, words(bytes, f32::from_le_bytes)),
        Dtype::F64 => Array::new(shape, words(bytes, f64::from_le_bytes)),
        Dtype::I64 => {
            let labels: Option<Vec<u32>> =
                words(bytes, i64::from_le_bytes).into_iter().map(|label| u32::try_from(label).ok()).collect();
            Array::new(shape, labels.ok_or("has labels that are negative or exceed 32 bits")?)
        }
        other => return Err(format!("is {other:?}; record the step in float32, with labels of int64")),
    };
    array.map_err(|error| error.to_string())
}
