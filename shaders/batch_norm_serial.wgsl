// What batch_norm.wgsl computes, by threads that work alone: for adapters on which barriers are dear.
//
// `forward`, `partial`, `finish`: as in batch_norm.wgsl, a thread per part of its channels.
//
// Needs lib/channels.wgsl and lib/batch_norm_serial.wgsl, which says what lanes, columns and parts are.

@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> variance: array<f32>;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn store_mean(at: u32, value: f32) {
    mean[at] = value;
}

fn store_variance(at: u32, value: f32) {
    variance[at] = value;
}

// Stores the lanes that are values of their own.
fn store(at: u32, work: Task, value: vec4<f32>) {
    let own = own_channels(work.lanes);
    let p = at + work.offsets;
    store_y(p.x, value.x);
    if FOUR || own.y {
        store_y(p.y, value.y);
    }
    if FOUR || own.z {
        store_y(p.z, value.z);
    }
    if FOUR || own.w {
        store_y(p.w, value.w);
    }
}

fn store_moments(c: u32, m: f32, spread: f32) {
    store_mean(c, m);
    store_variance(c, spread);
}

// Mean and Σ (x − mean)² of a part of the lanes' channels.
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

// Mean and Σ (x − mean)² of the lanes' channels from those of their parts.
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
        let own = own_channels(lanes);
        store_moments(lanes.x, total.a.x, spread.x);
        if own.y {
            store_moments(lanes.y, total.a.y, spread.y);
        }
        if own.z {
            store_moments(lanes.z, total.a.z, spread.z);
        }
        if own.w {
            store_moments(lanes.w, total.a.w, spread.w);
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
