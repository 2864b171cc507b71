//! Tests of losses with extreme inputs: large and tiny logits, probabilities of 0 and 1, ties, and invalid class
//! numbers.

#![allow(clippy::float_cmp, reason = "targets of exactly 0 and 1; options in f32")]

use libtest_mimic::Failed;
use wgrad::prelude::*;

use super::{Check, EXP, LOGITS, assert_close, evaluate, matrix, sigmoid, vector};

pub const CHECKS: [(&str, Check); 8] = [
    ("focal losses of large and tiny logits are the paper's", focal_losses_are_the_papers),
    ("focal losses of classes are those of their probabilities", focal_losses_of_classes),
    ("soft margin losses are right for large and tiny scores", soft_margins),
    ("probabilities of exactly 0 and 1 cost at most 100", certain_probabilities),
    ("losses of distances have the gradients of PyTorch at their corners", corners),
    ("a divergence takes targets of 0", divergence_of_zeros),
    ("ordinal losses are sums over decisions", ordinal),
    ("invalid classes and NaN inputs give NaN", invalid_inputs_give_nan),
];

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn focal_losses_are_the_papers(device: &Device) -> Result<(), Failed> {
    for gamma in [0.0, 0.5, 2.0] {
        for target in [0.0, 1.0, 0.25] {
            let inputs = [vector(&LOGITS), vector(&[target; 8])];
            let got = evaluate(device, &inputs, |x| vec![x[0].focal(&x[1].detach(), gamma)]);
            let truth = LOGITS.map(|x| {
                // Let z = x for target 0 and z = −x for target 1, where x is the logit. The loss is then
                // σ(z)ᵞ·softplus(z), and its derivative with respect to z is
                // σ(z)ᵞ·(σ(z) + γ·softplus(z)·σ(−z)).
                if target == 0.0 || target == 1.0 {
                    let sign = 1.0 - 2.0 * target;
                    let z = sign * x;
                    let power = (-gamma * softplus(-z)).exp();
                    return (power * softplus(z), sign * power * (sigmoid(z) + gamma * softplus(z) * sigmoid(-z)));
                }
                let m = (1.0 - target) * sigmoid(x) + target * sigmoid(-x);
                let cost = (1.0 - target) * softplus(x) + target * softplus(-x);
                let bend = (1.0 - 2.0 * target) * sigmoid(x) * sigmoid(-x);
                let slope = (1.0 - target) * sigmoid(x) - target * sigmoid(-x);
                (m.powf(gamma) * cost, m.powf(gamma) * (slope + gamma * cost * bend / m))
            });
            let ulp = EXP * (1.0 + gamma);
            assert_close("loss", &got[0].to_f64(), &truth.map(|t| t.0), ulp, 0.0)?;
            assert_close("gradient", &got[1].to_f64(), &truth.map(|t| t.1), ulp, 0.0)?;
        }
    }
    // The expected values follow torchvision's formula with its default options.
    let (xs, ys) = ([2.0, -1.0, 0.5, -3.0], [1.0, 1.0, 0.0, 0.0]);
    let got = evaluate(device, &[vector(&xs), vector(&ys)], |x| {
        vec![FocalLoss::new().reduction(Reduction::None).forward(&x[0], &x[1].detach())]
    });
    let truth: Vec<f64> = std::iter::zip(xs, ys)
        .map(|(x, y)| {
            let p = sigmoid(x);
            let right = p * y + (1.0 - p) * (1.0 - y);
            -(0.25 * y + 0.75 * (1.0 - y)) * (1.0 - right).powi(2) * right.ln()
        })
        .collect();
    assert_close("FocalLoss", &got[0].to_f64(), &truth, 64.0, 0.0)
}

fn focal_losses_of_classes(device: &Device) -> Result<(), Failed> {
    let rows = [[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [1000.0, -1000.0, 0.0], [1.0, 3.0, -2.0]];
    let classes = [0u32, 2, 0, 7];
    let alpha = [0.5, 1.0, 2.0];
    let loss = MultiClassFocalLoss::new().gamma(1.5).alpha(alpha.map(|a| a as f32)).ignore_index(7);
    let got = evaluate(device, &[matrix(4, rows.as_flattened()), Array::vector(classes.to_vec())], |x| {
        vec![loss.clone().reduction(Reduction::None).forward(&x[0], &x[1])]
    });
    let mut losses = vec![];
    let mut slopes = vec![];
    for (row, class) in std::iter::zip(rows, classes) {
        if class == 7 {
            losses.push(0.0);
            slopes.extend([0.0; 3]);
            continue;
        }
        let class = class as usize;
        let largest = row.into_iter().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
        let p = row.map(|x| (x - largest).exp() / sum);
        let (own, rest) = (p[class], 1.0 - p[class]);
        losses.push(-alpha[class] * rest.powf(1.5) * own.ln());
        for (c, p) in p.iter().enumerate() {
            // The loss is −(1 − p)ᵞ·log p, where p is the probability of the true class. Its derivative with
            // respect to the logit x_c follows from dp/dx_c = p·(t − p_c), where t is 1 if c is the true class and
            // 0 otherwise.
            let towards = f64::from(u8::from(c == class)) - p;
            let slope = 1.5 * rest.powf(0.5) * own.ln() * own - rest.powf(1.5);
            slopes.push(if rest == 0.0 { 0.0 } else { alpha[class] * slope * towards });
        }
    }
    assert_close("losses", &got[0].to_f64(), &losses, 128.0, 0.0)?;
    assert_close("gradients", &got[1].to_f64(), &slopes, 128.0, 4.0 * f64::from(f32::EPSILON))?;
    let mean = evaluate(device, &[matrix(4, rows.as_flattened()), Array::vector(classes.to_vec())], |x| {
        vec![loss.forward(&x[0], &x[1])]
    });
    assert_close("mean of what is kept", &mean[0].to_f64(), &[losses.iter().sum::<f64>() / 3.0], 128.0, 0.0)
}

fn soft_margins(device: &Device) -> Result<(), Failed> {
    for sign in [-1.0, 1.0] {
        let got = evaluate(device, &[vector(&LOGITS), vector(&[sign; 8])], |x| {
            vec![SoftMarginLoss::new().reduction(Reduction::None).forward(&x[0], &x[1].detach())]
        });
        assert_close("loss", &got[0].to_f64(), &LOGITS.map(|x| softplus(-sign * x)), EXP, 0.0)?;
        assert_close("gradient", &got[1].to_f64(), &LOGITS.map(|x| -sign * sigmoid(-sign * x)), EXP, 0.0)?;
    }
    Ok(())
}

fn certain_probabilities(device: &Device) -> Result<(), Failed> {
    let p = [0.0, 0.0, 1.0, 1.0, 0.5, 1e-30];
    let y = [0.0, 1.0, 0.0, 1.0, 0.25, 1.0];
    let got = evaluate(device, &[vector(&p), vector(&y)], |x| vec![x[0].bce(&x[1].detach())]);
    let loss = [0.0, 100.0, 100.0, 0.0, 2f64.ln(), 30.0 * 10f64.ln()];
    assert_close("loss", &got[0].to_f64(), &loss, 16.0, 0.0)?;
    assert_close("gradient", &got[1].to_f64(), &[0.0, -1e12, 1e12, 0.0, 1.0, -1e12], 16.0, 0.0)?;
    // PyTorch refuses these inputs. WGSL does not guarantee that NaN propagates, because a driver may assume that
    // there is no NaN.
    let got = evaluate(device, &[vector(&[1.5, -0.5, 0.5, 0.5]), vector(&[1.0, 0.0, 2.0, -1.0])], |x| {
        vec![BceLoss::new().reduction(Reduction::None).forward(&x[0], &x[1].detach())]
    });
    let seen = got.iter().flat_map(Array::to_f64).all(f64::is_nan);
    if seen { Ok(()) } else { Err(format!("outside of [0, 1]: {got:?}").into()) }
}

/// A loss with its name, and the expected values and derivatives.
type Case = (&'static str, fn(&Tensor, &Tensor) -> Tensor, [f64; 6], [f64; 6]);

fn corners(device: &Device) -> Result<(), Failed> {
    let d = [0.0, 0.5, -0.5, 0.25, -2.0, 1000.0];
    let zeros = vector(&[0.0; 6]);
    let cases: [Case; 7] = [
        (
            "L1Loss",
            |x, y| L1Loss::new().reduction(Reduction::None).forward(x, y),
            [0.0, 0.5, 0.5, 0.25, 2.0, 1000.0],
            [0.0, 1.0, -1.0, 1.0, -1.0, 1.0],
        ),
        (
            "SmoothL1Loss",
            |x, y| SmoothL1Loss::new().beta(0.5).reduction(Reduction::None).forward(x, y),
            [0.0, 0.25, 0.25, 0.0625, 1.75, 999.75],
            [0.0, 1.0, -1.0, 0.5, -1.0, 1.0],
        ),
        (
            "SmoothL1Loss of beta 0",
            |x, y| SmoothL1Loss::new().beta(0.0).reduction(Reduction::None).forward(x, y),
            [0.0, 0.5, 0.5, 0.25, 2.0, 1000.0],
            [0.0, 1.0, -1.0, 1.0, -1.0, 1.0],
        ),
        (
            "HuberLoss",
            |x, y| HuberLoss::new().delta(0.5).reduction(Reduction::None).forward(x, y),
            [0.0, 0.125, 0.125, 0.03125, 0.875, 499.875],
            [0.0, 0.5, -0.5, 0.25, -0.5, 0.5],
        ),
        (
            "HingeEmbeddingLoss",
            |x, y| HingeEmbeddingLoss::new().margin(0.5).reduction(Reduction::None).forward(x, &(y - 1.0)),
            [0.5, 0.0, 1.0, 0.25, 2.5, 0.0],
            [-1.0, 0.0, -1.0, -1.0, -1.0, 0.0],
        ),
        (
            "MarginRankingLoss",
            |x, y| MarginRankingLoss::new().margin(0.5).reduction(Reduction::None).forward(x, y, &(y + 1.0)),
            [0.5, 0.0, 1.0, 0.25, 2.5, 0.0],
            [-1.0, 0.0, -1.0, -1.0, -1.0, 0.0],
        ),
        (
            "HingeLoss",
            |x, y| HingeLoss::new().reduction(Reduction::None).forward(&(x + 0.5), &(y + 1.0)),
            [0.5, 0.0, 1.0, 0.25, 2.5, 0.0],
            [-1.0, 0.0, -1.0, -1.0, -1.0, 0.0],
        ),
    ];
    for (name, loss, value, slope) in cases {
        let got = evaluate(device, &[vector(&d), zeros.clone()], |x| vec![loss(&x[0], &x[1].detach())]);
        assert_close(name, &got[0].to_f64(), &value, 4.0, 0.0)?;
        assert_close(&format!("gradient of {name}"), &got[1].to_f64(), &slope, 4.0, 0.0)?;
    }
    Ok(())
}

fn divergence_of_zeros(device: &Device) -> Result<(), Failed> {
    let inputs = [matrix(2, &[-1.0, -2.0, -3.0, -0.5]), matrix(2, &[0.0, 1.0, 0.25, 0.75])];
    let got = evaluate(device, &inputs, |x| {
        vec![KlDivLoss::new().reduction(KlDivReduction::BatchMean).forward(&x[0], &x[1].detach())]
    });
    let truth = (2.0 + 0.25 * (0.25f64.ln() + 3.0) + 0.75 * (0.75f64.ln() + 0.5)) / 2.0;
    assert_close("batchmean", &got[0].to_f64(), &[truth], 8.0, 0.0)?;
    assert_close("gradient", &got[1].to_f64(), &[0.0, -0.5, -0.125, -0.375], 4.0, 0.0)
}

fn ordinal(device: &Device) -> Result<(), Failed> {
    let logits = [[1000.0, 17.0, -88.0], [0.5, -0.25, -1000.0]];
    let (classes, importance) = ([3u32, 1], [1.0, 0.5, 2.0]);
    let got = evaluate(device, &[matrix(2, logits.as_flattened()), Array::vector(classes.to_vec())], |x| {
        let loss = CoralLoss::new().importance(importance.map(|w| w as f32));
        vec![loss.clone().forward(&x[0], &x[1]), loss.reduction(Reduction::None).forward(&x[0], &x[1])]
    });
    let mut rows = vec![];
    for (logits, class) in std::iter::zip(logits, classes) {
        // The loss of a row of class y in the paper on CORAL, where λ_k is the importance of the logit x_k, and
        // [y > k] is 1 if y > k and 0 otherwise:
        // −Σ_k λ_k·( log σ(x_k)·[y > k] + (log σ(x_k) − x_k)·(1 − [y > k]) ).
        let term = |(k, x): (usize, f64)| {
            let above = f64::from(u8::from(class as usize > k));
            importance[k] * (softplus(-x) * above + (softplus(-x) + x) * (1.0 - above))
        };
        rows.push(logits.into_iter().enumerate().map(term).sum::<f64>());
    }
    assert_close("rows", &got[1].to_f64(), &rows, 64.0, 0.0)?;
    assert_close("mean", &got[0].to_f64(), &[f64::midpoint(rows[0], rows[1])], 64.0, 0.0)
}

fn invalid_inputs_give_nan(device: &Device) -> Result<(), Failed> {
    let scores = matrix(2, &[0.1, 0.5, -1.0, 0.2, 0.3, 0.4]);
    let got = evaluate(device, &[scores.clone(), Array::vector(vec![1u32, 3])], |x| {
        let none = Reduction::None;
        vec![
            NllLoss::new().reduction(none).forward(&x[0], &x[1]),
            NllLoss::new().weight([1.0, 2.0, 3.0]).reduction(none).forward(&x[0], &x[1]),
            MultiMarginLoss::new().reduction(none).forward(&x[0], &x[1]),
            MultiClassFocalLoss::new().reduction(none).forward(&x[0], &x[1]),
            CoralLoss::new().reduction(none).forward(&x[0].slice(1, 0..2), &x[1]),
        ]
    });
    for (i, losses) in got[..5].iter().map(Array::to_f64).enumerate() {
        if !losses[0].is_finite() || !losses[1].is_nan() {
            return Err(format!("loss {i} of a class that does not exist: {losses:?}").into());
        }
    }
    let ignored = [scores, Array::vector(vec![IGNORE; 2])];
    let got = evaluate(device, &ignored, |x| vec![NllLoss::new().reduction(Reduction::Sum).forward(&x[0], &x[1])]);
    assert_close("sum of nothing", &got[0].to_f64(), &[0.0], 0.0, 0.0)?;
    assert_close("its gradient", &got[1].to_f64(), &[0.0; 6], 0.0, 0.0)?;
    let means = evaluate(device, &ignored, |x| {
        vec![NllLoss::new().forward(&x[0], &x[1]), MultiClassFocalLoss::new().forward(&x[0], &x[1])]
    });
    if !means[..2].iter().flat_map(Array::to_f64).all(f64::is_nan) {
        return Err(format!("means of nothing: {means:?}").into());
    }
    let bad = matrix(2, &[0.5, f64::NAN, 0.5, 0.25]);
    let (good, classes) = (matrix(2, &[0.5; 4]), Array::vector(vec![1u32, 1]));
    let got = evaluate(device, &[bad, good, classes, vector(&[1.0, 1.0])], |x| {
        let (x, y, class, sign) = (&x[0], &x[1].detach(), &x[2], &x[3].detach());
        vec![
            MseLoss::new().forward(x, y),
            L1Loss::new().forward(x, y),
            SmoothL1Loss::new().forward(x, y),
            HuberLoss::new().forward(x, y),
            BceLoss::new().forward(x, y),
            FocalLoss::new().forward(x, y),
            KlDivLoss::new().forward(x, y),
            HingeLoss::new().forward(x, y),
            HingeEmbeddingLoss::new().forward(x, y),
            MarginRankingLoss::new().forward(x, y, y),
            SoftMarginLoss::new().forward(x, y),
            CosineEmbeddingLoss::new().forward(x, y, sign),
            TripletMarginLoss::new().forward(x, y, &(y + 1.0)),
            MultiLabelSoftMarginLoss::new().forward(x, y),
            PoissonNllLoss::new().forward(x, y),
            GaussianNllLoss::new().forward(x, y, y),
            NllLoss::new().forward(x, class),
            MultiMarginLoss::new().forward(x, class),
            MultiClassFocalLoss::new().forward(x, class),
            CoralLoss::new().forward(x, class),
        ]
    });
    let lost: Vec<usize> = (0..20).filter(|&i| !got[i].to_f64()[0].is_nan()).collect();
    if lost.is_empty() { Ok(()) } else { Err(format!("NaN is lost by losses {lost:?}").into()) }
}
