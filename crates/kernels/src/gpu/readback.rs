//! From the device to the host: asynchronous at heart, one copy and one mapping for all buffers of a read.

use futures::channel::oneshot;
use wgrad_core::{Array, BufferId, DType, Error, Result, Spec};

use super::backend::GpuBackend;
use super::memory::padded;

impl GpuBackend {
    pub(super) async fn read_back(&mut self, buffers: &[(BufferId, Spec)]) -> Result<Vec<Array>> {
        let total: u64 = buffers.iter().map(|(_, spec)| padded(spec)).sum();
        if total == 0 {
            return Ok(vec![]);
        }
        let staging = match self.staging.take() {
            Some(staging) if staging.size() >= total => staging,
            _ => self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: total.next_power_of_two(),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        };
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut offset = 0;
        for (buffer, spec) in buffers {
            let size = padded(spec);
            let from = self.held(*buffer);
            encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &staging, offset, size);
            offset += size;
        }
        self.gpu.queue.submit([encoder.finish()]);
        let (sender, receiver) = oneshot::channel();
        staging.slice(..total).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone when the caller dropped the future; then nobody wants to know.
            let _ = sender.send(result);
        });
        // A browser polls by itself.
        #[cfg(not(target_arch = "wasm32"))]
        self.gpu
            .device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| Error::Device(format!("{}: waiting failed: {error}", self.gpu.info)))?;
        let lost = || Error::Device(format!("{}: the device was lost while reading from it", self.gpu.info));
        let mapped = receiver.await.map_err(|_| lost())?;
        self.gpu.check()?;
        mapped.map_err(|_| lost())?;
        let mut arrays = Vec::with_capacity(buffers.len());
        {
            let bytes = staging.slice(..total).get_mapped_range().map_err(|_| lost())?;
            let mut offset = 0;
            for (_, spec) in buffers {
                let end = offset + spec.bytes();
                arrays.push(match spec.dtype {
                    DType::U32 => Array::new(&spec.shape, bytemuck::pod_collect_to_vec::<u8, u32>(&bytes[offset..end])),
                    _ => Array::new(&spec.shape, bytemuck::pod_collect_to_vec::<u8, f32>(&bytes[offset..end])),
                }?);
                offset += usize::try_from(padded(spec)).expect("a host buffer");
            }
        }
        staging.unmap();
        self.staging = Some(staging);
        Ok(arrays)
    }
}
