//! Vector norms, standard deviation and logsumexp over axes.

use crate::{InvalidArgument, Tensor};

use crate::ops::axes::{Dims, reduced, resolve_all};

/// Computes `√x` with a gradient of 0 at 0.
#[track_caller]
fn root(x: &Tensor) -> Tensor {
    let zero = x.eq(0.0);
    zero.where_cond(0.0, zero.where_cond(1.0, x).sqrt())
}

/// Vector norms, standard deviation and logsumexp.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert_eq!(x.norm_keepdim(2.0, &[-1]).shape().dims(), [64, 1]);
/// assert_eq!(x.logsumexp(&[0, 1]).shape().dims(), []);
/// assert!(!x.norm_keepdim(-1.0, &[-1]).is_valid());
/// ```
impl Tensor {
    /// Computes the vector norm over `dims`: `(Σ |x|ᵖ)^(1/p)`.
    ///
    /// With a `p` of ∞ or −∞ it is the largest or the smallest absolute value, with 0 the number of nonzero
    /// elements. PyTorch's default `p` is 2. Where the norm is 0, the gradient is 0; for `p` = ±∞ the gradient is
    /// divided evenly among ties. Records an error in the graph, which `compile` reports, if `p` is negative and
    /// finite. Equivalent: `torch.linalg.vector_norm`.
    #[track_caller]
    pub fn norm(&self, p: f64, dims: impl Dims) -> Tensor {
        self.norm_keepdim(p, dims.dims()).without(&dims.dims())
    }

    /// Computes [`Self::norm`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn norm_keepdim(&self, p: f64, dims: impl Dims) -> Tensor {
        let (x, dims) = (self, &dims.dims());
        if p.is_nan() || (p < 0.0 && p.is_finite()) {
            let invalid = InvalidArgument::new(format!("the norm's p is {p}")).fix("take 0 or more, ∞ or −∞");
            return x.invalid("norm", &[], invalid);
        }
        if let Err(invalid) = resolve_all(x, "norm", dims) {
            return invalid;
        }
        match p {
            f64::INFINITY => x.abs().amax_keepdim(dims),
            f64::NEG_INFINITY => x.abs().amin_keepdim(dims),
            0.0 => x.ne(0.0).to_f32().sum_keepdim(dims),
            1.0 => x.abs().sum_keepdim(dims),
            2.0 => root(&x.square().sum_keepdim(dims)),
            _ => {
                // Elements and sums that are 0 are excluded, because at 0 the gradient of |x|ᵖ is infinite
                // for p < 1, and the gradient of the root (the power 1/p) is infinite for p > 1.
                let none = x.eq(0.0);
                let sum = none.where_cond(0.0, none.where_cond(1.0, x).abs().pow(p)).sum_keepdim(dims);
                let none = sum.eq(0.0);
                none.where_cond(0.0, none.where_cond(1.0, &sum).pow(1.0 / p))
            }
        }
    }

    /// Computes the standard deviation over `dims`, the square root of [`Self::var`].
    ///
    /// Where the standard deviation is 0, the gradient is 0. Equivalent: `torch.std`.
    #[track_caller]
    pub fn std(&self, dims: impl Dims, correction: usize) -> Tensor {
        root(&self.var(dims, correction))
    }

    /// Computes [`Self::std`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn std_keepdim(&self, dims: impl Dims, correction: usize) -> Tensor {
        root(&self.var_keepdim(dims, correction))
    }

    /// Computes the logarithm of the sum of exponentials over `dims`: `log Σ exp(x)`.
    ///
    /// The maximum is subtracted first, so that nothing overflows. Equivalent: `torch.logsumexp`.
    #[track_caller]
    pub fn logsumexp(&self, dims: impl Dims) -> Tensor {
        self.logsumexp_keepdim(dims.dims()).without(&dims.dims())
    }

    /// Computes [`Self::logsumexp`], but keeps the reduced axes, with size 1.
    #[track_caller]
    pub fn logsumexp_keepdim(&self, dims: impl Dims) -> Tensor {
        let (x, dims) = (self, &dims.dims());
        if let Err(invalid) = resolve_all(x, "logsumexp", dims) {
            return invalid;
        }
        // Clamped, because an infinite maximum would lead to ∞ − ∞.
        let largest = x.amax_keepdim(dims).detach().clamp(-3.0e38, 3.0e38);
        let sum = (x - &largest).exp().sum_keepdim(dims);
        sum.log() + largest
    }

    /// Removes the axes `dims`, which have size 1.
    #[track_caller]
    fn without(&self, dims: &[isize]) -> Tensor {
        match resolve_all(self, "reshape", dims) {
            Ok(axes) => self.reshape(reduced(&self.shape(), &axes, false)),
            Err(invalid) => invalid,
        }
    }
}
