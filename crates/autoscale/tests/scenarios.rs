//! Small clusters with the decisions that Karpenter's rules lead to, worked out by hand: `scenarios/*.txt`.
//!
//! A scenario has a name, the reasoning, and three parts. `given` describes objects in a short form that [`Given`] writes out as
//! Kubernetes YAML; a line that begins with `{` is an object in YAML's flow style. `expect` lists every decision that acts, in order, and what else
//! has to hold. What ties leave open (a name, one of equal zones) is not asserted.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use objects::snapshot;
use seaworthy_autoscale::answer::{Answer, Decision, Kind};
use seaworthy_autoscale::instance_csv;
use seaworthy_autoscale::simulation::{Question, set_unreported_budgets, simulate};
use seaworthy_autoscale::version::KarpenterVersion;
use seaworthy_autoscale::world::{Builder, World};

/// s, m and l have 2, 4 and 8 cores in three zones; spot costs half. The metal one is not launched where anything else will do.
const TYPES: &str = "instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,spot_usd_per_hour,labels
s,amd64,linux,a;b;c,2,8192,20,100,512,0.10,0.05,size=2;family=x
m,amd64,linux,a;b;c,4,16384,40,100,512,0.20,0.10,size=4;family=x
l,amd64,linux,a;b;c,8,32768,80,100,512,0.40,0.20,size=8;family=y
big.metal,amd64,linux,a,64,262144,200,100,512,0.30,0.01,size=64;family=z
arm,arm64,linux,a;b,4,16384,40,100,512,0.16,0.08,size=4;family=g
";
const SCENARIOS: [&str; 3] = [
    include_str!("scenarios/provisioning.txt"),
    include_str!("scenarios/disruption.txt"),
    include_str!("scenarios/ends.txt"),
];
const AT: &str = "2026-03-02T10:00:00Z";

/// Words of a line: the plain ones, and after `;` pairs.
struct Line<'a> {
    words: Vec<&'a str>,
    pairs: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn new(text: &'a str) -> Self {
        let (plain, rest) = text.split_once(';').unwrap_or((text, ""));
        let pairs = rest
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        Self {
            words: plain.split_whitespace().collect(),
            pairs: pairs.collect(),
        }
    }

    fn get(&self, key: &str, default: &'a str) -> &'a str {
        self.pairs.get(key).copied().unwrap_or(default)
    }
}

/// Writes objects out.
#[derive(Default)]
struct Given {
    yaml: String,
    unreported: Vec<String>,
}

impl Given {
    fn line(&mut self, text: &str) {
        if text.starts_with('{') {
            let _ = writeln!(self.yaml, "---\n{text}");
            return;
        }
        let line = Line::new(text);
        match line.words[0] {
            "pool" => self.pool(&line),
            "node" => self.node(&line),
            "run" | "pod" => self.pod(&line),
            "pdb" => self.pdb(&line),
            "daemon" => {
                let _ = writeln!(
                    self.yaml,
                    "---\n{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: {0}, namespace: kube-system}}, spec: {{selector: {{matchLabels: {{app: {0}}}}}, template: {{metadata: {{labels: {{app: {0}}}}}, spec: {{{2} containers: [{{name: c, resources: {{requests: {{cpu: {1}}}}}}}]}}}}}}}}",
                    line.words[1],
                    line.words[2],
                    comma(line.get("spec", ""))
                );
            }
            other => panic!("what is `{other}`?"),
        }
    }

    fn pool(&mut self, line: &Line<'_>) {
        let requirements = line.get(
            "req",
            "{key: kubernetes.io/arch, operator: In, values: [amd64]}",
        );
        let capacity = match line.get("cap", "on-demand") {
            "any" => String::new(),
            one => format!(", {{key: karpenter.sh/capacity-type, operator: In, values: [{one}]}}"),
        };
        let _ = writeln!(
            self.yaml,
            "---\n{{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {{name: {}, annotations: {{{}}}}}, spec: {{weight: {}, limits: {{{}}}, disruption: {{consolidationPolicy: {}, consolidateAfter: {}, budgets: {}}}, template: {{metadata: {{labels: {{{}}}}}, spec: {{nodeClassRef: {{group: g, kind: K, name: default}}, expireAfter: {}, taints: {}, requirements: [{requirements}{capacity}] {}}}}}}}}}",
            line.words[1],
            line.get("annotations", ""),
            line.get("weight", "0"),
            line.get("limits", ""),
            line.get("policy", "WhenEmptyOrUnderutilized"),
            line.get("after", "0s"),
            line.get("budgets", "[{nodes: 100%}]"),
            line.get("labels", ""),
            line.get("expire", "Never"),
            line.get("taints", "[]"),
            line.pairs
                .get("tgp")
                .map(|time| format!(", terminationGracePeriod: {time}"))
                .unwrap_or_default(),
        );
    }

    fn node(&mut self, line: &Line<'_>) {
        let (name, kind, zone) = (line.words[1], line.words[2], line.words[3]);
        let (cpu, allocatable, memory, pods) = match kind {
            "s" => (2, "1900m", "7680Mi", 20),
            "m" | "arm" => (4, "3900m", "15872Mi", 40),
            _ => (8, "7900m", "32256Mi", 80),
        };
        let family = match kind {
            "l" => "y",
            "arm" => "g",
            _ => "x",
        };
        let arch = if kind == "arm" { "arm64" } else { "amd64" };
        let capacity = line.get("cap", "on-demand");
        let pool = line.get("pool", "general");
        let labels = format!(
            "kubernetes.io/hostname: {name}, topology.kubernetes.io/zone: {zone}, kubernetes.io/arch: {arch}, kubernetes.io/os: linux, node.kubernetes.io/instance-type: {kind}, size: '{cpu}', family: {family}, {}",
            line.get("labels", "")
        );
        let managed = pool != "none";
        let all = if managed {
            format!(
                "karpenter.sh/capacity-type: {capacity}, karpenter.sh/nodepool: {pool}, karpenter.sh/registered: 'true', karpenter.sh/initialized: 'true', {labels}"
            )
        } else {
            labels
        };
        if managed {
            let conditions = format!(
                "[{{type: Initialized, status: 'True', lastTransitionTime: '2026-03-02T08:00:00Z'}}, {{type: Consolidatable, status: 'True', lastTransitionTime: '2026-03-02T09:00:00Z'}} {}]",
                line.get("conditions", "")
            );
            let _ = writeln!(
                self.yaml,
                "---\n{{apiVersion: karpenter.sh/v1, kind: NodeClaim, metadata: {{name: claim-{name}, creationTimestamp: '{}', labels: {{{all}}}, annotations: {{{}}}}}, spec: {{nodeClassRef: {{group: g, kind: K, name: default}}, expireAfter: {}, requirements: [] {}}}, status: {{nodeName: {name}, providerID: p-{name}, lastPodEventTime: '{}', conditions: {conditions}}}}}",
                line.get("created", "2026-03-02T07:59:00Z"),
                line.get("claim", ""),
                line.get("expire", "Never"),
                line.pairs
                    .get("tgp")
                    .map(|time| format!(", terminationGracePeriod: {time}"))
                    .unwrap_or_default(),
                line.get("event", "2026-03-02T08:30:00Z"),
            );
        }
        let _ = writeln!(
            self.yaml,
            "---\n{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{{all}}}, annotations: {{{}}}}}, spec: {{providerID: p-{name} {}}}, status: {{capacity: {{cpu: {cpu}, memory: {memory}, pods: {pods}}}, allocatable: {{cpu: {allocatable}, memory: {memory}, pods: {pods}}}, conditions: [{{type: Ready, status: 'True'}}]}}}}",
            line.get("annotations", ""),
            line.pairs
                .get("spec")
                .map(|spec| format!(", {spec}"))
                .unwrap_or_default(),
        );
    }

    fn pod(&mut self, line: &Line<'_>) {
        let (name, app, cpu) = (line.words[1], line.words[2], line.words[3]);
        let node = line.words.get(4);
        let owner = match line.get("owner", "rs") {
            "none" => String::new(),
            "sts" => format!(
                ", ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: {app}, controller: true, uid: u}}]"
            ),
            "ds" => format!(
                ", ownerReferences: [{{apiVersion: apps/v1, kind: DaemonSet, name: {app}, controller: true, uid: u}}]"
            ),
            _ => format!(
                ", ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {app}-5d4c8b7f9, controller: true, uid: u}}]"
            ),
        };
        let status = match node {
            Some(_) => {
                "phase: Running, startTime: '2026-03-02T08:30:00Z', conditions: [{type: Ready, status: 'True'}]"
            }
            None => {
                "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable}]"
            }
        };
        let place = node
            .map(|node| format!("nodeName: {node}, "))
            .unwrap_or_default();
        let namespace = if line.get("owner", "rs") == "ds" {
            "kube-system"
        } else {
            "shop"
        };
        let _ = writeln!(
            self.yaml,
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}, annotations: {{{}}} {owner}}}, spec: {{{place}{} containers: [{{name: c, resources: {{requests: {{cpu: {cpu}, memory: {}}}}}}}]}}, status: {{{status}}}}}",
            line.get("annotations", ""),
            comma(line.get("spec", "")),
            line.get("mem", "64Mi"),
        );
    }

    fn pdb(&mut self, line: &Line<'_>) {
        let (name, app) = (line.words[1], line.words[2]);
        let status = match line.pairs.get("allowed") {
            Some(allowed) => format!(
                ", status: {{disruptionsAllowed: {allowed}, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0}}"
            ),
            None => {
                self.unreported.push(format!("shop/{name}"));
                String::new()
            }
        };
        let _ = writeln!(
            self.yaml,
            "---\n{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: {name}, namespace: shop}}, spec: {{{}, selector: {{matchLabels: {{app: {app}}}}}}} {status}}}",
            line.get("rule", "maxUnavailable: 1"),
        );
    }
}

fn comma(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}, ")
    }
}

struct Scenario {
    name: String,
    options: Vec<String>,
    given: Vec<String>,
    expect: Vec<String>,
}

fn scenarios(text: &str) -> Vec<Scenario> {
    text.split("\n== ")
        .skip(1)
        .map(|part| {
            let mut lines = part.lines();
            let mut scenario = Scenario {
                name: lines.next().unwrap().trim().to_owned(),
                options: Vec::new(),
                given: Vec::new(),
                expect: Vec::new(),
            };
            let mut section = "why";
            let mut reasoned = false;
            for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
                if let Some(next) = line.strip_prefix("-- ") {
                    if let Some(options) = next.strip_prefix("options ") {
                        scenario
                            .options
                            .extend(options.split_whitespace().map(str::to_owned));
                    } else {
                        section = next;
                    }
                    continue;
                }
                match section {
                    "given" => scenario.given.push(line.to_owned()),
                    "expect" => scenario.expect.push(line.to_owned()),
                    _ => reasoned = true,
                }
            }
            assert!(reasoned, "{}: why?", scenario.name);
            assert!(!scenario.expect.is_empty(), "{}: what?", scenario.name);
            scenario
        })
        .collect()
}

impl Scenario {
    fn option(&self, name: &str) -> impl Iterator<Item = &str> {
        let prefix = format!("{name}:");
        self.options
            .iter()
            .filter_map(move |option| option.strip_prefix(&prefix))
    }

    fn world(&self) -> World {
        let mut given = Given::default();
        for line in &self.given {
            given.line(line);
        }
        let version = self
            .option("version")
            .next()
            .map_or(KarpenterVersion::NEWEST, |text| text.parse().unwrap());
        let mut builder = Builder::new(version);
        let summary = snapshot::read(&given.yaml, &mut |located| builder.add(located.object));
        assert_eq!(summary.errors, [], "{}: {}", self.name, given.yaml);
        assert_eq!(summary.findings, [], "{}: {}", self.name, given.yaml);
        let (mut world, findings) =
            builder.finish(&mut |world, _| instance_csv::parse(TYPES, &mut world.names).ok());
        assert_eq!(findings, [], "{}", self.name);
        set_unreported_budgets(&mut world, &given.unreported.into_iter().collect());
        world
    }

    fn question(&self) -> Question {
        let mut question = Question::next(AT.parse().unwrap());
        question.switches.spot_to_spot = self.option("gate").any(|gate| gate == "spot-to-spot");
        question.span = self.option("for").next().map(|text| {
            let span: jiff::SignedDuration = text.parse().unwrap();
            Duration::try_from(span).unwrap()
        });
        question.removes = self
            .option("remove")
            .map(|text| text.parse().unwrap())
            .collect();
        question.interrupts = self
            .option("interrupt")
            .map(|text| text.parse().unwrap())
            .collect();
        question
    }

    /// What doesn't hold.
    fn faults(&self, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        let mut acting = answer
            .decisions
            .iter()
            .filter(|decision| decision.kind != Kind::None);
        for line in &self.expect {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap();
            let (head, needle) = line.split_once(" ~ ").unwrap_or((line, ""));
            let about = head.split_whitespace().nth(1).unwrap_or_default();
            let fine = match first {
                "launch" | "delete" | "replace" => match acting.next() {
                    Some(decision) => is(decision, first, words),
                    None => false,
                },
                "none" => answer.decisions.iter().any(|decision| {
                    decision.kind == Kind::None
                        && decision.nodes.iter().any(|node| node == about)
                        && decision.reason.contains(needle)
                }),
                "unschedulable" => answer.unschedulable.iter().any(|waiting| {
                    waiting.pod == format!("shop/{about}") && waiting.reason.contains(needle)
                }),
                "finding" => answer
                    .findings
                    .iter()
                    .any(|finding| finding.message.contains(needle)),
                "nodes" => answer.after.nodes.len() == about.parse::<usize>().unwrap(),
                "pending" => answer.after.pending.len() == about.parse::<usize>().unwrap(),
                "cost" => {
                    (answer.cost.after_usd_per_hour - about.parse::<f64>().unwrap()).abs() < 1e-9
                }
                "quiet" => true,
                other => panic!("{}: what is `{other}`?", self.name),
            };
            if !fine {
                faults.push(format!("{line} does not hold"));
            }
        }
        faults.extend(acting.map(|decision| format!("besides: {}", short(decision))));
        faults
    }
}

fn is<'a>(decision: &Decision, kind: &str, words: impl Iterator<Item = &'a str>) -> bool {
    let right = match decision.kind {
        Kind::Launch => "launch",
        Kind::Delete => "delete",
        Kind::Replace => "replace",
        Kind::None => "none",
    };
    if kind != right {
        return false;
    }
    let method = format!("{:?}", decision.method).to_lowercase();
    let mut nodes: Vec<&str> = Vec::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            nodes.push(word);
            continue;
        };
        let there = match key {
            "type" => decision.chosen.clone().unwrap_or_default(),
            "types" => {
                let mut types = decision.instance_types.clone();
                types.sort_unstable();
                types.join("+")
            }
            "zone" => decision.zone.clone().unwrap_or_default(),
            "cap" => decision.capacity_type.clone().unwrap_or_default(),
            "pool" => decision.nodepool.clone().unwrap_or_default(),
            "pods" => decision.pods.len().to_string(),
            "by" => method.clone(),
            other => panic!("what is `{other}`?"),
        };
        if there != value {
            return false;
        }
    }
    let mut there: Vec<&str> = decision.nodes.iter().map(String::as_str).collect();
    there.sort_unstable();
    nodes.sort_unstable();
    nodes.is_empty() || nodes == there
}

fn short(decision: &Decision) -> String {
    format!(
        "{} {:?} {:?} by {:?}: {} | type={} types={} zone={} cap={} pods={}",
        decision.at,
        decision.kind,
        decision.nodes,
        decision.method,
        decision.reason,
        decision.chosen.as_deref().unwrap_or_default(),
        decision.instance_types.join("+"),
        decision.zone.as_deref().unwrap_or_default(),
        decision.capacity_type.as_deref().unwrap_or_default(),
        decision.pods.len()
    )
}

#[test]
fn every_scenario_comes_to_what_the_rules_say() {
    let mut count = 0;
    let mut report = String::new();
    for text in SCENARIOS {
        for scenario in scenarios(text) {
            count += 1;
            let question = scenario.question();
            let answer = simulate(scenario.world(), &question).unwrap();
            assert_eq!(
                answer,
                simulate(scenario.world(), &question).unwrap(),
                "{}: twice the same question, two answers",
                scenario.name
            );
            let faults = scenario.faults(&answer);
            if !faults.is_empty() {
                let _ = writeln!(report, "\n== {}", scenario.name);
                for fault in faults {
                    let _ = writeln!(report, "   {fault}");
                }
                for decision in &answer.decisions {
                    let _ = writeln!(report, "   was: {}", short(decision));
                }
                for waiting in &answer.unschedulable {
                    let _ = writeln!(report, "   waits: {} {}", waiting.pod, waiting.reason);
                }
                for finding in &answer.findings {
                    let _ = writeln!(report, "   finding: {}", finding.message);
                }
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(count >= 40, "{count} scenarios");
}
