//! Compiled steps of a fit. The loss closure is traced and compiled once per batch size. The steps are submitted
//! to the device in chunks, which are groups of up to 64 consecutive steps.
//!
//! A data set that fits on the device is uploaded once, and each step receives only row numbers. For a larger data
//! set, each step receives the rows themselves, which a background thread gathers one chunk ahead. In both cases
//! the host prepares the next steps while the device runs the current steps.

mod chunk;
mod prefetch;
mod tally;

use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use wgrad_core::{Array, DType, Fetching, Graph, Mode, Result, Session, Shape, Step, Tensor};

use crate::data_source::{BatchTensors, DataSource, Resident};
pub(crate) use chunk::EpochOrder;
use chunk::{ChunkWork, Gradients};
use prefetch::{Producer, with_producer};
pub(crate) use tally::Tally;

use wgrad_nn::optim::{Ema, Optimizer};

/// Largest number of steps in a chunk.
pub(crate) const CHUNK: usize = 64;

/// Largest size, in bytes, of the rows that are uploaded for one chunk.
pub(crate) const FED: usize = 8 << 20;

/// Target duration of a chunk, in seconds. When a stop is requested, up to two chunks still run to their end.
const CHUNK_SECONDS: f64 = 0.25;

/// Key of a compiled step: its number of rows, and what it does with its gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StepKey {
    rows: usize,
    gradients: Gradients,
}

/// Compiled step over a fixed number of rows.
struct Compiled {
    /// Graph inputs: either the row numbers, or the features and targets. With gradient accumulation, the last
    /// input is a number by which the loss is multiplied.
    inputs: Vec<Tensor>,
    step: Step,
    /// Names of the tracked values (see [`Graph::track`]), which are fetched after the loss.
    tracked: Arc<[String]>,
}

/// Outcome of running steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StepsOutcome {
    /// All steps have run.
    Completed,
    /// A stop was requested before the last step.
    Stopped,
    /// The loss of step number `step` of the epoch, counted from 1, is not finite.
    NotFinite { step: usize, loss: f64 },
}

/// Observer of running steps.
pub(crate) struct StepObserver<'w> {
    /// True to wait for each step before the next step is submitted.
    pub wait: bool,
    /// Returns whether to stop; called before each chunk is submitted.
    pub stop: &'w dyn Fn() -> bool,
    /// Receives the number and the loss of each step, after the step's chunk has run.
    pub on_step: &'w mut dyn FnMut(usize, f64),
}

impl StepObserver<'_> {
    /// Runs `body` with an observer that ignores everything.
    pub fn ignore<T>(wait: bool, body: impl FnOnce(&mut StepObserver<'_>) -> T) -> T {
        body(&mut StepObserver { wait, stop: &|| false, on_step: &mut |_, _| {} })
    }
}

/// Steps that compute one loss closure on the rows of one data set. Each kind of step is compiled on first use.
pub(crate) struct Steps<'a, L> {
    loss: L,
    source: DataSource<'a>,
    /// Optimizer and weight averages. `None` for evaluation.
    training: Option<Training<'a>>,
    /// Features and targets of all rows. `None` if the data set is not kept on the device.
    resident: Option<Resident>,
    /// Source line of the user's call.
    caller: &'static Location<'static>,
    compiled: HashMap<StepKey, Compiled>,
    /// Measured duration of a step, in seconds. `None` before the first chunk has run.
    seconds_per_step: Option<f64>,
}

/// Step that is traced to a graph, but not compiled.
pub(crate) struct Traced {
    pub graph: Graph,
    /// Graph inputs: either the row numbers, or the features and targets. With gradient accumulation, the last
    /// input is a number by which the loss is multiplied.
    pub inputs: Vec<Tensor>,
    pub loss: Tensor,
}

/// Traced step with the arrays for its inputs.
pub(crate) struct FedStep {
    pub traced: Traced,
    pub arrays: Vec<Array>,
}

/// Optimizer of training steps, with the settings for weight averages and gradient accumulation.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    pub optimizer: &'a dyn Optimizer,
    pub ema: Option<&'a Ema>,
    /// Number of batches per update.
    pub accumulate: usize,
}

/// Chunk (group of consecutive steps) that was submitted to the device.
struct Chunk {
    /// Losses of the steps, followed by their tracked values.
    fetched: Fetching,
    tracked: Arc<[String]>,
    steps: usize,
    /// Number of rows per step.
    rows: usize,
}

/// Steps of an epoch that are to be run: all up to step `to`, in chunks of at most `chunk` steps.
#[derive(Clone, Copy)]
struct StepRange<'o> {
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
        Ok(Self { loss, source, training, resident, caller, compiled: HashMap::new(), seconds_per_step: None })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.source.rows()
    }

    /// Traces a step. If `resident` is true and the data set is kept on the device, the device gathers the rows;
    /// otherwise the host uploads them.
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

    /// Traces a complete training step, with its update, for at most `rows` rows. This declares all variables and
    /// counters of the training.
    pub fn example(&self, rows: usize) -> Traced {
        let several = self.training.is_some_and(|training| training.accumulate > 1);
        let gradients = if several { Gradients::UseAll } else { Gradients::Use };
        self.trace(StepKey { rows: rows.min(self.rows()), gradients }, false)
    }

    /// Traces one step of an epoch, and gathers the arrays for its inputs.
    pub fn single(&self, order: EpochOrder<'_>, step: usize) -> Result<FedStep> {
        let work = ChunkWork::at(order, self.accumulate(), step, 1);
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

    /// Submits a chunk of steps to the device. Compiles the step first if that has not been done yet.
    fn start(&mut self, session: &mut Session, work: &ChunkWork<'_>, feeds: &[Array]) -> Result<Chunk> {
        let key = StepKey { rows: work.size, gradients: work.gradients };
        if !self.compiled.contains_key(&key) {
            let compiled = self.compile(session, key)?;
            self.compiled.insert(key, compiled);
        }
        let steps = work.steps();
        let Compiled { inputs, step, tracked } = &self.compiled[&key];
        // The last array in `feeds` is the weight of the loss. Without gradient accumulation, the step has no
        // input for it, and `zip` leaves it out.
        let feeds: Vec<_> = inputs.iter().zip(feeds).collect();
        let (fetched, tracked) = (session.run_many_later(step, steps, &feeds)?, tracked.clone());
        Ok(Chunk { fetched, tracked, steps, rows: work.size })
    }

    /// Runs the steps of an epoch up to step `to`, beginning after the steps that `tally` already counts. The last
    /// step may have fewer rows. When this returns, all submitted steps have run, unless a loss was not finite.
    pub fn run(
        &mut self,
        session: &mut Session,
        order: EpochOrder<'_>,
        tally: &mut Tally,
        to: usize,
        watch: &mut StepObserver<'_>,
    ) -> Result<StepsOutcome> {
        let bytes = order.batch_size * self.source.row_bytes();
        let chunk = match self.resident {
            _ if watch.wait => 1,
            Some(_) => CHUNK,
            None => CHUNK.min(FED / bytes.max(1)).max(1),
        };
        let (source, resident) = (self.source, self.resident.is_some());
        let make = |work: ChunkWork<'_>| {
            let dims = [work.steps(), work.size];
            if resident {
                return Ok(vec![Array::new(dims, work.rows.to_vec())?, Array::scalar(work.weight)]);
            }
            fed(source, &work, &dims)
        };
        with_producer(!resident && !watch.wait, &make, |rows| {
            self.run_with(rows, session, StepRange { order, to, chunk }, tally, watch)
        })
    }

    /// Runs a range of steps, whose input arrays come from a producer.
    fn run_with<'o>(
        &mut self,
        rows: &mut Producer<'_, ChunkWork<'o>, Vec<Array>>,
        session: &mut Session,
        range: StepRange<'o>,
        tally: &mut Tally,
        watch: &mut StepObserver<'_>,
    ) -> Result<StepsOutcome> {
        let StepRange { order, to, chunk } = range;
        let (mut next, mut under_way, mut since) = (tally.steps, VecDeque::new(), Instant::now());
        let (mut stopped, accumulate) = (false, self.accumulate());
        // Chunks whose rows were requested but not used yet, and the first step whose rows were not requested yet.
        let (mut requested, mut after) = (VecDeque::new(), next);
        while next < to || !under_way.is_empty() {
            if next < to && !stopped {
                stopped = (watch.stop)();
            }
            if next < to && !stopped {
                let size = self.chunk_size(chunk);
                while after < to && requested.len() < rows.depth() {
                    let work = ChunkWork::at(order, accumulate, after, size.min(to - after));
                    after += work.steps();
                    requested.push_back(work);
                    rows.request(work)?;
                }
                let Some(work) = requested.pop_front() else { break };
                let chunk = self.start(session, &work, &rows.take()?)?;
                if self.seconds_per_step.is_none() {
                    // Restarts the clock, because compilation does not count as part of a step's duration.
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
                let seconds = since.elapsed().as_secs_f64() / steps as f64;
                (self.seconds_per_step, since) = (Some(seconds.max(1e-9)), Instant::now());
            }
        }
        Ok(if stopped { StepsOutcome::Stopped } else { StepsOutcome::Completed })
    }

    /// Returns the number of steps, at most `most`, that run within [`CHUNK_SECONDS`].
    fn chunk_size(&self, most: usize) -> usize {
        self.seconds_per_step.map_or(most, |seconds| (CHUNK_SECONDS / seconds).clamp(1.0, most as f64) as usize)
    }

    /// Waits for a chunk, and adds the losses and tracked values of its steps to the tally. If a training loss is
    /// not finite, returns the first such step.
    fn finish(&self, chunk: Chunk, tally: &mut Tally, watch: &mut StepObserver<'_>) -> Result<Option<StepsOutcome>> {
        let Chunk { fetched, tracked, steps, rows } = chunk;
        let fetched: Vec<_> = fetched.wait()?.iter().map(Array::to_f64).collect();
        let rows = rows as f64;
        for (step, &loss) in fetched[0].iter().enumerate() {
            if self.training.is_some() && !loss.is_finite() {
                return Ok(Some(StepsOutcome::NotFinite { step: tally.steps + 1, loss }));
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

/// Gathers the features and targets of a chunk, in shapes that begin with `dims`, and the weight of the loss.
fn fed(source: DataSource<'_>, work: &ChunkWork<'_>, dims: &[usize]) -> Result<Vec<Array>> {
    let mut arrays = source.gather(work.rows, dims)?;
    arrays.push(Array::scalar(work.weight));
    Ok(arrays)
}
