//! Evaluation of one op on the host in `f64`, with the op's CPU reference.

use std::sync::Arc;

use crate::op::pointwise::Block;
use crate::op::reference::{Buffers, Reference, Slice, SliceMut};
use crate::{Array, Data, Flushed, Op, Pointwise, Real, Spec, View};

/// Returns the elements of an array that a view selects.
pub(super) fn gather_view(base: &Array, view: &View) -> Array {
    fn pick<T: crate::Element>(values: &[T], view: &View) -> Array {
        let values = if view.is_contiguous() && view.shape.numel() == values.len() {
            values.to_vec()
        } else {
            (0..view.shape.numel()).map(|i| values[view.locate(i)]).collect()
        };
        Array::new(&view.shape, values).expect("as many as the view has")
    }
    match base.data() {
        Data::F32(values) => pick(values, view),
        Data::F64(values) => pick(values, view),
        Data::U32(values) => pick(values, view),
    }
}

/// Converts the floats of an array to double precision; integers stay as they are.
fn widened(array: &Arc<Array>) -> Arc<Array> {
    match array.data() {
        Data::F32(_) => Arc::new(Array::new(array.shape(), array.to_f64()).expect("as many as before")),
        _ => array.clone(),
    }
}

fn slice(array: &Array) -> Slice<'_, f64> {
    match array.data() {
        Data::F64(values) => Slice::Float(values),
        Data::U32(values) => Slice::Uint(values),
        Data::F32(_) => unreachable!("inputs were widened"),
    }
}

/// Buffer for an output in double precision.
enum OutputBuffer {
    Float(Vec<f64>),
    Uint(Vec<u32>),
}

impl OutputBuffer {
    fn of(spec: &Spec) -> Self {
        let elements = spec.shape.numel();
        if spec.dtype.is_float() { Self::Float(vec![0.0; elements]) } else { Self::Uint(vec![0; elements]) }
    }

    fn slice(&mut self) -> SliceMut<'_, f64> {
        match self {
            Self::Float(values) => SliceMut::Float(values),
            Self::Uint(values) => SliceMut::Uint(values),
        }
    }

    fn array(self, spec: &Spec) -> Array {
        match self {
            Self::Float(values) => Array::new(&spec.shape, values),
            Self::Uint(values) => Array::new(&spec.shape, values),
        }
        .expect("the buffer has the size of the spec")
    }
}

/// Computes a pointwise op.
pub(super) fn pointwise(op: &Pointwise, attributes: &[f64], spec: &Spec, inputs: &[Arc<Array>]) -> Array {
    let inputs: Vec<_> = inputs.iter().map(widened).collect();
    let args: Vec<_> = inputs.iter().map(|input| slice(input)).collect();
    let mut output = OutputBuffer::of(spec);
    (op.block_f64)(&Block { args: &args, attributes }, output.slice());
    output.array(spec)
}

/// Computes a pointwise op in the same way as a device that flushes subnormal numbers to zero, including
/// intermediate results.
pub(super) fn pointwise_flushed(op: &Pointwise, attributes: &[f64], spec: &Spec, inputs: &[Arc<Array>]) -> Array {
    let flushed = |array: &Arc<Array>| -> Vec<Flushed> { array.to_f64().into_iter().map(Flushed::from).collect() };
    let floats: Vec<_> = inputs.iter().map(flushed).collect();
    let args = inputs.iter().zip(&floats).map(|(input, floats)| match input.data() {
        Data::U32(values) => Slice::Uint(values),
        Data::F32(_) | Data::F64(_) => Slice::Float(floats),
    });
    let args: Vec<_> = args.collect();
    let block = Block { args: &args, attributes };
    if !spec.dtype.is_float() {
        let mut results = vec![0; spec.shape.numel()];
        (op.block_flushed)(&block, SliceMut::Uint(&mut results));
        return Array::new(&spec.shape, results).expect("as many as the shape has");
    }
    let mut results = vec![Flushed::zero(); spec.shape.numel()];
    (op.block_flushed)(&block, SliceMut::Float(&mut results));
    Array::new::<f64>(&spec.shape, results.into_iter().map(Real::wide).collect()).expect("as many as the shape has")
}

/// Computes a structured op.
pub(super) fn structured(op: &dyn Op, inputs: &[Spec], outputs: &[Spec], arrays: &[Arc<Array>]) -> Vec<Array> {
    let arrays: Vec<_> = arrays.iter().map(widened).collect();
    let mut results: Vec<_> = outputs.iter().map(OutputBuffer::of).collect();
    let slices = arrays.iter().map(|array| slice(array)).collect();
    let buffers = Buffers::new(inputs, outputs, slices, results.iter_mut().map(OutputBuffer::slice).collect());
    op.reference(Reference::F64(buffers));
    results.into_iter().zip(outputs).map(|(output, spec)| output.array(spec)).collect()
}
