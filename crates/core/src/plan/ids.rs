//! Typed indices into the lists of a plan.

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
    /// Index of a cluster (pointwise nodes that run in one loop) during planning.
    pub(super) struct ClusterId;
    /// Index of a group (clusters that differ only in shape and buffers) during planning.
    pub(super) struct GroupId;
}
