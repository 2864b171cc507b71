//! Case as a graph: its outputs, then the gradients of its inputs under random cotangents.

use std::ops::Range;

use wgrad_core::{
    Array, DType, Expected, Graph, Limits, Mode, Plan, Result, Session, Step, Stream, Tensor, expected_with_draws, vjp,
};

use crate::case::{Case, Values};

/// Data of a case: the same numbers on every device.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub inputs: Vec<Array>,
    /// One per output; none for outputs that are not differentiated.
    pub cotangents: Vec<Option<Array>>,
}

/// Graph of a case.
pub(crate) struct Trace {
    pub graph: Graph,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// One per output; none for outputs that are not differentiated.
    pub cotangents: Vec<Option<Tensor>>,
    /// The gradient of each `f32` input, with the number of the input.
    pub gradients: Vec<(usize, Tensor)>,
}

impl Trace {
    pub fn new(case: &Case) -> Result<Self> {
        let graph = Graph::new(Mode::Train);
        let input = |(i, (shape, values)): (usize, &(Vec<usize>, Values))| {
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
        // One gradient per input, so that they can be told apart: zero where nothing flows.
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

    /// Returns what a run fetches: the outputs, then the gradients.
    pub fn fetches(&self) -> Vec<&Tensor> {
        self.outputs.iter().chain(self.gradients.iter().map(|(_, dx)| dx)).collect()
    }

    /// Draws the data, rounded to `f32`.
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

    /// Runs a step of this graph. Variables and counters are afterwards as they were: dropout draws the same numbers each
    /// time.
    pub fn run(&self, session: &mut Session, step: &Step, feed: &Feed) -> Result<Vec<Array>> {
        let before = self.graph.state()?;
        // What the step does not read is left out.
        let feeds: Vec<_> = self.feeds(feed).into_iter().filter(|(tensor, _)| step.reads(tensor)).collect();
        let results = session.run(step, &feeds);
        session.sync()?;
        before.restore()?;
        results
    }

    /// Computes some values of this graph in `f64`, and their bounds from the runs `draws`, each with rounding errors of
    /// its own.
    pub fn expected(&self, case: &Case, fetches: &[&Tensor], feed: &Feed, draws: Range<u64>) -> Result<Vec<Expected>> {
        if !case.exact {
            return expected_with_draws(&self.graph, fetches, &self.feeds(feed), draws);
        }
        let mut found = expected_with_draws(&self.graph, fetches, &self.feeds(feed), 0..0)?;
        found.iter_mut().flat_map(|one| &mut one.bounds).for_each(|bound| *bound = 0.0);
        Ok(found)
    }

    /// Returns what this graph is fed, by tensor.
    pub fn feeds<'a>(&'a self, feed: &'a Feed) -> Vec<(&'a Tensor, &'a Array)> {
        let cotangents = self.cotangents.iter().zip(&feed.cotangents);
        let cotangents = cotangents.filter_map(|(t, a)| t.as_ref().zip(a.as_ref()));
        self.inputs.iter().zip(&feed.inputs).chain(cotangents).collect()
    }
}

impl Case {
    /// Plans what is checked for a device with these limits: outputs, then gradients under cotangents.
    ///
    /// # Errors
    /// The first error of the graph.
    pub fn plan(&self, limits: &Limits) -> Result<Plan> {
        let trace = Trace::new(self)?;
        Plan::new(&trace.graph, &trace.fetches(), limits)
    }
}
