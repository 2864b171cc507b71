//! Two output layers (heads) on the same hidden layers: a softmax over exclusive classes, and a sigmoid for each
//! of several labels that may apply at the same time.
//!
//! `cargo run --release --example 10_multi_label` (a device may be named: `… -- cpu`)

#[path = "models/two_heads.rs"]
mod two_heads;

use two_heads::{PROPERTIES, TwoHeads, properties};
use wgrad::prelude::*;
use wgrad::train::Silent;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
const EPOCHS: usize = 15;

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());
    let (train, test) = Table::read_csv(CSV)?.target("digit")?.split(0.8, Seed(7))?;
    println!("{} digits to train on, {} to test\n", train.rows(), test.rows());

    let params = Params::seeded(7);
    let model = TwoHeads::new(&params, train.features());
    let mut trainer = Trainer::new(device, &params).optimizer(AdamW::new(3e-3)).batch_size(64).progress(Silent);
    let history = trainer.fit(&train, EPOCHS, |x, digits| model.loss(x, digits))?;
    println!("Loss of both heads: {:.4} in the first epoch, {:.4} in the last", history.epochs[0].loss, history.loss());

    // One step computes both heads. A label applies if its logit is above 0, a probability above 0.5. The class is
    // the one with the largest logit.
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [test.rows(), test.features()], DType::F32);
    let (digit, property) = model.forward(&x);
    let (digit, property) = (digit.argmax(1), property.gt(0.0));
    let session = trainer.session()?;
    let step = session.compile(&graph, &[&digit, &property])?;
    let results = session.run(&step, &[(&x, &test.x_array())])?;
    let digits = results[0].as_slice::<u32>().expect("classes are u32");
    let answers = results[1].as_slice::<u32>().expect("masks are u32");

    let rows = test.rows() as f64;
    let right = digits.iter().zip(test.y()).filter(|(digit, truth)| digit == truth).count();
    println!("\nHead 1, one of ten digits: {:.1} % of {} right\n", 100.0 * right as f64 / rows, test.rows());

    println!("Head 2           right   precision   recall   rows that have it");
    let facts = properties().to_f32();
    let mut worst = 1.0f64;
    for (k, name) in PROPERTIES.iter().enumerate() {
        let [mut hit, mut false_alarm, mut miss] = [0usize; 3];
        for (row, &truth) in test.y().iter().enumerate() {
            match (answers[row * 4 + k] != 0, facts[truth as usize * 4 + k] > 0.5) {
                (true, true) => hit += 1,
                (true, false) => false_alarm += 1,
                (false, true) => miss += 1,
                (false, false) => {}
            }
        }
        let right = 1.0 - (false_alarm + miss) as f64 / rows;
        let precision = hit as f64 / (hit + false_alarm) as f64;
        let recall = hit as f64 / (hit + miss) as f64;
        println!("{name:<14}{:>6.1} %{precision:>12.3}{recall:>9.3}{:>20}", 100.0 * right, hit + miss);
        worst = worst.min(right);
    }

    // The heads share only the hidden layers, so their answers may contradict each other.
    let agree =
        |row: &usize| (0..4).all(|k| (answers[row * 4 + k] != 0) == (facts[digits[*row] as usize * 4 + k] > 0.5));
    let agreeing = (0..test.rows()).filter(agree).count();
    println!(
        "\nRows where all four properties are those of the digit that head 1 sees: {:.1} %",
        100.0 * agreeing as f64 / rows
    );
    assert!(right as f64 / rows > 0.95 && worst > 0.95, "two heads learn what each would learn alone");
    Ok(())
}
