//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for losses. PyTorch
//! has most losses as a module (with options) and as a function (with arguments); one adapter handles both.

use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal, lacks};

/// Returns an option of the module, or the argument of the function with the same name.
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
    Ok(vec![loss.forward(&at.x()?, &at.arg(1, "target").tensor()?)])
}

fn ignored(at: &Call<'_>) -> Result<Option<u32>, Refusal> {
    let index = option(at, "ignore_index").some().map(|index| index.int()).transpose()?;
    Ok(index.map(|index| index as i32 as u32))
}

fn cross_entropy(at: &Call<'_>) -> Outcome {
    let (x, target) = (at.x()?, at.arg(1, "target").tensor()?);
    let mut loss = CrossEntropyLoss::new()
        .reduction(reduction(at)?)
        .label_smoothing(option(at, "label_smoothing").number_or(0.0)?);
    if let Some(index) = ignored(at)? {
        loss = loss.ignore_index(index);
    }
    if let Some(weight) = option(at, "weight").some() {
        loss = loss.weight(weight.array()?);
    }
    Ok(vec![loss.forward(&x, &target)])
}

/// Returns the first two arguments, `input` and `target`, which modules and functions share.
fn two(at: &Call<'_>) -> Result<(Tensor, Tensor), Refusal> {
    Ok((at.x()?, at.arg(1, "target").tensor()?))
}

fn bce(at: &Call<'_>) -> Outcome {
    let mut loss = BceLoss::new().reduction(reduction(at)?);
    let weight = if at.option("weight").is_given() { at.option("weight") } else { at.arg(2, "weight") };
    if let Some(weight) = weight.some() {
        loss = loss.weight(weight.array()?);
    }
    let (x, y) = two(at)?;
    Ok(vec![loss.forward(&x, &y)])
}

fn nll(at: &Call<'_>) -> Outcome {
    let mut loss = NllLoss::new().reduction(reduction(at)?);
    if let Some(index) = ignored(at)? {
        loss = loss.ignore_index(index);
    }
    if let Some(weight) = option(at, "weight").some() {
        loss = loss.weight(weight.array()?);
    }
    let (x, y) = two(at)?;
    Ok(vec![loss.forward(&x, &y)])
}

fn mse(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    Ok(vec![MseLoss::new().reduction(reduction(at)?).forward(&x, &y)])
}

fn l1(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    Ok(vec![L1Loss::new().reduction(reduction(at)?).forward(&x, &y)])
}

/// Refuses tensors of different shapes. PyTorch only warns about them and broadcasts.
fn broadcast(tensors: &[&Tensor]) -> Result<(), Refusal> {
    if tensors.iter().any(|tensor| tensor.shape() != tensors[0].shape()) {
        return lacks("shapes that differ");
    }
    Ok(())
}

fn smooth_l1(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    let beta = option(at, "beta").number_or(1.0)?;
    Ok(vec![SmoothL1Loss::new().beta(beta).reduction(reduction(at)?).forward(&x, &y)])
}

fn huber(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    let delta = option(at, "delta").number_or(1.0)?;
    Ok(vec![HuberLoss::new().delta(delta).reduction(reduction(at)?).forward(&x, &y)])
}

fn kl_div(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    let loss = KlDivLoss::new().log_target(option(at, "log_target").flag_or(false)?);
    let loss = match option(at, "reduction").text_or("mean")? {
        "batchmean" => loss.reduction(KlDivReduction::BatchMean),
        _ => loss.reduction(reduction(at)?),
    };
    Ok(vec![loss.forward(&x, &y)])
}

fn hinge_embedding(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    let margin = option(at, "margin").number_or(1.0)?;
    Ok(vec![HingeEmbeddingLoss::new().margin(margin).reduction(reduction(at)?).forward(&x, &y)])
}

fn soft_margin(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    Ok(vec![SoftMarginLoss::new().reduction(reduction(at)?).forward(&x, &y)])
}

fn margin_ranking(at: &Call<'_>) -> Outcome {
    let (first, second, y) = (at.x()?, at.arg(1, "input2").tensor()?, at.arg(2, "target").floats()?);
    broadcast(&[&first, &second, &y])?;
    let margin = option(at, "margin").number_or(0.0)?;
    Ok(vec![MarginRankingLoss::new().margin(margin).reduction(reduction(at)?).forward(&first, &second, &y)])
}

fn cosine_embedding(at: &Call<'_>) -> Outcome {
    let (first, second, y) = (at.x()?, at.arg(1, "input2").tensor()?, at.arg(2, "target").tensor()?);
    let margin = option(at, "margin").number_or(0.0)?;
    Ok(vec![CosineEmbeddingLoss::new().margin(margin).reduction(reduction(at)?).forward(&first, &second, &y)])
}

fn triplet_margin(at: &Call<'_>) -> Outcome {
    let loss = TripletMarginLoss::new()
        .margin(option(at, "margin").number_or(1.0)?)
        .p(option(at, "p").number_or(2.0)?)
        .eps(option(at, "eps").number_or(1e-6)?)
        .swap(option(at, "swap").flag_or(false)?)
        .reduction(reduction(at)?);
    Ok(vec![loss.forward(&at.x()?, &at.arg(1, "positive").tensor()?, &at.arg(2, "negative").tensor()?)])
}

fn poisson_nll(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    broadcast(&[&x, &y])?;
    let loss = PoissonNllLoss::new()
        .log_input(option(at, "log_input").flag_or(true)?)
        .full(option(at, "full").flag_or(false)?)
        .eps(option(at, "eps").number_or(1e-8)?)
        .reduction(reduction(at)?);
    Ok(vec![loss.forward(&x, &y)])
}

fn gaussian_nll(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    let loss = GaussianNllLoss::new()
        .full(option(at, "full").flag_or(false)?)
        .eps(option(at, "eps").number_or(1e-6)?)
        .reduction(reduction(at)?);
    // PyTorch broadcasts the target. wgrad requires an explicit `expand`.
    let y = if at.case.error.is_none() { y.expand(x.shape()) } else { y };
    Ok(vec![loss.forward(&x, &y, &at.arg(2, "var").tensor_or_number()?)])
}

fn multi_label_soft_margin(at: &Call<'_>) -> Outcome {
    let (x, y) = (at.x()?, at.arg(1, "target").floats()?);
    broadcast(&[&x, &y])?;
    let mut loss = MultiLabelSoftMarginLoss::new().reduction(reduction(at)?);
    if let Some(weight) = option(at, "weight").some() {
        loss = loss.weight(weight.array()?);
    }
    Ok(vec![loss.forward(&x, &y)])
}

fn multi_margin(at: &Call<'_>) -> Outcome {
    let (x, y) = two(at)?;
    if at.case.error.is_none() && x.shape().rank() != y.shape().rank() + 1 {
        return lacks("a target of the wrong rank");
    }
    let p = option(at, "p").some().map_or(Ok(1), |p| p.size())?;
    let mut loss = MultiMarginLoss::new()
        .p(u32::try_from(p).unwrap_or(u32::MAX))
        .margin(option(at, "margin").number_or(1.0)?)
        .reduction(reduction(at)?);
    if let Some(weight) = option(at, "weight").some() {
        loss = loss.weight(weight.array()?);
    }
    Ok(vec![loss.forward(&x, &y)])
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
    ("nn.functional.triplet_margin_loss", triplet_margin),
    ("nn.PoissonNLLLoss", poisson_nll),
    ("nn.functional.poisson_nll_loss", poisson_nll),
    ("nn.GaussianNLLLoss", gaussian_nll),
    ("nn.functional.gaussian_nll_loss", gaussian_nll),
    ("nn.MultiLabelSoftMarginLoss", multi_label_soft_margin),
    ("nn.functional.multilabel_soft_margin_loss", multi_label_soft_margin),
    ("nn.MultiMarginLoss", multi_margin),
    ("nn.functional.multi_margin_loss", multi_margin),
];
