//! Ingresses: the default class.

use serde_json::Value as Json;

use super::Attempt;
use crate::registry::document::{part, text};

const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
/// The older way to name an Ingress's class.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Names the default class in an Ingress that names none: of several, the newest.
pub(super) fn default_class(attempt: &Attempt<'_, '_>, ingress: &mut Json) {
    let named = ingress.pointer("/spec/ingressClassName").is_some()
        || !ingress["metadata"]["annotations"][CLASS].is_null();
    if named {
        return;
    }
    let mut classes: Vec<Json> = attempt
        .list("networking.k8s.io", "ingressclasses", None)
        .iter()
        .map(|class| class.json())
        .filter(|class| class["metadata"]["annotations"][IS_DEFAULT] == "true")
        .collect();
    let since = |class: &Json| text(class, "/metadata/creationTimestamp").to_owned();
    classes.sort_by(|a, b| {
        since(b)
            .cmp(&since(a))
            .then_with(|| text(a, "/metadata/name").cmp(text(b, "/metadata/name")))
    });
    if let Some(class) = classes.first() {
        let name = text(class, "/metadata/name");
        part(ingress, "spec").insert("ingressClassName".to_owned(), name.into());
    }
}
