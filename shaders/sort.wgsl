// y[o, r, k] = the j for which x[o, j, k] has rank r along j: a stable order, ascending or descending.
//
// x and y are [outer, n, inner]; a line is one (o, k), its elements stand `inner` apart. Of equal elements the one
// with the smaller j comes first; -0 equals 0, and NaN is larger than everything.
//
// `rank` orders blocks of `length` elements: each thread counts how many of its block come before its element.
// `merge` joins neighbouring runs of `length`, each in order, to runs of twice the length: each thread finds by halving
// how many of the other run come before its element. Between passes, lines are lists of (key, j), one after another.
// No thread waits for another, no loop is longer than a block or 32 turns, and each place is written once. The pass
// that is the last one writes y.

struct Params {
    // Elements of all lines.
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

// Integers in the order of the floats of these bits.
fn key(bits: u32) -> u32 {
    let size = bits & 0x7fffffffu;
    let ordered = select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
    let ascending = select(select(ordered, 0x80000000u, size == 0u), 0xffffffffu, size > 0x7f800000u);
    return select(ascending, ~ascending, DESCENDING);
}

// Where place j of a line stands in x and y.
fn place(line: u32, j: u32) -> u32 {
    return (line / params.inner * params.n + j) * params.inner + line % params.inner;
}

// Where element j of a line goes in its block, as (place in the line, key).
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

// Where the pair at place j of a line goes.
fn joined(line: u32, j: u32) -> u32 {
    let own = pairs[line * params.n + j].x;
    let run = j / params.length;
    let second = run % 2u == 1u;
    let other = select(run + 1u, run - 1u, second) * params.length;
    let start = min(other, params.n);
    var low = start;
    var high = min(other + params.length, params.n);
    // Of equal keys, those of the first run come first: they stood before.
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
