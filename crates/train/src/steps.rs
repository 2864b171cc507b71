//! The plans of a fit: one per batch size, traced from the same closure; and how they are run, many steps at a time.
//!
//! A data set that fits is uploaded once, and a step is fed the numbers of its rows; of a larger one, the rows
//! themselves, which a thread gathers one portion ahead. Either way the host prepares the next steps while the device runs the last ones.

use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use wgrad_core::{Array, DType, Error, Fetching, Graph, Limits, Mode, Result, Session, Shape, Step, Tensor};

use super::checkpoint::manifest::{Number, Numbers};
use super::prefetch::{Maker, with_maker};
use wgrad_data::Dataset;
use wgrad_nn::optim::{Ema, Optimizer};

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

/// Features, targets and share of the loss, in shapes that begin with `dims`.
fn rows_of(data: &Dataset, targets: Targets, work: &Work<'_>, dims: &[usize]) -> Result<Vec<Array>> {
    let x = Array::new([dims, &[data.features()]].concat(), data.gather(work.rows)?)?;
    let y = targets.array(dims, work.rows.iter().map(|&row| data.y()[row as usize]).collect())?;
    Ok(vec![x, y, Array::scalar(work.share)])
}

/// The most bytes of features that are kept on a device, if its largest binding is not smaller than four times that.
const RESIDENT: u64 = 1 << 30;

/// Steps that go to the device at once.
pub(super) const PORTION: usize = 64;

/// Bytes of rows that are fed at once.
pub(super) const FED: usize = 8 << 20;

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
    /// The names of what is fetched behind the loss.
    tracked: Arc<[String]>,
}

/// Steps that go to the device at once: rows in their order, those of each step, and the share of each step's loss in
/// that of the update.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Work<'o> {
    rows: &'o [u32],
    size: usize,
    gradients: Gradients,
    share: f64,
}

impl<'o> Work<'o> {
    /// The steps from number `from` on of an epoch of batches of `size` rows with an update after every `accumulate`: at
    /// least one, at most `steps`, and none that differs from the first in size or in what becomes of its gradients.
    fn at(order: &'o [u32], (size, accumulate): (usize, usize), from: usize, steps: usize) -> Self {
        let rest = &order[from * size..];
        if accumulate == 1 {
            let full = (rest.len() / size).min(steps);
            let (rows, size) = if full == 0 { (rest, rest.len()) } else { (&rest[..full * size], size) };
            return Self { rows, size, gradients: Gradients::Use, share: 1.0 };
        }
        // The rows of the update, and how many whole batches come before its last one.
        let done = from % accumulate;
        let begin = (from - done) * size;
        let update = &order[begin..order.len().min(begin + size * accumulate)];
        let before = (update.len() - 1) / size;
        #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 rows")]
        let share = |size: usize| size as f64 / update.len() as f64;
        if done < before {
            let rows = &rest[..(before - done).min(steps) * size];
            return Self { rows, size, gradients: Gradients::Accumulate, share: share(size) };
        }
        let rows = &update[before * size..];
        Self { rows, size: rows.len(), gradients: Gradients::UseAll, share: share(rows.len()) }
    }

    fn steps(&self) -> usize {
        self.rows.len() / self.size
    }
}

/// How far an epoch is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Steps that were made.
    pub steps: usize,
    /// The sum of their losses, each times its rows.
    pub sum: f64,
    /// The sums of what is tracked, alike.
    pub tracked: Numbers,
}

impl Tally {
    fn add<'t>(&mut self, loss: f64, rows: f64, tracked: impl Iterator<Item = (&'t String, &'t [f64])>) {
        self.steps += 1;
        self.sum += loss * rows;
        for (name, values) in tracked {
            if !self.tracked.contains_key(name) {
                self.tracked.insert(name.clone(), vec![Number(0.0); values.len()]);
            }
            for (sum, value) in self.tracked.get_mut(name).into_iter().flatten().zip(values) {
                sum.0 += value * rows;
            }
        }
    }

    /// The means over so many rows, in the place of the sums.
    #[allow(clippy::cast_precision_loss, reason = "no dataset has 2^53 rows")]
    pub fn means(mut self, rows: usize) -> Self {
        self.sum /= rows as f64;
        self.tracked.values_mut().flatten().for_each(|number| number.0 /= rows as f64);
        self
    }
}

/// How some steps ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ran {
    /// All were made.
    All,
    /// Somebody wanted them to end.
    Stopped,
    /// The loss of this step of the epoch, from 1, is not finite, or was told to be wrong.
    NotFinite(usize, f64),
}

/// Who watches steps.
pub(super) struct Watch<'w> {
    /// Whether each step waits for the one before.
    pub wait: bool,
    /// Asked before steps go to the device.
    pub stop: &'w dyn Fn() -> bool,
    /// Told the number and the loss of each step, soon.
    pub seen: &'w mut dyn FnMut(usize, f64),
}

/// The longest that steps of one portion should take, in seconds: what a stop has to wait for, twice.
const PATIENCE: f64 = 0.25;

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
    /// How long a step takes, in seconds, as far as known.
    pace: Option<f64>,
}

/// A step as traced.
pub(super) struct Traced {
    pub graph: Graph,
    /// The numbers of the rows, or features and targets; with accumulation, the share of the loss.
    pub inputs: Vec<Tensor>,
    pub loss: Tensor,
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
    /// Losses, and behind them what is tracked.
    fetched: Fetching,
    tracked: Arc<[String]>,
    steps: usize,
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
        let arrays =
            || -> Result<_> { Ok([data.x_shared(), Arc::new(targets.array(&[data.rows()], data.y().to_vec())?)]) };
        let resident = resident.then(arrays).transpose()?;
        Ok(Self { loss, data, targets, training, resident, caller, compiled: HashMap::new(), pace: None })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.data.rows()
    }

    /// Traces a step over rows that are fed, or picked on the device.
    fn trace(&self, rows: usize, gradients: Gradients, resident: bool) -> Traced {
        let graph = Graph::new(if self.training.is_some() { Mode::Train } else { Mode::Evaluate });
        let _scope = graph.scope_of_library("", self.caller, crate::source());
        let (mut inputs, x, y) = match &self.resident {
            Some([x, y]) if resident => {
                let index = graph.input("rows", [rows], DType::U32);
                let [x, y] = [x, y].map(|array| graph.array(array.clone()).embedding(&index));
                (vec![index], x, y)
            }
            _ => {
                let x = graph.input("x", [rows, self.data.features()], DType::F32);
                let y = self.targets.input(&graph, rows);
                (vec![x.clone(), y.clone()], x, y)
            }
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
        Traced { graph, inputs, loss }
    }

    /// A whole step of so many rows that are fed, updates and all. It declares every state that training has.
    pub fn example(&self, rows: usize) -> Traced {
        let several = self.training.is_some_and(|training| training.accumulate > 1);
        self.trace(rows, if several { Gradients::UseAll } else { Gradients::Use }, false)
    }

    /// One step of an epoch with fed rows, and what it is fed.
    pub fn single(&self, order: &[u32], size: usize, step: usize) -> Result<(Traced, Vec<Array>)> {
        let work = Work::at(order, (size, self.accumulate()), step, 1);
        let traced = self.trace(work.size, work.gradients, false);
        Ok((traced, rows_of(self.data, self.targets, &work, &[work.size])?))
    }

    fn accumulate(&self) -> usize {
        self.training.map_or(1, |training| training.accumulate)
    }

    fn compile(&self, session: &mut Session, rows: usize, gradients: Gradients) -> Result<Compiled> {
        let Traced { graph, inputs, loss } = self.trace(rows, gradients, true);
        let (names, values): (Vec<_>, Vec<_>) = graph.tracked().into_iter().unzip();
        let step = session.compile(&graph, &[&loss].into_iter().chain(&values).collect::<Vec<_>>())?;
        Ok(Compiled { inputs, step, tracked: names.into() })
    }

    /// Begins some steps.
    fn start(&mut self, session: &mut Session, work: &Work<'_>, feeds: &[Array]) -> Result<Portion> {
        let &Work { size, gradients, .. } = work;
        let key = (size, gradients);
        if !self.compiled.contains_key(&key) {
            let compiled = self.compile(session, size, gradients)?;
            self.compiled.insert(key, compiled);
        }
        let steps = work.steps();
        let Compiled { inputs, step, tracked } = &self.compiled[&key];
        // Without accumulation there is no input for the share.
        let feeds: Vec<_> = inputs.iter().zip(feeds).collect();
        let (fetched, tracked) = (session.run_many_later(step, steps, &feeds)?, tracked.clone());
        Ok(Portion { fetched, tracked, steps, rows: size })
    }

    /// Runs steps of an epoch, each over `size` rows of `order`, the last of which may be fewer: from where `tally` is
    /// until step `to` is made. Nothing is under way afterwards, unless a loss was not finite.
    pub fn run(
        &mut self,
        session: &mut Session,
        (order, size): (&[u32], usize),
        tally: &mut Tally,
        to: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Ran> {
        let bytes = size * self.data.features() * size_of::<f32>();
        let most = match self.resident {
            _ if watch.wait => 1,
            Some(_) => PORTION,
            None => PORTION.min(FED / bytes.max(1)).max(1),
        };
        let (data, targets, resident) = (self.data, self.targets, self.resident.is_some());
        let make = |work: Work<'_>| {
            let dims = [work.steps(), work.size];
            if resident {
                return Ok(vec![Array::new(dims, work.rows.to_vec())?, Array::scalar(work.share)]);
            }
            rows_of(data, targets, &work, &dims)
        };
        with_maker(!resident && !watch.wait, &make, |maker| {
            self.run_with(maker, session, (order, size, most), tally, to, watch)
        })
    }

    /// [`Self::run`], of at most so many steps at a time.
    fn run_with<'o>(
        &mut self,
        maker: &mut Maker<'_, Work<'o>, Vec<Array>>,
        session: &mut Session,
        (order, size, most): (&'o [u32], usize, usize),
        tally: &mut Tally,
        to: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Ran> {
        let (mut next, mut under_way, mut since) = (tally.steps, VecDeque::new(), Instant::now());
        let (mut stopped, several) = (false, self.accumulate());
        // Work that was asked for, and the step behind it.
        let (mut asked, mut behind) = (VecDeque::new(), next);
        while next < to || !under_way.is_empty() {
            if next < to && !stopped {
                stopped = (watch.stop)();
            }
            if next < to && !stopped {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "small"
                )]
                let quick = self.pace.map_or(most, |pace| (PATIENCE / pace).clamp(1.0, most as f64) as usize);
                while behind < to && asked.len() < maker.depth() {
                    let work = Work::at(order, (size, several), behind, quick.min(to - behind));
                    behind += work.steps();
                    asked.push_back(work);
                    maker.ask(work)?;
                }
                let Some(work) = asked.pop_front() else { break };
                let portion = self.start(session, &work, &maker.take()?)?;
                if self.pace.is_none() {
                    // Compiling does not count.
                    since = Instant::now();
                }
                next += portion.steps;
                under_way.push_back(portion);
            }
            if watch.wait || under_way.len() > 1 || next >= to || stopped {
                let Some(portion) = under_way.pop_front() else { break };
                let (steps, rows) = (portion.steps, portion.rows);
                let fetched: Vec<_> = portion.fetched.wait()?.iter().map(Array::to_f64).collect();
                for (step, &loss) in fetched[0].iter().enumerate() {
                    if self.training.is_some() && !loss.is_finite() {
                        return Ok(Ran::NotFinite(tally.steps + 1, loss));
                    }
                    #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 rows")]
                    let rows = rows as f64;
                    let values = fetched[1..].iter().map(|all| {
                        let size = all.len() / steps;
                        &all[step * size..][..size]
                    });
                    tally.add(loss, rows, portion.tracked.iter().zip(values));
                    (watch.seen)(tally.steps, loss);
                }
                #[allow(clippy::cast_precision_loss, reason = "a portion has few steps")]
                let pace = since.elapsed().as_secs_f64() / steps as f64;
                (self.pace, since) = (Some(pace.max(1e-9)), Instant::now());
            }
        }
        Ok(if stopped { Ran::Stopped } else { Ran::All })
    }
}
