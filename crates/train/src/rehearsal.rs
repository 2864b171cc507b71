//! Rehearsals: training steps whose effects are undone afterwards.

use std::panic::Location;

use wgrad_core::{Result, Tensor};

use crate::data_source::DataSource;
use crate::snapshot::{rates, set_rates};
use crate::steps::{Steps, Training};
use crate::trainer::Trainer;
use wgrad_data::Dataset;

/// Training steps whose effects are undone afterwards.
pub(crate) struct Rehearsal<'r, L> {
    pub steps: Steps<'r, L>,
}

impl Trainer<'_> {
    /// Calls `body`, which may run training steps. Then restores weights, optimizer state, counters, random
    /// numbers and learning rates.
    pub(crate) fn rehearse<L: Fn(&Tensor, &Tensor) -> Tensor, T>(
        &mut self,
        data: &Dataset,
        loss: L,
        resident: bool,
        caller: &'static Location<'static>,
        body: impl FnOnce(&mut Self, &mut Rehearsal<'_, L>) -> Result<T>,
    ) -> Result<T> {
        self.session()?;
        let optimizer = self.options.lend_optimizer()?;
        let before = rates(&*optimizer);
        let result = (|| {
            let source = DataSource::new(data, self.options.targets)?;
            let (ema, accumulate) = (self.options.ema.clone(), self.options.accumulate.max(1));
            let training = Training { optimizer: &*optimizer, ema: ema.as_ref(), accumulate };
            let steps = Steps::new(loss, source, Some(training), resident, caller)?;
            // Tracing a step declares all variables and counters, so that the snapshot contains them.
            steps.example(self.options.batch_size).graph.check()?;
            let begin = self.session.snapshot()?;
            let result = body(self, &mut Rehearsal { steps });
            let restored = self.session.sync().and_then(|()| begin.restore(self.session.params()));
            result.and_then(|result| restored.map(|()| result))
        })();
        set_rates(&*optimizer, &before);
        self.options.optimizer = Some(optimizer);
        result
    }
}
