//! Does a timeline show what the blame table says?
//!
//! A pass says that the slices of each traced GPU cover its time without gaps and sum, by reason, to its
//! accounts to the picosecond, and that the integral of each counter of link use is the bytes that the
//! network says it moved over links of that class, under both kinds of engine. It does not say how rates
//! vary inside an exchange: the counters show each one's mean. `tests/timeline.py` reads the written file with Perfetto's own protocol
//! buffers.

use std::collections::BTreeMap;

use moesim::base::units::{GpuId, SimDuration, SimTime};
use moesim::config::{Overrides, ScenarioSource};
use moesim::execution::blame::Reason;
use moesim::execution::machine::{Fact, Moved, Observer};
use moesim::output::execution_trace::ExecutionTraces;
use moesim::output::timeline::Timeline;
use moesim::studies::study::{self, WhatIf};
use moesim::topology::LinkClass;

#[test]
fn slices_cover_each_gpus_time_and_sum_to_its_blame() {
    let set = ["counted=model-forward", "workload.batch.micro_batches=2", "seeds=0..1"];
    let overrides = Overrides::new(set.map(str::to_owned).to_vec());
    let scenario = ScenarioSource::open("paper", overrides).unwrap().load().unwrap();
    // The 7B model has pipeline stages; the 1B model none.
    for case in [1, 3] {
        let workload = &scenario.cases[case].moepp[3];
        let gpus = [0, 5, 31].map(GpuId).to_vec();
        let mut timeline =
            Timeline::new(&scenario.topology, gpus.clone(), workload.layout.expert_parallel);
        let outcome = study::run_if(
            &scenario,
            workload,
            scenario.overheads,
            0,
            &WhatIf::NOTHING,
            Some(&mut timeline),
        )
        .unwrap();
        for gpu in gpus {
            let own: Vec<_> = timeline.slices().iter().filter(|slice| slice.gpu == gpu).collect();
            assert!(own.windows(2).all(|pair| pair[0].to == pair[1].from), "a gap on {gpu:?}");
            let last = own.last().map(|slice| slice.to.since_start());
            assert_eq!(last, Some(outcome.makespan));
            for reason in Reason::ALL {
                let slices = own.iter().filter(|slice| slice.reason == reason);
                let total: SimDuration = slices.map(|slice| slice.to - slice.from).sum();
                assert_eq!(total, outcome.blame[gpu.index()].of(reason), "{reason:?} on {gpu:?}");
            }
            // Where nothing overlaps, an exchange is in flight while the GPU waits for it.
            let in_flight = timeline.in_flight().iter().filter(|slice| slice.gpu == gpu);
            let in_flight: SimDuration = in_flight.map(|slice| slice.to - slice.from).sum();
            let blame = &outcome.blame[gpu.index()];
            let waited =
                [Reason::DispatchWait, Reason::Dispatch, Reason::CombineWait, Reason::Combine]
                    .map(|reason| blame.of(reason));
            assert_eq!(in_flight, waited.into_iter().sum(), "{gpu:?}");
        }
    }
}

/// The fields of a protocol-buffer message: number, and value or bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        unreachable!()
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        match tag & 7 {
            0 => found.push((tag >> 3, varint(&mut bytes), &[][..])),
            1 => {
                let (value, rest) = bytes.split_at(8);
                found.push((tag >> 3, u64::from_le_bytes(value.try_into().unwrap()), &[][..]));
                bytes = rest;
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inner, rest) = bytes.split_at(length);
                found.push((tag >> 3, 0, inner));
                bytes = rest;
            }
            wire => panic!("wire type {wire}"),
        }
    }
    found
}

/// The integral of the counter of a class of links, GB/s over nanoseconds: bytes.
fn integral(trace: &[u8], class: LinkClass) -> f64 {
    let (mut track, mut rate, mut since, mut bytes) = (None, 0.0, 0, 0.0);
    let one =
        |message: &[u8], field| fields(message).into_iter().find(|f| f.0 == field).map(|f| f.1);
    for (_, _, packet) in fields(trace) {
        let at = one(packet, 8).unwrap_or(0);
        for (field, _, inner) in fields(packet) {
            let name = fields(inner).into_iter().find(|f| f.0 == 2).map(|f| f.2);
            let named = format!("{} links, GB/s", class.name());
            if field == 60 && name.is_some_and(|name| name.starts_with(named.as_bytes())) {
                track = one(inner, 1);
            }
            if field == 11 && track.is_some() && one(inner, 11) == track {
                bytes += rate * (at - since) as f64;
                rate = f64::from_bits(one(inner, 44).expect("a counter's value"));
                since = at;
            }
        }
    }
    assert_eq!(rate, 0.0, "{class:?} never comes to rest");
    bytes
}

#[test]
fn counters_of_link_use_integrate_to_the_bytes_moved() {
    for set in [
        // The closed form, and flows that share links; relays and two hops count on every link.
        vec!["network=closed-form"],
        vec!["network=exact"],
        vec!["all_to_all=pxn"],
        vec!["all_to_all=two-hop"],
    ] {
        let fixed = ["counted=model-forward", "workload.batch.micro_batches=1", "seeds=0..1"];
        let overrides = fixed.iter().chain(&set).map(|line| (*line).to_owned()).collect();
        let scenario = ScenarioSource::open("paper", Overrides::new(overrides)).unwrap();
        let scenario = scenario.load().unwrap();
        // With pipeline stages, and across nodes where an algorithm asks for it.
        let workload = &mut scenario.cases[3].moepp[3].clone();
        if set[0].starts_with("all_to_all") {
            (workload.layout.expert_parallel, workload.layout.pipeline_parallel) = (16, 2);
        }
        let (gpus, group) = (vec![GpuId(0)], workload.layout.expert_parallel);
        let mut timeline = Timeline::new(&scenario.topology, gpus, group);
        let what_if = &WhatIf::NOTHING;
        let seen: Option<&mut dyn Observer> = Some(&mut timeline);
        let outcome =
            study::run_if(&scenario, workload, scenario.overheads, 0, what_if, seen).unwrap();
        let trace = timeline.trace();
        let links = || scenario.topology.links().iter().zip(&outcome.link_bytes);
        let mut moved = 0;
        for class in LinkClass::ALL {
            let own = links().filter(|(link, _)| link.class == class);
            let bytes: u64 = own.map(|(_, bytes)| bytes).sum();
            assert_eq!(bytes, timeline.link_bytes().of(class), "{set:?} {class:?}");
            let drawn = integral(&trace, class);
            // Rates are kept in parts of 2⁻⁴⁰ and written as doubles.
            let error = (drawn - bytes as f64).abs();
            assert!(error <= 1e-9 * bytes as f64, "{set:?} {class:?}: {drawn} of {bytes}");
            moved += usize::from(bytes > 0);
        }
        assert!(moved >= 2, "{set:?}: only {moved} classes of links were used");
    }
}

/// Keeps when each GPU joined, and from when on bytes are said to have moved.
#[derive(Default)]
struct Joins {
    /// Of each GPU, in order of its exchanges.
    joined: BTreeMap<u32, Vec<SimTime>>,
    /// Of each group's first GPU, in order of its exchanges.
    begun: BTreeMap<u32, Vec<SimTime>>,
}

impl Observer for Joins {
    fn observe(&mut self, fact: Fact) {
        if let Fact::Joined { gpu, at, .. } = fact {
            self.joined.entry(gpu.0).or_default().push(at);
        }
    }

    fn exchanged(&mut self, moved: &Moved) {
        assert!(moved.to > moved.from, "{moved:?}");
        self.begun.entry(moved.exchange.members()[0].0).or_default().push(moved.from);
    }
}

#[test]
fn an_exchange_counts_from_when_its_bytes_could_first_move() {
    // The closed form waits for the last member; flows start with the second.
    for (engine, nth) in [("closed-form", 7), ("exact", 1)] {
        let fixed = ["counted=moe-layer", "workload.batch.micro_batches=1", "seeds=0..1"];
        let mut overrides: Vec<String> = fixed.map(str::to_owned).to_vec();
        overrides.push(format!("network={engine}"));
        let scenario = ScenarioSource::open("paper", Overrides::new(overrides)).unwrap();
        let scenario = scenario.load().unwrap();
        let workload = &scenario.cases[1].moepp[3];
        assert_eq!(workload.layout.expert_parallel, 8);
        let mut joins = Joins::default();
        let seen: Option<&mut dyn Observer> = Some(&mut joins);
        let nothing = &WhatIf::NOTHING;
        study::run_if(&scenario, workload, scenario.overheads, 0, nothing, seen).unwrap();
        assert_eq!(joins.begun.len(), 4, "groups");
        for (first, begun) in &joins.begun {
            for (number, from) in begun.iter().enumerate() {
                let mut at: Vec<SimTime> =
                    (*first..first + 8).map(|gpu| joins.joined[&gpu][number]).collect();
                at.sort_unstable();
                assert_eq!(*from, at[nth], "{engine}: exchange {number} of the group of {first}");
            }
        }
    }
}

/// A node of a Chakra trace.
#[derive(Debug)]
struct Node {
    kind: u64,
    micros: u64,
    after: Vec<u64>,
    attributes: BTreeMap<String, u64>,
}

/// The nodes of a trace, by number: messages behind their lengths, the first of which is about all.
fn nodes(mut file: &[u8]) -> BTreeMap<u64, Node> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut messages = Vec::new();
    while !file.is_empty() {
        let length = varint(&mut file) as usize;
        messages.push(&file[..length]);
        file = &file[length..];
    }
    assert_eq!(fields(messages[0])[0].2, b"0.0.4");
    let node = |message: &&[u8]| {
        let all = fields(message);
        let number = |field| all.iter().find(|own| own.0 == field).map_or(0, |own| own.1);
        let after = all.iter().filter(|own| own.0 == 5).flat_map(|own| {
            let (mut packed, mut numbers) = (own.2, Vec::new());
            while !packed.is_empty() {
                numbers.push(varint(&mut packed));
            }
            numbers
        });
        let attributes = all.iter().filter(|own| own.0 == 10).map(|own| {
            let inner = fields(own.2);
            (String::from_utf8(inner[0].2.to_vec()).unwrap(), inner[1].1)
        });
        let node = Node {
            kind: number(3),
            micros: number(7),
            after: after.collect(),
            attributes: attributes.collect(),
        };
        (number(1), node)
    };
    messages[1..].iter().map(node).collect()
}

/// Under every way that tokens travel, what Chakra's traces hold is what was exchanged and computed: every message once at
/// either end, in an order that can be executed.
#[test]
fn execution_traces_hold_what_was_exchanged_and_computed() {
    for all_to_all in ["direct", "two-hop", "pxn", "one-sided"] {
        let set = [
            "counted=moe-layer",
            "workload.batch.micro_batches=1",
            "workload.layout.expert_parallel=8",
            "topology.nodes.gpus_per_node=4",
            "topology.nodes.nic.per_node=4",
            "topology.nodes.count=16",
            &format!("all_to_all={all_to_all}"),
            "topology=h100-4x8-rail",
        ];
        let overrides = Overrides::new(set.map(str::to_owned).to_vec());
        let scenario = ScenarioSource::open("paper", overrides).unwrap().load().unwrap();
        let workload = &scenario.cases[1].moepp[3];
        let mut traces = ExecutionTraces::new(64);
        let run = (workload, scenario.overheads, 0);
        let observer: &mut dyn Observer = &mut traces;
        let outcome =
            study::run_if(&scenario, run.0, run.1, run.2, &WhatIf::NOTHING, Some(observer))
                .unwrap();
        let files: Vec<_> = traces.files().map(|file| nodes(&file)).collect();
        // (from, to, tag) → bytes, at either end.
        let ends = [5, 6].map(|kind| {
            let mut found = BTreeMap::new();
            for (gpu, file) in files.iter().enumerate() {
                for node in file.values().filter(|node| node.kind == kind) {
                    let of = |name: &str| node.attributes[name];
                    assert_eq!(of(if kind == 5 { "comm_src" } else { "comm_dst" }), gpu as u64);
                    let key = (of("comm_src"), of("comm_dst"), of("comm_tag"));
                    assert!(found.insert(key, of("comm_size")).is_none(), "{key:?} twice");
                }
            }
            found
        });
        assert_eq!(ends[0], ends[1], "{all_to_all}");
        assert_eq!(ends[0].len(), traces.messages());
        assert!(ends[0].values().all(|bytes| *bytes > 0));
        let waits = [Reason::Dispatch, Reason::Combine];
        for (gpu, file) in files.iter().enumerate() {
            // Dependencies are known and lead nowhere back.
            let mut done = std::collections::BTreeSet::new();
            while done.len() < file.len() {
                let ready = file.iter().filter(|(number, _)| !done.contains(*number));
                let ready: Vec<u64> = ready
                    .filter(|(_, node)| node.after.iter().all(|own| done.contains(own)))
                    .map(|(number, _)| *number)
                    .collect();
                assert!(!ready.is_empty(), "GPU {gpu} waits for itself");
                done.extend(ready);
            }
            let micros: u64 = file.values().map(|node| node.micros).sum();
            let blame = &outcome.blame[gpu];
            let computes = |reason: &Reason| !reason.is_wait() && !waits.contains(reason);
            let computed: SimDuration =
                Reason::ALL.into_iter().filter(computes).map(|reason| blame.of(reason)).sum();
            assert!((micros as f64 - 1e3 * computed.ms()).abs() <= 1.0, "GPU {gpu}: {micros}");
            // But for the first, a computation waits for messages, and messages for a computation.
            let waiting = file.values().filter(|node| node.after.is_empty()).count();
            assert!(
                waiting < file.len() / 4,
                "GPU {gpu}: {waiting} of {} wait for nothing",
                file.len()
            );
        }
    }
}
