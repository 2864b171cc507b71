// y[i, before + j, k] = x[i, j, k], and 0 elsewhere
//
// x is [outer, n, inner], y is [outer, padded, inner]. One thread per element of y.

struct Params {
    count: u32,
    n: u32,
    inner: u32,
    before: u32,
    padded: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const GROUP = 256u;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * GROUP;
    if i >= params.count {
        return;
    }
    let k = i % params.inner;
    let rest = i / params.inner;
    // Rows before the input wrap around to numbers above n.
    let j = rest % params.padded - params.before;
    var value = 0.0;
    if j < params.n {
        value = x[(rest / params.padded * params.n + j) * params.inner + k];
    }
    y[i] = value;
}
