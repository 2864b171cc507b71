//! Layers with parameters that are neither norms nor windows, and what attention and recurrence need.

use wgrad::prelude::*;

use crate::call::{Adapter, Call, Outcome, lacks};

fn linear(at: &Call<'_>) -> Outcome {
    let options = LinearOptions { bias: at.option("bias").flag()?, ..LinearOptions::default() };
    let sizes = (at.option("in_features").size()?, at.option("out_features").size()?);
    at.module(&Linear::with(&at.params, sizes.0, sizes.1, options))
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.Linear", linear),
    ("nn.functional.linear", |at| {
        let bias = at.arg(2, "bias").tensor_or_none()?;
        if at.case.error.is_none() && at.arg(1, "weight").tensor()?.shape().rank() == 1 {
            return lacks("a weight of one axis");
        }
        Ok(vec![at.x()?.linear(&at.arg(1, "weight").tensor()?, bias.as_ref())])
    }),
];
