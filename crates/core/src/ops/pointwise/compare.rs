//! Comparisons, masks of 0 and 1, the choice between two tensors, and casts.

use crate::{DType, Pointwise, Tensor, pointwise};

/// The rows of this file.
pub(crate) static ROWS: &[&Pointwise] =
    &[&GT, &GE, &EQ, &NE, &EQ_U32, &LT_U32, &AND, &OR, &NOT, &SELECT, &TO_F32, &TO_U32];

pointwise! {
    pub(crate) GT = gt(x: float, y: float)[] -> uint {
        wgsl: "select(0u, 1u, x > y)",
        reference<F>: u32::from(x > y),
        backward: None,
    }
}

pointwise! {
    pub(crate) GE = ge(x: float, y: float)[] -> uint {
        wgsl: "select(0u, 1u, x >= y)",
        reference<F>: u32::from(x >= y),
        backward: None,
    }
}

pointwise! {
    pub(crate) EQ = eq(x: float, y: float)[] -> uint {
        wgsl: "select(0u, 1u, x == y)",
        reference<F>: u32::from(x == y),
        backward: None,
    }
}

pointwise! {
    pub(crate) NE = ne(x: float, y: float)[] -> uint {
        wgsl: "select(1u, 0u, x == y)",
        reference<F>: u32::from(x != y),
        backward: None,
    }
}

pointwise! {
    pub(crate) EQ_U32 = eq_u32(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, x == y)",
        reference<F>: u32::from(x == y),
        backward: None,
    }
}

pointwise! {
    pub(crate) LT_U32 = lt_u32(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, x < y)",
        reference<F>: u32::from(x < y),
        backward: None,
    }
}

pointwise! {
    pub(crate) AND = and(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, x != 0u && y != 0u)",
        reference<F>: u32::from(x != 0 && y != 0),
        backward: None,
    }
}

pointwise! {
    pub(crate) OR = or(x: uint, y: uint)[] -> uint {
        wgsl: "select(0u, 1u, (x | y) != 0u)",
        reference<F>: u32::from(x | y != 0),
        backward: None,
    }
}

pointwise! {
    pub(crate) NOT = not(x: uint)[] -> uint {
        wgsl: "select(0u, 1u, x == 0u)",
        reference<F>: u32::from(x == 0),
        backward: None,
    }
}

pointwise! {
    pub(crate) SELECT = select(mask: uint, x: float, y: float)[] -> float {
        wgsl: "select(y, x, mask != 0u)",
        reference<F>: if mask != 0 { x } else { y },
        backward: Some(|at| {
            at.give_with(1, |at| at.input(0).select(&at.dy(), &at.dy().number(0.0)));
            at.give_with(2, |at| at.input(0).select(&at.dy().number(0.0), &at.dy()));
        }),
    }
}

pointwise! {
    pub(crate) TO_F32 = to_f32(x: uint)[] -> float {
        wgsl: "f32(x)",
        reference<F>: F::lit(f64::from(x)),
        backward: None,
    }
}

pointwise! {
    // The largest f32 below 2³² bounds what may be converted.
    pub(crate) TO_U32 = to_u32(x: float)[] -> uint {
        wgsl: "u32(clamp(x, 0.0, 4294967040.0))",
        reference<F>: x.wide() as u32,
        backward: None,
    }
}

/// Comparisons and masks. A mask is a `u32` tensor of 0 and 1; no gradient flows through one.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64], DType::F32);
/// let positive = x.gt(&x.number(0.0));
/// assert_eq!(positive.dtype(), DType::U32);
/// let root = positive.select(&x, &-&x);
/// assert_eq!(root.dtype(), DType::F32);
/// ```
impl Tensor {
    /// `x > y`.
    #[track_caller]
    pub fn gt(&self, y: &Tensor) -> Tensor {
        self.pointwise(&GT, &[y], &[])
    }

    /// `x ≥ y`.
    #[track_caller]
    pub fn ge(&self, y: &Tensor) -> Tensor {
        self.pointwise(&GE, &[y], &[])
    }

    /// `x < y`.
    #[track_caller]
    pub fn lt(&self, y: &Tensor) -> Tensor {
        y.pointwise(&GT, &[self], &[])
    }

    /// `x ≤ y`.
    #[track_caller]
    pub fn le(&self, y: &Tensor) -> Tensor {
        y.pointwise(&GE, &[self], &[])
    }

    /// `x = y`.
    #[track_caller]
    pub fn eq(&self, y: &Tensor) -> Tensor {
        self.pointwise(&EQ, &[y], &[])
    }

    /// `x ≠ y`.
    #[track_caller]
    pub fn ne(&self, y: &Tensor) -> Tensor {
        self.pointwise(&NE, &[y], &[])
    }

    /// `x = y` for integers.
    #[track_caller]
    pub fn eq_u32(&self, y: &Tensor) -> Tensor {
        self.pointwise(&EQ_U32, &[y], &[])
    }

    /// `x < y` for integers.
    #[track_caller]
    pub fn lt_u32(&self, y: &Tensor) -> Tensor {
        self.pointwise(&LT_U32, &[y], &[])
    }

    /// Whether both masks hold.
    #[track_caller]
    pub fn and(&self, y: &Tensor) -> Tensor {
        self.pointwise(&AND, &[y], &[])
    }

    /// Whether one of the masks holds.
    #[track_caller]
    pub fn or(&self, y: &Tensor) -> Tensor {
        self.pointwise(&OR, &[y], &[])
    }

    /// Whether the mask does not hold.
    #[track_caller]
    pub fn not(&self) -> Tensor {
        self.pointwise(&NOT, &[], &[])
    }

    /// `x` where the mask holds, `y` elsewhere. The side not taken gets no gradient, and its NaN does no harm.
    #[track_caller]
    pub fn select(&self, x: &Tensor, y: &Tensor) -> Tensor {
        self.pointwise(&SELECT, &[x, y], &[])
    }

    /// Integers as floats; exact up to 2²⁴. A tensor of floats is returned as it is.
    #[track_caller]
    pub fn to_f32(&self) -> Tensor {
        let x = self;
        if x.dtype() == DType::F32 { x.clone() } else { x.pointwise(&TO_F32, &[], &[]) }
    }

    /// Floats cut down to integers; they must be in `[0, 2³²)`. A tensor of integers is returned as it is.
    #[track_caller]
    pub fn to_u32(&self) -> Tensor {
        let x = self;
        if x.dtype() == DType::U32 { x.clone() } else { x.pointwise(&TO_U32, &[], &[]) }
    }
}
