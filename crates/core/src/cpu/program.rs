//! Clusters in the form that the CPU runs: instructions over a few reused registers, each a block long.

use super::buffers::Memory;
use crate::View;
use crate::op::pointwise::Block;
use crate::op::reference::SliceMut;

/// Elements per block: a dozen live blocks of `f32` fit a first-level cache.
pub(super) const BLOCK: usize = 1024;
/// Largest number of arguments of a pointwise op.
pub(super) const ARGS: usize = 8;

/// Location of a block of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// Input `i`, contiguous.
    Input(usize),
    /// Output `i`.
    Output(usize),
    /// Float register.
    Float(usize),
    /// Integer register.
    Uint(usize),
    /// Constant `i`.
    Number(usize),
}

/// Source of the values of a register.
#[derive(Debug)]
pub(super) enum Source {
    /// The single element that a splat of input `i` repeats: filled once, not per block.
    Splat(usize),
    /// Input `i`, through its view.
    Gather(usize),
    /// Output `i` before it is updated.
    Old(usize),
    /// The linear index.
    Index,
}

/// Loop of a pointwise op over a block.
type Run<F> = fn(&Block<'_, F>, SliceMut<'_, F>);

/// Register that is filled before the instructions run.
#[derive(Debug)]
pub(super) struct Load {
    pub from: Source,
    pub to: Location,
}

/// Copy of a value to an output after the instructions have run.
#[derive(Debug)]
pub(super) struct OutputCopy {
    pub from: Location,
    pub output: usize,
}

/// Instruction with the locations of its arguments and result.
#[derive(Debug)]
pub(super) struct LoweredInstruction<F> {
    pub run: Run<F>,
    pub args: Vec<Location>,
    pub to: Location,
    pub attributes: Vec<f64>,
}

/// Cluster, ready to run on blocks.
#[derive(Debug)]
pub(super) struct ClusterProgram<F> {
    /// Total number of elements.
    pub elements: usize,
    /// View of each input.
    pub views: Vec<View>,
    /// Registers to fill before the instructions run.
    pub loads: Vec<Load>,
    /// Instructions, in order.
    pub instructions: Vec<LoweredInstruction<F>>,
    /// Copies to the outputs that no instruction writes directly.
    pub copies: Vec<OutputCopy>,
    /// Block of each constant.
    pub numbers: Vec<Memory<F>>,
    /// Number of float registers.
    pub float_registers: usize,
    /// Number of integer registers.
    pub uint_registers: usize,
}
