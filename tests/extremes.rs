//! Tests with extreme numbers and sizes, on the CPU in `f32` and `f64` and on every adapter.

#[path = "extremes/losses.rs"]
mod losses;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::{Limits, vjp};
use wgrad::gpu::adapters;
use wgrad::gpu::testing::AdapterHooks;
use wgrad::ops::cat;
use wgrad::prelude::*;
use wgrad_parity::{Harness, sizes};

type Check = fn(&Device) -> Result<(), Failed>;

/// Runs a graph. Returns its outputs, and the gradients of the sum of all outputs with respect to the inputs.
fn evaluate(device: &Device, inputs: &[Array], build: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Array> {
    let graph = Graph::new(Mode::Train);
    let dtype = |array: &Array| if array.dtype().is_float() { DType::F32 } else { DType::U32 };
    let named = |(i, array): (usize, &Array)| graph.input(format!("x{i}"), array.shape(), dtype(array));
    let tensors: Vec<_> = inputs.iter().enumerate().map(named).collect();
    let outputs = build(&tensors);
    let floats: Vec<_> = tensors.iter().filter(|x| x.dtype().is_float()).cloned().collect();
    let ones: Vec<_> = outputs.iter().map(|y| y.number(1.0).expand(y.shape())).collect();
    let pairs: Vec<_> = outputs.iter().zip(&ones).filter(|(y, _)| y.dtype().is_float()).collect();
    let gradients = vjp(&pairs, &floats);
    let fetches: Vec<_> = outputs.iter().chain(gradients.iter().flatten()).collect();
    let mut session = Session::new(device.clone(), &Params::seeded(0)).expect("no names");
    let step = session.compile(&graph, &fetches).unwrap_or_else(|error| panic!("{error}"));
    let feeds: Vec<_> = tensors.iter().zip(inputs).collect();
    session.run(&step, &feeds).unwrap_or_else(|error| panic!("{error}"))
}

fn vector(values: &[f64]) -> Array {
    Array::vector(values.to_vec())
}

fn matrix(rows: usize, values: &[f64]) -> Array {
    Array::new([rows, values.len() / rows], values.to_vec()).expect("full rows")
}

/// Asserts that numbers differ by at most `ulp` units in the last place of `f32`, or by `absolute`. A true value
/// that is too small for `f32` counts as 0.
#[track_caller]
fn assert_close(what: &str, got: &[f64], truth: &[f64], ulp: f64, absolute: f64) -> Result<(), Failed> {
    assert_eq!(got.len(), truth.len(), "{what}");
    for (i, (&got, &truth)) in got.iter().zip(truth).enumerate() {
        let bound = ulp * f64::from(f32::EPSILON) / 2.0 * truth.abs() + absolute + f64::from(f32::MIN_POSITIVE);
        let off = (got - truth).abs();
        if off.is_nan() || off > bound {
            return Err(format!("{what}[{i}] is {got:e}, not {truth:e}").into());
        }
    }
    Ok(())
}

const LOGITS: [f64; 8] = [1000.0, -1000.0, 88.0, -88.0, 1e-30, -1e-30, 0.0, 17.0];

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

/// Allowed error, in units in the last place, of values that are computed with `exp`. WGSL allows an error of
/// 3 + 2·|x| units for `exp(x)`, and x below −88 needs no more, because the result may be flushed to 0. The other
/// operations may add 8 units.
const EXP: f64 = 3.0 + 2.0 * 88.0 + 8.0;

fn binary_losses_of_large_and_tiny_logits_are_finite_and_right(device: &Device) -> Result<(), Failed> {
    for target in [0.0, 1.0, 0.25] {
        let got = evaluate(device, &[vector(&LOGITS), vector(&[target; 8])], |x| vec![x[0].bce_with_logits(&x[1])]);
        let loss = LOGITS.map(|x| x.max(0.0) - target * x + (-x.abs()).exp().ln_1p());
        let slope = LOGITS.map(|x| (1.0 - target) * sigmoid(x) - target * sigmoid(-x));
        assert_close("loss", &got[0].to_f64(), &loss, EXP, 0.0)?;
        assert_close("gradient", &got[1].to_f64(), &slope, EXP, 0.0)?;
    }
    Ok(())
}

fn cross_entropy_of_large_and_tiny_logits_is_finite_and_right(device: &Device) -> Result<(), Failed> {
    let rows = [[1000.0, -1000.0, 0.0], [88.0, -88.0, 1e-30], [-1e-30, 1e-30, 0.0], [-1000.0, -1000.0, -1000.0]];
    for class in [0u32, 1, 2] {
        let inputs = [matrix(4, rows.as_flattened()), Array::vector(vec![class; 4])];
        let got = evaluate(device, &inputs, |x| vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]);
        let mut loss = vec![];
        let mut slope = vec![];
        for row in rows {
            let largest = row.into_iter().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
            loss.push(sum.ln() + largest - row[class as usize]);
            let target = |c| f64::from(u8::from(c == class as usize));
            slope.extend(row.iter().enumerate().map(|(c, x)| (x - largest).exp() / sum - target(c)));
        }
        // A loss near 0 is the logarithm of a sum near 1, and a gradient near 0 is a difference of numbers near 1.
        assert_close("loss", &got[0].to_f64(), &loss, 8.0, 4.0 * f64::from(f32::EPSILON))?;
        assert_close("gradient", &got[1].to_f64(), &slope, EXP, 2.0 * f64::from(f32::EPSILON))?;
    }
    Ok(())
}

fn cross_entropy_of_ignored_rows_only_is_nan_and_its_sum_0(device: &Device) -> Result<(), Failed> {
    let inputs = [matrix(2, &[0.5, 1.0, -2.0, 3.0, 0.0, 1.0]), Array::vector(vec![7u32, 7])];
    let loss = |reduction| CrossEntropyLoss::new().ignore_index(7).reduction(reduction);
    let got = evaluate(device, &inputs, |x| vec![loss(Reduction::Sum).forward(&x[0], &x[1])]);
    assert_close("sum", &got[0].to_f64(), &[0.0], 0.0, 0.0)?;
    assert_close("gradient", &got[1].to_f64(), &[0.0; 6], 0.0, 0.0)?;
    let got = evaluate(device, &inputs, |x| vec![loss(Reduction::Mean).forward(&x[0], &x[1])]);
    if got[0].to_f64()[0].is_nan() { Ok(()) } else { Err(format!("the mean is {:?}", got[0]).into()) }
}

fn a_constant_column_through_batch_norm_gives_the_bias(device: &Device) -> Result<(), Failed> {
    for value in [0.0, 5.0, -1e4] {
        let inputs = [matrix(64, &[value; 128]), vector(&[2.0, 0.5]), vector(&[0.25, -3.0])];
        let got = evaluate(device, &inputs, |x| {
            let (y, mean, var) = x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), 1e-5);
            vec![(y * 3.0 + 1.0).square(), mean, var]
        });
        let eps = f64::from(f32::EPSILON);
        let mean_off = 8.0 * eps * value.abs();
        assert_close("mean", &got[1].to_f64(), &[value; 2], 0.0, mean_off)?;
        assert_close("variance", &got[2].to_f64(), &[0.0; 2], 0.0, mean_off * mean_off)?;
        // In y = (x − mean) / √(var + eps) · weight + bias, an error of the mean is multiplied by weight / √eps,
        // which is at most 2 · 316.
        let off = mean_off * 2.0 * 316.3;
        let y: Vec<f64> = [1.75f64, -8.0].iter().map(|y| y * y).cycle().take(128).collect();
        assert_close("output", &got[0].to_f64(), &y, 8.0, 6.0 * 8.0 * off + 9.0 * off * off)?;
        if !got.iter().flat_map(Array::to_f64).all(f64::is_finite) {
            return Err(format!("not finite for {value}").into());
        }
    }
    Ok(())
}

fn tensors_without_elements_are_allowed(device: &Device) -> Result<(), Failed> {
    let empty = Array::new([0, 3], Vec::<f32>::new()).expect("nothing");
    let (square, row) = (matrix(3, &[1.0; 9]), matrix(1, &[1.0, 2.0, 3.0]));
    let got = evaluate(device, &[empty.clone(), square, row], |x| {
        let y = (&x[0] * 2.0 + 1.0).exp();
        vec![
            y.clone(),
            x[0].matmul(&x[1]),
            x[0].softmax(1),
            x[0].sum([0]),
            x[0].t().matmul(&x[0]),
            cat(&[&x[0], &x[2]], 0),
            y.sum_all() + x[2].sum_all(),
        ]
    });
    let shapes: Vec<_> = got.iter().take(7).map(|y| y.shape().dims().to_vec()).collect();
    assert_eq!(shapes, [&[0, 3][..], &[0, 3], &[0, 3], &[3], &[3, 3], &[1, 3], &[]]);
    assert_close("sum of no rows", &got[3].to_f64(), &[0.0; 3], 0.0, 0.0)?;
    assert_close("product over no rows", &got[4].to_f64(), &[0.0; 9], 0.0, 0.0)?;
    assert_close("concat", &got[5].to_f64(), &[1.0, 2.0, 3.0], 0.0, 0.0)?;
    assert_close("sum of all", &got[6].to_f64(), &[6.0], 0.0, 0.0)?;
    // The gradient of the empty input has no elements. The gradients of the other inputs come from the rest of the
    // graph.
    assert_close("gradient of the square", &got[8].to_f64(), &[0.0; 9], 0.0, 0.0)?;
    assert_close("gradient of the row", &got[9].to_f64(), &[2.0; 3], 0.0, 0.0)
}

/// Checks that NaN propagates. WGSL does not guarantee this, because a driver may assume that there is no NaN.
fn nan_propagates(device: &Device) -> Result<(), Failed> {
    let x = matrix(5, &[1.0, 2.0, 3.0, f64::NAN, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0]);
    let columns = matrix(2, &[1.0, 0.5, 2.0, 1.0]);
    let inputs = [x, columns, matrix(5, &[1.0; 10]), Array::vector(vec![1u32; 5])];
    let names = [
        "add",
        "exp",
        "sum",
        "mean",
        "matmul",
        "linear",
        "softmax",
        "batch_norm",
        "cross_entropy",
        "bce",
        "relu",
        "maximum",
        "maximum of the other",
        "minimum",
        "minimum of the other",
        "clamp",
        "max",
        "min",
        "max of rows",
        "min of columns",
        "max of index",
    ];
    let got = evaluate(device, &inputs, |x| {
        let (x, w, y, class) = (&x[0], &x[1], &x[2], &x[3]);
        let loss = CrossEntropyLoss::new().forward(x, class);
        let outputs = [
            x + 1.0,
            x.exp(),
            x.sum_all(),
            x.mean_all(),
            x.matmul(w),
            x.linear(w, None),
            x.softmax(1),
            x.batch_norm_train(None, None, 1e-5).0,
            loss,
            x.bce_with_logits(y).mean_all(),
            x.relu(),
            x.maximum(y),
            y.maximum(x),
            x.minimum(y),
            y.minimum(x),
            x.clamp(-1.0, 1.0),
            x.max_all(),
            x.min_all(),
            x.amax([1]),
            x.amin([0]),
            x.max(1).0,
        ];
        outputs.to_vec()
    });
    let lost = names.iter().zip(&got).filter(|(_, y)| !y.to_f64().iter().any(|y| y.is_nan()));
    let lost: Vec<_> = lost.map(|(name, _)| *name).collect();
    if lost.is_empty() { Ok(()) } else { Err(format!("lost by {lost:?}").into()) }
}

fn a_plan_beyond_the_largest_binding_is_refused(device: &Device) -> Result<(), Failed> {
    if device.info().kind != "gpu" {
        return Ok(());
    }
    let Some(adapter) = adapters().iter().find(|adapter| adapter.info() == device.info()) else { return Ok(()) };
    let small = adapter.open_with(|limits: &mut Limits| limits.binding_bytes = 1 << 20)?;
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [1024, 1024], DType::F32);
    let error = Session::new(small, &Params::seeded(0))?.compile(&graph, &[&x.exp()]).map(drop).unwrap_err();
    let error = error.to_string();
    let starts = "the plan's largest buffer has 4.0 MiB, but ";
    let fits = error.starts_with(starts) && error.contains("binds at most 1.0 MiB: ");
    if fits { Ok(()) } else { Err(error.into()) }
}

const SIZES: [usize; 8] = [1, 63, 64, 65, 255, 256, 257, 65_537];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let checks: [(&str, Check); 7] = [
        (
            "binary losses of large and tiny logits are finite and right",
            binary_losses_of_large_and_tiny_logits_are_finite_and_right,
        ),
        (
            "cross-entropy of large and tiny logits is finite and right",
            cross_entropy_of_large_and_tiny_logits_is_finite_and_right,
        ),
        (
            "cross-entropy of ignored rows only is NaN, and its sum 0",
            cross_entropy_of_ignored_rows_only_is_nan_and_its_sum_0,
        ),
        ("a constant column through batch norm gives the bias", a_constant_column_through_batch_norm_gives_the_bias),
        ("tensors without elements are allowed", tensors_without_elements_are_allowed),
        ("NaN propagates", nan_propagates),
        ("a plan beyond the largest binding is refused", a_plan_beyond_the_largest_binding_is_refused),
    ];
    let mut trials = vec![];
    let mut devices = vec![("the CPU in f64".to_string(), Device::cpu_f64()), ("the CPU in f32".into(), Device::cpu())];
    for adapter in adapters() {
        let info = adapter.info();
        let name = format!("{} {}", info.api, info.adapter);
        if info.software && info.api == "vulkan" {
            // A real GPU uses other variants of some kernels than a software adapter, so these variants run here
            // too.
            let real = adapter.open_with(|limits| limits.software = false).expect("the driver opens its adapter");
            devices.push((format!("{name} with a real GPU's kernels"), real));
        }
        devices.push((name, adapter.open().expect("the driver opens its adapter")));
    }
    for (name, device) in &devices {
        for (what, check) in checks.into_iter().chain(losses::CHECKS) {
            let device = device.clone();
            trials.push(Trial::test(format!("{name}: {what}"), move || check(&device)));
        }
    }
    for n in SIZES {
        let devices: Vec<_> = devices[1..].to_vec();
        let name = format!("sizes around workgroup boundaries are right on every device: {n}");
        trials.push(Trial::test(name, move || {
            let mut failures = vec![];
            for case in sizes(n) {
                let harness = Harness::new(&case)?;
                for (_, device) in &devices {
                    let verdict = harness.check(device.clone())?;
                    if !verdict.passed() {
                        failures.push(verdict.to_string());
                    }
                }
            }
            if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
        }));
    }
    if adapters().is_empty() {
        for (what, _) in checks.into_iter().chain(losses::CHECKS) {
            trials.push(Trial::test(format!("the GPU: {what}"), || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
