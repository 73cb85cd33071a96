//! Files of other tools: config.json of models, counts of recorders, networks.

use moesim::config::{
    ImportAs, NetworkAs, NetworkFile, Source, foreign, import_config, import_counts,
    import_network, read_domain_counts, read_topology, workload,
};

use super::{Target, accepted, as_file, text};

pub(super) const TARGETS: &[Target] = &[
    Target {
        name: "model-config",
        seeds: &["workloads/sources/*.json", "tests/data/cases/09-config.json"],
        small: &[],
        holds: model,
    },
    Target {
        name: "expert-counts",
        seeds: &[],
        small: &[
            "[[1, 2, 3], [4, 5, 6]]",
            "{\"logical_count\": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}",
            "1,2,3\n4,5,6\n",
        ],
        holds: counts,
    },
    Target {
        name: "network-file",
        seeds: &[
            "tests/data/networks/*.txt",
            "tests/data/networks/*.xml",
            "tests/data/networks/*.yml",
            "tests/data/networks/simai",
            "tests/data/cases/09-network.yml",
            "tests/data/cases/09-simai-topo",
        ],
        small: &[],
        holds: network,
    },
];

fn model(bytes: &[u8]) {
    for gpus in [None, Some(2)] {
        let asked = ImportAs { name: "m", gpus, ..ImportAs::default() };
        let Some(imported) = accepted(import_config("config.json", text(bytes), asked)) else {
            continue;
        };
        let read = workload(&Source::built_in("m.toml", &imported.text));
        assert!(read.is_ok(), "{}: {}", read.unwrap_err(), imported.text);
    }
}

fn counts(bytes: &[u8]) {
    let Some(imported) = accepted(import_counts("counts.json", text(bytes))) else { return };
    if imported.layers * imported.experts > 4096 {
        return;
    }
    let read = as_file("counts.csv", imported.table.as_bytes(), |path| {
        read_domain_counts(path, None, "expert_counts")
    });
    // One expert, or counts beyond what a table takes, are the table's to refuse.
    let Some(read) = accepted(read) else { return };
    assert_eq!(read.layers.len(), imported.layers, "layers");
    assert!(read.slots.iter().flatten().all(|of| of.len() == imported.experts), "experts");
}

fn network(bytes: &[u8]) {
    let text = text(bytes);
    let _ = foreign(text);
    for gpu in [None, Some("H100 SXM")] {
        let asked = NetworkAs { name: "n", source: Some("a log"), gpu };
        let Some(imported) = accepted(import_network("network", text, asked)) else { continue };
        assert!(NetworkFile::of(text).is_some(), "a file of no kind");
        let read = read_topology(&Source::built_in("n.toml", &imported.text));
        let read = read.unwrap_or_else(|e| panic!("{e}: {}", imported.text));
        assert_eq!(read.gpus(), imported.gpus, "GPUs");
    }
}
