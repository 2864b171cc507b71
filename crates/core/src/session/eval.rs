//! Evaluation of a tensor on the CPU, without a session.

use std::sync::Arc;

use crate::graph::node::NodeKind;
use crate::{Array, CpuBackend, Params, Result, Session, Tensor};

impl Tensor {
    /// Computes this tensor on the CPU in `f32`, to inspect values while writing a program.
    ///
    /// Variables have their current values, and nothing is updated. For training, use a [`Session`]: it plans a
    /// step only once, and running the step allocates nothing.
    ///
    /// ```
    /// use wgrad_core::{Array, Graph, Mode};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.array(Array::from([[0.0, 1.0], [2.0, 2.0]]));
    /// println!("{}", x.softmax(-1).eval()?);
    /// assert_eq!(x.sum(-1).eval()?.to_f64(), [1.0, 4.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When an op of the graph cannot take its inputs, or when the tensor depends on an input of the graph,
    /// because nothing is fed.
    pub fn eval(&self) -> Result<Array> {
        self.graph().check()?;
        let graph = self.graph().without_updates();
        let tensor = Tensor::new(graph.clone(), self.id());
        let params = graph.data().nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Variable(variable) => Some(variable.params().clone()),
            _ => None,
        });
        let mut session = Session::new(CpuBackend::<f32>::new(), &params.unwrap_or_else(|| Params::seeded(0)))?;
        session.on_warning(Arc::new(|_| {}));
        let step = session.compile(&graph, &[&tensor])?;
        Ok(session.run(&step, &[])?.remove(0))
    }
}
