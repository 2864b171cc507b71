//! A step of PyTorch beside wgrad's: what was compared, and what it says.

use std::fmt;

use wgrad_core::{Deviation, Lockstep, Shape, Site};

/// What of a step is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The output of a module.
    Output,
    /// The loss.
    Loss,
    /// The gradient of a parameter.
    Gradient,
    /// A parameter or buffer after the step.
    Updated,
}

/// A value of the recorded step beside what wgrad makes of the same inputs.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What it is.
    pub stage: Stage,
    /// The module's, parameter's or buffer's name. Of a module that is called several times, `NAME#0` is the first call.
    pub name: String,
    /// The line of the program that it comes from.
    pub site: Site,
    /// Its shape.
    pub shape: Shape,
    /// The element that is furthest out: what PyTorch recorded, what wgrad computes in `f64`, and how far a run in `f32` may
    /// be from that.
    pub worst: Option<Deviation>,
    /// Modules that PyTorch called since the value before this one and that cannot be compared: a difference may be theirs.
    pub unseen: Vec<String>,
}

impl fmt::Display for Compared {
    /// What it is, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Stage::Output => write!(f, "output of `{}`", self.name),
            Stage::Loss => f.write_str("loss"),
            Stage::Gradient => write!(f, "gradient of `{}`", self.name),
            Stage::Updated => write!(f, "updated `{}`", self.name),
        }
    }
}

impl Compared {
    /// Whether PyTorch's value is further from wgrad's than rounding explains.
    pub fn differs(&self) -> bool {
        self.worst.is_some_and(|worst| worst.fails())
    }
}

/// What [`Recording::compare`](crate::Recording::compare) found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// All values that both have, in the order of execution: outputs, the loss, gradients from the last module to the first,
    /// what the step left.
    pub compared: Vec<Compared>,
    /// What was recorded and cannot be compared: modules that have no counterpart of the same name and shape here, and
    /// parameters whose gradient is 0 by construction, such as a bias before a batch norm, where PyTorch adds up rounding
    /// errors.
    pub skipped: Vec<String>,
    /// The same step on the session's device, held to the reference.
    pub lockstep: Lockstep,
}

impl Comparison {
    /// The first value that differs.
    pub fn first_difference(&self) -> Option<&Compared> {
        self.compared.iter().find(|compared| compared.differs())
    }

    /// Whether nothing differs, and the device is right, too.
    pub fn passes(&self) -> bool {
        self.first_difference().is_none() && self.lockstep.passes()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |stage: Stage| self.compared.iter().filter(|compared| compared.stage == stage).count();
        match self.first_difference() {
            None => write!(
                f,
                "as PyTorch: {} outputs, the loss, {} gradients and {} updated values agree",
                count(Stage::Output),
                count(Stage::Gradient),
                count(Stage::Updated)
            )?,
            Some(first) => {
                let Compared { site, shape, worst, unseen, .. } = first;
                write!(f, "not as PyTorch: first differs the {first} {shape}")?;
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
