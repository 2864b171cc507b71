//! Lowering of a cluster (a fused group of pointwise ops in a plan) to a program for the CPU.

use super::buffers::Memory;
use super::program::{ARGS, BLOCK, ClusterProgram, Load, Location, LoweredInstruction, OutputCopy, Source};
use crate::DType;
use crate::op::pointwise::Precision;
use crate::plan::{Arg, Cluster, ClusterInput};

/// Registers of one type: the free registers, and the total number of registers.
#[derive(Default)]
struct Pool {
    free: Vec<usize>,
    count: usize,
}

/// Register allocation during lowering.
#[derive(Default)]
struct Registers {
    floats: Pool,
    uints: Pool,
}

impl Registers {
    fn take(&mut self, dtype: DType) -> Location {
        let pool = if dtype.is_float() { &mut self.floats } else { &mut self.uints };
        let register = pool.free.pop().unwrap_or_else(|| {
            pool.count += 1;
            pool.count - 1
        });
        if dtype.is_float() { Location::Float(register) } else { Location::Uint(register) }
    }

    fn give_back(&mut self, place: Location) {
        match place {
            Location::Float(register) => self.floats.free.push(register),
            Location::Uint(register) => self.uints.free.push(register),
            _ => {}
        }
    }
}

/// Lowers a cluster. For each input, `in_place` contains the index of the output that is stored in the same
/// buffer, if there is one.
pub(super) fn lower<F: Precision>(cluster: &Cluster, in_place: &[Option<usize>]) -> ClusterProgram<F> {
    let end = cluster.instructions.len();
    let last_use = |arg: Arg| {
        let reads = |args: &[Arg]| args.contains(&arg);
        if reads(&cluster.outputs) { Some(end) } else { cluster.instructions.iter().rposition(|i| reads(&i.args)) }
    };
    // An output is written directly by the instruction that computes it, or copied after all instructions.
    // `writer` returns the instruction's index or, for a copy, `end`.
    let direct = |result: usize| cluster.outputs.iter().position(|&arg| arg == Arg::Result(result));
    let writer = |output: usize| match cluster.outputs[output] {
        Arg::Result(result) if direct(result) == Some(output) => result,
        _ => end,
    };
    let mut registers = Registers::default();
    let mut numbers: Vec<(u64, DType, Memory<F>)> = vec![];
    let mut loads = vec![];
    let mut inputs = vec![];
    for (i, ClusterInput { view, dtype }) in cluster.inputs.iter().enumerate() {
        let place = match in_place[i] {
            // The input is read from the output's buffer if every read happens before the write.
            Some(output) if last_use(Arg::Input(i)).is_none_or(|last| last < writer(output)) => {
                Location::Output(output)
            }
            None if view.is_contiguous() => Location::Input(i),
            in_place => {
                let register = registers.take(*dtype);
                let from = match in_place {
                    Some(output) => Source::Old(output),
                    None if view.is_splat() => Source::Splat(i),
                    None => Source::Gather(i),
                };
                loads.push(Load { from, to: register });
                register
            }
        };
        inputs.push(place);
    }
    // Registers that are filled only once, instead of once per block, must not be reused.
    let kept: Vec<Location> =
        loads.iter().filter(|load| matches!(load.from, Source::Splat(_))).map(|load| load.to).collect();
    let index = last_use(Arg::Index).map(|_| {
        let register = registers.take(DType::U32);
        loads.push(Load { from: Source::Index, to: register });
        register
    });
    let mut results: Vec<Location> = vec![];
    let mut place = |arg: Arg, results: &[Location]| match arg {
        Arg::Input(input) => inputs[input],
        Arg::Result(result) => results[result],
        Arg::Index => index.expect("the index is loaded where it is used"),
        Arg::Number(value, dtype) => {
            let known = numbers.iter().position(|(bits, of, _)| (*bits, *of) == (value.to_bits(), dtype));
            Location::Number(known.unwrap_or_else(|| {
                numbers.push((value.to_bits(), dtype, number(value, dtype)));
                numbers.len() - 1
            }))
        }
    };
    let mut instructions = vec![];
    for (i, instruction) in cluster.instructions.iter().enumerate() {
        assert!(instruction.args.len() <= ARGS, "{} has more than {ARGS} arguments", instruction.op.name);
        let args = instruction.args.iter().map(|&arg| place(arg, &results)).collect();
        let to = direct(i).map_or_else(|| registers.take(instruction.op.out), Location::Output);
        results.push(to);
        instructions.push(LoweredInstruction {
            run: F::block(instruction.op),
            args,
            to,
            attributes: instruction.attributes.clone(),
        });
        // Free the registers that are not read again, including the result's register if nothing reads the result.
        // A register that is listed twice is freed only once.
        let mut done: Vec<Arg> = vec![Arg::Result(i)];
        done.extend(instruction.args.iter().filter(|arg| matches!(arg, Arg::Input(_) | Arg::Result(_))));
        done.retain(|&arg| last_use(arg).is_none_or(|last| last == i));
        let mut places: Vec<Location> = done.into_iter().map(|arg| place(arg, &results)).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter(|place| !kept.contains(place)).for_each(|place| registers.give_back(place));
    }
    let copies = (0..cluster.outputs.len()).filter(|&output| writer(output) == end);
    let copies = copies.map(|output| OutputCopy { from: place(cluster.outputs[output], &results), output }).collect();
    ClusterProgram {
        elements: cluster.shape.numel(),
        views: cluster.inputs.iter().map(|input| input.view.clone()).collect(),
        loads,
        instructions,
        copies,
        float_registers: registers.floats.count,
        uint_registers: registers.uints.count,
        numbers: numbers.into_iter().map(|(.., memory)| memory).collect(),
    }
}

/// Returns a block whose elements are all `value`.
fn number<F: Precision>(value: f64, dtype: DType) -> Memory<F> {
    if dtype.is_float() { Memory::Float(vec![F::lit(value); BLOCK]) } else { Memory::Uint(vec![value as u32; BLOCK]) }
}
