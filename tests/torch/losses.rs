//! Losses. Most have a module (options by name) and a function (arguments): one adapter serves both.

use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal};

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

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.BCEWithLogitsLoss", bce_with_logits),
    ("nn.functional.binary_cross_entropy_with_logits", bce_with_logits),
    ("nn.CrossEntropyLoss", cross_entropy),
    ("nn.functional.cross_entropy", cross_entropy),
];
