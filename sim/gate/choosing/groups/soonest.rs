//! The experts of a token by when each arrives, where a token takes some groups of experts.

use pulp::{Arch, NullaryFnOnce};

use super::GroupRule;

/// Arrivals compared at once.
const LANES: usize = 8;

impl GroupRule {
    /// Takes a token's experts by their times of arrival, soonest first, into `taken`: the soonest within the groups
    /// with the best two. Times of those that are taken become infinite.
    pub(in crate::gate) fn take_soonest(
        &self,
        times: &mut [f32],
        groups: &mut Vec<[f32; 2]>,
        taken: &mut Vec<usize>,
    ) {
        Arch::new().dispatch(Taking { rule: self, times, groups, taken });
    }
}

struct Taking<'a> {
    rule: &'a GroupRule,
    times: &'a mut [f32],
    /// Of each group, when its soonest comes, and its score.
    groups: &'a mut Vec<[f32; 2]>,
    taken: &'a mut Vec<usize>,
}

impl NullaryFnOnce for Taking<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rule, times, groups, taken } = self;
        let (slots, per_group) = (rule.slots.round() as usize, times.len() / rule.groups as usize);
        taken.clear();
        groups.clear();
        for group in times.chunks_exact(per_group) {
            let [first, second] = least_two(group);
            groups.push([first, 1.0 / (1.0 + first) + 1.0 / (1.0 + second)]);
        }
        for group in 0..groups.len() {
            let (score, mut better) = (groups[group][1], 0);
            for (other, of) in groups.iter().enumerate() {
                better += u32::from(of[1] > score || (of[1] == score && other < group));
            }
            if better >= rule.most {
                groups[group][0] = f32::INFINITY;
            }
        }
        for _ in 0..slots {
            let group = place_of_least(groups);
            let soonest = groups[group][0];
            let members = &mut times[group * per_group..][..per_group];
            if soonest == f32::INFINITY {
                break;
            }
            let mut expert = 0;
            while members[expert] != soonest {
                expert += 1;
            }
            members[expert] = f32::INFINITY;
            taken.push(group * per_group + expert);
            groups[group][0] = least_two(members)[0];
        }
    }
}

/// The group whose soonest is the soonest of all; the first of equals.
#[inline(always)]
fn place_of_least(groups: &[[f32; 2]]) -> usize {
    let mut least = 0;
    for (at, [time, _]) in groups.iter().enumerate() {
        if *time < groups[least][0] {
            least = at;
        }
    }
    least
}

/// The two least of these.
#[inline(always)]
fn least_two(times: &[f32]) -> [f32; 2] {
    let (eights, rest) = times.as_chunks::<LANES>();
    let (mut first, mut second) = ([f32::INFINITY; LANES], [f32::INFINITY; LANES]);
    for eight in eights {
        for (lane, &time) in eight.iter().enumerate() {
            let later = if time > first[lane] { time } else { first[lane] };
            second[lane] = if later < second[lane] { later } else { second[lane] };
            first[lane] = if time < first[lane] { time } else { first[lane] };
        }
    }
    for half in [4, 2, 1] {
        for lane in 0..half {
            let (a, b) = (first[lane], first[lane + half]);
            let (soon, late) = if a < b { (a, b) } else { (b, a) };
            let (a, b) = (second[lane], second[lane + half]);
            let then = if a < b { a } else { b };
            (first[lane], second[lane]) = (soon, if late < then { late } else { then });
        }
    }
    let [mut first, mut second] = [first[0], second[0]];
    for &time in rest {
        if time < first {
            (first, second) = (time, first);
        } else if time < second {
            second = time;
        }
    }
    [first, second]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::super::super::normals::{mix_in, waits};
    use super::*;
    use crate::gate::scheme::{GroupLimited, Scheme, Scores};

    /// By the same times, whatever the number of groups and of their experts.
    #[test]
    fn the_soonest_are_those_that_the_scheme_chooses() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for (groups, most, k, experts) in
            [(8, 4, 8, 256), (4, 2, 3, 20), (1, 1, 4, 12), (6, 6, 12, 12)]
        {
            let rule = GroupRule { groups, most, slots: f64::from(k) };
            let scheme =
                GroupLimited { k: k as usize, groups: groups as usize, most: most as usize };
            for _ in 0..200 {
                let mut times = vec![0.0; experts];
                mix_in(&mut rng, [0.0, 1.0], &mut times);
                waits(&mut times);
                let scores = times.iter().map(|time| -f64::from(*time).ln()).collect();
                let chosen = scheme.choose(&Scores::new(experts, scores));
                let mut taken = vec![];
                rule.take_soonest(&mut times, &mut vec![], &mut taken);
                let taken: Vec<u16> = taken.into_iter().map(|expert| expert as u16).collect();
                assert_eq!(taken, chosen.of_token(0));
            }
        }
    }
}
