//! The definitions agree with those of `k8s-openapi`, which were generated from Kubernetes' own document: objects made up from
//! the one are read by the other, and what that writes raises no complaint.

#![allow(clippy::unwrap_used)]

use k8s_openapi::Resource;
use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch,
    coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
    networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac, storage::v1 as storage,
};
use proptest::prelude::*;
use seaworthy_apimachinery::schema::{Shape, Type};
use seaworthy_apimachinery::{GroupVersionKind, builtin, crd, definitions, validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Answers questions from a list of random bytes, and with zero when they are used up.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn below(&mut self, most: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % most
    }

    fn one_of<'b>(&mut self, texts: &[&'b str]) -> &'b str {
        texts[usize::from(self.below(texts.len() as u8))]
    }
}

/// A value of a type, with some of the optional fields.
fn make(of: &Type, dice: &mut Dice<'_>, depth: usize) -> Json {
    let node = of.node();
    match &node.shape {
        Shape::Boolean => (dice.below(2) == 1).into(),
        Shape::Integer => (i64::from(dice.below(200)) - 50).into(),
        Shape::Number => (f64::from(dice.below(200)) / 8.0).into(),
        Shape::String => match node.format.as_deref() {
            Some("date-time") if of.name().is_some_and(|name| name.ends_with("MicroTime")) => {
                "2025-01-01T00:00:00.000123Z".into()
            }
            Some("date-time") => "2025-01-01T00:00:00Z".into(),
            Some("byte") => dice.one_of(&["", "AA==", "c2VjcmV0"]).into(),
            _ => dice.one_of(&["", "a", "web", "TCP", "é"]).into(),
        },
        Shape::IntOrString if node.format.as_deref() == Some("quantity") => {
            dice.one_of(&["1", "500m", "1.5Gi", "2e3"]).into()
        }
        Shape::IntOrString if dice.below(2) == 0 => dice.below(100).into(),
        Shape::IntOrString | Shape::Any => dice.one_of(&["10%", "http"]).into(),
        Shape::Map { values, .. } => (0..dice.below(3))
            .map(|n| (format!("key{n}"), make(values, dice, depth + 1)))
            .collect(),
        Shape::List { items, .. } => (0..dice.below(3))
            .map(|_| make(items, dice, depth + 1))
            .collect(),
        Shape::Struct {
            fields, required, ..
        } => fields
            .iter()
            // An object inside another is of one kind alone, and the typed one knows it.
            .filter(|(name, _)| {
                !(fields.contains_key("metadata") && matches!(&***name, "apiVersion" | "kind"))
            })
            .filter_map(|(name, field)| {
                let wanted = required.contains(name) || depth < 12 && dice.below(3) == 1;
                wanted.then(|| (name.to_string(), make(&field.value, dice, depth + 1)))
            })
            .collect(),
    }
}

/// Whether everything is there. Some typed objects have metadata, or their kind, always.
fn has_all(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| has_all(whole, part))),
        (Json::Array(whole), Json::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(a, b)| has_all(a, b))
        }
        _ => whole == part,
    }
}

fn agree<T: Resource + Serialize + DeserializeOwned>(dice: &[u8]) -> Result<(), TestCaseError> {
    let kind = GroupVersionKind::new(T::GROUP, T::VERSION, T::KIND);
    let schema = definitions::of_kind(&kind).unwrap();
    let mut made = make(&schema, &mut Dice(dice.iter()), 0);
    made["apiVersion"] = T::API_VERSION.into();
    made["kind"] = T::KIND.into();
    prop_assert_eq!(validation::types(&schema, &made), Ok(()));
    let typed: T = serde_json::from_value(made.clone())
        .map_err(|why| TestCaseError::fail(format!("{kind:?}: {why} in {made}")))?;
    let written = serde_json::to_value(&typed).unwrap();
    prop_assert_eq!(validation::types(&schema, &written), Ok(()));
    prop_assert_eq!(validation::strict(&schema, &written), Vec::<String>::new());
    // Nothing was lost on the way: both know the same fields.
    let mut pruned = made.clone();
    crd::prune(&schema, &mut pruned);
    prop_assert_eq!(&pruned, &made);
    prop_assert!(has_all(&written, &made), "{} of {}", written, made);
    Ok(())
}

proptest! {
    #[test]
    fn typed_objects_raise_no_complaint(dice in prop::collection::vec(any::<u8>(), 0..400)) {
        agree::<core::Pod>(&dice)?;
        agree::<core::Service>(&dice)?;
        agree::<core::Node>(&dice)?;
        agree::<core::Secret>(&dice)?;
        agree::<core::ConfigMap>(&dice)?;
        agree::<core::Namespace>(&dice)?;
        agree::<core::Event>(&dice)?;
        agree::<core::PersistentVolume>(&dice)?;
        agree::<core::PersistentVolumeClaim>(&dice)?;
        agree::<core::ServiceAccount>(&dice)?;
        agree::<core::LimitRange>(&dice)?;
        agree::<apps::Deployment>(&dice)?;
        agree::<apps::ReplicaSet>(&dice)?;
        agree::<apps::StatefulSet>(&dice)?;
        agree::<apps::DaemonSet>(&dice)?;
        agree::<batch::Job>(&dice)?;
        agree::<batch::CronJob>(&dice)?;
        agree::<autoscaling::HorizontalPodAutoscaler>(&dice)?;
        agree::<coordination::Lease>(&dice)?;
        agree::<discovery::EndpointSlice>(&dice)?;
        agree::<networking::Ingress>(&dice)?;
        agree::<networking::NetworkPolicy>(&dice)?;
        agree::<policy::PodDisruptionBudget>(&dice)?;
        agree::<rbac::ClusterRole>(&dice)?;
        agree::<rbac::RoleBinding>(&dice)?;
        agree::<storage::StorageClass>(&dice)?;
        agree::<storage::VolumeAttachment>(&dice)?;
    }
}

#[test]
fn every_resource_is_known_by_its_kind() {
    for resource in builtin::resources() {
        assert!(
            definitions::name_of_kind(&resource.kind).is_some(),
            "{resource:?}"
        );
    }
}
