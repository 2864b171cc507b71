//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for slices,
//! selections, sorting and norms of tensors.

use wgrad::prelude::*;

use crate::call::{Adapter, Call, Outcome, Refusal, lacks};

/// Returns the first argument, which must have at least one axis. PyTorch accepts the axes 0 and -1 of a scalar.
fn x(at: &Call<'_>) -> Result<Tensor, Refusal> {
    let x = at.x()?;
    if x.shape().rank() == 0 && at.case.error.is_none() { lacks("an axis of a number") } else { Ok(x) }
}

/// Returns the given axes, or all axes if none are given.
fn axes(x: &Tensor, named: Option<Vec<isize>>) -> Vec<isize> {
    match named {
        Some(axes) if x.shape().rank() == 0 && axes.iter().all(|axis| [0, -1].contains(axis)) => vec![],
        Some(axes) if !axes.is_empty() => axes,
        _ => (0..x.shape().rank().cast_signed()).collect(),
    }
}

fn split(at: &Call<'_>) -> Outcome {
    let (x, dim) = (at.x()?, at.arg(2, "dim").int_or(0)?);
    match at.arg(1, "split_size_or_sections") {
        sizes if sizes.value.is_array() => Ok(x.split_sizes(dim, &sizes.dims()?)),
        size => Ok(x.split(dim, size.size()?)),
    }
}

fn extreme(at: &Call<'_>, of: impl Fn(&Tensor, isize, bool) -> (Tensor, Tensor)) -> Outcome {
    let (y, index) = of(&x(at)?, at.arg(1, "dim").int()?, at.arg(2, "keepdim").flag_or(false)?);
    Ok(vec![y, index])
}

fn argmin(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    match at.arg(1, "dim").some() {
        None => Ok(vec![x.reshape([x.shape().numel()]).argmin(0)]),
        Some(_) if x.shape().rank() == 0 => Ok(vec![x.reshape([1]).argmin(0)]),
        Some(dim) => Ok(vec![if at.arg(2, "keepdim").flag_or(false)? {
            x.argmin_keepdim(dim.int()?)
        } else {
            x.argmin(dim.int()?)
        }]),
    }
}

fn gather(at: &Call<'_>) -> Outcome {
    if at.named("out").is_given() {
        return lacks("out");
    }
    let (x, index) = (x(at)?, at.arg(2, "index").tensor()?);
    if index.shape().numel() == 0 && index.shape().rank() != x.shape().rank() {
        return lacks("an empty index of another rank");
    }
    Ok(vec![x.gather(at.arg(1, "dim").int()?, &index)])
}

fn take_along_dim(at: &Call<'_>) -> Outcome {
    let (x, index) = (x(at)?, at.arg(1, "indices").tensor()?);
    if at.arg(1, "indices").array()?.to_f64().iter().any(|&index| index > f64::from(i32::MAX)) {
        return lacks("negative indices");
    }
    let Some(dim) = at.arg(2, "dim").some() else {
        return Ok(vec![x.flatten(0).gather(0, &index.flatten(0))]);
    };
    // PyTorch broadcasts both tensors except along the axis. wgrad's `gather` does not broadcast.
    let axis = dim.int()?;
    let spread = |own: &Tensor, other: &Tensor| {
        let mut shape = own.shape().dims().to_vec();
        let at = own.shape().axis(axis).unwrap_or(0);
        for (i, (size, &others)) in shape.iter_mut().zip(other.shape().dims()).enumerate() {
            *size = if i == at { *size } else { (*size).max(others) };
        }
        own.expand(shape)
    };
    Ok(vec![spread(&x, &index).gather(axis, &spread(&index, &x))])
}

fn index_select(at: &Call<'_>) -> Outcome {
    if at.named("out").is_given() {
        return lacks("out");
    }
    Ok(vec![x(at)?.index_select(at.arg(1, "dim").int()?, &at.arg(2, "index").tensor()?)])
}

/// Translates `torch.norm(x, p, dim, keepdim)`, and the function in `torch.linalg`, whose arguments have other
/// names.
fn norm(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let p = if at.named("ord").is_given() { at.named("ord") } else { at.arg(1, "p") };
    let p = if p.value.is_string() { 2.0 } else { p.number_or(2.0)? };
    if p < 0.0 && p.is_finite() {
        return lacks("a norm with a negative p");
    }
    let named = at.arg(2, "dim").some().map(|dim| dim.ints()).transpose()?;
    let keep = at.arg(3, "keepdim").flag_or(false)?;
    let axes = axes(&x, named);
    Ok(vec![if keep { x.norm_keepdim(p, &axes) } else { x.norm(p, &axes) }])
}

fn logsumexp(at: &Call<'_>) -> Outcome {
    let x = at.x()?;
    let axes = axes(&x, Some(at.arg(1, "dim").ints()?));
    Ok(vec![if at.arg(2, "keepdim").flag_or(false)? { x.logsumexp_keepdim(&axes) } else { x.logsumexp(&axes) }])
}

/// Translates variance or standard deviation, with the mean as a second output for `std_mean` and `var_mean`.
fn spread(at: &Call<'_>, root: bool, mean: bool) -> Outcome {
    let x = at.x()?;
    // In the overload with only a flag, the flag is at the position of the axis.
    let flag = at.arg(1, "unbiased").value.as_bool();
    let correction = match (at.named("correction").some(), flag, at.named("unbiased").some()) {
        (Some(correction), ..) => correction.number()?,
        (_, Some(unbiased), _) => f64::from(u8::from(unbiased)),
        (.., Some(unbiased)) => f64::from(u8::from(unbiased.flag()?)),
        _ => 1.0,
    };
    if correction != 0.0 && (correction - 1.0).abs() > 0.0 {
        return lacks("correction other than 0 and 1");
    }
    let (axes, correction) =
        (axes(&x, at.named("dim").some().map(|dim| dim.ints()).transpose()?), usize::from(correction != 0.0));
    let keep = at.named("keepdim").flag_or(false)?;
    let y = match (root, keep) {
        (true, true) => x.std_keepdim(&axes, correction),
        (true, false) => x.std(&axes, correction),
        (false, true) => x.var_keepdim(&axes, correction),
        (false, false) => x.var(&axes, correction),
    };
    Ok(if mean { vec![y, if keep { x.mean_keepdim(&axes) } else { x.mean(&axes) }] } else { vec![y] })
}

fn unflatten(at: &Call<'_>) -> Outcome {
    let (x, sizes) = (at.x()?, at.arg(2, "sizes").ints()?);
    let axis = x.shape().axis(at.arg(1, "dim").int()?).unwrap_or(0);
    let dims = x.shape().dims().to_vec();
    let known: usize = sizes.iter().filter(|&&size| size >= 0).map(|size| size.unsigned_abs()).product();
    let sizes = sizes.iter().map(|&size| usize::try_from(size).unwrap_or(dims[axis] / known.max(1)));
    let shape: Vec<_> = dims[..axis].iter().copied().chain(sizes).chain(dims[axis + 1..].iter().copied()).collect();
    Ok(vec![x.reshape(shape)])
}

fn unbind(at: &Call<'_>) -> Outcome {
    let (x, dim) = (at.x()?, at.arg(1, "dim").int_or(0)?);
    Ok(x.split(dim, 1).iter().map(|part| part.squeeze(dim)).collect())
}

fn normalize(at: &Call<'_>) -> Outcome {
    let (x, p) = (x(at)?, at.named("p").number_or(2.0)?);
    if p < 0.0 {
        return lacks("a norm with a negative p");
    }
    let norm = x.norm_keepdim(p, [at.named("dim").int_or(1)?]);
    let eps = at.named("eps").number_or(1e-12)?;
    Ok(vec![&x / norm.clamp(eps, f64::INFINITY)])
}

fn cosine_similarity(at: &Call<'_>) -> Outcome {
    let (x, y) = (x(at)?, at.arg(1, "x2").tensor()?);
    let shape = x.shape().broadcast(&y.shape()).unwrap_or_else(|| x.shape());
    let (x, y) = (x.expand(shape.clone()), y.expand(shape));
    let (dim, eps) = (at.named("dim").int_or(1)?, at.named("eps").number_or(1e-8)?);
    let length = |x: &Tensor| x.norm_keepdim(2.0, [dim]).clamp(eps, f64::INFINITY);
    Ok(vec![(&x / length(&x) * (&y / length(&y))).sum([dim])])
}

fn pairwise_distance(at: &Call<'_>) -> Outcome {
    let (x, y) = (at.x()?, at.arg(1, "x2").tensor()?);
    let (p, eps) = (at.named("p").number_or(2.0)?, at.named("eps").number_or(1e-6)?);
    if p < 0.0 {
        return lacks("a norm with a negative p");
    }
    Ok(vec![if at.named("keepdim").flag_or(false)? {
        (x - y + eps).norm_keepdim(p, -1)
    } else {
        (x - y + eps).norm(p, -1)
    }])
}

/// Translates `all` or `any` to the minimum or maximum of a mask.
fn logical(at: &Call<'_>, all: bool) -> Outcome {
    let x = at.x()?.to_f32();
    let named = at.arg(1, "dim").some().map(|dim| dim.ints()).transpose()?;
    if named.as_ref().is_some_and(Vec::is_empty) {
        return lacks("an empty list of axes");
    }
    let (axes, keep) = (axes(&x, named), at.arg(2, "keepdim").flag_or(false)?);
    let y = if all {
        if keep { x.amin_keepdim(&axes) } else { x.amin(&axes) }
    } else {
        if keep { x.amax_keepdim(&axes) } else { x.amax(&axes) }
    };
    Ok(vec![y.to_u32()])
}

fn one_hot(at: &Call<'_>) -> Outcome {
    let classes = at.named("num_classes").int()?;
    let Ok(classes) = usize::try_from(classes) else { return lacks("as many classes as the data have") };
    Ok(vec![at.x()?.one_hot(classes)])
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("stack", |at| {
        let tensors = at.arg(0, "tensors").tensors()?;
        Ok(vec![stack(&tensors.iter().collect::<Vec<_>>(), at.arg(1, "dim").int_or(0)?)])
    }),
    ("split", split),
    ("split.list_args", split),
    ("split_with_sizes", split),
    ("chunk", |at| Ok(at.x()?.chunk(at.arg(2, "dim").int_or(0)?, at.arg(1, "chunks").size()?))),
    ("unbind", unbind),
    ("flip", |at| Ok(vec![at.x()?.flip(&at.arg(1, "dims").ints()?)])),
    ("repeat", |at| Ok(vec![at.x()?.repeat(&at.arg(1, "repeats").dims()?)])),
    ("expand_as", |at| Ok(vec![at.x()?.expand(at.arg(1, "other").tensor()?.shape())])),
    ("unflatten", unflatten),
    ("index_select", index_select),
    ("gather", gather),
    ("take_along_dim", take_along_dim),
    ("max.reduction_with_dim", |at| extreme(at, |x, dim, keep| if keep { x.max_keepdim(dim) } else { x.max(dim) })),
    ("min.reduction_with_dim", |at| extreme(at, |x, dim, keep| if keep { x.min_keepdim(dim) } else { x.min(dim) })),
    ("argmin", argmin),
    ("tril", |at| Ok(vec![at.x()?.tril(at.arg(1, "diagonal").int_or(0)?)])),
    ("triu", |at| Ok(vec![at.x()?.triu(at.arg(1, "diagonal").int_or(0)?)])),
    ("nn.functional.one_hot", one_hot),
    ("norm", norm),
    ("norm.fro", norm),
    ("norm.inf", norm),
    ("linalg.vector_norm", norm),
    ("logsumexp", logsumexp),
    ("std_mean", |at| spread(at, true, true)),
    ("var_mean", |at| spread(at, false, true)),
    ("std.unbiased", |at| spread(at, true, false)),
    ("var.unbiased", |at| spread(at, false, false)),
    ("nn.functional.normalize", normalize),
    ("nn.functional.cosine_similarity", cosine_similarity),
    ("nn.functional.pairwise_distance", pairwise_distance),
    ("all", |at| logical(at, true)),
    ("any", |at| logical(at, false)),
    ("outer", |at| Ok(vec![at.x()?.unsqueeze(1) * at.arg(1, "vec2").tensor()?])),
    ("addbmm", |at| {
        let (alpha, beta) = (at.named("alpha").number_or(1.0)?, at.named("beta").number_or(1.0)?);
        let product = at.arg(1, "batch1").tensor()?.matmul(&at.arg(2, "batch2").tensor()?).sum([0]) * alpha;
        // If beta is 0, even a NaN in x must have no effect.
        let x = at.x()?;
        Ok(vec![if beta == 0.0 { product } else { x * beta + product }])
    }),
    // If the bound is a tensor, the result is the larger of both. At a tie, PyTorch passes the whole gradient to
    // one argument.
    ("clamp_min", |at| Ok(vec![at.x()?.maximum(&at.arg(1, "min").tensor_or_number()?)])),
    ("clamp_max", |at| Ok(vec![at.x()?.minimum(&at.arg(1, "max").tensor_or_number()?)])),
];
