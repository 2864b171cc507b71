//! Cases of norms of rows and of groups of channels.

use crate::case::Fill::{Normal, Of, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).lengths(lengths).random(&[random]);

fn own() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, row) in [
        (&[2usize, 3][..], 1usize),
        (&[1, 257], 1),
        (&[300, 16], 1),
        (&[64, 63], 1),
        (&[33, 64], 1),
        (&[3, 65], 1),
        (&[5, 255], 1),
        (&[2, 3, 4, 5], 2),
        (&[7, 12, 20], 2),
        (&[40], 1),
        (&[2, 65_537], 1),
    ] {
        let row = &shape[shape.len() - row..];
        let inputs: Inputs<'_> = &[(shape, Uniform(-2.0, 3.0)), (row, Uniform(0.5, 2.0)), (row, Normal)];
        let sizes = row.to_vec();
        let of = |name: &str| format!("{name} {shape:?} over {row:?}");
        let layer =
            Case::new(of("layer_norm"), inputs, move |x| x[0].layer_norm(&sizes, Some(&x[1]), Some(&x[2]), 1e-5));
        let sizes = row.to_vec();
        let rms = Case::new(of("rms_norm"), &inputs[..2], move |x| x[0].rms_norm(&sizes, Some(&x[1]), 1e-5));
        cases.extend([layer, rms]);
    }
    for (shape, groups) in
        [(&[4usize, 6][..], 3usize), (&[2, 6, 5], 2), (&[3, 4, 7, 9], 4), (&[2, 8, 16, 16], 1), (&[1, 4, 3, 3], 4)]
    {
        let channels = shape[1];
        let inputs: Inputs<'_> =
            &[(shape, Uniform(-2.0, 3.0)), (&[channels], Uniform(0.5, 2.0)), (&[channels], Normal)];
        let case = Case::new(format!("group_norm {shape:?} in {groups} groups"), inputs, move |x| {
            x[0].group_norm(groups, Some(&x[1]), Some(&x[2]), 1e-5)
        });
        cases.push(case);
    }
    for n in [40usize, 3000] {
        cases.push(Case::new(
            format!("layer_norm of {n} far from zero"),
            &[(&[4, n], Uniform(999.0, 1001.0))],
            move |x| x[0].layer_norm(&[n], None, None, 1e-5),
        ));
    }
    cases.push(Case::new("layer_norm of a constant", &[(&[5, 30], Of(&[3.0]))], |x| {
        x[0].layer_norm(&[30], None, None, 1e-5)
    }));
    // The output is itself a gradient, so its gradient consists of second derivatives. These flow through both
    // results of each norm: the normalised elements and the scale of each row.
    cases.push(Case::new("layer_norm and rms_norm twice differentiated", &[(&[3, 20], Normal)], |x| {
        let y = x[0].layer_norm(&[20], None, None, 0.1).exp() * x[0].rms_norm(&[20], None, 0.2);
        let dx = wgrad_core::gradients(&y.sum_all(), &[x[0].clone()]).remove(0);
        dx.expect("y depends on x")
    }));
    cases
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("layer norm", n, &[(&[2, n], Normal)], |x| {
            let row = x[0].shape().dims()[1];
            vec![x[0].layer_norm(&[row], None, None, 1e-5), x[0].rms_norm(&[row], None, 1e-5)]
        }),
        at_length("layer norm of rows", n, &[(&[n, 16], Normal)], |x| vec![x[0].layer_norm(&[16], None, None, 1e-5)]),
        at_length("group norm", n, &[(&[1, 8, n], Normal)], |x| vec![x[0].group_norm(2, None, None, 1e-5)]),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let shape = draw.shape(2);
    let shape = vec![shape[0], shape[1] + 3];
    let row = shape[1];
    let rms = draw.coin();
    let inputs: Inputs<'_> = &[(&shape, Uniform(-2.0, 3.0)), (&[row], Uniform(0.5, 2.0))];
    let name = format!("{} {shape:?}", if rms { "rms_norm" } else { "layer_norm" });
    Case::new(name, inputs, move |x| {
        if rms { x[0].rms_norm(&[row], Some(&x[1]), 1e-3) } else { x[0].layer_norm(&[row], Some(&x[1]), None, 1e-3) }
    })
}
