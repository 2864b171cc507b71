//! Cases of fused kernels: an op with pointwise ops before and after it. Only the last value is fetched, so one
//! kernel can compute all of these ops.

use crate::case::Fill::{Below, Normal, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::{Draw, LENGTHS};
use crate::family::{Family, POSITIVE, at_length};

pub(super) const FAMILY: Family = Family::new(own).lengths(lengths).random(&[random]);

fn own() -> Vec<Case> {
    let mut cases = vec![];
    for [m, k, n] in [[7, 5, 3], [64, 40, 36], [33, 600, 12], [1, 1, 1]] {
        cases.push(Case::new(
            format!("fused: matmul {m}x{k}x{n}, tanh, a residual and a scale per column"),
            &[(&[m, k], Normal), (&[k, n], Normal), (&[m, n], Normal), (&[n], Normal)],
            |x| x[0].matmul(&x[1]).tanh() * &x[3] + &x[2],
        ));
    }
    for shape in [&[12usize, 20][..], &[5, 3, 4, 7], &[5000, 2]] {
        cases.push(
            Case::several(
                format!("fused: batch_norm {shape:?}, relu, statistics"),
                &[(shape, Normal), (&[shape[1]], POSITIVE), (&[shape[1]], Normal)],
                |x| {
                    let (y, mean, var) = x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), 1e-5);
                    vec![y.relu() * 2.0 + 1.0, mean * 0.1 + &x[2] * 0.9, (var + 1.0).sqrt()]
                },
            )
            .gradients_of(&[0]),
        );
    }
    for (shape, axes) in [(&[37usize, 11][..], &[0isize][..]), (&[3, 300], &[1]), (&[70, 70], &[0, 1])] {
        cases.push(Case::new(
            format!("fused: a sum over {axes:?} of {shape:?} of products, and its logarithm"),
            &[(shape, Uniform(0.5, 1.5)), (shape, Uniform(0.5, 1.5))],
            move |x| ((&x[0] * &x[1]).square().sum_keepdim(axes) + 1.0).log() * 3.0,
        ));
    }
    cases.push(Case::several(
        "fused: cross-entropy, its mean and a penalty",
        &[(&[65, 10], Normal), (&[65], Below(10))],
        |x| {
            let (loss, _) = (&x[0] * 2.0).softmax_cross_entropy(&x[1], None, 0.0, None);
            vec![loss.mean_all() + x[0].square().mean_all() * 0.1]
        },
    ));
    cases.push(Case::new(
        "fused: a binary loss and its mean",
        &[(&[130, 3], Normal), (&[130, 3], Uniform(0.0, 1.0))],
        |x| x[0].bce_with_logits(&x[1]).mean_all(),
    ));
    for shapes in [vec![vec![5usize]], vec![vec![3, 4], vec![7], vec![1], vec![70, 70]], vec![vec![2, 2]; 20]] {
        let inputs: Vec<_> = shapes.iter().map(|shape| (&shape[..], Normal)).collect();
        cases.push(Case::new(format!("total_norm of {} tensors", shapes.len()), &inputs, |x| {
            wgrad_core::ops::total_norm(x) * 2.0
        }));
    }
    cases
}

fn lengths(n: usize) -> Vec<Case> {
    vec![at_length("total norm", n, &[(&[n], Normal)], |x| vec![wgrad_core::ops::total_norm(x)])]
}

/// Returns a random case of an op with pointwise ops before and after it, which are fused into one kernel.
fn random(draw: &mut Draw) -> Case {
    let shape = draw.shape(2);
    let [rows, columns] = [shape[0], shape[1]];
    let out = draw.of(&LENGTHS);
    let inputs: Inputs<'_> =
        &[(&shape, Uniform(-1.0, 1.0)), (&[out, columns], Uniform(-0.5, 0.5)), (&[out], Normal), (&[rows, 1], Normal)];
    Case::new(format!("linear {rows}x{columns}x{out}, tanh, a scale per row, a mean"), inputs, |x| {
        (x[0].linear(&x[1], Some(&x[2])).tanh() * &x[3]).mean([0])
    })
}
