//! Ids of what a plan lists.

use crate::host::position::position;

position! {
    /// Position in [`Plan::buffers`](super::Plan::buffers).
    pub struct BufferIndex;
    /// Position in [`Plan::slots`](super::Plan::slots).
    pub struct SlotIndex;
    /// Position in [`Plan::inputs`](super::Plan::inputs).
    pub struct InputIndex;
    /// Position in [`Plan::variables`](super::Plan::variables).
    pub struct VariableIndex;
    /// Number of a cluster while a plan is made.
    pub(super) struct ClusterId;
    /// Number of a group while a plan is made.
    pub(super) struct GroupId;
}
