// mean[c] = Σ x / n,   var[c] = Σ (x − mean)² / n,   y = (x − mean) / sqrt(var + eps) · weight[c] + bias[c]
//
// The variant of batch_norm.wgsl for software adapters, on which barriers are expensive; that file documents
// shapes and source. lib/batch_norm_serial.wgsl explains lanes, columns and parts.
//
// Entry points, all serial: one thread computes one part of one channel or of four neighbouring channels.
// - `forward`: computes everything, for channels with a single part.
// - `partial`: first dispatch for several parts: stores mean and Σ (x − mean)² of each part.
// - `finish`: second dispatch for several parts: merges the results of a channel's parts in order, and normalises
//   one part.
//
// Needs lib/channels.wgsl, lib/batch_norm_serial.wgsl and lib/batch_norm_forward.wgsl.

// Returns mean and Σ (x − mean)² of one part of the lanes' channels.
fn moments(work: Task) -> Pair {
    var sum = vec4<f32>();
    var walk = place(work);
    var i = work.first;
    for (; i + 1u < work.to; i += 2u) {
        let other = next(walk);
        sum += load_four(walk.at, work) + load_four(other.at, work);
        walk = next(other);
    }
    if i < work.to {
        sum += load_four(walk.at, work);
    }
    let rough = fold(sum) / work.n;
    sum = vec4<f32>();
    var squares = vec4<f32>();
    walk = place(work);
    i = work.first;
    for (; i + 1u < work.to; i += 2u) {
        let other = next(walk);
        let d = load_four(walk.at, work) - rough;
        let e = load_four(other.at, work) - rough;
        sum += d + e;
        squares += d * d + e * e;
        walk = next(other);
    }
    if i < work.to {
        let d = load_four(walk.at, work) - rough;
        sum += d;
        squares += d * d;
    }
    let rest = fold(sum);
    let shift = rest / work.n;
    return Pair(rough + shift, max(fold(squares) - rest * shift, vec4<f32>()));
}

// Returns mean and Σ (x − mean)² of the lanes' channels, merged from the results of their parts.
fn merge(column: u32) -> Pair {
    var total = load_pair(0u, column);
    let count = params.count / stride();
    var n = f32(params.length * stride());
    for (var part = 1u; part < params.parts; part++) {
        let size = f32(min(params.length, count - part * params.length) * stride());
        let own = load_pair(part, column);
        let delta = own.a - total.a;
        let share = size / (n + size);
        total.a += delta * share;
        total.b += own.b + delta * delta * (n * share);
        n += size;
    }
    return total;
}

fn apply(work: Task, total: Pair) {
    let spread = total.b / f32(params.count);
    let lanes = work.lanes;
    if work.part == 0u {
        store_channels(lanes, total.a, spread);
    }
    var scale = inverseSqrt(spread + vec4(params.eps));
    var shift = vec4<f32>();
    if params.scaled == 1u {
        scale *= vec4(weight[lanes.x], weight[lanes.y], weight[lanes.z], weight[lanes.w]);
        shift = vec4(bias[lanes.x], bias[lanes.y], bias[lanes.z], bias[lanes.w]);
    }
    var walk = place(work);
    for (var i = work.first; i < work.to; i++) {
        store(walk.at, work, (load_four(walk.at, work) - total.a) * scale + shift);
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
        store_pair(work, moments(work));
    }
}

@compute @workgroup_size(8)
fn finish(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if work.inside {
        apply(work, merge(work.column));
    }
}
