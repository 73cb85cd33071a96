//! A device made of host memory: for tests of what happens when devices fail.
//!
//! It runs the few kernels that the simplest probes need, at durations that a test decides, and
//! fails when it is told to.

use std::collections::VecDeque;

use crate::measure::backend::{
    Backend, Buffer, Clock, DeviceError, DeviceFacts, Elapsed, Launch, Prepared, Step,
};
use crate::measure::numbers::{Format, Numbers};

/// A device that does what a test wants.
pub struct Fake {
    facts: DeviceFacts,
    memory: Vec<Vec<u8>>,
    prepared: Vec<Vec<Step>>,
    /// Runs left before each failure; a lost device stays lost.
    failures: VecDeque<(usize, DeviceError)>,
    lost: Option<DeviceError>,
    /// Where each buffer is: on which of several GPUs.
    places: Vec<u32>,
    /// Whether copies leave out their last block, and exchanges mix up two.
    pub sloppy: bool,
    /// How long every run keeps the host waiting, and how unevenly its clock shows it.
    pub pace: std::time::Duration,
    /// Runs so far.
    pub runs: usize,
}

impl Default for Fake {
    fn default() -> Self {
        let facts = DeviceFacts {
            name: "a device of host memory".to_owned(),
            backend: "fake".to_owned(),
            driver: "none".to_owned(),
            software: true,
            memory: Some(64 << 20),
            cache: 1 << 16,
            sms: Some(4),
            gpus: 1,
            largest_buffer: 1 << 20,
            formats: vec![Format::F32],
            clock: Clock::Device,
        };
        Self {
            facts,
            memory: Vec::new(),
            places: Vec::new(),
            prepared: Vec::new(),
            failures: VecDeque::new(),
            lost: None,
            sloppy: false,
            pace: std::time::Duration::ZERO,
            runs: 0,
        }
    }
}

impl Fake {
    /// Fails once with `error`, after `runs` more runs.
    #[must_use]
    pub fn failing(mut self, runs: usize, error: DeviceError) -> Self {
        self.failures.push_back((runs, error));
        self
    }

    /// One of this many GPUs.
    #[must_use]
    pub fn among(mut self, gpus: u32) -> Self {
        self.facts.gpus = gpus;
        self
    }

    fn word(&self, buffer: Buffer, at: usize) -> [u8; 4] {
        let bytes = &self.memory[buffer.0 as usize][at * 4..at * 4 + 4];
        [bytes[0], bytes[1], bytes[2], bytes[3]]
    }

    fn put(&mut self, buffer: Buffer, at: usize, word: [u8; 4]) {
        self.memory[buffer.0 as usize][at * 4..at * 4 + 4].copy_from_slice(&word);
    }

    fn exchange(&mut self, from: &[Buffer], to: &[Buffer], block: usize) {
        for (i, from) in from.iter().enumerate() {
            assert_eq!(self.places[from.0 as usize], i as u32, "each GPU sends its own");
            for (j, to) in to.iter().enumerate() {
                assert_eq!(self.places[to.0 as usize], j as u32, "each GPU gets its own");
                let source = if self.sloppy { i } else { j };
                let sent = self.memory[from.0 as usize][source * block..][..block].to_vec();
                self.memory[to.0 as usize][i * block..][..block].copy_from_slice(&sent);
            }
        }
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        let (buffers, params) = (&launch.buffers, &launch.params);
        match launch.kernel.name {
            "fill" => {
                let scale = f32::from_bits(params[2]);
                let exponent = scale.log2().round() as i32;
                let numbers = Numbers { seed: params[1], exponent };
                for i in 0..params[0] {
                    let number = numbers.at(i.into()) as f32;
                    self.put(buffers[0], i as usize, number.to_le_bytes());
                }
            }
            "poison" => {
                for i in 0..params[0] as usize {
                    self.put(buffers[0], i, params[1].to_le_bytes());
                }
            }
            "nothing" => self.put(buffers[0], 0, params[0].to_le_bytes()),
            "copy" => {
                let blocks = params[0] as usize - usize::from(self.sloppy);
                for i in 0..4 * blocks {
                    let word = self.word(buffers[0], i);
                    self.put(buffers[1], i, word);
                }
            }
            "axpy" => {
                let a = f32::from_bits(params[1]);
                for i in 0..4 * params[0] as usize {
                    let x = f32::from_le_bytes(self.word(buffers[0], i));
                    let y = f32::from_le_bytes(self.word(buffers[1], i));
                    self.put(buffers[1], i, (y + a * x).to_le_bytes());
                }
            }
            other => return Err(DeviceError::Unsupported(format!("{other} on a fake device"))),
        }
        Ok(())
    }
}

impl Backend for Fake {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn allocate(&mut self, bytes: u64) -> Result<Buffer, DeviceError> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        if bytes > self.facts.largest_buffer {
            return Err(DeviceError::OutOfMemory(format!("{bytes} bytes in one buffer")));
        }
        self.memory.push(vec![0; bytes as usize]);
        self.places.push(0);
        Ok(Buffer(self.memory.len() as u32 - 1))
    }

    fn allocate_on(&mut self, gpu: u32, bytes: u64) -> Result<Buffer, DeviceError> {
        if gpu >= self.facts.gpus {
            return Err(DeviceError::Unsupported(format!("GPU {gpu}: there are fewer")));
        }
        let buffer = self.allocate(bytes)?;
        self.places[buffer.0 as usize] = gpu;
        Ok(buffer)
    }

    fn release_all(&mut self) {
        self.memory.clear();
        self.places.clear();
        self.prepared.clear();
    }

    fn write(&mut self, to: Buffer, bytes: &[u8]) -> Result<(), DeviceError> {
        self.memory[to.0 as usize][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, from: Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        let memory = &self.memory[from.0 as usize];
        Ok(memory[offset as usize..(offset + bytes) as usize].to_vec())
    }

    fn prepare(&mut self, steps: &[Step]) -> Result<Prepared, DeviceError> {
        self.prepared.push(steps.to_vec());
        Ok(Prepared(self.prepared.len() as u32 - 1))
    }

    fn time(&mut self, runs: &[Prepared]) -> Result<Elapsed, DeviceError> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        self.runs += 1;
        if let Some((left, error)) = self.failures.front_mut() {
            if *left == 0 {
                let error = error.clone();
                if matches!(error, DeviceError::Lost(_)) {
                    self.lost = Some(error.clone());
                }
                self.failures.pop_front();
                return Err(error);
            }
            *left -= 1;
        }
        for run in runs {
            for step in self.prepared[run.0 as usize].clone() {
                match step {
                    Step::Launch(launch) => self.launch(&launch)?,
                    Step::Gemm(_) => {
                        return Err(DeviceError::Unsupported(
                            "products on a fake device".to_owned(),
                        ));
                    }
                    Step::Copy { from, to, bytes } => {
                        let copied = self.memory[from.0 as usize][..bytes as usize].to_vec();
                        self.memory[to.0 as usize][..bytes as usize].copy_from_slice(&copied);
                    }
                    Step::AllToAll { from, to, block } => self.exchange(&from, &to, block as usize),
                    Step::Upload { .. } | Step::Download { .. } => {}
                }
            }
        }
        let mut seconds = 1e-4 * runs.len() as f64;
        if !self.pace.is_zero() {
            std::thread::sleep(self.pace);
            // Medians of these are never known well, so that points take all the time they get.
            seconds *= 1.0 + (self.runs * 7 % 11) as f64 / 11.0;
        }
        Ok(Elapsed { device: Some(seconds), host: 2.0 * seconds })
    }
}
