//! Amazon EventBridge: what happens in the embedded AWS, and the rules that hand it on to queues.

use catalog::TypeName;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::kinds::Effect;
use super::super::kinds::ec2_instances::{INSTANCE, interrupted, replaced, shuts_down_at};
use super::super::state::Mutation;
use super::super::wire::ServiceError;
use super::super::world::{Entry, Phase, World};
use super::sqs;

const NODEGROUP: TypeName = TypeName::new("AWS::EKS::Nodegroup");
const RULE: TypeName = TypeName::new("AWS::Events::Rule");
const QUEUE: TypeName = TypeName::new("AWS::SQS::Queue");
const QUEUE_POLICY: TypeName = TypeName::new("AWS::SQS::QueueInlinePolicy");

/// What can happen to an instance, in EventBridge's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceEvent {
    /// EC2 takes a spot instance back in two minutes.
    SpotInterruption,
    /// EC2 thinks that it may do so.
    RebalanceRecommendation,
    /// AWS Health: the machine goes into maintenance.
    ScheduledChange,
    /// Somebody stops it. It does not come back: whoever launched it makes another one.
    Stopping,
    /// Somebody terminates it.
    Terminated,
}

impl InstanceEvent {
    fn source(self) -> &'static str {
        match self {
            Self::ScheduledChange => "aws.health",
            _ => "aws.ec2",
        }
    }

    fn detail_type(self) -> &'static str {
        match self {
            Self::SpotInterruption => "EC2 Spot Instance Interruption Warning",
            Self::RebalanceRecommendation => "EC2 Instance Rebalance Recommendation",
            Self::ScheduledChange => "AWS Health Event",
            Self::Stopping | Self::Terminated => "EC2 Instance State-change Notification",
        }
    }

    fn detail(self, instance: &str) -> Value {
        match self {
            Self::SpotInterruption => {
                json!({"instance-id": instance, "instance-action": "terminate"})
            }
            Self::RebalanceRecommendation => json!({"instance-id": instance}),
            Self::ScheduledChange => json!({
                "service": "EC2",
                "eventTypeCategory": "scheduledChange",
                "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
                "affectedEntities": [{"entityValue": instance}],
            }),
            Self::Stopping => json!({"instance-id": instance, "state": "stopping"}),
            // The first that EC2 says of one that is terminated.
            Self::Terminated => json!({"instance-id": instance, "state": "shutting-down"}),
        }
    }

    /// How long an instance has left, in modelled seconds, if this ends it.
    fn notice(self) -> Option<f64> {
        match self {
            Self::SpotInterruption => Some(120.0),
            Self::Stopping | Self::Terminated => Some(0.0),
            Self::RebalanceRecommendation | Self::ScheduledChange => None,
        }
    }
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The instance's id.
    pub instance: String,
    /// Its private DNS name, which is its node's name.
    pub node: String,
    /// How long it still runs, in modelled seconds; none if the event does not end it.
    pub ends_in_seconds: Option<f64>,
    /// How many queues were told of it, by EventBridge's rules.
    pub queues: usize,
    /// The instance that its node group launches in its place.
    pub replacement: Option<String>,
}

/// The instance that is meant by its id, its private DNS name (whole, or up to the first dot), or `node/` before one.
fn meant(world: &World, name: &str) -> Result<Entry, ServiceError> {
    let wanted = name.strip_prefix("node/").unwrap_or(name);
    let dns = |entry: &Entry| {
        let name = entry.model["PrivateDnsName"].as_str();
        name.unwrap_or_default().to_owned()
    };
    let mut near: Vec<(f64, String)> = Vec::new();
    for entry in world.of_type(&INSTANCE) {
        let node = dns(entry);
        let host = node.split('.').next().unwrap_or_default();
        if [entry.identifier.as_str(), &node, host].contains(&wanted) {
            return Ok(entry.clone());
        }
        let likeness = [entry.identifier.as_str(), &node, host]
            .iter()
            .map(|own| strsim::jaro_winkler(own, wanted))
            .fold(0.0, f64::max);
        near.push((likeness, format!("{node} ({})", entry.identifier)));
    }
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let hint = match near.as_slice() {
        [] => "there are no instances".to_owned(),
        [one, ..] if one.0 > 0.9 => format!("did you mean {}?", one.1),
        several => {
            let shown: Vec<&str> = several
                .iter()
                .take(5)
                .map(|(_, name)| name.as_str())
                .collect();
            let more = several.len() - shown.len();
            let more = if more == 0 {
                String::new()
            } else {
                format!(" and {more} more")
            };
            format!("there are {}{more}", shown.join(", "))
        }
    };
    Err(ServiceError::bad_request(
        "InvalidInstanceID.NotFound",
        format!("there is no instance or node {wanted}: {hint}"),
    ))
}

/// Lets something happen to an instance, see [`meant`].
pub(crate) fn happen(
    account: &Account,
    instance: &str,
    event: InstanceEvent,
) -> Result<Interrupted, ServiceError> {
    account.session(|session| {
        let entry = meant(session.world(), instance)?;
        let node = entry.model["PrivateDnsName"].as_str().unwrap_or_default().to_owned();
        let refused = |why: &str| {
            let named = format!("{node} ({}) {why}", entry.identifier);
            Err(ServiceError::bad_request("IncorrectInstanceState", named))
        };
        let ends_at = shuts_down_at(&entry);
        if ends_at.is_some_and(|at| at <= session.now) {
            return refused("shuts down already");
        }
        if event == InstanceEvent::SpotInterruption && entry.model["__Spot"] != true {
            return refused("is an on-demand instance, which EC2 does not take back; terminate it, or let a scheduled change come");
        }
        let mut happened = Interrupted {
            instance: entry.identifier.clone(),
            node: node.clone(),
            ends_in_seconds: None,
            queues: 0,
            replacement: None,
        };
        if let Some(notice) = event.notice() {
            let entry = interrupted(
                &session.context(),
                &entry,
                session.clock.scale().duration(notice),
            );
            let at = shuts_down_at(&entry).unwrap_or(session.now);
            happened.ends_in_seconds = Some(at - session.now);
            // What is on its way out has its successor.
            if ends_at.is_none() {
                happened.replacement = replace(session, &entry);
            }
            session.change(Mutation::Put(entry));
        }
        happened.queues = tell(session, event, &entry.identifier);
        Ok(happened)
    })
}

/// Launches what takes the place of a node group's instance that ends. It is there at once; an Auto Scaling group takes a minute
/// to see that an instance has ended, and for spot instances does not wait for it.
pub(crate) fn replace(session: &mut Session<'_>, gone: &Entry) -> Option<String> {
    let id = gone.model["__NodeGroup"].as_str()?;
    let group = session.world().get(&NODEGROUP, id)?;
    if !matches!(group.phase, Phase::Ready | Phase::Updating) {
        return None;
    }
    let model = group.model.clone();
    let (cx, ids) = session.context_and_ids();
    let effects = replaced(&cx, &model, id, &gone.identifier, ids);
    let mut launched = None;
    for effect in effects {
        if let Effect::Put(entry) = effect {
            launched = Some(entry.identifier.clone());
            session.change(Mutation::Put(entry));
        }
    }
    launched
}

/// Hands an event to the queues that rules name; how many they are.
pub(crate) fn tell(session: &mut Session<'_>, event: InstanceEvent, instance: &str) -> usize {
    let (region, account) = (
        session.world().region().to_owned(),
        session.world().account().to_owned(),
    );
    let document = json!({
        "version": "0",
        "id": session.ids().uuid(),
        "detail-type": event.detail_type(),
        "source": event.source(),
        "account": account,
        "time": jiff::Timestamp::from_second(session.clock.epoch_seconds() as i64)
            .unwrap_or_default()
            .to_string(),
        "region": region,
        "resources": [format!("arn:{}:ec2:{region}:{account}:instance/{instance}", session.world().partition())],
        "detail": event.detail(instance),
    });
    let queues: Vec<String> = session
        .world()
        .of_type(&RULE)
        .filter(|rule| matches!(rule.phase, Phase::Ready | Phase::Updating))
        .filter(|rule| rule.model["State"] == "ENABLED" && matches(rule, &document))
        .flat_map(|rule| rule.model["Targets"].as_array().into_iter().flatten())
        .filter_map(|target| target["Arn"].as_str())
        .filter_map(|arn| {
            session
                .world()
                .of_type(&QUEUE)
                .find(|queue| queue.model["Arn"] == arn)
        })
        .filter(|queue| lets_events_in(session, queue))
        .map(|queue| queue.identifier.clone())
        .collect();
    for queue in &queues {
        sqs::send(session, queue, &document.to_string());
    }
    queues.len()
}

/// Whether a policy of the queue lets EventBridge send. Without one, EventBridge drops the event in silence.
fn lets_events_in(session: &Session<'_>, queue: &Entry) -> bool {
    session
        .world()
        .of_type(&QUEUE_POLICY)
        .filter(|policy| policy.model["Queue"] == queue.identifier.as_str())
        .flat_map(|policy| {
            policy.model["PolicyDocument"]["Statement"]
                .as_array()
                .into_iter()
                .flatten()
        })
        .filter(|statement| statement["Effect"] == "Allow")
        .any(|statement| match &statement["Principal"]["Service"] {
            Value::String(one) => one == "events.amazonaws.com",
            Value::Array(several) => several.iter().any(|one| one == "events.amazonaws.com"),
            _ => false,
        })
}

fn matches(rule: &Entry, event: &Value) -> bool {
    match &rule.model["EventPattern"] {
        Value::String(text) => {
            serde_json::from_str(text).is_ok_and(|pattern| fits(&pattern, event))
        }
        Value::Object(_) => fits(&rule.model["EventPattern"], event),
        _ => false,
    }
}

/// Whether an event has what a pattern asks for: every field, with one of its values. Source: EventBridge user guide, "Creating
/// event patterns"; the comparisons `prefix`, `suffix`, `anything-but` and `exists` are known, no other fits.
fn fits(pattern: &Value, event: &Value) -> bool {
    let Some(fields) = pattern.as_object() else {
        return false;
    };
    fields.iter().all(|(name, wanted)| {
        let own = event.get(name);
        match wanted {
            Value::Object(_) => own.is_some_and(|own| fits(wanted, own)),
            Value::Array(several) => several.iter().any(|one| match own {
                Some(Value::Array(own)) => own.iter().any(|own| is_one(one, Some(own))),
                own => is_one(one, own),
            }),
            _ => false,
        }
    })
}

fn is_one(wanted: &Value, own: Option<&Value>) -> bool {
    let text = own.and_then(Value::as_str);
    match wanted {
        Value::Object(comparison) => comparison.iter().all(|(kind, with)| match kind.as_str() {
            "prefix" => {
                matches!((text, with.as_str()), (Some(text), Some(with)) if text.starts_with(with))
            }
            "suffix" => {
                matches!((text, with.as_str()), (Some(text), Some(with)) if text.ends_with(with))
            }
            "exists" => with.as_bool() == Some(own.is_some()),
            "anything-but" => match with {
                Value::Array(several) => own.is_some_and(|own| !several.contains(own)),
                one => own.is_some_and(|own| own != one),
            },
            _ => false,
        }),
        one => own == Some(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_an_event_that_has_one_of_each_fields_values() {
        let event = json!({"source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning", "detail": {"state": "running"}});
        for (pattern, fitting) in [
            (json!({"source": ["aws.ec2"]}), true),
            (json!({"source": ["aws.health", "aws.ec2"]}), true),
            (json!({"source": ["aws.health"]}), false),
            (json!({"detail": {"state": ["running"]}}), true),
            (json!({"detail": {"state": ["stopped"]}}), false),
            (json!({"detail-type": [{"prefix": "EC2 "}]}), true),
            (json!({"detail": {"code": [{"exists": false}]}}), true),
            (json!({"source": [{"anything-but": ["aws.ec2"]}]}), false),
            (json!({"source": [{"wildcard": "*"}]}), false),
            (json!({"account": ["1"]}), false),
        ] {
            assert_eq!(fits(&pattern, &event), fitting, "{pattern}");
        }
    }
}
