// y[i, p, k] = Σ_{j in part p} x[i, j, k]
//
// x is [outer, n, inner], y is [outer, parts, inner]. The middle axis is cut into `parts` parts of `length`
// elements, none of them empty; a further dispatch adds the sums of the parts. Each element is read once. The
// order of the additions depends only on the shape and the entry point.
//
// Entry points:
// - `serial`: one thread per output.
// - `rows`: a tree, for inner = 1; THREADS neighbouring threads per output read neighbouring elements.
// - `columns`: a tree; one workgroup per WIDTH neighbouring columns k reads 256 / WIDTH rows j in each step.
//
// Source of the trees: Harris: "Optimizing parallel reduction in CUDA", 2007.

struct Params {
    outer: u32,
    n: u32,
    inner: u32,
    parts: u32,
    length: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override THREADS: u32 = 256u;
override WIDTH: u32 = 32u;
const GROUP = 256u;
var<workgroup> partial: array<f32, GROUP>;

fn load_x(at: u32) -> f32 {
    return x[at];
}

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let output = id.x + id.y * groups.x * 64u;
    if output >= params.outer * params.parts * params.inner {
        return;
    }
    let row = output / params.inner;
    let start = row % params.parts * params.length;
    let rows = min(params.length, params.n - start);
    let step = params.inner;
    var at = (row / params.parts * params.n + start) * params.inner + output % params.inner;
    let end = at + rows * step;
    var sums = vec4<f32>();
    for (; at + 3u * step < end; at += 4u * step) {
        sums += vec4(load_x(at), load_x(at + step), load_x(at + 2u * step), load_x(at + 3u * step));
    }
    for (; at < end; at += step) {
        sums.x += load_x(at);
    }
    store_y(output, (sums.x + sums.y) + (sums.z + sums.w));
}

@compute @workgroup_size(256)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let output = (group.x + group.y * groups.x) * (GROUP / THREADS) + lane / THREADS;
    let inside = output < params.outer * params.parts;
    var sum = 0.0;
    if inside {
        let start = output % params.parts * params.length;
        let end = min(start + params.length, params.n);
        let base = output / params.parts * params.n;
        for (var j = start + lane % THREADS; j < end; j += THREADS) {
            sum += load_x(base + j);
        }
    }
    partial[lane] = sum;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % THREADS < half {
            partial[lane] += partial[lane + half];
        }
    }
    if inside && lane % THREADS == 0u {
        store_y(output, partial[lane]);
    }
}

@compute @workgroup_size(256)
fn columns(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.inner + WIDTH - 1u) / WIDTH;
    let index = group.x + group.y * groups.x;
    let row = index / blocks;
    let column = index % blocks * WIDTH + lane % WIDTH;
    let inside = row < params.outer * params.parts && column < params.inner;
    var sum = 0.0;
    if inside {
        let start = row % params.parts * params.length;
        let end = min(start + params.length, params.n);
        let base = row / params.parts * params.n;
        for (var j = start + lane / WIDTH; j < end; j += GROUP / WIDTH) {
            sum += load_x((base + j) * params.inner + column);
        }
    }
    partial[lane] = sum;
    for (var half = GROUP / 2u; half >= WIDTH; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if inside && lane < WIDTH {
        store_y(row * params.inner + column, partial[lane]);
    }
}
