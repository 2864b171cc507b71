//! Buffers as parts of the device's buffers: what one kernel touches as a whole lies side by side in one of them.

use wgrad_core::{Error, Result, Spec};

use super::device::Gpu;

/// Bytes at which a part may begin: every device binds at multiples of 256.
const ALIGN: u64 = 256;

/// A part of one of the device's buffers.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub buffer: wgpu::Buffer,
    /// Tells the device's buffers apart.
    pub number: usize,
    /// The first byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Part {
    /// The binding of these bytes.
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZeroU64::new(self.size);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size })
    }

    /// The first element, of four bytes.
    pub fn first(&self) -> usize {
        usize::try_from(self.offset / 4).unwrap_or(usize::MAX)
    }

    /// The part of this part that a value takes whose first element is `first`.
    pub fn narrow(&self, first: usize, spec: &Spec) -> Self {
        let offset = self.offset + 4 * first as u64;
        Self { buffer: self.buffer.clone(), number: self.number, offset, size: padded(spec) }
    }
}

/// The bytes of a buffer: a multiple of 16, because clusters load and store `vec4`, and never none.
pub(super) fn padded(spec: &Spec) -> u64 {
    spec.bytes().next_multiple_of(16).max(16) as u64
}

impl Gpu {
    /// A buffer that kernels read and write, of zeros.
    pub(super) fn storage(&self, size: u64) -> Result<Part> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let buffer = self.buffer("storage", size, usage)?;
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Part { buffer, number, offset: 0, size })
    }

    /// Parts for these values, side by side in as few buffers as one binding allows.
    pub(super) fn together(&self, specs: &[&Spec]) -> Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(specs.len());
        let mut rest = specs;
        while !rest.is_empty() {
            let mut offsets = vec![];
            let mut end = 0;
            for spec in rest {
                let next = end + padded(spec).next_multiple_of(ALIGN);
                if !offsets.is_empty() && next > self.limits.binding_bytes {
                    break;
                }
                offsets.push(end);
                end = next;
            }
            let whole = self.storage(end)?;
            let (these, others) = rest.split_at(offsets.len());
            let part = |(spec, offset): (&&Spec, u64)| Part { offset, size: padded(spec), ..whole.clone() };
            parts.extend(these.iter().zip(offsets).map(part));
            rest = others;
        }
        Ok(parts)
    }

    /// A buffer of the device.
    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let limit = self.limits.binding_bytes;
        if size > limit {
            return Err(Error::Device(format!(
                "{}: a buffer of {size} bytes exceeds the largest binding, {limit}",
                self.info
            )));
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&descriptor);
        self.check()?;
        Ok(buffer)
    }
}
