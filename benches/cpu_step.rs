//! Time of a training step on the CPU: `cargo bench --bench cpu_step -- [--profile] [--seconds S] [workload …]`.
//!
//! The workloads and the JSON lines are those of `benches/peers/torch_step.py`. `RAYON_NUM_THREADS` sets the
//! number of threads. A step includes copying the batch in and reading the loss. With `--profile`, the benchmark
//! also prints the median time of each task in the step's plan.

use std::time::{Duration, Instant};

use wgrad::prelude::*;

struct Bench {
    session: Session,
    step: Step,
    feeds: [(Tensor, Array); 2],
}

impl Bench {
    fn new(workload: &str) -> Result<Self> {
        let params = Params::seeded(1);
        let (sizes, rows): (&[usize], usize) = match workload {
            "tabular" => (&[30, 64, 64, 1], 128),
            "mid" => (&[784, 512, 512, 10], 256),
            "wide" => (&[1024, 2048, 2048, 1000], 512),
            _ => panic!("the workloads are tabular, mid and wide, not {workload}"),
        };
        let layers = sizes.windows(2).enumerate();
        let model = layers.fold(Sequential::new(&params), |model, (i, size)| {
            let model = model.add(|p| Linear::new(p, size[0], size[1]));
            if i + 2 == sizes.len() { model } else { model.add(|p| BatchNorm1d::new(p, size[1])).add(|_| Relu) }
        });
        let graph = Graph::new(Mode::Train);
        let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
        let x = graph.input("x", [rows, inputs], DType::F32);
        let value = |i: usize| f32::from(u8::try_from(i * 37 % 101).unwrap_or(0)) / 50.0 - 1.0;
        let xs = Array::new([rows, inputs], (0..rows * inputs).map(value).collect())?;
        let logits = model.forward(&x);
        let (y, ys, loss) = if outputs == 1 {
            let y = graph.input("y", [rows, 1], DType::F32);
            let ys = (0..rows).map(|i| f32::from(u8::from(value(i * inputs) > 0.0))).collect();
            let loss = BceWithLogitsLoss::new().pos_weight(1.7).forward(&logits, &y);
            (y, Array::new([rows, 1], ys)?, loss)
        } else {
            let y = graph.input("y", [rows], DType::U32);
            let classes = u32::try_from(outputs).unwrap_or(1);
            let ys = (0..rows).map(|i| u32::try_from(i * 7919).unwrap_or(0) % classes).collect();
            let loss = CrossEntropyLoss::new().forward(&logits, &y);
            (y, Array::new([rows], ys)?, loss)
        };
        match workload {
            "tabular" => AdamW::new(1e-3).minimize(&loss),
            "mid" => Adam::new(1e-3).minimize(&loss),
            _ => Sgd::new(1e-2).momentum(0.9).minimize(&loss),
        }
        let mut session = Session::new(Device::cpu(), &params)?;
        let step = session.compile(&graph, &[&loss])?;
        Ok(Self { session, step, feeds: [(x, xs), (y, ys)] })
    }

    fn run(&mut self) -> Result<()> {
        let [(x, xs), (y, ys)] = &self.feeds;
        let loss = self.session.run(&self.step, &[(x, xs), (y, ys)])?[0].item()?;
        assert!(loss.is_finite(), "the loss is {loss}");
        Ok(())
    }

    /// Runs `once` until `seconds` have passed, but at least ten times. Returns the times that `once` reports,
    /// sorted.
    fn repeat(&mut self, seconds: f64, mut once: impl FnMut(&mut Self) -> Result<Duration>) -> Result<Vec<f64>> {
        let start = Instant::now();
        let mut times = vec![];
        while start.elapsed().as_secs_f64() < seconds || times.len() < 10 {
            times.push(once(self)?.as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    }

    fn profile(&mut self, seconds: f64) -> Result<()> {
        let [(x, xs), (y, ys)] = &self.feeds;
        let mut tasks: Vec<(String, Vec<Duration>)> = vec![];
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds || tasks.is_empty() {
            let profile = self.session.profile(&self.step, &[(x, xs), (y, ys)])?;
            tasks.resize(profile.tasks.len(), Default::default());
            for (task, took) in tasks.iter_mut().zip(profile.tasks) {
                task.0 = took.name;
                task.1.push(took.time);
            }
        }
        let mut total = 0.0;
        for (name, times) in &mut tasks {
            times.sort();
            let median = times[times.len() / 2].as_secs_f64() * 1e6;
            total += median;
            println!("{median:>10.1} µs  {name}");
        }
        println!("{total:>10.1} µs  in {} tasks", tasks.len());
        Ok(())
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` also runs this program. It measures only if cargo passes `--bench`.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let (mut seconds, mut profile, mut workloads) = (5.0, false, vec![]);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--bench" => {}
            "--profile" => profile = true,
            "--seconds" => seconds = rest.next().and_then(|s| s.parse().ok()).expect("a number of seconds"),
            workload => workloads.push(workload),
        }
    }
    if workloads.is_empty() {
        workloads = vec!["tabular", "mid", "wide"];
    }
    for workload in workloads {
        let mut bench = Bench::new(workload)?;
        let step = |bench: &mut Bench| {
            let start = Instant::now();
            bench.run()?;
            Ok(start.elapsed())
        };
        bench.repeat(seconds / 4.0, step)?;
        let times = bench.repeat(seconds, step)?;
        let at = |tenths: usize| times[times.len() * tenths / 10];
        println!(
            r#"{{"workload": "{workload}", "device": "wgrad {}", "median_ms": {:.4}, "p10_ms": {:.4}, "p90_ms": {:.4}, "steps_per_s": {:.1}}}"#,
            bench.session.device(),
            at(5),
            at(1),
            at(9),
            1e3 / at(5),
        );
        if profile {
            bench.profile(seconds)?;
        }
    }
    Ok(())
}
