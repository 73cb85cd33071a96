//! Elasticities by name: percent of throughput for one percent of each knob.

use std::collections::BTreeMap;

use crate::base::order::{ascending, descending};
use crate::studies::compare::Knob;
use crate::topology::LinkClass;

pub(in crate::output) fn elasticities(knobs: &[(Knob, f64)]) -> BTreeMap<String, f64> {
    knobs.iter().map(|(knob, elasticity)| (knob.name().to_owned(), *elasticity)).collect()
}

/// Knobs with their elasticities, the largest first.
pub(in crate::output) fn by_size(elasticities: &BTreeMap<String, f64>) -> Vec<(&str, f64)> {
    let mut all: Vec<(&str, f64)> =
        elasticities.iter().map(|(name, elasticity)| (name.as_str(), *elasticity)).collect();
    // The order of link classes decides between equal ones.
    let classes = LinkClass::ALL.map(LinkClass::name);
    let rank = |name: &str| classes.iter().position(|class| *class == name);
    ascending(&mut all, |(name, _)| rank(name).unwrap_or(classes.len()) as f64);
    descending(&mut all, |one| one.1);
    all
}
