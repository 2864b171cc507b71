// Tree variant of the batch norms: operands, the values that a thread works on, and sums over the threads of a channel.
//
// x is [rows, channels, inner]; a channel has `count` = rows·inner values, in `parts` parts of `length`. One workgroup
// takes a part of WIDTH channels, with 256 / WIDTH threads per channel. If inner = 1, neighbouring threads read
// neighbouring channels; else WIDTH is 1, and they read neighbouring values of one channel. A tree adds the threads of
// a channel in a fixed order.
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

// Work of a thread: every 256 / WIDTH-th value from `first` to `to` of channel c. The part has n values.
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

// The positions of a thread's first value and of its next one.
fn place(work: Task) -> ChannelsWalk {
    return channels_place(params.channels, params.inner, work.c, work.first);
}

fn next(walk: ChannelsWalk) -> ChannelsWalk {
    return channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
}

// Sums the values of the threads of the same channel. Callers need a barrier before the next call.
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
