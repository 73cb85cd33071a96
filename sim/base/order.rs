//! Order by a number of each item, compiled once for all kinds of items.
//!
//! A sort is some ten kilobytes of machine code for each type and comparison. Where few items are sorted, once, this one does:
//! it sorts their numbers, and then moves the items to their places. What is equal stays in the order that it had.

/// Sorts by a number of each, the least first.
pub fn ascending<T>(items: &mut [T], number: impl FnMut(&T) -> f64) {
    let numbers: Vec<f64> = items.iter().map(number).collect();
    arrange(items, ranked(&numbers, false));
}

/// Sorts by a number of each, the greatest first.
pub fn descending<T>(items: &mut [T], number: impl FnMut(&T) -> f64) {
    let numbers: Vec<f64> = items.iter().map(number).collect();
    arrange(items, ranked(&numbers, true));
}

/// Where the number of each place stands now.
fn ranked(numbers: &[f64], greatest_first: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| {
        let least_first = numbers[a].total_cmp(&numbers[b]);
        if greatest_first { least_first.reverse() } else { least_first }
    });
    order
}

/// Moves the item that stands at `order[i]` to each place i.
fn arrange<T>(items: &mut [T], mut order: Vec<usize>) {
    for place in 0..order.len() {
        // What stood at an earlier place was swapped to where that place's item came from.
        let mut from = order[place];
        while from < place {
            from = order[from];
        }
        order[place] = from;
        items.swap(place, from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_are_sorted_as_a_stable_sort_sorts_them(
            numbers in proptest::collection::vec(prop_oneof![0_i8..4, -9_i8..9], 0..40)
        ) {
            let items: Vec<(usize, f64)> = numbers.iter().map(|&n| n.into()).enumerate().collect();
            let (mut least, mut greatest) = (items.clone(), items.clone());
            ascending(&mut least, |item| item.1);
            descending(&mut greatest, |item| item.1);
            let mut want = items;
            want.sort_by(|a, b| a.1.total_cmp(&b.1));
            prop_assert_eq!(least, want.clone());
            want.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(greatest, want);
        }
    }
}
