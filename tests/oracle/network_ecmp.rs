//! Is the computed efficiency of hashed lanes that of hashing?
//!
//! Flows are hashed onto lanes by a generator of our own, many times, and the fullest lane is looked
//! for. A pass says that the formula counts balls in bins right; it does not say that switches hash
//! evenly.

use moesim::network::ecmp_efficiency;

/// The mean of the fullest lane over many throws.
fn fullest(flows: u32, lanes: u32, throws: u32) -> f64 {
    let mut state = 0x1234_5678_9ABC_DEF0_u64;
    let mut sum = 0;
    for _ in 0..throws {
        let mut on = vec![0_u32; lanes as usize];
        for _ in 0..flows {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            on[(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % lanes as usize] += 1;
        }
        sum += on.into_iter().max().unwrap_or(0);
    }
    f64::from(sum) / f64::from(throws)
}

#[test]
fn hashing_is_as_uneven_as_computed() {
    for (flows, lanes) in [(4, 4), (16, 8), (64, 8), (64, 32), (1024, 16), (4096, 32)] {
        let throws = 200_000 / flows + 200;
        let thrown = f64::from(flows) / f64::from(lanes) / fullest(flows, lanes, throws);
        let computed = ecmp_efficiency(flows, lanes);
        assert!(
            (computed / thrown - 1.0).abs() < 0.02,
            "{flows} flows on {lanes} lanes: {computed:.4}, thrown {thrown:.4}"
        );
    }
}
