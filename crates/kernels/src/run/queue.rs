//! Submission of commands. The steps of a run are submitted in chunks of several steps; each chunk is one compute
//! pass.
//!
//! The number of steps per chunk is adapted to the time that chunks take. A chunk of several steps has at most
//! [`DISPATCHES`] launches. While [`IN_FLIGHT`] chunks are unfinished, the host waits. In this way, the device
//! always has work, but the host is never far ahead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wgrad_core::{Pending, Read, Result};

use super::buffers::Buffers;
use super::program::Program;
use super::readback::Readback;
use crate::gpu::Gpu;

/// Largest number of launches in one submission. A step with more launches is submitted alone.
const DISPATCHES: usize = 2048;

/// Number of unfinished submissions at which the host waits for the oldest one.
#[cfg(not(target_arch = "wasm32"))]
const IN_FLIGHT: usize = 3;

/// Time in seconds that a submission should not exceed, because drivers reset a device that is busy for several
/// seconds.
#[cfg(not(target_arch = "wasm32"))]
const BUSY: f64 = 0.1;

/// Queue of a session's submissions and reads.
pub(super) struct Queue {
    gpu: Arc<Gpu>,
    /// Submissions that may be unfinished, oldest first. The flag is true for submissions of the current run.
    in_flight: VecDeque<(wgpu::SubmissionIndex, bool)>,
    /// Time at which the host last noticed that a submission had finished.
    finished: Option<Instant>,
    readback: Readback,
}

impl Queue {
    /// Creates a queue without submissions.
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self { readback: Readback::new(gpu.clone()), gpu, in_flight: VecDeque::new(), finished: None }
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Submits a read of buffers, which is executed after all earlier submissions.
    ///
    /// # Errors
    /// Returns an error if the device is lost.
    pub fn read(&mut self, buffers: &Buffers, reads: &[Read]) -> Result<Pending> {
        let mut encoder = self.encoder();
        let reading = self.readback.copy(&mut encoder, buffers, reads);
        let index = self.gpu.submit(encoder.finish());
        self.gpu.check()?;
        Ok(self.readback.pending(reading, index))
    }

    /// Runs a program for `steps` steps and reads buffers after the last step; the read is in the same submission
    /// as that step. [`Program::fit`] must have been called before.
    ///
    /// # Errors
    /// Returns an error if the device is lost.
    pub fn run(&mut self, program: &mut Program, buffers: &Buffers, steps: usize, reads: &[Read]) -> Result<Pending> {
        for (_, own) in &mut self.in_flight {
            *own = false;
        }
        let mut first = 0;
        loop {
            let end = steps.min(first + program.chunk);
            let mut encoder = self.encoder();
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for step in first..end {
                    program.encode(&mut pass, buffers, step);
                }
            }
            let reading = (end == steps).then(|| self.readback.copy(&mut encoder, buffers, reads));
            let index = self.gpu.submit(encoder.finish());
            self.gpu.check()?;
            self.throttle(index.clone(), program)?;
            if let Some(reading) = reading {
                return Ok(self.readback.pending(reading, index));
            }
            first = end;
        }
    }

    /// Waits until fewer than [`IN_FLIGHT`] submissions are unfinished, and adapts the number of steps per chunk
    /// to the time that chunks take. The first chunk has one step, because the time of a step is not known yet.
    #[cfg(not(target_arch = "wasm32"))]
    fn throttle(&mut self, index: wgpu::SubmissionIndex, program: &mut Program) -> Result<()> {
        self.in_flight.push_back((index, true));
        while self.in_flight.len() >= IN_FLIGHT {
            let (oldest, own) = self.in_flight.pop_front().expect("the queue is not empty");
            self.gpu.wait(Some(&oldest))?;
            let before = self.finished.replace(Instant::now());
            let Some(before) = before.filter(|_| own) else { continue };
            let took = before.elapsed().as_secs_f64();
            let most = (DISPATCHES / program.len().max(1)).max(1);
            if took > BUSY {
                program.chunk = (program.chunk / 2).max(1);
            } else if took < BUSY / 4.0 {
                program.chunk = (program.chunk * 2).min(most);
            }
        }
        Ok(())
    }

    /// Sets a fixed number of steps per chunk: a browser limits submissions itself and does not tell when one
    /// finishes.
    #[cfg(target_arch = "wasm32")]
    fn throttle(&mut self, _: wgpu::SubmissionIndex, program: &mut Program) -> Result<()> {
        program.chunk = (DISPATCHES / 8 / program.len().max(1)).max(1);
        Ok(())
    }

    /// Forgets the unfinished submissions and drops the staging buffers.
    pub fn clear(&mut self) {
        self.in_flight.clear();
        self.readback.clear();
    }
}
