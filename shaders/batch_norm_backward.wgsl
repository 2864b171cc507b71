// db[c] = Σ dy,   dw[c] = Σ dy·x̂,   dx = weight[c]·r·(dy − (db + x̂·dw) / n)
// with r = 1 / sqrt(var + eps) and x̂ = (x − mean)·r.
//
// Shapes, threads, parts and the order of sums as in batch_norm.wgsl. `partial` leaves Σ dy·(x − mean) and Σ dy of each
// part, and after those of all parts what `finish` needs to know of each channel: mean, r and weight·r. With `scaled` 0,
// weight is 1. Needs lib/channels.wgsl.

struct Params {
    channels: u32,
    inner: u32,
    count: u32,
    parts: u32,
    length: u32,
    scaled: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(8) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(9) var<uniform> params: Params;

override WIDTH: u32 = 32u;
const GROUP = 256u;
var<workgroup> sums: array<vec2<f32>, GROUP>;

fn store_dx(at: u32, value: f32) {
    dx[at] = value;
}

fn store_dweight(at: u32, value: f32) {
    dweight[at] = value;
}

fn store_dbias(at: u32, value: f32) {
    dbias[at] = value;
}

// What a thread works on: values from..to of channel c, `first` of which is its own first one.
struct Task {
    inside: bool,
    c: u32,
    part: u32,
    first: u32,
    to: u32,
}

fn task(index: u32, lane: u32) -> Task {
    let blocks = (params.channels + WIDTH - 1u) / WIDTH;
    let c = index % blocks * WIDTH + lane % WIDTH;
    let part = index / blocks;
    let start = part * params.length;
    let inside = c < params.channels && part < params.parts;
    let to = min(start + params.length, params.count);
    return Task(inside, min(c, params.channels - 1u), part, start + lane / WIDTH, to);
}

// mean, r and weight·r of a channel.
fn constants(c: u32) -> vec3<f32> {
    let r = inverseSqrt(variance[c] + params.eps);
    if params.scaled == 1u {
        return vec3(mean[c], r, weight[c] * r);
    }
    return vec3(mean[c], r, r);
}

// Σ dy·(x − mean) and Σ dy of a part of a channel.
fn products(work: Task, lane: u32, m: f32) -> vec2<f32> {
    var sum = vec2<f32>();
    var walk = channels_place(params.channels, params.inner, work.c, work.first);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        let slope = dy[walk.at];
        sum += vec2(slope * (x[walk.at] - m), slope);
        walk = channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
    }
    sums[lane] = sum;
    for (var half = GROUP / 2u; half >= WIDTH; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    workgroupBarrier();
    return sums[lane % WIDTH];
}

fn apply(work: Task, lane: u32, known: vec3<f32>, total: vec2<f32>) {
    if !work.inside {
        return;
    }
    let r = known.y;
    let dw = total.x * r;
    if work.part == 0u && lane < WIDTH {
        store_dweight(work.c, dw);
        store_dbias(work.c, total.y);
    }
    let slope = dw * r / f32(params.count);
    let shift = total.y / f32(params.count);
    var walk = channels_place(params.channels, params.inner, work.c, work.first);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        store_dx(walk.at, known.z * (dy[walk.at] - (shift + (x[walk.at] - known.x) * slope)));
        walk = channels_next(params.channels, params.inner, walk, GROUP / WIDTH);
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = task(group.x + group.y * groups.x, lane);
    let known = constants(work.c);
    apply(work, lane, known, products(work, lane, known.x));
}

@compute @workgroup_size(256)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = task(group.x + group.y * groups.x, lane);
    let known = constants(work.c);
    let own = products(work, lane, known.x);
    if work.inside && lane < WIDTH {
        partials[work.part * params.channels + work.c] = own;
        if work.part == 0u {
            partials[params.parts * params.channels + work.c] = known.xy;
            partials[(params.parts + 1u) * params.channels + work.c] = vec2(known.z, 0.0);
        }
    }
}

@compute @workgroup_size(256)
fn finish(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = task(group.x + group.y * groups.x, lane);
    var total = vec2<f32>();
    for (var part = 0u; part < params.parts; part++) {
        total += partials[part * params.channels + work.c];
    }
    let known = partials[params.parts * params.channels + work.c];
    let gain = partials[(params.parts + 1u) * params.channels + work.c].x;
    apply(work, lane, vec3(known, gain), total);
}
