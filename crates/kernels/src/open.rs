//! An open device: its queue, what was made on it, and what it complained about.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wgrad_core::text::human_bytes;
use wgrad_core::{Choices, DeviceInfo, Error, Limits, Result, memory_of_host};

use super::cache::Cache;
use super::device::Adapter;
use super::pipeline::Pipelines;

/// What was made on a device so far. A run makes nothing: once a step has run, the numbers stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Buffers, also those that were freed since.
    pub buffers: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Compute pipelines.
    pub pipelines: u64,
}

/// The largest binding that is made use of.
const LARGEST: u64 = (1 << 32) - 256;

/// An open device with its queue and the pipelines made so far, shared by all sessions on it.
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: DeviceInfo,
    pub(super) limits: Limits,
    pub(super) pipelines: Mutex<Pipelines>,
    /// Where compiled pipelines are kept between processes.
    pub(super) cache: Option<Cache>,
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pub(super) made: AtomicU64,
    submissions: AtomicU64,
    /// The fault that its kernels have.
    #[cfg(feature = "plant")]
    pub(super) planted: Option<&'static crate::plant::Plant>,
    /// What the device complained about since the last look.
    fault: Arc<Mutex<Option<String>>>,
    /// Why there is no device any more.
    lost: Arc<OnceLock<String>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({})", self.info)
    }
}

/// What a panic elsewhere left is as good as before: nothing here is changed half-way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To be held during calls that reach the driver: OpenGL has one context for all threads, and wgpu panics when it has
/// waited some seconds for it, which a thread that compiles or computes makes others do.
fn turn(info: &DeviceInfo) -> Option<MutexGuard<'static, ()>> {
    static CONTEXT: Mutex<()> = Mutex::new(());
    (info.api == "gl").then(|| lock(&CONTEXT))
}

impl Gpu {
    pub(super) fn open(adapter: &Adapter, cached: bool, wanted: wgpu::Features) -> Result<Self> {
        let info = adapter.info();
        let available = adapter.limits();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: adapter.features() & wanted,
            required_limits: available.clone(),
            ..Default::default()
        };
        let (device, queue) = {
            let _turn = turn(&info);
            pollster::block_on(adapter.adapter.request_device(&descriptor))
                .map_err(|error| Error::Device(format!("{info} could not be opened: {error}")))?
        };
        let fault = Arc::new(Mutex::new(None));
        let note = |fault: &Arc<Mutex<Option<String>>>, what: String| {
            lock(fault).get_or_insert(what);
        };
        let heard = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&heard, error.to_string())));
        let lost = Arc::new(OnceLock::new());
        let heard = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed || !message.is_empty() {
                let _ = heard.set(format!("{message} ({reason:?})"));
            }
        });
        let limits = Limits {
            // Plans are made for WebGPU's default of eight everywhere, so that one graph is one plan on every device.
            storage_buffers: 8.min(available.max_storage_buffers_per_shader_stage as usize),
            // Kernels count elements in 32 bits, of four bytes each.
            binding_bytes: available.max_storage_buffer_binding_size.min(available.max_buffer_size).min(LARGEST),
            memory_bytes: if adapter.is_software() { memory_of_host() } else { u64::MAX },
            workgroups: available.max_compute_workgroups_per_dimension,
            invocations: available.max_compute_invocations_per_workgroup,
            workgroup_bytes: available.max_compute_workgroup_storage_size,
            // The self-test finds out.
            turns: u32::MAX,
            software: adapter.is_software(),
            dispatches: true,
            choices: Choices::default(),
        };
        let cache = if cached { Cache::open(&device, &adapter.info) } else { None };
        Ok(Self {
            device,
            queue,
            info,
            limits,
            pipelines: Mutex::default(),
            cache,
            buffers: AtomicU64::new(0),
            bind_groups: AtomicU64::new(0),
            made: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            #[cfg(feature = "plant")]
            planted: None,
            fault,
            lost,
        })
    }

    /// What went wrong on the device since the last call.
    ///
    /// # Errors
    /// The first complaint of the driver or of wgpu's validation. Once the device is lost, always that.
    pub fn check(&self) -> Result<()> {
        if let Some(why) = self.lost.get() {
            return Err(Error::Device(format!(
                "{}: the device was lost: {why}\n  what it held is gone; parameters have the values that they were last \
                 synchronised with\n  fix: open a device anew and go on from the last checkpoint (Trainer::resume, `wgrad \
                 train --resume`), which gives the same bits; if the driver resets a busy device, use a smaller batch",
                self.info
            )));
        }
        match lock(&self.fault).take() {
            Some(fault) => Err(Error::Device(format!("{}: {fault}", self.info))),
            None => Ok(()),
        }
    }

    /// Takes the device away.
    pub(super) fn destroy(&self) {
        let _ = self.lost.set("it was destroyed".into());
        let _turn = self.turn();
        self.device.destroy();
    }

    /// Counts from now on: what a self-test made is no session's.
    pub(super) fn begin_counts(&self) {
        for counter in [&self.buffers, &self.bind_groups, &self.made, &self.submissions] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { buffers: count(&self.buffers), bind_groups: count(&self.bind_groups), pipelines: count(&self.made) }
    }

    /// [`turn`] on this device.
    pub(super) fn turn(&self) -> Option<MutexGuard<'static, ()>> {
        turn(&self.info)
    }

    /// Hands bytes to a buffer.
    pub(super) fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        let _turn = self.turn();
        self.queue.write_buffer(buffer, offset, bytes);
    }

    /// Hands commands to the device, counted.
    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        let _turn = self.turn();
        self.queue.submit([commands])
    }

    /// Waits for a submission, or for all of them.
    pub(super) fn wait(&self, index: Option<&wgpu::SubmissionIndex>) -> Result<()> {
        loop {
            let turn = self.turn();
            match self.device.poll(wgpu::PollType::Wait { submission_index: index.cloned(), timeout: None }) {
                Ok(_) => return Ok(()),
                // OpenGL waits two seconds at a time.
                Err(wgpu::PollError::Timeout) => drop(turn),
                Err(error) => return Err(Error::Device(format!("{}: waiting failed: {error}", self.info))),
            }
        }
    }

    pub(super) fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// A new buffer. Every buffer is made here, so that they are counted.
    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.buffers.fetch_add(1, Ordering::Relaxed);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let _turn = self.turn();
        self.device.create_buffer(&descriptor)
    }

    /// A new buffer, if there is room for it.
    ///
    /// # Errors
    /// When there is none, or the device is lost.
    pub(super) fn room(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        #[cfg(not(target_arch = "wasm32"))]
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.buffer(label, size, usage);
        #[cfg(not(target_arch = "wasm32"))]
        if pollster::block_on(scope.pop()).is_some() {
            let bytes = human_bytes(usize::try_from(size).unwrap_or(usize::MAX));
            return Err(Error::OutOfMemory(format!("{} has no room for {bytes} more", self.info)));
        }
        self.check()?;
        Ok(buffer)
    }

    /// A new bind group, counted.
    pub(super) fn bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> wgpu::BindGroup {
        self.bind_groups.fetch_add(1, Ordering::Relaxed);
        self.device.create_bind_group(descriptor)
    }
}
