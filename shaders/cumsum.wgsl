// y[i, j, k] = Σ_{l ≤ j} x[i, l, k], or Σ_{l ≥ j} x[i, l, k] if `reverse` is 1
//
// x and y are [outer, n, inner]; a line is the n elements with the same i and k. If lines are few or long, each is
// cut into `blocks` blocks of `length` elements and summed in three dispatches. sums[b, line] belongs to block b
// of the line.
//
// Entry points, all serial (a single thread computes each result):
// - `forward`: one thread per line, for lines that are not cut into blocks.
// - `sums_of_blocks`: first dispatch, one thread per block: stores the block's sum.
// - `offsets`: second dispatch, one thread per line: replaces each block's sum with the sum of all earlier blocks.
// - `blocked`: third dispatch, one thread per block: computes the block's cumulative sums, starting from that
//   offset.
//
// Source: Blelloch: "Prefix sums and their applications", 1990 (a scan in blocks).

struct Params {
    lines: u32,
    n: u32,
    inner: u32,
    reverse: u32,
    // Number of elements per block, and of blocks per line.
    length: u32,
    blocks: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const GROUP = 64u;

fn load_x(at: u32) -> f32 {
    return x[at];
}

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// The position in x and y of the element that is added in step `step` of the cumulative sum along a line.
fn place(line: u32, step: u32) -> u32 {
    let j = select(step, params.n - 1u - step, params.reverse == 1u);
    return (line / params.inner * params.n + j) * params.inner + line % params.inner;
}

fn walk(line: u32, first: u32, end: u32, before: f32) {
    var sum = before;
    for (var step = first; step < end; step++) {
        let at = place(line, step);
        sum += load_x(at);
        store_y(at, sum);
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let line = id.x + id.y * groups.x * GROUP;
    if line < params.lines {
        walk(line, 0u, params.n, 0.0);
    }
}

@compute @workgroup_size(64)
fn sums_of_blocks(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * GROUP;
    if thread >= params.lines * params.blocks {
        return;
    }
    let line = thread % params.lines;
    let first = thread / params.lines * params.length;
    var sum = 0.0;
    for (var step = first; step < min(first + params.length, params.n); step++) {
        sum += load_x(place(line, step));
    }
    sums[thread] = sum;
}

@compute @workgroup_size(64)
fn offsets(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let line = id.x + id.y * groups.x * GROUP;
    if line >= params.lines {
        return;
    }
    var before = 0.0;
    for (var block = 0u; block < params.blocks; block++) {
        let at = block * params.lines + line;
        let sum = sums[at];
        sums[at] = before;
        before += sum;
    }
}

@compute @workgroup_size(64)
fn blocked(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * GROUP;
    if thread >= params.lines * params.blocks {
        return;
    }
    let first = thread / params.lines * params.length;
    walk(thread % params.lines, first, min(first + params.length, params.n), sums[thread]);
}
