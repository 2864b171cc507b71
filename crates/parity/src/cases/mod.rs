//! The table of cases: a row per way of calling an op. A new op adds rows here and nothing else.

mod fused;
mod indexing;
mod layers;
mod losses;
mod norms;
mod products;
mod units;
mod windows;

#[allow(clippy::wildcard_imports, reason = "every op has a row here")]
use wgrad_core::ops::*;
use wgrad_core::{Pointwise, Tensor};

use crate::Values::{self, Below, Grid, Normal, Of, Uniform};
use crate::{Case, Inputs};

pub use products::variants;

/// All rows of the table: every op of wgrad, and layers and losses made of several.
#[must_use]
pub fn all() -> Vec<Case> {
    let tables = [
        pointwise,
        pointwise_rows,
        views,
        reductions,
        products::products,
        normalisation,
        losses::losses,
        fused::fused,
        windows::convolutions,
        windows::pools,
        indexing::indexing,
        norms::norms,
        units::units,
        layers::layers,
    ];
    tables.iter().flat_map(|table| table()).collect()
}

const ANY: Values = Uniform(-6.0, 6.0);
const POSITIVE: Values = Uniform(0.01, 9.0);

fn pointwise() -> Vec<Case> {
    let unary =
        |name: &str, values: Values, f: fn(&Tensor) -> Tensor| Case::new(name, &[(&[257], values)], move |x| f(&x[0]));
    let binary = |name: &str, values: Values, f: fn(&Tensor, &Tensor) -> Tensor| {
        Case::new(name, &[(&[33, 5], values), (&[33, 5], values)], move |x| f(&x[0], &x[1]))
    };
    vec![
        unary("exp", ANY, |x| x.exp()).ulp(15.0),
        unary("exp of large", Uniform(-87.0, 87.0), |x| x.exp()).ulp(180.0),
        unary("log", POSITIVE, |x| x.log()).ulp(6.0),
        unary("log near one", Uniform(0.9, 1.1), |x| x.log()).ulp(8.0),
        unary("log1p", Uniform(-0.9, 5.0), |x| x.log1p()).ulp(8.0),
        unary("log1p of small", Uniform(-1e-4, 1e-4), |x| x.log1p()).ulp(8.0),
        unary("sqrt", POSITIVE, |x| x.sqrt()).ulp(4.0),
        unary("rsqrt", POSITIVE, |x| x.rsqrt()).ulp(6.0),
        unary("tanh", ANY, |x| x.tanh()).ulp(24.0),
        unary("tanh of small", Uniform(-1e-3, 1e-3), |x| x.tanh()).ulp(8.0),
        unary("sigmoid", ANY, |x| x.sigmoid()).ulp(24.0),
        unary("sigmoid of large", Uniform(-80.0, 80.0), |x| x.sigmoid()).ulp(180.0),
        unary("softplus", ANY, |x| x.softplus()).ulp(24.0),
        unary("softplus of large", Uniform(-80.0, 80.0), |x| x.softplus()).ulp(180.0),
        unary("log_sigmoid", ANY, |x| x.log_sigmoid()).ulp(24.0),
        unary("relu", ANY, |x| x.relu()),
        unary("relu at zero", Of(&[0.0, -0.0, 1.0, -1.0]), |x| x.relu()),
        unary("leaky_relu", ANY, |x| x.leaky_relu(0.01)),
        unary("gelu", ANY, |x| x.gelu()).ulp(80.0),
        unary("gelu_tanh", ANY, |x| x.gelu_tanh()).ulp(80.0),
        unary("silu", ANY, |x| x.silu()).ulp(32.0),
        unary("erf", Uniform(-3.0, 3.0), |x| x.erf()).ulp(32.0),
        unary("clamp", ANY, |x| x.clamp(-1.0, 2.0)),
        unary("powf", POSITIVE, |x| x.pow(2.5)).ulp(120.0),
        unary("powf of negatives", Uniform(-3.0, -0.1), |x| x.pow(3.0)).ulp(60.0),
        unary("abs", ANY, |x| x.abs()),
        unary("sign", ANY, |x| x.sign()).without_gradients(),
        unary("floor", ANY, |x| x.floor()).without_gradients(),
        unary("square", ANY, |x| x.square()),
        unary("recip", POSITIVE, |x| x.reciprocal()).ulp(10.0),
        unary("neg", ANY, |x| -x),
        unary("to_u32", Uniform(0.0, 99.0), |x| x.to_u32()).without_gradients().exact(),
        Case::new("to_f32", &[(&[65], Below(1000))], |x| x[0].to_f32()).without_gradients().exact(),
        binary("add", ANY, |x, y| x + y),
        binary("sub", ANY, |x, y| x - y),
        binary("mul", ANY, |x, y| x * y),
        binary("div", POSITIVE, |x, y| x / y).ulp(12.0),
        binary("pow", Uniform(0.3, 3.0), |x, y| x.pow(y)).ulp(120.0),
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
            x[0].gt(&x[1]).where_cond(&x[0].exp(), &(&x[1] * 3.0))
        })
        .ulp(15.0),
        Case::new("broadcast over rows and columns", &[(&[7, 1, 5], Normal), (&[3, 1], Normal)], |x| {
            &x[0] * &x[1] + &x[1]
        })
        .terms(35),
        Case::new("numbers on both sides", &[(&[5], POSITIVE)], |x| 1.0 / (2.0 - &x[0] * 0.25 + 3.0) - 4.0).ulp(10.0),
        Case::new("fan-out", &[(&[65], Normal)], |x| (&x[0] * &x[0]).tanh() * &x[0] + x[0].sigmoid()).ulp(32.0),
        Case::new("detach", &[(&[65], Normal)], |x| &x[0] * x[0].detach()),
        Case::new("more than 65,535 workgroups", &[(&[65_536 * 64 * 4 + 5], Grid(0.5, 9))], |x| &x[0] * 2.0 + 1.0)
            .without_gradients()
            .exact(),
    ]
}

/// Every row of the pointwise table by itself, also those that only gradients use: a new row needs no case.
fn pointwise_rows() -> Vec<Case> {
    let row = |row: &'static Pointwise| {
        let probabilities = matches!(row.name, "bce" | "bce_slope" | "focal" | "focal_slope");
        let floats = if probabilities { Uniform(0.05, 0.95) } else { Uniform(0.05, 4.0) };
        let inputs: Vec<(Vec<usize>, Values)> =
            row.types.iter().map(|dtype| (vec![200], if dtype.is_float() { floats } else { Below(5) })).collect();
        let attributes = vec![0.5; row.attributes.len()];
        let differentiable = row.backward.is_some();
        let case = Case {
            inputs,
            ..Case::several(format!("row {}", row.name), &[], move |x| {
                let args: Vec<&Tensor> = x.iter().collect();
                vec![x[0].graph().pointwise(row, &args, &attributes)]
            })
            .ulp(120.0)
            // The gradient of a gradient row is a second derivative, a difference of terms of the size of dy.
            .cancelling(if row.name.ends_with("_backward") { 16.0 } else { 0.0 })
        };
        if differentiable { case } else { case.without_gradients() }
    };
    rows().iter().map(|&r| row(r)).collect()
}

fn views() -> Vec<Case> {
    vec![
        Case::new("reshape", &[(&[4, 6], Normal)], |x| x[0].reshape([3, 8]) * 2.0),
        Case::new("transpose", &[(&[5, 7], Normal)], |x| x[0].t() * 2.0),
        Case::new("transpose then reshape", &[(&[5, 7], Normal)], |x| x[0].t().reshape([35]) * 2.0),
        Case::new("permute", &[(&[2, 3, 4], Normal)], |x| x[0].permute(&[2, 0, 1]).square()),
        Case::new("slice", &[(&[9, 5], Normal)], |x| x[0].slice(0, 2..7).slice(1, 1..4).square()),
        Case::new("slices overlap", &[(&[9], Normal)], |x| x[0].slice(0, 0..6) * x[0].slice(0, 3..9)),
        Case::new("expand", &[(&[3, 1], Normal)], |x| x[0].expand([2, 3, 4]).square()).terms(8),
        Case::new("squeeze and unsqueeze", &[(&[3, 1, 2], Normal)], |x| x[0].squeeze(1).unsqueeze(0).square()),
        Case::new("flatten", &[(&[3, 2, 2], Normal)], |x| x[0].flatten(1).square()),
        Case::new("concat", &[(&[2, 3], Normal), (&[4, 3], Normal), (&[1, 3], Normal)], |x| {
            cat(&[&x[0], &x[1], &x[2]], 0).square()
        }),
        Case::new("concat of columns", &[(&[5, 3], Normal), (&[5, 1], Normal)], |x| cat(&[&x[0], &x[1]], 1).square()),
        Case::new("gather_rows", &[(&[11, 3], Normal), (&[20], Below(11))], |x| x[0].embedding(&x[1]).square())
            .terms(20),
        Case::new("gather_rows by chains", &[(&[3000, 70], Normal), (&[1400], Below(40))], |x| {
            x[0].embedding(&x[1]).square()
        })
        .terms(70),
        Case::new("gather_rows of labels and beyond the table", &[(&[30], Below(9)), (&[20], Below(40))], |x| {
            x[0].embedding(&x[1])
        })
        .without_gradients()
        .exact(),
        Case::new("concat of labels", &[(&[5, 3], Below(9)), (&[5, 1], Below(9))], |x| cat(&[&x[0], &x[1], &x[0]], 1))
            .without_gradients()
            .exact(),
        Case::new("pad", &[(&[5, 3, 2], Normal)], |x| x[0].pad(1, 2, 1).square() + x[0].pad(1, 0, 3)),
        Case::new("pad with a number", &[(&[5, 3, 2], Normal)], |x| {
            x[0].pad_with(1, 2, 1, 1.5).square() + x[0].pad_with(-2, 0, 3, -2.0)
        }),
        Case::new("dropout", &[(&[7, 33], Normal)], |x| {
            x[0].dropout(0.25, [7, 0xffff_fff0], 3, &x[0].graph().constant_u32(1 << 31)) * &x[0]
        }),
        Case::new("gather_rows of wide rows", &[(&[40, 130], Normal), (&[7], Below(40))], |x| {
            x[0].embedding(&x[1]).square()
        }),
    ]
}

fn reductions() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, axes) in [
        (&[1usize][..], &[0isize][..]),
        (&[63, 3], &[0]),
        (&[3, 65], &[1]),
        (&[257, 33], &[0, 1]),
        (&[5, 4, 3], &[0, 2]),
        (&[2, 300, 40], &[1]),
        (&[9000, 2], &[0]),
        (&[20_000], &[0]),
        (&[2, 3, 1000], &[-1]),
    ] {
        let terms: usize =
            axes.iter().map(|&a| shape[a.rem_euclid(shape.len().cast_signed()).unsigned_abs()]).product();
        let name = |op: &str| format!("{op} of {shape:?} over {axes:?}");
        let axes = axes.to_vec();
        let on = |f: fn(&Tensor, &[isize]) -> Tensor| {
            let axes = axes.clone();
            move |x: &[Tensor]| f(&x[0], &axes)
        };
        let normal: Inputs<'_> = &[(shape, Normal)];
        cases.push(Case::new(name("sum"), normal, on(|x, axes| x.sum(axes))).terms(terms));
        cases.push(Case::new(name("mean"), normal, on(|x, axes| x.mean_keepdim(axes))).terms(terms).ulp(3.0));
        cases.push(Case::new(name("max"), normal, on(|x, axes| x.amax(axes))));
        cases.push(
            Case::new(name("min with ties"), &[(shape, Grid(0.5, 3))], on(|x, axes| x.amin_keepdim(axes))).ulp(4.0),
        );
        if terms > 1 {
            cases.push(Case::new(name("var"), normal, on(|x, axes| x.var_keepdim(axes, 0))).terms(terms).ulp(6.0));
        }
    }
    // In parts: along rows, down many columns, down few; and a thread for each of very many columns.
    for (shape, axis) in [([2usize, 40_000], 1isize), ([2100, 40], 0), ([9000, 3], 0), ([20, 16_400], 0)] {
        let terms = shape[axis.unsigned_abs()];
        let name = format!("sum of {shape:?} over {axis}");
        cases.push(Case::new(name, &[(&shape, Normal)], move |x| x[0].sum(&[axis])).terms(terms));
    }
    for shape in [[2usize, 3, 4], [70, 2, 9], [300, 3, 41]] {
        cases.push(
            Case::new(format!("max of {shape:?} over axes that are apart"), &[(&shape, Grid(0.5, 3))], |x| {
                x[0].amax(&[0, 2])
            })
            .ulp(4.0),
        );
    }
    cases.push(Case::new("cumsum over rows", &[(&[5, 65], Normal)], |x| x[0].cumsum(-1)).terms(65));
    cases.push(Case::new("cumsum over a middle axis", &[(&[3, 33, 4], Normal)], |x| x[0].cumsum(1)).terms(33));
    cases.push(Case::new("sum of all", &[(&[3, 5], Normal)], |x| x[0].sum_all()).terms(15));
    cases.push(Case::new("mean of all", &[(&[3, 5], Normal)], |x| x[0].mean_all()).terms(15).ulp(3.0));
    cases.push(
        Case::new("argmax with ties", &[(&[40, 7], Grid(1.0, 2))], |x| x[0].argmax(1)).without_gradients().exact(),
    );
    cases.push(
        Case::new("argmax of long rows", &[(&[3, 4000], Normal)], |x| x[0].argmax_keepdim(-1))
            .without_gradients()
            .exact(),
    );
    cases
        .push(Case::new("argmax over columns", &[(&[400, 5], Normal)], |x| x[0].argmax(0)).without_gradients().exact());
    cases
}

fn normalisation() -> Vec<Case> {
    let mut cases = vec![];
    for shape in [
        &[2usize, 3][..],
        &[64, 33],
        &[64, 36],
        &[257, 5],
        &[1025, 70],
        &[4, 3, 5],
        &[2, 96, 40],
        // In parts, by all the ways in which values and channels can lie.
        &[5000, 6],
        &[5000, 8],
        &[300, 5, 15],
        &[71, 3, 8, 8],
    ] {
        let channels = shape[1];
        let terms: usize = shape.iter().product::<usize>() / channels;
        let inputs: Inputs<'_> =
            &[(shape, Uniform(-2.0, 3.0)), (&[channels], Uniform(0.5, 2.0)), (&[channels], Normal)];
        cases.push(
            Case::several(format!("batch_norm {shape:?}"), inputs, |x| {
                let (y, mean, var) = x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), 1e-5);
                vec![y, mean, var]
            })
            .terms(terms)
            .ulp(8.0)
            // dy·g/σ, of which two rows leave next to nothing.
            .cancelling(if terms == 2 { 64.0 } else { 0.0 })
            .gradients_of(&[0]),
        );
    }
    for rows in [64, 5000] {
        cases.push(
            Case::new(
                format!("batch_norm of {rows} rows without affine, far from zero"),
                &[(&[rows, 4], Uniform(999.0, 1001.0))],
                |x| x[0].batch_norm_train(None, None, 1e-5).0,
            )
            .terms(rows)
            .ulp(8.0),
        );
    }
    for (shape, axis) in [(&[5usize, 3][..], 1isize), (&[64, 257], -1), (&[3, 40, 5], 1), (&[7], 0)] {
        let terms = shape[axis.rem_euclid(shape.len().cast_signed()).unsigned_abs()];
        cases.push(
            Case::new(format!("softmax {shape:?} {axis}"), &[(shape, ANY)], move |x| x[0].softmax(axis))
                .terms(terms)
                .ulp(40.0)
                .cancelling(8.0),
        );
        cases.push(
            Case::new(format!("log_softmax {shape:?} {axis}"), &[(shape, ANY)], move |x| x[0].log_softmax(axis))
                .terms(terms)
                .ulp(40.0),
        );
    }
    cases
}
