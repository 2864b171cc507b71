//! What a trainer does beside plain steps (clipping by other norms, accumulation, a schedule of rate and momentum over
//! steps, averages), on every device.

use libtest_mimic::Failed;
use wgrad::nn::optim::Ema;
use wgrad::nn::optim::schedule::OneCycleLr;
use wgrad::nn::train::Silent;
use wgrad::prelude::*;

const NORMS: [f64; 3] = [1.0, 2.0, f64::INFINITY];
const EPOCHS: usize = 5;
const DRAWS: u64 = 4;

/// Losses of the epochs, and weights and averages after them, of a training with everything; from parameters that are
/// changed by a rounding if there is a draw.
fn train(data: &Dataset, norm: f64, device: &Device, draw: Option<u64>) -> Vec<f64> {
    let params = Params::seeded(7);
    let model = Sequential::new(&params)
        .named("fc1", |p| Linear::new(p, data.features(), 16))
        .named("tanh", |_| |x: &Tensor| x.tanh())
        .named("fc2", |p| Linear::new(p, 16, 1));
    if let Some(draw) = draw {
        let mut stream = wgrad::core::Stream::new(11, draw);
        for variable in params.variables() {
            let eps = f64::from(f32::EPSILON) / 2.0;
            let value = variable.value().expect("on the host").to_f64().into_iter();
            let shaken = value.map(|x| x * (1.0 + eps * (2.0 * stream.uniform() - 1.0))).collect();
            variable.set(Array::new::<f64>(variable.shape(), shaken).expect("as many")).expect("the same shape");
        }
    }
    let ema = Ema::new(&params, 0.9);
    let sgd = Sgd::new(0.1).momentum(0.9).nesterov(true).clip_grad_norm_of(0.5, norm);
    let mut trainer = Trainer::new(device.clone(), &params).optimizer(sgd).batch_size(32).accumulate(3).ema(&ema);
    let updates = trainer.updates(data).expect("rows");
    trainer = trainer.schedule_per_step(OneCycleLr::new(0.5, EPOCHS * updates)).progress(Silent);
    let loss = BceWithLogitsLoss::new();
    let history = trainer.fit(data, EPOCHS, |x, y| loss.apply(&model.forward(x), y)).unwrap_or_else(|e| panic!("{e}"));
    let mut found: Vec<f64> = history.epochs.iter().map(|epoch| epoch.loss).collect();
    let values = |name: &str| params.get(name).and_then(|v| v.value()).expect("synchronised").to_f64();
    for name in ["fc1.weight", "fc2.weight", "ema.fc1.weight", "ema.fc2.bias"] {
        found.extend(values(name));
    }
    found
}

/// The result in `f64`, and how far one in `f32` may be from it: 8 times as far as other roundings lead, as for curves.
pub struct Truth(Vec<(Vec<f64>, f64)>);

pub fn truth(data: &Dataset) -> Truth {
    let of = |norm: f64| {
        let exact = train(data, norm, &Device::cpu_f64(), None);
        let others = (0..DRAWS).map(|draw| train(data, norm, &Device::cpu_f64(), Some(draw)));
        let others = others.chain([train(data, norm, &Device::cpu(), None)]);
        let farthest = others.map(|other| apart(&exact, &other)).fold(0.0, f64::max);
        (exact, 8.0 * farthest)
    };
    Truth(NORMS.map(of).into())
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, off| if off.is_nan() { f64::NAN } else { m.max(off) })
}

pub fn agrees(data: &Dataset, truth: &Truth, device: &Device) -> Result<(), Failed> {
    for (norm, (exact, bound)) in NORMS.into_iter().zip(&truth.0) {
        let found = train(data, norm, device, None);
        let off = apart(exact, &found);
        println!("{device:?}, norm {norm}: losses {:?}, {:.2} of the bound {bound:.1e}", &found[..EPOCHS], off / bound);
        if off.is_nan() || off > *bound {
            return Err(format!("with norm {norm} it is off by {off:e}, more than {bound:e}").into());
        }
        if found[EPOCHS - 1].is_nan() || found[EPOCHS - 1] >= 0.5 * found[0] {
            return Err("it did not learn".into());
        }
        let again = train(data, norm, device, None);
        if found.iter().zip(&again).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err("two runs differ".into());
        }
    }
    Ok(())
}
