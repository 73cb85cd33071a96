//! Is what we ask of NCCL an all-to-all, and is its absence said?
//!
//! A pass says that our calls, made to a library of the same functions that moves host memory, bring
//! block j of GPU i to block i of GPU j, within one group. It says nothing of NCCL itself or of GPUs.
//! Without a C compiler these tests say so and pass.
#![allow(unsafe_code)]

use std::path::PathBuf;
use std::process::Command;

use calibrate::measure::backend::DeviceError;
use calibrate::measure::device::cuda::nccl::{Nccl, Part};
use libloading::Library;

/// The functions that we use, over host memory: transfers happen when their group ends, each receive
/// paired with the send meant for it. Anything out of order is refused as NCCL refuses it, with 5.
const STAND_IN: &str = r#"
#include <stddef.h>
#include <string.h>
static struct comm { int rank, ranks; } comms[16];
static struct op { const char *from; char *to; size_t bytes; int rank, peer, done; } ops[1024];
static int count = 0, open = 0, alive = 0;
int ncclCommInitAll(void **each, int ranks, const int *devices) {
    for (int i = 0; i < ranks; i++) {
        if (devices[i] != 10 + i) return 4;
        comms[i].rank = i; comms[i].ranks = ranks; each[i] = &comms[i]; alive++;
    }
    return 0;
}
int ncclCommDestroy(void *comm) { (void)comm; alive--; return 0; }
int stand_in_alive(void) { return alive; }
int ncclGroupStart(void) { if (open) return 5; open = 1; count = 0; return 0; }
static int add(const void *from, void *to, size_t n, int kind, int peer, void *comm) {
    struct comm *c = comm;
    if (!open || kind != 1 || peer < 0 || peer >= c->ranks) return 5;
    ops[count++] = (struct op){ from, to, n, c->rank, peer, 0 };
    return 0;
}
#ifndef WITHOUT_SEND
int ncclSend(const void *from, size_t n, int kind, int peer, void *comm, void *stream) {
    (void)stream; return add(from, 0, n, kind, peer, comm);
}
#endif
int ncclRecv(void *to, size_t n, int kind, int peer, void *comm, void *stream) {
    (void)stream; return add(0, to, n, kind, peer, comm);
}
int ncclGroupEnd(void) {
    if (!open) return 5;
    open = 0;
    for (int r = 0; r < count; r++) if (ops[r].to) {
        int s = 0;
        while (s < count && !(ops[s].from && !ops[s].done && ops[s].rank == ops[r].peer
                              && ops[s].peer == ops[r].rank && ops[s].bytes == ops[r].bytes)) s++;
        if (s == count) return 5;
        memcpy(ops[r].to, ops[s].from, ops[r].bytes);
        ops[s].done = 1;
    }
    for (int s = 0; s < count; s++) if (ops[s].from && !ops[s].done) return 5;
    return 0;
}
"#;

/// The stand-in, compiled and loaded; none without a compiler.
fn library(name: &str, flags: &[&str]) -> Option<&'static Library> {
    let folder = std::env::temp_dir().join(format!("calibrate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, built): (PathBuf, PathBuf) = (folder.join("nccl.c"), folder.join("libnccl.so"));
    std::fs::write(&source, STAND_IN).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&built)
        .args(flags)
        .arg(&source)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped, no C compiler to make a stand-in for NCCL");
        return None;
    }
    // SAFETY: the library was just made from the source above, and runs nothing when loaded.
    let library = unsafe { Library::new(&built) }.expect("the stand-in");
    std::fs::remove_dir_all(folder).unwrap();
    Some(Box::leak(Box::new(library)))
}

#[test]
fn every_block_arrives_where_it_belongs() {
    const GPUS: usize = 3;
    const BLOCK: usize = 40;
    let Some(library) = library("stand-in", &[]) else { return };
    let group = Nccl::of(library).and_then(|nccl| nccl.group(&[10, 11, 12])).expect("a group");
    let sent: Vec<Vec<u8>> = (0..GPUS)
        .map(|gpu| (0..GPUS * BLOCK).map(|i| (gpu * 101 + i * 7) as u8).collect())
        .collect();
    let mut got = vec![vec![0_u8; GPUS * BLOCK]; GPUS];
    let parts: Vec<Part> = sent
        .iter()
        .zip(&mut got)
        .map(|(from, to)| Part {
            from: from.as_ptr() as u64,
            to: to.as_mut_ptr() as u64,
            stream: std::ptr::null_mut(),
        })
        .collect();
    group.all_to_all(&parts, BLOCK).expect("an all-to-all");
    for (j, got) in got.iter().enumerate() {
        for (i, sent) in sent.iter().enumerate() {
            let (received, meant) = (&got[i * BLOCK..][..BLOCK], &sent[j * BLOCK..][..BLOCK]);
            assert_eq!(received, meant, "from GPU {i} to GPU {j}");
        }
    }
    // SAFETY: the stand-in's own function takes nothing and gives a number.
    let alive =
        unsafe { *library.get::<unsafe extern "C" fn() -> i32>(b"stand_in_alive").unwrap() };
    // SAFETY: as above.
    assert_eq!(unsafe { alive() }, GPUS as i32);
    drop(group);
    // SAFETY: as above.
    assert_eq!(unsafe { alive() }, 0, "communicators were not given back");
}

#[test]
fn what_nccl_refuses_is_said() {
    let Some(library) = library("refusal", &[]) else { return };
    let nccl = Nccl::of(library).expect("all functions");
    let Err(DeviceError::Failed(said)) = nccl.group(&[7]) else {
        panic!("a GPU that is not there was connected")
    };
    assert!(said.contains("connecting") && said.contains("InvalidArgument"), "{said}");
}

#[test]
fn a_library_that_is_too_old_or_absent_is_said() {
    if let Some(library) = library("old", &["-DWITHOUT_SEND"]) {
        let Err(DeviceError::Unsupported(said)) = Nccl::of(library) else {
            panic!("a library without ncclSend was taken")
        };
        assert!(said.contains("ncclSend") && said.contains("2.7"), "{said}");
    }
    match Nccl::find() {
        // A machine that has NCCL has nothing to say.
        Ok(_) => {}
        Err(DeviceError::Unsupported(said)) => {
            assert!(said.contains("libnccl.so.2") && said.contains("install"), "{said}");
        }
        Err(other) => panic!("{other}"),
    }
}
