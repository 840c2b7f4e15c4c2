//! The engine's port, on clusters: an object goes to its API server, a release to Helm.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::ids::{Address, ClientToken, Identifier, RequestToken};
use catalog::{Realm, TypeName};
use engine::Pace;
use engine::provider::{ErrorClass, Owned, Payload, Progress, Provider, ProviderError, SecretText};
use graph::Scope;
use serde_json::Value as Json;

use crate::access::Clusters;
use crate::classify::error;
use crate::connection::Connections;
use crate::contents::{Contents, contents};
use crate::helm::{Helm, HelmSettings};
use crate::name::Place;
use crate::objects::Objects;

/// What a [`KubernetesProvider`] is made of.
pub struct Options {
    /// Whose resources it makes: what is another's is not touched.
    pub scope: Scope,
    /// The clusters of the scope, by the names that resources refer to: where [`Provider::owned`] looks.
    pub names: Vec<String>,
    /// The ways into clusters.
    pub clusters: Arc<dyn Clusters>,
    /// How fast time goes there.
    pub pace: Pace,
    /// Whether fields that others have set are taken over.
    pub force_conflicts: bool,
    /// How long what holds nodes that are to go (disruption budgets, `karpenter.sh/do-not-disrupt`) is respected, in modelled
    /// time. Then the pods are deleted.
    pub drain_timeout: Duration,
    /// Where Helm is.
    pub helm: HelmSettings,
}

/// Makes, reads, changes and deletes what lives in clusters.
pub struct KubernetesProvider {
    names: Vec<String>,
    objects: Objects,
    helm: Helm,
}

impl KubernetesProvider {
    /// A provider for one scope. Nothing is asked until it is used.
    pub fn new(options: Options) -> Self {
        let connections = Arc::new(Connections::new(options.clusters));
        Self {
            names: options.names,
            helm: Helm::new(
                options.helm,
                options.scope.clone(),
                connections.clone(),
                options.force_conflicts,
            ),
            objects: Objects {
                scope: options.scope,
                connections,
                pace: options.pace,
                force: options.force_conflicts,
                drain_timeout: options.drain_timeout,
                claimed: std::sync::Mutex::default(),
            },
        }
    }
}

impl KubernetesProvider {
    /// What others have made in a cluster; none when there is no such cluster. `releases` are the scope's own, by namespace
    /// and name.
    ///
    /// # Errors
    ///
    /// When the cluster can't be asked.
    pub async fn contents(
        &self,
        cluster: &str,
        releases: &BTreeSet<(String, String)>,
    ) -> Result<Option<Contents>, ProviderError> {
        let connections = &self.objects.connections;
        let Some(open) = connections.cluster(cluster).await? else {
            return Ok(None);
        };
        let found = contents(&open, cluster, &self.objects.scope, releases).await;
        if let Err(failed) = &found {
            connections.doubt(cluster, failed).await;
        }
        found.map(Some)
    }

    /// Allows to delete something that others have made: without it a deletion of what is not the scope's does nothing.
    pub fn claim(&self, type_name: &TypeName, identifier: &Identifier) {
        self.objects.claim(type_name, identifier);
    }
}

/// Whether a type is a release. What is AWS's is no business of ours.
fn is_release(type_name: &TypeName) -> Result<bool, ProviderError> {
    match type_name.realm() {
        Realm::Helm => Ok(true),
        Realm::Kubernetes => Ok(false),
        Realm::Aws => Err(error(
            ErrorClass::Terminal,
            "UnsupportedType",
            format!("{type_name} is not in a cluster"),
        )),
    }
}

#[async_trait]
impl Provider for KubernetesProvider {
    async fn begin_create(
        &self,
        type_name: &TypeName,
        desired: &Payload,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        match is_release(type_name)? {
            true => self.helm.apply(desired.expose(), token).await,
            false => self.objects.create(type_name, desired.expose()).await,
        }
    }

    async fn begin_update(
        &self,
        type_name: &TypeName,
        _: &Identifier,
        desired: &Payload,
        _: &Json,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        match is_release(type_name)? {
            true => self.helm.apply(desired.expose(), token).await,
            false => self.objects.update(type_name, desired.expose()).await,
        }
    }

    async fn begin_delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let place = Place::of(identifier)?;
        match is_release(type_name)? {
            true => self.helm.uninstall(&place, token).await,
            false => self.objects.delete(type_name, &place).await,
        }
    }

    async fn poll(
        &self,
        type_name: &TypeName,
        operation: &RequestToken,
    ) -> Result<Progress, ProviderError> {
        match is_release(type_name)? {
            true => self.helm.poll(operation),
            false => self.objects.poll(type_name, operation).await,
        }
    }

    async fn read(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Option<Json>, ProviderError> {
        let place = Place::of(identifier)?;
        match is_release(type_name)? {
            true => self.helm.read(&place, &Json::Null).await,
            false => self.objects.read(type_name, &place, None).await,
        }
    }

    async fn observe(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        applied: &Json,
    ) -> Result<Option<Json>, ProviderError> {
        let place = Place::of(identifier)?;
        match is_release(type_name)? {
            true => self.helm.read(&place, applied).await,
            false => self.objects.read(type_name, &place, Some(applied)).await,
        }
    }

    async fn find(
        &self,
        _: &Scope,
        address: &Address,
        type_name: &TypeName,
        desired: &Json,
    ) -> Result<Option<Identifier>, ProviderError> {
        match is_release(type_name)? {
            true => self.helm.find(desired).await,
            false => self.objects.find(address, type_name, desired).await,
        }
    }

    async fn owned(&self, _: &Scope) -> Result<Vec<Owned>, ProviderError> {
        let mut owned = Vec::new();
        for name in &self.names {
            let found = async {
                let mut found = self.objects.owned(name).await?;
                found.extend(self.helm.owned(name).await?);
                Ok(found)
            };
            let found = found.await;
            if let Err(failed) = &found {
                self.objects.connections.doubt(name, failed).await;
            }
            owned.extend(found?);
        }
        Ok(owned)
    }

    async fn secret(
        &self,
        secret: &Identifier,
        _: Option<&str>,
    ) -> Result<SecretText, ProviderError> {
        Err(error(
            ErrorClass::Terminal,
            "UnsupportedType",
            format!("{secret} is not in a cluster: secrets are AWS's"),
        ))
    }
}
