//! The options about which variants of kernels run, for the commands that compute.

use std::path::PathBuf;

use wgrad_core::{Result, TuningChoices};
use wgrad_kernels::{Device, cache_folder, load_choices};

use crate::model::Model;
use crate::output::{count, note};

/// Which variants of kernels run; for the commands that compute.
#[derive(Debug, clap::Args)]
pub struct Stored {
    /// Ignore what `wgrad tune` found for the device.
    #[arg(long)]
    no_tuning: bool,
    /// Run the variants of kernels that a saved model was trained with, and no others that `wgrad tune` found: on the
    /// same device and driver, the same training gives the same bits again.
    #[arg(long, value_name = "DIR", conflicts_with = "no_tuning")]
    variants_of: Option<PathBuf>,
}

impl Stored {
    /// The device with the variants to run, and a line about them unless `quiet`.
    ///
    /// # Errors
    /// When the model whose variants are wanted cannot be read.
    pub fn apply(&self, device: Device, quiet: bool) -> Result<Device> {
        let info = device.info();
        if self.no_tuning || info.kind != "gpu" {
            return Ok(device);
        }
        let mut choices = TuningChoices::default();
        let from = match (&self.variants_of, cache_folder()) {
            (Some(folder), _) => {
                choices.extend(Model::describe(folder)?.training.variants);
                format!("of {}", folder.display())
            }
            (None, Some(folder)) => {
                choices = load_choices(folder, &info);
                "by `wgrad tune`; --no-tuning ignores them".into()
            }
            (None, None) => return Ok(device),
        };
        if !quiet && !choices.is_empty() {
            note(&format!("tuning: {} of {} ({from})", count(choices.len(), "choice"), info.adapter));
        }
        Ok(device.choosing(choices))
    }

    /// The same for a process that this command starts.
    pub fn options(&self) -> Vec<&str> {
        let folder = self.variants_of.as_ref().and_then(|folder| folder.to_str());
        let folder = folder.map(|folder| ["--variants-of", folder]);
        self.no_tuning.then_some("--no-tuning").into_iter().chain(folder.into_iter().flatten()).collect()
    }
}
