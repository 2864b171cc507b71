//! The plans of a fit: one per batch size, traced from the same closure; and how they are run, many steps at a time.
//!
//! A data set that fits is uploaded once, and a step is fed the numbers of its rows; of a larger one, the rows
//! themselves, which a thread gathers one portion ahead. Either way the host prepares the next steps while the device runs the last ones.

use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::sync::Arc;

use wgrad_core::{Array, DType, Error, Fetching, Graph, Limits, Mode, Result, Session, Shape, Step, Tensor};
use wgrad_kernels::ops::GatherOps;

use super::prefetch::in_order;
use crate::data::Dataset;
use crate::optim::{Ema, Optimizer};

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

    /// The targets of rows with these labels, in a shape that begins with `dims`.
    fn array(self, dims: &[usize], labels: Vec<u32>) -> Result<Array> {
        match self {
            Self::Classes => Array::new(dims, labels),
            #[allow(clippy::cast_precision_loss, reason = "0 and 1")]
            _ => Array::new([dims, &[1]].concat(), labels.into_iter().map(|label| label as f32).collect()),
        }
    }
}

/// What a run over these rows is fed: their numbers if the data is on the device, else features and targets, in shapes
/// that begin with `dims`.
fn feeds(data: &Dataset, targets: Targets, resident: bool, dims: &[usize], rows: &[u32]) -> Result<Vec<Array>> {
    if resident {
        return Ok(vec![Array::new(dims, rows.to_vec())?]);
    }
    let x = Array::new([dims, &[data.features()]].concat(), data.gather(rows)?)?;
    Ok(vec![x, targets.array(dims, rows.iter().map(|&row| data.y()[row as usize]).collect())?])
}

/// The most bytes of features that are kept on a device, if its largest binding is not smaller than four times that.
const RESIDENT: u64 = 1 << 30;

/// Steps that go to the device at once.
const PORTION: usize = 64;

/// Bytes of rows that are fed at once.
const FED: usize = 8 << 20;

/// Whether a dataset's features are kept on a device of these limits.
pub(super) fn fits(data: &Dataset, limits: &Limits) -> bool {
    !data.is_on_disk() && data.feature_bytes() <= RESIDENT.min(limits.binding_bytes / 4)
}

/// What a step does with its gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gradients {
    /// Updates the parameters, or there are none in an evaluation.
    Use,
    /// Adds them up for a later step.
    Accumulate,
    /// Updates the parameters with all that were added up.
    UseAll,
}

/// A compiled step over a fixed number of rows.
struct Compiled {
    /// The numbers of the rows, or features and targets; with accumulation, the share of the loss.
    inputs: Vec<Tensor>,
    step: Step,
}

/// Steps that go to the device at once: rows in their order, those of each step, and the share of each step's loss in
/// that of the update.
struct Work<'o> {
    rows: &'o [u32],
    size: usize,
    gradients: Gradients,
    share: f64,
}

impl<'o> Work<'o> {
    /// An epoch of batches of `size` rows, at most `steps` of them at once, with an update after every `accumulate`.
    fn of(order: &'o [u32], size: usize, steps: usize, accumulate: usize) -> Vec<Self> {
        if accumulate == 1 {
            let work = |rows, size| Self { rows, size, gradients: Gradients::Use, share: 1.0 };
            let (full, rest) = order.split_at(order.len() / size * size);
            let full = full.chunks(size * steps).map(|rows| work(rows, size));
            return full.chain((!rest.is_empty()).then(|| work(rest, rest.len()))).collect();
        }
        let mut all = vec![];
        for rows in order.chunks(size * accumulate) {
            #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 rows")]
            let share = |size: usize| size as f64 / rows.len() as f64;
            let (before, last) = rows.split_at((rows.len() - 1) / size * size);
            for rows in before.chunks(size * steps) {
                all.push(Self { rows, size, gradients: Gradients::Accumulate, share: share(size) });
            }
            all.push(Self { rows: last, size: last.len(), gradients: Gradients::UseAll, share: share(last.len()) });
        }
        all
    }
}

/// The steps of one closure over one dataset, compiled when they are first needed.
pub(super) struct Steps<'a, L> {
    loss: L,
    data: &'a Dataset,
    targets: Targets,
    /// None to evaluate.
    training: Option<Training<'a>>,
    /// Features and targets of all rows, if they are kept on the device.
    resident: Option<[Arc<Array>; 2]>,
    /// The user's line that asked for the steps.
    caller: &'static Location<'static>,
    compiled: HashMap<(usize, Gradients), Compiled>,
}

/// How steps train.
#[derive(Clone, Copy)]
pub(super) struct Training<'a> {
    pub optimizer: &'a dyn Optimizer,
    pub ema: Option<&'a Ema>,
    /// Batches of one update.
    pub accumulate: usize,
}

/// Steps under way.
struct Portion {
    losses: Fetching,
    /// Rows of each step.
    rows: usize,
}

impl<'a, L: Fn(&Tensor, &Tensor) -> Tensor> Steps<'a, L> {
    pub fn new(
        loss: L,
        data: &'a Dataset,
        targets: Targets,
        training: Option<Training<'a>>,
        resident: bool,
        caller: &'static Location<'static>,
    ) -> Result<Self> {
        let arrays = || -> Result<_> {
            Ok([data.x_shared(), Arc::new(targets.array(&[data.rows()], data.y().to_vec())?)])
        };
        let resident = resident.then(arrays).transpose()?;
        Ok(Self { loss, data, targets, training, resident, caller, compiled: HashMap::new() })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.data.rows()
    }

    fn compile(&self, session: &mut Session, rows: usize, gradients: Gradients) -> Result<Compiled> {
        let graph = Graph::new(if self.training.is_some() { Mode::Train } else { Mode::Evaluate });
        let _scope = graph.scope_of_library("", self.caller, crate::source());
        let (mut inputs, x, y) = if let Some([x, y]) = &self.resident {
            let index = graph.input("rows", [rows], DType::U32);
            let [x, y] = [x, y].map(|array| graph.array(array.clone()).gather_rows(&index));
            (vec![index], x, y)
        } else {
            let x = graph.input("x", [rows, self.data.features()], DType::F32);
            let y = self.targets.input(&graph, rows);
            (vec![x.clone(), y.clone()], x, y)
        };
        let loss = (self.loss)(&x, &y);
        if let Some(Training { optimizer, ema, .. }) = self.training {
            let mut share = || {
                inputs.push(graph.input("share", Shape::scalar(), DType::F32));
                &loss * &inputs[inputs.len() - 1]
            };
            match gradients {
                Gradients::Use => optimizer.minimize(&loss),
                Gradients::Accumulate => optimizer.accumulate(&share()),
                Gradients::UseAll => optimizer.minimize_accumulated(&share()),
            }
            if let Some(ema) = ema.filter(|_| gradients != Gradients::Accumulate) {
                ema.update(&graph);
            }
        }
        let step = session.compile(&graph, &[&loss])?;
        Ok(Compiled { inputs, step })
    }

    /// Begins some steps.
    fn start(&mut self, session: &mut Session, work: &Work<'_>, mut feeds: Vec<Array>) -> Result<Portion> {
        let &Work { rows, size, gradients, share } = work;
        let key = (size, gradients);
        if !self.compiled.contains_key(&key) {
            let compiled = self.compile(session, size, gradients)?;
            self.compiled.insert(key, compiled);
        }
        let steps = rows.len() / size;
        feeds.push(Array::scalar(share));
        let Compiled { inputs, step } = &self.compiled[&key];
        // Without accumulation there is no input for the share.
        let feeds: Vec<_> = inputs.iter().zip(&feeds).collect();
        Ok(Portion { losses: session.run_many_later(step, steps, &feeds)?, rows: size })
    }

    /// Runs a step over each `size` rows of `order`, the last of which may be fewer. Gives the mean loss of the rows; each
    /// step's loss goes to `seen` with the step's number, from 1: soon, or if `wait` before the next step begins.
    pub fn run(
        &mut self,
        session: &mut Session,
        order: &[u32],
        size: usize,
        wait: bool,
        mut seen: impl FnMut(usize, f64),
    ) -> Result<f64> {
        let bytes = size * self.data.features() * size_of::<f32>();
        let steps = match self.resident {
            _ if wait => 1,
            Some(_) => PORTION,
            None => PORTION.min(FED / bytes.max(1)).max(1),
        };
        let (mut sum, mut done, mut under_way) = (0.0, 0, VecDeque::new());
        let mut settle = |portion: Portion| -> Result<()> {
            for loss in portion.losses.wait()?[0].to_f64() {
                #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 rows")]
                let rows = portion.rows as f64;
                (sum, done) = (sum + loss * rows, done + 1);
                seen(done, loss);
            }
            Ok(())
        };
        let accumulate = self.training.map_or(1, |training| training.accumulate);
        let (data, targets, resident) = (self.data, self.targets, self.resident.is_some());
        let make = |work: &Work<'_>| feeds(data, targets, resident, &[work.rows.len() / work.size, work.size], work.rows);
        let start = |work: &Work<'_>, feeds| {
            under_way.push_back(self.start(session, work, feeds)?);
            if wait || under_way.len() > 1 { under_way.pop_front().map_or(Ok(()), &mut settle) } else { Ok(()) }
        };
        in_order(&Work::of(order, size, steps, accumulate), !resident, make, start)?;
        under_way.into_iter().try_for_each(settle)?;
        #[allow(clippy::cast_precision_loss, reason = "no dataset has 2^53 rows")]
        Ok(sum / order.len() as f64)
    }
}
