// mean[c] = Σ x / n,   var[c] = Σ (x − mean)² / n,   y = (x − mean) / sqrt(var + eps) · weight[c] + bias[c]
//
// x and y are [rows, channels, inner]; the sums run over the n = rows·inner values of a channel. mean, var, weight
// and bias are [channels]; if `scaled` is 0, weight counts as 1 and bias as 0. If a channel has many values, it is
// cut into several parts of `length` values.
//
// Entry points. In each, one workgroup processes one part of WIDTH neighbouring channels, and a tree in workgroup
// memory adds the sums of its threads.
// - `forward`: computes everything, for channels with a single part.
// - `partial`: first dispatch for several parts: stores mean and Σ (x − mean)² of each part.
// - `finish`: second dispatch for several parts: merges the results of a channel's parts in order, and normalises
//   one part.
//
// Source: Chan, Golub, LeVeque: "Algorithms for computing the sample variance", 1983. A first pass computes the
// mean; the second sums x − mean and (x − mean)², and uses the first of these sums to remove the rounding error of
// the mean from both results. Parts are merged with the paper's formula for the variance of two combined samples.
//
// Needs lib/channels.wgsl, lib/batch_norm.wgsl and lib/batch_norm_forward.wgsl.

// Returns mean and Σ (x − mean)² of one part of a channel.
fn moments(work: Task, lane: u32) -> vec2<f32> {
    var sum = vec2<f32>();
    var walk = place(work);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        sum.x += x[walk.at];
        walk = next(walk);
    }
    let rough = combine(lane, sum).x / work.n;
    workgroupBarrier();
    sum = vec2<f32>();
    walk = place(work);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        let d = x[walk.at] - rough;
        sum += vec2(d, d * d);
        walk = next(walk);
    }
    let rest = combine(lane, sum);
    let shift = rest.x / work.n;
    return vec2(rough + shift, max(rest.y - rest.x * shift, 0.0));
}

// Returns mean and Σ (x − mean)² of a channel, merged from the results of its parts.
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

// Normalises one part of a channel.
fn apply(work: Task, lane: u32, total: vec2<f32>) {
    if !work.inside {
        return;
    }
    let spread = total.y / f32(params.count);
    if work.part == 0u && lane < WIDTH {
        store_channel(work.c, total.x, spread);
    }
    var scale = inverseSqrt(spread + params.eps);
    var shift = 0.0;
    if params.scaled == 1u {
        scale *= weight[work.c];
        shift = bias[work.c];
    }
    var walk = place(work);
    for (var i = work.first; i < work.to; i += GROUP / WIDTH) {
        store_value(walk.at, (x[walk.at] - total.x) * scale + shift);
        walk = next(walk);
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
