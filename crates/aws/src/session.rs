//! Who we are towards AWS, and how we get there: credentials, region, endpoint, one HTTP connection pool.
//!
//! Credentials come from AWS's own chain (environment, profile, SSO, web identity, container, instance metadata), unless
//! they are given. Nothing here retries: whoever drives the calls does. Secrets are in no `Debug` and no error.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider as Tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::error::display::DisplayErrorContext;
use catalog::ids::Region;
use tokio::sync::Mutex;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take to begin. Cloud Control answers within seconds; a slow read handler can take longer.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// How long one call may take from beginning to end.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Credentials are fetched anew when they are valid for less than this.
const EXPIRY_MARGIN: Duration = Duration::from_secs(300);

/// Given credentials, for the sandbox and tests. Never printed.
#[derive(Clone)]
pub struct StaticCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticCredentials({})", self.access_key_id)
    }
}

/// What a [`Session`] is made of.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// One address for every service instead of AWS's own; `AWS_ENDPOINT_URL` and the profile's `endpoint_url` count if it
    /// is not given.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Region,
    /// Given credentials instead of AWS's own chain.
    pub credentials: Option<StaticCredentials>,
    /// The profile of `~/.aws/config`; `AWS_PROFILE` counts if it is not given.
    pub profile: Option<String>,
}

/// Why there is no session, or no credentials in it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No source of AWS's chain has credentials.
    #[error(
        "no AWS credentials were found: set AWS_PROFILE, run `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    /// A source has credentials but could not give them.
    #[error("the AWS credentials can't be used: {reason}")]
    Credentials {
        /// In the words of the source; no secret is in it.
        reason: String,
    },
    /// The endpoint is not a URL.
    #[error("the endpoint `{endpoint}` is not a URL such as http://127.0.0.1:4577")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
}

/// Credentials, region, endpoint and connections, shared by everything that talks to AWS. Cloning is cheap.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    config: SdkConfig,
    region: Region,
    endpoint: Option<String>,
    connector: SharedHttpConnector,
    credentials: SharedCredentialsProvider,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("region", &self.inner.region)
            .field("endpoint", &self.inner.endpoint)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Reads the configuration. Credentials are fetched at the first call.
    ///
    /// # Errors
    ///
    /// When the endpoint is not a URL.
    pub async fn new(options: SessionOptions) -> Result<Self, SessionError> {
        // A proxy is no way to this machine. (The configuration is read with the client that this decides on.)
        let named = options
            .endpoint
            .clone()
            .or_else(|| std::env::var("AWS_ENDPOINT_URL").ok());
        let loopback = named.as_deref().is_some_and(is_loopback);
        let connector = SharedHttpConnector::new(connector(
            HttpConnectorSettings::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .build(),
            loopback,
        ));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(aws_config::Region::new(options.region.as_str().to_owned()))
            .http_client(client(connector.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(READ_TIMEOUT)
                    .operation_timeout(CALL_TIMEOUT)
                    .build(),
            );
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(given) = options.credentials {
            loader = loader.credentials_provider(Credentials::new(
                given.access_key_id,
                given.secret_access_key,
                given.session_token,
                None,
                "given",
            ));
        }
        let config = loader.load().await;
        let endpoint = config
            .endpoint_url()
            .map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        if let Some(endpoint) = &endpoint {
            let uri: Option<http::Uri> = endpoint.parse().ok();
            if uri.is_none_or(|uri| uri.scheme().is_none() || uri.authority().is_none()) {
                return Err(SessionError::Endpoint {
                    endpoint: endpoint.clone(),
                });
            }
        }
        let chain = config
            .credentials_provider()
            .ok_or(SessionError::NoCredentials)?;
        let credentials = SharedCredentialsProvider::new(Cached {
            chain,
            last: Mutex::new(None),
        });
        let config = config
            .into_builder()
            .credentials_provider(credentials.clone())
            .build();
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                region: options.region,
                endpoint,
                connector,
                credentials,
            }),
        })
    }

    /// The region.
    pub fn region(&self) -> &Region {
        &self.inner.region
    }

    /// The address that stands in for every service, if there is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.inner.endpoint.as_deref()
    }

    /// The credentials, from the chain or kept from before. They stay in memory until shortly before they expire.
    pub(crate) async fn credentials(&self) -> Result<Credentials, SessionError> {
        self.inner
            .credentials
            .provide_credentials()
            .await
            .map_err(|error| match error {
                CredentialsError::CredentialsNotLoaded(_) => SessionError::NoCredentials,
                // The last of the chain: there is no instance whose role could be asked for.
                ref other
                    if format!("{}", DisplayErrorContext(other)).contains("FailedToLoadToken") =>
                {
                    SessionError::NoCredentials
                }
                other => SessionError::Credentials {
                    reason: DisplayErrorContext(&other).to_string(),
                },
            })
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.inner.config
    }

    pub(crate) fn connector(&self) -> &SharedHttpConnector {
        &self.inner.connector
    }
}

/// The shared connector for calls with our timeouts, a fresh one for who asks for others (instance metadata does, with a
/// short one, so that a machine outside of AWS finds out soon).
fn client(shared: SharedHttpConnector) -> SharedHttpClient {
    http_client_fn(move |settings, _| {
        let ours = settings.connect_timeout() == Some(CONNECT_TIMEOUT)
            && settings.read_timeout() == Some(READ_TIMEOUT);
        if ours {
            shared.clone()
        } else {
            SharedHttpConnector::new(connector(settings.clone(), false))
        }
    })
}

fn connector(settings: HttpConnectorSettings, direct: bool) -> Connector {
    let proxy = if direct {
        ProxyConfig::disabled()
    } else {
        ProxyConfig::from_env()
    };
    ConnectorBuilder::default()
        .connector_settings(settings)
        .proxy_config(proxy)
        .tls_provider(Tls::Rustls(CryptoMode::Ring))
        .build()
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint
        .parse::<http::Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned))
        .unwrap_or_default();
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Keeps what the chain gave until shortly before it expires.
#[derive(Debug)]
struct Cached {
    chain: SharedCredentialsProvider,
    last: Mutex<Option<Credentials>>,
}

impl ProvideCredentials for Cached {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            // Held over the fetch on purpose: many calls at once fetch once.
            let mut last = self.last.lock().await;
            let still_good = |credentials: &Credentials| {
                credentials
                    .expiry()
                    .is_none_or(|expiry| SystemTime::now() + EXPIRY_MARGIN < expiry)
            };
            if let Some(credentials) = last.as_ref().filter(|credentials| still_good(credentials)) {
                return Ok(credentials.clone());
            }
            let fresh = self.chain.provide_credentials().await?;
            *last = Some(fresh.clone());
            Ok(fresh)
        })
    }
}
