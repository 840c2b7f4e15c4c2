//! The way into a cluster: where its API server is, whose certificate it shows, and as whom we come.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use engine::provider::ProviderError;

/// A bearer token. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text.
    pub text: String,
    /// Until when it is good; none when nobody knows.
    pub expires: Option<SystemTime>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(…, until {:?})", self.expires)
    }
}

/// The way into one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterAccess {
    /// The API server's URL.
    pub endpoint: String,
    /// The certificates that its own is signed by, as PEM; the machine's own trusted ones when none.
    pub certificate_authority: Option<String>,
    /// As whom; nobody when none.
    pub token: Option<Token>,
}

/// Knows the ways into clusters.
#[async_trait]
pub trait Clusters: Send + Sync {
    /// The way into a cluster as it is now, with a token that was made now; none when there is no such cluster.
    async fn access(&self, cluster: &str) -> Result<Option<ClusterAccess>, ProviderError>;
}

/// One cluster by its endpoint, certificate and token, whatever it runs on.
#[derive(Debug, Clone)]
pub struct OneCluster {
    /// The name by which resources refer to it.
    pub name: String,
    /// The way into it.
    pub access: ClusterAccess,
}

#[async_trait]
impl Clusters for OneCluster {
    async fn access(&self, cluster: &str) -> Result<Option<ClusterAccess>, ProviderError> {
        Ok((cluster == self.name).then(|| self.access.clone()))
    }
}
