//! How long a training step of a model for tables takes, on the CPU and on every adapter: `cargo bench --bench step`.
//!
//! 30-64-64-1 with batch norm, binary cross-entropy and AdamW, 128 rows. The loss of the first step is compared with the
//! reference in `f64` before anything is timed. Feeding and reading the loss are part of a step.

use std::time::Instant;

use wgrad::gpu::adapters;
use wgrad::prelude::*;

const ROWS: usize = 128;
const WARM_UP: usize = 20;
const STEPS: usize = 200;

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

    fn loss(&mut self) -> Result<f64> {
        self.session.fetch(&self.step)?[0].item()
    }
}

fn main() -> Result<()> {
    // `cargo test --all-targets` starts benchmarks, too; they only time when asked to.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut truth = Bench::new(Device::cpu_f64())?;
    truth.submit()?;
    let truth = truth.loss()?;
    let mut devices = vec![Device::cpu()];
    devices.extend(adapters().iter().filter_map(|adapter| adapter.open().ok()));
    println!("{:>10} {:>10} {:>10} {:>10}  device", "first ms", "median ms", "p90 ms", "dispatches");
    for device in devices {
        let info = device.info();
        let start = Instant::now();
        let mut bench = Bench::new(device)?;
        bench.submit()?;
        let error = (bench.loss()? - truth).abs();
        let first = start.elapsed();
        assert!(error <= 1e-5 * truth.abs(), "{info}: the first loss is off by {error:e}");
        let mut times = vec![];
        for i in 0..WARM_UP + STEPS {
            let start = Instant::now();
            bench.submit()?;
            bench.loss()?;
            if i >= WARM_UP {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        times.sort_by(f64::total_cmp);
        let plan = bench.step.plan();
        let dispatches = if plan.launches { plan.dispatches().to_string() } else { "-".into() };
        let (median, p90) = (times[STEPS / 2], times[STEPS * 9 / 10]);
        println!("{:>10.1} {median:>10.3} {p90:>10.3} {dispatches:>10}  {info}", first.as_secs_f64() * 1e3);
    }
    Ok(())
}
