//! The embedded AWS as a cluster's controllers see it, and what they want done in it.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use controllers::Key;
use controllers::cloud::{
    Cloud, CloudAction, Instance, InstanceState, Launch, LoadBalancer, Network, Origin, Refusal,
    SecurityGroup, Subnet, Volume,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::time::ClusterTime;
use crate::aws::account::{Account, Session};
use crate::aws::kinds::ec2_instances::{INSTANCE, Wanted, launched, shuts_down_at, terminated};
use crate::aws::kinds::zone_id;
use crate::aws::services::events::{self, InstanceEvent};
use crate::aws::state::Mutation;
use crate::aws::wire::ServiceError;
use crate::aws::world::{Entry, Phase};

const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");
const NODEGROUP: TypeName = TypeName::new("AWS::EKS::Nodegroup");
const SUBNET: TypeName = TypeName::new("AWS::EC2::Subnet");
const SECURITY_GROUP: TypeName = TypeName::new("AWS::EC2::SecurityGroup");
const ROLE: TypeName = TypeName::new("AWS::IAM::Role");
const VOLUME: TypeName = TypeName::new("AWS::EC2::Volume");
const LOAD_BALANCER: TypeName = TypeName::new("AWS::ElasticLoadBalancingV2::LoadBalancer");

fn text<'a>(model: &'a Value, name: &str) -> &'a str {
    model.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn tags(model: &Value) -> BTreeMap<String, String> {
    let own = model.get("Tags").and_then(Value::as_array);
    own.into_iter()
        .flatten()
        .map(|tag| (text(tag, "Key").to_owned(), text(tag, "Value").to_owned()))
        .collect()
}

fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

fn texts(model: &Value, name: &str) -> Vec<String> {
    let own = model.get(name).and_then(Value::as_array);
    own.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// What there is of a cluster, and when that changes by itself next.
pub(super) struct Seen {
    pub(super) cloud: Cloud,
    /// In modelled seconds since the world began.
    pub(super) changes_at: Option<f64>,
}

/// Looks at what AWS has for a cluster. `refusals` are kept by whoever performs the actions; `queue` is the name of the
/// interruption queue that the cluster's Karpenter reads.
pub(super) fn look(
    account: &Account,
    cluster: &str,
    queue: Option<&str>,
    time: &ClusterTime,
    refusals: &BTreeMap<String, Refusal>,
) -> Result<Seen, ServiceError> {
    // What is to come for the cluster is to come, though the world may be ahead of it.
    let now = time.modelled(apiserver::Clock::now(time));
    account.session(|session| {
        session.now = now;
        Ok(seen(session, cluster, queue, time, refusals))
    })
}

fn seen(
    session: &Session<'_>,
    cluster: &str,
    queue: Option<&str>,
    time: &ClusterTime,
    refusals: &BTreeMap<String, Refusal>,
) -> Seen {
    let world = session.world();
    let mut changes_at: Option<f64> = None;
    let mut soon = |at: f64| {
        if at > session.now {
            changes_at = Some(changes_at.map_or(at, |other| other.min(at)));
        }
    };
    let is_ours = |entry: &&Entry| text(&entry.model, "__Cluster") == cluster;
    let mut instances = BTreeMap::new();
    for entry in world.of_type(&INSTANCE).filter(is_ours) {
        let running_at = entry.model["__RunningAt"].as_f64().unwrap_or(0.0);
        soon(running_at);
        let ends_at = shuts_down_at(entry);
        ends_at.into_iter().for_each(&mut soon);
        entry.pending_deletion().into_iter().for_each(&mut soon);
        let state = if ends_at.is_some_and(|at| at <= session.now) {
            InstanceState::ShuttingDown
        } else if running_at > session.now {
            InstanceState::Pending
        } else {
            InstanceState::Running
        };
        let instance = instance(session, entry, state, time.at(entry.created_at));
        instances.insert(instance.id.clone(), instance);
    }
    let volumes = world.of_type(&VOLUME).filter(is_ours).map(volume);
    let mut load_balancers = BTreeMap::new();
    for entry in world.of_type(&LOAD_BALANCER).filter(is_ours) {
        let active_at = entry.model["__ActiveAt"].as_f64().unwrap_or(0.0);
        soon(active_at);
        let (namespace, name) = text(&entry.model, "__Service")
            .split_once('/')
            .unwrap_or_default();
        let balancer = LoadBalancer {
            arn: entry.identifier.clone(),
            dns_name: text(&entry.model, "DNSName").to_owned(),
            active: active_at <= session.now,
        };
        load_balancers.insert(Key::new(namespace, name), balancer);
    }
    let messages = queue.map_or_else(Vec::new, |queue| {
        crate::aws::services::sqs::messages(session, queue)
    });
    let cloud = Cloud {
        instances,
        volumes: volumes.map(|volume| (volume.id.clone(), volume)).collect(),
        load_balancers,
        refusals: refusals.clone(),
        messages,
        network: network(session, cluster),
        account: world.account().to_owned(),
        region: world.region().to_owned(),
        cluster: cluster.to_owned(),
    };
    Seen { cloud, changes_at }
}

fn instance(
    session: &Session<'_>,
    entry: &Entry,
    state: InstanceState,
    launched_at: Timestamp,
) -> Instance {
    let model = &entry.model;
    let own = |name: &str| text(model, name).to_owned();
    let origin = match model.get("__NodeGroup").and_then(Value::as_str) {
        Some(group) => node_group(session, group),
        None => Origin::NodeClaim(own("__NodeClaim")),
    };
    Instance {
        id: entry.identifier.clone(),
        instance_type: own("InstanceType"),
        zone: own("AvailabilityZone"),
        spot: model["__Spot"] == true,
        private_dns_name: own("PrivateDnsName"),
        private_ip: own("PrivateIp"),
        image: own("ImageId"),
        subnet: own("SubnetId"),
        security_groups: texts(model, "SecurityGroupIds"),
        state,
        launched_at,
        origin,
        tags: tags(model),
    }
}

fn node_group(session: &Session<'_>, id: &str) -> Origin {
    let group = session.world().get(&NODEGROUP, id);
    let model = group.map_or(&Value::Null, |group| &group.model);
    let labels = model.get("Labels").and_then(Value::as_object);
    let taints = model.get("Taints").and_then(Value::as_array);
    // EKS writes effects in capitals, Kubernetes in camel case.
    let effect = |text: &str| {
        match text {
            "NO_SCHEDULE" => "NoSchedule",
            "NO_EXECUTE" => "NoExecute",
            "PREFER_NO_SCHEDULE" => "PreferNoSchedule",
            other => other,
        }
        .to_owned()
    };
    Origin::NodeGroup {
        name: id.rsplit('/').next().unwrap_or(id).to_owned(),
        labels: labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        taints: taints
            .into_iter()
            .flatten()
            .map(|taint| {
                (
                    text(taint, "Key").to_owned(),
                    text(taint, "Value").to_owned(),
                    effect(text(taint, "Effect")),
                )
            })
            .collect(),
    }
}

fn volume(entry: &Entry) -> Volume {
    let model = &entry.model;
    Volume {
        id: entry.identifier.clone(),
        zone: text(model, "AvailabilityZone").to_owned(),
        gib: model["Size"].as_i64().unwrap_or(0),
        volume_type: text(model, "VolumeType").to_owned(),
        encrypted: model["Encrypted"] == true,
        attached_to: model
            .get("__AttachedTo")
            .and_then(Value::as_str)
            .map(str::to_owned),
        tags: tags(model),
    }
}

fn network(session: &Session<'_>, cluster: &str) -> Network {
    let world = session.world();
    let vpc = vpc_of(session, cluster);
    let in_vpc = |entry: &&Entry| vpc.is_some_and(|vpc| text(&entry.model, "VpcId") == vpc);
    let live = |entry: &&Entry| matches!(entry.phase, Phase::Ready | Phase::Updating);
    Network {
        subnets: world
            .of_type(&SUBNET)
            .filter(live)
            .filter(in_vpc)
            .map(|entry| {
                let zone = text(&entry.model, "AvailabilityZone");
                Subnet {
                    id: entry.identifier.clone(),
                    zone: zone.to_owned(),
                    zone_id: zone_id(world.region(), zone).unwrap_or_default(),
                    tags: tags(&entry.model),
                }
            })
            .collect(),
        security_groups: world
            .of_type(&SECURITY_GROUP)
            .filter(live)
            .filter(in_vpc)
            .map(|entry| SecurityGroup {
                id: entry.identifier.clone(),
                name: text(&entry.model, "GroupName").to_owned(),
                tags: tags(&entry.model),
            })
            .collect(),
        roles: world
            .of_type(&ROLE)
            .filter(live)
            .map(|entry| entry.identifier.clone())
            .collect(),
    }
}

fn vpc_of<'a>(session: &'a Session<'_>, cluster: &str) -> Option<&'a str> {
    let world = session.world();
    let cluster = world.get(&CLUSTER, cluster)?;
    let subnets = &cluster.model["ResourcesVpcConfig"]["SubnetIds"];
    let subnet = world.get(&SUBNET, subnets.get(0)?.as_str()?)?;
    Some(text(&subnet.model, "VpcId"))
}

/// What came of an action that can be refused.
pub(super) enum Performed {
    Done,
    Refused {
        node_claim: String,
        refusal: Refusal,
    },
}

/// Does what a controller wants. Each is done once for its subject, however often it is asked for.
pub(super) fn perform(
    account: &Account,
    cluster: &str,
    action: &CloudAction,
    time: &ClusterTime,
    now: Timestamp,
) -> Result<Performed, ServiceError> {
    account.session(|session| {
        session.now = time.modelled(now);
        match action {
            CloudAction::Launch(launch) => return Ok(self::launch(session, cluster, launch, now)),
            CloudAction::Terminate { instance } => {
                if let Some(entry) = own(session, &INSTANCE, instance, cluster) {
                    let entry = terminated(&session.context(), &entry);
                    session.change(Mutation::Put(entry));
                    events::tell(session, InstanceEvent::Terminated, instance);
                }
            }
            CloudAction::CreateVolume { .. } => create_volume(session, cluster, action),
            CloudAction::DeleteVolume { volume } => {
                if own(session, &VOLUME, volume, cluster).is_some() {
                    session.change(Mutation::Remove {
                        type_name: VOLUME,
                        identifier: volume.clone(),
                    });
                }
            }
            CloudAction::ModifyVolume { volume, gib } => {
                if let Some(mut entry) = own(session, &VOLUME, volume, cluster)
                    && entry.model["Size"].as_i64() < Some(*gib)
                {
                    entry.model["Size"] = (*gib).into();
                    session.change(Mutation::Put(entry));
                }
            }
            CloudAction::Attach { volume, instance } => {
                change_volume(session, cluster, volume, instance.as_str().into());
            }
            CloudAction::Detach { volume } => {
                change_volume(session, cluster, volume, Value::Null);
            }
            CloudAction::CreateLoadBalancer {
                service,
                internal,
                ports,
            } => create_load_balancer(session, cluster, service, *internal, ports),
            CloudAction::DeleteLoadBalancer { service } => {
                delete_load_balancer(session, cluster, service);
            }
            CloudAction::DeleteMessage { receipt } => {
                crate::aws::services::sqs::delete(session, receipt);
            }
        }
        Ok(Performed::Done)
    })
}

fn own(
    session: &Session<'_>,
    type_name: &TypeName,
    identifier: &str,
    cluster: &str,
) -> Option<Entry> {
    session
        .world()
        .get(type_name, identifier)
        .filter(|entry| text(&entry.model, "__Cluster") == cluster)
        .cloned()
}

/// EC2 `CreateFleet` of type `instant`: the first offering that can be had. There is capacity for everything here; what EC2
/// refuses is what names something that is not there.
fn launch(session: &mut Session<'_>, cluster: &str, launch: &Launch, now: Timestamp) -> Performed {
    let has_one = session.world().of_type(&INSTANCE).any(|entry| {
        text(&entry.model, "__NodeClaim") == launch.node_claim
            && text(&entry.model, "__Cluster") == cluster
    });
    if has_one {
        return Performed::Done;
    }
    let refused = |code: &str, message: String, unavailable| Performed::Refused {
        node_claim: launch.node_claim.clone(),
        refusal: Refusal {
            code: code.to_owned(),
            message,
            unavailable,
            at: now,
        },
    };
    if let Some(missing) = launch
        .security_groups
        .iter()
        .find(|id| session.world().get(&SECURITY_GROUP, id).is_none())
    {
        return refused(
            "InvalidGroup.NotFound",
            format!("The security group '{missing}' does not exist"),
            Vec::new(),
        );
    }
    let role = launch.role.rsplit('/').next().unwrap_or_default();
    if session.world().get(&ROLE, role).is_none() {
        return refused(
            "InvalidParameterValue",
            format!(
                "Value ({role}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
            ),
            Vec::new(),
        );
    }
    let tags: Vec<_> = launch
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let groups: Vec<&str> = launch.security_groups.iter().map(String::as_str).collect();
    let out_of_capacity = &session.settings.without_capacity;
    let mut unavailable = Vec::new();
    for (instance_type, zone, subnet) in &launch.offerings {
        let offering = (instance_type.clone(), zone.clone(), launch.spot);
        let capacity_type = if launch.spot { "spot" } else { "on-demand" };
        let pool = format!("{capacity_type}:{instance_type}:{zone}");
        if out_of_capacity.contains(&pool) {
            unavailable.push(offering);
            continue;
        }
        let wanted = Wanted {
            cluster,
            origin: ("__NodeClaim", &launch.node_claim),
            instance_type,
            image: &launch.image,
            subnet,
            security_groups: groups.clone(),
            spot: launch.spot,
            tags: tags.clone(),
        };
        let (cx, ids) = session.context_and_ids();
        if let Some(entry) = launched(&cx, &wanted, &mut BTreeSet::new(), ids) {
            session.change(Mutation::Put(entry));
            return Performed::Done;
        }
    }
    let message = "There is no Spot or On-Demand capacity available that matches your request.";
    refused(
        "InsufficientInstanceCapacity",
        message.to_owned(),
        unavailable,
    )
}

fn create_volume(session: &mut Session<'_>, cluster: &str, action: &CloudAction) {
    let CloudAction::CreateVolume {
        persistent_volume,
        zone,
        gib,
        volume_type,
        encrypted,
        tags,
    } = action
    else {
        return;
    };
    let there = session.world().of_type(&VOLUME).any(|entry| {
        text(&entry.model, "__PersistentVolume") == persistent_volume
            && text(&entry.model, "__Cluster") == cluster
    });
    if there {
        return;
    }
    let id = session.ids().hex17("vol");
    let model = json!({
        "VolumeId": id,
        "AvailabilityZone": zone,
        "Size": gib,
        "VolumeType": volume_type,
        "Encrypted": encrypted,
        "Tags": tag_list(tags),
        "__Cluster": cluster,
        "__PersistentVolume": persistent_volume,
    });
    session.put(VOLUME, id, model);
}

fn change_volume(session: &mut Session<'_>, cluster: &str, volume: &str, attached_to: Value) {
    if let Some(mut entry) = own(session, &VOLUME, volume, cluster)
        && entry.model.get("__AttachedTo") != Some(&attached_to)
    {
        entry.model["__AttachedTo"] = attached_to;
        session.change(Mutation::Put(entry));
    }
}

/// How long a load balancer takes to serve, in modelled seconds. An estimate: users tell of two to four minutes.
const LOAD_BALANCER_SECONDS: f64 = 150.0;

fn balancer_of(session: &Session<'_>, cluster: &str, service: &Key) -> Option<Entry> {
    let name = service.to_string();
    session
        .world()
        .of_type(&LOAD_BALANCER)
        .find(|entry| {
            text(&entry.model, "__Service") == name && text(&entry.model, "__Cluster") == cluster
        })
        .cloned()
}

/// A load balancer and the security group that it stands in, as the cloud provider of EKS makes them for a Service.
fn create_load_balancer(
    session: &mut Session<'_>,
    cluster: &str,
    service: &Key,
    internal: bool,
    ports: &[i32],
) {
    if balancer_of(session, cluster, service).is_some() {
        return;
    }
    let Some(vpc) = vpc_of(session, cluster).map(str::to_owned) else {
        return;
    };
    let role = if internal {
        "kubernetes.io/role/internal-elb"
    } else {
        "kubernetes.io/role/elb"
    };
    let subnets: Vec<String> = session
        .world()
        .of_type(&SUBNET)
        .filter(|entry| text(&entry.model, "VpcId") == vpc)
        .filter(|entry| tags(&entry.model).contains_key(role))
        .map(|entry| entry.identifier.clone())
        .collect();
    let id = session.ids().hex(32);
    let group = session.ids().hex17("sg");
    let (region, account, partition) = (
        session.world().region().to_owned(),
        session.world().account().to_owned(),
        session.world().partition().to_owned(),
    );
    let name = format!("a{}", &id[1..]);
    let arn = format!(
        "arn:{partition}:elasticloadbalancing:{region}:{account}:loadbalancer/net/{name}/{}",
        &id[..16]
    );
    let owner = [
        (
            format!("kubernetes.io/cluster/{cluster}"),
            "owned".to_owned(),
        ),
        ("kubernetes.io/service-name".to_owned(), service.to_string()),
    ]
    .into();
    let rules: Vec<_> = ports
        .iter()
        .map(|port| {
            json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "0.0.0.0/0"})
        })
        .collect();
    let group_model = json!({
        "Id": group, "GroupId": group, "GroupName": format!("k8s-elb-{name}"), "VpcId": vpc,
        "GroupDescription": format!("Security group for Kubernetes ELB {name} ({service})"),
        "SecurityGroupIngress": rules,
        "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}],
        "Tags": tag_list(&owner),
        "__Cluster": cluster,
    });
    session.put(SECURITY_GROUP, group.clone(), group_model);
    let wait = session.clock.scale().duration(LOAD_BALANCER_SECONDS);
    let model = json!({
        "LoadBalancerArn": arn,
        "Name": name,
        "DNSName": format!("{name}-{}.elb.{region}.{}", &id[..16], catalog::regions::dns_suffix(&region)),
        "Type": "network",
        "Scheme": if internal { "internal" } else { "internet-facing" },
        "Subnets": subnets,
        "SecurityGroups": [group],
        "Tags": tag_list(&owner),
        "__Cluster": cluster,
        "__Service": service.to_string(),
        "__ActiveAt": session.now + wait,
    });
    session.put(LOAD_BALANCER, arn, model);
}

fn delete_load_balancer(session: &mut Session<'_>, cluster: &str, service: &Key) {
    let Some(entry) = balancer_of(session, cluster, service) else {
        return;
    };
    for group in texts(&entry.model, "SecurityGroups") {
        session.change(Mutation::Remove {
            type_name: SECURITY_GROUP,
            identifier: group,
        });
    }
    session.change(Mutation::Remove {
        type_name: LOAD_BALANCER,
        identifier: entry.identifier,
    });
}
