//! The last pass: assigns temporaries to slots, blocks of memory that several temporaries can share. After the
//! last task that uses a temporary, its slot is free for another one.
//!
//! The temporaries that a group reads are placed next to each other in a slot that is not shared, so that a kernel
//! can bind the slot once instead of every buffer. If an op requests it, the inputs of the op are placed in the
//! same way.

use std::collections::BTreeSet;

use super::emit::{BufferUse, Ordered, Unplaced};
use super::ids::{BufferIndex, SlotIndex};
use super::ir::{Buffer, MemorySlot, Plan, Role};
use super::task::{Task, TaskStage, Work};
use crate::host::text::human_bytes;
use crate::{Limits, Spec};

/// Alignment of buffers within a slot, in bytes. Every device can bind buffers at multiples of this number.
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
        .map(|(i, Unplaced { usage, .. })| match usage {
            BufferUse::Input(index) => Some(Role::Input(*index)),
            BufferUse::Variable(index) => Some(Role::Variable(*index)),
            BufferUse::Array(array) => Some(Role::Array(array.clone())),
            BufferUse::Schedule => Some(Role::Schedule),
            BufferUse::Made | BufferUse::Passed if fetched.contains(&BufferIndex(i)) => Some(Role::Fetch),
            // On a GPU the value stays in registers; on the CPU it needs memory.
            BufferUse::Passed if limits.dispatches => Some(Role::Passed),
            BufferUse::Made | BufferUse::Passed | BufferUse::Scratch => None,
        })
        .collect();
    let mut slots: Vec<MemorySlot> = vec![];
    if limits.dispatches {
        for buffer in side_by_side(&tasks, &roles) {
            let Spec { dtype, shape } = &buffers[buffer].spec;
            let (dtype, elements) = (*dtype, shape.numel());
            let room = elements.next_multiple_of(ALIGN / dtype.size());
            let fits = |slot: &MemorySlot| ((slot.elements + room) * dtype.size()) as u64 <= limits.binding_bytes;
            if slots.last().is_none_or(|slot| slot.dtype != dtype || !fits(slot)) {
                slots.push(MemorySlot { dtype, elements: 0 });
            }
            let slot = SlotIndex(slots.len() - 1);
            roles[buffer] = Some(Role::Temp { slot, first: slots[slot].elements });
            slots[slot].elements += room;
        }
    }
    let mut free: Vec<SlotIndex> = vec![];
    let first_shared = SlotIndex(slots.len());
    let mut unshared: usize = slots.iter().map(MemorySlot::bytes).sum();
    for (t, task) in tasks.iter().enumerate() {
        let touched: Vec<_> = task.buffers().collect();
        for &buffer in &touched {
            if roles[buffer].is_some() {
                continue;
            }
            let Spec { dtype, shape } = &buffers[buffer].spec;
            let (dtype, elements) = (*dtype, shape.numel());
            unshared += elements * dtype.size();
            // Take the free slot that is large enough and wastes the least, or else the largest free slot, which
            // then grows.
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
                slots.push(MemorySlot { dtype, elements: 0 });
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
                && slot >= first_shared
            {
                free.push(slot);
            }
        }
    }
    let shared: usize = slots.iter().map(MemorySlot::bytes).sum();
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

/// Returns the temporaries to place next to each other: those that are read by groups, or by ops that request this
/// placement, in the order of the tasks.
///
/// A kernel cannot read one part of a slot and write another part of the same slot. If a task writes one of these
/// temporaries, the buffers that the task reads are therefore excluded.
fn side_by_side(tasks: &[Task], roles: &[Option<Role>]) -> Vec<BufferIndex> {
    let wants = |stage: &&TaskStage| match &stage.work {
        Work::Group(_) => true,
        Work::Op { op, .. } => op.side_by_side(),
        Work::Cluster(_) => false,
    };
    let groups = tasks.iter().flat_map(|task| &task.stages).filter(wants);
    let mut chosen: Vec<BufferIndex> = vec![];
    let mut chosen_set = BTreeSet::new();
    for &buffer in groups.flat_map(|group| &group.inputs) {
        if roles[buffer].is_none() && chosen_set.insert(buffer) {
            chosen.push(buffer);
        }
    }
    let made: Vec<Vec<BufferIndex>> = tasks.iter().map(Task::outputs).collect();
    for (task, made) in tasks.iter().zip(&made) {
        let is_group = task.stages.iter().any(|stage| matches!(stage.work, Work::Group(_)));
        if !is_group && made.iter().any(|buffer| chosen_set.contains(buffer)) {
            let read = task.inputs();
            chosen.retain(|buffer| !read.contains(buffer));
            chosen_set = chosen.iter().copied().collect();
        }
    }
    chosen
}
