//! What is in the file is what is in the graph, found there by another way than the exporter's.

use std::collections::{BTreeMap, BTreeSet};

use export::eksctl::{Fate, ledger};
use graph::{Attribute, Lifecycle, Lookup, Parameter, Reference, SecretReference, Value, resolve};
use serde_json::{Value as Json, json};

use crate::exports::{Exported, all};

const ACCOUNT: &str = "111122223333";
const VPC_ID: &str = "vpc-0a1b2c3d4e5f60718";

/// The graph as it will be known once all is there.
struct Known<'a>(&'a Exported);

impl Lookup for Known<'_> {
    fn attribute(&self, reference: &Reference) -> Option<Json> {
        let resource = self.0.graph.get(&reference.to)?;
        let Attribute::Property(path) = &reference.attribute else {
            return None;
        };
        let property = path.property()?;
        let text = match (resource.type_name.as_str(), property, &resource.lifecycle) {
            ("AWS::EC2::VPC", "VpcId", Lifecycle::Existing(id)) => id.to_string(),
            ("AWS::EC2::VPC", "VpcId", _) => VPC_ID.to_owned(),
            _ => return Some(resolve(resource.properties.get(property)?, self)),
        };
        Some(Json::String(text))
    }

    fn parameter(&self, parameter: Parameter) -> Option<String> {
        let account = self.0.platform.spec.aws.account.clone();
        (parameter == Parameter::AccountId).then(|| account.unwrap_or_else(|| ACCOUNT.to_owned()))
    }

    fn is_new_secret(&self, _: &SecretReference) -> bool {
        true
    }
}

/// The properties of a type's resources, as they will be.
fn of_type(exported: &Exported, type_name: &str) -> Vec<Json> {
    exported
        .graph
        .resources()
        .filter(|resource| resource.type_name.as_str() == type_name)
        .filter(|resource| !matches!(resource.lifecycle, Lifecycle::Existing(_)))
        .map(|resource| {
            let properties = resource.properties.iter();
            let properties: serde_json::Map<_, _> = properties
                .map(|(name, value)| (name.clone(), resolve(value, &Known(exported))))
                .collect();
            Json::Object(properties)
        })
        .collect()
}

/// What CloudFormation makes of a document of eksctl's file.
pub(crate) fn substituted(exported: &Exported, document: &Json) -> Json {
    match document {
        Json::Object(object) if object.len() == 1 && object.contains_key("Fn::Sub") => {
            let mut template = match &object["Fn::Sub"] {
                Json::Array(parts) => {
                    let cluster = exported.cluster["metadata"]["name"].as_str().unwrap();
                    let export = format!("eksctl-{cluster}-cluster::VPC");
                    assert_eq!(parts[1], json!({ "Vpc": { "Fn::ImportValue": export } }));
                    parts[0].as_str().unwrap().replace("${Vpc}", VPC_ID)
                }
                template => template.as_str().unwrap().to_owned(),
            };
            template = template.replace("${AWS::AccountId}", ACCOUNT);
            assert!(!template.replace("${!", "").contains("${"), "{template}");
            Json::String(template.replace("${!", "${"))
        }
        Json::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), substituted(exported, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Json::Array(items) => items
            .iter()
            .map(|item| substituted(exported, item))
            .collect(),
        other => other.clone(),
    }
}

/// What a role may do, by its name: policies by ARN, and the inline one.
type Rights = BTreeMap<String, (BTreeSet<String>, Option<Json>)>;

fn texts(value: Option<&Json>) -> BTreeSet<String> {
    let items = value.and_then(Json::as_array);
    items
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn roles_keep_their_names_and_their_rights() {
    let mut checked = 0;
    for exported in all() {
        let mut found = Rights::new();
        let cluster = &exported.cluster;
        let list = |value: &Json, pointer: &str| -> Vec<Json> {
            value
                .pointer(pointer)
                .and_then(Json::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let mut associations = list(cluster, "/iam/podIdentityAssociations");
        for addon in list(cluster, "/addons") {
            associations.extend(list(&addon, "/podIdentityAssociations"));
        }
        for (entries, arns, policy) in [
            (associations, "permissionPolicyARNs", "permissionPolicy"),
            (
                list(cluster, "/iam/serviceAccounts"),
                "attachPolicyARNs",
                "attachPolicy",
            ),
        ] {
            for entry in entries {
                if let Some(name) = entry.get("roleName") {
                    let policy = entry
                        .get(policy)
                        .map(|policy| substituted(exported, policy));
                    let rights = (texts(entry.get(arns)), policy);
                    let before = found.insert(name.as_str().unwrap().to_owned(), rights);
                    assert_eq!(before, None, "{}: {name} is there twice", exported.name);
                }
            }
        }
        // The node group's role is said elsewhere.
        let nodes = &cluster["managedNodeGroups"][0]["iam"];
        if let Some(name) = nodes.get("instanceRoleName") {
            let rights = (texts(nodes.get("attachPolicyARNs")), None);
            found.insert(name.as_str().unwrap().to_owned(), rights);
        }
        let ledger = ledger(exported.scope()).unwrap();
        let named: BTreeSet<&str> = exported
            .graph
            .resources()
            .filter(|resource| resource.type_name.as_str() == "AWS::IAM::Role")
            .filter(|role| match ledger.fate(&role.address).unwrap() {
                Fate::Expressed { lost, .. } => !lost.iter().any(|path| path == "RoleName"),
                _ => false,
            })
            .map(|role| match &role.properties["RoleName"] {
                Value::String(name) => name.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, named, "{}", exported.name);
        for role in of_type(exported, "AWS::IAM::Role") {
            let name = role["RoleName"].as_str().unwrap();
            let Some((arns, policy)) = found.remove(name) else {
                continue;
            };
            checked += 1;
            assert_eq!(
                arns,
                texts(role.get("ManagedPolicyArns")),
                "{}: {name}",
                exported.name
            );
            let inline = role.pointer("/Policies/0/PolicyDocument").cloned();
            assert_eq!(policy, inline, "{}: {name}", exported.name);
        }
        assert!(
            found.is_empty(),
            "{}: {found:?} are not in the graph",
            exported.name
        );
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn service_accounts_are_those_that_the_roles_trust() {
    let accounts: BTreeMap<&str, (&str, &str)> = [
        ("vpc-cni", ("kube-system", "aws-node")),
        ("ebs-csi", ("kube-system", "ebs-csi-controller-sa")),
        (
            "cloudwatch-agent",
            ("amazon-cloudwatch", "cloudwatch-agent"),
        ),
        (
            "load-balancer-controller",
            ("kube-system", "aws-load-balancer-controller"),
        ),
        ("external-secrets", ("external-secrets", "external-secrets")),
    ]
    .into();
    let mut seen = BTreeSet::new();
    for exported in all() {
        let name = exported.cluster["metadata"]["name"].as_str().unwrap();
        let mut check = |role: &Json, namespace: &Json, account: &Json| {
            let role = role
                .as_str()
                .unwrap()
                .strip_prefix(&format!("{name}-"))
                .unwrap();
            let found = (namespace.as_str().unwrap(), account.as_str().unwrap());
            assert_eq!(
                accounts.get(role),
                Some(&found),
                "{}: {role}",
                exported.name
            );
            seen.insert(role.to_owned());
        };
        let text = exported.cluster.to_string();
        let cluster: Json = serde_json::from_str(&text).unwrap();
        let empty = json!([]);
        let lists = cluster["addons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|addon| addon.get("podIdentityAssociations").unwrap_or(&empty))
            .chain([cluster
                .pointer("/iam/podIdentityAssociations")
                .unwrap_or(&empty)]);
        for entry in lists.flat_map(|list| list.as_array().unwrap()) {
            if let Some(role) = entry.get("roleName") {
                check(role, &entry["namespace"], &entry["serviceAccountName"]);
            }
        }
        let service_accounts = cluster.pointer("/iam/serviceAccounts").unwrap_or(&empty);
        for entry in service_accounts.as_array().unwrap() {
            check(
                &entry["roleName"],
                &entry["metadata"]["namespace"],
                &entry["metadata"]["name"],
            );
        }
    }
    assert_eq!(seen.len(), accounts.len(), "{seen:?}");
}

#[test]
fn the_control_plane_is_the_graphs() {
    for exported in all() {
        let graph = &of_type(exported, "AWS::EKS::Cluster")[0];
        let cluster = &exported.cluster;
        let name = &exported.name;
        let same = |field: &str, property: &str| {
            assert_eq!(
                cluster.pointer(field),
                graph.pointer(property),
                "{name}: {field}"
            );
        };
        same("/metadata/name", "/Name");
        same("/metadata/version", "/Version");
        same("/upgradePolicy/supportType", "/UpgradePolicy/SupportType");
        same("/zonalShiftConfig/enabled", "/ZonalShiftConfig/Enabled");
        same(
            "/kubernetesNetworkConfig/serviceIPv4CIDR",
            "/KubernetesNetworkConfig/ServiceIpv4Cidr",
        );
        same(
            "/vpc/clusterEndpoints/publicAccess",
            "/ResourcesVpcConfig/EndpointPublicAccess",
        );
        same(
            "/vpc/clusterEndpoints/privateAccess",
            "/ResourcesVpcConfig/EndpointPrivateAccess",
        );
        same(
            "/vpc/publicAccessCIDRs",
            "/ResourcesVpcConfig/PublicAccessCidrs",
        );
        same(
            "/accessConfig/authenticationMode",
            "/AccessConfig/AuthenticationMode",
        );
        assert_eq!(
            cluster["metadata"]["region"],
            json!(exported.platform.region.as_str())
        );
        let types = graph
            .pointer("/Logging/ClusterLogging/EnabledTypes")
            .unwrap();
        let types: Vec<&Json> = types
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["Type"])
            .collect();
        let logged = cluster.pointer("/cloudWatch/clusterLogging/enableTypes");
        assert_eq!(
            logged
                .map_or(&vec![], |types| types.as_array().unwrap())
                .iter()
                .collect::<Vec<_>>(),
            types
        );
        let encrypted = graph.get("EncryptionConfig").is_some();
        assert_eq!(
            cluster.get("secretsEncryption").is_some(),
            encrypted,
            "{name}"
        );
        assert_eq!(
            cluster.pointer("/accessConfig/bootstrapClusterCreatorAdminPermissions"),
            Some(&json!(true))
        );
    }
}

#[test]
fn tags_are_the_specs_and_no_owners() {
    for exported in all() {
        let mut expected: BTreeMap<String, String> = exported.platform.spec.aws.tags.clone();
        if exported.cluster.get("karpenter").is_some() {
            let name = exported.cluster["metadata"]["name"].as_str().unwrap();
            expected.insert("karpenter.sh/discovery".to_owned(), name.to_owned());
        }
        let tags = exported.cluster["metadata"]
            .get("tags")
            .cloned()
            .unwrap_or(json!({}));
        assert_eq!(tags, json!(expected), "{}", exported.name);
        let (_, body) = exported.text.split_once("\n\n").unwrap();
        for owner in [
            "seaworthy:platform",
            "seaworthy:environment",
            "seaworthy:address",
        ] {
            assert!(
                !body.contains(owner),
                "{}: what eksctl makes is not ours",
                exported.name
            );
        }
    }
}

#[test]
fn add_ons_keep_their_versions_and_values() {
    for exported in all() {
        let mut addons: BTreeMap<String, Json> = of_type(exported, "AWS::EKS::Addon")
            .into_iter()
            .map(|addon| (addon["AddonName"].as_str().unwrap().to_owned(), addon))
            .collect();
        for found in exported.cluster["addons"].as_array().unwrap() {
            let addon = addons.remove(found["name"].as_str().unwrap()).unwrap();
            assert_eq!(
                found.get("version"),
                addon.get("AddonVersion"),
                "{}",
                exported.name
            );
            assert_eq!(found.get("resolveConflicts"), addon.get("ResolveConflicts"));
            let values = |text: Option<&Json>| -> Json {
                text.map_or(Json::Null, |text| {
                    serde_json::from_str(text.as_str().unwrap()).unwrap()
                })
            };
            let mut expected = values(addon.get("ConfigurationValues"));
            if let Some(tags) = expected.pointer_mut("/controller/extraVolumeTags") {
                let tags = tags.as_object_mut().unwrap();
                tags.retain(|key, _| key == "seaworthy:backup" || !key.starts_with("seaworthy:"));
            }
            assert_eq!(
                values(found.get("configurationValues")),
                expected,
                "{}",
                exported.name
            );
        }
        assert!(
            addons.is_empty(),
            "{}: {addons:?} are missing",
            exported.name
        );
    }
}

#[test]
fn nodes_are_the_graphs() {
    for exported in all() {
        let groups = of_type(exported, "AWS::EKS::Nodegroup");
        let templates = of_type(exported, "AWS::EC2::LaunchTemplate");
        let found = exported.cluster["managedNodeGroups"].as_array().unwrap();
        assert_eq!(
            (found.len(), groups.len(), templates.len()),
            (1, 1, 1),
            "{}",
            exported.name
        );
        let (found, group, template) = (&found[0], &groups[0], &templates[0]["LaunchTemplateData"]);
        let same = |field: &str, value: Option<&Json>| {
            assert_eq!(found.pointer(field), value, "{}: {field}", exported.name);
        };
        same("/name", group.get("NodegroupName"));
        same("/instanceTypes", group.get("InstanceTypes"));
        same("/minSize", group.pointer("/ScalingConfig/MinSize"));
        same(
            "/desiredCapacity",
            group.pointer("/ScalingConfig/DesiredSize"),
        );
        same("/maxSize", group.pointer("/ScalingConfig/MaxSize"));
        same("/labels", group.get("Labels"));
        same(
            "/updateConfig/maxUnavailable",
            group.pointer("/UpdateConfig/MaxUnavailable"),
        );
        same(
            "/updateConfig/maxUnavailablePercentage",
            group.pointer("/UpdateConfig/MaxUnavailablePercentage"),
        );
        same(
            "/nodeRepairConfig/enabled",
            group.pointer("/NodeRepairConfig/Enabled"),
        );
        same(
            "/volumeName",
            template.pointer("/BlockDeviceMappings/0/DeviceName"),
        );
        same(
            "/volumeSize",
            template.pointer("/BlockDeviceMappings/0/Ebs/VolumeSize"),
        );
        same(
            "/volumeType",
            template.pointer("/BlockDeviceMappings/0/Ebs/VolumeType"),
        );
        same(
            "/volumeEncrypted",
            template.pointer("/BlockDeviceMappings/0/Ebs/Encrypted"),
        );
        same(
            "/disableIMDSv1",
            Some(&json!(
                template["MetadataOptions"]["HttpTokens"] == "required"
            )),
        );
        // makeMetadataOptions in pkg/cfn/builder/nodegroup.go: one hop with it, two without.
        same(
            "/disablePodIMDS",
            Some(&json!(
                template["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
            )),
        );
        same("/spot", Some(&json!(group["CapacityType"] == "SPOT")));
        same("/privateNetworking", Some(&json!(true)));
        let taints: Vec<String> = group["Taints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|taint| {
                taint["Effect"]
                    .as_str()
                    .unwrap()
                    .replace('_', "")
                    .to_lowercase()
            })
            .collect();
        let effects: Vec<String> = found["taints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|taint| taint["effect"].as_str().unwrap().to_lowercase())
            .collect();
        assert_eq!(effects, taints, "{}", exported.name);
    }
}

#[test]
fn the_network_is_the_graphs() {
    let count = |exported: &Exported, type_name| of_type(exported, type_name).len();
    let mut modes = BTreeSet::new();
    for exported in all() {
        let vpc = &exported.cluster["vpc"];
        let Some(existing) = &exported.platform.spec.network.existing else {
            let zones = exported.cluster["availabilityZones"].as_array().unwrap();
            assert_eq!(
                json!(exported.platform.availability_zones),
                json!(zones),
                "{}",
                exported.name
            );
            assert_eq!(
                vpc["cidr"],
                of_type(exported, "AWS::EC2::VPC")[0]["CidrBlock"]
            );
            let mode = match count(exported, "AWS::EC2::NatGateway") {
                1 => "Single",
                several if several == zones.len() => "HighlyAvailable",
                other => panic!("{other} NAT gateways"),
            };
            assert_eq!(vpc["nat"]["gateway"], mode, "{}", exported.name);
            modes.insert(mode);
            continue;
        };
        assert_eq!(vpc["id"], json!(existing.vpc_id));
        assert_eq!(
            vpc["controlPlaneSubnetIDs"],
            json!(existing.private_subnet_ids)
        );
        for (kind, ids) in [
            ("private", &existing.private_subnet_ids),
            ("public", &existing.public_subnet_ids),
        ] {
            let subnets = vpc["subnets"][kind].as_object().unwrap().values();
            let found: Vec<&Json> = subnets.map(|subnet| &subnet["id"]).collect();
            assert_eq!(json!(found), json!(ids), "{}", exported.name);
        }
        modes.insert("existing");
    }
    assert_eq!(modes.len(), 3, "{modes:?}");
}

#[test]
fn karpenter_is_there_when_the_graph_has_it() {
    let mut queues = BTreeSet::new();
    for exported in all() {
        let spec = &exported.platform.spec.karpenter;
        let Some(karpenter) = exported.cluster.get("karpenter") else {
            assert!(!spec.enabled, "{}", exported.name);
            continue;
        };
        assert!(spec.enabled, "{}", exported.name);
        assert_eq!(
            karpenter["withSpotInterruptionQueue"],
            json!(spec.interruption_queue)
        );
        let profile = &of_type(exported, "AWS::IAM::InstanceProfile")[0]["InstanceProfileName"];
        assert_eq!(&karpenter["defaultInstanceProfile"], profile);
        queues.insert(spec.interruption_queue);
    }
    assert_eq!(queues.len(), 2, "with a queue and without");
}
