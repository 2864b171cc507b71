//! Steps of a training in lockstep with a reference.

use std::panic::Location;

use wgrad_core::{Lockstep, Result, Tensor};

use super::Trainer;
use super::fit::no_optimizer;
use super::snapshot::{Snapshot, rates, set_rates};
use super::steps::{Steps, Tally, Training, Watch};
use crate::data::Dataset;
use crate::optim::Optimizer;

impl Trainer<'_> {
    /// Holds the first `steps` steps of the training to the reference, node by node and as they really run:
    /// [`Session::lockstep`](wgrad_core::Session::lockstep) of each, with the batches that [`Self::fit`] would take. Ends after
    /// the first step in which something exceeds its bound, which is then the last report.
    ///
    /// Weights, optimizer state, counters and random numbers are afterwards as they were. Between two steps that are looked
    /// at, the training goes on as usual.
    ///
    /// ```
    /// use wgrad_core::{CpuBackend, Params};
    /// use wgrad_nn::data::Dataset;
    /// use wgrad_nn::train::{Silent, Trainer};
    /// use wgrad_nn::{Module, layers::Linear, losses::BceWithLogitsLoss, optim::AdamW};
    /// let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
    /// let data = Dataset::new(["x"], x, y, ["low", "high"])?;
    /// let params = Params::seeded(7);
    /// let model = Linear::new(&params.at("fc"), 1, 1);
    /// let mut trainer =
    ///     Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(0.1)).batch_size(8).progress(Silent);
    /// let reports = trainer.lockstep(&data, 2, |x, y| BceWithLogitsLoss::new().apply(&model.forward(x), y))?;
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
        let caller = Location::caller();
        self.session()?;
        let optimizer = self.optimizer.take().ok_or_else(no_optimizer)?;
        let before = rates(&*optimizer);
        let result = self.side_by_side(data, steps, &loss, (&*optimizer, caller));
        set_rates(&*optimizer, &before);
        self.optimizer = Some(optimizer);
        result
    }

    fn side_by_side<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        data: &Dataset,
        count: usize,
        loss: &L,
        (optimizer, caller): (&dyn Optimizer, &'static Location<'static>),
    ) -> Result<Vec<Lockstep>> {
        let targets = self.targets.of(data)?;
        let (ema, accumulate) = (self.ema.clone(), self.accumulate.max(1));
        let training = Training { optimizer, ema: ema.as_ref(), accumulate };
        let mut steps = Steps::new(loss, data, targets, Some(training), false, caller)?;
        // This declares all state, which is then put back, too.
        steps.example(self.batch_size.min(data.rows())).graph.check()?;
        self.session()?.sync()?;
        let begin = Snapshot::take(&self.params)?;
        let reports = (|| {
            let batches = self.batches(data)?;
            let (per_epoch, size) = (batches.len() - usize::from(self.drops_one(data)), self.batch_size);
            let mut number = self.params.at("train").counter("@epoch").get();
            let mut epoch = batches.epoch(number);
            let mut reports = vec![];
            for step in 0..count {
                let at = step % per_epoch.max(1);
                if step > 0 && at == 0 {
                    number += 1;
                    epoch = batches.epoch(number);
                }
                let (traced, arrays) = steps.single(epoch.order(), size, at)?;
                let feeds: Vec<_> = traced.inputs.iter().zip(&arrays).collect();
                let report = self.session()?.lockstep(&traced.graph, &[&traced.loss], &feeds)?;
                let over = !report.passes();
                reports.push(report);
                if over || step + 1 == count {
                    break;
                }
                let mut watch = Watch { wait: true, stop: &|| false, seen: &mut |_, _| {} };
                let mut tally = Tally { steps: at, ..Tally::default() };
                steps.run(self.session()?, (epoch.order(), size), &mut tally, at + 1, &mut watch)?;
            }
            Ok(reports)
        })();
        let restored = self.session()?.sync().and_then(|()| begin.restore(&self.params));
        reports.and_then(|reports| restored.map(|()| reports))
    }
}
