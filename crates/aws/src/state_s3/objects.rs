//! The few S3 calls that the journal needs.

use std::sync::Arc;

use journal::StoreError;
use roxmltree::Document;

use super::{S3Location, patiently};
use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::{Answer, AnyNamespace, Call, CallError, encode};

/// When an object may be put.
#[derive(Debug, Clone)]
pub(super) enum Put {
    /// Whatever is there.
    Always,
    /// If nothing is there.
    IfAbsent,
    /// If what is there has this ETag.
    IfSame(String),
}

#[derive(Debug, Clone)]
pub(super) struct Objects {
    session: Session,
    location: Arc<S3Location>,
}

impl Objects {
    pub(super) fn new(session: Session, location: S3Location) -> Self {
        Self {
            session,
            location: Arc::new(location),
        }
    }

    /// The place of a key, for people.
    pub(super) fn place_of(&self, key: &str) -> String {
        let S3Location { bucket, prefix, .. } = &*self.location;
        format!("s3://{bucket}/{prefix}/{key}")
            .trim_end_matches('/')
            .to_owned()
    }

    fn key(&self, key: &str) -> String {
        format!("{}/{key}", self.location.prefix)
    }

    /// Where the bucket is: a host of its own at AWS, a path where the endpoint is given or the name has a dot, which TLS
    /// does not take.
    fn base(&self) -> (String, String) {
        let url = Service::S3.url(&self.session);
        let bucket = &self.location.bucket;
        if self.session.endpoint().is_some() || bucket.contains('.') {
            return (url, format!("/{}", encode(bucket)));
        }
        (
            url.replacen("https://", &format!("https://{bucket}."), 1),
            String::new(),
        )
    }

    async fn call(
        &self,
        method: &'static str,
        key: Option<&str>,
        query: &[(&str, &str)],
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, CallError> {
        let (base, mut path) = self.base();
        path.push('/');
        if let Some(key) = key {
            let encoded: Vec<String> = key.split('/').map(encode).collect();
            path.push_str(&encoded.join("/"));
        }
        patiently(|| {
            self.session.call(Call {
                service: Service::S3,
                method,
                base: Some(base.clone()),
                path: path.clone(),
                query,
                headers,
                body: body.clone(),
            })
        })
        .await
    }

    fn failed(&self, operation: &'static str, key: &str, error: CallError) -> StoreError {
        StoreError::Io {
            operation,
            place: self.place_of(key),
            source: error.into(),
        }
    }

    /// An object's content; none when it is not there.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get_with_etag(key).await?.map(|(body, _)| body))
    }

    pub(super) async fn get_with_etag(
        &self,
        key: &str,
    ) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        match self
            .call("GET", Some(&self.key(key)), &[], &[], Vec::new())
            .await
        {
            Ok(answer) => Ok(Some((answer.body, answer.etag.unwrap_or_default()))),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(self.failed("could not read", key, error)),
        }
    }

    /// Writes an object, encrypted. False when the condition does not hold.
    pub(super) async fn put(
        &self,
        key: &str,
        body: Vec<u8>,
        condition: &Put,
    ) -> Result<bool, StoreError> {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("x-amz-server-side-encryption", "AES256"),
        ];
        match condition {
            Put::Always => {}
            Put::IfAbsent => headers.push(("if-none-match", "*")),
            Put::IfSame(etag) => headers.push(("if-match", etag)),
        }
        match self
            .call("PUT", Some(&self.key(key)), &[], &headers, body)
            .await
        {
            Ok(_) => Ok(true),
            Err(CallError::Refused { status: 412, .. }) => Ok(false),
            Err(error) => Err(self.failed("could not write", key, error)),
        }
    }

    /// The keys below a folder that come after `after` in order, both without the prefix.
    pub(super) async fn list(&self, folder: &str, after: &str) -> Result<Vec<String>, StoreError> {
        let prefix = self.key(folder);
        let start = self.key(after);
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            // `start-after` only begins the list; a continuation has its own place.
            let next = if token.is_empty() {
                ("start-after", start.as_str())
            } else {
                ("continuation-token", token.as_str())
            };
            let query = [
                ("list-type", "2"),
                ("max-keys", "1000"),
                ("prefix", prefix.as_str()),
                next,
            ];
            let answer = self
                .call("GET", None, &query, &[], Vec::new())
                .await
                .map_err(|error| self.failed("could not list", folder, error))?;
            let unreadable = || {
                self.failed(
                    "could not list",
                    folder,
                    CallError::Malformed {
                        service: "s3",
                        expected: "a list",
                    },
                )
            };
            let text = String::from_utf8(answer.body).map_err(|_| unreadable())?;
            let document = Document::parse(&text).map_err(|_| unreadable())?;
            let root = document.root_element();
            let strip = self.key("");
            found.extend(
                root.children()
                    .filter(|node| node.has_tag_name_in_any_namespace("Contents"))
                    .filter_map(|entry| entry.child_text("Key"))
                    .filter_map(|key| key.strip_prefix(&strip).map(str::to_owned)),
            );
            match root.child_text("NextContinuationToken") {
                Some(next) if !next.is_empty() => token = next,
                _ => return Ok(found),
            }
        }
    }
}
