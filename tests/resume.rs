//! Tests on every device that a training run that is stopped and resumed from a checkpoint ends with the same
//! bytes as an uninterrupted run.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::gpu::adapters;
use wgrad::nn::optim::Ema;
use wgrad::prelude::*;
use wgrad::train::{Checkpoints, Ended, Silent, checkpoints};

const EPOCHS: usize = 3;
const BATCH: usize = 32;

fn tumours() -> Dataset {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/breast_cancer.csv");
    let table = Table::read_csv(path).and_then(|table| table.target("malignant"));
    table.and_then(|table| table.dataset()).expect("a fine table")
}

/// Configuration of a training run.
#[derive(Clone, Copy)]
struct Config {
    name: &'static str,
    params: fn() -> Params,
    model: fn(&Params, usize) -> Sequential,
    trainer: for<'a> fn(Trainer<'a>, &Params, usize) -> Trainer<'a>,
}

fn with_norm_and_dropout(p: &Params, features: usize) -> Sequential {
    Sequential::new(p)
        .named("fc1", |p| Linear::new(p, features, 16))
        .named("bn1", |p| BatchNorm1d::new(p, 16))
        .named("relu", |_| Relu)
        .named("drop", |p| Dropout::new(p, 0.25))
        .named("fc2", |p| Linear::new(p, 16, 1))
}

fn plain(p: &Params, features: usize) -> Sequential {
    Sequential::new(p)
        .named("fc1", |p| Linear::new(p, features, 16))
        .named("tanh", |_| |x: &Tensor| x.tanh())
        .named("fc2", |p| Linear::new(p, 16, 1))
}

const CONFIGS: [Config; 3] = [
    Config {
        name: "norm_dropout_adamw",
        params: || Params::seeded(7),
        model: with_norm_and_dropout,
        trainer: |trainer, _, _| trainer.optimizer(AdamW::new(1e-2)),
    },
    Config {
        name: "momentum_one_cycle_accumulated_average",
        params: || Params::seeded(7),
        model: plain,
        trainer: |trainer, params, updates| {
            let sgd = Sgd::new(0.1).momentum(0.9).nesterov(true).clip_grad_norm(0.5);
            let trainer = trainer.optimizer(sgd).accumulate(3).ema(&Ema::new(params, 0.9));
            trainer.schedule_per_step(OneCycleLr::new(0.5, EPOCHS * updates.div_ceil(3)))
        },
    },
    Config {
        name: "loader_of_pytorch_streamed",
        params: || Params::torch_seed(7),
        model: with_norm_and_dropout,
        trainer: |trainer, _, _| trainer.optimizer(Adam::new(1e-2)).streaming(true),
    },
];

/// Trains from the beginning, or from the last checkpoint, up to step `stop` if given. Returns the bits of all
/// variables.
fn train(config: &Config, device: &Device, folder: Option<(&Path, bool)>, stop: Option<usize>) -> (Ended, Vec<u64>) {
    let data = tumours();
    let (data, validation) = data.split(0.8, Seed(7)).expect("two parts");
    let params = (config.params)();
    let model = (config.model)(&params, data.features());
    let flag = Arc::new(AtomicBool::new(false));
    let mut trainer = Trainer::new(device.clone(), &params).batch_size(BATCH).progress(Silent).validation(&validation);
    let updates = trainer.updates(&data).expect("rows");
    trainer = (config.trainer)(trainer, &params, updates).stop_flag(flag.clone());
    if let Some((folder, resume)) = folder {
        trainer = trainer.checkpoints(Checkpoints::new(folder).every_steps(5));
        trainer = if resume { trainer.resume(folder) } else { trainer };
    }
    if let Some(stop) = stop {
        let mut made = 0;
        trainer = trainer.on_step(move |_, _| {
            made += 1;
            flag.store(made >= stop, Ordering::Relaxed);
        });
    }
    let loss = BceWithLogitsLoss::new();
    let history = trainer.fit(&data, EPOCHS, |x, y| loss.forward(&model.forward(x), y));
    let history = history.unwrap_or_else(|error| panic!("{error}"));
    let values = params.variables().into_iter().flat_map(|v| v.value().expect("synchronised").to_f64());
    let mut bits: Vec<u64> = values.map(f64::to_bits).collect();
    let losses = history.epochs.iter().flat_map(|epoch| [Some(epoch.loss), epoch.validation_loss, epoch.lr]);
    bits.extend(losses.flatten().map(f64::to_bits));
    let mut counters = params.counters();
    counters.sort_by(|(a, _), (b, _)| a.cmp(b));
    bits.extend(counters.iter().map(|(_, counter)| counter.get()));
    (history.ended, bits)
}

fn a_stop_changes_no_bit(config: &Config, device: &Device) -> Result<(), Failed> {
    let (_, whole) = train(config, device, None, None);
    // The three runs stop in the middle of an epoch, at a checkpoint, and at the end of an epoch of 15 steps.
    for stop in [7, 20, 30] {
        let place = tempfile::tempdir()?;
        let (ended, _) = train(config, device, Some((place.path(), false)), Some(stop));
        if ended != Ended::Stopped || checkpoints(place.path())?.len() < 2 {
            return Err(format!("it was not stopped after {stop} steps").into());
        }
        let (ended, resumed) = train(config, device, Some((place.path(), true)), None);
        if ended != Ended::Completed || resumed != whole {
            return Err(format!("stopped after {stop} steps and resumed, the bits differ").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut devices = vec![("the CPU in f64".to_string(), Device::cpu_f64()), ("the CPU in f32".into(), Device::cpu())];
    for adapter in adapters() {
        let info = adapter.info();
        devices.push((format!("{} {}", info.api, info.adapter), adapter.open().expect("the driver opens its adapter")));
    }
    let missing = ["the GPU".to_string()].into_iter().filter(|_| adapters().is_empty());
    let absent: Vec<_> = missing.map(|name| (name, Device::cpu())).collect();
    let mut trials = vec![];
    for (i, (name, device)) in devices.iter().chain(&absent).enumerate() {
        for config in CONFIGS {
            let own = device.clone();
            let trial = Trial::test(format!("{name}: a stop changes no bit: {}", config.name), move || {
                a_stop_changes_no_bit(&config, &own)
            });
            trials.push(trial.with_ignored_flag(i >= devices.len()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
