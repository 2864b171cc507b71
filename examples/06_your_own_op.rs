//! Your own op: a structured op with its WGSL file and a pointwise op in one row, both outside wgrad's crates, and the
//! checks that they deserve.
//!
//! `cargo run --example 06_your_own_op`

use wgrad::core::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Spec,
    both, pointwise,
};
use wgrad::gpu::adapters;
use wgrad::prelude::*;
use wgrad_parity::{Case, Fill, Harness, assert_parity};

// An op that writes each element from the same element of its arguments is one row: WGSL, reference and gradient.
// The planner fuses it with its neighbours.
pointwise! {
    /// `x² / 2` near 0, `delta · (|x| − delta / 2)` beyond `delta`.
    HUBER = huber(x: float)[delta] -> float {
        wgsl: "select(delta * (abs(x) - 0.5 * delta), 0.5 * x * x, abs(x) <= delta)",
        reference<F>: if x.abs() <= delta { F::lit(0.5) * x * x } else { delta * (x.abs() - F::lit(0.5) * delta) },
        backward(grad): { x: grad * x.clamp(-delta, delta) },
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
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        match inputs[0].shape.rank() {
            0 => Err(InvalidArgument::new("a single number has no rows").fix("give it an axis: `.unsqueeze(0)`")),
            _ if !inputs[0].dtype.is_float() => Err(InvalidArgument::new("integers have no length").fix("`.to_f32()`")),
            _ => Ok(vec![inputs[0].clone()]),
        }
    }

    /// With `r = 1 / √(Σ x² + eps)`: `dx = r · (dy − y · Σ dy·y)`, made of other ops, so no second kernel.
    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let (x, y, dy) = (at.input(0), at.output(0), at.dy());
            let r = (x.square().sum_keepdim([-1]) + self.eps).rsqrt();
            (&dy - y * (&dy * y).sum_keepdim([-1])) * r
        });
    }

    /// How exact it is: a sum as long as a row, and behind it `inverseSqrt`, of which WGSL wants 2 units in the last place.
    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(inputs[0].shape.dims().last().copied().unwrap_or(1))
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

/// Cases: sizes around those of a workgroup and a single row, small and large numbers. The bound of every number follows
/// from what the ops declare.
fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for (rows, columns) in [(1, 257), (63, 1), (64, 13), (65, 40), (300, 5)] {
        for values in [Fill::Normal, Fill::Uniform(1e3, 2e3), Fill::Powers(-20.0, 3.0)] {
            let name = format!("normalize_rows {rows}x{columns} of {values:?}");
            cases.push(Case::new(name, &[(&[rows, columns], values)], |x| x[0].normalize_rows(1e-6)));
        }
    }
    let rows: &[(&[usize], Fill)] = &[(&[70, 13], Fill::Uniform(-1.0, 1.0))];
    cases.push(Case::new("normalize_rows", rows, |x| x[0].normalize_rows(1e-6)));
    cases.push(Case::new("huber", rows, |x| x[0].huber(0.2)));
    cases.push(Case::new("both in one", rows, |x| x[0].normalize_rows(1e-6).huber(0.2)));
    cases
}

// In a project of one's own, all there is to a test:
//
//     #[test]
//     fn my_ops_are_right_everywhere() {
//         cases().iter().for_each(|case| drop(assert_parity(case)));
//     }

fn main() -> Result<()> {
    // Every output and, under random cotangents, every gradient against the reference in f64, on everything that is there;
    // and the gradient rules against finite differences. It panics with the element, what was fed there and the bound.
    for case in cases() {
        for verdict in assert_parity(&case) {
            println!("{verdict}");
        }
    }
    if adapters().is_empty() {
        println!("There is no GPU adapter on this machine, so the kernel did not run.");
    }

    // What it says of a kernel that is wrong.
    let wrong = Case::new("a wrong kernel", &[(&[4, 3], Fill::Normal)], |x| {
        let y = x[0].normalize_rows(1e-6);
        // Stands in for a fault: beside 1, 1e-11 is lost in f32 and not in f64.
        let (one, tiny) = (x[0].number(1.0), x[0].number(1e-11));
        y * ((&one + &tiny) - &one) * 1e11
    });
    println!("\n{}", Harness::new(&wrong.without_gradients())?.check(Device::cpu())?);

    // A stranger's op gets the same service: fusion around it, and errors that name the line.
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [70, 13], DType::F32);
    let loss = (x.normalize_rows(1e-6) * 2.0 - 1.0).huber(0.2).mean_all();
    let mut session = Session::new(Device::cpu(), &Params::seeded(0))?;
    println!("\n{}", session.compile(&graph, &[&loss])?);
    let invalid = graph.constant(3.0).normalize_rows(1e-6);
    println!("{}", session.compile(&graph, &[&invalid]).expect_err("a number has no rows"));
    Ok(())
}
