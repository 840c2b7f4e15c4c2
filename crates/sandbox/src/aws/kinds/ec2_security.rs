//! `AWS::EC2::SecurityGroup`, `AWS::EC2::SecurityGroupIngress`, `AWS::EC2::SecurityGroupEgress`.

use catalog::TypeName;
use serde_json::{Value, json};

use super::document::{has, items, number, put, put_default, text, text_or};
use super::reference::{created, deleted, updated};
use super::usage::{user_of, vpc};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const SECURITY_GROUP: TypeName = TypeName::new("AWS::EC2::SecurityGroup");
const INGRESS: TypeName = TypeName::new("AWS::EC2::SecurityGroupIngress");
const EGRESS: TypeName = TypeName::new("AWS::EC2::SecurityGroupEgress");

/// Which way a rule lets traffic through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

impl Direction {
    fn inline(self) -> &'static str {
        match self {
            Self::In => "SecurityGroupIngress",
            Self::Out => "SecurityGroupEgress",
        }
    }

    fn type_name(self) -> TypeName {
        match self {
            Self::In => INGRESS,
            Self::Out => EGRESS,
        }
    }

    /// The properties of which a rule has exactly one: where the traffic comes from or goes to.
    fn peers(self) -> [&'static str; 4] {
        match self {
            Self::In => [
                "CidrIp",
                "CidrIpv6",
                "SourcePrefixListId",
                "SourceSecurityGroupId",
            ],
            Self::Out => [
                "CidrIp",
                "CidrIpv6",
                "DestinationPrefixListId",
                "DestinationSecurityGroupId",
            ],
        }
    }
}

pub(super) fn create_group(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let Some(vpc_id) = text(desired, "VpcId") else {
        return Err(failure::invalid("Ec2", "No default VPC for this user"));
    };
    vpc(cx, "Ec2", vpc_id)?;
    let mut model = desired.clone();
    put_default(
        &mut model,
        "GroupName",
        format!("SecurityGroup-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "GroupName", "").to_owned();
    if name.starts_with("sg-") || name == "default" || name.len() > 255 || !is_described(&name) {
        return Err(failure::invalid(
            "Ec2",
            format!("Invalid security group name '{name}'"),
        ));
    }
    if !is_described(text_or(desired, "GroupDescription", "")) {
        return Err(failure::invalid(
            "Ec2",
            "Invalid security group description. Valid descriptions are strings less than 256 characters from the following set: \
             a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ));
    }
    let mut siblings = cx.any_with(SECURITY_GROUP.as_str(), "VpcId", vpc_id);
    if siblings.any(|other| text(&other.model, "GroupName") == Some(&name)) {
        return Err(failure::exists(
            "Ec2",
            format!("The security group '{name}' already exists for VPC '{vpc_id}'"),
        ));
    }
    if cx.is_full("L-E79EC296", cx.world.of_type(&SECURITY_GROUP).count()) {
        return Err(failure::limit(
            "Ec2",
            "The maximum number of security groups for your account has been reached.",
        ));
    }
    check_inline(cx, &model)?;
    let id = ids.hex17("sg");
    put(&mut model, "Id", id.as_str());
    put(&mut model, "GroupId", id.as_str());
    group_defaults(&mut model);
    created(cx, &SECURITY_GROUP, model)
}

/// EC2 lets everything out of a group that says nothing of it.
fn group_defaults(model: &mut Value) {
    put_default(model, "SecurityGroupIngress", json!([]));
    put_default(
        model,
        "SecurityGroupEgress",
        json!([{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "FromPort": -1, "ToPort": -1}]),
    );
    put_default(model, "Tags", json!([]));
}

fn is_described(text: &str) -> bool {
    (1..256).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b". _-:/()#,@[]+=&;{}!$*".contains(&byte))
}

pub(super) fn update_group(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_inline(cx, proposed)?;
    let mut model = proposed.clone();
    group_defaults(&mut model);
    Ok(updated(cx, entry, model))
}

fn check_inline(cx: &Context<'_>, model: &Value) -> Result<(), Failure> {
    for direction in [Direction::In, Direction::Out] {
        let rules = items(model, direction.inline());
        for (index, rule) in rules.iter().enumerate() {
            check_rule(cx, rule, direction)?;
            if rules[..index]
                .iter()
                .any(|other| is_same_rule(other, rule, direction))
            {
                return Err(duplicate(rule, direction));
            }
        }
        if rules.len() as f64 > cx.quota("L-0EA8095F") {
            return Err(failure::limit(
                "Ec2",
                "The maximum number of rules per security group has been reached.",
            ));
        }
    }
    Ok(())
}

fn check_rule(cx: &Context<'_>, rule: &Value, direction: Direction) -> Result<(), Failure> {
    if text(rule, "Description")
        .is_some_and(|description| !description.is_empty() && !is_described(description))
    {
        return Err(failure::invalid(
            "Ec2",
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: \
             a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ));
    }
    let peers: Vec<(&str, &str)> = direction
        .peers()
        .into_iter()
        .filter_map(|name| Some((name, text(rule, name)?)))
        .collect();
    match peers[..] {
        [("CidrIp", block)] => {
            super::cidr::parse(block)?;
        }
        [("CidrIpv6", block)] if block.parse::<ipnet::Ipv6Net>().is_err() => {
            return Err(failure::invalid(
                "Ec2",
                format!("CIDR block {block} is malformed"),
            ));
        }
        [(_, group)] if group.starts_with("sg-") => {
            super::usage::security_group(cx, "Ec2", group)?;
        }
        [_] => {}
        _ => {
            return Err(failure::invalid(
                "Ec2",
                format!(
                    "Exactly one of {} must be specified in a security group rule",
                    direction.peers().join(", ")
                ),
            ));
        }
    }
    let protocol = text_or(rule, "IpProtocol", "");
    let (from, to) = (number(rule, "FromPort"), number(rule, "ToPort"));
    match protocol {
        "tcp" | "udp" | "6" | "17" => match (from, to) {
            (Some(from), Some(to))
                if (0..=65_535).contains(&from) && (from..=65_535).contains(&to) =>
            {
                Ok(())
            }
            (Some(from), Some(to)) => Err(failure::invalid(
                "Ec2",
                format!("Invalid TCP/UDP port range ({from}:{to})"),
            )),
            _ => Err(failure::invalid(
                "Ec2",
                "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
            )),
        },
        "icmp" | "icmpv6" | "1" | "58" => match (from, to) {
            (Some(_), Some(_)) => Ok(()),
            _ => Err(failure::invalid(
                "Ec2",
                "Invalid value 'Must specify both from and to ports with ICMP.' for portRange.",
            )),
        },
        "-1" => Ok(()),
        other if other.parse::<u8>().is_ok() => Ok(()),
        other => Err(failure::invalid(
            "Ec2",
            format!("Invalid value '{other}' for IP protocol. Unknown protocol."),
        )),
    }
}

fn is_same_rule(one: &Value, other: &Value, direction: Direction) -> bool {
    let everything = |rule: &Value| text_or(rule, "IpProtocol", "") == "-1";
    let ports = everything(one)
        || (number(one, "FromPort") == number(other, "FromPort")
            && number(one, "ToPort") == number(other, "ToPort"));
    text(one, "IpProtocol") == text(other, "IpProtocol")
        && ports
        && direction
            .peers()
            .into_iter()
            .all(|peer| text(one, peer) == text(other, peer))
}

fn duplicate(rule: &Value, direction: Direction) -> Failure {
    let peer = direction
        .peers()
        .into_iter()
        .find_map(|name| text(rule, name))
        .unwrap_or_default();
    let port =
        |name: &str| number(rule, name).map_or_else(|| "ALL".to_owned(), |port| port.to_string());
    failure::exists(
        "Ec2",
        format!(
            "the specified rule \"peer: {peer}, {}, from port: {}, to port: {}, ALLOW\" already exists",
            text_or(rule, "IpProtocol", "").to_uppercase(),
            port("FromPort"),
            port("ToPort")
        ),
    )
}

fn create_rule(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
    direction: Direction,
) -> Result<Outcome, Failure> {
    let Some(group_id) = text(desired, "GroupId") else {
        return Err(failure::invalid(
            "Ec2",
            "The request must contain the parameter GroupId",
        ));
    };
    let group = super::usage::security_group(cx, "Ec2", group_id)?;
    check_rule(cx, desired, direction)?;
    let type_name = direction.type_name();
    let others: Vec<&Value> = items(&group.model, direction.inline())
        .iter()
        .chain(
            cx.any_with(type_name.as_str(), "GroupId", group_id)
                .map(|entry| &entry.model),
        )
        .collect();
    if others
        .iter()
        .any(|other| is_same_rule(other, desired, direction))
    {
        return Err(duplicate(desired, direction));
    }
    if cx.is_full("L-0EA8095F", others.len()) {
        return Err(failure::limit(
            "Ec2",
            "The maximum number of rules per security group has been reached.",
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "Id", ids.hex17("sgr"));
    if has(&model, "SourceSecurityGroupId") {
        put_default(&mut model, "SourceSecurityGroupOwnerId", cx.world.account());
    }
    created(cx, &type_name, model)
}

pub(super) fn create_ingress(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    create_rule(cx, desired, ids, Direction::In)
}

pub(super) fn create_egress(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    create_rule(cx, desired, ids, Direction::Out)
}

pub(super) fn delete_group(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let id = &entry.identifier;
    if text(&entry.model, "GroupName") == Some("default") {
        return Err(failure::invalid(
            "Ec2",
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"),
        ));
    }
    match user_of(cx, entry, id) {
        Some(user) => Err(failure::invalid(
            "Ec2",
            format!(
                "resource {id} has a dependent object [{} {}]",
                user.type_name, user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}
