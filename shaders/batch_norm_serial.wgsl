// What batch_norm.wgsl computes, by threads that work alone: for adapters on which barriers are dear.
//
// A thread takes four lanes at a time. With ALONG they are four neighbouring values of one channel (`inner` is a
// multiple of four), and in the end it adds the four sums; else one value each of four neighbouring channels, and a
// sum per lane; it adds values in pairs. FOUR says that the lanes are neighbours in memory, and loads them at once.
// `columns` threads side by side serve the channels, `parts` below each other parts of `length` values (in lanes).
// Entry points, parts and formulas as in batch_norm.wgsl. Needs lib/channels.wgsl.

struct Params {
    channels: u32,
    inner: u32,
    count: u32,
    columns: u32,
    parts: u32,
    length: u32,
    scaled: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> variance: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(7) var<uniform> params: Params;

override ALONG: bool = false;
override FOUR: bool = false;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn store_mean(at: u32, value: f32) {
    mean[at] = value;
}

fn store_variance(at: u32, value: f32) {
    variance[at] = value;
}

// What a thread works on: values first..to (in lanes) of the channels in `lanes`, whose values stand at `offsets`.
struct Task {
    inside: bool,
    column: u32,
    part: u32,
    lanes: vec4<u32>,
    offsets: vec4<u32>,
    first: u32,
    to: u32,
    n: f32,
}

// Values of one channel per step.
fn stride() -> u32 {
    return select(1u, 4u, ALONG);
}

fn task(index: u32) -> Task {
    let column = index % params.columns;
    let part = index / params.columns;
    let first = part * params.length;
    let to = min(first + params.length, params.count / stride());
    var lanes = vec4(column);
    var offsets = vec4(0u, 1u, 2u, 3u);
    if !ALONG {
        lanes = min(4u * column + offsets, vec4(params.channels - 1u));
        offsets = (lanes - lanes.x) * params.inner;
    }
    return Task(part < params.parts, column, part, lanes, offsets, first, to, f32((to - first) * stride()));
}

fn place(work: Task) -> ChannelsWalk {
    return channels_place(params.channels, params.inner, work.lanes.x, work.first * stride());
}

fn next(walk: ChannelsWalk) -> ChannelsWalk {
    let row = params.channels * params.inner;
    let column = walk.column + stride();
    let wraps = column >= params.inner;
    return ChannelsWalk(walk.at + stride() + select(0u, row - params.inner, wraps), select(column, 0u, wraps));
}

fn load(at: u32, work: Task) -> vec4<f32> {
    if FOUR {
        return x[at / 4u];
    }
    let p = at + work.offsets;
    return vec4(x[p.x / 4u][p.x % 4u], x[p.y / 4u][p.y % 4u], x[p.z / 4u][p.z % 4u], x[p.w / 4u][p.w % 4u]);
}

fn store(at: u32, work: Task, value: vec4<f32>) {
    let p = at + work.offsets;
    store_y(p.x, value.x);
    if FOUR || work.lanes.y > work.lanes.x {
        store_y(p.y, value.y);
    }
    if FOUR || work.lanes.z > work.lanes.y {
        store_y(p.z, value.z);
    }
    if FOUR || work.lanes.w > work.lanes.z {
        store_y(p.w, value.w);
    }
}

fn store_moments(c: u32, m: f32, spread: f32) {
    store_mean(c, m);
    store_variance(c, spread);
}

// The sums of the lanes' channels.
fn fold(sum: vec4<f32>) -> vec4<f32> {
    if ALONG {
        return vec4((sum.x + sum.y) + (sum.z + sum.w));
    }
    return sum;
}

struct Moments {
    mean: vec4<f32>,
    squares: vec4<f32>,
}

fn moments(work: Task) -> Moments {
    var sum = vec4<f32>();
    var walk = place(work);
    var i = work.first;
    for (; i + 1u < work.to; i += 2u) {
        let other = next(walk);
        sum += load(walk.at, work) + load(other.at, work);
        walk = next(other);
    }
    if i < work.to {
        sum += load(walk.at, work);
    }
    let rough = fold(sum) / work.n;
    sum = vec4<f32>();
    var squares = vec4<f32>();
    walk = place(work);
    i = work.first;
    for (; i + 1u < work.to; i += 2u) {
        let other = next(walk);
        let d = load(walk.at, work) - rough;
        let e = load(other.at, work) - rough;
        sum += d + e;
        squares += d * d + e * e;
        walk = next(other);
    }
    if i < work.to {
        let d = load(walk.at, work) - rough;
        sum += d;
        squares += d * d;
    }
    let rest = fold(sum);
    let shift = rest / work.n;
    return Moments(rough + shift, max(fold(squares) - rest * shift, vec4<f32>()));
}

fn merge(column: u32) -> Moments {
    var m = partials[column];
    var squares = partials[params.columns + column];
    let count = params.count / stride();
    var n = f32(params.length * stride());
    for (var part = 1u; part < params.parts; part++) {
        let size = f32(min(params.length, count - part * params.length) * stride());
        let delta = partials[2u * part * params.columns + column] - m;
        let share = size / (n + size);
        m += delta * share;
        squares += partials[(2u * part + 1u) * params.columns + column] + delta * delta * (n * share);
        n += size;
    }
    return Moments(m, squares);
}

fn apply(work: Task, total: Moments) {
    let spread = total.squares / f32(params.count);
    let lanes = work.lanes;
    if work.part == 0u {
        store_moments(lanes.x, total.mean.x, spread.x);
        if lanes.y > lanes.x {
            store_moments(lanes.y, total.mean.y, spread.y);
        }
        if lanes.z > lanes.y {
            store_moments(lanes.z, total.mean.z, spread.z);
        }
        if lanes.w > lanes.z {
            store_moments(lanes.w, total.mean.w, spread.w);
        }
    }
    var scale = inverseSqrt(spread + vec4(params.eps));
    var shift = vec4<f32>();
    if params.scaled == 1u {
        scale *= vec4(weight[lanes.x], weight[lanes.y], weight[lanes.z], weight[lanes.w]);
        shift = vec4(bias[lanes.x], bias[lanes.y], bias[lanes.z], bias[lanes.w]);
    }
    var walk = place(work);
    for (var i = work.first; i < work.to; i++) {
        store(walk.at, work, (load(walk.at, work) - total.mean) * scale + shift);
        walk = next(walk);
    }
}

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if work.inside {
        apply(work, moments(work));
    }
}

@compute @workgroup_size(8)
fn partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if work.inside {
        let own = moments(work);
        partials[2u * work.part * params.columns + work.column] = own.mean;
        partials[(2u * work.part + 1u) * params.columns + work.column] = own.squares;
    }
}

@compute @workgroup_size(8)
fn finish(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if work.inside {
        apply(work, merge(work.column));
    }
}
