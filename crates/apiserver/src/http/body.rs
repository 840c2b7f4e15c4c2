//! Bodies of requests, read into documents.

use apimachinery::status::Reason;
use apimachinery::{Status, nesting, protobuf, validation};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::Value as Json;

use super::media::BodyType;

/// The longest body, in bytes: what the real server takes.
const LONGEST: usize = 3 << 20;
/// What is longer is read up to here and thrown away, because a client that is still writing when the connection ends does not
/// hear why.
const LONGEST_HEARD: usize = 32 << 20;

/// A document, and what there was to say while it was read (`duplicate field "spec.x"`).
#[derive(Debug, PartialEq)]
pub(crate) struct Read {
    pub json: Json,
    pub notes: Vec<String>,
}

/// # Errors
/// 413 when it is too long, 400 when it breaks off.
pub(crate) async fn collect(mut body: Body) -> Result<Bytes, Status> {
    let mut read = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Status::bad_request(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= LONGEST {
            read.extend_from_slice(&data);
        } else if length > LONGEST_HEARD {
            break;
        }
    }
    if length > LONGEST {
        return Err(Status::new(
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: limit is {LONGEST}"),
        ));
    }
    Ok(read.freeze())
}

/// Reads a body of some type.
///
/// # Errors
/// 400 when it is not what its type says, or nested too deep.
pub(crate) fn read(bytes: &Bytes, media: BodyType) -> Result<Read, Status> {
    let read = parse(bytes, media)?;
    if nesting::depth(&read.json) > nesting::DEEPEST {
        return Err(Status::bad_request(format!(
            "the body of the request is nested deeper than {} levels",
            nesting::DEEPEST
        )));
    }
    Ok(read)
}

fn parse(bytes: &Bytes, media: BodyType) -> Result<Read, Status> {
    match media {
        BodyType::Protobuf => Ok(Read {
            json: protobuf::decode(bytes)?,
            notes: Vec::new(),
        }),
        BodyType::Yaml | BodyType::ApplyPatch if !looks_like_json(bytes) => yaml(bytes),
        _ => json(bytes),
    }
}

fn looks_like_json(bytes: &Bytes) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn yaml(bytes: &Bytes) -> Result<Read, Status> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let json = serde_saphyr::from_str(text)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    Ok(Read {
        json,
        notes: Vec::new(),
    })
}

fn json(bytes: &Bytes) -> Result<Read, Status> {
    let json = serde_json::from_slice(bytes).map_err(|error| {
        Status::bad_request(format!("error decoding the body of the request: {error}"))
    })?;
    Ok(Read {
        json,
        notes: validation::duplicates(bytes),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_are_there_twice_are_noted() {
        let text = Bytes::from(r#"{"spec":{"a":1,"b":[{"c":1,"c":null}],"a":-2.5}}"#);
        let Read { json, notes } = read(&text, BodyType::Json).unwrap();
        assert_eq!(json, json!({"spec": {"a": -2.5, "b": [{"c": null}]}}));
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn yaml_and_json_are_the_same_to_an_apply() {
        for text in ["{\"a\": {\"b\": \"1\"}}", "a:\n  b: '1'\n"] {
            let read = read(&Bytes::from(text), BodyType::ApplyPatch).unwrap();
            assert_eq!(read.json, json!({"a": {"b": "1"}}));
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_bad_request() {
        let deep = "[".repeat(100_000);
        let just_too_deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
        for text in ["", "{", "{} {}", "nul", &deep, &just_too_deep] {
            let refused = read(&Bytes::from(text.to_owned()), BodyType::Json).unwrap_err();
            assert_eq!(refused.code, 400);
        }
        let lines = (0..5_000).map(|level| format!("{}a:\n", " ".repeat(level)));
        let indented = lines.collect::<String>();
        let flow = format!("a: {}", "[".repeat(50_000));
        let laughs = (0..30).map(|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1));
        let laughs = format!("a0: &a0 x\n{}", laughs.collect::<String>());
        for text in [indented, flow, laughs, "a: *a".to_owned()] {
            let refused = read(&Bytes::from(text), BodyType::ApplyPatch).unwrap_err();
            assert_eq!(refused.code, 400);
        }
    }
}
