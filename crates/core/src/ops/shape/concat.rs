//! Concatenation along an axis.

use crate::{
    Accuracy, Backward, Buffers, DType, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference,
    Spec, Tensor, both,
};

use crate::ops::axes::{extents, resolve};

/// Concatenates its inputs along `axis`.
#[derive(Debug)]
struct Concat {
    axis: usize,
}

/// Copies the rows of `x`, `[outer, length]`, into the rows of `y`, `[outer, total]`, from position `offset` on.
fn place<T: Copy>(x: &[T], length: usize, y: &mut [T], total: usize, offset: usize) {
    if length > 0 {
        let rows = y.chunks_exact_mut(total).zip(x.chunks_exact(length));
        rows.for_each(|(y, x)| y[offset..offset + length].copy_from_slice(x));
    }
}

impl Concat {
    /// Returns the number of elements per outer index: the product of the size of the concatenated axis and all
    /// sizes after it.
    fn length(&self, spec: &Spec) -> usize {
        let [_, n, inner] = extents(&spec.shape, self.axis..self.axis + 1);
        n * inner
    }

    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let total = self.length(at.output_spec(0));
        let lengths: Vec<_> = (0..at.inputs()).map(|i| self.length(at.input_spec(i))).collect();
        let offsets = lengths.iter().scan(0, |end, length| Some(std::mem::replace(end, *end + length)));
        if at.output_spec(0).dtype == DType::U32 {
            let y = at.out_uint(0);
            offsets.enumerate().for_each(|(i, offset)| place(at.uint(i), lengths[i], y, total, offset));
        } else {
            let y = at.out(0);
            offsets.enumerate().for_each(|(i, offset)| place(at.float(i), lengths[i], y, total, offset));
        }
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let first = &inputs[0];
        let mut size = 0;
        for (i, spec) in inputs.iter().enumerate() {
            let dims = spec.shape.dims();
            if spec.dtype != first.dtype {
                return Err(InvalidArgument::new(format!("input {i} is {}, input 0 is {}", spec.dtype, first.dtype))
                    .fix("cast with `.to_f32()` or `.to_u32()`"));
            }
            if dims.len() != first.shape.rank() || first.shape.with(self.axis, dims[self.axis]) != spec.shape {
                return Err(InvalidArgument::new(format!(
                    "input {i} is {}, input 0 is {}: only axis {} may differ",
                    spec.shape, first.shape, self.axis
                )));
            }
            size += dims[self.axis];
        }
        Ok(vec![Spec::new(first.shape.with(self.axis, size), first.dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        let mut start = 0;
        for i in 0..at.inputs() {
            let end = start + at.input(i).shape().dims()[self.axis];
            at.give_with(i, |at| at.dy().slice(self.axis.cast_signed(), start..end));
            start = end;
        }
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let total = self.length(&at.outputs[0]);
        let mut offset = 0;
        for (i, spec) in at.inputs.iter().enumerate() {
            let (count, length) = (spec.shape.numel(), self.length(spec));
            if count == 0 {
                continue;
            }
            at.dispatch(
                Dispatch::new(
                    Kernel::new("concat", &[wgrad_shaders::CONCAT]).bundled(),
                    "forward",
                    Grid::Threads([count, 1, 1]),
                )
                .bind("x", Operand::Input(i))
                .bind("y", Operand::Output(0))
                .param("count", count)
                .param("length", length)
                .param("total", total)
                .param("offset", offset),
            );
            offset += length;
        }
    }
}

/// Concatenates tensors along `axis`.
///
/// All sizes except that of `axis`, and all types, must be equal; otherwise an error is recorded in the graph,
/// which `compile` reports. A negative axis counts from the end. Equivalent: `torch.cat`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// let y = graph.input("y", [64, 2], DType::F32);
/// assert_eq!(wgrad_core::ops::cat(&[&x, &y], -1).shape().dims(), [64, 32]);
/// ```
///
/// # Panics
/// If `tensors` is empty.
#[track_caller]
pub fn cat(tensors: &[&Tensor], axis: isize) -> Tensor {
    let [first, others @ ..] = tensors else { panic!("concat needs at least one tensor") };
    if let Some(invalid) = tensors.iter().find(|tensor| !tensor.is_valid()) {
        return (*invalid).clone();
    }
    match resolve(first, "concat", axis) {
        Ok(_) if others.is_empty() => (*first).clone(),
        Ok(axis) => first.graph().apply(Concat { axis }, tensors).get(0),
        Err(invalid) => invalid,
    }
}
