//! Dispatches whose WGSL variables are bound to the buffers of a plan.

use wgrad_core::Dispatch;
use wgrad_core::plan::BufferIndex;

/// Memory to which a WGSL variable is bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A buffer of the plan.
    Buffer(BufferIndex),
    /// The complete device buffer in which this buffer of the plan lies.
    Whole(BufferIndex),
    /// Table of constants, which is written once, when the plan is loaded.
    Table(Vec<u32>),
}

/// Dispatch, with the memory to which its WGSL variables are bound.
#[derive(Clone, Debug)]
pub struct BoundDispatch {
    /// Kernel, parameters and grid. `targets` replaces the dispatch's own bindings.
    pub dispatch: Dispatch,
    /// Names of WGSL variables, each with the memory to which the variable is bound.
    pub targets: Vec<(String, Target)>,
}

/// Function that locates a buffer of the plan in device memory. It returns the number of the device buffer that
/// contains the plan's buffer, and the position of the first element in the device buffer.
pub type Physical<'a> = dyn Fn(BufferIndex) -> (usize, usize) + 'a;
