// y[i, p, k] = Σ_{j in part p} x[i, j, k]
//
// x is [outer, n, inner]; each of `parts` parts of the middle axis holds `length` rows, the last one maybe fewer.
// `serial`: one thread per output. `tree`: one workgroup per output, whose threads take every 64th row and whose
// partial sums are added pairwise in a fixed order.

struct Params {
    outputs: u32,
    n: u32,
    length: u32,
    parts: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const GROUP = 64u;
var<workgroup> partial: array<f32, GROUP>;

// First row, end row and the offset of row 0 for one output.
fn span(output: u32) -> vec3<u32> {
    let k = output % params.inner;
    let rest = output / params.inner;
    let part = rest % params.parts;
    let outer = rest / params.parts;
    let start = part * params.length;
    return vec3(start, min(start + params.length, params.n), outer * params.n * params.inner + k);
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let output = id.x + id.y * groups.x * GROUP;
    if output >= params.outputs {
        return;
    }
    let rows = span(output);
    var sum = 0.0;
    for (var j = rows.x; j < rows.y; j++) {
        sum += x[rows.z + j * params.inner];
    }
    y[output] = sum;
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
    var sum = 0.0;
    for (var j = rows.x + lane; j < rows.y; j += GROUP) {
        sum += x[rows.z + j * params.inner];
    }
    partial[lane] = sum;
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane == 0u && inside {
        y[output] = partial[0];
    }
}
