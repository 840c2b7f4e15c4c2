//! Who a request comes from.

use apimachinery::Status;
use apimachinery::rbac::{Attributes, Target};
use apimachinery::status::Reason;

use super::{
    ANONYMOUS, AUTHENTICATED, Gate, Impersonation, UNAUTHENTICATED, service_account_groups,
    service_account_of,
};
use crate::ports::{Rejected, UserInfo};

impl Gate {
    /// Who sends this `Authorization` header; without one (or with one that is no bearer token), `system:anonymous`.
    ///
    /// # Errors
    /// 401 in the real server's words. It never says why: the log does, without the token.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<UserInfo, Status> {
        let Some(token) = authorization.and_then(bearer) else {
            return Ok(anonymous());
        };
        match self.user_of(token) {
            Ok(user) => Ok(user),
            Err(Rejected(reason)) => {
                tracing::info!(%reason, "a token was refused");
                Err(Status::new(Reason::Unauthorized, "Unauthorized"))
            }
        }
    }

    /// Whom a bearer token belongs to, who are then among the authenticated.
    pub(super) fn user_of(&self, token: &str) -> Result<UserInfo, Rejected> {
        let mut user = match self.own_token(token, &self.options.audiences) {
            Some(user) => user?,
            None => self
                .options
                .authenticators
                .iter()
                .find_map(|authenticator| authenticator.authenticate(token))
                .unwrap_or_else(|| Err(Rejected("nobody knows tokens of this kind".to_owned())))?,
        };
        join(&mut user.groups, AUTHENTICATED);
        Ok(user)
    }

    /// The user that somebody may act as.
    ///
    /// # Errors
    /// 403 if they may not; 500, as the real server has it, if groups, a uid or extra fields come without a user.
    pub fn impersonate(&self, user: &UserInfo, wanted: Impersonation) -> Result<UserInfo, Status> {
        if wanted.user.is_empty() {
            return Err(Status::new(
                Reason::InternalError,
                "groups, a uid or extra fields were requested without impersonating a user",
            ));
        }
        let may = |group: &str, resource: &str, subresource: &str, name: &str, namespace: &str| {
            let target = Target::Resource {
                group,
                resource,
                subresource,
                name,
                namespace,
            };
            let verb = "impersonate";
            self.authorize(user, &Attributes { verb, target })
        };
        let service_account = service_account_of(&wanted.user);
        match service_account {
            Some((namespace, name)) => may("", "serviceaccounts", "", name, namespace)?,
            None => may("", "users", "", &wanted.user, "")?,
        }
        for group in &wanted.groups {
            may("", "groups", "", group, "")?;
        }
        const GROUP: &str = "authentication.k8s.io";
        for (key, values) in &wanted.extra {
            for value in values {
                may(GROUP, "userextras", key, value, "")?;
            }
        }
        if !wanted.uid.is_empty() {
            may(GROUP, "uids", "", &wanted.uid, "")?;
        }
        let mut groups = match service_account {
            Some((namespace, _)) if wanted.groups.is_empty() => service_account_groups(namespace),
            _ => wanted.groups,
        };
        if wanted.user == ANONYMOUS {
            join(&mut groups, UNAUTHENTICATED);
        } else if !groups.iter().any(|group| group == UNAUTHENTICATED) {
            join(&mut groups, AUTHENTICATED);
        }
        Ok(UserInfo {
            username: wanted.user,
            uid: wanted.uid,
            groups,
            extra: wanted.extra,
        })
    }
}

fn anonymous() -> UserInfo {
    UserInfo {
        username: ANONYMOUS.to_owned(),
        groups: vec![UNAUTHENTICATED.to_owned()],
        ..UserInfo::default()
    }
}

fn join(groups: &mut Vec<String>, group: &str) {
    if !groups.iter().any(|one| one == group) {
        groups.push(group.to_owned());
    }
}

/// The token of a header `Bearer …`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
