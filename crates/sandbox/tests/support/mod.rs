//! A server in this process and real AWS clients that talk to it.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudcontrol::Client;
use aws_sdk_cloudcontrol::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_cloudcontrol::types::{OperationStatus, ProgressEvent};
use seaworthy_sandbox::clock::ManualClock;
use seaworthy_sandbox::{Faults, ServeOptions, Server, TimeScale};
use serde_json::Value;
use tempfile::TempDir;

/// A server on a world of its own, with a clock that the test moves.
pub struct Sandbox {
    /// Removed with the sandbox.
    _dir: TempDir,
    pub clock: Arc<ManualClock>,
    pub options: ServeOptions,
    server: Option<Server>,
}

impl Sandbox {
    /// One modelled second a wall second; time passes only by [`pass`](Self::pass).
    pub fn start() -> Self {
        Self::with(TimeScale::Times(1.0), Faults::default(), |_| ())
    }

    /// Nothing takes time.
    pub fn instant() -> Self {
        Self::with(TimeScale::Max, Faults::default(), |_| ())
    }

    pub fn with(
        time_scale: TimeScale,
        faults: Faults,
        set: impl FnOnce(&mut ServeOptions),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = ServeOptions {
            dir: dir.path().to_owned(),
            port: Some(0),
            time_scale,
            seed: Some(1),
            ..ServeOptions::default()
        };
        set(&mut options);
        let mut sandbox = Self {
            _dir: dir,
            clock: Arc::default(),
            options,
            server: None,
        };
        sandbox.restart(faults);
        sandbox
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Kills the server if it runs, and starts it on the same world.
    pub fn restart(&mut self, faults: Faults) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
        self.clock = Arc::default();
        self.server = Some(
            Server::start_with_clock(self.options.clone(), faults, self.clock.clone()).unwrap(),
        );
    }

    /// Ends the server as a user would.
    pub fn end(&mut self) {
        self.server.take().unwrap().shutdown();
    }

    /// Waits for the end that a fault ordered.
    pub fn ended(&mut self) {
        self.server.take().unwrap().wait();
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A client that tries nothing twice.
    pub fn client(&self) -> Client {
        let credentials = self.server().credentials();
        self.client_with(
            &credentials.access_key_id,
            &credentials.secret_access_key,
            "us-east-1",
        )
    }

    pub fn client_with(&self, key: &str, secret: &str, region: &str) -> Client {
        let config = aws_sdk_cloudcontrol::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(self.server().endpoint())
            .credentials_provider(Credentials::new(key, secret, None, None, "test"))
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }
}

/// Begins a creation.
pub async fn begin(client: &Client, type_name: &str, desired: &Value) -> ProgressEvent {
    let call = client
        .create_resource()
        .type_name(type_name)
        .desired_state(desired.to_string());
    call.send().await.unwrap().progress_event.unwrap()
}

/// Creates something that takes no time, and gives its identifier.
pub async fn create(client: &Client, type_name: &str, desired: &Value) -> String {
    let event = begin(client, type_name, desired).await;
    assert_eq!(
        event.operation_status,
        Some(OperationStatus::Success),
        "{type_name}: {event:?}"
    );
    event.identifier.unwrap()
}

pub async fn status(client: &Client, event: &ProgressEvent) -> ProgressEvent {
    let call = client
        .get_resource_request_status()
        .request_token(event.request_token().unwrap());
    call.send().await.unwrap().progress_event.unwrap()
}

/// The properties as GetResource has them.
pub async fn read(client: &Client, type_name: &str, identifier: &str) -> Option<Value> {
    let got = client
        .get_resource()
        .type_name(type_name)
        .identifier(identifier)
        .send()
        .await;
    let description = got.ok()?.resource_description?;
    Some(serde_json::from_str(description.properties()?).unwrap())
}

/// The error code of a call that fails.
pub fn code<T: std::fmt::Debug, E>(
    result: Result<T, aws_sdk_cloudcontrol::error::SdkError<E>>,
) -> (String, String)
where
    E: aws_sdk_cloudcontrol::error::ProvideErrorMetadata + std::fmt::Debug,
{
    let error = result.unwrap_err();
    let metadata = error
        .as_service_error()
        .map(aws_sdk_cloudcontrol::error::ProvideErrorMetadata::meta);
    let metadata = metadata.unwrap_or_else(|| panic!("not an answer of the service: {error:?}"));
    (
        metadata.code().unwrap_or_default().to_owned(),
        metadata.message().unwrap_or_default().to_owned(),
    )
}
