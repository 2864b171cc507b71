//! Rows for choosing by index and by mask, and for taking tensors apart and putting them together.

use wgrad_core::Tensor;
#[allow(clippy::wildcard_imports, reason = "every op has a row here")]
use wgrad_core::ops::*;

use crate::Values::{Below, Grid, Normal, Of, Uniform};
use crate::{Case, Values};

pub fn indexing() -> Vec<Case> {
    [gathers(), masks(), arrangements(), norms(), sorts(), contractions()].into_iter().flatten().collect()
}

fn gathers() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, axis, m) in [
        (&[64usize, 10][..], 1usize, 1usize),
        (&[1, 1], 0, 1),
        (&[65, 3], 0, 7),
        (&[5, 63, 4], 1, 256),
        (&[3, 257], 1, 255),
        (&[4, 6, 2, 3], 2, 5),
    ] {
        let n = shape[axis];
        let index: Vec<usize> = shape.iter().enumerate().map(|(i, &n)| if i == axis { m } else { n }).collect();
        cases.push(
            Case::new(format!("gather {shape:?} by {index:?}"), &[(shape, Normal), (&index, Below(n))], move |x| {
                x[0].gather(axis.cast_signed(), &x[1]).square()
            })
            .terms(m),
        );
    }
    cases.push(
        Case::new("gather of a part", &[(&[9, 7, 3], Normal), (&[4, 20, 2], Below(7))], |x| {
            x[0].gather(1, &x[1]).square()
        })
        .terms(20),
    );
    // One element per row, of which some are beyond it; and more of them than one pass of the gradient reads.
    cases.push(
        Case::new("gather beyond the axis", &[(&[40, 5], Normal), (&[40, 1], Below(9)), (&[40, 3], Below(9))], |x| {
            let inside = |index: &Tensor| index.lt(&index.graph().constant_u32(5));
            let read = |index: &Tensor| inside(index).where_cond(&x[0].gather(1, index), &x[0].number(0.5));
            read(&x[1]).square() * read(&x[2])
        })
        .terms(3),
    );
    cases.push(
        Case::new("gather of 65,537", &[(&[2, 3], Normal), (&[2, 65_537], Below(3))], |x| x[0].gather(1, &x[1]))
            .terms(65_537),
    );
    cases.push(
        Case::new("gather of labels and beyond the axis", &[(&[30, 4], Below(9)), (&[30, 6], Below(7))], |x| {
            x[0].gather(-1, &x[1])
        })
        .without_gradients()
        .exact(),
    );
    for axis in [0isize, 1, -1] {
        cases.push(
            Case::new(format!("index_select along {axis}"), &[(&[6, 5, 4], Normal), (&[9], Below(4))], move |x| {
                x[0].index_select(axis, &x[1]).square()
            })
            .terms(9),
        );
    }
    for (shape, axis) in [(&[5usize, 64][..], 1isize), (&[3, 65, 4], 1), (&[1, 7], 0), (&[255], 0), (&[2, 65_537], -1)]
    {
        let largest = Case::new(format!("max_with_index {shape:?} {axis}"), &[(shape, Normal)], move |x| {
            x[0].max(axis).0.square()
        });
        cases.push(largest);
        cases.push(Case::several(
            format!("min_with_index {shape:?} {axis} of ties"),
            &[(shape, Grid(0.5, 3))],
            move |x| {
                let (value, index) = x[0].min_keepdim(axis);
                vec![value, index]
            },
        ));
    }
    cases
}

fn masks() -> Vec<Case> {
    vec![
        Case::new("masked_fill", &[(&[5, 7], Normal), (&[5, 1], Below(2))], |x| x[0].masked_fill(&x[1], -2.5).square()),
        Case::new("masked_fill before a softmax", &[(&[4, 65], Normal), (&[65], Below(2))], |x| {
            x[0].masked_fill(&x[1], f64::NEG_INFINITY).softmax(-1)
        })
        .terms(65)
        .ulp(40.0)
        .cancelling(8.0),
        Case::several("triangles", &[(&[2, 5, 7], Normal)], |x| {
            [-9, -2, 0, 1, 9].iter().flat_map(|&k| [x[0].tril(k).square(), x[0].triu(k)]).collect()
        })
        .gradients_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        .terms(10),
        Case::new("one_hot", &[(&[3, 20], Below(9))], |x| x[0].one_hot(7)).without_gradients().exact(),
        Case::new("lt_u32", &[(&[300], Below(9)), (&[300], Below(9))], |x| x[0].lt(&x[1])).without_gradients().exact(),
    ]
}

fn arrangements() -> Vec<Case> {
    let mut cases = vec![
        Case::new("stack", &[(&[3, 4], Normal), (&[3, 4], Normal)], |x| stack(&[&x[0], &x[1], &x[0]], -1).square())
            .terms(2),
        Case::several("split", &[(&[5, 3], Normal)], |x| {
            x[0].split(0, 2).iter().map(wgrad_core::Tensor::square).collect()
        }),
        Case::several("split_sizes", &[(&[2, 7], Normal)], |x| {
            x[0].split_sizes(1, &[1, 4, 2]).iter().map(wgrad_core::Tensor::square).collect()
        }),
        Case::several("chunk", &[(&[2, 8], Normal)], |x| {
            x[0].chunk(-1, 3).iter().map(wgrad_core::Tensor::square).collect()
        }),
        Case::new("flip", &[(&[3, 5, 4], Normal)], |x| x[0].flip(&[0, -1]).square() * &x[0]).terms(2),
        Case::new("flip of labels", &[(&[65, 3], Below(9))], |x| x[0].flip(&[0])).without_gradients().exact(),
        Case::new("repeat", &[(&[3, 1, 4], Normal)], |x| x[0].repeat(&[2, 1, 5, 3]).square()).terms(30),
    ];
    for shift in [-8isize, 0, 1, 5] {
        cases.push(Case::new(format!("roll by {shift}"), &[(&[2, 5, 3], Normal)], move |x| {
            x[0].roll(shift, 1).square()
        }));
    }
    cases
}

fn norms() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, axes) in [(&[5usize, 64][..], &[1isize][..]), (&[3, 4, 5], &[0, 2]), (&[1], &[0]), (&[2, 65_537], &[1])]
    {
        let terms: usize = axes.iter().map(|&axis| shape[axis.unsigned_abs()]).product();
        for p in [0.0, 0.5, 1.0, 2.0, 3.0, f64::INFINITY, f64::NEG_INFINITY] {
            let row = Case::new(format!("norm {p} of {shape:?}"), &[(shape, Normal)], move |x| x[0].norm(p, axes))
                .terms(terms)
                .ulp(120.0);
            cases.push(if p == 0.0 { row.without_gradients() } else { row });
            let row = Case::new(format!("norm {p} of zeros in {shape:?}"), &[(shape, Of(&[0.0]))], move |x| {
                x[0].norm_keepdim(p, axes)
            });
            cases.push(if p == 0.0 { row.without_gradients() } else { row });
        }
        cases.push(
            Case::new(format!("logsumexp of {shape:?}"), &[(shape, Normal)], move |x| x[0].logsumexp_keepdim(axes))
                .terms(terms)
                .ulp(40.0)
                .cancelling(8.0),
        );
        if terms > 1 {
            cases.push(
                Case::new(format!("std of {shape:?}"), &[(shape, Normal)], move |x| x[0].std(axes, 1))
                    .terms(terms)
                    .ulp(8.0),
            );
        }
    }
    cases.push(Case::new("std of constants", &[(&[4, 5], Of(&[2.0]))], |x| x[0].std_keepdim(&[1], 1)));
    cases.push(
        Case::new("logsumexp of large numbers", &[(&[5, 30], Of(&[-1000.0, 1000.0, 990.0]))], |x| x[0].logsumexp(&[1]))
            .terms(30)
            .ulp(40.0),
    );
    cases
}

fn sorts() -> Vec<Case> {
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
            let row = Case::new(format!("sort {shape:?} {axis} {way}"), &[(shape, Uniform(-1e4, 1e4))], move |x| {
                x[0].sort(axis, descending).0.square()
            });
            cases.push(row);
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
        let row = Case::several(format!("topk {largest}"), &[(&[7, 40], Normal)], move |x| {
            let (values, indices) = x[0].topk(5, -1, largest);
            vec![values.square(), indices]
        });
        cases.push(row);
    }
    // Zeros of both signs, infinities and NaN, made on the way.
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

fn contractions() -> Vec<Case> {
    let mut cases = vec![];
    for (equation, shapes, terms) in [
        ("bij,bjk->bik", &[&[3usize, 4, 5][..], &[3, 5, 6]][..], 6),
        ("bqhd,bkhd->bhqk", &[&[2, 3, 4, 5], &[2, 7, 4, 5]], 7),
        ("ij,jk", &[&[4, 5], &[5, 3]], 5),
        ("ba", &[&[4, 5]], 1),
        ("ij->", &[&[4, 5]], 20),
        ("ij->j", &[&[4, 5]], 4),
        ("i,j->ij", &[&[4], &[5]], 5),
        ("i,i->", &[&[33], &[33]], 33),
        ("bij,kj->bki", &[&[2, 3, 4], &[5, 4]], 10),
        ("ji,kj->ik", &[&[6, 3], &[4, 6]], 6),
        ("ij,jk,kl->il", &[&[3, 4], &[4, 5], &[5, 2]], 60),
        ("bn,anm,bm->ba", &[&[2, 3], &[5, 3, 4], &[2, 4]], 60),
        ("...ij,...jk->...ik", &[&[2, 1, 3, 4], &[5, 4, 3]], 20),
        ("...d,d", &[&[2, 3, 4], &[4]], 6),
        ("ij,ij->ij", &[&[3, 4], &[3, 1]], 4),
        ("ab,bc->ac", &[&[3, 1], &[4, 2]], 12),
        ("ij,k->j", &[&[3, 4], &[5]], 15),
    ] {
        let inputs: Vec<(&[usize], Values)> = shapes.iter().map(|&shape| (shape, Normal)).collect();
        cases.push(
            Case::new(format!("einsum {equation} of {shapes:?}"), &inputs, move |x| {
                einsum(equation, &x.iter().collect::<Vec<_>>())
            })
            .terms(terms),
        );
    }
    for (a, b) in [
        (&[5usize][..], &[5usize][..]),
        (&[5], &[5, 3]),
        (&[4, 5], &[5]),
        (&[2, 3, 4, 5], &[5]),
        (&[5], &[2, 3, 5, 4]),
        (&[2, 1, 4, 5], &[3, 5, 2]),
    ] {
        let row = Case::new(format!("matmul {a:?} {b:?}"), &[(a, Normal), (b, Normal)], |x| x[0].matmul(&x[1]));
        cases.push(row.terms(40));
    }
    cases.push(
        Case::new("baddbmm", &[(&[4, 1], Normal), (&[2, 4, 5], Normal), (&[2, 5, 3], Uniform(-1.0, 2.0))], |x| {
            x[0].baddbmm(&x[1], &x[2], 0.5, 2.0)
        })
        .terms(30),
    );
    cases
}
