// forward:   y[o, j, k] = x[o, index[o, j, k], k]
// backward:  dx[o, r, k] = Σ_{j: index[o, j, k] = r} dy[o, j, k], in the order of j
// inverse:   y[o, index[o, j, k], k] = j, the inverse of an index whose lines are permutations
//
// x is [outer, n, inner]; index, y and dy are [outer, m, inner]; a line is the elements with the same o and k.
// Where index ≥ n, y is NaN and dy is ignored. Elements of y are copied as bit patterns, so the same kernel serves
// floats and integers.
//
// Entry points, all serial (a single thread computes each output):
// - `forward`: one thread per element of y.
// - `backward`: one thread per element of dx; it scans the m indices of its line, at most 32,768 per dispatch.
// - `inverse`: one thread per element of the index.
//
// The gradient uses no float atomics, so its bits are the same in every run.
//
// Equivalent: `torch.gather`. Needs lib/nan.wgsl.

struct Params {
    n: u32,
    m: u32,
    inner: u32,
    // Number of threads.
    count: u32,
    // This dispatch of `backward` reads the indices in the half-open range [start, end). If start > 0, it adds to
    // the sums of the previous dispatch.
    start: u32,
    end: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const GROUP = 256u;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let row = index[t];
    var bits = NAN_BITS;
    if row < params.n {
        bits = x[(t / (params.m * params.inner) * params.n + row) * params.inner + t % params.inner];
    }
    y[t] = bits;
}

@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let row = t / params.inner % params.n;
    let first = t / (params.n * params.inner) * params.m * params.inner + t % params.inner;
    var sum = 0.0;
    if params.start > 0u {
        sum = dx[t];
    }
    for (var j = params.start; j < params.end; j++) {
        let at = first + j * params.inner;
        if index[at] == row {
            sum += dy[at];
        }
    }
    dx[t] = sum;
}

@compute @workgroup_size(256)
fn inverse(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let to = index[t];
    if to < params.n {
        y[(t / (params.n * params.inner) * params.n + to) * params.inner + t % params.inner]
            = t / params.inner % params.n;
    }
}
