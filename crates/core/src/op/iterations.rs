//! Maximum number of loop iterations of a thread, which no kernel may exceed.
//!
//! Mesa's software drivers (lavapipe, llvmpipe) add up the iterations of all loops of a thread in a 16-bit
//! counter. After 65,535 iterations they end the loop without an error, and the result is wrong. The self-test
//! finds a device's limit ([`Limits::iterations`](crate::Limits::iterations)), and a plan with a longer loop is
//! refused. To avoid this, an op whose loops grow with the data does one of three things:
//!
//! - it chooses a kernel whose loops are short: they read at most [`ALONE`] or [`per_thread`] elements, or the op
//!   has checked their number of iterations with [`fits`];
//! - it splits the loop into [`parts`] that are computed separately, or into passes of [`LONGEST`] iterations;
//! - it declares the number of iterations: [`Dispatch::iterations`](crate::Dispatch::iterations), or
//!   [`Dispatch::iterations_shared`](crate::Dispatch::iterations_shared) if the threads of a workgroup share the
//!   iterations.

/// Number of iterations after which Mesa's software drivers end the loops of a thread.
const LIMIT: usize = 65_535;

/// Maximum iterations of a loop that an op can split. It is about half of the limit, so that short loops around
/// and inside the loop need not be counted exactly.
pub(crate) const LONGEST: usize = 1 << 15;

/// Maximum number of elements for which an op uses a single thread instead of sharing the elements among the
/// threads of a workgroup. A single thread would be slow for more elements. Three loops over this many elements
/// are within every driver's limit.
pub(crate) const ALONE: usize = 1 << 14;

/// Number of threads per workgroup in kernels that reduce each row with one workgroup (entry point `tree`).
pub(crate) const TREE: usize = 64;

/// Returns whether every driver can run this many iterations in one thread.
pub(crate) const fn fits(iterations: usize) -> bool {
    iterations <= LIMIT
}

const _: () = assert!(fits(LONGEST) && fits(3 * ALONE));

/// Returns the minimum number of parts into which a loop of this many iterations must be split.
pub(crate) fn parts(iterations: usize) -> usize {
    iterations.div_ceil(LONGEST)
}

/// Returns how many of a sum's `terms` one thread adds on a software adapter: a 512th of the terms, at most
/// `most`, and at least 256, because fewer terms are not worth a thread.
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
        // Three loops over a row, whose iterations are shared by 64 threads.
        assert_eq!(declared.collect::<Vec<_>>(), [3 * 31_250; 2]);
    }
}
