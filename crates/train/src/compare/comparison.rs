//! Result of comparing a recorded PyTorch step with the same step in wgrad.

use std::fmt;

use wgrad_core::{Deviation, Lockstep, Shape, Site};

/// Stage of a training step in which a compared value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparedStage {
    /// Output of a module.
    Output,
    /// Loss.
    Loss,
    /// Gradient of a parameter.
    Gradient,
    /// Parameter or buffer after the step.
    Updated,
}

/// Value of a recorded step, compared with wgrad's value for the same inputs.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Stage of the step.
    pub stage: ComparedStage,
    /// Name of the module, parameter or buffer. If a module is called several times, `NAME#0` is the first call.
    pub name: String,
    /// Source line of the op that computes the value.
    pub site: Site,
    /// Shape of the value.
    pub shape: Shape,
    /// Element with the largest deviation relative to its bound. It contains the value that PyTorch recorded, the
    /// value that wgrad computes in `f64`, and the bound, which is the largest rounding error of a run in `f32`.
    pub worst: Option<Deviation>,
    /// Modules that PyTorch called after it computed the previous value in the list and before it computed this
    /// one. Their outputs cannot be compared, but these modules may be the cause of a difference.
    pub unseen: Vec<String>,
}

impl fmt::Display for Compared {
    /// Writes the stage and the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            ComparedStage::Output => write!(f, "output of `{}`", self.name),
            ComparedStage::Loss => f.write_str("loss"),
            ComparedStage::Gradient => write!(f, "gradient of `{}`", self.name),
            ComparedStage::Updated => write!(f, "updated `{}`", self.name),
        }
    }
}

impl Compared {
    /// Returns whether PyTorch's value differs from wgrad's by more than rounding explains.
    pub fn differs(&self) -> bool {
        self.worst.is_some_and(|worst| worst.fails())
    }
}

/// Result of [`Recording::compare`](crate::Recording::compare).
#[derive(Clone, Debug)]
pub struct Comparison {
    /// All compared values, in the order of execution: outputs of modules, the loss, gradients from the last
    /// parameter to the first, then updated parameters and buffers.
    pub compared: Vec<Compared>,
    /// Recorded values that cannot be compared. These are outputs of modules for which wgrad has no output of the
    /// same name and shape, and parameters whose exact gradient is always 0, such as a bias before a batch norm,
    /// for which PyTorch records rounding errors.
    pub skipped: Vec<String>,
    /// Comparison of the same step, run node by node on the session's device, with a reference on the host.
    pub lockstep: Lockstep,
}

impl Comparison {
    /// Returns the first value that differs.
    pub fn first_difference(&self) -> Option<&Compared> {
        self.compared.iter().find(|compared| compared.differs())
    }

    /// Returns whether no value differs and the device agrees with the reference.
    pub fn passes(&self) -> bool {
        self.first_difference().is_none() && self.lockstep.passes()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |stage: ComparedStage| self.compared.iter().filter(|compared| compared.stage == stage).count();
        match self.first_difference() {
            None => write!(
                f,
                "agrees with PyTorch: {} outputs, the loss, {} gradients and {} updated values",
                count(ComparedStage::Output),
                count(ComparedStage::Gradient),
                count(ComparedStage::Updated)
            )?,
            Some(first) => {
                let Compared { site, shape, worst, unseen, .. } = first;
                write!(f, "differs from PyTorch, first in the {first} {shape}")?;
                if let Some(worst) = worst {
                    let Deviation { at, got, truth, bound } = *worst;
                    write!(
                        f,
                        "\n  PyTorch has {got:.9e} at element {at}, here it is {truth:.9e}: {:.2e} apart, rounding explains \
                         {bound:.2e}",
                        worst.error()
                    )?;
                }
                let more: Vec<_> = self.compared.iter().filter(|compared| compared.differs()).skip(1).collect();
                let names: Vec<_> = more.iter().take(5).map(ToString::to_string).collect();
                if !names.is_empty() {
                    let rest = more.len() - names.len();
                    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
                    write!(f, "\n  after it: {}{rest}", names.join(", "))?;
                }
                if !unseen.is_empty() {
                    let unseen = unseen.join("`, `");
                    write!(f, "\n  the fault may be before it: `{unseen}` cannot be compared")?;
                }
                write!(f, "\n  at {site}")?;
            }
        }
        if !self.skipped.is_empty() {
            write!(f, "\nnot compared: {}", self.skipped.join(", "))?;
        }
        write!(f, "\n{}", self.lockstep)
    }
}
