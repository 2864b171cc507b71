//! Rows for activation functions with options, rounding, sine and cosine, and draws.

#[allow(clippy::wildcard_imports, reason = "every op has a row here")]
use super::ANY;
use crate::Case;
use crate::Values::{self, Grid, Normal, Of, Uniform};
use wgrad_core::Tensor;

pub fn units() -> Vec<Case> {
    let unary =
        |name: &str, values: Values, f: fn(&Tensor) -> Tensor| Case::new(name, &[(&[257], values)], move |x| f(&x[0]));
    let wide = Uniform(-80.0, 80.0);
    vec![
        unary("elu", ANY, |x| x.elu(1.0)).ulp(30.0),
        unary("elu of alpha 2.5", wide, |x| x.elu(2.5)).ulp(200.0),
        unary("elu of small", Uniform(-1e-3, 1e-3), |x| x.elu(1.0)).ulp(12.0),
        unary("elu at zero", Of(&[0.0, -0.0, 1.0, -1.0]), |x| x.elu(2.0)).ulp(12.0),
        unary("selu", ANY, |x| x.selu()).ulp(30.0),
        unary("celu", ANY, |x| x.celu(0.5)).ulp(40.0),
        unary("mish", ANY, |x| x.mish()).ulp(40.0),
        unary("mish of large", wide, |x| x.mish()).ulp(400.0),
        unary("softplus_with", wide, |x| x.softplus_with(2.0, 5.0)).ulp(400.0),
        unary("hardtanh", ANY, |x| x.hardtanh(-0.5, 1.5)),
        unary("relu6 and its ends", Grid(0.5, 16), |x| x.relu6()),
        unary("hardsigmoid and its ends", Grid(0.5, 16), |x| x.hardsigmoid()).ulp(6.0),
        unary("hardsigmoid", ANY, |x| x.hardsigmoid()).ulp(6.0).cancelling(4.0),
        unary("hardswish", ANY, |x| x.hardswish()).ulp(8.0).cancelling(16.0),
        unary("hardswish and its ends", Grid(0.5, 16), |x| x.hardswish()).ulp(8.0),
        unary("threshold", ANY, |x| x.threshold(0.7, -3.0)),
        unary("softshrink", ANY, |x| x.softshrink(0.5)),
        unary("softshrink and its ends", Grid(0.25, 8), |x| x.softshrink(0.5)),
        unary("hardshrink", ANY, |x| x.hardshrink(0.5)),
        unary("hardshrink and its ends", Grid(0.25, 8), |x| x.hardshrink(0.5)),
        unary("tanhshrink", ANY, |x| x.tanhshrink()).ulp(24.0).cancelling(8.0),
        Case::new("prelu of one weight", &[(&[33, 5], ANY), (&[1], Normal)], |x| x[0].prelu(&x[1])).terms(165),
        Case::new("prelu of channels", &[(&[9, 5, 7], ANY), (&[5], Normal)], |x| x[0].prelu(&x[1])).terms(63),
        Case::new("prelu of a vector", &[(&[65], ANY), (&[1], Normal)], |x| x[0].prelu(&x[1])).terms(65),
        Case::new("glu", &[(&[6, 10], ANY)], |x| x[0].glu(-1)).ulp(24.0),
        Case::new("glu of channels", &[(&[3, 4, 5], ANY)], |x| x[0].glu(1)).ulp(24.0),
        Case::new("softmin", &[(&[9, 33], ANY)], |x| x[0].softmin(1)).terms(33).ulp(40.0).cancelling(8.0),
        unary("sin", Uniform(-20.0, 20.0), |x| x.sin()).ulp(8.0),
        unary("cos", Uniform(-20.0, 20.0), |x| x.cos()).ulp(8.0),
        unary("sin and cos of large", Uniform(-20_000.0, 20_000.0), |x| x.sin() * 2.0 + x.cos()).ulp(8.0),
        unary("sin of small", Uniform(-1e-3, 1e-3), |x| x.sin()).ulp(8.0),
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
    ]
}
