//! Call adapters (functions that translate a call of PyTorch to a graph of wgrad) for convolutions
//! and pooling, as modules and as functions.

use wgrad::prelude::*;

use crate::call::{Adapter, Arg, Call, Outcome, Refusal};

fn padding<const D: usize>(arg: Arg<'_>) -> Result<Padding<D>, Refusal> {
    match arg.value.as_str() {
        Some("same") => Ok(Padding::Same),
        Some("valid") => Ok(Padding::VALID),
        _ => Ok(Padding::Sizes(arg.sizes_or([0; D])?)),
    }
}

fn conv_options<'a, const D: usize>(find: impl Fn(&'static str) -> Arg<'a>) -> Result<ConvOptions<D>, Refusal> {
    Ok(ConvOptions {
        stride: find("stride").sizes_or([1; D])?,
        padding: padding(find("padding"))?,
        dilation: find("dilation").sizes_or([1; D])?,
        groups: find("groups").size_or(1)?,
    })
}

fn transpose_options<'a, const D: usize>(
    find: impl Fn(&'static str) -> Arg<'a>,
) -> Result<ConvTransposeOptions<D>, Refusal> {
    Ok(ConvTransposeOptions {
        stride: find("stride").sizes_or([1; D])?,
        padding: find("padding").sizes_or([0; D])?,
        output_padding: find("output_padding").sizes_or([0; D])?,
        dilation: find("dilation").sizes_or([1; D])?,
        groups: find("groups").size_or(1)?,
    })
}

fn conv<const D: usize>(at: &Call<'_>) -> Outcome
where
    Conv<D>: Module,
{
    let mode = match at.option("padding_mode").text()? {
        "reflect" => PaddingMode::Reflect,
        "replicate" => PaddingMode::Replicate,
        "circular" => PaddingMode::Circular,
        _ => PaddingMode::Zeros,
    };
    let kernel = Sizes(at.option("kernel_size").sizes::<D>()?);
    let (inputs, outputs) = (at.option("in_channels").size()?, at.option("out_channels").size()?);
    let window = conv_options::<D>(|name| at.option(name))?;
    let options = ConvLayerOptions::new()
        .stride(window.stride)
        .padding(window.padding)
        .dilation(window.dilation)
        .groups(window.groups)
        .bias(at.option("bias").flag()?)
        .padding_mode(mode);
    at.module(&Conv::with(&at.params, inputs, outputs, kernel, options))
}

fn conv_transpose<const D: usize>(at: &Call<'_>) -> Outcome
where
    ConvTranspose<D>: Module,
{
    let kernel = Sizes(at.option("kernel_size").sizes::<D>()?);
    let (inputs, outputs) = (at.option("in_channels").size()?, at.option("out_channels").size()?);
    let window = transpose_options::<D>(|name| at.option(name))?;
    let options = ConvTransposeLayerOptions::new()
        .stride(window.stride)
        .padding(window.padding)
        .output_padding(window.output_padding)
        .dilation(window.dilation)
        .groups(window.groups)
        .bias(at.option("bias").flag()?);
    at.module(&ConvTranspose::with(&at.params, inputs, outputs, kernel, options))
}

/// Returns the arguments of a convolution function: input, weight and bias.
fn three(at: &Call<'_>) -> Result<(Tensor, Tensor, Option<Tensor>), Refusal> {
    Ok((at.x()?, at.arg(1, "weight").tensor()?, at.arg(2, "bias").tensor_or_none()?))
}

fn max_pool<'a, const D: usize>(find: impl Fn(&'static str) -> Arg<'a>) -> Result<(MaxPool<D>, bool), Refusal> {
    let kernel = find("kernel_size").sizes::<D>()?;
    let pool = MaxPool {
        kernel,
        stride: find("stride").sizes_or(kernel)?,
        padding: find("padding").sizes_or([0; D])?,
        dilation: find("dilation").sizes_or([1; D])?,
        ceil_mode: find("ceil_mode").flag_or(false)?,
    };
    Ok((pool, find("return_indices").flag_or(false)?))
}

fn avg_pool<'a, const D: usize>(find: impl Fn(usize, &'static str) -> Arg<'a>) -> Result<AvgPool<D>, Refusal> {
    let kernel = find(1, "kernel_size").sizes::<D>()?;
    let divisor = find(6, "divisor_override");
    Ok(AvgPool {
        kernel,
        stride: find(2, "stride").sizes_or(kernel)?,
        padding: find(3, "padding").sizes_or([0; D])?,
        ceil_mode: find(4, "ceil_mode").flag_or(false)?,
        count_include_pad: find(5, "count_include_pad").flag_or(true)?,
        divisor_override: divisor.some().map(|divisor| divisor.size()).transpose()?,
    })
}

/// Returns the pooled values, with the indices of the selected elements if they are wanted.
fn with_indices((y, indices): (Tensor, Tensor), wanted: bool) -> Vec<Tensor> {
    if wanted { vec![y, indices] } else { vec![y] }
}

fn output<const D: usize>(arg: Arg<'_>) -> Result<OutputSizes<D>, Refusal> {
    let size = |arg: &Arg<'_>| arg.some().map(|arg| arg.size()).transpose();
    let sizes: Vec<_> = match arg.value.as_array() {
        Some(_) => arg.items()?.iter().map(size).collect::<Result<_, _>>()?,
        None => vec![size(&arg)?; D],
    };
    match sizes.len() {
        1 => Ok(OutputSizes([sizes[0]; D])),
        _ => sizes
            .try_into()
            .map(OutputSizes)
            .map_err(|_| Refusal::Untypable("output_size has another number of sizes".into())),
    }
}

pub static ADAPTERS: &[(&str, Adapter)] = &[
    ("nn.Conv1d", conv::<1>),
    ("nn.Conv2d", conv::<2>),
    ("nn.ConvTranspose1d", conv_transpose::<1>),
    ("nn.ConvTranspose2d", conv_transpose::<2>),
    ("nn.functional.conv1d", |at| {
        let (x, weight, bias) = three(at)?;
        Ok(vec![x.conv1d(&weight, bias.as_ref(), conv_options(|name| at.named(name))?)])
    }),
    ("nn.functional.conv2d", |at| {
        let (x, weight, bias) = three(at)?;
        Ok(vec![x.conv2d(&weight, bias.as_ref(), conv_options(|name| at.named(name))?)])
    }),
    ("nn.functional.conv_transpose1d", |at| {
        let (x, weight, bias) = three(at)?;
        Ok(vec![x.conv_transpose1d(&weight, bias.as_ref(), transpose_options(|name| at.named(name))?)])
    }),
    ("nn.functional.conv_transpose2d", |at| {
        let (x, weight, bias) = three(at)?;
        Ok(vec![x.conv_transpose2d(&weight, bias.as_ref(), transpose_options(|name| at.named(name))?)])
    }),
    ("nn.MaxPool1d", |at| {
        let (pool, indices) = max_pool(|name| at.option(name))?;
        Ok(with_indices(at.x()?.max_pool1d_with_indices(pool), indices))
    }),
    ("nn.MaxPool2d", |at| {
        let (pool, indices) = max_pool(|name| at.option(name))?;
        Ok(with_indices(at.x()?.max_pool2d_with_indices(pool), indices))
    }),
    ("nn.functional.max_pool1d", |at| {
        let (pool, indices) = max_pool(|name| at.named(name))?;
        Ok(with_indices(at.x()?.max_pool1d_with_indices(pool), indices))
    }),
    ("nn.functional.max_pool2d", |at| {
        let (pool, indices) = max_pool(|name| at.named(name))?;
        Ok(with_indices(at.x()?.max_pool2d_with_indices(pool), indices))
    }),
    ("nn.AvgPool1d", |at| Ok(vec![at.x()?.avg_pool1d(avg_pool(|_, name| at.option(name))?)])),
    ("nn.AvgPool2d", |at| Ok(vec![at.x()?.avg_pool2d(avg_pool(|_, name| at.option(name))?)])),
    ("nn.functional.avg_pool1d", |at| Ok(vec![at.x()?.avg_pool1d(avg_pool(|i, name| at.arg(i, name))?)])),
    ("nn.functional.avg_pool2d", |at| Ok(vec![at.x()?.avg_pool2d(avg_pool(|i, name| at.arg(i, name))?)])),
    ("nn.AdaptiveAvgPool1d", |at| Ok(vec![at.x()?.adaptive_avg_pool1d(output(at.option("output_size"))?)])),
    ("nn.AdaptiveAvgPool2d", |at| Ok(vec![at.x()?.adaptive_avg_pool2d(output(at.option("output_size"))?)])),
    ("nn.AdaptiveMaxPool1d", |at| {
        let output = output(at.option("output_size"))?;
        Ok(with_indices(at.x()?.adaptive_max_pool1d(output), at.option("return_indices").flag()?))
    }),
    ("nn.AdaptiveMaxPool2d", |at| {
        let output = output(at.option("output_size"))?;
        Ok(with_indices(at.x()?.adaptive_max_pool2d(output), at.option("return_indices").flag()?))
    }),
    ("nn.functional.adaptive_avg_pool1d", |at| {
        Ok(vec![at.x()?.adaptive_avg_pool1d(output(at.arg(1, "output_size"))?)])
    }),
    ("nn.functional.adaptive_avg_pool2d", |at| {
        Ok(vec![at.x()?.adaptive_avg_pool2d(output(at.arg(1, "output_size"))?)])
    }),
    ("nn.functional.adaptive_max_pool1d", |at| {
        let output = output(at.arg(1, "output_size"))?;
        Ok(with_indices(at.x()?.adaptive_max_pool1d(output), at.arg(2, "return_indices").flag_or(false)?))
    }),
    ("nn.functional.adaptive_max_pool2d", |at| {
        let output = output(at.arg(1, "output_size"))?;
        Ok(with_indices(at.x()?.adaptive_max_pool2d(output), at.arg(2, "return_indices").flag_or(false)?))
    }),
];
