//! Events as text: what is printed above the live display, and the lines where there is none.

use catalog::ids::Address;
use engine::{Notice, OperationKind, Pace, Stop, What};
use jiff::Timestamp;

use super::model::{Model, doing};
use crate::terminal::{Style, Tone, about, duration, one_line, printable};

/// What a person must see at once and in full: notes and failures.
pub(super) fn announcement(notice: &Notice, style: Style) -> Option<String> {
    let address = style.paint(Tone::Strong, notice.address.as_str());
    match &notice.what {
        What::Waiting { note } => {
            let head = style.paint(Tone::Changed, "waits");
            Some(format!("{address} {head}:\n{}", indented(note, "  ")))
        }
        What::Failed { error } => {
            let head = style.paint(
                Tone::Removed,
                &format!("failed {}", doing(notice.operation)),
            );
            Some(format!("{address} {head}:\n{}", indented(error, "  ")))
        }
        _ => None,
    }
}

fn indented(text: &str, by: &str) -> String {
    printable(text)
        .lines()
        .map(|line| format!("{by}{}", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// An event as a line, with the moment, the time since the beginning, and how much is done.
pub(super) fn line(notice: &Notice, model: Option<&Model>, pace: Pace) -> String {
    let typical = |typical: std::time::Duration| match typical.as_secs() {
        0 => String::new(),
        _ => format!(", about {} at AWS", about(typical)),
    };
    let doing = doing(notice.operation);
    let what = match &notice.what {
        What::Started { typical: usual, .. } => format!("{doing}{}", typical(*usual)),
        What::Waiting { note } => match note.trim().lines().count() {
            0 | 1 => format!("waits: {}", one_line(note)),
            _ => format!("waits:\n{}", indented(note, "    ")),
        },
        What::Retrying { reason, after } => format!(
            "{doing} is tried again in {}: {}",
            duration(*after),
            one_line(reason)
        ),
        What::Finished { identifier, took } => {
            let done = match notice.operation {
                OperationKind::Create => "created",
                OperationKind::Update => "updated",
                OperationKind::Delete => "deleted",
                OperationKind::Read => "read",
            };
            let time = match pace.modelled(*took) {
                Some(modelled) if pace != Pace::REAL => {
                    format!("{} ({} at AWS)", duration(*took), about(modelled))
                }
                _ => duration(*took),
            };
            let identifier = identifier
                .as_ref()
                .map(|identifier| format!(": {}", one_line(identifier)))
                .unwrap_or_default();
            format!("{done} in {time}{identifier}")
        }
        What::Failed { error } => format!("FAILED {doing}: {}", one_line(error)),
        What::Skipped { because } => format!("not begun, because of {because}"),
    };
    stamped(notice.at, model, &notice.address, &what)
}

fn stamped(at: Timestamp, model: Option<&Model>, address: &Address, what: &str) -> String {
    format!("{} {address}: {what}", prefix(at, model))
}

fn prefix(at: Timestamp, model: Option<&Model>) -> String {
    let clock = at.strftime("%H:%M:%SZ");
    match model {
        None => clock.to_string(),
        Some(model) => {
            let elapsed = super::model::since(model.run().began, at).as_secs();
            let steps = model.steps();
            let width = steps.to_string().len();
            format!(
                "{clock} +{:02}:{:02}:{:02} [{:width$}/{steps}]",
                elapsed / 3600,
                elapsed / 60 % 60,
                elapsed % 60,
                model.ended()
            )
        }
    }
}

/// What is under way, for whoever wonders why nothing is said.
pub(super) fn still(model: &Model, now: Timestamp) -> String {
    format!("{} still {}", prefix(now, Some(model)), model.summary(now))
}

/// What it means that the run is to be stopped.
pub(super) fn stopping(stop: Stop, model: Option<&Model>) -> Option<String> {
    let under_way = model.map_or(0, Model::under_way);
    let operations = match under_way {
        1 => "1 operation".to_owned(),
        more => format!("{more} operations"),
    };
    match (stop, under_way) {
        (Stop::No, _) => None,
        (Stop::Drain, 0) => Some("Stopping: nothing new is begun.".to_owned()),
        (Stop::Drain, _) => Some(format!(
            "Stopping: nothing new is begun, the end of {operations} is waited for. Ctrl-C again stops at once."
        )),
        (Stop::Now, 0) => Some("Stopping at once.".to_owned()),
        (Stop::Now, _) => Some(format!(
            "Stopping at once: AWS goes on with {operations}; the next run finds out what comes of that."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::fixtures::{at, finished, notice, run, started};
    use std::time::Duration;

    #[test]
    fn each_event_is_a_line_with_its_time_and_how_much_is_done() {
        let mut model = Model::new(run(60.0));
        let pace = model.run().pace;
        let mut lines = Vec::new();
        for notice in [
            started("network/vpc", 0, 16, 1200),
            started("cluster/eks", 0, 540, 1000),
            finished("network/vpc", 1),
            notice(
                "redis/group",
                65,
                What::Retrying {
                    reason: "ThrottlingException: slow\ndown".to_owned(),
                    after: Duration::from_millis(1500),
                },
            ),
            notice(
                "redis/group",
                66,
                What::Failed {
                    error: "InvalidRequest: no\x1b[2J".to_owned(),
                },
            ),
        ] {
            model.apply(&notice);
            lines.push(line(&notice, Some(&model), pace));
        }
        lines.push(still(&model, at(100)));
        insta::assert_snapshot!(lines.join("\n"), @r"
        06:11:07Z +00:00:00 [  0/104] network/vpc: creating, about 15 s at AWS
        06:11:07Z +00:00:00 [  0/104] cluster/eks: creating, about 9 min at AWS
        06:11:08Z +00:00:01 [  1/104] network/vpc: created in 1.2 s (75 s at AWS): id-1
        06:12:12Z +00:01:05 [  1/104] redis/group: creating is tried again in 1.5 s: ThrottlingException: slow down
        06:12:13Z +00:01:06 [  2/104] redis/group: FAILED creating: InvalidRequest: no�[2J
        06:12:47Z +00:01:40 [  2/104] still creating cluster/eks (1 h 40 m of about 9 min); about 8 s left
        ");
    }

    #[test]
    fn a_note_is_told_in_full() {
        let note = "create this record:\n_a.example.com CNAME _b.acm-validations.aws.\n".to_owned();
        let notice = notice("certificate", 0, What::Waiting { note });
        insta::assert_snapshot!(line(&notice, None, Pace::REAL), @r"
        06:11:07Z certificate: waits:
            create this record:
            _a.example.com CNAME _b.acm-validations.aws.
        ");
        insta::assert_snapshot!(announcement(&notice, Style::PLAIN).unwrap(), @r"
        certificate waits:
          create this record:
          _a.example.com CNAME _b.acm-validations.aws.
        ");
    }

    #[test]
    fn stopping_says_what_it_means() {
        let mut model = Model::new(run(60.0));
        model.apply(&started("network/vpc", 0, 16, 1200));
        assert!(stopping(Stop::No, None).is_none());
        let drain = stopping(Stop::Drain, Some(&model)).unwrap();
        assert!(
            drain.contains("1 operation") && drain.contains("Ctrl-C again"),
            "{drain}"
        );
        let now = stopping(Stop::Now, Some(&model)).unwrap();
        assert!(now.contains("next run"), "{now}");
    }
}
