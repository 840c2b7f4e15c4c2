//! The least that the deployer must be allowed to do, as IAM policy documents.
//!
//! Cloud Control acts with the caller's own permissions, so the caller needs what the handlers of the planned types need
//! (from the official schemas), the actions on Cloud Control itself, and those of the few direct calls. What can be limited to
//! this environment's own names is: changes of roles, policies and instance profiles, passing roles, reading secrets, the
//! state. The rest is by service, on all resources, since most identifiers are made up by AWS.
//!
//! A managed policy holds 6,144 characters without white space (IAM quotas, "IAM and STS character limits"), so the result
//! is a list of documents that each fit; a role takes ten.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::AccountId;
use catalog::{TypeName, permissions, regions};
use graph::Scope;
use serde_json::{Value, json};

use crate::state_s3::S3Location;

/// Characters that a managed policy may have, without white space.
const LONGEST_DOCUMENT: usize = 6_144;

/// What the documents are for.
#[derive(Debug, Clone)]
pub struct PolicyRequest<'a> {
    /// Whose resources they are: names and the region come from it.
    pub scope: &'a Scope,
    /// The account, if it is known: any otherwise.
    pub account: Option<&'a AccountId>,
    /// The types of the resources.
    pub types: &'a BTreeSet<TypeName>,
    /// How the names of the secrets begin whose values the deployer reads.
    pub secret_prefixes: &'a [String],
    /// Where the state is kept, if that is S3.
    pub state: Option<&'a S3Location>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    sid: String,
    actions: BTreeSet<String>,
    resources: Vec<String>,
}

impl Statement {
    fn new<A: Into<String>>(
        sid: impl Into<String>,
        actions: impl IntoIterator<Item = A>,
        resources: Vec<String>,
    ) -> Self {
        Self {
            sid: sid.into(),
            actions: actions.into_iter().map(Into::into).collect(),
            resources,
        }
    }

    fn document(&self) -> Value {
        let resource = match self.resources.as_slice() {
            [only] => Value::from(only.as_str()),
            several => json!(several),
        };
        json!({"Sid": self.sid, "Effect": "Allow", "Action": self.actions, "Resource": resource})
    }

    fn length(&self) -> usize {
        self.document().to_string().len()
    }
}

/// The documents, each small enough for a managed policy.
#[must_use]
pub fn deployer_policies(request: &PolicyRequest<'_>) -> Vec<Value> {
    let mut documents: Vec<Vec<Statement>> = Vec::new();
    for statement in statements(request) {
        for part in split(statement) {
            let length = part.length() + 1;
            let fits = documents
                .iter_mut()
                .find(|parts| document(parts).to_string().len() + length <= LONGEST_DOCUMENT);
            match fits {
                Some(parts) => parts.push(part),
                None => documents.push(vec![part]),
            }
        }
    }
    documents.iter().map(|parts| document(parts)).collect()
}

fn document(statements: &[Statement]) -> Value {
    let statements: Vec<Value> = statements.iter().map(Statement::document).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statements(request: &PolicyRequest<'_>) -> Vec<Statement> {
    let all = || vec!["*".to_owned()];
    let arn = Arns::new(request);
    let mut services = by_service(request.types);
    let mut found = Vec::new();

    let mut direct: BTreeSet<&str> = BTreeSet::from([
        "sts:GetCallerIdentity",
        "tag:GetResources",
        "servicequotas:GetServiceQuota",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeSubnets",
    ]);
    let has = |name: &str| {
        request
            .types
            .iter()
            .any(|type_name| type_name.as_str() == name)
    };
    if has("AWS::CertificateManager::Certificate") {
        direct.insert("acm:DescribeCertificate");
    }
    // What a cluster leaves behind.
    if has("AWS::EKS::Cluster") {
        direct.extend([
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteSecurityGroup",
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroups",
            "ec2:TerminateInstances",
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteTargetGroup",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups",
        ]);
    }
    if has("AWS::Route53::RecordSet") {
        direct.extend([
            "route53:ChangeResourceRecordSets",
            "route53:GetChange",
            "route53:ListHostedZonesByName",
            "route53:ListResourceRecordSets",
        ]);
    }
    let cloud_control = permissions::CLOUD_CONTROL
        .into_iter()
        .chain(direct)
        .map(str::to_owned);
    found.push(Statement::new("CloudControl", cloud_control, all()));

    if let Some(iam) = services.remove("iam") {
        found.extend(iam_statements(iam, &arn));
    }
    if let Some(mut secrets) = services.remove("secretsmanager") {
        let values = split_off(&mut secrets, |action| {
            action == "secretsmanager:GetSecretValue"
        });
        let resources: Vec<String> = request
            .secret_prefixes
            .iter()
            .map(|prefix| arn.of("secretsmanager", &format!("secret:{prefix}*")))
            .collect();
        if !values.is_empty() && !resources.is_empty() {
            found.push(Statement::new("SecretValues", values, resources));
        }
        services.insert("secretsmanager".to_owned(), secrets);
    }
    for (service, actions) in services {
        if !actions.is_empty() {
            found.push(Statement::new(sid(&service), actions, all()));
        }
    }
    if let Some(state) = request.state {
        found.extend(state_statements(state, &arn));
    }
    found
}

fn by_service(types: &BTreeSet<TypeName>) -> BTreeMap<String, BTreeSet<String>> {
    let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for action in permissions::for_types(types).into_values().flatten() {
        if let Some((service, _)) = action.split_once(':') {
            services
                .entry(service.to_owned())
                .or_default()
                .insert(action);
        }
    }
    // The provider reads a secret's value where a property needs it, whether or not a handler does.
    if types
        .iter()
        .any(|type_name| type_name.service() == "SecretsManager")
    {
        services
            .entry("secretsmanager".to_owned())
            .or_default()
            .insert("secretsmanager:GetSecretValue".to_owned());
    }
    services
}

fn iam_statements(mut iam: BTreeSet<String>, arn: &Arns) -> Vec<Statement> {
    let name = &arn.scope;
    let passed = split_off(&mut iam, |action| action == "iam:PassRole");
    let linked = split_off(&mut iam, |action| action.contains("ServiceLinkedRole"));
    let reads = split_off(&mut iam, |action| {
        action.starts_with("iam:Get") || action.starts_with("iam:List")
    });
    let providers = split_off(&mut iam, |action| action.contains("OpenIDConnect"));
    let ours = ["role", "policy", "instance-profile"]
        .map(|kind| arn.global("iam", &format!("{kind}/{name}-*")))
        .to_vec();
    let statements = [
        Statement::new("IamRead", reads, vec!["*".to_owned()]),
        Statement::new(
            "IamProviders",
            providers,
            vec![arn.global("iam", "oidc-provider/*")],
        ),
        Statement::new(
            "IamServiceLinkedRoles",
            linked,
            vec![arn.global("iam", "role/aws-service-role/*")],
        ),
        Statement::new(
            "IamPassRole",
            passed,
            vec![arn.global("iam", &format!("role/{name}-*"))],
        ),
        Statement::new("IamChange", iam, ours),
    ];
    statements
        .into_iter()
        .filter(|statement| !statement.actions.is_empty())
        .collect()
}

fn state_statements(state: &S3Location, arn: &Arns) -> [Statement; 3] {
    let bucket = format!("arn:{}:s3:::{}", arn.partition, state.bucket);
    [
        Statement::new("StateList", ["s3:ListBucket"], vec![bucket.clone()]),
        Statement::new(
            "StateObjects",
            ["s3:GetObject", "s3:PutObject"],
            vec![format!("{bucket}/{}/*", state.prefix)],
        ),
        Statement::new(
            "StateLock",
            ["dynamodb:GetItem", "dynamodb:UpdateItem"],
            vec![arn.of("dynamodb", &format!("table/{}", state.table))],
        ),
    ]
}

fn split_off(actions: &mut BTreeSet<String>, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let (off, kept) = std::mem::take(actions)
        .into_iter()
        .partition(|action| wanted(action));
    *actions = kept;
    off
}

/// A statement in as many as a document has room for.
fn split(statement: Statement) -> Vec<Statement> {
    let room = LONGEST_DOCUMENT - document(&[]).to_string().len();
    if statement.length() <= room {
        return vec![statement];
    }
    let half = statement.actions.len() / 2;
    let Some(middle) = statement.actions.iter().nth(half).cloned() else {
        return vec![statement];
    };
    let mut first = statement.clone();
    let mut second = statement;
    second.actions = first.actions.split_off(&middle);
    if first.actions.is_empty() || second.actions.is_empty() {
        return vec![second];
    }
    second.sid.push('2');
    [split(first), split(second)].concat()
}

/// `Route53RecoveryControlConfig` of `route53-recovery-control-config`: a Sid takes letters and digits only.
fn sid(service: &str) -> String {
    service
        .split('-')
        .map(|part| {
            let (first, rest) = part.split_at(part.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

/// ARNs of the account and region.
struct Arns {
    partition: &'static str,
    region: String,
    account: String,
    scope: String,
}

impl Arns {
    fn new(request: &PolicyRequest<'_>) -> Self {
        let region = request.scope.region.as_str();
        Self {
            partition: regions::partition(region),
            region: region.to_owned(),
            account: request
                .account
                .map_or_else(|| "*".to_owned(), ToString::to_string),
            scope: request.scope.name(),
        }
    }

    fn of(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition, self.region, self.account
        )
    }

    fn global(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}::{}:{resource}",
            self.partition, self.account
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::ids::{EnvironmentName, PlatformName, Region};

    fn policies(types: &BTreeSet<TypeName>) -> Vec<Value> {
        let scope = Scope {
            platform: PlatformName::new("shop").unwrap(),
            environment: EnvironmentName::new("prod").unwrap(),
            region: Region::new("eu-central-1").unwrap(),
        };
        let account = AccountId::new("123456789012").unwrap();
        let state = S3Location {
            bucket: "b".to_owned(),
            prefix: "shop/prod".to_owned(),
            table: "locks".to_owned(),
        };
        deployer_policies(&PolicyRequest {
            scope: &scope,
            account: Some(&account),
            types,
            secret_prefixes: &["shop-prod/".to_owned()],
            state: Some(&state),
        })
    }

    /// The resources that an action is allowed on.
    fn allowed(policies: &[Value], action: &str) -> Vec<String> {
        policies
            .iter()
            .flat_map(|policy| policy["Statement"].as_array().unwrap())
            .filter(|statement| {
                statement["Action"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(action))
            })
            .flat_map(|statement| match &statement["Resource"] {
                Value::Array(several) => several.clone(),
                one => vec![one.clone()],
            })
            .map(|resource| resource.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_action_of_every_type_is_allowed_in_documents_that_iam_takes() {
        let types: BTreeSet<TypeName> = catalog::type_names().collect();
        let policies = policies(&types);
        assert!(
            policies.len() > 1 && policies.len() <= 10,
            "{}",
            policies.len()
        );
        let mut sids = BTreeSet::new();
        for policy in &policies {
            assert!(policy.to_string().len() <= LONGEST_DOCUMENT);
            let mut own = BTreeSet::new();
            for statement in policy["Statement"].as_array().unwrap() {
                let sid = statement["Sid"].as_str().unwrap();
                assert!(
                    sid.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                    "{sid}"
                );
                assert!(own.insert(sid), "{sid} twice");
                sids.insert(sid);
            }
        }
        assert!(
            sids.contains("Ec2") && sids.contains("StateLock"),
            "{sids:?}"
        );
        for action in permissions::for_types(&types).into_values().flatten() {
            assert!(!allowed(&policies, &action).is_empty(), "{action}");
        }
    }

    #[test]
    fn what_can_be_limited_is() {
        let types: BTreeSet<TypeName> = [
            "AWS::IAM::Role",
            "AWS::IAM::ServiceLinkedRole",
            "AWS::EKS::Cluster",
            "AWS::SecretsManager::Secret",
        ]
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
        let policies = policies(&types);
        let role = "arn:aws:iam::123456789012:role/shop-prod-*";
        assert_eq!(allowed(&policies, "iam:PassRole"), [role]);
        assert!(allowed(&policies, "iam:CreateRole").contains(&role.to_owned()));
        assert!(!allowed(&policies, "iam:CreateRole").contains(&"*".to_owned()));
        assert_eq!(
            allowed(&policies, "secretsmanager:GetSecretValue"),
            ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop-prod/*"]
        );
        assert_eq!(
            allowed(&policies, "dynamodb:UpdateItem"),
            ["arn:aws:dynamodb:eu-central-1:123456789012:table/locks"]
        );
        assert_eq!(
            allowed(&policies, "iam:CreateServiceLinkedRole"),
            ["arn:aws:iam::123456789012:role/aws-service-role/*"]
        );
        assert!(allowed(&policies, "rds:CreateDBCluster").is_empty());
    }
}
