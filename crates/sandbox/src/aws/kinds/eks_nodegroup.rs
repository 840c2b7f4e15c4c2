//! `AWS::EKS::Nodegroup`.

use catalog::TypeName;
use catalog::names::NameKind;
use catalog::versions::KubernetesVersion;
use serde_json::{Value, json};

use super::document::{at, flag, has, items, number, put, put_default, text, text_or, texts};
use super::ec2_network::is_public;
use super::eks_access::node_entry;
use super::eks_cluster::{active, require_policies, version_of};
use super::iam_role::check_name;
use super::reference::{created, deleted, updated};
use super::usage::{subnet, subnets_of_one_vpc};
use super::{Context, Effect, Failure, Outcome, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

pub(super) const NODEGROUP: TypeName = TypeName::new("AWS::EKS::Nodegroup");

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let cluster_name = text_or(desired, "ClusterName", "");
    let cluster = active(cx, cluster_name)?;
    put_default(
        &mut model,
        "NodegroupName",
        format!("Nodegroup-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "NodegroupName", "").to_owned();
    check_name("Eks", NameKind::EksNodegroup, &name)?;
    let id = format!("{cluster_name}/{name}");
    if cx.world.get(&NODEGROUP, &id).is_some() {
        return Err(failure::exists(
            "Eks",
            format!("NodeGroup already exists with name {name} and cluster name {cluster_name}"),
        ));
    }
    let there_are = cx
        .any_with(NODEGROUP.as_str(), "ClusterName", cluster_name)
        .count();
    if cx.is_full("L-6D54EA21", there_are) {
        return Err(failure::limit(
            "Eks",
            format!("Maximum number of nodegroups reached for cluster {cluster_name}: {there_are}"),
        ));
    }
    if has(&model, "LaunchTemplate") {
        check_template(cx, &model)?;
    } else {
        put_default(&mut model, "DiskSize", 20);
    }
    defaults(&mut model);
    if let Some(version) = text(&cluster.model, "Version") {
        put_default(&mut model, "Version", version);
    }
    let role = check_role(cx, cluster, text_or(&model, "NodeRole", ""))?;
    check_machines(&model)?;
    check_scaling(cx, &model)?;
    check_version(cluster, &model)?;
    check_subnets(cx, cluster, &model, &name)?;
    check_addons(cx, cluster)?;
    put(
        &mut model,
        "Arn",
        cx.arn("eks", &format!("nodegroup/{id}/{}", ids.uuid())),
    );
    put(&mut model, "Id", id.as_str());
    let instances = super::ec2_instances::scaled(cx, &model, &id, false, ids);
    let mut outcome = created(cx, &NODEGROUP, model)?;
    outcome.effects.extend(instances);
    // EKS lets the nodes in by itself.
    outcome
        .effects
        .extend(node_entry(cx, cluster, text_or(&role.model, "Arn", ""), ids).map(Effect::Put));
    Ok(outcome)
}

fn defaults(model: &mut Value) {
    put_default(model, "AmiType", "AL2023_x86_64_STANDARD");
    put_default(model, "CapacityType", "ON_DEMAND");
    if !has(model, "LaunchTemplate") {
        put_default(model, "InstanceTypes", json!(["t3.medium"]));
    }
    put_default(
        model,
        "ScalingConfig",
        json!({"MinSize": 1, "MaxSize": 2, "DesiredSize": 2}),
    );
    put_default(model, "UpdateConfig", json!({"MaxUnavailable": 1}));
    put_default(model, "Labels", json!({}));
    put_default(model, "Tags", json!({}));
}

fn check_role<'a>(cx: &Context<'a>, cluster: &Entry, arn: &str) -> Result<&'a Entry, Failure> {
    let name = arn.rsplit('/').next().unwrap_or_default();
    let role = policy::known_role(cx, arn).ok_or_else(|| {
        failure::invalid("Eks", format!("The role with name {name} cannot be found."))
    })?;
    let principal = format!("ec2.{}", catalog::regions::dns_suffix(cx.world.region()));
    let trusted = ["ec2.amazonaws.com", principal.as_str()]
        .iter()
        .any(|principal| policy::trusts(role, principal, &["sts:AssumeRole"]));
    if !trusted {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Following required service principals [ec2.amazonaws.com] were not found in the trust relationships of nodeRole {arn}"
            ),
        ));
    }
    require_policies(
        role,
        &[
            &[
                "AmazonEKSWorkerNodePolicy",
                "AmazonEKSWorkerNodeMinimalPolicy",
            ],
            &[
                "AmazonEC2ContainerRegistryPullOnly",
                "AmazonEC2ContainerRegistryReadOnly",
                "AmazonEC2ContainerRegistryPowerUser",
            ],
        ],
    )?;
    // The CNI's rights lie with the nodes, or with a role of its own.
    if !vpc_cni_has_its_own_role(cx, cluster) {
        require_policies(role, &[&["AmazonEKS_CNI_Policy"]])?;
    }
    Ok(role)
}

fn vpc_cni_has_its_own_role(cx: &Context<'_>, cluster: &Entry) -> bool {
    let addon = cx.live(
        "AWS::EKS::Addon",
        &format!("{}|vpc-cni", cluster.identifier),
    );
    addon.is_some_and(|addon| {
        has(&addon.model, "ServiceAccountRoleArn")
            || !items(&addon.model, "PodIdentityAssociations").is_empty()
            || !items(&addon.model, "__PodIdentityAssociations").is_empty()
    }) || cx
        .all_live("AWS::EKS::PodIdentityAssociation")
        .any(|association| {
            text(&association.model, "ClusterName") == Some(&cluster.identifier)
                && text(&association.model, "ServiceAccount") == Some("aws-node")
        })
}

fn check_template(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let (template, _) = super::ec2_template::referenced(cx, "Eks", &model["LaunchTemplate"])?;
    let data = at(&template.model, "LaunchTemplateData").unwrap_or(&Value::Null);
    let id = &template.identifier;
    let refuse = |message: String| Err(failure::invalid("Eks", message));
    if has(data, "IamInstanceProfile") {
        return refuse(format!(
            "Launch template {id} should not specify an instance profile. The noderole in your request will be used to construct an \
             instance profile."
        ));
    }
    if has(data, "InstanceType") && has(model, "InstanceTypes") {
        return refuse(
            "You cannot specify an instance type in both the launch template and the request."
                .to_owned(),
        );
    }
    if has(model, "DiskSize") {
        return refuse("Disk size must be specified within the launch template.".to_owned());
    }
    if has(model, "RemoteAccess") {
        return refuse(
            "Remote access configuration cannot be specified with a launch template.".to_owned(),
        );
    }
    if items(data, "NetworkInterfaces")
        .iter()
        .any(|interface| has(interface, "SubnetId"))
    {
        return refuse(format!(
            "Launch template {id} should not specify a subnet in its network interfaces."
        ));
    }
    if has(data, "ImageId") && has(model, "AmiType") && text(model, "AmiType") != Some("CUSTOM") {
        return refuse(
            "You cannot specify an image ID within the launch template if you specify an AMI type."
                .to_owned(),
        );
    }
    // EKS's images have their root on a snapshot of 20 GB.
    let small = items(data, "BlockDeviceMappings")
        .iter()
        .filter(|mapping| text(mapping, "DeviceName") == Some("/dev/xvda"))
        .find_map(|mapping| number(mapping, "Ebs/VolumeSize").filter(|size| *size < 20));
    if let Some(size) = small {
        return refuse(format!(
            "Volume of size {size}GB is smaller than snapshot, expect size >= 20GB"
        ));
    }
    Ok(())
}

/// Whether an instance type's processor is AWS's Graviton: a `g` after the family's generation, or the first of them.
fn is_arm(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let attributes = family
        .trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    attributes.contains('g') || family == "a1"
}

fn check_machines(model: &Value) -> Result<(), Failure> {
    let ami = text_or(model, "AmiType", "");
    let types = texts(model, "InstanceTypes");
    for instance_type in &types {
        let formed = instance_type.split_once('.').is_some_and(|(family, size)| {
            let is_size = |size: &str| {
                ["nano", "micro", "small", "medium", "large"].contains(&size)
                    || size.ends_with("xlarge")
                    || size.contains("metal")
            };
            family.len() >= 2 && family.bytes().any(|byte| byte.is_ascii_digit()) && is_size(size)
        });
        if !formed {
            return Err(failure::invalid(
                "Eks",
                format!("[{instance_type}] is not a valid instance type"),
            ));
        }
        let fits = ami == "CUSTOM" || ami.contains("ARM_64") == is_arm(instance_type);
        if !fits {
            return Err(failure::invalid(
                "Eks",
                format!(
                    "[{instance_type}] is not a valid instance type for requested amiType {ami}"
                ),
            ));
        }
    }
    if text(model, "CapacityType") != Some("SPOT") && types.len() > 20 {
        return Err(failure::invalid(
            "Eks",
            "A node group takes at most 20 instance types",
        ));
    }
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in items(model, "Taints") {
        let key = (text_or(taint, "Key", ""), text_or(taint, "Effect", ""));
        if seen.contains(&key) {
            return Err(failure::invalid(
                "Eks",
                format!(
                    "Taints with same key {} and effect {} are not allowed",
                    key.0, key.1
                ),
            ));
        }
        seen.push(key);
    }
    Ok(())
}

fn check_scaling(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    let size = |name: &str| number(model, &format!("ScalingConfig/{name}")).unwrap_or(0);
    let (min, desired, max) = (size("MinSize"), size("DesiredSize"), size("MaxSize"));
    let refuse = |message: String| Err(failure::invalid("Eks", message));
    if min > max {
        return refuse(format!(
            "Minimum capacity {min} can't be greater than max size {max}"
        ));
    }
    if min > desired {
        return refuse(format!(
            "Minimum capacity {min} can't be greater than desired size {desired}"
        ));
    }
    if desired > max {
        return refuse(format!(
            "desired capacity {desired} can't be greater than max size {max}"
        ));
    }
    if max < 1 {
        return refuse("Max size must be at least 1".to_owned());
    }
    if max as f64 > cx.quota("L-BD136A63") {
        return Err(failure::limit(
            "Eks",
            format!("Maximum number of nodes per nodegroup exceeded: {max}"),
        ));
    }
    Ok(())
}

fn check_version(cluster: &Entry, model: &Value) -> Result<(), Failure> {
    let version: Option<KubernetesVersion> =
        text(model, "Version").and_then(|version| version.parse().ok());
    let of_cluster = version_of(cluster);
    if version != of_cluster {
        let of_cluster = of_cluster
            .map(|version| version.to_string())
            .unwrap_or_default();
        return Err(failure::invalid(
            "Eks",
            format!(
                "Requested Nodegroup Kubernetes version {} should be equal to Cluster kubernetes version {of_cluster}",
                text_or(model, "Version", "")
            ),
        ));
    }
    // EKS publishes no Amazon Linux 2 images from 1.33 on (EKS user guide, "Amazon Linux 2 AMI deprecation FAQs").
    let ami = text_or(model, "AmiType", "");
    if ami.starts_with("AL2_") && version.is_some_and(|version| version.minor() >= 33) {
        return Err(failure::invalid(
            "Eks",
            format!("AMI Type {ami} is only supported for kubernetes versions 1.32 or earlier"),
        ));
    }
    Ok(())
}

/// The subnets are of the cluster's VPC, and from each a node reaches the cluster and the registries.
fn check_subnets(
    cx: &Context<'_>,
    cluster: &Entry,
    model: &Value,
    name: &str,
) -> Result<(), Failure> {
    let (subnets, vpc) = subnets_of_one_vpc(cx, "Eks", &texts(model, "Subnets"))?;
    let of_cluster = texts(&cluster.model, "ResourcesVpcConfig/SubnetIds");
    let cluster_vpc = match of_cluster.first() {
        Some(first) => text(&subnet(cx, "Eks", first)?.model, "VpcId"),
        None => None,
    };
    if cluster_vpc != Some(vpc) {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Subnets {:?} are not in the VPC of cluster {}",
                texts(model, "Subnets"),
                cluster.identifier
            ),
        ));
    }
    for subnet in subnets {
        let id = &subnet.identifier;
        if is_public(cx, subnet) {
            if !flag(&subnet.model, "MapPublicIpOnLaunch") {
                return Err(failure::invalid(
                    "Eks",
                    format!(
                        "One or more Amazon EC2 Subnets of [{id}] for node group {name} does not automatically assign public IP addresses \
                         to instances launched into it. If you want your instances to be assigned a public IP address, then you need to \
                         enable auto-assign public IP address for the subnet."
                    ),
                ));
            }
        } else if !reaches_out(cx, subnet) {
            return Err(failure::not_stabilized(
                format!(
                    "[NodeCreationFailure: Instances failed to join the kubernetes cluster (subnet {id} has neither a route to a NAT gateway \
                     nor the endpoints that nodes need)]"
                ),
                None,
            ));
        }
    }
    Ok(())
}

/// Whether a private subnet has a default route, or its VPC the endpoints that stand in for one (EKS user guide, "Deploy
/// private clusters with limited internet access").
fn reaches_out(cx: &Context<'_>, subnet: &Entry) -> bool {
    let table = cx
        .live_with(
            "AWS::EC2::SubnetRouteTableAssociation",
            "SubnetId",
            &subnet.identifier,
        )
        .and_then(|association| text(&association.model, "RouteTableId"));
    let by_route = table.is_some_and(|table| {
        cx.all_live("AWS::EC2::Route").any(|route| {
            text(&route.model, "RouteTableId") == Some(table)
                && text(&route.model, "DestinationCidrBlock") == Some("0.0.0.0/0")
        })
    });
    let vpc = text(&subnet.model, "VpcId");
    let endpoint = |service: &str| {
        cx.all_live("AWS::EC2::VPCEndpoint").any(|endpoint| {
            text(&endpoint.model, "VpcId") == vpc
                && text(&endpoint.model, "ServiceName")
                    .is_some_and(|name| name.ends_with(&format!(".{service}")))
        })
    };
    by_route
        || ["ec2", "ecr.api", "ecr.dkr", "s3", "sts"]
            .into_iter()
            .all(endpoint)
}

/// Without a CNI and kube-proxy nodes never become ready. Unless a cluster brings its own, self-managed ones, they are the
/// add-ons.
fn check_addons(cx: &Context<'_>, cluster: &Entry) -> Result<(), Failure> {
    if at(&cluster.model, "BootstrapSelfManagedAddons") != Some(&Value::Bool(false)) {
        return Ok(());
    }
    for addon in ["vpc-cni", "kube-proxy"] {
        if cx
            .live(
                "AWS::EKS::Addon",
                &format!("{}|{addon}", cluster.identifier),
            )
            .is_none()
        {
            return Err(failure::not_stabilized(
                format!(
                    "[NodeCreationFailure: Unhealthy nodes in the kubernetes cluster (container runtime network not ready: the add-on \
                     {addon} is not ACTIVE)]"
                ),
                None,
            ));
        }
    }
    Ok(())
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    let cluster = active(cx, text_or(&entry.model, "ClusterName", ""))?;
    if has(&entry.model, "LaunchTemplate") != has(&model, "LaunchTemplate") {
        return Err(failure::invalid(
            "Eks",
            "A node group can not gain or lose its launch template: it has to be replaced",
        ));
    }
    if has(&model, "LaunchTemplate") {
        check_template(cx, &model)?;
    }
    defaults(&mut model);
    check_machines(&model)?;
    check_scaling(cx, &model)?;
    let (before, after) = (text(&entry.model, "Version"), text(&model, "Version"));
    if before != after {
        check_version(cluster, &model)?;
        let minor = |text: Option<&str>| {
            text.and_then(|text| text.parse::<KubernetesVersion>().ok())
                .map(KubernetesVersion::minor)
        };
        if minor(after) < minor(before) {
            return Err(failure::invalid(
                "Eks",
                "Nodegroup version can not be lowered",
            ));
        }
    }
    // Another version or another template is other machines. EKS changes them one after the other; here all at once.
    let replace = ["Version", "ReleaseVersion", "LaunchTemplate"]
        .iter()
        .any(|path| !super::document::same(&entry.model, &model, path));
    let instances = super::ec2_instances::scaled(cx, &model, &entry.identifier, replace, ids);
    let mut outcome = updated(cx, entry, model);
    outcome.effects.extend(instances);
    Ok(outcome)
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let mut outcome = deleted(cx, entry);
    let role = text_or(&entry.model, "NodeRole", "");
    let cluster = text_or(&entry.model, "ClusterName", "");
    let shared = cx.world.of_type(&NODEGROUP).any(|other| {
        other.identifier != entry.identifier
            && text(&other.model, "NodeRole") == Some(role)
            && text(&other.model, "ClusterName") == Some(cluster)
    });
    let access = cx
        .world
        .get("AWS::EKS::AccessEntry", &format!("{role}|{cluster}"));
    if let Some(access) = access.filter(|access| !shared && has(&access.model, "__OwnedBy")) {
        outcome.effects.push(Effect::Remove {
            type_name: access.type_name.clone(),
            identifier: access.identifier.clone(),
        });
    }
    let instances = super::ec2_instances::of_group(cx, &entry.identifier);
    outcome
        .effects
        .extend(instances.into_iter().map(|instance| Effect::Remove {
            type_name: instance.type_name.clone(),
            identifier: instance.identifier.clone(),
        }));
    Ok(outcome)
}

/// Node groups of a cluster whose nodes are there.
pub(super) fn ready_groups<'a>(cx: &Context<'a>, cluster: &str) -> Vec<&'a Entry> {
    cx.all_live(NODEGROUP.as_str())
        .filter(|group| text(&group.model, "ClusterName") == Some(cluster))
        .filter(|group| number(&group.model, "ScalingConfig/DesiredSize") > Some(0))
        .collect()
}
