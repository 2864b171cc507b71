//! Traced cases. A trace is the graph of a case's outputs and of the gradients of its inputs for random
//! cotangents.

use std::ops::Range;

use wgrad_core::{
    Array, DType, Expected, Graph, Limits, Mode, Plan, Result, Session, Step, Stream, Tensor, expected_with_draws, vjp,
};

use crate::case::{Case, Fill};

/// Data for a case's inputs and cotangents, the same on every device.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub inputs: Vec<Array>,
    /// Data of each output's cotangent; `None` if the output is not differentiated.
    pub cotangents: Vec<Option<Array>>,
}

/// Graph of a case's outputs and gradients.
pub(crate) struct Trace {
    pub graph: Graph,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// Input for each output's cotangent; `None` if the output is not differentiated.
    pub cotangents: Vec<Option<Tensor>>,
    /// Gradient of each `f32` input, preceded by the input's index.
    pub gradients: Vec<(usize, Tensor)>,
}

impl Trace {
    pub fn new(case: &Case) -> Result<Self> {
        let graph = Graph::new(Mode::Train);
        let input = |(i, (shape, values)): (usize, &(Vec<usize>, Fill))| {
            graph.input(format!("x{i}"), &shape[..], values.dtype())
        };
        let inputs: Vec<Tensor> = case.inputs.iter().enumerate().map(input).collect();
        let outputs = (case.build)(&inputs);
        graph.check()?;
        let cotangent = |(i, y): (usize, &Tensor)| {
            let differentiated = case.differentiates(i) && y.dtype() == DType::F32;
            differentiated.then(|| graph.input(format!("dy{i}"), y.shape(), DType::F32))
        };
        let cotangents: Vec<Option<Tensor>> = outputs.iter().enumerate().map(cotangent).collect();
        let pairs: Vec<_> = outputs.iter().zip(&cotangents).filter_map(|(y, c)| Some((y, c.as_ref()?))).collect();
        // Every `f32` input gets a gradient, which is zero if the outputs do not depend on the input.
        let mut gradients = vec![];
        if !pairs.is_empty() {
            let floats: Vec<_> = inputs.iter().enumerate().filter(|(_, x)| x.dtype() == DType::F32).collect();
            let zero = |x: &Tensor| graph.constant(0.0).expand(x.shape());
            let wanted: Vec<Tensor> = floats.iter().map(|&(_, x)| x.clone()).collect();
            for ((i, x), dx) in floats.into_iter().zip(vjp(&pairs, &wanted)) {
                gradients.push((i, dx.unwrap_or_else(|| zero(x))));
            }
        }
        graph.check()?;
        Ok(Self { graph, inputs, outputs, cotangents, gradients })
    }

    /// Returns the tensors to fetch: first the outputs, then the gradients.
    pub fn fetches(&self) -> Vec<&Tensor> {
        self.outputs.iter().chain(self.gradients.iter().map(|(_, dx)| dx)).collect()
    }

    /// Draws the data of inputs and cotangents, rounded to `f32`.
    pub fn feed(&self, case: &Case, seed: u64) -> Result<Feed> {
        let mut stream = Stream::named(seed, &case.name);
        let inputs = (0..case.inputs.len()).map(|i| case.draw(i, &mut stream)).collect::<Result<_>>()?;
        let mut draw = |y: &Tensor| {
            let values = (0..y.shape().numel()).map(|_| stream.normal() as f32).collect();
            Array::new(y.shape(), values)
        };
        let cotangents =
            self.cotangents.iter().map(|c| c.as_ref().map(&mut draw).transpose()).collect::<Result<_>>()?;
        Ok(Feed { inputs, cotangents })
    }

    /// Runs one step of this graph. Variables and counters are restored afterwards, so that dropout draws the same
    /// numbers in each run.
    pub fn run(&self, session: &mut Session, step: &Step, feed: &Feed) -> Result<Vec<Array>> {
        let before = self.graph.state()?;
        // Feed only the inputs that the step reads.
        let feeds: Vec<_> = self.feeds(feed).into_iter().filter(|(tensor, _)| step.reads(tensor)).collect();
        let results = session.run(step, &feeds);
        session.sync()?;
        before.restore()?;
        results
    }

    /// Computes values of this graph in `f64`, and their error bounds. The bounds are computed from runs with
    /// random rounding errors. Each number in `draws` stands for one run with its own errors.
    pub fn expected(&self, case: &Case, fetches: &[&Tensor], feed: &Feed, draws: Range<u64>) -> Result<Vec<Expected>> {
        if !case.exact {
            return expected_with_draws(&self.graph, fetches, &self.feeds(feed), draws);
        }
        let mut found = expected_with_draws(&self.graph, fetches, &self.feeds(feed), 0..0)?;
        found.iter_mut().flat_map(|one| &mut one.bounds).for_each(|bound| *bound = 0.0);
        Ok(found)
    }

    /// Returns the inputs and cotangents of the graph, each with its data.
    pub fn feeds<'a>(&'a self, feed: &'a Feed) -> Vec<(&'a Tensor, &'a Array)> {
        let cotangents = self.cotangents.iter().zip(&feed.cotangents);
        let cotangents = cotangents.filter_map(|(t, a)| t.as_ref().zip(a.as_ref()));
        self.inputs.iter().zip(&feed.inputs).chain(cotangents).collect()
    }
}

impl Case {
    /// Creates the plan that a device with these limits would run for the case's outputs and gradients.
    ///
    /// # Errors
    /// Returns the first error in the case's graph.
    pub fn plan(&self, limits: &Limits) -> Result<Plan> {
        let trace = Trace::new(self)?;
        Plan::new(&trace.graph, &trace.fetches(), limits)
    }
}
