//! Tests of the trainer on small data sets, with the CPU backend.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session, Stream, Tensor};

use super::*;
use crate::error::ModelError;
use wgrad_data::{Batches, Dataset, Seed};
use wgrad_nn::layers::{BatchNorm1d, Dropout, Linear};
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss};
use wgrad_nn::optim::{AdamW, Optimizer, Sgd};
use wgrad_nn::{Module, Sequential, StateDict};

/// Returns points on the unit circle, each labelled with the sector that it lies in.
pub(super) fn sectors(rows: usize, classes: u32) -> Dataset {
    let mut stream = Stream::new(5, 0);
    let (mut x, mut y) = (vec![], vec![]);
    for i in 0..rows {
        let class = u32::try_from(i).unwrap() % classes;
        let angle = std::f64::consts::TAU * (f64::from(class) + 0.1 + 0.8 * stream.uniform()) / f64::from(classes);
        x.extend([angle.cos() as f32, angle.sin() as f32]);
        y.push(class);
    }
    Dataset::new(["x", "y"], x, y, (0..classes).map(|class| format!("sector {class}"))).unwrap()
}

pub(super) fn model(params: &Params, outputs: usize) -> Sequential {
    Sequential::new(params)
        .add(|p| Linear::new(p, 2, 16))
        .add(|p| BatchNorm1d::new(p, 16))
        .add(|_| |x: &Tensor| x.relu())
        .add(|p| Dropout::new(p, 0.1))
        .add(|p| Linear::new(p, 16, outputs))
}

fn trainer(params: &Params) -> Trainer<'_> {
    Trainer::new(CpuBackend::<f32>::new(), params).optimizer(AdamW::new(1e-2)).batch_size(16).progress(Silent)
}

#[test]
fn two_classes_are_learned_with_one_logit() {
    let data = sectors(100, 2);
    let params = Params::seeded(7);
    let model = model(&params, 1);
    let loss = BceWithLogitsLoss::new();
    let mut trainer = trainer(&params).validation(&data);
    let history = trainer.fit(&data, 20, |x, y| loss.forward(&model.forward(x), y)).unwrap();
    assert_eq!(history.epochs.len(), 20);
    let report = trainer.evaluate(&data, |x| model.forward(x)).unwrap();
    assert!(report.accuracy > 0.95, "{report}");
    // Evaluation has no dropout and no class weights, so the validation loss equals the loss in the report.
    let validation = history.epochs[19].validation_loss.unwrap();
    assert!((validation - report.loss).abs() < 1e-5, "{validation} {}", report.loss);
    let predicted = trainer.predict(&data, |x| model.forward(x)).unwrap();
    assert_eq!(predicted.shape().dims(), [100, 1]);
    assert!(history.seconds_per_epoch() > 0.0);
}

#[test]
fn several_classes_are_learned_with_cross_entropy() {
    let data = sectors(102, 3);
    let params = Params::seeded(7);
    let model = model(&params, 3);
    let loss = CrossEntropyLoss::new().weight(data.class_weights());
    let mut trainer = trainer(&params);
    trainer.fit(&data, 20, |x, y| loss.forward(&model.forward(x), y)).unwrap();
    assert!(trainer.evaluate(&data, |x| model.forward(x)).unwrap().accuracy > 0.95);
    let predicted = trainer.predict(&data, |x| model.forward(x)).unwrap();
    assert_eq!(predicted.shape().dims(), [102, 3]);
    assert!(predicted.to_f64().chunks(3).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
}

#[test]
fn two_classes_may_be_learned_with_two_logits() {
    let data = sectors(64, 2);
    let params = Params::seeded(7);
    let model = model(&params, 2);
    let mut trainer = trainer(&params).targets(Targets::Classes);
    trainer.fit(&data, 20, |x, y| CrossEntropyLoss::new().forward(&model.forward(x), y)).unwrap();
    let report = trainer.evaluate(&data, |x| model.forward(x)).unwrap();
    assert!(report.accuracy > 0.95 && report.roc_auc.is_some(), "{report}");
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let data = sectors(70, 2);
    let train = |seed: u64| {
        let params = Params::seeded(seed);
        let model = model(&params, 1);
        let loss = BceWithLogitsLoss::new();
        trainer(&params).fit(&data, 3, |x, y| loss.forward(&model.forward(x), y)).unwrap();
        params.to_safetensors().unwrap()
    };
    assert_eq!(train(3), train(3));
    assert_ne!(train(3), train(4));
}

#[test]
fn two_fits_are_one_longer_fit() {
    let data = sectors(70, 2);
    let train = |epochs: &[usize]| {
        let params = Params::seeded(3);
        let model = model(&params, 1);
        let mut trainer = trainer(&params);
        for &epochs in epochs {
            trainer.fit(&data, epochs, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
        }
        params.to_safetensors().unwrap()
    };
    assert_eq!(train(&[2, 3]), train(&[5]));
}

/// Trains without the trainer: passes one batch at a time to a session.
fn by_hand(data: &Dataset, epochs: u64, size: usize) -> Vec<u8> {
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let mut session = Session::new(CpuBackend::<f32>::new(), &params).unwrap();
    let batches = Batches::new(data.rows(), size).unwrap().shuffle(Seed(3));
    let compile = |session: &mut Session, rows: usize| {
        let graph = Graph::new(Mode::Train);
        let (x, y) = (graph.input("x", [rows, 2], DType::F32), graph.input("y", [rows, 1], DType::F32));
        let loss = BceWithLogitsLoss::new().forward(&model.forward(&x), &y);
        AdamW::new(1e-2).minimize(&loss);
        let step = session.compile(&graph, &[&loss]).unwrap();
        (x, y, step)
    };
    let steps = [size, data.rows() % size].map(|rows| compile(&mut session, rows));
    for epoch in 0..epochs {
        for rows in &batches.epoch(epoch) {
            let (x, y, step) = &steps[usize::from(rows.len() != size)];
            let xs = rows.iter().flat_map(|&row| &data.x()[row as usize * 2..][..2]).copied().collect();
            let ys = rows.iter().map(|&row| f32::from(u8::from(data.y()[row as usize] == 1))).collect();
            let (xs, ys) = (Array::new([rows.len(), 2], xs).unwrap(), Array::new([rows.len(), 1], ys).unwrap());
            session.submit(step, &[(x, &xs), (y, &ys)]).unwrap();
        }
    }
    params.at("train").counter("@epoch").set(epochs);
    session.sync().unwrap();
    params.to_safetensors().unwrap()
}

#[test]
fn rows_on_the_device_and_from_the_host_give_the_same_bits() {
    // There are more batches than fit in a chunk (64 steps), and the last batch is smaller.
    let data = sectors(75 * 4 + 3, 2);
    let train = |streaming: bool, watched: bool| {
        let params = Params::seeded(3);
        let model = model(&params, 1);
        let mut trainer = trainer(&params).batch_size(4).streaming(streaming).validation(&data);
        if watched {
            trainer = trainer.on_step(|_, _| {});
        }
        let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
        let history = trainer.fit(&data, 2, loss).unwrap();
        let losses: Vec<_> = history.epochs.iter().map(|epoch| (epoch.loss, epoch.validation_loss)).collect();
        (params.to_safetensors().unwrap(), losses)
    };
    let resident = train(false, false);
    assert_eq!(resident, train(true, false));
    assert_eq!(resident, train(false, true));
    assert_eq!(resident.0, by_hand(&data, 2, 4));
}

#[test]
fn progress_counts_every_step_once() {
    struct Count(Rc<RefCell<Vec<usize>>>);
    impl Progress for Count {
        fn step(&mut self, step: usize) {
            self.0.borrow_mut().push(step);
        }
    }
    let data = sectors(70 * 4, 2);
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let steps = Rc::new(RefCell::new(vec![]));
    let mut trainer = trainer(&params).batch_size(4).progress(Count(steps.clone()));
    trainer.fit(&data, 1, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
    assert_eq!(*steps.borrow(), (1..=70).collect::<Vec<_>>());
}

#[test]
fn the_epoch_loss_is_the_mean_over_its_rows() {
    let data = sectors(20, 2);
    let params = Params::seeded(3);
    let model = Linear::new(&params, 2, 1);
    let losses = Rc::new(RefCell::new(vec![]));
    let seen = losses.clone();
    let mut trainer = Trainer::new(CpuBackend::<f64>::new(), &params)
        .optimizer(Sgd::new(0.1))
        .batch_size(8)
        .shuffle(false)
        .progress(Silent)
        .on_step(move |step, loss| seen.borrow_mut().push((step, loss)));
    let loss = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
    let history = trainer.fit(&data, 1, loss).unwrap();
    let losses = losses.borrow();
    assert_eq!(losses.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 3]);
    let mean = (losses[0].1 * 8.0 + losses[1].1 * 8.0 + losses[2].1 * 4.0) / 20.0;
    assert!((history.loss() - mean).abs() < 1e-15);
}

#[test]
fn a_last_batch_of_one_row_is_left_out() {
    let data = sectors(33, 2);
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let steps = Rc::new(RefCell::new(0));
    let seen = steps.clone();
    let mut trainer = trainer(&params).on_step(move |_, _| *seen.borrow_mut() += 1);
    trainer.fit(&data, 2, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
    assert_eq!(*steps.borrow(), 4);
}

#[test]
fn a_callback_ends_the_fit_early() {
    let data = sectors(32, 2);
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let stop = |stats: &EpochStats| if stats.epoch == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let mut trainer = trainer(&params).on_epoch(stop);
    let history = trainer.fit(&data, 10, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
    assert_eq!(history.epochs.len(), 3);
}

fn fit_error(trainer: &mut Trainer, data: &Dataset, loss: impl Fn(&Tensor, &Tensor) -> Tensor) -> String {
    trainer.fit(data, 3, loss).unwrap_err().to_string()
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_with_fixes() {
    let data = sectors(32, 2);
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let mut trainer = trainer(&params);
    let text = fit_error(&mut trainer, &data, |x, y| (model.forward(x) * 0.0 - y - 1.0).log().mean_all());
    assert!(
        text.starts_with(
            "the loss is NaN in step 1 of epoch 1; the model is as it was before step 1 of epoch 1\n  the first"
        ),
        "{text}"
    );
    assert!(text.contains("there: log(f32[16, 1]) gives NaN at [0, 0]\n    of sub: "), "{text}");
    assert!(text.contains("train/src/tests.rs:") && text.contains("\n  fixes:\n    1. a smaller"), "{text}");
    assert!(params.to_safetensors().is_ok());
}

#[test]
fn invalid_options_are_reported_before_the_first_step() {
    let data = sectors(30, 3);
    let params = Params::seeded(3);
    let model = model(&params, 1);
    let bce = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
    let none = fit_error(&mut Trainer::new(CpuBackend::<f32>::new(), &params).progress(Silent), &data, bce);
    assert_eq!(none, "there is no optimizer\n  fix: Trainer::new(…).optimizer(AdamW::new(1e-3))");
    let mut trainer = trainer(&params);
    let text = fit_error(&mut trainer, &data, bce);
    assert!(text.contains("bce_with_logits(f32[16, 1], u32[16])") && text.contains("train/src/tests.rs"), "{text}");
    let mut trainer = trainer.targets(Targets::Binary);
    let text = fit_error(&mut trainer, &data, bce);
    assert!(
        text.starts_with("binary targets need 2 classes, but there are 3: sector 0, sector 1, sector 2\n"),
        "{text}"
    );
    let text = trainer.evaluate(&data, |x| model.forward(x)).unwrap_err().to_string();
    assert_eq!(
        text,
        "the model gives 1 logits per row, but there are 3 classes: sector 0, sector 1, sector 2\n  fix: give the \
         model's last layer 3 outputs"
    );
    let text = trainer.evaluate(&data, |x| model.forward(x).mean_all()).unwrap_err().to_string();
    assert_eq!(text, "the model gives [] for 30 rows, not one logit per row or class");
    let flat = trainer.predict_rows(&Array::vector(vec![1f32]), |x| model.forward(x));
    let flat = flat.unwrap_err();
    assert!(matches!(flat.facts(), Some(TrainError::Model(ModelError::Features { .. }))), "{flat}");
}

#[test]
fn other_seeds_shuffle_in_another_order() {
    let data = sectors(40, 2);
    let train = |seed: u64| {
        let params = Params::seeded(3);
        let model = Linear::new(&params, 2, 1);
        let mut trainer = trainer(&params).seed(Seed(seed));
        trainer.fit(&data, 1, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
        params.to_safetensors().unwrap()
    };
    assert_ne!(train(1), train(2));
}

#[test]
fn an_epoch_prints_as_a_line() {
    let stats = EpochStats {
        epoch: 3,
        epochs: 30,
        loss: 0.12345,
        validation_loss: Some(0.5),
        seconds: 0.0126,
        steps: 8,
        lr: Some(0.000_123_456),
        ..EpochStats::default()
    };
    assert_eq!(stats.to_string(), "epoch  3/30  loss 0.1235  validation 0.5000  lr 0.000123  0.013 s");
    let rounded =
        |lr: f64| EpochStats { lr: Some(lr), ..stats.clone() }.to_string().split("  ").nth(4).map(str::to_string);
    assert_eq!(rounded(0.1 + 0.2), Some("lr 0.3".into()));
    assert_eq!(rounded(0.0), Some("lr 0".into()));
}

/// Returns the losses and final weights of a short training run.
fn fitted(prepare: impl FnOnce(Trainer<'_>) -> Trainer<'_>, batch: usize, rows: usize) -> (Vec<f64>, Vec<f64>) {
    let data = sectors(rows, 2);
    let params = Params::seeded(7);
    let model = Linear::new(&params.at("fc"), 2, 1);
    let loss = BceWithLogitsLoss::new();
    let trainer = Trainer::new(CpuBackend::<f64>::new(), &params).optimizer(AdamW::new(0.1).clip_grad_norm(0.5));
    let mut trainer = prepare(trainer.batch_size(batch).shuffle(false).progress(Silent));
    let history = trainer.fit(&data, 3, |x, y| loss.forward(&model.forward(x), y)).unwrap();
    (history.epochs.iter().map(|epoch| epoch.loss).collect(), model.weight().value().unwrap().to_f64())
}

#[test]
fn accumulation_does_what_a_large_batch_does() {
    // 64 rows are four updates of 16 rows. With 50 or 18 rows, the last update has only 2 rows.
    for rows in [64, 50, 18] {
        let (large_losses, large) = fitted(|trainer| trainer, 16, rows);
        let (losses, small) = fitted(|trainer| trainer.accumulate(4), 4, rows);
        for (small, large) in small.iter().zip(&large).chain(losses.iter().zip(&large_losses)) {
            assert!((small - large).abs() <= 1e-12 * large.abs().max(1.0), "{rows} rows: {small} is not {large}");
        }
        assert_eq!((losses, small), fitted(|trainer| trainer.accumulate(4).streaming(true), 4, rows));
    }
}

#[test]
fn schedules_set_the_rate_per_epoch_and_per_step() {
    use wgrad_nn::optim::LearningRate;
    use wgrad_nn::optim::schedule::{ExponentialLr, LambdaLr, OneCycleLr, ReduceLrOnPlateau, StepLr, ThresholdMode};
    let data = sectors(64, 2);
    let rates = |trainer: fn(Trainer) -> Trainer| {
        let lr = LearningRate::new(0.5);
        let params = Params::seeded(7);
        let model = Linear::new(&params.at("fc"), 2, 1);
        let seen = Rc::new(RefCell::new(vec![]));
        let (handle, list) = (lr.clone(), seen.clone());
        let built = Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(Sgd::new(&lr).momentum(0.9));
        let built = built.batch_size(16).progress(Silent).on_epoch(move |_| {
            list.borrow_mut().push(handle.get());
            ControlFlow::Continue(())
        });
        let result = trainer(built).fit(&data, 3, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y));
        let seen = seen.borrow().clone();
        result.map(|_| seen).map_err(|error| error.to_string())
    };
    assert_eq!(rates(|trainer| trainer.schedule(StepLr::new(2).gamma(0.5))).unwrap(), [0.5, 0.25, 0.25]);
    // After each epoch of 4 updates, the rate is that of the last update, not yet that of the next update.
    let halves = rates(|trainer| trainer.schedule_per_step(ExponentialLr::new(0.5))).unwrap();
    assert_eq!(halves, [0.5f64.powi(4), 0.5f64.powi(8), 0.5f64.powi(12)]);
    let accumulated = rates(|trainer| trainer.accumulate(3).schedule_per_step(LambdaLr::new(|step| step))).unwrap();
    assert_eq!(accumulated, [0.5, 1.5, 2.5]);
    // No loss can be lower than the best loss by such a large threshold, so the rate is halved after each epoch
    // except the first.
    let plateau = rates(|trainer| {
        trainer.schedule(ReduceLrOnPlateau::new().patience(0).factor(0.5).threshold(1e9, ThresholdMode::Absolute))
    });
    assert_eq!(plateau.unwrap(), [0.5, 0.25, 0.125]);
    assert!(rates(|trainer| trainer.schedule_per_step(OneCycleLr::new(1.0, 12))).is_ok());
    let early = rates(|trainer| trainer.schedule_per_step(OneCycleLr::new(1.0, 9))).unwrap_err();
    assert!(early.starts_with("the schedule ends after 9 steps, and has made 7: 4 more are too many"), "{early}");
    let metric = rates(|trainer| trainer.schedule_per_step(ReduceLrOnPlateau::new())).unwrap_err();
    assert!(metric.starts_with("a metric is measured after an epoch"), "{metric}");
    let none = rates(|trainer| trainer.accumulate(0)).unwrap_err();
    assert!(none.starts_with("an update needs at least one batch"), "{none}");
}

#[test]
fn a_schedule_continues_in_another_trainer() {
    use wgrad_nn::optim::LearningRate;
    use wgrad_nn::optim::schedule::OneCycleLr;
    let data = sectors(64, 2);
    let lr = LearningRate::new(0.5);
    let train = |params: &Params, lr: &LearningRate| {
        let trainer = Trainer::new(CpuBackend::<f32>::new(), params).optimizer(AdamW::new(lr)).batch_size(16);
        trainer.progress(Silent).schedule_per_step(OneCycleLr::new(1.0, 16))
    };
    let params = Params::seeded(7);
    let model = Linear::new(&params.at("fc"), 2, 1);
    let step = |x: &Tensor, y: &Tensor| BceWithLogitsLoss::new().forward(&model.forward(x), y);
    let mut first = train(&params, &lr);
    assert_eq!(first.updates(&data).unwrap(), 4);
    assert!(first.schedule_state().is_none());
    first.fit(&data, 2, step).unwrap();
    let state = first.schedule_state().unwrap();
    let other = LearningRate::new(0.25);
    let mut second = train(&params, &other);
    second.restore_schedule(&state).unwrap();
    assert_eq!(other.get().to_bits(), lr.get().to_bits());
    second.fit(&data, 2, step).unwrap();
    assert!(second.schedule_state().is_some() && other.get() < 1e-4, "{}", other.get());
    assert!(second.fit(&data, 1, step).is_err());
}

#[test]
fn the_trainer_keeps_an_average() {
    let data = sectors(64, 2);
    let params = Params::seeded(7);
    let model = Linear::new(&params.at("fc"), 2, 1);
    let ema = wgrad_nn::optim::Ema::new(&params, 0.5);
    let mut trainer = trainer(&params).ema(&ema).accumulate(2);
    trainer.fit(&data, 2, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y)).unwrap();
    assert_eq!(params.counter("ema.@averaged").get(), 4);
    let weights = model.weight().value().unwrap();
    ema.swap().unwrap();
    assert_ne!(model.weight().value().unwrap(), weights);
    ema.swap().unwrap();
    assert_eq!(model.weight().value().unwrap(), weights);
}

#[test]
fn tracked_values_are_means_over_rows_and_survive_a_stop() {
    use wgrad_metrics::batch;
    let data = sectors(50, 3);
    let train = |streaming: bool, stop: Option<usize>| {
        let folder = tempfile::tempdir().unwrap();
        let fit = |stop: Option<usize>, resume: bool| {
            let params = Params::seeded(5);
            let model = Linear::new(&params.at("fc"), 2, 3);
            let flag = Arc::new(AtomicBool::new(false));
            let mut trainer = trainer(&params)
                .batch_size(16)
                .streaming(streaming)
                .validation(&data)
                .checkpoints(Checkpoints::when_stopped(folder.path()));
            if let Some(stop) = stop {
                let flag = flag.clone();
                trainer = trainer.on_step(move |step, _| flag.store(step >= stop, Ordering::Relaxed));
            }
            trainer = if resume { trainer.resume(folder.path()) } else { trainer };
            let seen = |x: &Tensor, y: &Tensor| {
                let logits = model.forward(x);
                logits.graph().track("accuracy", &batch::accuracy(&logits, y));
                logits.graph().track("confusion", &batch::confusion(&logits, y));
                CrossEntropyLoss::new().forward(&logits, y)
            };
            let history = trainer.stop_flag(flag).fit(&data, 2, seen).unwrap();
            history.epochs.into_iter().map(|epoch| (epoch.tracked, epoch.validation_tracked)).collect::<Vec<_>>()
        };
        if stop.is_some() {
            assert!(fit(stop, false).is_empty());
        }
        fit(None, stop.is_some())
    };
    let whole = train(false, None);
    for (tracked, validation) in &whole {
        for of in [tracked, validation] {
            let confusion = &of["confusion"];
            assert!((confusion.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            let diagonal: f64 = (0..3).map(|i| confusion[4 * i]).sum();
            assert!((diagonal - of["accuracy"][0]).abs() < 1e-6 && diagonal > 0.2);
        }
        // The batches have 16, 16, 16 and 2 rows. A mean over all rows is a multiple of 1/50; a mean over the
        // batches is not.
        assert!(((tracked["accuracy"][0] * 50.0).round() - tracked["accuracy"][0] * 50.0).abs() < 1e-4);
    }
    assert_eq!(train(true, None), whole);
    assert_eq!(train(false, Some(2)), whole, "stopped within the first epoch");
}
