//! The CPU itself, without a driver: threads for kernels, `matrixmultiply` for products.
//!
//! Steps run when they are asked for, on one thread unless more are asked for, and are timed by the host's
//! clock; a product that is to use fewer SMs gets fewer threads. Numbers are of 32 bits. Threads are kept, and
//! share only what takes some hundred microseconds: waking one takes tens. On a machine that does anything else,
//! one thread is what can be measured: two wait for each other, and so for whatever took the other's core.

use std::time::Instant;

use moesim::base::threads::Team;

use super::super::backend::{
    Backend, Buffer, Clock, DeviceError, DeviceFacts, Elapsed, Prepared, Step,
};
use super::super::numbers::Format;
use super::super::telemetry::cpu_cache_bytes;

mod kernels;
mod product;

/// The byte that uploads are made of, as in the other backends.
const UPLOADED: u8 = 0x5A;
/// What is taken for free memory where the system does not tell.
const SOME_MEMORY: u64 = 1 << 30;

/// The CPU as a device.
pub struct Native {
    facts: DeviceFacts,
    team: Team,
    /// Buffers, in words.
    memory: Vec<Vec<u32>>,
    ready: Vec<Vec<Step>>,
    /// What uploads are made of.
    sent: Vec<u8>,
    /// Where downloads go.
    received: Vec<u8>,
}

impl Native {
    /// So many threads of the CPU of this machine; there is one.
    ///
    /// # Errors
    /// If another is asked for.
    pub fn open(index: usize, threads: usize) -> Result<Self, DeviceError> {
        if index > 0 {
            let found = format!("there is no CPU {index}: all of this machine's are device 0");
            return Err(DeviceError::Absent(found));
        }
        let team = Team::of(threads);
        let memory = available_bytes().unwrap_or(SOME_MEMORY);
        let facts = DeviceFacts {
            name: model().unwrap_or_else(|| "CPU".to_owned()),
            backend: "native".to_owned(),
            driver: format!("{} threads", team.size()),
            software: true,
            memory: Some(memory),
            cache: cpu_cache_bytes(),
            sms: Some(team.size() as u32),
            gpus: 1,
            largest_buffer: memory,
            formats: vec![Format::F32],
            clock: Clock::Host,
        };
        let (memory, ready) = (Vec::new(), Vec::new());
        let (sent, received) = (Vec::new(), Vec::new());
        Ok(Self { facts, team, memory, ready, sent, received })
    }

    /// Hands out two buffers at once, the first to be read and the second to be written: for exchanges that other
    /// libraries do.
    ///
    /// # Panics
    /// If they are one.
    pub fn with_both<T>(
        &mut self,
        (from, to): (Buffer, Buffer),
        work: impl FnOnce(&[u8], &mut [u8]) -> T,
    ) -> T {
        assert_ne!(from, to, "one buffer in two places");
        let source = std::mem::take(&mut self.memory[from.0 as usize]);
        let target = bytemuck::cast_slice_mut(&mut self.memory[to.0 as usize]);
        let done = work(bytemuck::cast_slice(&source), target);
        self.memory[from.0 as usize] = source;
        done
    }

    fn bytes(&self, buffer: Buffer, count: u64) -> &[u8] {
        &bytemuck::cast_slice(&self.memory[buffer.0 as usize])[..count as usize]
    }

    fn bytes_mut(&mut self, buffer: Buffer, count: u64) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.memory[buffer.0 as usize])[..count as usize]
    }

    fn run(&mut self, step: &Step) -> Result<(), DeviceError> {
        match step {
            Step::Launch(launch) => kernels::run(launch, &mut self.memory, &self.team)?,
            Step::Gemm(gemm) => {
                let most = gemm.sms.map_or(usize::MAX, |sms| sms as usize);
                product::run(gemm, &mut self.memory, (&self.team, most));
            }
            Step::Copy { from, to, bytes } => {
                let source = std::mem::take(&mut self.memory[from.0 as usize]);
                let copied = &bytemuck::cast_slice(&source)[..*bytes as usize];
                self.bytes_mut(*to, *bytes).copy_from_slice(copied);
                self.memory[from.0 as usize] = source;
            }
            Step::Upload { to, bytes } => {
                let sent = std::mem::take(&mut self.sent);
                self.bytes_mut(*to, *bytes).copy_from_slice(&sent[..*bytes as usize]);
                self.sent = sent;
            }
            Step::Download { from, bytes } => {
                let mut received = std::mem::take(&mut self.received);
                received[..*bytes as usize].copy_from_slice(self.bytes(*from, *bytes));
                self.received = received;
            }
            Step::AllToAll { .. } => {
                return Err(DeviceError::Unsupported("exchanges of one CPU".to_owned()));
            }
        }
        Ok(())
    }
}

impl Backend for Native {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn allocate(&mut self, bytes: u64) -> Result<Buffer, DeviceError> {
        let words = bytes.div_ceil(16).max(1) * 4;
        let mut buffer = Vec::new();
        let count = usize::try_from(words).ok();
        if count.is_none_or(|count| buffer.try_reserve_exact(count).is_err()) {
            return Err(DeviceError::OutOfMemory(format!("{bytes} bytes in one buffer")));
        }
        buffer.resize(words as usize, 0);
        self.memory.push(buffer);
        Ok(Buffer(self.memory.len() as u32 - 1))
    }

    fn release_all(&mut self) {
        self.memory.clear();
        self.ready.clear();
    }

    fn write(&mut self, to: Buffer, bytes: &[u8]) -> Result<(), DeviceError> {
        self.bytes_mut(to, bytes.len() as u64).copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, from: Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        Ok(self.bytes(from, offset + bytes)[offset as usize..].to_vec())
    }

    fn prepare(&mut self, steps: &[Step]) -> Result<Prepared, DeviceError> {
        for step in steps {
            let (side, bytes, content) = match step {
                Step::Upload { bytes, .. } => (&mut self.sent, *bytes, UPLOADED),
                Step::Download { bytes, .. } => (&mut self.received, *bytes, 0),
                _ => continue,
            };
            side.resize(side.len().max(bytes as usize), content);
        }
        self.ready.push(steps.to_vec());
        Ok(Prepared(self.ready.len() as u32 - 1))
    }

    fn time(&mut self, runs: &[Prepared]) -> Result<Elapsed, DeviceError> {
        let ready = std::mem::take(&mut self.ready);
        let start = Instant::now();
        let mut steps = runs.iter().flat_map(|run| &ready[run.0 as usize]);
        let done = steps.try_for_each(|step| self.run(step));
        let host = start.elapsed().as_secs_f64();
        self.ready = ready;
        done.map(|()| Elapsed { device: None, host })
    }
}

/// The CPU's name, as the system tells it.
fn model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

/// Memory that can be had, as the system tells it.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
