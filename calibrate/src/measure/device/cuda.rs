//! placeholder
use crate::measure::backend::*;
/// A CUDA device.
pub struct Cuda {}
impl Cuda {
    /// Opens.
    pub fn open(_index: usize) -> Result<Self, DeviceError> {
        Err(DeviceError::Absent("not built yet".to_owned()))
    }
}
impl Backend for Cuda {
    fn facts(&self) -> &DeviceFacts {
        unreachable!()
    }
    fn allocate(&mut self, _: u64) -> Result<Buffer, DeviceError> {
        unreachable!()
    }
    fn release_all(&mut self) {}
    fn write(&mut self, _: Buffer, _: &[u8]) -> Result<(), DeviceError> {
        unreachable!()
    }
    fn read(&mut self, _: Buffer, _: u64, _: u64) -> Result<Vec<u8>, DeviceError> {
        unreachable!()
    }
    fn prepare(&mut self, _: &[Step]) -> Result<Prepared, DeviceError> {
        unreachable!()
    }
    fn time(&mut self, _: &[Prepared]) -> Result<Elapsed, DeviceError> {
        unreachable!()
    }
}
