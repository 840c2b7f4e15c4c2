//! The provider against API servers: a small one that answers as a test says, for what goes wrong, and a real one, where there
//! is one.
#![allow(clippy::unwrap_used)]

mod live;
mod server;
mod trouble;

use std::sync::Arc;

use catalog::TypeName;
use catalog::ids::{ClientToken, EnvironmentName, PlatformName, Region};
use engine::Pace;
use engine::provider::{Payload, Progress, Provider, ProviderError, Status};
use graph::Scope;
use kubernetes::{ClusterAccess, HelmSettings, KubernetesProvider, OneCluster, Options, Token};
use serde_json::{Value as Json, json};

/// The name of the cluster of all tests.
const CLUSTER: &str = "shop-dev";

fn scope() -> Scope {
    Scope {
        platform: PlatformName::new("shop").unwrap(),
        environment: EnvironmentName::new("dev").unwrap(),
        region: Region::new("eu-west-1").unwrap(),
    }
}

fn provider(endpoint: &str, pace: Pace, helm: HelmSettings) -> KubernetesProvider {
    provider_of(endpoint, pace, helm, false)
}

fn provider_of(endpoint: &str, pace: Pace, helm: HelmSettings, force: bool) -> KubernetesProvider {
    KubernetesProvider::new(Options {
        scope: scope(),
        names: vec![CLUSTER.to_owned()],
        clusters: Arc::new(OneCluster {
            name: CLUSTER.to_owned(),
            access: ClusterAccess {
                endpoint: endpoint.to_owned(),
                certificate_authority: None,
                token: Some(Token {
                    text: "admin".to_owned(),
                    expires: None,
                }),
            },
        }),
        pace,
        force_conflicts: force,
        drain_timeout: std::time::Duration::from_secs(600),
        helm,
    })
}

/// A document with our labels, as a graph gives them.
fn document(at: &str, mut manifest: Json) -> Json {
    manifest["metadata"]["labels"]["seaworthy.dev/platform"] = "shop".into();
    manifest["metadata"]["labels"]["seaworthy.dev/environment"] = "dev".into();
    manifest["metadata"]["annotations"]["seaworthy.dev/address"] = at.into();
    json!({ "Cluster": CLUSTER, "Manifest": manifest })
}

fn type_of(document: &Json) -> TypeName {
    let text = |name: &str| document["Manifest"][name].as_str().unwrap().to_owned();
    TypeName::kubernetes(&text("apiVersion"), &text("kind")).unwrap()
}

fn token(text: &str) -> ClientToken {
    ClientToken::new(text).unwrap()
}

async fn create(provider: &dyn Provider, document: &Json) -> Result<Progress, ProviderError> {
    let payload = Payload::new(document.clone());
    provider
        .begin_create(&type_of(document), &payload, &token("t"))
        .await
}

/// Follows an operation to its end.
async fn ended(
    provider: &dyn Provider,
    type_name: &TypeName,
    begun: Result<Progress, ProviderError>,
) -> Result<Progress, ProviderError> {
    let mut progress = begun?;
    for _ in 0..600 {
        if progress.status != Status::InProgress {
            return Ok(progress);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let operation = progress.operation.expect("an operation to ask about");
        progress = provider.poll(type_name, &operation).await?;
    }
    panic!("it does not end: {progress:?}");
}

async fn done(
    provider: &dyn Provider,
    type_name: &TypeName,
    begun: Result<Progress, ProviderError>,
) -> Progress {
    let progress = ended(provider, type_name, begun).await.unwrap();
    assert_eq!(progress.status, Status::Success, "{progress:?}");
    progress
}
