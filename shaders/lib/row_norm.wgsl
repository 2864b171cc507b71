// Constants of the row norms, and sums over the threads of a row.
//
// Norms with CENTERED set subtract the mean. THREADS neighbouring threads of a workgroup read neighbouring
// elements of a row; a tree adds the sums of the threads, in an order that depends only on the sizes.

override CENTERED: bool = true;
override THREADS: u32 = 256u;
const GROUP = 256u;
var<workgroup> partial: array<vec2<f32>, GROUP>;

// Adds the values of all threads that work on the same row. All threads of the workgroup must call this function,
// with a barrier between two calls.
fn combine(lane: u32, own: vec2<f32>) -> vec2<f32> {
    partial[lane] = own;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % THREADS < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    return partial[lane / THREADS * THREADS];
}
