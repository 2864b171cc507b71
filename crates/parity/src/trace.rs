//! Runs a case on a device: outputs, then the gradients of its inputs under random cotangents.

use wgrad_core::bound::shake;
use wgrad_core::{Array, DType, Graph, Mode, Result, Session, Step, Stream, Tensor, vjp};

use crate::case::Case;

/// A case with its data: the same numbers on every device.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub inputs: Vec<Array>,
    /// One per output; none for outputs that are not differentiated.
    pub cotangents: Vec<Option<Array>>,
}

/// A case as a graph.
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
        let input = |(i, (shape, values)): (usize, &(Vec<usize>, crate::Values))| {
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

    /// What a run returns: the outputs, then the gradients.
    pub fn fetches(&self) -> Vec<&Tensor> {
        self.outputs.iter().chain(self.gradients.iter().map(|(_, dx)| dx)).collect()
    }

    /// Random data, rounded to `f32`.
    pub fn feed(&self, case: &Case, seed: u64) -> Result<Feed> {
        let mut stream = Stream::named(seed, &case.name);
        let inputs = (0..case.inputs.len()).map(|i| case.draw(i, &mut stream)).collect::<Result<_>>()?;
        let mut draw = |y: &Tensor| {
            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
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
        let results = session.run(step, &self.feeds(step, feed));
        session.sync()?;
        before.restore()?;
        results
    }

    /// What a step of this graph is fed, by tensor: what it does not read is left out.
    fn feeds<'a>(&'a self, step: &Step, feed: &'a Feed) -> Vec<(&'a Tensor, &'a Array)> {
        let cotangents = self.cotangents.iter().zip(&feed.cotangents);
        let cotangents = cotangents.filter_map(|(t, a)| t.as_ref().zip(a.as_ref()));
        self.inputs.iter().zip(&feed.inputs).chain(cotangents).filter(|(tensor, _)| step.reads(tensor)).collect()
    }
}

impl Feed {
    /// Every float changed by a random relative `±eps`.
    pub fn shaken(&self, stream: &mut Stream) -> Self {
        let inputs = self.inputs.iter().map(|array| shake(array, stream)).collect();
        let cotangents = self.cotangents.iter().map(|array| array.as_ref().map(|array| shake(array, stream))).collect();
        Self { inputs, cotangents }
    }
}
