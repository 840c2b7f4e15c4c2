//! Reviews: questions about users, answered as objects that are not stored.

use apimachinery::Status;
use apimachinery::rbac::{Attributes, Target};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Gate, invalid};
use crate::ports::{Rejected, UserInfo};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// What a review of access asks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccessSpec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<PathAttributes>,
    user: String,
    groups: Vec<String>,
    uid: String,
    extra: std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PathAttributes {
    path: String,
    verb: String,
}

impl AccessSpec {
    fn attributes(&self, kind: &str) -> Result<Attributes<'_>, Status> {
        match (&self.resource_attributes, &self.non_resource_attributes) {
            (Some(resource), None) => Ok(Attributes {
                verb: &resource.verb,
                target: Target::Resource {
                    group: &resource.group,
                    resource: &resource.resource,
                    subresource: &resource.subresource,
                    name: &resource.name,
                    namespace: &resource.namespace,
                },
            }),
            (None, Some(path)) => Ok(Attributes {
                verb: &path.verb,
                target: Target::Path(&path.path),
            }),
            _ => Err(invalid(
                AUTHORIZATION,
                kind,
                "",
                "spec.resourceAttributes",
                "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )),
        }
    }
}

impl Gate {
    /// Answers a review: a `create` of `selfsubjectaccessreviews`, `subjectaccessreviews`, `localsubjectaccessreviews`,
    /// `selfsubjectrulesreviews` (authorization.k8s.io), `selfsubjectreviews` or `tokenreviews` (authentication.k8s.io).
    /// The body comes back with its `status`. `namespace` is the path's, empty if it has none.
    ///
    /// # Errors
    /// 404 for another resource; 400 or 422 for a body that asks nothing.
    pub fn review(
        &self,
        user: &UserInfo,
        resource: &str,
        namespace: &str,
        mut body: Json,
    ) -> Result<Json, Status> {
        let (group, kind) = match resource {
            "selfsubjectaccessreviews" => (AUTHORIZATION, "SelfSubjectAccessReview"),
            "subjectaccessreviews" => (AUTHORIZATION, "SubjectAccessReview"),
            "localsubjectaccessreviews" => (AUTHORIZATION, "LocalSubjectAccessReview"),
            "selfsubjectrulesreviews" => (AUTHORIZATION, "SelfSubjectRulesReview"),
            "selfsubjectreviews" => (AUTHENTICATION, "SelfSubjectReview"),
            "tokenreviews" => (AUTHENTICATION, "TokenReview"),
            other => return Err(Status::not_found("", other, "")),
        };
        if !body.is_object() {
            return Err(Status::bad_request(format!("the body is not a {kind}")));
        }
        let spec = body.get("spec").cloned().unwrap_or_default();
        let status = match kind {
            "SelfSubjectReview" => json!({ "userInfo": user_info(user) }),
            "TokenReview" => self.review_token(&spec)?,
            "SelfSubjectRulesReview" => {
                let namespace = spec["namespace"].as_str().unwrap_or_default();
                if namespace.is_empty() {
                    return Err(Status::bad_request("no namespace on request"));
                }
                self.review_rules(user, namespace)
            }
            _ => self.review_access(user, kind, namespace, spec)?,
        };
        body["kind"] = kind.into();
        if body.get("apiVersion").is_none_or(Json::is_null) {
            body["apiVersion"] = format!("{group}/v1").into();
        }
        if body.get("metadata").is_none_or(Json::is_null) {
            body["metadata"] = json!({ "creationTimestamp": null });
        }
        body["status"] = status;
        Ok(body)
    }

    fn review_access(
        &self,
        user: &UserInfo,
        kind: &str,
        namespace: &str,
        spec: Json,
    ) -> Result<Json, Status> {
        let spec: AccessSpec = serde_json::from_value(without_nulls(spec))
            .map_err(|error| Status::bad_request(format!("{kind}: {error}")))?;
        let attributes = spec.attributes(kind)?;
        let decision = if kind == "SelfSubjectAccessReview" {
            self.decide(user, &attributes)
        } else {
            if kind == "LocalSubjectAccessReview" && attributes.namespace() != namespace {
                return Err(Status::bad_request(format!(
                    "spec.resourceAttributes.namespace must match namespace: {namespace}"
                )));
            }
            if spec.user.is_empty() && spec.groups.is_empty() {
                let message =
                    "Invalid value: \"\": at least one of user or group must be specified";
                return Err(invalid(AUTHORIZATION, kind, "", "spec.user", message));
            }
            let of = UserInfo {
                username: spec.user.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
            };
            self.decide(&of, &attributes)
        };
        let mut status = json!({ "allowed": decision.allowed });
        if !decision.reason.is_empty() {
            status["reason"] = decision.reason.into();
        }
        Ok(status)
    }

    fn review_rules(&self, user: &UserInfo, namespace: &str) -> Json {
        let (mut resources, mut paths) = (Vec::new(), Vec::new());
        for rule in self.rules_of(user, namespace) {
            let told = rule.to_json();
            if !rule.resources.is_empty() && !resources.contains(&told) {
                resources.push(told);
            } else if !rule.non_resource_urls.is_empty() && !paths.contains(&told) {
                paths.push(told);
            }
        }
        json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": false })
    }

    fn review_token(&self, spec: &Json) -> Result<Json, Status> {
        let token = spec["token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err(Status::bad_request(
                "token is required for TokenReview in authentication",
            ));
        }
        let asked: Vec<String> = Vec::deserialize(&spec["audiences"]).unwrap_or_default();
        let audiences = if asked.is_empty() {
            &self.options.audiences
        } else {
            &asked
        };
        // Whoever asks learns no more than that it is no good.
        let refused = |reason: &str| {
            tracing::info!(%reason, "a token under review was refused");
            json!({ "authenticated": false, "user": {}, "error": "invalid bearer token" })
        };
        let (mut user, of) = match self.own_token(token, audiences) {
            Some(Ok(user)) => (user, Self::audiences_of(token)),
            Some(Err(Rejected(reason))) => return Ok(refused(&reason)),
            // Tokens of other kinds are for the server itself.
            None => match self.user_of(token) {
                Ok(user) => (user, self.options.audiences.clone()),
                Err(Rejected(reason)) => return Ok(refused(&reason)),
            },
        };
        let common: Vec<&String> = audiences.iter().filter(|one| of.contains(one)).collect();
        if common.is_empty() {
            return Ok(refused("it is for another audience"));
        }
        if !user
            .groups
            .iter()
            .any(|group| group == super::AUTHENTICATED)
        {
            user.groups.push(super::AUTHENTICATED.to_owned());
        }
        Ok(json!({ "authenticated": true, "user": user_info(&user), "audiences": common }))
    }
}

/// Go writes what is absent as null, or leaves it out.
fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        Json::Null => json!({}),
        other => other,
    }
}

/// A user, as `authentication.k8s.io/v1` writes them: without what they do not have.
fn user_info(user: &UserInfo) -> Json {
    let mut told = json!({ "username": user.username, "groups": user.groups });
    if !user.uid.is_empty() {
        told["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        told["extra"] = json!(user.extra);
    }
    told
}
