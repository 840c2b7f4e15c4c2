//! Small signed calls for the services that have no SDK crate here: AWS JSON, Query, REST-XML and S3 over the session's
//! own connections.
//!
//! Three services with one or two calls each are not worth an SDK crate each; S3's and DynamoDB's would double the build.

use std::fmt::Write as _;
use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::error::display::DisplayErrorContext;
use serde_json::Value;

use crate::endpoint::Service;
use crate::session::{CALL_TIMEOUT, Session, SessionError};

/// Why a call gave no answer, or the answer was an error.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There are no credentials.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The other side can't be reached, or did not answer in time.
    #[error("{service} can't be reached at {url}: {reason}")]
    Unreachable {
        /// Which service.
        service: &'static str,
        /// Where.
        url: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// The service refused.
    #[error("{code}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// AWS's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// The answer is not what the service's API says.
    #[error("{service} answered with something else than {expected}")]
    Malformed {
        /// Which service.
        service: &'static str,
        /// What should have come.
        expected: &'static str,
    },
}

impl CallError {
    /// AWS's code, if AWS answered.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// An answer that is not an error.
pub(crate) struct Answer {
    pub(crate) etag: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A request before it is signed.
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) method: &'static str,
    /// The URL up to the path; [`Service::url`] when it is not given.
    pub(crate) base: Option<String>,
    /// Already percent-encoded, with its slash.
    pub(crate) path: String,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: Vec<u8>,
}

impl Session {
    /// A call in AWS JSON.
    pub(crate) async fn json(
        &self,
        service: Service,
        operation: &str,
        input: &Value,
    ) -> Result<Value, CallError> {
        let target = format!("{}.{operation}", service.target_prefix());
        let content_type = format!("application/x-amz-json-{}", service.json_version());
        let answer = self
            .call(Call {
                service,
                method: "POST",
                base: None,
                path: "/".to_owned(),
                query: &[],
                headers: &[("content-type", &content_type), ("x-amz-target", &target)],
                body: input.to_string().into_bytes(),
            })
            .await?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|_| CallError::Malformed {
            service: service.signing_name(),
            expected: "JSON",
        })
    }

    /// A call in the Query protocol; the answer is XML text.
    pub(crate) async fn query(
        &self,
        service: Service,
        parameters: &[(&str, &str)],
    ) -> Result<String, CallError> {
        let mut body = String::new();
        for (name, value) in parameters {
            let separator = if body.is_empty() { "" } else { "&" };
            let _ = write!(body, "{separator}{}={}", encode(name), encode(value));
        }
        let answer = self
            .call(Call {
                service,
                method: "POST",
                base: None,
                path: "/".to_owned(),
                query: &[],
                headers: &[(
                    "content-type",
                    "application/x-www-form-urlencoded; charset=utf-8",
                )],
                body: body.into_bytes(),
            })
            .await?;
        text(service, answer.body)
    }

    /// A REST-XML call; the answer is XML text.
    pub(crate) async fn rest_xml(
        &self,
        service: Service,
        method: &'static str,
        path: String,
        query: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<String, CallError> {
        let answer = self
            .call(Call {
                service,
                method,
                base: None,
                path,
                query,
                headers: if body.is_some() {
                    &[("content-type", "application/xml")]
                } else {
                    &[]
                },
                body: body.unwrap_or_default().into_bytes(),
            })
            .await?;
        text(service, answer.body)
    }

    /// Signs and sends a request. An answer of 300 or more is an error.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let service = call.service;
        let url = call.base.clone().unwrap_or_else(|| service.url(self));
        let request = self.signed(&url, call).await?;
        let unreachable = |reason: String| CallError::Unreachable {
            service: service.signing_name(),
            url: url.clone(),
            reason,
        };
        let exchange = async {
            let response = self
                .connector()
                .call(request)
                .await
                .map_err(|error| unreachable(DisplayErrorContext(&error).to_string()))?;
            let status = response.status().as_u16();
            let error_type = response
                .headers()
                .get("x-amzn-errortype")
                .map(str::to_owned);
            let etag = response.headers().get("etag").map(str::to_owned);
            let body = ByteStream::new(response.into_body())
                .collect()
                .await
                .map_err(|error| unreachable(DisplayErrorContext(&error).to_string()))?
                .into_bytes()
                .to_vec();
            Ok::<_, CallError>((status, error_type, etag, body))
        };
        let (status, error_type, etag, body) = tokio::time::timeout(CALL_TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))??;
        tracing::debug!(service = service.signing_name(), status, "called");
        if status < 300 {
            return Ok(Answer { etag, body });
        }
        let (code, message) = error_of(status, error_type.as_deref(), &body);
        Err(CallError::Refused {
            status,
            code,
            message,
        })
    }

    async fn signed(&self, url: &str, call: Call<'_>) -> Result<HttpRequest, CallError> {
        let malformed = || CallError::Malformed {
            service: call.service.signing_name(),
            expected: "a request that can be signed",
        };
        let mut uri = format!("{url}{}", call.path);
        for (at, (name, value)) in call.query.iter().enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            let _ = write!(uri, "{separator}{}={}", encode(name), encode(value));
        }
        let mut settings = SigningSettings::default();
        if call.service == Service::S3 {
            // S3 signs the path as it is sent and wants the payload's hash in a header (S3 API reference, "Signature
            // Calculations for the Authorization Header").
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let identity = self.credentials().await?.into();
        let region = call.service.signing_region(self.region().as_str());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(call.service.signing_name())
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|_| malformed())?
            .into();
        let mut builder = http::Request::builder()
            .method(call.method)
            .uri(&uri)
            .header(
                "user-agent",
                concat!("seaworthy/", env!("CARGO_PKG_VERSION")),
            );
        for (name, value) in call.headers {
            builder = builder.header(*name, *value);
        }
        let signable = SignableRequest::new(
            call.method,
            uri.as_str(),
            call.headers.iter().copied(),
            SignableBody::Bytes(&call.body),
        )
        .map_err(|_| malformed())?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|_| malformed())?
            .into_parts();
        let mut request = builder.body(()).map_err(|_| malformed())?;
        instructions.apply_to_request_http1x(&mut request);
        let request = request.map(|()| SdkBody::from(call.body));
        HttpRequest::try_from(request).map_err(|_| CallError::Malformed {
            service: call.service.signing_name(),
            expected: "a request that can be sent",
        })
    }
}

fn text(service: Service, body: Vec<u8>) -> Result<String, CallError> {
    String::from_utf8(body).map_err(|_| CallError::Malformed {
        service: service.signing_name(),
        expected: "text",
    })
}

/// Percent-encodes everything but RFC 3986's unreserved characters, as SigV4 wants it.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Text as XML content.
pub(crate) fn xml_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Code and message of an error answer, in whichever protocol it is written.
fn error_of(status: u16, error_type: Option<&str>, body: &[u8]) -> (String, String) {
    let fallback = || format!("HttpStatus{status}");
    if let Ok(json) = serde_json::from_slice::<Value>(body)
        && json.is_object()
    {
        let code = json["__type"]
            .as_str()
            .or_else(|| json["code"].as_str())
            .or(error_type)
            .map_or_else(fallback, plain_code);
        let message = ["message", "Message", "errorMessage"]
            .iter()
            .find_map(|key| json[*key].as_str());
        return (code, message.unwrap_or("no reason was given").to_owned());
    }
    let text = String::from_utf8_lossy(body);
    if let Ok(document) = roxmltree::Document::parse(&text) {
        let find = |name: &str| {
            document
                .descendants()
                .find(|node| node.has_tag_name_in_any_namespace(name))
                .and_then(|node| node.text())
                .map(|text| text.trim().to_owned())
        };
        // Route 53's `InvalidChangeBatch` has no `Code`: its root element is the code, its `Messages` say why.
        let code =
            find("Code").unwrap_or_else(|| document.root_element().tag_name().name().to_owned());
        let message = find("Message").unwrap_or_else(|| "no reason was given".to_owned());
        return (code, message);
    }
    let code = error_type.map_or_else(fallback, plain_code);
    (code, format!("HTTP status {status}"))
}

/// `ThrottlingException` of `com.amazonaws.x#ThrottlingException:http://…`.
fn plain_code(code: &str) -> String {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code).to_owned()
}

/// Looks an element up by its name without the namespace, which Query and REST-XML services all have and nobody needs.
pub(crate) trait AnyNamespace {
    fn has_tag_name_in_any_namespace(&self, name: &str) -> bool;
    /// The text of the first child of this name.
    fn child_text(&self, name: &str) -> Option<String>;
}

impl AnyNamespace for roxmltree::Node<'_, '_> {
    fn has_tag_name_in_any_namespace(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }

    fn child_text(&self, name: &str) -> Option<String> {
        self.children()
            .find(|node| node.has_tag_name_in_any_namespace(name))
            .map(|node| node.text().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_protocol_have_code_and_message() {
        let cases: [(Option<&str>, &str, &str, &str); 6] = [
            (
                None,
                r#"{"__type":"com.amazonaws.acm#ThrottlingException:http://x","message":"Rate exceeded"}"#,
                "ThrottlingException",
                "Rate exceeded",
            ),
            (
                Some("AccessDeniedException:http://internal/"),
                r#"{"Message":"no"}"#,
                "AccessDeniedException",
                "no",
            ),
            (
                None,
                "<ErrorResponse xmlns=\"https://cf\"><Error><Type>Sender</Type><Code>TypeNotFoundException</Code><Message>m</Message></Error></ErrorResponse>",
                "TypeNotFoundException",
                "m",
            ),
            (
                None,
                "<?xml version=\"1.0\"?><Error><Code>PreconditionFailed</Code><Message>At least one</Message></Error>",
                "PreconditionFailed",
                "At least one",
            ),
            (
                None,
                "<InvalidChangeBatch xmlns=\"https://r53\"><Messages><Message>it exists</Message></Messages></InvalidChangeBatch>",
                "InvalidChangeBatch",
                "it exists",
            ),
            (None, "Bad Gateway", "HttpStatus502", "HTTP status 502"),
        ];
        for (header, body, code, message) in cases {
            assert_eq!(
                error_of(502, header, body.as_bytes()),
                (code.to_owned(), message.to_owned())
            );
        }
    }

    #[test]
    fn encoding_leaves_only_unreserved_characters() {
        assert_eq!(encode("a b/ü~*"), "a%20b%2F%C3%BC~%2A");
        assert_eq!(xml_escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
