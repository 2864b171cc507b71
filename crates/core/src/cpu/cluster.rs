//! Execution of clusters (fused groups of pointwise ops) on the CPU. Elements are processed in blocks that fit the
//! cache, and each instruction is a loop over a block. Large clusters run on all cores.

use rayon::prelude::*;

use super::program::{ARGS, BLOCK, ClusterProgram, Load, Location, OutputCopy, Source};
use crate::View;
use crate::op::pointwise::{Block, Precision};
use crate::op::reference::{Slice, SliceMut};

/// Number of element operations below which a cluster runs on one core, because waking a second core would take
/// as much time as it saves. The number of element operations is the number of elements times the number of
/// instructions, loads and stores.
const PARALLEL: usize = 1 << 18;

/// Registers of one thread. A register stores one value for each element of a block.
pub(super) struct Registers<F> {
    floats: Vec<Vec<F>>,
    uints: Vec<Vec<u32>>,
}

impl<F> Default for Registers<F> {
    fn default() -> Self {
        Self { floats: vec![], uints: vec![] }
    }
}

impl<F: Precision> Registers<F> {
    /// Ensures that there are enough registers for a program. Only the first run of a program allocates.
    fn reserve(&mut self, floats: usize, uints: usize) {
        self.floats.resize_with(self.floats.len().max(floats), || vec![F::zero(); BLOCK]);
        self.uints.resize_with(self.uints.len().max(uints), || vec![0; BLOCK]);
    }
}

impl<F: Precision> ClusterProgram<F> {
    /// Runs the program on all elements. `inputs` returns the elements of the input with a given index. It is
    /// called only for inputs whose buffer is not also an output.
    pub(super) fn run<'a>(
        &self,
        inputs: impl Fn(usize) -> Slice<'a, F> + Sync,
        outputs: Vec<SliceMut<'_, F>>,
        threads: &mut [Registers<F>],
    ) where
        F: 'a,
    {
        let steps = self.instructions.len() + self.loads.len() + self.copies.len() + self.views.len() + outputs.len();
        let blocks = self.elements.div_ceil(BLOCK);
        let ranges = if self.elements * steps < PARALLEL { blocks.min(1) } else { blocks.min(threads.len()) };
        if ranges == 0 {
            return;
        }
        if ranges == 1 {
            self.range(&inputs, 0, self.elements, outputs, &mut threads[0]);
            return;
        }
        // Divide the blocks into contiguous ranges, one per thread.
        let mut parts = Vec::with_capacity(ranges);
        let (mut rest, mut start) = (outputs, 0);
        for i in 1..=ranges {
            let end = (blocks * i / ranges * BLOCK).min(self.elements);
            let (head, tail): (Vec<_>, Vec<_>) = rest.into_iter().map(|output| output.split_at(end - start)).unzip();
            parts.push((start, end - start, head));
            (rest, start) = (tail, end);
        }
        parts.into_par_iter().zip(threads).for_each(|((start, elements, outputs), registers)| {
            self.range(&inputs, start, elements, outputs, registers);
        });
    }

    /// Runs the program on the elements `start..start + elements`. `outputs` are the parts of the outputs that
    /// belong to these elements.
    fn range<'a>(
        &self,
        inputs: &impl Fn(usize) -> Slice<'a, F>,
        start: usize,
        elements: usize,
        mut outputs: Vec<SliceMut<'_, F>>,
        registers: &mut Registers<F>,
    ) where
        F: 'a,
    {
        registers.reserve(self.float_registers, self.uint_registers);
        let used = ..elements.min(BLOCK);
        for &Load { ref from, to } in &self.loads {
            if let Source::Splat(input) = *from {
                let offset = self.views[input].offset;
                match (inputs(input), to) {
                    (Slice::Float(from), Location::Float(to)) => registers.floats[to][used].fill(from[offset]),
                    (Slice::Uint(from), Location::Uint(to)) => registers.uints[to][used].fill(from[offset]),
                    _ => unreachable!("a register has the type of its input"),
                }
            }
        }
        for at in (0..elements).step_by(BLOCK) {
            self.block(inputs, start + at, at, BLOCK.min(elements - at), &mut outputs, registers);
        }
    }

    /// Runs the program on a block of `n` elements. The first element is at index `first` of the inputs and at
    /// index `at` of `outputs`.
    fn block<'a>(
        &self,
        inputs: &impl Fn(usize) -> Slice<'a, F>,
        first: usize,
        at: usize,
        n: usize,
        outputs: &mut [SliceMut<'_, F>],
        registers: &mut Registers<F>,
    ) where
        F: 'a,
    {
        for &Load { ref from, to } in &self.loads {
            match (from, to) {
                (Source::Splat(_), _) => {}
                (Source::Index, Location::Uint(to)) => {
                    (first..)
                        .zip(&mut registers.uints[to][..n])
                        .for_each(|(i, to)| *to = u32::try_from(i).unwrap_or(u32::MAX));
                }
                (&Source::Old(output), to) => match (outputs[output].read(at..at + n), to) {
                    (Slice::Float(from), Location::Float(to)) => registers.floats[to][..n].copy_from_slice(from),
                    (Slice::Uint(from), Location::Uint(to)) => registers.uints[to][..n].copy_from_slice(from),
                    _ => unreachable!("a register has the type of its output"),
                },
                (&Source::Gather(input), to) => match (inputs(input), to) {
                    (Slice::Float(from), Location::Float(to)) => {
                        gather(&self.views[input], from, first, &mut registers.floats[to][..n]);
                    }
                    (Slice::Uint(from), Location::Uint(to)) => {
                        gather(&self.views[input], from, first, &mut registers.uints[to][..n]);
                    }
                    _ => unreachable!("a register has the type of its input"),
                },
                _ => unreachable!("an index is an integer"),
            }
        }
        for instruction in &self.instructions {
            // The memory that the instruction writes is moved out, so that the arguments can be borrowed. An
            // instruction never reads the memory that it writes.
            let mut memory = Taken::take(instruction.to, outputs, registers);
            let mut args = [Slice::Uint(&[]); ARGS];
            for (arg, &place) in args.iter_mut().zip(&instruction.args) {
                *arg = self.read(inputs, place, first, at, n, outputs, registers);
            }
            let block = Block { args: &args[..instruction.args.len()], attributes: &instruction.attributes };
            (instruction.run)(&block, memory.write(at, n));
            memory.put_back(instruction.to, outputs, registers);
        }
        for &OutputCopy { from, output } in &self.copies {
            let mut to = std::mem::replace(&mut outputs[output], SliceMut::Uint(&mut []));
            match (self.read(inputs, from, first, at, n, outputs, registers), to.write(at..at + n)) {
                (Slice::Float(from), SliceMut::Float(to)) => to.copy_from_slice(from),
                (Slice::Uint(from), SliceMut::Uint(to)) => to.copy_from_slice(from),
                _ => unreachable!("an output has the type of its value"),
            }
            outputs[output] = to;
        }
    }

    #[allow(clippy::too_many_arguments, reason = "all places that may hold a value")]
    #[inline(always)]
    fn read<'b, 'a: 'b>(
        &'b self,
        inputs: &impl Fn(usize) -> Slice<'a, F>,
        place: Location,
        first: usize,
        at: usize,
        n: usize,
        outputs: &'b [SliceMut<'_, F>],
        registers: &'b Registers<F>,
    ) -> Slice<'b, F> {
        match place {
            Location::Input(input) => inputs(input).read(first..first + n),
            Location::Output(output) => outputs[output].read(at..at + n),
            Location::Float(register) => Slice::Float(&registers.floats[register][..n]),
            Location::Uint(register) => Slice::Uint(&registers.uints[register][..n]),
            Location::Number(number) => self.numbers[number].read(n),
        }
    }
}

/// Memory that an instruction writes, moved out of an output or register.
enum Taken<'a, F> {
    Output(SliceMut<'a, F>),
    Float(Vec<F>),
    Uint(Vec<u32>),
}

impl<'a, F: Precision> Taken<'a, F> {
    fn take(place: Location, outputs: &mut [SliceMut<'a, F>], registers: &mut Registers<F>) -> Self {
        match place {
            Location::Output(i) => Self::Output(std::mem::replace(&mut outputs[i], SliceMut::Uint(&mut []))),
            Location::Float(i) => Self::Float(std::mem::take(&mut registers.floats[i])),
            Location::Uint(i) => Self::Uint(std::mem::take(&mut registers.uints[i])),
            Location::Input(_) | Location::Number(_) => unreachable!("instructions write outputs and registers"),
        }
    }

    fn write(&mut self, at: usize, n: usize) -> SliceMut<'_, F> {
        match self {
            Self::Output(values) => values.write(at..at + n),
            Self::Float(values) => SliceMut::Float(&mut values[..n]),
            Self::Uint(values) => SliceMut::Uint(&mut values[..n]),
        }
    }

    fn put_back(self, place: Location, outputs: &mut [SliceMut<'a, F>], registers: &mut Registers<F>) {
        match (self, place) {
            (Self::Output(values), Location::Output(i)) => outputs[i] = values,
            (Self::Float(values), Location::Float(i)) => registers.floats[i] = values,
            (Self::Uint(values), Location::Uint(i)) => registers.uints[i] = values,
            _ => unreachable!("it is returned to the location that it was taken from"),
        }
    }
}

/// Copies `to.len()` elements of a view to `to`, beginning at linear position `start`.
fn gather<T: Copy>(view: &View, from: &[T], start: usize, to: &mut [T]) {
    // The buffer position is computed once for each stretch of elements along the last axis, not for each element.
    let (size, stride) = match (view.shape.dims().last(), view.strides.last()) {
        (Some(&size), Some(&stride)) => (size, stride),
        _ => (1, 0),
    };
    let mut done = 0;
    while done < to.len() {
        let position = start + done;
        let run = (size - position % size).min(to.len() - done);
        let first = view.locate(position);
        let out = &mut to[done..done + run];
        match stride {
            0 => out.fill(from[first]),
            1 => out.copy_from_slice(&from[first..first + run]),
            _ => out.iter_mut().zip(from[first..].iter().step_by(stride)).for_each(|(to, &from)| *to = from),
        }
        done += run;
    }
}
