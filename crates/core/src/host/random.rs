//! Random numbers that have the same bits on every device: the counter-based generator Philox 4x32-10.
//!
//! Source: Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//! `shaders/lib/philox.wgsl` is the same generator in WGSL.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Returns four random words for a counter and a key.
///
/// ```
/// // The known answer of the paper's reference implementation for all-zero input.
/// let words = wgrad_core::philox([0; 4], [0; 2]);
/// assert_eq!(words, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low0, high0] = multiply(MULTIPLIERS[0], counter[0]);
        let [low1, high1] = multiply(MULTIPLIERS[1], counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

fn multiply(a: u32, b: u32) -> [u32; 2] {
    let product = u64::from(a) * u64::from(b);
    [product as u32, (product >> 32) as u32]
}

/// Stream of random numbers, determined by a seed and a 64-bit stream number.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    stream: [u32; 2],
    index: u64,
    words: [u32; 4],
}

impl Stream {
    /// Starts the stream with this seed and stream number.
    pub fn new(seed: u64, stream: u64) -> Self {
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        Self { key: halves(seed), stream: halves(stream), index: 0, words: [0; 4] }
    }

    /// Starts the stream whose number is the 64-bit FNV-1a hash of `name`.
    pub fn named(seed: u64, name: &str) -> Self {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self::new(seed, hash)
    }

    /// Draws 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let lane = (self.index % 4) as usize;
        if lane == 0 {
            let block = self.index / 4;
            self.words = philox([block as u32, (block >> 32) as u32, self.stream[0], self.stream[1]], self.key);
        }
        self.index += 1;
        self.words[lane]
    }

    /// Draws a number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (u64::from(self.next_u32()), u64::from(self.next_u32()));
        let bits = ((high << 21) ^ (low >> 11)) as f64;
        bits * 2f64.powi(-53)
    }

    /// Draws from the standard normal distribution, with the Box–Muller transform.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Draws an integer below `n`, without bias.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "there is no integer below 0");
        let n = n as u64;
        let zone = u64::MAX - u64::MAX % n;
        loop {
            let x = (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32());
            if x < zone {
                return usize::try_from(x % n).expect("smaller than n");
            }
        }
    }

    /// Puts `items` in random order, with the Fisher–Yates shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
