//! Cases of activation functions, rounding, sine and cosine, and random draws.

use crate::case::Case;
use crate::case::Fill::{self, Grid, Normal, Of, Uniform};
use crate::edge::{self, far, near, subnormal};
use crate::family::{ANY, Family, Unary, at_length};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths);

fn own() -> Vec<Case> {
    let unary = |name: &str, values: Fill, f: Unary| Case::new(name, &[(&[257], values)], move |x| f(&x[0]));
    let wide = Uniform(-80.0, 80.0);
    vec![
        unary("elu", ANY, |x| x.elu(1.0)),
        unary("elu of alpha 2.5", wide, |x| x.elu(2.5)),
        unary("elu of small", Uniform(-1e-3, 1e-3), |x| x.elu(1.0)),
        unary("elu at zero", Of(&[0.0, -0.0, 1.0, -1.0]), |x| x.elu(2.0)),
        unary("selu", ANY, |x| x.selu()),
        unary("celu", ANY, |x| x.celu(0.5)),
        unary("mish", ANY, |x| x.mish()),
        unary("mish of large", wide, |x| x.mish()),
        unary("softplus_with", wide, |x| x.softplus_with(2.0, 5.0)),
        unary("hardtanh", ANY, |x| x.hardtanh(-0.5, 1.5)),
        unary("relu6 and its ends", Grid(0.5, 16), |x| x.relu6()),
        unary("hardsigmoid and its ends", Grid(0.5, 16), |x| x.hardsigmoid()),
        unary("hardsigmoid", ANY, |x| x.hardsigmoid()),
        unary("hardswish", ANY, |x| x.hardswish()),
        unary("hardswish and its ends", Grid(0.5, 16), |x| x.hardswish()),
        unary("threshold", ANY, |x| x.threshold(0.7, -3.0)),
        unary("softshrink", ANY, |x| x.softshrink(0.5)),
        unary("softshrink and its ends", Grid(0.25, 8), |x| x.softshrink(0.5)),
        unary("hardshrink", ANY, |x| x.hardshrink(0.5)),
        unary("hardshrink and its ends", Grid(0.25, 8), |x| x.hardshrink(0.5)),
        unary("tanhshrink", ANY, |x| x.tanhshrink()),
        Case::new("prelu of one weight", &[(&[33, 5], ANY), (&[1], Normal)], |x| x[0].prelu(&x[1])),
        Case::new("prelu of channels", &[(&[9, 5, 7], ANY), (&[5], Normal)], |x| x[0].prelu(&x[1])),
        Case::new("prelu of a vector", &[(&[65], ANY), (&[1], Normal)], |x| x[0].prelu(&x[1])),
        Case::new("glu", &[(&[6, 10], ANY)], |x| x[0].glu(-1)),
        Case::new("glu of channels", &[(&[3, 4, 5], ANY)], |x| x[0].glu(1)),
        unary("sin", Uniform(-20.0, 20.0), |x| x.sin()),
        unary("cos", Uniform(-20.0, 20.0), |x| x.cos()),
        unary("sin and cos of large", Uniform(-20_000.0, 20_000.0), |x| x.sin() * 2.0 + x.cos()),
        unary("sin of small", Uniform(-1e-3, 1e-3), |x| x.sin()),
        unary("round", Grid(0.25, 20), |x| x.round()).without_gradients().exact(),
        unary("ceil and trunc", Grid(0.25, 20), |x| x.ceil() * 100.0 + x.trunc()).without_gradients().exact(),
        unary("binarize", Grid(0.25, 8), |x| x.binarize() * 3.0),
        Case::new("bernoulli", &[(&[33, 65], Uniform(-0.2, 1.2))], |x| {
            x[0].bernoulli([7, 0xffff_fff0], 3, &x[0].graph().constant_u32(5))
        })
        .without_gradients()
        .exact(),
        Case::new("bernoulli of certain things", &[(&[500], Of(&[0.0, 1.0]))], |x| {
            x[0].bernoulli([7, 1], 3, &x[0].graph().constant_u32(5)) - &x[0]
        })
        .without_gradients()
        .exact(),
        Case::new("dropout", &[(&[7, 33], Normal)], |x| {
            x[0].dropout(0.25, [7, 0xffff_fff0], 3, &x[0].graph().constant_u32(1 << 31)) * &x[0]
        }),
    ]
}

fn edges() -> Vec<Case> {
    let bounded: [(&str, Unary); 15] = [
        ("sigmoid", |x| x.sigmoid()),
        ("log_sigmoid", |x| x.log_sigmoid()),
        ("tanh", |x| x.tanh()),
        ("softplus", |x| x.softplus()),
        ("softsign", |x| x.softsign()),
        ("silu", |x| x.silu()),
        ("gelu", |x| x.gelu()),
        ("gelu_tanh", |x| x.gelu_tanh()),
        ("elu", |x| x.elu(1.0)),
        ("selu", |x| x.selu()),
        ("celu", |x| x.celu(0.5)),
        ("mish", |x| x.mish()),
        ("hardsigmoid", |x| x.hardsigmoid()),
        ("relu", |x| x.relu()),
        ("erf", |x| x.erf()),
    ];
    let mut cases: Vec<Case> = bounded.iter().flat_map(|&(name, f)| [near(name, f), far(name, f)]).collect();
    cases.extend([
        subnormal("relu", |x| x.relu()),
        subnormal("sigmoid", |x| x.sigmoid()),
        subnormal("tanh", |x| x.tanh()),
        subnormal("gelu", |x| x.gelu()),
        edge::sized("relu", |x| x.relu()),
    ]);
    cases
}

fn lengths(n: usize) -> Vec<Case> {
    vec![at_length("dropout", n, &[(&[n], Normal)], |x| {
        vec![x[0].dropout(0.25, [7, 0xffff_fff0], 3, &x[0].graph().constant_u32(1 << 31)) * &x[0]]
    })]
}
