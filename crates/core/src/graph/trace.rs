//! Tracing: adds a node to the graph for each op, together with the op's place in the user's program. For an op
//! that cannot take its inputs, records an error and returns an invalid tensor.

use std::panic::Location;
use std::sync::Arc;

use crate::graph::node::{LibraryCall, Node, NodeId, NodeKind, Scope, ValueId};
use crate::op::pointwise::Block;
use crate::op::reference::{Slice, SliceMut};
use crate::{DType, Graph, GraphError, InvalidArgument, Op, Pointwise, Shape, Site, Spec, Tensor};

impl Graph {
    /// Opens a scope, which stays open until the guard is dropped. Error messages about the ops traced in the
    /// scope contain its `path`.
    #[must_use = "the scope ends when the guard is dropped"]
    pub fn scope(&self, path: impl Into<String>) -> ScopeGuard {
        let mut data = self.data();
        let caller = data.scopes.last().and_then(|scope| scope.caller);
        data.open(Scope { path: path.into(), caller });
        drop(data);
        ScopeGuard(self.clone())
    }

    /// Opens a scope for ops that a library traces. If an op was traced by a source file in the folder `library`,
    /// error messages report the line `caller` instead of the line in that file. This is for library functions
    /// that cannot use `#[track_caller]`, such as functions called through `dyn`. If `path` is empty, the path of
    /// the scope that is already open is used.
    #[must_use = "the scope ends when the guard is dropped"]
    pub fn scope_of_library(
        &self,
        path: impl Into<String>,
        caller: &'static Location<'static>,
        library: &'static str,
    ) -> ScopeGuard {
        self.called(path.into(), caller, library)
    }

    /// Opens a scope, which stays open until the guard is dropped. Error messages about the ops traced in the
    /// scope report the line that called the current function. This also holds for ops in closures, which cannot
    /// use `#[track_caller]`.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode, Tensor};
    /// #[track_caller]
    /// fn sum_of_powers(x: &Tensor) -> Tensor {
    ///     let _line = x.graph().line_of_caller();
    ///     let powers = (1..4).map(|n| (1..n).fold(x.clone(), |power, _| power * x));
    ///     powers.reduce(|sum, power| sum + power).expect("there are three")
    /// }
    /// let graph = Graph::new(Mode::Evaluate);
    /// let y = sum_of_powers(&graph.input("x", [2, 3], DType::F32)); // This line.
    /// assert!(graph.nodes().iter().all(|node| node.site.location.line() == line!() - 1), "{y:?}");
    /// ```
    #[must_use = "it ends when the guard is dropped"]
    #[track_caller]
    pub fn line_of_caller(&self) -> ScopeGuard {
        self.called(String::new(), Location::caller(), "")
    }

    fn called(&self, mut path: String, caller: &'static Location<'static>, library: &'static str) -> ScopeGuard {
        let mut data = self.data();
        let mut call = LibraryCall { line: caller, library };
        if let Some(open) = data.scopes.last() {
            if path.is_empty() {
                path.clone_from(&open.path);
            }
            // If the library calls itself, the caller of the outer call is reported.
            let outer = open.caller.filter(|outer| caller.file().starts_with(outer.library));
            call.line = outer.map_or(caller, |outer| outer.line);
        }
        data.open(Scope { path, caller: Some(call) });
        drop(data);
        ScopeGuard(self.clone())
    }

    /// Applies a structured op or a view to `inputs`.
    #[track_caller]
    pub fn apply(&self, op: impl Op, inputs: &[&Tensor]) -> Applied {
        let op: Arc<dyn Op> = Arc::new(op);
        if let Some(applied) = self.refuse(op.name(), inputs) {
            return applied;
        }
        let specs: Vec<_> = inputs.iter().map(|t| t.spec()).collect();
        match op.outputs(&specs) {
            Ok(outputs) => {
                let inputs = inputs.iter().map(|t| t.id()).collect();
                let tensor = self.push(NodeKind::Op(op), inputs, outputs);
                Applied { graph: self.clone(), node: tensor.id().node, valid: true }
            }
            Err(invalid) => self.fail(op.name(), &specs, invalid).into(),
        }
    }

    /// Replaces a node's op with one that has additional outputs. The existing outputs stay the same, so their
    /// readers do not change.
    pub(crate) fn widen(&self, node: NodeId, op: Arc<dyn Op>) -> Applied {
        let mut data = self.data();
        let inputs: Vec<_> = data.nodes[node].inputs.iter().map(|&input| data.spec(input).clone()).collect();
        let outputs = op.outputs(&inputs).expect("the op takes the inputs of the one that it replaces");
        debug_assert!(outputs.starts_with(&data.nodes[node].outputs), "{} keeps its outputs", op.name());
        let wider = Arc::make_mut(&mut data.nodes[node]);
        (wider.kind, wider.outputs) = (NodeKind::Op(op), outputs);
        drop(data);
        Applied { graph: self.clone(), node, valid: true }
    }

    /// Applies a pointwise op to arguments, which are broadcast to their common shape.
    #[track_caller]
    pub fn pointwise(&self, op: &'static Pointwise, args: &[&Tensor], attributes: &[f64]) -> Tensor {
        if let Some(applied) = self.refuse(op.name, args) {
            return applied.get(0);
        }
        let specs: Vec<_> = args.iter().map(|t| t.spec()).collect();
        debug_assert!(args.len() == op.args.len() && attributes.len() == op.attributes.len(), "{}", op.name);
        if let Some(i) = (0..args.len()).find(|&i| specs[i].dtype != op.types[i]) {
            let invalid = InvalidArgument::new(format!(
                "argument `{}` must be {}, not {}",
                op.args[i], op.types[i], specs[i].dtype
            ));
            let invalid = match op.types[i] {
                DType::U32 => invalid.fix("masks and labels are u32: compare (`x.gt(&y)`) or cast with `.to_u32()`"),
                _ => invalid.fix("cast with `.to_f32()`"),
            };
            return self.fail(op.name, &specs, invalid);
        }
        let mut shape = specs.first().map_or_else(Shape::scalar, |spec| spec.shape.clone());
        for spec in &specs[1.min(specs.len())..] {
            let Some(common) = shape.broadcast(&spec.shape) else {
                let invalid = InvalidArgument::new(format!("shapes {shape} and {} do not broadcast", spec.shape))
                    .fix("sizes are aligned from the last axis and must be equal or 1; reshape or unsqueeze one side");
                return self.fail(op.name, &specs, invalid);
            };
            shape = common;
        }
        if let Some(number) = self.fold(op, args, attributes) {
            return number;
        }
        // A closure could not track the caller, so this is a loop.
        let mut ids = Vec::with_capacity(args.len());
        for arg in args {
            ids.push(arg.expand(&shape).id());
        }
        self.push(NodeKind::Pointwise(op, attributes.to_vec()), ids, vec![Spec::new(shape, op.out)])
    }

    /// Computes a pointwise op while the graph is traced, if its arguments are all constants, and returns the
    /// result as a constant. An example is the gradient of a mean: 1 divided by the number of elements.
    ///
    /// This happens only in gradient rules. The user's constants remain nodes, because gradients with respect to
    /// them may be needed.
    #[track_caller]
    fn fold(&self, op: &'static Pointwise, args: &[&Tensor], attributes: &[f64]) -> Option<Tensor> {
        self.data().rewriting.as_ref()?;
        let number = |tensor: &&Tensor| {
            let data = self.data();
            let node = &data.nodes[tensor.id().node];
            match node.kind {
                NodeKind::Constant(value) if node.outputs[0].dtype.is_float() => Some([value]),
                _ => None,
            }
        };
        let numbers: Vec<[f64; 1]> = args.iter().map(number).collect::<Option<_>>()?;
        if !op.out.is_float() {
            return None;
        }
        let args: Vec<_> = numbers.iter().map(|number| Slice::Float(number)).collect();
        let mut result = [0.0];
        (op.block_f64)(&Block { args: &args, attributes }, SliceMut::Float(&mut result));
        result[0].is_finite().then(|| self.constant(result[0]))
    }

    /// Records the error that `op` cannot take its inputs, and returns an invalid tensor. Only the first error of
    /// a graph is kept.
    #[track_caller]
    pub fn fail(&self, op: &str, inputs: &[Spec], invalid: InvalidArgument) -> Tensor {
        let site = self.site();
        let mut data = self.data();
        if data.error.is_none() {
            let inputs = inputs.iter().map(ToString::to_string).collect();
            data.error = Some(GraphError { op: op.into(), inputs, invalid, site });
        }
        drop(data);
        self.push(NodeKind::Invalid, vec![], vec![Spec::f32(Shape::scalar())])
    }

    /// Returns an invalid result if an input is invalid or belongs to another graph; `None` if all inputs are
    /// valid.
    #[track_caller]
    fn refuse(&self, op: &str, inputs: &[&Tensor]) -> Option<Applied> {
        if let Some(stranger) = inputs.iter().find(|t| !t.graph().is(self)) {
            let invalid =
                InvalidArgument::new("an input belongs to another graph").fix("trace the whole step in one graph");
            return Some(self.fail(op, &[stranger.spec()], invalid).into());
        }
        let invalid = inputs.iter().find(|t| !t.is_valid())?;
        Some((*invalid).clone().into())
    }

    #[track_caller]
    pub(crate) fn site(&self) -> Site {
        let location = Location::caller();
        let data = self.data();
        data.rewriting.clone().unwrap_or_else(|| match data.scopes.last() {
            None => Site { location, scope: String::new() },
            Some(Scope { path, caller }) => {
                let file = location.file();
                // If a function is passed by name, such as to `map`, its caller is a line of the standard library,
                // whose path begins with `/rustc/`.
                let caller = caller.filter(|call| file.starts_with(call.library) || file.starts_with("/rustc/"));
                Site { location: caller.map_or(location, |call| call.line), scope: path.clone() }
            }
        })
    }

    /// Runs `body`. Error messages about the ops that `body` traces report the place `site`.
    pub(crate) fn at<R>(&self, site: Site, body: impl FnOnce() -> R) -> R {
        let before = self.data().rewriting.replace(site);
        let result = body();
        self.data().rewriting = before;
        result
    }

    #[track_caller]
    pub(crate) fn push(&self, kind: NodeKind, inputs: Vec<ValueId>, outputs: Vec<Spec>) -> Tensor {
        let site = self.site();
        let mut data = self.data();
        data.nodes.push(Arc::new(Node { kind, inputs, outputs, site }));
        let node = NodeId(data.nodes.len() - 1);
        drop(data);
        Tensor::new(self.clone(), node.output(0))
    }
}

/// Outputs of an op that was applied.
#[derive(Clone, Debug)]
pub struct Applied {
    graph: Graph,
    node: NodeId,
    valid: bool,
}

impl Applied {
    /// Returns output `i`, or an invalid tensor if the op could not take its inputs.
    pub fn get(&self, i: usize) -> Tensor {
        Tensor::new(self.graph.clone(), self.node.output(if self.valid { i } else { 0 }))
    }
}

impl From<Tensor> for Applied {
    /// Wraps an invalid tensor, which represents any number of outputs.
    fn from(invalid: Tensor) -> Self {
        Self { graph: invalid.graph().clone(), node: invalid.id().node, valid: false }
    }
}

/// Guard of an open scope. Dropping the guard closes the scope.
#[derive(Debug)]
pub struct ScopeGuard(Graph);

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        self.0.data().close();
    }
}
