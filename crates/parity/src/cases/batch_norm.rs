//! Cases of batch norm.

use crate::case::Fill::{Normal, Uniform};
use crate::case::{Case, Fill, Inputs};
use crate::draw::Draw;
use crate::family::Family;

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[random]);

/// Returns a case of batch norm with scale and shift that compares all of its outputs and gradients.
fn affine(shape: &[usize], eps: f64) -> Case {
    let channels = shape[1];
    let inputs: Inputs<'_> = &[(shape, Uniform(-2.0, 3.0)), (&[channels], Uniform(0.5, 2.0)), (&[channels], Normal)];
    Case::several(format!("batch_norm {shape:?}"), inputs, move |x| {
        let (y, mean, var) = x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), eps);
        vec![y, mean, var]
    })
    .gradients_of(&[0])
}

/// Returns a case of batch norm without scale and shift.
fn plain(name: String, shape: &[usize], values: Fill) -> Case {
    Case::new(name, &[(shape, values)], |x| x[0].batch_norm_train(None, None, 1e-5).0)
}

fn own() -> Vec<Case> {
    let shapes = [
        &[2usize, 3][..],
        &[64, 33],
        &[64, 36],
        &[257, 5],
        &[1025, 70],
        &[4, 3, 5],
        &[2, 96, 40],
        // Channels whose sums are long enough to be split into parts, in every memory layout.
        &[5000, 6],
        &[5000, 8],
        &[300, 5, 15],
        &[71, 3, 8, 8],
    ];
    let far = [64, 5000].map(|rows| {
        let name = format!("batch_norm of {rows} rows without affine, far from zero");
        plain(name, &[rows, 4], Uniform(999.0, 1001.0))
    });
    shapes.into_iter().map(|shape| affine(shape, 1e-5)).chain(far).collect()
}

fn edges() -> Vec<Case> {
    let values: Inputs<'_> = &[(&[67, 5], Uniform(-1e-38, 1e-38))];
    let norm = Case::new("edge: batch norm of subnormals", values, |x| x[0].batch_norm_train(None, None, 1e-5).0 + 1.0);
    vec![norm.without_gradients()]
}

fn lengths(n: usize) -> Vec<Case> {
    let channels = plain(format!("batch norm of channels of {n}"), &[5, n], Normal);
    // The unbiased variance of a single row is undefined, so there is no case with n = 1 rows.
    let rows = (n > 1).then(|| plain(format!("batch norm of {n}"), &[n, 3], Normal));
    [channels].into_iter().chain(rows).collect()
}

fn random(draw: &mut Draw) -> Case {
    let rank = 2 + draw.below(3);
    let mut shape = draw.shape(rank);
    shape[0] += 3;
    affine(&shape, 1e-3)
}
