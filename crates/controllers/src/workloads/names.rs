//! Names that are drawn, not dealt: the same owner in the same state always gives the same.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::Key;

/// Letters and digits without vowels and look-alikes (apimachinery/pkg/util/rand/rand.go:89).
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Letters of a suffix (apiserver/pkg/storage/names/generate.go:44).
const SUFFIX: usize = 5;
/// What is left of a base so that a host name holds it with its suffix.
const LONGEST_BASE: usize = 63 - SUFFIX;
/// How many suffixes there are.
const ROOM: u64 = 27u64.pow(5);
/// Spreads numbers over the suffixes; prime and no multiple of three, so each number has a suffix of its own.
const STEP: u64 = 6_700_417;

/// FNV-1a of 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    fnv_on(0xcbf2_9ce4_8422_2325, bytes)
}

fn fnv_on(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Decimal digits of 32 bits, as letters (`SafeEncodeString`, apimachinery/pkg/util/rand/rand.go:121).
pub(crate) fn safe(hash: u64) -> String {
    // Both halves count.
    let folded = (hash ^ (hash >> 32)) & 0xffff_ffff;
    folded
        .to_string()
        .bytes()
        .map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()]))
        .collect()
}

/// The hash of a pod template (`ComputeHash`, controller/controller_utils.go): of the form that Kubernetes gives it, not of its
/// value, which follows from how Go prints structs.
pub(crate) fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let text = serde_json::to_vec(template).expect("the API's types are JSON");
    let mut hash = fnv(&text);
    if let Some(collisions) = collisions {
        hash = fnv_on(hash, &collisions.to_le_bytes());
    }
    safe(hash)
}

fn base(prefix: &str) -> &str {
    let end = prefix
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|at| *at <= LONGEST_BASE)
        .last()
        .unwrap_or(0);
    if prefix.len() <= LONGEST_BASE {
        prefix
    } else {
        &prefix[..end]
    }
}

fn suffix(value: u64) -> String {
    let mut value = value % ROOM;
    let mut letters = [0u8; SUFFIX];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[usize::try_from(value % 27).unwrap_or(0)];
        value /= 27;
    }
    letters.iter().copied().map(char::from).collect()
}

/// A name that follows from `of`: where there can be only one object at a time, such as a daemon's pod on a node.
pub(crate) fn drawn(prefix: &str, of: &[&str]) -> String {
    let hash = of.iter().fold(fnv(prefix.as_bytes()), |hash, part| {
        fnv_on(fnv_on(hash, part.as_bytes()), &[0xff])
    });
    format!("{}{}", base(prefix), suffix(hash ^ (hash >> 40)))
}

/// The inverse of [`STEP`] among the suffixes.
fn inverse() -> u64 {
    // Euler: the group of 3^15 has 2·3^14 elements.
    let (mut power, mut square, mut exponent) = (1u64, STEP % ROOM, 2 * 3u64.pow(14) - 1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power * square % ROOM;
        }
        square = square * square % ROOM;
        exponent /= 2;
    }
    power
}

/// The numbers of an owner's children. Each number is one suffix, and can be read back from the name: after the highest that was
/// seen comes the next. So what is not seen yet gets the same name again, and what was seen never does.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// By owner: its uid and the highest number seen. Forgotten, a name of one that is gone may come again.
    seen: BTreeMap<Key, (String, u64)>,
}

impl Numbers {
    pub(crate) fn forget(&mut self, owner: &Key) {
        self.seen.remove(owner);
    }

    /// Takes in which children there are. To be told whenever an owner is looked at: a child that is gone before the next look
    /// is not known to have been there otherwise.
    pub(crate) fn see<'a>(
        &mut self,
        owner: &Key,
        uid: &str,
        prefix: &str,
        there_are: impl Iterator<Item = &'a str>,
    ) {
        let base = base(prefix);
        let start = start(uid);
        let inverse = inverse();
        let highest = there_are
            .filter_map(|name| number(base, name))
            .map(|value| (value + ROOM - start) % ROOM * inverse % ROOM + 1)
            .max()
            .unwrap_or(0);
        let seen = self
            .seen
            .entry(owner.clone())
            .or_insert_with(|| (uid.to_owned(), 0));
        if seen.0 != uid {
            *seen = (uid.to_owned(), 0);
        }
        seen.1 = seen.1.max(highest);
    }

    /// The names of the next children, without those that are taken: what was an owner's child keeps its name when it is so no more,
    /// and may have the highest number.
    pub(crate) fn next(
        &self,
        owner: &Key,
        uid: &str,
        prefix: &str,
        count: usize,
        is_taken: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let base = base(prefix);
        let start = start(uid);
        let first = match self.seen.get(owner) {
            Some((of, highest)) if of == uid => *highest,
            _ => 0,
        };
        (first..first + ROOM)
            .map(|number| format!("{base}{}", suffix((number % ROOM * STEP + start) % ROOM)))
            .filter(|name| !is_taken(name))
            .take(count)
            .collect()
    }
}

/// Where an owner's suffixes begin.
fn start(uid: &str) -> u64 {
    fnv(uid.as_bytes()) % ROOM
}

fn number(base: &str, name: &str) -> Option<u64> {
    let letters = name.strip_prefix(base)?.as_bytes();
    if letters.len() != SUFFIX {
        return None;
    }
    letters.iter().try_fold(0u64, |value, letter| {
        let digit = LETTERS.iter().position(|known| known == letter)?;
        Some(value * 27 + digit as u64)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn next(numbers: &mut Numbers, there_are: &[String], count: usize) -> Vec<String> {
        let key = Key::new("default", "web");
        let there_are = there_are.iter().map(String::as_str);
        numbers.see(&key, "5f2c", "web-", there_are);
        numbers.next(&key, "5f2c", "web-", count, |_| false)
    }

    #[test]
    fn names_are_told_again_until_they_are_seen_and_never_after() {
        let mut numbers = Numbers::default();
        let first = next(&mut numbers, &[], 3);
        assert_eq!(next(&mut numbers, &[], 3), first);
        // One of the three is seen: the other two keep their names.
        assert_eq!(next(&mut numbers, &first[..1], 2), first[1..]);
        let more = next(&mut numbers, &first, 2);
        assert!(more.iter().all(|name| !first.contains(name)));
        // All are gone again.
        assert_eq!(next(&mut numbers, &[], 2), more);
        // Without memory, what there is says where it goes on.
        assert_eq!(next(&mut Numbers::default(), &first, 2), more);
    }

    #[test]
    fn a_name_that_another_has_is_left_out() {
        let numbers = Numbers::default();
        let key = Key::new("default", "web");
        let names = numbers.next(&key, "5f2c", "web-", 3, |_| false);
        let others = numbers.next(&key, "5f2c", "web-", 2, |name| name == names[0]);
        assert_eq!(others, names[1..]);
    }

    #[test]
    fn ten_thousand_names_are_as_many() {
        let names = next(&mut Numbers::default(), &[], 10_000);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 10_000);
        assert!(names.iter().all(|name| name.len() == "web-".len() + SUFFIX));
    }

    /// apiserver/pkg/storage/names/generate.go:49: a long base is cut so that the name is a host name.
    #[test]
    fn a_long_base_is_cut() {
        assert_eq!(drawn(&"x".repeat(80), &["a"]).len(), 63);
        assert_eq!(drawn(&"x".repeat(58), &["a"]).len(), 63);
        assert_ne!(drawn("a-", &["b", "c"]), drawn("a-", &["bc", ""]));
    }

    #[test]
    fn a_template_has_one_hash_and_a_collision_another() {
        let mut template = PodTemplateSpec::default();
        let first = template_hash(&template, None);
        assert_eq!(template_hash(&template, None), first);
        assert!(first.len() <= 10 && first.bytes().all(|letter| LETTERS.contains(&letter)));
        assert_ne!(template_hash(&template, Some(1)), first);
        template.metadata = Some(Default::default());
        assert_ne!(template_hash(&template, None), first);
    }
}
