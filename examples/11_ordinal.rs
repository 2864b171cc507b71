//! Ordinal classes: grades from 0 to 6, learned with CORAL, which uses their order, and with cross-entropy, which
//! does not.
//!
//! `cargo run --release --example 11_ordinal` (a device may be named: `… -- cpu`)

#[path = "models/grader.rs"]
mod grader;

use grader::Grader;
use wgrad::core::Stream;
use wgrad::prelude::*;
use wgrad::train::Silent;

const GRADES: usize = 7;
const FEATURES: usize = 8;
const EPOCHS: usize = 40;
const SEEDS: u64 = 3;

/// Returns rows of features with grades. A grade depends on the features and on noise.
fn rows(count: usize, seed: u64) -> Result<Dataset> {
    let mut draw = Stream::named(seed, "grades");
    let (mut xs, mut ys) = (vec![], vec![]);
    for _ in 0..count {
        let x: Vec<f64> = (0..FEATURES).map(|_| draw.normal()).collect();
        let score = 1.2 * x[0] - x[1] + 0.8 * x[2] * x[3] + 0.7 * x[4].abs() + 0.9 * draw.normal();
        let grade = [-2.2, -1.2, -0.3, 0.5, 1.4, 2.5].iter().filter(|&&step| score > step).count();
        xs.extend(x.iter().map(|&x| x as f32));
        ys.push(grade as u32);
    }
    let names = |word: &str, n: usize| (0..n).map(|i| format!("{word} {i}")).collect::<Vec<_>>();
    Dataset::new(names("feature", FEATURES), xs, ys, names("grade", GRADES))
}

/// Sums of the distances between predicted and true grades.
#[derive(Default)]
struct Score {
    error: f64,
    right: f64,
    far: f64,
}

impl Score {
    /// Adds the predictions of one run.
    fn add(&mut self, answers: &[u32], truth: &[u32]) {
        let off: Vec<u32> = answers.iter().zip(truth).map(|(a, b)| a.abs_diff(*b)).collect();
        let mean = |n: usize| n as f64 / off.len() as f64 / SEEDS as f64;
        self.error += mean(off.iter().sum::<u32>() as usize);
        self.right += mean(off.iter().filter(|&&off| off == 0).count());
        self.far += mean(off.iter().filter(|&&off| off > 2).count());
    }
}

/// Trains a model and returns the grades that it predicts for the test rows.
fn grades<O: Module>(
    device: &Device,
    [train, test]: [&Dataset; 2],
    params: &Params,
    output: impl FnOnce(&Params, usize) -> O,
    loss: impl Fn(&Tensor, &Tensor) -> Tensor,
    decode: impl Fn(&Tensor) -> Tensor,
) -> Result<Vec<u32>> {
    let model = Grader::new(params, FEATURES, output);
    let optimizer = AdamW::new(5e-3).weight_decay(0.01);
    let mut trainer = Trainer::new(device.clone(), params).optimizer(optimizer).batch_size(64).progress(Silent);
    trainer.fit(train, EPOCHS, |x, y| loss(&model.forward(x), y))?;
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [test.rows(), FEATURES], DType::F32);
    let grade = decode(&model.forward(&x));
    let session = trainer.session()?;
    let step = session.compile(&graph, &[&grade])?;
    let result = session.run(&step, &[(&x, &test.x_array())])?.remove(0);
    Ok(result.as_slice::<u32>().expect("grades are u32").to_vec())
}

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());
    let (mut plain, mut ordinal) = (Score::default(), Score::default());
    let mut biases = vec![];
    for seed in 0..SEEDS {
        let (train, test) = (rows(300, seed)?, rows(2000, seed + 100)?);

        // Cross-entropy has a logit per grade, and the largest wins. Every wrong grade costs the same, whether off
        // by 1 or by 6.
        let params = Params::seeded(seed);
        let linear = |p: &Params, inputs: usize| Linear::new(p, inputs, GRADES);
        let loss = CrossEntropyLoss::new();
        let answers = grades(&device, [&train, &test], &params, linear, |x, y| loss.forward(x, y), |x| x.argmax(1))?;
        plain.add(&answers, test.y());

        // CORAL has a logit per step between grades, and all of these logits share their weights. The predicted
        // grade is the number of logits above 0.
        let params = Params::seeded(seed);
        let coral = |p: &Params, inputs: usize| Coral::new(p, inputs, GRADES);
        let loss = CoralLoss::new();
        let answers = grades(&device, [&train, &test], &params, coral, |x, y| loss.forward(x, y), Coral::rank)?;
        ordinal.add(&answers, test.y());
        biases = params.get("output.coral_bias")?.value()?.to_f32();
    }

    println!("{GRADES} grades, 300 rows to train on, 2000 to test; means over {SEEDS} seeds\n");
    println!("                 mean absolute error   right   off by more than two");
    for (name, score) in [("cross-entropy", &plain), ("CORAL", &ordinal)] {
        let (right, far) = (100.0 * score.right, 100.0 * score.far);
        println!("{name:<17}{:>19.3}{right:>6.1} %{far:>21.2} %", score.error);
    }
    println!("\nThe biases of CORAL's steps, which fall, so that no answer contradicts itself:");
    println!("  {}", biases.iter().map(|b| format!("{b:+.2}")).collect::<Vec<_>>().join("  "));
    assert!(biases.windows(2).all(|pair| pair[0] > pair[1]), "the steps keep their order");
    assert!(ordinal.error < plain.error, "a loss that knows the order makes smaller mistakes");
    Ok(())
}
