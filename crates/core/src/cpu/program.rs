//! A cluster as the CPU runs it: instructions over a few reused registers, each as long as a block.

use super::buffers::Memory;
use crate::View;
use crate::op::pointwise::Block;
use crate::op::reference::SliceMut;

/// Elements per block: a dozen live blocks of `f32` fit a first-level cache.
pub(super) const BLOCK: usize = 1024;
/// The most arguments that a pointwise op has.
pub(super) const ARGS: usize = 8;

/// Where a block of values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In input `i`, as it lies.
    Input(usize),
    /// In output `i`.
    Output(usize),
    /// In a register of floats.
    Float(usize),
    /// In a register of integers.
    Uint(usize),
    /// In constant `i`.
    Number(usize),
}

/// What fills a register.
#[derive(Debug)]
pub(super) enum Source {
    /// The one element that every place of input `i` reads: filled once, not per block.
    Splat(usize),
    /// Input `i`, through its view.
    Gather(usize),
    /// Output `i` before it is updated.
    Old(usize),
    /// The linear index.
    Index,
}

/// The loop of a pointwise op.
type Run<F> = fn(&Block<'_, F>, SliceMut<'_, F>);

/// A register that is filled before the instructions run.
#[derive(Debug)]
pub(super) struct Load {
    pub from: Source,
    pub to: Place,
}

/// An output that receives a value after the instructions have run.
#[derive(Debug)]
pub(super) struct Copied {
    pub from: Place,
    pub output: usize,
}

/// An instruction with its places.
#[derive(Debug)]
pub(super) struct Lowered<F> {
    pub run: Run<F>,
    pub args: Vec<Place>,
    pub to: Place,
    pub attributes: Vec<f64>,
}

/// A cluster, ready to run on blocks.
#[derive(Debug)]
pub(super) struct ClusterProgram<F> {
    /// Elements in all.
    pub elements: usize,
    /// How inputs that are gathered are read.
    pub views: Vec<View>,
    /// What is filled before the instructions run.
    pub loads: Vec<Load>,
    /// The instructions.
    pub instructions: Vec<Lowered<F>>,
    /// The outputs that no instruction writes directly.
    pub copies: Vec<Copied>,
    /// A block of each number.
    pub numbers: Vec<Memory<F>>,
    /// Registers of floats.
    pub float_registers: usize,
    /// Registers of integers.
    pub uint_registers: usize,
}
