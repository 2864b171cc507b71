//! Norms, standard deviations and the logarithm of a sum of exponentials, over axes.

use crate::{Misfit, Tensor};

use crate::ops::axes::resolve_all;

/// `√x` whose gradient at 0 is 0.
#[track_caller]
fn root(x: &Tensor) -> Tensor {
    let zero = x.eq(&x.number(0.0));
    zero.select(&x.number(0.0), &zero.select(&x.number(1.0), x).sqrt())
}

/// Norms and their like over axes.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert_eq!(x.norm(2.0, &[-1], true).shape().dims(), [64, 1]);
/// assert_eq!(x.logsumexp(&[0, 1], false).shape().dims(), []);
/// assert!(!x.norm(-1.0, &[-1], true).is_valid());
/// ```
impl Tensor {
    /// `(Σ |x|ᵖ)^(1/p)` over `axes`: for p = 1 the sum of sizes, for 2 the length, for ∞ and −∞ the largest and the
    /// smallest size, for 0 the number of elements that are not 0.
    ///
    /// Where the norm is 0, the gradient is 0; that of the largest size is shared evenly among ties. With `keep`,
    /// axes stay with size 1. A p below 0 (but −∞) is an error. Source: `torch.linalg.vector_norm`.
    #[track_caller]
    pub fn norm(&self, p: f64, axes: &[isize], keep: bool) -> Tensor {
        let x = self;
        if p.is_nan() || (p < 0.0 && p.is_finite()) {
            let misfit = Misfit::new(format!("the norm's p is {p}")).fix("take 0 or more, ∞ or −∞");
            return x.misfit("norm", &[], misfit);
        }
        if let Err(invalid) = resolve_all(x, "norm", axes) {
            return invalid;
        }
        let zero = x.number(0.0);
        match p {
            f64::INFINITY => x.abs().max_axes(axes, keep),
            f64::NEG_INFINITY => x.abs().min_axes(axes, keep),
            0.0 => x.ne(&zero).to_f32().sum_axes(axes, keep),
            1.0 => x.abs().sum_axes(axes, keep),
            2.0 => root(&x.square().sum_axes(axes, keep)),
            _ => {
                // For p < 1 the slope at 0 is infinite; and so is that of the root.
                let none = x.eq(&zero);
                let sum = none.select(&zero, &none.select(&x.number(1.0), x).abs().powf(p)).sum_axes(axes, keep);
                let none = sum.eq(&zero);
                none.select(&zero, &none.select(&x.number(1.0), &sum).powf(1.0 / p))
            }
        }
    }

    /// The square root of [`var_axes`](crate::Tensor::var_axes); its gradient where it is 0 is 0. Source: `torch.std`.
    #[track_caller]
    pub fn std_axes(&self, axes: &[isize], keep: bool, unbiased: bool) -> Tensor {
        root(&self.var_axes(axes, keep, unbiased))
    }

    /// `log Σ exp(x)` over `axes`, of any size of numbers: the largest one is taken out first.
    ///
    /// Source: `torch.logsumexp`.
    #[track_caller]
    pub fn logsumexp(&self, axes: &[isize], keep: bool) -> Tensor {
        let x = self;
        if let Err(invalid) = resolve_all(x, "logsumexp", axes) {
            return invalid;
        }
        // An infinite one would give ∞ − ∞.
        let largest = x.max_axes(axes, true).detach().clamp(-3.0e38, 3.0e38);
        let sum = (x - &largest).exp().sum_axes(axes, keep);
        let shape = sum.shape();
        sum.log() + largest.reshape_to(shape)
    }
}
