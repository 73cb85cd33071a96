//! Turns the public `aiconfigurator-core` data folder into tables of this project's schema.
//!
//! ```text
//!   systems/data/GPU/gemm/sglang/VERSION/gemm_perf.parquet             → gemm_GPU
//!   systems/data/GPU/moe/sglang/VERSION/moe_perf.parquet               → moe_GPU
//!   systems/data/GPU/comm/nccl/VERSION/nccl_perf.parquet               → nccl_GPU
//!   systems/data/GPU/comm/sglang/VERSION/wideep_deepep_normal_perf…    → deepep_normal_…_GPU
//!   systems/data/GPU/comm/sglang/VERSION/wideep_deepep_ll_perf…        → deepep_ll_…_GPU
//!   systems/data/GPU/comm/trtllm/VERSION/trtllm_alltoall_perf.parquet  → alltoall_nvl72_GPU
//! ```
//!
//! Of each the newest version is taken; DeepEP's newest of one node, and the newest that has several.
//! There latencies are in milliseconds and NCCL's sizes in elements; here they become microseconds and
//! bytes. Columns that say the same for all rows of interest (framework, version) are dropped. The
//! folder is NVIDIA's, under Apache-2.0: keep its attribution with what comes out.

use std::path::{Path, PathBuf};

use moesim::base::table::{Column, Table, TableError};

/// What was written, in words, one line a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The tables written, with their rows and where they came from.
    pub tables: Vec<String>,
    /// GPUs of which nothing usable was found.
    pub without: Vec<String>,
}

/// A column's name there and here.
type Renamed = (&'static str, &'static str);

/// A kind of table: folder and file there, prefix here, and its columns.
struct Kind {
    folder: &'static str,
    file: &'static str,
    prefix: &'static str,
    columns: &'static [Renamed],
}

const GEMM: &[Renamed] =
    &[("device", "device"), ("gemm_dtype", "dtype"), ("m", "m"), ("n", "n"), ("k", "k")];
const MOE: &[Renamed] = &[
    ("device", "device"),
    ("kernel_source", "kernel_source"),
    ("moe_dtype", "dtype"),
    ("num_tokens", "tokens"),
    ("hidden_size", "hidden"),
    ("inter_size", "inter"),
    ("topk", "top_k"),
    ("num_experts", "experts"),
    ("moe_tp_size", "tp"),
    ("moe_ep_size", "ep"),
    ("distribution", "distribution"),
];
const NCCL: &[Renamed] = &[
    ("device", "device"),
    ("op_name", "op"),
    ("nccl_dtype", "dtype"),
    ("num_gpus", "gpus"),
    ("message_size", "bytes"),
];
const DEEPEP: &[Renamed] = &[
    ("device", "device"),
    ("node_num", "node_num"),
    ("hidden_size", "hidden_size"),
    ("num_token", "num_token"),
    ("num_topk", "num_topk"),
    ("num_experts", "num_experts"),
];
const DEEPEP_NORMAL: &[Renamed] = &[
    ("dispatch_sms", "dispatch_sms"),
    ("dispatch_transmit_us", "dispatch_transmit_us"),
    ("dispatch_notify_us", "dispatch_notify_us"),
    ("combine_sms", "combine_sms"),
    ("combine_transmit_us", "combine_transmit_us"),
    ("combine_notify_us", "combine_notify_us"),
];
const DEEPEP_LL: &[Renamed] = &[
    ("combine_avg_t_us", "combine_avg_t_us"),
    ("combine_bandwidth_gbps", "combine_bandwidth_gbps"),
    ("dispatch_avg_t_us", "dispatch_avg_t_us"),
    ("dispatch_bandwidth_gbps", "dispatch_bandwidth_gbps"),
];
const ALLTOALL: &[Renamed] = &[
    ("device", "device"),
    ("op_name", "op_name"),
    ("kernel_source", "kernel_source"),
    ("moe_dtype", "dtype"),
    ("num_tokens", "tokens"),
    ("hidden_size", "hidden"),
    ("topk", "top_k"),
    ("num_experts", "experts"),
    ("moe_ep_size", "ep"),
    ("distribution", "distribution"),
];

const PLAIN: [Kind; 4] = [
    Kind { folder: "gemm/sglang", file: "gemm_perf", prefix: "gemm", columns: GEMM },
    Kind { folder: "moe/sglang", file: "moe_perf", prefix: "moe", columns: MOE },
    Kind { folder: "comm/nccl", file: "nccl_perf", prefix: "nccl", columns: NCCL },
    Kind {
        folder: "comm/trtllm",
        file: "trtllm_alltoall_perf",
        prefix: "alltoall_nvl72",
        columns: ALLTOALL,
    },
];

const DEEP: [Kind; 2] = [
    Kind {
        folder: "comm/sglang",
        file: "wideep_deepep_normal_perf",
        prefix: "deepep_normal",
        columns: DEEPEP_NORMAL,
    },
    Kind {
        folder: "comm/sglang",
        file: "wideep_deepep_ll_perf",
        prefix: "deepep_ll",
        columns: DEEPEP_LL,
    },
];

/// Writes the tables of every GPU under `from` (the folder of GPUs, or one that holds
/// `systems/data`) into `out`.
///
/// # Errors
/// If there is no such folder, if a table there cannot be read or lacks a column, or if one cannot be
/// written.
pub fn import(from: &Path, out: &Path) -> Result<Imported, TableError> {
    let data = ["systems/data", "aiconfigurator_core/systems/data", "data"]
        .iter()
        .map(|inside| from.join(inside))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| from.to_owned());
    std::fs::create_dir_all(out).map_err(|e| {
        folder_error(out, format!("cannot be made: {e}"), "check the folder's permissions")
    })?;
    let mut imported = Imported::default();
    for gpu in folders(&data)? {
        let before = imported.tables.len();
        let name = name_of(&gpu);
        for kind in &PLAIN {
            if let Some((version, path)) = newest(&gpu.join(kind.folder), kind.file)?.pop() {
                let table = turned(&Table::read(&path)?, kind.columns)?;
                let to = format!("{}_{name}", kind.prefix);
                write(&table, &to, out, kind.folder, &version, &mut imported)?;
            }
        }
        for kind in &DEEP {
            deepep(&gpu, kind, out, &mut imported)?;
        }
        if imported.tables.len() == before {
            imported.without.push(name);
        }
    }
    if imported.tables.is_empty() {
        let help = "name the folder `systems` of aiconfigurator-core, or one above it";
        return Err(folder_error(
            &data,
            "holds no GPU/gemm/sglang/VERSION/gemm_perf.parquet",
            help,
        ));
    }
    Ok(imported)
}

/// The newest version of one node and the newest that has several.
fn deepep(gpu: &Path, kind: &Kind, out: &Path, imported: &mut Imported) -> Result<(), TableError> {
    let columns: Vec<Renamed> = DEEPEP.iter().chain(kind.columns).copied().collect();
    let mut done = [false; 2];
    for (version, path) in newest(&gpu.join(kind.folder), kind.file)?.into_iter().rev() {
        let table = turned(&Table::read(&path)?, &columns)?;
        let several = table.integers("node_num")?.iter().any(|n| n.is_some_and(|n| n > 1));
        if std::mem::replace(&mut done[usize::from(several)], true) {
            continue;
        }
        let nodes = if several { "multinode" } else { "1node" };
        let to = format!("{}_{nodes}_{}", kind.prefix, name_of(gpu));
        write(&table, &to, out, kind.folder, &version, imported)?;
    }
    Ok(())
}

fn write(
    table: &Table,
    name: &str,
    out: &Path,
    folder: &str,
    version: &str,
    imported: &mut Imported,
) -> Result<(), TableError> {
    table.write(&out.join(format!("{name}.parquet")))?;
    imported.tables.push(format!("{name}: {} rows of {folder} {version}", table.rows()));
    Ok(())
}

/// The columns of interest under their names here, latencies in microseconds, sizes in bytes.
fn turned(table: &Table, columns: &[Renamed]) -> Result<Table, TableError> {
    let mut out = Table::new(table.name());
    for (there, here) in columns {
        let found = table.columns().iter().find(|(name, _)| name == there);
        let Some((_, column)) = found else {
            // Asking for it says what is missing and what there is.
            table.numbers(there)?;
            continue;
        };
        let column = if *here == "bytes" { in_bytes(table, there)? } else { column.clone() };
        out = out.with(here, column);
    }
    if table.has("latency") {
        let us = table.numbers("latency")?.into_iter().map(|ms| ms.map(|ms| ms * 1e3));
        out = out.with("latency_us", Column::Numbers(us.collect()));
    } else if !out.columns().iter().any(|(name, _)| name.ends_with("_us")) {
        table.numbers("latency")?;
    }
    Ok(out)
}

/// NCCL's message sizes, counted in elements there.
fn in_bytes(table: &Table, sizes: &str) -> Result<Column, TableError> {
    let dtypes = table.texts("nccl_dtype")?;
    let bytes = table.integers(sizes)?.iter().zip(dtypes).map(|(elements, dtype)| {
        let each = match dtype? {
            "half" | "bfloat16" => 2,
            "int8" | "fp8" => 1,
            "float" | "float32" => 4,
            _ => return None,
        };
        elements.and_then(|n| n.checked_mul(each))
    });
    Ok(Column::Integers(bytes.collect()))
}

/// Files of a name in folders of versions, newest last.
fn newest(folder: &Path, file: &str) -> Result<Vec<(String, PathBuf)>, TableError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let versions = folders(folder)?.into_iter();
    let mut found: Vec<(String, PathBuf)> = versions
        .map(|version| (name_of(&version), version.join(format!("{file}.parquet"))))
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort_by_key(|(version, _)| order_of(version));
    Ok(found)
}

/// `1.3.0rc20` after `1.3.0rc3` and before `1.3.0`: numbers by size, candidates before releases.
fn order_of(version: &str) -> (Vec<u64>, u64) {
    let (release, candidate) = version.split_once("rc").unwrap_or((version, ""));
    let numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    (numbers.collect(), candidate.parse().unwrap_or(u64::MAX))
}

fn folders(of: &Path) -> Result<Vec<PathBuf>, TableError> {
    let unreadable = |e: std::io::Error| {
        let help = "name the folder `systems` of aiconfigurator-core";
        folder_error(of, format!("cannot be read: {e}"), help)
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(of).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn folder_error(folder: &Path, found: impl Into<String>, help: &str) -> TableError {
    TableError {
        table: folder.display().to_string(),
        column: None,
        found: found.into(),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moesim::base::table::Texts;
    use moesim::kernels::exchange::Library;
    use moesim::kernels::measurements::{CollectiveRow, ExchangeRow, GemmRow};

    fn words(word: &str, rows: usize) -> Column {
        Column::Texts(Texts { words: vec![word.to_owned()], ids: vec![Some(0); rows] })
    }

    fn whole(values: &[i64]) -> Column {
        Column::Integers(values.iter().map(|v| Some(*v)).collect())
    }

    fn numbers(values: &[f64]) -> Column {
        Column::Numbers(values.iter().map(|v| Some(*v)).collect())
    }

    /// A made sample of the public layout: two versions of a GEMM table, NCCL, DeepEP.
    fn sample(name: &str) -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("moesim-import-{name}-{}", std::process::id()));
        let gpu = root.join("systems/data/z9_sxm");
        let put = |path: &str, table: Table| {
            let path = gpu.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            table.write(&path).unwrap();
        };
        let gemm = |latency_ms: f64| {
            Table::new("gemm")
                .with("framework", words("SGLang", 1))
                .with("device", words("NVIDIA Z9", 1))
                .with("gemm_dtype", words("bfloat16", 1))
                .with("m", whole(&[128]))
                .with("n", whole(&[256]))
                .with("k", whole(&[512]))
                .with("latency", numbers(&[latency_ms]))
        };
        put("gemm/sglang/0.5.9/gemm_perf.parquet", gemm(9.0));
        put("gemm/sglang/0.5.14/gemm_perf.parquet", gemm(0.0025));
        let nccl = Table::new("nccl")
            .with("device", words("NVIDIA Z9", 2))
            .with("op_name", words("alltoall", 2))
            .with("nccl_dtype", words("half", 2))
            .with("num_gpus", whole(&[2, 4]))
            .with("message_size", whole(&[256, 512]))
            .with("latency", numbers(&[0.005, 0.006]));
        put("comm/nccl/2.27.3/nccl_perf.parquet", nccl);
        let deepep = |nodes: &[i64]| {
            let n = nodes.len();
            let ones = |value: i64| whole(&vec![value; n]);
            Table::new("deepep")
                .with("device", words("NVIDIA Z9", n))
                .with("node_num", whole(nodes))
                .with("hidden_size", ones(7168))
                .with("num_token", ones(128))
                .with("num_topk", ones(8))
                .with("num_experts", ones(256))
                .with("combine_avg_t_us", numbers(&vec![70.0; n]))
                .with("combine_bandwidth_gbps", numbers(&vec![200.0; n]))
                .with("dispatch_avg_t_us", numbers(&vec![40.0; n]))
                .with("dispatch_bandwidth_gbps", numbers(&vec![200.0; n]))
        };
        let file = "wideep_deepep_ll_perf.parquet";
        put(&format!("comm/sglang/0.5.12/{file}"), deepep(&[1]));
        put(&format!("comm/sglang/0.5.6.post2/{file}"), deepep(&[1, 2, 8]));
        root
    }

    #[test]
    fn the_public_layout_becomes_tables_that_the_simulator_reads() {
        let (from, out) = (sample("layout"), sample("layout").join("out"));
        let imported = import(&from, &out).unwrap();
        assert_eq!(imported.tables.len(), 4, "{imported:?}");
        let read = |name: &str| Table::read(&out.join(format!("{name}.parquet"))).unwrap();
        let gemm = GemmRow::of(&read("gemm_z9_sxm")).unwrap().rows;
        assert_eq!((gemm[0].1.m, gemm[0].1.n, gemm[0].1.k), (128, 256, 512));
        assert!((gemm[0].1.seconds - 2.5e-6).abs() < 1e-15, "the newest version, in us: {gemm:?}");
        let nccl = CollectiveRow::of(&read("nccl_z9_sxm")).unwrap().rows;
        assert_eq!((nccl[0].1.bytes, nccl[1].1.bytes), (512, 1024));
        let rows = |name: &str| {
            let found = ExchangeRow::of_deepep(&read(name), Library::DeepEpLowLatency, 8);
            found.unwrap().rows.len()
        };
        assert_eq!((rows("deepep_ll_1node_z9_sxm"), rows("deepep_ll_multinode_z9_sxm")), (2, 6));
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let from = sample("missing");
        let path = from.join("systems/data/z9_sxm/gemm/sglang/0.5.14/gemm_perf.parquet");
        Table::new("x").with("m", whole(&[1])).write(&path).unwrap();
        let error = import(&from, &from.join("out")).unwrap_err().to_string();
        assert!(error.contains("column `device`: is missing"), "{error}");
    }

    #[test]
    fn a_folder_of_something_else_is_refused() {
        let empty = std::env::temp_dir().join(format!("moesim-import-none-{}", std::process::id()));
        std::fs::create_dir_all(&empty).unwrap();
        let error = import(&empty, &empty.join("out")).unwrap_err().to_string();
        assert!(error.contains("holds no GPU/gemm/sglang"), "{error}");
        assert!(import(Path::new("no/such"), &empty.join("out")).is_err());
    }

    #[test]
    fn versions_are_ordered_as_they_were_released() {
        let mut versions = ["1.3.0", "0.5.14", "1.3.0rc20", "0.5.6.post2", "1.3.0rc3", "0.5.9"];
        versions.sort_by_key(|v| order_of(v));
        let released = ["0.5.6.post2", "0.5.9", "0.5.14", "1.3.0rc3", "1.3.0rc20", "1.3.0"];
        assert_eq!(versions, released);
    }
}
