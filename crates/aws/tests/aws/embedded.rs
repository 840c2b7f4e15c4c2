//! An embedded AWS in this process, and a provider that talks to it.

use std::time::Duration;

use aws::{AwsProvider, Session, SessionOptions, StaticCredentials};
use catalog::TypeName;
use catalog::ids::{ClientToken, EnvironmentName, Identifier, PlatformName, Region};
use engine::provider::{Payload, Progress, Provider, ProviderError, Status};
use graph::Scope;
use sandbox::{Faults, ServeOptions, Server, TimeScale};
use serde_json::Value;

pub const REGION: &str = "eu-central-1";

/// A server on a world of its own.
pub struct Embedded {
    pub server: Server,
    region: &'static str,
    _dir: tempfile::TempDir,
}

impl Embedded {
    /// Nothing takes time there.
    pub fn instant() -> Self {
        Self::with(TimeScale::Max, Faults::default())
    }

    pub fn with(time_scale: TimeScale, faults: Faults) -> Self {
        Self::in_region(REGION, time_scale, faults)
    }

    pub fn in_region(region: &'static str, time_scale: TimeScale, faults: Faults) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = ServeOptions {
            dir: dir.path().to_owned(),
            port: Some(0),
            time_scale,
            region: region.to_owned(),
            seed: Some(1),
            ..ServeOptions::default()
        };
        Self {
            server: Server::start(options, faults).unwrap(),
            region,
            _dir: dir,
        }
    }

    pub async fn session(&self) -> Session {
        let given = self.server.credentials();
        self.session_as(&given.access_key_id, &given.secret_access_key)
            .await
    }

    pub async fn session_as(&self, id: &str, secret: &str) -> Session {
        Session::new(SessionOptions {
            endpoint: Some(self.server.endpoint()),
            region: Region::new(self.region).unwrap(),
            credentials: Some(StaticCredentials {
                access_key_id: id.to_owned(),
                secret_access_key: secret.to_owned(),
                session_token: None,
            }),
            profile: None,
        })
        .await
        .unwrap()
    }

    /// How many resources there are in its world.
    pub async fn resources(&self) -> usize {
        let dir = self.server.dir().to_owned();
        let status = tokio::task::spawn_blocking(move || sandbox::process::status(&dir));
        let status = status.await.unwrap().unwrap().expect("it runs");
        status.overview.resources.values().sum()
    }

    pub async fn provider(&self) -> AwsProvider {
        AwsProvider::new(self.session().await)
    }
}

pub fn scope() -> Scope {
    Scope {
        platform: PlatformName::new("shop").unwrap(),
        environment: EnvironmentName::new("dev").unwrap(),
        region: Region::new(REGION).unwrap(),
    }
}

pub fn token() -> ClientToken {
    ClientToken::new(uuid::Uuid::new_v4().to_string()).unwrap()
}

/// Waits for the end of an operation, as the engine does.
pub async fn settle(
    provider: &AwsProvider,
    type_name: &TypeName,
    mut progress: Progress,
) -> Result<Option<Identifier>, ProviderError> {
    let mut identifier = progress.identifier.clone();
    for _ in 0..2_000 {
        match progress.status {
            Status::Success => return Ok(identifier),
            Status::Failed(error) => return Err(error),
            Status::InProgress => {}
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        let operation = progress.operation.expect("what goes on has a token");
        progress = provider.poll(type_name, &operation).await?;
        identifier = progress.identifier.clone().or(identifier);
    }
    panic!("{type_name} does not end")
}

pub async fn create(
    provider: &AwsProvider,
    type_name: &TypeName,
    desired: &Value,
) -> Result<Identifier, ProviderError> {
    let progress = provider
        .begin_create(type_name, &Payload::new(desired.clone()), &token())
        .await?;
    Ok(settle(provider, type_name, progress)
        .await?
        .expect("what was created has an identifier"))
}
