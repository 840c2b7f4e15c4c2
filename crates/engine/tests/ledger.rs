//! What can't have happened is not believed; what was cut off at any record still folds.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use catalog::ids::{Address, ClientToken, Identifier, RequestToken, RunId, Serial};
use jiff::Timestamp;
use seaworthy_engine::{Event, Intent, Ledger, LedgerError, Made, OperationKind, Outcome, RunKind};
use serde_json::json;

fn intent(kind: OperationKind, identifier: Option<&str>) -> Intent {
    Intent {
        address: Address::new("karpenter/queue").unwrap(),
        type_name: "AWS::SQS::Queue".parse().unwrap(),
        kind,
        token: ClientToken::new("token-1").unwrap(),
        payload_hash: String::new(),
        properties: json!({ "QueueName": "jobs" }),
        identifier: identifier.map(|text| Identifier::new(text).unwrap()),
        needs: BTreeSet::new(),
        lifecycle: graph::Lifecycle::Managed,
    }
}

fn started(kind: OperationKind, identifier: Option<&str>) -> Event {
    Event::OperationStarted(Box::new(intent(kind, identifier)))
}

fn accepted() -> Event {
    let address = Address::new("karpenter/queue").unwrap();
    Event::OperationAccepted {
        address,
        request: RequestToken::new("r").unwrap(),
        identifier: None,
    }
}

fn succeeded(identifier: Option<&str>) -> Event {
    let made = identifier.map(|text| Made {
        identifier: Identifier::new(text).unwrap(),
        attributes: json!({}),
    });
    Event::OperationSucceeded {
        address: Address::new("karpenter/queue").unwrap(),
        made,
    }
}

fn run_started() -> Event {
    let run = RunId::new("run").unwrap();
    Event::RunStarted {
        run,
        kind: RunKind::Deploy,
        spec_hash: "abc".into(),
        summary: graph::Summary::default(),
    }
}

fn run_ended(run: &str) -> Event {
    Event::RunEnded {
        run: RunId::new(run).unwrap(),
        outcome: Outcome::Completed,
    }
}

fn fold(events: impl IntoIterator<Item = Event>) -> Result<Ledger, LedgerError> {
    let mut ledger = Ledger::default();
    for (number, event) in events.into_iter().enumerate() {
        ledger.apply(Serial(number as u64 + 1), Timestamp::UNIX_EPOCH, event)?;
    }
    Ok(ledger)
}

#[test]
fn illegal_orders_name_what_came_and_what_was_the_case() {
    let cases = [
        (
            vec![accepted()],
            "record 1: an operation on karpenter/queue can't come before its start",
        ),
        (
            vec![succeeded(Some("q"))],
            "record 1: the success of an operation on karpenter/queue can't come before its start",
        ),
        (
            vec![
                started(OperationKind::Create, None),
                started(OperationKind::Delete, Some("q")),
            ],
            "record 2: the start of deleting karpenter/queue can't come while creating karpenter/queue is under way",
        ),
        (
            vec![started(OperationKind::Create, None), succeeded(None)],
            "record 2: no model of karpenter/queue can't come after it was made",
        ),
        (
            vec![run_started(), run_ended("another")],
            "record 2: the end of run another can't come when that run is not going on",
        ),
        (
            vec![run_started(), run_ended("run"), run_ended("run")],
            "record 3: the end of run run can't come when that run is not going on",
        ),
    ];
    for (events, expected) in cases {
        assert_eq!(fold(events).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_journal_cut_off_at_any_record_folds_to_what_was_known_then() {
    let events = [
        run_started(),
        started(OperationKind::Create, None),
        accepted(),
        succeeded(Some("queue-1")),
        started(OperationKind::Create, None),
        succeeded(Some("queue-2")),
        started(OperationKind::Delete, Some("queue-1")),
        succeeded(None),
        run_ended("run"),
    ];
    let known: Vec<(Option<String>, usize, usize)> = (0..=events.len())
        .map(|length| {
            let ledger = fold(events[..length].iter().cloned()).unwrap();
            let queue = ledger.state.resources.values().next();
            let identifier = queue.map(|queue| queue.identifier.to_string());
            (
                identifier,
                queue.map_or(0, |queue| queue.deposed.len()),
                ledger.pending.len(),
            )
        })
        .collect();
    let first = || Some("queue-1".to_owned());
    let second = || Some("queue-2".to_owned());
    let expected = [
        (None, 0, 0),
        (None, 0, 0),
        (None, 0, 1),
        (None, 0, 1),
        (first(), 0, 0),
        (first(), 0, 1),
        (second(), 1, 0),
        (second(), 1, 1),
        (second(), 0, 0),
        (second(), 0, 0),
    ];
    assert_eq!(known, expected);
}
