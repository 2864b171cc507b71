// mean[c] = Σ x / n,   var[c] = Σ (x − mean)² / n,   y = (x − mean) / sqrt(var + eps) · weight[c] + bias[c]
//
// x and y are [rows, channels, inner]; the sums run over the n = rows·inner values of a channel. One workgroup serves
// WIDTH channels, each with 256 / WIDTH threads: with inner = 1 neighbouring threads read neighbouring channels, else
// (WIDTH 1) neighbouring values of one channel. The threads of a channel combine pairwise in a fixed order. The sum of
// squares is a second pass around the mean of the first, and that mean's own rounding error is taken out of both
// (Chan, Golub, LeVeque 1983, the corrected two-pass algorithm).
// `forward`: a workgroup takes all values of its channels. Where those are many, `partial` leaves mean and
// Σ (x − mean)² of one part of `length` values, and `finish` merges the parts of its channels in order, by Chan's rule
// for two samples, and normalises one. With `scaled` 0, weight is 1 and bias 0. Needs lib/channels.wgsl.

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
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> variance: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(7) var<uniform> params: Params;

override WIDTH: u32 = 32u;
const GROUP = 256u;
var<workgroup> sums: array<vec2<f32>, GROUP>;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn store_mean(at: u32, value: f32) {
    mean[at] = value;
}

fn store_variance(at: u32, value: f32) {
    variance[at] = value;
}

// What a thread works on: values from..to of channel c, `first` of which is its own first one.
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

// Sums the values of the threads that serve the same channel.
fn combine(lane: u32, value: vec2<f32>) -> vec2<f32> {
    sums[lane] = value;
    for (var half = GROUP / 2u; half >= WIDTH; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    workgroupBarrier();
    let sum = sums[lane % WIDTH];
    workgroupBarrier();
    return sum;
}

// Mean and Σ (x − mean)² of a part of a channel.
fn moments(work: Task, lane: u32) -> vec2<f32> {
    var sum = vec2<f32>();
    var walk = channels_place(params.channels, params.inner, work.c, work.first);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        sum.x += x[walk.at];
        walk = channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
    }
    let rough = combine(lane, sum).x / work.n;
    sum = vec2<f32>();
    walk = channels_place(params.channels, params.inner, work.c, work.first);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        let d = x[walk.at] - rough;
        sum += vec2(d, d * d);
        walk = channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
    }
    let rest = combine(lane, sum);
    let shift = rest.x / work.n;
    return vec2(rough + shift, max(rest.y - rest.x * shift, 0.0));
}

// Mean and Σ (x − mean)² of a channel from those of its parts.
fn merge(c: u32) -> vec2<f32> {
    var total = partials[c];
    var n = f32(params.length);
    for (var part = 1u; part < params.parts; part++) {
        let own = partials[part * params.channels + c];
        let size = f32(min(params.length, params.count - part * params.length));
        let delta = own.x - total.x;
        let share = size / (n + size);
        total += vec2(delta * share, own.y + delta * delta * n * share);
        n += size;
    }
    return total;
}

// Normalises a part of a channel.
fn apply(work: Task, lane: u32, total: vec2<f32>) {
    if !work.inside {
        return;
    }
    let spread = total.y / f32(params.count);
    if work.part == 0u && lane < WIDTH {
        store_mean(work.c, total.x);
        store_variance(work.c, spread);
    }
    var scale = inverseSqrt(spread + params.eps);
    var shift = 0.0;
    if params.scaled == 1u {
        scale *= weight[work.c];
        shift = bias[work.c];
    }
    var walk = channels_place(params.channels, params.inner, work.c, work.first);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        store_y(walk.at, (x[walk.at] - total.x) * scale + shift);
        walk = channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
    }
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = task(group.x + group.y * groups.x, lane);
    apply(work, lane, moments(work, lane));
}

@compute @workgroup_size(256)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = task(group.x + group.y * groups.x, lane);
    let own = moments(work, lane);
    if work.inside && lane < WIDTH {
        partials[work.part * params.channels + work.c] = own;
    }
}

@compute @workgroup_size(256)
fn finish(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = task(group.x + group.y * groups.x, lane);
    apply(work, lane, merge(work.c));
}
