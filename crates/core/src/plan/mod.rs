//! Plans: a graph is lowered to a list of tasks, and to buffers with assigned memory, which any backend can run.
//!
//! Planning consists of these passes:
//!
//! 1. `live` drops nodes that are not needed and merges equal nodes.
//! 2. `fuse` gathers pointwise nodes into clusters, which run in one loop, and lets nodes read views directly from
//!    the underlying buffer.
//! 3. `attach` fuses clusters into the kernels of the ops whose elements they read or compute, and groups
//!    parameter updates with the same formula.
//! 4. `order` sorts the tasks. An update runs after the last reader of the old value.
//! 5. `emit` creates the tasks.
//! 6. `memory` assigns temporaries to memory slots, which several of them can share.
//!
//! The passes add their summaries to [`Plan::passes`].

mod attach;
mod bill;
mod emit;
mod fuse;
mod fused;
mod ids;
mod ir;
mod live;
mod memory;
mod order;
mod partition;
mod print;
mod task;

pub use crate::host::error::{Bill, BillItem};
pub use ids::{BufferIndex, InputIndex, SlotIndex, VariableIndex};
pub use ir::{Buffer, Fetched, Input, MemorySlot, Plan, Role, ScheduledNumber, UsedVariable};
pub use task::{Arg, Cluster, ClusterInput, Instruction, Signature, Task, TaskStage, Work};

use crate::{FeedError, Graph, Limits, Result, Tensor};

impl Plan {
    /// Plans a graph. The tensors `fetches` can be read after a run.
    ///
    /// # Errors
    /// Returns the first error recorded in the graph, or an error if a fetched tensor belongs to another graph.
    pub fn new(graph: &Graph, fetches: &[&Tensor], limits: &Limits) -> Result<Self> {
        graph.check()?;
        if let Some(stranger) = fetches.iter().find(|t| !t.graph().is(graph)) {
            return Err(FeedError::FetchOfOtherGraph { tensor: format!("{stranger:?}") }.into());
        }
        let roots: Vec<_> = fetches.iter().map(|t| t.id()).collect();
        let data = graph.data();
        let mut passes = vec![];
        let live = live::pass(&data, &roots, &mut passes);
        let fused = fuse::pass(&data, &live, limits, &mut passes);
        let schedule = order::pass(&data, &live, &fused);
        let ordered = emit::pass(&data, &live, &fused, limits, schedule, &mut passes);
        drop(data);
        Ok(memory::pass(ordered, limits, passes))
    }
}
