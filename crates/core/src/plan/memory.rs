//! The last pass: temporaries share slots; a slot is free again after the last task that uses its buffer.
//!
//! What a group reads lies side by side in one slot of its own, so that a kernel binds it as a whole; so do the inputs
//! of an op that asks for it.

use std::collections::BTreeSet;

use super::emit::{Ordered, Place, Unplaced};
use super::ids::{BufferIndex, SlotIndex};
use super::ir::{Buffer, Plan, Role, Slot};
use super::task::{Stage, Task, Work};
use crate::host::text::human_bytes;
use crate::{Limits, Spec};

/// Bytes at which a buffer within a slot may begin: what every device can bind.
const ALIGN: usize = 256;

pub(super) fn pass(ordered: Ordered, limits: &Limits, mut passes: Vec<String>) -> Plan {
    let Ordered { tasks, buffers, inputs, variables, schedule, counters, fetches } = ordered;
    let mut last = vec![0; buffers.len()];
    for (t, task) in tasks.iter().enumerate() {
        for buffer in task.buffers() {
            last[buffer] = t;
        }
    }
    let fetched: Vec<BufferIndex> = fetches.iter().map(|fetch| fetch.buffer).collect();
    let mut roles: Vec<Option<Role>> = buffers
        .iter()
        .enumerate()
        .map(|(i, Unplaced { place, .. })| match place {
            Place::Input(index) => Some(Role::Input(*index)),
            Place::Variable(index) => Some(Role::Variable(*index)),
            Place::Array(array) => Some(Role::Array(array.clone())),
            Place::Schedule => Some(Role::Schedule),
            Place::Made | Place::Passed if fetched.contains(&BufferIndex(i)) => Some(Role::Fetch),
            // One after another in memory, or one in the registers of the other.
            Place::Passed if limits.dispatches => Some(Role::Passed),
            Place::Made | Place::Passed | Place::Scratch => None,
        })
        .collect();
    let mut slots: Vec<Slot> = vec![];
    if limits.dispatches {
        for buffer in side_by_side(&tasks, &roles) {
            let Spec { dtype, shape } = &buffers[buffer].spec;
            let (dtype, elements) = (*dtype, shape.numel());
            let room = elements.next_multiple_of(ALIGN / dtype.size());
            let fits = |slot: &Slot| ((slot.elements + room) * dtype.size()) as u64 <= limits.binding_bytes;
            if slots.last().is_none_or(|slot| slot.dtype != dtype || !fits(slot)) {
                slots.push(Slot { dtype, elements: 0 });
            }
            let slot = SlotIndex(slots.len() - 1);
            roles[buffer] = Some(Role::Temp { slot, first: slots[slot].elements });
            slots[slot].elements += room;
        }
    }
    let mut free: Vec<SlotIndex> = vec![];
    let apart = SlotIndex(slots.len());
    let mut unshared: usize = slots.iter().map(Slot::bytes).sum();
    for (t, task) in tasks.iter().enumerate() {
        let touched: Vec<_> = task.buffers().collect();
        for &buffer in &touched {
            if roles[buffer].is_some() {
                continue;
            }
            let Spec { dtype, shape } = &buffers[buffer].spec;
            let (dtype, elements) = (*dtype, shape.numel());
            unshared += elements * dtype.size();
            // The free slot that fits with the least waste; failing that, the largest, which then grows.
            let fit = free
                .iter()
                .enumerate()
                .filter(|&(_, &slot)| slots[slot].dtype == dtype)
                .min_by_key(|&(_, &slot)| {
                    let size = slots[slot].elements;
                    if size >= elements { (0, size - elements) } else { (1, elements - size) }
                })
                .map(|(position, _)| position);
            let slot = if let Some(position) = fit {
                free.swap_remove(position)
            } else {
                slots.push(Slot { dtype, elements: 0 });
                SlotIndex(slots.len() - 1)
            };
            slots[slot].elements = slots[slot].elements.max(elements);
            roles[buffer] = Some(Role::Temp { slot, first: 0 });
        }
        let mut released: Vec<BufferIndex> = touched.into_iter().filter(|&buffer| last[buffer] == t).collect();
        released.sort_unstable();
        released.dedup();
        for buffer in released {
            if let Some(Role::Temp { slot, .. }) = roles[buffer]
                && slot >= apart
            {
                free.push(slot);
            }
        }
    }
    let shared: usize = slots.iter().map(Slot::bytes).sum();
    passes.push(format!(
        "memory: temporaries {} → {} in {} slots",
        human_bytes(unshared),
        human_bytes(shared),
        slots.len()
    ));
    let buffers = buffers
        .into_iter()
        .zip(roles)
        .map(|(Unplaced { spec, .. }, role)| Buffer { spec, role: role.unwrap_or(Role::Fetch) })
        .collect();
    let launches = limits.dispatches;
    Plan { buffers, slots, tasks, inputs, variables, schedule, counters, fetches, passes, launches }
}

/// Returns the temporaries that groups read, or ops that want them side by side, in that order. A kernel cannot read one
/// part of a slot and write another, so what some task reads while it writes such a buffer stays apart.
fn side_by_side(tasks: &[Task], roles: &[Option<Role>]) -> Vec<BufferIndex> {
    let wants = |stage: &&Stage| match &stage.work {
        Work::Group(_) => true,
        Work::Op { op, .. } => op.side_by_side(),
        Work::Cluster(_) => false,
    };
    let groups = tasks.iter().flat_map(|task| &task.stages).filter(wants);
    let mut chosen: Vec<BufferIndex> = vec![];
    let mut seen = BTreeSet::new();
    for &buffer in groups.flat_map(|group| &group.inputs) {
        if roles[buffer].is_none() && seen.insert(buffer) {
            chosen.push(buffer);
        }
    }
    let made: Vec<Vec<BufferIndex>> = tasks.iter().map(Task::outputs).collect();
    for (task, made) in tasks.iter().zip(&made) {
        let is_group = task.stages.iter().any(|stage| matches!(stage.work, Work::Group(_)));
        if !is_group && made.iter().any(|buffer| seen.contains(buffer)) {
            let read = task.inputs();
            chosen.retain(|buffer| !read.contains(buffer));
            seen = chosen.iter().copied().collect();
        }
    }
    chosen
}
