//! Amazon SQS: messages that come, are received, and go. Standard queues; a message that was received is out of sight for the
//! queue's visibility timeout.

use catalog::TypeName;
use controllers::cloud::Message;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::state::Mutation;
use super::super::wire::{Input, ServiceError};
use super::super::world::{Entry, Phase};
use super::required_text;

pub(crate) const OPERATIONS: &[&str] = &[
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
];

const QUEUE: TypeName = TypeName::new("AWS::SQS::Queue");
/// No type of CloudFormation's: what a queue holds.
const MESSAGE: TypeName = TypeName::new("AWS::SQS::Message");

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    let call: fn(&mut Session<'_>, &Value) -> Result<Value, ServiceError> = match operation {
        "DeleteMessage" => delete_message,
        "GetQueueAttributes" => attributes,
        "GetQueueUrl" => queue_url,
        "ListQueues" => list,
        "PurgeQueue" => purge,
        "ReceiveMessage" => receive,
        "SendMessage" => send_message,
        _ => return None,
    };
    Some(account.session(|session| call(session, input)))
}

fn queue<'a>(session: &'a Session<'_>, input: &Value) -> Result<&'a Entry, ServiceError> {
    let url = required_text(input, "QueueUrl", "InvalidParameterValue")?;
    session
        .world()
        .get(&QUEUE, url)
        .filter(|entry| matches!(entry.phase, Phase::Ready | Phase::Updating))
        .ok_or_else(missing)
}

fn missing() -> ServiceError {
    ServiceError::bad_request(
        "com.amazonaws.sqs#QueueDoesNotExist",
        "The specified queue does not exist.",
    )
}

fn queue_url(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let name = required_text(input, "QueueName", "InvalidParameterValue")?;
    let queue = named(session, name).ok_or_else(missing)?;
    Ok(json!({"QueueUrl": queue.identifier}))
}

fn named<'a>(session: &'a Session<'_>, name: &str) -> Option<&'a Entry> {
    session
        .world()
        .of_type(&QUEUE)
        .find(|entry| entry.model["QueueName"] == name)
}

fn list(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let prefix = Input(input).text("QueueNamePrefix")?.unwrap_or_default();
    let urls: Vec<&str> = session
        .world()
        .of_type(&QUEUE)
        .filter(|entry| {
            entry.model["QueueName"]
                .as_str()
                .is_some_and(|name| name.starts_with(prefix))
        })
        .map(|entry| entry.identifier.as_str())
        .collect();
    Ok(json!({"QueueUrls": urls}))
}

fn attributes(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let queue = queue(session, input)?;
    let (mut seen, mut unseen) = (0, 0);
    for message in held(session, &queue.identifier) {
        if visible_at(message) <= session.now {
            seen += 1;
        } else {
            unseen += 1;
        }
    }
    let own = |name: &str| match &queue.model[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(json!({"Attributes": {
        "ApproximateNumberOfMessages": seen.to_string(),
        "ApproximateNumberOfMessagesNotVisible": unseen.to_string(),
        "QueueArn": own("Arn"),
        "VisibilityTimeout": own("VisibilityTimeout"),
        "MessageRetentionPeriod": own("MessageRetentionPeriod"),
    }}))
}

fn send_message(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let url = queue(session, input)?.identifier.clone();
    let body = required_text(input, "MessageBody", "InvalidParameterValue")?;
    let id = send(session, &url, body);
    Ok(json!({"MessageId": id, "MD5OfMessageBody": md5(body)}))
}

fn receive(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let queue = queue(session, input)?.clone();
    let most = Input(input)
        .number("MaxNumberOfMessages", 1..=10)?
        .unwrap_or(1);
    let timeout = Input(input)
        .number("VisibilityTimeout", 0..=43_200)?
        .map_or_else(
            || queue.model["VisibilityTimeout"].as_f64().unwrap_or(30.0),
            |seconds| seconds as f64,
        );
    let now = session.now;
    let found: Vec<Entry> = held(session, &queue.identifier)
        .into_iter()
        .filter(|message| visible_at(message) <= now)
        .take(most)
        .cloned()
        .collect();
    let mut messages = Vec::new();
    for mut message in found {
        let body = message.model["Body"].as_str().unwrap_or_default();
        messages.push(json!({
            "MessageId": message.identifier,
            "ReceiptHandle": message.identifier,
            "Body": body,
            "MD5OfBody": md5(body),
        }));
        message.model["__VisibleAt"] = (now + timeout).into();
        session.change(Mutation::Put(message));
    }
    if messages.is_empty() {
        return Ok(json!({}));
    }
    Ok(json!({"Messages": messages}))
}

fn delete_message(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    queue(session, input)?;
    let receipt = required_text(input, "ReceiptHandle", "InvalidParameterValue")?;
    delete(session, receipt);
    Ok(json!({}))
}

fn purge(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let url = queue(session, input)?.identifier.clone();
    let all: Vec<String> = held(session, &url)
        .into_iter()
        .map(|message| message.identifier.clone())
        .collect();
    for id in all {
        delete(session, &id);
    }
    Ok(json!({}))
}

fn md5(text: &str) -> String {
    hex::encode(Md5::digest(text))
}

fn visible_at(message: &Entry) -> f64 {
    message.model["__VisibleAt"].as_f64().unwrap_or(0.0)
}

/// What a queue holds, the oldest first, without what is older than it keeps.
fn held<'a>(session: &'a Session<'_>, url: &str) -> Vec<&'a Entry> {
    let world = session.world();
    let kept = world
        .get(&QUEUE, url)
        .and_then(|queue| queue.model["MessageRetentionPeriod"].as_f64())
        .unwrap_or(f64::INFINITY);
    let mut found: Vec<_> = world
        .of_type(&MESSAGE)
        .filter(|entry| entry.model["QueueUrl"] == url)
        .filter(|entry| session.now - entry.created_at <= kept)
        .collect();
    found.sort_by(|one, other| one.created_at.total_cmp(&other.created_at));
    found
}

/// Puts a message into a queue; its id.
pub(crate) fn send(session: &mut Session<'_>, url: &str, body: &str) -> String {
    let id = session.ids().uuid();
    let model = json!({"MessageId": id, "QueueUrl": url, "Body": body});
    session.put(MESSAGE, id.clone(), model);
    id
}

/// The messages of the queue with this name that are JSON, the oldest first.
pub(crate) fn messages(session: &Session<'_>, queue: &str) -> Vec<Message> {
    let Some(queue) = named(session, queue) else {
        return Vec::new();
    };
    held(session, &queue.identifier)
        .into_iter()
        .filter_map(|entry| {
            let body = serde_json::from_str(entry.model["Body"].as_str()?).ok()?;
            Some(Message {
                id: entry.identifier.clone(),
                receipt: entry.identifier.clone(),
                body,
            })
        })
        .collect()
}

/// Takes a message away.
pub(crate) fn delete(session: &mut Session<'_>, receipt: &str) {
    if session.world().get(&MESSAGE, receipt).is_some() {
        session.change(Mutation::Remove {
            type_name: MESSAGE,
            identifier: receipt.to_owned(),
        });
    }
}
