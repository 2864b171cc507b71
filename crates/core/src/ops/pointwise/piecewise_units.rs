//! Activation functions of straight pieces, and gates.

use crate::{InvalidArgument, Tensor};

use crate::ops::axes::resolve;
use crate::ops::pointwise::exponential_units::finite;

/// Activation functions of straight pieces, and gates.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert_eq!(x.glu(-1).shape().dims(), [64, 15]);
/// assert!(!x.hardtanh(1.0, -1.0).is_valid());
/// ```
impl Tensor {
    /// `min(max(x, low), high)`; the gradient passes where `low < x < high`. Bounds in the wrong order are an error.
    ///
    /// Source: `torch.nn.functional.hardtanh`.
    #[track_caller]
    pub fn hardtanh(&self, low: f64, high: f64) -> Tensor {
        let x = self;
        if low > high {
            let invalid = InvalidArgument::new(format!("the lower bound {low} is above the upper bound {high}"));
            return x.invalid("hardtanh", &[], invalid);
        }
        x.clamp(low, high)
    }

    /// `min(max(x, 0), 6)`.
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        self.clamp(0.0, 6.0)
    }

    /// `min(max(x/6 + 1/2, 0), 1)`: a sigmoid of three pieces.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        (self + 3.0).clamp(0.0, 6.0) / 6.0
    }

    /// `x·hardsigmoid(x)`. Howard et al.: "Searching for `MobileNetV3`", 2019.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        self * self.hardsigmoid()
    }

    /// `x` above the threshold, `value` elsewhere. Source: `torch.nn.functional.threshold`.
    #[track_caller]
    pub fn threshold(&self, threshold: f64, value: f64) -> Tensor {
        let x = self;
        x.le(threshold).where_cond(value, x)
    }

    /// `x − lambda` above lambda, `x + lambda` below −lambda, 0 between. Source: `torch.nn.functional.softshrink`.
    #[track_caller]
    pub fn softshrink(&self, lambda: f64) -> Tensor {
        let x = self;
        if lambda < 0.0 {
            let invalid = InvalidArgument::new(format!("lambda must not be negative, but is {lambda}"));
            return x.invalid("softshrink", &[], invalid);
        }
        if let Some(invalid) = finite("lambda", lambda) {
            return x.invalid("softshrink", &[], invalid);
        }
        let inside = x.abs().le(lambda);
        inside.where_cond(0.0, &(x - x.sign() * lambda))
    }

    /// 0 from −lambda to lambda, `x` elsewhere, which is everywhere for a negative lambda. Source: `torch.nn.functional.hardshrink`.
    #[track_caller]
    pub fn hardshrink(&self, lambda: f64) -> Tensor {
        let x = self;
        match finite("lambda", lambda) {
            Some(invalid) => x.invalid("hardshrink", &[], invalid),
            None => x.abs().le(lambda).where_cond(0.0, x),
        }
    }

    /// `x − tanh(x)`.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        self - self.tanh()
    }

    /// `x` above 0, `weight·x` elsewhere, with one weight `[1]` or one for each channel of axis 1 `[C]`.
    ///
    /// Another number of weights is an error. Source: `torch.nn.functional.prelu`.
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

    /// `a·sigmoid(b)` of the two halves of an axis. An axis of odd size is an error.
    ///
    /// Dauphin, Fan, Auli, Grangier: "Language modeling with gated convolutional networks", 2017. Source:
    /// `torch.nn.functional.glu`.
    #[track_caller]
    pub fn glu(&self, axis: isize) -> Tensor {
        let x = self;
        let axis = match resolve(x, "glu", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        let n = x.shape().dims()[axis];
        if n % 2 == 1 {
            let invalid = InvalidArgument::new(format!(
                "axis {axis} of {} has {n} elements, which are not two halves",
                x.shape()
            ))
            .fix("give the layer before it twice as many outputs as are wanted");
            return x.invalid("glu", &[], invalid);
        }
        let axis = axis.cast_signed();
        x.slice(axis, ..n / 2) * x.slice(axis, n / 2..).sigmoid()
    }

    /// The softmax of −x. Source: `torch.nn.functional.softmin`.
    #[track_caller]
    pub fn softmin(&self, axis: isize) -> Tensor {
        (-self).softmax(axis)
    }
}
