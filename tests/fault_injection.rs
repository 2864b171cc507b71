//! Tests on every adapter that each injected fault makes the faulty kernel compute wrong values, and does not
//! change the results of other kernels.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::Limits;
use wgrad::gpu::adapters;
use wgrad::gpu::testing::{AdapterHooks, DeviceHooks};
use wgrad::ops::{AvgPool, MaxPool};
use wgrad::prelude::*;
use wgrad_kernels::fault_injection::{Fault, faults};

/// Returns the result of a call that the fault should change, and of a call that it should not change.
fn results(device: &Device, fault: &str) -> Result<[Vec<f32>; 2]> {
    let graph = Graph::new(Mode::Train);
    let wave = |n: usize, scale: f32| Array::vector((0..n).map(|i| scale * (i as f32 * 0.7).sin()).collect::<Vec<_>>());
    let x = graph.input("x", [4096], DType::F32);
    let labels = graph.input("labels", [9], DType::U32);
    let batch = x.reshape([64, 64]);
    let image = x.reshape([1, 4, 32, 32]);
    let gradient = |loss: Tensor| gradients(&loss, std::slice::from_ref(&x)).remove(0).expect("x matters");
    let affected = match fault {
        "wrong sign" => {
            let weight = x.number(1.5).expand([64]);
            let (y, ..) = batch.batch_norm_train(Some(&weight), Some(&weight), 1e-5);
            gradient((y.square() * &batch).sum_all())
        }
        "missing barrier" => batch.sum([1]) + batch.sum([0]),
        "one row too few" => batch.embedding(&labels),
        "biased variance" => batch.batch_norm_train(None, None, 1e-5).2,
        "exp without max" => (&batch * 1000.0).softmax(1),
        "dropped upstream gradient" => gradient(image.max_pool2d(MaxPool::new(2)).square().sum_all()),
        "f16 where f32" => batch.matmul(&batch),
        "swapped strides" => image.avg_pool2d(AvgPool::new([3, 3]).stride([1, 2])),
        "seed off by one" => x.dropout(0.5, [7, 9], 3, &graph.constant_u32(0)),
        "log for log1p" => (&x * 1e-6).log1p(),
        other => panic!("the fault `{other}` has no call here"),
    };
    let untouched = batch.cumsum(1);
    let mut session = Session::new(device.clone(), &Params::seeded(0))?;
    let step = session.compile(&graph, &[&affected, &untouched])?;
    let rows = Array::vector(vec![0u32, 5, 63, 2, 2, 9, 33, 1, 62]);
    let feeds = [(&x, &wave(4096, 2.0)), (&labels, &rows)];
    let got = session.run(&step, &feeds)?;
    Ok([got[0].to_f32(), got[1].to_f32()])
}

fn changes_results(fault: &Fault, device: &Device) -> Result<(), Failed> {
    let right = results(device, fault.name)?;
    let faulty = results(&device.with_fault(fault.name)?, fault.name)?;
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    if bits(&right[1]) != bits(&faulty[1]) {
        return Err("a kernel without the fault computes different values".into());
    }
    let off = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-4 * a.abs() || b.is_nan();
    let wrong = right[0].iter().zip(&faulty[0]).filter(|&pair| off(pair)).count();
    println!("{}: {wrong} of {} numbers are wrong", fault.name, right[0].len());
    if right[0].iter().all(|value| value.is_finite()) && wrong > 0 { Ok(()) } else { Err("no number is wrong".into()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for adapter in adapters() {
        let info = adapter.info();
        let gpu: fn(&mut Limits) = |limits| limits.software = false;
        let own: fn(&mut Limits) = |_| {};
        for (what, change) in [("", own), (" with a real GPU's kernels", gpu)] {
            // The software drivers of OpenGL and Vulkan share their code, so only a real GPU's kernels are tested
            // on OpenGL.
            if what.is_empty() && info.software && info.api == "gl" {
                continue;
            }
            let device = adapter.open_with(change).expect("the driver opens its adapter");
            // In the kernels for software adapters, each thread works alone, so there is no barrier that could be
            // missing.
            let faults =
                faults().iter().filter(|fault| !(what.is_empty() && info.software && fault.name == "missing barrier"));
            for fault in faults {
                let device = device.clone();
                let name = format!("{} {}{what} computes wrongly with: {}", info.api, info.adapter, fault.name);
                trials.push(Trial::test(name, move || changes_results(fault, &device)));
            }
        }
    }
    if adapters().is_empty() {
        for fault in faults() {
            let name = format!("the GPU computes wrongly with: {}", fault.name);
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
