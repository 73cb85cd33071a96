//! `moesim import`: a model's config.json as a workload file, a recorder's counts as a table for `gate fit`,
//! another tool's network file as a topology.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::Failure;
use moesim::config::{
    Diagnostic, ImportAs, ImportedCounts, NetworkAs, NetworkFile, Source, foreign, import_config,
    import_counts, import_network, is_counts,
};

/// A file of another tool.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// A model's config.json, as on Hugging Face; counts of experts as SGLang, vLLM or EPLB record them; a network
    /// file of ASTRA-sim or SimAI, what `nvidia-smi topo -m` prints, or what NCCL writes to NCCL_TOPO_DUMP_FILE.
    file: PathBuf,
    /// The workload's or topology's name. Default: that of the file, or of its folder where that is config.json.
    #[arg(long)]
    name: Option<String>,
    /// Where the file comes from, for the result's `source`.
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// GPUs that share the experts, a divisor of their number. Default: those of a node of 8.
    #[arg(long, value_name = "NUMBER")]
    gpus: Option<u32>,
    /// Slots of a token that go to FFN experts on average, in a model with zero-computation experts.
    #[arg(long, value_name = "NUMBER")]
    ffn_slots: Option<f64>,
    /// Read the file as this architecture, where its own model_type is not known.
    #[arg(long = "as", value_name = "ARCHITECTURE")]
    family: Option<String>,
    /// The GPU of a cluster whose network file is imported, as `moesim list` names those of topologies.
    #[arg(long, value_name = "NAME")]
    gpu: Option<String>,
    /// Write the result here instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

pub(crate) fn run(args: &ImportArgs, out: &mut dyn Write) -> Result<(), Failure> {
    refuse_folder(&args.file)?;
    let source = Source::read(&args.file)?;
    if is_counts(source.text()) {
        return counts(args, &source, out);
    }
    if let Some(kind) = NetworkFile::of(source.text()) {
        return network(args, &source, kind, out);
    }
    refuse_unknown(&source)?;
    refuse_given(&source, "a model", "of a cluster", &[("--gpu", args.gpu.is_some())])?;
    let asked = ImportAs {
        name: &name_of(args),
        source: args.source.as_deref(),
        gpus: args.gpus,
        family: args.family.as_deref(),
        ffn_slots: args.ffn_slots,
    };
    let imported = import_config(source.name(), source.text(), asked)?;
    match &args.out {
        Some(path) => {
            crate::output::write(path, &imported.text)?;
            write!(out, "{}", imported.account)?;
            writeln!(
                out,
                "{}: change [batch], [layout] and [gate], then `moesim check`",
                path.display()
            )?;
        }
        None => {
            write!(out, "{}", imported.text)?;
            let _ = write!(std::io::stderr(), "{}", imported.account);
        }
    }
    Ok(())
}

/// What is no JSON may be a file of another tool or command; else nobody knows it.
fn refuse_unknown(source: &Source) -> Result<(), Failure> {
    let text = source.text().trim();
    if text.starts_with('{') {
        return Ok(());
    }
    let unknown = "is no file that moesim imports, or a part of one";
    let found = if text.is_empty() { "is empty" } else { unknown };
    let (found, help) = foreign(text).unwrap_or((found, WHOLE_FILES));
    Err(Diagnostic::of(source.name(), found, help).into())
}

const WHOLE_FILES: &str = "name a model's config.json, counts of experts, or a network file of ASTRA-sim, SimAI, \
                           `nvidia-smi topo -m` or NCCL, whole; `moesim import --help` says more";

/// Refuses an option that says something of what this file does not hold.
fn refuse_given(
    source: &Source,
    holds: &str,
    of: &str,
    options: &[(&str, bool)],
) -> Result<(), Failure> {
    let Some((option, _)) = options.iter().find(|(_, given)| *given) else { return Ok(()) };
    let found = format!("says something {of}, and {} holds {holds}", source.name());
    Err(Diagnostic::of(*option, found, "leave it out").into())
}

/// Another tool's network file as a topology.
fn network(
    args: &ImportArgs,
    source: &Source,
    kind: NetworkFile,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    refuse_given(
        source,
        kind.described(),
        "of a model",
        &[
            ("--gpus", args.gpus.is_some()),
            ("--ffn-slots", args.ffn_slots.is_some()),
            ("--as", args.family.is_some()),
        ],
    )?;
    let (name, gpu) = (name_of(args), args.gpu.as_deref());
    let asked = NetworkAs { name: &name, source: args.source.as_deref(), gpu };
    let imported = import_network(source.name(), source.text(), asked)?;
    let mut told = format!("{}: {} GPUs\n", kind.described(), imported.gpus);
    for (what, lines) in [("guessed", &imported.guesses), ("left out", &imported.left_out)] {
        for line in lines {
            told += &format!("  {what}: {line}\n");
        }
    }
    match &args.out {
        Some(path) => {
            crate::output::write(path, &imported.text)?;
            writeln!(out, "{told}{path}: then `moesim topology {path}`", path = path.display())?;
        }
        None => {
            write!(out, "{}", imported.text)?;
            let _ = write!(std::io::stderr(), "{told}");
        }
    }
    Ok(())
}

/// Refuses a folder, and names the config.json in it.
fn refuse_folder(path: &Path) -> Result<(), Failure> {
    if !path.is_dir() {
        return Ok(());
    }
    let inside = path.join("config.json");
    let help = match inside.exists() {
        true => format!("name the file in it: {}", inside.display()),
        false => "name a model's config.json, or counts of experts".to_owned(),
    };
    Err(Diagnostic::of(path.display().to_string(), "is a folder", help).into())
}

/// Counts of experts as a table that `moesim gate fit` reads.
fn counts(args: &ImportArgs, source: &Source, out: &mut dyn Write) -> Result<(), Failure> {
    refuse_given(
        source,
        "counts",
        "of a model or cluster",
        &[
            ("--name", args.name.is_some()),
            ("--source", args.source.is_some()),
            ("--gpus", args.gpus.is_some()),
            ("--ffn-slots", args.ffn_slots.is_some()),
            ("--as", args.family.is_some()),
            ("--gpu", args.gpu.is_some()),
        ],
    )?;
    let ImportedCounts { table, layers, experts, steps } =
        import_counts(source.name(), source.text())?;
    let of = if steps > 1 { format!(", {steps} steps added up") } else { String::new() };
    let Some(path) = &args.out else {
        write!(out, "{table}")?;
        return Ok(());
    };
    crate::output::write(path, &table)?;
    let path = path.display();
    writeln!(
        out,
        "{path}: {layers} layers of {experts} experts{of}; then `moesim gate fit {path}`"
    )?;
    Ok(())
}

/// The name given, else the file's, else that of the folder that a plain config.json lies in.
fn name_of(args: &ImportArgs) -> String {
    if let Some(name) = &args.name {
        return name.clone();
    }
    let stem = |path: &std::path::Path| path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let own = stem(&args.file).unwrap_or_default();
    let folder = std::path::absolute(&args.file).ok();
    let folder = folder.as_deref().and_then(std::path::Path::parent).and_then(stem);
    folder.filter(|_| own == "config").unwrap_or(own)
}
