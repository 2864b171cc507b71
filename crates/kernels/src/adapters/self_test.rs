//! Evaluation of a driver's answers to `shaders/probe.wgsl`. It decides which answers are correct, which are wrong
//! in ways that the kernels work around, and which make the device unusable.

use std::fmt;
use std::time::Duration;

/// Verdict on a driver's answer to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// The answer is correct according to IEEE 754 and WGSL.
    Passed,
    /// The answer is allowed by WGSL, or is a known driver fault that kernels work around. The string describes
    /// the consequence or the workaround.
    Noted(&'static str),
    /// Results would be wrong, and no variant of the kernels avoids this. The string describes the affected
    /// results.
    Failed(&'static str),
}

/// Tested property of a driver, with the driver's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Name of the property, such as `division`.
    pub name: &'static str,
    /// The driver's answer, as text for messages.
    pub found: String,
    /// Judgement of the answer.
    pub verdict: ProbeVerdict,
}

/// Self-test of an adapter's driver: a few dispatches that look for known faults. It runs when a device is first
/// opened.
///
/// wgrad's kernels do not rely on behaviour that WGSL leaves open, so most findings are only noted.
/// [`Adapter::open`](crate::Adapter::open) rejects a driver that fails a probe.
///
/// ```
/// use wgrad_kernels::{ProbeVerdict, adapters};
/// for adapter in adapters() {
///     let test = adapter.self_test()?;
///     assert!(test.probes.iter().any(|probe| probe.name == "subnormals"));
///     assert!(test.failures().next().is_none(), "{test}");
/// }
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// The probes: tested properties, with answers and verdicts.
    pub probes: Vec<Probe>,
    /// Time that it took to run the probes, or to load stored answers.
    pub took: Duration,
    /// True if the answers were loaded from disk, where an earlier process stored them next to the compiled
    /// kernels.
    pub cached: bool,
}

impl SelfTest {
    /// Returns the failed probes, each with the results that it affects.
    pub fn failures(&self) -> impl Iterator<Item = (&Probe, &'static str)> {
        self.probes.iter().filter_map(|probe| match probe.verdict {
            ProbeVerdict::Failed(why) => Some((probe, why)),
            _ => None,
        })
    }

    /// Returns the probes that were only noted, each with its consequence or workaround.
    pub fn notes(&self) -> impl Iterator<Item = (&Probe, &'static str)> {
        self.probes.iter().filter_map(|probe| match probe.verdict {
            ProbeVerdict::Noted(why) => Some((probe, why)),
            _ => None,
        })
    }

    /// Returns whether the driver replaces numbers below 2⁻¹²⁶ (subnormals) with 0. Results may then have errors
    /// of that size.
    pub fn flushes_subnormals(&self) -> bool {
        self.notes().any(|(probe, _)| probe.name == SUBNORMALS)
    }

    /// Returns the largest number of loop iterations that a thread may run: `u32::MAX` if the driver completed the
    /// loop of the probe, else the number of iterations after which it stopped.
    pub fn iterations(&self) -> u32 {
        let ended = |probe: &&Probe| probe.name == LOOPS && probe.verdict != ProbeVerdict::Passed;
        let found = self.probes.iter().find(ended).and_then(|probe| probe.found.split(' ').next()?.parse().ok());
        found.unwrap_or(u32::MAX)
    }
}

/// Prints `12 of 14 probes passed; noted: NaN comparison (…), subnormals (…)`.
impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.probes.iter().filter(|probe| probe.verdict == ProbeVerdict::Passed).count();
        write!(f, "{passed} of {} probes passed", self.probes.len())?;
        let list = |probes: Vec<(&Probe, &str)>| {
            let each: Vec<_> = probes.iter().map(|(probe, _)| format!("{} ({})", probe.name, probe.found)).collect();
            each.join(", ")
        };
        for (word, probes) in [("noted", list(self.notes().collect())), ("failed", list(self.failures().collect()))] {
            if !probes.is_empty() {
                write!(f, "; {word}: {probes}")?;
            }
        }
        Ok(())
    }
}

const SUBNORMALS: &str = "subnormals";
const LOOPS: &str = "long loops";
const SUBNORMAL: u32 = 71_362;

/// Input of `shaders/probe.wgsl`: bit patterns of floats, then integers. A comment such as `6: 88` gives index
/// and value.
pub(super) const INPUTS: [u32; 29] = [
    0x7f80_0000, // 0: infinity
    0x7fc0_0001, // 1: NaN
    0x4000_0000, // 2: 2
    0x0000_0000, // 3: 0
    SUBNORMAL,   // 4: 1e-40
    0x3f80_0000, // 5: 1
    0x42b0_0000, // 6: 88
    0xc2ae_0000, // 7: -87
    0x42b3_0000, // 8: 89.5
    0xc47a_0000, // 9: -1000
    0x3f80_0008, // 10: 1 + 2^-20
    0x0da2_4260, // 11: 1e-30
    0x7149_f2ca, // 12: 1e30
    0x3f80_0800, // 13: 1 + 2^-12
    0x3f80_1000, // 14: 1 + 2^-11
    0x4cbe_bc20, // 15: 1e8
    0x7f61_b1e6, // 16: 3e38
    0x4040_0000, // 17: 3
    0x4010_0000, // 18: 2.25
    7,
    2,
    0xffff_ffff,
    3,
    0x8000_0001,
    0xffff_fff9, // 24: -7
    1_000_000_007,
    16_777_215,
    1,
    ITERATIONS, // 28
];

/// Number of iterations in the loop probe. It does not fit in 16 bits; some drivers end long loops early.
const ITERATIONS: u32 = 100_003;

/// Number of answers of the entry point `values`. The answers of `cleared` and the one answer of `looped` follow.
pub(super) const VALUES: usize = 32;
const CLEARED: usize = VALUES + 64;
pub(super) const ANSWERS: usize = CLEARED + 1;

/// Returns whether `got` differs from `truth` by at most `ulp` units in the last place of f32.
fn within(got: f32, truth: f64, ulp: f64) -> bool {
    (f64::from(got) - truth).abs() <= ulp * truth.abs() * f64::from(f32::EPSILON)
}

/// Evaluates the driver's answers `y` and returns one probe per tested property.
pub(super) fn evaluate(y: &[u32]) -> Vec<Probe> {
    let mut probes = vec![];
    let mut probe = |name, found, verdict| probes.push(Probe { name, found, verdict });
    for about in [special, arithmetic, integers, workgroups] {
        about(y, &mut probe);
    }
    probes
}

/// Callback that receives a probe: its name, the driver's answer, and the verdict.
type AddProbe<'a> = dyn FnMut(&'static str, String, ProbeVerdict) + 'a;

/// Returns [`ProbeVerdict::Passed`] if the probe passed, else `otherwise`.
fn passed_or(passed: bool, otherwise: ProbeVerdict) -> ProbeVerdict {
    if passed { ProbeVerdict::Passed } else { otherwise }
}

/// Probes infinity, NaN and subnormal numbers.
fn special(y: &[u32], probe: &mut AddProbe<'_>) {
    let number = |i: usize| f32::from_bits(y[i]);
    let [twice, none, over] = [number(0), number(1), number(2)];
    let kept = twice == f32::INFINITY && none.is_nan() && over == f32::INFINITY;
    probe(
        "infinity",
        format!("∞·2 = {twice}, ∞·0 = {none}, 3e38·2 = {over}"),
        passed_or(
            kept,
            ProbeVerdict::Noted("no kernel computes with infinities; a result that overflows may be finite"),
        ),
    );
    probe(
        "NaN comparison",
        format!("NaN ≠ NaN is {}, NaN = NaN is {}", y[3] == 1, y[4] == 1),
        passed_or(y[3] == 1 && y[4] == 0, ProbeVerdict::Noted("kernels look at the bits")),
    );
    probe(
        "NaN bits",
        format!("recognised: {}, moved: {}", y[5] == 1, number(6)),
        passed_or(
            y[5] == 1 && number(6).is_nan(),
            ProbeVerdict::Failed("maxima, lookups and labels out of range would lose their NaN"),
        ),
    );
    let flushed = |i: usize, truth: u32| y[i] == truth || number(i) == 0.0;
    let truths = [(7, SUBNORMAL), (8, 2 * SUBNORMAL), (9, SUBNORMAL)];
    let verdict = if truths.iter().all(|&(i, truth)| y[i] == truth) {
        ProbeVerdict::Passed
    } else if truths.iter().all(|&(i, truth)| flushed(i, truth)) {
        ProbeVerdict::Noted("error bounds allow 1.2e-38")
    } else {
        ProbeVerdict::Failed("tiny numbers change their value")
    };
    probe(SUBNORMALS, format!("1e-40 · 1 = {:e}, 1e-40 + 1e-40 = {:e}", number(7), number(8)), verdict);
}

/// Probes math functions, and the rounding of sums and products.
fn arithmetic(y: &[u32], probe: &mut AddProbe<'_>) {
    let number = |i: usize| f32::from_bits(y[i]);
    let given = |i: usize| f64::from(f32::from_bits(INPUTS[i]));
    // Errors allowed by WGSL, in units in the last place: exp 3 + 2·|x|, log 3, division 2.5 and inverseSqrt 2.
    let ends = (6..8).all(|i| within(number(i + 4), given(i).exp(), 3.0 + 2.0 * given(i).abs()));
    let verdict = if !ends || number(13).is_nan() || number(13).abs() > f32::MIN_POSITIVE {
        ProbeVerdict::Failed("probabilities, and every loss of logits, would be wrong")
    } else {
        passed_or(number(12) == f32::INFINITY, ProbeVerdict::Noted("kernels compute exp only of numbers below 0"))
    };
    let exps = [10, 11, 12, 13].map(|i| format!("{:e}", number(i))).join(", ");
    probe("exp", format!("of 88, −87, 89.5, −1000: {exps}"), verdict);
    let near = f64::from(number(14)) - given(10).ln();
    let far = (11..13).all(|i| within(number(i + 4), given(i).ln(), 3.0));
    let verdict = if !far || near.abs().is_nan() || near.abs() > 2f64.powi(-21) {
        ProbeVerdict::Failed("cross-entropies would be wrong")
    } else {
        let relative = within(number(14), given(10).ln(), 3.0);
        passed_or(relative, ProbeVerdict::Noted("near 1, kernels use a series of their own"))
    };
    probe("log", format!("log(1 + 2⁻²⁰) = {:e}, off by {near:.1e}", number(14)), verdict);

    let once = 2f32.powi(-24);
    let verdict = match number(17) {
        0.0 => ProbeVerdict::Passed,
        rest if rest.to_bits() == once.to_bits() => {
            ProbeVerdict::Noted("bits may differ from other devices'; error bounds hold")
        }
        _ => ProbeVerdict::Failed("products or differences are not rounded to the nearest"),
    };
    let fused = if number(18) == 0.0 { "rounds twice" } else { "rounds once" };
    probe("contraction", format!("a·a − b = {:e}, fma {fused}", number(17)), verdict);
    probe(
        "reassociation",
        format!("(1e8 + 1) − 1e8 = {}", number(19)),
        passed_or(number(19) == 0.0, ProbeVerdict::Noted("sin and cos of large numbers may lose digits")),
    );
    let close = within(number(20), 1.0 / 3.0, 2.5) && within(number(21), 1.0 / 1.5, 2.0);
    probe(
        "division",
        format!("1/3 = {}, 1/√2.25 = {}", number(20), number(21)),
        passed_or(close, ProbeVerdict::Failed("means and norms would be wrong")),
    );
}

/// Probes integer arithmetic.
fn integers(y: &[u32], probe: &mut AddProbe<'_>) {
    // The signed remainder `y[26]` has a separate probe below.
    let truths = [3, 0x5555_5555, 3, 0xffff_fffd, y[26], 4, 294_967_267, 16_777_215f32.to_bits()];
    let wrong = (22..30).find(|&i| y[i] != truths[i - 22]);
    probe(
        "integers",
        wrong.map_or_else(|| "exact".into(), |i| format!("answer {i} is {:#x}, not {:#x}", y[i], truths[i - 22])),
        passed_or(wrong.is_none(), ProbeVerdict::Failed("kernels would read and write at wrong indices")),
    );
    // WGSL is translated to GLSL for OpenGL, and GLSL leaves the remainder of negative numbers undefined.
    probe(
        "signed remainder",
        format!("-7 % 2 = {}", y[26].cast_signed()),
        passed_or(y[26] == u32::MAX, ProbeVerdict::Noted("no result depends on the remainder of a negative number")),
    );
}

/// Probes workgroup memory, barriers and long loops.
fn workgroups(y: &[u32], probe: &mut AddProbe<'_>) {
    probe(
        "barriers",
        format!("1 + … + 256 = {}, read back {:#x}", y[30], y[31]),
        passed_or(y[30] == 32_896 && y[31] == u32::MAX, ProbeVerdict::Failed("sums over workgroups would be wrong")),
    );
    let left = y[VALUES..CLEARED].iter().fold(0, |all, word| all | word);
    probe(
        "workgroup memory",
        if left == 0 { "set to zero".into() } else { format!("not set to zero: {left:#x}") },
        passed_or(left == 0, ProbeVerdict::Noted("kernels write before they read; your own WGSL must do so too")),
    );
    probe(
        LOOPS,
        format!("{} of {ITERATIONS} iterations", y[CLEARED]),
        match y[CLEARED] {
            ITERATIONS => ProbeVerdict::Passed,
            32_768..ITERATIONS => {
                ProbeVerdict::Noted("kernels split longer loops or are refused; your own WGSL must split them too")
            }
            _ => ProbeVerdict::Failed("sums would end early"),
        },
    );
}

#[cfg(test)]
#[path = "self_test_tests.rs"]
mod tests;
