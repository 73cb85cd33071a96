//! The few protocol-buffer encodings that a trace needs [perfetto].

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire: u64) {
        self.varint(u64::from(field) << 3 | wire);
    }

    /// A whole number.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    /// Eight bytes.
    pub(super) fn fixed(&mut self, field: u32, value: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A text.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.tag(field, 2);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A message inside.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.tag(field, 2);
        self.varint(inner.0.len() as u64);
        self.0.extend_from_slice(&inner.0);
    }
}

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
        self.all.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_the_specification() {
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        // The two examples of the protocol-buffer encoding guide.
        assert_eq!(
            message.0,
            [0x08, 0x96, 0x01, 0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']
        );
    }
}
