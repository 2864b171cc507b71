//! The bilinear layer, and the function that computes it.

use std::panic::Location;

use wgrad_core::{Init, InvalidArgument, Kind, Params, Tensor, Variable};

options! {
    /// Options of a [`Bilinear`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BilinearOptions {
        /// If `false`, the layer has no bias. Default: `true`.
        bias: bool = true,
    }
}

/// Bilinear layer: `y_o = x₁ᵀ W_o x₂ + b_o`; PyTorch's `Bilinear`.
///
/// Shapes: the inputs are `[…, in1]` and `[…, in2]` with equal leading axes; the output is `[…, out]`.
///
/// Variables: `weight` `[out, in1, in2]` and `bias` `[out]`, both initially uniform in ±`1/√in1`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::Bilinear;
/// let layer = Bilinear::new(&Params::seeded(7).at("pair"), 20, 30, 4);
/// let graph = Graph::new(Mode::Train);
/// let (a, b) = (graph.input("a", [8, 20], DType::F32), graph.input("b", [8, 30], DType::F32));
/// assert_eq!(layer.forward(&a, &b).shape().dims(), [8, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct Bilinear {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
}

impl Bilinear {
    /// Creates a layer with a bias, for inputs of `in1` and `in2` features and outputs of `outputs` features.
    #[track_caller]
    pub fn new(params: &Params, in1: usize, in2: usize, outputs: usize) -> Self {
        Self::with(params, in1, in2, outputs, BilinearOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, in1: usize, in2: usize, outputs: usize, options: BilinearOptions) -> Self {
        let bound = if in1 > 0 { (in1 as f64).sqrt().recip() } else { 0.0 };
        let init = Init::Uniform(-bound, bound);
        let weight = params.variable("weight", [outputs, in1, in2], Kind::Parameter, init);
        let bias = if options.bias { Some(params.variable("bias", [outputs], Kind::Parameter, init)) } else { None };
        Self { scope: params.path().into(), weight, bias }
    }

    /// Returns the layer's output for the inputs `x1` and `x2`.
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        let graph = x1.graph();
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        let bias = self.bias.as_ref().map(|bias| graph.variable(bias));
        bilinear(x1, x2, &graph.variable(&self.weight), bias.as_ref())
    }
}

/// Computes `y_o = x₁ᵀ W_o x₂ + b_o`; PyTorch's `torch.nn.functional.bilinear`.
///
/// Shapes: `x1` `[…, in1]`, `x2` `[…, in2]`, `weight` `[out, in1, in2]`, `bias` `[out]`; the result is `[…, out]`.
/// For other shapes and types, the function records an error in the graph, which `compile` reports.
#[track_caller]
pub fn bilinear(x1: &Tensor, x2: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let _scope = x1.graph().scope_of_library("", Location::caller(), crate::source());
    if let Some(invalid) = invalid(x1, x2, weight, bias) {
        let others: Vec<&Tensor> = [x2, weight].into_iter().chain(bias).collect();
        return x1.invalid("bilinear", &others, invalid);
    }
    let (shape, weights) = (x1.shape(), weight.shape());
    let &[outputs, in1, in2] = weights.dims() else { unreachable!("the weight has three axes") };
    let lead = &shape.dims()[..shape.rank() - 1];
    let rows = lead.iter().product::<usize>();
    // The matrix product of [rows, in1] and [in1, out·in2] has `out` vectors of `in2` elements per row. The output
    // is the dot product of each vector and the vector of the same row in `x2`.
    let products = x1.reshape([rows, in1]).matmul(&weight.permute(&[1, 0, 2]).reshape([in1, outputs * in2]));
    let y = products.reshape([rows, outputs, in2]) * x2.reshape([rows, 1, in2]);
    let y = y.sum([-1]).reshape([lead, &[outputs]].concat());
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}

fn invalid(x1: &Tensor, x2: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Option<InvalidArgument> {
    let tensors = [Some(x1), Some(x2), Some(weight), bias];
    if tensors.into_iter().flatten().any(|tensor| !tensor.is_valid() || !tensor.dtype().is_float()) {
        return Some(InvalidArgument::new("inputs, weight and bias are floats").fix("cast with `.to_f32()`"));
    }
    let (a, b, w) = (x1.shape(), x2.shape(), weight.shape());
    let (&[outputs, in1, in2], [lead1 @ .., last1], [lead2 @ .., last2]) = (w.dims(), a.dims(), b.dims()) else {
        return Some(InvalidArgument::new(format!(
            "the inputs are […, in1] and […, in2], the weight [out, in1, in2], not {w}"
        )));
    };
    if [*last1, *last2] != [in1, in2] || lead1 != lead2 {
        return Some(
            InvalidArgument::new(format!(
                "the inputs must be […, {in1}] and […, {in2}] with equal leading axes, not {a} and {b}"
            ))
            .fix(format!("make the layer for {last1} and {last2} features, or reshape the inputs")),
        );
    }
    let bias = bias?.shape();
    (bias.dims() != [outputs])
        .then(|| InvalidArgument::new(format!("the bias must be [{outputs}], one per output, not {bias}")))
}
