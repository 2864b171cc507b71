//! Reproducible shuffles: the same seed yields the same order of rows on every machine.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood, 2014): state += 0x9e3779b97f4a7c15, then two rounds of
//! xor-shift and multiply. Integers below a bound are drawn without bias with Lemire's method (multiplication and
//! rejection), and permutations with the Fisher–Yates shuffle from the end. Each use has a separate stream: the
//! split into training and test rows draws from stream 0, epoch `e` from stream `e + 1`, and other uses number
//! their streams from `u64::MAX` downwards.

/// Seed of splits and shuffles. The same seed yields the same split and the same batches in every run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// `SplitMix64` generator of reproducible shuffles.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Starts stream number `stream` of a seed.
    pub fn new(seed: Seed, stream: u64) -> Self {
        Self(mix(mix(seed.0) ^ stream.wrapping_mul(STEP)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Draws a number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws an integer below `bound`; all are equally likely.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Lemire's rejection: all results are equally likely if products whose low half is below `2^64 mod bound`
        // are discarded.
        let reject = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            let (low, high) = (product as u64, (product >> 64) as u64);
            if low >= reject {
                return high;
            }
        }
    }

    /// Shuffles `items`; all orders are equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The published sequence for the initial state 1234567.
        let mut random = SplitMix64(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], expected);
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_depends_on_seed_and_stream() {
        let order = |seed, stream| {
            let mut items: Vec<u32> = (0..100).collect();
            SplitMix64::new(Seed(seed), stream).shuffle(&mut items);
            items
        };
        assert_eq!(order(7, 0), order(7, 0));
        assert_ne!(order(7, 0), order(7, 1));
        assert_ne!(order(7, 0), order(8, 0));
        assert_ne!(order(7, 1), order(8, 0));
        let mut sorted = order(7, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn each_of_the_six_orders_of_three_is_as_frequent() {
        let mut random = SplitMix64::new(Seed(1), 0);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            random.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Each order is expected 1000 times. A count's standard deviation is √(6000·1/6·5/6) = 28.9; 144 is five
        // times that.
        assert!(counts.values().all(|count: &i32| (count - 1000).abs() < 144), "{counts:?}");
    }
}
