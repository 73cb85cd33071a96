//! A line with its checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::hashes::crc32;

/// `,"crc":"01234567"}`, which takes the place of the object's last brace.
const SEAL: usize = 18;

/// An object as a line, sealed by a checksum of its bytes that begins with `key`.
///
/// # Panics
/// If it is no object with a field.
pub(super) fn sealed(key: u64, object: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(object).expect("numbers and texts have a JSON form");
    assert_eq!(line.pop(), Some(b'}'), "an object ends in a brace");
    let seal = seal(key, &line);
    line.extend(seal.into_bytes());
    line.push(b'\n');
    line
}

/// The object of a line without its end, if the checksum fits.
pub(super) fn opened<T: DeserializeOwned>(key: u64, line: &[u8]) -> Option<T> {
    let (body, found) = line.split_at(line.len().checked_sub(SEAL)?);
    if seal(key, body).as_bytes() != found {
        return None;
    }
    serde_json::from_slice(&[body, b"}"].concat()).ok()
}

fn seal(key: u64, body: &[u8]) -> String {
    format!(",\"crc\":\"{:08x}\"}}", crc32(&[&key.to_le_bytes(), body]))
}
