//! The four arithmetic operators and negation.

use crate::op::pointwise::pointwise_ops;

pointwise_ops! {
    /// `x + y`.
    pub ADD = add(x: float, y: float)[] -> float {
        wgsl: "x + y",
        reference<F>: x + y,
        backward(grad): {
            x: grad.clone(),
            y: grad.clone(),
        },
    }

    /// `x − y`.
    pub SUB = sub(x: float, y: float)[] -> float {
        wgsl: "x - y",
        reference<F>: x - y,
        backward(grad): {
            x: grad.clone(),
            y: -grad,
        },
    }

    /// `x · y`.
    pub MUL = mul(x: float, y: float)[] -> float {
        wgsl: "x * y",
        reference<F>: x * y,
        backward(grad): {
            x: grad * y,
            y: grad * x,
        },
    }

    /// `x / y`.
    pub DIV = div(x: float, y: float)[] -> float {
        wgsl: "x / y",
        steps: 2.0,
        reference<F>: x / y,
        backward(grad, out): {
            x: grad / y,
            y: -(grad * out) / y,
        },
    }

    /// `−x`.
    pub NEG = neg(x: float)[] -> float {
        wgsl: "-x",
        reference<F>: -x,
        backward(grad): { x: -grad },
    }
}
