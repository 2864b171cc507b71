//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for activations
//! with options, rounding, sorting, and `einsum`.

use wgrad::nn::layers as nn;
use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal, lacks};

/// Returns an option of the module, or the argument of the function at this position or with this name.
fn option<'a>(at: &'a Call<'a>, position: usize, name: &'a str) -> Arg<'a> {
    if at.option(name).is_given() { at.option(name) } else { at.arg(position, name) }
}

fn number(at: &Call<'_>, position: usize, name: &str, default: f64) -> Result<f64, Refusal> {
    option(at, position, name).number_or(default)
}

fn elu(at: &Call<'_>) -> Outcome {
    at.module(&nn::Elu::new().alpha(number(at, 1, "alpha", 1.0)?))
}

fn celu(at: &Call<'_>) -> Outcome {
    at.module(&nn::Celu::new().alpha(number(at, 1, "alpha", 1.0)?))
}

fn softplus(at: &Call<'_>) -> Outcome {
    at.module(&nn::Softplus::new().beta(number(at, 1, "beta", 1.0)?).threshold(number(at, 2, "threshold", 20.0)?))
}

fn hardtanh(at: &Call<'_>) -> Outcome {
    at.module(&nn::Hardtanh::new().min_val(number(at, 1, "min_val", -1.0)?).max_val(number(at, 2, "max_val", 1.0)?))
}

fn softshrink(at: &Call<'_>) -> Outcome {
    at.module(&nn::Softshrink::new().lambd(number(at, 1, "lambd", 0.5)?))
}

fn hardshrink(at: &Call<'_>) -> Outcome {
    if number(at, 1, "lambd", 0.5)? < 0.0 {
        return lacks("a negative lambda");
    }
    at.module(&nn::Hardshrink::new().lambd(number(at, 1, "lambd", 0.5)?))
}

fn threshold(at: &Call<'_>) -> Outcome {
    let (threshold, value) = (option(at, 1, "threshold").number()?, option(at, 2, "value").number()?);
    at.module(&nn::Threshold::new(threshold, value))
}

fn glu(at: &Call<'_>) -> Outcome {
    at.module(&nn::Glu::new().dim(option(at, 1, "dim").int_or(-1)?))
}

fn prelu(at: &Call<'_>) -> Outcome {
    let options =
        nn::PreluOptions::new().num_parameters(at.option("num_parameters").size()?).init(at.option("init").number()?);
    at.module(&nn::Prelu::with(&at.params, options))
}

/// Returns the sorted values and their indices. `dim` and `descending` are passed by position or by name.
fn sorted(at: &Call<'_>) -> Result<(Tensor, Tensor), Refusal> {
    let x = at.x()?;
    // A scalar has no axes, but PyTorch accepts the axes 0 and -1.
    if x.shape().rank() == 0 {
        return lacks("an axis of a number");
    }
    Ok(x.sort(at.arg(1, "dim").int_or(-1)?, at.arg(2, "descending").flag_or(false)?))
}

fn topk(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    if x.shape().rank() == 0 {
        return lacks("an axis of a number");
    }
    let (dim, largest) = (at.arg(2, "dim").int_or(-1)?, at.arg(3, "largest").flag_or(true)?);
    let (y, index) = x.topk(at.arg(1, "k").size()?, dim, largest);
    Ok(vec![y, index])
}

fn by_name(at: &Call<'_>) -> Outcome {
    let (tensors, equation) = (at.arg(0, "operands").tensors()?, at.arg(1, "equation").text()?);
    if equation.contains("...") {
        return lacks("an ellipsis");
    }
    let twice = |term: &str| term.chars().enumerate().any(|(i, c)| c.is_alphabetic() && term[..i].contains(c));
    if equation.split("->").next().unwrap_or_default().split(',').any(twice) {
        return lacks("a diagonal");
    }
    Ok(vec![einsum(equation, &tensors.iter().collect::<Vec<_>>())])
}

/// Translates an instance norm to a group norm with one group per channel.
fn instance_norm(at: &Call<'_>, axes: usize) -> Outcome {
    if at.option("track_running_stats").flag()? {
        return lacks("running statistics");
    }
    let x = at.x()?;
    let (weight, bias) = (at.state("weight"), at.state("bias"));
    let lone = x.shape().rank() == axes + 1;
    let x = if lone { x.unsqueeze(0) } else { x };
    let channels = at.option("num_features").size()?;
    let y = x.group_norm(channels, weight.as_ref(), bias.as_ref(), at.option("eps").number()?);
    Ok(vec![if lone { y.squeeze(0) } else { y }])
}

/// Translates `ZeroPad` and `ConstantPad`; only the latter has the option `value`.
fn pad(at: &Call<'_>, axes: usize) -> Outcome {
    let value = at.option("value").number_or(0.0)?;
    let (mut x, sizes) = (at.x()?, at.option("padding").dims()?);
    let sizes = if sizes.len() == 1 { vec![sizes[0]; 2 * axes] } else { sizes };
    for (i, sizes) in sizes.chunks(2).enumerate() {
        x = x.pad_with(-1 - i.cast_signed(), sizes[0], sizes[1], value);
    }
    Ok(vec![x])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.ELU", elu),
    ("nn.functional.elu", elu),
    ("nn.CELU", celu),
    ("nn.functional.celu", celu),
    ("nn.SELU", |at| at.module(&nn::Selu)),
    ("nn.functional.selu", |at| at.module(&nn::Selu)),
    ("nn.Mish", |at| at.module(&nn::Mish)),
    ("nn.functional.mish", |at| at.module(&nn::Mish)),
    ("nn.ReLU6", |at| at.module(&nn::Relu6)),
    ("nn.functional.relu6", |at| at.module(&nn::Relu6)),
    ("nn.Hardswish", |at| at.module(&nn::Hardswish)),
    ("nn.functional.hardswish", |at| at.module(&nn::Hardswish)),
    ("nn.functional.hardsigmoid", |at| at.module(&nn::Hardsigmoid)),
    ("nn.Tanhshrink", |at| at.module(&nn::Tanhshrink)),
    ("nn.functional.tanhshrink", |at| at.module(&nn::Tanhshrink)),
    ("nn.Softplus", softplus),
    ("nn.functional.softplus", softplus),
    ("nn.Hardtanh", hardtanh),
    ("nn.functional.hardtanh", hardtanh),
    ("nn.Softshrink", softshrink),
    ("nn.functional.softshrink", softshrink),
    ("nn.Hardshrink", hardshrink),
    ("nn.functional.hardshrink", hardshrink),
    ("nn.Threshold", threshold),
    ("nn.functional.threshold", threshold),
    ("nn.GLU", glu),
    ("nn.functional.glu", glu),
    ("nn.PReLU", prelu),
    ("nn.functional.prelu", |at| Ok(vec![at.x()?.prelu(&at.arg(1, "weight").tensor()?)])),
    ("ceil", |at| Ok(vec![at.x()?.ceil()])),
    ("round", |at| Ok(vec![at.x()?.round()])),
    ("trunc", |at| Ok(vec![at.x()?.trunc()])),
    ("sin", |at| Ok(vec![at.x()?.sin()])),
    ("cos", |at| Ok(vec![at.x()?.cos()])),
    ("div.trunc_rounding", |at| Ok(vec![(at.x()? / at.arg(1, "other").tensor_or_number()?).trunc()])),
    ("sort", |at| sorted(at).map(|(y, index)| vec![y, index])),
    ("argsort", |at| sorted(at).map(|(_, index)| vec![index])),
    ("topk", topk),
    ("einsum", by_name),
    ("nn.InstanceNorm1d", |at| instance_norm(at, 1)),
    ("nn.InstanceNorm2d", |at| instance_norm(at, 2)),
    ("nn.ZeroPad1d", |at| pad(at, 1)),
    ("nn.ZeroPad2d", |at| pad(at, 2)),
    ("nn.ConstantPad1d", |at| pad(at, 1)),
    ("nn.ConstantPad2d", |at| pad(at, 2)),
];
