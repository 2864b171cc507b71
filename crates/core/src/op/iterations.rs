//! Maximum number of loop iterations of a thread, which every kernel respects.
//!
//! Mesa's software drivers (lavapipe, llvmpipe) count the iterations of a thread's loops, all loops together, in 16
//! bits. After 65,535 they end the loop without an error, and the result is wrong. The self-test finds the limit of a
//! device ([`Limits::iterations`](crate::Limits::iterations)), and a plan with a longer loop is refused. To make that
//! rare, an op whose loops grow with the data does one of three things:
//!
//! - it chooses a kernel with short loops: [`ALONE`], [`per_thread`], or a constant of its own that [`fits`];
//! - it cuts the sum into [`parts`], or makes passes of [`LONGEST`] iterations;
//! - it declares the number of iterations: [`Dispatch::iterations`](crate::Dispatch::iterations), or
//!   [`Dispatch::iterations_shared`](crate::Dispatch::iterations_shared) if the threads of a workgroup divide them.

/// Number of iterations after which Mesa's software drivers end the loops of a thread.
const LIMIT: usize = 65_535;

/// Maximum iterations of a thread's loop that an op can cut: half of the limit, so that short loops around and inside
/// it need no exact count.
pub(crate) const LONGEST: usize = 1 << 15;

/// Maximum elements that one thread visits where the threads of a workgroup could divide them. More would be slow, and
/// up to three loops over these stay within every driver's limit.
pub(crate) const ALONE: usize = 1 << 14;

/// Number of threads of a workgroup in the kernels that reduce a row with one workgroup (`tree`).
pub(crate) const TREE: usize = 64;

/// Returns whether every driver runs this many iterations in one thread.
pub(crate) const fn fits(iterations: usize) -> bool {
    iterations <= LIMIT
}

const _: () = assert!(fits(LONGEST) && fits(3 * ALONE));

/// Returns the least number of parts into which a loop of this many iterations must be cut.
pub(crate) fn parts(iterations: usize) -> usize {
    iterations.div_ceil(LONGEST)
}

/// Returns the number of `terms` that one thread of a software adapter adds: an equal part for each of 512 threads, but
/// at least 256, fewer of which are not worth a thread, and at most `most`.
pub(crate) fn per_thread(terms: usize, most: usize) -> usize {
    (terms / 512).clamp(256, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Work;
    use crate::{DType, Graph, Limits, Mode, Plan};

    #[test]
    fn sums_are_cut_and_divided_among_threads() {
        assert_eq!([1, LONGEST, LONGEST + 1].map(parts), [1, 1, 2]);
        assert_eq!([0, 512 * 300, usize::MAX].map(|terms| per_thread(terms, 4096)), [256, 300, 4096]);
        assert!(fits(65_535) && !fits(65_536));
    }

    #[test]
    fn rows_of_millions_declare_their_iterations() {
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
        // Three loops over a row, each divided among 64 threads.
        assert_eq!(declared.collect::<Vec<_>>(), [3 * 31_250; 2]);
    }
}
