//! Errors of training. Their fields contain the facts from which the messages are written.
//!
//! Functions of this crate return [`wgrad_core::Error`], which wraps a [`TrainError`];
//! `error.facts::<TrainError>()` returns the wrapped error. A message ends with suggested fixes. With
//! [`TrainError::message`], a program can write each [`TrainFix`] in its own way, for example as an option of its
//! command line; `Display` writes it as a Rust call.
//!
//! ```
//! use wgrad_core::{CpuBackend, Params};
//! use wgrad_data::Dataset;
//! use wgrad_train::error::{TrainSettingError, TrainError};
//! use wgrad_train::{Silent, Trainer};
//! let data = Dataset::new(["x"], vec![0.0, 1.0], vec![0, 1], ["low", "high"])?;
//! let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &Params::seeded(7)).progress(Silent);
//! let error = trainer.fit(&data, 1, |x, _| x.mean_all()).unwrap_err();
//! let facts = error.facts::<TrainError>().unwrap();
//! assert!(matches!(facts, TrainError::Setting(TrainSettingError::NoOptimizer)));
//! assert_eq!(facts.message(&|_| "--optimizer".into()), "there is no optimizer\n  fix: --optimizer");
//! # Ok::<(), wgrad_core::Error>(())
//! ```

mod checkpoint;
mod fix;
mod loss;
mod model;
mod prior;
mod recording;
mod scores;
mod setting;
mod text;

use std::fmt;

use wgrad_core::Error;

pub use checkpoint::{CheckpointError, Damage, Difference};
pub use fix::TrainFix;
pub use loss::{NonFiniteLoss, NonFiniteOrigin};
pub use model::ModelError;
pub use prior::PriorError;
pub use recording::{Mismatch, RecordingError};
pub use scores::ScoresError;
pub use setting::TrainSettingError;
use text::Say;
pub(crate) use text::Text;

/// Error of training, evaluation, checkpoints or reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss of a training step is infinite or NaN.
    LossNotFinite(NonFiniteLoss),
    /// A setting is missing, outside its range, or contradicts another setting.
    Setting(TrainSettingError),
    /// A checkpoint cannot be written or read, or the training cannot resume from it.
    Checkpoint(CheckpointError),
    /// A model's output or input has the wrong shape, or an output is not finite.
    Model(ModelError),
    /// The scores (logits and labels) of a report are invalid, or cannot be compared, written or read.
    Scores(ScoresError),
    /// Class shares (fractions of rows in each class), class weights or biases are invalid.
    Prior(PriorError),
    /// A recorded PyTorch step cannot be read or compared.
    Recording(RecordingError),
    /// The background thread that gathers rows for the next steps has ended unexpectedly.
    GatherEnded,
}

impl TrainError {
    /// Returns the message, in which `say` converts each fix to text.
    pub fn message(&self, say: &dyn Fn(&TrainFix) -> String) -> String {
        let text = self.text();
        match &self.fixes(say)[..] {
            [] => text,
            [fix] => format!("{text}\n  fix: {fix}"),
            fixes => {
                let numbered = fixes.iter().enumerate().map(|(i, fix)| format!("\n    {}. {fix}", i + 1));
                format!("{text}\n  fixes:{}", numbered.collect::<String>())
            }
        }
    }

    /// Returns the error that this error wraps, if any.
    fn family(&self) -> Option<&dyn Text> {
        match self {
            Self::LossNotFinite(loss) => Some(loss),
            Self::Setting(error) => Some(error),
            Self::Checkpoint(error) => Some(error),
            Self::Model(error) => Some(error),
            Self::Scores(error) => Some(error),
            Self::Prior(error) => Some(error),
            Self::Recording(error) => Some(error),
            Self::GatherEnded => None,
        }
    }
}

impl Text for TrainError {
    fn text(&self) -> String {
        match self.family() {
            Some(family) => family.text(),
            None => "the thread that gathers rows has ended".into(),
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        self.family().map_or_else(Vec::new, |family| family.fixes(say))
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&ToString::to_string))
    }
}

impl std::error::Error for TrainError {}

impl From<TrainError> for Error {
    fn from(error: TrainError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl From<NonFiniteLoss> for Error {
    fn from(loss: NonFiniteLoss) -> Self {
        TrainError::LossNotFinite(loss).into()
    }
}

impl From<TrainSettingError> for Error {
    fn from(error: TrainSettingError) -> Self {
        TrainError::Setting(error).into()
    }
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        TrainError::Checkpoint(error).into()
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        TrainError::Model(error).into()
    }
}

impl From<ScoresError> for Error {
    fn from(error: ScoresError) -> Self {
        TrainError::Scores(error).into()
    }
}

impl From<PriorError> for Error {
    fn from(error: PriorError) -> Self {
        TrainError::Prior(error).into()
    }
}

impl From<RecordingError> for Error {
    fn from(error: RecordingError) -> Self {
        TrainError::Recording(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_option(fix: &TrainFix) -> String {
        match fix {
            TrainFix::Resume => "--resume".into(),
            TrainFix::Overwrite => "--overwrite".into(),
            other => other.to_string(),
        }
    }

    #[test]
    fn a_program_writes_fixes_in_its_own_way() {
        let (folder, latest) = ("run".into(), "step-000000000008.safetensors".into());
        let error = TrainError::Checkpoint(CheckpointError::FolderInUse { folder, latest });
        let begin = "run has checkpoints of another training, up to step-000000000008.safetensors\n  fixes:\n";
        assert_eq!(
            error.to_string(),
            format!(
                "{begin}    1. go on with it: Trainer::resume(folder)\n    2. begin anew and remove them: \
                 Checkpoints::overwrite(true)\n    3. another folder"
            )
        );
        assert_eq!(
            error.message(&as_option),
            format!(
                "{begin}    1. go on with it: --resume\n    2. begin anew and remove them: --overwrite\n    3. another \
                 folder"
            )
        );
    }

    #[test]
    fn facts_come_back_from_the_error_of_the_core() {
        let loss = NonFiniteLoss { loss: f64::NAN, epoch: 2, step: 7, origin: NonFiniteOrigin::NotReproduced };
        let error = Error::from(loss);
        let Some(TrainError::LossNotFinite(facts)) = error.facts() else { panic!("{error}") };
        assert_eq!((facts.epoch, facts.step), (2, 7));
        assert!(error.to_string().starts_with("the loss is NaN in step 7 of epoch 2; the model is as it was then\n"));
        assert!(error.to_string().ends_with("\n    4. clipped gradients: AdamW::new(lr).clip_grad_norm(1.0)"));
    }
}
