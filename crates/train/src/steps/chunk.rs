//! Chunks of an epoch: the rows of the next steps and the use of their gradients.

/// Rows of an epoch in their order, and the number of rows per batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochOrder<'o> {
    pub rows: &'o [u32],
    pub batch_size: usize,
}

/// Use of the gradients of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Gradients {
    /// Updates the parameters. An evaluation, which has no gradients, uses this, too.
    Use,
    /// Adds them to the accumulated gradients.
    Accumulate,
    /// Updates the parameters with the accumulated gradients and its own.
    UseAll,
}

/// Chunk of steps: rows in their order, rows per step, and the weight of each step's loss in that of the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChunkWork<'o> {
    pub rows: &'o [u32],
    pub size: usize,
    pub gradients: Gradients,
    pub weight: f64,
}

impl<'o> ChunkWork<'o> {
    /// Returns the chunk that begins with step `from` of an epoch with an update after every `accumulate` batches. It
    /// has at least one and at most `steps` steps, all with the same number of rows and the same use of their
    /// gradients.
    pub fn at(order: EpochOrder<'o>, accumulate: usize, from: usize, steps: usize) -> Self {
        let EpochOrder { rows: order, batch_size: size } = order;
        let rest = &order[from * size..];
        if accumulate == 1 {
            let full = (rest.len() / size).min(steps);
            let (rows, size) = if full == 0 { (rest, rest.len()) } else { (&rest[..full * size], size) };
            return Self { rows, size, gradients: Gradients::Use, weight: 1.0 };
        }
        // The rows of the update, and the number of whole batches before its last one.
        let done = from % accumulate;
        let begin = (from - done) * size;
        let update = &order[begin..order.len().min(begin + size * accumulate)];
        let before = (update.len() - 1) / size;
        let weight = |size: usize| size as f64 / update.len() as f64;
        if done < before {
            let rows = &rest[..(before - done).min(steps) * size];
            return Self { rows, size, gradients: Gradients::Accumulate, weight: weight(size) };
        }
        let rows = &update[before * size..];
        Self { rows, size: rows.len(), gradients: Gradients::UseAll, weight: weight(rows.len()) }
    }

    pub fn steps(&self) -> usize {
        self.rows.len() / self.size
    }
}
