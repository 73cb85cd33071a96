//! Who sends to whom.

/// A source and a destination for each transfer.
#[derive(Clone, Debug)]
pub(super) enum Pairs {
    /// As given.
    Listed(Vec<[u32; 2]>),
    /// Every GPU of a group of so many to every other of its group. That need not be listed: a list takes as much
    /// memory as the bytes.
    WithinGroups(u32),
}

impl Default for Pairs {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Pairs {
    /// Adds a pair to those of the first `known` transfers.
    pub fn push(&mut self, known: usize, pair: [u32; 2]) {
        if let Self::WithinGroups(_) = self {
            *self = Self::Listed(self.iter().take(known).collect());
        }
        if let Self::Listed(all) = self {
            all.push(pair);
        }
    }

    /// The pair of the `n`-th transfer.
    pub fn get(&self, n: usize) -> [u32; 2] {
        match *self {
            Self::Listed(ref all) => all[n],
            Self::WithinGroups(group) => {
                let others = group as usize - 1;
                let (source, other) = ((n / others) as u32, (n % others) as u32);
                let first = source - source % group;
                [source, first + other + u32::from(first + other >= source)]
            }
        }
    }

    /// All pairs, in order; without end where they are not listed.
    pub fn iter(&self) -> impl Iterator<Item = [u32; 2]> {
        let (mut n, mut pair, mut members) = (0, [0, 1], 0..0);
        if let Self::WithinGroups(group) = *self {
            members = 0..group;
        }
        std::iter::from_fn(move || {
            let now = match self {
                Self::Listed(all) => {
                    n += 1;
                    return all.get(n - 1).copied();
                }
                Self::WithinGroups(_) => pair,
            };
            let [source, destination] = &mut pair;
            *destination += 1 + u32::from(*destination + 1 == *source);
            if *destination == members.end {
                *source += 1;
                if *source == members.end {
                    members = members.end..2 * members.end - members.start;
                }
                *destination = members.start + u32::from(*source == members.start);
            }
            Some(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_within_groups_are_those_that_a_list_has() {
        for group in [2, 3, 8] {
            let pairs = Pairs::WithinGroups(group);
            let mut listed = Vec::new();
            for source in 0..4 * group {
                let first = source / group * group;
                let others = (first..first + group).filter(|&other| other != source);
                listed.extend(others.map(|destination| [source, destination]));
            }
            let all = listed.len();
            assert_eq!(pairs.iter().take(all).collect::<Vec<_>>(), listed);
            assert_eq!((0..all).map(|n| pairs.get(n)).collect::<Vec<_>>(), listed);
            let mut longer = pairs;
            longer.push(all, [9, 9]);
            listed.push([9, 9]);
            assert_eq!(longer.iter().collect::<Vec<_>>(), listed);
        }
    }
}
