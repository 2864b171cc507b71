//! Submissions of a session: runs encoded into compute passes, step by step, and submitted in chunks.
//!
//! A chunk holds as many steps as keep the device busy for a while, at most [`DISPATCHES`] launches. Less than
//! [`IN_FLIGHT`] are in flight: the device never waits for the host, and the host never runs ahead without bounds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wgrad_core::{Pending, Read, Result};

use super::buffers::Buffers;
use super::program::Program;
use super::readback::Readback;
use crate::gpu::Gpu;

/// Launches in one submission, unless one step has more.
const DISPATCHES: usize = 2048;

/// Number of submissions in flight at which the host waits for the oldest.
#[cfg(not(target_arch = "wasm32"))]
const IN_FLIGHT: usize = 3;

/// Longest time that the device should take for a submission, in seconds: drivers reset one that is busy for some.
#[cfg(not(target_arch = "wasm32"))]
const BUSY: f64 = 0.1;

/// Submissions of a session, and the reading of results.
pub(super) struct Queue {
    gpu: Arc<Gpu>,
    /// Submissions not known to be finished, oldest first, each with whether it is of the run under way.
    in_flight: VecDeque<(wgpu::SubmissionIndex, bool)>,
    /// When the last one was found to have finished.
    finished: Option<Instant>,
    readback: Readback,
}

impl Queue {
    /// A queue with nothing in flight.
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self { readback: Readback::new(gpu.clone()), gpu, in_flight: VecDeque::new(), finished: None }
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Begins to read, after everything submitted before.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn read(&mut self, buffers: &Buffers, reads: &[Read]) -> Result<Pending> {
        let mut encoder = self.encoder();
        let reading = self.readback.copy(&mut encoder, buffers, reads);
        let index = self.gpu.submit(encoder.finish());
        self.gpu.check()?;
        Ok(self.readback.pending(reading, index))
    }

    /// Runs a program, which was made to fit, and begins to read what the last step leaves in the same submission.
    ///
    /// # Errors
    /// When the device is lost.
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

    /// Waits until few submissions are in flight, and learns from their times how many steps the next ones may hold: one
    /// at first, since nobody knows what a step takes.
    #[cfg(not(target_arch = "wasm32"))]
    fn throttle(&mut self, index: wgpu::SubmissionIndex, program: &mut Program) -> Result<()> {
        self.in_flight.push_back((index, true));
        while self.in_flight.len() >= IN_FLIGHT {
            let (oldest, own) = self.in_flight.pop_front().expect("there are some");
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

    /// A browser throttles by itself; nobody learns how long a submission takes.
    #[cfg(target_arch = "wasm32")]
    fn throttle(&mut self, _: wgpu::SubmissionIndex, program: &mut Program) -> Result<()> {
        program.chunk = (DISPATCHES / 8 / program.len().max(1)).max(1);
        Ok(())
    }

    /// Forgets what is in flight, and the staging buffers.
    pub fn clear(&mut self) {
        self.in_flight.clear();
        self.readback.clear();
    }
}
