//! One environment of a platform (or the shared scope), as it is wanted: validated, and built into a graph.

use std::borrow::Cow;
use std::collections::BTreeMap;

use catalog::Date;
use catalog::ids::{AccountId, EnvironmentName};
use graph::{Graph, Lifecycle, Scope, Value};
use spec::{Diagnostic, Override, Platform};

use crate::error::Error;
use crate::platform_folder::{PlatformFolder, SHARED};

/// One environment as it is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The validated spec.
    pub platform: Platform,
    /// Its resources.
    pub graph: Graph,
    /// What is allowed but unwise.
    pub warnings: Vec<Diagnostic>,
    /// What environment variables have changed in the spec.
    pub overrides: Vec<Override>,
}

impl Wanted {
    /// Reads, validates and builds one environment.
    ///
    /// # Errors
    ///
    /// When a file can't be read or the spec is wrong: with all that is wrong.
    pub fn load(
        folder: &PlatformFolder,
        environment: &EnvironmentName,
        variables: &BTreeMap<String, String>,
        today: Date,
    ) -> Result<Self, Error> {
        let loaded = folder.load(environment, variables, today)?;
        let built = if environment.as_str() == SHARED {
            blueprint::shared(&loaded.platform)
        } else {
            blueprint::environment(&loaded.platform)
        };
        let graph = built.map_err(Error::Blueprint)?;
        Ok(Self {
            platform: loaded.platform,
            graph,
            warnings: loaded.warnings,
            overrides: loaded.overrides,
        })
    }

    /// The resources where it is known who deploys. A deployer that the spec lists among the admins has one access entry,
    /// not two: EKS takes one a principal.
    pub fn graph_for(&self, deployer: &str) -> Cow<'_, Graph> {
        let admins = &self.platform.spec.cluster.admins;
        if !admins.iter().any(|admin| admin == deployer)
            || self.scope().environment.as_str() == SHARED
        {
            return Cow::Borrowed(&self.graph);
        }
        let mut platform = self.platform.clone();
        platform
            .spec
            .cluster
            .admins
            .retain(|admin| admin != deployer);
        // With one admin less it builds as it did with it.
        blueprint::environment(&platform).map_or(Cow::Borrowed(&self.graph), Cow::Owned)
    }

    /// Whose resources they are.
    pub fn scope(&self) -> &Scope {
        self.graph.scope()
    }

    /// The name of the scope's cluster; none when it has none (what environments share).
    pub fn cluster(&self) -> Option<String> {
        let cluster = self
            .graph
            .resources()
            .find(|resource| resource.type_name.as_str() == "AWS::EKS::Cluster")?;
        if let Lifecycle::Existing(identifier) = &cluster.lifecycle {
            return Some(identifier.to_string());
        }
        match cluster.properties.get("Name") {
            Some(Value::String(name)) => Some(name.clone()),
            _ => None,
        }
    }

    /// The account that the spec names.
    pub fn account(&self) -> Option<AccountId> {
        self.platform
            .spec
            .aws
            .account
            .as_deref()
            .and_then(|account| AccountId::new(account).ok())
    }
}
