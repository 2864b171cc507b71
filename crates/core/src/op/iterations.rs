//! How long the loops of one thread may be: the rule that every kernel keeps.
//!
//! Mesa's software drivers (lavapipe, llvmpipe) count the iterations of a thread's loops, all loops together, in 16
//! bits. After 65,535 they end the loop without an error, and the result is wrong. The self-test finds what a device
//! does ([`Limits::iterations`](crate::Limits::iterations)), and a plan with a longer loop is refused. So that this
//! happens to few, an op whose loops grow with the data does one of three things:
//!
//! - it keeps them short by its choice of a kernel: [`ALONE`], [`per_thread`], or a constant of its own that [`fits`];
//! - it cuts the sum into [`parts`], or makes passes of [`LONGEST`] iterations;
//! - it declares how many there are: [`Dispatch::iterations`](crate::Dispatch::iterations), or
//!   [`Dispatch::iterations_shared`](crate::Dispatch::iterations_shared) where the threads of a workgroup divide them.

/// Iterations after which Mesa's software drivers end the loops of a thread.
const LIMIT: usize = 65_535;

/// Iterations that one thread's loops have at most where an op can cut them: half of what any driver runs, so that the
/// loops around and inside need no exact count.
pub(crate) const LONGEST: usize = 1 << 15;

/// Elements that one thread visits at most where the threads of a workgroup could share them: more take their time,
/// and up to three loops over them fit every driver.
pub(crate) const ALONE: usize = 1 << 14;

/// Threads of a workgroup of the kernels that reduce a row with one workgroup (`tree`).
pub(crate) const TREE: usize = 64;

/// Returns whether every driver runs this many iterations of one thread.
pub(crate) const fn fits(iterations: usize) -> bool {
    iterations <= LIMIT
}

const _: () = assert!(fits(LONGEST) && fits(3 * ALONE));

/// Returns in how many parts a loop of this many iterations must at least be cut.
pub(crate) fn parts(iterations: usize) -> usize {
    iterations.div_ceil(LONGEST)
}

/// Returns how many of `terms` one thread of a software adapter adds: of some hundred threads that work alone each its
/// share, from 256 on, where it is worth starting a thread, to `most`.
pub(crate) fn per_thread(terms: usize, most: usize) -> usize {
    (terms / 512).clamp(256, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Work;
    use crate::{DType, Graph, Limits, Mode, Plan};

    #[test]
    fn sums_are_cut_and_shared_among_threads() {
        assert_eq!([1, LONGEST, LONGEST + 1].map(parts), [1, 1, 2]);
        assert_eq!([0, 512 * 300, usize::MAX].map(|terms| per_thread(terms, 4096)), [256, 300, 4096]);
        assert!(fits(65_535) && !fits(65_536));
    }

    #[test]
    fn rows_of_millions_declare_what_their_threads_run() {
        let graph = Graph::new(Mode::Evaluate);
        let x = graph.input("x", [1, 2_000_000], DType::F32);
        let target = graph.input("target", [1], DType::U32);
        let limits = Limits { software: true, ..Limits::default() };
        let fetches = [x.softmax(1), x.softmax_cross_entropy(&target, None, 0.0, None).0];
        let plan = Plan::new(&graph, &fetches.each_ref(), &limits).unwrap();
        let stages = plan.tasks.iter().flat_map(|task| &task.stages);
        let declared = stages.flat_map(|stage| match &stage.work {
            Work::Op { dispatches, .. } => dispatches.iter().map(|dispatch| dispatch.iterations).collect(),
            Work::Cluster(_) | Work::Group(_) => vec![],
        });
        // Three loops over a row, of which each of 64 threads runs a part.
        assert_eq!(declared.collect::<Vec<_>>(), [3 * 31_250; 2]);
    }
}
