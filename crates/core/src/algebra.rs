//! The ops that autodiff itself is made of: arithmetic, broadcasting, and the sum that is its gradient.
//!
//! They stand in `core`, beside `Tensor`, because its operators are written with them and because a gradient that
//! fans out is an `add` and one that was broadcast is a `sum`. Every other op lives in `wgrad-kernels`.

use std::ops::Range;

use rayon::prelude::*;

use crate::op::{Dispatch, Grid, Kernel, Launch, Op, Operand, Spec};
use crate::reference::{Buffers, Reference};
use crate::{Backward, Misfit, Real, Shape, Tensor, View, both, pointwise};

pointwise! {
    /// `x + y`.
    pub ADD = add(x: float, y: float)[] -> float {
        wgsl: "x + y",
        reference<F>: x + y,
        backward: Some(|at| {
            at.give_with(0, Backward::dy);
            at.give_with(1, Backward::dy);
        }),
    }
}

pointwise! {
    /// `x − y`.
    pub SUB = sub(x: float, y: float)[] -> float {
        wgsl: "x - y",
        reference<F>: x - y,
        backward: Some(|at| {
            at.give_with(0, Backward::dy);
            at.give_with(1, |at| -at.dy());
        }),
    }
}

pointwise! {
    /// `x · y`.
    pub MUL = mul(x: float, y: float)[] -> float {
        wgsl: "x * y",
        reference<F>: x * y,
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() * at.input(1));
            at.give_with(1, |at| at.dy() * at.input(0));
        }),
    }
}

pointwise! {
    /// `x / y`.
    pub DIV = div(x: float, y: float)[] -> float {
        wgsl: "x / y",
        reference<F>: x / y,
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() / at.input(1));
            at.give_with(1, |at| -(at.dy() * at.output(0)) / at.input(1));
        }),
    }
}

pointwise! {
    /// `−x`.
    pub NEG = neg(x: float)[] -> float {
        wgsl: "-x",
        reference<F>: -x,
        backward: Some(|at| at.give_with(0, |at| -at.dy())),
    }
}

/// Repeats its input to a larger shape, under NumPy's rules.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub shape: Shape,
}

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        let from = &inputs[0].shape;
        if from.broadcast(&self.shape).as_ref() != Some(&self.shape) {
            return Err(Misfit::new(format!("{from} does not broadcast to {}", self.shape))
                .fix("sizes are aligned from the last axis and must be equal or 1"));
        }
        Ok(vec![Spec::new(&self.shape, inputs[0].dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().sum_to(&at.input(0).shape()));
    }

    fn view(&self, of: &View) -> Option<View> {
        Some(of.broadcast(&self.shape))
    }
}

/// The same elements under another shape.
#[derive(Debug)]
pub(crate) struct Reshape {
    pub shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        let from = &inputs[0].shape;
        if from.numel() != self.shape.numel() {
            let (has, holds) = (from.numel(), self.shape.numel());
            return Err(Misfit::new(format!("{from} has {has} elements, {} holds {holds}", self.shape)));
        }
        Ok(vec![Spec::new(&self.shape, inputs[0].dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().reshape_to(at.input(0).shape()));
    }

    fn view(&self, of: &View) -> Option<View> {
        of.reshape(&self.shape)
    }
}

/// `y[i, 0, k] = Σ_j x[i, j, k]` over one run of adjacent axes, which keep size 1.
#[derive(Debug)]
pub(crate) struct Sum {
    axes: std::ops::Range<usize>,
}

impl Sum {
    /// The sum over any axes: one `Sum` per run of adjacent ones, last run first.
    #[track_caller]
    pub(crate) fn over(x: &Tensor, axes: &[usize]) -> Tensor {
        let rank = x.shape().rank();
        if let Some(axis) = axes.iter().find(|&&axis| axis >= rank) {
            return x.misfit("sum", &[], Misfit::new(format!("there is no axis {axis}: the tensor has {rank}")));
        }
        let mut y = x.clone();
        let mut end = rank;
        while end > 0 {
            let mut start = end;
            while start > 0 && axes.contains(&(start - 1)) {
                start -= 1;
            }
            if start < end {
                y = y.graph().clone().apply(Self { axes: start..end }, &[&y]).get(0);
            }
            end = start.min(end - 1);
        }
        y
    }

    /// Sizes before, inside and after the reduced axes.
    fn extents(&self, shape: &Shape) -> [usize; 3] {
        let dims = shape.dims();
        let Range { start, end } = self.axes.clone();
        [dims[..start].iter().product(), dims[start..end].iter().product(), dims[end..].iter().product()]
    }

    /// Parts of the sum in parallel, each in `f64`, then the parts in order: the result does not depend on the cores.
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        const PART: usize = 1 << 14;
        let [outer, n, inner] = self.extents(&at.input_spec(0).shape);
        let (x, y) = (at.float(0), at.out(0));
        if y.is_empty() || x.is_empty() {
            y.fill(F::zero());
            return;
        }
        let length = (PART / inner).clamp(1, n);
        let parts = n.div_ceil(length);
        let part = |(i, sums): (usize, &mut [f64])| {
            let (first, last) = (i % parts * length, (i % parts * length + length).min(n));
            let rows = &x[(i / parts * n + first) * inner..(i / parts * n + last) * inner];
            pulp::Arch::new().dispatch(AddRows { rows, sums });
        };
        let mut sums = vec![0.0f64; outer * parts * inner];
        if x.len() < 2 * PART {
            sums.chunks_exact_mut(inner).enumerate().for_each(part);
        } else {
            let enough = PART.div_ceil(length * inner);
            sums.par_chunks_exact_mut(inner).with_min_len(enough).enumerate().for_each(part);
        }
        for (y, sums) in y.chunks_exact_mut(inner).zip(sums.chunks_exact(parts * inner)) {
            for (k, y) in y.iter_mut().enumerate() {
                *y = F::lit(sums[k..].iter().step_by(inner).sum());
            }
        }
    }
}

/// Adds rows as long as `sums` to them, in the widest vectors of the machine.
struct AddRows<'a, F> {
    rows: &'a [F],
    sums: &'a mut [f64],
}

impl<F: Real> pulp::WithSimd for AddRows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        // A single sum is taken in lanes, which are added in order.
        const LANES: usize = 16;
        let Self { rows, sums } = self;
        if let [sum] = sums {
            let mut lanes = [0.0; LANES];
            let whole = rows.chunks_exact(LANES);
            let rest = whole.remainder();
            whole.for_each(|values| lanes.iter_mut().zip(values).for_each(|(lane, x)| *lane += x.wide()));
            *sum += lanes.iter().sum::<f64>() + rest.iter().map(|x| x.wide()).sum::<f64>();
        } else {
            for row in rows.chunks_exact(sums.len()) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.wide());
            }
        }
    }
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        if !inputs[0].dtype.is_float() {
            return Err(
                Misfit::new(format!("only floats are summed, not {}", inputs[0].dtype)).fix("cast with `.to_f32()`")
            );
        }
        let mut shape = inputs[0].shape.clone();
        for axis in self.axes.clone() {
            shape = shape.with(axis, 1);
        }
        Ok(vec![Spec::f32(shape)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().broadcast_to(at.input(0).shape()));
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [outer, n, inner] = self.extents(&at.inputs[0].shape);
        // Few outputs and long sums: a first pass leaves one partial sum per part.
        let outputs = outer * inner;
        let parts = if n > 8192 && outputs < 1024 { n.div_ceil(4096) } else { 1 };
        let stage = |x, y, n: usize, parts: usize| {
            let outputs = outer * parts * inner;
            let length = n.div_ceil(parts);
            let tree = length > 64 && inner < 32;
            let (entry, grid) =
                if tree { ("tree", Grid::Groups([outputs, 1, 1])) } else { ("serial", Grid::Threads([outputs, 1, 1])) };
            Dispatch::new(Kernel::new("sum", &[include_str!("../../../shaders/sum.wgsl")]).own(), entry, grid)
                .bind("x", x)
                .bind("y", y)
                .param("outputs", outputs)
                .param("n", n)
                .param("length", length)
                .param("parts", parts)
                .param("inner", inner)
        };
        if parts == 1 {
            at.dispatch(stage(Operand::Input(0), Operand::Output(0), n, 1));
        } else {
            let partial = at.scratch(Spec::f32([outer * parts * inner]));
            at.dispatch(stage(Operand::Input(0), partial, n, parts));
            at.dispatch(stage(partial, Operand::Output(0), parts, 1));
        }
    }
}
