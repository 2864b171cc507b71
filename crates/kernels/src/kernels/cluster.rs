//! Kernels of clusters (fused groups of pointwise ops) that are not attached to another op's kernel.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wgrad_core::plan::{BufferIndex, Cluster, ClusterInput};
use wgrad_core::{Dispatch, Grid, Kernel};

use super::bound::{BoundDispatch, Physical, Target};
use super::print::{Access, BodyPosition, Declared, body, declare, dtype_of, functions, store, wgsl};

/// Threads per workgroup; each computes four elements.
const GROUP: usize = 64;

/// Returns the launch of a cluster, which is a fused group of pointwise ops.
///
/// A thread computes four neighbouring elements. Buffers whose elements are in contiguous order are loaded and
/// stored as `vec4`, other views one element after another. The size of a buffer is a multiple of 16 bytes, so the
/// last thread needs no special case: it may write into the padding after the last element.
pub(super) fn launch(
    cluster: &Cluster,
    inputs: &[BufferIndex],
    outputs: &[BufferIndex],
    physical: &Physical<'_>,
) -> BoundDispatch {
    // Several inputs may read the same buffer, and an input may also be an output. Each buffer is bound only once.
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
        // wgpu tracks complete device buffers: if one binding of a device buffer is writable, all its bindings
        // must be.
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
            (name, true) => Access::Vector(format!("{name}[quad]")),
            (name, false) if view.is_splat() => Access::Splat(format!("{name}[{}u]", view.offset)),
            (name, false) => Access::Strided(name),
        })
        .collect();
    let write = |buffer| Access::Vector(format!("{}[quad]", access(buffer).0));
    let writes: Vec<Access> = outputs.iter().map(write).collect();
    let place = BodyPosition { prefix: "", at: "quad", quad: Some("params.n") };
    let values = body(cluster, &reads, &place, &mut text);
    store(cluster, &writes, &values, "", &mut text);
    text += "}\n";
    let n = cluster.shape.numel();
    let grid = Grid::Threads([n.div_ceil(4), 1, 1]);
    let dispatch = Dispatch::new(Kernel::generated("cluster", text), "forward", grid).param("n", n);
    BoundDispatch { dispatch, targets }
}
