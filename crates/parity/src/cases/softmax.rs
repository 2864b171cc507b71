//! Cases of softmax and log-softmax.

use crate::case::Fill::{self, Grid, Normal, Of, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::edge::{LOGITS, SUBNORMALS};
use crate::family::{ANY, Family};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[random]);

fn softmax(name: impl Into<String>, shape: &[usize], axis: isize, values: Fill) -> Case {
    Case::new(name, &[(shape, values)], move |x| x[0].softmax(axis))
}

fn log_softmax(name: impl Into<String>, shape: &[usize], axis: isize, values: Fill) -> Case {
    Case::new(name, &[(shape, values)], move |x| x[0].log_softmax(axis))
}

fn own() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, axis) in [(&[5usize, 3][..], 1isize), (&[64, 257], -1), (&[3, 40, 5], 1), (&[7], 0)] {
        cases.push(softmax(format!("softmax {shape:?} {axis}"), shape, axis, ANY));
        cases.push(log_softmax(format!("log_softmax {shape:?} {axis}"), shape, axis, ANY));
    }
    cases.push(Case::new("softmin", &[(&[9, 33], ANY)], |x| x[0].softmin(1)));
    cases
}

fn edges() -> Vec<Case> {
    let rows: Inputs<'_> = &[(&[9, 65], LOGITS)];
    vec![
        softmax("edge: softmax of logits up to ±1000", &[9, 65], 1, LOGITS),
        softmax("edge: softmax of columns of logits up to ±1000", &[9, 65], 0, LOGITS),
        log_softmax("edge: log_softmax of logits up to ±1000", &[9, 65], 1, LOGITS),
        Case::new("edge: logsumexp of logits up to ±1000", rows, |x| x[0].logsumexp([1])),
        softmax("edge: softmax of subnormals", &[5, 67], 1, SUBNORMALS).without_gradients(),
        softmax("edge: softmax of equal logits", &[9, 67], 1, Of(&[3.0])),
    ]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        softmax(format!("softmax of {n}"), &[2, n], 1, Normal),
        softmax(format!("softmax of columns of {n}"), &[n, 3], 1, Normal),
        softmax(format!("softmax of pages of {n}"), &[2, n, 2], 1, Normal),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let (shape, values) = (draw.any(), draw.of(&[Normal, Uniform(-6.0, 6.0), Uniform(-80.0, 80.0), Grid(0.5, 3)]));
    let axis = draw.axis(&shape);
    let logarithm = draw.coin();
    let name = if logarithm { "log_softmax" } else { "softmax" };
    let op = if logarithm { log_softmax } else { softmax };
    op(format!("{name} {shape:?} {axis} of {values:?}"), &shape, axis.cast_signed(), values)
}
