//! Network files of other tools, told apart by their text.

/// What wrote a network file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFile {
    /// ASTRA-sim's `network.yml`.
    AstraSim,
    /// A topology of `SimAI`.
    SimAi,
    /// `nvidia-smi topo -m`.
    Matrix,
    /// What NCCL writes to `NCCL_TOPO_DUMP_FILE`.
    NcclXml,
}

impl NetworkFile {
    /// The kind of this text, if it is of one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        if is_astra_sim(text) {
            Some(Self::AstraSim)
        } else if is_simai(text) {
            Some(Self::SimAi)
        } else if is_matrix(text) {
            Some(Self::Matrix)
        } else {
            is_nccl_xml(text).then_some(Self::NcclXml)
        }
    }

    /// What it is, in words.
    #[must_use]
    pub const fn described(self) -> &'static str {
        match self {
            Self::AstraSim => "a network file of ASTRA-sim",
            Self::SimAi => "a topology of SimAI",
            Self::Matrix => "a matrix of `nvidia-smi topo -m`",
            Self::NcclXml => "a topology that NCCL wrote",
        }
    }

    /// That it is none of ours, in words.
    pub(super) const fn is_not_toml(self) -> &'static str {
        match self {
            Self::AstraSim => "is a network file of ASTRA-sim, not TOML",
            Self::SimAi => "is a topology of SimAI, not TOML",
            Self::Matrix => "is a matrix of `nvidia-smi topo -m`, not TOML",
            Self::NcclXml => "is a topology that NCCL wrote, not TOML",
        }
    }
}

fn is_astra_sim(text: &str) -> bool {
    let has_key = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    has_key("npus_count:") && has_key("topology:")
}

/// Five whole numbers and a GPU's name on the first line, and links such as `0 8 2400Gbps 0.000025ms 0`.
fn is_simai(text: &str) -> bool {
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let numbers = first.iter().take(5).filter(|word| word.parse::<u64>().is_ok()).count();
    let is_link = |line: &str| line.split_whitespace().any(|word| word.ends_with("bps"));
    first.len() >= 5 && numbers == 5 && lines.any(is_link)
}

/// A row of GPU0, whose first cell is X.
fn is_matrix(text: &str) -> bool {
    let is_row = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.contains("GPU0")) && words.next() == Some("X")
    };
    text.lines().any(is_row)
}

fn is_nccl_xml(text: &str) -> bool {
    text.contains("<system version=") && text.contains("<gpu ")
}
