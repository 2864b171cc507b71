//! CPU and GPU: the same training run on the CPU in f64 and f32 and on every adapter. The losses are compared at
//! each step, and each part of a step is timed.
//!
//! `cargo run --example 05_cpu_and_gpu`

use wgrad::gpu::adapters;
use wgrad::prelude::*;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/breast_cancer.csv");
const STEPS: usize = 10;

/// Trains ten steps on one batch, using the low-level API on which `Trainer` is built, and returns the losses.
/// With `profile`, also prints the time of each part of a step.
fn train(device: Device, data: &Dataset, profile: bool) -> Result<Vec<f64>> {
    let params = Params::seeded(7); // depend only on the seed and the names, so they are equal on every device
    let model = Sequential::new(&params)
        .add(|p| Linear::new(p, data.features(), 64))
        .add(|p| BatchNorm1d::new(p, 64))
        .add(|_| Relu)
        .add(|p| Linear::new(p, 64, 2));

    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [data.rows(), data.features()], DType::F32);
    let y = graph.input("y", [data.rows()], DType::U32);
    let loss = CrossEntropyLoss::new().forward(&model.forward(&x), &y);
    AdamW::new(1e-2).minimize(&loss); // adds gradients and updates to the graph

    let mut session = Session::new(device, &params)?;
    let step = session.compile(&graph, &[&loss])?;
    let (xs, ys) = (data.x_array(), data.y_array());
    let feeds = [(&x, &xs), (&y, &ys)];
    let losses: Result<Vec<_>> = (0..STEPS).map(|_| session.run(&step, &feeds)?[0].item()).collect();
    if profile {
        println!("\nOne step on {}: {} tasks", session.device(), step.plan().tasks.len());
        // Runs another step in which each task is timed separately. A GPU without timestamp queries cannot do
        // this.
        match session.profile(&step, &feeds) {
            Ok(profile) => println!("{profile}"),
            Err(error) => println!("{error}"),
        }
    }
    losses
}

fn main() -> Result<()> {
    let (all, _) = Table::read_csv(CSV)?.target("malignant")?.split(0.8, Seed(7))?;
    let batch = all.subset(&(0..128).collect::<Vec<_>>())?;

    let mut devices = vec![("cpu f64".to_string(), Device::cpu_f64()), ("cpu f32".to_string(), Device::cpu())];
    match std::env::args().nth(1) {
        Some(name) => devices.push((name.clone(), Device::named(&name)?)),
        None => {
            for (i, adapter) in adapters().iter().enumerate() {
                println!("Adapter {i}: {} [{}]", adapter.info(), adapter.kind());
                match adapter.open() {
                    Ok(device) => devices.push((format!("adapter {i}"), device)),
                    Err(error) => println!("  left out: {error}"),
                }
            }
        }
    }
    if devices.len() == 2 {
        println!(
            "There is no GPU adapter to use on this machine, so only the CPU backend runs, in both of its precisions."
        );
    }

    let mut columns = vec![];
    for (_, device) in &devices {
        columns.push(train(device.clone(), &batch, false)?);
    }
    println!("\nThe loss, step by step; in brackets, how far it is from f64's:");
    print!("step  ");
    for (name, _) in &devices {
        print!("{name:<22}");
    }
    println!();
    for step in 0..STEPS {
        print!("{:>4}  {:<22.9}", step + 1, columns[0][step]);
        for losses in &columns[1..] {
            print!("{:<22}", format!("{:.9} ({:+.0e})", losses[step], losses[step] - columns[0][step]));
        }
        println!();
    }
    for ((name, _), losses) in devices.iter().zip(&columns).skip(1) {
        let far = losses.iter().zip(&columns[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("Largest difference between {name} and cpu f64: {far:.1e}");
        assert!(far < 1e-4, "{name} does not compute what the reference does");
    }

    // Prints the time of each task on the CPU in f32 and on the first adapter.
    for (_, device) in devices.into_iter().skip(1).take(2) {
        train(device, &batch, true)?;
    }
    Ok(())
}
