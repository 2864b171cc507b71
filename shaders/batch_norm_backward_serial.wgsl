// db[c] = Σ dy,   dw[c] = Σ dy·x̂,   dx = weight[c]·r·(dy − (db + x̂·dw) / n)
// with r = 1 / sqrt(var + eps) and x̂ = (x − mean)·r.
//
// The variant of batch_norm_backward.wgsl for software adapters, on which barriers are expensive; that file
// documents shapes and source. lib/batch_norm_serial.wgsl explains lanes, columns and parts.
//
// Entry points, all serial: one thread computes one part of one channel or of four neighbouring channels.
// - `backward`: computes everything, for channels with a single part.
// - `partial`: first dispatch for several parts: stores Σ dy·(x − mean) and Σ dy of each part and, behind these
//   sums in memory, mean, r and weight·r of each channel.
// - `finish`: second dispatch for several parts: adds the sums of a channel's parts in order, and computes dx of
//   one part.
//
// Needs lib/channels.wgsl, lib/batch_norm_serial.wgsl and lib/batch_norm_gradients.wgsl.

@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;

fn load_dy(at: u32, work: Task) -> vec4<f32> {
    if FOUR {
        return dy[at / 4u];
    }
    let p = at + work.offsets;
    return vec4(dy[p.x / 4u][p.x % 4u], dy[p.y / 4u][p.y % 4u], dy[p.z / 4u][p.z % 4u], dy[p.w / 4u][p.w % 4u]);
}

// mean, r and weight·r of the channel of each lane.
struct Constants {
    m: vec4<f32>,
    r: vec4<f32>,
    gain: vec4<f32>,
}

fn constants(l: vec4<u32>) -> Constants {
    let spread = vec4(variance[l.x], variance[l.y], variance[l.z], variance[l.w]);
    let r = inverseSqrt(spread + vec4(params.eps));
    var gain = r;
    if params.scaled == 1u {
        gain *= vec4(weight[l.x], weight[l.y], weight[l.z], weight[l.w]);
    }
    return Constants(vec4(mean[l.x], mean[l.y], mean[l.z], mean[l.w]), r, gain);
}

// Returns Σ dy·(x − mean) and Σ dy over one part of the lanes' channels.
fn products(work: Task, m: vec4<f32>) -> Pair {
    var scaled = vec4<f32>();
    var plain = vec4<f32>();
    var walk = place(work);
    var i = work.first;
    for (; i + 1u < work.to; i += 2u) {
        let other = next(walk);
        let d = load_dy(walk.at, work);
        let e = load_dy(other.at, work);
        scaled += d * (load_four(walk.at, work) - m) + e * (load_four(other.at, work) - m);
        plain += d + e;
        walk = next(other);
    }
    if i < work.to {
        let d = load_dy(walk.at, work);
        scaled += d * (load_four(walk.at, work) - m);
        plain += d;
    }
    return Pair(fold(scaled), fold(plain));
}

fn apply(work: Task, known: Constants, total: Pair) {
    let dw = total.a * known.r;
    let db = total.b;
    if work.part == 0u {
        store_channels(work.lanes, dw, db);
    }
    let slope = dw * known.r / f32(params.count);
    let shift = db / f32(params.count);
    var walk = place(work);
    for (var i = work.first; i < work.to; i++) {
        let own = load_four(walk.at, work) - known.m;
        store(walk.at, work, known.gain * (load_dy(walk.at, work) - (shift + own * slope)));
        walk = next(walk);
    }
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if work.inside {
        let known = constants(work.lanes);
        apply(work, known, products(work, known.m));
    }
}

@compute @workgroup_size(8)
fn partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if !work.inside {
        return;
    }
    let known = constants(work.lanes);
    store_pair(work, products(work, known.m));
    if work.part == 0u {
        let after = 2u * params.parts * params.columns + work.column;
        partials[after] = known.m;
        partials[after + params.columns] = known.r;
        partials[after + 2u * params.columns] = known.gain;
    }
}

@compute @workgroup_size(8)
fn finish(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let work = task(id.x + id.y * groups.x * 8u);
    if !work.inside {
        return;
    }
    var total = Pair();
    for (var part = 0u; part < params.parts; part++) {
        let own = load_pair(part, work.column);
        total.a += own.a;
        total.b += own.b;
    }
    let after = 2u * params.parts * params.columns + work.column;
    let known = Constants(partials[after], partials[after + params.columns], partials[after + 2u * params.columns]);
    apply(work, known, total);
}
