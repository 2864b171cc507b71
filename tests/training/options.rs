//! Tests on every device of the trainer's options: gradient clipping with several norms, gradient accumulation,
//! schedules that change the learning rate and the momentum at each step, and averaging of weights.

use libtest_mimic::Failed;
use wgrad::nn::optim::Ema;
use wgrad::nn::optim::schedule::OneCycleLr;
use wgrad::prelude::*;
use wgrad::train::Silent;

use crate::curve::Truth;

const NORMS: [f64; 3] = [1.0, 2.0, f64::INFINITY];
const EPOCHS: usize = 5;

/// Trains with all options. Returns the losses of the epochs, then the weights and averaged weights at the end.
/// `start` changes the initial parameters.
fn train(data: &Dataset, norm: f64, device: &Device, start: &dyn Fn(&Params)) -> Vec<f64> {
    let params = Params::seeded(7);
    let model = Sequential::new(&params)
        .named("fc1", |p| Linear::new(p, data.features(), 16))
        .named("tanh", |_| |x: &Tensor| x.tanh())
        .named("fc2", |p| Linear::new(p, 16, 1));
    start(&params);
    let ema = Ema::new(&params, 0.9);
    let sgd = Sgd::new(0.1).momentum(0.9).nesterov(true).clip_grad_norm_of(0.5, norm);
    let mut trainer = Trainer::new(device.clone(), &params).optimizer(sgd).batch_size(32).accumulate(3).ema(&ema);
    let updates = trainer.updates(data).expect("rows");
    trainer = trainer.schedule_per_step(OneCycleLr::new(0.5, EPOCHS * updates)).progress(Silent);
    let loss = BceWithLogitsLoss::new();
    let history =
        trainer.fit(data, EPOCHS, |x, y| loss.forward(&model.forward(x), y)).unwrap_or_else(|e| panic!("{e}"));
    let mut found: Vec<f64> = history.epochs.iter().map(|epoch| epoch.loss).collect();
    let values = |name: &str| params.get(name).and_then(|v| v.value()).expect("synchronised").to_f64();
    for name in ["fc1.weight", "fc2.weight", "ema.fc1.weight", "ema.fc2.bias"] {
        found.extend(values(name));
    }
    found
}

/// Returns the reference curve for each norm.
pub fn truth(data: &Dataset) -> [Truth; 3] {
    NORMS.map(|norm| Truth::new(|device, start| train(data, norm, device, start)))
}

pub fn agrees(data: &Dataset, truth: &[Truth; 3], device: &Device) -> Result<(), Failed> {
    for (norm, truth) in NORMS.into_iter().zip(truth) {
        let found = train(data, norm, device, &|_| {});
        let worst = truth.agrees(&found)?;
        println!("{device:?}, norm {norm}: losses {:?}, at most {worst:.2} of the bound", &found[..EPOCHS]);
        if found[EPOCHS - 1].is_nan() || found[EPOCHS - 1] >= 0.5 * found[0] {
            return Err("it did not learn".into());
        }
        let again = train(data, norm, device, &|_| {});
        if found.iter().zip(&again).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err("two runs differ".into());
        }
    }
    Ok(())
}
