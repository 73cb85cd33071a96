//! Profiles: TOML with a Parquet table of residuals beside it → a validated [`Profile`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use toml::Spanned;

use super::{Diagnostic, Kind, Source};
use crate::base::near::advice;
use crate::base::table::{Table, TableError};
use crate::kernels::Device;
use crate::kernels::curves::{Kriging, Scale};
use crate::kernels::experts::tiles::TileRule;
use crate::kernels::experts::{ExpertsPrior, Interval};
use crate::kernels::gemm::GemmPrior;
use crate::kernels::profile::{
    CollectiveFit, Evidence, Family, MemoryFit, Precision, Profile, Residual,
};
use crate::kernels::times::fused::{SITE_AXES, TILE_AXES};

pub(in crate::config) mod file;
mod links;
pub(in crate::config) mod overheads;
mod own;
mod residuals;
use file::{EvidenceFile, Experts, File, Gemm, InterNode, KrigingFile, ResidualFile, ScaleFile};
pub(super) use links::peer_to_peer_of;
pub use own::{is_same_gpu, no_profile, profile_of_gpu};
use residuals::Residuals;

/// A profile that is compiled in.
#[derive(Clone, Copy, Debug)]
pub struct BuiltInProfile {
    /// Its name: `"a100-sxm"`.
    pub name: &'static str,
    /// Its TOML.
    pub toml: &'static str,
    /// Its table of residuals, as Parquet: where the file beside its TOML is a copy, the one that was copied.
    pub table: &'static [u8],
}

/// Profiles and whose table of residuals each has: that of the measured GPU from which it was transferred as it is, or its own.
macro_rules! built_in {
    ($($name:literal of $table:literal),* $(,)?) => {
        &[$(BuiltInProfile {
            name: $name,
            toml: include_str!(concat!("../../calibrate/profiles/", $name, ".toml")),
            table: include_bytes!(concat!("../../calibrate/profiles/", $table, ".parquet")),
        }),*]
    };
}

/// The profiles that are compiled in.
#[must_use]
pub const fn built_in_profiles() -> &'static [BuiltInProfile] {
    built_in![
        "a100-sxm" of "a100-sxm",
        "h100-sxm" of "h100-sxm",
        "h200-sxm" of "h200-sxm",
        "b200-sxm" of "b200-sxm",
        "gb200" of "gb200",
        "l40s" of "l40s",
        "h800-sxm" of "h100-sxm",
        "a800-sxm" of "a100-sxm",
        "h20" of "h100-sxm",
        "h200-nvl" of "h200-nvl",
        "b300-sxm" of "b200-sxm",
        "gb300" of "gb200",
        "rtx-pro-6000-server" of "a100-sxm",
        "mi300x" of "mi300x",
    ]
}

/// The built-in profile of this name.
///
/// # Errors
/// If there is none of this name.
pub fn built_in_profile(name: &str) -> Result<Profile, Diagnostic> {
    let known = built_in_profiles();
    let Some(found) = known.iter().find(|p| p.name == name) else {
        let names: Vec<&str> = known.iter().map(|p| p.name).collect();
        let help = advice(name, "built in", &names);
        return Err(Diagnostic::of(name, "is not a built-in profile", help));
    };
    profile_with_built_in_table(&Source::built_in(found.name, found.toml), name)
}

/// A profile from a TOML, perhaps with overrides, and the table of the built-in profile `name`.
///
/// # Errors
/// If what the TOML says is wrong, or there is no such built-in profile.
pub fn profile_with_built_in_table(source: &Source, name: &str) -> Result<Profile, Diagnostic> {
    let key = (name.to_owned(), source.fold_into(0));
    // A thread that panicked has not left a profile half made.
    let held = || BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = held().get(&key) {
        return Ok(Profile::clone(known));
    }
    let found = built_in_profiles().iter().find(|p| p.name == name);
    let bytes = found.map(|p| p.table.to_vec()).unwrap_or_default();
    let made = profile(source, Table::from_bytes(name, bytes)?)?;
    let mut built = held();
    if built.len() >= MOST_BUILT {
        built.pop_first();
    }
    built.insert(key, Arc::new(made.clone()));
    Ok(made)
}

/// Profiles with a built-in table that were made, by name and a hash of their text, overrides included: points of a sweep
/// and published systems read the same few again and again, and making one inverts matrices. A profile is a function
/// of what is hashed.
static BUILT: Mutex<BTreeMap<(String, u64), Arc<Profile>>> = Mutex::new(BTreeMap::new());
/// Profiles kept at most.
const MOST_BUILT: usize = 64;

/// A profile from a TOML file; the table it names lies beside `path`.
///
/// # Errors
/// If the file, the table or what they say is wrong.
pub fn read_profile(source: &Source, path: &Path) -> Result<Profile, Diagnostic> {
    let file: File = Kind::Profile.parse(source)?;
    let table = path.with_file_name(file.table.get_ref());
    let plain = !file.table.get_ref().contains(['/', '\\']);
    if !plain {
        let help = "the table lies beside the profile: give its file name alone";
        return Err(source.mistake(file.table.span(), "is a path", help));
    }
    profile(source, Table::read(&table)?)
}

/// A profile from its TOML and its table of residuals.
///
/// # Errors
/// If what they say is wrong or does not fit together.
pub fn profile(source: &Source, table: Table) -> Result<Profile, Diagnostic> {
    let file: File = Kind::Profile.parse(source)?;
    if file.schema != 2 {
        let found = format!("found schema {}", file.schema);
        let help = "this moesim reads schema 2: write the profile again with `calibrate fit`";
        return Err(source.mistake_without_span("schema", found, help));
    }
    let residuals = Residuals::new(&table)?;
    file.validated(source, &residuals)
}

impl From<ResidualFile> for Residual {
    fn from(file: ResidualFile) -> Self {
        Self { median: file.median.0, p90: file.p90.0, bias: file.bias.0 }
    }
}

impl From<EvidenceFile> for Evidence {
    fn from(file: EvidenceFile) -> Self {
        Self {
            fitted_on: file.fitted_on,
            rows: file.rows.0 as usize,
            prior: file.prior.map(Into::into),
            held_out: file.held_out.map(Into::into),
            left_out: file.left_out,
            log_error_p90: file.log_error_p90.map(|e| e.0),
            log_errors: file.log_errors.map(|law| law.0),
        }
    }
}

impl KrigingFile {
    /// Itself, when every scale has a length for each of `axes` coordinates.
    fn checked(&self, source: &Source, key: &str, axes: usize) -> Result<Kriging, Diagnostic> {
        let odd = self.scales.iter().find(|scale| scale.lengths.len() != axes);
        if let Some(odd) = odd {
            let found = format!("found {} lengths", odd.lengths.len());
            let help = format!("give one for each of {axes} coordinates");
            return Err(source.mistake_without_span(key, found, help));
        }
        if self.scales.is_empty() {
            return Err(source.mistake_without_span(key, "is empty", "give at least one scale"));
        }
        let scale = |file: &ScaleFile| Scale {
            share: file.share.0,
            lengths: file.lengths.iter().map(|l| l.0).collect(),
        };
        Ok(Kriging {
            scales: self.scales.iter().map(scale).collect(),
            noise: self.noise.0,
            clip: self.clip.map_or(f64::INFINITY, |clip| clip.0),
        })
    }
}

impl File {
    fn validated(self, source: &Source, residuals: &Residuals<'_>) -> Result<Profile, Diagnostic> {
        if self.gemm.is_empty() || self.experts.is_empty() {
            let found = "no GEMM or no fused experts are described";
            let help = "add a [gemm.bfloat16] table and an [[experts]] table";
            return Err(source.mistake_without_span("", found, help));
        }
        let mut gemm = BTreeMap::new();
        for (name, family) in self.gemm {
            let (precision, fitted) = family.validated(source, &name, residuals)?;
            gemm.insert(precision, fitted);
        }
        let bf16 = self.data_sheet.bf16.0;
        let mut experts = BTreeMap::new();
        for family in self.experts {
            let (key, fitted) = family.validated(source, residuals)?;
            experts.insert(key, fitted);
        }
        let measured = gemm.keys().chain(experts.keys().map(|(_, precision)| precision));
        let has_fp8 = measured.into_iter().any(|precision| *precision != Precision::Bf16);
        let mut collectives = BTreeMap::new();
        let peak = self.data_sheet.scale_up.as_ref().map(|peak| peak.0);
        let peer_to_peer = peer_to_peer_of(self.data_sheet.peer_to_peer, peak)
            .map_err(|(found, help)| source.mistake_without_span("data_sheet", found, help))?;
        if let (None, Some((name, _))) = (peak, self.collective.first_key_value()) {
            let found = "needs data_sheet.scale_up: its rates are shares of the links measured on";
            let help = "give [data_sheet] scale_up, the peak of one GPU's link one way, such as \"450 GB/s\"";
            return Err(source.mistake(name.span(), found, help));
        }
        for (name, fit) in self.collective {
            let (op, fitted) = fit.validated(source, &name, residuals)?;
            collectives.insert(op, CollectiveFit { peer_to_peer, ..fitted });
        }
        let mut exchanges = BTreeMap::new();
        for fit in self.exchange {
            let (name, fitted) = fit.validated(source, residuals)?;
            exchanges.insert(name, fitted);
        }
        Ok(Profile {
            name: self.name,
            device: self.device,
            data_sheet: Device {
                peak_bf16: bf16,
                // What efficiencies in fp8 refer to; a GPU that has the unit was measured with it.
                peak_fp8: has_fp8.then(|| bf16.scaled(Precision::Fp8.speedup())),
                memory_bandwidth: self.data_sheet.memory_bandwidth.0,
                sms: self.data_sheet.sms.0,
            },
            scale_up: self.data_sheet.scale_up.map(|peak| peak.0),
            gemm,
            experts,
            memory: MemoryFit {
                efficiency: self.memory.efficiency.0,
                launch: self.memory.launch.0,
                kernels: residuals.of_memory_kernels(),
                evidence: self.memory.evidence.into(),
            },
            collectives,
            exchanges,
            pair_bandwidth: self.pair_bandwidth.map(|b| b.0),
            inter_node: self.inter_node.map(InterNode::validated),
        })
    }
}

fn precision_of(source: &Source, name: &Spanned<String>) -> Result<Precision, Diagnostic> {
    Precision::named(name.get_ref()).ok_or_else(|| {
        let found = format!("unknown precision `{}`", name.get_ref());
        source.mistake(name.span(), found, "use one of bfloat16, fp8, fp8_block")
    })
}

impl Gemm {
    fn validated(
        self,
        source: &Source,
        name: &Spanned<String>,
        residuals: &Residuals<'_>,
    ) -> Result<(Precision, Family<GemmPrior>), Diagnostic> {
        let precision = precision_of(source, name)?;
        if self.compute_efficiency.0 > 1.0 {
            let key = format!("gemm.{}.compute_efficiency", name.get_ref());
            let found =
                format!("{} is more than the peak of the data sheet", self.compute_efficiency.0);
            let help = "no kernel exceeds its peak: fit again with the timings of this device";
            return Err(source.mistake_at_key(&key, found, help));
        }
        let key = format!("gemm.{}.kriging.scales", name.get_ref());
        let kriging = self.kriging.checked(source, &key, 2)?;
        let family = format!("gemm/{}", name.get_ref());
        let prior = GemmPrior {
            launch_s: self.launch.0.secs(),
            compute_efficiency: self.compute_efficiency.0,
            memory_efficiency: self.memory_efficiency.0,
            wave_s: self.wave.0.secs(),
            half_intensity: self.half_intensity.0,
            split_speedup: self.split_speedup.0,
            sharpness: self.sharpness.0,
        };
        let curves = residuals.curves(&family, kriging)?;
        Ok((precision, Family { prior, residual: vec![curves], evidence: self.evidence.into() }))
    }
}

impl Experts {
    fn validated(
        self,
        source: &Source,
        residuals: &Residuals<'_>,
    ) -> Result<((String, Precision), Family<ExpertsPrior>), Diagnostic> {
        let precision = precision_of(source, &self.precision)?;
        let axes = SITE_AXES + TILE_AXES;
        let kriging = self.kriging.checked(source, "experts.kriging.scales", axes)?;
        let curves = crate::kernels::LAWS.iter().map(|(law, _)| {
            let family = format!("experts/{}/{}/{law}", self.kernel, precision.name());
            residuals.curves_of(&family, SITE_AXES, kriging.clone())
        });
        let residual = curves.collect::<Result<Vec<_>, TableError>>()?;
        let tiles = tile_rule(source, &self.tiles)?;
        let measured = self.measured_tiles.as_ref().map(|word| tile_rule(source, word));
        let prior = ExpertsPrior {
            launch_s: self.launch.0.secs(),
            small_efficiency: self.small_efficiency.0,
            large_efficiency: self.large_efficiency.0,
            cache_bandwidth: self.cache_bandwidth.0,
            step_s: self.step.0.secs(),
            block_s: self.block.0.secs(),
            latency_s: self.latency.0.secs(),
            ragged_rate: self.ragged_per_ns.0 * 1e9,
            memory_efficiency: self.memory_efficiency.0,
            narrow_efficiency: self.narrow_efficiency.0,
            refetched: self.refetched.0,
            sharpness: self.sharpness.0,
            traffic_efficiency: self.traffic_efficiency.0,
            cache_bytes: self.cache.0.0 as f64,
            cache_speedup: self.cache_speedup.0,
            always_gated: self.always_gated,
            tiles,
            measured_tiles: measured.transpose()?.unwrap_or(tiles),
            interval: self.interval.map(|i| Interval { known: i.known.0, absent: i.absent.0 }),
        };
        let evidence = self.evidence.into();
        Ok(((self.kernel, precision), Family { prior, residual, evidence }))
    }
}

fn tile_rule(source: &Source, word: &Spanned<String>) -> Result<TileRule, Diagnostic> {
    TileRule::named(word.get_ref()).ok_or_else(|| {
        let found = format!("unknown rule for tiles `{}`", word.get_ref());
        let help = "use \"by-rows\", \"16 rows\", \"sglang\" or \"sglang on DEVICE\" with a device of \
                    sglang_moe_configs.parquet";
        source.mistake(word.span(), found, help)
    })
}
