// softmax:      y[o, c, i] = exp(x[o, c, i] − m) / (1 + s)
// log_softmax:  y[o, c, i] = (x[o, c, i] − m) − log(1 + s)
// with m = max_c x[o, c, i], and s the sum of exp(x[o, c, i] − m) over all c except the one of the maximum.
//
// x and y are [outer, classes, inner]; a row is the elements with the same o and i, which are `inner` apart. LOG
// selects log_softmax. Subtracting the maximum keeps every exponential in [0, 1]. The exponential of the maximum
// is 1; it is left out of s, because adding 1 would round off the digits of a small s. log(1 + s) is computed as
// log1p(s).
//
// Entry points:
// - `serial`: one thread per row.
// - `tree`: one workgroup per row of at least 64 classes; each thread processes every 64th class.
//
// Equivalent: `torch.softmax`, `torch.log_softmax`. Needs lib/special.wgsl and lib/tree.wgsl.

struct Params {
    rows: u32,
    classes: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override LOG: bool = false;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// The position in x of class 0 of a row.
fn first(row: u32) -> u32 {
    return row / params.inner * params.classes * params.inner + row % params.inner;
}

// The largest of the elements start, start + step, … below `end`, and its position in x.
fn largest(start: u32, end: u32, step: u32) -> TreeMax {
    var best = TreeMax(x[start], start);
    for (var at = start + step; at < end; at += step) {
        let value = x[at];
        best.place = select(best.place, at, value > best.value);
        best.value = max(best.value, value);
    }
    return best;
}

fn sum_of_others(start: u32, end: u32, step: u32, best: TreeMax) -> f32 {
    var s = 0.0;
    for (var at = start; at < end; at += step) {
        s += select(exp(x[at] - best.value), 0.0, at == best.place);
    }
    return s;
}

fn finish(start: u32, end: u32, step: u32, best: TreeMax, s: f32) {
    let log_s = special_log1p(s);
    for (var at = start; at < end; at += step) {
        let value = x[at] - best.value;
        store_y(at, select(exp(value) / (1.0 + s), value - log_s, LOG));
    }
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 64u;
    if row >= params.rows {
        return;
    }
    let start = first(row);
    let end = start + params.classes * params.inner;
    let best = largest(start, end, params.inner);
    finish(start, end, params.inner, best, sum_of_others(start, end, params.inner, best));
}

@compute @workgroup_size(64)
fn tree(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    let inside = row < params.rows;
    let begin = first(min(row, params.rows - 1u));
    let end = begin + params.classes * params.inner;
    let start = begin + lane * params.inner;
    let step = TREE * params.inner;
    let best = tree_max(lane, largest(start, end, step));
    let s = tree_sum(lane, sum_of_others(start, end, step, best));
    if inside {
        finish(start, end, step, best, s);
    }
}
