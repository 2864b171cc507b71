//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for norms and
//! softmax.

use wgrad::nn::layers::{GroupNorm, GroupNormOptions, LayerNorm, LayerNormOptions, RmsNorm, RmsNormOptions};
use wgrad::prelude::*;

use crate::call::{Adapter, Call, Outcome, Refusal, lacks};

fn batch_norm<M: Module>(at: &Call<'_>, with: impl Fn(&Params, usize, BatchNormOptions) -> M) -> Outcome {
    let options = BatchNormOptions::new()
        .eps(at.option("eps").number()?)
        .momentum(at.option("momentum").some().map(|momentum| momentum.number()).transpose()?)
        .affine(at.option("affine").flag()?)
        .bias(at.option("bias").flag_or(true)?)
        .track_running_stats(at.option("track_running_stats").flag()?);
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

/// Returns the first argument. wgrad's norms refuse a tensor without elements.
fn filled(at: &Call<'_>) -> Result<Tensor, Refusal> {
    let x = at.x()?;
    if x.shape().numel() == 0 && at.case.error.is_none() { lacks("an empty batch") } else { Ok(x) }
}

fn layer_norm(at: &Call<'_>) -> Outcome {
    let _ = filled(at)?;
    let options = LayerNormOptions::new()
        .eps(at.option("eps").number()?)
        .elementwise_affine(at.option("elementwise_affine").flag()?)
        .bias(at.option("bias").flag()?);
    at.module(&LayerNorm::with(&at.params, at.option("normalized_shape").dims()?, options))
}

fn rms_norm(at: &Call<'_>) -> Outcome {
    let _ = filled(at)?;
    let options = RmsNormOptions::new()
        .eps(at.option("eps").some().map(|eps| eps.number()).transpose()?)
        .elementwise_affine(at.option("elementwise_affine").flag()?);
    at.module(&RmsNorm::with(&at.params, at.option("normalized_shape").dims()?, options))
}

fn group_norm(at: &Call<'_>) -> Outcome {
    let (groups, channels) = (at.option("num_groups").size()?, at.option("num_channels").size()?);
    let options = GroupNormOptions::new()
        .eps(at.option("eps").number()?)
        .affine(at.option("affine").flag()?)
        .bias(at.option("bias").flag()?);
    let x = at.x_or(&[2, channels, 4])?;
    Ok(vec![GroupNorm::with(&at.params, groups, channels, options).forward(&x)])
}

/// Returns the option `eps`, which must not be negative in wgrad.
fn eps(at: &Call<'_>, position: usize) -> Result<f64, Refusal> {
    let eps = at.arg(position, "eps").number_or(1e-5)?;
    if eps < 0.0 && at.case.error.is_none() { lacks("a negative eps") } else { Ok(eps) }
}

fn functional_layer_norm(at: &Call<'_>) -> Outcome {
    let (weight, bias) = (at.arg(2, "weight").tensor_or_none()?, at.arg(3, "bias").tensor_or_none()?);
    let shape = at.arg(1, "normalized_shape").dims()?;
    Ok(vec![filled(at)?.layer_norm(&shape, weight.as_ref(), bias.as_ref(), eps(at, 4)?)])
}

fn functional_rms_norm(at: &Call<'_>) -> Outcome {
    let weight = at.arg(2, "weight").tensor_or_none()?;
    let shape = at.arg(1, "normalized_shape").dims()?;
    // PyTorch's default is the machine epsilon of the input's type.
    if at.arg(3, "eps").is_none() {
        return lacks("an eps that depends on the type");
    }
    Ok(vec![filled(at)?.rms_norm(&shape, weight.as_ref(), eps(at, 3)?)])
}

fn functional_group_norm(at: &Call<'_>) -> Outcome {
    let (weight, bias) = (at.arg(2, "weight").tensor_or_none()?, at.arg(3, "bias").tensor_or_none()?);
    let groups = at.arg(1, "num_groups").size()?;
    Ok(vec![filled(at)?.group_norm(groups, weight.as_ref(), bias.as_ref(), eps(at, 4)?)])
}

/// Translates softmax and related functions. `dim` is an option of the module, or the function's second argument.
fn softmax(at: &Call<'_>, of: impl Fn(&Tensor, isize) -> Tensor) -> Outcome {
    let dim = if at.option("dim").is_given() { at.option("dim") } else { at.arg(1, "dim") };
    let Some(dim) = dim.some() else { return lacks("a missing dim") };
    let x = at.x_or(&[2, 3])?;
    if x.shape().rank() == 0 {
        return lacks("an axis of a number");
    }
    Ok(vec![of(&x, dim.int()?)])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.BatchNorm1d", |at| batch_norm(at, BatchNorm1d::with)),
    ("nn.BatchNorm2d", |at| batch_norm(at, BatchNorm2d::with)),
    ("nn.functional.batch_norm", functional_batch_norm),
    ("nn.LayerNorm", layer_norm),
    ("nn.RMSNorm", rms_norm),
    ("nn.GroupNorm", group_norm),
    ("nn.functional.layer_norm", functional_layer_norm),
    ("nn.functional.rms_norm", functional_rms_norm),
    ("nn.functional.group_norm", functional_group_norm),
    ("nn.Softmax", |at| softmax(at, |x, dim| x.softmax(dim))),
    ("nn.LogSoftmax", |at| softmax(at, |x, dim| x.log_softmax(dim))),
    ("nn.Softmin", |at| softmax(at, |x, dim| (-x).softmax(dim))),
    ("nn.Softmax2d", |at| Ok(vec![at.x()?.softmax(-3)])),
    ("softmax", |at| softmax(at, |x, dim| x.softmax(dim))),
    ("log_softmax", |at| softmax(at, |x, dim| x.log_softmax(dim))),
    ("nn.functional.softmin", |at| softmax(at, |x, dim| (-x).softmax(dim))),
];
