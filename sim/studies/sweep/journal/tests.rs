//! A simulated file system in which disks fail, processes are killed and blocks are torn.
//!
//! A pass says that no finished task is lost without a word and that no row is taken for a task's that the
//! sweep did not write, whatever single bit flips, wherever a process is killed, whichever blocks of the
//! end never reached the disk, and however writes fall short. Faults are drawn from a seed, so that a
//! failure can be run again. It says nothing of damage that happens to keep a checksum of 32 bits.

use rand::{Rng, RngExt};

use super::super::row::Cell;
use super::*;
use crate::base::streams::Streams;

fn shape() -> Shape {
    let rows = vec![Some(2), Some(3)];
    Shape { fingerprint: 0xfeed_beef_0123_4567, tasks: 12, columns: 3, rows, seeds: 3 }
}

fn record(task: usize) -> Record {
    let row = |at: usize| {
        let text = Cell::Text(format!("row {at} of \u{1b} \"{task}\""));
        vec![text, Cell::Number(0.1 * task as f64), Cell::Integer(at as i64)]
    };
    Record { task, rows: (0..2 + task / 3 % 2).map(row).collect() }
}

fn journal(tasks: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut bytes = Head::of(&shape()).line();
    for task in tasks {
        bytes.extend(line::sealed(shape().fingerprint, &record(task)));
    }
    bytes
}

/// Nothing is accepted that was not written; returns what is missing of `written`.
fn missing(held: &Held, written: &[usize]) -> Vec<usize> {
    if held.foreign {
        return written.to_vec();
    }
    for (&task, rows) in &held.records {
        assert!(written.contains(&task), "task {task} was never written");
        assert_eq!(*rows, record(task).rows, "task {task} has other rows");
    }
    written.iter().copied().filter(|task| !held.records.contains_key(task)).collect()
}

#[test]
fn every_flipped_bit_is_noticed() {
    let written: Vec<usize> = (0..6).collect();
    let whole = journal(0..6);
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let held = Held::of(&bytes, &shape());
        let lost = missing(&held, &written);
        let said = !held.damaged.is_empty() || held.foreign || held.whole < whole.len() as u64;
        assert!(said, "bit {bit} flipped and nobody noticed");
        // A lost end of line takes the next task with it.
        assert!(lost.len() <= 2 || held.foreign, "bit {bit} cost tasks {lost:?}");
    }
}

#[test]
fn a_kill_at_any_byte_costs_the_torn_line_alone() {
    let folder = folder("killed");
    let whole = journal(0..4);
    for cut in 0..=whole.len() {
        std::fs::write(folder.join(NAME), &whole[..cut]).unwrap();
        let (_, records) = Journal::resume(&folder, &shape(), false).unwrap();
        let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(records.len(), lines.saturating_sub(1), "killed after {cut} bytes");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_no_record_of_this_sweep_is_named_by_its_line() {
    let row = |cells: usize| vec![Cell::Integer(1); cells];
    let seal = |task, rows| line::sealed(shape().fingerprint, &Record { task, rows });
    let other = line::sealed(7, &record(1));
    for (line, message) in [
        (b"{\"task\":2,\"rows\":[]}\n".to_vec(), "checksum does not fit"),
        (b"\n".to_vec(), "checksum does not fit"),
        (other, "checksum does not fit"),
        (seal(2, vec![]), "has 0 rows of task 2"),
        (seal(2, vec![row(3); 3]), "has 3 rows of task 2"),
        (seal(2, vec![row(3), row(2)]), "a row of 2 cells; the sweep has 3 columns"),
        (seal(2, vec![row(3), row(4)]), "a row of 4 cells; the sweep has 3 columns"),
        (seal(12, vec![row(3); 2]), "of task 12; the sweep has tasks 0 to 11"),
        (seal(0, vec![row(3); 2]), "other rows of task 0 than a line before"),
    ] {
        let bytes = [journal([0]), line, journal([1])[Head::of(&shape()).line().len()..].to_vec()];
        let held = Held::of(&bytes.concat(), &shape());
        let [(3, what)] = &held.damaged[..] else { panic!("{message}: {:?}", held.damaged) };
        assert!(what.contains(message), "{what} instead of {message}");
        assert!(held.records.contains_key(&1), "the line behind the damage is lost: {message}");
    }
}

#[test]
fn a_second_writer_is_turned_away_until_the_first_is_gone() {
    let folder = folder("two-writers");
    let first = Journal::create(&folder, &shape()).unwrap();
    for rerun in [false, true] {
        let second = Journal::resume(&folder, &shape(), rerun).map(drop);
        assert!(matches!(second, Err(JournalError::Busy(_))), "{second:?}");
    }
    drop(first);
    // A journal that was put in the place of a damaged one is locked as well.
    let mut bytes = journal(0..3);
    bytes[150] ^= 1;
    std::fs::write(folder.join(NAME), &bytes).unwrap();
    let (third, _) = Journal::resume(&folder, &shape(), true).unwrap();
    let fourth = Journal::resume(&folder, &shape(), false).map(drop);
    assert!(matches!(fourth, Err(JournalError::Busy(_))), "{fourth:?}");
    assert_eq!(std::fs::read(folder.join(DAMAGED)).unwrap(), bytes, "the damaged one is kept");
    drop(third);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_of_the_users_is_not_taken_for_a_torn_journal() {
    let folder = folder("users");
    std::fs::write(folder.join(NAME), "the user's notes").unwrap();
    let taken = Journal::resume(&folder, &shape(), false).map(drop);
    assert!(matches!(taken, Err(JournalError::Damaged(..))), "{taken:?}");
    assert_eq!(std::fs::read_to_string(folder.join(NAME)).unwrap(), "the user's notes");
    std::fs::remove_dir_all(folder).unwrap();
}

/// A disk that writes as little as it likes, fails when it likes, and may fail to cut as well.
struct Failing<R> {
    bytes: Vec<u8>,
    rng: R,
}

impl<R: Rng> Write for Failing<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.rng.random_bool(0.15) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let some = self.rng.random_range(1..=bytes.len());
        self.bytes.extend(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Rng> Medium for Failing<R> {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        if self.rng.random_bool(0.3) {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes.truncate(len as usize);
        Ok(())
    }
}

#[test]
fn short_and_failed_writes_never_reach_into_another_line() {
    for seed in 0..300 {
        let rng = Streams::new(seed).named("journal/failing");
        let mut lines = Lines { medium: Failing { bytes: vec![], rng }, whole: 0, torn: false };
        let mut written = vec![];
        if lines.write(&Head::of(&shape()).line()).is_err() {
            continue;
        }
        for task in 0..12 {
            if lines.write(&line::sealed(shape().fingerprint, &record(task))).is_ok() {
                written.push(task);
            }
            let held = Held::of(&lines.medium.bytes, &shape());
            assert_eq!(held.damaged, [], "seed {seed}");
            assert_eq!(missing(&held, &written), [0; 0], "seed {seed}: acknowledged and lost");
        }
    }
}

/// What may happen to a file between two runs of a sweep.
fn mishap(bytes: &mut Vec<u8>, rng: &mut impl Rng) {
    const BLOCK: usize = 64;
    let blocks = bytes.len() / BLOCK;
    match rng.random_range(0..6) {
        // Killed: the end is torn.
        0 | 1 => bytes.truncate(rng.random_range(0..=bytes.len())),
        // A block never reached the disk.
        2 if blocks > 0 => {
            let at = BLOCK * rng.random_range(0..blocks);
            bytes[at..at + BLOCK].fill(0);
        }
        // Two blocks changed places.
        3 if blocks > 1 => {
            let [a, b] = [(); 2].map(|()| BLOCK * rng.random_range(0..blocks));
            for offset in 0..BLOCK {
                bytes.swap(a + offset, b + offset);
            }
        }
        // A block was written twice.
        4 if blocks > 0 => {
            let at = BLOCK * rng.random_range(0..blocks);
            let block = bytes[at..at + BLOCK].to_vec();
            bytes.splice(at..at, block);
        }
        5 if !bytes.is_empty() => {
            let bit = rng.random_range(0..8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        _ => {}
    }
}

#[test]
fn a_sweep_that_meets_with_mishaps_again_and_again_ends_with_its_own_rows() {
    let folder = folder("world");
    for seed in 0..150 {
        let mut rng = Streams::new(seed).named("journal/world");
        let _ = std::fs::remove_file(folder.join(NAME));
        let mut journal = Some(Journal::create(&folder, &shape()).unwrap());
        let mut have = Finished::new();
        let mut mishaps = 0;
        while have.len() < shape().tasks {
            let mut open = journal.take().unwrap();
            for _ in 0..rng.random_range(1..=4) {
                let Some(task) = (0..shape().tasks).find(|task| !have.contains_key(task)) else {
                    break;
                };
                open.keep(&record(task)).unwrap();
                have.insert(task, record(task).rows);
            }
            drop(open);
            if mishaps < 8 {
                mishaps += 1;
                let path = folder.join(NAME);
                let mut bytes = std::fs::read(&path).unwrap();
                mishap(&mut bytes, &mut rng);
                std::fs::write(path, bytes).unwrap();
            }
            let resumed = match Journal::resume(&folder, &shape(), false) {
                Err(JournalError::Damaged(..)) => Journal::resume(&folder, &shape(), true),
                other => other,
            };
            let (open, records) = resumed.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            for (&task, rows) in &records {
                assert_eq!(*rows, record(task).rows, "seed {seed}: other rows of task {task}");
            }
            (journal, have) = (Some(open), records);
        }
        drop(journal);
        assert_eq!(finished(&folder, &shape()).unwrap(), have, "seed {seed}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("moesim-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
