//! The engine's port, on AWS: each type goes to Cloud Control or, where Cloud Control does not take it, to its own API.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use catalog::compare::differences;
use catalog::ids::{AccountId, Address, ClientToken, Identifier, RequestToken};
use catalog::{Provisioning, ResourceSchema, TypeName};
use engine::Pace;
use engine::provider::{
    ErrorClass, Owned, Payload, Progress, Provider, ProviderError, SecretText, Status,
};
use graph::Scope;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cloud_control::CloudControl;
use crate::endpoint::Service;
use crate::find::{self, Sought};
use crate::identity::CallerIdentity;
use crate::leavings::{Leavings, When};
use crate::session::Session;
use crate::{budgets, certificate, leavings, route53_records};

/// Shorter texts are not taken out of messages: they would be all over them.
const SHORTEST_SECRET: usize = 6;

/// Makes, reads, changes and deletes AWS resources through a [`Session`].
///
/// It keeps no state but what saves calls: the caller's account, the notes of operations under way, and the secrets that it
/// has read, so that no error message can repeat one.
#[derive(Debug)]
pub struct AwsProvider {
    session: Session,
    cloud_control: CloudControl,
    account: OnceCell<AccountId>,
    pace: Pace,
    notes: Mutex<HashMap<RequestToken, String>>,
    secrets: Mutex<Secrets>,
}

#[derive(Default)]
struct Secrets(BTreeSet<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Who manages a type.
enum Manager {
    CloudControl(&'static ResourceSchema),
    Route53Records,
    Budgets,
}

impl AwsProvider {
    /// A provider that calls as the session says.
    pub fn new(session: Session) -> Self {
        Self {
            cloud_control: CloudControl::new(&session),
            session,
            account: OnceCell::new(),
            pace: Pace::REAL,
            notes: Mutex::default(),
            secrets: Mutex::default(),
        }
    }

    /// The same, where time goes at another pace: what it gives up on after a while it gives up on sooner.
    #[must_use]
    pub fn at_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The session that it calls by.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The IAM principal that deploys: what `Parameter::Deployer` stands for.
    ///
    /// A role session's ARN has no path, and EKS wants the role's whole ARN, so the role is read. A caller who may not read
    /// it gets the ARN without a path, which is right for every role that has none.
    ///
    /// # Errors
    ///
    /// When STS does not say who the caller is.
    pub async fn deployer(&self) -> Result<String, ProviderError> {
        const ROLE: TypeName = TypeName::new("AWS::IAM::Role");
        let identity = CallerIdentity::fetch(&self.session).await?;
        let principal = identity.principal();
        let role = principal
            .split_once(":role/")
            .and_then(|(_, name)| Identifier::new(name).ok());
        let Some(role) = role.filter(|_| principal != identity.arn) else {
            return Ok(principal);
        };
        Ok(match self.cloud_control.read(&ROLE, &role).await {
            Ok(Some(model)) => model["Arn"].as_str().map_or(principal, str::to_owned),
            Ok(None) | Err(_) => principal,
        })
    }

    fn manager(type_name: &TypeName) -> Result<Manager, ProviderError> {
        match type_name.as_str() {
            "AWS::Route53::RecordSet" => return Ok(Manager::Route53Records),
            "AWS::Budgets::Budget" => return Ok(Manager::Budgets),
            _ => {}
        }
        let unsupported = |message: String| ProviderError {
            class: ErrorClass::Terminal,
            code: "UnsupportedType".to_owned(),
            message,
        };
        let schema = catalog::schema(type_name)
            .ok_or_else(|| unsupported(format!("the catalog does not know {type_name}")))?;
        if schema.provisioning() == Provisioning::NonProvisionable {
            return Err(unsupported(format!(
                "Cloud Control does not take {type_name}, and there is no other way to it here"
            )));
        }
        Ok(Manager::CloudControl(schema))
    }

    async fn account(&self) -> Result<&AccountId, ProviderError> {
        self.account
            .get_or_try_init(|| async { Ok(CallerIdentity::fetch(&self.session).await?.account) })
            .await
    }

    /// An error without the secrets that this provider has read.
    fn redacted(&self, mut error: ProviderError) -> ProviderError {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in &secrets.0 {
            if error.message.contains(secret) {
                error.message = error.message.replace(secret, "(secret)");
            }
        }
        error
    }

    fn clean(&self, result: Result<Progress, ProviderError>) -> Result<Progress, ProviderError> {
        match result {
            Ok(Progress {
                status: Status::Failed(error),
                operation,
                identifier,
                retry_after,
                note,
            }) => Ok(Progress {
                status: Status::Failed(self.redacted(error)),
                operation,
                identifier,
                retry_after,
                note,
            }),
            Ok(progress) => Ok(progress),
            Err(error) => Err(self.redacted(error)),
        }
    }

    fn remember(&self, secret: &str) {
        if secret.len() >= SHORTEST_SECRET {
            self.secrets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .insert(secret.to_owned());
        }
    }

    /// The progress of a deletion: of a cluster's, with what it leaves, or what holds it.
    async fn with_leavings(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        progress: Progress,
    ) -> Result<Progress, ProviderError> {
        let when = match &progress.status {
            _ if *type_name != leavings::CLUSTER => return Ok(progress),
            Status::Success => When::After,
            status if leavings::is_held(status) => When::Before,
            _ => return Ok(progress),
        };
        let leavings = Leavings::of(identifier, when);
        let left = leavings
            .remove(&self.session, &self.cloud_control, self.pace)
            .await?;
        Ok(match (when, &left.status) {
            // Whatever holds it is nothing that a cluster leaves.
            (When::Before, Status::Success) => progress,
            _ => left,
        })
    }

    async fn poll_leavings(&self, leavings: &Leavings) -> Result<Progress, ProviderError> {
        let left = leavings
            .remove(&self.session, &self.cloud_control, self.pace)
            .await?;
        match leavings.holds() {
            Some(cluster) if left.status == Status::Success => {
                let token = ClientToken::new(uuid::Uuid::new_v4().to_string());
                let token = token.map_err(|error| ProviderError {
                    class: ErrorClass::Terminal,
                    code: "Internal".to_owned(),
                    message: error.to_string(),
                })?;
                let again = self
                    .cloud_control
                    .delete(&leavings::CLUSTER, cluster, &token)
                    .await?;
                self.with_leavings(&leavings::CLUSTER, cluster, again).await
            }
            _ => Ok(left),
        }
    }

    async fn note(&self, operation: &RequestToken, certificate: &Identifier) -> Option<String> {
        let known = self
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(operation)
            .cloned();
        if known.is_some() {
            return known;
        }
        let note = certificate::note(&self.session, certificate).await?;
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(operation.clone(), note.clone());
        Some(note)
    }
}

#[async_trait]
impl Provider for AwsProvider {
    async fn begin_create(
        &self,
        type_name: &TypeName,
        desired: &Payload,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let desired = desired.expose();
        let result = match Self::manager(type_name)? {
            Manager::CloudControl(_) => self.cloud_control.create(type_name, desired, token).await,
            Manager::Route53Records => route53_records::create(&self.session, desired).await,
            Manager::Budgets => {
                budgets::create(&self.session, self.account().await?, desired).await
            }
        };
        self.clean(result)
    }

    async fn begin_update(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        desired: &Payload,
        previous: &Value,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let desired = desired.expose();
        let result = match Self::manager(type_name)? {
            Manager::CloudControl(schema) => {
                self.cloud_control
                    .update(schema, identifier, desired, previous, token)
                    .await
            }
            Manager::Route53Records => {
                route53_records::update(&self.session, identifier, desired).await
            }
            Manager::Budgets => {
                budgets::update(&self.session, self.account().await?, identifier, desired).await
            }
        };
        self.clean(result)
    }

    async fn begin_delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let result = match Self::manager(type_name)? {
            Manager::CloudControl(_) => {
                let deleted = self
                    .cloud_control
                    .delete(type_name, identifier, token)
                    .await;
                match deleted {
                    Ok(progress) => self.with_leavings(type_name, identifier, progress).await,
                    refused => refused,
                }
            }
            Manager::Route53Records => route53_records::delete(&self.session, identifier).await,
            Manager::Budgets => {
                budgets::delete(&self.session, self.account().await?, identifier).await
            }
        };
        self.clean(result)
    }

    async fn poll(
        &self,
        type_name: &TypeName,
        operation: &RequestToken,
    ) -> Result<Progress, ProviderError> {
        if let Some(leavings) = Leavings::from_token(operation) {
            return self.clean(self.poll_leavings(&leavings).await);
        }
        let mut progress = match Self::manager(type_name)? {
            Manager::CloudControl(_) => {
                let (deletion, progress) = self.cloud_control.poll(operation).await?;
                let progress = self.clean(Ok(progress))?;
                match progress.identifier.clone() {
                    Some(cluster) if deletion => {
                        self.with_leavings(type_name, &cluster, progress).await?
                    }
                    _ => progress,
                }
            }
            Manager::Route53Records => route53_records::poll(&self.session, operation).await?,
            // Every call of it is done when it returns, so there is no operation to ask about.
            Manager::Budgets => {
                return Err(ProviderError {
                    class: ErrorClass::OperationUnknown,
                    code: "RequestTokenNotFound".to_owned(),
                    message: "budgets have no operations".to_owned(),
                });
            }
        };
        if *type_name == "AWS::CertificateManager::Certificate"
            && progress.status == Status::InProgress
            && let Some(certificate) = &progress.identifier
        {
            progress.note = self.note(operation, certificate).await;
        }
        Ok(progress)
    }

    async fn read(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Option<Value>, ProviderError> {
        match Self::manager(type_name)? {
            Manager::CloudControl(_) => self.cloud_control.read(type_name, identifier).await,
            Manager::Route53Records => route53_records::read(&self.session, identifier).await,
            Manager::Budgets => {
                budgets::read(&self.session, self.account().await?, identifier).await
            }
        }
    }

    async fn find(
        &self,
        scope: &Scope,
        address: &Address,
        type_name: &TypeName,
        desired: &Value,
    ) -> Result<Option<Identifier>, ProviderError> {
        let identifier = match Self::manager(type_name)? {
            Manager::CloudControl(schema) => {
                let sought = Sought {
                    scope,
                    address,
                    schema,
                    desired,
                };
                return find::find(&self.session, &self.cloud_control, &sought).await;
            }
            Manager::Route53Records => route53_records::identifier(&self.session, desired).await?,
            Manager::Budgets => budgets::identifier(desired)?,
        };
        let Some(live) = self.read(type_name, &identifier).await? else {
            return Ok(None);
        };
        let Some(schema) = catalog::schema(type_name) else {
            return Ok(None);
        };
        let ours = if schema.tagging().taggable {
            crate::tags::belongs_to(&schema.tagging().read(&live), scope)
        } else {
            // A record has no tags. One that says just what ours would is as good as ours; another one is somebody's.
            differences(schema, desired, &live).is_empty()
        };
        Ok(ours.then_some(identifier))
    }

    async fn owned(&self, scope: &Scope) -> Result<Vec<Owned>, ProviderError> {
        find::owned(&self.session, &self.cloud_control, scope).await
    }

    async fn secret(
        &self,
        secret: &Identifier,
        key: Option<&str>,
    ) -> Result<SecretText, ProviderError> {
        let input = json!({"SecretId": secret});
        let answer = self
            .session
            .json(Service::SecretsManager, "GetSecretValue", &input)
            .await
            .map_err(|error| {
                let error = ProviderError::from(error);
                // A secret that was made a moment ago has no current version for a while.
                match error.class {
                    ErrorClass::NotFound => ProviderError {
                        class: ErrorClass::Propagation,
                        ..error
                    },
                    _ => error,
                }
            })?;
        let unusable = |message: String| ProviderError {
            class: ErrorClass::Terminal,
            code: "UnusableSecret".to_owned(),
            message,
        };
        let text = answer["SecretString"]
            .as_str()
            .ok_or_else(|| unusable(format!("the secret {secret} is no text")))?;
        self.remember(text);
        let Some(key) = key else {
            return Ok(SecretText::new(text.to_owned()));
        };
        let value = serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|document| match document.get(key)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .ok_or_else(|| unusable(format!("the secret {secret} has no key `{key}`")))?;
        self.remember(&value);
        Ok(SecretText::new(value))
    }
}
