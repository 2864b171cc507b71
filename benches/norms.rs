//! Time of batch norm, sums, softmax and cross-entropy, each measured alone, on the CPU and on every adapter:
//! `cargo bench --bench norms [-- WORD]`. With WORD, only the cases whose names contain this word run.
//!
//! For each case, the benchmark prints the number of launches, the least time of many runs of the timed op, and
//! the throughput in bytes of inputs and outputs per second.

use wgrad::gpu::adapters;
use wgrad::prelude::*;

const RUNS: usize = 30;

type Build = fn(&Tensor) -> Tensor;

/// A case's name, the shape of its input, the function to run on this input, the name of the op to time, and the
/// number of arrays of this shape that the op reads and writes.
type Case = (&'static str, &'static [usize], Build, &'static str, f64);

fn batch_norm(x: &Tensor) -> Tensor {
    x.batch_norm_train(None, None, 1e-5).0
}

fn cross_entropy(x: &Tensor) -> Tensor {
    let rows = u32::try_from(x.shape().dims()[0]).unwrap_or(0);
    let labels = x.graph().array(Array::vector((0..rows).map(|row| row % 10).collect()));
    x.softmax_cross_entropy(&labels, None, 0.0, None).0
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![];
    for shape in [&[128, 64][..], &[256, 512], &[512, 2048], &[64, 32, 28, 28], &[64, 64, 14, 14], &[65_536, 64]] {
        cases.push(("batch norm", shape, batch_norm, "batch_norm", 2.0));
        cases.push(("batch norm backward", shape, batch_norm, "batch_norm_backward", 3.0));
    }
    for shape in [&[128, 64][..], &[512, 2048], &[65_536, 64]] {
        cases.push(("sum over rows", shape, |x| x.sum([0]), "sum", 1.0));
        cases.push(("sum over columns", shape, |x| x.sum([1]), "sum", 1.0));
        cases.push(("sum of all", shape, |x| x.sum_all(), "sum", 1.0));
        cases.push(("max over columns", shape, |x| x.amax([1]), "max", 1.0));
    }
    for shape in [&[128, 10][..], &[128, 1000], &[4096, 1000]] {
        cases.push(("softmax", shape, |x| x.softmax(1), "softmax", 2.0));
        cases.push(("cross-entropy with gradient", shape, cross_entropy, "softmax_cross_entropy", 2.0));
    }
    cases
}

fn time(device: &Device, &(name, shape, build, op, passes): &Case) -> Result<()> {
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", shape, DType::F32);
    let y = build(&x);
    let dy = graph.input("dy", y.shape(), DType::F32);
    let dx = vjp(&[(&y, &dy)], std::slice::from_ref(&x)).remove(0).expect("y depends on x");
    let mut session = Session::new(device.clone(), &Params::seeded(0))?;
    let step = session.compile(&graph, &[&y, &dx])?;
    let value = |i: usize| f32::from(u8::try_from(i * 37 % 101).unwrap_or(0)) / 50.0 - 1.0;
    let array = |shape: Shape| Array::new(&shape, (0..shape.numel()).map(value).collect());
    let (xs, dys) = (array(x.shape())?, array(y.shape())?);
    let tasks = step.plan().tasks.iter().enumerate().filter(|(_, task)| task.name() == op).collect::<Vec<_>>();
    let launches: usize = tasks.iter().map(|(_, task)| task.dispatches()).sum();
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let profile = session.profile(&step, &[(&x, &xs), (&dy, &dys)])?;
        best = best.min(tasks.iter().map(|(i, _)| profile.tasks[*i].time.as_secs_f64()).sum());
    }
    let bytes = passes * 4.0 * x.shape().numel() as f64;
    println!("{:>10} {:>10.1} {:>8.2}  {name} of {}", launches, best * 1e6, bytes / best * 1e-9, x.shape());
    Ok(())
}

fn main() -> Result<()> {
    // `cargo test --all-targets` also runs this program. It measures only if cargo passes `--bench`.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let wanted = arguments.iter().skip(1).find(|argument| !argument.starts_with("--"));
    let mut devices = vec![Device::cpu()];
    devices.extend(adapters().iter().filter(|a| a.info().api != "gl").filter_map(|adapter| adapter.open().ok()));
    for device in devices {
        println!("{}\n{:>10} {:>10} {:>8}", device.info(), "dispatches", "µs", "GB/s");
        for case in cases().iter().filter(|case| wanted.is_none_or(|name| case.0.contains(name.as_str()))) {
            time(&device, case)?;
        }
    }
    Ok(())
}
