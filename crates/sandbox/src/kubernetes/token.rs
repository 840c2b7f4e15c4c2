//! Who an EKS token belongs to: a presigned call of STS, passed on as a bearer token.
//!
//! Checked as aws-iam-authenticator checks it (`pkg/token/token.go`): the prefix, at most 4,096 bytes, the host of STS, only the
//! parameters that such a call has, the cluster's name among the signed headers, fifteen minutes. There STS is asked then; here
//! the signature is looked at as the embedded STS would.

use std::collections::BTreeMap;
use std::sync::Arc;

use apiserver::{Authenticator, Grant, Rejected, UserInfo};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::TypeName;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use crate::aws::account::Account;
use crate::aws::signature::{Authorization, Refusal};
use crate::aws::wire::{Request, percent_decode};
use crate::aws::world::Phase;

const PREFIX: &str = "k8s-aws-v1.";
/// The longest token, with its prefix.
const LONGEST: usize = 1024 * 4;
/// The longest life that the signed request may ask for, in seconds.
const LONGEST_LIFE: u64 = 15 * 60;
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
const PARAMETERS: [&str; 9] = [
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];
const ACCESS_ENTRY: TypeName = TypeName::new("AWS::EKS::AccessEntry");

/// The tokens and access entries of one cluster.
pub(super) struct EksTokens {
    account: Arc<Account>,
    /// The cluster's name.
    cluster: String,
}

impl EksTokens {
    pub(super) fn new(account: Arc<Account>, cluster: &str) -> Self {
        Self {
            account,
            cluster: cluster.to_owned(),
        }
    }

    /// The ARN of the principal that signed a token.
    fn principal(&self, token: &str) -> Result<String, Rejected> {
        let reject = |why: &str| Rejected(why.to_owned());
        if token.len() > LONGEST {
            return Err(reject("token is too large"));
        }
        let encoded = token.strip_prefix(PREFIX).unwrap_or_default();
        let decoded = URL_SAFE_NO_PAD
            .decode(encoded.trim_end_matches('='))
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| reject("token is no base64 of a URL"))?;
        let (scheme, rest) = decoded
            .split_once("://")
            .ok_or_else(|| reject("token holds no URL"))?;
        let (host, rest) = rest
            .split_once('/')
            .ok_or_else(|| reject("token's URL has no path"))?;
        let query = rest
            .strip_prefix('?')
            .ok_or_else(|| reject("unexpected path in pre-signed URL"))?;
        if !self.is_sts(scheme, host) {
            return Err(reject("unexpected hostname in pre-signed URL"));
        }
        let mut parameters = BTreeMap::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name).to_ascii_lowercase();
            if !PARAMETERS.contains(&name.as_str()) {
                return Err(reject("non-whitelisted query parameter"));
            }
            if parameters.insert(name, percent_decode(value)).is_some() {
                return Err(reject("query parameter with multiple values not supported"));
            }
        }
        let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
        if parameter("action") != "GetCallerIdentity" {
            return Err(reject("unexpected action parameter in pre-signed URL"));
        }
        let life = parameter("x-amz-expires").parse::<u64>();
        if life.map_or(true, |life| life > LONGEST_LIFE) {
            return Err(reject("invalid X-Amz-Expires parameter in pre-signed URL"));
        }
        let signed_headers: Vec<&str> = parameter("x-amz-signedheaders").split(';').collect();
        if !signed_headers.contains(&CLUSTER_HEADER) {
            return Err(reject(
                "client did not sign the x-k8s-aws-id header in the pre-signed URL",
            ));
        }
        self.check_signature(host, query, &parameters, signed_headers)?;
        Ok(self.account.caller_arn().to_owned())
    }

    /// The embedded STS, or a name of the real one.
    fn is_sts(&self, scheme: &str, host: &str) -> bool {
        let (region, _) = self.account.place();
        let suffix = catalog::regions::dns_suffix(&region);
        match scheme {
            // On whatever port: it may be another one since a restart, and whose the token is the signature says.
            "http" => host.split_once(':').is_some_and(|(name, port)| {
                ["127.0.0.1", "localhost"].contains(&name) && port.parse::<u16>().is_ok()
            }),
            "https" => host == "sts.amazonaws.com" || host == format!("sts.{region}.{suffix}"),
            _ => false,
        }
    }

    fn check_signature(
        &self,
        host: &str,
        query: &str,
        parameters: &BTreeMap<String, String>,
        signed_headers: Vec<&str>,
    ) -> Result<(), Rejected> {
        let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", host),
            (CLUSTER_HEADER, self.cluster.as_str()),
            ("x-amz-date", parameter("x-amz-date")),
            ("x-amz-security-token", parameter("x-amz-security-token")),
        ] {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Rejected("a parameter that is no header's value".to_owned()))?;
            if !value.is_empty() {
                headers.insert(name, value);
            }
        }
        let unsigned: Vec<&str> = query
            .split('&')
            .filter(|pair| !pair.to_ascii_lowercase().starts_with("x-amz-signature="))
            .collect();
        let request = Request {
            method: Method::GET,
            path: "/".to_owned(),
            query: unsigned.join("&"),
            headers,
            body: Vec::new(),
        };
        let told = |refusal: Refusal| {
            Rejected(match refusal {
                Refusal::Missing => "the pre-signed URL has no signature".to_owned(),
                Refusal::Incomplete(why) | Refusal::Expired(why) => why,
                Refusal::UnknownKey => "sts: nobody has this access key".to_owned(),
                // The cluster's name is a part of what is signed: a token for another cluster ends here, too.
                Refusal::Mismatch => "sts: the signature does not match".to_owned(),
            })
        };
        let authorization = Authorization::of_parts(
            parameter("x-amz-credential"),
            signed_headers,
            parameter("x-amz-signature"),
        )
        .map_err(told)?;
        if authorization.scope.service != "sts" {
            return Err(Rejected("the pre-signed URL is not for STS".to_owned()));
        }
        authorization
            .verify(
                &request,
                self.account.credentials(),
                self.account.epoch_seconds(),
            )
            .map_err(told)
    }

    /// The access entry of a principal.
    fn entry(&self, principal: &str) -> Option<Value> {
        let identifier = format!("{principal}|{}", self.cluster);
        let found = self.account.session(|session| {
            Ok(session
                .world()
                .get(&ACCESS_ENTRY, &identifier)
                .filter(|entry| matches!(entry.phase, Phase::Ready | Phase::Updating))
                .map(|entry| entry.model.clone()))
        });
        found.ok().flatten()
    }
}

fn text<'a>(model: &'a Value, name: &str) -> &'a str {
    model.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn texts(model: &Value, name: &str) -> Vec<String> {
    let own = model.get(name).and_then(Value::as_array);
    own.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

impl Authenticator for EksTokens {
    fn authenticate(&self, token: &str) -> Option<Result<UserInfo, Rejected>> {
        if !token.starts_with(PREFIX) {
            return None;
        }
        Some(self.principal(token).and_then(|principal| {
            let entry = self
                .entry(&principal)
                .ok_or_else(|| Rejected(format!("{principal} has no access entry")))?;
            Ok(UserInfo {
                username: text(&entry, "Username").to_owned(),
                uid: format!("aws-iam-authenticator:{}", principal),
                groups: texts(&entry, "KubernetesGroups"),
                extra: BTreeMap::from([("arn".to_owned(), vec![principal])]),
            })
        }))
    }

    fn grants(&self, user: &UserInfo) -> Vec<Grant> {
        let Some(entry) = user
            .extra
            .get("arn")
            .and_then(|arns| self.entry(arns.first()?))
        else {
            return Vec::new();
        };
        let policies = entry.get("AccessPolicies").and_then(Value::as_array);
        policies
            .into_iter()
            .flatten()
            .filter_map(|policy| {
                let arn = text(policy, "PolicyArn");
                let scope = policy.get("AccessScope").unwrap_or(&Value::Null);
                let namespaces = match text(scope, "Type") {
                    "namespace" => texts(scope, "Namespaces"),
                    _ => Vec::new(),
                };
                Some(Grant {
                    source: arn.to_owned(),
                    namespaces,
                    rules: apimachinery::access_policies::rules(arn)?,
                })
            })
            .collect()
    }
}
