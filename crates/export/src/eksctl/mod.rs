//! eksctl: `<env>/cluster.yaml`, a ClusterConfig (`eksctl.io/v1alpha5`) for each wanted environment, and with Karpenter
//! `<env>/karpenter-nodes.yaml`, the access entry of its nodes.
//!
//! The promise: every resource of the graph is in the [`Ledger`] exactly once, and whatever eksctl has no words for is
//! listed at the top of the file. What eksctl does is described as of version 0.230.0, whose sources and user guide
//! (`pkg/` and `userdocs/src/usage/` of <https://github.com/eksctl-io/eksctl>) are what this module follows.

mod addons;
mod cluster;
mod config;
mod header;
mod identity;
mod karpenter;
mod ledger;
mod network;
mod nodes;
mod text;

use std::collections::BTreeMap;

use catalog::ids::Address;
use graph::{Graph, Lifecycle, Resource};

use self::config::{ClusterConfig, Metadata};
pub use self::ledger::{Fate, Ledger};
use self::ledger::{Reader, literal};
use crate::{Error, Files, Format, Module, Owner, Scoped, Source, modules};

/// Exports the wanted environments. eksctl has no words for what environments share: that scope is skipped.
///
/// # Errors
///
/// All that eksctl would make otherwise than the graph says, where leaving it out would not do; and when nothing but what
/// environments share is wanted.
pub fn export(source: &Source<'_>) -> Result<Files, Vec<Error>> {
    let mut files = Files::new();
    let mut errors = Vec::new();
    let shared = source.shared.name();
    let mut environments = source
        .wanted()
        .filter(|scope| scope.name() != shared)
        .peekable();
    if environments.peek().is_none() && source.wanted.contains(shared) {
        errors.extend(source.shared.graph.resources().next().map(|first| Error::Inexpressible {
            address: first.address.clone(),
            format: Format::Eksctl,
            why: format!(
                "eksctl makes clusters, and `{shared}` has none; export an environment to eksctl, and `{shared}` to \
                 CloudFormation or Terraform"
            ),
        }));
    }
    for scope in environments {
        match draw(scope) {
            Ok(sheet) => sheet.write(scope, &mut files),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(errors)
    }
}

/// What becomes of each resource of an environment.
///
/// # Errors
///
/// As [`export`].
pub fn ledger(scope: Scoped<'_>) -> Result<Ledger, Vec<Error>> {
    draw(scope).map(|sheet| sheet.ledger)
}

/// What is read.
struct Scene<'a> {
    graph: &'a Graph,
    cluster: &'a Resource,
    modules: BTreeMap<Address, Module>,
    /// The account, when the spec names it.
    known_account: Option<&'a str>,
}

impl<'a> Scene<'a> {
    /// The resources of a type, each after those that it needs.
    fn of_type(&self, type_name: &'static str) -> impl Iterator<Item = &'a Resource> + use<'a> {
        self.graph
            .ordered()
            .filter(move |resource| resource.type_name.as_str() == type_name)
    }

    /// The cluster's name.
    fn cluster_name(&self) -> &'a str {
        let name = self.cluster.properties.get("Name").and_then(literal);
        name.unwrap_or_default()
    }

    fn region(&self) -> &'a str {
        self.graph.scope().region.as_str()
    }

    fn is_of(&self, resource: &Resource, module: Module) -> bool {
        self.modules.get(&resource.address) == Some(&module)
    }
}

/// What is written.
struct Sheet {
    config: ClusterConfig,
    /// The access entries that can be made only once the cluster is there.
    afterwards: Option<ClusterConfig>,
    ledger: Ledger,
    errors: Vec<Error>,
}

impl Sheet {
    /// A value that eksctl has no words for, and that cannot be left out.
    fn refuse(&mut self, address: &Address, why: impl Into<String>) {
        self.errors.push(Error::Inexpressible {
            address: address.clone(),
            format: Format::Eksctl,
            why: why.into(),
        });
    }

    /// What is there; why it is not is an error.
    fn accept<T>(&mut self, address: &Address, found: Result<T, String>) -> Option<T> {
        found.map_err(|why| self.refuse(address, why)).ok()
    }

    fn write(&self, scope: Scoped<'_>, files: &mut Files) {
        let environment = scope.name();
        let owner = || Owner::Scope(environment.clone());
        let text = header::cluster(scope, &self.ledger, &yaml(&self.config));
        files.add(format!("{environment}/cluster.yaml"), owner(), text);
        if let Some(afterwards) = &self.afterwards {
            let text = header::afterwards(scope, &yaml(afterwards));
            files.add(format!("{environment}/karpenter-nodes.yaml"), owner(), text);
        }
    }
}

/// eksctl reads YAML 1.1: what is not a text there, `on` or `1_000`, is quoted.
fn yaml(config: &ClusterConfig) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(config, options)
        .expect("texts, numbers, lists and objects with texts for keys are YAML")
}

fn draw(scope: Scoped<'_>) -> Result<Sheet, Vec<Error>> {
    let graph = scope.graph;
    let mut clusters = graph
        .resources()
        .filter(|resource| resource.type_name.as_str() == "AWS::EKS::Cluster");
    let (Some(cluster), None) = (clusters.next(), clusters.next()) else {
        let any = graph.resources().next();
        return Err(any.into_iter().map(no_cluster).collect());
    };
    let scene = Scene {
        graph,
        cluster,
        modules: modules(graph),
        known_account: scope.platform.spec.aws.account.as_deref(),
    };
    let mut reader = Reader::new(cluster);
    let metadata = Metadata {
        name: reader.string("Name").unwrap_or_default().to_owned(),
        region: scene.region().to_owned(),
        version: reader.string("Version").map(str::to_owned),
        tags: ledger::tags(cluster.properties.get("Tags")),
    };
    let mut sheet = Sheet {
        config: ClusterConfig::new(metadata),
        afterwards: None,
        ledger: Ledger::default(),
        errors: Vec::new(),
    };
    let private = network::draw(&scene, &mut sheet, &mut reader);
    cluster::draw(&scene, &mut sheet, &mut reader);
    karpenter::draw(&scene, &mut sheet);
    addons::draw(&scene, &mut sheet);
    identity::draw(&scene, &mut sheet);
    nodes::draw(&scene, &mut sheet, &private);
    sheet.ledger.expressed("metadata", reader);
    sheet.ledger.close(graph);
    refuse_second_ones(&scene, &mut sheet);
    if sheet.errors.is_empty() {
        Ok(sheet)
    } else {
        Err(sheet.errors)
    }
}

fn no_cluster(any: &Resource) -> Error {
    Error::Inexpressible {
        address: any.address.clone(),
        format: Format::Eksctl,
        why: "eksctl's file is that of one cluster, and this scope has none or several".to_owned(),
    }
}

/// What exists already must not be made once more.
fn refuse_second_ones(scene: &Scene<'_>, sheet: &mut Sheet) {
    let mut second = Vec::new();
    for (address, fate) in sheet.ledger.entries() {
        let exists = scene
            .graph
            .get(address)
            .is_some_and(|resource| matches!(resource.lifecycle, Lifecycle::Existing(_)));
        if let (true, Fate::Expressed { field, .. } | Fate::Implied { field }) = (exists, fate) {
            second.push((address.clone(), *field));
        }
    }
    for (address, field) in second {
        sheet.refuse(
            &address,
            format!("it exists already, but `{field}` would make eksctl make another one"),
        );
    }
}
