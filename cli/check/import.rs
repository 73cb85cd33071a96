//! `moesim import`: a model's config.json as a workload file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::Failure;
use moesim::config::{Source, foreign, import_config};

/// A file of another tool.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// A model's config.json, as on Hugging Face.
    file: PathBuf,
    /// The workload's name. Default: that of the file, or of its folder where that is config.json.
    #[arg(long)]
    name: Option<String>,
    /// Write the workload here instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

pub(crate) fn run(args: &ImportArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let source = Source::read(&args.file)?;
    let is_config = source.text().trim_start().starts_with('{');
    if let Some((found, help)) = foreign(source.text()).filter(|_| !is_config) {
        return Err(moesim::config::Diagnostic::of(source.name(), found, help).into());
    }
    let text = import_config(source.name(), source.text(), &name_of(args))?;
    match &args.out {
        Some(path) => {
            crate::output::write(path, &text)?;
            writeln!(
                out,
                "{}: change [batch], [layout] and [gate], then `moesim check`",
                path.display()
            )?;
        }
        None => write!(out, "{text}")?,
    }
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
