//! A run: its launches encoded into compute passes, step by step, and submitted in portions.
//!
//! A portion holds as many steps as keep the device busy for a while, at most [`DISPATCHES`] launches. Less than
//! [`IN_FLIGHT`] are under way: the device never waits for the host, and the host never runs ahead without bounds.

use std::collections::VecDeque;
use std::time::Instant;

use wgrad_core::{Pending, ProgramId, Read, Result};

use super::backend::{GpuBackend, row};
use super::program::Program;

/// Launches in one submission, unless one step has more.
const DISPATCHES: usize = 2048;

/// With so many submissions under way, the host waits for the oldest.
#[cfg(not(target_arch = "wasm32"))]
const IN_FLIGHT: usize = 3;

/// What the device should at most take for a submission, in seconds: drivers reset one that is busy for some.
#[cfg(not(target_arch = "wasm32"))]
const BUSY: f64 = 0.1;

/// What was submitted and is not known to be finished, oldest first.
#[derive(Default)]
pub(super) struct Flight {
    /// Each with whether it is of the run under way.
    submissions: VecDeque<(wgpu::SubmissionIndex, bool)>,
    /// When the last one was found to have finished.
    finished: Option<Instant>,
}

const LOADED: &str = "the program is loaded";

impl GpuBackend {
    /// Runs a program, and begins to read what the last step leaves in the same submission.
    pub(super) fn execute(&mut self, id: ProgramId, steps: usize, reads: &[Read]) -> Result<Pending> {
        let mut program = self.programs[id.0].take().expect(LOADED);
        let result = self.fit(&mut program, steps).and_then(|()| self.submit(&mut program, steps, reads));
        self.programs[id.0] = Some(program);
        result
    }

    fn submit(&mut self, program: &mut Program, steps: usize, reads: &[Read]) -> Result<Pending> {
        for (_, own) in &mut self.flight.submissions {
            *own = false;
        }
        let mut first = 0;
        loop {
            let end = steps.min(first + program.portion);
            let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for step in first..end {
                    self.encode(&mut pass, program, step);
                }
            }
            let reading = (end == steps).then(|| self.copy_out(&mut encoder, reads));
            let index = self.gpu.submit(encoder.finish());
            self.gpu.check()?;
            self.throttle(index.clone(), program)?;
            if let Some(reading) = reading {
                return Ok(self.pending(reading, index));
            }
            first = end;
        }
    }

    /// Encodes one step.
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>, program: &mut Program, step: usize) {
        let Program { launches, pipelines, tables, offsets, .. } = program;
        offsets.clear();
        offsets.extend(tables.iter().map(|&(id, _)| {
            let offset = self.held(id).table.map_or(0, |table| row(table, step));
            u32::try_from(offset).expect("a table's offsets are 32-bit")
        }));
        let mut current = u32::MAX;
        for launch in &*launches {
            if launch.groups.contains(&0) {
                continue;
            }
            if current != launch.pipeline {
                current = launch.pipeline;
                pass.set_pipeline(&pipelines[current as usize].pipeline);
            }
            let (count, tables) = launch.tables;
            let at = tables.map(|table| offsets.get(usize::from(table)).copied().unwrap_or(0));
            pass.set_bind_group(0, &launch.group, &at[..usize::from(count)]);
            let [x, y, z] = launch.groups;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// Waits until few submissions are under way, and learns from their times how many steps the next ones may hold: one
    /// at first, since nobody knows what a step takes.
    #[cfg(not(target_arch = "wasm32"))]
    fn throttle(&mut self, index: wgpu::SubmissionIndex, program: &mut Program) -> Result<()> {
        self.flight.submissions.push_back((index, true));
        while self.flight.submissions.len() >= IN_FLIGHT {
            let (oldest, own) = self.flight.submissions.pop_front().expect("there are some");
            self.gpu.wait(Some(&oldest))?;
            let before = self.flight.finished.replace(Instant::now());
            let Some(before) = before.filter(|_| own) else { continue };
            let took = before.elapsed().as_secs_f64();
            let most = (DISPATCHES / program.launches.len().max(1)).max(1);
            if took > BUSY {
                program.portion = (program.portion / 2).max(1);
            } else if took < BUSY / 4.0 {
                program.portion = (program.portion * 2).min(most);
            }
        }
        Ok(())
    }

    /// A browser throttles by itself; nobody learns how long a submission takes.
    #[cfg(target_arch = "wasm32")]
    fn throttle(&mut self, _: wgpu::SubmissionIndex, program: &mut Program) -> Result<()> {
        program.portion = (DISPATCHES / 8 / program.launches.len().max(1)).max(1);
        Ok(())
    }
}
