// Code shared by the serial variants of the batch norms: operands, the values of each thread, loads and stores.
//
// x is [rows, channels, inner]. A thread processes four values at a time, one per vector lane. If ALONG is set,
// these are four neighbouring values of one channel (`inner` is a multiple of four), and the thread adds the sums
// of the four lanes at the end. Otherwise the lanes belong to four neighbouring channels, each with its own sum.
// Values are added in pairs. If FOUR is set, the four values are neighbours in memory and are loaded at once.
//
// `columns` threads cover the channels: one channel per thread if ALONG is set, else four. Each channel is cut
// into `parts` parts of `length` values; if ALONG is set, of `length` groups of four values.
//
// Needs lib/channels.wgsl, and lib/batch_norm_forward.wgsl or lib/batch_norm_gradients.wgsl.

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
@group(0) @binding(2) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> params: Params;

override ALONG: bool = false;
override FOUR: bool = false;

// Work of a thread: the values in the half-open range [first, to), counted in groups of four if ALONG is set, of
// the channels `lanes`. `offsets` are the distances in memory of the four lanes from the first lane. n is the
// number of values per channel in this part.
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

// Returns how many values of one channel a thread processes per step.
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

fn load_four(at: u32, work: Task) -> vec4<f32> {
    if FOUR {
        return x[at / 4u];
    }
    let p = at + work.offsets;
    return vec4(x[p.x / 4u][p.x % 4u], x[p.y / 4u][p.y % 4u], x[p.z / 4u][p.z % 4u], x[p.w / 4u][p.w % 4u]);
}

// Returns, for each lane, whether it is the first lane with its channel: only lane 0 if ALONG is set, else all
// lanes except those beyond the last channel, which repeat the last channel.
fn own_channels(lanes: vec4<u32>) -> vec4<bool> {
    return vec4(true, lanes.y > lanes.x, lanes.z > lanes.y, lanes.w > lanes.z);
}

// Stores the values of all lanes, except of lanes beyond the last channel, which repeat the last channel.
fn store(at: u32, work: Task, value: vec4<f32>) {
    let own = own_channels(work.lanes);
    let p = at + work.offsets;
    store_value(p.x, value.x);
    if FOUR || own.y {
        store_value(p.y, value.y);
    }
    if FOUR || own.z {
        store_value(p.z, value.z);
    }
    if FOUR || own.w {
        store_value(p.w, value.w);
    }
}

// Stores two results for the channel of each lane.
fn store_channels(lanes: vec4<u32>, a: vec4<f32>, b: vec4<f32>) {
    let own = own_channels(lanes);
    store_channel(lanes.x, a.x, b.x);
    if own.y {
        store_channel(lanes.y, a.y, b.y);
    }
    if own.z {
        store_channel(lanes.z, a.z, b.z);
    }
    if own.w {
        store_channel(lanes.w, a.w, b.w);
    }
}

// Returns the sum of each lane's channel: the sum of all four lanes if ALONG is set, else the lane's own sum.
fn fold(sum: vec4<f32>) -> vec4<f32> {
    if ALONG {
        return vec4((sum.x + sum.y) + (sum.z + sum.w));
    }
    return sum;
}

// Partial result of a thread: two numbers per lane.
struct Pair {
    a: vec4<f32>,
    b: vec4<f32>,
}

fn load_pair(part: u32, column: u32) -> Pair {
    let at = 2u * part * params.columns + column;
    return Pair(partials[at], partials[at + params.columns]);
}

fn store_pair(work: Task, own: Pair) {
    let at = 2u * work.part * params.columns + work.column;
    partials[at] = own.a;
    partials[at + params.columns] = own.b;
}
