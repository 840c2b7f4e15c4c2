//! A small cloud in memory: asynchronous operations, client tokens, names that are unique, and whatever goes wrong that a
//! test asks for. It knows no resource type; the embedded AWS does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use catalog::TypeName;
use catalog::ids::{Address, ClientToken, Identifier, RequestToken};
use graph::Scope;
use seaworthy_engine::Provider;
use seaworthy_engine::provider::{
    ErrorClass, Owned, Payload, Progress, ProviderError, SecretText, Status,
};
use serde_json::Value as Json;

/// What happens at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// What should.
    Works,
    /// The caller dies before the call has arrived.
    DiesBefore,
    /// The caller dies before the answer has arrived.
    DiesAfter,
    /// The call is refused with this class and code.
    Refused(&'static str),
    /// The call is accepted, and the operation fails with this code; it names a resource that it did not make.
    FailsNaming(&'static str),
    /// What was made a moment ago is not found yet.
    Unseen,
    /// The call is accepted, and the operation fails with this code, leaving a remnant if it was a create.
    Fails(&'static str),
}

type Oracle = Arc<dyn Fn(usize, &str, &TypeName) -> Fate + Send + Sync>;

#[derive(Default)]
struct World {
    resources: BTreeMap<(TypeName, Identifier), Json>,
    operations: BTreeMap<RequestToken, Operation>,
    tokens: BTreeMap<ClientToken, RequestToken>,
    calls: usize,
    next: u64,
    highest_at_once: usize,
    deletions: Vec<Identifier>,
}

struct Operation {
    polls: u32,
    progress: Progress,
    effect: Option<Effect>,
}

enum Effect {
    Put(TypeName, Identifier, Json),
    Remove(TypeName, Identifier),
}

#[derive(Clone)]
pub struct Cloud {
    world: Arc<Mutex<World>>,
    oracle: Oracle,
}

impl Cloud {
    pub fn new() -> Self {
        Self {
            world: Arc::default(),
            oracle: Arc::new(|_, _, _| Fate::Works),
        }
    }

    /// The same cloud, seen by a client to whom other things happen.
    pub fn with(
        &self,
        oracle: impl Fn(usize, &str, &TypeName) -> Fate + Send + Sync + 'static,
    ) -> Self {
        self.world.lock().unwrap().calls = 0;
        Self {
            world: self.world.clone(),
            oracle: Arc::new(oracle),
        }
    }

    pub fn calls(&self) -> usize {
        self.world.lock().unwrap().calls
    }

    pub fn highest_at_once(&self) -> usize {
        self.world.lock().unwrap().highest_at_once
    }

    pub fn deletions(&self) -> Vec<String> {
        self.world
            .lock()
            .unwrap()
            .deletions
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Somebody deletes everything by hand.
    pub fn empty(&self) {
        self.world.lock().unwrap().resources.clear();
    }

    /// Types and properties, without what the cloud made up.
    pub fn contents(&self) -> Vec<(String, Json)> {
        let world = self.world.lock().unwrap();
        let mut contents: Vec<_> = world
            .resources
            .iter()
            .map(|((type_name, _), model)| {
                let mut model = model.clone();
                for path in catalog::schema(type_name).unwrap().read_only() {
                    path.remove_from(&mut model);
                }
                if let Some(object) = model.as_object_mut() {
                    object.remove("VpcId");
                }
                (type_name.to_string(), model)
            })
            .collect();
        contents.sort_by_key(|(type_name, model)| format!("{type_name}{model}"));
        contents
    }

    async fn call(&self, what: &str, type_name: &TypeName) -> Result<Fate, ProviderError> {
        let fate = {
            let mut world = self.world.lock().unwrap();
            world.calls += 1;
            (self.oracle)(world.calls, what, type_name)
        };
        match fate {
            Fate::DiesBefore => std::future::pending().await,
            Fate::Refused(code) => Err(error(code)),
            other => Ok(other),
        }
    }

    async fn answer<T>(&self, fate: Fate, value: T) -> Result<T, ProviderError> {
        if fate == Fate::DiesAfter {
            std::future::pending::<()>().await;
        }
        Ok(value)
    }

    fn begin(
        &self,
        token: &ClientToken,
        fate: Fate,
        identifier: Identifier,
        effect: Effect,
    ) -> Progress {
        let mut world = self.world.lock().unwrap();
        if let Some(request) = world.tokens.get(token) {
            return world.operations[request].progress.clone();
        }
        world.next += 1;
        let request = RequestToken::new(format!("request-{}", world.next)).unwrap();
        world.tokens.insert(token.clone(), request.clone());
        let mut effect = Some(effect);
        let mut polls = 2;
        if let Fate::Fails(_) = fate {
            // What a failed create leaves is there; a failed deletion deletes nothing.
            match effect.take() {
                Some(Effect::Put(type_name, identifier, model)) => {
                    world.resources.insert((type_name, identifier), model);
                }
                _ => polls = 1,
            }
        }
        let progress = Progress {
            operation: Some(request.clone()),
            identifier: Some(identifier),
            status: Status::InProgress,
            retry_after: None,
            note: None,
        };
        if let Fate::Fails(code) | Fate::FailsNaming(code) = fate {
            let failed = Progress {
                status: Status::Failed(error(code)),
                ..progress.clone()
            };
            world.operations.insert(
                request,
                Operation {
                    polls: 0,
                    progress: failed,
                    effect: None,
                },
            );
            return progress;
        }
        world.operations.insert(
            request,
            Operation {
                polls,
                progress: progress.clone(),
                effect,
            },
        );
        let open = world
            .operations
            .values()
            .filter(|open| open.progress.status == Status::InProgress)
            .count();
        world.highest_at_once = world.highest_at_once.max(open);
        progress
    }
}

fn error(code: &str) -> ProviderError {
    let class = match code {
        "ThrottlingException" => ErrorClass::Throttled,
        "ServiceInternalError" => ErrorClass::Retryable,
        "CannotBeAssumed" => ErrorClass::Propagation,
        "AlreadyExists" => ErrorClass::AlreadyExists,
        "Unreachable" => ErrorClass::Unreachable,
        _ => ErrorClass::Terminal,
    };
    ProviderError {
        class,
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
    }
}

#[async_trait]
impl Provider for Cloud {
    async fn begin_create(
        &self,
        type_name: &TypeName,
        desired: &Payload,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let fate = self.call("create", type_name).await?;
        let schema = catalog::schema(type_name).unwrap();
        let mut model = desired.expose().clone();
        let replayed = self.world.lock().unwrap().tokens.contains_key(token);
        let number = {
            let mut world = self.world.lock().unwrap();
            world.next += 1;
            world.next
        };
        for path in schema.read_only().iter().filter(|path| !path.is_pattern()) {
            path.insert_into(&mut model, Json::from(format!("{path}-{number}")));
        }
        let identifier = Identifier::new(schema.identifier_of(&model).unwrap()).unwrap();
        let taken = self
            .world
            .lock()
            .unwrap()
            .resources
            .contains_key(&(type_name.clone(), identifier.clone()));
        if taken && !replayed && !matches!(fate, Fate::FailsNaming(_)) {
            return Err(error("AlreadyExists"));
        }
        let effect = Effect::Put(type_name.clone(), identifier.clone(), model);
        let progress = self.begin(token, fate, identifier, effect);
        self.answer(fate, progress).await
    }

    async fn begin_update(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        desired: &Payload,
        _previous: &Json,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let fate = self.call("update", type_name).await?;
        let key = (type_name.clone(), identifier.clone());
        let mut model = self
            .world
            .lock()
            .unwrap()
            .resources
            .get(&key)
            .cloned()
            .ok_or_else(|| error("NotFound"))?;
        for (name, value) in desired.expose().as_object().unwrap() {
            model[name] = value.clone();
        }
        let effect = Effect::Put(type_name.clone(), identifier.clone(), model);
        let progress = self.begin(token, fate, identifier.clone(), effect);
        self.answer(fate, progress).await
    }

    async fn begin_delete(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let fate = self.call("delete", type_name).await?;
        let effect = Effect::Remove(type_name.clone(), identifier.clone());
        let progress = self.begin(token, fate, identifier.clone(), effect);
        self.answer(fate, progress).await
    }

    async fn poll(
        &self,
        type_name: &TypeName,
        operation: &RequestToken,
    ) -> Result<Progress, ProviderError> {
        let fate = self.call("poll", type_name).await?;
        let progress = {
            let mut world = self.world.lock().unwrap();
            let found = world.operations.get_mut(operation).unwrap();
            found.polls = found.polls.saturating_sub(1);
            let effect = if found.polls == 0 {
                found.effect.take()
            } else {
                None
            };
            if effect.is_some() {
                found.progress.status = Status::Success;
            }
            let progress = found.progress.clone();
            match effect {
                Some(Effect::Put(type_name, identifier, model)) => {
                    world.resources.insert((type_name, identifier), model);
                }
                Some(Effect::Remove(type_name, identifier)) => {
                    world.resources.remove(&(type_name, identifier.clone()));
                    world.deletions.push(identifier);
                }
                None => {}
            }
            progress
        };
        self.answer(fate, progress).await
    }

    async fn read(
        &self,
        type_name: &TypeName,
        identifier: &Identifier,
    ) -> Result<Option<Json>, ProviderError> {
        let fate = self.call("read", type_name).await?;
        let model = self
            .world
            .lock()
            .unwrap()
            .resources
            .get(&(type_name.clone(), identifier.clone()))
            .cloned();
        self.answer(fate, model).await
    }

    async fn find(
        &self,
        _scope: &Scope,
        address: &Address,
        type_name: &TypeName,
        _desired: &Json,
    ) -> Result<Option<Identifier>, ProviderError> {
        let fate = self.call("find", type_name).await?;
        if fate == Fate::Unseen {
            return Ok(None);
        }
        let tagged = |model: &Json| {
            let tags = model
                .get("Tags")
                .and_then(Json::as_array)
                .into_iter()
                .flatten();
            tags.into_iter()
                .any(|tag| tag["Key"] == "seaworthy:address" && tag["Value"] == address.as_str())
        };
        let found = {
            let world = self.world.lock().unwrap();
            let mut ours = world
                .resources
                .iter()
                .filter(|((kind, _), model)| kind == type_name && tagged(model));
            ours.next().map(|((_, identifier), _)| identifier.clone())
        };
        self.answer(fate, found).await
    }

    async fn owned(&self, _scope: &Scope) -> Result<Vec<Owned>, ProviderError> {
        Ok(Vec::new())
    }

    async fn secret(
        &self,
        _secret: &Identifier,
        _key: Option<&str>,
    ) -> Result<SecretText, ProviderError> {
        Ok(SecretText::new("hunter2-hunter2".to_owned()))
    }
}
