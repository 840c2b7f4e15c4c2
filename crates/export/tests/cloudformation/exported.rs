//! What is exported and judged.

use std::path::PathBuf;
use std::sync::OnceLock;

use export::{Files, Format, Scoped, Source};
use graph::Graph;
use serde_json::json;
use spec::Platform;

use crate::fixtures;

/// A scope of a platform, and its templates.
pub(crate) struct Exported {
    /// The platform's name in the fixtures, and the scope's.
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) graph: Graph,
    pub(crate) files: Files,
}

impl Exported {
    /// The templates by file name.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, file)| (path.split_once('/').unwrap().1, file.text.as_str()))
    }

    /// A folder's name of its own.
    pub(crate) fn folder(&self) -> String {
        self.name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect()
    }
}

/// Exports one scope, as the command does. What is in a cluster is in the graph that is exported, and not in what comes of it.
pub(crate) fn export(name: &str, platform: Platform, graph: Graph) -> Exported {
    let scope = Scoped {
        platform: &platform,
        graph: &graph,
    };
    let shared = blueprint::shared(&platform).unwrap();
    let is_shared = graph.scope() == shared.scope();
    let source = Source {
        environments: if is_shared { &[] } else { &[scope] },
        shared: Scoped {
            graph: if is_shared { &graph } else { &shared },
            ..scope
        },
        wanted: std::slice::from_ref(scope.name()),
    };
    let files = export::export(Format::CloudFormation, &source)
        .unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
    Exported {
        name: name.to_owned(),
        platform: platform.clone(),
        graph: without_contents(&graph),
        files,
    }
}

/// What any export has of a graph.
fn without_contents(graph: &Graph) -> Graph {
    graph.without_cluster_contents().unwrap().0
}

/// An environment's graph without what lives in its cluster.
pub(crate) fn outside(platform: &Platform) -> Graph {
    without_contents(&blueprint::environment(platform).unwrap())
}

/// Somebody else's key, role and address; a bucket, a lock table and a secret that are kept otherwise than usual.
fn lifecycles() -> serde_json::Value {
    let mut overlay = fixtures::everything();
    overlay["lifecycle"] = json!({
        "cluster/secrets-key": { "existing": "01234567-89ab-cdef-0123-456789abcdef" },
        "cluster/role": { "existing": "platform-cluster" },
        "network/eip/a": { "existing": "192.0.2.1|eipalloc-0123456789abcdef0" },
        "audit/bucket": "managed",
        "rabbitmq/secret": "retain",
        "shared/lock-table": "managed",
    });
    overlay
}

/// The platforms whose shared scope is exported, too: it depends on little.
const SHARED: [&str; 4] = ["Ekb, dev", "everything, irsa", "China, irsa", "lifecycles"];

/// Everything: the presets in their environments, each kind of platform that there is, and what they share.
pub(crate) fn all() -> &'static [Exported] {
    static ALL: OnceLock<Vec<Exported>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut exported = Vec::new();
        let mut platforms = fixtures::all();
        platforms.push((
            "lifecycles".to_owned(),
            fixtures::platform("prod", lifecycles()),
        ));
        for (name, platform) in platforms {
            let graph = blueprint::environment(&platform).unwrap();
            exported.push(export(&name, platform.clone(), graph));
            if SHARED.contains(&name.as_str()) {
                let graph = blueprint::shared(&platform).unwrap();
                exported.push(export(&format!("{name}, shared"), platform, graph));
            }
        }
        let shared = exported.iter().filter(|it| it.name.ends_with(", shared"));
        assert_eq!(shared.count(), SHARED.len());
        exported
    })
}

/// What the slower judges look at: the presets, and of the others those that have templates of their own.
pub(crate) fn telling(exported: &Exported) -> bool {
    let name = &exported.name;
    fixtures::presets().iter().any(|(preset, _)| preset == name)
        || [
            "everything",
            "nothing, irsa",
            "existing VPC, irsa",
            "certificates, irsa",
            "lifecycles",
        ]
        .iter()
        .any(|start| name.starts_with(start))
        || name.ends_with(", shared")
}

/// A folder with the templates of all that `wanted` picks.
pub(crate) fn written(wanted: impl Fn(&Exported) -> bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for exported in all().iter().filter(|exported| wanted(exported)) {
        let scope = folder.path().join(exported.folder());
        std::fs::create_dir(&scope).unwrap();
        for (file, text) in exported.templates() {
            std::fs::write(scope.join(file), text).unwrap();
        }
    }
    folder
}

/// A program that `scripts/prepare test` installs.
pub(crate) fn program(path: &str) -> PathBuf {
    let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")).join(path);
    assert!(
        program.exists(),
        "{} is missing: run `scripts/prepare test`",
        program.display()
    );
    program
}
