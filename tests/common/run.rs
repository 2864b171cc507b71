//! Runs a case on a device: outputs, then the gradients of its inputs under random cotangents.

use wgrad::core::{Array, Backend, DType, Graph, Mode, Params, Session, Stream, Tensor, vjp};

use super::cases::{Case, Values};

/// A case with its data: the same numbers on every device.
pub struct Feed {
    pub inputs: Vec<Array>,
    /// One per output; empty for outputs that are not differentiated.
    pub cotangents: Vec<Option<Array>>,
}

impl Values {
    fn draw(&self, stream: &mut Stream) -> f64 {
        match *self {
            Self::Normal => stream.normal(),
            Self::Uniform(low, high) => low + (high - low) * stream.uniform(),
            Self::Below(n) => stream.below(n) as f64,
            Self::Grid(step, count) => step * (stream.below(2 * count + 1) as f64 - count as f64),
            Self::Of(values) => values[stream.below(values.len())],
        }
    }

    fn dtype(&self) -> DType {
        if matches!(self, Self::Below(_)) { DType::U32 } else { DType::F32 }
    }
}

/// Random data of a case, rounded to `f32`.
pub fn feed(case: &Case) -> Feed {
    let mut stream = Stream::named(7, &case.name);
    let inputs: Vec<_> = case
        .inputs
        .iter()
        .map(|(shape, values)| {
            let count: usize = shape.iter().product();
            let draws = (0..count).map(|_| values.draw(&mut stream));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "labels are small and whole")]
            match values.dtype() {
                DType::U32 => Array::new(&shape[..], draws.map(|x| x as u32).collect()),
                _ => Array::new(&shape[..], draws.map(|x| x as f32).collect()),
            }
            .expect("as many draws as elements")
        })
        .collect();
    let graph = Graph::new(Mode::Train);
    let (_, outputs) = trace(case, &graph, &inputs);
    let cotangents = outputs
        .iter()
        .enumerate()
        .map(|(i, y)| {
            let differentiated = case.gradients.contains(&i) && y.dtype() == DType::F32;
            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
            let mut draw = || (0..y.shape().numel()).map(|_| stream.normal() as f32).collect();
            differentiated.then(|| Array::new(y.shape(), draw()).expect("as many draws as elements"))
        })
        .collect();
    Feed { inputs, cotangents }
}

fn trace(case: &Case, graph: &Graph, inputs: &[Array]) -> (Vec<Tensor>, Vec<Tensor>) {
    let tensors: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, array)| {
            let dtype = if array.dtype() == DType::U32 { DType::U32 } else { DType::F32 };
            graph.input(format!("x{i}"), array.shape(), dtype)
        })
        .collect();
    let outputs = (case.build)(&tensors);
    (tensors, outputs)
}

/// Outputs and gradients of a case, and the number of outputs among them.
///
/// # Panics
/// When the case does not run.
pub fn run(case: &Case, backend: impl Into<Box<dyn Backend>>, feed: &Feed) -> (Vec<Array>, usize) {
    let graph = Graph::new(Mode::Train);
    let (tensors, outputs) = trace(case, &graph, &feed.inputs);
    graph.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let cotangents: Vec<Option<Tensor>> = feed
        .cotangents
        .iter()
        .enumerate()
        .map(|(i, array)| array.as_ref().map(|array| graph.input(format!("dy{i}"), array.shape(), DType::F32)))
        .collect();
    let pairs: Vec<_> = outputs.iter().zip(&cotangents).filter_map(|(y, c)| Some((y, c.as_ref()?))).collect();
    let floats: Vec<_> = tensors.iter().filter(|x| x.dtype() == DType::F32).cloned().collect();
    // One gradient per input, so that they can be told apart: zero where nothing flows.
    let gradients: Vec<Tensor> = if pairs.is_empty() {
        vec![]
    } else {
        let zero = |x: &Tensor| graph.constant(0.0).broadcast_to(x.shape());
        vjp(&pairs, &floats).into_iter().zip(&floats).map(|(dx, x)| dx.unwrap_or_else(|| zero(x))).collect()
    };
    let fetches: Vec<&Tensor> = outputs.iter().chain(&gradients).collect();
    let mut session = Session::new(backend, &Params::seeded(0)).expect("no names");
    let step = session.compile(&graph, &fetches).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let feeds = tensors.iter().zip(&feed.inputs);
    let feeds = feeds.chain(cotangents.iter().zip(&feed.cotangents).filter_map(|(t, a)| t.as_ref().zip(a.as_ref())));
    let feeds: Vec<_> = feeds.collect();
    let results = session.run(&step, &feeds).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    (results, outputs.len())
}
