// Code shared by the tree variants of the batch norms: operands, the values of each thread, and sums over threads.
//
// x is [rows, channels, inner]. A channel has `count` = rows·inner values, cut into `parts` parts of `length`
// values. One workgroup processes one part of WIDTH channels, with 256 / WIDTH threads per channel. If inner = 1,
// neighbouring threads read neighbouring channels; otherwise WIDTH is 1, and they read neighbouring values of one
// channel. The threads of a channel add their sums pairwise, as a tree, in a fixed order.
//
// Needs lib/channels.wgsl.

struct Params {
    channels: u32,
    inner: u32,
    count: u32,
    parts: u32,
    length: u32,
    scaled: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(3) var<uniform> params: Params;

override WIDTH: u32 = 32u;
const GROUP = 256u;
var<workgroup> sums: array<vec2<f32>, GROUP>;

// Work of a thread: every (256 / WIDTH)-th value of channel c in the half-open range [first, to). n is the number
// of values in the channel's part.
struct Task {
    inside: bool,
    c: u32,
    part: u32,
    first: u32,
    to: u32,
    n: f32,
}

fn task(index: u32, lane: u32) -> Task {
    let blocks = (params.channels + WIDTH - 1u) / WIDTH;
    let c = index % blocks * WIDTH + lane % WIDTH;
    let part = index / blocks;
    let start = part * params.length;
    let to = min(start + params.length, params.count);
    let inside = c < params.channels && part < params.parts;
    return Task(inside, min(c, params.channels - 1u), part, start + lane / WIDTH, to, f32(to - start));
}

// The position of a thread's first value; `next` returns the position of the value after that.
fn place(work: Task) -> ChannelsWalk {
    return channels_place(params.channels, params.inner, work.c, work.first);
}

fn next(walk: ChannelsWalk) -> ChannelsWalk {
    return channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
}

// Adds the values of all threads that work on the same channel. Callers need a barrier before the next call.
fn combine(lane: u32, value: vec2<f32>) -> vec2<f32> {
    sums[lane] = value;
    for (var half = GROUP / 2u; half >= WIDTH; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    workgroupBarrier();
    return sums[lane % WIDTH];
}
