//! Host time per kernel launch, compared with the time that wgpu alone needs: `cargo bench --bench encode`.
//!
//! wgrad submits many runs of a step with small kernels at once. For comparison, a loop submits the same number of
//! launches, with as many bindings, directly to wgpu. The measure is the processor time of the calling thread,
//! which excludes the work of a software adapter. Only Linux reports this time.

use wgpu::util::DeviceExt;
use wgrad::gpu::adapters;
use wgrad::prelude::*;

const LAUNCHES: usize = 32;
const STEPS: usize = 60;
const ROUNDS: usize = 15;

/// Returns the processor time of this thread in nanoseconds, or `None` if the system does not report it.
fn thread_time() -> Option<f64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// Returns the smallest time per launch over all rounds, in nanoseconds.
fn least(mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = thread_time();
        round()?;
        let time = thread_time().zip(before).map_or(f64::NAN, |(after, before)| after - before);
        let each = time / (LAUNCHES * STEPS) as f64;
        least = least.min(each);
    }
    Ok(least)
}

/// Measures a wgrad step of [`LAUNCHES`] launches, each of which adds 1 to a variable.
fn ours() -> Result<Option<f64>> {
    let Some(adapter) = adapters().iter().find(|adapter| adapter.info().api == "vulkan") else { return Ok(None) };
    let params = Params::seeded(0);
    let graph = Graph::new(Mode::Train);
    for i in 0..LAUNCHES {
        // The variables have different shapes, so that their updates are not fused into one launch.
        let variable = params.variable(&format!("v{i}"), [i + 1], Kind::State, Init::Constant(0.0));
        graph.update(&variable, &(graph.variable(&variable) + 1.0));
    }
    let mut session = Session::new(adapter.open()?, &params)?;
    let step = session.compile(&graph, &[])?;
    assert_eq!(step.plan().dispatches(), LAUNCHES);
    session.run_many(&step, STEPS, &[])?;
    least(|| session.submit_many(&step, STEPS, &[])).map(Some)
}

/// Measures wgpu alone, with a separate pipeline and a bind group of two buffers for each launch.
fn bare() -> f64 {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    let adapter = found.into_iter().next().expect("an adapter was found before");
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))
        .expect("the driver opens its adapter");
    let launches: Vec<_> = (1..=LAUNCHES)
        .map(|n| {
            let source = format!(
                "struct Params {{ n: u32 }}
                @group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
                @group(0) @binding(1) var<uniform> params: Params;
                @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
                    if id.x * 4u < params.n {{ x[id.x] += vec4<f32>({n}.0); }}
                }}"
            );
            let source = wgpu::ShaderSource::Wgsl(source.into());
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            let buffer = |usage| {
                let contents = [0u8; 256];
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents: &contents, usage })
            };
            let buffers = [buffer(wgpu::BufferUsages::STORAGE), buffer(wgpu::BufferUsages::UNIFORM)];
            let entries: Vec<_> = (0..)
                .zip(&buffers)
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                .collect();
            let layout = &pipeline.get_bind_group_layout(0);
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
            (pipeline, group)
        })
        .collect();
    least(|| {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (pipeline, group) in (0..STEPS).flat_map(|_| &launches) {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(1, 1, 1);
            }
        }
        let index = queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None }).expect("it ends");
        Ok(())
    })
    .expect("nothing fails")
}

fn main() -> Result<()> {
    // `cargo test --all-targets` also runs this program. It measures only if cargo passes `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") || thread_time().is_none() {
        return Ok(());
    }
    if let Some(ours) = ours()? {
        let bare = bare();
        println!("{ours:.0} ns per launch, wgpu alone {bare:.0} ns: {:.2} times", ours / bare);
    }
    Ok(())
}
