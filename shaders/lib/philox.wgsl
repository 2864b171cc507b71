// Philox 4x32-10: computes four random words from a counter and a key, with the same bits as `wgrad_core::philox`.
//
// Source: Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

// The upper 32 bits of a·b, from products of 16-bit halves.
fn philox_high(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let middle = a1 * b0 + ((a0 * b0) >> 16u);
    let carry = a0 * b1 + (middle & 0xffffu);
    return a1 * b1 + (middle >> 16u) + (carry >> 16u);
}

fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        let high0 = philox_high(0xd2511f53u, c.x);
        let high1 = philox_high(0xcd9e8d57u, c.z);
        c = vec4(high1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
        k = vec2(k.x + 0x9e3779b9u, k.y + 0xbb67ae85u);
    }
    return c;
}

// The random word of one element in a step. `site` is the number of the dropout call within the model.
fn philox_word(index: u32, step: u32, site: u32, key0: u32, key1: u32) -> u32 {
    return philox(vec4(index, step, site, 0u), vec2(key0, key1)).x;
}
