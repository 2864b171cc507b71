//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for shape
//! changes, selections, products and reductions.

use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal, lacks};

/// Returns the axes of a reduction: all axes if none are given or the list is empty.
fn axes(x: &Tensor, dim: Arg<'_>) -> Result<Vec<isize>, Refusal> {
    let named = dim.some().map(|dim| dim.ints()).transpose()?.unwrap_or_default();
    let all = || (0..x.shape().rank().cast_signed()).collect();
    Ok(if named.is_empty() { all() } else { named })
}

/// Returns the first argument, which must have at least one axis. PyTorch accepts the axes 0 and -1 of a scalar.
fn of_axes(at: &Call<'_>) -> Result<Tensor, Refusal> {
    let x = at.x()?;
    if x.shape().rank() == 0 { lacks("an axis of a number") } else { Ok(x) }
}

fn keep(at: &Call<'_>) -> Result<bool, Refusal> {
    at.arg(2, "keepdim").flag_or(false)
}

/// Translates a reduction with the arguments `dim` and `keepdim`.
fn reduce(at: &Call<'_>, of: impl Fn(&Tensor, &[isize], bool) -> Tensor) -> Outcome {
    let x = at.x()?;
    let axes = axes(&x, at.arg(1, "dim"))?;
    // PyTorch accepts the axes 0 and -1 of a scalar.
    let axes: &[isize] =
        if x.shape().rank() == 0 && axes.iter().all(|axis| [0, -1].contains(axis)) { &[] } else { &axes };
    Ok(vec![of(&x, axes, keep(at)?)])
}

fn argmax(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    match at.arg(1, "dim").some() {
        None => Ok(vec![x.reshape([x.shape().numel()]).argmax(0)]),
        Some(_) if x.shape().rank() == 0 => Ok(vec![x.reshape([1]).argmax(0)]),
        Some(dim) => Ok(vec![if keep(at)? { x.argmax_keepdim(dim.int()?) } else { x.argmax(dim.int()?) }]),
    }
}

fn variance(at: &Call<'_>) -> Result<Tensor, Refusal> {
    let x = at.x()?;
    let correction = match (at.named("correction").some(), at.named("unbiased").some()) {
        (Some(correction), _) => correction.number()?,
        (_, Some(unbiased)) => f64::from(u8::from(unbiased.flag()?)),
        _ => 1.0,
    };
    if correction != 0.0 && (correction - 1.0).abs() > 0.0 {
        return lacks("correction other than 0 and 1");
    }
    Ok({
        let axes = axes(&x, at.named("dim"))?;
        let correction = usize::from(correction != 0.0);
        if at.named("keepdim").flag_or(false)? { x.var_keepdim(&axes, correction) } else { x.var(&axes, correction) }
    })
}

/// Replaces a -1 in a shape with the size for which the number of elements does not change.
fn shape(x: &Tensor, dims: &[isize]) -> Result<Vec<usize>, Refusal> {
    let known: isize = dims.iter().filter(|&&size| size >= 0).product();
    let numel = x.shape().numel().cast_signed();
    let size = |&size: &isize| match size {
        -1 if known > 0 => usize::try_from(numel / known),
        size => usize::try_from(size),
    };
    dims.iter().map(|dim| size(dim).map_err(|_| Refusal::Untypable("shape is no shape".into()))).collect()
}

fn reshape(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let shape = shape(&x, &at.arg(1, "shape").ints()?)?;
    Ok(vec![x.reshape(shape)])
}

fn expand(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let target = at.arg(1, "size").ints()?;
    let own = x.shape();
    let lead = target.len().saturating_sub(own.rank());
    let size = |(axis, &size): (usize, &isize)| match size {
        -1 if axis >= lead => Ok(own.dims()[axis - lead]),
        size => usize::try_from(size).map_err(|_| Refusal::Untypable("size is no size".into())),
    };
    let target: Vec<_> = target.iter().enumerate().map(size).collect::<Result<_, _>>()?;
    Ok(vec![x.expand(target)])
}

fn squeeze(at: &Call<'_>) -> Outcome {
    let mut x = at.x()?;
    let ones = |x: &Tensor| (0..x.shape().rank()).rev().filter(|&axis| x.shape().dims()[axis] == 1).collect::<Vec<_>>();
    let axes = match at.arg(1, "dim").some() {
        None => ones(&x).iter().map(|axis| axis.cast_signed()).collect(),
        Some(dim) => dim.ints()?,
    };
    let mut resolved = vec![];
    for axis in axes {
        match x.shape().axis(axis) {
            // PyTorch ignores an axis whose size is not 1; wgrad refuses to remove it.
            Some(place) if x.shape().dims()[place] != 1 => return lacks("an axis whose size is not 1"),
            Some(place) => resolved.push(place),
            None if x.shape().rank() == 0 => return lacks("an axis of a number"),
            None => return Ok(vec![x.squeeze(axis)]),
        }
    }
    resolved.sort_unstable();
    resolved.dedup();
    for axis in resolved.into_iter().rev() {
        x = x.squeeze(axis.cast_signed());
    }
    Ok(vec![x])
}

fn narrow(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    if at.arg(2, "start").is_tensor() {
        return lacks("a start that is a tensor");
    }
    let (axis, start, length) = (at.arg(1, "dim").int()?, at.arg(2, "start").int()?, at.arg(3, "length").size()?);
    let size = x.shape().axis(axis).map_or(0, |axis| x.shape().dims()[axis]);
    let start = if start < 0 { start.checked_add_unsigned(size).unwrap_or(-1) } else { start };
    let Ok(start) = usize::try_from(start) else { return Err(Refusal::Untypable("start is no size".into())) };
    Ok(vec![x.slice(axis, start..start.saturating_add(length))])
}

fn select(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let (axis, index) = (at.arg(1, "dim").int()?, at.arg(2, "index").int()?);
    let size = x.shape().axis(axis).map_or(0, |axis| x.shape().dims()[axis]);
    let index = if index < 0 { index.checked_add_unsigned(size).unwrap_or(-1) } else { index };
    let Ok(index) = usize::try_from(index) else { return Err(Refusal::Untypable("index is no size".into())) };
    Ok(vec![x.slice(axis, index..=index).squeeze(axis)])
}

fn cat(at: &Call<'_>) -> Outcome {
    if at.named("out").is_given() {
        return lacks("out");
    }
    let tensors = at.arg(0, "tensors").tensors()?;
    if tensors.is_empty() {
        return Err(Refusal::Untypable("tensors is no list of tensors".into()));
    }
    if tensors.iter().any(|tensor| tensor.shape().dims() == [0])
        && tensors.iter().any(|tensor| tensor.shape().rank() > 1)
    {
        return lacks("an empty line among other shapes");
    }
    Ok(vec![wgrad::ops::cat(&tensors.iter().collect::<Vec<_>>(), at.arg(1, "dim").int_or(0)?)])
}

fn flatten(at: &Call<'_>) -> Outcome {
    let option = |position, name, default| {
        if at.option(name).is_given() { at.option(name).int() } else { at.arg(position, name).int_or(default) }
    };
    let (start, end, x) = (option(1, "start_dim", 0)?, option(2, "end_dim", -1)?, at.x()?);
    let last = x.shape().rank().saturating_sub(1);
    if end != -1 && x.shape().axis(end) != Some(last) {
        return lacks("end_dim");
    }
    Ok(vec![x.flatten(start)])
}

/// Traces the product of two matrices or vectors.
fn product(x: &Tensor, y: &Tensor) -> Tensor {
    let (a, b) = (x.shape().rank(), y.shape().rank());
    let x = if a == 1 { x.unsqueeze(0) } else { x.clone() };
    let y = if b == 1 { y.unsqueeze(1) } else { y.clone() };
    let mut z = x.matmul(&y);
    if b == 1 {
        z = z.squeeze(-1);
    }
    if a == 1 { z.squeeze(if b == 1 { -1 } else { -2 }) } else { z }
}

fn matmul(at: &Call<'_>) -> Outcome {
    Ok(vec![product(&at.x()?, &at.arg(1, "other").tensor()?)])
}

/// Translates functions that compute `beta·x + alpha·(y @ z)`.
fn added(at: &Call<'_>) -> Outcome {
    let (alpha, beta) = (at.named("alpha").number_or(1.0)?, at.named("beta").number_or(1.0)?);
    let (y, z) = (at.arg(1, "mat1").tensor()?, at.arg(2, "mat2").tensor()?);
    let (x, product) = (at.x()?, product(&y, &z) * alpha);
    // If beta is 0, even a NaN in x must have no effect.
    Ok(vec![if beta == 0.0 { product } else { x * beta + product }])
}

fn pad(at: &Call<'_>) -> Outcome {
    let (mut x, sizes) = (at.x()?, at.arg(1, "pad").ints()?);
    if sizes.iter().any(|&size| size < 0) {
        return lacks("padding of a negative size");
    }
    // The third argument of the function is the mode, so a value is the fourth.
    let value = at.arg(if at.arg(2, "mode").value.is_string() { 3 } else { 2 }, "value").number_or(0.0)?;
    for (i, sizes) in sizes.chunks(2).enumerate() {
        x = x.pad_with(-1 - i.cast_signed(), sizes[0].unsigned_abs(), sizes[1].unsigned_abs(), value);
    }
    Ok(vec![x])
}

fn embedding(at: &Call<'_>) -> Outcome {
    if at.named("max_norm").some().is_some() || at.named("scale_grad_by_freq").flag_or(false)? {
        return lacks("max_norm or scale_grad_by_freq");
    }
    if at.named("padding_idx").some().is_some() {
        return lacks("padding_idx");
    }
    // PyTorch's test passes the table as the first argument.
    Ok(vec![at.arg(0, "weight").tensor()?.embedding(&at.arg(1, "input").tensor()?)])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("sum", |at| reduce(at, |x, axes, keep| if keep { x.sum_keepdim(axes) } else { x.sum(axes) })),
    ("mean", |at| reduce(at, |x, axes, keep| if keep { x.mean_keepdim(axes) } else { x.mean(axes) })),
    ("amax", |at| reduce(at, |x, axes, keep| if keep { x.amax_keepdim(axes) } else { x.amax(axes) })),
    ("amin", |at| reduce(at, |x, axes, keep| if keep { x.amin_keepdim(axes) } else { x.amin(axes) })),
    ("max.reduction_no_dim", |at| Ok(vec![at.x()?.max_all()])),
    ("min.reduction_no_dim", |at| Ok(vec![at.x()?.min_all()])),
    ("argmax", argmax),
    ("var", |at| Ok(vec![variance(at)?])),
    ("std", |at| Ok(vec![variance(at)?.sqrt()])),
    ("cumsum", |at| Ok(vec![of_axes(at)?.cumsum(at.arg(1, "dim").int()?)])),
    ("reshape", reshape),
    ("view", reshape),
    ("broadcast_to", expand),
    ("expand", expand),
    ("permute", |at| Ok(vec![at.x()?.permute(&at.arg(1, "dims").ints()?)])),
    ("transpose", |at| Ok(vec![of_axes(at)?.transpose(at.arg(1, "dim0").int()?, at.arg(2, "dim1").int()?)])),
    ("t", |at| {
        let x = at.x()?;
        if x.shape().rank() < 2 { lacks("the transpose of a line") } else { Ok(vec![x.t()]) }
    }),
    ("squeeze", squeeze),
    ("squeeze.multiple", squeeze),
    ("unsqueeze", |at| Ok(vec![at.x()?.unsqueeze(at.arg(1, "dim").int()?)])),
    ("narrow", narrow),
    ("select", select),
    ("cat", cat),
    ("flatten", flatten),
    ("matmul", matmul),
    ("mm", matmul),
    ("bmm", matmul),
    ("mv", matmul),
    ("dot", matmul),
    ("addmm", added),
    ("addmv", added),
    ("baddbmm", added),
    ("constant_pad_nd", pad),
    ("nn.functional.pad.constant", pad),
    ("nn.functional.embedding", embedding),
];
