//! The GPU backend: forwards the calls of a session to the modules for buffers, loaded programs and the queue.

use std::sync::Arc;
use std::time::Duration;

use wgrad_core::plan::Plan;
use wgrad_core::{
    Array, Backend, BufferId, DeviceError, DeviceInfo, Limits, OnCompile, Pending, ProgramId, Read, Result, Spec,
    StepCopy, Tuned, TuningChoices,
};

use super::buffers::{Buffers, padded};
use super::load::Loader;
use super::profile::task_times;
use super::program::Program;
use super::queue::Queue;
use super::tune::Tuner;
use crate::gpu::Gpu;
use crate::kernels::compile::Kernels;

/// Backend that runs plans on a GPU. It is created from a [`Device`](crate::Device).
pub struct GpuBackend {
    gpu: Arc<Gpu>,
    kernels: Arc<Kernels>,
    info: DeviceInfo,
    /// The device's limits, which every plan that runs on it must respect, and the tuning choices.
    limits: Limits,
    buffers: Buffers,
    programs: Vec<Option<Program>>,
    queue: Queue,
    on_compile: Option<OnCompile>,
}

impl std::fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuBackend({}, {} buffers)", self.info, self.buffers.len())
    }
}

impl GpuBackend {
    /// Creates a backend on an open device. It has no buffers yet.
    pub(crate) fn new(gpu: Arc<Gpu>, kernels: Arc<Kernels>, info: DeviceInfo, limits: Limits) -> Self {
        Self {
            buffers: Buffers::new(gpu.clone(), limits.binding_bytes),
            queue: Queue::new(gpu.clone()),
            gpu,
            kernels,
            info,
            limits,
            programs: vec![],
            on_compile: None,
        }
    }
}

const LOADED: &str = "the program is loaded";

impl Drop for GpuBackend {
    fn drop(&mut self) {
        // Dropping buffers calls the driver, so the API's context must be locked.
        let _guard = self.gpu.context();
        self.queue.clear();
        self.programs.clear();
        self.buffers.clear();
    }
}

impl Backend for GpuBackend {
    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        self.buffers.allocate(padded(spec))
    }

    fn allocate_together(&mut self, specs: &[&Spec]) -> Result<Vec<BufferId>> {
        self.buffers.allocate_together(specs)
    }

    fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId> {
        self.buffers.allocate_per_step(spec)
    }

    fn write(&mut self, buffer: BufferId, array: &Array, rows: usize) -> Result<()> {
        self.buffers.write(buffer, array, rows)
    }

    fn read(&mut self, reads: &[Read]) -> Result<Pending> {
        self.queue.read(&self.buffers, reads)
    }

    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId> {
        let loader = Loader {
            gpu: &self.gpu,
            kernels: &self.kernels,
            buffers: &mut self.buffers,
            workgroups: self.limits.workgroups,
            on_compile: self.on_compile.as_ref(),
        };
        self.programs.push(Some(loader.load(&plan, bound, copies)?));
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn on_compile(&mut self, f: OnCompile) {
        self.on_compile = Some(f);
    }

    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]) {
        self.buffers.release(buffers);
        if let Some(program) = program.and_then(|program| self.programs[program.0].take()) {
            self.buffers.release(program.own());
            let _guard = self.gpu.context();
            drop(program);
        }
    }

    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()> {
        self.run_and_read(program, steps, &[]).map(drop)
    }

    fn run_and_read(&mut self, program: ProgramId, steps: usize, reads: &[Read]) -> Result<Pending> {
        let program = self.programs[program.0].as_mut().expect(LOADED);
        program.fit(&self.gpu, &mut self.buffers, steps)?;
        self.queue.run(program, &self.buffers, steps, reads)
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        if !self.gpu.has_clock() {
            return Err(DeviceError::NoTimestamps { device: self.info.clone() }.into());
        }
        let program = self.programs[program.0].as_mut().expect(LOADED);
        program.fit(&self.gpu, &mut self.buffers, 1)?;
        task_times(&self.gpu, program)
    }

    fn tune(&mut self, plan: &Plan, limit: Duration, f: &mut dyn FnMut(&Tuned)) -> Result<TuningChoices> {
        let (clock, mut limits) = (self.gpu.has_clock(), self.limits.clone());
        let tuned = Tuner { backend: self, limits: &mut limits, clock }.tune(plan, limit, f);
        self.limits.choices = limits.choices;
        tuned.map(|()| self.limits.choices.clone())
    }
}
