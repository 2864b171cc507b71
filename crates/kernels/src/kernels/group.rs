//! Kernels of groups: one kernel that runs the same pointwise ops on many sets of buffers, such as the update of
//! all parameters. Each set of buffers is a member of the group.
//!
//! Variables, their optimizer state and their gradients are allocated side by side in a few device buffers, which
//! the kernel binds completely. A table of constants contains the member to which each block of elements belongs,
//! and the positions of each member's buffers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wgrad_core::plan::{Arg, BufferIndex, Cluster, ClusterInput};
use wgrad_core::{Dispatch, Grid, Kernel};

use super::bound::{BoundDispatch, Physical, Target};
use super::print::{Access, BodyPosition, Declared, LANES, body, declare, dtype_of, functions, store, wgsl};

/// Threads per workgroup; each computes four elements.
const GROUP: usize = 64;

/// Member of a group: a cluster (fused pointwise ops) with its buffers.
#[derive(Clone, Copy)]
struct Member<'a> {
    cluster: &'a Cluster,
    inputs: &'a [BufferIndex],
    outputs: &'a [BufferIndex],
}

/// Returns the launches of a group: one launch for each set of members whose buffers lie in the same device
/// buffers.
pub(super) fn launches(
    clusters: &[Cluster],
    inputs: &[BufferIndex],
    outputs: &[BufferIndex],
    physical: &Physical<'_>,
) -> Vec<BoundDispatch> {
    let (reads, writes) = (inputs.len() / clusters.len(), outputs.len() / clusters.len());
    let member = |(i, cluster)| Member {
        cluster,
        inputs: &inputs[i * reads..(i + 1) * reads],
        outputs: &outputs[i * writes..(i + 1) * writes],
    };
    let members: Vec<_> = clusters.iter().enumerate().map(member).filter(|m| m.cluster.shape.numel() > 0).collect();
    // If one member reads an input as a splat (a single element for all positions), all members do. A view that
    // is not contiguous must be a splat. The converse does not hold: in a member with a single element, a splat is
    // contiguous, too. So one member with a view that is not contiguous decides for all.
    let splat: Vec<bool> =
        (0..reads).map(|k| members.iter().any(|m| !m.cluster.inputs[k].view.is_contiguous())).collect();
    let mut together: BTreeMap<Vec<usize>, Vec<Member<'_>>> = BTreeMap::new();
    for member in members {
        let own = member.inputs.iter().zip(&splat).filter(|(_, splat)| !**splat).map(|(buffer, _)| buffer);
        let places = own.chain(member.outputs).map(|&buffer| physical(buffer).0);
        together.entry(places.collect()).or_default().push(member);
    }
    together.into_values().map(|members| launch(&members, &splat, physical)).collect()
}

fn launch(members: &[Member<'_>], splat: &[bool], physical: &Physical<'_>) -> BoundDispatch {
    let first = members[0];
    let cluster = first.cluster;
    let written: Vec<usize> = first.outputs.iter().map(|&buffer| physical(buffer).0).collect();
    // Variables to declare: first the device buffers that are bound completely, then the scalars that all members
    // read. The key of a complete device buffer is its number; the key of a scalar is `usize::MAX` minus the
    // number of its device buffer.
    let mut declared: BTreeMap<usize, Declared> = BTreeMap::new();
    let mut targets = vec![];
    let mut bind = |key: usize, element: String, written: bool, target: Target| {
        let binding = declared.len();
        let entry = declared.entry(key).or_insert_with(|| {
            let name = format!("b{binding}");
            targets.push((name.clone(), target));
            Declared { name, element, binding, written }
        });
        entry.name.clone()
    };
    // Indices of the inputs that are read as `vec4`. For each member, the table contains the member's first block,
    // its number of elements, and the position of the first `vec4` of each of these inputs and of each output.
    let mut own: Vec<usize> = vec![];
    let mut reads = vec![];
    for (k, &buffer) in first.inputs.iter().enumerate() {
        let ClusterInput { view, dtype } = &cluster.inputs[k];
        let (id, offset) = physical(buffer);
        reads.push(if splat[k] && !written.contains(&id) {
            let name = bind(usize::MAX - id, wgsl(*dtype).into(), false, Target::Buffer(buffer));
            Access::Splat(format!("{name}[{}u]", view.offset))
        } else {
            let name = bind(id, format!("vec4<{}>", wgsl(*dtype)), written.contains(&id), Target::Whole(buffer));
            if splat[k] {
                let at = offset + view.offset;
                Access::Splat(format!("{name}[{}u].{}", at / 4, LANES[at % 4]))
            } else {
                own.push(k);
                Access::Vector(format!("{name}[table[segment + {}u] + quad]", own.len() + 1))
            }
        });
    }
    let mut writes = vec![];
    for (k, &buffer) in first.outputs.iter().enumerate() {
        let dtype = dtype_of(cluster, cluster.outputs[k]);
        let name = bind(physical(buffer).0, format!("vec4<{}>", wgsl(dtype)), true, Target::Whole(buffer));
        writes.push(Access::Vector(format!("{name}[table[segment + {}u] + quad]", own.len() + 2 + k)));
    }
    let words = own.len() + first.outputs.len() + 2;
    let (mut blocks, mut segments): (Vec<u32>, Vec<u32>) = (vec![], vec![]);
    let word = |value: usize| u32::try_from(value).expect("elements of a device buffer");
    for (m, member) in members.iter().enumerate() {
        let n = member.cluster.shape.numel();
        segments.extend([word(blocks.len()), word(n)]);
        let buffers = own.iter().map(|&k| member.inputs[k]).chain(member.outputs.iter().copied());
        segments.extend(buffers.map(|buffer| word(physical(buffer).1 / 4)));
        blocks.extend(std::iter::repeat_n(word(m), n.div_ceil(GROUP * 4)));
    }
    let count = blocks.len();
    let mut text = String::from("struct Params { blocks: u32 }\n");
    let table = declared.len();
    declare(&declared, &mut text);
    writeln!(text, "@group(0) @binding({table}) var<storage, read> table: array<u32>;").expect("strings grow");
    writeln!(text, "@group(0) @binding({}) var<uniform> params: Params;", table + 1).expect("strings grow");
    text += &functions(cluster, "", "");
    write!(
        text,
        "
@compute @workgroup_size({GROUP})
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {{
    let block = group.x + group.y * groups.x;
    if block >= params.blocks {{
        return;
    }}
    let segment = params.blocks + table[block] * {words}u;
    let quad = (block - table[segment]) * {GROUP}u + lane;
    let n = table[segment + 1u];
    if quad * 4u >= n {{
        return;
    }}
"
    )
    .expect("strings grow");
    let values = body(cluster, &reads, &BodyPosition { prefix: "", at: "quad", quad: Some("n") }, &mut text);
    store(cluster, &writes, &values, "", &mut text);
    text += "}\n";
    blocks.extend(segments);
    targets.push(("table".into(), Target::Table(blocks)));
    let name = if cluster.outputs.iter().any(|arg| matches!(arg, Arg::Result(_))) { "group" } else { "group_copy" };
    let dispatch = Dispatch::new(Kernel::generated(name, text), "forward", Grid::Groups([count, 1, 1]));
    BoundDispatch { dispatch: dispatch.param("blocks", count), targets }
}
