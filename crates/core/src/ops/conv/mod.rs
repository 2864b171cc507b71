//! Convolution and its transpose, in one and two dimensions.

pub(crate) mod geometry;
mod kernels;
pub(crate) mod options;
mod reference;

use crate::{Accuracy, Backward, InvalidArgument, Launch, Op, Reference, Spec, Tensor, both};

use crate::ops::conv::geometry::Geometry;
use crate::ops::conv::options::{ConvOptions, ConvTransposeOptions};

/// Convolutions. Weights, options and results are those of PyTorch's functions of the same names.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_core::ops::ConvOptions;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 32, 32], DType::F32);
/// let w = graph.input("w", [16, 3, 3, 3], DType::F32);
/// let y = x.conv2d(&w, None, ConvOptions::new().stride(2).padding(1));
/// assert_eq!(y.shape().dims(), [8, 16, 16, 16]);
/// ```
impl Tensor {
    /// `y[n, o, t] = Σ_{c, k} w[o, c, k] · x[n, c, t·stride − padding + k·dilation] (+ bias[o])`, 0 where `x` ends.
    ///
    /// `self` is `[N, C, L]` or `[C, L]`, the weight `[O, C/groups, K]`, the bias `[O]`; the result is `[N, O, L′]`
    /// with `L′ = ⌊(L + 2·padding − dilation·(K − 1) − 1) / stride⌋ + 1`. With groups, output channels `o` of a group
    /// see its `C/groups` input channels only. Source: `torch.nn.functional.conv1d`.
    ///
    /// Other shapes, groups that do not divide the channels, and windows larger than the padded input are errors.
    #[track_caller]
    pub fn conv1d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions<1>) -> Tensor {
        let geometry = Geometry::of_conv(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv1d", self, weight, bias, geometry, false)
    }

    /// [`Self::conv1d`] over two axes: `[N, C, H, W]` or `[C, H, W]` with a weight `[O, C/groups, KH, KW]`.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions<2>) -> Tensor {
        let geometry = Geometry::of_conv(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv2d", self, weight, bias, geometry, false)
    }

    /// The gradient of [`Self::conv1d`] for its input, as an op of its own: every element of `self` adds the weight,
    /// times itself, to a window of the result.
    ///
    /// `self` is `[N, C, L]` or `[C, L]`, the weight `[C, O/groups, K]`, the bias `[O]`; the result is `[N, O, L′]` with
    /// `L′ = (L − 1)·stride − 2·padding + dilation·(K − 1) + output_padding + 1`. Source:
    /// `torch.nn.functional.conv_transpose1d`.
    #[track_caller]
    pub fn conv_transpose1d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvTransposeOptions<1>) -> Tensor {
        let geometry =
            Geometry::of_conv_transpose(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv_transpose1d", self, weight, bias, geometry, true)
    }

    /// [`Self::conv_transpose1d`] over two axes: `[N, C, H, W]` or `[C, H, W]` with a weight `[C, O/groups, KH, KW]`.
    #[track_caller]
    pub fn conv_transpose2d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvTransposeOptions<2>) -> Tensor {
        let geometry =
            Geometry::of_conv_transpose(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv_transpose2d", self, weight, bias, geometry, true)
    }
}

/// Applies a convolution or its transpose to images with any of their axes missing or of size 1.
#[track_caller]
fn trace(
    op: &str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Result<Geometry, InvalidArgument>,
    transposed: bool,
) -> Tensor {
    let others: Vec<&Tensor> = std::iter::once(weight).chain(bias).collect();
    if !x.is_valid() || others.iter().any(|tensor| !tensor.is_valid()) {
        return x.invalid(op, &others, InvalidArgument::default());
    }
    let integer = std::iter::once(x).chain(others.iter().copied()).find(|tensor| !tensor.dtype().is_float());
    if let Some(integer) = integer {
        let invalid = InvalidArgument::new(format!("only floats are convolved, not {}", integer.spec()));
        return x.invalid(op, &others, invalid.fix("cast with `.to_f32()`"));
    }
    let geometry = match geometry {
        Ok(geometry) => geometry,
        Err(invalid) => return x.invalid(op, &others, invalid),
    };
    let (from, to) = if transposed {
        (geometry.result_shape(), geometry.image_shape())
    } else {
        (geometry.image_shape(), geometry.result_shape())
    };
    let y = geometry.apply(transposed, &x.reshape(from), &weight.reshape(geometry.weight_shape()), bias);
    // What the result has more than the input is what was missing: the batch, or the height.
    let (shape, spatial) = (x.shape(), weight.shape().rank() - 2);
    let mut dims = vec![to[1]];
    dims.extend(&to[4 - spatial..]);
    if shape.rank() > spatial + 1 {
        dims.insert(0, to[0]);
    }
    y.reshape(dims)
}

impl Geometry {
    /// A convolution, or its transpose.
    #[track_caller]
    fn apply(self, transposed: bool, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let inputs: Vec<&Tensor> = [x, weight].into_iter().chain(bias).collect();
        let graph = x.graph();
        if transposed { graph.apply(ConvInput(self), &inputs) } else { graph.apply(Conv(self), &inputs) }.get(0)
    }

    #[track_caller]
    fn weight(self, x: &Tensor, dy: &Tensor) -> Tensor {
        x.graph().apply(ConvWeight(self), &[x, dy]).get(0)
    }
}

/// The gradient of a bias: the sum over all but the channels.
fn give_bias(at: &mut Backward) {
    if at.inputs() > 2 {
        at.give_with(2, |at| at.dy().sum_keep(&[0, 2, 3]).reshape(at.input(2).shape()));
    }
}

/// `y = w ∗ x (+ bias)`. With [`ConvInput`] and [`ConvWeight`] it is closed under differentiation: all three are
/// `Σ w·x·y` over the same triples, less one of the factors.
#[derive(Debug)]
struct Conv(Geometry);

impl Op for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn outputs(&self, _inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(self.0.result_shape())])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| self.0.apply(true, &at.dy(), at.input(1), None));
        at.give_with(1, |at| self.0.weight(at.input(0), &at.dy()));
        give_bias(at);
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(self.0.window() * self.0.c)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => reference::forward(&self.0, buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        kernels::gather(&self.0, false, at);
    }
}

/// The gradient of a convolution for its input, from `y`'s gradient and the weight; also the transposed convolution,
/// with a bias.
#[derive(Debug)]
struct ConvInput(Geometry);

impl Op for ConvInput {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn outputs(&self, _inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(self.0.image_shape())])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| self.0.apply(false, &at.dy(), at.input(1), None));
        at.give_with(1, |at| self.0.weight(&at.dy(), at.input(0)));
        give_bias(at);
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(self.0.window() * self.0.o)
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => reference::input(&self.0, buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        kernels::gather(&self.0, true, at);
    }
}

/// The gradient of a convolution for its weight, from its input and `y`'s gradient.
#[derive(Debug)]
struct ConvWeight(Geometry);

impl Op for ConvWeight {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn outputs(&self, _inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(self.0.weight_shape())])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| self.0.apply(true, at.input(1), &at.dy(), None));
        at.give_with(1, |at| self.0.apply(false, at.input(0), &at.dy(), None));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(self.0.batch * self.0.result[0] * self.0.result[1])
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => reference::weight(&self.0, buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        kernels::weight(&self.0, at);
    }
}
