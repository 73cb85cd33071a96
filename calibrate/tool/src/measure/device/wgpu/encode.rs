//! Commands of one run, its grid, its tiles and its timestamps.

use super::Ready;
use crate::measure::backend::Gemm;

/// Groups of threads along the first axis of a grid; WebGPU promises as many.
const MOST_GROUPS: u64 = 65_535;

/// Two timestamps, and where they are read.
pub(super) struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    pub(super) readable: wgpu::Buffer,
    pub(super) seconds_per_tick: f64,
    around_copies: bool,
}

/// (first matrix, row, end) of every tile, and how many there are.
pub(super) fn tiles_of(gemm: &Gemm, tile: u32) -> (u32, Vec<u32>) {
    let (mut table, mut row) = (Vec::new(), 0);
    for (group, &rows) in (gemm.first_group..).zip(&gemm.rows) {
        for first in (row..row + rows).step_by(tile as usize) {
            table.extend([group, first, row + rows]);
        }
        row += rows;
    }
    ((table.len() / 3) as u32, table)
}

/// GPUs before software.
pub(super) const fn kind(of: wgpu::DeviceType) -> u8 {
    match of {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    }
}

pub(super) fn grid_of(groups: u64) -> (u32, u32) {
    let x = groups.clamp(1, MOST_GROUPS);
    (x as u32, groups.div_ceil(x).clamp(1, MOST_GROUPS) as u32)
}

impl Timestamps {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, around_copies: bool) -> Self {
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: 16,
                usage,
                mapped_at_creation: false,
            })
        };
        Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readable: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            seconds_per_tick: f64::from(queue.get_timestamp_period()) * 1e-9,
            around_copies,
        }
    }

    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readable, 0, 16);
    }
}

/// Commands of one submission, and whether the device's clock goes with them.
pub(super) fn encode(
    encoder: &mut wgpu::CommandEncoder,
    work: &[&Ready],
    clock: Option<&Timestamps>,
) -> bool {
    if work.iter().all(|ready| matches!(ready, Ready::Dispatch { .. })) {
        let writes = clock.map(|clock| wgpu::ComputePassTimestampWrites {
            query_set: &clock.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: writes,
        });
        for ready in work {
            dispatch(&mut pass, ready);
        }
        return clock.is_some();
    }
    let clock = clock.filter(|clock| clock.around_copies);
    if let Some(clock) = clock {
        encoder.write_timestamp(&clock.queries, 0);
    }
    for ready in work {
        if let Ready::Copy { from, to, bytes } = ready {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, *bytes);
        } else {
            dispatch(&mut encoder.begin_compute_pass(&Default::default()), ready);
        }
    }
    if let Some(clock) = clock {
        encoder.write_timestamp(&clock.queries, 1);
    }
    clock.is_some()
}

fn dispatch(pass: &mut wgpu::ComputePass<'_>, ready: &Ready) {
    if let Ready::Dispatch { pipeline, bindings, grid } = ready {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, bindings, &[]);
        pass.dispatch_workgroups(grid.0, grid.1, 1);
    }
}
