//! Fixes that error messages suggest.

use std::fmt;

/// Suggestion at the end of an error message. `Display` writes it for Rust programs, as a function call or a short
/// sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrainFix {
    /// Resume from the checkpoints in the folder.
    Resume,
    /// Begin a new training run in the folder, and remove the checkpoints in it.
    Overwrite,
    /// Write checkpoints into another folder.
    OtherFolder,
    /// Resume with the same model, data and settings as the checkpoint, or begin a new training run.
    SameTraining,
    /// Begin a new training run in another folder.
    BeginElsewhere,
    /// Resume from a folder that has checkpoints, or begin a new training run.
    CheckpointFolder,
    /// Free some space on the disk, or write into another folder.
    FreeSpace,
    /// Write into a folder with write permission.
    WritableFolder,
    /// Load the file with `params.load`, because it contains only weights.
    LoadWeights,
    /// Use the version of wgrad that wrote the file.
    SameVersion,
    /// Use a smaller learning rate.
    LowerLearningRate,
    /// Standardise the features.
    Standardize,
    /// Avoid logarithms, divisions and roots of numbers that can be 0 or negative in the loss.
    SafeLoss,
    /// Clip gradients to this norm.
    ClipGradNorm(f64),
    /// Set the trainer's optimizer.
    Optimizer,
    /// Set the trainer's schedule.
    Schedule,
    /// Accumulate the gradients of this many batches per update.
    Accumulate(usize),
    /// Train with class numbers as targets, the cross-entropy loss and one output per class.
    ClassTargets {
        /// Number of classes.
        classes: usize,
    },
    /// Search for the learning rate before the first fit.
    FindRateFirst,
    /// Change the number of outputs of the last layer to fit the number of classes.
    Outputs {
        /// Number of classes.
        classes: usize,
    },
    /// Train the model again, which writes a new file.
    TrainAgain,
    /// Record a PyTorch step with `examples/record_pytorch.py`.
    Record,
    /// Set the probability of every dropout layer to 0.
    NoDropout,
    /// Split the rows so that each part has rows of all classes.
    SplitByClass,
    /// Leave a class out of the data.
    LeaveClassOut,
    /// Set a weight for each class in the cross-entropy loss.
    ClassWeights,
    /// Use a layer with a bias.
    LayerWithBias,
}

impl fmt::Display for TrainFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resume => "Trainer::resume(folder)",
            Self::Overwrite => "Checkpoints::overwrite(true)",
            Self::OtherFolder => "another folder",
            Self::SameTraining => {
                "resume with the same model, data and settings; or begin anew, from its weights if you like: \
                 Load::from(checkpoint).strict(false).apply(&params)"
            }
            Self::BeginElsewhere => "begin anew in another folder",
            Self::CheckpointFolder => "give the folder of Checkpoints::new, or begin anew without `resume`",
            Self::FreeSpace => "free some space, or choose another folder",
            Self::WritableFolder => "choose a folder that can be written",
            Self::LoadWeights => "load weights with params.load",
            Self::SameVersion => "resume with the wgrad that wrote it, or begin anew",
            Self::LowerLearningRate => "a smaller learning rate",
            Self::Standardize => "standardised features (Table does that unless told not to)",
            Self::SafeLoss => "no log, division or root of what can be 0 or negative in the loss",
            Self::ClipGradNorm(norm) => return write!(f, "AdamW::new(lr).clip_grad_norm({norm:?})"),
            Self::Optimizer => "Trainer::new(…).optimizer(AdamW::new(1e-3))",
            Self::Schedule => "Trainer::new(…).schedule(…)",
            Self::Accumulate(batches) => return write!(f, "Trainer::accumulate({batches})"),
            Self::ClassTargets { classes } => {
                return write!(f, "use Targets::Classes, CrossEntropyLoss and a model with {classes} outputs");
            }
            Self::FindRateFirst => "find the rate before the first fit",
            Self::Outputs { classes } => {
                let one = if *classes == 2 { "1 or " } else { "" };
                return write!(f, "give the model's last layer {one}{classes} outputs");
            }
            Self::TrainAgain => "train the model again",
            Self::Record => "make one with examples/record_pytorch.py: record(path, model, optimizer, loss_fn, x, y)",
            Self::NoDropout => "set the probability of every dropout to 0, here and in the model that is recorded",
            Self::SplitByClass => "split the rows with all classes in each part",
            Self::LeaveClassOut => "or leave the class out of the data",
            Self::ClassWeights => "give the cross-entropy loss a weight per class",
            Self::LayerWithBias => "Linear::new has one",
        })
    }
}
