//! Chunks: groups of consecutive steps of an epoch, which are submitted to the device together.

/// Row numbers of an epoch in order, and the number of rows per batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochOrder<'o> {
    pub rows: &'o [u32],
    pub batch_size: usize,
}

/// Action that a step takes with its gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Gradients {
    /// Updates the parameters. Evaluation steps, which have no gradients, also have this value.
    Use,
    /// Adds the gradients to the accumulated gradients.
    Accumulate,
    /// Updates the parameters with the sum of the accumulated gradients and the step's own gradients.
    UseAll,
}

/// Chunk of steps: the row numbers in order, the number of rows per step, and the fraction of an update's rows
/// that each step has, by which its loss is multiplied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChunkWork<'o> {
    pub rows: &'o [u32],
    pub size: usize,
    pub gradients: Gradients,
    pub weight: f64,
}

impl<'o> ChunkWork<'o> {
    /// Returns the chunk that begins with step `from` of an epoch in which the parameters are updated after every
    /// `accumulate` batches. The chunk has 1 to `steps` steps. All of them have the same number of rows and the
    /// same action for their gradients.
    pub fn at(order: EpochOrder<'o>, accumulate: usize, from: usize, steps: usize) -> Self {
        let EpochOrder { rows: order, batch_size: size } = order;
        let rest = &order[from * size..];
        if accumulate == 1 {
            let full = (rest.len() / size).min(steps);
            let (rows, size) = if full == 0 { (rest, rest.len()) } else { (&rest[..full * size], size) };
            return Self { rows, size, gradients: Gradients::Use, weight: 1.0 };
        }
        // Finds the rows of the update that contains this step, and the number of batches in this update before
        // its last batch.
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
