//! Cases of losses composed of ops, and of losses of probabilities.

use wgrad_nn::layers::Coral;
use wgrad_nn::losses::{
    BceLoss, CoralLoss, CosineEmbeddingLoss, FocalLoss, GaussianNllLoss, HingeEmbeddingLoss, HingeLoss, HuberLoss,
    KlDivLoss, KlDivReduction, L1Loss, Loss, MarginRankingLoss, MseLoss, MultiClassFocalLoss, MultiLabelSoftMarginLoss,
    MultiMarginLoss, NllLoss, PoissonNllLoss, Reduction, SmoothL1Loss, SoftMarginLoss, TripletMarginLoss,
};

use crate::case::Fill::{self, Below, Grid, Normal, Of, Uniform};
use crate::case::{Case, Inputs};
use crate::family::{ANY, Family, POSITIVE};

const SIGNS: Fill = Of(&[-1.0, 1.0]);
const PROBABILITY: Fill = Uniform(0.02, 0.98);

/// Returns one weight per class: 0.5, 1.5, 2.5 and so on.
fn weights_of(classes: usize) -> Vec<f64> {
    (0..classes).scan(0.5, |w, _| Some(std::mem::replace(w, *w + 1.0))).collect()
}

pub(super) const FAMILY: Family = Family::new(own);

fn own() -> Vec<Case> {
    [probabilities(), focal(), ordinal(), regression(), margins(), vectors(), likelihoods()]
        .into_iter()
        .flatten()
        .collect()
}

fn probabilities() -> Vec<Case> {
    let pair: Inputs<'_> = &[(&[130, 3], PROBABILITY), (&[130, 3], PROBABILITY)];
    let mut cases = vec![
        Case::new("bce", pair, |x| x[0].bce(&x[1])),
        Case::new("bce of hard targets", &[(&[257], PROBABILITY), (&[257], Of(&[0.0, 1.0]))], |x| {
            BceLoss::new().weight(2.0).forward(&x[0], &x[1].detach())
        })
        .constant_inputs(&[1]),
        Case::new("bce at the ends", &[(&[65], Of(&[0.0, 1.0, 0.5])), (&[65], Of(&[0.0, 1.0, 0.25]))], |x| {
            x[0].bce(&x[1])
        }),
        Case::new("kl_div", pair, |x| KlDivLoss::new().reduction(Reduction::None).forward(&x[0].log(), &x[1])),
        Case::new("kl_div of zeros", &[(&[65, 3], PROBABILITY), (&[65, 3], Of(&[0.0, 0.5, 1.0]))], |x| {
            KlDivLoss::new().reduction(KlDivReduction::BatchMean).forward(&x[0].log(), &x[1].detach())
        })
        .constant_inputs(&[1]),
        Case::new("kl_div of logarithms", &[(&[65, 3], Uniform(-4.0, 0.0)), (&[65, 3], Uniform(-4.0, 0.0))], |x| {
            KlDivLoss::new().log_target(true).forward(&x[0], &x[1])
        }),
    ];
    for (shape, targets) in [(&[65usize, 10][..], &[65usize][..]), (&[3, 5, 7], &[3, 7]), (&[6], &[])] {
        let classes = if shape.len() == 1 { shape[0] } else { shape[1] };
        let inputs: Inputs<'_> = &[(shape, Uniform(-5.0, 0.0)), (targets, Below(classes)), (&[classes], POSITIVE)];
        cases.push(Case::new(format!("nll {shape:?}"), &inputs[..2], |x| NllLoss::new().forward(&x[0], &x[1])));
        cases.push(Case::several(format!("nll {shape:?} with weights, and rows that are ignored"), inputs, move |x| {
            let loss = |reduction| {
                let loss = NllLoss::new().ignore_index(1).reduction(reduction);
                let w: Vec<f64> = weights_of(classes);
                loss.weight(w).forward(&x[0], &x[1])
            };
            vec![loss(Reduction::Mean) * x[2].sum_all(), loss(Reduction::None)]
        }));
    }
    cases
}

fn focal() -> Vec<Case> {
    let mut cases = vec![];
    for gamma in [0.0, 0.5, 2.0, 3.5] {
        let soft: Inputs<'_> = &[(&[130, 3], ANY), (&[130, 3], PROBABILITY)];
        cases.push(Case::new(format!("focal of gamma {gamma}"), soft, move |x| x[0].focal(&x[1], gamma)));
        let hard: Inputs<'_> = &[(&[257], Uniform(-25.0, 25.0)), (&[257], Of(&[0.0, 1.0]))];
        cases.push(
            Case::new(format!("focal of gamma {gamma} and hard targets"), hard, move |x| {
                x[0].focal(&x[1].detach(), gamma)
            })
            .constant_inputs(&[1]),
        );
        cases.push(Case::new(format!("focal_of with gamma {gamma}"), &[(&[257], Uniform(1e-3, 9.0))], move |x| {
            x[0].focal_of(gamma)
        }));
        cases.push(Case::new(
            format!("focal_of of small losses with gamma {gamma}"),
            &[(&[257], Uniform(1e-6, 1e-3))],
            move |x| x[0].focal_of(gamma),
        ));
    }
    cases.push(
        Case::new("FocalLoss", &[(&[65, 3], ANY), (&[65, 3], Of(&[0.0, 1.0]))], |x| {
            FocalLoss::new().forward(&x[0], &x[1].detach())
        })
        .constant_inputs(&[1]),
    );
    for (shape, targets) in [(&[65usize, 10][..], &[65usize][..]), (&[3, 5, 7], &[3, 7]), (&[6], &[])] {
        let classes = if shape.len() == 1 { shape[0] } else { shape[1] };
        let inputs: Inputs<'_> = &[(shape, ANY), (targets, Below(classes))];
        cases.push(Case::several(format!("MultiClassFocalLoss {shape:?}"), inputs, move |x| {
            let weights: Vec<f64> = weights_of(classes);
            let loss = MultiClassFocalLoss::new().gamma(1.5);
            vec![
                loss.forward(&x[0], &x[1]),
                loss.alpha(weights).ignore_index(1).reduction(Reduction::None).forward(&x[0], &x[1]),
            ]
        }));
    }
    cases
}

fn ordinal() -> Vec<Case> {
    vec![
        Case::new("ordinal_levels", &[(&[65], Below(6))], |x| x[0].ordinal_levels(5)).without_gradients().exact(),
        Case::new("CoralLoss", &[(&[65, 4], ANY), (&[65], Below(5))], |x| CoralLoss::new().forward(&x[0], &x[1])),
        Case::new("CoralLoss with importance", &[(&[65, 4], ANY), (&[65], Below(5))], |x| {
            let loss = CoralLoss::new().importance([1.0, 0.5, 2.0, 0.25]).reduction(Reduction::None);
            loss.forward(&x[0], &x[1])
        }),
        Case::new("Coral::rank", &[(&[65, 4], Normal)], |x| Coral::rank(&x[0])).without_gradients().exact(),
        Case::new("Coral::probabilities", &[(&[65, 4], Normal)], |x| Coral::probabilities(&x[0])),
    ]
}

fn regression() -> Vec<Case> {
    let pair: Inputs<'_> = &[(&[65, 3], Uniform(-2.0, 2.0)), (&[65, 3], Uniform(-2.0, 2.0))];
    let ties: Inputs<'_> = &[(&[65, 3], Grid(0.5, 4)), (&[65, 3], Grid(0.5, 4))];
    let mut cases = vec![];
    for (name, inputs) in [("", pair), (" with ties", ties)] {
        cases.extend([
            Case::new(format!("MseLoss{name}"), inputs, |x| MseLoss::new().forward(&x[0], &x[1])),
            Case::new(format!("L1Loss{name}"), inputs, |x| L1Loss::new().forward(&x[0], &x[1])),
            Case::new(format!("SmoothL1Loss{name}"), inputs, |x| {
                SmoothL1Loss::new().beta(0.5).reduction(Reduction::None).forward(&x[0], &x[1])
            }),
            Case::new(format!("SmoothL1Loss without beta{name}"), inputs, |x| {
                SmoothL1Loss::new().beta(0.0).forward(&x[0], &x[1])
            }),
            Case::new(format!("HuberLoss{name}"), inputs, |x| {
                HuberLoss::new().delta(1.5).reduction(Reduction::Sum).forward(&x[0], &x[1])
            }),
        ]);
    }
    cases
}

fn margins() -> Vec<Case> {
    let pair: Inputs<'_> = &[(&[130], ANY), (&[130], SIGNS)];
    let ties: Inputs<'_> = &[(&[130], Grid(0.5, 4)), (&[130], SIGNS), (&[130], Grid(0.5, 4))];
    let three: Inputs<'_> = &[(&[130], ANY), (&[130], SIGNS), (&[130], ANY)];
    let labels: Inputs<'_> = &[(&[65, 4], ANY), (&[65, 4], Of(&[0.0, 1.0]))];
    let classes: Inputs<'_> = &[(&[65, 4], ANY), (&[65], Below(4))];
    let mut cases = vec![
        Case::new("HingeLoss", pair, |x| HingeLoss::new().forward(&x[0], &x[1].detach())).constant_inputs(&[1]),
        Case::new("HingeLoss squared", pair, |x| {
            HingeLoss::new().squared(true).reduction(Reduction::None).forward(&x[0], &x[1].detach())
        })
        .constant_inputs(&[1]),
        Case::new("HingeEmbeddingLoss", pair, |x| HingeEmbeddingLoss::new().margin(1.5).forward(&x[0], &x[1].detach()))
            .constant_inputs(&[1]),
        Case::new("MarginRankingLoss", three, |x| {
            MarginRankingLoss::new().margin(0.25).forward(&x[0], &x[2], &x[1].detach())
        })
        .constant_inputs(&[1]),
        Case::new("SoftMarginLoss", &[(&[130], Uniform(-30.0, 30.0)), (&[130], SIGNS)], |x| {
            SoftMarginLoss::new().reduction(Reduction::None).forward(&x[0], &x[1])
        }),
        Case::new("margins with ties", ties, |x| {
            let loss = HingeEmbeddingLoss::new().reduction(Reduction::None).forward(&x[0], &x[1]);
            let loss =
                loss + MarginRankingLoss::new().margin(0.5).reduction(Reduction::None).forward(&x[0], &x[2], &x[1]);
            loss + HingeLoss::new().reduction(Reduction::None).forward(&x[0], &x[1])
        }),
        Case::new("MultiLabelSoftMarginLoss", labels, |x| {
            let loss = MultiLabelSoftMarginLoss::new().weight([1.0, 0.5, 2.0, 0.25]);
            loss.reduction(Reduction::None).forward(&x[0], &x[1])
        }),
    ];
    for p in [1, 2] {
        cases.push(Case::new(format!("MultiMarginLoss of power {p}"), classes, move |x| {
            let loss = MultiMarginLoss::new().p(p).margin(0.5).weight([1.0, 0.5, 2.0, 0.25]);
            loss.forward(&x[0], &x[1])
        }));
    }
    cases
}

fn vectors() -> Vec<Case> {
    let pair: Inputs<'_> = &[(&[33, 5], Normal), (&[33, 5], Normal), (&[33], SIGNS)];
    let triple: Inputs<'_> = &[(&[33, 5], Normal), (&[33, 5], Normal), (&[33, 5], Normal)];
    let mut cases = vec![
        Case::new("CosineEmbeddingLoss", pair, |x| {
            let loss = CosineEmbeddingLoss::new().margin(0.25).reduction(Reduction::None);
            loss.forward(&x[0], &x[1], &x[2])
        })
        .constant_inputs(&[2]),
    ];
    for (p, swap) in [(1.0, true), (2.0, false), (2.0, true), (3.0, false), (f64::INFINITY, true)] {
        cases.push(Case::new(format!("TripletMarginLoss of norm {p}, swap {swap}"), triple, move |x| {
            TripletMarginLoss::new().p(p).swap(swap).forward(&x[0], &x[1], &x[2])
        }));
    }
    let zeros: Inputs<'_> = &[(&[33, 2], Of(&[0.0, 1.0])), (&[33, 2], Of(&[0.0, 1.0])), (&[33, 2], Of(&[0.0, 1.0]))];
    cases.push(Case::new("TripletMarginLoss of vectors that are equal", zeros, |x| {
        TripletMarginLoss::new().eps(0.0).margin(2.0).forward(&x[0], &x[1], &x[2])
    }));
    cases
}

fn likelihoods() -> Vec<Case> {
    let pair: Inputs<'_> = &[(&[65, 3], Uniform(0.1, 4.0)), (&[65, 3], Uniform(0.1, 6.0))];
    let three: Inputs<'_> = &[(&[65, 3], Normal), (&[65, 3], Normal), (&[65, 3], POSITIVE), (&[65], POSITIVE)];
    vec![
        Case::new("PoissonNllLoss", pair, |x| {
            PoissonNllLoss::new().full(true).reduction(Reduction::None).forward(&x[0], &x[1])
        }),
        Case::new("PoissonNllLoss of rates", pair, |x| PoissonNllLoss::new().log_input(false).forward(&x[0], &x[1])),
        Case::several("GaussianNllLoss", three, |x| {
            let loss = GaussianNllLoss::new().full(true);
            vec![loss.reduction(Reduction::None).forward(&x[0], &x[1], &x[2]), loss.forward(&x[0], &x[1], &x[3])]
        }),
        Case::new(
            "GaussianNllLoss of small variances",
            &[(&[65], Normal), (&[65], Of(&[0.0, 0.125, 0.25, 0.5]))],
            |x| GaussianNllLoss::new().eps(0.25).forward(&x[0], &x[0].number(0.5).expand([65]), &x[1]),
        ),
    ]
}
