//! The network and the roles of the templates, made by moto's CloudFormation and described by moto's EC2 and IAM, are
//! those of the graph.
//!
//! moto says `CREATE_COMPLETE` whatever happened, so its word counts for nothing: everything is counted and described. It
//! makes neither EKS nor Amazon MQ nor secrets, and drops what nothing here asks for: `ManagedPolicyArns` of roles, DNS
//! settings of VPCs, route table associations, of security groups the rules for what
//! leaves and the descriptions of all rules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use catalog::ids::Address;
use graph::{
    Attribute, Graph, Lookup, Parameter, Reference, Resource, SecretReference, Value, resolve,
};
use serde_json::{Value as Json, json};

use crate::exported::{Exported, all, program};
use crate::judges::python;
use crate::reader::{Reader, pascal};

/// moto's account.
const ACCOUNT: &str = "123456789012";
const DEPLOYER: &str = "arn:aws:iam::123456789012:role/deployer";

struct Server {
    process: Child,
    endpoint: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server() -> Server {
    let mut process = Command::new(program("venv/bin/moto_server"))
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("moto_server starts");
    let stderr = BufReader::new(process.stderr.take().unwrap());
    let mut lines = stderr.lines().map_while(Result::ok);
    let endpoint = lines
        .find_map(|line| Some(line.split_once("Running on ")?.1.trim().to_owned()))
        .expect("moto_server says where it runs");
    // Somebody has to read what it goes on to say, or it would block.
    std::thread::spawn(move || lines.for_each(drop));
    Server { process, endpoint }
}

/// Whether moto's CloudFormation makes resources of the type.
fn made_by_moto(type_name: &str) -> bool {
    let service = type_name.split("::").nth(1).unwrap();
    match service {
        "EC2" => true,
        "IAM" => type_name != "AWS::IAM::OIDCProvider",
        "Logs" => true,
        _ => type_name == "AWS::SQS::Queue",
    }
}

/// The part of a template that moto can make; the text itself when that is all of it.
fn body(template: &Json, text: &str) -> String {
    let resources = template["Resources"].as_object().unwrap();
    let made: BTreeSet<&str> = resources
        .iter()
        .filter(|(_, it)| made_by_moto(it["Type"].as_str().unwrap()))
        .map(|(id, _)| id.as_str())
        .collect();
    if made.len() == resources.len() {
        return text.to_owned();
    }
    let mut part = template.clone();
    let left_out: Vec<&String> = resources
        .keys()
        .filter(|id| !made.contains(id.as_str()))
        .collect();
    part["Resources"]
        .as_object_mut()
        .unwrap()
        .retain(|id, resource| {
            if let Some(after) = resource.get_mut("DependsOn") {
                after
                    .as_array_mut()
                    .unwrap()
                    .retain(|id| made.contains(id.as_str().unwrap()));
            }
            made.contains(id.as_str())
        });
    part["Outputs"]
        .as_object_mut()
        .unwrap()
        .retain(|_, output| {
            let value = output["Value"].to_string();
            !left_out
                .iter()
                .any(|id| value.contains(&format!("\"{id}\"")))
        });
    part.to_string()
}

fn exported() -> &'static Exported {
    all()
        .iter()
        .find(|exported| exported.name == "everything, pod-identity")
        .unwrap()
}

/// What moto describes.
fn described(exported: &Exported) -> Json {
    let reader = Reader::new(&exported.graph, exported.templates());
    let texts: BTreeMap<&str, &str> = exported.templates().collect();
    // In an order in which each finds the others' outputs.
    let needs = reader.stack_needs();
    let mut order: Vec<&String> = Vec::new();
    while order.len() < needs.len() {
        let next = needs
            .iter()
            .find(|(id, needs)| !order.contains(id) && needs.iter().all(|it| order.contains(&it)));
        order.push(next.unwrap().0);
    }
    let stacks: Vec<Json> = order
        .iter()
        .filter(|id| {
            ["Network", "Eks", "Addons", "Karpenter", "Iam", "Data"].contains(&id.as_str())
        })
        .map(|id| {
            let given = &reader.root["Resources"][*id]["Properties"]["Parameters"];
            let given = given.as_object().into_iter().flatten();
            let parameters: BTreeMap<&String, Json> = given
                .map(|(name, value)| match &value["Fn::GetAtt"] {
                    Json::Null => (name, json!(DEPLOYER)),
                    output => {
                        let name_there = output[1].as_str().unwrap();
                        let name_there = name_there.strip_prefix("Outputs.").unwrap();
                        (name, json!({ "stack": output[0], "output": name_there }))
                    }
                })
                .collect();
            let text = texts[format!("{}.yaml", id.to_lowercase()).as_str()];
            json!({ "name": id, "body": body(&reader.stacks[*id], text), "parameters": parameters })
        })
        .collect();
    let server = server();
    let input = json!({
        "endpoint": server.endpoint,
        "region": exported.platform.region,
        "stacks": stacks,
    });
    let answer = python("venv/bin/python", "stacks.py", &[], Some(&input));
    serde_json::from_slice(&answer).unwrap()
}

/// What moto answered to references.
struct Made<'a> {
    graph: &'a Graph,
    described: &'a Json,
}

impl Made<'_> {
    fn id(&self, address: &Address) -> &str {
        let id = pascal(address.as_str());
        self.described["resources"][&id]
            .as_str()
            .unwrap_or_else(|| panic!("moto has made no {address}"))
    }

    /// The one in a list whose key is the id of the resource.
    fn find(&self, list: &str, key: &str, address: &Address) -> &Json {
        let id = self.id(address);
        let mut found = items(&self.described[list]).filter(|it| it[key] == id);
        let one = found.next().unwrap_or_else(|| panic!("{list} has no {id}"));
        assert!(found.next().is_none());
        one
    }

    /// The desired properties, with what moto made in the references' places.
    fn desired(&self, resource: &Resource) -> Json {
        resolve(&Value::Object(resource.properties.clone()), self)
    }

    fn of_type(&self, type_name: &str) -> Vec<(&Resource, Json)> {
        self.graph
            .resources()
            .filter(|resource| resource.type_name.as_str() == type_name)
            .map(|resource| (resource, self.desired(resource)))
            .collect()
    }
}

impl Lookup for Made<'_> {
    fn attribute(&self, reference: &Reference) -> Option<Json> {
        let target = self.graph.get(&reference.to)?;
        let Attribute::Property(path) = &reference.attribute else {
            return None;
        };
        let property = path.property()?;
        if let Some(value) = target.properties.get(property) {
            return Some(resolve(value, self));
        }
        if !made_by_moto(target.type_name.as_str()) {
            return None;
        }
        let id = self.id(&reference.to);
        Some(match (target.type_name.resource(), property) {
            ("Role", "Arn") => format!("arn:aws:iam::{ACCOUNT}:role/{id}").into(),
            ("LogGroup", "Arn") => {
                // moto gives it without the `:*` that AWS's has.
                let arn = &self.find("logGroups", "logGroupName", &reference.to)["arn"];
                arn.as_str().unwrap().trim_end_matches(":*").into()
            }
            ("EIP", "AllocationId") => {
                self.find("addresses", "PublicIp", &reference.to)["AllocationId"].clone()
            }
            ("Queue", "Arn") => {
                let name = id.rsplit('/').next().unwrap();
                self.described["queues"][name]["QueueArn"].clone()
            }
            _ => id.into(),
        })
    }

    fn parameter(&self, parameter: Parameter) -> Option<String> {
        Some(match parameter {
            Parameter::AccountId => ACCOUNT.to_owned(),
            Parameter::Deployer => DEPLOYER.to_owned(),
        })
    }

    fn is_new_secret(&self, _: &SecretReference) -> bool {
        false
    }
}

fn items(list: &Json) -> impl Iterator<Item = &Json> {
    list.as_array().into_iter().flatten()
}

/// Tags as a map, without those that CloudFormation adds.
fn tags(list: &Json) -> BTreeMap<&str, &str> {
    items(list)
        .map(|tag| (tag["Key"].as_str().unwrap(), tag["Value"].as_str().unwrap()))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .collect()
}

fn texts(list: &Json) -> BTreeSet<&str> {
    items(list).map(|it| it.as_str().unwrap()).collect()
}

#[test]
fn the_network_and_the_roles_that_moto_makes_are_those_of_the_graph() {
    let exported = exported();
    let described = described(exported);
    let made = Made {
        graph: &exported.graph,
        described: &described,
    };
    compare_network(&made);
    compare_ways_out(&made);
    compare_security_groups(&made);
    compare_roles(&made);
}

fn compare_network(made: &Made<'_>) {
    let vpcs = made.of_type("AWS::EC2::VPC");
    assert_eq!(vpcs.len(), 1);
    for (vpc, desired) in &vpcs {
        let there = made.find("vpcs", "VpcId", &vpc.address);
        assert_eq!(there["CidrBlock"], desired["CidrBlock"]);
        assert_eq!(tags(&there["Tags"]), tags(&desired["Tags"]));
    }
    let subnets = made.of_type("AWS::EC2::Subnet");
    assert_eq!(subnets.len(), 6);
    let mut ids = BTreeSet::new();
    for (subnet, desired) in &subnets {
        let there = made.find("subnets", "SubnetId", &subnet.address);
        assert!(ids.insert(there["SubnetId"].as_str().unwrap()));
        for key in [
            "VpcId",
            "CidrBlock",
            "AvailabilityZone",
            "MapPublicIpOnLaunch",
        ] {
            assert_eq!(there[key], desired[key], "{} {key}", subnet.address);
        }
        assert_eq!(tags(&there["Tags"]), tags(&desired["Tags"]));
    }
}

fn compare_ways_out(made: &Made<'_>) {
    let attachments = made.of_type("AWS::EC2::VPCGatewayAttachment");
    assert_eq!(attachments.len(), 1);
    for (_, desired) in &attachments {
        let gateways = items(&made.described["internetGateways"]);
        let there = gateways
            .into_iter()
            .find(|it| it["InternetGatewayId"] == desired["InternetGatewayId"])
            .unwrap();
        assert_eq!(there["Attachments"][0]["VpcId"], desired["VpcId"]);
    }
    let gateways = made.of_type("AWS::EC2::NatGateway");
    assert_eq!(gateways.len(), 3);
    for (gateway, desired) in &gateways {
        let there = made.find("natGateways", "NatGatewayId", &gateway.address);
        assert_eq!(there["SubnetId"], desired["SubnetId"]);
        let allocation = &there["NatGatewayAddresses"][0]["AllocationId"];
        assert_eq!(*allocation, desired["AllocationId"]);
    }
    let tables = made.of_type("AWS::EC2::RouteTable");
    let routes = made.of_type("AWS::EC2::Route");
    assert_eq!((tables.len(), routes.len()), (4, 4));
    for (table, desired) in &tables {
        let there = made.find("routeTables", "RouteTableId", &table.address);
        assert_eq!(there["VpcId"], desired["VpcId"]);
        let beyond: BTreeSet<(&str, &str)> = items(&there["Routes"])
            .filter(|route| route["GatewayId"] != "local")
            .filter_map(|route| {
                // What an endpoint routes has a prefix list, not a range.
                let range = route["DestinationCidrBlock"].as_str()?;
                let to = route["NatGatewayId"]
                    .as_str()
                    .or(route["GatewayId"].as_str());
                Some((range, to.unwrap()))
            })
            .collect();
        let wanted: BTreeSet<(&str, &str)> = routes
            .iter()
            .filter(|(_, route)| route["RouteTableId"] == there["RouteTableId"])
            .map(|(_, route)| {
                let to = route["NatGatewayId"]
                    .as_str()
                    .or(route["GatewayId"].as_str());
                (route["DestinationCidrBlock"].as_str().unwrap(), to.unwrap())
            })
            .collect();
        assert!(!wanted.is_empty());
        assert_eq!(beyond, wanted, "{}", table.address);
    }
    let endpoints = made.of_type("AWS::EC2::VPCEndpoint");
    assert!(!endpoints.is_empty());
    for (endpoint, desired) in &endpoints {
        let there = made.find("endpoints", "VpcEndpointId", &endpoint.address);
        for key in ["VpcId", "ServiceName", "VpcEndpointType"] {
            assert_eq!(there[key], desired[key], "{} {key}", endpoint.address);
        }
        assert_eq!(
            texts(&there["RouteTableIds"]),
            texts(&desired["RouteTableIds"])
        );
    }
}

/// A rule as protocol, ports and range.
type Rule<'a> = (&'a str, Option<i64>, Option<i64>, &'a str);

fn compare_security_groups(made: &Made<'_>) {
    let groups = made.of_type("AWS::EC2::SecurityGroup");
    assert_eq!(groups.len(), 2);
    for (group, desired) in &groups {
        let there = made.find("securityGroups", "GroupId", &group.address);
        assert_eq!(there["GroupName"], desired["GroupName"]);
        assert_eq!(there["Description"], desired["GroupDescription"]);
        assert_eq!(there["VpcId"], desired["VpcId"]);
        assert_eq!(tags(&there["Tags"]), tags(&desired["Tags"]));
        let wanted: BTreeSet<Rule<'_>> = items(&desired["SecurityGroupIngress"])
            .map(|rule| (protocol(rule), from(rule), to(rule), range(rule)))
            .collect();
        let back: BTreeSet<Rule<'_>> = items(&there["IpPermissions"])
            .flat_map(|rule| {
                let ranges = items(&rule["IpRanges"]);
                ranges.map(|it| (protocol(rule), from(rule), to(rule), range(it)))
            })
            .collect();
        assert!(!wanted.is_empty());
        assert_eq!(back, wanted, "{}", group.address);
    }
}

fn protocol(rule: &Json) -> &str {
    rule["IpProtocol"].as_str().unwrap()
}

fn from(rule: &Json) -> Option<i64> {
    rule["FromPort"].as_i64()
}

fn to(rule: &Json) -> Option<i64> {
    rule["ToPort"].as_i64()
}

fn range(rule: &Json) -> &str {
    rule["CidrIp"].as_str().unwrap()
}

fn compare_roles(made: &Made<'_>) {
    let modules = export::modules(made.graph);
    let roles: Vec<_> = made
        .of_type("AWS::IAM::Role")
        .into_iter()
        // AWS Backup's is in the stack of data, the others in those of the network, the cluster and its controllers.
        .filter(|(role, _)| modules[&role.address] <= export::Module::Data)
        .collect();
    assert_eq!(
        roles.len(),
        made.described["roles"].as_object().unwrap().len()
    );
    assert!(roles.len() >= 10, "{}", roles.len());
    let mut policies = 0;
    for (role, desired) in &roles {
        let there = &made.described["roles"][desired["RoleName"].as_str().unwrap()];
        assert_eq!(there["description"], desired["Description"]);
        assert_eq!(
            there["trust"], desired["AssumeRolePolicyDocument"],
            "{}",
            role.address
        );
        let inline: BTreeMap<&str, &Json> = items(&desired["Policies"])
            .map(|it| (it["PolicyName"].as_str().unwrap(), &it["PolicyDocument"]))
            .collect();
        policies += inline.len();
        assert_eq!(there["inline"], json!(inline), "{}", role.address);
    }
    assert!(policies >= 5, "{policies}");
    for (profile, desired) in made.of_type("AWS::IAM::InstanceProfile") {
        let there = made.find("instanceProfiles", "InstanceProfileName", &profile.address);
        assert_eq!(there["Roles"][0]["RoleName"], desired["Roles"][0]);
    }
}
