//! Tests that stopped and resumed training runs end with the same bytes as uninterrupted runs, on the CPU backend.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wgrad_core::{CpuBackend, Error, Params, Result, Tensor};

use super::tests::{model, sectors};
use super::*;
use crate::error::CheckpointError;
use wgrad_data::Dataset;
use wgrad_nn::layers::{BatchNorm1d, Dropout, Linear, LinearOptions};
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss};
use wgrad_nn::optim::schedule::{CosineAnnealingLr, OneCycleLr, ReduceLrOnPlateau};
use wgrad_nn::optim::{Adam, AdamW, Ema, Sgd};
use wgrad_nn::{Module, Sequential, StateDict};

/// Returns the bits of all variables, counters and the random generator at the end of a training run.
fn all(params: &Params) -> Vec<(String, Vec<u64>)> {
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect();
    let value = |v: &wgrad_core::Variable| (v.name().to_string(), bits(v.value().expect("synchronised").to_f64()));
    let mut all: Vec<_> = params.variables().iter().map(value).collect();
    all.extend(params.counters().into_iter().map(|(name, counter)| (name.to_string(), vec![counter.get()])));
    all.extend(
        params.with_torch_random(|random| ("generator".into(), random.to_words().into_iter().map(u64::from).collect())),
    );
    all.sort();
    all
}

/// Trains as a new process would, which shares only the checkpoint folder with earlier runs. Stops after `stop`
/// steps.
fn train(kind: Kind, folder: Option<&Path>, (every, resume): (usize, bool), stop: Option<usize>) -> (Params, History) {
    let data = sectors(6 * 11, 2);
    let params = if kind == Kind::Torch { Params::torch_seed(3) } else { Params::seeded(3) };
    let model = model(&params, 1);
    let ema = Ema::new(&params, 0.9);
    let flag = Arc::new(AtomicBool::new(false));
    let mut trainer =
        Trainer::new(CpuBackend::<f32>::new(), &params).batch_size(8).progress(Silent).stop_flag(flag.clone());
    trainer = match kind {
        Kind::Plain | Kind::Torch => trainer.optimizer(AdamW::new(1e-2)).validation(&data),
        Kind::PerStep => trainer.optimizer(Sgd::new(0.1).momentum(0.9)).schedule_per_step(OneCycleLr::new(0.5, 36)),
        Kind::PerEpoch => {
            trainer.optimizer(AdamW::new(1e-2)).schedule(CosineAnnealingLr::new(4)).accumulate(3).ema(&ema)
        }
        Kind::Plateau => {
            let plateau = ReduceLrOnPlateau::new().patience(0).factor(0.5);
            let trainer = trainer.optimizer(Adam::new(0.3).clip_grad_norm(0.5)).schedule(plateau).validation(&data);
            trainer.early_stopping(EarlyStopping::new(1).min_delta(0.01)).shuffle(false).streaming(true)
        }
    };
    if let Some(folder) = folder {
        trainer = trainer.checkpoints(Checkpoints::new(folder).every_steps(every));
        if resume {
            trainer = trainer.resume(folder);
        }
    }
    if let Some(stop) = stop {
        let mut made = 0;
        trainer = trainer.on_step(move |_, _| {
            made += 1;
            flag.store(made >= stop, Ordering::Relaxed);
        });
    }
    let loss = BceWithLogitsLoss::new();
    let history =
        trainer.fit(&data, 4, |x, y| loss.forward(&model.forward(x), y)).unwrap_or_else(|error| panic!("{error}"));
    (params, history)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Torch,
    PerStep,
    PerEpoch,
    Plateau,
}

fn losses(history: &History) -> Vec<(f64, Option<f64>, Option<f64>)> {
    history.epochs.iter().map(|epoch| (epoch.loss, epoch.validation_loss, epoch.lr)).collect()
}

#[test]
fn a_training_that_was_stopped_ends_with_the_same_bytes() {
    for kind in [Kind::Plain, Kind::Torch, Kind::PerStep, Kind::PerEpoch, Kind::Plateau] {
        let (params, history) = train(kind, None, (0, false), None);
        let whole = all(&params);
        let place = tempfile::tempdir().unwrap();
        let (params, watched) = train(kind, Some(place.path()), (4, false), None);
        assert_eq!(all(&params), whole, "{kind:?}: saving changes nothing");
        assert_eq!(losses(&watched), losses(&history), "{kind:?}");
        // Stops the training in the first step, before, at and after a checkpoint, at the end of an epoch, and in
        // the last step.
        let stops = if kind == Kind::Plain { &[1, 3, 4, 5, 9, 13, 35][..] } else { &[5, 26] };
        for &stop in stops {
            let place = tempfile::tempdir().unwrap();
            let (_, first) = train(kind, Some(place.path()), (4, false), Some(stop));
            if first.ended != Ended::Stopped {
                assert!(kind == Kind::Plateau, "{kind:?} {stop}: {:?}", first.ended);
                continue;
            }
            // The resumed training run is stopped once more.
            let (_, second) = train(kind, Some(place.path()), (5, true), Some(3));
            let (params, third) = train(kind, Some(place.path()), (4, true), None);
            assert_eq!(all(&params), whole, "{kind:?} after {stop} and 3 ({:?})", second.ended);
            assert_eq!(
                (losses(&third), third.ended, third.restored),
                (losses(&history), history.ended, history.restored)
            );
        }
    }
}

/// Runs a small fit with a modified trainer.
fn fit(
    data: &Dataset,
    epochs: usize,
    change: impl for<'t> FnOnce(Trainer<'t>) -> Trainer<'t>,
) -> (Result<History>, Params, Vec<String>) {
    let params = Params::seeded(3);
    let model = model(&params, outputs(data));
    let trainer =
        Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(1e-2)).batch_size(8).progress(Silent);
    let mut trainer = change(trainer);
    let result = trainer.fit(data, epochs, |x, y| match data.classes().len() {
        2 => BceWithLogitsLoss::new().forward(&model.forward(x), y),
        _ => CrossEntropyLoss::new().forward(&model.forward(x), y),
    });
    let passed_over = trainer.resumed().map_or(vec![], |resumed| resumed.passed_over.clone());
    drop(trainer);
    (result, params, passed_over)
}

fn outputs(data: &Dataset) -> usize {
    if data.classes().len() == 2 { 1 } else { data.classes().len() }
}

fn refused(data: &Dataset, change: impl for<'t> FnOnce(Trainer<'t>) -> Trainer<'t>) -> String {
    fit(data, 4, change).0.unwrap_err().to_string()
}

#[test]
fn a_checkpoint_of_another_training_lists_differences() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    let data = sectors(66, 2);
    fit(&data, 2, |trainer| trainer.checkpoints(Checkpoints::new(path))).0.unwrap();
    let text = refused(&data, |trainer| trainer.resume(path).batch_size(16));
    assert!(text.contains("is a checkpoint of another training:\n  batch size: 8 then, 16 now\n"), "{text}");
    let text = refused(&sectors(68, 2), |trainer| trainer.resume(path));
    assert!(text.contains("training rows: 66 of 2 features and 2 classes, checksum "), "{text}");
    assert!(text.contains(" then, 68 of 2 features"), "{text}");
    let text = refused(&data, |trainer| trainer.resume(path).optimizer(Sgd::new(1e-2)));
    assert!(text.contains("ops of a step: ") && text.contains("0.01 and 0.9 then, 0.01 and 0 now"), "{text}");
    let text = refused(&data, |trainer| trainer.resume(path).optimizer(AdamW::new(1e-3)));
    assert!(text.contains("learning rates at first: 0.01 and 0.9 then, 0.001 and 0.9 now"), "{text}");
    let text = refused(&data, |trainer| trainer.resume(path).optimizer(AdamW::new(1e-2).betas(0.9, 0.99)));
    assert!(text.contains("sizes and options of a step: checksum "), "{text}");
    let text = refused(&data, |trainer| trainer.resume(path).schedule(CosineAnnealingLr::new(4)));
    assert!(text.contains("schedule: none then, CosineAnnealingLr"), "{text}");
    let text = fit(&data, 1, |trainer| trainer.resume(path)).0.unwrap_err().to_string();
    assert!(text.contains("epochs: 2 trained then, 1 wanted now"), "{text}");
    let missing = refused(&data, |trainer| trainer.resume("no/such/folder"));
    assert!(
        missing.starts_with("no/such/folder is no folder of checkpoints, so there is nothing to resume"),
        "{missing}"
    );
    // The checkpoint belongs to another model.
    let params = Params::seeded(3);
    let other = Linear::new(&params.at("fc"), 2, 1);
    let mut trainer =
        Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(1e-2)).batch_size(8).resume(path);
    let error = trainer.fit(&data, 4, |x, y| BceWithLogitsLoss::new().forward(&other.forward(x), y)).unwrap_err();
    let facts = error.facts();
    assert!(matches!(facts, Some(TrainError::Checkpoint(CheckpointError::OtherTraining { .. }))), "{error}");
    assert!(error.to_string().contains("ops of a step: "), "{error}");
    // A resumed training run may have more epochs than the stopped run.
    let (more, params, _) = fit(&data, 4, |trainer| trainer.resume(path));
    assert_eq!(more.unwrap().epochs.len(), 4);
    assert_eq!(all(&params), all(&fit(&data, 4, |trainer| trainer).1));
}

#[test]
fn resume_skips_a_damaged_checkpoint() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    let data = sectors(66, 2);
    fit(&data, 3, |trainer| trainer.checkpoints(Checkpoints::new(path).every_steps(7).keep(9))).0.unwrap();
    let files = checkpoints(path).unwrap();
    for (i, file) in files.iter().filter(|file| !file.ends_with("best.safetensors")).take(2).enumerate() {
        let mut bytes = std::fs::read(file).unwrap();
        if i == 0 {
            bytes.truncate(500);
        } else {
            bytes[3000] ^= 4;
        }
        std::fs::write(file, bytes).unwrap();
    }
    let (history, params, passed_over) = fit(&data, 4, |trainer| trainer.resume(path));
    assert_eq!((history.unwrap().epochs.len(), passed_over.len()), (4, 2));
    assert!(
        passed_over[0].contains("cut off after 500 bytes") && passed_over[1].contains("checksum"),
        "{passed_over:?}"
    );
    assert_eq!(all(&params), all(&fit(&data, 4, |trainer| trainer).1));
}

#[test]
fn only_the_last_checkpoint_must_be_written() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    let data = sectors(66, 2);
    let full = || {
        Checkpoints::new(path).written_by(|path, bytes| {
            let last = path.to_string_lossy().contains("step-000000000027");
            if last { std::fs::write(path, bytes) } else { Err(std::io::ErrorKind::StorageFull.into()) }
        })
    };
    let (history, params, _) = fit(&data, 3, |trainer| trainer.checkpoints(full()));
    assert_eq!(history.unwrap().epochs.len(), 3);
    assert_eq!(all(&params), all(&fit(&data, 3, |trainer| trainer).1));
    assert_eq!(checkpoints(path).unwrap().len(), 1);
    std::fs::remove_file(&checkpoints(path).unwrap()[0]).unwrap();
    let error = fit(&data, 2, |trainer| trainer.checkpoints(full())).0.unwrap_err().to_string();
    assert!(error.contains("step-000000000018.safetensors cannot be written"), "{error}");
    let taken = fit(&data, 1, |trainer| trainer.checkpoints(Checkpoints::new(path.join("f")))).0;
    assert!(taken.is_ok());
    let taken = fit(&data, 1, |trainer| trainer.checkpoints(Checkpoints::new(path.join("f")))).0.unwrap_err();
    assert!(taken.to_string().contains("has checkpoints of another training"), "{taken}");
}

#[test]
fn several_fits_resume_where_one_was_stopped() {
    let run = |folder: Option<(&Path, bool)>, stop: Option<usize>| {
        let data = sectors(66, 2);
        let params = Params::seeded(3);
        let model = model(&params, 1);
        let flag = Arc::new(AtomicBool::new(false));
        let (set, mut made) = (flag.clone(), 0);
        let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params)
            .optimizer(AdamW::new(1e-2))
            .batch_size(8)
            .progress(Silent)
            .stop_flag(flag)
            .on_step(move |_, _| {
                made += 1;
                set.store(stop.is_some_and(|stop| made >= stop), Ordering::Relaxed);
            });
        if let Some((folder, resume)) = folder {
            trainer = trainer.checkpoints(Checkpoints::new(folder).every_epochs(2));
            trainer = if resume { trainer.resume(folder) } else { trainer };
        }
        let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
        // The first fit trains the last layer, the second all layers.
        params.at("0").set_trainable(false);
        let first = trainer.fit(&data, 2, loss).unwrap();
        params.at("0").set_trainable(true);
        if first.ended == Ended::Stopped {
            return (all(&params), first.ended);
        }
        let second = trainer.fit(&data, 2, loss).unwrap();
        (all(&params), second.ended)
    };
    let (whole, _) = run(None, None);
    for stop in [3, 18, 19, 30] {
        let place = tempfile::tempdir().unwrap();
        let (_, ended) = run(Some((place.path(), false)), Some(stop));
        assert_eq!(ended, Ended::Stopped, "{stop}");
        assert_eq!(run(Some((place.path(), true)), None), (whole.clone(), Ended::Completed), "{stop}");
    }
}

#[test]
fn early_stopping_restores_the_best_weights() {
    // The third epoch, with the value 1.0, is the best. The value 0.95 of the fifth epoch is lower, but by less
    // than `min_delta`, so the fit ends after the fifth epoch.
    fn stopping<'a>() -> EarlyStopping<'a> {
        let measures = [3.0, 2.0, 1.0, 1.5, 0.95, 1.2, 0.0];
        EarlyStopping::new(2).min_delta(0.1).minimize(move |_, stats| Ok(measures[stats.epoch - 1]))
    }
    let data = sectors(66, 2);
    let (history, params, _) = fit(&data, 9, |trainer| trainer.early_stopping(stopping()));
    let history = history.unwrap();
    assert_eq!((history.epochs.len(), history.ended, history.restored), (5, Ended::EarlyStopping, Some(3)));
    let (_, three, _) = fit(&data, 3, |trainer| trainer);
    assert_eq!(params.to_safetensors().unwrap(), three.to_safetensors().unwrap());
    let kept = fit(&data, 9, |trainer| trainer.early_stopping(stopping().restore_best(false))).1;
    assert_eq!(kept.to_safetensors().unwrap(), fit(&data, 5, |trainer| trainer).1.to_safetensors().unwrap());
    // When a metric is maximised, larger values are better, and NaN is never better.
    let measures = [0.5, f64::NAN, 0.6, 0.4];
    let history = fit(&data, 9, |trainer| {
        trainer.early_stopping(EarlyStopping::new(1).maximize(move |_, stats| Ok(measures[stats.epoch - 1])))
    });
    let history = history.0.unwrap();
    assert_eq!((history.epochs.len(), history.restored), (2, Some(1)));
    let failed = fit(&data, 9, |trainer| {
        trainer.early_stopping(EarlyStopping::new(1).minimize(|_, _| Err(Error::Other("no".into()))))
    });
    assert_eq!(failed.0.unwrap_err().to_string(), "no");
}

#[test]
fn callbacks_are_called_in_order_and_may_end_a_fit() {
    #[derive(Default)]
    struct Count(Vec<String>);
    struct Shared<'s>(&'s std::cell::RefCell<Count>);
    impl<'a> Callback<'a> for Shared<'_> {
        fn begin(&mut self, _trainer: &mut Trainer<'a>, run: &FitInfo) -> Result<()> {
            self.0.borrow_mut().0.push(format!("begin {} {}", run.epochs, run.steps));
            Ok(())
        }
        fn step(&mut self, step: usize, _loss: f64) {
            self.0.borrow_mut().0.push(format!("{step}"));
        }
        fn epoch(&mut self, trainer: &mut Trainer<'a>, stats: &EpochStats) -> Result<ControlFlow<()>> {
            // Callbacks may use the session.
            trainer.session()?.sync()?;
            self.0.borrow_mut().0.push(format!("epoch {}", stats.epoch));
            Ok(if stats.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        }
        fn end(&mut self, _trainer: &mut Trainer<'a>, history: &History) -> Result<()> {
            self.0.borrow_mut().0.push(format!("end {:?}", history.ended));
            Ok(())
        }
    }
    let seen = std::cell::RefCell::default();
    let data = sectors(24, 2);
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params)
        .optimizer(AdamW::new(1e-2))
        .batch_size(8)
        .progress(Silent)
        .callback(Shared(&seen));
    trainer.fit(&data, 5, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
    let expected = ["begin 5 3", "1", "2", "3", "epoch 1", "1", "2", "3", "epoch 2", "end Callback"];
    assert_eq!(seen.borrow().0, expected);
}

#[test]
fn the_first_node_that_is_not_finite_is_named() {
    let data = sectors(66, 2);
    // The square root of 0 has an infinite gradient. The loss of the first step is finite, but the loss of the
    // second is NaN.
    let params = Params::seeded(3);
    let model = Sequential::new(&params)
        .add(|p| Linear::new(p, 2, 4))
        .add(|p| Dropout::new(p, 0.5))
        .add(|p| Linear::new(p, 4, 1));
    let mut trainer =
        Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(Sgd::new(0.1)).batch_size(8).progress(Silent);
    let error = trainer.fit(&data, 3, |x, y| {
        let logits = model.forward(x);
        let distance = (&logits - &logits.detach()).sqrt();
        BceWithLogitsLoss::new().forward(&(logits + distance), y)
    });
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("the loss is NaN in step 2 of epoch 1; the model is as it was before step 1 of epoch 1\n"),
        "{text}"
    );
    assert!(text.contains("resume_tests.rs:"), "{text}");
    assert!(params.variables().iter().all(|v| v.value().unwrap().to_f64().iter().all(|x| x.is_finite())));
    // With a learning rate that is too large, and with batch norm, training fails only after many good steps.
    let params = Params::seeded(3);
    let model = Sequential::new(&params)
        .add(|p| Linear::new(p, 2, 4))
        .add(|p| BatchNorm1d::new(p, 4))
        .add(|p| Linear::new(p, 4, 1));
    let mut trainer =
        Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(Sgd::new(1e3)).batch_size(8).progress(Silent);
    let error = trainer.fit(&data, 300, |x, y| {
        let wrong = model.forward(x) - y;
        (&wrong * &wrong * &wrong * &wrong).mean_all()
    });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("the first that is not finite there: ") && text.contains(" gives "), "{text}");
}

#[test]
fn a_search_for_a_rate_changes_nothing() {
    use wgrad_nn::optim::schedule::ExponentialLr;
    let data = sectors(66, 2);
    let run = |search: bool, torch: bool| {
        let params = if torch { Params::torch_seed(3) } else { Params::seeded(3) };
        let model = model(&params, 1);
        let ema = Ema::new(&params, 0.9);
        let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params).batch_size(8).progress(Silent).accumulate(2);
        trainer = trainer.optimizer(Adam::new(1e-2)).ema(&ema).schedule(ExponentialLr::new(0.9));
        let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
        let mut curve = None;
        for _ in 0..2 {
            if search {
                curve = Some(trainer.find_lr(&data, &LrFinder::default(), loss).unwrap());
            }
            trainer.fit(&data, 2, loss).unwrap();
        }
        (all(&params), curve)
    };
    for torch in [false, true] {
        let (found, curve) = run(true, torch);
        assert_eq!(found, run(false, torch).0);
        let curve = curve.unwrap();
        assert!(curve.points.len() > 20 && curve.points[0].lr.to_bits() == 1e-7f64.to_bits(), "{curve}");
        assert!(curve.points.windows(2).all(|pair| pair[1].lr > pair[0].lr));
    }
}

#[test]
fn a_search_suggests_a_rate_and_ends_where_the_loss_diverges() {
    // The model has one weight and the loss (w − 1)². Gradient descent diverges if the learning rate exceeds 1.
    let data = Dataset::new(["x"], vec![1.0; 8], [0, 1].repeat(4), ["a", "b"]).unwrap();
    let search = |finder: LrFinder| {
        let params = Params::seeded(3);
        let model = Linear::with(&params, 1, 1, LinearOptions::new().bias(false));
        let mut trainer = Trainer::new(CpuBackend::<f64>::new(), &params).optimizer(Sgd::new(0.1));
        trainer = trainer.batch_size(8).progress(Silent);
        trainer.find_lr(&data, &finder, |x, _| {
            let wrong = model.forward(x) - 1.0;
            (&wrong * &wrong).mean_all()
        })
    };
    let curve = search(LrFinder::default().range(1e-5, 1e3).smoothing(0.0)).unwrap();
    assert!(curve.diverged && curve.points.last().is_some_and(|point| point.lr < 100.0), "{curve}");
    assert!(curve.suggestion.is_some_and(|lr| (1e-3..1.0).contains(&lr)), "{curve}");
    let text = curve.to_string();
    assert!(
        text.contains("smoothed\n") && text.contains("diverged after lr") && text.contains("suggested lr: "),
        "{text}"
    );
    for (finder, wrong) in [
        (LrFinder::default().range(1.0, 0.1), "rates from 1 to 0.1 do not grow: give 0 < from < to"),
        (LrFinder::default().updates(1), "1 updates are too few: give at least 2"),
        (LrFinder::default().smoothing(1.0), "the smoothing must be at least 0 and below 1, not 1"),
        (LrFinder::default().diverges(1.0), "a loss diverges by a factor above 1, not 1"),
    ] {
        assert_eq!(search(finder).unwrap_err().to_string(), wrong);
    }
}
