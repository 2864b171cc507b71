//! Settings that must be the same to resume from a checkpoint, stored as text that error messages can show.

use std::collections::BTreeMap;
use std::fmt;

use wgrad_core::{Graph, Params, Result};

use crate::data_source::describe;
use crate::options::TrainerOptions;
use crate::run_history::RunHistory;
use crate::schedules::Schedules;
use wgrad_data::{Dataset, Sampler};

/// Settings by name.
pub(crate) type Settings = BTreeMap<String, String>;

/// Data and model of a training run.
pub(crate) struct Subject<'s> {
    pub data: &'s Dataset,
    pub params: Params,
    /// Traced training step.
    pub step: Graph,
}

/// Parts of a training run from which the text of its settings is written.
pub(crate) struct SettingsSource<'d> {
    subject: &'d Subject<'d>,
    options: &'d TrainerOptions,
    runs: &'d RunHistory,
    schedule: String,
    stopping: Option<&'d dyn fmt::Debug>,
}

impl<'d> SettingsSource<'d> {
    pub fn new(
        subject: &'d Subject<'d>,
        options: &'d TrainerOptions,
        runs: &'d RunHistory,
        schedules: &Schedules,
        stopping: Option<&'d dyn fmt::Debug>,
    ) -> Self {
        Self { subject, options, runs, schedule: schedules.describe(), stopping }
    }

    /// Returns the settings, which are computed on the first call.
    pub fn get_or_describe(&self, known: &mut Option<Settings>) -> Result<Settings> {
        if known.is_none() {
            *known = Some(self.settings()?);
        }
        Ok(known.clone().unwrap_or_default())
    }

    /// Describes everything that must be the same for a resumed training run to end with the same bits. Reads all
    /// rows of the data, because a checksum of them is part of the description.
    fn settings(&self) -> Result<Settings> {
        let Self { subject: Subject { data, params, step }, options, .. } = self;
        let print = format!("checksum {:08x}", crc32fast::hash(step.to_text().as_bytes()));
        let kind = if options.as_torch(params) { "PyTorch's" } else { "wgrad's" };
        let validation = options.validation.as_ref().map_or_else(|| Ok("none".into()), describe)?;
        let sampler = options.sampler.as_ref().map_or("none".into(), Sampler::describe);
        let stopping = self.stopping.as_ref().map_or("none".into(), |stopping| format!("{stopping:?}"));
        let settings = [
            ("training rows", describe(data)?),
            ("validation rows", validation),
            ("batch size", options.batch_size.to_string()),
            ("accumulated batches", options.accumulate.to_string()),
            ("shuffle", options.shuffle.to_string()),
            ("sampler", sampler),
            ("drop_last", options.drop_last.to_string()),
            ("seed of the order", options.order_seed(params).0.to_string()),
            ("random numbers", kind.into()),
            ("learning rates at first", self.runs.describe_rates()),
            ("schedule", self.schedule.clone()),
            ("early stopping", stopping),
            ("ops of a step", step.op_counts()),
            ("sizes and options of a step", print),
        ];
        Ok(settings.map(|(name, value)| (name.to_string(), value)).into())
    }
}
