// Tests the bits of a number for NaN, because compilers may assume that there are no NaNs.

// The bits of NaN, which is the result for an index beyond the end of an axis.
const NAN_BITS = 0x7fc00000u;

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}
