// y[i, offset + j] = x[i, j]
//
// x is [outer, length], y is [outer, total]: the concatenated axis and all after it taken as one. One dispatch per
// input, one thread per element of x. Elements are copied as bits, so floats and integers are the same to it.

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
