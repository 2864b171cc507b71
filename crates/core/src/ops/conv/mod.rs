//! Convolution and transposed convolution, in one and two dimensions.

pub(crate) mod geometry;
mod kernels;
pub(crate) mod options;
mod reference;

use crate::{Accuracy, Backward, InvalidArgument, Launch, Op, Reference, Spec, Tensor, both};

use crate::ops::conv::geometry::Geometry;
use crate::ops::conv::options::{ConvOptions, ConvTransposeOptions};

/// Convolutions. Weights, options and results match PyTorch's functions of the same names.
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
    /// Applies a one-dimensional convolution.
    ///
    /// `y[n, o, t] = Σ_{c, k} w[o, c, k] · x[n, c, t·stride − padding + k·dilation] (+ bias[o])`, where x is 0
    /// outside its bounds. `self` is `[N, C, L]` or `[C, L]`, the weight `[O, C/groups, K]`, the bias `[O]`; the
    /// result is `[N, O, L′]` or `[O, L′]` with `L′ = ⌊(L + 2·padding − dilation·(K − 1) − 1) / stride⌋ + 1`. The
    /// output channels of a group depend on the `C/groups` input channels of that group only. The default options
    /// are those of PyTorch.
    ///
    /// Records an error in the graph, which `compile` reports, if the shapes do not match, the groups do not
    /// divide the channels, or the window is larger than the padded input. Equivalent:
    /// `torch.nn.functional.conv1d`.
    #[track_caller]
    pub fn conv1d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions<1>) -> Tensor {
        let geometry = Geometry::of_conv(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv1d", self, weight, bias, geometry, false)
    }

    /// Applies a two-dimensional convolution: [`Self::conv1d`] over two axes.
    ///
    /// `self` is `[N, C, H, W]` or `[C, H, W]`, the weight `[O, C/groups, KH, KW]`, the bias `[O]`. Equivalent:
    /// `torch.nn.functional.conv2d`.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions<2>) -> Tensor {
        let geometry = Geometry::of_conv(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv2d", self, weight, bias, geometry, false)
    }

    /// Applies a one-dimensional transposed convolution, the gradient of [`Self::conv1d`] for its input.
    ///
    /// Each element of `self` is multiplied by the weight and added to a window of the result. `self` is
    /// `[N, C, L]` or `[C, L]`, the weight `[C, O/groups, K]`, the bias `[O]`; the result is `[N, O, L′]` or
    /// `[O, L′]` with `L′ = (L − 1)·stride − 2·padding + dilation·(K − 1) + output_padding + 1`. The default
    /// options are those of PyTorch.
    ///
    /// Records an error in the graph, which `compile` reports, if the shapes do not match, the groups do not
    /// divide the channels, `output_padding` is smaller neither than the stride nor than the dilation, or the
    /// padding leaves no elements. Equivalent: `torch.nn.functional.conv_transpose1d`.
    #[track_caller]
    pub fn conv_transpose1d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvTransposeOptions<1>) -> Tensor {
        let geometry =
            Geometry::of_conv_transpose(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv_transpose1d", self, weight, bias, geometry, true)
    }

    /// Applies a two-dimensional transposed convolution: [`Self::conv_transpose1d`] over two axes.
    ///
    /// `self` is `[N, C, H, W]` or `[C, H, W]`, the weight `[C, O/groups, KH, KW]`, the bias `[O]`. Equivalent:
    /// `torch.nn.functional.conv_transpose2d`.
    #[track_caller]
    pub fn conv_transpose2d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvTransposeOptions<2>) -> Tensor {
        let geometry =
            Geometry::of_conv_transpose(&self.shape(), &weight.shape(), bias.map(Tensor::shape).as_ref(), &options);
        trace("conv_transpose2d", self, weight, bias, geometry, true)
    }
}

/// Adds a convolution or a transposed convolution to the graph. The input has one or two spatial axes, and a batch
/// axis or none.
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
    // Drops the batch axis and the height axis from the result if the input lacks them.
    let (shape, spatial) = (x.shape(), weight.shape().rank() - 2);
    let mut dims = vec![to[1]];
    dims.extend(&to[4 - spatial..]);
    if shape.rank() > spatial + 1 {
        dims.insert(0, to[0]);
    }
    y.reshape(dims)
}

impl Geometry {
    /// Applies the convolution or, if `transposed`, the transposed convolution.
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

/// Adds the gradient of the bias, if the op has a bias: the sum of dy over all axes except the channels.
fn give_bias(at: &mut Backward) {
    if at.inputs() > 2 {
        at.give_with(2, |at| at.dy().sum_keep(&[0, 2, 3]).reshape(at.input(2).shape()));
    }
}

/// Convolution, `y = w ∗ x (+ bias)`. The gradients of [`Conv`], [`ConvInput`] and [`ConvWeight`] are these three
/// ops again: each op is the derivative of the sum of all products `w·x·y` with respect to one of the three
/// factors.
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

/// Gradient of a convolution for its input, computed from the gradient of y and the weight. The same op, with an
/// optional bias, is the transposed convolution.
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

/// Gradient of a convolution for its weight, computed from the convolution's input and the gradient of y.
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
