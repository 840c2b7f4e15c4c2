//! Service-account tokens: JWTs with the claims that a real EKS cluster's have, bound to their service account and perhaps to a
//! pod, a secret or a node, and good for nothing once one of these is gone.

use std::collections::BTreeMap;

use apimachinery::Status;
use apimachinery::status::Reason;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{BoundObject, Gate, SERVICE_ACCOUNT, invalid, key, service_account_groups};
use crate::ports::{Rejected, UserInfo};

const GROUP: &str = "authentication.k8s.io";
/// Seconds, unless a request says otherwise.
const LIFETIME: i64 = 3600;
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    /// In seconds since 1970, as the two others.
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bindings,
    nbf: i64,
    sub: String,
}

/// What a token is bound to.
#[derive(Debug, Serialize, Deserialize)]
struct Bindings {
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    serviceaccount: Reference,
}

#[derive(Debug, Serialize, Deserialize)]
struct Reference {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
}

/// What a `TokenRequest` asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<Bound>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Bound {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
}

impl Gate {
    /// Answers a `TokenRequest` for a service account (`create` of `serviceaccounts/token`).
    ///
    /// # Errors
    /// 404 without the service account or the object to bind to; 409 if that is another one than the request says; 400 if the
    /// pod has another service account or the object is of a kind that tokens are not bound to; 422 for a bad duration.
    pub fn issue(&self, namespace: &str, name: &str, mut request: Json) -> Result<Json, Status> {
        let spec = request.get("spec").filter(|spec| !spec.is_null());
        let wanted = match spec {
            Some(spec) => Wanted::deserialize(spec)
                .map_err(|error| Status::bad_request(format!("TokenRequest: {error}")))?,
            None => Wanted::default(),
        };
        let seconds = wanted.expiration_seconds.unwrap_or(LIFETIME);
        let bad = |message: &str| {
            let message = format!("Invalid value: {seconds}: {message}");
            invalid(
                GROUP,
                "TokenRequest",
                name,
                "spec.expirationSeconds",
                &message,
            )
        };
        if seconds < SHORTEST {
            return Err(bad("may not specify a duration less than 10 minutes"));
        }
        if seconds > LONGEST {
            return Err(bad("may not specify a duration larger than 2^32 seconds"));
        }
        let account = self.get("serviceaccounts", namespace, name)?;
        let mut bindings = Bindings {
            namespace: namespace.to_owned(),
            node: None,
            pod: None,
            secret: None,
            serviceaccount: reference(name, &account),
        };
        if let Some(bound) = &wanted.bound_object_ref {
            self.bind(&mut bindings, bound)?;
        }
        let audiences = wanted
            .audiences
            .filter(|audiences| !audiences.is_empty())
            .unwrap_or_else(|| self.options.audiences.clone());
        let now = (self.wall_clock)();
        let expires = now + SignedDuration::from_secs(seconds);
        let claims = Claims {
            aud: audiences.clone(),
            exp: expires.as_second(),
            iat: now.as_second(),
            iss: self.options.issuer.clone(),
            jti: Uuid::new_v4().to_string(),
            kubernetes: bindings,
            nbf: now.as_second(),
            sub: format!("{SERVICE_ACCOUNT}{namespace}:{name}"),
        };
        let token = serde_json::to_value(&claims)
            .ok()
            .and_then(|claims| self.key.sign(&claims).ok())
            .ok_or_else(|| {
                Status::new(
                    Reason::InternalError,
                    "failed to generate token: it cannot be signed",
                )
            })?;
        if !request.is_object() {
            request = json!({});
        }
        if request["spec"].is_null() {
            request["spec"] = json!({ "boundObjectRef": null });
        }
        request["apiVersion"] = json!(format!("{GROUP}/v1"));
        request["kind"] = json!("TokenRequest");
        request["metadata"] =
            json!({ "name": name, "namespace": namespace, "creationTimestamp": null });
        request["spec"]["audiences"] = json!(audiences);
        request["spec"]["expirationSeconds"] = json!(seconds);
        // Objects have whole seconds.
        let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
        request["status"] = json!({ "token": token, "expirationTimestamp": expires.to_string() });
        Ok(request)
    }

    fn bind(&self, bindings: &mut Bindings, bound: &Bound) -> Result<(), Status> {
        let (resource, namespace) = match (bound.api_version.as_str(), bound.kind.as_str()) {
            ("v1", "Pod") => ("pods", &*bindings.namespace),
            ("v1", "Secret") => ("secrets", &*bindings.namespace),
            ("v1", "Node") => ("nodes", ""),
            (version, kind) => {
                return Err(Status::bad_request(format!(
                    "cannot bind token to object of type {version}, Kind={kind}"
                )));
            }
        };
        let object = self.get(resource, namespace, &bound.name)?;
        if resource == "pods" && object.service_account != bindings.serviceaccount.name {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with serviceaccount {:?}",
                bindings.serviceaccount.name, object.service_account
            )));
        }
        if !bound.uid.is_empty() && bound.uid != object.uid {
            return Err(Status::conflict(
                "",
                &bound.kind,
                &bound.name,
                &format!(
                    "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
                     deleted and then recreated",
                    bound.uid
                ),
            ));
        }
        let own = Some(reference(&bound.name, &object));
        match resource {
            "pods" => {
                if !object.node.is_empty() {
                    let node = self.source.bound_object("nodes", "", &object.node);
                    bindings.node = Some(Reference {
                        name: object.node,
                        uid: node.map(|node| node.uid).unwrap_or_default(),
                    });
                }
                bindings.pod = own;
            }
            "secrets" => bindings.secret = own,
            _ => bindings.node = own,
        }
        Ok(())
    }

    fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<BoundObject, Status> {
        self.source
            .bound_object(resource, namespace, name)
            .ok_or_else(|| Status::not_found("", resource, name))
    }

    /// Whom one of the server's own tokens belongs to. `None` if it was issued elsewhere.
    pub(super) fn own_token(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Option<Result<UserInfo, Rejected>> {
        let claims = key::claims(token)?;
        (claims["iss"] == *self.options.issuer).then(|| {
            self.checked(token, claims, audiences)
                .map_err(|reason| Rejected(format!("service-account token: {reason}")))
        })
    }

    /// Expiry is judged by the machine's clock, as it was set.
    fn checked(&self, token: &str, claims: Json, audiences: &[String]) -> Result<UserInfo, String> {
        if !self.key.has_signed(token) {
            return Err("the signature is not this server's".to_owned());
        }
        let Claims {
            aud,
            exp,
            jti,
            kubernetes: bound,
            nbf,
            sub,
            ..
        } = Claims::deserialize(claims)
            .map_err(|error| format!("its claims are not ours: {error}"))?;
        let now = (self.wall_clock)().as_second();
        if now >= exp {
            return Err("it has expired".to_owned());
        }
        if now < nbf {
            return Err("it is not valid yet".to_owned());
        }
        if !aud.iter().any(|audience| audiences.contains(audience)) {
            return Err(format!("it is for {aud:?}"));
        }
        let (namespace, account) = (&bound.namespace, &bound.serviceaccount);
        if sub != format!("{SERVICE_ACCOUNT}{namespace}:{}", account.name) {
            return Err("its subject is not its service account".to_owned());
        }
        self.alive("serviceaccounts", namespace, account)?;
        let mut extra = BTreeMap::new();
        let mut tell = |key: &str, value: &str| {
            let key = format!("authentication.kubernetes.io/{key}");
            extra.insert(key, vec![value.to_owned()]);
        };
        tell("credential-id", &format!("JTI={jti}"));
        if let Some(secret) = &bound.secret {
            self.alive("secrets", namespace, secret)?;
        }
        if let Some(pod) = &bound.pod {
            self.alive("pods", namespace, pod)?;
            tell("pod-name", &pod.name);
            tell("pod-uid", &pod.uid);
        }
        if let Some(node) = &bound.node {
            // A pod's token outlives the node's object; one that is bound to the node itself does not.
            if bound.pod.is_none() {
                self.alive("nodes", "", node)?;
            }
            tell("node-name", &node.name);
            if !node.uid.is_empty() {
                tell("node-uid", &node.uid);
            }
        }
        Ok(UserInfo {
            username: sub,
            uid: account.uid.clone(),
            groups: service_account_groups(namespace),
            extra,
        })
    }

    fn alive(&self, resource: &str, namespace: &str, named: &Reference) -> Result<(), String> {
        match self.source.bound_object(resource, namespace, &named.name) {
            Some(object) if object.uid == named.uid => Ok(()),
            Some(_) => Err(format!(
                "{resource} {namespace}/{} is another one",
                named.name
            )),
            None => Err(format!("{resource} {namespace}/{} is gone", named.name)),
        }
    }

    /// The audiences that one of our tokens has.
    pub(super) fn audiences_of(token: &str) -> Vec<String> {
        let audiences = key::claims(token).map(|claims| claims["aud"].clone());
        audiences
            .and_then(|audiences| Vec::deserialize(audiences).ok())
            .unwrap_or_default()
    }

    /// `/.well-known/openid-configuration`: where those who check tokens find the keys.
    #[must_use]
    pub fn openid_configuration(&self) -> Json {
        let issuer = &self.options.issuer;
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{}/openid/v1/jwks", issuer.trim_end_matches('/')),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`.
    #[must_use]
    pub fn json_web_keys(&self) -> Json {
        json!({ "keys": [self.key.public()] })
    }
}

fn reference(name: &str, object: &BoundObject) -> Reference {
    Reference {
        name: name.to_owned(),
        uid: object.uid.clone(),
    }
}
