//! Are bytes counted where algorithms move them?
//!
//! A pass says that the hops of each all-to-all algorithm are those of its published description, on
//! tokens counted by hand and in expectation. It does not say how long they take.

use moesim::base::units::{Bytes, GpuId};
use moesim::network::collective::{
    Accounting, Algorithm, Allowed, Chosen, Hop, expected_distinct, expected_distinct_over,
};

const COPY: u64 = 100;

/// One token of GPU 1 with experts on GPUs 1, 3, 3, 9, 12 and 12, in nodes of 8.
fn hops(algorithm: Algorithm) -> Vec<(u32, Option<u32>, u32, u64)> {
    let mut accounting = Accounting::new(algorithm, 8, Bytes(COPY));
    accounting.token(GpuId(1), &[1, 3, 3, 12, 9, 12].map(GpuId));
    let plain = |hop: Hop| (hop.from.0, hop.via.map(|gpu| gpu.0), hop.to.0, hop.bytes.0 / COPY);
    accounting.hops().into_iter().map(plain).collect()
}

#[test]
fn direct_sends_a_copy_for_each_expert() {
    assert_eq!(hops(Algorithm::Direct), [(1, None, 3, 2), (1, None, 9, 1), (1, None, 12, 2)]);
}

#[test]
fn one_sided_sends_a_copy_for_each_gpu() {
    assert_eq!(hops(Algorithm::OneSided), [(1, None, 3, 1), (1, None, 9, 1), (1, None, 12, 1)]);
}

#[test]
fn pxn_changes_rails_inside_the_senders_node() {
    // GPU 9 is on rail 1 as the sender is; GPU 12 is on rail 4, the sender's node's GPU 4.
    assert_eq!(hops(Algorithm::Pxn), [(1, None, 3, 2), (1, None, 9, 1), (1, Some(4), 12, 2)]);
}

/// Of nodes of four, GPUs 2 to 5 exchange: rails 0 and 1 of node 0, whose GPUs take no part, are dealt out to
/// GPUs 2 and 3.
#[test]
fn groups_that_cut_nodes_deal_rails_out_to_their_members() {
    let mut accounting = Accounting::new(Algorithm::Pxn, 4, Bytes(COPY)).among(2..6);
    accounting.token(GpuId(2), &[4, 5].map(GpuId));
    let hops: Vec<_> = accounting.hops().iter().map(|hop| (hop.via, hop.to.0)).collect();
    assert_eq!(hops, [(None, 4), (Some(GpuId(3)), 5)]);
}

#[test]
fn two_hops_cross_between_nodes_once_for_each_node() {
    // Node 1 is entered at GPU 9, on the sender's rail, which keeps its own copy and forwards one.
    assert_eq!(hops(Algorithm::TwoHop), [(1, None, 3, 1), (1, None, 9, 1), (9, None, 12, 1)]);
}

#[test]
fn a_combine_is_the_dispatch_backwards() {
    let mut accounting = Accounting::new(Algorithm::TwoHop, 8, Bytes(COPY));
    accounting.token(GpuId(1), &[GpuId(12)]);
    let back = accounting.combine(Bytes(2 * COPY));
    let plain: Vec<_> = back.iter().map(|hop| (hop.from.0, hop.to.0, hop.bytes.0)).collect();
    assert_eq!(plain, [(9, 1, 200), (12, 9, 200)]);
}

/// The sum over all k-subsets, the plainest way there is.
fn distinct_by_counting(groups: u32, experts: u32, slots: u32) -> f64 {
    let (mut sum, mut subsets) = (0, 0);
    for subset in 0_u32..1 << experts {
        if subset.count_ones() == slots {
            let touched =
                |group: u32| (0..experts).any(|e| subset >> e & 1 == 1 && e % groups == group);
            sum += (0..groups).filter(|&group| touched(group)).count();
            subsets += 1;
        }
    }
    sum as f64 / f64::from(subsets)
}

#[test]
fn the_expectation_is_that_over_all_subsets() {
    for (groups, experts) in [(4, 12), (2, 8), (6, 12), (12, 12)] {
        for slots in 0..=experts.min(6) {
            let (got, want) = (
                expected_distinct(groups, experts, slots),
                distinct_by_counting(groups, experts, slots),
            );
            assert!((got - want).abs() < 1e-9, "{slots} of {experts} in {groups}: {got}, {want}");
        }
    }
}

/// Eight nodes: eight slots touch 5.25 nodes, six 4.4, so a quarter fewer slots saves a sixth.
#[test]
fn fewer_slots_save_less_than_their_share() {
    let nodes = |slots| expected_distinct(8, 4096, slots);
    assert!((nodes(8) - 5.25).abs() < 0.01 && (nodes(6) - 4.41).abs() < 0.01);
    // Half the tokens with none and half with two slots: less than all with one.
    let mixed = expected_distinct_over(8, 4096, &[0.5, 0.0, 0.5]);
    assert!(mixed < nodes(1), "{mixed}");
}

/// DeepEP's gate sends each token to 4 of 8 nodes; 3.5 of them are remote on average, so a NIC of
/// 45 GB/s looks like 4/3.5 of that: 51.4 "logical" GB/s, published 51 [deepep].
#[test]
fn deepep_ep64_moves_three_and_a_half_copies_between_nodes() {
    let mut accounting = Accounting::new(Algorithm::TwoHop, 8, Bytes(1));
    let tokens = 64 * 70;
    for token in 0..tokens {
        // All 70 choices of 4 of 8 nodes, in turn, two experts in each.
        let choice = (0_u32..256).filter(|set| set.count_ones() == 4).nth(token / 64).unwrap();
        let nodes = (0..8).filter(|node| choice >> node & 1 == 1);
        let experts: Vec<GpuId> = nodes.flat_map(|n| [n * 8 + 2, n * 8 + 5]).map(GpuId).collect();
        accounting.token(GpuId(token as u32 % 64), &experts);
    }
    let between: u64 = accounting
        .hops()
        .iter()
        .filter(|hop| hop.from.0 / 8 != hop.to.0 / 8)
        .map(|hop| hop.bytes.0)
        .sum();
    assert_eq!(between * 2, tokens as u64 * 7);
}

/// Where a token may choose in two of four blocks alone, as many copies as all its allowed sets of experts make: for
/// groups within a block, groups that are blocks, and groups that lie across them.
#[test]
fn copies_under_a_limit_of_blocks_are_those_of_all_allowed_sets() {
    const EXPERTS: usize = 8;
    let block_of: Vec<usize> = (0..EXPERTS).map(|e| e / 2).collect();
    let sets: Vec<u32> = (0..1_u32 << EXPERTS)
        .filter(|set| {
            let blocks: std::collections::BTreeSet<usize> =
                (0..EXPERTS).filter(|e| set >> e & 1 == 1).map(|e| block_of[e]).collect();
            set.count_ones() == 3 && blocks.len() <= 2
        })
        .collect();
    // Every expert is in equally many sets: 100 tokens give it 300 / 8 slots.
    let (slots, dropped) = ([300.0 / 8.0; EXPERTS], [0.0; EXPERTS]);
    let chosen = Chosen {
        slots: &slots,
        dropped: &dropped,
        tokens: &[0.0, 0.0, 0.0, 100.0],
        blocks: Some((&block_of, Allowed::AtMost(2))),
    };
    let groupings: [fn(usize) -> usize; 3] = [|e| e, |e| e / 2, |e| e % 4];
    for group in groupings {
        let group_of: Vec<usize> = (0..EXPERTS).map(group).collect();
        let groups = group_of.iter().max().unwrap() + 1;
        let found = chosen.copies(&group_of, groups);
        for (g, found) in found.into_iter().enumerate() {
            let here: u32 = (0..EXPERTS).filter(|&e| group_of[e] == g).map(|e| 1 << e).sum();
            let hit = sets.iter().filter(|&&set| set & here != 0).count();
            let wanted = 100.0 * hit as f64 / sets.len() as f64;
            assert!((found - wanted).abs() < 1e-3, "group {g} of {groups}: {found}, {wanted}");
        }
    }
}
