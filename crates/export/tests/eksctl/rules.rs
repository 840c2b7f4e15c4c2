//! What eksctl refuses beyond its schema: the rules of `pkg/apis/eksctl.io/v1alpha5/` (`validation.go`, `addon.go`,
//! `access_entry.go`) and of `pkg/ctl/cmdutils/` in version 0.230.0, each named by the function that holds it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value as Json;

use crate::exports::{Exported, all};

fn items<'a>(value: &'a Json, pointer: &str) -> &'a [Json] {
    value
        .pointer(pointer)
        .and_then(Json::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Json, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Json::as_str)
}

fn flag(value: &Json, pointer: &str) -> bool {
    value
        .pointer(pointer)
        .and_then(Json::as_bool)
        .unwrap_or(false)
}

/// Every export with its `cluster.yaml`; there must be some that the rule is about.
fn each(about: impl Fn(&Json) -> bool, rule: impl Fn(&Exported, &Json)) {
    let mut some = 0;
    for exported in all().iter().filter(|exported| about(&exported.cluster)) {
        some += 1;
        rule(exported, &exported.cluster);
    }
    assert!(some > 0, "no platform is about it");
}

/// `arn.Parse` of the AWS SDK for Go: `arn:` and five more parts.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.splitn(6, ':').count() == 6
}

#[test]
fn service_accounts_and_karpenter_ask_for_the_oidc_provider() {
    // ValidateClusterConfig, validateKarpenterConfig
    each(
        |cluster| {
            cluster.get("karpenter").is_some() || !items(cluster, "/iam/serviceAccounts").is_empty()
        },
        |exported, cluster| assert!(flag(cluster, "/iam/withOIDC"), "{}", exported.name),
    );
    each(
        |cluster| {
            cluster.get("karpenter").is_none() && items(cluster, "/iam/serviceAccounts").is_empty()
        },
        |exported, cluster| {
            let provider = exported
                .graph
                .resources()
                .any(|resource| resource.type_name.as_str() == "AWS::IAM::OIDCProvider");
            assert_eq!(
                flag(cluster, "/iam/withOIDC"),
                provider,
                "{}",
                exported.name
            );
        },
    );
}

#[test]
fn service_accounts_are_named_once_and_have_rights() {
    // ValidateClusterConfig
    each(
        |cluster| !items(cluster, "/iam/serviceAccounts").is_empty(),
        |exported, cluster| {
            let mut names = BTreeSet::new();
            for account in items(cluster, "/iam/serviceAccounts") {
                let name = (
                    text(account, "/metadata/namespace"),
                    text(account, "/metadata/name"),
                );
                assert!(
                    name.0.is_some() && name.1.is_some() && names.insert(name),
                    "{}",
                    exported.name
                );
                assert!(
                    account.get("attachPolicy").is_some()
                        || account.get("attachPolicyARNs").is_some()
                );
            }
        },
    );
}

#[test]
fn karpenter_has_a_version_a_discovery_tag_and_names_that_fit() {
    // validateKarpenterConfig; ValidateTaggingPrerequisites in pkg/cfn/builder/security_group_errors.go
    each(
        |cluster| cluster.get("karpenter").is_some(),
        |exported, cluster| {
            let version: Vec<u32> = text(cluster, "/karpenter/version")
                .unwrap()
                .split('.')
                .map(|part| part.parse().unwrap())
                .collect();
            assert!(
                version.len() == 3 && version >= vec![0, 20, 0],
                "{version:?}"
            );
            let tag = text(cluster, "/metadata/tags/karpenter.sh~1discovery").unwrap();
            assert!((1..=256).contains(&tag.len()));
            // makeKarpenterStackName, addResourcesForKarpenter: names that IAM must take.
            let name = text(cluster, "/metadata/name").unwrap();
            assert!(
                format!("eksctl-KarpenterNodeRole-{name}").len() <= 64,
                "{}",
                exported.name
            );
            assert!(format!("eksctl-{name}-iamservice-role").len() <= 64);
        },
    );
}

#[test]
fn access_entries_go_with_the_authentication_mode() {
    // ValidateClusterConfig, validateAccessEntries
    each(
        |cluster| !items(cluster, "/accessConfig/accessEntries").is_empty(),
        |_, cluster| {
            assert_ne!(
                text(cluster, "/accessConfig/authenticationMode"),
                Some("CONFIG_MAP")
            )
        },
    );
    let mut entries = 0;
    for exported in all() {
        for document in exported.documents() {
            let mut principals = BTreeSet::new();
            for entry in items(document, "/accessConfig/accessEntries") {
                entries += 1;
                let principal = text(entry, "/principalARN").unwrap();
                assert!(
                    is_arn(principal) && principals.insert(principal),
                    "{principal}"
                );
                let policies = items(entry, "/accessPolicies");
                assert_eq!(
                    policies.is_empty(),
                    text(entry, "/type") == Some("EC2_LINUX")
                );
                for policy in policies {
                    let arn = text(policy, "/policyARN").unwrap();
                    assert!(
                        is_arn(arn) && arn.contains(":cluster-access-policy/"),
                        "{arn}"
                    );
                    let namespaces = items(policy, "/accessScope/namespaces");
                    let kind = text(policy, "/accessScope/type");
                    assert_eq!(namespaces.is_empty(), kind == Some("cluster"));
                }
            }
        }
    }
    assert!(entries > 0);
}

#[test]
fn an_entry_of_a_role_that_eksctl_makes_later_is_not_in_the_clusters_file() {
    // NewTasksToCreateCluster in pkg/cfn/manager/create_tasks.go makes the entries right after the control plane.
    for exported in all() {
        for entry in items(&exported.cluster, "/accessConfig/accessEntries") {
            let principal = text(entry, "/principalARN").unwrap();
            assert!(
                !principal.contains("/eksctl-"),
                "{}: {principal}",
                exported.name
            );
        }
        let nodes = exported.nodes.as_ref().map(|(_, document)| document);
        assert_eq!(
            nodes.is_some(),
            exported.cluster.get("karpenter").is_some(),
            "{}",
            exported.name
        );
        let name = text(&exported.cluster, "/metadata/name").unwrap();
        if let Some(nodes) = nodes {
            let principal = text(nodes, "/accessConfig/accessEntries/0/principalARN").unwrap();
            let role = format!(":role/eksctl-KarpenterNodeRole-{name}");
            assert!(principal.ends_with(&role), "{principal}");
            assert_eq!(text(nodes, "/metadata/name"), Some(name));
        }
    }
}

fn associations(cluster: &Json) -> impl Iterator<Item = &Json> {
    let of_addons = items(cluster, "/addons").iter();
    let of_addons = of_addons.flat_map(|addon| items(addon, "/podIdentityAssociations"));
    items(cluster, "/iam/podIdentityAssociations")
        .iter()
        .chain(of_addons)
}

#[test]
fn pod_identity_asks_for_its_agent_and_for_rights() {
    // NewCreateClusterLoader, validatePodIdentityAssociations in pkg/ctl/cmdutils; Addon.Validate
    each(
        |cluster| associations(cluster).next().is_some(),
        |exported, cluster| {
            let agent = items(cluster, "/addons")
                .iter()
                .any(|addon| text(addon, "/name") == Some("eks-pod-identity-agent"));
            assert!(agent, "{}", exported.name);
            for association in associations(cluster) {
                assert!(text(association, "/namespace").is_some_and(|text| !text.is_empty()));
                assert!(
                    text(association, "/serviceAccountName").is_some_and(|text| !text.is_empty())
                );
                let policies = association.get("permissionPolicy").is_some()
                    || association.get("permissionPolicyARNs").is_some();
                let role = association.get("roleARN").is_some();
                assert!(role != policies, "{}: {association}", exported.name);
                assert!(!role || association.get("roleName").is_none());
            }
        },
    );
}

#[test]
fn an_add_on_has_one_source_of_rights_and_values_in_json() {
    // Addon.Validate, checkAtMostOnePolicyProviderIsSet, validateAddonPodIdentityAssociations
    each(
        |cluster| !items(cluster, "/addons").is_empty(),
        |exported, cluster| {
            let mut names = BTreeSet::new();
            for addon in items(cluster, "/addons") {
                let name = text(addon, "/name").unwrap();
                assert!(
                    names.insert(name),
                    "{}: {name} is there twice",
                    exported.name
                );
                let sources = [
                    "serviceAccountRoleARN",
                    "attachPolicy",
                    "attachPolicyARNs",
                    "podIdentityAssociations",
                ];
                let given = sources
                    .iter()
                    .filter(|source| addon.get(source).is_some())
                    .count();
                assert!(given <= 1, "{}: {addon}", exported.name);
                if let Some(values) = text(addon, "/configurationValues") {
                    assert!(serde_json::from_str::<Json>(values).unwrap().is_object());
                }
                assert!(
                    items(addon, "/podIdentityAssociations")
                        .iter()
                        .all(|one| one.get("tags").is_none())
                );
            }
        },
    );
}

#[test]
fn a_role_for_an_add_on_trusts_one_service_account() {
    // getKnownServiceAccountLocation in pkg/actions/addon/create.go knows that of the VPC CNI only: for any other add-on
    // eksctl would make a role that all service accounts may assume. Those are made by `iam.serviceAccounts`.
    each(
        |cluster| !items(cluster, "/iam/serviceAccounts").is_empty(),
        |exported, cluster| {
            let made: Vec<&str> = items(cluster, "/iam/serviceAccounts")
                .iter()
                .filter_map(|account| text(account, "/roleName"))
                .collect();
            for addon in items(cluster, "/addons") {
                let attached = addon
                    .get("attachPolicy")
                    .or_else(|| addon.get("attachPolicyARNs"));
                assert!(attached.is_none() || text(addon, "/name") == Some("vpc-cni"));
                if let Some(arn) = text(addon, "/serviceAccountRoleARN") {
                    let role = arn.rsplit('/').next().unwrap();
                    assert!(
                        made.contains(&role) || role.starts_with("their-"),
                        "{}: {arn}",
                        exported.name
                    );
                }
            }
        },
    );
}

#[test]
fn the_api_can_be_reached_and_ranges_are_ranges() {
    // ValidateClusterEndpointConfig, ValidateVPCConfig
    each(
        |_| true,
        |exported, cluster| {
            let public = flag(cluster, "/vpc/clusterEndpoints/publicAccess");
            let private = flag(cluster, "/vpc/clusterEndpoints/privateAccess");
            assert!(public || private, "{}", exported.name);
            let sources = items(cluster, "/vpc/publicAccessCIDRs")
                .iter()
                .filter_map(Json::as_str);
            for range in sources.chain(text(cluster, "/vpc/cidr")) {
                let (address, prefix) = range.split_once('/').unwrap();
                assert!(address.parse::<Ipv4Addr>().is_ok() && prefix.parse::<u8>().unwrap() <= 32);
            }
        },
    );
}

#[test]
fn zones_are_for_a_vpc_of_eksctls_and_subnets_for_an_existing_one() {
    // validateAvailabilityZones; createOrImportVPC in pkg/ctl/create/cluster.go
    each(
        |cluster| cluster.pointer("/vpc/id").is_none(),
        |exported, cluster| {
            assert!(
                items(cluster, "/availabilityZones").len() >= 2,
                "{}",
                exported.name
            );
            assert!(cluster.pointer("/vpc/subnets").is_none());
        },
    );
    each(
        |cluster| cluster.pointer("/vpc/id").is_some(),
        |_, cluster| {
            assert!(
                cluster.get("availabilityZones").is_none() && cluster.pointer("/vpc/nat").is_none()
            );
            let private = cluster
                .pointer("/vpc/subnets/private")
                .and_then(Json::as_object);
            assert!(private.is_some_and(|private| private.len() >= 2));
        },
    );
}

#[test]
fn a_key_is_an_arn_or_a_placeholder_that_is_none() {
    // ValidateSecretsEncryption
    each(
        |cluster| cluster.get("secretsEncryption").is_some(),
        |exported, cluster| {
            let key = text(cluster, "/secretsEncryption/keyARN").unwrap();
            let theirs = exported.name.starts_with("theirs");
            assert_eq!(is_arn(key), theirs, "{}: {key}", exported.name);
            assert!(theirs || key == "<SECRETS_KEY_ARN>");
        },
    );
}

#[test]
fn log_types_and_retentions_are_known() {
    // validateCloudWatchLogging
    let days = spec::model::RETENTION_DAYS;
    each(
        |cluster| cluster.get("cloudWatch").is_some(),
        |_, cluster| {
            let types = items(cluster, "/cloudWatch/clusterLogging/enableTypes");
            let known = [
                "api",
                "audit",
                "authenticator",
                "controllerManager",
                "scheduler",
            ];
            assert!(
                !types.is_empty()
                    && types
                        .iter()
                        .all(|one| known.contains(&one.as_str().unwrap()))
            );
            let retention = cluster.pointer("/cloudWatch/clusterLogging/logRetentionInDays");
            let retention = retention.and_then(Json::as_u64).unwrap();
            assert!(days.iter().any(|day| u64::from(*day) == retention));
        },
    );
}

#[test]
fn node_groups_are_what_eksctl_can_make() {
    // ValidateManagedNodeGroup, validateNodeGroupBase, validateNodeGroupIAM, validateLabels, IsInvalidNameArg
    each(
        |cluster| !items(cluster, "/managedNodeGroups").is_empty(),
        |exported, cluster| {
            for group in items(cluster, "/managedNodeGroups") {
                let number = |name: &str| group.pointer(name).and_then(Json::as_u64);
                let sizes =
                    ["/minSize", "/desiredCapacity", "/maxSize"].map(|name| number(name).unwrap());
                assert!(
                    sizes.is_sorted() && sizes[2] >= 1,
                    "{}: {sizes:?}",
                    exported.name
                );
                let (count, percentage) = (
                    number("/updateConfig/maxUnavailable"),
                    number("/updateConfig/maxUnavailablePercentage"),
                );
                assert!(count.is_some() != percentage.is_some());
                assert!(count.unwrap_or(0) <= sizes[2]);
                assert!(
                    number("/volumeSize").is_some(),
                    "the other volume fields ask for it"
                );
                let name = text(group, "/name").unwrap();
                assert!(
                    name.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                );
                let role = group.pointer("/iam/instanceRoleARN").is_some();
                let named = group.pointer("/iam/instanceRoleName").is_some();
                assert!(role != named && role != group.pointer("/iam/attachPolicyARNs").is_some());
                for label in group["labels"].as_object().unwrap().keys() {
                    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
                    let reserved = ["kubernetes.io", "k8s.io"]
                        .iter()
                        .any(|one| domain == *one || domain.ends_with(&format!(".{one}")));
                    assert!(!reserved, "{label}");
                }
            }
        },
    );
}

#[test]
fn names_of_stacks_fit() {
    // MakeStackName and MakeAddonPodIdentityStackName in pkg/actions/podidentityassociation/iam_role_creator.go;
    // CloudFormation takes 128 characters.
    for exported in all() {
        let cluster = &exported.cluster;
        let name = text(cluster, "/metadata/name").unwrap();
        let account = |association: &Json| {
            let namespace = text(association, "/namespace").unwrap().to_owned();
            (
                namespace,
                text(association, "/serviceAccountName").unwrap().to_owned(),
            )
        };
        for association in items(cluster, "/iam/podIdentityAssociations") {
            let (namespace, account) = account(association);
            assert!(format!("eksctl-{name}-podidentityrole-{namespace}-{account}").len() <= 128);
        }
        for addon in items(cluster, "/addons") {
            let addon_name = text(addon, "/name").unwrap();
            for association in items(addon, "/podIdentityAssociations") {
                let (_, account) = account(association);
                let stack = format!("eksctl-{name}-addon-{addon_name}-podidentityrole-{account}");
                assert!(stack.len() <= 128, "{stack}");
            }
        }
    }
}
