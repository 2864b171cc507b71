//! Options that select kernel variants, for all commands that run kernels.

use std::path::PathBuf;

use wgrad_core::{Result, TuningChoices};
use wgrad_kernels::{Device, cache_folder, load_choices};

use crate::model::Model;
use crate::output::{count, note};

/// Options that select kernel variants.
#[derive(Debug, clap::Args)]
pub struct Stored {
    /// Do not use the kernel variants that `wgrad tune` stored for the device.
    #[arg(long)]
    no_tuning: bool,
    /// Use the kernel variants that this saved model was trained with, and none that `wgrad tune` stored: on the same
    /// device and driver, the same training then gives the same model, bit for bit.
    #[arg(long, value_name = "DIR", conflicts_with = "no_tuning")]
    variants_of: Option<PathBuf>,
}

impl Stored {
    /// Returns the device with the selected variants. Prints a note about the selection unless `quiet` is `true`.
    ///
    /// # Errors
    /// If the saved model that `--variants-of` names cannot be read.
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

    /// Returns the command-line options that pass the same selection to a child process.
    pub fn options(&self) -> Vec<&str> {
        let folder = self.variants_of.as_ref().and_then(|folder| folder.to_str());
        let folder = folder.map(|folder| ["--variants-of", folder]);
        self.no_tuning.then_some("--no-tuning").into_iter().chain(folder.into_iter().flatten()).collect()
    }
}
