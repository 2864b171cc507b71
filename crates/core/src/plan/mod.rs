//! Plans: a graph turned into a list of tasks over placed buffers, ready for any backend.
//!
//! The passes, in order: `live` drops what nothing needs and merges equal nodes; `fuse` gathers pointwise nodes
//! into clusters and folds views into their readers; `attach` hangs clusters on the ops whose elements they read or
//! make, and puts updates of many parameters by one rule into groups; `order` puts the tasks in sequence, updates after
//! the last reader of the old value; `emit` writes them down; `memory` lets buffers share slots. Each leaves a line in
//! [`Plan::passes`].

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
pub use ir::{Buffer, Fetched, Input, Plan, Role, ScheduledNumber, Slot, UsedVariable};
pub use task::{Arg, Cluster, ClusterInput, Instruction, Signature, Stage, Task, Work};

use crate::{FeedError, Graph, Limits, Result, Tensor};

impl Plan {
    /// Plans the graph so that `fetches` can be read after a run.
    ///
    /// # Errors
    /// The first error of the graph; a fetched tensor of another graph.
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
