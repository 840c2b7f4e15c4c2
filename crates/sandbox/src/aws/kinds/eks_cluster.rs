//! `AWS::EKS::Cluster`.

use base64::Engine as _;
use catalog::names::NameKind;
use catalog::versions::{self, KubernetesVersion, VersionStatus};
use catalog::{TypeName, regions};
use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::document::{at, flag, has, items, put, put_default, take, text, text_or, texts};
use super::ec2_network::{free_addresses, side_entry};
use super::iam_role::check_name;
use super::reference::{created, deleted, updated, zone_id};
use super::usage::{security_groups_in, subnets_of_one_vpc, user_apart_from, zones_of};
use super::{Context, Effect, Failure, Outcome, cidr, failure, policy};
use crate::aws::ids::Ids;
use crate::aws::world::{Entry, Phase};

pub(super) const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");
const SECURITY_GROUP: TypeName = TypeName::new("AWS::EC2::SecurityGroup");

/// The cluster of this name, active: whatever is made in it needs that.
pub(super) fn active<'a>(cx: &Context<'a>, name: &str) -> Result<&'a Entry, Failure> {
    match cx.world.get(&CLUSTER, name) {
        Some(cluster) if cluster.phase == Phase::Ready => Ok(cluster),
        Some(cluster) => {
            let status = match cluster.phase {
                Phase::Creating => "CREATING",
                Phase::Updating => "UPDATING",
                Phase::Deleting => "DELETING",
                Phase::Ready | Phase::Remnant => "FAILED",
            };
            Err(failure::invalid(
                "Eks",
                format!("Cluster '{name}' is not in ACTIVE status: its status is {status}"),
            ))
        }
        None => Err(failure::not_found(
            "Eks",
            format!("No cluster found for name: {name}."),
        )),
    }
}

/// The cluster's version.
pub(super) fn version_of(cluster: &Entry) -> Option<KubernetesVersion> {
    text(&cluster.model, "Version")?.parse().ok()
}

/// What marks an entry that lives and dies with a cluster.
pub(super) fn ownership(cluster: &str) -> String {
    format!("cluster/{cluster}")
}

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "Name",
        format!("Cluster-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "Name", "").to_owned();
    check_name("Eks", NameKind::EksCluster, &name)?;
    if cx.world.get(&CLUSTER, &name).is_some() {
        return Err(failure::exists(
            "Eks",
            format!("Cluster already exists with name: {name}"),
        ));
    }
    if cx.is_full("L-1194D53C", cx.world.of_type(&CLUSTER).count()) {
        return Err(failure::limit(
            "Eks",
            format!(
                "Maximum number of clusters reached: {}",
                cx.quota("L-1194D53C")
            ),
        ));
    }
    check_role(cx, text_or(&model, "RoleArn", ""))?;
    let version = match text(&model, "Version") {
        Some(text) => text.to_owned(),
        None => versions::newest_in_standard(cx.today())
            .map(|version| version.to_string())
            .unwrap_or_default(),
    };
    check_version(
        cx,
        &version,
        text_or(&model, "UpgradePolicy/SupportType", "EXTENDED"),
    )?;
    let vpc = check_network(cx, &model, &name)?;
    check_encryption(cx, &model)?;
    check_logging(cx, &model, &name)?;
    check_access(&model)?;

    let region = cx.world.region();
    let id = ids.text(b"0123456789ABCDEF", 32);
    let suffix = regions::dns_suffix(region);
    put(&mut model, "Version", version);
    put(&mut model, "Arn", cx.arn("eks", &format!("cluster/{name}")));
    let endpoint = cx
        .endpoints
        .assign(&id)
        .map_err(|reason| failure::internal("Eks", reason))?;
    put(&mut model, "Endpoint", endpoint.url);
    put(
        &mut model,
        "OpenIdConnectIssuerUrl",
        format!("https://oidc.eks.{region}.{suffix}/id/{id}"),
    );
    put(
        &mut model,
        "CertificateAuthorityData",
        base64::engine::general_purpose::STANDARD.encode(endpoint.certificate_authority),
    );
    let key = encryption_key(&model);
    put(&mut model, "EncryptionConfigKeyArn", key);
    let group = ids.hex17("sg");
    put(&mut model, "ClusterSecurityGroupId", group.as_str());
    let service_cidr = service_cidr(vpc, &model)?;
    put(
        &mut model,
        "KubernetesNetworkConfig/ServiceIpv4Cidr",
        service_cidr,
    );
    defaults(&mut model);

    let mut effects = vec![Effect::Put(side_entry(
        cx,
        SECURITY_GROUP,
        &group,
        cluster_security_group(&name, &group, &vpc.identifier, cx.world.account(), ids),
    ))];
    if flag(
        &model,
        "AccessConfig/BootstrapClusterCreatorAdminPermissions",
    ) && text(&model, "AccessConfig/AuthenticationMode") != Some("CONFIG_MAP")
    {
        effects.push(Effect::Put(super::eks_access::creator_entry(
            cx, &name, ids,
        )));
    }
    let mut outcome = created(cx, &CLUSTER, model)?;
    outcome.effects = effects;
    Ok(outcome)
}

/// What a read of a cluster says of what its owner left open (EKS API reference, `CreateCluster`).
fn defaults(model: &mut Value) {
    put_default(model, "AccessConfig/AuthenticationMode", "CONFIG_MAP");
    put_default(
        model,
        "AccessConfig/BootstrapClusterCreatorAdminPermissions",
        true,
    );
    put_default(model, "BootstrapSelfManagedAddons", true);
    put_default(model, "KubernetesNetworkConfig/IpFamily", "ipv4");
    put_default(model, "UpgradePolicy/SupportType", "EXTENDED");
    put_default(model, "ResourcesVpcConfig/EndpointPublicAccess", true);
    put_default(model, "ResourcesVpcConfig/EndpointPrivateAccess", false);
    put_default(model, "ResourcesVpcConfig/SecurityGroupIds", json!([]));
    if flag(model, "ResourcesVpcConfig/EndpointPublicAccess") {
        put_default(
            model,
            "ResourcesVpcConfig/PublicAccessCidrs",
            json!(["0.0.0.0/0"]),
        );
    }
    put_default(model, "Logging/ClusterLogging/EnabledTypes", json!([]));
    put_default(model, "DeletionProtection", false);
    put_default(model, "Tags", json!([]));
}

fn check_role(cx: &Context<'_>, arn: &str) -> Result<(), Failure> {
    let Some(role) = policy::assumable(cx, arn, "eks.amazonaws.com", &["sts:AssumeRole"]) else {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
            ),
        ));
    };
    require_policies(role, &[&["AmazonEKSClusterPolicy"]])
}

/// A role has one of each of these sets of AWS's policies.
pub(super) fn require_policies(role: &Entry, sets: &[&[&str]]) -> Result<(), Failure> {
    let attached = texts(&role.model, "ManagedPolicyArns");
    let has = |name: &&str| {
        attached
            .iter()
            .any(|arn| arn.ends_with(&format!(":policy/{name}")))
    };
    let missing: Vec<&str> = sets
        .iter()
        .filter(|set| !set.iter().any(has))
        .filter_map(|set| set.first().copied())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(failure::invalid(
        "Eks",
        format!(
            "The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the following policies \
             [{}] are attached",
            missing.join(", ")
        ),
    ))
}

fn check_version(cx: &Context<'_>, version: &str, support: &str) -> Result<(), Failure> {
    let status = version
        .parse::<KubernetesVersion>()
        .map(|version| versions::status(version, cx.today()));
    match status {
        Ok(VersionStatus::Standard { .. }) => Ok(()),
        Ok(VersionStatus::Extended { .. }) if support == "EXTENDED" => Ok(()),
        Ok(VersionStatus::Extended { .. }) => Err(failure::invalid(
            "Eks",
            format!(
                "Kubernetes version {version} is in extended support: it can not be used with upgrade policy support type STANDARD"
            ),
        )),
        _ => Err(failure::invalid(
            "Eks",
            format!("unsupported Kubernetes version {version}"),
        )),
    }
}

/// Subnets, zones, security groups and endpoint access. Returned is the VPC.
fn check_network<'a>(cx: &Context<'a>, model: &Value, name: &str) -> Result<&'a Entry, Failure> {
    let config = at(model, "ResourcesVpcConfig").unwrap_or(&Value::Null);
    let (subnets, vpc_id) = subnets_of_one_vpc(cx, "Eks", &texts(config, "SubnetIds"))?;
    let zones = zones_of(&subnets);
    if zones.len() < 2 {
        return Err(failure::invalid(
            "Eks",
            "Subnets specified must be in at least two different AZs",
        ));
    }
    let region = cx.world.region();
    let served = |zone: &str| zone_id(region, zone).is_some_and(|id| regions::is_eks_zone_id(&id));
    if let Some(zone) = zones.iter().find(|zone| !served(zone)) {
        let others: Vec<String> = regions::zones(region)
            .into_iter()
            .filter(|zone| served(zone))
            .collect();
        return Err(failure::invalid(
            "Eks",
            format!(
                "Cannot create cluster '{name}' because {zone}, the targeted availability zone, does not currently have sufficient \
                 capacity to support the cluster. Retry and choose from these availability zones: {}",
                others.join(", ")
            ),
        ));
    }
    // EKS user guide, "VPC and subnet requirements": six addresses in each subnet.
    if let Some(subnet) = subnets.iter().find(|subnet| free_addresses(cx, subnet) < 6) {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Subnet {} does not have enough free IP addresses: at least 6 are needed",
                subnet.identifier
            ),
        ));
    }
    security_groups_in(cx, "Eks", &texts(config, "SecurityGroupIds"), vpc_id)?;
    let vpc = super::usage::vpc(cx, "Eks", vpc_id)?;
    let public = !has(config, "EndpointPublicAccess") || flag(config, "EndpointPublicAccess");
    let private = flag(config, "EndpointPrivateAccess");
    if !public && !private {
        return Err(failure::invalid(
            "Eks",
            "Private and public endpoint access cannot be false",
        ));
    }
    if private && !(flag(&vpc.model, "EnableDnsSupport") && flag(&vpc.model, "EnableDnsHostnames"))
    {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Private endpoint access requires DNS hostnames and DNS support of VPC {vpc_id} to be enabled"
            ),
        ));
    }
    for block in texts(config, "PublicAccessCidrs") {
        if !public {
            return Err(failure::invalid(
                "Eks",
                "publicAccessCidrs can not be set while public endpoint access is disabled",
            ));
        }
        if block.contains(':') {
            continue;
        }
        let parsed = cidr::parse(block)?;
        // EKS API reference, `VpcConfigRequest`: no private or reserved addresses.
        if parsed.prefix_len() > 0
            && (parsed.network().is_private() || parsed.network().is_loopback())
        {
            return Err(failure::invalid(
                "Eks",
                format!("The following CIDRs are invalid in publicAccessCidrs: [{block}]"),
            ));
        }
    }
    Ok(vpc)
}

/// What the cluster's services have as addresses: as asked for, or that of EKS's two blocks which is not the VPC's.
fn service_cidr(vpc: &Entry, model: &Value) -> Result<String, Failure> {
    let of_vpc: Option<Ipv4Net> =
        text(&vpc.model, "CidrBlock").and_then(|block| block.parse().ok());
    let clashes = |block: &Ipv4Net| of_vpc.is_some_and(|of_vpc| cidr::overlap(block, &of_vpc));
    let Some(asked) = text(model, "KubernetesNetworkConfig/ServiceIpv4Cidr") else {
        let usual = ["172.20.0.0/16", "10.100.0.0/16"];
        let free = usual
            .into_iter()
            .find(|block| block.parse().is_ok_and(|block| !clashes(&block)));
        return Ok(free.unwrap_or(usual[0]).to_owned());
    };
    let block = cidr::parse(asked)?;
    if !(12..=24).contains(&block.prefix_len()) || !block.network().is_private() || clashes(&block)
    {
        return Err(failure::invalid(
            "Eks",
            format!(
                "The specified service CIDR {asked} is invalid: it must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, between \
                 /24 and /12, and not overlap with the VPC"
            ),
        ));
    }
    Ok(asked.to_owned())
}

fn encryption_key(model: &Value) -> String {
    items(model, "EncryptionConfig")
        .iter()
        .find_map(|config| text(config, "Provider/KeyArn"))
        .unwrap_or_default()
        .to_owned()
}

fn check_encryption(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    for config in items(model, "EncryptionConfig") {
        let arn = text_or(config, "Provider/KeyArn", "");
        if texts(config, "Resources") != ["secrets"] {
            return Err(failure::invalid(
                "Eks",
                "Resources of encryptionConfig must be [secrets]",
            ));
        }
        let key = super::kms::usable_key(cx, "Eks", arn)?;
        if text_or(&key.model, "KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT" {
            return Err(failure::invalid(
                "Eks",
                format!("The keyArn {arn} in encryptionConfig provider is not a symmetric key"),
            ));
        }
    }
    Ok(())
}

/// The log group comes first: EKS would make it without a retention, and nobody would own it.
fn check_logging(cx: &Context<'_>, model: &Value, name: &str) -> Result<(), Failure> {
    let group = format!("/aws/eks/{name}/cluster");
    let logs = !items(model, "Logging/ClusterLogging/EnabledTypes").is_empty();
    if logs && cx.live("AWS::Logs::LogGroup", &group).is_none() {
        return Err(failure::invalid(
            "Eks",
            format!(
                "The log group {group} does not exist: EKS would create it, with logs that never expire and owned by nobody"
            ),
        ));
    }
    Ok(())
}

fn check_access(model: &Value) -> Result<(), Failure> {
    let mode = text_or(model, "AccessConfig/AuthenticationMode", "CONFIG_MAP");
    let bootstrap = at(
        model,
        "AccessConfig/BootstrapClusterCreatorAdminPermissions",
    );
    if mode == "CONFIG_MAP" && bootstrap == Some(&Value::Bool(false)) {
        return Err(failure::invalid(
            "Eks",
            "bootstrapClusterCreatorAdminPermissions must be true if cluster authentication mode is set to CONFIG_MAP",
        ));
    }
    Ok(())
}

fn cluster_security_group(
    name: &str,
    group: &str,
    vpc: &str,
    account: &str,
    ids: &mut Ids,
) -> Value {
    let group_name = format!("eks-cluster-sg-{name}-{}", ids.digits(9));
    json!({
        "Id": group, "GroupId": group, "GroupName": group_name, "VpcId": vpc,
        "GroupDescription": "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as \
            any managed workloads.",
        "SecurityGroupIngress": [{"IpProtocol": "-1", "SourceSecurityGroupId": group, "SourceSecurityGroupOwnerId": account}],
        "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}],
        "Tags": [
            {"Key": "Name", "Value": group_name},
            {"Key": "aws:eks:cluster-name", "Value": name},
            {"Key": format!("kubernetes.io/cluster/{name}"), "Value": "owned"},
        ],
        "__OwnedBy": ownership(name),
    })
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let name = &entry.identifier;
    let mut model = proposed.clone();
    check_role(cx, text_or(&model, "RoleArn", ""))?;
    let before: Option<KubernetesVersion> = version_of(entry);
    let after: Option<KubernetesVersion> =
        text(&model, "Version").and_then(|version| version.parse().ok());
    if before != after {
        let (Some(before), Some(after)) = (before, after) else {
            return Err(failure::invalid("Eks", "unsupported Kubernetes version"));
        };
        check_upgrade(cx, name, before, after)?;
        check_version(
            cx,
            &after.to_string(),
            text_or(&model, "UpgradePolicy/SupportType", "EXTENDED"),
        )?;
    }
    let vpc = check_network(cx, &model, name)?;
    let group = text(&entry.model, "ClusterSecurityGroupId")
        .and_then(|id| cx.world.get(&SECURITY_GROUP, id));
    if group.is_some_and(|group| text(&group.model, "VpcId") != Some(&vpc.identifier)) {
        return Err(failure::invalid(
            "Eks",
            "Provided subnets belong to a different VPC than the one the cluster was created in",
        ));
    }
    check_logging(cx, &model, name)?;
    let modes = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"];
    let mode = |model: &Value| {
        let mode = text_or(model, "AccessConfig/AuthenticationMode", "CONFIG_MAP");
        modes.iter().position(|known| *known == mode).unwrap_or(0)
    };
    let (old, new) = (mode(&entry.model), mode(&model));
    if new < old || new > old + 1 {
        return Err(failure::invalid(
            "Eks",
            format!(
                "Unsupported authentication mode update from {} to {}",
                modes[old], modes[new]
            ),
        ));
    }
    // The part that is never read back stays what it was.
    if let Some(bootstrap) = at(
        &entry.model,
        "AccessConfig/BootstrapClusterCreatorAdminPermissions",
    )
    .cloned()
    {
        put_default(
            &mut model,
            "AccessConfig/BootstrapClusterCreatorAdminPermissions",
            bootstrap,
        );
    }
    if let Some(addons) = at(&entry.model, "BootstrapSelfManagedAddons").cloned() {
        put_default(&mut model, "BootstrapSelfManagedAddons", addons);
    }
    if !flag(&model, "ResourcesVpcConfig/EndpointPublicAccess")
        && let Some(config) = model.get_mut("ResourcesVpcConfig")
    {
        take(config, "PublicAccessCidrs");
    }
    defaults(&mut model);
    Ok(updated(cx, entry, model))
}

/// One minor version up, and nodes no more than three minors behind (Kubernetes, "Version Skew Policy").
fn check_upgrade(
    cx: &Context<'_>,
    name: &str,
    before: KubernetesVersion,
    after: KubernetesVersion,
) -> Result<(), Failure> {
    if after != before.next() {
        return Err(failure::invalid(
            "Eks",
            format!("Unsupported Kubernetes minor version update from {before} to {after}"),
        ));
    }
    let behind = cx
        .any_with("AWS::EKS::Nodegroup", "ClusterName", name)
        .find(|group| {
            text(&group.model, "Version")
                .and_then(|version| version.parse::<KubernetesVersion>().ok())
                .is_some_and(|version| version.minor() + 3 < after.minor())
        });
    match behind {
        Some(group) => Err(failure::invalid(
            "Eks",
            format!(
                "Node group {} is more than three minor versions behind {after}: update it first",
                group.identifier
            ),
        )),
        None => Ok(()),
    }
}

/// What goes with a cluster.
const PARTS: [&str; 4] = [
    "AWS::EKS::AccessEntry",
    "AWS::EKS::Addon",
    "AWS::EKS::Capability",
    "AWS::EKS::PodIdentityAssociation",
];

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let name = &entry.identifier;
    if flag(&entry.model, "DeletionProtection") {
        return Err(failure::invalid(
            "Eks",
            format!("Cannot delete cluster {name} because deletion protection is enabled"),
        ));
    }
    if let Some(group) = cx
        .any_with("AWS::EKS::Nodegroup", "ClusterName", name)
        .next()
    {
        return Err(failure::conflict(
            "Eks",
            format!("Cluster has nodegroups attached [{}]", group.identifier),
        ));
    }
    if let Some(capability) = cx
        .any_with("AWS::EKS::Capability", "ClusterName", name)
        .next()
    {
        return Err(failure::conflict(
            "Eks",
            format!(
                "Cluster has capabilities attached [{}]",
                capability.identifier
            ),
        ));
    }
    let group = text_or(&entry.model, "ClusterSecurityGroupId", "");
    // EKS would delete the cluster and leave the group behind, owned by nobody.
    if let Some(holder) = cx.world.get(&SECURITY_GROUP, group)
        && let Some(user) = user_apart_from(cx, holder, group, |other| other.type_name == CLUSTER)
    {
        return Err(failure::invalid(
            "Eks",
            format!(
                "resource {group} has a dependent object [{} {}]",
                user.type_name, user.identifier
            ),
        ));
    }
    let owner = ownership(name);
    let mut outcome = deleted(cx, entry);
    outcome.effects = cx
        .world
        .entries()
        .filter(|other| {
            text(&other.model, "__OwnedBy") == Some(&owner)
                || (PARTS.contains(&other.type_name.as_str())
                    && text(&other.model, "ClusterName") == Some(name))
        })
        .map(|other| Effect::Remove {
            type_name: other.type_name.clone(),
            identifier: other.identifier.clone(),
        })
        .collect();
    Ok(outcome)
}
