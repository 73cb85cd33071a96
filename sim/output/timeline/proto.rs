//! The packets of a trace [perfetto].

use crate::output::protobuf::Message;

/// All packets of a trace, in one sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    all: Message,
    begun: bool,
}

const SEQUENCE: u64 = 1;

impl Trace {
    fn packet(&mut self, fill: impl FnOnce(&mut Message)) {
        let first = !std::mem::replace(&mut self.begun, true);
        self.all.message(1, |packet| {
            packet.number(10, SEQUENCE);
            if first {
                // Incremental state is cleared: this sequence starts here.
                packet.number(13, 1);
            }
            fill(packet);
        });
    }

    /// A description of a track.
    pub(super) fn track(&mut self, fill: impl FnOnce(&mut Message)) {
        self.packet(|packet| packet.message(60, fill));
    }

    /// An event at a time in nanoseconds.
    pub(super) fn event(&mut self, ns: u64, fill: impl FnOnce(&mut Message)) {
        self.packet(|packet| {
            packet.number(8, ns);
            packet.message(11, fill);
        });
    }

    /// The bytes of the trace's file.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.all.bytes()
    }
}
