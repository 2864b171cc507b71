//! The plans of a fit: one per batch size, traced from the same closure; and how they are run, many steps at a time.
//!
//! A data set that fits is uploaded once, and a step is fed the numbers of its rows; of a larger one, the rows
//! themselves, which a thread gathers one chunk ahead. Either way the host prepares the next steps while the device runs
//! the last ones.

mod prefetch;
mod tally;
mod work;

use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use wgrad_core::{Array, DType, Fetching, Graph, Mode, Result, Session, Shape, Step, Tensor};

use crate::data_source::{BatchTensors, DataSource, Resident};
use prefetch::{Maker, with_maker};
pub(crate) use tally::Tally;
pub(crate) use work::EpochOrder;
use work::{Gradients, Work};

use wgrad_nn::optim::{Ema, Optimizer};

/// The most steps that go to the device at once.
pub(crate) const CHUNK: usize = 64;

/// The most bytes of rows that are fed at once.
pub(crate) const FED: usize = 8 << 20;

/// The longest that the steps of one chunk should take, in seconds: what a stop has to wait for, twice.
const PATIENCE: f64 = 0.25;

/// Rows and gradients for which a step is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StepKey {
    rows: usize,
    gradients: Gradients,
}

/// A compiled step over a fixed number of rows.
struct Compiled {
    /// The numbers of the rows, or features and targets; with accumulation, the weight of the loss.
    inputs: Vec<Tensor>,
    step: Step,
    /// The names of what is fetched behind the loss.
    tracked: Arc<[String]>,
}

/// How some steps ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ran {
    /// All were made.
    All,
    /// Somebody wanted them to end.
    Stopped,
    /// The loss of this step of the epoch, from 1, is not finite.
    NotFinite { step: usize, loss: f64 },
}

/// Observer of steps that run.
pub(crate) struct Watch<'w> {
    /// Whether each step waits for the one before.
    pub wait: bool,
    /// Asked before steps go to the device.
    pub stop: &'w dyn Fn() -> bool,
    /// Called with the number and the loss of each step, soon.
    pub on_step: &'w mut dyn FnMut(usize, f64),
}

impl Watch<'_> {
    /// Runs `body` with an observer that looks at nothing.
    pub fn nothing<T>(wait: bool, body: impl FnOnce(&mut Watch<'_>) -> T) -> T {
        body(&mut Watch { wait, stop: &|| false, on_step: &mut |_, _| {} })
    }
}

/// The steps of one closure over one data set, compiled when they are first needed.
pub(crate) struct Steps<'a, L> {
    loss: L,
    source: DataSource<'a>,
    /// None to evaluate.
    training: Option<Training<'a>>,
    /// Features and targets of all rows, if they are kept on the device.
    resident: Option<Resident>,
    /// The user's line that asked for the steps.
    caller: &'static Location<'static>,
    compiled: HashMap<StepKey, Compiled>,
    /// Seconds that a step takes, as far as known.
    pace: Option<f64>,
}

/// A step as traced.
pub(crate) struct Traced {
    pub graph: Graph,
    /// The numbers of the rows, or features and targets; with accumulation, the weight of the loss.
    pub inputs: Vec<Tensor>,
    pub loss: Tensor,
}

/// One step with the arrays that it is fed.
pub(crate) struct FedStep {
    pub traced: Traced,
    pub arrays: Vec<Array>,
}

/// How steps train.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    pub optimizer: &'a dyn Optimizer,
    pub ema: Option<&'a Ema>,
    /// Batches of one update.
    pub accumulate: usize,
}

/// Chunk of steps under way.
struct Chunk {
    /// Losses, and behind them what is tracked.
    fetched: Fetching,
    tracked: Arc<[String]>,
    steps: usize,
    /// Rows of each step.
    rows: usize,
}

/// Steps of an epoch to be run: all up to number `to`, at most `chunk` at a time.
#[derive(Clone, Copy)]
struct Stretch<'o> {
    order: EpochOrder<'o>,
    to: usize,
    chunk: usize,
}

impl<'a, L: Fn(&Tensor, &Tensor) -> Tensor> Steps<'a, L> {
    pub fn new(
        loss: L,
        source: DataSource<'a>,
        training: Option<Training<'a>>,
        resident: bool,
        caller: &'static Location<'static>,
    ) -> Result<Self> {
        let resident = resident.then(|| source.resident()).transpose()?;
        Ok(Self { loss, source, training, resident, caller, compiled: HashMap::new(), pace: None })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.source.rows()
    }

    /// Traces a step over rows that are fed, or picked on the device.
    fn trace(&self, key: StepKey, resident: bool) -> Traced {
        let graph = Graph::new(if self.training.is_some() { Mode::Train } else { Mode::Evaluate });
        let _scope = graph.scope_of_library("", self.caller, crate::source());
        let BatchTensors { mut inputs, x, y } = match &self.resident {
            Some(all) if resident => all.picked(&graph, key.rows),
            _ => self.source.fed(&graph, key.rows),
        };
        let loss = (self.loss)(&x, &y);
        if let Some(Training { optimizer, ema, .. }) = self.training {
            let mut weighted = || {
                inputs.push(graph.input("share", Shape::scalar(), DType::F32));
                &loss * &inputs[inputs.len() - 1]
            };
            match key.gradients {
                Gradients::Use => optimizer.minimize(&loss),
                Gradients::Accumulate => optimizer.accumulate(&weighted()),
                Gradients::UseAll => optimizer.minimize_accumulated(&weighted()),
            }
            if let Some(ema) = ema.filter(|_| key.gradients != Gradients::Accumulate) {
                ema.update(&graph);
            }
        }
        Traced { graph, inputs, loss }
    }

    /// Traces a whole step of at most so many rows that are fed, updates and all. It declares every state that training
    /// has.
    pub fn example(&self, rows: usize) -> Traced {
        let several = self.training.is_some_and(|training| training.accumulate > 1);
        let gradients = if several { Gradients::UseAll } else { Gradients::Use };
        self.trace(StepKey { rows: rows.min(self.rows()), gradients }, false)
    }

    /// Traces one step of an epoch with fed rows.
    pub fn single(&self, order: EpochOrder<'_>, step: usize) -> Result<FedStep> {
        let work = Work::at(order, self.accumulate(), step, 1);
        let traced = self.trace(StepKey { rows: work.size, gradients: work.gradients }, false);
        Ok(FedStep { traced, arrays: fed(self.source, &work, &[work.size])? })
    }

    fn accumulate(&self) -> usize {
        self.training.map_or(1, |training| training.accumulate)
    }

    fn compile(&self, session: &mut Session, key: StepKey) -> Result<Compiled> {
        let Traced { graph, inputs, loss } = self.trace(key, true);
        let (names, values): (Vec<_>, Vec<_>) = graph.tracked().into_iter().unzip();
        let step = session.compile(&graph, &[&loss].into_iter().chain(&values).collect::<Vec<_>>())?;
        Ok(Compiled { inputs, step, tracked: names.into() })
    }

    /// Begins some steps.
    fn start(&mut self, session: &mut Session, work: &Work<'_>, feeds: &[Array]) -> Result<Chunk> {
        let key = StepKey { rows: work.size, gradients: work.gradients };
        if !self.compiled.contains_key(&key) {
            let compiled = self.compile(session, key)?;
            self.compiled.insert(key, compiled);
        }
        let steps = work.steps();
        let Compiled { inputs, step, tracked } = &self.compiled[&key];
        // Without accumulation there is no input for the weight.
        let feeds: Vec<_> = inputs.iter().zip(feeds).collect();
        let (fetched, tracked) = (session.run_many_later(step, steps, &feeds)?, tracked.clone());
        Ok(Chunk { fetched, tracked, steps, rows: work.size })
    }

    /// Runs steps of an epoch, the last of which may have fewer rows: from where `tally` is until step `to` is made.
    /// Nothing is under way afterwards, unless a loss was not finite.
    pub fn run(
        &mut self,
        session: &mut Session,
        order: EpochOrder<'_>,
        tally: &mut Tally,
        to: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Ran> {
        let bytes = order.batch_size * self.source.row_bytes();
        let chunk = match self.resident {
            _ if watch.wait => 1,
            Some(_) => CHUNK,
            None => CHUNK.min(FED / bytes.max(1)).max(1),
        };
        let (source, resident) = (self.source, self.resident.is_some());
        let make = |work: Work<'_>| {
            let dims = [work.steps(), work.size];
            if resident {
                return Ok(vec![Array::new(dims, work.rows.to_vec())?, Array::scalar(work.weight)]);
            }
            fed(source, &work, &dims)
        };
        with_maker(!resident && !watch.wait, &make, |maker| {
            self.run_with(maker, session, Stretch { order, to, chunk }, tally, watch)
        })
    }

    /// Runs a stretch of steps with rows from a maker.
    fn run_with<'o>(
        &mut self,
        maker: &mut Maker<'_, Work<'o>, Vec<Array>>,
        session: &mut Session,
        stretch: Stretch<'o>,
        tally: &mut Tally,
        watch: &mut Watch<'_>,
    ) -> Result<Ran> {
        let Stretch { order, to, chunk } = stretch;
        let (mut next, mut under_way, mut since) = (tally.steps, VecDeque::new(), Instant::now());
        let (mut stopped, several) = (false, self.accumulate());
        // Work that was asked for, and the step behind it.
        let (mut asked, mut behind) = (VecDeque::new(), next);
        while next < to || !under_way.is_empty() {
            if next < to && !stopped {
                stopped = (watch.stop)();
            }
            if next < to && !stopped {
                let quick = self.quick(chunk);
                while behind < to && asked.len() < maker.depth() {
                    let work = Work::at(order, several, behind, quick.min(to - behind));
                    behind += work.steps();
                    asked.push_back(work);
                    maker.ask(work)?;
                }
                let Some(work) = asked.pop_front() else { break };
                let chunk = self.start(session, &work, &maker.take()?)?;
                if self.pace.is_none() {
                    // Compiling does not count.
                    since = Instant::now();
                }
                next += chunk.steps;
                under_way.push_back(chunk);
            }
            if watch.wait || under_way.len() > 1 || next >= to || stopped {
                let Some(chunk) = under_way.pop_front() else { break };
                let steps = chunk.steps;
                if let Some(failed) = self.finish(chunk, tally, watch)? {
                    return Ok(failed);
                }
                let pace = since.elapsed().as_secs_f64() / steps as f64;
                (self.pace, since) = (Some(pace.max(1e-9)), Instant::now());
            }
        }
        Ok(if stopped { Ran::Stopped } else { Ran::All })
    }

    /// Returns the number of steps, at most `most`, that are made within [`PATIENCE`].
    fn quick(&self, most: usize) -> usize {
        self.pace.map_or(most, |pace| (PATIENCE / pace).clamp(1.0, most as f64) as usize)
    }

    /// Waits for a chunk and adds its steps to the tally. Returns the first step whose loss is not finite.
    fn finish(&self, chunk: Chunk, tally: &mut Tally, watch: &mut Watch<'_>) -> Result<Option<Ran>> {
        let Chunk { fetched, tracked, steps, rows } = chunk;
        let fetched: Vec<_> = fetched.wait()?.iter().map(Array::to_f64).collect();
        let rows = rows as f64;
        for (step, &loss) in fetched[0].iter().enumerate() {
            if self.training.is_some() && !loss.is_finite() {
                return Ok(Some(Ran::NotFinite { step: tally.steps + 1, loss }));
            }
            let values = fetched[1..].iter().map(|all| {
                let size = all.len() / steps;
                &all[step * size..][..size]
            });
            tally.add(loss, rows, &tracked, values);
            (watch.on_step)(tally.steps, loss);
        }
        Ok(None)
    }
}

/// Gathers features, targets and the weight of the loss, in shapes that begin with `dims`.
fn fed(source: DataSource<'_>, work: &Work<'_>, dims: &[usize]) -> Result<Vec<Array>> {
    let mut arrays = source.gather(work.rows, dims)?;
    arrays.push(Array::scalar(work.weight));
    Ok(arrays)
}
