//! Values at the edges of `f32`: `exp` near ±88, logits of ±1000, subnormals, sizes from `2⁻⁶⁰` to `2⁶⁰`, exact ties and
//! constant rows.

use wgrad_core::Tensor;
#[allow(clippy::wildcard_imports, reason = "many ops have an edge")]
use wgrad_core::ops::*;

use crate::Case;
use crate::Values::{self, Below, Grid, Of, Powers, Uniform};

/// Where `exp` is about to overflow, and where its result is about to be subnormal and then zero.
const EXPONENTS: Values = Of(&[88.0, -88.0, 88.7, -87.3, -103.0, 87.5, 0.0, -0.0, 1.0, -1e-30]);
const LOGITS: Values = Of(&[1000.0, -1000.0, 88.0, -88.0, 1e-30, -1e-30, 0.0, 17.0]);
const TARGETS: Values = Of(&[0.0, 1.0, 0.25]);
/// Smaller than the smallest normal number, or just not: a device may flush these, and must not do worse.
const SUBNORMALS: Values = Of(&[1e-40, -1e-40, 1e-45, -1e-45, 1.2e-38, -1.2e-38, 0.0, -0.0, 1.0]);
const SIZES: Values = Powers(-60.0, 60.0);

/// Every family of kernels at the values where implementations break.
#[must_use]
pub fn edges() -> Vec<Case> {
    [functions(), logits(), subnormals(), magnitudes(), ties()].into_iter().flatten().collect()
}

type Unary = fn(&Tensor) -> Tensor;

/// A step on the way may come to a subnormal number that is flushed, and be multiplied then: by a cotangent, or by x. So
/// some hundred times the smallest normal number is lost, `2⁻²⁴` times this.
const FLUSHED: f64 = 1e-28;

fn unary(what: &str, name: &str, values: Values, ulp: f64, f: Unary) -> Case {
    // No multiple of four, so that the last elements go by themselves.
    Case::new(format!("edge: {name} of {what}"), &[(&[3, 67], values)], move |x| f(&x[0])).ulp(ulp).cancelling(FLUSHED)
}

fn functions() -> Vec<Case> {
    let near = |name: &str, f: Unary| unary("numbers near ±88", name, EXPONENTS, 400.0, f);
    let far = |name: &str, f: Unary| unary("numbers up to ±1000", name, LOGITS, 400.0, f);
    let mut cases = vec![near("exp", |x| x.exp())];
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
    for (name, f) in bounded {
        cases.extend([near(name, f), far(name, f)]);
    }
    cases.push(unary("numbers near one", "log", Uniform(0.999, 1.001), 12.0, |x| x.log()));
    cases.push(unary("tiny numbers", "log1p", Powers(-40.0, -3.0), 12.0, |x| x.log1p()));
    cases
}

fn logits() -> Vec<Case> {
    let rows: &[(&[usize], Values)] = &[(&[9, 65], LOGITS), (&[9], Below(65))];
    let pair: &[(&[usize], Values)] = &[(&[9, 65], LOGITS), (&[9, 65], TARGETS)];
    vec![
        Case::new("edge: softmax of logits up to ±1000", &rows[..1], |x| x[0].softmax(1)),
        Case::new("edge: softmax of columns of logits up to ±1000", &rows[..1], |x| x[0].softmax(0)),
        Case::new("edge: log_softmax of logits up to ±1000", &rows[..1], |x| x[0].log_softmax(1)),
        Case::new("edge: logsumexp of logits up to ±1000", &rows[..1], |x| x[0].logsumexp(&[1])),
        Case::new("edge: cross-entropy of logits up to ±1000", rows, |x| {
            x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0
        }),
        Case::new("edge: binary cross-entropy of logits up to ±1000", pair, |x| x[0].bce_with_logits(&x[1].detach()))
            .constant_inputs(&[1]),
        Case::new("edge: focal loss of logits up to ±1000", pair, |x| x[0].focal(&x[1].detach(), 2.0))
            .constant_inputs(&[1]),
    ]
    .into_iter()
    .map(|case| case.terms(65).ulp(400.0).cancelling(16.0))
    .collect()
}

/// Ops that lose no more than the flushed number itself.
fn subnormals() -> Vec<Case> {
    let of = |name: &str, ulp: f64, f: Unary| unary("subnormals", name, SUBNORMALS, ulp, f).without_gradients();
    let pair: &[(&[usize], Values)] = &[(&[3, 67], SUBNORMALS), (&[3, 67], SUBNORMALS)];
    // A flushed element counts as a loss of 2⁻¹²⁶, and a sum has many.
    let sum = Case::new("edge: sum of subnormals", &[(&[67, 5], Uniform(0.0, 1e-38))], |x| x[0].sum(&[0]) + 1.0);
    vec![
        of("relu", 0.0, |x| x.relu()),
        of("abs", 0.0, |x| x.abs()),
        of("neg", 0.0, |x| -x),
        of("exp", 15.0, |x| x.exp()),
        of("sigmoid", 24.0, |x| x.sigmoid()),
        of("tanh", 24.0, |x| x.tanh()),
        of("log1p", 12.0, |x| x.log1p()),
        of("gelu", 80.0, |x| x.gelu()),
        of("sqrt of a sum with one", 8.0, |x| (x + 1.0).sqrt()),
        Case::new("edge: maximum of subnormals", pair, |x| x[0].maximum(&x[1])).without_gradients(),
        Case::new("edge: product of subnormals", pair, |x| &x[0] * &x[1]).without_gradients(),
        sum.terms(67).without_gradients(),
        Case::new("edge: softmax of subnormals", &[(&[5, 67], SUBNORMALS)], |x| x[0].softmax(1))
            .terms(67)
            .ulp(40.0)
            .without_gradients(),
        Case::new("edge: batch norm of subnormals", &[(&[67, 5], Uniform(-1e-38, 1e-38))], |x| {
            x[0].batch_norm_train(None, None, 1e-5).0 + 1.0
        })
        .terms(67)
        .ulp(8.0)
        .without_gradients(),
    ]
}

fn magnitudes() -> Vec<Case> {
    let of = |name: &str, ulp: f64, f: Unary| unary("numbers from 2^-60 to 2^60", name, SIZES, ulp, f);
    let pair: &[(&[usize], Values)] = &[(&[3, 67], SIZES), (&[3, 67], SIZES)];
    vec![
        of("abs", 0.0, |x| x.abs()),
        of("square", 0.0, |x| x.square()),
        of("recip", 12.0, |x| x.reciprocal()),
        of("sqrt", 8.0, |x| x.abs().sqrt()),
        of("rsqrt", 12.0, |x| x.abs().rsqrt()),
        of("log", 12.0, |x| x.abs().log()),
        of("relu", 0.0, |x| x.relu()),
        of("maximum of rows", 4.0, |x| x.amax(&[1])),
        of("minimum of columns", 4.0, |x| x.amin(&[0])),
        of("sum of absolute values", 0.0, |x| x.abs().sum(&[1])).terms(67),
        Case::new("edge: sum of two of sizes from 2^-60 to 2^60", pair, |x| &x[0] + &x[1]),
        Case::new("edge: product of sizes from 2^-60 to 2^60", pair, |x| &x[0] * &x[1]),
        Case::new(
            "edge: matmul of sizes from 2^-30 to 2^30",
            &[(&[5, 67], Powers(-30.0, 30.0)), (&[67, 9], Powers(-30.0, 30.0))],
            |x| x[0].matmul(&x[1]),
        )
        .terms(67),
    ]
}

fn ties() -> Vec<Case> {
    let grid = Grid(1.0, 1);
    let rows: &[(&[usize], Values)] = &[(&[9, 67], grid)];
    let constant: &[(&[usize], Values)] = &[(&[9, 67], Of(&[3.0]))];
    vec![
        Case::new("edge: maximum of rows of ties", rows, |x| x[0].amax(&[1])).ulp(4.0),
        Case::new("edge: minimum of columns of ties", rows, |x| x[0].amin(&[0])).ulp(4.0),
        Case::several("edge: maximum with its index of ties", rows, |x| {
            let (value, index) = x[0].max(1);
            vec![value, index]
        }),
        Case::new("edge: argmax of ties", rows, |x| x[0].argmax(1)).exact(),
        Case::new("edge: argmin of ties", rows, |x| x[0].argmin(0)).exact(),
        Case::new("edge: argsort of ties", rows, |x| x[0].argsort(1, true)).exact(),
        Case::several("edge: topk of ties", rows, |x| {
            let (value, index) = x[0].topk(5, 1, true);
            vec![value, index]
        }),
        Case::new("edge: max_pool2d of ties", &[(&[2, 3, 9, 11], grid)], |x| {
            x[0].max_pool2d(MaxPool::new(3).stride(2).padding(1))
        })
        .terms(9),
        Case::new("edge: round of halves", &[(&[201], Grid(0.5, 20))], |x| x[0].round()).exact(),
        Case::new("edge: softmax of equal logits", constant, |x| x[0].softmax(1)).terms(67).ulp(40.0).cancelling(8.0),
        Case::new("edge: variance of equal numbers", constant, |x| x[0].var(&[1], 0))
            .terms(67)
            // The mean of equal numbers may be off by its own rounding, and the variance by the square of that.
            .cancelling(1e-4),
        Case::new("edge: maximum of a constant", constant, |x| x[0].amax(&[1])).ulp(4.0),
    ]
    .into_iter()
    .collect()
}
