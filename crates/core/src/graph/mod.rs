//! Graphs: training and evaluation steps, traced from the user's program.

pub mod lints;
pub(crate) mod node;
mod optimizers;
pub(crate) mod owner;
pub(crate) mod params;
mod review;
pub(crate) mod scalar;
pub(crate) mod tensor;
mod text;
pub(crate) mod trace;
mod trained;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::graph::node::{Call, GraphData, Node, NodeKind, Scheduled, Update, ValueId};
use crate::graph::params::{Counter, Variable};
use crate::{Array, DType, Error, InvalidArgument, Result, Shape, Spec, Tensor};

/// Mode of a graph: training or evaluation. Batch norm and dropout depend on the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Training: batch norm uses batch statistics, dropout is active, and variables may be updated.
    Train,
    /// Evaluation: batch norm uses running statistics, dropout does nothing, and variables must not be updated.
    Evaluate,
}

/// Training or evaluation step, traced from the user's program.
///
/// Nodes can only be added to a graph. An op that cannot take its inputs does not fail: it returns an invalid
/// tensor and records an error in the graph. [`Session::compile`](crate::Session::compile) returns the first
/// recorded error.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// let y = &x * 2.0 + 1.0;
/// assert_eq!(y.shape().dims(), [64, 30]);
/// ```
#[derive(Clone)]
pub struct Graph {
    mode: Mode,
    data: Arc<Mutex<GraphData>>,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({:?}, {} nodes)", self.mode, self.data().nodes.len())
    }
}

impl Graph {
    /// Creates an empty graph.
    pub fn new(mode: Mode) -> Self {
        Self { mode, data: Arc::default() }
    }

    /// Returns the mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns how many numbers with this name were added with [`Self::scheduled`].
    pub fn scheduled_as(&self, name: &str) -> usize {
        self.data().schedule.iter().filter(|entry| entry.name == name).count()
    }

    /// Returns a copy of the graph that computes the same values, but updates no variables and counters.
    pub(crate) fn without_updates(&self) -> Self {
        let data = self.data();
        let copy = GraphData {
            nodes: data.nodes.clone(),
            schedule: data.schedule.clone(),
            variables: data.variables.clone(),
            replacements: data.replacements.clone(),
            ..GraphData::default()
        };
        Self { mode: Mode::Evaluate, data: Arc::new(Mutex::new(copy)) }
    }

    /// Locks the graph's data. Methods of the graph and of its tensors also lock it, so the guard must be dropped
    /// before any of them is called.
    pub(crate) fn data(&self) -> MutexGuard<'_, GraphData> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the nodes traced so far, each after its inputs. A [`NodeId`](crate::NodeId) is the position of a
    /// node in this list. The list is a snapshot, which later ops do not change; the nodes themselves are not
    /// copied.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let y = &graph.input("x", [3], DType::F32) * 2.0;
    /// assert_eq!(graph.nodes().iter().map(|node| node.name()).collect::<Vec<_>>(), ["x", "constant", "broadcast", "mul"]);
    /// assert_eq!(y.node().inputs.len(), 2);
    /// ```
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.data().nodes.clone()
    }

    /// Returns the updates traced so far, in the order of declaration. The list is a snapshot, like
    /// [`Self::nodes`].
    pub fn updates(&self) -> Vec<Update> {
        self.data().updates.clone()
    }

    /// Returns the numbers traced so far that the host computes before each run. [`NodeKind::Scheduled`] contains
    /// the position of a number in this list. The list is a snapshot, like [`Self::nodes`].
    pub fn schedule(&self) -> Vec<Scheduled> {
        self.data().schedule.clone()
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }

    /// Returns a tensor that refers to the value with this id, for code that visits the nodes of a graph. `None`
    /// if the graph has no value with this id.
    pub fn tensor(&self, value: ValueId) -> Option<Tensor> {
        let known = self.data().nodes.get(value.node.0).is_some_and(|node| value.output < node.outputs.len());
        known.then(|| Tensor::new(self.clone(), value))
    }

    /// Returns a copy of the graph. Nodes added to the copy do not change the original.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(self.mode);
        {
            let (data, mut to) = (self.data(), copy.data());
            to.nodes.clone_from(&data.nodes);
            to.updates.clone_from(&data.updates);
            to.schedule.clone_from(&data.schedule);
            to.variables.clone_from(&data.variables);
            to.replacements.clone_from(&data.replacements);
        }
        copy
    }

    /// Checks that no error was recorded while the graph was traced.
    ///
    /// # Errors
    /// Returns the error of the first op that could not take its inputs, else the first lint of level error that
    /// is not allowed ([`Self::allow`]).
    pub fn check(&self) -> Result<()> {
        let data = self.data();
        let error = data.error.as_ref().or_else(|| data.lints.error());
        error.map_or(Ok(()), |error| Err(Error::Graph(Box::new(error.clone()))))
    }

    /// Declares an input: an array that must be fed at every run. Error messages print `name`.
    #[track_caller]
    pub fn input(&self, name: impl Into<String>, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let spec = Spec::new(shape, dtype);
        if dtype == DType::F64 {
            let invalid = InvalidArgument::new("a graph has no f64 tensors; the precision is the device's")
                .fix("declare DType::F32 and run on Device::cpu_f64()");
            return self.fail("input", &[spec], invalid);
        }
        self.push(NodeKind::Input(name.into()), vec![], vec![spec])
    }

    /// Adds a number, as a tensor without axes. On a GPU, infinity becomes the largest finite number.
    ///
    /// NaN records an error in the graph, which `compile` reports.
    #[track_caller]
    pub fn constant(&self, value: f64) -> Tensor {
        if value.is_nan() {
            // WGSL has no literal for NaN, and no graph needs a NaN constant.
            let invalid = InvalidArgument::new("the number is NaN")
                .fix("a NaN on the host comes from 0/0, ∞ − ∞ or the root or logarithm of a negative number");
            return self.fail("constant", &[], invalid);
        }
        self.push(NodeKind::Constant(value), vec![], vec![Spec::f32(Shape::scalar())])
    }

    /// Adds an unsigned integer, as a tensor without axes.
    #[track_caller]
    pub fn constant_u32(&self, value: u32) -> Tensor {
        self.push(NodeKind::Constant(f64::from(value)), vec![], vec![Spec::u32(Shape::scalar())])
    }

    /// Adds a host array as a constant.
    ///
    /// Graphs that receive clones of the same [`Arc`] share one copy of the array on the device of a session.
    #[track_caller]
    pub fn array(&self, array: impl Into<Arc<Array>>) -> Tensor {
        let array = array.into();
        let dtype = if array.dtype().is_float() { DType::F32 } else { DType::U32 };
        let spec = Spec::new(array.shape(), dtype);
        self.push(NodeKind::Array(array), vec![], vec![spec])
    }

    /// Returns a `u32` tensor in which each element is the element's row-major position: 0, 1, 2, ….
    #[track_caller]
    pub fn iota(&self, shape: impl Into<Shape>) -> Tensor {
        self.push(NodeKind::Iota, vec![], vec![Spec::u32(shape)])
    }

    /// Returns a variable's value at the beginning of a run. A variable has only one node in a graph, however
    /// often it is read.
    #[track_caller]
    pub fn variable(&self, variable: &Variable) -> Tensor {
        if let Some(value) = self.replacement(variable) {
            return Tensor::new(self.clone(), value);
        }
        let known = self.data().variables.get(&variable.id()).copied();
        if let Some(node) = known {
            let same = matches!(&self.data().nodes[node].kind, NodeKind::Variable(v) if v.same_store(variable));
            if !same {
                let invalid = InvalidArgument::new(format!("`{}` belongs to another Params", variable.name()))
                    .fix("trace one graph per Params");
                return self.fail("variable", &[variable.spec().clone()], invalid);
            }
            return Tensor::new(self.clone(), node.output(0));
        }
        let spec = variable.spec().clone();
        let tensor = self.push(NodeKind::Variable(variable.clone()), vec![], vec![spec]);
        self.data().variables.insert(variable.id(), tensor.id().node);
        tensor
    }

    fn replacement(&self, variable: &Variable) -> Option<ValueId> {
        let is = |known: &Variable| known.id() == variable.id() && known.same_store(variable);
        self.data().replacements.iter().find(|(known, _)| is(known)).map(|&(_, value)| value)
    }

    /// Replaces `variable` with `tensor` in this graph, which must not have read the variable before. Layers
    /// traced after this call compute with the tensor, and gradients flow to the tensor.
    ///
    /// This is useful for weights that are computed (normalised, averaged, or the output of another network) and
    /// for derivatives with respect to weights that are fed. Optimizers ignore a replaced variable, and it cannot
    /// be updated. Source: `torch.func.functional_call`.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Init, Kind, Mode, Params, Session};
    /// let params = Params::seeded(0);
    /// let weight = params.variable("weight", [2], Kind::Parameter, Init::Constant(1.0));
    /// let graph = Graph::new(Mode::Evaluate);
    /// let other = graph.input("other", [2], DType::F32);
    /// graph.replace(&weight, &other);
    /// let y = graph.variable(&weight) * 2.0;
    /// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
    /// let step = session.compile(&graph, &[&y])?;
    /// assert_eq!(session.run(&step, &[(&other, &Array::vector(vec![3f32, 4.0]))])?[0].to_f32(), [6.0, 8.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[track_caller]
    pub fn replace(&self, variable: &Variable, tensor: &Tensor) {
        if !tensor.is_valid() {
            return;
        }
        let name = variable.name();
        let is = |node: &Arc<Node>| matches!(&node.kind, NodeKind::Variable(known) if known.id() == variable.id() && known.same_store(variable));
        let read = self.data().nodes.iter().any(is) || self.replacement(variable).is_some();
        let invalid = if tensor.spec() != *variable.spec() {
            InvalidArgument::new(format!("`{name}` is {}, its replacement {}", variable.spec(), tensor.spec()))
        } else if read {
            InvalidArgument::new(format!("`{name}` was read or replaced before"))
                .fix("replace a variable once, before any layer that reads it is traced")
        } else {
            self.data().replacements.push((variable.clone(), tensor.id()));
            return;
        };
        let _ = self.fail("replace", &[tensor.spec()], invalid);
    }

    /// Returns the values that were traced in the scope `path`, in order, without those of nested scopes. There is
    /// one list for each time that the scope was opened, which means for each call of a layer.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// let graph = Graph::new(Mode::Train);
    /// let mut x = graph.input("x", [8], DType::F32);
    /// for _ in 0..2 {
    ///     let _scope = graph.scope("twice");
    ///     x = &x * &x;
    /// }
    /// let calls = graph.calls_of("twice");
    /// assert_eq!((calls.len(), calls[1][0].shape().dims()), (2, &[8][..]));
    /// ```
    pub fn calls_of(&self, path: &str) -> Vec<Vec<Tensor>> {
        let data = self.data();
        let values = |call: &Call| -> Vec<ValueId> {
            let nodes = data.numbered().take(call.nodes.end).skip(call.nodes.start);
            let inside = nodes.filter(|(_, node)| node.site.scope == path);
            inside.flat_map(|(node, of)| (0..of.outputs.len()).map(move |output| node.output(output))).collect()
        };
        let calls: Vec<_> = data.calls.iter().filter(|call| call.path == path).map(values).collect();
        drop(data);
        let tensor = |value| Tensor::new(self.clone(), value);
        calls.into_iter().map(|values| values.into_iter().map(tensor).collect()).collect()
    }

    /// Returns the variables read so far, in the order of first use.
    pub fn variables(&self) -> Vec<Variable> {
        let variable = |node: &Arc<Node>| match &node.kind {
            NodeKind::Variable(variable) => Some(variable.clone()),
            _ => None,
        };
        self.data().nodes.iter().filter_map(variable).collect()
    }

    /// Tracks a value, such as a metric, under a name. A trainer fetches the value together with the loss and
    /// averages it over all training examples of an epoch. An earlier value of the same name is replaced.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// let graph = Graph::new(Mode::Train);
    /// let x = graph.input("x", [8], DType::F32);
    /// graph.track("doubled", &(&x * 2.0));
    /// assert_eq!(graph.tracked()[0].0, "doubled");
    /// ```
    pub fn track(&self, name: impl Into<String>, value: &Tensor) {
        // The op that returned the invalid tensor has already recorded an error.
        if !value.is_valid() {
            return;
        }
        let (name, mut data) = (name.into(), self.data());
        data.tracked.retain(|(known, _)| *known != name);
        data.tracked.push((name, value.id()));
    }

    /// Returns the tracked values with their names, in the order in which they were tracked.
    pub fn tracked(&self) -> Vec<(String, Tensor)> {
        let all = self.data().tracked.clone();
        all.into_iter().map(|(name, value)| (name, Tensor::new(self.clone(), value))).collect()
    }

    /// Adds a number that the host computes before each run by calling `value`, such as a learning rate. The
    /// result is a tensor without axes.
    #[track_caller]
    pub fn scheduled(
        &self,
        name: impl Into<String>,
        dtype: DType,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Tensor {
        let index = {
            let mut data = self.data();
            data.schedule.push(Scheduled { name: name.into(), dtype, value: Arc::new(value) });
            data.schedule.len() - 1
        };
        self.push(NodeKind::Scheduled(index), vec![], vec![Spec::new(Shape::scalar(), dtype)])
    }

    /// Declares that a counter increases by one after each run of this graph. Repeated calls have no further
    /// effect.
    pub fn advance(&self, counter: &Counter) {
        if self.advances(counter) == 0 {
            self.advance_again(counter);
        }
    }

    /// Declares that a counter increases by one more after each run of this graph.
    pub fn advance_again(&self, counter: &Counter) {
        self.data().counters.push(counter.clone());
    }

    /// Returns by how much a counter increases after each run of the graph as traced so far.
    pub fn advances(&self, counter: &Counter) -> usize {
        self.data().counters.iter().filter(|known| known.is(counter)).count()
    }

    /// Returns the value that a variable will have after a run of the graph as traced so far: the new value if the
    /// graph updates the variable, else the value before the run.
    #[track_caller]
    pub fn latest(&self, variable: &Variable) -> Tensor {
        match self.pending(variable) {
            Some(value) => Tensor::new(self.clone(), value),
            None => self.variable(variable),
        }
    }

    fn pending(&self, variable: &Variable) -> Option<ValueId> {
        self.data().updates.iter().find(|update| update.variable.id() == variable.id()).map(|update| update.value)
    }

    /// Sets a variable to `value` at the end of each run, after everything that reads the old value.
    ///
    /// A second update of a variable replaces the first, and must be computed from [`Self::latest`]. An update in
    /// [`Mode::Evaluate`] records an error in the graph, which `compile` reports.
    #[track_caller]
    pub fn update(&self, variable: &Variable, value: &Tensor) {
        if !value.is_valid() {
            return;
        }
        let name = variable.name();
        let invalid = if self.mode == Mode::Evaluate {
            Some(
                InvalidArgument::new(format!("an evaluation graph cannot update `{name}`"))
                    .fix("trace the graph with Mode::Train"),
            )
        } else if value.spec() != *variable.spec() {
            Some(InvalidArgument::new(format!("`{name}` is {}, its new value {}", variable.spec(), value.spec())))
        } else if self.replacement(variable).is_some() {
            Some(
                InvalidArgument::new(format!("`{name}` is replaced in this graph, so it has no update here"))
                    .fix("update the variables from which its replacement is computed"),
            )
        } else if self.pending(variable).is_some_and(|before| !self.data().depends(value.id(), before)) {
            Some(
                InvalidArgument::new(format!("`{name}` is updated twice"))
                    .fix("update each variable once per graph")
                    .fix("or compute the second value from the first: `graph.latest(&variable)`"),
            )
        } else {
            None
        };
        if let Some(invalid) = invalid {
            let _ = self.fail("update", &[value.spec()], invalid);
            return;
        }
        let _ = self.variable(variable);
        let mut data = self.data();
        data.updates.retain(|update| update.variable.id() != variable.id());
        data.updates.push(Update { variable: variable.clone(), value: value.id() });
        data.trained.note(variable);
    }
}
