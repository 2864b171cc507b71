//! Names of the kernels that compute a result.

use std::collections::BTreeSet;

use wgrad_core::Result;
use wgrad_core::plan::{Fetched, Instruction, Plan, Task, TaskStage, Work};
use wgrad_kernels::testing::{BoundDispatch, launches};

/// Returns the names of a task's kernels: those that compute its op or, if it has none, its pointwise ops. On the
/// CPU, returns the name of the op.
fn names(plan: &Plan, task: &Task) -> Result<BTreeSet<String>> {
    let op = task.stages.iter().find_map(|stage| match &stage.work {
        Work::Op { op, .. } => Some(op.name()),
        Work::Cluster(_) | Work::Group(_) => None,
    });
    let Some(op) = op else { return Ok([cluster_name(&task.stages[0])].into()) };
    if !plan.launches {
        return Ok([op.to_string()].into());
    }
    let launches = launches(plan, task, &|buffer| (buffer.0, 0))?;
    let name = |bound: &BoundDispatch| match bound.dispatch.entry {
        "forward" => bound.dispatch.kernel.name.to_string(),
        entry => format!("{}.{entry}", bound.dispatch.kernel.name),
    };
    Ok(launches.iter().map(name).collect())
}

/// Returns the pointwise instructions of a stage.
fn instructions(stage: &TaskStage) -> impl Iterator<Item = &Instruction> {
    let clusters = match &stage.work {
        Work::Cluster(cluster) => std::slice::from_ref(cluster),
        Work::Group(clusters) => &clusters[..],
        Work::Op { .. } => &[],
    };
    clusters.iter().flat_map(|cluster| &cluster.instructions)
}

/// Returns the name of a kernel generated from pointwise ops: `pointwise NAME` for a single op, `cluster` for
/// several.
fn cluster_name(stage: &TaskStage) -> String {
    let ops: BTreeSet<_> = instructions(stage).map(|i| i.op.name).collect();
    match ops.into_iter().collect::<Vec<_>>()[..] {
        [] => "copy".into(),
        [op] => format!("pointwise {op}"),
        _ => "cluster".into(),
    }
}

/// Returns, for each fetched value, the kernels of the last task that writes it.
pub(crate) fn producers(plan: &Plan) -> Result<Vec<BTreeSet<String>>> {
    let maker = |fetch: &Fetched| {
        let task = plan.tasks.iter().rev().find(|task| task.outputs().contains(&fetch.buffer));
        task.map_or_else(|| Ok(["copy".into()].into()), |task| names(plan, task))
    };
    plan.fetches.iter().map(maker).collect()
}

/// Returns the names of all kernels in a plan, and of all pointwise ops in its generated or fused kernels.
pub(crate) fn all(plan: &Plan) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for task in &plan.tasks {
        found.extend(names(plan, task)?);
        found.extend(task.stages.iter().flat_map(instructions).map(|i| format!("pointwise {}", i.op.name)));
    }
    Ok(found)
}

/// Returns the name of the shader from which a kernel was generated: the kernel's name without entry point, sizes
/// and fused ops.
///
/// ```
/// assert_eq!(wgrad_parity::family("conv_direct_3x4_e.backward"), "conv_direct");
/// assert_eq!(wgrad_parity::family("matmul_tiled_32x32x8_nt_22_ragged"), "matmul_tiled");
/// assert_eq!(wgrad_parity::family("batch_norm_serial_e"), "batch_norm_serial");
/// assert_eq!(wgrad_parity::family("pointwise log1p"), "pointwise log1p");
/// ```
pub fn family(kernel: &str) -> &str {
    let stem = kernel.split('.').next().unwrap_or(kernel);
    let sizes = stem.match_indices('_').find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let mut stem = sizes.map_or(stem, |(at, _)| &stem[..at]);
    while let Some(shorter) = stem.strip_suffix("_e").or_else(|| stem.strip_suffix("_p")) {
        stem = shorter;
    }
    stem
}
