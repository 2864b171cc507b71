//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for operators
//! and activations that act on single elements.

use wgrad::prelude::*;

use crate::call::{Adapter, Call, Outcome, Refusal};

/// Defines a call adapter that calls a tensor method without arguments.
macro_rules! unary {
    ($method:ident) => {
        |at| Ok(vec![at.x()?.$method()])
    };
}

/// Defines a call adapter for a function of two arguments, each a tensor or a number.
macro_rules! binary {
    (|$x:ident, $y:ident| $body:expr) => {
        |at| {
            let ($x, $y) = both(at)?;
            Ok(vec![$body])
        }
    };
}

fn both(at: &Call<'_>) -> Result<(Tensor, Tensor), Refusal> {
    Ok((at.x()?, at.arg(1, "other").tensor_or_number()?))
}

/// Returns both arguments, the second multiplied by `alpha`.
fn scaled(at: &Call<'_>) -> Result<(Tensor, Tensor), Refusal> {
    let (x, y) = both(at)?;
    let alpha = at.named("alpha").number_or(1.0)?;
    Ok((x, y * alpha))
}

/// Returns a mask of the elements that are not zero.
fn mask(x: &Tensor) -> Tensor {
    if x.dtype() == DType::U32 { x.clone() } else { x.ne(0.0) }
}

/// Translates `clamp`. If a bound is a tensor, uses `maximum` and `minimum`, which divide the gradient equally at
/// a tie.
fn clamp(at: &Call<'_>) -> Outcome {
    let (x, low, high) = (at.x()?, at.arg(1, "min"), at.arg(2, "max"));
    if !low.is_tensor() && !high.is_tensor() {
        return Ok(vec![x.clamp(low.number_or(f64::NEG_INFINITY)?, high.number_or(f64::INFINITY)?)]);
    }
    let x = low.some().map(|low| low.tensor_or_number()).transpose()?.map_or_else(|| x.clone(), |low| x.maximum(&low));
    let high = high.some().map(|high| high.tensor_or_number()).transpose()?;
    Ok(vec![high.map_or_else(|| x.clone(), |high| x.minimum(&high))])
}

fn gelu(at: &Call<'_>) -> Outcome {
    let approximate =
        if at.option("approximate").is_given() { at.option("approximate") } else { at.named("approximate") };
    match approximate.text_or("none")? {
        "tanh" => Ok(vec![at.x()?.gelu_tanh()]),
        "none" => Ok(vec![at.x()?.gelu()]),
        _ => Err(Refusal::Untypable("approximate is no approximation".into())),
    }
}

fn leaky_relu(at: &Call<'_>) -> Outcome {
    let slope = if at.option("negative_slope").is_given() {
        at.option("negative_slope").number()?
    } else {
        at.arg(1, "negative_slope").number_or(0.01)?
    };
    Ok(vec![at.x()?.leaky_relu(slope)])
}

fn masked_fill(at: &Call<'_>) -> Outcome {
    let (x, mask) = (at.x()?, at.arg(1, "mask").tensor()?);
    Ok(vec![mask.where_cond(&at.arg(2, "value").tensor_or_number()?, &x)])
}

fn lerp(at: &Call<'_>) -> Outcome {
    let (x, y) = (at.x()?, at.arg(1, "end").tensor()?);
    let weight = at.arg(2, "weight").tensor_or_number()?;
    Ok(vec![&x + (y - &x) * weight])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("abs", unary!(abs)),
    ("exp", unary!(exp)),
    ("log", unary!(log)),
    ("log1p", unary!(log1p)),
    ("sqrt", unary!(sqrt)),
    ("rsqrt", unary!(rsqrt)),
    ("reciprocal", unary!(reciprocal)),
    ("square", unary!(square)),
    ("sign", unary!(sign)),
    ("floor", unary!(floor)),
    ("erf", unary!(erf)),
    ("sigmoid", unary!(sigmoid)),
    ("tanh", unary!(tanh)),
    ("neg", |at| Ok(vec![-at.x()?])),
    ("nn.functional.relu", unary!(relu)),
    ("nn.functional.silu", unary!(silu)),
    ("nn.functional.softsign", unary!(softsign)),
    ("nn.functional.logsigmoid", unary!(log_sigmoid)),
    ("nn.functional.gelu", gelu),
    ("nn.functional.leaky_relu", leaky_relu),
    ("nn.ReLU", |at| at.module(&Relu)),
    ("nn.Sigmoid", |at| at.module(&Sigmoid)),
    ("nn.Tanh", |at| at.module(&Tanh)),
    ("nn.SiLU", |at| at.module(&Silu)),
    ("nn.LogSigmoid", |at| at.module(&LogSigmoid)),
    ("nn.Softsign", unary!(softsign)),
    ("nn.GELU", gelu),
    ("nn.LeakyReLU", leaky_relu),
    ("add", |at| scaled(at).map(|(x, y)| vec![x + y])),
    ("sub", |at| scaled(at).map(|(x, y)| vec![x - y])),
    ("rsub", |at| {
        let alpha = at.named("alpha").number_or(1.0)?;
        both(at).map(|(x, y)| vec![y - x * alpha])
    }),
    ("mul", binary!(|x, y| x * y)),
    ("div.no_rounding_mode", binary!(|x, y| x / y)),
    ("div.floor_rounding", binary!(|x, y| (x / y).floor())),
    ("__radd__", binary!(|x, y| y + x)),
    ("__rmul__", binary!(|x, y| y * x)),
    ("__rsub__", binary!(|x, y| y - x)),
    ("__rdiv__", binary!(|x, y| y / x)),
    ("maximum", binary!(|x, y| x.maximum(&y))),
    ("minimum", binary!(|x, y| x.minimum(&y))),
    ("max.binary", binary!(|x, y| x.maximum(&y))),
    ("min.binary", binary!(|x, y| x.minimum(&y))),
    ("pow", binary!(|x, y| x.pow(&y))),
    ("clamp", clamp),
    ("lerp", lerp),
    ("eq", binary!(|x, y| x.eq(&y))),
    ("ne", binary!(|x, y| x.ne(&y))),
    ("gt", binary!(|x, y| x.gt(&y))),
    ("ge", binary!(|x, y| x.ge(&y))),
    ("lt", binary!(|x, y| x.lt(&y))),
    ("le", binary!(|x, y| x.le(&y))),
    ("logical_and", binary!(|x, y| mask(&x).logical_and(&mask(&y)))),
    ("logical_or", binary!(|x, y| mask(&x).logical_or(&mask(&y)))),
    ("logical_not", |at| Ok(vec![mask(&at.x()?).logical_not()])),
    // PyTorch's test passes the condition as the second argument.
    ("where", |at| {
        Ok(vec![at.arg(1, "condition").tensor()?.where_cond(&at.x()?, &at.arg(2, "other").tensor_or_number()?)])
    }),
    ("masked_fill", masked_fill),
    ("addcmul", |at| {
        let value = at.named("value").number_or(1.0)?;
        Ok(vec![at.x()? + at.arg(1, "tensor1").tensor()? * at.arg(2, "tensor2").tensor()? * value])
    }),
    ("addcdiv", |at| {
        let value = at.named("value").number_or(1.0)?;
        Ok(vec![at.x()? + at.arg(1, "tensor1").tensor()? / at.arg(2, "tensor2").tensor()? * value])
    }),
];
