//! How long a training step of a model for tables takes, on the CPU and on every adapter: `cargo bench --bench step`.
//!
//! 30-64-64-1 with batch norm, binary cross-entropy and AdamW, 128 rows. The loss of the first step is compared with the
//! reference in `f64` before anything is timed. Feeding is part of a step; the loss is read in each step (`run`), never
//! (`submit`), or after a hundred (`run_many`). Times are medians, per step.

use std::time::{Duration, Instant};

use wgrad::gpu::adapters;
use wgrad::prelude::*;

const ROWS: usize = 128;
const WARM_UP: usize = 20;
const STEPS: usize = 200;
const MANY: usize = 100;

struct Bench {
    session: Session,
    step: Step,
    feeds: [(Tensor, Array); 2],
}

impl Bench {
    fn new(device: Device) -> Result<Self> {
        let params = Params::seeded(1);
        let model = Sequential::new(&params)
            .add(|p| Linear::new(p, 30, 64))
            .add(|p| BatchNorm1d::new(p, 64))
            .add(|_| Relu)
            .add(|p| Linear::new(p, 64, 64))
            .add(|p| BatchNorm1d::new(p, 64))
            .add(|_| Relu)
            .add(|p| Linear::new(p, 64, 1));
        let graph = Graph::new(Mode::Train);
        let x = graph.input("x", [ROWS, 30], DType::F32);
        let y = graph.input("y", [ROWS, 1], DType::F32);
        let loss = BceWithLogitsLoss::new().pos_weight(1.7).apply(&model.forward(&x), &y);
        AdamW::new(1e-3).minimize(&loss);
        let mut session = Session::new(device, &params)?;
        let step = session.compile(&graph, &[&loss])?;
        let value = |i: usize| f32::from(u8::try_from(i * 37 % 101).unwrap_or(0)) / 50.0 - 1.0;
        let xs = Array::new([ROWS, 30], (0..ROWS * 30).map(value).collect())?;
        let ys = Array::new([ROWS, 1], (0..ROWS).map(|i| f32::from(u8::from(value(i * 30) > 0.0))).collect())?;
        Ok(Self { session, step, feeds: [(x, xs), (y, ys)] })
    }

    fn submit(&mut self) -> Result<()> {
        let [(x, xs), (y, ys)] = &self.feeds;
        self.session.submit(&self.step, &[(x, xs), (y, ys)])
    }

    fn run(&mut self) -> Result<f64> {
        let [(x, xs), (y, ys)] = &self.feeds;
        self.session.run(&self.step, &[(x, xs), (y, ys)])?[0].item()
    }

    /// Many steps, each with rows of its own.
    fn run_many(&mut self) -> Result<f64> {
        let [(x, xs), (y, ys)] = &self.feeds;
        let many = |array: &Array| Array::new([&[MANY], array.shape().dims()].concat(), array.to_f32().repeat(MANY));
        let losses = self.session.run_many(&self.step, MANY, &[(x, &many(xs)?), (y, &many(ys)?)])?;
        Ok(losses[0].to_f64()[MANY - 1])
    }
}

/// The median time of `f`, in milliseconds.
fn median(repeats: usize, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = vec![];
    for _ in 0..repeats {
        let start = Instant::now();
        f()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(Duration::as_secs_f64(&times[repeats / 2]) * 1e3)
}

fn main() -> Result<()> {
    // `cargo test --all-targets` starts benchmarks, too; they only time when asked to.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut truth = Bench::new(Device::cpu_f64())?;
    let truth = truth.run()?;
    let mut devices = vec![Device::cpu()];
    devices.extend(adapters().iter().filter_map(|adapter| adapter.open().ok()));
    let columns = ["first ms", "run", "submit", "run_many", "dispatches"].map(|column| format!("{column:>10}"));
    println!("{}  device", columns.join(" "));
    for device in devices {
        let info = device.info();
        let start = Instant::now();
        let mut bench = Bench::new(device)?;
        let error = (bench.run()? - truth).abs();
        let first = start.elapsed().as_secs_f64() * 1e3;
        assert!(error <= 1e-5 * truth.abs(), "{info}: the first loss is off by {error:e}");
        median(WARM_UP, || bench.run().map(drop))?;
        let run = median(STEPS, || bench.run().map(drop))?;
        let submit = median(3, || {
            (0..STEPS).try_for_each(|_| bench.submit())?;
            bench.session.fetch(&bench.step).map(drop)
        })? / STEPS as f64;
        bench.run_many()?;
        let many = median(5, || bench.run_many().map(drop))? / MANY as f64;
        let plan = bench.step.plan();
        let dispatches = if plan.launches { plan.dispatches().to_string() } else { "-".into() };
        println!("{first:>10.1} {run:>10.3} {submit:>10.3} {many:>10.3} {dispatches:>10}  {info}");
    }
    Ok(())
}
