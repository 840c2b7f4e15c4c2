//! The exports that the tests look at, read back by PyYAML, which reads YAML 1.1 as eksctl does.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use export::{Error, Files, Format, Scoped, Source};
use graph::{Graph, GraphBuilder, Resource, Value, value};
use serde_json::{Value as Json, json};
use spec::Platform;

use crate::fixtures;

/// Where `scripts/prepare test` installs what judges the exports.
pub(crate) const JUDGES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/judges/python/bin"
);

/// One environment, exported.
pub(crate) struct Exported {
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) graph: Graph,
    /// `cluster.yaml`.
    pub(crate) text: String,
    /// What is in it.
    pub(crate) cluster: Json,
    /// `karpenter-nodes.yaml`, and what is in it.
    pub(crate) nodes: Option<(String, Json)>,
}

impl Exported {
    pub(crate) fn scope(&self) -> Scoped<'_> {
        Scoped {
            platform: &self.platform,
            graph: &self.graph,
        }
    }

    /// What is in each of its files.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Json> {
        [&self.cluster]
            .into_iter()
            .chain(self.nodes.as_ref().map(|(_, document)| document))
    }
}

/// All of them: the blueprint's platforms, and what they do not have.
pub(crate) fn all() -> &'static [Exported] {
    static ALL: OnceLock<Vec<Exported>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut sources: Vec<(String, Platform, Graph)> = fixtures::all()
            .into_iter()
            .chain(more())
            .map(|(name, platform)| {
                let graph = whole(&platform);
                (name, platform, graph)
            })
            .collect();
        let platform = fixtures::platform("prod", fixtures::everything());
        let graph = changed(&platform, more_words);
        sources.push(("more words".to_owned(), platform, graph));
        read_back(sources)
    })
}

fn read_back(sources: Vec<(String, Platform, Graph)>) -> Vec<Exported> {
    let mut texts: Vec<String> = Vec::new();
    for (name, platform, graph) in &sources {
        let files = export(platform, graph).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
        for file in ["cluster.yaml", "karpenter-nodes.yaml"] {
            let path = format!("{}/{file}", platform.environment);
            texts.push(
                files
                    .get(&path)
                    .map(|file| file.text.clone())
                    .unwrap_or_default(),
            );
        }
        assert!(files.iter().count() <= 2, "{name}");
    }
    let mut read = texts.clone().into_iter().zip(parse(&texts));
    sources
        .into_iter()
        .map(|(name, platform, graph)| {
            let (text, cluster) = read.next().unwrap();
            let nodes = read.next().filter(|(text, _)| !text.is_empty());
            Exported {
                name,
                platform,
                graph: without_contents(&graph),
                text,
                cluster,
                nodes,
            }
        })
        .collect()
}

/// Platforms that the blueprint's tests have no need of.
fn more() -> Vec<(String, Platform)> {
    let key = "0123abcd-0123-abcd-0123-0123456789ab";
    let theirs = json!({
        "cluster/role": { "existing": "their-cluster" },
        "cluster/secrets-key": { "existing": key },
        "system-nodes/role": { "existing": "their-nodes" },
        "external-secrets/role": { "existing": "their-secrets" },
        "addons/ebs-csi-role": { "existing": "their-volumes" },
        "addons/vpc-cni-role": { "existing": "their-network" },
        "network/vpc": "retain",
    });
    // What YAML 1.1 takes for something else than a text.
    let awkward = [
        "on",
        "no",
        "y",
        "Off",
        "~",
        "null",
        "1_000",
        "0x1F",
        "012",
        "0b11",
        "1e3",
        ".inf",
        "+1",
        "12:30:45",
        "2026-01-01",
        "1.36",
        "a b",
        "@x",
        "a=b",
        "=",
        "_",
        "-",
        "a:b",
    ];
    let tags: BTreeMap<String, &str> = awkward
        .iter()
        .enumerate()
        .map(|(place, text)| (format!("tag-{place}"), *text))
        .chain(["on", "1_000", "12:30:45", "="].map(|key| (key.to_owned(), "key")))
        .collect();
    let mut platforms = Vec::new();
    for identity in ["pod-identity", "irsa"] {
        let with_identity = json!({ "workloadIdentity": identity });
        let with = |mut overlay: Json| {
            let cluster = overlay.as_object_mut().unwrap().entry("cluster");
            let cluster = cluster
                .or_insert_with(|| json!({}))
                .as_object_mut()
                .unwrap();
            cluster.extend(with_identity.as_object().unwrap().clone());
            fixtures::platform("prod", overlay)
        };
        let mut account = fixtures::everything();
        account["aws"]["account"] = json!("999988887777");
        platforms.push((format!("account, {identity}"), with(account)));
        platforms.push((
            format!("theirs, {identity}"),
            with(json!({ "lifecycle": theirs.clone() })),
        ));
        platforms.push((
            format!("awkward, {identity}"),
            with(json!({ "aws": { "tags": tags } })),
        ));
    }
    platforms
}

/// What the blueprint does not draw today, but eksctl has words for.
fn more_words(resource: &mut Resource) {
    let set = |resource: &mut Resource, name: &str, value: Value| {
        resource.properties.insert(name.to_owned(), value);
    };
    match resource.address.as_str() {
        "cluster/cluster" => {
            set(resource, "ZonalShiftConfig", value!({ "Enabled": true }));
            let network = value!({ "IpFamily": "ipv4", "ServiceIpv4Cidr": "172.20.0.0/16" });
            set(resource, "KubernetesNetworkConfig", network);
            set(resource, "DeletionProtection", true.into());
        }
        "system-nodes/node-group" => {
            set(resource, "CapacityType", "SPOT".into());
            set(
                resource,
                "UpdateConfig",
                value!({ "MaxUnavailablePercentage": 33 }),
            );
            let taints = value!([
                { "Key": "a", "Effect": "PREFER_NO_SCHEDULE" },
                { "Key": "b", "Value": "c", "Effect": "NO_EXECUTE" },
            ]);
            set(resource, "Taints", taints);
            set(resource, "AmiType", "BOTTLEROCKET_x86_64".into());
        }
        "external-secrets/role" => {
            let policy = "arn:aws:iam::aws:policy/SecretsManagerReadWrite";
            set(resource, "ManagedPolicyArns", value!([policy]));
        }
        "cluster/access-entry/admin-ops" => {
            let view = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";
            let scope = value!({ "Type": "namespace", "Namespaces": ["shop"] });
            let policies = value!([{ "PolicyArn": view, "AccessScope": scope }]);
            set(resource, "AccessPolicies", policies);
        }
        _ => {}
    }
}

/// A platform's graph, with its resources changed.
pub(crate) fn changed(platform: &Platform, change: impl Fn(&mut Resource)) -> Graph {
    let graph = outside(platform);
    let mut builder = GraphBuilder::new(graph.scope().clone());
    for resource in graph.resources() {
        let mut resource = resource.clone();
        change(&mut resource);
        builder.add(resource);
    }
    builder.build().unwrap()
}

fn whole(platform: &Platform) -> Graph {
    blueprint::environment(platform).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// What any export has of a graph.
fn without_contents(graph: &Graph) -> Graph {
    graph.without_cluster_contents().unwrap().0
}

/// An environment's graph without what lives in its cluster.
pub(crate) fn outside(platform: &Platform) -> Graph {
    without_contents(&whole(platform))
}

/// The export of one environment, as the command makes it.
pub(crate) fn export(platform: &Platform, graph: &Graph) -> Result<Files, Vec<Error>> {
    let shared = blueprint::shared(platform).unwrap();
    let scope = |graph| Scoped { platform, graph };
    let source = Source {
        environments: &[scope(graph)],
        shared: scope(&shared),
        wanted: std::slice::from_ref(&platform.environment),
    };
    export::export(Format::Eksctl, &source)
}

/// What PyYAML reads of each text.
pub(crate) fn parse(texts: &[String]) -> Vec<Json> {
    let script = "import json, sys, yaml\n\
                  json.dump([yaml.safe_load(text) for text in json.load(sys.stdin)], sys.stdout)";
    let mut command = Command::new(format!("{JUDGES}/python"));
    command.args(["-c", script]);
    serde_json::from_slice(&run(command, &serde_json::to_vec(texts).unwrap())).unwrap()
}

/// The output of a judge that reads `input`.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{error}: `scripts/prepare test` installs {command:?}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output.stdout
}
