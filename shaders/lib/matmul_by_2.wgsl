// Loads four neighbouring elements of an operand whose lines have a multiple of two elements; beyond the line, the
// pair at `last` again.

@group(0) @binding(0) var<storage, read> operand: array<vec2<f32>>;

fn operand4(at: u32, last: u32) -> vec4<f32> {
    return vec4(operand[at / 2u], operand[min(at + 2u, last) / 2u]);
}
