// y[i, p, k] = max_{j in part p} x[i, j, k], or min if sign = -1 (min(x) = -max(-x)); NaN if the part contains one
//
// x is [outer, n, inner], y is [outer, parts, inner]. The middle axis is cut into `parts` parts of `length`
// elements, of which the last may be shorter; a second dispatch reduces the results of the parts. A thread starts
// with its first element, not with a constant such as −∞; each element is read once.
//
// Entry points:
// - `serial`: one thread per output.
// - `tree`: one workgroup per output; each thread compares every 64th element, then the threads' results are
//   merged pairwise.
//
// Equivalent: `torch.amax`, `torch.amin`. Needs lib/nan.wgsl.

struct Params {
    outputs: u32,
    n: u32,
    length: u32,
    parts: u32,
    inner: u32,
    sign: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const GROUP = 64u;
var<workgroup> partial: array<f32, GROUP>;

// For an output: the first j of its part, the end of its part, and the position in x of j = 0.
fn span(output: u32) -> vec3<u32> {
    let k = output % params.inner;
    let rest = output / params.inner;
    let part = rest % params.parts;
    let outer = rest / params.parts;
    let start = min(part * params.length, params.n - 1u);
    return vec3(start, min(start + params.length, params.n), outer * params.n * params.inner + k);
}

fn load_x(at: u32) -> f32 {
    return x[at];
}

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn larger(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}

fn value(rows: vec3<u32>, j: u32) -> f32 {
    return params.sign * load_x(rows.z + j * params.inner);
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let output = id.x + id.y * groups.x * GROUP;
    if output >= params.outputs {
        return;
    }
    let rows = span(output);
    var best = value(rows, rows.x);
    for (var j = rows.x + 1u; j < rows.y; j++) {
        best = larger(best, value(rows, j));
    }
    store_y(output, params.sign * best);
}

@compute @workgroup_size(64)
fn tree(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let output = group.x + group.y * groups.x;
    let inside = output < params.outputs;
    let rows = span(min(output, params.outputs - 1u));
    // Only threads with at least one element have a value.
    let givers = min(GROUP, rows.y - rows.x);
    if inside && lane < givers {
        var best = value(rows, rows.x + lane);
        for (var j = rows.x + lane + GROUP; j < rows.y; j += GROUP) {
            best = larger(best, value(rows, j));
        }
        partial[lane] = best;
    }
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half && lane + half < givers {
            partial[lane] = larger(partial[lane], partial[lane + half]);
        }
    }
    if lane == 0u && inside {
        store_y(output, params.sign * partial[0]);
    }
}
