//! How long each task takes, by timestamps at the borders of a compute pass per task.

use std::time::Duration;

use wgrad_core::{Error, ProgramId, Result};

use super::backend::GpuBackend;
use super::program::OFFSETS;

impl GpuBackend {
    pub(super) fn measure(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        let gpu = self.gpu.clone();
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::Device(format!("{} has no timestamps; profile on another device", gpu.info)));
        }
        let mut loaded = self.programs[program.0].take().expect("the program is loaded");
        let fitted = self.fit(&mut loaded, 1);
        self.programs[program.0] = Some(loaded);
        fitted?;
        let program = self.programs[program.0].as_ref().expect("just put back");
        let starts = [0].into_iter().chain(program.tasks.iter().copied());
        let tasks: Vec<_> = starts.zip(&program.tasks).collect();
        let mut times = Vec::with_capacity(tasks.len());
        // A query set holds at most 4096 timestamps.
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
            for (i, &(start, &end)) in (0u32..).zip(chunk) {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(2 * i),
                        end_of_pass_write_index: Some(2 * i + 1),
                    }),
                });
                for launch in program.launches[start..end].iter().filter(|launch| !launch.groups.contains(&0)) {
                    let (count, _) = launch.tables;
                    pass.set_pipeline(&program.pipelines[launch.pipeline as usize].pipeline);
                    pass.set_bind_group(0, &launch.group, &[0; OFFSETS][..usize::from(count)]);
                    let [x, y, z] = launch.groups;
                    pass.dispatch_workgroups(x, y, z);
                }
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
            gpu.submit(encoder.finish());
            staging.slice(..).map_async(wgpu::MapMode::Read, |_| {});
            gpu.wait(None)?;
            gpu.check()?;
            let bytes = staging.slice(..).get_mapped_range();
            let bytes = bytes.map_err(|error| Error::Device(format!("{}: profiling failed: {error:?}", gpu.info)))?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            let period = f64::from(gpu.queue.get_timestamp_period());
            #[allow(clippy::cast_precision_loss, reason = "differences of timestamps are small")]
            let time = |pair: &[u64]| Duration::from_secs_f64(pair[1].saturating_sub(pair[0]) as f64 * period * 1e-9);
            times.extend(ticks.chunks_exact(2).map(time));
        }
        Ok(times)
    }
}
