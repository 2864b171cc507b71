//! Pieces of an epoch: which rows of its order the next steps take, and what becomes of their gradients.

/// Rows of an epoch in their order, and how many of them make a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochOrder<'o> {
    pub rows: &'o [u32],
    pub batch_size: usize,
}

/// Use that a step makes of its gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Gradients {
    /// Updates the parameters, or there are none in an evaluation.
    Use,
    /// Adds them up for a later step.
    Accumulate,
    /// Updates the parameters with all that were added up.
    UseAll,
}

/// Steps that go to the device at once: rows in their order, those of each step, and the weight of each step's loss in
/// that of the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Work<'o> {
    pub rows: &'o [u32],
    pub size: usize,
    pub gradients: Gradients,
    pub weight: f64,
}

impl<'o> Work<'o> {
    /// Returns the steps from number `from` on of an epoch with an update after every `accumulate` batches: at least one,
    /// at most `steps`, and none that differs from the first in size or in the use of its gradients.
    pub fn at(order: EpochOrder<'o>, accumulate: usize, from: usize, steps: usize) -> Self {
        let EpochOrder { rows: order, batch_size: size } = order;
        let rest = &order[from * size..];
        if accumulate == 1 {
            let full = (rest.len() / size).min(steps);
            let (rows, size) = if full == 0 { (rest, rest.len()) } else { (&rest[..full * size], size) };
            return Self { rows, size, gradients: Gradients::Use, weight: 1.0 };
        }
        // The rows of the update, and how many whole batches come before its last one.
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
