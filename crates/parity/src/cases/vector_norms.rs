//! Cases of norms along axes, logsumexp, and standard deviations.

use crate::case::Case;
use crate::case::Fill::{Normal, Of};
use crate::family::Family;

pub(super) const FAMILY: Family = Family::new(own);

fn own() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, axes) in [(&[5usize, 64][..], &[1isize][..]), (&[3, 4, 5], &[0, 2]), (&[1], &[0]), (&[2, 65_537], &[1])]
    {
        let count: usize = axes.iter().map(|&axis| shape[axis.unsigned_abs()]).product();
        for p in [0.0, 0.5, 1.0, 2.0, 3.0, f64::INFINITY, f64::NEG_INFINITY] {
            let case = Case::new(format!("norm {p} of {shape:?}"), &[(shape, Normal)], move |x| x[0].norm(p, axes));
            cases.push(if p == 0.0 { case.without_gradients() } else { case });
            let case = Case::new(format!("norm {p} of zeros in {shape:?}"), &[(shape, Of(&[0.0]))], move |x| {
                x[0].norm_keepdim(p, axes)
            });
            cases.push(if p == 0.0 { case.without_gradients() } else { case });
        }
        cases.push(Case::new(format!("logsumexp of {shape:?}"), &[(shape, Normal)], move |x| {
            x[0].logsumexp_keepdim(axes)
        }));
        if count > 1 {
            cases.push(Case::new(format!("std of {shape:?}"), &[(shape, Normal)], move |x| x[0].std(axes, 1)));
        }
    }
    cases.push(Case::new("std of constants", &[(&[4, 5], Of(&[2.0]))], |x| x[0].std_keepdim([1], 1)));
    cases.push(Case::new("logsumexp of large numbers", &[(&[5, 30], Of(&[-1000.0, 1000.0, 990.0]))], |x| {
        x[0].logsumexp([1])
    }));
    cases
}
