//! The plans of a fit: one per batch size, traced from the same closure.

use std::collections::HashMap;
use std::panic::Location;

use wgrad_core::{Array, DType, Error, Graph, Init, Kind, Mode, Params, Result, Session, Step, Tensor};

use crate::data::Dataset;
use crate::optim::Optimizer;

/// In which form the loss gets the classes of a batch of `N` rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Targets {
    /// [`Self::Binary`] for two classes, [`Self::Classes`] for more.
    #[default]
    Automatic,
    /// `f32[N, 1]`, 1 for the positive class: what `BceWithLogitsLoss` takes with a model of one output.
    Binary,
    /// `u32[N]`: what `CrossEntropyLoss` takes with a model of one output per class.
    Classes,
}

impl Targets {
    /// Settles the automatic choice.
    ///
    /// # Errors
    /// When the dataset has no two classes but the targets are binary.
    pub(super) fn of(self, data: &Dataset) -> Result<Self> {
        let classes = data.classes();
        match self {
            Self::Automatic | Self::Binary if classes.len() == 2 => Ok(Self::Binary),
            Self::Automatic | Self::Classes => Ok(Self::Classes),
            Self::Binary => Err(Error::Config(format!(
                "binary targets need 2 classes, but there are {}: {}\n  fix: use Targets::Classes, CrossEntropyLoss \
                 and a model with {} outputs",
                classes.len(),
                classes.join(", "),
                classes.len()
            ))),
        }
    }

    #[track_caller]
    fn input(self, graph: &Graph, rows: usize) -> Tensor {
        match self {
            Self::Classes => graph.input("y", [rows], DType::U32),
            _ => graph.input("y", [rows, 1], DType::F32),
        }
    }

    fn array(self, labels: Vec<u32>) -> Result<Array> {
        match self {
            Self::Classes => Ok(Array::vector(labels)),
            #[allow(clippy::cast_precision_loss, reason = "0 and 1")]
            _ => Array::new([labels.len(), 1], labels.into_iter().map(|label| label as f32).collect()),
        }
    }
}

/// The features of some rows, row by row.
pub(super) fn gather(x: &[f32], features: usize, rows: &[u32]) -> Result<Array> {
    let mut values = Vec::with_capacity(rows.len() * features);
    for &row in rows {
        values.extend_from_slice(&x[row as usize * features..][..features]);
    }
    Array::new([rows.len(), features], values)
}

/// A compiled step over a fixed number of rows.
struct Compiled {
    x: Tensor,
    y: Tensor,
    step: Step,
}

/// The steps of one closure over one dataset, compiled when they are first needed.
pub(super) struct Steps<'a, L> {
    pub loss: L,
    pub targets: Targets,
    /// None to evaluate.
    pub optimizer: Option<&'a dyn Optimizer>,
    /// The user's line that asked for the steps.
    caller: &'static Location<'static>,
    compiled: HashMap<usize, Compiled>,
}

impl<'a, L: Fn(&Tensor, &Tensor) -> Tensor> Steps<'a, L> {
    pub fn new(
        loss: L,
        targets: Targets,
        optimizer: Option<&'a dyn Optimizer>,
        caller: &'static Location<'static>,
    ) -> Self {
        Self { loss, targets, optimizer, caller, compiled: HashMap::new() }
    }

    fn compile(&self, session: &mut Session, params: &Params, rows: usize, features: usize) -> Result<Compiled> {
        let graph = Graph::new(if self.optimizer.is_some() { Mode::Train } else { Mode::Evaluate });
        let _scope = graph.scope_of_library("", self.caller, crate::source());
        let x = graph.input("x", [rows, features], DType::F32);
        let y = self.targets.input(&graph, rows);
        let loss = (self.loss)(&x, &y);
        let Some(optimizer) = self.optimizer else {
            let step = session.compile(&graph, &[&loss])?;
            return Ok(Compiled { x, y, step });
        };
        optimizer.minimize(&loss);
        graph.check()?;
        let total = total(params);
        #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 rows")]
        let sum = graph.variable(&total) + loss.detach().reshape_to([]) * rows as f64;
        graph.update(&total, &sum);
        let step = session.compile(&graph, &[&loss, &sum])?;
        Ok(Compiled { x, y, step })
    }

    /// Submits a step over some rows.
    pub fn submit(&mut self, session: &mut Session, params: &Params, data: &Dataset, rows: &[u32]) -> Result<()> {
        if !self.compiled.contains_key(&rows.len()) {
            let compiled = self.compile(session, params, rows.len(), data.features())?;
            self.compiled.insert(rows.len(), compiled);
        }
        let at = &self.compiled[&rows.len()];
        let x = gather(data.x(), data.features(), rows)?;
        let y = self.targets.array(rows.iter().map(|&row| data.y()[row as usize]).collect())?;
        session.submit(&at.step, &[(&at.x, &x), (&at.y, &y)])
    }

    /// What the last step over this many rows left: its loss and, when training, the sum since the last reset.
    pub fn fetch(&self, session: &mut Session, rows: usize) -> Result<Vec<f64>> {
        session.fetch(&self.compiled[&rows].step)?.iter().map(Array::item).collect()
    }
}

/// The sum of the losses of an epoch, times their rows: kept on the device, so that no step waits for it.
fn total(params: &Params) -> wgrad_core::Variable {
    params.at("train").variable("loss_sum", [], Kind::State, Init::Constant(0.0))
}

/// Begins the sum of the losses anew.
pub(super) fn reset_total(params: &Params) -> Result<()> {
    total(params).set(Array::scalar(0f32))
}
