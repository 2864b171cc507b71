//! More classes: handwritten digits with cross-entropy and label smoothing, dropout, parameter groups, and a
//! learning rate that changes during training.
//!
//! `cargo run --example 04_more_classes`

use std::ops::ControlFlow;

use wgrad::prelude::*;
use wgrad::train::Silent;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
const EPOCHS: u32 = 20;

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());
    let (train, test) = Table::read_csv(CSV)?.target("digit")?.split(0.8, Seed(7))?;
    println!("{} digits to train on, {} to test, {} pixels each\n", train.rows(), test.rows(), train.features());

    // The layers run in sequence and are numbered as in PyTorch's `nn.Sequential`.
    let params = Params::seeded(7);
    let classes = train.classes().len();
    let model = Sequential::new(&params)
        .add(|p| Linear::new(p, train.features(), 128))
        .add(|p| BatchNorm1d::new(p, 128))
        .add(|_| Relu)
        .add(|p| Dropout::new(p, 0.2))
        .add(|p| Linear::new(p, 128, classes));
    for variable in params.variables() {
        println!("  {:<14} {:<10} {:?}", variable.name(), variable.shape().to_string(), variable.kind());
    }

    // The model has one logit per class, and labels are `u32`. Label smoothing moves a part of the target
    // probability from the true class to the other classes.
    let loss = CrossEntropyLoss::new().label_smoothing(0.1);

    // Weight decay applies to weights with several axes, but not to biases and the scale of batch norm, which have
    // one axis. Both groups share one learning rate, which can be changed between steps without compiling again.
    let lr = LearningRate::new(3e-3);
    let optimizer = AdamW::new(&lr).weight_decay(0.05).group(Select::by(|p| p.shape().rank() == 1), &lr, 0.0);

    println!("\nepoch  learning rate  training loss  loss on test rows");
    let mut trainer =
        Trainer::new(device, &params).optimizer(optimizer).batch_size(64).validation(&test).progress(Silent).on_epoch(
            move |stats| {
                let epoch = u32::try_from(stats.epoch).unwrap_or(EPOCHS);
                if epoch == 1 || epoch.is_multiple_of(4) {
                    let check = stats.validation_loss.unwrap_or(f64::NAN);
                    println!("{epoch:>5}  {:>13.6}  {:>13.4}  {check:>17.4}", lr.get(), stats.loss);
                }
                // The learning rate follows half a cosine from its first value down to 0.
                let done = f64::from(epoch) / f64::from(EPOCHS);
                lr.set(3e-3 * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()));
                ControlFlow::Continue(())
            },
        );
    trainer.fit(&train, EPOCHS as usize, |x, y| loss.forward(&model.forward(x), y))?;

    // Evaluation traces the model with `Mode::Evaluate`: dropout does nothing, and batch norm uses its running
    // statistics.
    let report = trainer.evaluate(&test, |x| model.forward(x))?;
    println!("\n{report}\n");
    println!(
        "This loss is without smoothing; those while training have a floor of 0.50, the entropy of their targets."
    );

    let pairs = (0..classes).flat_map(|truth| (0..classes).map(move |guess| (truth, guess)));
    let confused = pairs.filter(|(truth, guess)| truth != guess).max_by_key(|&(t, g)| report.confusion.count(t, g));
    if let Some((truth, guess)) = confused.filter(|&(t, g)| report.confusion.count(t, g) > 0) {
        let (truth, guess, count) =
            (&test.classes()[truth], &test.classes()[guess], report.confusion.count(truth, guess));
        println!("Its most frequent mistake: {truth} taken for {guess}, {count} of {} rows.", test.rows());
    }
    assert!(report.accuracy > 0.95, "digits are easier than that");
    Ok(())
}
