//! Random numbers that equal those of PyTorch on the CPU after `torch.manual_seed(s)`, bit for bit.
//!
//! - *Words* (32 bits) come from MT19937 (Matsumoto and Nishimura, ACM TOMACS 8, 1998), seeded with the low 32
//!   bits of the seed.
//! - *Uniform* numbers in `f32` are the low 24 bits of a word times 2⁻²⁴, moved to the interval with one fused
//!   multiply-add.
//! - *Normal* numbers, fewer than 16 at once, are computed in pairs with the Box–Muller transform in `f64`. The
//!   second number of a pair is kept for the next call.
//! - *Normal* numbers, 16 or more at once, start from as many uniform numbers in `f32`. The Box–Muller transform
//!   is applied to blocks of 16, in which the first eight numbers determine radii and the last eight angles. If
//!   the count is not a multiple of 16, the last 16 numbers are drawn again. Logarithm, sine and cosine are the
//!   `f32` polynomials of the Cephes library (Moshier) with fused multiply-adds, as in PyTorch's kernel for AVX2.
//!   x86 processors since 2013 run that kernel, including those with AVX-512. On processors without AVX2,
//!   PyTorch's last bits differ.
//! - *Permutations* are Fisher–Yates shuffles from the front. The random index is a word modulo the number of
//!   remaining items.

use crate::host::init::Init;

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// Generator of PyTorch's random numbers, in the state after `torch.manual_seed`.
///
/// ```
/// use wgrad_core::TorchRandom;
/// let mut random = TorchRandom::new(0);
/// // torch.manual_seed(0); torch.rand(2)
/// assert_eq!([random.uniform(0.0, 1.0), random.uniform(0.0, 1.0)], [0.49625659, 0.7682218]);
/// // torch.manual_seed(0); torch.randperm(5)
/// assert_eq!(TorchRandom::new(0).permutation(5), [4, 0, 1, 3, 2]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TorchRandom {
    state: [u32; WORDS],
    next: usize,
    /// The bits of the second normal number of a pair, kept for the next call.
    kept: Option<u64>,
}

impl std::fmt::Debug for TorchRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TorchRandom(word {})", self.next)
    }
}

impl TorchRandom {
    /// Creates the generator in the state after `torch.manual_seed(seed)`. For a negative seed of PyTorch, pass
    /// `seed + 2⁶⁴`.
    pub fn new(seed: u64) -> Self {
        let mut state = [seed as u32; WORDS];
        for i in 1..WORDS {
            let last = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: WORDS, kept: None }
    }

    /// Returns the state as words, from which [`Self::from_words`] restores it: the generator's 624 words, how
    /// many of them have been used, and the second normal number of a pair if one is kept.
    ///
    /// ```
    /// use wgrad_core::TorchRandom;
    /// let mut random = TorchRandom::new(7);
    /// random.word();
    /// let mut again = TorchRandom::from_words(&random.to_words()).unwrap();
    /// assert_eq!(again.word(), random.word());
    /// assert!(TorchRandom::from_words(&[1, 2, 3]).is_none());
    /// ```
    pub fn to_words(&self) -> Vec<u32> {
        let kept = self.kept.unwrap_or_default();
        let rest = [self.next as u32, u32::from(self.kept.is_some()), kept as u32, (kept >> 32) as u32];
        self.state.iter().copied().chain(rest).collect()
    }

    /// Restores a state that [`Self::to_words`] returned. `None` if `words` is not a valid state.
    pub fn from_words(words: &[u32]) -> Option<Self> {
        let (state, rest) = words.split_first_chunk::<WORDS>()?;
        let &[next, kept, low, high] = rest else { return None };
        let number = u64::from(low) | (u64::from(high) << 32);
        (next as usize <= WORDS && kept <= 1).then(|| Self {
            state: *state,
            next: next as usize,
            kept: (kept == 1).then_some(number),
        })
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let word = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7fff_ffff);
            let odd = if word & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[i] = self.state[(i + SHIFT) % WORDS] ^ (word >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// Draws 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Draws 64 random bits: two words, the high one first.
    pub fn long(&mut self) -> u64 {
        let high = u64::from(self.word());
        (high << 32) | u64::from(self.word())
    }

    /// Draws the number that `torch.empty((), dtype=torch.int64).random_()` returns. PyTorch's data loader uses
    /// this number as its seed.
    pub fn seed(&mut self) -> u64 {
        self.long() & (u64::MAX >> 1)
    }

    /// Draws a number in `[low, high)`, as `uniform_(low, high)` does for each element.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.word() & 0x00ff_ffff) as f32 * (1.0 / 16_777_216.0);
        unit.mul_add(high - low, low)
    }

    /// Draws a number in `[0, 1)` with 53 random bits.
    fn unit(&mut self) -> f64 {
        (self.long() & ((1 << 53) - 1)) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    fn normal(&mut self, mean: f64, std: f64) -> f64 {
        let value = self.kept.take().map_or_else(
            || {
                let (angle, radius) = (std::f64::consts::TAU * self.unit(), self.unit());
                let radius = (-2.0 * libm::log1p(-radius)).sqrt();
                self.kept = Some((radius * libm::sin(angle)).to_bits());
                radius * libm::cos(angle)
            },
            f64::from_bits,
        );
        value * std + mean
    }

    /// Draws the numbers that `torch.empty(count).normal_(mean, std)` returns.
    pub fn normals(&mut self, count: usize, mean: f64, std: f64) -> Vec<f32> {
        if count < 16 {
            return (0..count).map(|_| self.normal(mean, std) as f32).collect();
        }
        let (mean, std) = (mean as f32, std as f32);
        let mut values: Vec<_> = (0..count).map(|_| self.uniform(0.0, 1.0)).collect();
        let (blocks, rest) = values.as_chunks_mut::<16>();
        for block in blocks {
            to_normal(block, mean, std);
        }
        if !rest.is_empty() {
            let mut last: [f32; 16] = std::array::from_fn(|_| self.uniform(0.0, 1.0));
            to_normal(&mut last, mean, std);
            values[count - 16..].copy_from_slice(&last);
        }
        values
    }

    /// Draws the permutation that `torch.randperm(count)` returns.
    pub fn permutation(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        if count < u32::MAX / 20 {
            for at in 0..count.saturating_sub(1) {
                let other = at + self.word() % (count - at);
                order.swap(at as usize, other as usize);
            }
        } else {
            // For such a large count, a 32-bit word modulo the number of items would be biased.
            for at in 0..count {
                let other = self.long() % (u64::from(at) + 1);
                order.swap(at as usize, other as usize);
            }
        }
        order
    }

    /// Draws the elements of a new tensor as PyTorch's `uniform_`, `normal_` or `fill_` does.
    pub fn fill(&mut self, count: usize, init: Init) -> Vec<f32> {
        match init {
            Init::Constant(value) => vec![value as f32; count],
            Init::Uniform(low, high) => {
                let (low, high) = (low as f32, high as f32);
                (0..count).map(|_| self.uniform(low, high)).collect()
            }
            Init::Normal(mean, std) => self.normals(count, mean, std),
        }
    }
}

/// Converts 8 uniform numbers for radii and 8 for angles into 16 normal numbers.
fn to_normal(block: &mut [f32; 16], mean: f32, std: f32) {
    for i in 0..8 {
        let radius = (-2.0 * log(1.0 - block[i])).sqrt();
        let (sin, cos) = sin_cos(std::f32::consts::TAU * block[i + 8]);
        block[i] = (radius * cos).mul_add(std, mean);
        block[i + 8] = (radius * sin).mul_add(std, mean);
    }
}

/// Evaluates a polynomial whose coefficients are listed from the highest power down.
fn horner(x: f32, coefficients: &[f32]) -> f32 {
    let (first, rest) = coefficients.split_first().unwrap_or((&0.0, &[]));
    rest.iter().fold(*first, |sum, &coefficient| sum.mul_add(x, coefficient))
}

/// Computes the natural logarithm of a positive normal number as Cephes' `logf` does.
fn log(x: f32) -> f32 {
    const LOG: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let bits = x.to_bits();
    let mut exponent = (bits >> 23).cast_signed() - 126;
    let mut m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    // At this point, `x = m·2ᵉ` with m in [½, 1), where e is the exponent. If `m < √½`, m is doubled and e is
    // reduced by 1, so that m is in [√½, √2). Then 1 is subtracted from m.
    if m < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1;
        m = (m - 1.0) + m;
    } else {
        m -= 1.0;
    }
    // ln 2 is the sum of 355/512 and -2.12e-4. The product of 355/512 with any exponent is exact.
    let (exponent, square) = (exponent as f32, m * m);
    let y = (horner(m, &LOG) * m).mul_add(square, exponent * -2.121_944_4e-4);
    let y = (-square).mul_add(0.5, y);
    exponent.mul_add(355.0 / 512.0, m + y)
}

/// Computes the sine and cosine of an angle in `[0, 2π]` as Cephes' `sinf` and `cosf` do.
fn sin_cos(x: f32) -> (f32, f32) {
    const COS: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    const SIN: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    // The nearest multiple of π/2, counted in eighths of the circle (π/4), is subtracted from the angle. For
    // accuracy, π/4 is the sum of three constants.
    let eighth = ((x * (4.0 / std::f32::consts::PI)) as i32 + 1) & !1;
    let eighths = eighth as f32;
    let x = eighths.mul_add(-0.785_156_25, x);
    let x = eighths.mul_add(-2.418_756_5e-4, x);
    let x = eighths.mul_add(-3.774_895e-8, x);
    let square = x * x;
    let cos = (horner(square, &COS) * square).mul_add(square, -(0.5 * square)) + 1.0;
    let sin = (horner(square, &SIN) * square).mul_add(x, x);
    let (sin, cos) = if eighth & 2 == 0 { (sin, cos) } else { (cos, sin) };
    let sin = if eighth & 4 == 0 { sin } else { -sin };
    let cos = if (eighth - 2) & 4 == 0 { -cos } else { cos };
    (sin, cos)
}
