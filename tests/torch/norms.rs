//! Norms and softmax.

use wgrad::prelude::*;

use crate::call::{Adapter, Call, Outcome, lacks};

fn batch_norm<M: Module>(at: &Call<'_>, with: impl Fn(&Params, usize, BatchNormOptions) -> M) -> Outcome {
    let options = BatchNormOptions {
        eps: at.option("eps").number()?,
        momentum: at.option("momentum").some().map(|momentum| momentum.number()).transpose()?,
        affine: at.option("affine").flag()?,
        bias: at.option("bias").flag_or(true)?,
        track_running_stats: at.option("track_running_stats").flag()?,
    };
    if at.case.train && at.case.error.is_none() && at.x()?.shape().dims()[0] == 0 {
        return lacks("an empty batch in training");
    }
    at.module(&with(&at.params, at.option("num_features").size()?, options))
}

fn functional_batch_norm(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let [mean, var, weight, bias] =
        [(1, "running_mean"), (2, "running_var"), (3, "weight"), (4, "bias")].map(|(i, name)| at.arg(i, name));
    let eps = at.arg(7, "eps").number_or(1e-5)?;
    if x.shape().rank() < 2 {
        return lacks("an input without channels");
    }
    let (weight, bias) = (weight.tensor_or_none()?, bias.tensor_or_none()?);
    if at.arg(5, "training").flag_or(false)? {
        return Ok(vec![x.batch_norm_train(weight.as_ref(), bias.as_ref(), eps).0]);
    }
    let mut shape = vec![1; x.shape().rank()];
    shape[1] = x.shape().dims()[1];
    let place = |tensor: &Tensor| tensor.reshape(shape.clone());
    let mut y = (&x - place(&mean.tensor()?)) * (place(&var.tensor()?) + eps).rsqrt();
    if let Some(weight) = weight {
        y = y * place(&weight);
    }
    Ok(vec![if let Some(bias) = bias { y + place(&bias) } else { y }])
}

/// Softmax and its kin; `dim` is an option of the module or the second argument.
fn softmax(at: &Call<'_>, of: impl Fn(&Tensor, isize) -> Tensor) -> Outcome {
    let dim = if at.option("dim").is_given() { at.option("dim") } else { at.arg(1, "dim") };
    let Some(dim) = dim.some() else { return lacks("a missing dim") };
    let x = at.x()?;
    if x.shape().rank() == 0 {
        return lacks("an axis of a number");
    }
    Ok(vec![of(&x, dim.int()?)])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.BatchNorm1d", |at| batch_norm(at, BatchNorm1d::with)),
    ("nn.BatchNorm2d", |at| batch_norm(at, BatchNorm2d::with)),
    ("nn.functional.batch_norm", functional_batch_norm),
    ("nn.Softmax", |at| softmax(at, |x, dim| x.softmax(dim))),
    ("nn.LogSoftmax", |at| softmax(at, |x, dim| x.log_softmax(dim))),
    ("nn.Softmin", |at| softmax(at, |x, dim| (-x).softmax(dim))),
    ("nn.Softmax2d", |at| Ok(vec![at.x()?.softmax(-3)])),
    ("softmax", |at| softmax(at, |x, dim| x.softmax(dim))),
    ("log_softmax", |at| softmax(at, |x, dim| x.log_softmax(dim))),
    ("nn.functional.softmin", |at| softmax(at, |x, dim| (-x).softmax(dim))),
];
