//! Sets of completion indexes, as `status.completedIndexes` has them: `1,3-5,7` (`indexed_job_utils.go`).

use std::fmt;

/// Ascending intervals that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(i32, i32)>);

impl Indexes {
    /// Those of a text that are below `completions`. What cannot be read is left out.
    pub(super) fn read(text: &str, completions: i32) -> Self {
        let mut indexes = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>())
                && first < completions
                && first <= last
            {
                indexes.push(first, last.min(completions - 1));
            }
        }
        indexes
    }

    /// Appends an interval that begins after the last.
    fn push(&mut self, first: i32, last: i32) {
        match self.0.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
            _ => self.0.push((first, last)),
        }
    }

    pub(super) fn with(&self, more: impl IntoIterator<Item = i32>) -> Self {
        let mut intervals = self.0.clone();
        intervals.extend(more.into_iter().map(|index| (index, index)));
        intervals.sort_unstable();
        let mut all = Self::default();
        for (first, last) in intervals {
            all.push(first, last);
        }
        all
    }

    pub(super) fn has(&self, index: i32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= index);
        after > 0 && self.0[after - 1].1 >= index
    }

    pub(super) fn total(&self) -> i32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = i32> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match last - first {
                0 => write!(f, "{first}")?,
                1 => write!(f, "{first},{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_as_kubernetes_writes_them() {
        let indexes = Indexes::default().with([7, 1, 3, 4, 5, 9, 10]);
        assert_eq!(indexes.to_string(), "1,3-5,7,9,10");
        assert_eq!(indexes.total(), 7);
        assert_eq!(Indexes::read("1,3-5,7,9,10", 10).to_string(), "1,3-5,7,9");
        assert!(indexes.has(4) && !indexes.has(6) && !indexes.has(0));
    }

    proptest! {
        #[test]
        fn a_text_means_its_set(set in proptest::collection::btree_set(0i32..60, 0..30)) {
            let indexes = Indexes::default().with(set.iter().copied());
            prop_assert_eq!(indexes.iter().collect::<std::collections::BTreeSet<_>>(), set.clone());
            prop_assert_eq!(&Indexes::read(&indexes.to_string(), 60), &indexes);
            for index in 0..60 {
                prop_assert_eq!(indexes.has(index), set.contains(&index));
            }
        }
    }
}
