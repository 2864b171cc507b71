//! Profiling: measures the time of each task with timestamps. Each task runs in a separate compute pass, with a
//! timestamp at its start and end.

use std::time::Duration;

use wgrad_core::{DeviceCall, DeviceError, Result};

use super::program::Program;
use crate::gpu::Gpu;

/// Runs one step of a program and returns the time of each task. The device must support timestamps, and
/// [`Program::fit`] must have been called before.
///
/// # Errors
/// Returns an error if the device is lost.
pub(super) fn task_times(gpu: &Gpu, program: &Program) -> Result<Vec<Duration>> {
    let tasks: Vec<_> = program.tasks().collect();
    let mut times = Vec::with_capacity(tasks.len());
    // A query set can have at most 4096 timestamps: two for each of 2048 tasks.
    for chunk in tasks.chunks(2048) {
        let count = u32::try_from(chunk.len() * 2).expect("at most 4096");
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let size = u64::from(count) * 8;
        let buffer = |usage| gpu.buffer("profile", size, usage);
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (i, launches) in (0u32..).zip(chunk) {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(2 * i),
                    end_of_pass_write_index: Some(2 * i + 1),
                }),
            });
            program.encode_first(&mut pass, launches.clone());
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
        gpu.submit(encoder.finish());
        staging.slice(..).map_async(wgpu::MapMode::Read, |_| {});
        gpu.wait(None)?;
        gpu.check()?;
        let bytes = staging.slice(..).get_mapped_range();
        let bytes = bytes.map_err(|error| {
            let (device, source) = (gpu.info.clone(), error.into());
            DeviceError::Call { device, call: DeviceCall::Profile, source }
        })?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(gpu.queue.get_timestamp_period());
        let time = |pair: &[u64]| Duration::from_secs_f64(pair[1].saturating_sub(pair[0]) as f64 * period * 1e-9);
        times.extend(ticks.chunks_exact(2).map(time));
    }
    Ok(times)
}
