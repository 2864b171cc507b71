//! What has to be the same for a training to go on from a checkpoint, as words that people can compare.

use std::collections::BTreeMap;

use wgrad_core::Result;

use super::Trainer;
use super::fit::Job;
use wgrad_data::{Dataset, Sampler};

/// Each setting under its name.
pub(super) type Settings = BTreeMap<String, String>;

impl Trainer<'_> {
    /// What has to be the same for a training to go on as it would have.
    pub(super) fn settings(&mut self, job: &Job<'_>) -> Result<Settings> {
        if let Some(known) = &self.saving.settings {
            return Ok(known.clone());
        }
        let step = self.saving.step.as_ref();
        let ops = step.map(wgrad_core::Graph::op_counts).unwrap_or_default();
        let print = step.map(|graph| format!("checksum {:08x}", crc32fast::hash(graph.to_text().as_bytes())));
        let rates = self.past.rates.iter().flatten().map(|rate| {
            let [lr, momentum] = rate.map(f64::from_bits);
            if momentum.is_nan() { lr.to_string() } else { format!("{lr} and {momentum}") }
        });
        let seed = self.seed.map_or(self.params.seed(), |seed| seed.0);
        let schedule = self.past.schedule.clone().unwrap_or_else(|| "none".into());
        let kind = if self.as_torch() { "PyTorch's" } else { "wgrad's" };
        let validation = self.validation.as_ref().map_or_else(|| Ok("none".into()), describe)?;
        let sampler = self.sampler.as_ref().map_or("none".into(), Sampler::describe);
        let stopping = self.stopping.as_ref().map_or("none".into(), |stopping| format!("{stopping:?}"));
        let settings = [
            ("training rows", describe(job.data)?),
            ("validation rows", validation),
            ("batch size", self.batch_size.to_string()),
            ("accumulated batches", self.accumulate.to_string()),
            ("shuffle", self.shuffle.to_string()),
            ("sampler", sampler),
            ("drop_last", self.drop_last.to_string()),
            ("seed of the order", seed.to_string()),
            ("random numbers", kind.into()),
            ("learning rates at first", rates.collect::<Vec<_>>().join(", ")),
            ("schedule", schedule),
            ("early stopping", stopping),
            ("ops of a step", ops),
            ("sizes and options of a step", print.unwrap_or_default()),
        ]
        .map(|(name, value)| (name.to_string(), value));
        let settings = Settings::from(settings);
        self.saving.settings = Some(settings.clone());
        Ok(settings)
    }
}

/// Rows, features, classes and a checksum of all values.
fn describe(data: &Dataset) -> Result<String> {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = vec![];
    // Wherever the features are, a few at a time.
    let rows: Vec<u32> = (0..u32::MAX).take(data.rows()).collect();
    for rows in rows.chunks(((1 << 14) / data.features().max(1)).max(1)) {
        let values = data.gather(rows)?;
        bytes.clear();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        hasher.update(&bytes);
    }
    for labels in data.y().chunks(1 << 14) {
        bytes.clear();
        bytes.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
        hasher.update(&bytes);
    }
    let (rows, features, classes) = (data.rows(), data.features(), data.classes().len());
    Ok(format!("{rows} of {features} features and {classes} classes, checksum {:08x}", hasher.finalize()))
}
