//! Launches over the buffers of a plan.

use wgrad_core::Dispatch;
use wgrad_core::plan::BufferIndex;

/// Memory behind a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// This buffer of the plan.
    Buffer(BufferIndex),
    /// All of the device's buffer that this buffer of the plan is a part of.
    Whole(BufferIndex),
    /// Numbers that are written once.
    Table(Vec<u32>),
}

/// Dispatch with the memory that its WGSL variables are bound to.
#[derive(Clone, Debug)]
pub struct BoundDispatch {
    /// The kernel, its parameters and its size; its own bindings are replaced by `targets`.
    pub dispatch: Dispatch,
    /// WGSL variable → buffer.
    pub targets: Vec<(String, Target)>,
}

/// Place of a buffer of the plan: which of the device's buffers it is in, and its first element there.
pub type Physical<'a> = dyn Fn(BufferIndex) -> (usize, usize) + 'a;
