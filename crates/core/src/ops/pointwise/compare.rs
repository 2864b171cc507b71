//! Comparisons, masks of 0 and 1, selection by a mask, and casts.

use crate::op::pointwise::pointwise_ops;
use crate::{DType, Tensor, TensorOrScalar};

pointwise_ops! {
    pub(crate) GT = gt(x: float, y: float)[] -> uint {
        wgsl: "select(0u, 1u, x > y)",
        reference<F>: u32::from(x > y),
        backward: none,
    }

    pub(crate) GE = ge(x: float, y: float)[] -> uint {
        wgsl: "select(0u, 1u, x >= y)",
        reference<F>: u32::from(x >= y),
        backward: none,
    }

    pub(crate) EQ = eq(x: float, y: float)[] -> uint {
        wgsl: "select(0u, 1u, x == y)",
        reference<F>: u32::from(x == y),
        backward: none,
    }

    pub(crate) NE = ne(x: float, y: float)[] -> uint {
        wgsl: "select(1u, 0u, x == y)",
        reference<F>: u32::from(x != y),
        backward: none,
    }

    pub(crate) EQ_U32 = eq_u32(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, x == y)",
        reference<F>: u32::from(x == y),
        backward: none,
    }

    pub(crate) LT_U32 = lt_u32(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, x < y)",
        reference<F>: u32::from(x < y),
        backward: none,
    }

    pub(crate) AND = and(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, x != 0u && y != 0u)",
        reference<F>: u32::from(x != 0 && y != 0),
        backward: none,
    }

    pub(crate) OR = or(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, (x | y) != 0u)",
        reference<F>: u32::from(x | y != 0),
        backward: none,
    }

    /// Computes the logical NOT of a mask: 1 where the mask is 0, else 0.
    ///
    /// Equivalent: `torch.logical_not`.
    pub(crate) NOT = not(x: uint)[] -> uint as logical_not {
        wgsl: "select(0u, 1u, x == 0u)",
        reference<F>: u32::from(x == 0),
        backward: none,
    }

    pub(crate) SELECT = select(mask: uint, x: float, y: float)[] -> float {
        wgsl: "select(y, x, mask != 0u)",
        reference<F>: if mask != 0 { x } else { y },
        backward(grad): {
            x: mask.where_cond(grad, grad.number(0.0)),
            y: mask.where_cond(grad.number(0.0), grad),
        },
    }

    pub(crate) TO_F32 = to_f32(x: uint)[] -> float {
        wgsl: "f32(x)",
        reference<F>: F::lit(f64::from(x)),
        backward: none,
    }

    // The upper bound of the clamp is the largest f32 below 2³².
    pub(crate) TO_U32 = to_u32(x: float)[] -> uint {
        wgsl: "u32(clamp(x, 0.0, 4294967040.0))",
        reference<F>: x.wide() as u32,
        backward: none,
    }
}

/// Comparisons and masks. A mask is a `u32` tensor of 0 and 1; no gradient flows through it.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64], DType::F32);
/// let positive = x.gt(&x.number(0.0));
/// assert_eq!(positive.dtype(), DType::U32);
/// let root = positive.where_cond(&x, &-&x);
/// assert_eq!(root.dtype(), DType::F32);
/// ```
impl Tensor {
    /// Compares element by element: 1 where `x > y`, else 0.
    ///
    /// Equivalent: `torch.gt`.
    #[track_caller]
    pub fn gt(&self, y: impl Into<TensorOrScalar>) -> Tensor {
        greater(self, &y.into().beside(self))
    }

    /// Compares element by element: 1 where `x ≥ y`, else 0.
    ///
    /// Equivalent: `torch.ge`.
    #[track_caller]
    pub fn ge(&self, y: impl Into<TensorOrScalar>) -> Tensor {
        greater_or_equal(self, &y.into().beside(self))
    }

    /// Compares element by element: 1 where `x < y`, else 0.
    ///
    /// Equivalent: `torch.lt`.
    #[track_caller]
    pub fn lt(&self, y: impl Into<TensorOrScalar>) -> Tensor {
        greater(&y.into().beside(self), self)
    }

    /// Compares element by element: 1 where `x ≤ y`, else 0.
    ///
    /// Equivalent: `torch.le`.
    #[track_caller]
    pub fn le(&self, y: impl Into<TensorOrScalar>) -> Tensor {
        greater_or_equal(&y.into().beside(self), self)
    }

    /// Compares element by element: 1 where `x = y`, else 0.
    ///
    /// Equivalent: `torch.eq`.
    #[track_caller]
    pub fn eq(&self, y: impl Into<TensorOrScalar>) -> Tensor {
        let op = if self.dtype() == DType::U32 { &EQ_U32 } else { &EQ };
        self.pointwise(op, &[&y.into().beside(self)], &[])
    }

    /// Compares element by element: 1 where `x ≠ y`, else 0.
    ///
    /// Equivalent: `torch.ne`.
    #[track_caller]
    pub fn ne(&self, y: impl Into<TensorOrScalar>) -> Tensor {
        if self.dtype() == DType::U32 {
            return self.eq(y).logical_not();
        }
        self.pointwise(&NE, &[&y.into().beside(self)], &[])
    }

    /// Computes the logical AND of two masks.
    ///
    /// Equivalent: `torch.logical_and`.
    #[track_caller]
    pub fn logical_and(&self, y: &Tensor) -> Tensor {
        self.pointwise(&AND, &[y], &[])
    }

    /// Computes the logical OR of two masks.
    ///
    /// Equivalent: `torch.logical_or`.
    #[track_caller]
    pub fn logical_or(&self, y: &Tensor) -> Tensor {
        self.pointwise(&OR, &[y], &[])
    }

    /// Selects elements with this mask: `x` where the mask is not 0, `y` elsewhere.
    ///
    /// Elements that are not selected get a gradient of 0, even if they are NaN. Equivalent: `torch.where`.
    #[track_caller]
    pub fn where_cond(&self, x: impl Into<TensorOrScalar>, y: impl Into<TensorOrScalar>) -> Tensor {
        let (x, y) = (x.into().on(self), y.into().on(self));
        self.pointwise(&SELECT, &[&x, &y], &[])
    }

    /// Converts the elements to `f32`; integers up to 2²⁴ stay exact. A tensor of floats is returned unchanged.
    #[track_caller]
    pub fn to_f32(&self) -> Tensor {
        if self.dtype() == DType::F32 { self.clone() } else { self.pointwise(&TO_F32, &[], &[]) }
    }

    /// Converts the elements to `u32` and drops their fractions; elements must be in `[0, 2³²)`. A tensor of
    /// integers is returned unchanged.
    #[track_caller]
    pub fn to_u32(&self) -> Tensor {
        if self.dtype() == DType::U32 { self.clone() } else { self.pointwise(&TO_U32, &[], &[]) }
    }
}

#[track_caller]
fn greater(x: &Tensor, y: &Tensor) -> Tensor {
    if x.dtype() == DType::U32 { y.pointwise(&LT_U32, &[x], &[]) } else { x.pointwise(&GT, &[y], &[]) }
}

#[track_caller]
fn greater_or_equal(x: &Tensor, y: &Tensor) -> Tensor {
    if x.dtype() == DType::U32 { greater(y, x).logical_not() } else { x.pointwise(&GE, &[y], &[]) }
}
