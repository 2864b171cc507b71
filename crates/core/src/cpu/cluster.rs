//! Clusters on the CPU: blocks that stay in cache, each row a loop over a block, blocks spread over all cores.

use rayon::prelude::*;

use super::Memory;
use crate::plan::{Arg, Cluster};
use crate::pointwise::{Block, Precision};
use crate::reference::{Slice, SliceMut};
use crate::{DType, View};

/// Elements per block: a dozen live blocks of `f32` fit a first-level cache.
const BLOCK: usize = 1024;
/// Clusters of fewer elements run on one core: waking another costs more.
const PARALLEL: usize = 16 * BLOCK;

/// Where a cluster reads an input.
pub(super) enum Source<'a, F> {
    Slice(Slice<'a, F>),
    /// An output that is updated in place.
    Output(usize),
}

/// The part of the outputs that one block writes.
struct Part<'a, F> {
    start: usize,
    outputs: Vec<SliceMut<'a, F>>,
}

/// Reused storage for the blocks of one thread.
struct Workspace<F> {
    inputs: Vec<Memory<F>>,
    results: Vec<Memory<F>>,
    numbers: Vec<Memory<F>>,
}

/// A block of one number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "integer constants are whole and small")]
fn number<F: Precision>(value: f64, dtype: DType) -> Memory<F> {
    if dtype.is_float() { Memory::Float(vec![F::lit(value); BLOCK]) } else { Memory::Uint(vec![value as u32; BLOCK]) }
}

impl<F: Precision> Workspace<F> {
    fn new(cluster: &Cluster) -> Self {
        let numbers = cluster.instructions.iter().flat_map(|instruction| &instruction.args).chain(&cluster.outputs);
        Self {
            inputs: cluster.inputs.iter().map(|&(_, dtype)| Memory::zeros(dtype, BLOCK)).collect(),
            results: cluster.instructions.iter().map(|instruction| Memory::zeros(instruction.row.out, BLOCK)).collect(),
            numbers: numbers
                .filter_map(|arg| match *arg {
                    Arg::Number(value, dtype) => Some(number(value, dtype)),
                    _ => None,
                })
                .collect(),
        }
    }
}

/// Runs a cluster over all its elements.
pub(super) fn run<F: Precision>(cluster: &Cluster, inputs: &[Source<'_, F>], outputs: Vec<SliceMut<'_, F>>) {
    let n = cluster.shape.numel();
    let mut parts: Vec<Part<'_, F>> =
        (0..n).step_by(BLOCK).map(|start| Part { start, outputs: Vec::with_capacity(outputs.len()) }).collect();
    for output in outputs {
        match output {
            SliceMut::Float(values) => {
                let chunks = values.chunks_mut(BLOCK).map(SliceMut::Float);
                parts.iter_mut().zip(chunks).for_each(|(part, chunk)| part.outputs.push(chunk));
            }
            SliceMut::Uint(values) => {
                let chunks = values.chunks_mut(BLOCK).map(SliceMut::Uint);
                parts.iter_mut().zip(chunks).for_each(|(part, chunk)| part.outputs.push(chunk));
            }
        }
    }
    let workspace = || Workspace::new(cluster);
    if n < PARALLEL {
        let mut workspace = workspace();
        for part in parts {
            block(cluster, inputs, part, n, &mut workspace);
        }
    } else {
        parts.into_par_iter().with_min_len(4).for_each_init(workspace, |workspace, part| {
            block(cluster, inputs, part, n, workspace);
        });
    }
}

fn block<F: Precision>(
    cluster: &Cluster,
    inputs: &[Source<'_, F>],
    mut part: Part<'_, F>,
    total: usize,
    workspace: &mut Workspace<F>,
) {
    let n = BLOCK.min(total - part.start);
    let Workspace { inputs: lanes, results, numbers } = workspace;
    // Views are gathered; what lies in step is read where it lies, unless this block will overwrite it.
    for (((view, _), source), lane) in cluster.inputs.iter().zip(inputs).zip(lanes.iter_mut()) {
        match source {
            Source::Output(output) => match (&part.outputs[*output], lane.write(n)) {
                (SliceMut::Float(from), SliceMut::Float(to)) => to.copy_from_slice(from),
                (SliceMut::Uint(from), SliceMut::Uint(to)) => to.copy_from_slice(from),
                _ => unreachable!("a lane has the type of its input"),
            },
            Source::Slice(_) if view.is_contiguous() => {}
            Source::Slice(Slice::Float(from)) => gather(view, from, part.start, lane.write(n).float()),
            Source::Slice(Slice::Uint(from)) => gather(view, from, part.start, lane.write(n).uint()),
        }
    }
    let lanes: Vec<Slice<'_, F>> = cluster
        .inputs
        .iter()
        .zip(inputs)
        .zip(lanes.iter())
        .map(|(((view, _), source), lane)| match source {
            Source::Slice(Slice::Float(from)) if view.is_contiguous() => Slice::Float(&from[part.start..][..n]),
            Source::Slice(Slice::Uint(from)) if view.is_contiguous() => Slice::Uint(&from[part.start..][..n]),
            _ => lane.read(n),
        })
        .collect();
    let index: Vec<u32> = if uses_index(cluster) {
        (part.start..part.start + n).map(|i| u32::try_from(i).unwrap_or(u32::MAX)).collect()
    } else {
        vec![]
    };
    let mut numbers = numbers.iter();
    for (i, instruction) in cluster.instructions.iter().enumerate() {
        let (done, rest) = results.split_at_mut(i);
        let args = instruction.args.iter().map(|arg| match *arg {
            Arg::Input(input) => lanes[input],
            Arg::Result(result) => done[result].read(n),
            Arg::Number(..) => numbers.next().expect("one lane per number").read(n),
            Arg::Index => Slice::Uint(&index),
        });
        let args: Vec<Slice<'_, F>> = args.collect();
        let block = Block { args: &args, attributes: &instruction.attributes };
        F::block(instruction.row)(&block, rest[0].write(n));
    }
    for (arg, output) in cluster.outputs.iter().zip(&mut part.outputs) {
        let value = match *arg {
            Arg::Input(input) => lanes[input],
            Arg::Result(result) => results[result].read(n),
            Arg::Number(..) => numbers.next().expect("one lane per number").read(n),
            Arg::Index => Slice::Uint(&index),
        };
        match (value, output) {
            (Slice::Float(from), SliceMut::Float(to)) => to.copy_from_slice(from),
            (Slice::Uint(from), SliceMut::Uint(to)) => to.copy_from_slice(from),
            _ => unreachable!("an output has the type of its value"),
        }
    }
}

fn uses_index(cluster: &Cluster) -> bool {
    let args = cluster.instructions.iter().flat_map(|instruction| &instruction.args);
    args.chain(&cluster.outputs).any(|arg| *arg == Arg::Index)
}

/// Reads `to.len()` elements of a view, from linear position `start` on.
fn gather<T: Copy>(view: &View, from: &[T], start: usize, to: &mut [T]) {
    if view.is_splat() {
        if !to.is_empty() {
            to.fill(from[view.offset]);
        }
        return;
    }
    // One division chain per run along the last axis, not per element.
    let (size, stride) = match (view.shape.dims().last(), view.strides.last()) {
        (Some(&size), Some(&stride)) => (size, stride),
        _ => (1, 0),
    };
    let mut done = 0;
    while done < to.len() {
        let position = start + done;
        let run = (size - position % size).min(to.len() - done);
        let first = view.locate(position);
        let out = &mut to[done..done + run];
        match stride {
            0 => out.fill(from[first]),
            1 => out.copy_from_slice(&from[first..first + run]),
            _ => out.iter_mut().zip(from[first..].iter().step_by(stride)).for_each(|(to, &from)| *to = from),
        }
        done += run;
    }
}
