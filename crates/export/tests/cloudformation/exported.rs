//! What is exported and judged.

use std::path::PathBuf;
use std::sync::OnceLock;

use export::{Files, Scoped, Source, cloudformation};
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

/// Exports one scope.
pub(crate) fn export(name: &str, platform: Platform, graph: Graph) -> Exported {
    let scope = Scoped {
        platform: &platform,
        graph: &graph,
    };
    let source = Source {
        environments: &[],
        shared: scope,
        wanted: std::slice::from_ref(scope.name()),
    };
    let files =
        cloudformation::export(&source).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
    Exported {
        name: name.to_owned(),
        platform: platform.clone(),
        graph: graph.clone(),
        files,
    }
}

/// An environment's graph without what lives in its cluster: no export has that.
pub(crate) fn outside(platform: &Platform) -> Graph {
    let graph = blueprint::environment(platform).unwrap();
    graph.without_cluster_contents().unwrap().0
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
            let graph = outside(&platform);
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
