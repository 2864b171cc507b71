// Constants of the row norms, and sums over the threads of a row.
//
// CENTERED norms subtract the mean. THREADS neighbouring threads of a workgroup take neighbouring elements of a row; a
// tree adds their sums in an order that depends on the sizes alone.

override CENTERED: bool = true;
override THREADS: u32 = 256u;
const GROUP = 256u;
var<workgroup> partial: array<vec2<f32>, GROUP>;

// Sums the values of the threads of a row. All threads must call it together, and need a barrier before the next call.
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
