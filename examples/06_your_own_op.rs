//! Your own op: a structured op with its WGSL file and a pointwise op in one row, both outside wgrad's crates, and the
//! checks that they deserve.
//!
//! `cargo run --example 06_your_own_op`

use std::iter;

use wgrad::core::{
    Backward, Buffers, Dispatch, Grid, Kernel, Launch, Misfit, Op, Operand, Real, Reference, Spec, both, pointwise,
};
use wgrad::gpu::{Adapter, adapters};
use wgrad::prelude::*;

// An op that writes each element from the same element of its arguments is one row: WGSL, reference and gradient.
// The planner fuses it with its neighbours.
pointwise! {
    /// `x² / 2` near 0, `delta · (|x| − delta / 2)` beyond `delta`.
    HUBER = huber(x: float)[delta] -> float {
        wgsl: "select(delta * (abs(x) - 0.5 * delta), 0.5 * x * x, abs(x) <= delta)",
        reference<F>: if x.abs() <= delta { F::lit(0.5) * x * x } else { delta * (x.abs() - F::lit(0.5) * delta) },
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() * at.input(0).clamp(-at.attribute(0), at.attribute(0)));
        }),
    }
}

/// `y = x / √(Σ x² + eps)` along the last axis. The attributes are all there is to an op; `Debug` tells two apart.
#[derive(Debug)]
struct NormalizeRows {
    eps: f64,
}

impl NormalizeRows {
    /// The reference: one body for f32 and f64, sums in f64.
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let columns = at.dims(0).last().copied().unwrap_or(1).max(1);
        let (x, y) = (at.float(0), at.out(0));
        for (x, y) in x.chunks(columns).zip(y.chunks_mut(columns)) {
            let sum: f64 = x.iter().map(|x| x.wide() * x.wide()).sum();
            let scale = F::lit(1.0 / (sum + self.eps).sqrt());
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * scale);
        }
    }
}

impl Op for NormalizeRows {
    fn name(&self) -> &'static str {
        "normalize_rows"
    }

    /// The shape rule, with the fix to suggest.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        match inputs[0].shape.rank() {
            0 => Err(Misfit::new("a single number has no rows").fix("give it an axis: `.unsqueeze(0)`")),
            _ if !inputs[0].dtype.is_float() => Err(Misfit::new("integers have no length").fix("`.to_f32()`")),
            _ => Ok(vec![inputs[0].clone()]),
        }
    }

    /// With `r = 1 / √(Σ x² + eps)`: `dx = r · (dy − y · Σ dy·y)`, made of other ops, so no second kernel.
    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let (x, y, dy) = (at.input(0), at.output(0), at.dy());
            let r = (x.square().sum_axes(&[-1], true) + self.eps).rsqrt();
            (&dy - y * (&dy * y).sum_axes(&[-1], true)) * r
        });
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    /// The launch, as data: buffers and parameters by the names that the WGSL gives them, and how many threads.
    fn launch(&self, at: &mut Launch<'_>) {
        let columns = at.inputs[0].shape.dims().last().copied().unwrap_or(1);
        let rows = at.inputs[0].shape.numel() / columns.max(1);
        if rows == 0 {
            return;
        }
        #[allow(clippy::cast_possible_truncation, reason = "the kernel computes in f32")]
        let eps = self.eps as f32;
        at.dispatch(
            Dispatch::new(
                Kernel::new("normalize_rows", &[include_str!("06_your_own_op.wgsl")]),
                "forward",
                Grid::Threads([rows, 1, 1]),
            )
            .bind("x", Operand::Input(0))
            .bind("y", Operand::Output(0))
            .param("rows", rows)
            .param("columns", columns)
            .param("eps", eps),
        );
    }
}

/// What makes them methods of every tensor. `track_caller` lets errors name the user's line, not this one.
trait MyOps {
    #[track_caller]
    fn normalize_rows(&self, eps: f64) -> Tensor;
    #[track_caller]
    fn huber(&self, delta: f64) -> Tensor;
}

impl MyOps for Tensor {
    #[track_caller]
    fn normalize_rows(&self, eps: f64) -> Tensor {
        self.graph().apply(NormalizeRows { eps }, &[self]).get(0)
    }

    #[track_caller]
    fn huber(&self, delta: f64) -> Tensor {
        self.pointwise(&HUBER, &[], &[delta])
    }
}

const SHAPE: [usize; 2] = [70, 13]; // more rows than a workgroup has threads

/// Numbers between −1 and 1 that look random enough.
fn noise(seed: f64) -> Array {
    let values = (0..SHAPE[0] * SHAPE[1]).scan(seed, |at, _| {
        *at = (*at * 97.31 + 0.217).fract();
        Some(2.0 * *at - 1.0)
    });
    Array::new(SHAPE, values.collect()).expect("one value per element")
}

/// The output, and its gradient for a random cotangent: with a plain sum, many a wrong rule passes.
fn run(device: Device, x: &Array) -> Result<[Vec<f64>; 2]> {
    let graph = Graph::new(Mode::Evaluate);
    let input = graph.input("x", SHAPE, DType::F32);
    let cotangent = graph.array(noise(0.7));
    let y = input.normalize_rows(1e-6).huber(0.2);
    let dx = vjp(&[(&y, &cotangent)], std::slice::from_ref(&input))[0].clone().expect("y depends on x");
    let mut session = Session::new(device, &Params::seeded(0))?;
    let step = session.compile(&graph, &[&y, &dx])?;
    let results = session.run(&step, &[(&input, x)])?;
    Ok([results[0].to_f64(), results[1].to_f64()])
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn main() -> Result<()> {
    // The gradient rule against central differences, in f64: the derivative along each of three columns of row 0.
    let x = noise(0.3);
    let [_, dx] = run(Device::cpu_f64(), &x)?;
    println!("element  gradient       central difference");
    for i in [0, 1, 5] {
        let value = |by: f64| {
            let mut values = x.to_f64();
            values[i] += by;
            let [y, _] = run(Device::cpu_f64(), &Array::new(SHAPE, values)?)?;
            Ok::<f64, Error>(y.iter().zip(noise(0.7).to_f64()).map(|(y, c)| y * c).sum())
        };
        let difference = (value(1e-5)? - value(-1e-5)?) / 2e-5;
        println!("{i:>7}  {:>13.10}  {difference:>18.10}", dx[i]);
        assert!((difference - dx[i]).abs() < 1e-8, "the gradient rule is wrong");
    }

    // The kernel against the reference, on everything that is there.
    let reference = run(Device::cpu_f64(), &x)?;
    println!("\nLargest difference from f64: output, gradient");
    for device in iter::once(Ok(Device::cpu())).chain(adapters().iter().map(Adapter::open)) {
        let device = match device {
            Ok(device) => device,
            Err(error) => {
                println!("  left out: {error}");
                continue;
            }
        };
        let [y, dx] = run(device.clone(), &x)?;
        let [y, dx] = [largest_difference(&y, &reference[0]), largest_difference(&dx, &reference[1])];
        println!("  {y:.1e}  {dx:.1e}  {}", device.info());
        assert!(y < 1e-6 && dx < 1e-5, "the kernel does not compute what the reference does");
    }
    if adapters().is_empty() {
        println!("  There is no GPU adapter on this machine, so the kernel did not run.");
    }

    // A stranger's op gets the same service: fusion around it, and errors that name the line.
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", SHAPE, DType::F32);
    let loss = (x.normalize_rows(1e-6) * 2.0 - 1.0).huber(0.2).mean();
    let mut session = Session::new(Device::cpu(), &Params::seeded(0))?;
    println!("\n{}", session.compile(&graph, &[&loss])?);
    let misfit = graph.constant(3.0).normalize_rows(1e-6);
    println!("{}", session.compile(&graph, &[&misfit]).expect_err("a number has no rows"));
    Ok(())
}
