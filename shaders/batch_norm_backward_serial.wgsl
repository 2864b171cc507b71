// What batch_norm_backward.wgsl computes, by threads that work alone: for adapters on which barriers are dear.
//
// Lanes, columns and parts as in batch_norm_serial.wgsl, entry points and formulas as in batch_norm_backward.wgsl.
// Needs lib/channels.wgsl.

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

@group(0) @binding(0) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(8) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(9) var<uniform> params: Params;

override ALONG: bool = false;
override FOUR: bool = false;

fn store_dx(at: u32, value: f32) {
    dx[at] = value;
}

fn store_dweight(at: u32, value: f32) {
    dweight[at] = value;
}

fn store_dbias(at: u32, value: f32) {
    dbias[at] = value;
}

// What a thread works on: values first..to (in lanes) of the channels in `lanes`, whose values stand at `offsets`.
struct Task {
    inside: bool,
    column: u32,
    part: u32,
    lanes: vec4<u32>,
    offsets: vec4<u32>,
    first: u32,
    to: u32,
}

// Values of one channel per step.
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
    return Task(part < params.parts, column, part, lanes, offsets, first, to);
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

fn load_four_dy(at: u32, work: Task) -> vec4<f32> {
    if FOUR {
        return dy[at / 4u];
    }
    let p = at + work.offsets;
    return vec4(dy[p.x / 4u][p.x % 4u], dy[p.y / 4u][p.y % 4u], dy[p.z / 4u][p.z % 4u], dy[p.w / 4u][p.w % 4u]);
}

fn load_four_x(at: u32, work: Task) -> vec4<f32> {
    if FOUR {
        return x[at / 4u];
    }
    let p = at + work.offsets;
    return vec4(x[p.x / 4u][p.x % 4u], x[p.y / 4u][p.y % 4u], x[p.z / 4u][p.z % 4u], x[p.w / 4u][p.w % 4u]);
}

fn store(at: u32, work: Task, value: vec4<f32>) {
    let p = at + work.offsets;
    store_dx(p.x, value.x);
    if FOUR || work.lanes.y > work.lanes.x {
        store_dx(p.y, value.y);
    }
    if FOUR || work.lanes.z > work.lanes.y {
        store_dx(p.z, value.z);
    }
    if FOUR || work.lanes.w > work.lanes.z {
        store_dx(p.w, value.w);
    }
}

fn store_parameters(c: u32, dw: f32, db: f32) {
    store_dweight(c, dw);
    store_dbias(c, db);
}

// The sums of the lanes' channels.
fn fold(sum: vec4<f32>) -> vec4<f32> {
    if ALONG {
        return vec4((sum.x + sum.y) + (sum.z + sum.w));
    }
    return sum;
}

// mean, r and weight·r of the lanes' channels.
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

// Σ dy·(x − mean) and Σ dy.
struct Products {
    scaled: vec4<f32>,
    plain: vec4<f32>,
}

fn products(work: Task, m: vec4<f32>) -> Products {
    var scaled = vec4<f32>();
    var plain = vec4<f32>();
    var walk = place(work);
    var i = work.first;
    for (; i + 1u < work.to; i += 2u) {
        let other = next(walk);
        let d = load_four_dy(walk.at, work);
        let e = load_four_dy(other.at, work);
        scaled += d * (load_four_x(walk.at, work) - m) + e * (load_four_x(other.at, work) - m);
        plain += d + e;
        walk = next(other);
    }
    if i < work.to {
        let d = load_four_dy(walk.at, work);
        scaled += d * (load_four_x(walk.at, work) - m);
        plain += d;
    }
    return Products(fold(scaled), fold(plain));
}

fn apply(work: Task, known: Constants, total: Products) {
    let dw = total.scaled * known.r;
    let db = total.plain;
    let lanes = work.lanes;
    if work.part == 0u {
        store_parameters(lanes.x, dw.x, db.x);
        if lanes.y > lanes.x {
            store_parameters(lanes.y, dw.y, db.y);
        }
        if lanes.z > lanes.y {
            store_parameters(lanes.z, dw.z, db.z);
        }
        if lanes.w > lanes.z {
            store_parameters(lanes.w, dw.w, db.w);
        }
    }
    let slope = dw * known.r / f32(params.count);
    let shift = db / f32(params.count);
    var walk = place(work);
    for (var i = work.first; i < work.to; i++) {
        let own = load_four_x(walk.at, work) - known.m;
        store(walk.at, work, known.gain * (load_four_dy(walk.at, work) - (shift + own * slope)));
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
    let own = products(work, known.m);
    partials[2u * work.part * params.columns + work.column] = own.scaled;
    partials[(2u * work.part + 1u) * params.columns + work.column] = own.plain;
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
    var total = Products();
    for (var part = 0u; part < params.parts; part++) {
        total.scaled += partials[2u * part * params.columns + work.column];
        total.plain += partials[(2u * part + 1u) * params.columns + work.column];
    }
    let after = 2u * params.parts * params.columns + work.column;
    let known = Constants(partials[after], partials[after + params.columns], partials[after + 2u * params.columns]);
    apply(work, known, total);
}
