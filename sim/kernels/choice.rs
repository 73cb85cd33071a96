//! Which kernel runs a GPU's experts: what the workload names, or what `auto` takes.
//!
//! A number format of workloads stands for formats of measured tables in order of preference: `fp8`
//! means one scale per block where the profile has it (DeepSeek's format, which SGLang, vLLM and
//! DeepGEMM run), else one scale per tensor. `auto` then goes by evidence, not by the order of names:
//!
//! | phase | taken |
//! |---|---|
//! | training | `grouped-gemm`: Megatron-LM runs grouped GEMMs of cuBLAS and TransformerEngine |
//! | prefill, decode | the Triton kernel, as SGLang and vLLM run it, where it *covers* the layout |
//! |  | else `grouped-gemm` where the dense GEMM table has the format: with few local experts SGLang and vLLM run grouped GEMMs (DeepGEMM, CUTLASS) too |
//! |  | else the profile's fused kernel whose measured shapes are nearest |
//!
//! A fused kernel covers a layout whose number of local experts and top-k lie within a factor [`REACH`] of those of a
//! shape on one rank in its table. Mixtral's
//! 8 experts with 2 slots per token cover those like it, not 8 local experts of DeepSeek-V3 with up to 8 slots per token.
//! How many tokens there are has no say: an engine does not change its kernel with the batch, and a rule that did made
//! more tokens take less time where it left one table for another. Beyond the rows that were measured the kernel's own
//! equations go on, and the result says `extrapolated`.
//!
//! Among several kernels that a word such as `triton` fits, the one whose measured shapes are nearest
//! is taken; of equally near ones that with more rows of evidence.

use std::fmt;

use super::Kernels;
use super::curves::Site;
use super::experts::{ExpertsPrior, ExpertsShape, OWN};
use super::gemm::GemmPrior;
use crate::base::units::SimDuration;
use crate::kernels::profile::{Evidence, Family, Precision};
use crate::workload::{ExpertsKernel, Phase};

/// A fused kernel covers this many times fewer or more local experts, and slots per token, than its table
/// holds; more rows per expert than this many times its table's are beyond it.
pub const REACH: f64 = 2.0;

/// A question for the experts' kernel.
#[derive(Clone, Copy, Debug)]
pub struct ExpertsAsk<'a> {
    /// The experts of one GPU.
    pub shape: ExpertsShape,
    /// Formats of the table, the best first.
    pub formats: &'a [Precision],
    /// What the workload names.
    pub kernel: &'a ExpertsKernel,
    /// What the batch is part of.
    pub phase: Phase,
    /// Slots that reach one GPU when loads are even.
    pub slots: u64,
}

/// A kernel of a profile.
#[derive(Clone, Copy, Debug)]
pub enum ExpertsChoice<'p> {
    /// A fused kernel with a table of its own.
    Fused {
        /// Its name.
        kernel: &'p str,
        /// Its format.
        precision: Precision,
        /// Its constants and residuals.
        family: &'p Family<ExpertsPrior>,
    },
    /// One grouped GEMM per product, derived from the table of dense GEMMs.
    Grouped {
        /// The format.
        precision: Precision,
        /// Constants and residuals of dense GEMMs.
        family: &'p Family<GemmPrior>,
    },
}

/// Why no kernel can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoKernel {
    /// The workload's key that asks for it.
    pub key: &'static str,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl fmt::Display for NoKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.found, self.help)
    }
}

impl<'p> ExpertsChoice<'p> {
    /// What its constants were fitted on; of a derived family, those of the dense one.
    #[must_use]
    pub const fn evidence(&self) -> &'p Evidence {
        match self {
            Self::Fused { family, .. } => &family.evidence,
            Self::Grouped { family, .. } => &family.evidence,
        }
    }

    /// The kernel's name.
    #[must_use]
    pub const fn kernel(&self) -> &'p str {
        match self {
            Self::Fused { kernel, .. } => kernel,
            Self::Grouped { .. } => GROUPED_GEMM,
        }
    }

    /// Its format.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        match self {
            Self::Fused { precision, .. } | Self::Grouped { precision, .. } => *precision,
        }
    }
}

/// The name of the derived family.
pub const GROUPED_GEMM: &str = "grouped-gemm";

/// A fused kernel, as looked for.
type Fused<'p> = (&'p str, Precision, &'p Family<ExpertsPrior>);

impl<'p> Kernels<'p> {
    /// The kernel that runs these experts.
    ///
    /// # Errors
    /// If the GPU has no arithmetic of the format, or the profile no such kernel.
    pub fn choose_experts(&self, ask: &ExpertsAsk<'_>) -> Result<ExpertsChoice<'p>, NoKernel> {
        self.check_unit(ask.formats)?;
        match ask.kernel {
            ExpertsKernel::Auto => self.auto(ask),
            ExpertsKernel::GroupedGemm => self.grouped(ask).ok_or_else(|| self.no_kernel(ask)),
            ExpertsKernel::Triton => self.fused(ask, |name| name.contains("triton")),
            ExpertsKernel::Cutlass => self.fused(ask, |name| name.contains("cutlass")),
            ExpertsKernel::TrtLlm => self.fused(ask, |name| name.contains("trtllm")),
            ExpertsKernel::Named(wanted) => self.fused(ask, |name| name == wanted),
        }
    }

    fn auto(&self, ask: &ExpertsAsk<'_>) -> Result<ExpertsChoice<'p>, NoKernel> {
        let grouped = self.grouped(ask);
        if ask.phase == Phase::Training
            && let Some(grouped) = grouped
        {
            return Ok(grouped);
        }
        let triton = self.nearest(ask, |name| name.contains("triton"));
        let fused = triton.or_else(|| self.nearest(ask, |_| true));
        match (fused, grouped) {
            (Some(fused), _) if covers(fused.2, ask.shape) => Ok(of(fused)),
            (_, Some(grouped)) => Ok(grouped),
            (Some(fused), None) => Ok(of(fused)),
            (None, None) => Err(self.no_kernel(ask)),
        }
    }

    /// Where `auto` takes a fused kernel: which, what it takes for even loads, and what grouped products would take. The
    /// fused one is what engines run, measured, be it tuned for the shape or not.
    #[must_use]
    pub fn fused_beside_grouped(
        &self,
        ask: &ExpertsAsk<'_>,
    ) -> Option<(&'p str, [SimDuration; 2])> {
        let chosen = self.choose_experts(ask).ok()?;
        let ExpertsChoice::Fused { kernel, .. } = chosen else { return None };
        let grouped = self.grouped(ask).filter(|_| *ask.kernel == ExpertsKernel::Auto)?;
        let even = ask.slots.div_ceil(u64::from(ask.shape.experts.max(1)));
        let rows = vec![u32::try_from(even).ok()?; ask.shape.experts as usize];
        let time = |choice| self.experts(choice, ask.shape).parts(&rows).total();
        Some((kernel, [chosen, grouped].map(time)))
    }

    fn fused(
        &self,
        ask: &ExpertsAsk<'_>,
        fits: impl Fn(&str) -> bool,
    ) -> Result<ExpertsChoice<'p>, NoKernel> {
        self.nearest(ask, fits).map(of).ok_or_else(|| self.no_kernel(ask))
    }

    /// The kernel that fits, of the best format that any has, whose measured shapes are nearest.
    fn nearest(&self, ask: &ExpertsAsk<'_>, fits: impl Fn(&str) -> bool) -> Option<Fused<'p>> {
        ask.formats.iter().find_map(|format| {
            let own =
                self.profile.experts.iter().filter(|((name, p), _)| p == format && fits(name));
            own.map(|((name, p), family)| (name.as_str(), *p, family)).min_by(|a, b| {
                let far = |of: &Fused<'p>| distance(of.2, ask.shape);
                let rows = |of: &Fused<'p>| of.2.evidence.rows;
                far(a).total_cmp(&far(b)).then(rows(b).cmp(&rows(a)))
            })
        })
    }

    fn grouped(&self, ask: &ExpertsAsk<'_>) -> Option<ExpertsChoice<'p>> {
        ask.formats.iter().find_map(|&precision| {
            let family = self.profile.gemm.get(&precision)?;
            Some(ExpertsChoice::Grouped { precision, family })
        })
    }

    /// Whether the GPU multiplies numbers of these formats.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_unit(&self, formats: &[Precision]) -> Result<(), NoKernel> {
        let fp8 = formats.iter().all(|format| *format != Precision::Bf16);
        if fp8 && self.device.peak_fp8.is_none() {
            return Err(NoKernel {
                key: "batch.dtype",
                found: "the GPU has no fp8 arithmetic: its topology gives no gpu.peak_fp8".into(),
                help:
                    "compute in bf16 (batch.dtype = \"bf16\"), or give the topology of a GPU that \
                       has the unit its gpu.peak_fp8"
                        .into(),
            });
        }
        Ok(())
    }

    fn no_kernel(&self, ask: &ExpertsAsk<'_>) -> NoKernel {
        let names = |p: &Precision| p.name();
        let formats: Vec<&str> = ask.formats.iter().map(names).collect();
        let mut known: Vec<String> =
            self.profile.experts.keys().map(|(k, p)| format!("{k} ({})", p.name())).collect();
        let dense: Vec<&str> = self.profile.gemm.keys().map(names).collect();
        known.push(format!("{GROUPED_GEMM} ({})", dense.join(", ")));
        let (name, formats) = (&self.profile.name, formats.join(" or "));
        if *ask.kernel == ExpertsKernel::Auto {
            let fp8 = !ask.formats.contains(&Precision::Bf16);
            let bf16 = if fp8 { "compute in bf16 (batch.dtype = \"bf16\"), or " } else { "" };
            return NoKernel {
                key: "batch.dtype",
                found: format!("the profile {name} has no kernel of experts in {formats}"),
                help: format!(
                    "{bf16}name a profile that was measured in it; {name} has {}",
                    known.join(", ")
                ),
            };
        }
        NoKernel {
            key: "kernels.experts",
            found: format!(
                "the profile {name} has no experts' kernel `{}` in {formats}",
                ask.kernel
            ),
            help: format!("it has {}", known.join(", ")),
        }
    }
}

fn of(fused: Fused<'_>) -> ExpertsChoice<'_> {
    let (kernel, precision, family) = fused;
    ExpertsChoice::Fused { kernel, precision, family }
}

/// From the shape to the nearest measured one, in correlation lengths.
fn distance(family: &Family<ExpertsPrior>, shape: ExpertsShape) -> f64 {
    let at = [shape.hidden, shape.inter, shape.experts, shape.top_k, OWN];
    family.residual.first().map_or(f64::INFINITY, |curves| curves.distance(&at))
}

/// Shapes on one rank whose local experts and slots per token are near these.
struct Like<'f> {
    sites: Vec<&'f Site>,
    /// What lies beyond what, where there is none.
    beyond: Option<String>,
}

const AXIS_OF_EXPERTS: usize = 2;
const AXIS_OF_TOP_K: usize = 3;

fn size(site: &Site, axis: usize) -> f64 {
    f64::from(site.at[axis])
}

fn like(family: &Family<ExpertsPrior>, shape: ExpertsShape) -> Option<Like<'_>> {
    let curves = family.residual.first()?;
    let own = |site: &&Site| matches!(site.at[..], [_, _, experts, _, OWN] if experts > 0);
    let all: Vec<&Site> = curves.sites().iter().filter(own).collect();
    let experts = f64::from(shape.experts.max(1));
    let [least, most] = [f64::min, f64::max].map(|of: fn(f64, f64) -> f64| {
        all.iter().map(|site| size(site, AXIS_OF_EXPERTS)).reduce(of).unwrap_or(f64::NAN)
    });
    if experts * REACH < least || experts > most * REACH {
        let beyond = format!("{} local experts, {least} to {most} measured", shape.experts);
        return Some(Like { sites: Vec::new(), beyond: Some(beyond) });
    }
    let near = |a: f64, b: f64| a <= b * REACH && b <= a * REACH;
    let top_k = f64::from(shape.top_k.max(1));
    let like = |site: &&Site| {
        near(size(site, AXIS_OF_EXPERTS), experts) && near(size(site, AXIS_OF_TOP_K), top_k)
    };
    let sites: Vec<&Site> = all.into_iter().filter(like).collect();
    let beyond = sites.is_empty().then(|| {
        format!(
            "{} local experts with {} slots per token, no experts like these measured",
            shape.experts, shape.top_k
        )
    });
    Some(Like { sites, beyond })
}

/// Whether a fused kernel covers a layout, whatever the number of tokens.
fn covers(family: &Family<ExpertsPrior>, shape: ExpertsShape) -> bool {
    like(family, shape).is_none_or(|like| like.beyond.is_none())
}

/// What lies beyond a fused kernel's measured range by more than [`REACH`], in words.
#[must_use]
pub fn beyond(family: &Family<ExpertsPrior>, shape: ExpertsShape, slots: u64) -> Option<String> {
    let like = like(family, shape)?;
    if like.beyond.is_some() {
        return like.beyond;
    }
    let last = family.residual.first()?.knots().last().copied()?;
    let rows = |site: &&Site| last * size(site, AXIS_OF_TOP_K) / size(site, AXIS_OF_EXPERTS);
    let most = like.sites.iter().map(rows).reduce(f64::max)?;
    let own_rows = slots as f64 / f64::from(shape.experts.max(1));
    (own_rows > most * REACH)
        .then(|| format!("{own_rows:.0} rows per expert, at most {most:.0} measured"))
}
