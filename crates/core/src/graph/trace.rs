//! Tracing: ops become nodes with the place that they come from, and a invalid marks its tensor.

use std::panic::Location;
use std::sync::Arc;

use crate::graph::node::{LibraryCall, Node, NodeId, NodeKind, Scope, ValueId};
use crate::op::pointwise::Block;
use crate::op::reference::{Slice, SliceMut};
use crate::{DType, Graph, GraphError, InvalidArgument, Op, Pointwise, Shape, Site, Spec, Tensor};

impl Graph {
    /// Opens a scope: ops traced until the guard drops are reported as being in `path`.
    #[must_use = "the scope ends when the guard is dropped"]
    pub fn scope(&self, path: impl Into<String>) -> ScopeGuard {
        let mut data = self.data();
        let caller = data.scopes.last().and_then(|scope| scope.caller);
        data.open(Scope { path: path.into(), caller });
        drop(data);
        ScopeGuard(self.clone())
    }

    /// A scope around what a library traces for `caller`, where no line of the caller survives, as in calls through
    /// `dyn`: what the source files below the folder `library` trace is reported as coming from `caller`. An empty path
    /// stays in the scope that is open.
    #[must_use = "the scope ends when the guard is dropped"]
    pub fn scope_of_library(
        &self,
        path: impl Into<String>,
        caller: &'static Location<'static>,
        library: &'static str,
    ) -> ScopeGuard {
        self.called(path.into(), caller, library)
    }

    /// Until the guard drops, everything that is traced is reported as coming from the caller of the function that calls
    /// this: in its closures, too, which have no caller to tell.
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
            // One library calls itself: the line that called the outer call is meant.
            let outer = open.caller.filter(|outer| caller.file().starts_with(outer.library));
            call.line = outer.map_or(caller, |outer| outer.line);
        }
        data.open(Scope { path, caller: Some(call) });
        drop(data);
        ScopeGuard(self.clone())
    }

    /// Applies a structured op.
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

    /// Puts an op with more outputs in the place of a node's op; readers of the node keep what they read.
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

    /// Applies a pointwise op; arguments are broadcast to their common shape.
    #[track_caller]
    pub fn pointwise(&self, row: &'static Pointwise, args: &[&Tensor], attributes: &[f64]) -> Tensor {
        if let Some(applied) = self.refuse(row.name, args) {
            return applied.get(0);
        }
        let specs: Vec<_> = args.iter().map(|t| t.spec()).collect();
        debug_assert!(args.len() == row.args.len() && attributes.len() == row.attributes.len(), "{}", row.name);
        if let Some(i) = (0..args.len()).find(|&i| specs[i].dtype != row.types[i]) {
            let invalid = InvalidArgument::new(format!(
                "argument `{}` must be {}, not {}",
                row.args[i], row.types[i], specs[i].dtype
            ));
            let invalid = match row.types[i] {
                DType::U32 => invalid.fix("masks and labels are u32: compare (`x.gt(&y)`) or cast with `.to_u32()`"),
                _ => invalid.fix("cast with `.to_f32()`"),
            };
            return self.fail(row.name, &specs, invalid);
        }
        let mut shape = specs.first().map_or_else(Shape::scalar, |spec| spec.shape.clone());
        for spec in &specs[1.min(specs.len())..] {
            let Some(common) = shape.broadcast(&spec.shape) else {
                let invalid = InvalidArgument::new(format!("shapes {shape} and {} do not broadcast", spec.shape))
                    .fix("sizes are aligned from the last axis and must be equal or 1; reshape or unsqueeze one side");
                return self.fail(row.name, &specs, invalid);
            };
            shape = common;
        }
        if let Some(number) = self.fold(row, args, attributes) {
            return number;
        }
        // No closure: it would have no caller.
        let mut ids = Vec::with_capacity(args.len());
        for arg in args {
            ids.push(arg.expand(&shape).id());
        }
        self.push(NodeKind::Pointwise(row, attributes.to_vec()), ids, vec![Spec::new(shape, row.out)])
    }

    /// The result of a row of numbers that a gradient rule made, such as a cotangent of 1 over a count.
    ///
    /// Only while gradients are built: a number of the user's stays a node, of which a gradient may be asked.
    #[track_caller]
    fn fold(&self, row: &'static Pointwise, args: &[&Tensor], attributes: &[f64]) -> Option<Tensor> {
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
        if !row.out.is_float() {
            return None;
        }
        let args: Vec<_> = numbers.iter().map(|number| Slice::Float(number)).collect();
        let mut result = [0.0];
        (row.block_f64)(&Block { args: &args, attributes }, SliceMut::Float(&mut result));
        result[0].is_finite().then(|| self.constant(result[0]))
    }

    /// Records that an op does not fit, and leaves an invalid tensor in its place.
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

    /// The invalid result of an op with an input that is invalid or of another graph.
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
                // Functions that are handed over by name are called by the standard library.
                let caller = caller.filter(|call| file.starts_with(call.library) || file.starts_with("/rustc/"));
                Site { location: caller.map_or(location, |call| call.line), scope: path.clone() }
            }
        })
    }

    /// Runs `body` so that what it traces is reported as coming from `site`.
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

/// The outputs of an applied op.
#[derive(Clone, Debug)]
pub struct Applied {
    graph: Graph,
    node: NodeId,
    valid: bool,
}

impl Applied {
    /// Output `i`; every output of an op that did not fit is the same invalid tensor.
    pub fn get(&self, i: usize) -> Tensor {
        Tensor::new(self.graph.clone(), self.node.output(if self.valid { i } else { 0 }))
    }
}

impl From<Tensor> for Applied {
    /// For invalid tensors only: they stand for any number of outputs.
    fn from(invalid: Tensor) -> Self {
        Self { graph: invalid.graph().clone(), node: invalid.id().node, valid: false }
    }
}

/// Ends a scope when dropped.
#[derive(Debug)]
pub struct ScopeGuard(Graph);

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        self.0.data().close();
    }
}
