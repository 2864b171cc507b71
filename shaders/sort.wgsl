// y[o, r, k] = the j for which x[o, j, k] has rank r along j: a stable argsort, ascending or descending
//
// x and y are [outer, n, inner]; a line is the n elements with the same o and k, which are `inner` apart. Of equal
// elements the one with the smaller j comes first; -0 equals 0, and NaN is larger than everything. Between
// dispatches, lines are stored one after another as pairs (key, j), where the keys are integers in the order of
// the elements.
//
// Entry points, all serial: one thread per element, which computes the sorted position of that element.
// - `rank`: sorts blocks of `length` elements: a thread counts the elements of the block that come before its
//   element.
// - `rank_last`: the same for lines of a single block; writes y.
// - `merge`: merges pairs of sorted runs of `length` elements: a thread counts, by binary search, the elements of
//   the neighbouring run that come before its element.
// - `merge_last`: the same for the last merge; writes y.
//
// No thread waits for another, no loop is longer than a block or 32 iterations, and each position is written once.
//
// Source: Satish, Harris, Garland: "Designing efficient sorting algorithms for manycore GPUs", 2009 (merge by
// rank).

struct Params {
    // Total number of elements.
    count: u32,
    n: u32,
    inner: u32,
    length: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> pairs: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> merged: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

override DESCENDING: bool = false;
const GROUP = 64u;

// Returns an integer key for the bits of a float, such that keys are ordered as the floats are.
fn key(bits: u32) -> u32 {
    let size = bits & 0x7fffffffu;
    let ordered = select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
    let ascending = select(select(ordered, 0x80000000u, size == 0u), 0xffffffffu, size > 0x7f800000u);
    return select(ascending, ~ascending, DESCENDING);
}

// The position in x and y of element j of a line.
fn place(line: u32, j: u32) -> u32 {
    return (line / params.inner * params.n + j) * params.inner + line % params.inner;
}

// The position of element j in its line after its block has been sorted, and the element's key.
fn ranked(line: u32, j: u32) -> vec2<u32> {
    let own = key(x[place(line, j)]);
    let first = j / params.length * params.length;
    let end = min(first + params.length, params.n);
    var to = first;
    for (var other = first; other < end; other++) {
        let theirs = key(x[place(line, other)]);
        to += select(0u, 1u, theirs < own || (theirs == own && other < j));
    }
    return vec2(to, own);
}

@compute @workgroup_size(64)
fn rank(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let line = t / params.n;
    let j = t % params.n;
    let to = ranked(line, j);
    merged[line * params.n + to.x] = vec2(to.y, j);
}

@compute @workgroup_size(64)
fn rank_last(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let line = t / params.n;
    let j = t % params.n;
    y[place(line, ranked(line, j).x)] = j;
}

// The position of pair j in its line after its run and the neighbouring run have been merged.
fn joined(line: u32, j: u32) -> u32 {
    let own = pairs[line * params.n + j].x;
    let run = j / params.length;
    let second = run % 2u == 1u;
    let other = select(run + 1u, run - 1u, second) * params.length;
    let start = min(other, params.n);
    var low = start;
    var high = min(other + params.length, params.n);
    // Of equal keys, those of the first run come first, so that the sort is stable.
    while low < high {
        let middle = (low + high) / 2u;
        let theirs = pairs[line * params.n + middle].x;
        let before = theirs < own || (theirs == own && second);
        low = select(low, middle + 1u, before);
        high = select(middle, high, before);
    }
    return min(run * params.length, select(run * params.length, other, second)) + j % params.length + low - start;
}

@compute @workgroup_size(64)
fn merge(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let line = t / params.n;
    merged[line * params.n + joined(line, t % params.n)] = pairs[t];
}

@compute @workgroup_size(64)
fn merge_last(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let t = id.x + id.y * groups.x * GROUP;
    if t >= params.count {
        return;
    }
    let line = t / params.n;
    y[place(line, joined(line, t % params.n))] = pairs[t].y;
}
