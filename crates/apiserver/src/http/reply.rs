//! Answers as they go over the wire.

use std::pin::Pin;
use std::task::{Context, Poll};

use apimachinery::Status;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::media::Syntax;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const WARNING: HeaderName = HeaderName::from_static("warning");
/// Warnings longer than this together are cut off, in bytes.
const LONGEST_WARNINGS: usize = 4096;

/// An answer of some type.
pub(crate) fn of(code: StatusCode, media: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A JSON document that is written already, in the syntax that the client wants.
pub(crate) fn document(code: StatusCode, syntax: Syntax, json: Bytes) -> Response<Body> {
    match syntax {
        Syntax::Json => of(code, JSON, json),
        Syntax::Yaml => {
            let yaml = serde_json::from_slice::<Json>(&json)
                .ok()
                .and_then(|json| serde_saphyr::to_string(&json).ok());
            match yaml {
                Some(yaml) => of(code, YAML, yaml),
                None => of(code, JSON, json),
            }
        }
    }
}

/// A failure. Always JSON, whatever was asked for: every client reads that.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = of(code, JSON, status.to_json().to_string());
    let after = status
        .details
        .as_ref()
        .and_then(|it| it.retry_after_seconds);
    if let Some(seconds) = after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds `Warning` headers, which kubectl prints.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let mut left = LONGEST_WARNINGS;
    for warning in warnings {
        let text: String = warning
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        let value = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes());
        let Some(rest) = left.checked_sub(text.len()) else {
            return;
        };
        left = rest;
        if let Ok(value) = value {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// A body whose parts come from a task. It ends when the task does.
pub(crate) struct Stream(mpsc::Receiver<Bytes>);

impl Stream {
    /// A body, and where its parts are put in. It holds `parts` of them before the task has to wait.
    pub(crate) fn open(parts: usize) -> (mpsc::Sender<Bytes>, Body) {
        let (sender, receiver) = mpsc::channel(parts);
        (sender, Body::new(Self(receiver)))
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.0.poll_recv(context);
        next.map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}
