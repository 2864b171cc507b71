// Tree reductions: combine one value per thread of a workgroup of 64 threads, pairwise and in a fixed order.
// All threads of the workgroup must call these functions, and every thread gets the result.

const TREE = 64u;
var<workgroup> tree_values: array<f32, TREE>;
var<workgroup> tree_places: array<u32, TREE>;

fn tree_sum(lane: u32, value: f32) -> f32 {
    tree_values[lane] = value;
    for (var half = TREE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            tree_values[lane] += tree_values[lane + half];
        }
    }
    workgroupBarrier();
    let sum = tree_values[0];
    workgroupBarrier();
    return sum;
}

struct TreeMax {
    value: f32,
    place: u32,
}

// Returns the largest value that any thread passed, and the `place` passed with that value.
fn tree_max(lane: u32, own: TreeMax) -> TreeMax {
    tree_values[lane] = own.value;
    tree_places[lane] = own.place;
    for (var half = TREE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half && tree_values[lane + half] > tree_values[lane] {
            tree_values[lane] = tree_values[lane + half];
            tree_places[lane] = tree_places[lane + half];
        }
    }
    workgroupBarrier();
    let result = TreeMax(tree_values[0], tree_places[0]);
    workgroupBarrier();
    return result;
}
