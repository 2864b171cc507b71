//! Cases of views of a tensor, and of ops that join and split tensors.

#[allow(clippy::wildcard_imports, reason = "every view is called here")]
use wgrad_core::ops::*;

use crate::case::Case;
use crate::case::Fill::{Below, Normal};
use crate::draw::Draw;
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).lengths(lengths).random(&[random]);

fn own() -> Vec<Case> {
    [views(), arrangements()].concat()
}

fn views() -> Vec<Case> {
    vec![
        Case::new("reshape", &[(&[4, 6], Normal)], |x| x[0].reshape([3, 8]) * 2.0),
        Case::new("transpose", &[(&[5, 7], Normal)], |x| x[0].t() * 2.0),
        Case::new("transpose then reshape", &[(&[5, 7], Normal)], |x| x[0].t().reshape([35]) * 2.0),
        Case::new("permute", &[(&[2, 3, 4], Normal)], |x| x[0].permute(&[2, 0, 1]).square()),
        Case::new("slice", &[(&[9, 5], Normal)], |x| x[0].slice(0, 2..7).slice(1, 1..4).square()),
        Case::new("slices overlap", &[(&[9], Normal)], |x| x[0].slice(0, 0..6) * x[0].slice(0, 3..9)),
        Case::new("expand", &[(&[3, 1], Normal)], |x| x[0].expand([2, 3, 4]).square()),
        Case::new("squeeze and unsqueeze", &[(&[3, 1, 2], Normal)], |x| x[0].squeeze(1).unsqueeze(0).square()),
        Case::new("flatten", &[(&[3, 2, 2], Normal)], |x| x[0].flatten(1).square()),
        Case::new("concat", &[(&[2, 3], Normal), (&[4, 3], Normal), (&[1, 3], Normal)], |x| {
            cat(&[&x[0], &x[1], &x[2]], 0).square()
        }),
        Case::new("concat of columns", &[(&[5, 3], Normal), (&[5, 1], Normal)], |x| cat(&[&x[0], &x[1]], 1).square()),
        Case::new("concat of labels", &[(&[5, 3], Below(9)), (&[5, 1], Below(9))], |x| cat(&[&x[0], &x[1], &x[0]], 1))
            .without_gradients()
            .exact(),
        Case::new("pad", &[(&[5, 3, 2], Normal)], |x| x[0].pad(1, 2, 1).square() + x[0].pad(1, 0, 3)),
        Case::new("pad with a number", &[(&[5, 3, 2], Normal)], |x| {
            x[0].pad_with(1, 2, 1, 1.5).square() + x[0].pad_with(-2, 0, 3, -2.0)
        }),
    ]
}

fn arrangements() -> Vec<Case> {
    let mut cases = vec![
        Case::new("stack", &[(&[3, 4], Normal), (&[3, 4], Normal)], |x| stack(&[&x[0], &x[1], &x[0]], -1).square()),
        Case::several("split", &[(&[5, 3], Normal)], |x| {
            x[0].split(0, 2).iter().map(wgrad_core::Tensor::square).collect()
        }),
        Case::several("split_sizes", &[(&[2, 7], Normal)], |x| {
            x[0].split_sizes(1, &[1, 4, 2]).iter().map(wgrad_core::Tensor::square).collect()
        }),
        Case::several("chunk", &[(&[2, 8], Normal)], |x| {
            x[0].chunk(-1, 3).iter().map(wgrad_core::Tensor::square).collect()
        }),
        Case::new("flip", &[(&[3, 5, 4], Normal)], |x| x[0].flip(&[0, -1]).square() * &x[0]),
        Case::new("flip of labels", &[(&[65, 3], Below(9))], |x| x[0].flip(&[0])).without_gradients().exact(),
        Case::new("repeat", &[(&[3, 1, 4], Normal)], |x| x[0].repeat(&[2, 1, 5, 3]).square()),
    ];
    for shift in [-8isize, 0, 1, 5] {
        cases.push(Case::new(format!("roll by {shift}"), &[(&[2, 5, 3], Normal)], move |x| {
            x[0].roll(shift, 1).square()
        }));
    }
    cases
}

fn lengths(n: usize) -> Vec<Case> {
    vec![at_length("joined", n, &[(&[n], Normal), (&[2, n], Normal)], |x| {
        let rows = cat(&[&x[0].unsqueeze(0), &x[1]], 0);
        vec![rows.square(), rows.pad_with(1, 1, 2, 0.5).transpose(0, 1) * 2.0]
    })]
}

/// Returns a random case of several views, each applied to the result of the view before. The kernel that reads
/// the last view addresses elements by offset and strides.
fn random(draw: &mut Draw) -> Case {
    let rank = 2 + draw.below(3);
    let shape = draw.shape(rank);
    let mut order: Vec<isize> = (0..rank.cast_signed()).collect();
    draw.0.shuffle(&mut order);
    let axis = draw.axis(&shape);
    let n = shape[order[axis].unsigned_abs()];
    let first = draw.below(n);
    let last = first + 1 + draw.below(n - first);
    let (flip, padded) = (draw.coin(), draw.coin());
    let name = format!("views {shape:?} by {order:?}, {first}..{last} of axis {axis}, flip {flip}, pad {padded}");
    Case::new(name, &[(&shape, Normal)], move |x| {
        let along = axis.cast_signed();
        let part = x[0].permute(&order).slice(along, first..last);
        let part = if flip { part.flip(&[along]) } else { part };
        let part = if padded { part.pad(along, 2, 1) } else { part };
        let flat = part.reshape([part.shape().numel()]);
        cat(&[&flat.square(), &flat], 0)
    })
}
