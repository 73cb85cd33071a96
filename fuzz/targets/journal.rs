//! Journals of sweeps: nothing finished is lost, and nothing is taken for a row that is none.

use moesim::base::hashes::crc32;
use moesim::studies::sweep::{JOURNAL, Journal, JournalError, Shape, finished};

use super::{Target, folder, helpful};

pub(super) const TARGETS: &[Target] =
    &[Target { name: "journal", seeds: &[], small: &[WHOLE], holds: journal }];

const FINGERPRINT: u64 = 7;

/// Lines without checksums, which are added: no mutation would find one.
const WHOLE: &str = "{\"moesim_sweep\":2,\"fingerprint\":7,\"tasks\":4}\n\
    {\"task\":0,\"rows\":[[1,0.5,\"a\",null],[2,1.5,\"b\",null]]}\n\
    {\"task\":3,\"rows\":[[1,0.25,\"c\",null]]}\n{\"task\":1,\"rows\":[[7,8,9,10],[1,2,3,4]]}\n";

fn shape() -> Shape {
    Shape { fingerprint: FINGERPRINT, tasks: 4, columns: 4, rows: vec![Some(2), None], seeds: 2 }
}

/// The lines of a journal, each that lacks a checksum with the one that fits.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 256);
    for (at, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let key = if at == 0 { 0 } else { FINGERPRINT };
        match line.strip_suffix(b"}\n").filter(|body| !body.windows(6).any(|w| w == b"\"crc\":")) {
            None => out.extend_from_slice(line),
            Some(body) => {
                let crc = crc32(&[&key.to_le_bytes(), body]);
                out.extend_from_slice(body);
                out.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
            }
        }
    }
    out
}

fn journal(bytes: &[u8]) {
    for journal in [bytes.to_vec(), sealed(bytes)] {
        of_bytes(&journal);
    }
}

fn of_bytes(bytes: &[u8]) {
    let (folder, shape) = (folder(), shape());
    std::fs::write(folder.path().join(JOURNAL), bytes).expect("a journal");
    let read = finished(folder.path(), &shape);
    if let Err(error) = &read {
        helpful(&error.diagnostic());
    }
    let resumed = Journal::resume(folder.path(), &shape, false);
    match (&read, &resumed) {
        (Ok(rows), Ok((_, kept))) => assert_eq!(rows, kept, "read for merging and for going on"),
        // Killed before its first line was whole: nothing is lost by starting again.
        (Err(_), Ok((_, kept))) => assert!(kept.is_empty(), "rows of a journal that is refused"),
        (Ok(_), Err(error)) => panic!("read and not taken up: {error}"),
        (Err(_), Err(error)) => helpful(&error.diagnostic()),
    }
    let damaged = matches!(resumed, Err(JournalError::Damaged(..)));
    drop(resumed);
    match Journal::resume(folder.path(), &shape, true) {
        Err(JournalError::Damaged(..)) => panic!("damaged, and not run again as was asked"),
        Err(error) => helpful(&error.diagnostic()),
        Ok((journal, kept)) => {
            drop(journal);
            let now = finished(folder.path(), &shape).expect("a journal that was mended");
            assert_eq!(now, kept, "rows that were kept, damaged: {damaged}");
            if let Ok(rows) = &read {
                assert_eq!(&now, rows, "a whole journal keeps its rows");
            }
        }
    }
}
