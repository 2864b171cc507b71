//! Binary cross-entropy of probabilities and focal loss, as pointwise ops in numerically stable forms, and the
//! encoding of ordinal classes.
//!
//! Losses that were composed from other ops would lose digits where a prediction is nearly certain. Second
//! derivatives are composed from other ops nevertheless: they are used with moderate logits and probabilities,
//! for which the composition is accurate enough.

use crate::op::pointwise::pointwise_ops;
use crate::{Array, DType, InvalidArgument, Real, Tensor, vjp};

use crate::ops::losses::bce_with_logits::invalid;
use wgrad_shaders::lib::SPECIAL;

/// Returns the gradient of `value` with respect to `argument`, given the gradient `grad` of `value`. Callers
/// detach the other arguments, because they may be the same tensor as `argument`.
fn gradient_of(value: &Tensor, grad: &Tensor, argument: &Tensor) -> Tensor {
    vjp(&[(value, grad)], std::slice::from_ref(argument)).remove(0).unwrap_or_else(|| grad * 0.0)
}

/// Composes the derivative of [`BCE`] with respect to `x` from other ops, so that it can be differentiated again.
fn bce_derivative(x: &Tensor, y: &Tensor) -> Tensor {
    (x - y) / (x * (1.0 - x)).maximum(1e-12)
}

/// Composes the derivative of [`FOCAL`] with respect to `x` from other ops, so that it can be differentiated
/// again.
fn focal_derivative(x: &Tensor, y: &Tensor, gamma: f64) -> Tensor {
    // The clamp keeps e^−|x| from underflowing. Beyond ±40, where the second derivative is negligible, the clamp
    // makes it 0.
    let x = x.clamp(-40.0, 40.0);
    let (p, q) = (&x.sigmoid(), &(-&x).sigmoid());
    let m = (1.0 - y) * p + y * q;
    let cost = (1.0 - y) * x.softplus() + y * (-&x).softplus();
    m.pow(gamma) * (p - y + cost * gamma * (1.0 - y * 2.0) * p * q / m)
}

/// Returns whether `x` and `y` are both in [0, 1]; false for NaN.
#[inline(always)]
fn probabilities<F: Real>(x: F, y: F) -> bool {
    x >= F::zero() && x <= F::one() && y >= F::zero() && y <= F::one()
}

pointwise_ops! {
    /// Binary cross-entropy of the probability `x` and the target `y`:
    /// `−(y·max(log x, −100) + (1−y)·max(log(1−x), −100))`, or NaN if `x` or `y` is outside [0, 1].
    pub(crate) BCE = bce(x: float, y: float)[] -> float {
        wgsl: "select(bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u),
            y * select(min(-special_log(x), 100.0), 100.0, x == 0.0)
                + (1.0 - y) * select(min(-special_log1p(-x), 100.0), 100.0, x == 1.0),
            x >= 0.0 && x <= 1.0 && y >= 0.0 && y <= 1.0)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: if probabilities(x, y) {
            y * (-x.ln()).min(F::lit(100.0)) + (F::one() - y) * (-(-x).ln_1p()).min(F::lit(100.0))
        } else {
            F::nan()
        },
        backward(grad): {
            x: grad * x.pointwise(&BCE_SLOPE, &[y], &[]),
            y: grad * (x.pointwise(&BCE, &[&x.number(1.0)], &[]) - x.pointwise(&BCE, &[&x.number(0.0)], &[])),
        },
    }

    /// Derivative of `BCE` with respect to `x`: `(x−y) / max(x·(1−x), 1e−12)`, where 1e−12 is PyTorch's bound.
    pub(crate) BCE_SLOPE = bce_slope(x: float, y: float)[] -> float {
        wgsl: "select(bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u), (x - y) / max(x * (1.0 - x), 1e-12),
            x >= 0.0 && x <= 1.0 && y >= 0.0 && y <= 1.0)",
        steps: 8.0,
        reference<F>: if probabilities(x, y) {
            (x - y) / (x * (F::one() - x)).max(F::lit(1e-12))
        } else {
            F::nan()
        },
        backward(grad): {
            x: gradient_of(&bce_derivative(x, &y.detach()), grad, x),
            y: gradient_of(&bce_derivative(&x.detach(), y), grad, y),
        },
    }

    /// Focal loss `mᵞ·L` of the logit `x` and the target `y`. `L` is their binary cross-entropy, and
    /// `m = (1−y)·σ(x) + y·σ(−x)` is the probability given to the wrong answer.
    pub(crate) FOCAL = focal(x: float, y: float)[gamma] -> float {
        wgsl: "special_focal(x, y, gamma).x",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: focal(x, y, gamma).0,
        backward(grad): {
            x: grad * x.pointwise(&FOCAL_SLOPE, &[y], &[gamma]),
            // Derivative with respect to y: mᵞ·∂L/∂y + L·γ·mᵞ⁻¹·(σ(−x) − σ(x))
            y: {
                let m = (1.0 - y) * x.sigmoid() + y * (-x).sigmoid();
                let cost = (1.0 - y) * x.softplus() + y * (-x).softplus();
                let bend = m.pow(gamma - 1.0) * (x * 0.5).tanh() * cost * gamma;
                -(grad * (m.pow(gamma) * x + bend))
            },
        },
    }

    /// Derivative of the focal loss with respect to `x`.
    pub(crate) FOCAL_SLOPE = focal_slope(x: float, y: float)[gamma] -> float {
        wgsl: "special_focal(x, y, gamma).y",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: focal(x, y, gamma).1,
        backward(grad): {
            x: gradient_of(&focal_derivative(x, &y.detach(), gamma), grad, x),
            y: gradient_of(&focal_derivative(&x.detach(), y, gamma), grad, y),
        },
    }

    /// Focal loss `c·(1 − p)ᵞ` of a cross-entropy `c`, where `p = e⁻ᶜ` is the probability of the correct class.
    pub(crate) FOCAL_OF = focal_of(c: float)[gamma] -> float {
        wgsl: "special_focal_of(c, gamma).x",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: focal_of(c, gamma).0,
        backward(grad): { c: grad * c.pointwise(&FOCAL_OF_SLOPE, &[], &[gamma]) },
    }

    /// Derivative of the focal loss `c·(1 − e⁻ᶜ)ᵞ` with respect to the cross-entropy `c`.
    pub(crate) FOCAL_OF_SLOPE = focal_of_slope(c: float)[gamma] -> float {
        wgsl: "special_focal_of(c, gamma).y",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: focal_of(c, gamma).1,
        // Second derivative of the loss with respect to c, with p = e⁻ᶜ and m = 1 − p:
        // mᵞ⁻¹·γ·p·(2 − c + (γ−1)·c·p/m)
        backward(grad): {
            c: {
                let p = &(-c).exp();
                let m = &((p + 1.0) * (c * 0.5).tanh());
                let bend = 2.0 - c + c * p / m * (gamma - 1.0);
                grad * (m.pow(gamma - 1.0) * p * bend * gamma)
            },
        },
    }

    /// Level `k` of the ordinal class `label`: 1 if `label > k`, else 0; NaN for a label of `classes` or above.
    pub(crate) LEVEL = ordinal_level(label: uint, k: uint)[classes] -> float {
        wgsl: "select(select(0.0, 1.0, label > k), bitcast<f32>(label | 0x7fc00000u), f32(label) >= classes)",
        reference<F>: if F::lit(f64::from(label)) >= classes {
            F::nan()
        } else if label > k {
            F::one()
        } else {
            F::zero()
        },
        backward: none,
    }
}

/// Returns the focal loss of the logit `x` and its derivative with respect to `x`; for the method, see
/// `special_focal` in the shaders.
#[inline(always)]
fn focal<F: Real>(x: F, y: F, gamma: F) -> (F, F) {
    let (size, above) = (x.abs(), x >= F::zero());
    let e = (-size).exp();
    let (big, small) = if above { (F::one() - y, y) } else { (y, F::one() - y) };
    let only = big == F::zero();
    let mixed = if only { F::one() } else { big + small * e };
    let log_1e = e.ln_1p();
    let log_m = (if only { small.ln() - size } else { mixed.ln() }) - log_1e;
    let power = (gamma * log_m).exp();
    let cost = big * size + log_1e;
    let bend = if only { -F::one() } else { (big - small) * e / mixed };
    let derivative = power * (big - small * e + gamma * cost * bend) / (F::one() + e);
    (power * cost, if above { derivative } else { -derivative })
}

/// Returns the focal loss of the cross-entropy `c` and its derivative with respect to `c`; for the method, see
/// `special_focal_of` in the shaders.
#[inline(always)]
fn focal_of<F: Real>(c: F, gamma: F) -> (F, F) {
    let p = (-c).exp();
    let m = (F::one() + p) * (F::lit(0.5) * c).tanh();
    let certain = m == F::zero();
    let power = match (certain, gamma == F::zero()) {
        (true, true) => F::one(),
        (true, false) => F::zero(),
        (false, _) => (gamma * m.ln()).exp(),
    };
    let ratio = if certain { F::one() } else { c / m };
    (c * power, power * (F::one() + gamma * p * ratio))
}

/// Losses for each element, without reduction.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let p = graph.input("p", [64, 3], DType::F32);
/// let y = graph.input("y", [64, 3], DType::F32);
/// assert_eq!(p.bce(&y).shape().dims(), [64, 3]);
/// assert!(!p.focal(&y, -1.0).is_valid());
/// let classes = graph.input("classes", [64], DType::U32);
/// assert_eq!(classes.ordinal_levels(5).shape().dims(), [64, 4]);
/// ```
impl Tensor {
    /// Computes the binary cross-entropy of probabilities, without reduction: `−(y·log x + (1−y)·log(1−x))`.
    ///
    /// The probabilities `x` are this tensor; the targets `y` have the same shape and may be soft. As in PyTorch,
    /// logarithms are at least −100, and the denominator of the gradient `(x−y) / (x·(1−x))` is at least 1e−12.
    /// Where `x` or `y` is outside [0, 1], which is an error in PyTorch, loss and gradient are NaN. Records an
    /// error in the graph, which `compile` reports, if the shapes differ or the targets are integers. Equivalent:
    /// `torch.nn.BCELoss`.
    #[track_caller]
    pub fn bce(&self, y: &Tensor) -> Tensor {
        let x = self;
        match invalid(x, y, "probabilities") {
            Some(invalid) => x.invalid("bce", &[y], invalid),
            None => x.pointwise(&BCE, &[y], &[]),
        }
    }

    /// Computes the focal loss of logits, without reduction: `mᵞ·L`.
    ///
    /// `L` is the binary cross-entropy of the logits `x` (this tensor) against targets `y` of the same shape, and
    /// `m = (1−y)·σ(x) + y·σ(−x)` is the probability given to the wrong answer. With `γ = 0` the loss is `L`. Loss
    /// and gradient are accurate for all logits and any `γ ≥ 0`, also below 1, where the derivative of `mᵞ` is
    /// large. Records an error in the graph, which `compile` reports, if the shapes differ, the targets are
    /// integers, or `γ` is negative or not finite.
    ///
    /// Lin et al.: "Focal loss for dense object detection", 2017. Equivalent: `torchvision.ops.sigmoid_focal_loss`
    /// without `alpha`.
    #[track_caller]
    pub fn focal(&self, y: &Tensor, gamma: f64) -> Tensor {
        let x = self;
        match invalid(x, y, "logits").or_else(|| invalid_gamma(gamma)) {
            Some(invalid) => x.invalid("focal", &[y], invalid),
            None => x.pointwise(&FOCAL, &[y], &[gamma]),
        }
    }

    /// Computes the focal loss of cross-entropies `c = −log p`, without reduction: `c·(1 − e⁻ᶜ)ᵞ = −(1−p)ᵞ·log p`.
    ///
    /// Records an error in the graph, which `compile` reports, if `γ` is negative or not finite.
    #[track_caller]
    pub fn focal_of(&self, gamma: f64) -> Tensor {
        let c = self;
        match invalid_gamma(gamma) {
            Some(invalid) => c.invalid("focal_of", &[], invalid),
            None => c.pointwise(&FOCAL_OF, &[], &[gamma]),
        }
    }

    /// Encodes ordinal classes as levels: `y[…, k]` is 1 where the class is above `k`, else 0.
    ///
    /// `self` contains `u32` classes `[n…]`; the result is `[n…, classes − 1]`. The levels of a class that is not
    /// below `classes` are NaN. Records an error in the graph, which `compile` reports, if the tensor is not `u32`
    /// or `classes` is below 2.
    #[track_caller]
    pub fn ordinal_levels(&self, classes: usize) -> Tensor {
        let own = self;
        let invalid = if own.dtype() != DType::U32 {
            Some(
                InvalidArgument::new(format!("classes are u32, not {}", own.dtype()))
                    .fix("feed u32, or cast with `.to_u32()`"),
            )
        } else if classes < 2 {
            Some(InvalidArgument::new(format!("there is no order in {classes} classes")))
        } else {
            None
        };
        if let Some(invalid) = invalid {
            return own.invalid("ordinal_levels", &[], invalid);
        }
        // The levels `k` are an array. An `iota` tensor has no buffer: each run would write it to one, in order to
        // broadcast it.
        let k = own.graph().array(Array::vector((0..classes as u32 - 1).collect()));
        own.unsqueeze(-1).pointwise(&LEVEL, &[&k], &[classes as f64])
    }
}

fn invalid_gamma(gamma: f64) -> Option<InvalidArgument> {
    (!(gamma >= 0.0 && gamma.is_finite())).then(|| {
        InvalidArgument::new(format!("gamma must be a number that is not negative, not {gamma}"))
            .fix("0 is plain cross-entropy, 2 is usual")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::pointwise::activations::sigmoid::sigmoid;

    /// Compares losses and derivatives with the values of their definitions, evaluated with 40 digits.
    #[test]
    fn focal_losses_are_accurate_for_certain_predictions() {
        let near = |got: f64, truth: f64| assert!((got - truth).abs() <= 1e-14 * truth.abs(), "{got:e} {truth:e}");
        // Certain and correct prediction: L = σ(−x) = e⁻ˣ, m = e⁻ˣ, derivative −(1 + γ)·e^(−(1+γ)·x).
        let (loss, derivative) = focal(300.0, 1.0, 0.5);
        near(loss, (-450f64).exp());
        near(derivative, -1.5 * (-450f64).exp());
        // Certain but wrong prediction: L = |x|, m = 1, derivative −1.
        assert_eq!(focal(-300.0, 1.0, 2.0), (300.0, -1.0));
        assert_eq!(focal(300.0, 0.0, 2.0), (300.0, 1.0));
        assert_eq!(focal(1000.0f32, 1.0, 0.5), (0.0, 0.0));
        // A soft target keeps m away from 0.
        let (loss, derivative) = focal(300.0, 0.75, 2.0);
        near(loss, 0.0625 * 75.0);
        near(derivative, 0.0625 * 0.25);
        let (loss, derivative) = focal_of(1e-9, 0.5);
        near(loss, 1e-9f64.powf(1.5) * (1.0 - 0.25e-9));
        near(derivative, 1.5 * 1e-9f64.sqrt() * (1.0 - 1e-9 * 5.0 / 12.0));
        assert_eq!((focal_of(0.0, 0.5), focal_of(0.0, 0.0)), ((0.0, 0.0), (0.0, 1.0)));
        let e = sigmoid(0.3f64);
        near(focal(0.3, 0.0, 0.0).1, e);
    }
}
