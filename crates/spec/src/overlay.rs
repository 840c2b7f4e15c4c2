//! An environment's overlay over the platform's file.
//!
//! Maps are merged key by key; lists and scalars are replaced; `null` removes a key, so that its default holds. Every
//! value keeps the place that it came from.

use crate::tree::{Entry, Kind, Node};

/// `over` laid over `base`. Nulls stay, so that merging may go on; [`without_nulls`] ends it.
#[must_use]
pub fn merge(base: Node, over: Node) -> Node {
    match (base.kind, over.kind) {
        (Kind::Map(mut entries), Kind::Map(overrides)) => {
            for entry in overrides {
                match entries.iter_mut().find(|known| known.key == entry.key) {
                    None => entries.push(entry),
                    Some(known) => {
                        let base = std::mem::replace(
                            &mut known.node,
                            Node {
                                kind: Kind::Null,
                                place: entry.place.clone(),
                            },
                        );
                        let merged =
                            matches!((&base.kind, &entry.node.kind), (Kind::Map(_), Kind::Map(_)));
                        known.node = merge(base, entry.node);
                        if !merged {
                            known.place = entry.place;
                        }
                    }
                }
            }
            Node {
                kind: Kind::Map(entries),
                place: base.place,
            }
        }
        (_, kind) => Node {
            kind,
            place: over.place,
        },
    }
}

/// The tree without the keys whose value is null. Nulls in lists stay: they are mistakes to be reported.
#[must_use]
pub fn without_nulls(node: Node) -> Node {
    let Node { kind, place } = node;
    let kind = match kind {
        Kind::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .filter(|entry| entry.node.kind != Kind::Null)
                .map(|entry| Entry {
                    node: without_nulls(entry.node),
                    ..entry
                })
                .collect(),
        ),
        kind => kind,
    };
    Node { kind, place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::tree::parse;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn node(value: &Value) -> Node {
        // JSON is YAML.
        parse(&Source::new("a.yaml", value.to_string())).unwrap()
    }

    #[test]
    fn maps_merge_lists_and_scalars_are_replaced_null_removes() {
        let base = node(&json!({"a": {"b": 1, "c": [1, 2]}, "d": "x", "e": {"f": 1}}));
        let over =
            node(&json!({"a": {"c": [3], "g": true}, "d": null, "e": {"f": null}, "h": {"i": 1}}));
        assert_eq!(
            without_nulls(merge(base, over)).to_json(),
            json!({"a": {"b": 1, "c": [3], "g": true}, "e": {}, "h": {"i": 1}})
        );
    }

    #[test]
    fn a_value_keeps_the_place_that_it_came_from() {
        let base = parse(&Source::new(
            "platform.yaml",
            "network:\n  cidr: 10.0.0.0/16\n  nat: single\n",
        ))
        .unwrap();
        let over = parse(&Source::new(
            "prod.yaml",
            "\nnetwork:\n  cidr: 10.1.0.0/16\n",
        ))
        .unwrap();
        let merged = merge(base, over);
        let place = |path: &[&str]| merged.get(path).unwrap().place.to_string();
        assert_eq!(place(&["network", "cidr"]), "prod.yaml:3:9");
        assert_eq!(place(&["network", "nat"]), "platform.yaml:3:8");
        assert_eq!(place(&["network"]), "platform.yaml:1:1");
    }

    /// Values in which a key is a map wherever it occurs, or a leaf wherever it occurs: as in a spec, where the schema says
    /// which. (A leaf under a map under a leaf is where no merge of this kind is associative.)
    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (0..9).prop_map(Value::from),
            prop::collection::vec(0..9, 0..3).prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(key, value)| {
                            if value.is_object() {
                                (key.to_uppercase(), value)
                            } else {
                                (key, value)
                            }
                        })
                        .collect(),
                )
            })
        })
        .prop_filter("a map", Value::is_object)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn merging_nothing_changes_nothing(a in tree()) {
            let empty = node(&json!({}));
            prop_assert_eq!(merge(node(&a), empty.clone()), node(&a));
            prop_assert_eq!(merge(empty, node(&a)), node(&a));
        }

        #[test]
        fn merging_twice_is_merging_once(a in tree(), b in tree()) {
            let once = merge(node(&a), node(&b));
            prop_assert_eq!(merge(once.clone(), node(&b)), once);
        }

        #[test]
        fn merging_is_associative(a in tree(), b in tree(), c in tree()) {
            let (a, b, c) = (node(&a), node(&b), node(&c));
            prop_assert_eq!(merge(merge(a.clone(), b.clone()), c.clone()), merge(a, merge(b, c)));
        }
    }
}
