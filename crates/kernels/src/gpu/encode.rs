//! A run: its launches encoded into compute passes, step by step, and submitted in portions.
//!
//! A portion holds as many steps as keep the device busy for a while, at most [`DISPATCHES`] launches. At most
//! [`IN_FLIGHT`] are under way: the device never waits for the host, and the host never runs ahead without bounds.

use wgrad_core::{Pending, ProgramId, Read, Result};

use super::backend::{GpuBackend, row};
use super::program::Program;

/// Launches in one submission, unless one step has more.
const DISPATCHES: usize = 2048;

/// Submissions under way.
#[cfg(not(target_arch = "wasm32"))]
const IN_FLIGHT: usize = 3;

/// What the device should at most take for a submission, in seconds: drivers reset one that is busy for some.
#[cfg(not(target_arch = "wasm32"))]
const BUSY: f64 = 0.1;

/// How many launches the next submission holds.
pub(super) struct Pace {
    dispatches: usize,
    /// When a submission was last known to have finished.
    #[cfg(not(target_arch = "wasm32"))]
    finished: std::time::Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            dispatches: DISPATCHES / 8,
            #[cfg(not(target_arch = "wasm32"))]
            finished: std::time::Instant::now(),
        }
    }
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
        let mut first = 0;
        loop {
            let portion = (self.pace.dispatches / program.launches.len().max(1)).max(1);
            let end = steps.min(first + portion);
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
            self.throttle(index.clone(), first > 0)?;
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

    /// Waits until few submissions are under way. In a run of several, learns from the wait how large the next may be.
    #[cfg(not(target_arch = "wasm32"))]
    fn throttle(&mut self, index: wgpu::SubmissionIndex, learn: bool) -> Result<()> {
        self.in_flight.push_back(index);
        while self.in_flight.len() >= IN_FLIGHT {
            let oldest = self.in_flight.pop_front().expect("there are some");
            self.wait(oldest)?;
            let Pace { dispatches, finished } = &mut self.pace;
            let took = finished.elapsed().as_secs_f64();
            *finished = std::time::Instant::now();
            if learn && took > BUSY {
                *dispatches = (*dispatches / 2).max(1);
            } else if learn && took < BUSY / 4.0 {
                *dispatches = (*dispatches * 2).min(DISPATCHES);
            }
        }
        Ok(())
    }

    /// A browser throttles by itself.
    #[cfg(target_arch = "wasm32")]
    fn throttle(&mut self, _: wgpu::SubmissionIndex, _: bool) -> Result<()> {
        Ok(())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, index: wgpu::SubmissionIndex) -> Result<()> {
        super::readback::wait(&self.gpu, index)
    }
}
