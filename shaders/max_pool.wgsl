// forward:  y[n, o] = max_{i in window o} x[n, i], and index[n, o] where in its image that lies: the first of equal
//           elements, the last NaN
// backward: dx[n, i] = Σ_{o: places[n, o] = i} dy[n, o], over the windows that may cover i: gathered, without atomics
// take:     y[n, o] = x[n, places[n, o]], the gradient of `backward`
//
// Images of x are H × W, those of y are OH × OW. A window begins at o·STRIDE − BEFORE and has KERNEL elements, DILATION
// apart; an adaptive one is the elements from ⌊o·H/OH⌋ to before ⌈(o + 1)·H/OH⌉. One thread per element of the result.
//
// Valid as it stands. The op (ops/pool/max.rs) sets the constants.

struct Params {
    threads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> index: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const H = 4i;
const OH = 2i;
const KERNEL_Y = 2i;
const STRIDE_Y = 2i;
const BEFORE_Y = 0i;
const DILATION_Y = 1i;
const ADAPTIVE_Y = 0i;
const W = 4i;
const OW = 2i;
const KERNEL_X = 2i;
const STRIDE_X = 2i;
const BEFORE_X = 0i;
const DILATION_X = 1i;
const ADAPTIVE_X = 0i;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// First element and end of a window along an axis: first · stride − before, kernel and dilation, the axis' length.
fn sliding(begin: i32, kernel: i32, dilation: i32, length: i32) -> vec2<i32> {
    let skipped = (max(-begin, 0) + dilation - 1) / dilation * dilation;
    return vec2(begin + skipped, min(begin + (kernel - 1) * dilation + 1, length));
}

fn adaptive(o: i32, input: i32, output: i32) -> vec2<i32> {
    return vec2(o * input / output, ((o + 1) * input + output - 1) / output);
}

// The windows from the first to before the second may cover element i.
fn covering(i: i32, reach: i32, stride: i32, output: i32) -> vec2<i32> {
    return vec2((max(i - reach, 0) + stride - 1) / stride, min(i / stride + 1, output));
}

fn thread(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = thread(id, groups);
    if at >= params.threads {
        return;
    }
    let ox = i32(at) % OW;
    let oy = i32(at) / OW % OH;
    let plane = i32(at) / (OW * OH) * (H * W);
    var rows = sliding(oy * STRIDE_Y - BEFORE_Y, KERNEL_Y, DILATION_Y, H);
    var columns = sliding(ox * STRIDE_X - BEFORE_X, KERNEL_X, DILATION_X, W);
    if ADAPTIVE_Y == 1 {
        rows = adaptive(oy, H, OH);
    }
    if ADAPTIVE_X == 1 {
        columns = adaptive(ox, W, OW);
    }
    var place = rows.x * W + columns.x;
    var best = x[plane + place];
    for (var iy = rows.x; iy < rows.y; iy += DILATION_Y) {
        for (var ix = columns.x; ix < columns.y; ix += DILATION_X) {
            let value = x[plane + iy * W + ix];
            if is_nan(value) || (value > best && !is_nan(best)) {
                best = value;
                place = iy * W + ix;
            }
        }
    }
    store_y(at, best);
    index[at] = u32(place);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = thread(id, groups);
    if at >= params.threads {
        return;
    }
    let ix = i32(at) % W;
    let iy = i32(at) / W % H;
    let plane = i32(at) / (W * H) * (OH * OW);
    var rows = covering(iy + BEFORE_Y, (KERNEL_Y - 1) * DILATION_Y, STRIDE_Y, OH);
    var columns = covering(ix + BEFORE_X, (KERNEL_X - 1) * DILATION_X, STRIDE_X, OW);
    if ADAPTIVE_Y == 1 {
        rows = adaptive(iy, OH, H);
    }
    if ADAPTIVE_X == 1 {
        columns = adaptive(ix, OW, W);
    }
    let here = u32(iy * W + ix);
    var sum = 0.0;
    for (var oy = rows.x; oy < rows.y; oy++) {
        for (var ox = columns.x; ox < columns.y; ox++) {
            let o = plane + oy * OW + ox;
            if places[o] == here {
                sum += dy[o];
            }
        }
    }
    store_y(at, sum);
}

@compute @workgroup_size(64)
fn take(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = thread(id, groups);
    if at >= params.threads {
        return;
    }
    store_y(at, x[at / u32(OH * OW) * u32(H * W) + places[at]]);
}
