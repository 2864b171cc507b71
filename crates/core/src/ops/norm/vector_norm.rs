//! Norms, standard deviations and the logarithm of a sum of exponentials, over axes.

use crate::{InvalidArgument, Tensor};

use crate::ops::axes::{Dims, reduced, resolve_all};

/// `√x` whose gradient at 0 is 0.
#[track_caller]
fn root(x: &Tensor) -> Tensor {
    let zero = x.eq(0.0);
    zero.where_cond(0.0, zero.where_cond(1.0, x).sqrt())
}

/// Norms and their like over axes.
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
    /// `(Σ |x|ᵖ)^(1/p)` over `dims`: for p = 1 the sum of sizes, for 2 the length, for ∞ and −∞ the largest and the
    /// smallest size, for 0 the number of elements that are not 0.
    ///
    /// Where the norm is 0, the gradient is 0; that of the largest size is shared evenly among ties. A p below 0 (but −∞)
    /// is an error. Source: `torch.linalg.vector_norm`.
    #[track_caller]
    pub fn norm(&self, p: f64, dims: impl Dims) -> Tensor {
        self.norm_keepdim(p, dims.dims()).without(&dims.dims())
    }

    /// As [`Self::norm`]; `dims` stay with size 1.
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
                // For p < 1 the gradient at 0 is infinite; and so is that of the root.
                let none = x.eq(0.0);
                let sum = none.where_cond(0.0, none.where_cond(1.0, x).abs().pow(p)).sum_keepdim(dims);
                let none = sum.eq(0.0);
                none.where_cond(0.0, none.where_cond(1.0, &sum).pow(1.0 / p))
            }
        }
    }

    /// The square root of [`Self::var`]; its gradient where it is 0 is 0. Source: `torch.std`.
    #[track_caller]
    pub fn std(&self, dims: impl Dims, correction: usize) -> Tensor {
        root(&self.var(dims, correction))
    }

    /// As [`Self::std`]; `dims` stay with size 1.
    #[track_caller]
    pub fn std_keepdim(&self, dims: impl Dims, correction: usize) -> Tensor {
        root(&self.var_keepdim(dims, correction))
    }

    /// `log Σ exp(x)` over `dims`, of any size of numbers: the largest one is taken out first.
    ///
    /// Source: `torch.logsumexp`.
    #[track_caller]
    pub fn logsumexp(&self, dims: impl Dims) -> Tensor {
        self.logsumexp_keepdim(dims.dims()).without(&dims.dims())
    }

    /// As [`Self::logsumexp`]; `dims` stay with size 1.
    #[track_caller]
    pub fn logsumexp_keepdim(&self, dims: impl Dims) -> Tensor {
        let (x, dims) = (self, &dims.dims());
        if let Err(invalid) = resolve_all(x, "logsumexp", dims) {
            return invalid;
        }
        // An infinite one would give ∞ − ∞.
        let largest = x.amax_keepdim(dims).detach().clamp(-3.0e38, 3.0e38);
        let sum = (x - &largest).exp().sum_keepdim(dims);
        sum.log() + largest
    }

    /// The tensor without the axes `dims` of size 1.
    #[track_caller]
    fn without(&self, dims: &[isize]) -> Tensor {
        match resolve_all(self, "reshape", dims) {
            Ok(axes) => self.reshape(reduced(&self.shape(), &axes, false)),
            Err(invalid) => invalid,
        }
    }
}
