//! Ordering: what comes after what, and which chain of it takes longest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Puts every key after the ones that it needs; ties in key order, so that the same input gives the same order.
///
/// A need that is no key itself is ignored: it is somebody else's and is there already.
///
/// # Errors
///
/// A circle, its first member repeated at the end.
pub fn topological<K: Ord + Clone>(needs: &BTreeMap<K, BTreeSet<K>>) -> Result<Vec<K>, Vec<K>> {
    let mut missing: BTreeMap<&K, usize> = BTreeMap::new();
    let mut dependants: BTreeMap<&K, Vec<&K>> = BTreeMap::new();
    for (key, required) in needs {
        let inside = required.iter().filter(|need| needs.contains_key(*need));
        missing.insert(key, inside.clone().count());
        for need in inside {
            dependants.entry(need).or_default().push(key);
        }
    }
    let mut ready: BinaryHeap<Reverse<&K>> = missing
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(key, _)| Reverse(*key))
        .collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(key)) = ready.pop() {
        order.push(key.clone());
        missing.remove(key);
        for dependant in dependants.get(key).into_iter().flatten() {
            if let Some(count) = missing.get_mut(dependant) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(dependant));
                }
            }
        }
    }
    if missing.is_empty() {
        Ok(order)
    } else {
        Err(circle(needs, &missing))
    }
}

/// Walks needs among what could not be ordered until a key comes again: each of those has a need among them.
fn circle<K: Ord + Clone>(needs: &BTreeMap<K, BTreeSet<K>>, left: &BTreeMap<&K, usize>) -> Vec<K> {
    let mut path: Vec<&K> = Vec::new();
    let mut current = left.keys().next().copied();
    while let Some(key) = current {
        if let Some(start) = path.iter().position(|seen| *seen == key) {
            let mut circle: Vec<K> = path[start..].iter().map(|key| (*key).clone()).collect();
            circle.push(key.clone());
            return circle;
        }
        path.push(key);
        current = needs
            .get(key)
            .and_then(|required| required.iter().find(|need| left.contains_key(need)));
    }
    path.into_iter().cloned().collect()
}

/// For every key, how long the longest chain is that starts with it and goes on through those that need it, its own
/// `duration` included. What must start first is what has the largest.
pub fn longest_remaining<K: Ord + Clone>(
    order: &[K],
    needs: &BTreeMap<K, BTreeSet<K>>,
    duration: impl Fn(&K) -> f64,
) -> BTreeMap<K, f64> {
    let mut after: BTreeMap<K, f64> = BTreeMap::new();
    for key in order.iter().rev() {
        let total = after.get(key).copied().unwrap_or(0.0) + duration(key);
        after.insert(key.clone(), total);
        for need in needs
            .get(key)
            .into_iter()
            .flatten()
            .filter(|need| needs.contains_key(*need))
        {
            let longest = after.entry(need.clone()).or_insert(0.0);
            *longest = longest.max(total);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needs(edges: &[(u8, &[u8])]) -> BTreeMap<u8, BTreeSet<u8>> {
        edges
            .iter()
            .map(|(key, required)| (*key, required.iter().copied().collect()))
            .collect()
    }

    #[test]
    fn a_circle_is_named() {
        let error =
            topological(&needs(&[(0, &[]), (1, &[3, 0]), (2, &[1]), (3, &[2])])).unwrap_err();
        assert_eq!(error, [1, 3, 2, 1]);
    }

    #[test]
    fn the_longest_chain_counts_from_the_start_of_a_key() {
        // 1 and 2 need 0; 3 needs 2.
        let needs = needs(&[(0, &[]), (1, &[0]), (2, &[0]), (3, &[2])]);
        let order = topological(&needs).unwrap();
        let remaining = longest_remaining(&order, &needs, |key| f64::from(*key) + 1.0);
        assert_eq!(
            remaining,
            BTreeMap::from([(0, 8.0), (1, 2.0), (2, 7.0), (3, 4.0)])
        );
    }

    proptest! {
        #[test]
        fn every_key_comes_once_and_after_its_needs(edges in proptest::collection::vec((0u8..40, 0u8..40), 0..120)) {
            let mut needs: BTreeMap<u8, BTreeSet<u8>> = (0..40).map(|key| (key, BTreeSet::new())).collect();
            for (a, b) in edges.into_iter().filter(|(a, b)| a != b) {
                needs.entry(a.max(b)).or_default().insert(a.min(b));
            }
            let order = topological(&needs).unwrap();
            prop_assert_eq!(order.len(), needs.len());
            for (place, key) in order.iter().enumerate() {
                for need in &needs[key] {
                    prop_assert!(order.iter().position(|other| other == need).unwrap() < place);
                }
            }
            prop_assert_eq!(topological(&needs).unwrap(), order);
        }
    }
}
