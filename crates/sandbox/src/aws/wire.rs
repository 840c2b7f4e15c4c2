//! The wire protocols that the embedded AWS speaks: what a call looks like, and the shape that an answer or an error
//! takes in each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::HeaderMap;
use serde_json::{Value, json};

/// An HTTP request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    /// As sent: percent-encoded.
    pub(crate) path: String,
    /// As sent, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header's text, or an empty one.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body of a JSON call; an empty body is an empty object.
    pub(crate) fn json(&self) -> Result<Value, ServiceError> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            _ => Err(ServiceError::bad_request(
                "SerializationException",
                "Start of structure or map found where not expected.",
            )),
        }
    }

    /// The parameters of a Query call, from the query string and from the form.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let form = String::from_utf8_lossy(&self.body);
        [self.query.as_str(), form.as_ref()]
            .into_iter()
            .flat_map(|text| text.split('&'))
            .filter(|pair| !pair.is_empty())
            .map(decoded_pair)
            .collect()
    }

    /// The parameters of the query string alone.
    pub(crate) fn query_parameters(&self) -> BTreeMap<String, String> {
        self.query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(decoded_pair)
            .collect()
    }
}

fn decoded_pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (
        percent_decode(&name.replace('+', " ")),
        percent_decode(&value.replace('+', " ")),
    )
}

/// Undoes percent-encoding; what is no valid escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|byte| char::from(*byte).to_digit(16))
        };
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encodes all but RFC 3986's unreserved characters, as SigV4 wants it.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What a call is answered with.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// An error that a call is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl ServiceError {
    pub(crate) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    pub(crate) fn bad_request(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(400, code, message)
    }

    /// `ValidationException`, the code of what a service's front end refuses.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::bad_request("ValidationException", message)
    }
}

/// A protocol with what tells two services of it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// AWS JSON.
    Json {
        content_type: &'static str,
        /// `Message` or `message`, as the service's model spells its errors' member.
        message_key: &'static str,
    },
    /// AWS Query, with the service's XML namespace.
    Query(&'static str),
    /// AWS Query as EC2 speaks it: its errors have another frame, without a namespace.
    Ec2,
    /// REST-XML, with the service's XML namespace.
    RestXml(&'static str),
}

impl Protocol {
    pub(crate) const JSON_1_0: Self = Self::Json {
        content_type: "application/x-amz-json-1.0",
        message_key: "Message",
    };
    pub(crate) const JSON_1_1: Self = Self::Json {
        content_type: "application/x-amz-json-1.1",
        message_key: "Message",
    };
    pub(crate) const JSON_1_1_LOWER: Self = Self::Json {
        content_type: "application/x-amz-json-1.1",
        message_key: "message",
    };

    /// The error in this protocol's shape.
    pub(crate) fn error(self, error: &ServiceError, request_id: &str) -> Reply {
        let (content_type, body) = match self {
            Self::Json {
                content_type,
                message_key,
            } => (
                content_type,
                json!({ "__type": error.code, message_key: error.message }).to_string(),
            ),
            // EC2 API reference, "Error codes for the Amazon EC2 API".
            Self::Ec2 => {
                let mut xml =
                    Xml("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>".to_owned());
                xml.open("Errors")
                    .open("Error")
                    .text("Code", &error.code)
                    .text("Message", &error.message)
                    .close("Error")
                    .close("Errors")
                    .text("RequestID", request_id)
                    .close("Response");
                ("text/xml", xml.into_string())
            }
            Self::Query(namespace) | Self::RestXml(namespace) => {
                let fault = if error.status < 500 {
                    "Sender"
                } else {
                    "Receiver"
                };
                let mut xml = Xml::document("ErrorResponse", namespace);
                xml.open("Error")
                    .text("Type", fault)
                    .text("Code", &error.code)
                    .text("Message", &error.message)
                    .close("Error");
                xml.text("RequestId", request_id).close("ErrorResponse");
                ("text/xml", xml.into_string())
            }
        };
        Reply {
            status: error.status,
            content_type,
            body: body.into_bytes(),
        }
    }

    /// A JSON answer.
    pub(crate) fn json(self, value: &Value) -> Reply {
        let content_type = match self {
            Self::Json { content_type, .. } => content_type,
            Self::Query(_) | Self::Ec2 | Self::RestXml(_) => "application/json",
        };
        Reply {
            status: 200,
            content_type,
            body: value.to_string().into_bytes(),
        }
    }
}

/// An XML document being written.
#[derive(Debug)]
pub(crate) struct Xml(String);

impl Xml {
    /// Opens the root element.
    pub(crate) fn document(root: &str, namespace: &str) -> Self {
        Self(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{namespace}\">"
        ))
    }

    pub(crate) fn open(&mut self, element: &str) -> &mut Self {
        let _ = write!(self.0, "<{element}>");
        self
    }

    pub(crate) fn close(&mut self, element: &str) -> &mut Self {
        let _ = write!(self.0, "</{element}>");
        self
    }

    /// An element that has only text in it.
    pub(crate) fn text(&mut self, element: &str, text: &str) -> &mut Self {
        let _ = write!(self.0, "<{element}>");
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // A parser would normalise a bare carriage return away.
                '\r' => self.0.push_str("&#13;"),
                _ => self.0.push(character),
            }
        }
        let _ = write!(self.0, "</{element}>");
        self
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// The document as an answer of a Query call: `…Response`, `…Result` and the metadata around it are `write`'s frame.
    pub(crate) fn query(
        namespace: &str,
        action: &str,
        request_id: &str,
        write: impl FnOnce(&mut Self),
    ) -> Reply {
        let (response, result) = (format!("{action}Response"), format!("{action}Result"));
        let mut xml = Self::document(&response, namespace);
        xml.open(&result);
        write(&mut xml);
        xml.close(&result)
            .open("ResponseMetadata")
            .text("RequestId", request_id)
            .close("ResponseMetadata")
            .close(&response);
        xml.into_reply()
    }

    pub(crate) fn into_reply(self) -> Reply {
        Reply {
            status: 200,
            content_type: "text/xml",
            body: self.0.into_bytes(),
        }
    }
}

/// The members of a JSON call's input, read with the errors that a service's front end gives.
pub(crate) struct Input<'a>(pub(crate) &'a Value);

impl<'a> Input<'a> {
    /// A text that may be missing.
    pub(crate) fn text(&self, member: &str) -> Result<Option<&'a str>, ServiceError> {
        match self.0.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ServiceError::bad_request(
                "SerializationException",
                format!("{member} is not a string"),
            )),
        }
    }

    /// A text of `1..=longest` characters that must be there.
    pub(crate) fn required(&self, member: &str, longest: usize) -> Result<&'a str, ServiceError> {
        let text = self
            .text(member)?
            .ok_or_else(|| violated(member, "null", "Member must not be null"))?;
        self.limit(member, text, longest)?;
        Ok(text)
    }

    /// A text of `1..=longest` characters, if it is there.
    pub(crate) fn optional(
        &self,
        member: &str,
        longest: usize,
    ) -> Result<Option<&'a str>, ServiceError> {
        let text = self.text(member)?;
        if let Some(text) = text {
            self.limit(member, text, longest)?;
        }
        Ok(text)
    }

    fn limit(&self, member: &str, text: &str, longest: usize) -> Result<(), ServiceError> {
        let length = text.chars().count();
        if length == 0 {
            return Err(violated(
                member,
                "",
                "Member must have length greater than or equal to 1",
            ));
        }
        if length > longest {
            return Err(violated(
                member,
                &format!("({length} characters)"),
                &format!("Member must have length less than or equal to {longest}"),
            ));
        }
        Ok(())
    }

    /// A whole number within a range, if it is there.
    pub(crate) fn number(
        &self,
        member: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<usize>, ServiceError> {
        match self.0.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| range.contains(number));
                let number = number.and_then(|number| usize::try_from(number).ok());
                let rule = format!(
                    "Member must be between {} and {}, inclusive",
                    range.start(),
                    range.end()
                );
                number
                    .map(Some)
                    .ok_or_else(|| violated(member, &value.to_string(), &rule))
            }
        }
    }
}

/// The words of every AWS service's front end for a member that breaks its model.
pub(crate) fn violated(member: &str, value: &str, rule: &str) -> ServiceError {
    let mut characters = member.chars();
    let member: String = characters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(characters)
        .collect();
    ServiceError::validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_goes_both_ways_and_leaves_what_is_no_escape() {
        let text = "a b/ü&=+%~";
        assert_eq!(percent_encode(text), "a%20b%2F%C3%BC%26%3D%2B%25~");
        assert_eq!(percent_decode(&percent_encode(text)), text);
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn what_a_caller_names_cannot_break_out_of_xml() {
        let error = ServiceError::bad_request("X", "<a href=\"b\"> & c");
        let reply = Protocol::Query("urn:x").error(&error, "id");
        let text = String::from_utf8(reply.body).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let message = document
            .descendants()
            .find(|node| node.has_tag_name(("urn:x", "Message")))
            .unwrap();
        assert_eq!(message.text(), Some("<a href=\"b\"> & c"));
    }

    #[test]
    fn an_error_of_ec2_has_the_frame_that_its_clients_read() {
        let error = ServiceError::bad_request("InvalidAction", "no");
        let reply = Protocol::Ec2.error(&error, "id");
        let text = String::from_utf8(reply.body).unwrap();
        assert!(
            text.ends_with("<Response><Errors><Error><Code>InvalidAction</Code><Message>no</Message></Error></Errors><RequestID>id</RequestID></Response>"),
            "{text}"
        );
    }
}
