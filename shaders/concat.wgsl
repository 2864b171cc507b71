// forward: y[i, offset + j] = x[i, j]
// pad:     the same, and 0 elsewhere in y
//
// x is [outer, length], y is [outer, total]: the axis of the op and all after it taken as one. Elements are copied as
// bits, so floats and integers are the same to it. `count` elements are visited, by a thread each:
//
// `forward`: of x; a dispatch per input of a concatenation.
// `pad`: of y.

struct Params {
    count: u32,
    length: u32,
    total: u32,
    offset: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const GROUP = 256u;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * GROUP;
    if i >= params.count {
        return;
    }
    y[i / params.length * params.total + params.offset + i % params.length] = x[i];
}

@compute @workgroup_size(256)
fn pad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * GROUP;
    if i >= params.count {
        return;
    }
    // What is before the input wraps around to numbers above its length.
    let j = i % params.total - params.offset;
    var bits = 0u;
    if j < params.length {
        bits = x[i / params.total * params.length + j];
    }
    y[i] = bits;
}
