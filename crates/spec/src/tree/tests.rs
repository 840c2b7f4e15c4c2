use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str) -> Result<Node, Vec<Diagnostic>> {
    parse(&Source::new("a.yaml", text))
}

fn codes(text: &str) -> Vec<(&'static str, String)> {
    let faults = read(text).expect_err(text);
    faults
        .into_iter()
        .map(|fault| {
            (
                fault.code,
                fault
                    .place
                    .map(|place| place.to_string())
                    .unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn values_are_those_of_the_core_schema() {
    let text = "a: {b: [1, 0x10, 0o7, -3, 1.30, 1e3, true, no, on, ~, 'x: y', 22:22, 1.2.3, 10.0.0.0/16]}\nc:\nd: |\n  e\n  f\n";
    assert_eq!(
        read(text).unwrap().to_json(),
        json!({"a": {"b": [1, 16, 7, -3, 1.3, 1000.0, true, "no", "on", null, "x: y", "22:22", "1.2.3", "10.0.0.0/16"]},
               "c": null, "d": "e\nf\n"})
    );
}

#[test]
fn every_key_and_value_knows_its_place() {
    let root =
        read("# ü\nnetwork:\n  cidr: 10.0.0.0/16 # x\n  zones: [ä, 'b b']\n  empty:\n").unwrap();
    let place = |path: &[&str]| {
        let place = &root.get(path).unwrap().place;
        (place.line(), place.column(), place.text().to_owned())
    };
    assert_eq!(
        place(&["network"]),
        (2, 1, "network".to_owned()),
        "a map is where its key is"
    );
    assert_eq!(
        place(&["network", "cidr"]),
        (3, 9, "10.0.0.0/16".to_owned())
    );
    assert_eq!(
        place(&["network", "zones", "1"]),
        (4, 14, "'b b'".to_owned())
    );
    assert_eq!(
        place(&["network", "empty"]),
        (5, 3, "empty".to_owned()),
        "nothing is where its key is"
    );
    assert_eq!(
        root.get(&["network"])
            .unwrap()
            .entry("cidr")
            .unwrap()
            .place
            .text(),
        "cidr"
    );
}

#[test]
fn what_a_spec_may_not_hold_is_an_error_at_its_place() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n", vec![("duplicate-key", "a.yaml:3:1")]),
        (
            "x: {a: 1, a: 2}\ny:\n  b: 1\n  b: 1\n",
            vec![
                ("duplicate-key", "a.yaml:1:11"),
                ("duplicate-key", "a.yaml:4:3"),
            ],
        ),
        (
            "a: &x [1]\nb: *x\n",
            vec![
                ("unsupported-yaml", "a.yaml:1:4"),
                ("unsupported-yaml", "a.yaml:2:4"),
            ],
        ),
        ("a: !!str 1\n", vec![("unsupported-yaml", "a.yaml:1:4")]),
        ("1.30: a\n", vec![("key-not-text", "a.yaml:1:1")]),
        (
            "true: a\n: b\n",
            vec![
                ("key-not-text", "a.yaml:1:1"),
                ("key-not-text", "a.yaml:2:1"),
            ],
        ),
        ("? [a]\n: b\n", vec![("key-not-text", "a.yaml:1:3")]),
        (
            "a: 1\n---\nb: 1\n",
            vec![("several-documents", "a.yaml:2:1")],
        ),
        (
            "a: .nan\nb: -.inf\nc: 1e999\n",
            vec![
                ("not-finite", "a.yaml:1:4"),
                ("not-finite", "a.yaml:2:4"),
                ("not-finite", "a.yaml:3:4"),
            ],
        ),
    ] {
        let found = codes(text);
        assert_eq!(
            found
                .iter()
                .map(|(code, place)| (*code, place.as_str()))
                .collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }
    for text in [
        "a:\n\tb: 1\n",
        "a: b: c\n",
        "a: [1\n",
        "a: 'x\n",
        "a: @x\n",
        "a\nb: 1\n",
        "a: \"\\q\"\n",
        "a: *missing\n",
    ] {
        assert_eq!(codes(text)[0].0, "yaml-syntax", "{text}");
    }
    let tab = read("a:\n\tb: 1\n").unwrap_err();
    assert_eq!(
        (
            tab[0].message.as_str(),
            tab[0].place.as_ref().unwrap().line()
        ),
        ("a tab in the indentation", 2)
    );
}

#[test]
fn size_and_depth_are_bounded() {
    assert_eq!(codes(&"[".repeat(10_000))[0].0, "too-deep");
    assert_eq!(codes(&"- ".repeat(10_000))[0].0, "too-deep");
    assert_eq!(codes(&"a: 1\n".repeat(MAX_BYTES))[0].0, "too-large");
    let keys =
        |count: usize| -> String { (0..count).map(|number| format!("k{number}: 1\n")).collect() };
    assert!(read(&keys(MAX_ENTRIES)).is_ok());
    assert_eq!(
        codes(&keys(MAX_ENTRIES + 1))[0],
        ("too-large", "a.yaml:4097:8".to_owned())
    );
    assert_eq!(
        codes(&format!("[{}]", "1, ".repeat(MAX_ENTRIES + 1)))[0].0,
        "too-large"
    );
}

#[test]
fn nothing_is_nothing() {
    for text in ["", "\n", "# only a comment\n", "---\n", "~", "\u{feff}"] {
        assert_eq!(read(text).unwrap().to_json(), Value::Null, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_a_tree_or_diagnostics_with_places(text in "[-a-c0-9:,{}\\[\\]'\"#&*!|>?%@~ü\u{2028}\u{feff}\\.\t\r\n ]{0,60}|\\PC{0,40}|(?s).{0,40}") {
        match read(&text) {
            Ok(root) => {
                let mut open = vec![&root];
                while let Some(node) = open.pop() {
                    prop_assert!(node.place.line() >= 1 && node.place.column() >= 1);
                    match &node.kind {
                        Kind::List(items) => open.extend(items),
                        Kind::Map(entries) => open.extend(entries.iter().map(|entry| &entry.node)),
                        _ => {}
                    }
                }
            }
            Err(faults) => prop_assert!(!faults.is_empty() && faults.iter().all(|fault| fault.place.is_some())),
        }
    }

    #[test]
    fn a_plain_value_is_the_text_at_its_place(before in "[#ü ]{0,3}", value in "[a-z][a-zäö0-9/.-]{0,12}") {
        let text = format!("# {before}\nkey: {value} # {before}\nlist:\n  - {value}\n");
        let root = read(&text).unwrap();
        for path in [&["key"][..], &["list", "0"]] {
            let node = root.get(path).unwrap();
            if matches!(node.kind, Kind::Text(_)) {
                prop_assert_eq!(node.place.text(), &value);
            }
        }
    }
}
