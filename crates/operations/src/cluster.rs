//! The way into an environment's cluster: for the engine, for kubectl, for whoever asks with a token.

use std::sync::Arc;

use async_trait::async_trait;
use aws::AwsProvider;
use catalog::TypeName;
use catalog::ids::Identifier;
use engine::patiently;
use engine::provider::{ErrorClass, Provider, ProviderError};
use jiff::Timestamp;
use kubernetes::{ClusterAccess, Clusters, Token};
use serde_json::{Value as Json, json};

use crate::error::Error;
use crate::scope::Wanted;
use crate::target::Target;

const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");

/// The clusters of an account and region, as AWS tells of them, with tokens as the session's credentials.
#[derive(Debug)]
pub struct EksClusters {
    aws: Arc<AwsProvider>,
}

impl EksClusters {
    pub(crate) fn new(aws: Arc<AwsProvider>) -> Self {
        Self { aws }
    }
}

fn unusable(code: &str, class: ErrorClass, message: String) -> ProviderError {
    ProviderError {
        class,
        code: code.to_owned(),
        message,
    }
}

#[async_trait]
impl Clusters for EksClusters {
    async fn access(&self, cluster: &str) -> Result<Option<ClusterAccess>, ProviderError> {
        let identifier = Identifier::new(cluster).map_err(|error| {
            unusable("InvalidIdentifier", ErrorClass::Terminal, error.to_string())
        })?;
        let Some(model) = self.aws.read(&CLUSTER, &identifier).await? else {
            return Ok(None);
        };
        let Some(endpoint) = model["Endpoint"].as_str().filter(|text| !text.is_empty()) else {
            return Err(unusable(
                "NoEndpoint",
                ErrorClass::NotReady,
                format!("the cluster {cluster} has no API server yet"),
            ));
        };
        let certificate_authority = match model["CertificateAuthorityData"].as_str() {
            Some(encoded) if !encoded.is_empty() => Some(pem(encoded).ok_or_else(|| {
                unusable(
                    "MalformedResponse",
                    ErrorClass::Terminal,
                    format!("the certificate authority of the cluster {cluster} is no Base64"),
                )
            })?),
            _ => None,
        };
        let token = self.aws.session().eks_token(cluster).await?;
        Ok(Some(ClusterAccess {
            endpoint: endpoint.to_owned(),
            certificate_authority,
            token: Some(Token {
                text: token.text,
                expires: Some(token.expires),
            }),
        }))
    }
}

fn pem(encoded: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// A token for an environment's cluster, as the `ExecCredential` that kubectl and its kind ask their plugins for.
///
/// # Errors
///
/// When the environment has no cluster, or there are no credentials.
pub async fn token(wanted: &Wanted, target: &Target) -> Result<Json, Error> {
    let cluster = cluster_of(wanted)?;
    target.check_region(&wanted.platform.region)?;
    let session = target.session(&wanted.platform.region).await?;
    let token = session
        .eks_token(&cluster)
        .await
        .map_err(|error| Error::Session(Box::new(error)))?;
    let expires = Timestamp::try_from(token.expires)
        .map_err(|error| Error::Session(Box::new(error)))?
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    Ok(json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": { "interactive": false },
        "status": { "expirationTimestamp": expires, "token": token.text },
    }))
}

/// The way into an environment's cluster as AWS tells it now.
///
/// # Errors
///
/// When the environment has no cluster, or it is not deployed.
pub async fn access(wanted: &Wanted, target: &Target) -> Result<ClusterAccess, Error> {
    let cluster = cluster_of(wanted)?;
    let connection = target.connect(wanted).await?;
    let ask = || connection.clusters.access(&cluster);
    let access = patiently(target.pace, ask)
        .await
        .map_err(|source| Error::Aws {
            doing: format!("could not ask for the cluster {cluster}"),
            source,
        })?;
    access.ok_or_else(|| Error::NotDeployed {
        environment: wanted.scope().environment.clone(),
        cluster,
    })
}

fn cluster_of(wanted: &Wanted) -> Result<String, Error> {
    wanted.cluster().ok_or_else(|| Error::NoCluster {
        environment: wanted.scope().environment.clone(),
    })
}
