//! A device with inputs and outputs to put on it: what probes build their steps with.

use super::backend::{Backend, Buffer, DeviceError, Launch, Step};
use super::kernels::{self, Kernel};
use super::numbers::{Format, Numbers, POISON};

/// A device, and the format that numbers are measured in.
pub struct Bench<'d> {
    /// The device.
    pub device: &'d mut dyn Backend,
    /// The format of tokens and weights.
    pub format: Format,
    allocated: u64,
}

impl<'d> Bench<'d> {
    /// A bench on this device.
    #[must_use]
    pub fn new(device: &'d mut dyn Backend, format: Format) -> Self {
        Self { device, format, allocated: 0 }
    }

    /// Bytes allocated since the last [`Self::clear`].
    #[must_use]
    pub const fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Gives back all memory.
    pub fn clear(&mut self) {
        self.device.release_all();
        self.allocated = 0;
    }

    /// Prepares and runs steps once.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), DeviceError> {
        let prepared = self.device.prepare(steps)?;
        self.device.time(&[prepared]).map(|_| ())
    }

    fn allocate(&mut self, bytes: u64) -> Result<Buffer, DeviceError> {
        let most = self.device.facts().memory.unwrap_or(u64::MAX) / 10 * 9;
        if self.allocated + bytes > most {
            let needed = self.allocated + bytes;
            let found = format!("{needed} bytes are needed, and {most} can be had");
            return Err(DeviceError::OutOfMemory(found));
        }
        self.allocated += bytes;
        self.device.allocate(bytes)
    }

    /// `count` numbers in this format, filled on the device.
    ///
    /// # Errors
    /// If the device fails, or there are more numbers than 32 bits count.
    pub fn input_as(
        &mut self,
        count: u64,
        numbers: Numbers,
        format: Format,
    ) -> Result<Buffer, DeviceError> {
        let Ok(n) = u32::try_from(count) else {
            let found = format!("{count} numbers in one buffer, and 32 bits count them");
            return Err(DeviceError::OutOfMemory(found));
        };
        let buffer = self.allocate(kernels::bytes_of(count, format))?;
        let params = vec![n, numbers.seed, kernels::bits(numbers.scale())];
        let mut fill = launch(&kernels::FILL, format, vec![buffer], params, count);
        fill.format = format;
        self.run(&[Step::Launch(fill)])?;
        Ok(buffer)
    }

    /// `count` numbers in the bench's format, filled on the device.
    ///
    /// # Errors
    /// As [`Self::input_as`].
    pub fn input(&mut self, count: u64, numbers: Numbers) -> Result<Buffer, DeviceError> {
        self.input_as(count, numbers, self.format)
    }

    /// Room for `count` numbers of this format, poisoned.
    ///
    /// # Errors
    /// If the device fails.
    pub fn output_as(&mut self, count: u64, format: Format) -> Result<Buffer, DeviceError> {
        let bytes = kernels::bytes_of(count, format);
        let buffer = self.allocate(bytes)?;
        self.poison(buffer, bytes)?;
        Ok(buffer)
    }

    /// Room for `count` numbers of the bench's format, poisoned.
    ///
    /// # Errors
    /// If the device fails.
    pub fn output(&mut self, count: u64) -> Result<Buffer, DeviceError> {
        self.output_as(count, self.format)
    }

    /// `count` 32-bit numbers on a GPU of several: made on this one, and copied where it is another.
    ///
    /// # Errors
    /// If the device fails, or there is no such GPU.
    pub fn input_on(
        &mut self,
        gpu: u32,
        count: u64,
        numbers: Numbers,
    ) -> Result<Buffer, DeviceError> {
        let here = self.input_as(count, numbers, Format::F32)?;
        self.moved(gpu, here, kernels::bytes_of(count, Format::F32))
    }

    /// Room for `count` 32-bit numbers on a GPU of several, poisoned.
    ///
    /// # Errors
    /// As [`Self::input_on`].
    pub fn output_on(&mut self, gpu: u32, count: u64) -> Result<Buffer, DeviceError> {
        let here = self.output_as(count, Format::F32)?;
        self.moved(gpu, here, kernels::bytes_of(count, Format::F32))
    }

    fn moved(&mut self, gpu: u32, here: Buffer, bytes: u64) -> Result<Buffer, DeviceError> {
        if gpu == 0 {
            return Ok(here);
        }
        let there = self.device.allocate_on(gpu, bytes)?;
        self.run(&[Step::Copy { from: here, to: there, bytes }])?;
        Ok(there)
    }

    fn poison(&mut self, buffer: Buffer, bytes: u64) -> Result<(), DeviceError> {
        let words = bytes / 4;
        // Buffers of more words than 32 bits count are poisoned as far as these reach.
        let n = u32::try_from(words).unwrap_or(u32::MAX);
        let fill =
            launch(&kernels::POISON_FILL, Format::F32, vec![buffer], vec![n, POISON], n.into());
        self.run(&[Step::Launch(fill)])
    }

    /// These words on the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn words(&mut self, words: &[u32]) -> Result<Buffer, DeviceError> {
        let buffer = self.allocate((words.len().max(1) * 4) as u64)?;
        self.device.write(buffer, bytemuck::cast_slice(words))?;
        Ok(buffer)
    }

    /// These 32-bit numbers on the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn reals(&mut self, reals: &[f32]) -> Result<Buffer, DeviceError> {
        let words: Vec<u32> = reals.iter().map(|x| x.to_bits()).collect();
        self.words(&words)
    }

    /// The words of a buffer, once everything is done.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_words(&mut self, from: Buffer, count: u64) -> Result<Vec<u32>, DeviceError> {
        let bytes = self.device.read(from, 0, count * 4)?;
        let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Ok(bytes.chunks_exact(4).map(word).collect())
    }

    /// A kernel over `items` items in the bench's format, as a step.
    #[must_use]
    pub fn step(
        &self,
        kernel: &'static Kernel,
        buffers: Vec<Buffer>,
        params: Vec<u32>,
        items: u64,
    ) -> Step {
        Step::Launch(launch(kernel, self.format, buffers, params, items))
    }
}

/// A launch of one thread (of the WGSL body) an item.
///
/// # Panics
/// If buffers or parameters are not as many as the kernel has.
#[must_use]
pub fn launch(
    kernel: &'static Kernel,
    format: Format,
    buffers: Vec<Buffer>,
    params: Vec<u32>,
    items: u64,
) -> Launch {
    let (had, has) = (buffers.len(), kernel.buffers.len());
    assert_eq!(had, has, "{}: buffers", kernel.name);
    assert_eq!(params.len(), kernel.params.len(), "{}: parameters", kernel.name);
    let groups = Kernel::groups_for(items, kernel.threads);
    Launch { kernel, format, buffers, params, groups }
}
