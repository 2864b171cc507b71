// Norms of rows: their variants, and sums over the threads of a row.
//
// CENTERED norms take out the mean. THREADS neighbouring threads of a workgroup take the neighbouring elements of a row;
// what they add is combined pairwise, in an order that the sizes alone decide.

override CENTERED: bool = true;
override THREADS: u32 = 256u;
const GROUP = 256u;
var<workgroup> partial: array<vec2<f32>, GROUP>;

// The sum of a row's threads; to be called by all threads together. Before the next sum comes a barrier.
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
