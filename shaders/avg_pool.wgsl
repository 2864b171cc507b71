// forward:  y[n, o] = Σ_{i in window o} x[n, i] / divisor(o)
// backward: y[n, i] = Σ_{o: i in window o} x[n, o] / divisor(o), where x is the gradient of the means: gathered
//
// The larger images are H × W, those of the means OH × OW. A window begins at o·STRIDE − BEFORE and has KERNEL
// elements; an adaptive one is the elements from ⌊o·H/OH⌋ to before ⌈(o + 1)·H/OH⌉. The divisor is DIVISOR if that is
// not 0, else the number of elements, those of the padding included if PADDING_COUNTS. One thread per element of y.
//
// Valid as it stands. The op (ops/pool/avg.rs) sets the constants.

struct Params {
    threads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const H = 4i;
const OH = 2i;
const KERNEL_Y = 2i;
const STRIDE_Y = 2i;
const BEFORE_Y = 0i;
const ADAPTIVE_Y = 0i;
const W = 4i;
const OW = 2i;
const KERNEL_X = 2i;
const STRIDE_X = 2i;
const BEFORE_X = 0i;
const ADAPTIVE_X = 0i;
const PADDING_COUNTS = 1i;
const DIVISOR = 0i;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// First element and end of a window along an axis, and how many elements count: begin is o · stride − before.
fn sliding(begin: i32, kernel: i32, before: i32, length: i32) -> vec3<i32> {
    let first = max(begin, 0);
    let end = min(begin + kernel, length);
    return vec3(first, end, select(end - first, min(begin + kernel, length + before) - begin, PADDING_COUNTS == 1));
}

fn adaptive(o: i32, input: i32, output: i32) -> vec3<i32> {
    let first = o * input / output;
    let end = ((o + 1) * input + output - 1) / output;
    return vec3(first, end, end - first);
}

fn rows_of(oy: i32) -> vec3<i32> {
    if ADAPTIVE_Y == 1 {
        return adaptive(oy, H, OH);
    }
    return sliding(oy * STRIDE_Y - BEFORE_Y, KERNEL_Y, BEFORE_Y, H);
}

fn columns_of(ox: i32) -> vec3<i32> {
    if ADAPTIVE_X == 1 {
        return adaptive(ox, W, OW);
    }
    return sliding(ox * STRIDE_X - BEFORE_X, KERNEL_X, BEFORE_X, W);
}

fn divisor(rows: vec3<i32>, columns: vec3<i32>) -> f32 {
    return f32(select(DIVISOR, rows.z * columns.z, DIVISOR == 0));
}

// The windows from the first to before the second hold element i.
fn covering(i: i32, kernel: i32, stride: i32, output: i32) -> vec2<i32> {
    return vec2((max(i - kernel + 1, 0) + stride - 1) / stride, min(i / stride + 1, output));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.threads {
        return;
    }
    let rows = rows_of(i32(at) / OW % OH);
    let columns = columns_of(i32(at) % OW);
    let plane = i32(at) / (OW * OH) * (H * W);
    var sum = 0.0;
    for (var iy = rows.x; iy < rows.y; iy++) {
        for (var ix = columns.x; ix < columns.y; ix++) {
            sum += x[plane + iy * W + ix];
        }
    }
    store_y(at, sum / divisor(rows, columns));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.threads {
        return;
    }
    let ix = i32(at) % W;
    let iy = i32(at) / W % H;
    let plane = i32(at) / (W * H) * (OH * OW);
    var rows = covering(iy + BEFORE_Y, KERNEL_Y, STRIDE_Y, OH);
    var columns = covering(ix + BEFORE_X, KERNEL_X, STRIDE_X, OW);
    if ADAPTIVE_Y == 1 {
        rows = adaptive(iy, OH, H).xy;
    }
    if ADAPTIVE_X == 1 {
        columns = adaptive(ix, OW, W).xy;
    }
    var sum = 0.0;
    for (var oy = rows.x; oy < rows.y; oy++) {
        for (var ox = columns.x; ox < columns.y; ox++) {
            sum += x[plane + oy * OW + ox] / divisor(rows_of(oy), columns_of(ox));
        }
    }
    store_y(at, sum);
}
