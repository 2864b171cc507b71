//! Clusters (fused groups of pointwise ops) in the form that the CPU runs: instructions on a few registers, which
//! are reused and store one block of values each.

use super::buffers::Memory;
use crate::View;
use crate::op::pointwise::Block;
use crate::op::reference::SliceMut;

/// Number of elements per block. A dozen blocks of `f32` fit in a first-level cache.
pub(super) const BLOCK: usize = 1024;
/// Maximum number of arguments of a pointwise op.
pub(super) const ARGS: usize = 8;

/// Location of a block of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// Input `i`, which is contiguous.
    Input(usize),
    /// Output `i`.
    Output(usize),
    /// Float register with this number.
    Float(usize),
    /// Integer register with this number.
    Uint(usize),
    /// The block that is filled with constant `i`.
    Number(usize),
}

/// Source of the values of a register.
#[derive(Debug)]
pub(super) enum Source {
    /// The only element of input `i`, which is used for all elements. The register is filled once, not for each
    /// block.
    Splat(usize),
    /// Elements of input `i`, read through the input's view.
    Gather(usize),
    /// Values of output `i` before they are updated in place.
    Old(usize),
    /// The row-major index of each element.
    Index,
}

/// Function that computes a pointwise op on a block.
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

/// Pointwise op with the locations of the arguments and of the result.
#[derive(Debug)]
pub(super) struct LoweredInstruction<F> {
    pub run: Run<F>,
    pub args: Vec<Location>,
    pub to: Location,
    pub attributes: Vec<f64>,
}

/// Cluster that is ready to run on blocks of elements.
#[derive(Debug)]
pub(super) struct ClusterProgram<F> {
    /// The total number of elements.
    pub elements: usize,
    /// The view of each input.
    pub views: Vec<View>,
    /// The registers to fill before the instructions run.
    pub loads: Vec<Load>,
    /// The instructions, in order.
    pub instructions: Vec<LoweredInstruction<F>>,
    /// The copies to outputs that no instruction writes directly.
    pub copies: Vec<OutputCopy>,
    /// One block for each constant, filled with the constant.
    pub numbers: Vec<Memory<F>>,
    /// The number of float registers.
    pub float_registers: usize,
    /// The number of integer registers.
    pub uint_registers: usize,
}
