//! Rectified linear unit and its variants: `leaky_relu`, `prelu`, `relu6`, `hardtanh` and `threshold`.

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Tensor};

pointwise_ops! {
    // Tests the bits, so that negative numbers become 0 but NaN stays NaN. Compilers turn `x <= 0.0` into a
    // maximum, which hides NaN.
    /// Applies the rectified linear unit to each element: `max(x, 0)`.
    ///
    /// The gradient at 0 is 0. Equivalent: `torch.nn.functional.relu`.
    pub(crate) RELU = relu(x: float)[] -> float as relu {
        wgsl: "select(x, 0.0, bitcast<u32>(x) - 0x80000000u <= 0x7f800000u)",
        reference<F>: if x <= F::zero() { F::zero() } else { x },
        backward(grad, out): { x: out.pointwise(&RELU_BACKWARD, &[grad], &[]) },
    }

    // Gradient of relu: 0 where y ≤ 0, dy elsewhere; y may be the input or the output of relu.
    pub(crate) RELU_BACKWARD = relu_backward(y: float, dy: float)[] -> float {
        wgsl: "select(dy, 0.0, y <= 0.0)",
        reference<F>: if y <= F::zero() { F::zero() } else { dy },
        backward(grad): { dy: y.pointwise(&RELU_BACKWARD, &[grad], &[]) },
    }

    pub(crate) LEAKY_RELU = leaky_relu(x: float)[slope] -> float {
        wgsl: "select(x, slope * x, x <= 0.0)",
        reference<F>: if x <= F::zero() { slope * x } else { x },
        backward(grad, out): {
            x: {
                // Unless the slope is negative, the output is above 0 exactly where x is, and can replace x.
                let side = if slope < 0.0 { x } else { out };
                side.pointwise(&LEAKY_RELU_BACKWARD, &[grad], &[slope])
            },
        },
    }

    pub(crate) LEAKY_RELU_BACKWARD = leaky_relu_backward(x: float, dy: float)[slope] -> float {
        wgsl: "select(dy, slope * dy, x <= 0.0)",
        reference<F>: if x <= F::zero() { slope * dy } else { dy },
        backward(grad): {
            dy: {
                x.pointwise(&LEAKY_RELU_BACKWARD, &[grad], &[slope])
            },
        },
    }
}

/// ReLU and its variants, element by element.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert!(x.relu().is_valid());
/// assert!(!x.leaky_relu(f64::NAN).is_valid());
/// assert!(!x.hardtanh(1.0, -1.0).is_valid());
/// ```
impl Tensor {
    /// Applies the leaky rectified linear unit: `x` where x > 0, `slope·x` elsewhere.
    ///
    /// `slope` is PyTorch's `negative_slope`, whose default there is 0.01. The gradient at 0 is `slope`. Records
    /// an error in the graph, which `compile` reports, if `slope` is not finite. Equivalent:
    /// `torch.nn.functional.leaky_relu`.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        let x = self;
        if !slope.is_finite() {
            return x.invalid("leaky_relu", &[], InvalidArgument::new(format!("the slope {slope} is not finite")));
        }
        x.pointwise(&LEAKY_RELU, &[], &[slope])
    }

    /// Applies the parametric rectified linear unit: `x` where x > 0, `weight·x` elsewhere.
    ///
    /// `weight` is `[1]`, or `[C]` with one weight per channel of axis 1. Records an error in the graph, which
    /// `compile` reports, if `weight` has another shape. Equivalent: `torch.nn.functional.prelu`.
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
        let x = self;
        if !x.is_valid() || !weight.is_valid() {
            return x.invalid("prelu", &[weight], InvalidArgument::default());
        }
        let (shape, weights) = (x.shape(), weight.shape());
        let channels = if shape.rank() < 2 { 1 } else { shape.dims()[1] };
        let mut spread = vec![1; shape.rank().max(2) - 1];
        match weights.dims() {
            [] | [1] => {}
            [n] if *n == channels => spread[0] = channels,
            _ => {
                let invalid = InvalidArgument::new(format!("the weight must be [1] or [{channels}], not {weights}"))
                    .fix(format!("axis 1 of {shape} holds the channels: make the layer with 1 or {channels} weights"));
                return x.invalid("prelu", &[weight], invalid);
            }
        }
        let weight = if shape.rank() == 0 { weight.reshape([]) } else { weight.reshape(spread) };
        x.gt(0.0).where_cond(x, &(x * weight))
    }

    /// Applies the rectified linear unit capped at 6: `min(max(x, 0), 6)`.
    ///
    /// Equivalent: `torch.nn.functional.relu6`.
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        self.clamp(0.0, 6.0)
    }

    /// Clamps each element to `[low, high]`: `min(max(x, low), high)`.
    ///
    /// The gradient is that of the result where `low < x < high`, else 0. PyTorch's default bounds are −1 and 1.
    /// Records an error in the graph, which `compile` reports, if `low > high`. Equivalent:
    /// `torch.nn.functional.hardtanh`.
    #[track_caller]
    pub fn hardtanh(&self, low: f64, high: f64) -> Tensor {
        let x = self;
        if low > high {
            let invalid = InvalidArgument::new(format!("the lower bound {low} is above the upper bound {high}"));
            return x.invalid("hardtanh", &[], invalid);
        }
        x.clamp(low, high)
    }

    /// Replaces elements that are not above a threshold: `x` where x > `threshold`, `value` elsewhere.
    ///
    /// Equivalent: `torch.nn.functional.threshold`.
    #[track_caller]
    pub fn threshold(&self, threshold: f64, value: f64) -> Tensor {
        let x = self;
        x.le(threshold).where_cond(value, x)
    }
}
