// db[c] = Σ dy,   dw[c] = Σ dy·x̂,   dx = weight[c]·r·(dy − (db + x̂·dw) / n)
// with r = 1 / sqrt(var + eps) and x̂ = (x − mean)·r.
//
// The gradients of batch_norm.wgsl. x, dy and dx are [rows, channels, inner], the other tensors [channels]; the
// sums run over the n = rows·inner values of a channel. If `scaled` is 0, weight counts as 1. If a channel has
// many values, it is cut into several parts.
//
// Entry points. In each, one workgroup processes one part of WIDTH neighbouring channels, and a tree in workgroup
// memory adds the sums of its threads.
// - `backward`: computes everything, for channels with a single part.
// - `partial`: first dispatch for several parts: stores Σ dy·(x − mean) and Σ dy of each part and, behind these
//   sums in memory, mean, r and weight·r of each channel.
// - `finish`: second dispatch for several parts: adds the sums of a channel's parts in order, and computes dx of
//   one part.
//
// Source: Ioffe, Szegedy: "Batch normalization", 2015, section 3.
//
// Needs lib/channels.wgsl, lib/batch_norm.wgsl and lib/batch_norm_gradients.wgsl.

@group(0) @binding(4) var<storage, read> dy: array<f32>;

// Returns mean, r and weight·r of a channel.
fn constants(c: u32) -> vec3<f32> {
    let r = inverseSqrt(variance[c] + params.eps);
    if params.scaled == 1u {
        return vec3(mean[c], r, weight[c] * r);
    }
    return vec3(mean[c], r, r);
}

// Returns Σ dy·(x − mean) and Σ dy over one part of a channel.
fn products(work: Task, lane: u32, m: f32) -> vec2<f32> {
    var sum = vec2<f32>();
    var walk = place(work);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        let slope = dy[walk.at];
        sum += vec2(slope * (x[walk.at] - m), slope);
        walk = next(walk);
    }
    return combine(lane, sum);
}

fn apply(work: Task, lane: u32, known: vec3<f32>, total: vec2<f32>) {
    if !work.inside {
        return;
    }
    let r = known.y;
    let dw = total.x * r;
    if work.part == 0u && lane < WIDTH {
        store_channel(work.c, dw, total.y);
    }
    let slope = dw * r / f32(params.count);
    let shift = total.y / f32(params.count);
    var walk = place(work);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        store_value(walk.at, known.z * (dy[walk.at] - (shift + (x[walk.at] - known.x) * slope)));
        walk = next(walk);
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
