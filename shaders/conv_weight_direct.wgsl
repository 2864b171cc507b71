// dw[o, c, ky, kx] = Σ_{n, oy, ox} dy[n, o, oy, ox] · x[n, c, iy, ix], where x is 0 outside its bounds
//
// with iy = oy·stride − before + ky·dilation, where `before` is the padding before the first row, and the same
// formula for ix: the gradient of a convolution for its weight. Within each group x is [n, C, H, W], dy is [n, O,
// OH, OW] and dw (bound as y) is [O, C, KH, KW].
//
// Entry point:
// - `forward`: direct; one thread per block of TO × TC channels × TY × TX kernel positions (taps), and per part of
//   the sum.
//
// A row (n, oy) of dy is cut into strips of TP pixels, and all strips are divided among the parts of the sum. A
// thread keeps its sums in registers while it goes through the strips of its part. Each part is written as a
// tensor; sum_parts.wgsl adds these tensors in order. This variant is for software adapters and for few channels
// per group; conv_weight_tiled.wgsl is for all else.
//
// Valid WGSL as it is. The generator (ops/conv/kernels.rs) sets the constants and unrolls the loops marked
// `unroll`.

struct Params {
    // Number of threads, strips of TP pixels of dy, strips per part, and elements of dw.
    threads: u32,
    steps: u32,
    length: u32,
    size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const GROUPS = 1i;
const C = 1i;
const H = 5i;
const W = 5i;
const O = 1i;
const OH = 3i;
const OW = 3i;
const KH = 3i;
const KW = 3i;
const STRIDE_Y = 1i;
const BEFORE_Y = 0i;
const DILATION_Y = 1i;
const STRIDE_X = 1i;
const BEFORE_X = 0i;
const DILATION_X = 1i;
// A thread computes a block of TO × TC × TY × TX elements of dw, from strips of TP pixels of dy. TILES_*: number
// of such blocks along each axis of dw. COLUMNS: number of elements in a row of x that TP pixels and TX taps need.
const TO = 4i;
const TC = 1i;
const TY = 3i;
const TX = 3i;
const TP = 4i;
const TILES_O = 1i;
const TILES_C = 1i;
const TILES_Y = 1i;
const TILES_X = 1i;
const COLUMNS = 6i;
// Strips per row of dy.
const STRIPS = 1i;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn pixel(row: i32, inside: bool, column: i32) -> f32 {
    return select(0.0, x[row + clamp(column, 0, W - 1)], inside && column >= 0 && column < W);
}

@compute @workgroup_size(32)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * 32u;
    if thread >= params.threads {
        return;
    }
    let taps = i32(thread) / TILES_C;
    let outputs = taps / (TILES_X * TILES_Y);
    let matrices = outputs / TILES_O;
    let c_first = i32(thread) % TILES_C * TC;
    let kx_first = taps % TILES_X * TX;
    let ky_first = taps / TILES_X % TILES_Y * TY;
    let o_first = outputs % TILES_O * TO;
    let group = matrices % GROUPS;
    let part = matrices / GROUPS;

    var sum: array<f32, TO * TC * TY * TX>;
    let end = min(u32(part + 1) * params.length, params.steps);
    for (var step = u32(part) * params.length; step < end; step++) {
        let row = i32(step) / STRIPS;
        let left = i32(step) % STRIPS * TP;
        let image = row / OH;
        let oy = row % OH;
        var d: array<f32, TO * TP>;
        for (var i = 0; i < TO; i++) { // unroll
            let plane = (image * GROUPS + group) * O + min(o_first + i, O - 1);
            let at = (plane * OH + oy) * OW;
            for (var p = 0; p < TP; p++) { // unroll
                d[i * TP + p] = select(0.0, dy[at + min(left + p, OW - 1)], left + p < OW);
            }
        }
        for (var m = 0; m < TC; m++) { // unroll
            let plane = (image * GROUPS + group) * C + min(c_first + m, C - 1);
            for (var ky = 0; ky < TY; ky++) { // unroll
                let iy = oy * STRIDE_Y - BEFORE_Y + (ky_first + ky) * DILATION_Y;
                let at = (plane * H + clamp(iy, 0, H - 1)) * W;
                let first = left * STRIDE_X - BEFORE_X + kx_first * DILATION_X;
                var columns: array<f32, COLUMNS>;
                for (var j = 0; j < COLUMNS; j++) { // unroll
                    columns[j] = pixel(at, iy >= 0 && iy < H, first + j);
                }
                for (var kx = 0; kx < TX; kx++) { // unroll
                    for (var p = 0; p < TP; p++) { // unroll
                        for (var i = 0; i < TO; i++) { // unroll
                            sum[((i * TC + m) * TY + ky) * TX + kx] = fma(d[i * TP + p], columns[p * STRIDE_X + kx * DILATION_X], sum[((i * TC + m) * TY + ky) * TX + kx]);
                        }
                    }
                }
            }
        }
    }
    for (var i = 0; i < TO; i++) { // unroll
        for (var m = 0; m < TC; m++) { // unroll
            let o = group * O + o_first + i;
            let c = c_first + m;
            for (var ky = 0; ky < TY; ky++) { // unroll
                for (var kx = 0; kx < TX; kx++) { // unroll
                    if o_first + i < O && c < C && ky_first + ky < KH && kx_first + kx < KW {
                        let at = u32(((o * C + c) * KH + ky_first + ky) * KW + kx_first + kx);
                        store_y(u32(part) * params.size + at, sum[((i * TC + m) * TY + ky) * TX + kx]);
                    }
                }
            }
        }
    }
}
