//! A regression without the trainer: batches gathered on the device, clipped gradients, and a cosine schedule.
//!
//! `cargo run --example 15_regression_by_hand` (a device may be named: `… -- llvmpipe`)

use wgrad::prelude::*;

fn main() -> Result<()> {
    let x = Array::randn([1024, 8], 1);
    let y: Vec<f32> = x.to_f32().chunks(8).map(|row| row[0] * row[1] + row[2].sin()).collect();
    let data = [x, Array::new([1024, 1], y)?];
    let params = Params::seeded(7);
    let (fc1, fc2) = (Linear::new(&params.at("fc1"), 8, 64), Linear::new(&params.at("fc2"), 64, 1));
    let optimizer = AdamW::new(1e-2).clip_grad_norm(1.0);
    let mut schedule = Scheduler::new(&optimizer, CosineAnnealingLr::new(30))?;
    let graph = Graph::new(Mode::Train);
    let rows = graph.input("rows", [64], DType::U32);
    let [x, y] = data.map(|all| graph.array(all).embedding(&rows));
    let loss = MseLoss::new().forward(&fc2.forward(&fc1.forward(&x).relu()), &y);
    optimizer.minimize(&loss);
    let mut session = Session::new(Device::named(&std::env::args().nth(1).unwrap_or("cpu".into()))?, &params)?;
    let step = session.compile(&graph, &[&loss])?;
    let batches = Batches::new(1024, 64)?.shuffle(Seed(7));
    for epoch in 0..30 {
        let order = Array::new([16, 64], batches.epoch(epoch).iter().flatten().copied().collect::<Vec<u32>>())?;
        let losses = session.run_many(&step, 16, &[(&rows, &order)])?[0].to_f64();
        schedule.step()?;
        println!("epoch {epoch:>2}: mean squared error {:.4}", losses.iter().sum::<f64>() / 16.0);
    }
    session.sync()
}
