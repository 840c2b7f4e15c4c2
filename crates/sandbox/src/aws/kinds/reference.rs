//! What a rule asks of the world: what is there, what it is called, how many there may be.

use catalog::{Operation, TypeName, durations, quotas, regions};
use serde_json::Value;

use super::document::text;
use super::{Context, Failure, Outcome, failure};
use crate::aws::world::{Entry, Phase, World};

impl<'a> Context<'a> {
    /// The resource, if it can be referenced: made, and neither a remnant nor on its way out.
    pub(super) fn live(&self, type_name: &str, identifier: &str) -> Option<&'a Entry> {
        self.world
            .get(type_name, identifier)
            .filter(|entry| is_live(entry))
    }

    /// The resources of a type that can be referenced.
    pub(super) fn all_live(&self, type_name: &str) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.world.of_type(type_name).filter(|entry| is_live(entry))
    }

    /// The first resource of a type that can be referenced and has this text at this path.
    pub(super) fn live_with(&self, type_name: &str, path: &str, value: &str) -> Option<&'a Entry> {
        self.all_live(type_name)
            .find(|entry| text(&entry.model, path) == Some(value))
    }

    /// The resources of a type that have this text at this path, in whatever phase.
    pub(super) fn any_with<'b>(
        &self,
        type_name: &str,
        path: &'b str,
        value: &'b str,
    ) -> impl Iterator<Item = &'a Entry> + use<'a, 'b> {
        self.world
            .of_type(type_name)
            .filter(move |entry| text(&entry.model, path) == Some(value))
    }

    /// Whether a resource of the type, in whatever phase, has this text at this path.
    pub(super) fn is_taken(&self, type_name: &str, path: &str, value: &str) -> bool {
        self.any_with(type_name, path, value).next().is_some()
    }

    /// `arn:aws:eks:eu-central-1:123456789012:cluster/shop` of `eks` and `cluster/shop`.
    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        regional_arn(self.world, service, resource)
    }

    /// `arn:aws:iam::123456789012:role/x` of `iam` and `role/x`.
    pub(super) fn global_arn(&self, service: &str, resource: &str) -> String {
        global_arn(self.world, service, resource)
    }

    /// The quota of this code, as the settings have it or as AWS's default.
    pub(super) fn quota(&self, code: &str) -> f64 {
        self.settings
            .quota_override(code)
            .or_else(|| quotas::by_code(code).map(|quota| quota.default))
            .unwrap_or(f64::INFINITY)
    }

    /// Whether one more would be too many for the quota.
    pub(super) fn is_full(&self, code: &str, there_are: usize) -> bool {
        there_are as f64 + 1.0 > self.quota(code)
    }

    /// Modelled seconds of an operation on a resource with these properties.
    pub(super) fn duration(
        &self,
        type_name: &TypeName,
        operation: Operation,
        model: &Value,
    ) -> f64 {
        durations::of_resource(type_name, operation, model)
    }

    /// Now, as AWS's models write times.
    pub(super) fn timestamp(&self) -> String {
        self.instant()
            .strftime("%Y-%m-%dT%H:%M:%S.000Z")
            .to_string()
    }

    /// Today.
    pub(super) fn today(&self) -> catalog::Date {
        let text = self.instant().strftime("%Y-%m-%d").to_string();
        text.parse()
            .expect("a timestamp's date is a date of the form that Date reads")
    }

    fn instant(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.epoch_seconds as i64)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

fn is_live(entry: &Entry) -> bool {
    matches!(entry.phase, Phase::Ready | Phase::Updating)
}

pub(super) fn regional_arn(world: &World, service: &str, resource: &str) -> String {
    format!(
        "arn:{}:{service}:{}:{}:{resource}",
        world.partition(),
        world.region(),
        world.account()
    )
}

pub(super) fn global_arn(world: &World, service: &str, resource: &str) -> String {
    format!(
        "arn:{}:{service}::{}:{resource}",
        world.partition(),
        world.account()
    )
}

/// The ID of a zone, which is the same zone in every account, where names are shuffled. One fixed shuffle: the zones
/// that EKS does not serve (`use1-az3`, `cac1-az3`, `usw1-az2`) are those that `catalog::regions` leaves out by default.
pub(crate) fn zone_id(region: &str, zone: &str) -> Option<String> {
    let letter = zone.strip_prefix(region)?.bytes().next()?;
    let number = match (region, letter) {
        ("us-east-1", b'c') => 4,
        ("us-east-1", b'd') => 6,
        ("us-east-1", b'e') => 3,
        ("us-east-1", b'f') => 5,
        ("ca-central-1", b'c') => 4,
        ("ca-central-1", b'd') => 3,
        _ => letter.checked_sub(b'a')? + 1,
    };
    regions::zones(region)
        .iter()
        .any(|known| known == zone)
        .then(|| format!("{}-az{number}", regions::short_code(region)))
}

/// The zone of an ID.
pub(super) fn zone_of_id(region: &str, id: &str) -> Option<String> {
    regions::zones(region)
        .into_iter()
        .find(|zone| zone_id(region, zone).as_deref() == Some(id))
}

/// What a create makes of a finished model: its identifier by the schema, its typical time.
pub(super) fn created(
    cx: &Context<'_>,
    type_name: &TypeName,
    model: Value,
) -> Result<Outcome, Failure> {
    let identifier = catalog::schema(type_name)
        .and_then(|schema| schema.identifier_of(&model))
        .ok_or_else(|| Failure {
            code: crate::aws::error::HandlerErrorCode::InternalFailure,
            message: format!(
                "{type_name}: the handler made a model without its primary identifier"
            ),
            remnant: None,
        })?;
    if cx.world.get(type_name, &identifier).is_some() {
        return Err(failure::resource_exists(type_name.as_str(), &identifier));
    }
    Ok(Outcome {
        duration: cx.duration(type_name, Operation::Create, &model),
        identifier,
        model,
        effects: Vec::new(),
        waits_for: None,
    })
}

/// What an update makes of a finished model.
pub(super) fn updated(cx: &Context<'_>, entry: &Entry, model: Value) -> Outcome {
    Outcome {
        identifier: entry.identifier.clone(),
        duration: cx.duration(&entry.type_name, Operation::Update, &model),
        model,
        effects: Vec::new(),
        waits_for: None,
    }
}

/// What a delete does that nothing stands against.
pub(super) fn deleted(cx: &Context<'_>, entry: &Entry) -> Outcome {
    Outcome {
        identifier: entry.identifier.clone(),
        duration: cx.duration(&entry.type_name, Operation::Delete, &entry.model),
        model: entry.model.clone(),
        effects: Vec::new(),
        waits_for: None,
    }
}
