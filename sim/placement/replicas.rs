//! Redundant experts: more places than experts, given to those with the most load [eplb].
//!
//! As DeepSeek's EPLB does within a group: replicas are given out one by one, each to the expert whose
//! load per replica is largest; then replicas are packed onto GPUs, the heaviest first, each onto the
//! GPU with the least load that has a place left and not yet this expert. The plan is made from loads
//! seen earlier, so it is as stale as those are: judge it by the loads of the traffic that follows.

/// Where the replicas of each expert live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    gpus: usize,
    /// The GPUs that hold each expert.
    hosts: Vec<Vec<usize>>,
}

impl Replicas {
    /// Spreads experts with these loads over `gpus` GPUs of `places` places each.
    ///
    /// Nothing if there are fewer places than experts, or none.
    #[must_use]
    pub fn plan(loads: &[f64], gpus: usize, places: usize) -> Option<Self> {
        if gpus * places < loads.len() || loads.is_empty() {
            return None;
        }
        let mut replicas = vec![1usize; loads.len()];
        // No expert needs a second place on a GPU, so it has at most as many replicas as GPUs.
        for _ in loads.len()..gpus * places {
            let growable = (0..loads.len()).filter(|&i| replicas[i] < gpus);
            let share = |i: usize| loads[i] / replicas[i] as f64;
            let neediest = growable.max_by(|&a, &b| share(a).total_cmp(&share(b)).then(b.cmp(&a)));
            let Some(expert) = neediest else { break };
            replicas[expert] += 1;
        }
        let mut order: Vec<usize> = (0..loads.len()).collect();
        order.sort_by(|&a, &b| {
            let share = |i: usize| loads[i] / replicas[i] as f64;
            share(b).total_cmp(&share(a)).then(a.cmp(&b))
        });
        let mut plan = Self { gpus, hosts: vec![vec![]; loads.len()] };
        let (mut load, mut used) = (vec![0.0; gpus], vec![0usize; gpus]);
        for expert in order {
            let share = loads[expert] / replicas[expert] as f64;
            for _ in 0..replicas[expert] {
                let free = (0..gpus)
                    .filter(|&gpu| used[gpu] < places && !plan.hosts[expert].contains(&gpu));
                // Near the end the only free places may be beside a replica: one fewer, then.
                let Some(gpu) = free.min_by(|&a, &b| f64::total_cmp(&load[a], &load[b])) else {
                    break;
                };
                plan.hosts[expert].push(gpu);
                load[gpu] += share;
                used[gpu] += 1;
            }
        }
        plan.hosts.iter().all(|hosts| !hosts.is_empty()).then_some(plan)
    }

    /// The GPUs that hold an expert.
    #[must_use]
    pub fn hosts(&self, expert: usize) -> &[usize] {
        &self.hosts[expert]
    }

    /// Slots of each GPU where replicas share an expert's slots evenly.
    #[must_use]
    pub fn loads(&self, slots: &[u64]) -> Vec<f64> {
        let mut loads = vec![0.0; self.gpus];
        for (hosts, &slots) in self.hosts.iter().zip(slots) {
            for &gpu in hosts {
                loads[gpu] += slots as f64 / hosts.len() as f64;
            }
        }
        loads
    }
}
