//! Any GPU that speaks Vulkan, Metal or DX12, through wgpu.
//!
//! Launches of one run go into one compute pass, timed by timestamps at its beginning and end where
//! the adapter has them, else by the host. Products use our own kernel: matrix units are out of
//! reach of WGSL, so times of products are those of shader cores, and the samples say so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use wgpu::util::DeviceExt as _;

use crate::measure::backend::{
    Backend, Buffer, Clock, DeviceError, DeviceFacts, Elapsed, Gemm, Launch, Prepared, Step,
};
use crate::measure::kernels::{self, Kernel};
use crate::measure::numbers::Format;
use crate::measure::telemetry;

mod encode;
use encode::{Timestamps, encode, grid_of, kind, tiles_of};

type Shared<T> = Arc<Mutex<T>>;

/// A device opened through wgpu.
pub struct Wgpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    facts: DeviceFacts,
    clock: Option<Timestamps>,
    buffers: Vec<wgpu::Buffer>,
    ready: Vec<Vec<Ready>>,
    pipelines: BTreeMap<(&'static str, Format), Pipeline>,
    faults: Shared<Vec<DeviceError>>,
    altered: Vec<(&'static str, String, String)>,
}

#[derive(Clone)]
struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

enum Ready {
    Dispatch { pipeline: wgpu::ComputePipeline, bindings: wgpu::BindGroup, grid: (u32, u32) },
    Copy { from: wgpu::Buffer, to: wgpu::Buffer, bytes: u64 },
    Upload { to: wgpu::Buffer, data: Vec<u8> },
    Download { from: wgpu::Buffer, bytes: u64 },
}

impl Wgpu {
    /// Opens the adapter of this index among all there are: GPUs first, CPUs last.
    ///
    /// # Errors
    /// If there is no such adapter, or its driver refuses.
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        let instance =
            wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
        adapters.retain(|adapter| adapter.get_info().device_type != wgpu::DeviceType::Other);
        adapters.sort_by_key(|adapter| kind(adapter.get_info().device_type));
        let count = adapters.len();
        let Some(adapter) = adapters.into_iter().nth(index) else {
            return Err(DeviceError::Absent(if count == 0 {
                "no adapter was found (no Vulkan loader, or no driver for it)".to_owned()
            } else {
                format!("there is no adapter {index}: found {count}, counted from 0")
            }));
        };
        Self::of(&adapter)
    }

    fn of(adapter: &wgpu::Adapter) -> Result<Self, DeviceError> {
        use wgpu::Features as F;
        let wanted = F::TIMESTAMP_QUERY | F::TIMESTAMP_QUERY_INSIDE_ENCODERS | F::SHADER_F16;
        let features = adapter.features() & wanted;
        let limits = adapter.limits();
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("calibrate"),
            required_features: features,
            required_limits: limits.clone(),
            ..Default::default()
        }))
        .map_err(|e| DeviceError::Absent(format!("the driver refused the adapter: {e}")))?;
        let faults: Shared<Vec<DeviceError>> = Arc::default();
        let sink = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let fault = match error {
                wgpu::Error::OutOfMemory { .. } => {
                    DeviceError::OutOfMemory("the driver found no room".to_owned())
                }
                other => DeviceError::Failed(other.to_string()),
            };
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        }));
        let sink = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            let fault = DeviceError::Lost(format!("{reason:?}: {message}"));
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        });
        let clock = features.contains(F::TIMESTAMP_QUERY).then(|| {
            Timestamps::new(&device, &queue, features.contains(F::TIMESTAMP_QUERY_INSIDE_ENCODERS))
        });
        let info = adapter.get_info();
        let software = info.device_type == wgpu::DeviceType::Cpu;
        let mut formats = vec![Format::F32];
        if features.contains(F::SHADER_F16) {
            formats.push(Format::F16);
        }
        let facts = DeviceFacts {
            name: info.name.clone(),
            backend: format!("wgpu/{}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            software,
            memory: None,
            // WebGPU tells no cache sizes: 64 MiB exceeds most, and 50 of an H100.
            cache: if software { telemetry::cpu_cache_bytes() } else { 64 << 20 },
            sms: None,
            gpus: 1,
            largest_buffer: limits.max_buffer_size.min(limits.max_storage_buffer_binding_size),
            formats,
            clock: if clock.is_some() { Clock::Device } else { Clock::Host },
        };
        Ok(Self {
            device,
            queue,
            facts,
            clock,
            buffers: Vec::new(),
            ready: Vec::new(),
            pipelines: BTreeMap::new(),
            faults,
            altered: Vec::new(),
        })
    }

    /// Replaces a text of a kernel's WGSL from now on: tests break kernels with it, to see them
    /// refused.
    ///
    /// # Panics
    /// If the kernel's source for this device does not hold the text.
    pub fn alter(&mut self, kernel: &'static Kernel, from: &str, to: &str) {
        let source = kernels::wgsl(kernel, Format::F32, self.facts.software);
        assert!(source.contains(from), "{} has no `{from}`", kernel.name);
        self.altered.push((kernel.name, from.to_owned(), to.to_owned()));
        self.pipelines.clear();
    }

    /// Takes kernels' bodies for GPUs even on a CPU, so that tests can run them there.
    pub fn pretend_hardware(&mut self) {
        self.facts.software = false;
        self.pipelines.clear();
    }

    /// The first fault that the driver reported since the last call.
    fn sound(&self) -> Result<(), DeviceError> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.is_empty() {
            return Ok(());
        }
        let lost = faults.iter().position(|f| matches!(f, DeviceError::Lost(_)));
        let first = faults.swap_remove(lost.unwrap_or(0));
        faults.clear();
        Err(first)
    }

    fn buffer(&self, buffer: Buffer) -> &wgpu::Buffer {
        &self.buffers[buffer.0 as usize]
    }

    fn pipeline(
        &mut self,
        kernel: &'static Kernel,
        format: Format,
    ) -> Result<Pipeline, DeviceError> {
        if !self.facts.formats.contains(&format) {
            return Err(DeviceError::Unsupported(format!("{} in shaders", format.name())));
        }
        if let Some(found) = self.pipelines.get(&(kernel.name, format)) {
            return Ok(found.clone());
        }
        let mut source = kernels::wgsl(kernel, format, self.facts.software);
        for (_, from, to) in self.altered.iter().filter(|(name, ..)| *name == kernel.name) {
            source = source.replace(from, to);
        }
        let made = self.compile(kernel, &source);
        self.sound()?;
        self.pipelines.insert((kernel.name, format), made.clone());
        Ok(made)
    }

    fn compile(&self, kernel: &'static Kernel, source: &str) -> Pipeline {
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(kernel.name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let entry = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = |written: bool| wgpu::BufferBindingType::Storage { read_only: !written };
        let mut entries: Vec<wgpu::BindGroupLayoutEntry> = kernel
            .buffers
            .iter()
            .map(|arg| storage(arg.written))
            .enumerate()
            .map(|(binding, ty)| entry(binding, ty))
            .collect();
        entries.push(entry(kernel.buffers.len(), wgpu::BufferBindingType::Uniform));
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(kernel.name),
            entries: &entries,
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }

    fn dispatch(&mut self, launch: &Launch) -> Result<Ready, DeviceError> {
        let Pipeline { pipeline, layout } = self.pipeline(launch.kernel, launch.format)?;
        let mut words = launch.params.clone();
        words.resize(words.len().div_ceil(4) * 4, 0);
        let params = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("parameters"),
            contents: bytemuck::cast_slice(&words),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let buffers = launch.buffers.iter().map(|&b| self.buffer(b)).chain([&params]);
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .enumerate()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(launch.kernel.name),
            layout: &layout,
            entries: &entries,
        });
        self.sound()?;
        Ok(Ready::Dispatch { pipeline, bindings, grid: grid_of(launch.groups) })
    }

    /// Our own product: a table of tiles, and the kernel that works through it.
    fn product(&mut self, gemm: &Gemm) -> Result<Option<Ready>, DeviceError> {
        let software = self.facts.software;
        let tile = if software { kernels::product::SOFTWARE_TILE } else { kernels::product::TILE };
        let (tiles, table) = tiles_of(gemm, tile);
        if tiles == 0 {
            return Ok(None);
        }
        let table_buffer = self.allocate(table.len() as u64 * 4)?;
        self.write(table_buffer, bytemuck::cast_slice(&table))?;
        let columns = gemm.n.div_ceil(tile);
        let groups = u64::from(tiles) * u64::from(columns);
        let kernel = if gemm.out == Format::F32 && gemm.format != Format::F32 {
            &kernels::GEMM_F32
        } else {
            &kernels::GEMM
        };
        let ready = self.dispatch(&Launch {
            kernel,
            format: gemm.format,
            buffers: vec![gemm.a, gemm.b, table_buffer, gemm.c],
            params: vec![tiles, columns, gemm.n, gemm.k, gemm.n * gemm.k],
            groups: gemm.sms.map_or(groups, |most| groups.min(most.into())),
        })?;
        Ok(Some(ready))
    }

    /// Waits until everything that was submitted is done.
    fn wait(&self) -> Result<(), DeviceError> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|e| DeviceError::Lost(e.to_string()))?;
        self.sound()
    }

    fn read_back(&self, buffer: &wgpu::Buffer) -> Result<Vec<u8>, DeviceError> {
        buffer.map_async(wgpu::MapMode::Read, .., |_| ());
        self.wait()?;
        let view = buffer.get_mapped_range(..).map_err(|e| DeviceError::Lost(e.to_string()))?;
        let bytes = view.to_vec();
        drop(view);
        buffer.unmap();
        Ok(bytes)
    }

    fn download(
        &self,
        from: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, DeviceError> {
        let padded = bytes.div_ceil(4) * 4;
        let readable = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readable"),
            size: padded,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.sound()?;
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(from, offset, &readable, 0, padded);
        self.queue.submit([encoder.finish()]);
        let mut found = self.read_back(&readable)?;
        found.truncate(bytes as usize);
        Ok(found)
    }
}

impl Backend for Wgpu {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn allocate(&mut self, bytes: u64) -> Result<Buffer, DeviceError> {
        let bytes = bytes.div_ceil(16).max(1) * 16;
        if bytes > self.facts.largest_buffer {
            let most = self.facts.largest_buffer;
            let found = format!("a buffer of {bytes} bytes, and the driver allows {most}");
            return Err(DeviceError::OutOfMemory(found));
        }
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.sound()?;
        self.buffers.push(buffer);
        Ok(Buffer(self.buffers.len() as u32 - 1))
    }

    fn release_all(&mut self) {
        self.ready.clear();
        self.buffers.clear();
        // What the driver has to say to this is said again at the next call.
        let _ = self.device.poll(wgpu::PollType::Poll);
    }

    fn write(&mut self, to: Buffer, bytes: &[u8]) -> Result<(), DeviceError> {
        self.queue.write_buffer(self.buffer(to), 0, bytes);
        self.queue.submit([]);
        self.wait()
    }

    fn read(&mut self, from: Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        self.download(self.buffer(from), offset, bytes)
    }

    fn prepare(&mut self, steps: &[Step]) -> Result<Prepared, DeviceError> {
        let mut ready = Vec::new();
        for step in steps {
            match step {
                Step::Launch(launch) => ready.push(self.dispatch(launch)?),
                Step::Gemm(gemm) => ready.extend(self.product(gemm)?),
                Step::Copy { from, to, bytes } => ready.push(Ready::Copy {
                    from: self.buffer(*from).clone(),
                    to: self.buffer(*to).clone(),
                    bytes: *bytes,
                }),
                Step::Upload { to, bytes } => ready.push(Ready::Upload {
                    to: self.buffer(*to).clone(),
                    data: vec![0x5A; *bytes as usize],
                }),
                Step::AllToAll { .. } => {
                    let found = "exchanges between GPUs through wgpu".to_owned();
                    return Err(DeviceError::Unsupported(found));
                }
                Step::Download { from, bytes } => {
                    ready.push(Ready::Download { from: self.buffer(*from).clone(), bytes: *bytes })
                }
            }
        }
        self.ready.push(ready);
        Ok(Prepared(self.ready.len() as u32 - 1))
    }

    fn time(&mut self, runs: &[Prepared]) -> Result<Elapsed, DeviceError> {
        let work: Vec<&Ready> = runs.iter().flat_map(|run| &self.ready[run.0 as usize]).collect();
        let crosses = |r: &&Ready| matches!(r, Ready::Upload { .. } | Ready::Download { .. });
        if work.iter().any(crosses) {
            let start = Instant::now();
            for ready in work {
                match ready {
                    Ready::Upload { to, data } => self.queue.write_buffer(to, 0, data),
                    Ready::Download { from, bytes } => {
                        self.download(from, 0, *bytes)?;
                    }
                    Ready::Dispatch { .. } | Ready::Copy { .. } => {
                        let mut encoder = self.device.create_command_encoder(&Default::default());
                        encode(&mut encoder, &[ready], None);
                        self.queue.submit([encoder.finish()]);
                    }
                }
            }
            self.queue.submit([]);
            self.wait()?;
            return Ok(Elapsed { device: None, host: start.elapsed().as_secs_f64() });
        }
        let start = Instant::now();
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let timed = encode(&mut encoder, &work, self.clock.as_ref());
        if let Some(clock) = self.clock.as_ref().filter(|_| timed) {
            clock.resolve(&mut encoder);
        }
        self.queue.submit([encoder.finish()]);
        self.wait()?;
        let host = start.elapsed().as_secs_f64();
        let Some(clock) = self.clock.as_ref().filter(|_| timed) else {
            return Ok(Elapsed { device: None, host });
        };
        let ticks = self.read_back(&clock.readable)?;
        let tick = |at: usize| {
            ticks[at..at + 8].iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte))
        };
        let passed = tick(8).saturating_sub(tick(0)) as f64 * clock.seconds_per_tick;
        // A driver that writes no timestamps is timed by the host.
        Ok(Elapsed { device: (passed > 0.0).then_some(passed), host })
    }
}
