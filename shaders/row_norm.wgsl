// y[r, i] = (x[r, i] − m)·s,  s[r] = 1 / sqrt(v + eps), with mean m and biased variance v of row r;
// if CENTERED is not set, m = 0 and v = Σ x² / n: the root mean square norm.
//
// x and y are [rows, n], s is [rows]. The variance is summed around the rounded mean, and the rounding error of
// that mean is then removed from mean and variance. So there is no cancellation for values far from 0.
//
// Entry points:
// - `serial`: one thread per row.
// - `tree`: THREADS neighbouring threads per row.
//
// Source: the corrected two-pass algorithm, see batch_norm.wgsl. Needs lib/row_norm.wgsl.

struct Params {
    rows: u32,
    n: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> s: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// Σ x over the elements start, start + step, … below `end`.
fn sum(start: u32, end: u32, step: u32) -> f32 {
    var sums = vec4<f32>();
    var at = start;
    for (; at + 3u * step < end; at += 4u * step) {
        sums += vec4(x[at], x[at + step], x[at + 2u * step], x[at + 3u * step]);
    }
    for (; at < end; at += step) {
        sums.x += x[at];
    }
    return (sums.x + sums.y) + (sums.z + sums.w);
}

// Σ (x − m) and Σ (x − m)² over the elements start, start + step, … below `end`.
fn moments(start: u32, end: u32, step: u32, m: f32) -> vec2<f32> {
    var plain = vec4<f32>();
    var squares = vec4<f32>();
    var at = start;
    for (; at + 3u * step < end; at += 4u * step) {
        let d = vec4(x[at], x[at + step], x[at + 2u * step], x[at + 3u * step]) - m;
        plain += d;
        squares += d * d;
    }
    for (; at < end; at += step) {
        let d = x[at] - m;
        plain.x += d;
        squares.x += d * d;
    }
    return vec2((plain.x + plain.y) + (plain.z + plain.w), (squares.x + squares.y) + (squares.z + squares.w));
}

// Returns the rounding error of m, and s; see the first lines of this file.
fn finish(total: vec2<f32>) -> vec2<f32> {
    let n = f32(params.n);
    let off = select(0.0, total.x / n, CENTERED);
    let variance = max(total.y / n - off * off, 0.0);
    return vec2(off, inverseSqrt(variance + params.eps));
}

fn write(start: u32, end: u32, step: u32, m: f32, known: vec2<f32>) {
    for (var at = start; at < end; at += step) {
        store_y(at, ((x[at] - m) - known.x) * known.y);
    }
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 64u;
    if row >= params.rows {
        return;
    }
    let start = row * params.n;
    let end = start + params.n;
    var m = 0.0;
    if CENTERED {
        m = sum(start, end, 1u) / f32(params.n);
    }
    let known = finish(moments(start, end, 1u, m));
    s[row] = known.y;
    write(start, end, 1u, m, known);
}

@compute @workgroup_size(256)
fn tree(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (group.x + group.y * groups.x) * (GROUP / THREADS) + lane / THREADS;
    let inside = row < params.rows;
    let begin = min(row, params.rows - 1u) * params.n;
    let start = begin + lane % THREADS;
    let end = begin + params.n;
    var m = 0.0;
    if CENTERED {
        m = combine(lane, vec2(sum(start, end, THREADS), 0.0)).x / f32(params.n);
        workgroupBarrier();
    }
    let known = finish(combine(lane, moments(start, end, THREADS, m)));
    if inside {
        if lane % THREADS == 0u {
            s[row] = known.y;
        }
        write(start, end, THREADS, m, known);
    }
}
