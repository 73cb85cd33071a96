//! Which tiles an experts' kernel multiplies with.
//!
//! SGLang's Triton kernel reads its tile from files that ship with it, one for each (experts of the rank,
//! inner size on the rank, format, GPU) that somebody tuned, and takes the entry whose number of tokens is
//! nearest [sglang, fused_moe_triton_config.py]. `calibrate/data/sglang_moe_configs.parquet` holds those
//! of SGLang 0.5.12; of several versions of Triton that have a file the newest is read, as SGLang does.
//! Without a file it falls back on
//!
//! | format | tile (rows × columns × depth) | row blocks that share weights |
//! |---|---|---|
//! | bf16, tokens ≤ experts | 16 × 32 × 64 | 1 |
//! | bf16 | 64 × 64 × 32 | 8 |
//! | fp8, scales per block | 64 × 128 × 128 | 32 |
//! | fp8, one scale, tokens ≤ experts | 64 × 128 × 128 | 1 |
//! | fp8, one scale | 128 × 256 × 128 | 32 |
//!
//! Kernels of `calibrate measure` that are its own have tiles of so many rows, and the profile says how many: were
//! they taken for more, an expert of 65 rows would cost as much as one of 128. Kernels whose choice is not
//! published (TensorRT-LLM's, CUTLASS's, cuBLAS's) are taken to choose by rows: the power of two at or above the mean rows of an expert, from 8 to 128, × 128 × 128 bytes.
//! Against 64 rows at most, and on CUTLASS against 128 always, this is as good or better on models left out.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::ExpertsShape;
use crate::base::table::{Table, TableError};
use crate::kernels::precision::Precision;

/// One configuration of a grouped product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows, a power of two from 8 to 256.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Depth of one step.
    pub depth: u32,
    /// Row blocks that go through all columns together, a power of two.
    pub group: u32,
    /// Warps of a block.
    pub warps: u32,
    /// Loads in flight, the one that is worked on included.
    pub stages: u32,
    /// Whether somebody tuned it for these experts.
    pub tuned: bool,
}

impl Tile {
    const fn new(rows: u32, columns: u32, depth: u32, group: u32, stages: u32) -> Self {
        Self { rows, columns, depth, group, warps: 4, stages, tuned: false }
    }
}

/// How a kernel chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileRule {
    /// By the mean rows of an expert.
    ByRows,
    /// So many rows whatever the experts get, a power of two from 8 to 256: kernels whose tile is known.
    Rows(u32),
    /// As SGLang's Triton kernel does on a device that none of its files is of.
    Sglang,
    /// As SGLang's Triton kernel does on a device, by its place among those that have files.
    SglangOn(u16),
}

impl TileRule {
    /// Of a kernel of this name on a device that is named as drivers do: `NVIDIA H100 80GB HBM3`.
    #[must_use]
    pub fn of(kernel: &str, device: &str) -> Self {
        if !kernel.contains("triton") {
            return Self::ByRows;
        }
        let device = device.replace(' ', "_");
        let place = shipped().devices.iter().position(|known| *known == device);
        place.map_or(Self::Sglang, |place| Self::SglangOn(place as u16))
    }

    /// By its word in profiles: `by-rows`, `16 rows`, `sglang` or `sglang on NVIDIA_H200`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "by-rows" => Some(Self::ByRows),
            "sglang" => Some(Self::Sglang),
            _ if word.ends_with(" rows") => {
                let rows: u32 = word.strip_suffix(" rows")?.parse().ok()?;
                let fits = rows.is_power_of_two() && (8..=256).contains(&rows);
                fits.then_some(Self::Rows(rows))
            }
            _ => {
                let device = word.strip_prefix("sglang on ")?;
                let place = shipped().devices.iter().position(|known| known == device)?;
                Some(Self::SglangOn(place as u16))
            }
        }
    }

    /// Its word in profiles.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::ByRows => "by-rows".to_owned(),
            Self::Rows(rows) => format!("{rows} rows"),
            Self::Sglang => "sglang".to_owned(),
            Self::SglangOn(place) => {
                let known = &shipped().devices;
                format!("sglang on {}", known.get(place as usize).map_or("", String::as_str))
            }
        }
    }

    /// The same kernel on another device.
    #[must_use]
    pub fn on(self, device: &str) -> Self {
        match self {
            Self::ByRows | Self::Rows(_) => self,
            Self::Sglang | Self::SglangOn(_) => Self::of("triton", device),
        }
    }

    /// The same kernel on the device of a data sheet of this name.
    #[must_use]
    pub fn on_sheet(self, sheet: &str) -> Self {
        self.on(driver_name(sheet))
    }

    /// The tiles of the products up and down, for this many tokens of a shape.
    #[must_use]
    pub fn tiles(self, precision: Precision, shape: ExpertsShape, tokens: u64) -> [Tile; 2] {
        let place = match self {
            Self::ByRows => return [of_rows(precision, mean_rows(shape, tokens)); 2],
            Self::Rows(rows) => return [of_rows(precision, rows); 2],
            Self::Sglang => None,
            Self::SglangOn(place) => Some(place),
        };
        let of = |down: bool| {
            let key = (place?, precision, shape.experts, shape.inter, down);
            nearest(shipped().files.get(&key)?, tokens)
        };
        let up = of(false).unwrap_or_else(|| untuned(precision, shape, tokens));
        [up, of(true).unwrap_or(up)]
    }
}

/// How drivers name the device of a data sheet, where SGLang has tiles for it.
fn driver_name(sheet: &str) -> &'static str {
    match sheet {
        "a100-sxm" => "NVIDIA A100-SXM4-80GB",
        "a800-sxm" => "NVIDIA A800-SXM4-80GB",
        "h100-sxm" => "NVIDIA H100 80GB HBM3",
        "h200-sxm" => "NVIDIA H200",
        "h800-sxm" => "NVIDIA H800",
        "h20" => "NVIDIA H20",
        "b200-sxm" => "NVIDIA B200",
        "l40s" => "NVIDIA L40S",
        _ => "",
    }
}

/// The power of two at or above the mean rows of an expert, within bounds.
fn mean_rows(shape: ExpertsShape, tokens: u64) -> u32 {
    let slots = tokens.saturating_mul(u64::from(shape.top_k));
    let mean = slots.div_ceil(u64::from(shape.experts.max(1)));
    mean.clamp(8, 128).next_power_of_two() as u32
}

fn of_rows(precision: Precision, rows: u32) -> Tile {
    Tile::new(rows, 128, if precision == Precision::Bf16 { 64 } else { 128 }, 8, 4)
}

fn untuned(precision: Precision, shape: ExpertsShape, tokens: u64) -> Tile {
    let few = tokens <= u64::from(shape.experts);
    match (precision, few) {
        (Precision::Bf16, true) => Tile::new(16, 32, 64, 1, 4),
        (Precision::Bf16, false) => Tile::new(64, 64, 32, 8, 4),
        (Precision::Fp8Block, _) => Tile::new(64, 128, 128, 32, 3),
        (Precision::Fp8, true) => Tile::new(64, 128, 128, 1, 4),
        (Precision::Fp8, false) => Tile { warps: 8, ..Tile::new(128, 256, 128, 32, 4) },
    }
}

/// The entry whose number of tokens is nearest, of two as near the smaller.
fn nearest(file: &[(u32, Tile)], tokens: u64) -> Option<Tile> {
    file.iter().min_by_key(|(key, _)| u64::from(*key).abs_diff(tokens)).map(|(_, tile)| *tile)
}

/// Place of the device, format, experts, inner size, and whether it is for the product down.
type Key = (u16, Precision, u32, u32, bool);

#[derive(Default)]
struct Shipped {
    devices: Vec<String>,
    files: BTreeMap<Key, Vec<(u32, Tile)>>,
}

fn shipped() -> &'static Shipped {
    static SHIPPED: OnceLock<Shipped> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let bytes =
            include_bytes!("../../../../calibrate/data/sglang_moe_configs.parquet").to_vec();
        let table = Table::from_bytes("sglang_moe_configs", bytes);
        match table.and_then(|table| read(&table)) {
            Ok(shipped) => shipped,
            Err(defect) => unreachable!("a table that is compiled in: {defect}"),
        }
    })
}

fn read(table: &Table) -> Result<Shipped, TableError> {
    let texts = ["device_name", "triton_version", "dtype", "block_shape"];
    let [device, version, format, block] = texts.map(|name| table.texts(name));
    let (device, version, format, block) = (device?, version?, format?, block?);
    let numbers = [
        "per_channel",
        "down_projection",
        "experts",
        "inter",
        "tokens",
        "block_m",
        "block_n",
        "block_k",
        "group_m",
        "num_warps",
        "num_stages",
    ];
    let numbers = numbers.map(|name| table.integers(name));
    let at = |column: usize, row: usize| {
        let values = numbers[column].as_ref().ok();
        values.and_then(|v| v[row]).and_then(|v| u32::try_from(v).ok()).unwrap_or(0)
    };
    let mut devices: Vec<String> = device.iter().flatten().map(|name| (*name).to_owned()).collect();
    devices.sort_unstable();
    devices.dedup();
    // Of each key the newest version that has any.
    let mut found: BTreeMap<Key, BTreeMap<Vec<u32>, BTreeMap<u32, Tile>>> = BTreeMap::new();
    for row in 0..table.rows() {
        let precision = match (format[row], block[row]) {
            (Some("bfloat16"), None) => Precision::Bf16,
            (Some("fp8_w8a8"), Some("128x128")) => Precision::Fp8Block,
            (Some("fp8_w8a8"), None) => Precision::Fp8,
            _ => continue,
        };
        let place = devices.iter().position(|known| Some(known.as_str()) == device[row]);
        let (Some(place), 0, true) = (place, at(0, row), at(5, row).is_power_of_two()) else {
            continue;
        };
        let key = (place as u16, precision, at(2, row), at(3, row), at(1, row) == 1);
        let version = version[row].unwrap_or("").split('.').filter_map(|part| part.parse().ok());
        let tile = Tile {
            rows: at(5, row),
            columns: at(6, row),
            depth: at(7, row),
            group: at(8, row),
            warps: at(9, row),
            stages: at(10, row),
            tuned: true,
        };
        let of_version = found.entry(key).or_default().entry(version.collect()).or_default();
        of_version.insert(at(4, row), tile);
    }
    let newest = |(key, versions): (Key, BTreeMap<Vec<u32>, BTreeMap<u32, Tile>>)| {
        let (_, tiles) = versions.into_iter().next_back()?;
        Some((key, tiles.into_iter().collect()))
    };
    Ok(Shipped { devices, files: found.into_iter().filter_map(newest).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn shape(experts: u32, inter: u32) -> ExpertsShape {
        ExpertsShape { hidden: 4096, inter, experts, top_k: 2, gated: true }
    }

    #[test]
    fn a_tuned_tile_is_that_of_the_nearest_number_of_tokens() {
        let rule = TileRule::of("sglang_fused_moe_triton", "NVIDIA A100-SXM4-80GB");
        let at = |tokens| rule.tiles(Precision::Bf16, shape(8, 3584), tokens)[0];
        assert!(at(1).tuned && at(4096).tuned);
        assert_eq!(at(1), at(0));
        assert!(at(4096).rows >= 64, "{:?}", at(4096));
        // The same experts elsewhere, and others here, have no file.
        let other = TileRule::of("sglang_fused_moe_triton", "NVIDIA GB200");
        assert_eq!(other, TileRule::Sglang);
        assert!(!other.tiles(Precision::Bf16, shape(8, 3584), 1)[0].tuned);
        assert!(!rule.tiles(Precision::Bf16, shape(8, 3585), 1)[0].tuned);
    }

    #[test]
    fn without_a_file_the_defaults_switch_at_one_token_an_expert() {
        let rule = TileRule::Sglang;
        let rows = |precision, tokens| rule.tiles(precision, shape(8, 100), tokens)[0].rows;
        assert_eq!((rows(Precision::Bf16, 8), rows(Precision::Bf16, 9)), (16, 64));
        assert_eq!(rows(Precision::Fp8Block, 1), 64);
        let by_rows = |tokens| TileRule::ByRows.tiles(Precision::Bf16, shape(8, 100), tokens)[0];
        assert_eq!([1, 100, 9999].map(|t| by_rows(t).rows), [8, 32, 128]);
    }

    #[test]
    fn a_rule_is_found_by_its_name() {
        let on = TileRule::of("triton", "NVIDIA H200");
        for rule in [TileRule::ByRows, TileRule::Sglang, on] {
            assert_eq!(TileRule::named(&rule.name()), Some(rule));
        }
        assert_ne!(on, TileRule::Sglang);
        assert_eq!(TileRule::named("sglang on Z9000"), None);
    }
}
