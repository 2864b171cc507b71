//! Cases of elementary functions, arithmetic and comparisons.

use wgrad_core::Tensor;

use crate::case::Fill::{self, Below, Grid, Normal, Of, Powers, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::edge::{self, EXPONENTS, SIZES, SUBNORMALS};
use crate::family::{ANY, Family, POSITIVE, Unary, at_length};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[functions, pairs]);

type Binary = fn(&Tensor, &Tensor) -> Tensor;

fn own() -> Vec<Case> {
    let unary = |name: &str, values: Fill, f: Unary| Case::new(name, &[(&[257], values)], move |x| f(&x[0]));
    let binary = |name: &str, values: Fill, f: Binary| {
        Case::new(name, &[(&[33, 5], values), (&[33, 5], values)], move |x| f(&x[0], &x[1]))
    };
    vec![
        unary("exp", ANY, |x| x.exp()),
        unary("exp of large", Uniform(-87.0, 87.0), |x| x.exp()),
        unary("log", POSITIVE, |x| x.log()),
        unary("log near one", Uniform(0.9, 1.1), |x| x.log()),
        unary("log1p", Uniform(-0.9, 5.0), |x| x.log1p()),
        unary("log1p of small", Uniform(-1e-4, 1e-4), |x| x.log1p()),
        unary("sqrt", POSITIVE, |x| x.sqrt()),
        unary("rsqrt", POSITIVE, |x| x.rsqrt()),
        unary("tanh", ANY, |x| x.tanh()),
        unary("tanh of small", Uniform(-1e-3, 1e-3), |x| x.tanh()),
        unary("sigmoid", ANY, |x| x.sigmoid()),
        unary("sigmoid of large", Uniform(-80.0, 80.0), |x| x.sigmoid()),
        unary("softplus", ANY, |x| x.softplus()),
        unary("softplus of large", Uniform(-80.0, 80.0), |x| x.softplus()),
        unary("log_sigmoid", ANY, |x| x.log_sigmoid()),
        unary("relu", ANY, |x| x.relu()),
        unary("relu at zero", Of(&[0.0, -0.0, 1.0, -1.0]), |x| x.relu()),
        unary("leaky_relu", ANY, |x| x.leaky_relu(0.01)),
        unary("gelu", ANY, |x| x.gelu()),
        unary("gelu_tanh", ANY, |x| x.gelu_tanh()),
        unary("silu", ANY, |x| x.silu()),
        unary("erf", Uniform(-3.0, 3.0), |x| x.erf()),
        unary("clamp", ANY, |x| x.clamp(-1.0, 2.0)),
        unary("powf", POSITIVE, |x| x.pow(2.5)),
        unary("powf of negatives", Uniform(-3.0, -0.1), |x| x.pow(3.0)),
        unary("abs", ANY, |x| x.abs()),
        unary("sign", ANY, |x| x.sign()).without_gradients(),
        unary("floor", ANY, |x| x.floor()).without_gradients(),
        unary("square", ANY, |x| x.square()),
        unary("recip", POSITIVE, |x| x.reciprocal()),
        unary("neg", ANY, |x| -x),
        unary("to_u32", Uniform(0.0, 99.0), |x| x.to_u32()).without_gradients().exact(),
        Case::new("to_f32", &[(&[65], Below(1000))], |x| x[0].to_f32()).without_gradients().exact(),
        binary("add", ANY, |x, y| x + y),
        binary("sub", ANY, |x, y| x - y),
        binary("mul", ANY, |x, y| x * y),
        binary("div", POSITIVE, |x, y| x / y),
        binary("pow", Uniform(0.3, 3.0), |x, y| x.pow(y)),
        binary("minimum", ANY, |x, y| x.minimum(y)),
        binary("maximum", ANY, |x, y| x.maximum(y)),
        binary("maximum with ties", Grid(1.0, 1), |x, y| x.maximum(y)),
        Case::several("comparisons", &[(&[129], Grid(1.0, 2)), (&[129], Grid(1.0, 2))], |x| {
            let (x, y) = (&x[0], &x[1]);
            vec![
                x.gt(y),
                x.ge(y),
                x.lt(y),
                x.le(y),
                x.eq(y),
                x.ne(y),
                x.gt(y).logical_and(&x.ne(y)),
                x.lt(y).logical_or(&x.eq(y)).logical_not(),
            ]
        })
        .without_gradients()
        .exact(),
        Case::new("select", &[(&[129], Normal), (&[129], Normal)], |x| {
            x[0].gt(&x[1]).where_cond(x[0].exp(), &(&x[1] * 3.0))
        }),
        Case::new("broadcast over rows and columns", &[(&[7, 1, 5], Normal), (&[3, 1], Normal)], |x| {
            &x[0] * &x[1] + &x[1]
        }),
        Case::new("numbers on both sides", &[(&[5], POSITIVE)], |x| 1.0 / (2.0 - &x[0] * 0.25 + 3.0) - 4.0),
        Case::new("fan-out", &[(&[65], Normal)], |x| (&x[0] * &x[0]).tanh() * &x[0] + x[0].sigmoid()),
        Case::new("detach", &[(&[65], Normal)], |x| &x[0] * x[0].detach()),
        Case::new("more than 65,535 workgroups", &[(&[65_536 * 64 * 4 + 5], Grid(0.5, 9))], |x| &x[0] * 2.0 + 1.0)
            .without_gradients()
            .exact(),
    ]
}

fn edges() -> Vec<Case> {
    let subnormals: Inputs<'_> = &[(&[3, 67], SUBNORMALS), (&[3, 67], SUBNORMALS)];
    let sizes: Inputs<'_> = &[(&[3, 67], SIZES), (&[3, 67], SIZES)];
    vec![
        edge::unary("numbers near ±88", "exp", EXPONENTS, |x| x.exp()),
        edge::unary("numbers near one", "log", Uniform(0.999, 1.001), |x| x.log()),
        edge::unary("tiny numbers", "log1p", Powers(-40.0, -3.0), |x| x.log1p()),
        edge::subnormal("abs", |x| x.abs()),
        edge::subnormal("neg", |x| -x),
        edge::subnormal("exp", |x| x.exp()),
        edge::subnormal("log1p", |x| x.log1p()),
        edge::subnormal("sqrt of a sum with one", |x| (x + 1.0).sqrt()),
        Case::new("edge: maximum of subnormals", subnormals, |x| x[0].maximum(&x[1])).without_gradients(),
        Case::new("edge: product of subnormals", subnormals, |x| &x[0] * &x[1]).without_gradients(),
        edge::sized("abs", |x| x.abs()),
        edge::sized("square", |x| x.square()),
        edge::sized("recip", |x| x.reciprocal()),
        edge::sized("sqrt", |x| x.abs().sqrt()),
        edge::sized("rsqrt", |x| x.abs().rsqrt()),
        edge::sized("log", |x| x.abs().log()),
        Case::new("edge: sum of two of sizes from 2^-60 to 2^60", sizes, |x| &x[0] + &x[1]),
        Case::new("edge: product of sizes from 2^-60 to 2^60", sizes, |x| &x[0] * &x[1]),
        Case::new("edge: round of halves", &[(&[201], Grid(0.5, 20))], |x| x[0].round()).exact(),
    ]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("cluster", n, &[(&[n], Normal)], |x| vec![(&x[0] * 2.0 + 1.0).tanh() * &x[0]]),
        at_length("cluster with a row", n, &[(&[n, 3], Normal), (&[3], Normal)], |x| vec![(&x[0] + &x[1]) * &x[1]]),
    ]
}

fn functions(draw: &mut Draw) -> Case {
    let some: [(&str, Unary); 18] = [
        ("exp", |x| x.exp()),
        ("sigmoid", |x| x.sigmoid()),
        ("tanh", |x| x.tanh()),
        ("softplus", |x| x.softplus()),
        ("log_sigmoid", |x| x.log_sigmoid()),
        ("silu", |x| x.silu()),
        ("gelu", |x| x.gelu()),
        ("elu", |x| x.elu(1.5)),
        ("mish", |x| x.mish()),
        ("relu", |x| x.relu()),
        ("leaky_relu", |x| x.leaky_relu(0.1)),
        ("square", |x| x.square()),
        ("abs", |x| x.abs()),
        ("sin", |x| x.sin()),
        ("cos", |x| x.cos()),
        ("erf", |x| x.erf()),
        // 2 + x², because the logarithm of 1 + x² consists only of rounding errors for small x.
        ("log of 2 + x²", |x| (x.square() + 2.0).log()),
        ("root of 1 + x²", |x| (x.square() + 1.0).sqrt()),
    ];
    let (name, f) = draw.of(&some);
    let (shape, values) = (draw.any(), draw.values());
    Case::new(format!("{name} {shape:?} of {values:?}"), &[(&shape, values)], move |x| f(&x[0]))
}

/// Returns a random case of a function of two operands, one of which may be broadcast.
fn pairs(draw: &mut Draw) -> Case {
    let (a, values) = (draw.any(), draw.values());
    let mut b: Vec<usize> = a.iter().map(|&n| if draw.coin() { n } else { 1 }).collect();
    b.drain(..draw.below(a.len()));
    let some: [(&str, Binary); 6] = [
        ("add", |x, y| x + y),
        ("sub", |x, y| x - y),
        ("mul", |x, y| x * y),
        ("div", |x, y| x / (y.square() + 1.0)),
        ("maximum", |x, y| x.maximum(y)),
        ("select", |x, y| x.gt(y).where_cond(x, &(y * 2.0))),
    ];
    let (name, f) = draw.of(&some);
    let (first, second) = if draw.coin() { (0, 1) } else { (1, 0) };
    let inputs: &[(&[usize], Fill)] = &[(&a, values), (&b, values)];
    Case::new(format!("{name} {a:?} {b:?} {first} of {values:?}"), inputs, move |x| f(&x[first], &x[second]))
}
