// y[i, j, k] = log Σ_{l ≤ j} exp(x[i, l, k]), or log Σ_{l ≥ j} exp(x[i, l, k]) if `reverse` is 1
//
// x and y are [outer, n, inner]; a line is the n elements with the same i and k. A sum of exponentials (a total)
// is stored as exp(top)·sum, where `top` is the largest x in it, so that nothing overflows. If lines are few or
// long, each is cut into `blocks` blocks of `length` elements and summed in three dispatches. tops[b, line] and
// sums[b, line] belong to block b of the line.
//
// Entry points, all serial (a single thread computes each result):
// - `forward`: one thread per line, for lines that are not cut into blocks.
// - `sums_of_blocks`: first dispatch, one thread per block: stores the block's total.
// - `offsets`: second dispatch, one thread per line: replaces each block's total with that of all earlier blocks.
// - `blocked`: third dispatch, one thread per block: computes the results of the block, starting from that offset.
//
// Source: Blelloch: "Prefix sums and their applications", 1990 (a scan in blocks). Needs lib/special.wgsl.

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
@group(0) @binding(2) var<storage, read_write> tops: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const GROUP = 64u;

// A sum of exponentials, stored as exp(top)·sum.
struct Total {
    top: f32,
    sum: f32,
}

fn nothing() -> Total {
    return Total(-3.0e38, 0.0);
}

fn load_x(at: u32) -> f32 {
    return x[at];
}

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// exp(a − b); 1 if a and b are the same infinity.
fn ratio(a: f32, b: f32) -> f32 {
    return exp(select(max(a - b, -200.0), 0.0, a == b));
}

fn plus(a: Total, b: Total) -> Total {
    // A comparison with NaN is false, so NaN is added to `sum` and stays there.
    if b.top > a.top {
        return Total(b.top, a.sum * ratio(a.top, b.top) + b.sum);
    }
    let scale = select(ratio(b.top, a.top), b.top, special_is_nan(b.top));
    return Total(a.top, a.sum + b.sum * scale);
}

// The position in x and y of the element that is added in step `step` of the cumulative sum along a line.
fn position(line: u32, step: u32) -> u32 {
    let j = select(step, params.n - 1u - step, params.reverse == 1u);
    return (line / params.inner * params.n + j) * params.inner + line % params.inner;
}

fn accumulate(line: u32, first: u32, end: u32, before: Total) {
    var total = before;
    for (var step = first; step < end; step++) {
        let at = position(line, step);
        total = plus(total, Total(load_x(at), 1.0));
        store_y(at, total.top + special_log(total.sum));
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let line = id.x + id.y * groups.x * GROUP;
    if line < params.lines {
        accumulate(line, 0u, params.n, nothing());
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
    var total = nothing();
    for (var step = first; step < min(first + params.length, params.n); step++) {
        total = plus(total, Total(load_x(position(line, step)), 1.0));
    }
    tops[thread] = total.top;
    sums[thread] = total.sum;
}

@compute @workgroup_size(64)
fn offsets(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let line = id.x + id.y * groups.x * GROUP;
    if line >= params.lines {
        return;
    }
    var before = nothing();
    for (var block = 0u; block < params.blocks; block++) {
        let at = block * params.lines + line;
        let total = Total(tops[at], sums[at]);
        tops[at] = before.top;
        sums[at] = before.sum;
        before = plus(before, total);
    }
}

@compute @workgroup_size(64)
fn blocked(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * GROUP;
    if thread >= params.lines * params.blocks {
        return;
    }
    let first = thread / params.lines * params.length;
    let end = min(first + params.length, params.n);
    accumulate(thread % params.lines, first, end, Total(tops[thread], sums[thread]));
}
