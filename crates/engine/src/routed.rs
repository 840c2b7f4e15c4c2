//! One provider of several: each type goes to the one that makes its resources.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use catalog::ids::{Address, ClientToken, Identifier, RequestToken};
use catalog::{Realm, TypeName};
use graph::Scope;
use serde_json::Value as Json;

use crate::provider::{Owned, Payload, Progress, Provider, ProviderError, SecretText, Status};

/// Shorter texts are not taken out of messages: they would be all over them.
const SHORTEST_SECRET: usize = 6;

/// What is in AWS goes to one provider, what is in a cluster to another. Secrets are AWS's; none that was read is repeated
/// by an error of the other one.
pub struct Routed {
    aws: Arc<dyn Provider>,
    cluster: Arc<dyn Provider>,
    secrets: Mutex<BTreeSet<String>>,
}

impl Routed {
    /// One of two.
    pub fn new(aws: Arc<dyn Provider>, cluster: Arc<dyn Provider>) -> Self {
        Self {
            aws,
            cluster,
            secrets: Mutex::default(),
        }
    }

    fn of(&self, type_name: &TypeName) -> &dyn Provider {
        match type_name.realm() {
            Realm::Aws => &*self.aws,
            Realm::Kubernetes | Realm::Helm => &*self.cluster,
        }
    }

    fn redact(&self, text: &mut String) {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets.iter() {
            if text.contains(secret) {
                *text = text.replace(secret, "(secret)");
            }
        }
    }

    fn clean<T>(&self, result: Result<T, ProviderError>) -> Result<T, ProviderError> {
        result.map_err(|mut error| {
            self.redact(&mut error.message);
            error
        })
    }

    fn clean_progress(
        &self,
        result: Result<Progress, ProviderError>,
    ) -> Result<Progress, ProviderError> {
        let mut progress = self.clean(result)?;
        if let Status::Failed(error) = &mut progress.status {
            self.redact(&mut error.message);
        }
        if let Some(note) = &mut progress.note {
            self.redact(note);
        }
        Ok(progress)
    }
}

#[async_trait]
impl Provider for Routed {
    async fn begin_create(
        &self,
        type_name: &TypeName,
        desired: &Payload,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let provider = self.of(type_name);
        self.clean_progress(provider.begin_create(type_name, desired, token).await)
    }

    async fn begin_update(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        desired: &Payload,
        previous: &Json,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let result = self
            .of(type_name)
            .begin_update(type_name, identifier, desired, previous, token);
        self.clean_progress(result.await)
    }

    async fn begin_delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let provider = self.of(type_name);
        self.clean_progress(provider.begin_delete(type_name, identifier, token).await)
    }

    async fn poll(
        &self,
        type_name: &TypeName,
        operation: &RequestToken,
    ) -> Result<Progress, ProviderError> {
        self.clean_progress(self.of(type_name).poll(type_name, operation).await)
    }

    async fn read(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Option<Json>, ProviderError> {
        self.clean(self.of(type_name).read(type_name, identifier).await)
    }

    async fn observe(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        applied: &Json,
    ) -> Result<Option<Json>, ProviderError> {
        let provider = self.of(type_name);
        self.clean(provider.observe(type_name, identifier, applied).await)
    }

    async fn find(
        &self,
        scope: &Scope,
        address: &Address,
        type_name: &TypeName,
        desired: &Json,
    ) -> Result<Option<Identifier>, ProviderError> {
        let provider = self.of(type_name);
        self.clean(provider.find(scope, address, type_name, desired).await)
    }

    async fn owned(&self, scope: &Scope) -> Result<Vec<Owned>, ProviderError> {
        let mut owned = self.aws.owned(scope).await?;
        owned.extend(self.clean(self.cluster.owned(scope).await)?);
        Ok(owned)
    }

    async fn secret(
        &self,
        secret: &Identifier,
        key: Option<&str>,
    ) -> Result<SecretText, ProviderError> {
        let text = self.aws.secret(secret, key).await?;
        if text.expose().len() >= SHORTEST_SECRET {
            self.secrets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(text.expose().to_owned());
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::ErrorClass;

    /// In AWS it has one secret; in a cluster it repeats it.
    struct Talkative;

    fn refusal() -> ProviderError {
        ProviderError {
            class: ErrorClass::Terminal,
            code: "Invalid".to_owned(),
            message: "the value hunter2! is wrong".to_owned(),
        }
    }

    #[async_trait]
    impl Provider for Talkative {
        async fn begin_create(
            &self,
            _: &TypeName,
            _: &Payload,
            _: &ClientToken,
        ) -> Result<Progress, ProviderError> {
            Err(refusal())
        }

        async fn begin_update(
            &self,
            _: &TypeName,
            _: &Identifier,
            _: &Payload,
            _: &Json,
            _: &ClientToken,
        ) -> Result<Progress, ProviderError> {
            Ok(Progress {
                operation: None,
                identifier: None,
                status: Status::Failed(refusal()),
                retry_after: None,
                note: Some("hunter2! was tried".to_owned()),
            })
        }

        async fn begin_delete(
            &self,
            _: &TypeName,
            _: &Identifier,
            _: &ClientToken,
        ) -> Result<Progress, ProviderError> {
            Err(refusal())
        }

        async fn poll(&self, _: &TypeName, _: &RequestToken) -> Result<Progress, ProviderError> {
            Err(refusal())
        }

        async fn read(&self, _: &TypeName, _: &Identifier) -> Result<Option<Json>, ProviderError> {
            Err(refusal())
        }

        async fn find(
            &self,
            _: &Scope,
            _: &Address,
            _: &TypeName,
            _: &Json,
        ) -> Result<Option<Identifier>, ProviderError> {
            Err(refusal())
        }

        async fn owned(&self, _: &Scope) -> Result<Vec<Owned>, ProviderError> {
            Err(refusal())
        }

        async fn secret(
            &self,
            _: &Identifier,
            _: Option<&str>,
        ) -> Result<SecretText, ProviderError> {
            Ok(SecretText::new("hunter2!".to_owned()))
        }
    }

    #[tokio::test]
    async fn a_secret_that_was_read_is_repeated_by_no_error() {
        let routed = Routed::new(Arc::new(Talkative), Arc::new(Talkative));
        let type_name = TypeName::kubernetes("v1", "Secret").unwrap();
        let identifier = Identifier::new("c|n|s").unwrap();
        let token = ClientToken::new("t").unwrap();
        let payload = Payload::new(Json::Null);
        routed.secret(&identifier, None).await.unwrap();
        let refused = routed.begin_create(&type_name, &payload, &token).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.message, "the value (secret) is wrong");
        let failed = routed
            .begin_update(&type_name, &identifier, &payload, &Json::Null, &token)
            .await
            .unwrap();
        assert!(!format!("{failed:?}").contains("hunter2"), "{failed:?}");
        let read = routed.observe(&type_name, &identifier, &Json::Null).await;
        assert!(!read.unwrap_err().message.contains("hunter2"));
    }
}
