//! Options of `wgrad train`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::args::{number, whole};
use crate::model::{Loss, WIDEST};
use crate::train::classes::ClassArgs;
use crate::train::data::DataArgs;
use crate::train::decide::DecisionArgs;
use crate::train::running::RunArgs;
use crate::variants::Stored;

/// The arguments of `wgrad train`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The model is Linear, BatchNorm1d, ReLU and, with --dropout, Dropout per hidden layer, then Linear; \
    it is trained with AdamW. Every column but the target is a feature: numbers are standardised with the mean and deviation \
    of the training rows, true and false are 1 and 0, and text becomes a feature of 0 and 1 per category; dates are refused. The same seed on the same device gives the same model, \
    bit for bit."
)]
pub struct Args {
    /// The file with the rows: CSV with the column names in the first line; also Parquet or Arrow if the command was
    /// built with the feature `arrow`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The column to predict: numbers or text, one value per class.
    #[arg(long, value_name = "COLUMN")]
    pub target: String,
    /// The folder to save the model in; created if it does not exist. [default: FILE's name with -model]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The device that computes: auto, cpu, cpu-f64, gpu, or an adapter's name (see `wgrad devices`).
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// The seed of everything random: the split, the initial weights, the order of the rows, dropout.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print the result as one JSON object, as the last line of standard output; everything else goes to standard
    /// error.
    #[arg(long)]
    pub json: bool,
    /// Print only the result: no progress and no notes.
    #[arg(long)]
    pub quiet: bool,
    #[command(flatten)]
    pub stored: Stored,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub classes: ClassArgs,
    #[command(flatten)]
    pub decision: DecisionArgs,
    /// Write only the model: no report.html, no plots, no metrics.csv, no event file, no test scores.
    #[arg(long, help_heading = "Decision and report")]
    pub no_report: bool,
    #[command(flatten)]
    pub running: RunArgs,
    /// Compare the first STEPS steps (default 1) with the reference on this device, node by node, and save nothing.
    /// Prints the first node whose error exceeds its bound, and exits with code 1 in that case.
    #[arg(long, allow_negative_numbers = true, value_name = "STEPS", num_args = 0..=1, default_missing_value = "1", value_parser = whole(1, "at least 1"), help_heading = "Running")]
    pub lockstep: Option<usize>,
    /// With --lockstep: also repeat the step that PyTorch made in this recording (see the recorder in the examples),
    /// and name the first module that differs.
    #[arg(long, value_name = "FILE", requires = "lockstep", help_heading = "Running")]
    pub against: Option<PathBuf>,
    /// After STEPS steps (default 10), compare the gradients of the next one with finite differences, in f64 on the
    /// host, and save nothing. Prints a line per parameter, names the ops whose gradient is wrong, and exits with
    /// code 1 in that case.
    #[arg(long, allow_negative_numbers = true, value_name = "STEPS", num_args = 0..=1, default_missing_value = "10", value_parser = whole(0, "0 or more"), conflicts_with = "lockstep", help_heading = "Running")]
    pub audit: Option<usize>,
    /// Stop after this step as Ctrl-C does; for `wgrad verify-resume`.
    #[arg(long, hide = true)]
    pub stop_after: Option<u64>,
}

/// Options for the layers and the training of their weights.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model and training")]
pub struct ModelArgs {
    /// The widths of the hidden layers, separated by commas; `none` for a linear model.
    #[arg(long, value_name = "WIDTHS", default_value = "64,64")]
    pub hidden: Hidden,
    /// The number of passes over the training rows.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 30, value_parser = whole(1, "at least 1"))]
    pub epochs: usize,
    /// The number of rows per step.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 32, value_parser = whole(2, "at least 2, as batch norm needs two rows"))]
    pub batch_size: usize,
    /// The learning rate of AdamW.
    #[arg(long, allow_negative_numbers = true, value_name = "X", default_value_t = 1e-3, value_parser = number(|x| x > 0.0, "above 0"))]
    pub lr: f64,
    /// The weight decay of AdamW.
    #[arg(long, allow_negative_numbers = true, value_name = "X", default_value_t = 0.01, value_parser = number(|x| x >= 0.0, "0 or above"))]
    pub weight_decay: f64,
    /// The probability of dropout after each hidden layer; 0 for none.
    #[arg(long, allow_negative_numbers = true, value_name = "P", default_value_t = 0.0, value_parser = number(|x| (0.0..1.0).contains(&x), "at least 0 and below 1"))]
    pub dropout: f64,
    /// The loss function: binary cross-entropy (one logit, two classes) or cross-entropy (one logit per class).
    /// [default: bce for two classes, ce for more]
    #[arg(long, value_name = "bce|ce", hide_possible_values = true)]
    pub loss: Option<Loss>,
}

/// Widths of the hidden layers.
#[derive(Clone, Debug)]
pub struct Hidden(pub Vec<usize>);

impl FromStr for Hidden {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "none" {
            return Ok(Self(vec![]));
        }
        let width = |word: &str| word.trim().parse().ok().filter(|width| (1..=WIDEST).contains(width));
        let widths: Option<Vec<usize>> = word.split(',').map(width).collect();
        let wrong = || format!("widths from 1 to {WIDEST} with commas between them are needed, such as 64,64, or none");
        widths.map(Self).ok_or_else(wrong)
    }
}
