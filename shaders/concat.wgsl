// forward: y[i, offset + j] = x[i, j]
// pad:     y[i, offset + j] = x[i, j], and 0 elsewhere in y
//
// x is [outer, length], y is [outer, total]: the axis along which tensors are joined or padded is merged with all
// later axes. Elements are copied as bit patterns, so the same kernel serves floats and integers.
//
// Entry points, both with one thread per element (`count` threads):
// - `forward`: copies each element of x to y; one dispatch per input of a concatenation.
// - `pad`: writes each element of y.
//
// Equivalent: `torch.cat`, `torch.nn.functional.pad`.

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
    // For elements before the copy of x, the subtraction wraps around to a number above `length`.
    let j = i % params.total - params.offset;
    var bits = 0u;
    if j < params.length {
        bits = x[i / params.total * params.length + j];
    }
    y[i] = bits;
}
