//! A classifier: reads a table, trains a model with a loss for unbalanced classes, prints a report, and saves and
//! loads the model.
//!
//! `cargo run --example 03_a_classifier`

use wgrad::prelude::*;

/// Path of the table, which is in a folder next to this example, wherever the program is started.
const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/breast_cancer.csv");

/// The model, a struct of layers.
struct Classifier {
    fc1: Linear,
    bn1: BatchNorm1d,
    fc2: Linear,
}

impl Classifier {
    /// Creates the layers. `p.at("fc1")` is a scope: the weight of this layer is named `fc1.weight`, as in a
    /// PyTorch state dict.
    fn new(p: &Params, features: usize) -> Self {
        Self {
            fc1: Linear::new(&p.at("fc1"), features, 64),
            bn1: BatchNorm1d::new(&p.at("bn1"), 64),
            fc2: Linear::new(&p.at("fc2"), 64, 1),
        }
    }
}

impl Module for Classifier {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc2.forward(&self.bn1.forward(&self.fc1.forward(x)).relu())
    }
}

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());

    // Each class is split, 80 % for training and 20 % for testing. Features are standardised with the mean and
    // standard deviation of the training rows only.
    let table = Table::read_csv(CSV)?.target("malignant")?;
    let (train, test) = table.split(0.8, Seed(7))?;
    println!("{} rows to train on, {} to test, {} features", train.rows(), test.rows(), train.features());
    println!("Rows per class {:?}, so one positive weighs {:.2}\n", train.class_counts(), train.pos_weight());

    // The seed determines the initial weights and the order of the rows, and therefore every bit of the result.
    let params = Params::seeded(7);
    let model = Classifier::new(&params, train.features());
    let loss = BceWithLogitsLoss::new().pos_weight(train.pos_weight()); // the model has no sigmoid

    let mut trainer = Trainer::new(device.clone(), &params).optimizer(AdamW::new(1e-3)).batch_size(64);
    let history = trainer.fit(&train, 30, |x, y| loss.forward(&model.forward(x), y))?;
    println!("Training loss {:.4}, then {:.4}\n", history.epochs[0].loss, history.loss());

    println!("On rows that it never saw:\n{}\n", trainer.evaluate(&test, |x| model.forward(x))?);

    // The file is in the safetensors format, which PyTorch can also read.
    let path = std::env::temp_dir().join(format!("wgrad-example-03-{}.safetensors", std::process::id()));
    params.save(&path)?;
    println!("Saved: {}", path.display());

    // A model with other initial weights gives the same predictions, bit for bit, after loading the file.
    let other_params = Params::seeded(8);
    let other = Classifier::new(&other_params, test.features());
    let mut other_trainer = Trainer::new(device, &other_params); // needs no optimizer to predict
    let before = other_trainer.predict(&test, |x| other.forward(x))?;
    other_params.load(&path)?;
    let after = other_trainer.predict(&test, |x| other.forward(x))?;
    let expected = trainer.predict(&test, |x| model.forward(x))?;
    std::fs::remove_file(&path).map_err(Error::io(&path))?;

    println!("\nProbability of malignant  truth  trained  another seed  the same, loaded");
    for row in 0..6 {
        let [p, q, r] = [&expected, &before, &after].map(|array| array.to_f64()[row]);
        println!("  row {row:<20}  {:>5}  {p:>7.4}  {q:>12.4}  {r:>16.4}", test.y()[row]);
    }
    assert_eq!(expected, after, "a loaded model predicts what the saved one did");
    println!("All {} predictions of the loaded model equal the trained model's.", test.rows());
    Ok(())
}
