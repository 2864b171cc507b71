//! Lowering of tasks to dispatches that are bound to buffers of the plan.

use std::collections::BTreeMap;

use wgrad_core::plan::{BufferIndex, Plan, Task, Work};
use wgrad_core::{Dispatch, Grid, Operand, Result};

use super::bound::{BoundDispatch, Physical, Target};
use super::reflect::Outlines;
use super::{cluster, fused, group};

/// Returns the launches of a task. `outlines` caches parsed outlines of the kernels into which clusters are fused.
///
/// # Errors
/// Returns an error if an op's kernel does not parse, or lacks the load or store function that the op promises.
pub(crate) fn launches(
    plan: &Plan,
    task: &Task,
    physical: &Physical<'_>,
    outlines: &Outlines,
) -> Result<Vec<BoundDispatch>> {
    let Some(at) = task.stages.iter().position(|stage| matches!(stage.work, Work::Op { .. })) else {
        let stage = &task.stages[0];
        return Ok(match &stage.work {
            Work::Cluster(cluster) if cluster.shape.numel() == 0 => vec![],
            Work::Cluster(cluster) => vec![cluster::launch(cluster, &stage.inputs, &stage.outputs, physical)],
            Work::Group(clusters) => group::launches(clusters, &stage.inputs, &stage.outputs, physical),
            Work::Op { .. } => unreachable!("there is no op among the stages"),
        });
    };
    let op = &task.stages[at];
    let Work::Op { dispatches, scratch, .. } = &op.work else { unreachable!("found above") };
    let launch = |dispatch: &Dispatch| {
        let target = |&(name, operand): &(&'static str, Operand)| {
            let buffer = match operand {
                Operand::Input(i) => op.inputs[i],
                Operand::Output(i) => op.outputs[i],
                Operand::Scratch(i) => scratch[i],
            };
            (name.to_owned(), Target::Buffer(buffer))
        };
        let targets = dispatch.bindings.iter().map(target).collect();
        fused::attach(plan, BoundDispatch { dispatch: dispatch.clone(), targets }, &task.stages, at, physical, outlines)
    };
    let mut bounds = vec![];
    for dispatch in dispatches {
        match dispatch.grid {
            Grid::Blocks { x, table, elements } => {
                let sizes =
                    task.stages[at].inputs.iter().map(|&buffer| (buffer, plan.buffers[buffer].spec.shape.numel()));
                for (buffer, words) in blocks(sizes, elements, physical) {
                    let mut bound = launch(dispatch)?;
                    let count = words.len() / 3;
                    bound.targets.push((x.into(), Target::Whole(buffer)));
                    bound.targets.push((table.into(), Target::Table(words)));
                    bound.dispatch.grid = Grid::Groups([count, 1, 1]);
                    bound.dispatch = bound.dispatch.param("blocks", count);
                    bounds.push(bound);
                }
            }
            _ => bounds.push(launch(dispatch)?),
        }
    }
    Ok(bounds)
}

/// Returns the tables for [`Grid::Blocks`], which cuts the inputs into blocks of at most `elements` elements.
/// There is one table per device buffer that contains inputs, and each table is returned with one of the inputs in
/// that device buffer. A table has three words per block: the position of the block's first element, the number of
/// the block's elements, and the number of the block, counted over all inputs.
fn blocks(
    inputs: impl Iterator<Item = (BufferIndex, usize)>,
    elements: usize,
    physical: &Physical<'_>,
) -> Vec<(BufferIndex, Vec<u32>)> {
    let word = |value: usize| u32::try_from(value).expect("elements of a device buffer");
    let mut tables: BTreeMap<usize, (BufferIndex, Vec<u32>)> = BTreeMap::new();
    let mut number = 0;
    for (buffer, size) in inputs {
        let (device, first) = physical(buffer);
        let (_, table) = tables.entry(device).or_insert((buffer, vec![]));
        for at in (0..size).step_by(elements) {
            table.extend([word(first + at), word(elements.min(size - at)), word(number)]);
            number += 1;
        }
    }
    tables.into_values().filter(|(_, table)| !table.is_empty()).collect()
}
