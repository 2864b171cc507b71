// y = results of arithmetic on x and n: some that WGSL leaves to the driver, some on which every kernel relies.
//
// x and n are two bindings of the same input words, as floats and as integers; compilers cannot know their values.
// The self-test (kernels/adapters/self_test.rs) provides the input and evaluates y. This shader belongs to no op,
// so it names no source.
//
// Entry points:
// - `values`: one workgroup of 256 threads. The first thread computes numbers; then all threads add a sum as a
//   tree, and fill workgroup memory with ones.
// - `cleared`: copies workgroup memory to y; compiled with workgroup memory set to zero, like the kernels of
//   users. It declares little of this memory, because llvmpipe would take minutes to compile a large array that is
//   cleared word by word.
// - `looped`: counts the iterations of a loop. The variable z changes in each iteration, so that a compiler cannot
//   compute the count without running the loop.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> n: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

const GROUP = 256u;
// Number of words in 16 KiB, the size of workgroup memory that every device has.
const WORDS = 4096u;
// Index of the first word of y that `cleared` writes.
const CLEARED = 32u;
const LOOPED = CLEARED + 64u;
var<workgroup> memory: array<u32, WORDS>;
var<workgroup> clean: array<u32, 64>;

fn put(at: u32, value: f32) {
    y[at] = bitcast<u32>(value);
}

fn numbers() {
    // Infinity times a number, infinity times 0, and overflow.
    put(0u, x[0] * x[2]);
    put(1u, x[0] * x[3]);
    put(2u, x[16] * x[2]);
    // NaN: compared with itself, recognised by its bits, and selected.
    y[3] = select(0u, 1u, x[1] != x[1]);
    y[4] = select(0u, 1u, x[1] == x[1]);
    y[5] = select(0u, 1u, (bitcast<u32>(x[1]) & 0x7fffffffu) > 0x7f800000u);
    put(6u, select(x[3], x[1], x[5] == x[5] && x[2] > x[5]));
    // Subnormals: multiplied by 1, added, copied.
    put(7u, x[4] * x[5]);
    put(8u, x[4] + x[4]);
    put(9u, x[4]);
    // exp near the limits of f32, and beyond them.
    put(10u, exp(x[6]));
    put(11u, exp(x[7]));
    put(12u, exp(x[8]));
    put(13u, exp(x[9]));
    // log near 1, and far from it.
    put(14u, log(x[10]));
    put(15u, log(x[11]));
    put(16u, log(x[12]));
    // a·a − b, whose exact value is 2^-24: rounded twice, then rounded once (fma).
    put(17u, x[13] * x[13] - x[14]);
    put(18u, fma(x[13], x[13], -x[14]));
    // (1e8 + 1) − 1e8 is 0 if the compiler keeps the order.
    put(19u, (x[15] + x[5]) - x[15]);
    put(20u, x[5] / x[17]);
    put(21u, inverseSqrt(x[18]));
    // Integer division and remainder, and conversion to f32.
    y[22] = n[19] / n[20];
    y[23] = n[21] / n[22];
    y[24] = n[23] % n[19];
    y[25] = bitcast<u32>(bitcast<i32>(n[24]) / bitcast<i32>(n[20]));
    y[26] = bitcast<u32>(bitcast<i32>(n[24]) % bitcast<i32>(n[20]));
    y[27] = n[21] / n[25];
    y[28] = n[21] % n[25];
    put(29u, f32(n[26]));
}

@compute @workgroup_size(256)
fn values(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        numbers();
    }
    memory[lane] = lane + n[27];
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            memory[lane] += memory[lane + half];
        }
    }
    workgroupBarrier();
    let sum = memory[0];
    workgroupBarrier();
    for (var i = lane; i < WORDS; i += GROUP) {
        memory[i] = 0xffffffffu;
    }
    workgroupBarrier();
    if lane == 0u {
        y[30] = sum;
        y[31] = memory[n[26] % WORDS];
    }
}

@compute @workgroup_size(64)
fn cleared(@builtin(local_invocation_index) lane: u32) {
    y[CLEARED + lane] = clean[lane];
}

@compute @workgroup_size(1)
fn looped() {
    var z = 0u;
    var iterations = 0u;
    for (var i = 0u; i < n[28]; i++) {
        z = z * 1664525u + 1013904223u;
        iterations += 1u + z * n[3];
    }
    y[LOOPED] = iterations;
}
