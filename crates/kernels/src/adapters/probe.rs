//! Self-test of a device: runs `shaders/probe.wgsl` and decides whether the device is usable. The answers are
//! stored, so that the shader runs only once per adapter and driver.

#[cfg(any(test, target_arch = "wasm32"))]
use std::time::Duration;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;

use wgrad_core::{DeviceCall, DeviceError, DeviceInfo, Dispatch, FailedProbe, Grid, Kernel, Result};

use super::self_test::{ANSWERS, INPUTS, Probe, ProbeVerdict, SelfTest, evaluate};
use crate::cache;
use crate::gpu::Gpu;
use crate::kernels::compile::{Kernels, PipelineRequest};
use crate::kernels::reflect::Binding;
use crate::kernels::trusted::trusted;

const SOURCE: &str = wgrad_shaders::PROBE;

/// Tests an adapter whose device has just been opened. Uses the stored answers of an earlier process if there are
/// any.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn run(gpu: &Gpu, kernels: &Kernels) -> SelfTest {
    let start = Instant::now();
    let file = cache::cache_folder().map(|folder| cache::of_device(&folder, &gpu.info, "probes"));
    // The checksum of shader and inputs identifies the version; stored answers of another version are ignored.
    let version = cache::checksum(&[SOURCE.as_bytes(), bytemuck::cast_slice(&INPUTS)].concat());
    let stored = file.as_deref().and_then(cache::read).and_then(|bytes| {
        let words = bytes.strip_prefix(&version)?.chunks_exact(4);
        let words: Vec<u32> = words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        (words.len() == ANSWERS).then_some(words)
    });
    let cached = stored.is_some();
    let probes = match stored.map_or_else(|| run_probes(gpu, kernels), Ok) {
        Ok(answers) => {
            if let (false, Some(file)) = (cached, file) {
                let words: Vec<u8> = answers.iter().flat_map(|word| word.to_le_bytes()).collect();
                // If writing fails, the error is ignored: the next process just runs the probes again.
                let _ = cache::write(&file, &[&version[..], &words].concat());
            }
            evaluate(&answers)
        }
        Err(error) => vec![Probe {
            name: "self-test",
            found: format!("it could not run: {error}"),
            verdict: ProbeVerdict::Failed("nothing else will run either"),
        }],
    };
    SelfTest { probes, took: start.elapsed(), cached }
}

/// Returns an empty self-test: in a browser, results cannot be read synchronously.
#[cfg(target_arch = "wasm32")]
pub(super) fn run(_: &Gpu, _: &Kernels) -> SelfTest {
    SelfTest { probes: vec![], took: Duration::ZERO, cached: false }
}

/// Runs the entry points of the probe shader and reads their answers.
#[cfg(not(target_arch = "wasm32"))]
fn run_probes(gpu: &Gpu, kernels: &Kernels) -> Result<Vec<u32>> {
    let kernel = Kernel::new("probe", &[SOURCE]);
    let once = |kernel, entry| Dispatch::new(kernel, entry, Grid::Groups([1, 1, 1]));
    // `cleared` is compiled like the kernels of users, with workgroup memory set to zero. The other two are
    // compiled like wgrad's own kernels.
    let dispatches =
        [once(trusted(kernel.clone()), "values"), once(kernel.clone(), "cleared"), once(trusted(kernel), "looped")];
    let shaders = kernels.shaders(dispatches.iter())?;
    let bindings = |i: usize| &shaders[i].module.entries[dispatches[i].entry].bindings;
    let requests: Vec<PipelineRequest<'_>> = (0..dispatches.len())
        .map(|i| PipelineRequest {
            shader: &shaders[i],
            dispatch: &dispatches[i],
            offsets: vec![false; bindings(i).len()],
        })
        .collect();
    let pipelines = kernels.pipelines(&requests, |_, _| ())?;
    let storage = wgpu::BufferUsages::STORAGE;
    let bytes = 4 * ANSWERS as u64;
    let inputs = gpu.buffer("probe", size_of_val(&INPUTS) as u64, storage | wgpu::BufferUsages::COPY_DST);
    let answers = gpu.buffer("answers", bytes, storage | wgpu::BufferUsages::COPY_SRC);
    let staging = gpu.buffer("staging", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    gpu.write(&inputs, 0, bytemuck::cast_slice(&INPUTS));
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (i, pipeline) in pipelines.iter().enumerate() {
            let entry = |binding: &Binding| wgpu::BindGroupEntry {
                binding: binding.index,
                resource: if binding.writable { &answers } else { &inputs }.as_entire_binding(),
            };
            let entries: Vec<_> = bindings(i).iter().map(entry).collect();
            let layout = &pipeline.layout;
            let group = gpu.bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
    }
    encoder.copy_buffer_to_buffer(&answers, 0, &staging, 0, bytes);
    let index = gpu.submit(encoder.finish());
    staging.slice(..).map_async(wgpu::MapMode::Read, |_| ());
    gpu.wait(Some(&index))?;
    gpu.check()?;
    let mapped = staging.slice(..).get_mapped_range();
    let mapped = mapped.map_err(|error| {
        let (device, source) = (gpu.info.clone(), error.into());
        DeviceError::Call { device, call: DeviceCall::Read, source }
    })?;
    let words = mapped.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    Ok(words.collect())
}

/// Returns whether the environment variable `WGRAD_FORCE` is `1`, which allows devices that fail their self-test.
pub(super) fn forced() -> bool {
    std::env::var_os("WGRAD_FORCE").is_some_and(|set| set == "1")
}

/// Rejects a driver that failed its self-test.
///
/// # Errors
/// Returns an error if a probe failed, unless `forced` is set.
pub(super) fn admit(test: &SelfTest, info: &DeviceInfo, forced: bool) -> Result<()> {
    let failed = test.failures().map(|(probe, why)| FailedProbe {
        name: probe.name.to_string(),
        found: probe.found.clone(),
        consequence: why.into(),
    });
    let failures: Vec<_> = failed.collect();
    if forced || failures.is_empty() {
        return Ok(());
    }
    Err(DeviceError::SelfTest { device: info.clone(), failures }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_fails_is_refused_unless_forced() {
        let failed =
            Probe { name: "barriers", found: "1 + … + 256 = 36".into(), verdict: ProbeVerdict::Failed("sums") };
        let noted = Probe { name: "subnormals", found: "0".into(), verdict: ProbeVerdict::Noted("fine") };
        let info = DeviceInfo { adapter: "Toaster".into(), api: "vulkan".into(), ..DeviceInfo::default() };
        let mut test = SelfTest { probes: vec![noted], took: Duration::ZERO, cached: false };
        assert!(admit(&test, &info, false).is_ok());
        test.probes.push(failed);
        let error = admit(&test, &info, false).expect_err("it failed").to_string();
        let start =
            "Toaster (vulkan) fails its self-test:\n  barriers: 1 + … + 256 = 36\n    sums\n  fix: update the driver";
        assert!(error.starts_with(start) && error.contains("WGRAD_FORCE=1"), "{error}");
        assert!(admit(&test, &info, true).is_ok());
    }
}
