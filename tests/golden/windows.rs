//! Tests of convolutions and pooling.

use serde_json::Value;
use wgrad::prelude::*;

use crate::fixture::{Case, Trace, each};
use crate::layers::{gradients_of, parameters, set};

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Parses an option that is either one number for all axes or a number per axis.
fn sizes<const D: usize>(value: &Value) -> [usize; D] {
    match value {
        Value::Array(values) => std::array::from_fn(|axis| size(&values[axis])),
        number => [size(number); D],
    }
}

fn convolution<const D: usize>(case: &Case<'_>, params: &Params) -> Conv<D> {
    let padding = match case.options["padding"].as_str() {
        Some("same") => Padding::Same,
        Some(_) => Padding::VALID,
        None => Padding::Sizes(sizes(&case.options["padding"])),
    };
    let mode = match case.options["padding_mode"].as_str().unwrap() {
        "reflect" => PaddingMode::Reflect,
        "replicate" => PaddingMode::Replicate,
        "circular" => PaddingMode::Circular,
        _ => PaddingMode::Zeros,
    };
    let options = ConvLayerOptions::new()
        .stride(sizes(&case.options["stride"]))
        .padding(padding)
        .dilation(sizes(&case.options["dilation"]))
        .groups(case.size("groups"))
        .bias(case.flag("bias"))
        .padding_mode(mode);
    let kernel = Sizes(sizes(&case.options["kernel_size"]));
    Conv::with(params, case.size("in_channels"), case.size("out_channels"), kernel, options)
}

fn transposed<const D: usize>(case: &Case<'_>, params: &Params) -> ConvTranspose<D> {
    let options = ConvTransposeLayerOptions::new()
        .stride(sizes(&case.options["stride"]))
        .padding(sizes(&case.options["padding"]))
        .output_padding(sizes(&case.options["output_padding"]))
        .dilation(sizes(&case.options["dilation"]))
        .groups(case.size("groups"))
        .bias(case.flag("bias"));
    let kernel = Sizes(sizes(&case.options["kernel_size"]));
    ConvTranspose::with(params, case.size("in_channels"), case.size("out_channels"), kernel, options)
}

#[test]
fn convolutions_agree_with_pytorch() {
    each("conv", |case| {
        let params = Params::seeded(0);
        let layer: Box<dyn Module> = match case.options["layer"].as_str().unwrap() {
            "Conv1d" => Box::new(convolution::<1>(case, &params)),
            "Conv2d" => Box::new(convolution::<2>(case, &params)),
            "ConvTranspose1d" => Box::new(transposed::<1>(case, &params)),
            _ => Box::new(transposed::<2>(case, &params)),
        };
        set(&params, case, "");
        let mut trace = Trace::new(Mode::Train);
        let x = trace.feed("x", case.array("x"));
        let y = layer.forward(&x);
        trace.fetch("y", &y);
        let wrt = gradients_of(&parameters(&params, &trace.graph), &x, "");
        trace.gradients(&y, case.array("cotangent"), &wrt);
        trace.run(&mut case.run.session(&params)).unwrap()
    });
}

fn max_pool<const D: usize>(case: &Case<'_>) -> MaxPool<D> {
    let o = &case.options;
    let kernel: [usize; D] = sizes(&o["kernel_size"]);
    let stride = if o["stride"].is_null() { kernel } else { sizes(&o["stride"]) };
    let dilation: [usize; D] = sizes(&o["dilation"]);
    let padding: [usize; D] = sizes(&o["padding"]);
    MaxPool::new(kernel).stride(stride).padding(padding).dilation(dilation).ceil_mode(case.flag("ceil_mode"))
}

fn avg_pool<const D: usize>(case: &Case<'_>) -> AvgPool<D> {
    let o = &case.options;
    let kernel: [usize; D] = sizes(&o["kernel_size"]);
    let stride = if o["stride"].is_null() { kernel } else { sizes(&o["stride"]) };
    let padding: [usize; D] = sizes(&o["padding"]);
    let pool = AvgPool::new(kernel).stride(stride).padding(padding).ceil_mode(case.flag("ceil_mode"));
    let pool = pool.count_include_pad(case.flag("count_include_pad"));
    o["divisor_override"].as_u64().map_or(pool, |divisor| pool.divisor_override(usize::try_from(divisor).unwrap()))
}

fn output<const D: usize>(case: &Case<'_>) -> [Option<usize>; D] {
    let of = |value: &Value| value.as_u64().map(|size| usize::try_from(size).unwrap());
    match &case.options["output_size"] {
        Value::Array(values) => std::array::from_fn(|axis| of(&values[axis])),
        number => [of(number); D],
    }
}

#[test]
fn pools_agree_with_pytorch() {
    each("pool", |case| {
        let mut trace = Trace::new(Mode::Train);
        let x = trace.feed("x", case.array("x"));
        let plain = |y: Tensor| (y, None);
        let indexed = |(y, indices): (Tensor, Tensor)| (y, Some(indices));
        let (y, indices) = match case.options["layer"].as_str().unwrap() {
            "MaxPool1d" => indexed(x.max_pool1d_with_indices(max_pool(case))),
            "MaxPool2d" => indexed(x.max_pool2d_with_indices(max_pool(case))),
            "AvgPool1d" => plain(avg_pool::<1>(case).forward(&x)),
            "AvgPool2d" => plain(avg_pool::<2>(case).forward(&x)),
            "AdaptiveAvgPool1d" => plain(AdaptiveAvgPool1d::new(output::<1>(case)).forward(&x)),
            "AdaptiveAvgPool2d" => plain(AdaptiveAvgPool2d::new(output::<2>(case)).forward(&x)),
            "AdaptiveMaxPool1d" => indexed(x.adaptive_max_pool1d(output::<1>(case))),
            _ => indexed(x.adaptive_max_pool2d(output::<2>(case))),
        };
        trace.fetch("y", &y);
        if let Some(indices) = &indices {
            trace.fetch("indices", indices);
        }
        trace.gradients(&y, case.array("cotangent"), &[("dx".into(), x)]);
        let mut results = trace.run(&mut case.run.session(&Params::seeded(0))).unwrap();
        if let Some(at) = results.iter().position(|(name, _)| name == "indices") {
            let (_, found) = results.remove(at);
            assert_eq!(found, case.array("indices"), "{}", case.name);
        }
        results
    });
}
