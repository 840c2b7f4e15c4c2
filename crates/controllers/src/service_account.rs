//! What every namespace has: the ServiceAccount `default`, and the ConfigMap with which pods trust the API server.

use std::collections::BTreeMap;

use serde_json::json;

use crate::document::Named;
use crate::{Action, Change, Context, Controller, Key, Kind, Outcome, Reference, View};

const DEFAULT: &str = "default";
const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";

fn active(view: &View, key: &Key) -> bool {
    view.namespaces
        .get(key)
        .is_some_and(|namespace| !namespace.is_deleting())
}

/// Gives each namespace its default ServiceAccount (`pkg/controller/serviceaccount/serviceaccounts_controller.go`). A key is a
/// namespace.
#[derive(Debug, Default)]
pub struct ServiceAccounts;

impl Controller for ServiceAccounts {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        match change.kind {
            Some(Kind::Namespace) if change.before.is_none() => vec![change.key.clone()],
            Some(Kind::ServiceAccount)
                if change.after.is_none() && &*change.key.name == DEFAULT =>
            {
                vec![Key::cluster(&change.key.namespace)]
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let account = Key::new(&key.name, DEFAULT);
        if !active(context.view, key) || context.view.service_accounts.get(&account).is_some() {
            return Outcome::settled();
        }
        Outcome::of(vec![Action::Create(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT, "namespace": &*key.name},
        }))])
    }
}

/// Keeps the ConfigMap `kube-root-ca.crt` in each namespace as it should be
/// (`pkg/controller/certificates/rootcacertpublisher/publisher.go`). A key is a namespace.
#[derive(Debug)]
pub struct RootCertificates {
    /// The certificate authority of the API server, PEM.
    authority: String,
    /// The versions of the ConfigMaps that have been put right. The view has no data of ConfigMaps, so each version that somebody
    /// else wrote is patched once; where nothing was wrong this changes nothing.
    known: BTreeMap<Key, String>,
}

impl RootCertificates {
    /// With the certificate authority of the API server, PEM.
    #[must_use]
    pub fn new(authority: String) -> Self {
        Self {
            authority,
            known: BTreeMap::new(),
        }
    }
}

impl Controller for RootCertificates {
    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        let is_certificate = change.group.is_empty()
            && change.resource == "configmaps"
            && &*change.key.name == ROOT_CERTIFICATE;
        if change.kind == Some(Kind::Namespace)
            && (change.before.is_none() || change.after.is_none())
        {
            vec![change.key.clone()]
        } else if is_certificate {
            vec![Key::cluster(&change.key.namespace)]
        } else {
            Vec::new()
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        if !active(context.view, key) {
            self.known.remove(key);
            return Outcome::settled();
        }
        let place = Key::new(&key.name, ROOT_CERTIFICATE);
        let data = json!({"ca.crt": self.authority});
        let Some(there) = context.view.metadata("", "configmaps", &place) else {
            self.known.remove(key);
            return Outcome::of(vec![Action::Create(json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": ROOT_CERTIFICATE, "namespace": &*key.name},
                "data": data,
            }))]);
        };
        if there.deleting || self.known.get(key) == Some(&there.resource_version) {
            return Outcome::settled();
        }
        self.known
            .insert(key.clone(), there.resource_version.clone());
        Outcome::of(vec![Action::Patch {
            of: Reference::new("", "configmaps", &place),
            subresource: None,
            patch: json!({"metadata": {"uid": there.uid}, "data": data}),
        }])
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};

    use super::*;
    use crate::testing::Cluster;

    #[test]
    fn every_namespace_has_both_again_and_again() {
        let mut cluster = Cluster::new(vec![
            Box::new(ServiceAccounts),
            Box::new(RootCertificates::new("PEM".to_owned())),
        ]);
        cluster
            .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        cluster.settle();
        let data = |cluster: &Cluster| {
            let map = cluster.get::<ConfigMap>("shop", ROOT_CERTIFICATE);
            map.data.unwrap()["ca.crt"].clone()
        };
        assert_eq!(data(&cluster), "PEM");
        cluster.delete::<ServiceAccount>("shop", "default");
        cluster.patch::<ConfigMap>(
            "shop",
            ROOT_CERTIFICATE,
            &json!({"data": {"ca.crt": "other"}}),
        );
        cluster.settle();
        assert!(cluster.find::<ServiceAccount>("shop", "default").is_some());
        assert_eq!(data(&cluster), "PEM");
        cluster.delete::<ConfigMap>("shop", ROOT_CERTIFICATE);
        cluster.settle();
        assert_eq!(data(&cluster), "PEM");
        cluster.patch::<Namespace>("", "shop", &json!({"metadata": {"finalizers": ["kept"]}}));
        cluster.delete::<Namespace>("", "shop");
        cluster.delete::<ConfigMap>("shop", ROOT_CERTIFICATE);
        cluster.settle();
        assert!(
            cluster
                .find::<ConfigMap>("shop", ROOT_CERTIFICATE)
                .is_none(),
            "a namespace that goes gets nothing any more"
        );
    }
}
