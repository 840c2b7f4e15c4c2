//! The progress display without a deploy: `cargo run -p seaworthy-cli --example progress [SCALE]`.

use std::time::Duration;

use engine::{Notice, OperationKind, Pace, What};
use graph::{Plan, Summary};
use jiff::Timestamp;
use seaworthy_cli::args::ColorChoice;
use seaworthy_cli::progress::{Options, Progress};
use seaworthy_cli::terminal::Terminal;

/// Each with what it needs, and how long it takes at AWS.
const STEPS: &[(&str, Option<&str>, u64)] = &[
    ("network/vpc", None, 16),
    ("iam/cluster-role", None, 25),
    ("iam/node-role", None, 25),
    ("certificate", None, 300),
    ("network/subnet/private-a", Some("network/vpc"), 14),
    ("network/subnet/private-b", Some("network/vpc"), 14),
    ("network/subnet/private-c", Some("network/vpc"), 14),
    ("network/nat-gateway", Some("network/vpc"), 105),
    ("cluster/eks", Some("network/subnet/private-a"), 540),
    (
        "redis/replication-group",
        Some("network/subnet/private-b"),
        620,
    ),
    ("rabbitmq/broker", Some("network/subnet/private-c"), 720),
    ("nodes/system", Some("cluster/eks"), 130),
    ("addons/coredns", Some("nodes/system"), 40),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scale = std::env::args()
        .nth(1)
        .map_or(Ok(60.0), |text| text.parse())?;
    let pace = Pace::new(scale);
    let terminal = Terminal::detect(ColorChoice::Auto);
    let mut progress = Progress::new(Options {
        stream: terminal.stderr,
        pace,
        destroy: false,
    });
    let summary = Summary {
        create: STEPS.len(),
        ..Summary::default()
    };
    let plan: Plan = serde_json::from_value(serde_json::json!({
        "format": graph::FORMAT, "destroy": false, "specHash": "", "stateSerial": 0, "refreshed": false,
        "scope": { "platform": "shop", "environment": "prod", "region": "eu-central-1" },
        "summary": summary, "changes": [],
    }))?;
    progress.start(&plan, 754.0);
    let sender = progress.sender();
    let tell = |address: &str, what: What| -> Result<(), Box<dyn std::error::Error>> {
        sender.send(Notice {
            at: Timestamp::now(),
            address: address.parse()?,
            type_name: "AWS::EC2::VPC".parse()?,
            operation: OperationKind::Create,
            what,
        });
        Ok(())
    };
    let (mut begun, mut done) = (Vec::new(), Vec::new());
    while done.len() < STEPS.len() {
        for (address, needs, seconds) in STEPS {
            let ready = needs.is_none_or(|need| done.contains(&need));
            if ready && !begun.iter().any(|(known, _, _)| known == address) {
                let typical = Duration::from_secs(*seconds);
                tell(
                    address,
                    What::Started {
                        typical,
                        remaining: typical,
                    },
                )?;
                if *address == "certificate" {
                    let note = "Create this record where example.com is served:\n_3639ac514e785e898d2646601fa951d5.example.com  CNAME  _98d2646601fa951d53639ac514e785e8.acm-validations.aws";
                    tell(
                        address,
                        What::Waiting {
                            note: note.to_owned(),
                        },
                    )?;
                }
                begun.push((*address, Timestamp::now(), pace.wall(typical)));
            }
        }
        for (address, since, takes) in &begun {
            let took =
                Duration::try_from(Timestamp::now().duration_since(*since)).unwrap_or_default();
            if took >= *takes && !done.contains(address) {
                let what = if *address == "redis/replication-group" {
                    let error = "ServiceLimitExceeded: the account has no more nodes of this kind";
                    What::Failed {
                        error: error.to_owned(),
                    }
                } else {
                    What::Finished {
                        identifier: Some("id-1".to_owned()),
                        took,
                    }
                };
                tell(address, what)?;
                done.push(address);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    progress.finish();
    Ok(())
}
