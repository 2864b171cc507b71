//! Losses. Most have a module (options by name) and a function (arguments): one adapter serves both.

use wgrad::nn::losses::*;
use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal, lacks};

/// An option of the module, or an argument of the function.
fn option<'a>(at: &'a Call<'a>, name: &'a str) -> Arg<'a> {
    if at.option(name).is_given() { at.option(name) } else { at.named(name) }
}

fn reduction(at: &Call<'_>) -> Result<Reduction, Refusal> {
    match option(at, "reduction").text_or("mean")? {
        "none" => Ok(Reduction::None),
        "mean" => Ok(Reduction::Mean),
        "sum" => Ok(Reduction::Sum),
        _ => Err(Refusal::Untypable("reduction is no reduction".into())),
    }
}

fn bce_with_logits(at: &Call<'_>) -> Outcome {
    let mut loss = BceWithLogitsLoss::new().reduction(reduction(at)?);
    let weight = if at.option("weight").is_given() { at.option("weight") } else { at.arg(2, "weight") };
    if let Some(weight) = weight.some() {
        loss = loss.weight(weight.array()?);
    }
    if let Some(weight) = option(at, "pos_weight").some() {
        loss = loss.pos_weight(weight.array()?);
    }
    Ok(vec![loss.apply(&at.x()?, &at.arg(1, "target").tensor()?)])
}

fn cross_entropy(at: &Call<'_>) -> Outcome {
    let (x, target) = (at.x()?, at.arg(1, "target").tensor()?);
    let mut loss = CrossEntropyLoss::new()
        .reduction(reduction(at)?)
        .label_smoothing(option(at, "label_smoothing").number_or(0.0)?);
    if let Some(index) = option(at, "ignore_index").some() {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "negative classes are stored so, too"
        )]
        let index = index.int()? as i32 as u32;
        loss = loss.ignore_index(index);
    }
    if let Some(weight) = option(at, "weight").some() {
        loss = loss.weight(weight.array()?);
    }
    Ok(vec![loss.apply(&x, &target)])
}

/// The targets. PyTorch broadcasts those of many losses, with a warning.
fn targets(at: &Call<'_>, x: &Tensor) -> Result<Tensor, Refusal> {
    let y = at.arg(1, "target").tensor()?;
    if y.shape() != x.shape() && y.shape().broadcast(&x.shape()).is_some() {
        return lacks("targets that broadcast");
    }
    Ok(y)
}

/// Targets of -1 and 1, which PyTorch takes as integers, too.
fn signs(at: &Call<'_>, position: usize) -> Result<Tensor, Refusal> {
    let y = at.arg(position, "target").tensor()?;
    let is = |value: u32| y.eq_u32(&y.graph().constant_u32(value)).to_f32();
    Ok(if y.dtype() == DType::U32 { is(1) - is(u32::MAX) } else { y.clone() })
}

fn weight(at: &Call<'_>) -> Result<Option<Array>, Refusal> {
    option(at, "weight").some().map(|weight| weight.array()).transpose()
}

fn ignore_index(at: &Call<'_>) -> Result<u32, Refusal> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "negative classes are stored so, too")]
    option(at, "ignore_index").int_or(-100).map(|index| index as i32 as u32)
}

fn bce(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let mut loss = BceLoss::new().reduction(reduction(at)?);
    if let Some(weight) = weight(at)? {
        loss = loss.weight(weight);
    }
    Ok(vec![loss.apply(&x, &at.arg(1, "target").tensor()?)])
}

fn nll(at: &Call<'_>) -> Outcome {
    let mut loss = NllLoss::new().reduction(reduction(at)?).ignore_index(ignore_index(at)?);
    if let Some(weight) = weight(at)? {
        loss = loss.weight(weight);
    }
    Ok(vec![loss.apply(&at.x()?, &at.arg(1, "target").tensor()?)])
}

fn mse(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    Ok(vec![MseLoss::new().reduction(reduction(at)?).apply(&x, &targets(at, &x)?)])
}

fn l1(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    Ok(vec![L1Loss::new().reduction(reduction(at)?).apply(&x, &targets(at, &x)?)])
}

fn smooth_l1(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let loss = SmoothL1Loss::new().beta(option(at, "beta").number_or(1.0)?).reduction(reduction(at)?);
    Ok(vec![loss.apply(&x, &targets(at, &x)?)])
}

fn huber(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let loss = HuberLoss::new().delta(option(at, "delta").number_or(1.0)?).reduction(reduction(at)?);
    Ok(vec![loss.apply(&x, &targets(at, &x)?)])
}

fn kl_div(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let loss = KlDivLoss::new().log_target(option(at, "log_target").flag_or(false)?);
    let loss = match option(at, "reduction").text_or("mean")? {
        "batchmean" => loss.reduction(KlDivReduction::BatchMean),
        _ => loss.reduction(reduction(at)?),
    };
    Ok(vec![loss.apply(&x, &targets(at, &x)?)])
}

fn hinge_embedding(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let loss = HingeEmbeddingLoss::new().margin(option(at, "margin").number_or(1.0)?).reduction(reduction(at)?);
    Ok(vec![loss.apply(&x, &signs(at, 1)?)])
}

fn soft_margin(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    Ok(vec![SoftMarginLoss::new().reduction(reduction(at)?).apply(&x, &signs(at, 1)?)])
}

fn margin_ranking(at: &Call<'_>) -> Outcome {
    let loss = MarginRankingLoss::new().margin(option(at, "margin").number_or(0.0)?).reduction(reduction(at)?);
    Ok(vec![loss.apply(&at.x()?, &at.arg(1, "input2").tensor()?, &signs(at, 2)?)])
}

fn cosine_embedding(at: &Call<'_>) -> Outcome {
    let loss = CosineEmbeddingLoss::new().margin(option(at, "margin").number_or(0.0)?).reduction(reduction(at)?);
    Ok(vec![loss.apply(&at.x()?, &at.arg(1, "input2").tensor()?, &signs(at, 2)?)])
}

fn triplet_margin(at: &Call<'_>) -> Outcome {
    let loss = TripletMarginLoss::new()
        .margin(option(at, "margin").number_or(1.0)?)
        .p(option(at, "p").number_or(2.0)?)
        .eps(option(at, "eps").number_or(1e-6)?)
        .swap(option(at, "swap").flag_or(false)?)
        .reduction(reduction(at)?);
    Ok(vec![loss.apply(&at.x()?, &at.arg(1, "positive").tensor()?, &at.arg(2, "negative").tensor()?)])
}

fn multilabel_soft_margin(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let mut loss = MultiLabelSoftMarginLoss::new().reduction(reduction(at)?);
    if let Some(weight) = weight(at)? {
        loss = loss.weight(weight);
    }
    Ok(vec![loss.apply(&x, &targets(at, &x)?.to_f32())])
}

fn multi_margin(at: &Call<'_>) -> Outcome {
    let (x, y) = (at.x()?, at.arg(1, "target").tensor()?);
    if x.shape().rank() == 0 {
        return lacks("a number as scores");
    }
    if x.shape().rank() == 1 && y.shape().dims() == [1] {
        return lacks("a class with an axis for scores without rows");
    }
    let p = option(at, "p").int_or(1)?;
    let mut loss = MultiMarginLoss::new()
        .p(u32::try_from(p).map_err(|_| Refusal::Untypable("p is negative".into()))?)
        .margin(option(at, "margin").number_or(1.0)?)
        .reduction(reduction(at)?);
    if let Some(weight) = weight(at)? {
        loss = loss.weight(weight);
    }
    Ok(vec![loss.apply(&x, &y)])
}

fn poisson_nll(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let loss = PoissonNllLoss::new()
        .log_input(option(at, "log_input").flag_or(true)?)
        .full(option(at, "full").flag_or(false)?)
        .eps(option(at, "eps").number_or(1e-8)?)
        .reduction(reduction(at)?);
    Ok(vec![loss.apply(&x, &targets(at, &x)?)])
}

fn gaussian_nll(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let loss = GaussianNllLoss::new()
        .full(option(at, "full").flag_or(false)?)
        .eps(option(at, "eps").number_or(1e-6)?)
        .reduction(reduction(at)?);
    let y = targets(at, &x)?;
    let var = at.arg(2, "var");
    let var = if var.is_tensor() { var.tensor()? } else { x.number(var.number()?).broadcast_to(x.shape()) };
    Ok(vec![loss.apply(&x, &y, &var)])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.BCEWithLogitsLoss", bce_with_logits),
    ("nn.functional.binary_cross_entropy_with_logits", bce_with_logits),
    ("nn.CrossEntropyLoss", cross_entropy),
    ("nn.functional.cross_entropy", cross_entropy),
    ("nn.BCELoss", bce),
    ("nn.functional.binary_cross_entropy", bce),
    ("nn.NLLLoss", nll),
    ("nn.functional.nll_loss", nll),
    ("nn.MSELoss", mse),
    ("nn.functional.mse_loss", mse),
    ("nn.L1Loss", l1),
    ("nn.functional.l1_loss", l1),
    ("nn.SmoothL1Loss", smooth_l1),
    ("nn.functional.smooth_l1_loss", smooth_l1),
    ("nn.HuberLoss", huber),
    ("nn.functional.huber_loss", huber),
    ("nn.KLDivLoss", kl_div),
    ("nn.functional.kl_div", kl_div),
    ("nn.HingeEmbeddingLoss", hinge_embedding),
    ("nn.functional.hinge_embedding_loss", hinge_embedding),
    ("nn.SoftMarginLoss", soft_margin),
    ("nn.functional.soft_margin_loss", soft_margin),
    ("nn.MarginRankingLoss", margin_ranking),
    ("nn.functional.margin_ranking_loss", margin_ranking),
    ("nn.CosineEmbeddingLoss", cosine_embedding),
    ("nn.functional.cosine_embedding_loss", cosine_embedding),
    ("nn.MultiLabelSoftMarginLoss", multilabel_soft_margin),
    ("nn.functional.multilabel_soft_margin_loss", multilabel_soft_margin),
    ("nn.MultiMarginLoss", multi_margin),
    ("nn.functional.multi_margin_loss", multi_margin),
    ("nn.PoissonNLLLoss", poisson_nll),
    ("nn.functional.poisson_nll_loss", poisson_nll),
    ("nn.GaussianNLLLoss", gaussian_nll),
    ("nn.functional.gaussian_nll_loss", gaussian_nll),
    ("nn.functional.triplet_margin_loss", triplet_margin),
];
