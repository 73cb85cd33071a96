//! Targets for libFuzzer: `fuzz/run` builds and runs them.
//!
//! One program holds all of them, since linking takes longer than what differs; `MOESIM_FUZZ` names the target.
//! With `MOESIM_FUZZ_SEEDS` it writes that target's seeds and dictionary there and ends. Inputs are mutated by
//! libFuzzer, and text also by tokens, as `cli/smoke` mutates it.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rand::{RngExt, SeedableRng};

mod logs;
#[allow(dead_code)]
#[path = "../cli/smoke/mutate.rs"]
mod mutate;
mod seeds;
mod targets;

use targets::Target;

thread_local! {
    /// What the last panic said: those of the Parquet library are caught where it is called.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("MOESIM_FUZZ").unwrap_or_default();
        let names: Vec<&str> = all().map(|target| target.name).collect();
        let known = all().find(|target| target.name == name);
        known.unwrap_or_else(|| stop(&names.join("\n")))
    })
}

fn all() -> impl Iterator<Item = &'static Target> {
    targets::all().chain(logs::TARGETS)
}

fn stop(text: &str) -> ! {
    println!("{text}");
    std::process::exit(0)
}

fn begin() {
    let target = chosen();
    if let Some(folder) = std::env::var_os("MOESIM_FUZZ_SEEDS") {
        seeds::write(target, Path::new(&folder));
        stop("");
    }
    // libFuzzer's hook ends the process at a panic that is caught inside of what is tested.
    std::panic::set_hook(Box::new(|panic| {
        SAID.with(|said| *said.borrow_mut() = panic.to_string());
    }));
}

fuzz_target!(init: begin(), |bytes: &[u8]| {
    let target = chosen();
    if catch_unwind(AssertUnwindSafe(|| (target.holds)(bytes))).is_err() {
        SAID.with(|said| eprintln!("{}: {}", target.name, said.borrow()));
        std::process::abort();
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed.into());
    if rng.random_bool(0.5) {
        return fuzzer_mutate(data, size, max_size);
    }
    let is_parquet = data[..size].starts_with(b"PAR1");
    let name = if is_parquet { "table.parquet" } else { "text" };
    let mutant = mutate::file(name, &data[..size], &mut rng);
    let size = mutant.len().min(max_size);
    data[..size].copy_from_slice(&mutant[..size]);
    size
});

/// Counts of words, for the dictionary.
type Words = BTreeMap<String, usize>;
