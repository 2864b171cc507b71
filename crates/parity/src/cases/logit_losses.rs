//! Cases of cross-entropy and binary cross-entropy of logits. These losses have special kernels or pointwise ops.

use wgrad_core::Tensor;

use crate::case::Fill::{Below, Normal, Of, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::edge::LOGITS;
use crate::family::{ANY, Family, POSITIVE};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[random]);

/// Returns the case of cross-entropy for logits and labels. The classes are axis 1 of the logits, or their only
/// axis.
fn cross_entropy(name: impl Into<String>, inputs: Inputs<'_>, smoothing: f64) -> Case {
    Case::new(name, inputs, move |x| x[0].softmax_cross_entropy(&x[1], None, smoothing, None).0)
}

fn own() -> Vec<Case> {
    let mut cases = vec![
        Case::new("bce_with_logits", &[(&[130, 3], ANY), (&[130, 3], Uniform(0.0, 1.0))], |x| {
            x[0].bce_with_logits(&x[1])
        }),
        Case::new(
            "bce_with_logits of hard targets",
            &[(&[257], Uniform(-30.0, 30.0)), (&[257], Of(&[0.0, 1.0]))],
            |x| x[0].bce_with_logits(&x[1]),
        ),
        Case::new(
            "bce_with_logits with pos_weight",
            &[(&[65, 3], ANY), (&[65, 3], Uniform(0.0, 1.0)), (&[3], POSITIVE)],
            |x| x[0].bce_with_logits_weighted(&x[1], &x[2]),
        ),
        Case::new("bce mid-graph", &[(&[33], Normal), (&[33], Uniform(0.0, 1.0))], |x| {
            (x[0].bce_with_logits(&x[1]).mean_all() * 3.0).exp()
        }),
    ];
    for (shape, targets) in
        [(&[9usize, 3][..], &[9usize][..]), (&[65, 10], &[65]), (&[4, 300], &[4]), (&[3, 5, 7], &[3, 7]), (&[6], &[])]
    {
        let classes = if shape.len() == 1 { shape[0] } else { shape[1] };
        for smoothing in [0.0, 0.1] {
            for weighted in [false, true] {
                let mut inputs = vec![(shape, ANY), (targets, Below(classes))];
                let weights = [classes];
                if weighted {
                    inputs.push((&weights, POSITIVE));
                }
                let name =
                    format!("cross_entropy {shape:?} smoothing {smoothing}{}", if weighted { " weighted" } else { "" });
                cases.push(
                    Case::several(name, &inputs, move |x| {
                        let (loss, weight) = x[0].softmax_cross_entropy(
                            &x[1],
                            x.get(2).map(Tensor::detach).as_ref(),
                            smoothing,
                            Some(1),
                        );
                        // The first output is computed from the loss, so the loss is also tested as an
                        // intermediate value. `weight` is not differentiated, because it does not depend on the
                        // logits.
                        vec![(loss.sum_all() / (weight.sum_all() + 1.0)).square(), loss, weight]
                    })
                    .gradients_of(&[0, 1])
                    .constant_inputs(&[2]),
                );
            }
        }
        let inputs: Inputs<'_> = &[(shape, ANY), (targets, Below(classes))];
        cases.push(
            Case::several(format!("cross_entropy {shape:?} alone"), inputs, |x| {
                let (loss, weight) = x[0].softmax_cross_entropy(&x[1], None, 0.1, Some(1));
                vec![loss, weight]
            })
            .without_gradients(),
        );
        let inputs: Inputs<'_> = &[(shape, ANY), (shape, Uniform(0.0, 1.0)), (&[classes], POSITIVE)];
        cases.push(
            Case::several(format!("cross_entropy {shape:?} of probabilities"), inputs, |x| {
                vec![x[0].softmax_cross_entropy(&x[1], Some(&x[2].detach()), 0.1, None).0]
            })
            .constant_inputs(&[2]),
        );
    }
    cases
}

fn edges() -> Vec<Case> {
    let rows: Inputs<'_> = &[(&[9, 65], LOGITS), (&[9], Below(65))];
    let pair: Inputs<'_> = &[(&[9, 65], LOGITS), (&[9, 65], Of(&[0.0, 1.0, 0.25]))];
    vec![
        cross_entropy("edge: cross-entropy of logits up to ±1000", rows, 0.0),
        Case::new("edge: binary cross-entropy of logits up to ±1000", pair, |x| x[0].bce_with_logits(&x[1].detach()))
            .constant_inputs(&[1]),
        Case::new("edge: focal loss of logits up to ±1000", pair, |x| x[0].focal(&x[1].detach(), 2.0))
            .constant_inputs(&[1]),
    ]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        cross_entropy(format!("cross entropy of {n}"), &[(&[n, 3], Normal), (&[n], Below(3))], 0.1),
        cross_entropy(format!("cross entropy of classes of {n}"), &[(&[2, n], Normal), (&[2], Below(n))], 0.0),
        cross_entropy(format!("cross entropy of pages of {n}"), &[(&[2, n, 2], Normal), (&[2, 2], Below(n))], 0.0),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let rank = 1 + draw.below(3);
    let shape = draw.shape(rank);
    let classes = if rank == 1 { shape[0] } else { shape[1] };
    let targets: Vec<usize> = if rank == 1 { vec![] } else { [&shape[..1], &shape[2..]].concat() };
    let smoothing = draw.of(&[0.0, 0.1]);
    let name = format!("cross-entropy {shape:?} with smoothing {smoothing}");
    cross_entropy(name, &[(&shape, Uniform(-9.0, 9.0)), (&targets, Below(classes))], smoothing)
}
