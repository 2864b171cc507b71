//! A convolutional network that classifies handwritten digits, given as images of 8 × 8 pixels.
//!
//! `cargo run --release --example 07_digits_cnn`

#[path = "models/digits_cnn.rs"]
mod digits_cnn;

use wgrad::prelude::*;
use wgrad::train::Silent;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
const EPOCHS: usize = 10;

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());
    let (train, test) = Table::read_csv(CSV)?.target("digit")?.split(0.8, Seed(3))?;

    // Each row of the table is an image with one channel of 8 × 8 pixels.
    let params = Params::seeded(3);
    let model = digits_cnn::digits_cnn(&params, [16, 32, 48], train.classes().len(), 0.3);
    for variable in params.variables() {
        println!("  {:<10} {}", variable.name(), variable.shape());
    }

    let loss = CrossEntropyLoss::new();
    let start = std::time::Instant::now();
    let mut trainer = Trainer::new(device, &params).optimizer(AdamW::new(1e-3)).batch_size(64).progress(Silent);
    let steps = EPOCHS * trainer.updates(&train)?;
    trainer = trainer.schedule_per_step(OneCycleLr::new(1e-2, steps));
    trainer.fit(&train, EPOCHS, |x, y| loss.forward(&model.forward(x), y))?;
    println!("\n{EPOCHS} epochs of {} images in {:.1} s", train.rows(), start.elapsed().as_secs_f64());

    let report = trainer.evaluate(&test, |x| model.forward(x))?;
    println!("{report}");
    assert!(report.accuracy >= 0.985, "neighbouring pixels tell more than that");
    Ok(())
}
