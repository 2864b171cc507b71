// forward:   y[i, k] = table[index[i], k]
// backward:  dtable[r, k] = Σ_{i: index[i] = r} dy[i, k], in the order of i
//
// table is [rows, inner], index is [n], y is [n, inner]. Where index[i] ≥ rows, y is NaN and dy is ignored.
// Elements of y are copied as bit patterns, so the same kernel serves floats and integers.
//
// Entry points, all serial (a single thread computes each output):
// - `forward`: one thread per element of y.
// - `backward`: the index is cut into parts; one thread per element of dtable and per part, which scans the part
//   for the element's row: rows·inner·n steps in total. sum_parts.wgsl adds the results of the parts.
// - `link`: links equal indices into chains: each thread stores, for one index, the position of the next equal
//   index, which takes n² steps in total. The threads also clear dtable.
// - `backward_linked`: one thread per element of dy; if its index is the first of a chain, it sums dy along the
//   chain.
//
// The gradient uses no float atomics, so its bits are the same in every run. Large tables use `link` and
// `backward_linked` instead of `backward`; a row that many indices name is then slow, because one thread follows
// its complete chain.
//
// Equivalent: `torch.nn.functional.embedding`. Needs lib/nan.wgsl.

struct Params {
    rows: u32,
    inner: u32,
    n: u32,
    // Number of indices per part.
    part: u32,
}

@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dtable: array<f32>;
@group(0) @binding(5) var<storage, read_write> next: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

const GROUP = 256u;
// Bit of an element of `next` that marks the first index of a chain. The lower bits are the position of the next
// index of the chain, or n at the end of the chain.
const HEAD = 0x80000000u;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.n * params.inner {
        return;
    }
    let row = index[t / params.inner];
    var bits = NAN_BITS;
    if row < params.rows {
        bits = table[row * params.inner + t % params.inner];
    }
    y[t] = bits;
}

// Here, dtable consists of one table of partial sums for each part of the index.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    let size = params.rows * params.inner;
    let first = t / size * params.part;
    if first >= max(params.n, 1u) {
        return;
    }
    let row = t % size / params.inner;
    let k = t % params.inner;
    var sum = 0.0;
    for (var i = first; i < min(first + params.part, params.n); i++) {
        if index[i] == row {
            sum += dy[i * params.inner + k];
        }
    }
    dtable[t] = sum;
}

@compute @workgroup_size(256)
fn link(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t < params.rows * params.inner {
        dtable[t] = 0.0;
    }
    if t >= params.n {
        return;
    }
    let row = index[t];
    var before = 0u;
    while before < t && index[before] != row {
        before++;
    }
    var after = t + 1u;
    while after < params.n && index[after] != row {
        after++;
    }
    next[t] = select(after, after | HEAD, before == t);
}

@compute @workgroup_size(256)
fn backward_linked(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.n * params.inner {
        return;
    }
    let first = t / params.inner;
    let k = t % params.inner;
    let row = index[first];
    if (next[first] & HEAD) == 0u || row >= params.rows {
        return;
    }
    var sum = 0.0;
    var i = first;
    while i < params.n {
        sum += dy[i * params.inner + k];
        i = next[i] & ~HEAD;
    }
    dtable[row * params.inner + k] = sum;
}
