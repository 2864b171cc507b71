//! Dispatches bound to the buffers of a plan.

use wgrad_core::Dispatch;
use wgrad_core::plan::BufferIndex;

/// Memory that a WGSL variable is bound to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Buffer of the plan.
    Buffer(BufferIndex),
    /// Whole device buffer that contains this buffer of the plan.
    Whole(BufferIndex),
    /// Constant table, written once.
    Table(Vec<u32>),
}

/// Dispatch with the memory that its WGSL variables are bound to.
#[derive(Clone, Debug)]
pub struct BoundDispatch {
    /// Kernel, parameters and grid; its own bindings are replaced by `targets`.
    pub dispatch: Dispatch,
    /// WGSL variables with their memory.
    pub targets: Vec<(String, Target)>,
}

/// Function that locates a buffer of the plan: returns the number of the device buffer that contains it, and the
/// index of its first element there.
pub type Physical<'a> = dyn Fn(BufferIndex) -> (usize, usize) + 'a;
