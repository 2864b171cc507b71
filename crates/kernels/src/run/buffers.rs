//! Buffers of a session. An id refers to a range of a device buffer.

use std::sync::Arc;

use wgrad_core::{Array, BufferId, DeviceError, Result, Spec};

use crate::gpu::Gpu;

/// Alignment in bytes of ranges in a device buffer. All devices can bind at multiples of 256.
const ALIGN: u64 = 256;

/// One of the session's buffers, which is a range of a device buffer.
#[derive(Clone)]
pub(super) struct Allocation {
    pub buffer: wgpu::Buffer,
    /// Number of the device buffer; device buffers are numbered in the order of creation.
    pub number: usize,
    /// Offset of the range's first byte in the device buffer.
    pub offset: u64,
    /// Number of bytes that a kernel binds. For a per-step buffer, this is the size of one slot.
    pub size: u64,
    /// Slots of a per-step buffer, which has a value per step of a run; `None` for other buffers.
    pub slots: Option<Slots>,
}

impl Allocation {
    /// Returns the position of this range's first element in the device buffer, counted in elements of four bytes.
    pub fn first(&self) -> usize {
        usize::try_from(self.offset / 4).unwrap_or(usize::MAX)
    }
}

/// Slots of a per-step buffer, one per step of a run. The distance between slots is a valid dynamic offset.
#[derive(Clone, Copy)]
pub(super) struct Slots {
    /// Distance in bytes from one slot to the next.
    pub pitch: u64,
    /// Number of allocated slots.
    pub capacity: usize,
    /// Number of slots in use. If it is 1, every step uses the first slot.
    pub filled: usize,
}

impl Slots {
    /// Returns the offset in bytes of the slot for step `step`.
    pub fn offset(self, step: usize) -> u64 {
        if self.filled == 1 { 0 } else { step as u64 * self.pitch }
    }
}

/// Returns the allocated size of a buffer in bytes: a positive multiple of 16, because kernels of pointwise ops
/// load and store `vec4`.
pub(super) fn padded(spec: &Spec) -> u64 {
    spec.bytes().next_multiple_of(16).max(16) as u64
}

/// Returns the usage flags of all storage buffers.
fn storage() -> wgpu::BufferUsages {
    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC
}

/// All buffers of a session, by id.
pub(super) struct Buffers {
    gpu: Arc<Gpu>,
    /// Largest size in bytes of a buffer that a kernel binds.
    limit: u64,
    allocations: Vec<Option<Allocation>>,
    free: Vec<BufferId>,
    /// Number of device buffers created so far.
    made: usize,
}

impl Buffers {
    /// Creates an empty list of buffers. No device buffer in it may be larger than `limit` bytes.
    pub fn new(gpu: Arc<Gpu>, limit: u64) -> Self {
        Self { gpu, limit, allocations: vec![], free: vec![], made: 0 }
    }

    /// Returns the number of ids, including released ones.
    pub fn len(&self) -> usize {
        self.allocations.len()
    }

    /// Returns the buffer with this id, which must have been allocated and not released.
    pub fn get(&self, id: BufferId) -> &Allocation {
        self.allocations[id.0].as_ref().expect("a session uses a buffer only while it holds it")
    }

    /// Creates a device buffer without an id. Kernels may bind all of it.
    ///
    /// # Errors
    /// Returns an error if `size` exceeds the largest binding, or if the device is out of memory.
    pub fn make(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        if size > self.limit {
            let (device, limit) = (self.gpu.info.clone(), self.limit);
            return Err(DeviceError::BufferTooLarge { device, bytes: size, limit }.into());
        }
        self.gpu.try_buffer(label, size, usage)
    }

    /// Allocates `size` bytes in a new device buffer, at its start.
    fn place(&mut self, label: &str, size: u64) -> Result<Allocation> {
        let buffer = self.make(label, size, storage())?;
        self.made += 1;
        Ok(Allocation { buffer, number: self.made, offset: 0, size, slots: None })
    }

    /// Stores an allocation and returns its id: a released id if there is one, otherwise a new id.
    fn keep(&mut self, allocation: Allocation) -> BufferId {
        let id = self.free.pop().unwrap_or(BufferId(self.allocations.len()));
        if id.0 == self.allocations.len() {
            self.allocations.push(Some(allocation));
        } else {
            self.allocations[id.0] = Some(allocation);
        }
        id
    }

    /// Allocates a buffer of `size` bytes.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::make`].
    pub fn allocate(&mut self, size: u64) -> Result<BufferId> {
        let allocation = self.place("persistent", size)?;
        Ok(self.keep(allocation))
    }

    /// Allocates buffers side by side. Uses as few device buffers as the limit on their size allows.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::make`]; in this case no buffer stays allocated.
    pub fn allocate_together(&mut self, specs: &[&Spec]) -> Result<Vec<BufferId>> {
        let mut ids = Vec::with_capacity(specs.len());
        let mut rest = specs;
        while !rest.is_empty() {
            let (mut offsets, mut end) = (vec![], 0);
            for spec in rest {
                let next = end + padded(spec).next_multiple_of(ALIGN);
                if !offsets.is_empty() && next > self.limit {
                    break;
                }
                offsets.push(end);
                end = next;
            }
            let whole = match self.place("persistent", end) {
                Ok(whole) => whole,
                Err(error) => {
                    self.release(&ids);
                    return Err(error);
                }
            };
            let (these, others) = rest.split_at(offsets.len());
            for (spec, offset) in these.iter().zip(offsets) {
                ids.push(self.keep(Allocation { offset, size: padded(spec), ..whole.clone() }));
            }
            rest = others;
        }
        Ok(ids)
    }

    /// Allocates a per-step buffer with one slot.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::make`].
    pub fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId> {
        let size = padded(spec);
        let align = u64::from(self.gpu.device.limits().min_storage_buffer_offset_alignment);
        let slots = Some(Slots { pitch: size.next_multiple_of(align), capacity: 1, filled: 1 });
        let allocation = self.place("per-step", size)?;
        Ok(self.keep(Allocation { slots, ..allocation }))
    }

    /// Returns a new id for a part of buffer `of`: the part begins at element `first` and contains a value
    /// described by `spec`.
    pub fn part(&mut self, of: BufferId, first: usize, spec: &Spec) -> BufferId {
        let whole = self.get(of);
        let part = Allocation { offset: whole.offset + 4 * first as u64, size: padded(spec), ..whole.clone() };
        self.keep(part)
    }

    /// Sets the number of slots in use of a per-step buffer. If the buffer has fewer slots, allocates a larger
    /// buffer, which programs must then bind again. Has no effect on other buffers.
    ///
    /// # Errors
    /// Returns an error if the device cannot allocate this number of slots.
    pub fn fill(&mut self, id: BufferId, filled: usize) -> Result<()> {
        let Allocation { slots: Some(mut slots), size, .. } = *self.get(id) else { return Ok(()) };
        let mut grown = None;
        if filled > slots.capacity {
            // Dynamic offsets are 32-bit numbers.
            let limit = self.gpu.device.limits().max_buffer_size.min(u64::from(u32::MAX));
            let bytes = (filled as u64).saturating_mul(slots.pitch);
            if bytes > limit {
                return Err(DeviceError::TooManySteps {
                    device: self.gpu.info.clone(),
                    steps: filled,
                    step_bytes: size,
                    bytes,
                    limit,
                    fitting: limit / slots.pitch,
                }
                .into());
            }
            grown = Some(self.gpu.try_buffer("per-step", bytes, storage())?);
            slots.capacity = filled;
        }
        slots.filled = filled;
        let allocation = self.allocations[id.0].as_mut().expect("just found");
        allocation.slots = Some(slots);
        if let Some(buffer) = grown {
            allocation.buffer = buffer;
        }
        Ok(())
    }

    /// Writes an array to a buffer. For a per-step buffer, the array contains the values of the first `slots`
    /// slots, one after another.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::fill`], and an error if the device is lost.
    pub fn write(&mut self, id: BufferId, array: &Array, slots: usize) -> Result<()> {
        self.fill(id, slots)?;
        match (array.as_slice::<f32>(), array.as_slice::<u32>()) {
            (Some(values), _) => self.upload(id, bytemuck::cast_slice(values), slots),
            (_, Some(values)) => self.upload(id, bytemuck::cast_slice(values), slots),
            _ => self.upload(id, bytemuck::cast_slice(&array.to_f32()), slots),
        }
        self.gpu.check()
    }

    fn upload(&self, id: BufferId, bytes: &[u8], slots: usize) {
        let allocation = self.get(id);
        let slot = bytes.len() / slots;
        match allocation.slots {
            Some(Slots { pitch, .. }) if slots > 1 && slot > 0 && slot as u64 != pitch => {
                let pitch = usize::try_from(pitch).expect("a per-step buffer fits the host");
                self.gpu.write_chunks(&allocation.buffer, allocation.offset, bytes, slot, pitch);
            }
            _ => self.gpu.write(&allocation.buffer, allocation.offset, bytes),
        }
    }

    /// Releases buffers. Later allocations may use their ids again.
    pub fn release(&mut self, ids: &[BufferId]) {
        // Bind groups keep their buffers alive. wgpu drops buffers and bind groups only when the device no longer
        // uses them.
        let _guard = self.gpu.context();
        for &id in ids {
            self.allocations[id.0] = None;
            self.free.push(id);
        }
    }

    /// Drops all buffers.
    pub fn clear(&mut self) {
        self.allocations.clear();
        self.free.clear();
    }
}
