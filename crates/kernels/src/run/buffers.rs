//! Buffers of a session: parts of the device's buffers under ids.

use std::sync::Arc;

use wgrad_core::{Array, BufferId, Error, Result, Spec};

use crate::gpu::Gpu;

/// Bytes at which a part of a buffer may begin: every device binds at multiples of 256.
const ALIGN: u64 = 256;

/// Part of one of the device's buffers, under an id.
#[derive(Clone)]
pub(super) struct Allocation {
    pub buffer: wgpu::Buffer,
    /// The number of the device's buffer, in the order in which they were made.
    pub number: usize,
    /// The first byte.
    pub offset: u64,
    /// The bytes that a kernel binds: those of one slot, if this is a per-step buffer.
    pub size: u64,
    /// The slots of a per-step buffer.
    pub slots: Option<Slots>,
}

impl Allocation {
    /// Returns the first element, of four bytes.
    pub fn first(&self) -> usize {
        usize::try_from(self.offset / 4).unwrap_or(usize::MAX)
    }
}

/// Slots of a per-step buffer, one for each step of a run, at a distance that offsets of bindings may have.
#[derive(Clone, Copy)]
pub(super) struct Slots {
    pub pitch: u64,
    /// The number of slots that there is room for.
    pub capacity: usize,
    /// The number of slots filled last; a single one is that of every step.
    pub filled: usize,
}

impl Slots {
    /// Returns the offset at which step `step` finds its slot.
    pub fn offset(self, step: usize) -> u64 {
        if self.filled == 1 { 0 } else { step as u64 * self.pitch }
    }
}

/// Returns the bytes of a buffer: a multiple of 16, because clusters load and store `vec4`, and never none.
pub(super) fn padded(spec: &Spec) -> u64 {
    spec.bytes().next_multiple_of(16).max(16) as u64
}

fn storage() -> wgpu::BufferUsages {
    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC
}

/// All buffers of a session.
pub(super) struct Buffers {
    gpu: Arc<Gpu>,
    /// The bytes of the largest binding.
    limit: u64,
    allocations: Vec<Option<Allocation>>,
    free: Vec<BufferId>,
    /// The number of the device's buffers that were made here.
    made: usize,
}

impl Buffers {
    /// No buffers yet; none will have more than `limit` bytes.
    pub fn new(gpu: Arc<Gpu>, limit: u64) -> Self {
        Self { gpu, limit, allocations: vec![], free: vec![], made: 0 }
    }

    /// Returns how many ids there are.
    pub fn len(&self) -> usize {
        self.allocations.len()
    }

    /// Returns a buffer that was allocated and not released.
    pub fn get(&self, id: BufferId) -> &Allocation {
        self.allocations[id.0].as_ref().expect("a session uses a buffer only while it holds it")
    }

    /// Makes a buffer without an id, which kernels may bind as a whole.
    ///
    /// # Errors
    /// When it is larger than a binding, or there is no room for it.
    pub fn make(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let (limit, info) = (self.limit, &self.gpu.info);
        if size > limit {
            let what = format!("{info}: a buffer of {size} bytes exceeds the largest binding, {limit}");
            return Err(Error::Device(what));
        }
        self.gpu.try_buffer(label, size, usage)
    }

    /// Makes room for `size` bytes: the one place that decides which part of which buffer that is.
    fn place(&mut self, label: &str, size: u64) -> Result<Allocation> {
        let buffer = self.make(label, size, storage())?;
        self.made += 1;
        Ok(Allocation { buffer, number: self.made, offset: 0, size, slots: None })
    }

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
    /// As [`Self::make`].
    pub fn allocate(&mut self, size: u64) -> Result<BufferId> {
        let allocation = self.place("persistent", size)?;
        Ok(self.keep(allocation))
    }

    /// Allocates buffers side by side in as few of the device's buffers as bindings allow.
    ///
    /// # Errors
    /// As [`Self::make`]; then nothing stays allocated.
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
    /// As [`Self::make`].
    pub fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId> {
        let size = padded(spec);
        let align = u64::from(self.gpu.device.limits().min_storage_buffer_offset_alignment);
        let slots = Some(Slots { pitch: size.next_multiple_of(align), capacity: 1, filled: 1 });
        let allocation = self.place("table", size)?;
        Ok(self.keep(Allocation { slots, ..allocation }))
    }

    /// Gives an id to the part of a buffer that a value takes whose first element is `first`.
    pub fn part(&mut self, of: BufferId, first: usize, spec: &Spec) -> BufferId {
        let whole = self.get(of);
        let part = Allocation { offset: whole.offset + 4 * first as u64, size: padded(spec), ..whole.clone() };
        self.keep(part)
    }

    /// Sets how many slots of a per-step buffer are filled, and makes room for them: programs that bind it have to bind
    /// it anew. Nothing happens to other buffers.
    ///
    /// # Errors
    /// When there is no room for so many.
    pub fn fill(&mut self, id: BufferId, filled: usize) -> Result<()> {
        let Allocation { slots: Some(mut slots), size, .. } = *self.get(id) else { return Ok(()) };
        let mut grown = None;
        if filled > slots.capacity {
            // Offsets of bindings are 32-bit.
            let limit = self.gpu.device.limits().max_buffer_size.min(u64::from(u32::MAX));
            let bytes = (filled as u64).saturating_mul(slots.pitch);
            if bytes > limit {
                return Err(Error::Device(format!(
                    "{}: {filled} steps need a buffer of {bytes} bytes, the largest has {limit}: {} steps of {size} \
                     bytes fit\n  fix: run fewer steps at once",
                    self.gpu.info,
                    limit / slots.pitch
                )));
            }
            grown = Some(self.gpu.try_buffer("table", bytes, storage())?);
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

    /// Writes an array to a buffer, or to the first `slots` slots of a per-step buffer, one after another.
    ///
    /// # Errors
    /// As [`Self::fill`], or when the device is lost.
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
                self.gpu.write_parts(&allocation.buffer, allocation.offset, bytes, slot, pitch);
            }
            _ => self.gpu.write(&allocation.buffer, allocation.offset, bytes),
        }
    }

    /// Gives buffers back; their ids may be handed out again.
    pub fn release(&mut self, ids: &[BufferId]) {
        // Bind groups keep their buffers alive; wgpu keeps both until the device has finished with them.
        let _guard = self.gpu.context();
        for &id in ids {
            self.allocations[id.0] = None;
            self.free.push(id);
        }
    }

    /// Forgets all buffers.
    pub fn clear(&mut self) {
        self.allocations.clear();
        self.free.clear();
    }
}
