//! Whatever a snapshot's text is: it is read to an end, without a panic, and what was read can be played.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use objects::snapshot;
use proptest::prelude::*;
use seaworthy_autoscale::simulation::{Question, simulate};
use seaworthy_autoscale::version::KarpenterVersion;
use seaworthy_autoscale::world::Builder;

const SMALL: &str = include_str!("../../../examples/simulate/small.yaml");

/// Reads, builds and plays a minute; gives how many objects there were.
fn play(text: &str) -> usize {
    let mut builder = Builder::new(KarpenterVersion::NEWEST);
    let summary = snapshot::read(text, &mut |located| builder.add(located.object));
    let (world, _) = builder.finish(&mut |_, _| None);
    let question = Question {
        span: Some(Duration::from_secs(60)),
        ..Question::next("2026-03-02T10:00:00Z".parse().unwrap())
    };
    simulate(world, &question).unwrap();
    summary.objects
}

#[test]
fn the_example_is_read_whole() {
    let documents = SMALL.lines().filter(|line| *line == "---").count() + 1;
    assert_eq!(play(SMALL), documents);
}

/// Aliases that multiply, deep nests, long lines: an error or a finding, and an end.
#[test]
fn hostile_texts_end() {
    let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nkind: Pod\n".to_owned();
    let deep = "[".repeat(100_000);
    let deep_yaml: String = (0..5_000).fold(String::new(), |text, depth| {
        text + &" ".repeat(depth.min(200)) + "a:\n"
    });
    let long = format!(
        "kind: Pod\napiVersion: v1\nmetadata: {{name: {}}}",
        "x".repeat(5_000_000)
    );
    let many = "---\napiVersion: v1\nkind: Widget\nmetadata: {name: w}\n".repeat(20_000);
    for text in [
        laughs,
        deep,
        deep_yaml,
        long,
        many,
        "\0\u{1}\u{feff}".to_owned(),
    ] {
        play(&text);
    }
}

/// Replaces, doubles and cuts pieces of a snapshot.
fn mutilated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        Just("{".to_owned()),
        Just("]".to_owned()),
        Just("\t".to_owned()),
        Just("-1".to_owned()),
        Just("9999999999999999999999Ei".to_owned()),
        Just("~".to_owned()),
        Just("&a *a".to_owned()),
        Just("\n---\n".to_owned()),
        Just("\"".to_owned()),
        Just("2026-99-99T00:00:00Z".to_owned()),
        ".{0,8}",
    ];
    proptest::collection::vec((0.0..1.0_f64, 0..40_usize, piece), 1..12).prop_map(|edits| {
        let mut text: Vec<char> = SMALL.chars().collect();
        for (place, length, piece) in edits {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )]
            let from = (place * text.len() as f64) as usize;
            let to = (from + length).min(text.len());
            text.splice(from..to, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_broken_snapshot_is_no_panic(text in mutilated()) {
        play(&text);
    }

    #[test]
    fn any_text_is_no_panic(text in ".{0,400}") {
        play(&text);
    }
}
