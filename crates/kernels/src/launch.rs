//! From tasks to launches: which kernel, over which buffers of the plan.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wgrad_core::plan::{BufferIndex, Cluster, ClusterInput, Plan, Task, Work};
use wgrad_core::{Dispatch, Error, Grid, Kernel, Operand, Result};

use super::print::{Access, Declared, Place, body, declare, dtype_of, functions, store, wgsl};
use super::{fused, group};

/// What stands behind a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// This buffer of the plan.
    Buffer(BufferIndex),
    /// All of the device's buffer that this buffer of the plan is a part of.
    Whole(BufferIndex),
    /// Numbers that are written once.
    Table(Vec<u32>),
}

/// A dispatch with what its WGSL variables are bound to.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The kernel, its parameters and its size; its own bindings are replaced by `targets`.
    pub dispatch: Dispatch,
    /// WGSL variable → buffer.
    pub targets: Vec<(String, Target)>,
}

/// Where a buffer of the plan lies: which of the device's buffers, and its first element there.
pub type Physical<'a> = dyn Fn(BufferIndex) -> (usize, usize) + 'a;

/// The launches of a task.
///
/// # Errors
/// When a kernel lacks the function that its op promises to store or load through.
pub fn launches(plan: &Plan, task: &Task, physical: &Physical<'_>) -> Result<Vec<Bound>> {
    let Some(at) = task.stages.iter().position(|stage| matches!(stage.work, Work::Op { .. })) else {
        let stage = &task.stages[0];
        return Ok(match &stage.work {
            Work::Cluster(cluster) if cluster.shape.numel() == 0 => vec![],
            Work::Cluster(cluster) => vec![of_cluster(cluster, &stage.inputs, &stage.outputs, physical)],
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
        fused::attach(plan, Bound { dispatch: dispatch.clone(), targets }, &task.stages, at, physical)
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

/// The table of [`Grid::Blocks`] for each device buffer that some of the inputs lie in, with one of those.
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

pub(super) fn missing(kernel: &Kernel, function: &str) -> Error {
    Error::Device(format!("kernel `{}` has no function `{function}`, which its op promises", kernel.name))
}

const GROUP: usize = 64;

/// A cluster as a kernel of its own.
///
/// A thread computes four neighbouring elements: buffers that are read in step are loaded and stored as `vec4`, other
/// views element by element. Buffers are a multiple of 16 bytes long, so the last thread needs no special case: what
/// it writes behind the last element is padding.
fn of_cluster(cluster: &Cluster, inputs: &[BufferIndex], outputs: &[BufferIndex], physical: &Physical<'_>) -> Bound {
    // Several inputs may read one buffer, and an input may be an output: each buffer is bound once.
    let mut declared: BTreeMap<BufferIndex, Declared> = BTreeMap::new();
    let mut targets = vec![];
    let written: Vec<usize> = outputs.iter().map(|&buffer| physical(buffer).0).collect();
    for (i, &buffer) in inputs.iter().chain(outputs).enumerate() {
        if declared.contains_key(&buffer) {
            continue;
        }
        let dtype = match i.checked_sub(inputs.len()) {
            None => cluster.inputs[i].dtype,
            Some(output) => dtype_of(cluster, cluster.outputs[output]),
        };
        let mut reads = inputs.iter().zip(&cluster.inputs).filter(|(other, _)| **other == buffer);
        let vector = reads.all(|(_, input)| input.view.is_contiguous());
        let element = if vector { format!("vec4<{}>", wgsl(dtype)) } else { wgsl(dtype).into() };
        let binding = declared.len();
        let name = format!("b{binding}");
        targets.push((name.clone(), Target::Buffer(buffer)));
        // Parts of one device buffer are all declared writable if one of them is written.
        let written = written.contains(&physical(buffer).0);
        declared.insert(buffer, Declared { name, element, binding, written });
    }
    let mut text = String::from("struct Params { n: u32 }\n");
    declare(&declared, &mut text);
    writeln!(text, "@group(0) @binding({}) var<uniform> params: Params;", declared.len()).expect("strings grow");
    text += &functions(cluster, "", "");
    write!(
        text,
        "\n@compute @workgroup_size({GROUP})\nfn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{\n    \
         let quad = id.x + id.y * groups.x * {GROUP}u;\n    if quad * 4u >= params.n {{\n        return;\n    }}\n"
    )
    .expect("strings grow");
    let access = |buffer: &BufferIndex| {
        let Declared { name, element, .. } = &declared[buffer];
        (name.clone(), element.starts_with("vec4"))
    };
    let reads: Vec<Access> = inputs
        .iter()
        .zip(&cluster.inputs)
        .map(|(buffer, ClusterInput { view, .. })| match access(buffer) {
            (name, true) => Access::Vector(name, "quad".into()),
            (name, false) if view.is_splat() => Access::Splat(name, format!("{}u", view.offset)),
            (name, false) => Access::Strided(name),
        })
        .collect();
    let writes: Vec<Access> = outputs.iter().map(|buffer| Access::Vector(access(buffer).0, "quad".into())).collect();
    let place = Place { prefix: "", at: "quad", quad: Some("params.n") };
    let values = body(cluster, &reads, &place, &mut text);
    store(cluster, &writes, &values, "", &mut text);
    text += "}\n";
    let n = cluster.shape.numel();
    let grid = Grid::Threads([n.div_ceil(4), 1, 1]);
    let dispatch = Dispatch::new(Kernel::generated("cluster", text), "forward", grid).param("n", n);
    Bound { dispatch, targets }
}
