//! Cases of selecting elements by index and by mask.

use wgrad_core::Tensor;

use crate::case::Case;
use crate::case::Fill::{Below, Grid, Normal};
use crate::case::Inputs;
use crate::draw::{Draw, MOST};
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).lengths(lengths).random(&[random]);

fn own() -> Vec<Case> {
    [rows(), gathers(), masks()].concat()
}

fn rows() -> Vec<Case> {
    vec![
        Case::new("gather_rows", &[(&[11, 3], Normal), (&[20], Below(11))], |x| x[0].embedding(&x[1]).square()),
        Case::new("gather_rows by chains", &[(&[3000, 70], Normal), (&[1400], Below(40))], |x| {
            x[0].embedding(&x[1]).square()
        }),
        Case::new("gather_rows of labels and beyond the table", &[(&[30], Below(9)), (&[20], Below(40))], |x| {
            x[0].embedding(&x[1])
        })
        .without_gradients()
        .exact(),
        Case::new("gather_rows of wide rows", &[(&[40, 130], Normal), (&[7], Below(40))], |x| {
            x[0].embedding(&x[1]).square()
        }),
    ]
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
        cases.push(Case::new(
            format!("gather {shape:?} by {index:?}"),
            &[(shape, Normal), (&index, Below(n))],
            move |x| x[0].gather(axis.cast_signed(), &x[1]).square(),
        ));
    }
    cases.push(Case::new("gather of a part", &[(&[9, 7, 3], Normal), (&[4, 20, 2], Below(7))], |x| {
        x[0].gather(1, &x[1]).square()
    }));
    // Some indices of the first case are out of range. The second case gathers more elements per row than one
    // dispatch of the gradient kernel reads.
    cases.push(Case::new(
        "gather beyond the axis",
        &[(&[40, 5], Normal), (&[40, 1], Below(9)), (&[40, 3], Below(9))],
        |x| {
            let inside = |index: &Tensor| index.lt(index.graph().constant_u32(5));
            let read = |index: &Tensor| inside(index).where_cond(x[0].gather(1, index), x[0].number(0.5));
            read(&x[1]).square() * read(&x[2])
        },
    ));
    cases
        .push(Case::new("gather of 65,537", &[(&[2, 3], Normal), (&[2, 65_537], Below(3))], |x| x[0].gather(1, &x[1])));
    cases.push(
        Case::new("gather of labels and beyond the axis", &[(&[30, 4], Below(9)), (&[30, 6], Below(7))], |x| {
            x[0].gather(-1, &x[1])
        })
        .without_gradients()
        .exact(),
    );
    for axis in [0isize, 1, -1] {
        cases.push(Case::new(
            format!("index_select along {axis}"),
            &[(&[6, 5, 4], Normal), (&[9], Below(4))],
            move |x| x[0].index_select(axis, &x[1]).square(),
        ));
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
        }),
        Case::several("triangles", &[(&[2, 5, 7], Normal)], |x| {
            [-9, -2, 0, 1, 9].iter().flat_map(|&k| [x[0].tril(k).square(), x[0].triu(k)]).collect()
        })
        .gradients_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        Case::new("one_hot", &[(&[3, 20], Below(9))], |x| x[0].one_hot(7)).without_gradients().exact(),
        Case::new("lt_u32", &[(&[300], Below(9)), (&[300], Below(9))], |x| x[0].lt(&x[1])).without_gradients().exact(),
    ]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("gathered rows", n, &[(&[5, 3], Normal), (&[n], Below(5))], |x| vec![x[0].embedding(&x[1]).square()]),
        at_length("gathered rows of a table", n, &[(&[200, 3], Normal), (&[n], Below(200))], |x| {
            vec![x[0].embedding(&x[1]).square()]
        }),
        at_length("gathered elements", n, &[(&[3, 5], Normal), (&[3, n], Below(5))], |x| {
            vec![x[0].gather(1, &x[1]).square()]
        }),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let shape = draw.shape(2);
    let (n, m) = (shape[0], draw.length());
    if draw.coin() {
        let inputs: Inputs<'_> = &[(&shape, Normal), (&[m], Below(n))];
        return Case::new(format!("gather_rows {shape:?} by {m}"), inputs, |x| x[0].embedding(&x[1]).square());
    }
    let index = [m.min(MOST / shape[1].max(1)).max(1), shape[1]];
    let inputs: Inputs<'_> = &[(&shape, Normal), (&index, Below(n))];
    Case::new(format!("gather {shape:?} by {index:?}"), inputs, |x| x[0].gather(0, &x[1]).square())
}
