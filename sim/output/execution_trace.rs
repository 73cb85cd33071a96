//! A run as Chakra execution traces [chakra]: a file for each GPU, which ASTRA-sim and others read.
//!
//! Chakra's collectives have one size for all members, so they cannot carry what MoE exchanges are, an all-to-all in
//! which every pair has its own bytes. Its sends and receives can: an exchange is a send node at one GPU and a receive
//! node at the other for each pair that has bytes, with a tag of their own.
//!
//! | of the run | in the trace |
//! |---|---|
//! | what a GPU computes between exchanges | one `COMP_NODE` with its duration |
//! | bytes from GPU to GPU in an exchange | `COMM_SEND_NODE`, `COMM_RECV_NODE` |
//! | bytes that a third GPU passes on | two such pairs, the second behind the first |
//! | waiting | nothing: it follows from the dependencies |
//!
//! A node depends on the last computation that had ended when it began, and on what was exchanged since that began.
//! Durations are whole microseconds, as Chakra has them, of which the error is carried to the next. Collectives of a known
//! length (tensor parallelism, gradients) count as computation. What the network does with the bytes is left to whoever
//! reads the trace.

use std::collections::BTreeMap;

use super::protobuf::Message;
use crate::base::units::{Bytes, GpuId, SimTime};
use crate::execution::blame::Reason;
use crate::execution::machine::{Fact, Moved, Observer};

/// The version of Chakra's schema that the files are in.
pub const VERSION: &str = "0.0.4";

/// Node types of the schema.
const COMPUTE: u64 = 4;
const SEND: u64 = 5;
const RECEIVE: u64 = 6;

/// Keeps what every GPU computed and exchanged.
#[derive(Clone, Debug)]
pub struct ExecutionTraces {
    /// Stretches of each GPU without an exchange or a wait between.
    computed: Vec<Vec<Stretch>>,
    /// Messages, in the order in which their exchanges ended.
    sent: Vec<Sent>,
}

/// From one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: SimTime,
    to: SimTime,
}

/// Bytes from one GPU to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    from: GpuId,
    to: GpuId,
    bytes: Bytes,
    exchange: Stretch,
    number: u32,
    /// The message whose bytes it passes on, by its place.
    passes_on: Option<u32>,
}

impl ExecutionTraces {
    /// An observer of a cluster of this many GPUs.
    #[must_use]
    pub fn new(gpus: u32) -> Self {
        Self { computed: vec![Vec::new(); gpus as usize], sent: Vec::new() }
    }

    /// How many messages were sent.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.sent.len()
    }

    /// The file of each GPU, in their order.
    pub fn files(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let mut own: Vec<Vec<u32>> = vec![Vec::new(); self.computed.len()];
        for (at, sent) in (0..).zip(&self.sent) {
            own[sent.from.index()].push(at);
            own[sent.to.index()].push(at);
        }
        own.into_iter().enumerate().map(|(gpu, messages)| self.file(GpuId(gpu as u32), &messages))
    }

    fn file(&self, gpu: GpuId, messages: &[u32]) -> Vec<u8> {
        let mut file = Message::default();
        file.delimited(|metadata| metadata.text(1, VERSION));
        let computed = &self.computed[gpu.index()];
        // Nodes are numbered: computations first, then messages.
        let first = computed.len() as u64;
        let number_of: BTreeMap<u32, u64> = messages.iter().copied().zip(first..).collect();
        let known = Known { computed, messages, sent: &self.sent, number_of: &number_of };
        let (mut all, mut told) = (0_u64, 0_u64);
        for (number, stretch) in (0..).zip(computed) {
            all += (stretch.to - stretch.from).ps();
            // Rounded where it ends, so that errors do not add up.
            let micros = (all + 500_000) / 1_000_000 - told;
            told += micros;
            file.delimited(|node| {
                node.number(1, number);
                node.text(2, "compute");
                node.number(3, COMPUTE);
                node.numbers(5, &known.before(stretch.from));
                node.number(6, stretch.from.since_start().ps() / 1_000_000);
                node.number(7, micros);
                node.message(10, |attribute| flag(attribute, "is_cpu_op", false));
            });
        }
        for at in messages {
            let sent = &self.sent[*at as usize];
            write_message(&mut file, gpu, sent, (number_of[at], *at), &known);
        }
        file.bytes()
    }
}

fn write_message(
    file: &mut Message,
    gpu: GpuId,
    sent: &Sent,
    (number, tag): (u64, u32),
    known: &Known<'_>,
) {
    let Sent { from, to, bytes, exchange, .. } = sent;
    let sends = *from == gpu;
    let mut after = known.before(exchange.from);
    // What is passed on has come before.
    after.extend(sent.passes_on.filter(|_| sends).map(|first| known.number_of[&first]));
    file.delimited(|node| {
        node.number(1, number);
        let name =
            if sends { format!("send to {}", to.0) } else { format!("receive from {}", from.0) };
        node.text(2, &format!("exchange {}, {name}", sent.number));
        node.number(3, if sends { SEND } else { RECEIVE });
        node.numbers(5, &after);
        node.number(6, exchange.from.since_start().ps() / 1_000_000);
        node.message(10, |attribute| flag(attribute, "is_cpu_op", false));
        node.message(10, |attribute| whole(attribute, "comm_src", (11, u64::from(from.0))));
        node.message(10, |attribute| whole(attribute, "comm_dst", (11, u64::from(to.0))));
        node.message(10, |attribute| whole(attribute, "comm_size", (13, bytes.0)));
        node.message(10, |attribute| whole(attribute, "comm_tag", (11, u64::from(tag))));
    });
}

/// An attribute that is a truth value.
fn flag(attribute: &mut Message, name: &str, value: bool) {
    attribute.text(1, name);
    attribute.number(27, u64::from(value));
}

/// An attribute that is a whole number, under the field of its type.
fn whole(attribute: &mut Message, name: &str, (field, value): (u32, u64)) {
    attribute.text(1, name);
    attribute.number(field, value);
}

/// The nodes of one GPU.
struct Known<'a> {
    computed: &'a [Stretch],
    messages: &'a [u32],
    sent: &'a [Sent],
    number_of: &'a BTreeMap<u32, u64>,
}

impl Known<'_> {
    /// What had to end before something could begin at an instant.
    fn before(&self, at: SimTime) -> Vec<u64> {
        let ended = self.computed.partition_point(|stretch| stretch.to <= at);
        let last = ended.checked_sub(1);
        let since = last.map_or(SimTime::ZERO, |last| self.computed[last].from);
        // Messages are in the order in which they ended; what ended before the last computation began is before it
        // already.
        let ended_by = |at: SimTime| {
            self.messages.partition_point(|own| self.sent[*own as usize].exchange.to <= at)
        };
        let open = self.messages[ended_by(since)..ended_by(at)].iter();
        let messages = open.filter(|own| self.sent[**own as usize].exchange.from < at);
        let messages = messages.map(|message| self.number_of[message]);
        last.map(|last| last as u64).into_iter().chain(messages).collect()
    }
}

impl Observer for ExecutionTraces {
    fn observe(&mut self, fact: Fact) {
        let Fact::Spent { gpu, reason, from, to } = fact else { return };
        if from == to || reason.is_wait() || matches!(reason, Reason::Dispatch | Reason::Combine) {
            return;
        }
        let own = &mut self.computed[gpu.index()];
        match own.last_mut().filter(|last| last.to == from) {
            Some(last) => last.to = to,
            None => own.push(Stretch { from, to }),
        }
    }

    fn exchanged(&mut self, moved: &Moved) {
        let members = moved.exchange.members();
        let exchange = Stretch { from: moved.from, to: moved.to };
        let number = self.sent.last().map_or(0, |last| last.number + 1);
        for transfer in moved.exchange.transfers() {
            let [from, via, to] = [transfer.from, transfer.via, transfer.to].map(|at| members[at]);
            let whole = Sent { from, to, bytes: transfer.bytes, exchange, number, passes_on: None };
            if via == to || via == from {
                self.sent.push(whole);
                continue;
            }
            let first = self.sent.len() as u32;
            self.sent.push(Sent { to: via, ..whole });
            self.sent.push(Sent { from: via, passes_on: Some(first), ..whole });
        }
    }
}
