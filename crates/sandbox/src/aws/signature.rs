//! AWS Signature Version 4, the server's side: whether a request was signed with the secret that belongs to the access key
//! that it names. In the `Authorization` header; in the query only where somebody passes a signed request on (an EKS token).

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;
use super::wire::{Request, percent_decode, percent_encode};

/// How far a request's date may be from the server's: 15 minutes, as in AWS's own message.
const MAX_SKEW_SECONDS: i64 = 15 * 60;

/// What a signature is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    /// The service's signing name.
    pub(crate) service: String,
}

impl Scope {
    /// `AKIA…/20261121/us-east-1/sts/aws4_request`
    fn parse(credential: &str) -> Result<Self, Refusal> {
        let [access_key_id, date, region, service, "aws4_request"] =
            credential.split('/').collect::<Vec<_>>()[..]
        else {
            return Err(Refusal::Incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.".to_owned(),
            ));
        };
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no signature at all.
    Missing,
    /// The header is not one of this scheme, or lacks a part.
    Incomplete(String),
    /// Nobody has this access key.
    UnknownKey,
    /// The date is too far from ours.
    Expired(String),
    /// The signature is another one.
    Mismatch,
}

/// The parts of an `Authorization` header.
#[derive(Debug)]
pub(crate) struct Authorization<'a> {
    pub(crate) scope: Scope,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header; says nothing of whether the signature is right.
    pub(crate) fn read(request: &'a Request) -> Result<Self, Refusal> {
        let header = request.header("authorization");
        if header.is_empty() {
            return Err(Refusal::Missing);
        }
        let parts = header.strip_prefix("AWS4-HMAC-SHA256").ok_or_else(|| {
            Refusal::Incomplete(
                "Authorization header requires the algorithm AWS4-HMAC-SHA256.".to_owned(),
            )
        })?;
        let part = |name: &str| {
            let found = parts
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| {
                Refusal::Incomplete(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let (credential, signed_headers, signature) = (
            part("Credential")?,
            part("SignedHeaders")?,
            part("Signature")?,
        );
        let scope = Scope::parse(credential)?;
        Ok(Self {
            scope,
            signed_headers: signed_headers.split(';').collect(),
            signature,
        })
    }

    /// Of the parts that stand in the query of a presigned request.
    pub(crate) fn of_parts(
        credential: &str,
        signed_headers: Vec<&'a str>,
        signature: &'a str,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            scope: Scope::parse(credential)?,
            signed_headers,
            signature,
        })
    }

    /// Whether the request was signed with `credentials`, at about `now` (seconds since 1970).
    pub(crate) fn verify(
        &self,
        request: &Request,
        credentials: &Credentials,
        now: f64,
    ) -> Result<(), Refusal> {
        if self.scope.access_key_id != credentials.access_key_id {
            return Err(Refusal::UnknownKey);
        }
        // A session's token with a key that is no session's.
        if !request.header("x-amz-security-token").is_empty() {
            return Err(Refusal::UnknownKey);
        }
        let date = request.header("x-amz-date");
        self.verify_date(date, now)?;
        if !self.signed_headers.contains(&"host") {
            return Err(Refusal::Incomplete(
                "'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
            ));
        }
        let text = format!(
            "AWS4-HMAC-SHA256\n{date}\n{}/{}/{}/aws4_request\n{}",
            self.scope.date,
            self.scope.region,
            self.scope.service,
            hex::encode(Sha256::digest(self.canonical_request(request)))
        );
        let seed = format!("AWS4{}", credentials.secret_access_key);
        let key = [
            &*self.scope.date,
            &*self.scope.region,
            &*self.scope.service,
            "aws4_request",
        ]
        .iter()
        .fold(seed.into_bytes(), |key, part| {
            mac(&key, part).finalize().into_bytes().to_vec()
        });
        let signature = hex::decode(self.signature).map_err(|_| Refusal::Mismatch)?;
        // Compared in constant time.
        mac(&key, &text)
            .verify_slice(&signature)
            .map_err(|_| Refusal::Mismatch)
    }

    fn verify_date(&self, date: &str, now: f64) -> Result<(), Refusal> {
        let parsed = DateTime::strptime("%Y%m%dT%H%M%SZ", date)
            .ok()
            .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let Some(at) = parsed.map(|zoned| zoned.timestamp()) else {
            return Err(Refusal::Incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned(),
            ));
        };
        if !date.starts_with(&self.scope.date) {
            return Err(Refusal::Incomplete(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{date}'",
                self.scope.date
            )));
        }
        // Whole seconds: the fraction of the float is of no use here.
        #[allow(clippy::cast_possible_truncation)]
        let now = Timestamp::from_second(now as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        let stamp = |seconds: i64| {
            Timestamp::from_second(seconds)
                .unwrap_or(Timestamp::UNIX_EPOCH)
                .strftime("%Y%m%dT%H%M%SZ")
                .to_string()
        };
        let (at, now) = (at.as_second(), now.as_second());
        // The words are those of a real answer: https://github.com/EngineerBetter/control-tower/issues/51
        if at < now - MAX_SKEW_SECONDS {
            let limit = stamp(now - MAX_SKEW_SECONDS);
            return Err(Refusal::Expired(format!(
                "Signature expired: {date} is now earlier than {limit} ({} - 15 min.)",
                stamp(now)
            )));
        }
        if at > now + MAX_SKEW_SECONDS {
            let limit = stamp(now + MAX_SKEW_SECONDS);
            return Err(Refusal::Expired(format!(
                "Signature not yet current: {date} is still later than {limit} ({} + 15 min.)",
                stamp(now)
            )));
        }
        Ok(())
    }

    fn canonical_request(&self, request: &Request) -> String {
        // Each segment is encoded once more than it is on the wire (all services but S3).
        let path: Vec<_> = request.path.split('/').map(percent_encode).collect();
        let mut query: Vec<_> = request
            .query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (
                    percent_encode(&percent_decode(name)),
                    percent_encode(&percent_decode(value)),
                )
            })
            .collect();
        query.sort_unstable();
        let query: Vec<_> = query
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut headers = String::new();
        for name in &self.signed_headers {
            let values: Vec<_> = request
                .headers
                .get_all(*name)
                .iter()
                .map(|value| {
                    value
                        .to_str()
                        .unwrap_or_default()
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect();
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method,
            path.join("/"),
            query.join("&"),
            self.signed_headers.join(";"),
            hex::encode(Sha256::digest(&request.body))
        )
    }
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    // The example of AWS's documentation: "Create a signed AWS API request", IAM ListUsers, 2015-08-30
    // (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).
    const AT: f64 = 1_440_938_160.0;

    fn credentials() -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            user_id: "AIDAEXAMPLE".to_owned(),
        }
    }

    fn request() -> Request {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "iam.amazonaws.com"),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let query = "Action=ListUsers&Version=2010-05-08".to_owned();
        Request {
            method: Method::GET,
            path: "/".to_owned(),
            query,
            headers,
            body: Vec::new(),
        }
    }

    fn verify(request: &Request, credentials: &Credentials, now: f64) -> Result<(), Refusal> {
        Authorization::read(request)?.verify(request, credentials, now)
    }

    #[test]
    fn the_documented_example_is_accepted_and_every_change_to_it_refused() {
        assert_eq!(verify(&request(), &credentials(), AT), Ok(()));
        let mut other = request();
        other.query.push_str("&MaxItems=1");
        assert_eq!(verify(&other, &credentials(), AT), Err(Refusal::Mismatch));
        let mut other = request();
        other.body.push(b' ');
        assert_eq!(verify(&other, &credentials(), AT), Err(Refusal::Mismatch));
        let wrong_secret = Credentials {
            secret_access_key: "wrong".to_owned(),
            ..credentials()
        };
        assert_eq!(
            verify(&request(), &wrong_secret, AT),
            Err(Refusal::Mismatch)
        );
        let other_key = Credentials {
            access_key_id: "AKIDOTHER".to_owned(),
            ..credentials()
        };
        assert_eq!(verify(&request(), &other_key, AT), Err(Refusal::UnknownKey));
        let mut unsigned = request();
        unsigned.headers.remove("authorization");
        assert_eq!(verify(&unsigned, &credentials(), AT), Err(Refusal::Missing));
    }

    #[test]
    fn a_date_more_than_fifteen_minutes_away_is_refused_in_both_directions() {
        assert_eq!(verify(&request(), &credentials(), AT + 899.0), Ok(()));
        for now in [AT + 901.0, AT - 901.0] {
            assert!(
                matches!(
                    verify(&request(), &credentials(), now),
                    Err(Refusal::Expired(_))
                ),
                "{now}"
            );
        }
    }
}
