//! OpenAPI documents, written once for what is served.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use apimachinery::{Resource, openapi};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, json};

use super::discovery::Document;
use super::{media, reply};
use crate::registry::Catalogue;

/// The documents of the groups' versions that somebody has asked for.
pub(crate) struct OpenApi {
    /// The version that the server tells of itself.
    server: String,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Of which catalogue the documents of custom resources are.
    serial: u64,
    documents: HashMap<(Arc<str>, Arc<str>), Arc<Written>>,
}

/// A document as nearly all clients take it; a few hundred kilobytes of JSON are a tenth of that.
struct Written {
    etag: HeaderValue,
    gzipped: Bytes,
    /// Whether a CustomResourceDefinition has a part in it: then it goes with the catalogue.
    custom: bool,
}

impl OpenApi {
    /// `server` is the version that the server tells of itself.
    pub(crate) fn of(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            kept: Mutex::default(),
        }
    }

    /// `/openapi/v3`: where the documents are. A document's address changes with its contents.
    pub(crate) fn index(&self, catalogue: &Catalogue) -> Bytes {
        let mut paths = Map::new();
        for (group, versions) in catalogue.groups() {
            for version in versions {
                let path = if group.is_empty() {
                    format!("api/{version}")
                } else {
                    format!("apis/{group}/{version}")
                };
                let Some(written) = self.written(catalogue, &group, &version) else {
                    continue;
                };
                let etag = written.etag.to_str().unwrap_or_default();
                let hash = etag.trim_matches('"').to_uppercase();
                let url = format!("/openapi/v3/{path}?hash={hash}");
                paths.insert(path, json!({"serverRelativeURL": url}));
            }
        }
        json!({"paths": paths}).to_string().into()
    }

    /// `/openapi/v3/…`; `None` if nothing of it is served. `hashed` tells that the address names the contents.
    pub(crate) fn answer(
        &self,
        catalogue: &Catalogue,
        group: &str,
        version: &str,
        headers: &HeaderMap,
        hashed: bool,
    ) -> Option<Response<Body>> {
        let written = self.written(catalogue, group, version)?;
        let etag = &written.etag;
        if headers.get(http::header::IF_NONE_MATCH) == Some(etag) {
            return Some(reply::of(
                StatusCode::NOT_MODIFIED,
                reply::JSON,
                Body::empty(),
            ));
        }
        let zipped = media::takes_gzip(headers);
        let body = if zipped {
            written.gzipped.clone()
        } else {
            unzip(&written.gzipped)
        };
        let mut response = reply::of(StatusCode::OK, reply::JSON, body);
        let answer = response.headers_mut();
        answer.insert(ETAG, etag.clone());
        answer.insert(VARY, HeaderValue::from_static("Accept-Encoding, Accept"));
        if zipped {
            answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if hashed {
            answer.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        }
        Some(response)
    }

    fn written(&self, catalogue: &Catalogue, group: &str, version: &str) -> Option<Arc<Written>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.serial != catalogue.serial() {
            kept.serial = catalogue.serial();
            kept.documents.retain(|_, written| !written.custom);
        }
        let place = (group.into(), version.into());
        if let Some(written) = kept.documents.get(&place) {
            return Some(written.clone());
        }
        let resources: Vec<Resource> = catalogue
            .iter()
            .filter(|one| &*one.kind.group == group && &*one.kind.version == version)
            .map(|one| Resource::clone(one))
            .collect();
        if resources.is_empty() {
            return None;
        }
        let document = openapi::document(group, version, &resources, &self.server);
        let Document { bytes, etag } = Document::of(&document);
        let written = Arc::new(Written {
            etag,
            gzipped: gzip(&bytes),
            custom: resources.iter().any(|resource| resource.custom),
        });
        kept.documents.insert(place, written.clone());
        Some(written)
    }
}

fn gzip(bytes: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // A vector takes everything that is written to it.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.map_or_else(|_| Bytes::new(), |bytes| bytes.into_boxed_slice().into())
}

fn unzip(bytes: &Bytes) -> Bytes {
    let mut decoder = GzDecoder::new(Vec::new());
    let written = decoder.write_all(bytes).and_then(|()| decoder.finish());
    written.map_or_else(|_| Bytes::new(), Bytes::from)
}
