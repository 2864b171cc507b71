//! Cases of sorting, and of the indices of the sorted elements.

use wgrad_core::ops::stack;

use crate::case::Fill::{Grid, Normal, Of, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[random]);

fn own() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, axis) in [
        (&[1usize][..], 0isize),
        (&[5, 63], 1),
        (&[64, 3], 0),
        (&[2, 65, 4], 1),
        (&[3, 255], -1),
        (&[257, 2], 0),
        (&[512], 0),
        (&[2, 513], 1),
        (&[3, 700, 2], 1),
        (&[4096], 0),
        (&[2, 65_537], 1),
        (&[100_000], 0),
    ] {
        for descending in [false, true] {
            let way = if descending { "down" } else { "up" };
            let case = Case::new(format!("sort {shape:?} {axis} {way}"), &[(shape, Uniform(-1e4, 1e4))], move |x| {
                x[0].sort(axis, descending).0.square()
            });
            cases.push(case);
            cases.push(
                Case::new(format!("argsort {shape:?} {axis} {way} of ties"), &[(shape, Grid(0.5, 3))], move |x| {
                    x[0].argsort(axis, descending)
                })
                .without_gradients()
                .exact(),
            );
        }
    }
    for largest in [false, true] {
        let case = Case::several(format!("topk {largest}"), &[(&[7, 40], Normal)], move |x| {
            let (values, indices) = x[0].topk(5, -1, largest);
            vec![values.square(), indices]
        });
        cases.push(case);
    }
    // Zeros and negative inputs become NaN, which counts as larger than every number.
    cases.push(
        Case::new("argsort of what is no number", &[(&[4, 600], Of(&[0.0, -0.0, 1.0, -1.0, 2.0]))], |x| {
            let roots = (&x[0] / x[0].abs()).sqrt() * &x[0];
            stack(&[&roots.argsort(1, false), &roots.argsort(1, true)], 0)
        })
        .without_gradients()
        .exact(),
    );
    cases
}

fn edges() -> Vec<Case> {
    let ties: Inputs<'_> = &[(&[9, 67], Grid(1.0, 1))];
    vec![
        Case::new("edge: argsort of ties", ties, |x| x[0].argsort(1, true)).exact(),
        Case::several("edge: topk of ties", ties, |x| {
            let (value, index) = x[0].topk(5, 1, true);
            vec![value, index]
        }),
    ]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![at_length("sort", n, &[(&[2, n], Normal)], |x| {
        let (values, places) = x[0].sort(1, false);
        vec![values.square(), places]
    })]
}

fn random(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.of(&[Normal, Grid(0.5, 3)]));
    let (axis, down) = (draw.axis(&shape).cast_signed(), draw.coin());
    Case::several(format!("sort {shape:?} {axis} down {down} of {values:?}"), &[(&shape, values)], move |x| {
        let (sorted, index) = x[0].sort(axis, down);
        vec![sorted.square(), index]
    })
}
