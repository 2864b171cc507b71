//! Comparison of training steps with the reference, and of their gradients with finite differences.

use std::panic::Location;

use wgrad_core::{Array, Audit, Lockstep, Result, Tensor, audit};

use crate::options::EpochBatches;
use crate::rehearsal::Rehearsal;
use crate::steps::{EpochOrder, FedStep, StepObserver, Tally, Traced};
use crate::trainer::Trainer;
use wgrad_data::Dataset;

impl Trainer<'_> {
    /// Compares the first `steps` steps of the training with the reference, node by node:
    /// [`Session::lockstep`](wgrad_core::Session::lockstep) of each, with the batches that [`Self::fit`] would use.
    /// Ends after the first step in which a node exceeds its bound; its report is then the last.
    ///
    /// Each step also runs as usual, to train for the next one. Weights, optimizer state, counters and random numbers
    /// are restored afterwards.
    ///
    /// ```
    /// use wgrad_core::{CpuBackend, Params};
    /// use wgrad_data::Dataset;
    /// use wgrad_train::{Silent, Trainer};
    /// use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::AdamW};
    /// let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
    /// let data = Dataset::new(["x"], x, y, ["low", "high"])?;
    /// let params = Params::seeded(7);
    /// let model = Linear::new(&params.at("fc"), 1, 1);
    /// let mut trainer =
    ///     Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(0.1)).batch_size(8).progress(Silent);
    /// let reports = trainer.lockstep(&data, 2, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y))?;
    /// assert_eq!(reports.len(), 2);
    /// assert!(reports.iter().all(|report| report.passes()), "{}", reports[1]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::fit`]: no optimizer, no rows, every error of the graph, a lost device.
    #[track_caller]
    pub fn lockstep(
        &mut self,
        data: &Dataset,
        steps: usize,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Result<Vec<Lockstep>> {
        let mut reports = vec![];
        self.inspect_steps(data, loss, Location::caller(), |trainer, step, traced, feeds| {
            if step == steps {
                return Ok(true);
            }
            reports.push(trainer.session()?.lockstep(&traced.graph, &[&traced.loss], feeds)?);
            Ok(step + 1 == steps || !reports[step].passes())
        })?;
        Ok(reports)
    }

    /// Compares the gradients of a training run with finite differences after its first `steps` steps:
    /// [`wgrad_core::audit`](fn@wgrad_core::audit) of the next step, with the batch that [`Self::fit`] would use, in
    /// `f64` on the host.
    ///
    /// Before the first step, weights that are initialised with 0 make some gradients 0, so train for a few steps.
    /// Weights, optimizer state, counters and random numbers are restored afterwards. The duration grows with the
    /// batch size; a few rows are enough.
    ///
    /// ```
    /// use wgrad_core::{CpuBackend, Params};
    /// use wgrad_data::Dataset;
    /// use wgrad_train::{Silent, Trainer};
    /// use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::AdamW};
    /// let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
    /// let data = Dataset::new(["x"], x, y, ["low", "high"])?;
    /// let params = Params::seeded(7);
    /// let model = Linear::new(&params.at("fc"), 1, 1);
    /// let mut trainer =
    ///     Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(0.1)).batch_size(8).progress(Silent);
    /// let report = trainer.audit(&data, 3, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y))?;
    /// assert!(report.passes() && report.parameters.len() == 2, "{report}");
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::fit`]: no optimizer, no rows, every error of the graph, a lost device.
    #[track_caller]
    pub fn audit(&mut self, data: &Dataset, steps: usize, loss: impl Fn(&Tensor, &Tensor) -> Tensor) -> Result<Audit> {
        let mut report = None;
        self.inspect_steps(data, loss, Location::caller(), |trainer, step, traced, feeds| {
            if step == steps {
                trainer.session()?.sync()?;
                report = Some(audit(&traced.loss, feeds)?);
            }
            Ok(report.is_some())
        })?;
        Ok(report.expect("the loop ends with the audit"))
    }

    /// Runs the steps of a training run and passes each to `inspect` before it runs, until that returns true. Restores
    /// the state of the training afterwards.
    fn inspect_steps<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        data: &Dataset,
        loss: L,
        caller: &'static Location<'static>,
        mut inspect: impl FnMut(&mut Self, usize, &Traced, &[(&Tensor, &Array)]) -> Result<bool>,
    ) -> Result<()> {
        self.rehearse(data, loss, false, caller, |trainer, Rehearsal { steps }| {
            let EpochBatches { batches, steps: per_epoch } =
                trainer.options.batches(trainer.session.params(), data.rows())?;
            let batch_size = trainer.options.batch_size;
            let mut number = trainer.session.params().at("train").counter("@epoch").get();
            let mut epoch = batches.epoch(number);
            for step in 0.. {
                let at = step % per_epoch.max(1);
                if step > 0 && at == 0 {
                    number += 1;
                    epoch = batches.epoch(number);
                }
                let order = EpochOrder { rows: epoch.order(), batch_size };
                let FedStep { traced, arrays } = steps.single(order, at)?;
                let feeds: Vec<_> = traced.inputs.iter().zip(&arrays).collect();
                if inspect(trainer, step, &traced, &feeds)? {
                    break;
                }
                let (session, mut tally) = (trainer.session()?, Tally::from_step(at));
                StepObserver::ignore(true, |watch| steps.run(session, order, &mut tally, at + 1, watch))?;
            }
            Ok(())
        })
    }
}
