//! Random sizes and values for random test cases.

use wgrad_core::Stream;

use crate::case::Fill::{self, Grid, Normal, Uniform};

/// Small lengths, including those at which kernels take a different path.
pub(crate) const LENGTHS: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 33, 63, 64, 65, 96];
const LONG: [usize; 10] = [127, 128, 129, 255, 256, 257, 511, 513, 1023, 1025];
/// Largest number of elements of an input. Larger cases would take longer than a few milliseconds.
pub(crate) const MOST: usize = 40_000;

/// Source of random sizes and values that are the same on every machine.
pub(crate) struct Draw(pub Stream);

impl Draw {
    /// Returns a random element of the slice `some`.
    pub fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.0.below(some.len())]
    }

    /// Returns a random number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// Returns `true` or `false` with equal probability.
    pub fn coin(&mut self) -> bool {
        self.0.below(2) == 0
    }

    /// Returns a random length: long in one of four cases, otherwise short.
    pub fn length(&mut self) -> usize {
        if self.0.below(4) == 0 { self.of(&LONG) } else { self.of(&LENGTHS) }
    }

    /// Returns a random shape with `rank` axes.
    pub fn shape(&mut self, rank: usize) -> Vec<usize> {
        let mut shape: Vec<usize> = (0..rank).map(|_| self.length()).collect();
        while shape.iter().product::<usize>() > MOST {
            let longest = (0..rank).max_by_key(|&i| shape[i]).unwrap_or(0);
            shape[longest] = shape[longest].div_ceil(3);
        }
        shape
    }

    /// Returns a random shape with one to four axes.
    pub fn any(&mut self) -> Vec<usize> {
        let rank = 1 + self.0.below(4);
        self.shape(rank)
    }

    /// Returns a random axis of a shape.
    pub fn axis(&mut self, shape: &[usize]) -> usize {
        self.0.below(shape.len())
    }

    /// Returns one or more random axes of a shape.
    pub fn axes(&mut self, shape: &[usize]) -> Vec<isize> {
        let axes: Vec<usize> = (0..shape.len()).filter(|_| self.coin()).collect();
        let axes = if axes.is_empty() { vec![self.axis(shape)] } else { axes };
        axes.into_iter().map(usize::cast_signed).collect()
    }

    /// Returns a random distribution of an input's elements.
    pub fn values(&mut self) -> Fill {
        self.of(&[Normal, Uniform(-6.0, 6.0), Uniform(-1e-3, 1e-3), Uniform(50.0, 60.0), Grid(0.5, 6)])
    }
}
