//! Which library carries dispatch and combine, what it gets from links, and how its tokens travel.
//!
//! | library | tokens travel | rates |
//! |---|---|---|
//! | `nccl` | `direct`: a copy per slot (any other `all_to_all` if asked for) | ramp of its all-to-all, measured in a node; published across nodes |
//! | `deepep-normal` | `two-hop`: a copy per other node, and per GPU within a node | fitted, by SMs |
//! | `deepep-low-latency` | `direct`: a copy per slot | fitted |
//! | `hybrid-ep` | `two-hop`: a copy per other NVLink domain, and per GPU within one | fitted, by SMs |
//! | `nvlink-one-sided`, `nvlink-two-sided` | `one-sided`: a copy per GPU | fitted, within one NVLink domain |
//!
//! `auto` takes what people run, where the profile has it (and its nodes have NVLink):
//!
//! 1. in an NVLink domain of more than eight GPUs: its own kernels; two-sided where these were measured in
//!    the format of the dispatch, else one-sided;
//! 2. decode: `deepep-low-latency` [SGLang, vLLM];
//! 3. training or prefill, across nodes or with at least four slots per token: `deepep-normal` [DeepSeek,
//!    Megatron-LM's flex dispatcher];
//! 4. anything else: `nccl` [Megatron-LM's default].
//!
//! A scenario's `all_to_all` narrows this to libraries whose tokens travel so; NCCL takes any. A number of
//! SMs narrows it to those that take one.

use crate::kernels::evidence::LogErrors;
use crate::kernels::exchange::{ExchangeFit, ExchangeShape, Library};
use crate::kernels::profile::{CollectiveOp, Profile};
use crate::kernels::{Basis, Part};
use crate::network::collective::Algorithm;
use crate::network::measured::NcclBasis;
use crate::network::{NetworkRates, Rates};
use crate::topology::{LinkClass, Topology};
use crate::workload::{Dtype, ExchangeLibrary, Phase, Workload};

mod balanced;
mod fitted;
mod library;

pub use balanced::Balanced;
use fitted::FittedExchange;
pub use library::DEFAULT_SMS;
use library::{NVLINK_ONE, NVLINK_TWO, algorithm_of, sms_of, takes_sms, travels};

/// GPUs of an ordinary node: more share an NVLink domain of their own kind.
const NODE: u32 = 8;
/// Slots per token from which copies per GPU are markedly fewer than copies per slot.
const MANY_SLOTS: u32 = 4;

/// What carries dispatch and combine.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// The library, never `auto`.
    pub library: ExchangeLibrary,
    /// How its tokens travel.
    pub algorithm: Algorithm,
    /// What links deliver.
    pub rates: Rates,
    /// What dispatch and combine stand on.
    pub phases: [ExchangeBasis; 2],
}

/// What a leg stands on.
#[derive(Clone, Debug)]
pub struct ExchangeBasis {
    /// Library, format, and how near they are to measurements.
    pub basis: Basis,
    /// The family of constants, which errs as one.
    pub family: String,
    /// The law of its errors, where the profile has one.
    pub errors: Option<LogErrors>,
    /// What every GPU sends under an even choice of experts, where the library was fitted.
    pub balanced: Option<Balanced>,
}

/// Why a library cannot carry a workload's exchanges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl Carrier {
    /// What carries the exchanges of `workload`; `all_to_all` where the scenario says how tokens travel.
    ///
    /// # Errors
    /// If the profile does not have the library, or the library does not do what is asked of it.
    pub fn of(
        profile: &Profile,
        topology: &Topology,
        workload: &Workload,
        all_to_all: Option<Algorithm>,
    ) -> Result<Self, Unavailable> {
        let ask = Ask { profile, topology, workload, all_to_all };
        let library = match workload.stack.exchange {
            ExchangeLibrary::Auto => ask.auto()?,
            named => ask.named(named)?,
        };
        Ok(ask.carrier(library))
    }
}

impl Carrier {
    /// SMs that its kernels hold, where that is known: none for kernels of low latency, which leave receiving
    /// to a hook [deepep].
    #[must_use]
    pub fn sms(&self, workload: &Workload) -> Option<u32> {
        match self.library {
            library if takes_sms(library) => Some(sms_of(library, workload)),
            ExchangeLibrary::DeepEpLowLatency => Some(0),
            _ => None,
        }
    }
}

struct Ask<'a> {
    profile: &'a Profile,
    topology: &'a Topology,
    workload: &'a Workload,
    all_to_all: Option<Algorithm>,
}

impl<'a> Ask<'a> {
    const fn group(&self) -> u32 {
        self.workload.layout.expert_parallel
    }

    /// GPUs of a node that one all-to-all has: one of each cut, where experts are cut over several.
    fn per_node(&self) -> u32 {
        (self.topology.gpus_per_node() / self.workload.layout.expert_tensor_parallel).max(1)
    }

    /// GPUs that NCCL is asked for: of an all-to-all over several nodes, all of its nodes.
    fn spanned(&self) -> u32 {
        let all = self.workload.layout.expert_group();
        if self.group() > self.per_node() { all } else { self.group() }
    }

    fn auto(&self) -> Result<ExchangeLibrary, Unavailable> {
        let wants_sms = self.workload.stack.sms.is_some();
        let suits = |library: &ExchangeLibrary| {
            let travels = self.all_to_all.is_none_or(|how| travels(*library, how));
            travels && (!wants_sms || takes_sms(*library)) && self.has(*library)
        };
        let found = self.in_order().into_iter().find(suits);
        found.ok_or_else(|| Unavailable {
            found: format!(
                "`sms` is given, and none of {} takes a number of SMs",
                self.available().join(", ")
            ),
            help: "remove exchange.sms, or name a library and a profile that has it".to_owned(),
        })
    }

    /// What `auto` takes, first what it would rather.
    fn in_order(&self) -> Vec<ExchangeLibrary> {
        use ExchangeLibrary::{
            DeepEpLowLatency, DeepEpNormal, Nccl, NvlinkOneSided, NvlinkTwoSided,
        };
        let (group, per_node) = (self.group(), self.per_node());
        let nvlink = self.topology.links().iter().any(|link| link.class == LinkClass::Nvlink);
        let mut order = Vec::new();
        if group > 1 && nvlink && per_node > 1 {
            if self.topology.gpus_per_node() > NODE && group <= per_node {
                let bytes = format_bytes(self.workload.batch.dispatch_dtype);
                let measured = |library| {
                    let fits = self.fits(library);
                    fits.is_some_and(|[(fit, _), _]| fit.bytes == bytes)
                };
                let two_first = measured(NvlinkTwoSided) || !measured(NvlinkOneSided);
                let both = [NvlinkTwoSided, NvlinkOneSided];
                order.extend(if two_first { both } else { [both[1], both[0]] });
            }
            let many = group > per_node || self.workload.slots_per_round() >= MANY_SLOTS;
            match self.workload.phase() {
                Phase::Decode => order.push(DeepEpLowLatency),
                Phase::Training | Phase::Prefill if many => order.push(DeepEpNormal),
                Phase::Training | Phase::Prefill => {}
            }
        }
        order.push(Nccl);
        if self.workload.stack.sms.is_some() {
            order.push(DeepEpNormal);
        }
        order
    }

    fn named(&self, library: ExchangeLibrary) -> Result<ExchangeLibrary, Unavailable> {
        let word = library.word();
        if !self.has(library) {
            return Err(self.unmeasured(library));
        }
        let domain = matches!(library, NVLINK_ONE | NVLINK_TWO);
        let per_node = self.per_node();
        if domain && self.group() > per_node {
            return Err(Unavailable {
                found: format!(
                    "exchange.library = \"{word}\" works within one NVLink domain, and groups of {} \
                     GPUs span domains of {per_node}",
                    self.group()
                ),
                help: "give \"nccl\" or a DeepEP library, or smaller groups".to_owned(),
            });
        }
        if let Some(how) = self.all_to_all.filter(|&how| !travels(library, how)) {
            let own = algorithm_of(library).name();
            return Err(Unavailable {
                found: format!(
                    "all_to_all = \"{}\", but tokens of exchange.library = \"{word}\" travel \
                     \"{own}\"",
                    how.name()
                ),
                help: "remove all_to_all, or give exchange.library = \"nccl\", which takes any"
                    .to_owned(),
            });
        }
        Ok(library)
    }

    fn unmeasured(&self, library: ExchangeLibrary) -> Unavailable {
        let (word, name) = (library.word(), &self.profile.name);
        let between = library == ExchangeLibrary::HybridEp
            && self.profile.exchanges.contains_key("hybrid_ep/dispatch");
        let within = if between { " within one NVLink domain, as groups lie here" } else { "" };
        Unavailable {
            found: format!(
                "exchange.library = \"{word}\", of which the profile `{name}` has no measurements{within}"
            ),
            help: format!("it has {}; or name another profile", self.available().join(", ")),
        }
    }

    fn available(&self) -> Vec<String> {
        let known = ExchangeLibrary::ALL
            .into_iter()
            .filter(|&library| library != ExchangeLibrary::Auto && self.has(library));
        known.map(|library| format!("\"{}\"", library.word())).collect()
    }

    /// Whether the profile knows the library. NCCL needs nothing: links that the profile does not know are
    /// taken at their peak, and said to be.
    fn has(&self, library: ExchangeLibrary) -> bool {
        library == ExchangeLibrary::Nccl || self.fits(library).is_some()
    }

    /// Fits of dispatch and combine, each with what goes before it.
    fn fits(
        &self,
        library: ExchangeLibrary,
    ) -> Option<[(&'a ExchangeFit, Option<&'a ExchangeFit>); 2]> {
        let known = &self.profile.exchanges;
        let plain = |name: &str| {
            let both = ["dispatch", "combine"].map(|op| known.get(&format!("{name}/{op}")));
            let [Some(dispatch), Some(combine)] = both else { return None };
            Some([(dispatch, None), (combine, None)])
        };
        let kernel = match library {
            ExchangeLibrary::Auto | ExchangeLibrary::Nccl => return None,
            ExchangeLibrary::DeepEpNormal => return plain("deepep_normal"),
            // Domains that NICs join say nothing of what NVLink carries within one.
            ExchangeLibrary::HybridEp => {
                let one = self.group() <= self.per_node();
                let within = |fit: &ExchangeFit| !one || fit.priors.contains_key(&1);
                let (_, dispatch) = self.nearest_format("hybrid_ep/dispatch")?;
                let both = [dispatch, known.get("hybrid_ep/combine")?];
                return both.into_iter().all(within).then(|| both.map(|fit| (fit, None)));
            }
            ExchangeLibrary::DeepEpLowLatency => return plain("deepep_ll"),
            ExchangeLibrary::NvlinkOneSided => "NVLinkOneSided",
            ExchangeLibrary::NvlinkTwoSided => "NVLinkTwoSided",
        };
        let dispatches = format!("nvlink_domain/alltoall_dispatch/{kernel}/");
        let (format, dispatch) = self.nearest_format(&dispatches)?;
        let other = |op: &str| known.get(&format!("nvlink_domain/alltoall_{op}/{kernel}/{format}"));
        Some([(dispatch, other("prepare")), (other("combine")?, None)])
    }

    /// Of the dispatches whose names begin so, the rest of the name and the fit of the measured format whose numbers
    /// are nearest in size; what is borrowed is said to be.
    fn nearest_format(&self, dispatches: &str) -> Option<(&'a str, &'a ExchangeFit)> {
        let wanted = format_bytes(self.workload.batch.dispatch_dtype);
        let far = |fit: &ExchangeFit| (fit.bytes / wanted).ln().abs();
        let known = self.profile.exchanges.iter();
        let formats = known.filter_map(|(name, fit)| Some((name.strip_prefix(dispatches)?, fit)));
        formats.min_by(|a, b| far(a.1).total_cmp(&far(b.1)))
    }

    fn carrier(&self, library: ExchangeLibrary) -> Carrier {
        let nccl = NetworkRates::measured(self.profile, self.topology, self.spanned());
        let algorithm = self.all_to_all.unwrap_or_else(|| algorithm_of(library));
        let formats = [self.workload.batch.dispatch_dtype, self.workload.batch.combine_dtype];
        let named = |phase: usize, of: String| {
            format!("{} {} {}{of}", library.word(), EXCHANGE_PHASES[phase], formats[phase].word())
        };
        let Some(fits) = self.fits(library) else {
            let NcclBasis { family, support, errors } =
                NcclBasis::of(self.profile, self.topology, self.spanned());
            let phase = |phase: usize| ExchangeBasis {
                basis: Basis {
                    part: Part::Exchange,
                    name: named(phase, String::new()),
                    support: support.clone(),
                },
                family: format!("{}/{family}", self.profile.errs_as()),
                errors: errors.clone(),
                balanced: None,
            };
            let [dispatch, combine] =
                formats.map(|format| nccl.slower(self.left_over(algorithm, format), 1.0));
            let rates = Rates { dispatch, combine, other: nccl };
            return Carrier { library, algorithm, rates, phases: [phase(0), phase(1)] };
        };
        let phases = [0, 1].map(|phase| self.fitted(fits[phase], formats[phase]));
        let [dispatch, combine] = [&phases[0], &phases[1]].map(|phase| phase.rates(self.profile));
        let sms = || format!(", {} SMs", self.sms(library));
        let carried = [0, 1].map(|phase| ExchangeBasis {
            basis: Basis {
                part: Part::Exchange,
                name: named(phase, if takes_sms(library) { sms() } else { String::new() }),
                support: phases[phase].support(),
            },
            family: format!(
                "{}/exchange/{}/{}",
                self.profile.errs_as(),
                library.word(),
                EXCHANGE_PHASES[phase]
            ),
            errors: phases[phase].errors(),
            balanced: Some(phases[phase].balanced()),
        });
        let rates = Rates { dispatch, combine, other: nccl };
        Carrier { library, algorithm, rates, phases: carried }
    }

    /// What NCCL's constants leave over for a dispatch or combine within a node in this format, as a factor: its
    /// message under an even choice of experts is what nccl-tests count, the part a GPU keeps included.
    fn left_over(&self, algorithm: Algorithm, format: Dtype) -> f64 {
        let group = self.group();
        let fit = self.profile.collectives.get(&CollectiveOp::AllToAll);
        let Some(fit) = fit.filter(|_| (2..=self.per_node()).contains(&group)) else {
            return 1.0;
        };
        let travels = match algorithm {
            Algorithm::Direct | Algorithm::Pxn => Library::DeepEpLowLatency,
            Algorithm::OneSided => Library::NvlinkDomain,
            Algorithm::TwoHop => Library::DeepEpNormal,
        };
        let (bytes, tokens) = (format_bytes(format), self.workload.batch.tokens_per_gpu);
        let sent = Balanced::of(travels, self.shape(1, 1), group, bytes, tokens).within();
        let whole = f64::from(group) / f64::from(group - 1);
        fit.residual(group, sent as f64 * whole)
    }

    fn sms(&self, library: ExchangeLibrary) -> u32 {
        if takes_sms(library) { sms_of(library, self.workload) } else { 1 }
    }

    /// What is exchanged among this many groups.
    fn shape(&self, groups: u32, sms: u32) -> ExchangeShape {
        let model = &self.workload.model;
        ExchangeShape {
            groups,
            hidden: model.hidden,
            top_k: self.workload.slots_per_round().min(model.experts.ffn),
            experts: model.experts.ffn,
            sms,
            ranks: self.group().min(self.per_node()),
        }
    }

    fn fitted(
        &self,
        (fit, prepare): (&'a ExchangeFit, Option<&'a ExchangeFit>),
        format: Dtype,
    ) -> FittedExchange<'a> {
        let (group, per_node) = (self.group(), self.per_node());
        let groups =
            if fit.library == Library::NvlinkDomain { group } else { group.div_ceil(per_node) };
        let sms = match fit.library {
            Library::DeepEpNormal => sms_of(ExchangeLibrary::DeepEpNormal, self.workload),
            Library::HybridEp => sms_of(ExchangeLibrary::HybridEp, self.workload),
            Library::DeepEpLowLatency | Library::NvlinkDomain => 1,
        };
        let shape = self.shape(groups, sms);
        let bytes = format_bytes(format);
        let tokens = self.workload.batch.tokens_per_gpu;
        FittedExchange { fit, prepare, shape, members: group, tokens, bytes }
    }
}

const EXCHANGE_PHASES: [&str; 2] = ["dispatch", "combine"];

/// Bytes of a number on the wire; scales of blocks are part of the measured rate.
const fn format_bytes(format: Dtype) -> f64 {
    format.bytes() as f64
}
