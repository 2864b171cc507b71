//! Asynchronous transfer of results from device to host. A read copies each buffer to one staging buffer, which is
//! then mapped once.

use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use wgrad_core::{Array, DType, DeviceError, Pending, Read, Result};

use super::buffers::{Allocation, Buffers};
use crate::gpu::{Gpu, lock};

/// Staging buffer with the copies of all buffers that one read requested.
pub(super) struct StagedRead {
    staging: Option<wgpu::Buffer>,
    /// Number of bytes of the staging buffer that this read uses.
    bytes: u64,
    parts: Vec<StagedBuffer>,
}

/// Place of one buffer's copy in the staging buffer.
struct StagedBuffer {
    read: Read,
    /// Position of the first slot in the staging buffer, in bytes.
    offset: u64,
    /// Distance in bytes from one slot to the next; 0 if all steps have the same slot.
    pitch: u64,
}

/// Pool of staging buffers for reads.
pub(super) struct Readback {
    gpu: Arc<Gpu>,
    /// Unmapped staging buffers, which later reads use again.
    free: Arc<Mutex<Vec<wgpu::Buffer>>>,
}

impl Readback {
    /// Creates an empty pool of staging buffers.
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self { gpu, free: Arc::default() }
    }

    /// Encodes copies of the buffers to a staging buffer.
    pub fn copy(&self, encoder: &mut wgpu::CommandEncoder, buffers: &Buffers, reads: &[Read]) -> StagedRead {
        let (mut bytes, mut parts) = (0, vec![]);
        for read in reads {
            let Allocation { size, slots, .. } = buffers.get(read.buffer);
            let pitch = slots.filter(|slots| slots.filled > 1).map_or(0, |slots| slots.pitch);
            parts.push(StagedBuffer { read: read.clone(), offset: bytes, pitch });
            bytes += (read.steps.unwrap_or(1) as u64 - 1) * pitch + size;
        }
        let staging = (bytes > 0).then(|| self.staging(bytes));
        if let Some(staging) = &staging {
            let ends = parts.iter().skip(1).map(|part| part.offset).chain([bytes]);
            for (part, end) in parts.iter().zip(ends) {
                let Allocation { buffer, offset, .. } = buffers.get(part.read.buffer);
                encoder.copy_buffer_to_buffer(buffer, *offset, staging, part.offset, end - part.offset);
            }
        }
        StagedRead { staging, bytes, parts }
    }

    /// Returns an unused staging buffer with at least `bytes` bytes.
    fn staging(&self, bytes: u64) -> wgpu::Buffer {
        let mut free = lock(&self.free);
        let fits = free.iter().enumerate().filter(|(_, buffer)| buffer.size() >= bytes);
        if let Some((at, _)) = fits.min_by_key(|(_, buffer)| buffer.size()) {
            return free.swap_remove(at);
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        self.gpu.buffer("staging", bytes.next_power_of_two().max(1 << 10), usage)
    }

    /// Returns the future of a read without buffers: it waits for submission `index` and returns an empty list.
    fn finished(&self, index: wgpu::SubmissionIndex) -> Pending {
        let gpu = self.gpu.clone();
        Box::pin(async move {
            #[cfg(not(target_arch = "wasm32"))]
            gpu.wait(Some(&index))?;
            #[cfg(target_arch = "wasm32")]
            {
                let (sender, receiver) = oneshot::channel();
                gpu.queue.on_submitted_work_done(move || drop(sender.send(())));
                drop((index, receiver.await));
            }
            gpu.check().map(|()| vec![])
        })
    }

    /// Returns a future that waits for submission `index`, maps the staging buffer and converts its contents to
    /// arrays.
    pub fn pending(&self, reading: StagedRead, index: wgpu::SubmissionIndex) -> Pending {
        let StagedRead { staging: Some(staging), bytes, parts } = reading else {
            return self.finished(index);
        };
        let (gpu, free) = (self.gpu.clone(), self.free.clone());
        let (sender, receiver) = oneshot::channel();
        {
            let _guard = gpu.context();
            staging.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| {
                // Sending fails if the caller has dropped the future, and with it the receiver.
                let _ = sender.send(result);
            });
        }
        Box::pin(async move {
            // In a browser, the browser itself polls the device.
            #[cfg(not(target_arch = "wasm32"))]
            gpu.wait(Some(&index))?;
            #[cfg(target_arch = "wasm32")]
            drop(index);
            let lost = || DeviceError::LostWhileReading { device: gpu.info.clone() };
            let mapped = receiver.await.map_err(|_| lost())?;
            gpu.check()?;
            mapped.map_err(|_| lost())?;
            let _guard = gpu.context();
            let arrays = {
                let bytes = staging.slice(..bytes).get_mapped_range().map_err(|_| lost())?;
                parts.iter().map(|part| part.array(&bytes)).collect::<Result<Vec<_>>>()?
            };
            staging.unmap();
            lock(&free).push(staging);
            Ok(arrays)
        })
    }

    /// Drops the staging buffers.
    pub fn clear(&self) {
        lock(&self.free).clear();
    }
}

impl StagedBuffer {
    fn array(&self, bytes: &[u8]) -> Result<Array> {
        let Self { read, offset, pitch } = self;
        let slot = |step: usize| {
            let start = usize::try_from(offset + step as u64 * pitch).expect("a host buffer");
            &bytes[start..start + read.spec.bytes()]
        };
        let words = (0..read.steps.unwrap_or(1)).flat_map(|step| slot(step).chunks_exact(4));
        let words = words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        match read.spec.dtype {
            DType::U32 => Array::new(read.shape(), words.collect()),
            _ => Array::new(read.shape(), words.map(f32::from_bits).collect()),
        }
    }
}
