//! `managedNodeGroups`: the system nodes.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use graph::{Lifecycle, Resource, Value};

use super::config::{ManagedNodeGroup, NodeGroupIam, NodeRepairConfig, Taint, UpdateConfig};
use super::identity::{Trust, rights, trust};
use super::ledger::{Fate, Reader, items, literal, property, strings, tags};
use super::text::referred;
use super::{Scene, Sheet};

const FIELD: &str = "managedNodeGroups";
const IAM: &str = "managedNodeGroups[].iam";

/// Draws the node groups; `private` are the subnets that eksctl calls private.
pub(super) fn draw(scene: &Scene<'_>, sheet: &mut Sheet, private: &BTreeSet<Address>) {
    for resource in scene.of_type("AWS::EKS::Nodegroup") {
        let mut reader = Reader::new(resource);
        let drawn = node_group(scene, sheet, &mut reader, private);
        let drawn = sheet.accept(&resource.address, drawn);
        sheet.config.managed_node_groups.extend(drawn);
        sheet.ledger.expressed(FIELD, reader);
    }
}

fn node_group(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    reader: &mut Reader<'_>,
    private: &BTreeSet<Address>,
) -> Result<ManagedNodeGroup, String> {
    reader.get("ClusterName");
    let version = reader.string("Version").map(str::to_owned);
    if version != sheet.config.metadata.version {
        return Err("eksctl makes nodes of the cluster's Kubernetes version".to_owned());
    }
    let subnets: BTreeSet<Address> = items(reader.get("Subnets"))
        .iter()
        .filter_map(referred)
        .cloned()
        .collect();
    if subnets != *private {
        return Err(
            "eksctl puts nodes into all private subnets or into all public ones".to_owned(),
        );
    }
    let mut size = |path: &str| {
        let missing = format!("eksctl takes a number for `{path}`");
        reader.number(path).ok_or(missing)
    };
    let (min_size, desired_capacity, max_size) = (
        size("ScalingConfig.MinSize")?,
        size("ScalingConfig.DesiredSize")?,
        size("ScalingConfig.MaxSize")?,
    );
    let ami_type = reader.string("AmiType").unwrap_or("AL2023_x86_64_STANDARD");
    let mut group = ManagedNodeGroup {
        name: reader
            .string("NodegroupName")
            .unwrap_or_default()
            .to_owned(),
        ami_family: ami_family(ami_type)
            .ok_or_else(|| format!("eksctl has no family of images for `{ami_type}`"))?,
        instance_types: strings(reader.get("InstanceTypes")),
        spot: reader.string("CapacityType") == Some("SPOT"),
        instance_name: None,
        min_size,
        desired_capacity,
        max_size,
        private_networking: true,
        volume_name: None,
        volume_size: None,
        volume_type: None,
        volume_encrypted: None,
        disable_imds_v1: false,
        disable_pod_imds: false,
        labels: labels(reader.get("Labels")),
        taints: taints(reader.get("Taints"))?,
        update_config: update_config(reader),
        node_repair_config: reader
            .bool("NodeRepairConfig.Enabled")
            .map(|enabled| NodeRepairConfig { enabled }),
        iam: NodeGroupIam {
            instance_role_arn: None,
            instance_role_name: None,
            attach_policy_arns: Vec::new(),
        },
    };
    if let Some(arn) = reader.get("NodeRole") {
        draw_role(scene, sheet, arn, &mut group.iam)?;
    }
    if let Some(template) = reader
        .get("LaunchTemplate.Id")
        .and_then(referred)
        .and_then(|address| scene.graph.get(address))
    {
        reader.get("LaunchTemplate.Version");
        draw_template(sheet, template, &mut group)?;
    }
    Ok(group)
}

/// eksctl's name for the images of an `AmiType`; it tells the architecture by the instance types.
fn ami_family(ami_type: &str) -> Option<&'static str> {
    match ami_type {
        "AL2023_x86_64_STANDARD" | "AL2023_ARM_64_STANDARD" => Some("AmazonLinux2023"),
        "BOTTLEROCKET_x86_64" | "BOTTLEROCKET_ARM_64" => Some("Bottlerocket"),
        _ => None,
    }
}

fn labels(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(labels)) = value else {
        return BTreeMap::new();
    };
    labels
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), literal(value)?.to_owned())))
        .collect()
}

fn taints(value: Option<&Value>) -> Result<Vec<Taint>, String> {
    let text = |taint, name| property(taint, name).and_then(literal);
    items(value)
        .iter()
        .map(|taint| {
            let effect = match text(taint, "Effect") {
                Some("NO_SCHEDULE") => "NoSchedule",
                Some("PREFER_NO_SCHEDULE") => "PreferNoSchedule",
                Some("NO_EXECUTE") => "NoExecute",
                _ => return Err("eksctl takes a taint with one of Kubernetes' effects".to_owned()),
            };
            Ok(Taint {
                key: text(taint, "Key").unwrap_or_default().to_owned(),
                value: text(taint, "Value").map(str::to_owned),
                effect,
            })
        })
        .collect()
}

fn update_config(reader: &mut Reader<'_>) -> Option<UpdateConfig> {
    let max_unavailable = reader.number("UpdateConfig.MaxUnavailable");
    let max_unavailable_percentage = reader.number("UpdateConfig.MaxUnavailablePercentage");
    let any = max_unavailable.or(max_unavailable_percentage).is_some();
    any.then_some(UpdateConfig {
        max_unavailable,
        max_unavailable_percentage,
    })
}

fn draw_role(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    arn: &Value,
    iam: &mut NodeGroupIam,
) -> Result<(), String> {
    let role = referred(arn).and_then(|address| scene.graph.get(address));
    let Some(role) = role.filter(|role| !matches!(role.lifecycle, Lifecycle::Existing(_))) else {
        iam.instance_role_arn = Some(scene.text(arn)?);
        if let Some(role) = role {
            let field = "managedNodeGroups[].iam.instanceRoleARN";
            sheet
                .ledger
                .enter(&role.address, Fate::Referenced { field });
        }
        return Ok(());
    };
    let mut reader = Reader::new(role);
    let rights = rights(scene, &mut reader)?;
    if rights.policy.is_some() {
        return Err(
            "eksctl gives the nodes' role policies by ARN here, and it has one inline".to_owned(),
        );
    }
    if trust(role) == Some(Trust::Service("ec2".to_owned())) {
        reader.get("AssumeRolePolicyDocument");
    }
    iam.instance_role_name = reader.string("RoleName").map(str::to_owned);
    iam.attach_policy_arns = rights.policy_arns;
    sheet.ledger.expressed(IAM, reader);
    Ok(())
}

/// eksctl makes a launch template of its own from the node group's fields.
fn draw_template(
    sheet: &mut Sheet,
    template: &Resource,
    group: &mut ManagedNodeGroup,
) -> Result<(), String> {
    let mut reader = Reader::new(template);
    let metadata = |name: &str| format!("LaunchTemplateData.MetadataOptions.{name}");
    reader.agrees(&metadata("HttpEndpoint"), &"enabled".into());
    group.disable_imds_v1 = reader.string(&metadata("HttpTokens")) == Some("required");
    group.disable_pod_imds = match reader.number(&metadata("HttpPutResponseHopLimit")) {
        Some(1) => true,
        Some(2) => false,
        _ => return Err("eksctl makes launch templates with a hop limit of one or two".to_owned()),
    };
    if group.disable_pod_imds && !group.disable_imds_v1 {
        return Err("eksctl asks for tokens where the hop limit is one".to_owned());
    }
    let mapping = |name: &str| format!("LaunchTemplateData.BlockDeviceMappings.{name}");
    group.volume_name = reader.string(&mapping("DeviceName")).map(str::to_owned);
    group.volume_size = reader.number(&mapping("Ebs.VolumeSize"));
    group.volume_type = reader.string(&mapping("Ebs.VolumeType")).map(str::to_owned);
    group.volume_encrypted = reader.bool(&mapping("Ebs.Encrypted"));
    // As the image has it, for its root volume.
    reader.agrees(&mapping("Ebs.DeleteOnTermination"), &Value::Bool(true));
    draw_tags(sheet, &mut reader, group);
    sheet.ledger.expressed(FIELD, reader);
    Ok(())
}

/// The nodes' tags: their name, and what `metadata.tags` gives everything anyway.
fn draw_tags(sheet: &Sheet, reader: &mut Reader<'_>, group: &mut ManagedNodeGroup) {
    let path = "LaunchTemplateData.TagSpecifications";
    let mut all_said = true;
    for specification in items(reader.get(path)) {
        let mut tags = tags(property(specification, "Tags"));
        let name = tags.remove("Name");
        all_said &= group.instance_name.is_none() || group.instance_name == name;
        group.instance_name = name;
        all_said &= tags
            .iter()
            .all(|(key, value)| sheet.config.metadata.tags.get(key) == Some(value));
    }
    if !all_said {
        reader.forget(path);
    }
    // The template's own tags are those of the stack that eksctl makes it in.
    reader.get("TagSpecifications");
}
