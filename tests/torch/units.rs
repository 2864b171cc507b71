//! Activations with options, rounding, sorting and contractions.

use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal, lacks};

/// An adapter of one argument.
macro_rules! unary {
    ($method:ident) => {
        |at| Ok(vec![at.x()?.$method()])
    };
}

/// An option of the module, or an argument of the function.
fn option<'a>(at: &'a Call<'a>, position: usize, name: &'a str) -> Arg<'a> {
    if at.option(name).is_given() { at.option(name) } else { at.arg(position, name) }
}

/// An adapter with one number.
fn of_number(at: &Call<'_>, name: &'static str, default: f64, of: impl Fn(&Tensor, f64) -> Tensor) -> Outcome {
    Ok(vec![of(&at.x()?, option(at, 1, name).number_or(default)?)])
}

fn hardtanh(at: &Call<'_>) -> Outcome {
    let (min, max) = (option(at, 1, "min_val").number_or(-1.0)?, option(at, 2, "max_val").number_or(1.0)?);
    Ok(vec![Hardtanh { min, max }.forward(&at.x()?)])
}

fn threshold(at: &Call<'_>) -> Outcome {
    let (threshold, value) = (option(at, 1, "threshold").number()?, option(at, 2, "value").number()?);
    Ok(vec![Threshold { threshold, value }.forward(&at.x()?)])
}

fn glu(at: &Call<'_>) -> Outcome {
    Ok(vec![Glu::new(option(at, 1, "dim").int_or(-1)?).forward(&at.x()?)])
}

/// The arguments of a sort: which axis, and whether downwards. PyTorch sorts numbers without axes along 0 and -1.
fn order(at: &Call<'_>) -> Result<(Tensor, isize, bool), Refusal> {
    let x = at.x()?;
    if x.shape().rank() == 0 {
        return lacks("an axis of a number");
    }
    if x.dtype() != DType::F32 {
        return lacks("sorting integers");
    }
    Ok((x, at.arg(1, "dim").int_or(-1)?, at.arg(2, "descending").flag_or(false)?))
}

fn topk(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    if x.shape().rank() == 0 {
        return lacks("an axis of a number");
    }
    let (k, axis) = (at.arg(1, "k").size()?, at.arg(2, "dim").int_or(-1)?);
    let (values, indices) = x.topk(k, axis, at.arg(3, "largest").flag_or(true)?);
    Ok(vec![values, indices])
}

fn contraction(at: &Call<'_>) -> Outcome {
    let (tensors, equation) = (at.arg(0, "operands").tensors()?, at.arg(1, "equation").text()?);
    let (terms, result) = equation.split_once("->").unwrap_or((equation, ""));
    let twice = |term: &str| term.chars().any(|c| c.is_ascii_alphabetic() && term.matches(c).count() > 1);
    if at.case.error.is_none() && terms.split(',').chain([result]).any(twice) {
        return lacks("a letter twice in one term");
    }
    Ok(vec![einsum(equation, &tensors.iter().collect::<Vec<_>>())])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.ELU", |at| of_number(at, "alpha", 1.0, |x, alpha| Elu { alpha }.forward(x))),
    ("nn.functional.elu", |at| of_number(at, "alpha", 1.0, Tensor::elu)),
    ("nn.CELU", |at| of_number(at, "alpha", 1.0, |x, alpha| Celu { alpha }.forward(x))),
    ("nn.functional.celu", |at| of_number(at, "alpha", 1.0, Tensor::celu)),
    ("nn.SELU", |at| at.module(&Selu)),
    ("nn.functional.selu", unary!(selu)),
    ("nn.Mish", |at| at.module(&Mish)),
    ("nn.functional.mish", unary!(mish)),
    ("nn.ReLU6", |at| at.module(&Relu6)),
    ("nn.functional.relu6", unary!(relu6)),
    ("nn.Hardswish", |at| at.module(&Hardswish)),
    ("nn.functional.hardswish", unary!(hardswish)),
    ("nn.functional.hardsigmoid", unary!(hardsigmoid)),
    ("nn.Hardtanh", hardtanh),
    ("nn.functional.hardtanh", hardtanh),
    ("nn.Threshold", threshold),
    ("nn.functional.threshold", threshold),
    ("nn.Softshrink", |at| of_number(at, "lambd", 0.5, |x, lambda| Softshrink { lambda }.forward(x))),
    ("nn.functional.softshrink", |at| of_number(at, "lambd", 0.5, Tensor::softshrink)),
    ("nn.Hardshrink", |at| of_number(at, "lambd", 0.5, |x, lambda| Hardshrink { lambda }.forward(x))),
    ("nn.functional.hardshrink", |at| of_number(at, "lambd", 0.5, Tensor::hardshrink)),
    ("nn.Tanhshrink", |at| at.module(&Tanhshrink)),
    ("nn.functional.tanhshrink", unary!(tanhshrink)),
    ("nn.GLU", glu),
    ("nn.functional.glu", glu),
    ("nn.PReLU", |at| {
        let (weights, init) = (at.option("num_parameters").size()?, at.option("init").number()?);
        at.module(&Prelu::with(&at.params, weights, init))
    }),
    ("nn.functional.prelu", |at| Ok(vec![at.x()?.prelu(&at.arg(1, "weight").tensor()?)])),
    ("sin", unary!(sin)),
    ("cos", unary!(cos)),
    ("ceil", unary!(ceil)),
    ("round", unary!(round)),
    ("trunc", unary!(trunc)),
    ("sort", |at| {
        let (x, axis, descending) = order(at)?;
        let (values, indices) = x.sort(axis, descending);
        Ok(vec![values, indices])
    }),
    ("argsort", |at| {
        let (x, axis, descending) = order(at)?;
        Ok(vec![x.argsort(axis, descending)])
    }),
    ("topk", topk),
    ("einsum", contraction),
];
