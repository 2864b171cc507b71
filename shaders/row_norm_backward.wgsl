// dx[r, i] = s[r]·(dy[r, i] − a − y[r, i]·b) with a = Σ_j dy[r, j] / n (0 if not CENTERED) and
// b = Σ_j dy[r, j]·y[r, j] / n: the gradient of row_norm.wgsl from its results y and s
//
// The inputs y and s are the results of row_norm.wgsl. dx, dy and y are [rows, n], s is [rows].
//
// Entry points:
// - `serial`: one thread per row.
// - `tree`: THREADS neighbouring threads per row.
//
// Source: the derivative of row_norm.wgsl. Needs lib/row_norm.wgsl.

struct Params {
    rows: u32,
    n: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn store_dx(at: u32, value: f32) {
    dx[at] = value;
}

// Σ dy and Σ dy·y over the elements start, start + step, … below `end`.
fn products(start: u32, end: u32, step: u32) -> vec2<f32> {
    var plain = vec4<f32>();
    var scaled = vec4<f32>();
    var at = start;
    for (; at + 3u * step < end; at += 4u * step) {
        let d = vec4(dy[at], dy[at + step], dy[at + 2u * step], dy[at + 3u * step]);
        plain += d;
        scaled += d * vec4(y[at], y[at + step], y[at + 2u * step], y[at + 3u * step]);
    }
    for (; at < end; at += step) {
        plain.x += dy[at];
        scaled.x += dy[at] * y[at];
    }
    return vec2((plain.x + plain.y) + (plain.z + plain.w), (scaled.x + scaled.y) + (scaled.z + scaled.w));
}

fn write(start: u32, end: u32, step: u32, total: vec2<f32>, scale: f32) {
    let share = total / f32(params.n);
    let a = select(0.0, share.x, CENTERED);
    for (var at = start; at < end; at += step) {
        store_dx(at, scale * (dy[at] - a - y[at] * share.y));
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
    write(start, end, 1u, products(start, end, 1u), s[row]);
}

@compute @workgroup_size(256)
fn tree(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * (GROUP / THREADS) + lane / THREADS;
    let row = min(index, params.rows - 1u);
    let start = row * params.n + lane % THREADS;
    let end = (row + 1u) * params.n;
    let total = combine(lane, products(start, end, THREADS));
    if index < params.rows {
        write(start, end, THREADS, total, s[row]);
    }
}
