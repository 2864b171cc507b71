//! Cases of sums, means, maxima and minima with and without their indices, and cumulative sums.

use wgrad_core::Tensor;

use crate::case::Case;
use crate::case::Fill::{Grid, Normal, Of, Uniform};
use crate::case::Inputs;
use crate::draw::Draw;
use crate::edge;
use crate::family::{ANY, Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[sums, extremes]);

type Reduction = fn(&Tensor, &[isize]) -> Tensor;

fn own() -> Vec<Case> {
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
        let count: usize =
            axes.iter().map(|&a| shape[a.rem_euclid(shape.len().cast_signed()).unsigned_abs()]).product();
        let name = |op: &str| format!("{op} of {shape:?} over {axes:?}");
        let axes = axes.to_vec();
        let on = |f: fn(&Tensor, &[isize]) -> Tensor| {
            let axes = axes.clone();
            move |x: &[Tensor]| f(&x[0], &axes)
        };
        let normal: Inputs<'_> = &[(shape, Normal)];
        cases.push(Case::new(name("sum"), normal, on(|x, axes| x.sum(axes))));
        cases.push(Case::new(name("mean"), normal, on(|x, axes| x.mean_keepdim(axes))));
        cases.push(Case::new(name("max"), normal, on(|x, axes| x.amax(axes))));
        cases.push(Case::new(name("min with ties"), &[(shape, Grid(0.5, 3))], on(|x, axes| x.amin_keepdim(axes))));
        if count > 1 {
            cases.push(Case::new(name("var"), normal, on(|x, axes| x.var_keepdim(axes, 0))));
        }
    }
    // Sums that are split into parts: along rows, down many columns, down few columns. The last sum is not
    // split: it has enough columns to let one thread sum each column.
    for (shape, axis) in [([2usize, 40_000], 1isize), ([2100, 40], 0), ([9000, 3], 0), ([20, 16_400], 0)] {
        let name = format!("sum of {shape:?} over {axis}");
        cases.push(Case::new(name, &[(&shape, Normal)], move |x| x[0].sum([axis])));
    }
    for shape in [[2usize, 3, 4], [70, 2, 9], [300, 3, 41]] {
        cases.push(Case::new(format!("max of {shape:?} over axes that are apart"), &[(&shape, Grid(0.5, 3))], |x| {
            x[0].amax([0, 2])
        }));
    }
    cases.push(Case::new("cumsum over rows", &[(&[5, 65], Normal)], |x| x[0].cumsum(-1)));
    cases.push(Case::new("cumsum over a middle axis", &[(&[3, 33, 4], Normal)], |x| x[0].cumsum(1)));
    cases.push(Case::new("logcumsumexp over rows", &[(&[5, 65], ANY)], |x| x[0].logcumsumexp(-1)));
    cases.push(Case::new("logcumsumexp over a middle axis", &[(&[3, 33, 4], ANY)], |x| x[0].logcumsumexp(1)));
    cases.push(Case::new("sum of all", &[(&[3, 5], Normal)], |x| x[0].sum_all()));
    cases.push(Case::new("mean of all", &[(&[3, 5], Normal)], |x| x[0].mean_all()));
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

fn edges() -> Vec<Case> {
    let ties: Inputs<'_> = &[(&[9, 67], Grid(1.0, 1))];
    let constant: Inputs<'_> = &[(&[9, 67], Of(&[3.0]))];
    vec![
        Case::new("edge: sum of subnormals", &[(&[67, 5], Uniform(0.0, 1e-38))], |x| x[0].sum([0]) + 1.0)
            .without_gradients(),
        edge::sized("maximum of rows", |x| x.amax([1])),
        edge::sized("minimum of columns", |x| x.amin([0])),
        edge::sized("sum of absolute values", |x| x.abs().sum([1])),
        Case::new("edge: maximum of rows of ties", ties, |x| x[0].amax([1])),
        Case::new("edge: minimum of columns of ties", ties, |x| x[0].amin([0])),
        Case::several("edge: maximum with its index of ties", ties, |x| {
            let (value, index) = x[0].max(1);
            vec![value, index]
        }),
        Case::new("edge: argmax of ties", ties, |x| x[0].argmax(1)).exact(),
        Case::new("edge: argmin of ties", ties, |x| x[0].argmin(0)).exact(),
        Case::new("edge: variance of equal numbers", constant, |x| x[0].var([1], 0)),
        Case::new("edge: maximum of a constant", constant, |x| x[0].amax([1])),
    ]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("sum", n, &[(&[n], Normal)], |x| vec![x[0].sum_all()]),
        at_length("sum of columns", n, &[(&[n, 3], Normal)], |x| vec![x[0].sum([0])]),
        at_length("mean of rows", n, &[(&[3, n], Normal)], |x| vec![x[0].mean_keepdim([1])]),
        at_length("maximum of columns", n, &[(&[n, 3], Normal)], |x| vec![x[0].amax([0])]),
        at_length("maximum of rows", n, &[(&[3, n], Normal)], |x| vec![x[0].amax([1])]),
        at_length("place of the maximum", n, &[(&[n, 33], Normal), (&[3, n], Normal)], |x| {
            vec![x[0].argmax(0), x[1].argmax(1)]
        }),
        at_length("cumulative sum", n, &[(&[2, n], Normal)], |x| vec![x[0].cumsum(1)]),
        at_length("cumulative sum of pages", n, &[(&[2, n, 2], Normal)], |x| vec![(&x[0] * 0.7).cumsum(1) * &x[0]]),
        at_length("cumulative sum of columns", n, &[(&[n, 3], Normal)], |x| vec![x[0].cumsum(1)]),
        at_length("cumulative logsumexp", n, &[(&[2, n], Normal)], |x| vec![x[0].logcumsumexp(1)]),
        at_length("cumulative logsumexp of pages", n, &[(&[2, n, 2], Normal)], |x| vec![x[0].logcumsumexp(1)]),
    ]
}

fn sums(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.values());
    let axes = draw.axes(&shape);
    let some: [(&str, Reduction); 6] = [
        ("sum", |x, axes| x.sum(axes)),
        ("mean", |x, axes| x.mean_keepdim(axes)),
        ("sum of squares", |x, axes| x.square().sum(axes)),
        ("cumsum", |x, axes| x.cumsum(axes[0])),
        ("logcumsumexp", |x, axes| x.logcumsumexp(axes[0])),
        ("logsumexp", |x, axes| x.logsumexp(axes)),
    ];
    let (name, f) = draw.of(&some);
    let name = format!("{name} {shape:?} over {axes:?} of {values:?}");
    Case::new(name, &[(&shape, values)], move |x| f(&x[0], &axes))
}

fn extremes(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.values());
    let axes = draw.axes(&shape);
    let along = axes[0];
    let low = draw.coin();
    let name = format!("extremes {shape:?} over {axes:?}, lowest {low}, of {values:?}");
    Case::several(name, &[(&shape, values)], move |x| {
        let value = if low { x[0].amin(&axes) } else { x[0].amax_keepdim(&axes) };
        let (best, index) = if low { x[0].min_keepdim(along) } else { x[0].max(along) };
        vec![value, best, index, x[0].argmax(along)]
    })
}
