//! Tokens for an EKS cluster's API server, made here: no AWS CLI is asked.
//!
//! A token is a call of STS's `GetCallerIdentity` that is signed and not made: the cluster makes it to find out who we are.
//! The cluster's name is among what is signed, so that a token is good for one cluster.
//!
//! Source of the form: aws-iam-authenticator's README ("API Authorization from Outside a Cluster") and its `pkg/token`: the
//! prefix, `x-k8s-aws-id`, `X-Amz-Expires=60` whatever the lifetime, and 15 minutes from the signature's date as that.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::CallError;

/// What every token begins with.
const PREFIX: &str = "k8s-aws-v1.";
/// The header that names the cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// How long a token is good for: a minute less than the cluster takes it.
const LIFETIME: Duration = Duration::from_secs(14 * 60);

/// A bearer token for a cluster. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct EksToken {
    /// Its text.
    pub text: String,
    /// Until when it is good.
    pub expires: SystemTime,
}

impl fmt::Debug for EksToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EksToken(…, until {:?})", self.expires)
    }
}

impl Session {
    /// A token for the cluster of a name in the session's region, as whom the session's credentials are. Nothing is asked of
    /// AWS for it but the credentials.
    ///
    /// # Errors
    ///
    /// When there are no credentials.
    pub async fn eks_token(&self, cluster: &str) -> Result<EksToken, CallError> {
        let credentials = self.credentials().await?;
        let now = SystemTime::now();
        let url = Service::Sts.url(self);
        let text = token(&credentials, self.region().as_str(), &url, cluster, now)?;
        // Credentials that end sooner take the token with them.
        let expires = credentials
            .expiry()
            .map_or(now + LIFETIME, |expiry| expiry.min(now + LIFETIME));
        Ok(EksToken { text, expires })
    }
}

fn token(
    credentials: &Credentials,
    region: &str,
    url: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, CallError> {
    let malformed = || CallError::Malformed {
        service: Service::Sts.signing_name(),
        expected: "a request that can be signed",
    };
    let uri = format!("{url}/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(Service::Sts.signing_name())
        .time(now)
        .settings(settings)
        .build()
        .map_err(|_| malformed())?
        .into();
    let signable = SignableRequest::new(
        "GET",
        uri.as_str(),
        [(CLUSTER_HEADER, cluster)].into_iter(),
        SignableBody::Bytes(&[]),
    )
    .map_err(|_| malformed())?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|_| malformed())?
        .into_parts();
    let mut request = http::Request::builder()
        .method("GET")
        .uri(&uri)
        .body(())
        .map_err(|_| malformed())?;
    instructions.apply_to_request_http1x(&mut request);
    let signed = request.uri().to_string();
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(signed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn url(session_token: Option<&str>) -> String {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token.map(str::to_owned),
            None,
            "test",
        );
        // 2026-11-21T12:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
        let endpoint = "https://sts.eu-central-1.amazonaws.com";
        let token = token(&credentials, "eu-central-1", endpoint, "shop-dev", now).unwrap();
        let encoded = token.strip_prefix(PREFIX).unwrap();
        assert!(!encoded.contains('='), "{encoded}");
        String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
    }

    fn parts(url: &str) -> (&str, BTreeSet<&str>) {
        let (place, query) = url.split_once('?').unwrap();
        (place, query.split('&').collect())
    }

    /// Signatures of botocore 1.44.5's `SigV4QueryAuth` for the same request, credentials and time.
    #[test]
    fn a_token_is_the_url_that_botocore_signs() {
        for (session_token, signature) in [
            (
                None,
                "b7e267080a44a48a645df0339cb6fac46139e6489800edbaae410edc70c177cc",
            ),
            (
                Some("session/token=="),
                "9053680606f4f19e646a9d41033f263aa35cc7ec56449e5bf826acab68f787ca",
            ),
        ] {
            let url = url(session_token);
            let (place, found) = parts(&url);
            assert_eq!(place, "https://sts.eu-central-1.amazonaws.com/");
            let signature = format!("X-Amz-Signature={signature}");
            let mut expected = BTreeSet::from([
                "Action=GetCallerIdentity",
                "Version=2011-06-15",
                "X-Amz-Algorithm=AWS4-HMAC-SHA256",
                "X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Feu-central-1%2Fsts%2Faws4_request",
                "X-Amz-Date=20261121T120000Z",
                "X-Amz-Expires=60",
                "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
                signature.as_str(),
            ]);
            expected.extend(session_token.map(|_| "X-Amz-Security-Token=session%2Ftoken%3D%3D"));
            assert_eq!(found, expected);
        }
    }
}
