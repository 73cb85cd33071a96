//! `moesim fit-overheads`: published expert forward times → an overheads file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::output::progress::during;
use crate::{Failure, output};
use moesim::base::threads;
use moesim::config::{Diagnostic, Overrides};
use moesim::execution::cost::Overheads;
use moesim::execution::outcome::TooLong;
use moesim::studies::paper::{self, PaperRow, candidates, predictor::Predictor};

/// What to fit to, and where to write.
#[derive(Args)]
pub(crate) struct FitArgs {
    /// A CSV in the columns of the paper's table; the built-in rows if left out.
    #[arg(long, value_name = "CSV")]
    from: Option<PathBuf>,
    /// What the rows are, for the record.
    #[arg(long, default_value = "rows 0.6B and 1B of arXiv 2410.07348, Table 3")]
    fitted_to: String,
    /// The overheads file to write; without it, the fit is printed and forgotten.
    #[arg(long, value_name = "TOML")]
    pub(crate) out: Option<PathBuf>,
    /// Override a key of the paper scenario or of a file it names: what would be fitted then?
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Numbers that are fitted at a time.
const FREE: usize = 3;

pub(crate) fn run(args: &FitArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let read = args.from.as_deref().map(paper::read).transpose()?;
    let rows = read.as_deref().unwrap_or_else(|| paper::built_in());
    let predictor = Predictor::new(Overrides::new(args.set.clone()), threads::available())?;
    refuse_too_few(args, &predictor, rows)?;
    let both = || Ok::<_, TooLong>((predictor.fit(rows)?, predictor.judge_leaving_out(rows)?));
    let (fit, left_out) = during("runs", both)?;
    if let Some(path) = &args.out {
        let name = path.file_stem().map_or_else(|| "overheads".into(), |s| s.to_string_lossy());
        output::write(path, candidates::file_text(&name, &fit, &args.fitted_to))?;
    }
    let Overheads { traffic_factor, slot_traffic, expert_visit, layer, overlap } =
        fit.taken.overheads;
    writeln!(
        out,
        "traffic factor {traffic_factor:.2}, {} bytes a slot, {expert_visit} an expert visit,\n\
         {layer} a layer, overlap {overlap}: mean |error| {:.1} % over {} rows\n\
         micro-batches of {} tokens; {} other structures and micro-batches fit as well",
        slot_traffic.0,
        fit.residual * 100.0,
        fit.rows,
        fit.taken.tokens_per_gpu,
        fit.alternatives.len()
    )?;
    for left_out in left_out {
        if let (Some(time), Some(increase)) =
            (left_out.ours.time_mape, left_out.ours.increase_mae_points)
        {
            writeln!(
                out,
                "fitted without {:<5} {:>5.1} % off in time, {:>5.1} points off in increase",
                left_out.of,
                time * 100.0,
                increase
            )?;
        }
    }
    Ok(())
}

/// Refuses tables that cannot tell the numbers that are fitted.
fn refuse_too_few(args: &FitArgs, predictor: &Predictor, rows: &[PaperRow]) -> Result<(), Failure> {
    let known = rows.iter().filter(|row| predictor.workload_of(row).is_some()).count();
    if known < FREE {
        let place =
            args.from.as_deref().map_or_else(String::new, |path| path.display().to_string());
        let found =
            format!("has {known} rows of models that are known, and {FREE} numbers are fitted");
        let help = "the models are 0.6B, 1B, 2B and 7B with the paper's numbers of experts";
        return Err(Diagnostic::of(place, found, help).into());
    }
    Ok(())
}
