//! Buffers and tables on a GPU, and the backend over them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wgrad_core::plan::Plan;
use wgrad_core::{
    Array, Backend, BufferId, Choices, DeviceInfo, Error, Limits, OnCompile, Pending, ProgramId, Read, Result, Spec,
    StepCopy, Tuned,
};

use super::encode::Flight;
use super::open::{Gpu, lock};
use super::program::Program;

/// What a buffer id stands for: a part of one of the device's buffers.
#[derive(Clone)]
pub(super) struct Held {
    pub buffer: wgpu::Buffer,
    /// Tells the device's buffers apart.
    pub number: usize,
    /// The first byte.
    pub offset: u64,
    /// The bytes that a kernel binds: those of one row, if this is a table.
    pub size: u64,
    pub table: Option<Table>,
}

impl Held {
    /// The first element, of four bytes.
    pub fn first(&self) -> usize {
        usize::try_from(self.offset / 4).unwrap_or(usize::MAX)
    }

    /// The part of this part that a value takes whose first element is `first`.
    pub fn narrow(&self, first: usize, spec: &Spec) -> Self {
        Self { offset: self.offset + 4 * first as u64, size: padded(spec), ..self.clone() }
    }
}

/// Rows at a distance that offsets of bindings may have.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub pitch: u64,
    /// How many rows there is room for.
    pub capacity: usize,
    /// How many rows were filled last; one row is that of every step.
    pub rows: usize,
}

/// Bytes at which a part of a buffer may begin: every device binds at multiples of 256.
const ALIGN: u64 = 256;

/// Runs plans on a [`Gpu`].
pub struct GpuBackend {
    pub(super) gpu: Arc<Gpu>,
    pub(super) choices: Choices,
    buffers: Vec<Option<Held>>,
    /// How many of the device's buffers were made here.
    made: usize,
    free: Vec<BufferId>,
    pub(super) programs: Vec<Option<Program>>,
    /// Mapped by nobody, for the next reads.
    pub(super) staging: Arc<Mutex<Vec<wgpu::Buffer>>>,
    pub(super) flight: Flight,
    pub(super) on_compile: Option<OnCompile>,
}

impl std::fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuBackend({}, {} buffers)", self.gpu.info, self.buffers.len())
    }
}

/// The bytes of a buffer: a multiple of 16, because clusters load and store `vec4`, and never none.
pub(super) fn padded(spec: &Spec) -> u64 {
    spec.bytes().next_multiple_of(16).max(16) as u64
}

/// The offset at which step `step` finds its row.
pub(super) fn row(table: Table, step: usize) -> u64 {
    if table.rows == 1 { 0 } else { step as u64 * table.pitch }
}

impl GpuBackend {
    /// A backend on an open device, without buffers yet.
    #[must_use]
    pub fn new(gpu: Arc<Gpu>) -> Self {
        let choices = gpu.limits.choices.clone();
        Self {
            gpu,
            choices,
            buffers: vec![],
            made: 0,
            free: vec![],
            programs: vec![],
            staging: Arc::default(),
            flight: Flight::default(),
            on_compile: None,
        }
    }

    /// The same backend with other variants of kernels in the plans that it will load.
    #[must_use]
    pub fn choosing(mut self, choices: Choices) -> Self {
        self.choices = choices;
        self
    }

    /// A new buffer that kernels may bind as a whole.
    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let limit = self.gpu.limits.binding_bytes;
        if size > limit {
            return Err(Error::Device(format!(
                "{}: a buffer of {size} bytes exceeds the largest binding, {limit}",
                self.gpu.info
            )));
        }
        self.gpu.room(label, size, usage)
    }

    /// Room for `size` bytes: the one place that says which part of which buffer that is.
    fn place(&mut self, label: &str, size: u64) -> Result<Held> {
        let buffer = self.buffer(label, size, storage())?;
        self.made += 1;
        Ok(Held { buffer, number: self.made, offset: 0, size, table: None })
    }

    pub(super) fn keep(&mut self, held: Held) -> BufferId {
        let id = self.free.pop().unwrap_or(BufferId(self.buffers.len()));
        if id.0 == self.buffers.len() {
            self.buffers.push(Some(held));
        } else {
            self.buffers[id.0] = Some(held);
        }
        id
    }

    /// A buffer of `size` bytes under an id.
    pub(super) fn allocate_bytes(&mut self, size: u64) -> Result<BufferId> {
        let held = self.place("persistent", size)?;
        Ok(self.keep(held))
    }

    /// A buffer that was allocated and not released.
    pub(super) fn held(&self, id: BufferId) -> &Held {
        self.buffers[id.0].as_ref().expect("a session uses a buffer only while it holds it")
    }

    /// Sets how many rows a table has, and makes room for them: programs that bind it have to bind it anew.
    pub(super) fn fill(&mut self, id: BufferId, rows: usize) -> Result<()> {
        let Held { table: Some(mut table), size, .. } = *self.held(id) else { return Ok(()) };
        let mut grown = None;
        if rows > table.capacity {
            // Offsets of bindings are 32-bit.
            let limit = self.gpu.device.limits().max_buffer_size.min(u64::from(u32::MAX));
            let bytes = (rows as u64).saturating_mul(table.pitch);
            if bytes > limit {
                return Err(Error::Device(format!(
                    "{}: {rows} steps need a buffer of {bytes} bytes, the largest has {limit}: {} steps of {size} bytes \
                     fit\n  fix: run fewer steps at once",
                    self.gpu.info,
                    limit / table.pitch
                )));
            }
            grown = Some(self.gpu.room("table", bytes, storage())?);
            table.capacity = rows;
        }
        table.rows = rows;
        let held = self.buffers[id.0].as_mut().expect("just found");
        held.table = Some(table);
        if let Some(buffer) = grown {
            held.buffer = buffer;
        }
        Ok(())
    }

    fn upload(&self, id: BufferId, bytes: &[u8], rows: usize) {
        let Held { buffer, offset, table, .. } = self.held(id);
        let row = bytes.len() / rows;
        match table {
            Some(Table { pitch, .. }) if rows > 1 && row > 0 && row as u64 != *pitch => {
                let size = (rows as u64 - 1) * pitch + row as u64;
                let size = wgpu::BufferSize::new(size).expect("a row has bytes");
                // None when wgpu objects, which `check` tells.
                let _turn = self.gpu.turn();
                if let Some(mut view) = self.gpu.queue.write_buffer_with(buffer, *offset, size) {
                    let pitch = usize::try_from(*pitch).expect("a table fits the host");
                    for (at, row) in (0..).step_by(pitch).zip(bytes.chunks_exact(row)) {
                        view.slice(at..at + row.len()).copy_from_slice(row);
                    }
                }
            }
            _ => self.gpu.write(buffer, *offset, bytes),
        }
    }
}

impl Drop for GpuBackend {
    fn drop(&mut self) {
        // Buffers are given back to the driver, too.
        let _turn = self.gpu.turn();
        self.flight = Flight::default();
        self.programs.clear();
        self.buffers.clear();
        lock(&self.staging).clear();
    }
}

fn storage() -> wgpu::BufferUsages {
    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC
}

impl Backend for GpuBackend {
    fn device(&self) -> DeviceInfo {
        self.gpu.info.clone()
    }

    fn limits(&self) -> Limits {
        Limits { choices: self.choices.clone(), ..self.gpu.limits.clone() }
    }

    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        self.allocate_bytes(padded(spec))
    }

    fn allocate_together(&mut self, specs: &[&Spec]) -> Result<Vec<BufferId>> {
        let mut ids = Vec::with_capacity(specs.len());
        let mut rest = specs;
        while !rest.is_empty() {
            let (mut offsets, mut end) = (vec![], 0);
            for spec in rest {
                let next = end + padded(spec).next_multiple_of(ALIGN);
                if !offsets.is_empty() && next > self.gpu.limits.binding_bytes {
                    break;
                }
                offsets.push(end);
                end = next;
            }
            let whole = match self.place("persistent", end) {
                Ok(whole) => whole,
                Err(error) => {
                    self.release(None, &ids);
                    return Err(error);
                }
            };
            let (these, others) = rest.split_at(offsets.len());
            for (spec, offset) in these.iter().zip(offsets) {
                ids.push(self.keep(Held { offset, size: padded(spec), ..whole.clone() }));
            }
            rest = others;
        }
        Ok(ids)
    }

    fn allocate_table(&mut self, spec: &Spec) -> Result<BufferId> {
        let size = padded(spec);
        let align = u64::from(self.gpu.device.limits().min_storage_buffer_offset_alignment);
        let pitch = size.next_multiple_of(align);
        let table = Some(Table { pitch, capacity: 1, rows: 1 });
        let held = self.place("table", size)?;
        Ok(self.keep(Held { table, ..held }))
    }

    fn write(&mut self, buffer: BufferId, array: &Array, rows: usize) -> Result<()> {
        self.fill(buffer, rows)?;
        match (array.as_slice::<f32>(), array.as_slice::<u32>()) {
            (Some(values), _) => self.upload(buffer, bytemuck::cast_slice(values), rows),
            (_, Some(values)) => self.upload(buffer, bytemuck::cast_slice(values), rows),
            _ => self.upload(buffer, bytemuck::cast_slice(&array.to_f32()), rows),
        }
        self.gpu.check()
    }

    fn read(&mut self, reads: &[Read]) -> Result<Pending> {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let reading = self.copy_out(&mut encoder, reads);
        let index = self.gpu.submit(encoder.finish());
        self.gpu.check()?;
        Ok(self.pending(reading, index))
    }

    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId> {
        let mut own = vec![];
        match self.prepare(&plan, bound, copies, &mut own) {
            Ok(program) => {
                self.programs.push(Some(program.owning(own)));
                Ok(ProgramId(self.programs.len() - 1))
            }
            Err(error) => {
                self.release(None, &own);
                Err(error)
            }
        }
    }

    fn on_compile(&mut self, f: OnCompile) {
        self.on_compile = Some(f);
    }

    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]) {
        // Bind groups keep their buffers alive; wgpu keeps both until the device has finished with them.
        let _turn = self.gpu.turn();
        let program = program.and_then(|program| self.programs[program.0].take());
        for &buffer in buffers.iter().chain(program.iter().flat_map(|program| &program.own)) {
            self.buffers[buffer.0] = None;
            self.free.push(buffer);
        }
    }

    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()> {
        self.execute(program, steps, &[]).map(drop)
    }

    fn run_and_read(&mut self, program: ProgramId, steps: usize, reads: &[Read]) -> Result<Pending> {
        self.execute(program, steps, reads)
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        self.measure(program)
    }

    fn tune(&mut self, plan: &Plan, limit: Duration, f: &mut dyn FnMut(&Tuned)) -> Result<Choices> {
        self.tune_plan(plan, limit, f)
    }
}
