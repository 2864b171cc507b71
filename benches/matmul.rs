//! Time of matrix products on every adapter, for each kernel variant: `cargo bench --bench matmul [-- WORD…]`.
//!
//! Each WORD selects a set of products (`1024`, `wide`, `mid` or `tabular`) or the variants whose names contain
//! it; `default` is the variant that runs without tuning. Each result is compared with the CPU's before the
//! product is timed. The time is the median of the device's own timestamps, so it does not include submitting the
//! work and reading the result.

use std::time::Instant;

use wgrad::core::{Limits, Stream, TuningChoices};
use wgrad::gpu::testing::AdapterHooks;
use wgrad::gpu::{Adapter, adapters};
use wgrad::prelude::*;

/// Sizes `[m, k, n]` of the product of an m × k matrix and a k × n matrix, then whether the first and whether the
/// second matrix is stored transposed.
type Product = ([usize; 3], bool, bool);

/// Returns the matrix products of a training step: for each layer y = x·wᵀ, dx = dy·w and dw = dyᵀ·x, but no dx
/// for the first layer.
fn step(batch: usize, sizes: &[usize]) -> Vec<Product> {
    let layers = sizes.windows(2).enumerate();
    layers
        .flat_map(|(i, pair)| {
            let (takes, gives) = (pair[0], pair[1]);
            let forward = ([batch, takes, gives], false, true);
            let weights = ([gives, batch, takes], true, false);
            let inputs = ([batch, gives, takes], false, false);
            if i == 0 { vec![forward, weights] } else { vec![forward, weights, inputs] }
        })
        .collect()
}

fn sets() -> Vec<(&'static str, Vec<Product>)> {
    let cube = [1024; 3];
    vec![
        ("1024", vec![(cube, false, false), (cube, false, true), (cube, true, false), (cube, true, true)]),
        ("wide", step(512, &[1024, 2048, 2048, 1000])),
        ("mid", step(256, &[784, 512, 512, 10])),
        ("tabular", step(128, &[30, 64, 64, 1])),
    ]
}

fn noise(shape: [usize; 2], name: &str) -> Result<Array> {
    let mut stream = Stream::named(1, name);
    Array::new(shape, (0..shape[0] * shape[1]).map(|_| 2.0 * stream.uniform() - 1.0).collect::<Vec<f64>>())
}

struct Bench {
    session: Session,
    step: Step,
    feeds: [(Tensor, Array); 2],
}

impl Bench {
    fn new(device: Device, product: Product) -> Result<Self> {
        let ([m, k, n], ta, tb) = product;
        let (a, b) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
        let graph = Graph::new(Mode::Evaluate);
        let (x, w) = (graph.input("a", a, DType::F32), graph.input("b", b, DType::F32));
        let y = x.matmul_t(&w, ta, tb);
        let mut session = Session::new(device, &Params::seeded(1))?;
        let step = session.compile(&graph, &[&y])?;
        Ok(Self { session, step, feeds: [(x, noise(a, "a")?), (w, noise(b, "b")?)] })
    }

    fn run(&mut self) -> Result<Vec<Array>> {
        let [(x, xs), (w, ws)] = &self.feeds;
        self.session.run(&self.step, &[(x, xs), (w, ws)])
    }

    /// Returns the time of one product in seconds, measured with the device's clock.
    fn time(&mut self) -> Result<f64> {
        let [(x, xs), (w, ws)] = &self.feeds;
        let profile = self.session.profile(&self.step, &[(x, xs), (w, ws)])?;
        Ok(profile.tasks.iter().map(|task| task.time.as_secs_f64()).sum())
    }
}

/// Returns the median time of repeated runs in seconds, or `None` if the device does not have the variant.
fn measure(adapter: &Adapter, product: Product, variant: &str, truth: &Array) -> Result<Option<(f64, String)>> {
    let set = |limits: &mut Limits| {
        if variant != "default" {
            let mut choices = TuningChoices::default();
            choices.set("matmul", variant);
            limits.choices = choices;
        }
    };
    let mut bench = Bench::new(adapter.open_with(set)?, product)?;
    let result = bench.run()?.remove(0);
    let scale = truth.to_f64().iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    for (got, truth) in result.to_f64().iter().zip(truth.to_f64()) {
        assert!((got - truth).abs() <= 1e-5 * scale, "{variant}: {got} is not {truth}");
    }
    let kernel = bench.step.plan().tasks.iter().flat_map(|task| &task.stages).find_map(|stage| match &stage.work {
        wgrad::core::plan::Work::Op { dispatches, .. } => Some(dispatches[0].kernel.name.to_string()),
        _ => None,
    });
    let start = Instant::now();
    let mut times = vec![];
    while times.len() < 5 || (times.len() < 200 && start.elapsed().as_secs_f64() < 0.4) {
        times.push(bench.time()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(kernel.filter(|kernel| variant == "default" || kernel.starts_with(variant)).map(|k| (times[times.len() / 2], k)))
}

fn main() -> Result<()> {
    // `cargo test --all-targets` also runs this program. It measures only if cargo passes `--bench`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        return Ok(());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let named = |name: &&str| sets().iter().any(|(set, _)| set == name);
    let (chosen, variants): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| named(word));
    let variants = if variants.is_empty() { vec!["default"] } else { variants };
    for adapter in adapters().iter().filter(|adapter| adapter.info().api == "vulkan") {
        println!("{}", adapter.info());
        for (set, products) in sets().iter().filter(|(set, _)| chosen.is_empty() || chosen.contains(set)) {
            for variant in &variants {
                let (mut seconds, mut work) = (0.0, 0.0);
                for &product in products {
                    let ([m, k, n], ta, tb) = product;
                    let truth = Bench::new(Device::cpu_f64(), product)?.run()?.remove(0);
                    let Some((time, kernel)) = measure(adapter, product, variant, &truth)? else { continue };
                    let operations = 2.0 * m as f64 * n as f64 * k as f64;
                    (seconds, work) = (seconds + time, work + operations);
                    let letters: String = [ta, tb].map(|t| if t { 't' } else { 'n' }).iter().collect();
                    let (ms, rate) = (time * 1e3, operations / time * 1e-9);
                    println!("{set:>8} {m:>5}x{k}x{n} {letters}  {ms:>9.3} ms {rate:>7.2} GFLOP/s  {kernel}");
                }
                println!("{set:>8} {variant}: {:.3} ms, {:.2} GFLOP/s", seconds * 1e3, work / seconds * 1e-9);
            }
        }
    }
    Ok(())
}
