// Loads four neighbouring elements, two at once, of an operand whose lines have an even number of elements.
//
// Beyond the end of a line, the pair at `last` is repeated.

@group(0) @binding(0) var<storage, read> operand: array<vec2<f32>>;

fn operand4(at: u32, last: u32) -> vec4<f32> {
    return vec4(operand[at / 2u], operand[min(at + 2u, last) / 2u]);
}
