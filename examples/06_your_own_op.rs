//! Your own op: a structured op with its WGSL file, and a pointwise op in a few lines. Both are defined outside
//! wgrad's crates, and their kernels and gradients are tested.
//!
//! `cargo run --example 06_your_own_op`

use wgrad::core::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Spec,
    both, pointwise,
};
use wgrad::gpu::adapters;
use wgrad::prelude::*;
use wgrad_parity::{Case, Fill, Harness, assert_parity};

// A pointwise op computes each element from the elements at the same place in its arguments. Its definition
// consists of WGSL, the reference in Rust, and the gradient. The planner fuses the op with adjacent pointwise ops.
pointwise! {
    /// Huber function of each element: `x² / 2` for `|x| ≤ delta`, and `delta · (|x| − delta / 2)` otherwise.
    HUBER = huber(x: float)[delta] -> float {
        wgsl: "select(delta * (abs(x) - 0.5 * delta), 0.5 * x * x, abs(x) <= delta)",
        reference<F>: if x.abs() <= delta { F::lit(0.5) * x * x } else { delta * (x.abs() - F::lit(0.5) * delta) },
        backward(grad): { x: grad * x.clamp(-delta, delta) },
    }
}

/// Op `y = x / √(Σ x² + eps)` along the last axis. `Debug` must print the attributes, because ops that print the
/// same text are treated as equal.
#[derive(Debug)]
struct NormalizeRows {
    eps: f64,
}

impl NormalizeRows {
    /// Computes the op on the CPU, as the reference for its kernel. The same code runs in f32 and f64, with sums
    /// in f64.
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

    /// Computes the shape of the output. The error for an invalid input suggests a fix.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        match inputs[0].shape.rank() {
            0 => Err(InvalidArgument::new("a single number has no rows").fix("give it an axis: `.unsqueeze(0)`")),
            _ if !inputs[0].dtype.is_float() => Err(InvalidArgument::new("integers have no length").fix("`.to_f32()`")),
            _ => Ok(vec![inputs[0].clone()]),
        }
    }

    /// Adds the gradient. With `r = 1 / √(Σ x² + eps)`, it is `dx = r · (dy − y · Σ dy·y)`, composed of existing
    /// ops, so that no second kernel is needed.
    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let (x, y, dy) = (at.input(0), at.output(0), at.dy());
            let r = (x.square().sum_keepdim([-1]) + self.eps).rsqrt();
            (&dy - y * (&dy * y).sum_keepdim([-1])) * r
        });
    }

    /// Declares the accuracy: a sum with one term per column, then `inverseSqrt`, for which WGSL allows an error
    /// of 2 units in the last place.
    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(inputs[0].shape.dims().last().copied().unwrap_or(1))
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    /// Describes the launch: the buffers and parameters, with their names in the WGSL file, and the number of
    /// threads.
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

/// Methods that call these ops on any tensor. With `track_caller`, errors name the user's source line and not this
/// file.
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

/// Returns the test cases: sizes around a workgroup's size, a single row, small and large numbers. The bound for
/// the error of each element follows from the accuracy that the ops declare.
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
    cases.push(Case::new("both ops fused", rows, |x| x[0].normalize_rows(1e-6).huber(0.2)));
    cases
}

// In your own project, this is the complete test:
//
//     #[test]
//     fn my_ops_match_the_reference() {
//         cases().iter().for_each(|case| drop(assert_parity(case)));
//     }

fn main() -> Result<()> {
    // On every device of this machine, this compares every output and every gradient, for random output gradients,
    // with the reference in f64. It also compares the gradients with finite differences. If one differs, it panics
    // and prints the element, its inputs and the bound.
    for case in cases() {
        for verdict in assert_parity(&case) {
            println!("{verdict}");
        }
    }
    if adapters().is_empty() {
        println!("There is no GPU adapter on this machine, so the kernel did not run.");
    }

    // Prints the report for a wrong kernel.
    let wrong = Case::new("a wrong kernel", &[(&[4, 3], Fill::Normal)], |x| {
        let y = x[0].normalize_rows(1e-6);
        // The rounding of f32 simulates a fault: added to 1, 1e-11 is lost in f32 but not in f64.
        let (one, tiny) = (x[0].number(1.0), x[0].number(1e-11));
        y * ((&one + &tiny) - &one) * 1e11
    });
    println!("\n{}", Harness::new(&wrong.without_gradients())?.check(Device::cpu())?);

    // User-defined ops are fused like built-in ones, and errors name their source lines.
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [70, 13], DType::F32);
    let loss = (x.normalize_rows(1e-6) * 2.0 - 1.0).huber(0.2).mean_all();
    let mut session = Session::new(Device::cpu(), &Params::seeded(0))?;
    println!("\n{}", session.compile(&graph, &[&loss])?);
    let invalid = graph.constant(3.0).normalize_rows(1e-6);
    println!("{}", session.compile(&graph, &[&invalid]).expect_err("a number has no rows"));
    Ok(())
}
