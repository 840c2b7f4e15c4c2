use super::*;
use crate::render::fixtures::text as rendered;
use crate::render::simulation::fixtures::{answer, empty, finished, hostile, large};
use console::measure_text_width;

fn shown(answer: &Answer, style: Style) -> String {
    let view = SimulationView {
        subject: "cluster.yaml",
        answer,
    };
    rendered(|out| text(out, &view, style))
}

fn at(width: usize) -> Style {
    Style {
        colour: false,
        width: Some(width),
    }
}

#[test]
fn a_person_reads_it_at_80_columns() {
    insta::assert_snapshot!(shown(&answer(), at(80)));
}

#[test]
fn a_person_reads_it_at_120_columns() {
    insta::assert_snapshot!(shown(&answer(), at(120)));
}

#[test]
fn a_large_cluster_is_folded() {
    insta::assert_snapshot!(shown(&large(1000), at(100)));
}

#[test]
fn nothing_to_do_says_why() {
    let mut quiet = answer();
    quiet
        .decisions
        .retain(|one| one.kind == autoscale::answer::Kind::None);
    quiet.after = quiet.before.clone();
    for picture in [&mut quiet.before, &mut quiet.after] {
        picture.pending.clear();
    }
    quiet.unschedulable.clear();
    let text = shown(&finished(quiet), at(80));
    let why = "Nothing will happen: 1 node was considered and is left alone, and no pod waits
for a node.";
    assert!(text.contains(why), "{text}");
    assert!(text.contains("pdb default/postgres prevents pod"));
    assert!(!text.contains("Decisions"));
    assert!(!text.contains("before  CPU"), "nothing changes: {text}");
}

#[test]
fn pods_that_find_place_on_nodes_that_are_there_are_something_that_happens() {
    let mut scheduled = answer();
    scheduled.decisions.clear();
    scheduled.unschedulable.clear();
    let text = shown(&scheduled, at(80));
    let what = "No node comes or goes: no node was considered for disruption, and 2 pods that\nwait find a place on nodes that are there.";
    assert!(text.contains(what), "{text}");
}

#[test]
fn an_empty_cluster_is_said_to_be_empty() {
    let text = shown(&empty(), at(80));
    insta::assert_snapshot!(text, @r"
    Simulated cluster.yaml (from 2026-11-21 06:11:07 UTC for 30 min; as Karpenter
    1.8.1 decides; seed 7)

    Nothing will happen: there is no node, and no pod waits for a node.
    ");
}

#[test]
fn no_price_is_not_a_price_of_nothing() {
    let mut answer = answer();
    for picture in [&mut answer.before, &mut answer.after] {
        for node in &mut picture.nodes {
            node.usd_per_hour = None;
        }
    }
    for decision in &mut answer.decisions {
        decision.usd_per_hour = None;
    }
    answer
        .decisions
        .iter_mut()
        .for_each(|one| one.reason = "because".to_owned());
    let text = shown(&answer, at(80));
    assert!(text.contains("no node has a known price"), "{text}");
    assert!(!text.contains('$'), "{text}");
}

#[test]
fn the_text_is_bounded_however_large_the_cluster_is() {
    let lines = |size| shown(&large(size), at(80)).lines().count();
    assert!(lines(100) < 200, "{}", lines(100));
    assert!(lines(1000) < 200, "{}", lines(1000));
    assert!(lines(5000) < 200, "{}", lines(5000));
}

#[test]
fn many_pools_are_folded_too() {
    let mut answer = large(400);
    for picture in [&mut answer.before, &mut answer.after] {
        for (index, node) in picture.nodes.iter_mut().enumerate() {
            node.nodepool = Some(format!("pool-{index}"));
        }
    }
    let text = shown(&answer, at(80));
    assert!(text.lines().count() < 200, "{}", text.lines().count());
    assert!(text.contains("other pools: "), "{text}");
}

#[test]
fn lines_fit_the_terminal_and_no_word_is_broken() {
    for width in [80, 100, 120] {
        for answer in [answer(), large(30), large(1000), empty()] {
            for line in shown(&answer, at(width)).lines() {
                assert!(measure_text_width(line) <= width, "{line}");
                assert!(!line.ends_with('…'), "{line}");
            }
        }
    }
}

#[test]
fn colours_are_for_terminals_and_change_no_text() {
    let plain = shown(&answer(), at(100));
    assert!(!plain.contains('\u{1b}'));
    let coloured = shown(
        &answer(),
        Style {
            colour: true,
            width: Some(100),
        },
    );
    assert!(coloured.contains('\u{1b}'));
    assert_eq!(console::strip_ansi_codes(&coloured), plain);
}

#[test]
fn hostile_names_reach_no_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\r\n\u{202e}`x";
    let text = shown(&hostile(evil), at(80));
    let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(bad));
    assert!(text.contains("]0;owned"));
    let long = shown(&hostile(&"x".repeat(100_000)), at(80));
    assert!(long.len() < 300_000, "{}", long.len());
}

#[test]
fn absurd_amounts_are_no_panic() {
    let mut answer = answer();
    for picture in [&mut answer.before, &mut answer.after] {
        for (index, node) in picture.nodes.iter_mut().enumerate() {
            let amount = [i64::MAX, i64::MIN, 0, -1][index % 4];
            for amounts in [
                &mut node.allocatable,
                &mut node.requested,
                &mut node.daemons,
            ] {
                amounts.cpu_milli = amount;
                amounts.memory_bytes = amount;
                amounts.pods = amount;
            }
            node.usd_per_hour = Some([f64::NAN, f64::INFINITY, -1.0, f64::MAX][index % 4]);
        }
    }
    answer.cost.after_usd_per_hour = f64::NAN;
    answer.cost.before_usd_per_month = f64::INFINITY;
    assert!(!shown(&answer, at(80)).is_empty());
}
