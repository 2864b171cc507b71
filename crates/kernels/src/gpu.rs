//! Open GPU device: its queue, its errors, and counters of the resources created on it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wgrad_core::{DeviceCall, DeviceError, DeviceInfo, MemoryRequest, OutOfMemory, Result};

/// Numbers of resources created on a device so far. They stay constant while a loaded program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// Buffers, including those that have been freed.
    pub buffers: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Compute pipelines.
    pub pipelines: u64,
}

/// Open GPU device with its queue. All sessions on the device share it.
pub(crate) struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// Description of the adapter, for messages.
    pub info: DeviceInfo,
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    submissions: AtomicU64,
    /// First error reported since the last [`Self::check`].
    fault: Arc<Mutex<Option<String>>>,
    /// Reason why the device was lost, if it was.
    lost: Arc<OnceLock<String>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({})", self.info)
    }
}

/// Locks a mutex even if another thread panicked while it held the lock: the data are never left half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the API's context if all threads share one context. The lock must be held during calls that reach the
/// driver.
///
/// OpenGL has one context for all threads. A thread that compiles or computes may occupy it for a long time, and
/// wgpu panics if another thread waits for it for some seconds.
fn context(info: &DeviceInfo) -> Option<MutexGuard<'static, ()>> {
    static CONTEXT: Mutex<()> = Mutex::new(());
    (info.api == "gl").then(|| lock(&CONTEXT))
}

impl Gpu {
    /// Opens a device with the limits of the adapter, and with the optional features that the adapter supports.
    ///
    /// # Errors
    /// Returns an error if the driver does not open a device.
    pub fn open(adapter: &wgpu::Adapter, info: DeviceInfo, optional: wgpu::Features) -> Result<Self> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: adapter.features() & optional,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = {
            let _guard = context(&info);
            pollster::block_on(adapter.request_device(&descriptor))
                .map_err(|error| DeviceError::NotOpened { device: info.clone(), source: error.into() })?
        };
        let fault: Arc<Mutex<Option<String>>> = Arc::default();
        let shared = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&shared).get_or_insert_with(|| error.to_string());
        }));
        let lost = Arc::new(OnceLock::new());
        let shared = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed || !message.is_empty() {
                let _ = shared.set(format!("{message} ({reason:?})"));
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

    /// Checks whether the device has reported an error since the last call.
    ///
    /// # Errors
    /// Returns the first error of the driver or of wgpu's validation. Once the device is lost, every call returns
    /// that error.
    pub fn check(&self) -> Result<()> {
        let device = || self.info.clone();
        if let Some(reason) = self.lost.get() {
            return Err(DeviceError::Lost { device: device(), reason: reason.clone() }.into());
        }
        match lock(&self.fault).take() {
            Some(message) => Err(DeviceError::Driver { device: device(), message }.into()),
            None => Ok(()),
        }
    }

    /// Destroys the device.
    pub fn destroy(&self) {
        let _ = self.lost.set("it was destroyed".into());
        let _guard = self.context();
        self.device.destroy();
    }

    /// Resets the counters, so that the resources of the self-test are not counted.
    pub fn reset_counts(&self) {
        for counter in [&self.buffers, &self.bind_groups, &self.pipelines, &self.submissions] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the numbers of resources created on this device so far.
    pub fn counts(&self) -> DeviceCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeviceCounts {
            buffers: count(&self.buffers),
            bind_groups: count(&self.bind_groups),
            pipelines: count(&self.pipelines),
        }
    }

    /// Returns the number of submissions to this device so far.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Returns whether the API has one context for all threads, as OpenGL does.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn has_one_context(&self) -> bool {
        self.info.api == "gl"
    }

    /// Locks the API's context if all threads share one context, as in OpenGL.
    pub fn context(&self) -> Option<MutexGuard<'static, ()>> {
        context(&self.info)
    }

    /// Returns whether the device can record timestamps at the start and end of a compute pass.
    pub fn has_clock(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Writes bytes to a buffer.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        let _guard = self.context();
        self.queue.write_buffer(buffer, offset, bytes);
    }

    /// Writes `bytes` to a buffer in chunks of `chunk` bytes, each `pitch` bytes after the start of the previous
    /// one.
    pub fn write_chunks(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8], chunk: usize, pitch: usize) {
        let size = (bytes.len() / chunk - 1) * pitch + chunk;
        let size = wgpu::BufferSize::new(size as u64).expect("chunks are not empty");
        let _guard = self.context();
        // The view is `None` after a validation error, which `check` reports.
        if let Some(mut view) = self.queue.write_buffer_with(buffer, offset, size) {
            for (at, chunk) in (0..).step_by(pitch).zip(bytes.chunks_exact(chunk)) {
                view.slice(at..at + chunk.len()).copy_from_slice(chunk);
            }
        }
    }

    /// Submits commands to the device.
    pub fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        let _guard = self.context();
        self.queue.submit([commands])
    }

    /// Waits until the submission `index` has finished; if `index` is `None`, until all submissions have finished.
    ///
    /// # Errors
    /// Returns an error if the device is lost.
    pub fn wait(&self, index: Option<&wgpu::SubmissionIndex>) -> Result<()> {
        loop {
            let guard = self.context();
            match self.device.poll(wgpu::PollType::Wait { submission_index: index.cloned(), timeout: None }) {
                Ok(_) => return Ok(()),
                // With OpenGL, wgpu stops waiting after two seconds: release the context for other threads, then
                // wait again.
                Err(wgpu::PollError::Timeout) => drop(guard),
                Err(error) => {
                    let (device, source) = (self.info.clone(), error.into());
                    return Err(DeviceError::Call { device, call: DeviceCall::Wait, source }.into());
                }
            }
        }
    }

    /// Creates and counts a buffer. All buffers are created through this function.
    pub fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.buffers.fetch_add(1, Ordering::Relaxed);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let _guard = self.context();
        self.device.create_buffer(&descriptor)
    }

    /// Creates a buffer and checks that the device had enough memory.
    ///
    /// # Errors
    /// Returns an error if the device is out of memory or lost.
    pub fn try_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        #[cfg(not(target_arch = "wasm32"))]
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.buffer(label, size, usage);
        #[cfg(not(target_arch = "wasm32"))]
        if pollster::block_on(scope.pop()).is_some() {
            let request = MemoryRequest::Buffer { bytes: size };
            return Err(OutOfMemory { device: self.info.clone(), request, bill: None }.into());
        }
        self.check()?;
        Ok(buffer)
    }

    /// Creates and counts a bind group. All bind groups are created through this function.
    pub fn bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> wgpu::BindGroup {
        self.bind_groups.fetch_add(1, Ordering::Relaxed);
        self.device.create_bind_group(descriptor)
    }

    /// Creates and counts a compute pipeline. All pipelines are created through this function.
    pub fn pipeline(&self, descriptor: &wgpu::ComputePipelineDescriptor<'_>) -> wgpu::ComputePipeline {
        self.pipelines.fetch_add(1, Ordering::Relaxed);
        let _guard = self.context();
        self.device.create_compute_pipeline(descriptor)
    }
}
