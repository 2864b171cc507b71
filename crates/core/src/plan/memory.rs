//! The last pass: temporaries share slots; a slot is free again after the last task that uses its buffer.

use super::order::{Ordered, Place};
use super::{Buffer, Plan, Role, Slot, Work};

pub(super) fn pass(ordered: Ordered, mut passes: Vec<String>) -> Plan {
    let Ordered { tasks, buffers, inputs, variables, schedule, counters, fetches } = ordered;
    let uses = |task: &super::Task| {
        let scratch = match &task.work {
            Work::Op { scratch, .. } => scratch.clone(),
            Work::Cluster(_) => vec![],
        };
        task.inputs.iter().chain(&task.outputs).copied().chain(scratch).collect::<Vec<_>>()
    };
    let mut last = vec![0; buffers.len()];
    for (t, task) in tasks.iter().enumerate() {
        for buffer in uses(task) {
            last[buffer] = t;
        }
    }
    let fetched: Vec<usize> = fetches.iter().map(|&(buffer, _)| buffer).collect();
    let mut roles: Vec<Option<Role>> = buffers
        .iter()
        .enumerate()
        .map(|(i, (_, place))| match place {
            Place::Input(index) => Some(Role::Input(*index)),
            Place::Variable(index) => Some(Role::Variable(*index)),
            Place::Array(array) => Some(Role::Array(array.clone())),
            Place::Schedule => Some(Role::Schedule),
            Place::Made if fetched.contains(&i) => Some(Role::Fetch),
            Place::Made | Place::Scratch => None,
        })
        .collect();
    let mut slots: Vec<Slot> = vec![];
    let mut free: Vec<usize> = vec![];
    let mut unshared = 0;
    for (t, task) in tasks.iter().enumerate() {
        let touched = uses(task);
        for &buffer in &touched {
            if roles[buffer].is_some() {
                continue;
            }
            let (dtype, elements) = (buffers[buffer].0.dtype, buffers[buffer].0.shape.numel());
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
                slots.len() - 1
            };
            slots[slot].elements = slots[slot].elements.max(elements);
            roles[buffer] = Some(Role::Temp(slot));
        }
        let mut released: Vec<usize> = touched.into_iter().filter(|&buffer| last[buffer] == t).collect();
        released.sort_unstable();
        released.dedup();
        for buffer in released {
            if let Some(Role::Temp(slot)) = roles[buffer] {
                free.push(slot);
            }
        }
    }
    let shared: usize = slots.iter().map(|slot| slot.elements * slot.dtype.size()).sum();
    passes.push(format!(
        "memory: temporaries {} → {} in {} slots",
        super::human_bytes(unshared),
        super::human_bytes(shared),
        slots.len()
    ));
    let buffers = buffers
        .into_iter()
        .zip(roles)
        .map(|((spec, _), role)| Buffer { spec, role: role.unwrap_or(Role::Fetch) })
        .collect();
    Plan { buffers, slots, tasks, inputs, variables, schedule, counters, fetches, passes, launches: false }
}
