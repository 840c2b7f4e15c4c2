//! A registry in a folder of its own, and a client of it.

use std::sync::{Arc, Mutex};

use apimachinery::{Resource, Status};
use jiff::{SignedDuration, Timestamp};
use seaworthy_apiserver::registry::{
    Call, DeleteOptions, Deleted, FieldValidation, Patch, Registry, Settings, Written,
};
use seaworthy_apiserver::{Clock, UserInfo};
use serde_json::{Value as Json, json};

/// A clock that stands until it is moved.
pub struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub struct Cluster {
    pub registry: Arc<Registry>,
    clock: Arc<Hands>,
    user: UserInfo,
    folder: tempfile::TempDir,
}

impl Cluster {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hands(Mutex::new(
            "2026-01-02T03:04:05.678Z".parse().unwrap(),
        )));
        let registry = Registry::open(folder.path(), settings(&clock)).unwrap();
        Self {
            registry,
            clock,
            user: UserInfo {
                username: "tester".to_owned(),
                ..UserInfo::default()
            },
            folder,
        }
    }

    /// The server is restarted.
    pub fn restart(&mut self) {
        let other = tempfile::tempdir().unwrap();
        // The store's folder is locked as long as it is open.
        self.registry = Registry::open(other.path(), settings(&self.clock)).unwrap();
        self.registry = Registry::open(self.folder.path(), settings(&self.clock)).unwrap();
    }

    pub fn pass(&self, seconds: i64) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap();
    }

    pub fn resource(&self, object: &Json) -> Arc<Resource> {
        let text = |name: &str| object[name].as_str().unwrap().to_owned();
        self.registry
            .resources()
            .of_type(&text("apiVersion"), &text("kind"))
            .unwrap_or_else(|| panic!("{} {} isn't served", text("apiVersion"), text("kind")))
            .clone()
    }

    /// A call about `plural.group/name`, where a namespaced resource's is in `default`.
    pub fn call<T>(&self, path: &str, act: impl FnOnce(Call<'_>) -> T) -> T {
        let (plural, name) = path.split_once('/').unwrap_or((path, ""));
        let (plural, group) = plural.split_once('.').unwrap_or((plural, ""));
        let catalogue = self.registry.resources();
        let resource = catalogue
            .iter()
            .find(|one| &*one.plural == plural && &*one.kind.group == group)
            .unwrap_or_else(|| panic!("{path} isn't served"));
        let namespace = if resource.namespaced { "default" } else { "" };
        act(Call {
            user_agent: "tester/1.0",
            ..Call::of(resource, &self.user).named(namespace, name)
        })
    }

    pub fn try_create(&self, object: Json) -> Result<Json, Status> {
        let resource = self.resource(&object);
        let namespace = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => namespace.to_owned(),
            None if resource.namespaced => "default".to_owned(),
            None => String::new(),
        };
        let call = Call {
            user_agent: "tester/1.0",
            field_validation: FieldValidation::Strict,
            ..Call::of(&resource, &self.user).named(&namespace, "")
        };
        let written = wait(self.registry.create(&call, object))?;
        assert!(written.created);
        Ok(written.json())
    }

    pub fn create(&self, object: Json) -> Json {
        self.try_create(object).unwrap()
    }

    pub fn get(&self, path: &str) -> Option<Json> {
        self.call(path, |call| self.registry.get(&call).ok())
            .map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    pub fn update(&self, path: &str, body: Json) -> Result<Json, Status> {
        self.update_part(path, None, body)
    }

    pub fn update_part(
        &self,
        path: &str,
        subresource: Option<&str>,
        body: Json,
    ) -> Result<Json, Status> {
        self.call(path, |call| {
            let call = Call {
                subresource,
                ..call
            };
            wait(self.registry.update(&call, body)).map(|written| written.json())
        })
    }

    pub fn post(&self, path: &str, subresource: &str, body: Json) -> Result<Json, Status> {
        self.call(path, |call| {
            let call = Call {
                subresource: Some(subresource),
                ..call
            };
            wait(self.registry.create(&call, body)).map(|written| written.json())
        })
    }

    pub fn patch(&self, path: &str, patch: &Patch) -> Result<Written, Status> {
        self.patch_as(path, None, None, patch)
    }

    pub fn patch_as(
        &self,
        path: &str,
        subresource: Option<&str>,
        manager: Option<&str>,
        patch: &Patch,
    ) -> Result<Written, Status> {
        self.call(path, |call| {
            let call = Call {
                subresource,
                field_manager: manager,
                ..call
            };
            wait(self.registry.patch(&call, patch))
        })
    }

    pub fn merge(&self, path: &str, patch: Json) -> Json {
        self.patch(path, &Patch::Merge(patch)).unwrap().json()
    }

    /// A merge patch of the status.
    pub fn merge_status(&self, path: &str, status: Json) -> Json {
        let patch = Patch::Merge(json!({ "status": status }));
        self.patch_as(path, Some("status"), None, &patch)
            .unwrap()
            .json()
    }

    pub fn apply(
        &self,
        path: &str,
        manager: &str,
        object: Json,
        force: bool,
    ) -> Result<Written, Status> {
        self.patch_as(path, None, Some(manager), &Patch::Apply { object, force })
    }

    pub fn delete(&self, path: &str, options: &DeleteOptions) -> Result<Deleted, Status> {
        self.call(path, |call| wait(self.registry.delete(&call, options)))
    }
}

fn settings(clock: &Arc<Hands>) -> Settings {
    Settings {
        clock: clock.clone(),
        service_cidr: "10.100.0.0/16".to_owned(),
        tokens: None,
    }
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub fn config_map(name: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" },
        "data": { "key": "value" },
    })
}

pub fn pod(name: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": "nginx:1.29" }] },
    })
}

pub fn deployment(name: &str) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "web", "image": "nginx:1.29" }] },
            },
        },
    })
}
