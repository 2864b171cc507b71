//! The four arithmetic operators and negation.

use crate::{Backward, Pointwise, pointwise};

/// The rows of this file.
pub static ARITHMETIC: &[&Pointwise] = &[&ADD, &SUB, &MUL, &DIV, &NEG];

pointwise! {
    /// `x + y`.
    pub ADD = add(x: float, y: float)[] -> float {
        wgsl: "x + y",
        reference<F>: x + y,
        backward: Some(|at| {
            at.give_with(0, Backward::dy);
            at.give_with(1, Backward::dy);
        }),
    }
}

pointwise! {
    /// `x − y`.
    pub SUB = sub(x: float, y: float)[] -> float {
        wgsl: "x - y",
        reference<F>: x - y,
        backward: Some(|at| {
            at.give_with(0, Backward::dy);
            at.give_with(1, |at| -at.dy());
        }),
    }
}

pointwise! {
    /// `x · y`.
    pub MUL = mul(x: float, y: float)[] -> float {
        wgsl: "x * y",
        reference<F>: x * y,
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() * at.input(1));
            at.give_with(1, |at| at.dy() * at.input(0));
        }),
    }
}

pointwise! {
    /// `x / y`.
    pub DIV = div(x: float, y: float)[] -> float {
        wgsl: "x / y",
        steps: 2.0,
        reference<F>: x / y,
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() / at.input(1));
            at.give_with(1, |at| -(at.dy() * at.output(0)) / at.input(1));
        }),
    }
}

pointwise! {
    /// `−x`.
    pub NEG = neg(x: float)[] -> float {
        wgsl: "-x",
        reference<F>: -x,
        backward: Some(|at| at.give_with(0, |at| -at.dy())),
    }
}
