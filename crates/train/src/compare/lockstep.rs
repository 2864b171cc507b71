//! Comparison of training steps with a reference on the host, and of gradients with finite differences.

use std::panic::Location;

use wgrad_core::{Array, Audit, Lockstep, Result, Tensor, audit};

use crate::options::EpochBatches;
use crate::rehearsal::Rehearsal;
use crate::steps::{EpochOrder, FedStep, StepObserver, Tally, Traced};
use crate::trainer::Trainer;
use wgrad_data::Dataset;

impl Trainer<'_> {
    /// Compares the first `steps` training steps with a reference that the host computes, node by node. Calls
    /// [`Session::lockstep`](wgrad_core::Session::lockstep) for each step, with the batches that [`Self::fit`]
    /// would use, and returns the reports. Ends early after a step with an error that is larger than rounding
    /// explains; the last report is then that of this step.
    ///
    /// After its comparison, each step also runs as usual, so that the next step begins with updated weights.
    /// Weights, optimizer state, counters and random numbers are restored at the end.
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
    /// Returns an error if there is no optimizer, the data set has no rows, or the device is lost. Also returns
    /// errors of the ops in the step, such as mismatched shapes.
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

    /// Trains for `steps` steps, then compares the gradients of the next step with finite differences. This uses
    /// [`wgrad_core::audit`](fn@wgrad_core::audit), which runs on the host in `f64`, with the batch that
    /// [`Self::fit`] would use.
    ///
    /// Use a few steps, because weights that are initialised with 0 make some gradients of the first step 0.
    /// Weights, optimizer state, counters and random numbers are restored at the end. The duration grows with the
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
    /// Returns an error if there is no optimizer, the data set has no rows, or the device is lost. Also returns
    /// errors of the ops in the step, such as mismatched shapes.
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

    /// Runs training steps one at a time, and passes each step to `inspect` before it runs. Ends when `inspect`
    /// returns true, then restores the state of the training.
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
