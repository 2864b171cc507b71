// y[i, 0, k] = the smallest j for which x[i, j, k] is the maximum, or the first NaN
//
// x is [outer, n, inner], y is [outer, 1, inner]. Of equal values the one with the smaller index counts as larger,
// so the order of merging does not matter. Each element is read once.
//
// Entry points:
// - `serial`: one thread per output.
// - `tree`: one workgroup per output; each thread compares every 64th element, then the threads' results are
//   merged pairwise.
//
// Equivalent: `torch.argmax`. Needs lib/nan.wgsl.

struct Params {
    outputs: u32,
    n: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const GROUP = 64u;
var<workgroup> values: array<f32, GROUP>;
var<workgroup> rows: array<u32, GROUP>;

fn load_x(at: u32) -> f32 {
    return x[at];
}

fn above(a: f32, b: f32) -> bool {
    return (a > b || is_nan(a)) && !is_nan(b);
}

// The position in x of j = 0 for an output.
fn base(output: u32) -> u32 {
    return output / params.inner * params.n * params.inner + output % params.inner;
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let output = id.x + id.y * groups.x * GROUP;
    if output >= params.outputs {
        return;
    }
    let start = base(output);
    var best = load_x(start);
    var row = 0u;
    for (var j = 1u; j < params.n; j++) {
        let value = load_x(start + j * params.inner);
        if above(value, best) {
            best = value;
            row = j;
        }
    }
    y[output] = row;
}

@compute @workgroup_size(64)
fn tree(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let output = group.x + group.y * groups.x;
    let inside = output < params.outputs;
    let start = base(min(output, params.outputs - 1u));
    // Only threads with at least one element have a value.
    let givers = min(GROUP, params.n);
    if inside && lane < givers {
        var best = load_x(start + lane * params.inner);
        var row = lane;
        for (var j = lane + GROUP; j < params.n; j += GROUP) {
            let value = load_x(start + j * params.inner);
            if above(value, best) {
                best = value;
                row = j;
            }
        }
        values[lane] = best;
        rows[lane] = row;
    }
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half && lane + half < givers {
            let other = lane + half;
            // If neither value is above the other, both are equal or both are NaN.
            let even = !above(values[lane], values[other]);
            if above(values[other], values[lane]) || (even && rows[other] < rows[lane]) {
                values[lane] = values[other];
                rows[lane] = rows[other];
            }
        }
    }
    if lane == 0u && inside {
        y[output] = rows[0];
    }
}
