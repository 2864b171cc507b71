//! Arithmetic operators and negation.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Tensor;
use crate::op::pointwise::pointwise_ops;

pointwise_ops! {
    /// Adds two tensors, element by element: `x + y`.
    pub ADD = add(x: float, y: float)[] -> float {
        wgsl: "x + y",
        reference<F>: x + y,
        backward(grad): {
            x: grad.clone(),
            y: grad.clone(),
        },
    }

    /// Subtracts one tensor from another, element by element: `x − y`.
    pub SUB = sub(x: float, y: float)[] -> float {
        wgsl: "x - y",
        reference<F>: x - y,
        backward(grad): {
            x: grad.clone(),
            y: -grad,
        },
    }

    /// Multiplies two tensors, element by element: `x · y`.
    pub MUL = mul(x: float, y: float)[] -> float {
        wgsl: "x * y",
        reference<F>: x * y,
        backward(grad): {
            x: grad * y,
            y: grad * x,
        },
    }

    /// Divides one tensor by another, element by element: `x / y`.
    pub DIV = div(x: float, y: float)[] -> float {
        wgsl: "x / y",
        steps: 2.0,
        reference<F>: x / y,
        backward(grad, out): {
            x: grad / y,
            y: -(grad * out) / y,
        },
    }

    /// Negates each element: `−x`.
    pub NEG = neg(x: float)[] -> float {
        wgsl: "-x",
        reference<F>: -x,
        backward(grad): { x: -grad },
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:expr) => {
        impl $trait<&Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                self.pointwise(&$op, &[other], &[])
            }
        }
        impl $trait<Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.pointwise(&$op, &[&other], &[])
            }
        }
        impl $trait<&Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                self.pointwise(&$op, &[other], &[])
            }
        }
        impl $trait for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.pointwise(&$op, &[&other], &[])
            }
        }
        impl $trait<f64> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                self.pointwise(&$op, &[&self.number(other)], &[])
            }
        }
        impl $trait<f64> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                self.pointwise(&$op, &[&self.number(other)], &[])
            }
        }
        impl $trait<&Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                other.number(self).pointwise(&$op, &[other], &[])
            }
        }
        impl $trait<Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                other.number(self).pointwise(&$op, &[&other], &[])
            }
        }
    };
}
operator!(Add, add, ADD);
operator!(Sub, sub, SUB);
operator!(Mul, mul, MUL);
operator!(Div, div, DIV);

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.pointwise(&NEG, &[], &[])
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        (&self).neg()
    }
}
