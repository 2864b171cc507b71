//! An open device: its queue, what was made on it, and what it complained about.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wgrad_core::text::human_bytes;
use wgrad_core::{DeviceInfo, Error, Result};

/// Numbers of things made on a device so far. A run makes nothing: once a step has run, they stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// Buffers, also those that were freed since.
    pub buffers: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Compute pipelines.
    pub pipelines: u64,
}

/// An open device with its queue, shared by all sessions on it.
pub(crate) struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// The adapter, as messages name it.
    pub info: DeviceInfo,
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    submissions: AtomicU64,
    /// The first complaint of the device since the last look.
    fault: Arc<Mutex<Option<String>>>,
    /// The reason why there is no device any more.
    lost: Arc<OnceLock<String>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({})", self.info)
    }
}

/// Locks a mutex. What a panic elsewhere left is as good as before: nothing here is changed half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the API's context, to be held during calls that reach the driver: OpenGL has one context for all threads, and
/// wgpu panics when it has waited some seconds for it, which a thread that compiles or computes makes others do.
fn context(info: &DeviceInfo) -> Option<MutexGuard<'static, ()>> {
    static CONTEXT: Mutex<()> = Mutex::new(());
    (info.api == "gl").then(|| lock(&CONTEXT))
}

impl Gpu {
    /// Opens a device with all that the adapter allows, and those of the wanted features that it has.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(adapter: &wgpu::Adapter, info: DeviceInfo, wanted: wgpu::Features) -> Result<Self> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = {
            let _guard = context(&info);
            pollster::block_on(adapter.request_device(&descriptor))
                .map_err(|error| Error::Device(format!("{info} could not be opened: {error}")))?
        };
        let fault: Arc<Mutex<Option<String>>> = Arc::default();
        let heard = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&heard).get_or_insert_with(|| error.to_string());
        }));
        let lost = Arc::new(OnceLock::new());
        let heard = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed || !message.is_empty() {
                let _ = heard.set(format!("{message} ({reason:?})"));
            }
        });
        Ok(Self {
            device,
            queue,
            info,
            buffers: AtomicU64::new(0),
            bind_groups: AtomicU64::new(0),
            pipelines: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            fault,
            lost,
        })
    }

    /// Returns what went wrong on the device since the last call.
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
    pub fn destroy(&self) {
        let _ = self.lost.set("it was destroyed".into());
        let _guard = self.context();
        self.device.destroy();
    }

    /// DeviceCounts from now on: what a self-test made is no session's.
    pub fn reset_counts(&self) {
        for counter in [&self.buffers, &self.bind_groups, &self.pipelines, &self.submissions] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Returns how much was made so far.
    pub fn counts(&self) -> DeviceCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeviceCounts {
            buffers: count(&self.buffers),
            bind_groups: count(&self.bind_groups),
            pipelines: count(&self.pipelines),
        }
    }

    /// Returns how often commands were submitted so far.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Returns whether the API has one context for all threads, as OpenGL.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn has_one_context(&self) -> bool {
        self.info.api == "gl"
    }

    /// Locks the API's context, if it has only one.
    pub fn context(&self) -> Option<MutexGuard<'static, ()>> {
        context(&self.info)
    }

    /// Returns whether the device measures the time of passes.
    pub fn has_clock(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Writes bytes to a buffer.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        let _guard = self.context();
        self.queue.write_buffer(buffer, offset, bytes);
    }

    /// Writes parts of `part` bytes to a buffer, `pitch` bytes from one to the next.
    pub fn write_parts(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8], part: usize, pitch: usize) {
        let size = (bytes.len() / part - 1) * pitch + part;
        let size = wgpu::BufferSize::new(size as u64).expect("a part has bytes");
        let _guard = self.context();
        // None when wgpu objects, which `check` reports.
        if let Some(mut view) = self.queue.write_buffer_with(buffer, offset, size) {
            for (at, part) in (0..).step_by(pitch).zip(bytes.chunks_exact(part)) {
                view.slice(at..at + part.len()).copy_from_slice(part);
            }
        }
    }

    /// Submits commands.
    pub fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        let _guard = self.context();
        self.queue.submit([commands])
    }

    /// Waits for a submission, or for all of them.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn wait(&self, index: Option<&wgpu::SubmissionIndex>) -> Result<()> {
        loop {
            let guard = self.context();
            match self.device.poll(wgpu::PollType::Wait { submission_index: index.cloned(), timeout: None }) {
                Ok(_) => return Ok(()),
                // OpenGL waits two seconds at a time.
                Err(wgpu::PollError::Timeout) => drop(guard),
                Err(error) => return Err(Error::Device(format!("{}: waiting failed: {error}", self.info))),
            }
        }
    }

    /// Makes a buffer. Every buffer is made here, so that they are counted.
    pub fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.buffers.fetch_add(1, Ordering::Relaxed);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let _guard = self.context();
        self.device.create_buffer(&descriptor)
    }

    /// Makes a buffer, if there is room for it.
    ///
    /// # Errors
    /// When there is none, or the device is lost.
    pub fn try_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
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

    /// Makes a bind group. Every bind group is made here, so that they are counted.
    pub fn bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> wgpu::BindGroup {
        self.bind_groups.fetch_add(1, Ordering::Relaxed);
        self.device.create_bind_group(descriptor)
    }

    /// Makes a compute pipeline. Every pipeline is made here, so that they are counted.
    pub fn pipeline(&self, descriptor: &wgpu::ComputePipelineDescriptor<'_>) -> wgpu::ComputePipeline {
        self.pipelines.fetch_add(1, Ordering::Relaxed);
        let _guard = self.context();
        self.device.create_compute_pipeline(descriptor)
    }
}
