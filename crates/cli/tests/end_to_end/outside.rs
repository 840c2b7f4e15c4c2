//! Somebody else's tools on the embedded AWS: boto3, with nothing but what `sandbox env` prints.

use std::path::PathBuf;
use std::process::Command;

use crate::lab::{Lab, same_world};

/// The Python that `make test` has put boto3 into.
fn python() -> PathBuf {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let python = root.join("target/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: `make test` makes it",
        python.display()
    );
    python
}

/// Runs a script with the sandbox's variables, through a shell as a user would.
pub fn boto3(lab: &Lab, script: &str) -> String {
    let variables = lab.run(&["sandbox", "env"]).ok().stdout;
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("{variables}\nexec \"$0\" -c \"$1\""))
        .arg(python())
        .arg(format!("import boto3, json\n{script}"))
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", lab.path("home"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Every secret value that was generated in the sandbox.
pub fn secrets(lab: &Lab) -> Vec<String> {
    let script = "
cc, sm = boto3.client('cloudcontrol'), boto3.client('secretsmanager')
found = []
for page in cc.get_paginator('list_resources').paginate(TypeName='AWS::SecretsManager::Secret'):
    for secret in page['ResourceDescriptions']:
        value = sm.get_secret_value(SecretId=secret['Identifier'])['SecretString']
        try:
            parsed = json.loads(value)
            found += [v for k, v in parsed.items() if 'assword' in k or 'oken' in k] if isinstance(parsed, dict) else [value]
        except ValueError:
            found.append(value)
print(json.dumps(found))
";
    serde_json::from_str(&boto3(lab, script)).unwrap()
}

#[test]
fn what_is_changed_behind_our_back_is_drift_and_a_deploy_puts_it_right() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    let script = "
cc = boto3.client('cloudcontrol')
queue = cc.list_resources(TypeName='AWS::SQS::Queue')['ResourceDescriptions'][0]['Identifier']
patch = [{'op': 'add', 'path': '/MessageRetentionPeriod', 'value': 1209600}]
event = cc.update_resource(TypeName='AWS::SQS::Queue', Identifier=queue, PatchDocument=json.dumps(patch))['ProgressEvent']
cc.get_waiter('resource_request_success').wait(RequestToken=event['RequestToken'], WaiterConfig={'Delay': 1})
print(boto3.client('sts').get_caller_identity()['Account'])
";
    boto3(&lab, script);
    let drift = lab.run(&["drift", "-e", "dev", "-o", "json"]).ok().json();
    let drifted = drift["drifted"].as_array().unwrap();
    assert_eq!(drifted.len(), 1, "{drift}");
    assert_eq!(drifted[0]["property"], "MessageRetentionPeriod");
    assert_eq!(drifted[0]["actual"], 1_209_600);
    assert!(
        drifted[0]["address"]
            .as_str()
            .unwrap()
            .starts_with("karpenter/")
            && drifted[0]["expected"].is_number()
    );
    lab.run(&["drift", "-e", "dev", "--detailed-exitcode"])
        .fails(2);
    lab.run(&["plan", "-e", "dev", "--detailed-exitcode"]).ok();
    lab.run(&["plan", "-e", "dev", "--refresh", "--detailed-exitcode"])
        .fails(2);
    lab.run(&["deploy", "-e", "dev", "--refresh", "--yes"]).ok();
    lab.run(&["drift", "-e", "dev", "--detailed-exitcode"]).ok();
}

#[test]
fn what_is_deleted_behind_our_back_is_made_again() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    let expected = lab.world();
    let script = "
cc = boto3.client('cloudcontrol')
for rule in cc.list_resources(TypeName='AWS::Events::Rule')['ResourceDescriptions']:
    event = cc.delete_resource(TypeName='AWS::Events::Rule', Identifier=rule['Identifier'])['ProgressEvent']
    cc.get_waiter('resource_request_success').wait(RequestToken=event['RequestToken'], WaiterConfig={'Delay': 1})
";
    boto3(&lab, script);
    lab.run(&["drift", "-e", "dev", "--detailed-exitcode"])
        .fails(2);
    lab.run(&["deploy", "-e", "dev", "--refresh", "--yes"]).ok();
    same_world(&lab.world(), &expected, "the world");
}

#[test]
fn somebody_else_s_network_is_used_checked_and_left_alone() {
    let lab = Lab::running("accelerator", "max");
    let script = "
cc = boto3.client('cloudcontrol')
def make(kind, **properties):
    event = cc.create_resource(TypeName=kind, DesiredState=json.dumps(properties))['ProgressEvent']
    cc.get_waiter('resource_request_success').wait(RequestToken=event['RequestToken'], WaiterConfig={'Delay': 1})
    return cc.get_resource_request_status(RequestToken=event['RequestToken'])['ProgressEvent']['Identifier']
vpc = make('AWS::EC2::VPC', CidrBlock='10.44.0.0/16', EnableDnsSupport=True, EnableDnsHostnames=True)
subnets = [make('AWS::EC2::Subnet', VpcId=vpc, CidrBlock=f'10.44.{n}.0/24', AvailabilityZone=f'us-east-1{z}') for n, z in enumerate('abc')]
print(json.dumps([vpc, subnets]))
";
    let made: (String, Vec<String>) = serde_json::from_str(&boto3(&lab, script)).unwrap();
    let theirs = lab.world();
    let network = |cidr: &str, vpc: &str| {
        format!(
            "network:\n  cidr: {cidr}\n  existing:\n    vpcId: {vpc}\n    privateSubnetIds: [{}]",
            made.1.join(", ")
        )
    };
    let overlay = lab.platform().join("environments/dev.yaml");
    let write =
        |cidr: &str, vpc: &str| std::fs::write(&overlay, network(cidr, vpc) + "\n").unwrap();
    write("10.0.0.0/16", &made.0);
    lab.deploy("dev")
        .fails(3)
        .says("10.44.0.0/16")
        .says("10.0.0.0/16");
    write("10.44.0.0/16", "vpc-00000000000000000");
    lab.deploy("dev").fails(3).says("not in this account");
    assert_eq!(lab.world(), theirs, "nothing was made");
    write("10.44.0.0/16", &made.0);
    let said = lab.deploy("dev");
    // Without a way to the Internet nodes can't join; the rest of the platform shows that the network was used.
    assert!(said.code == Some(0) || said.code == Some(1), "{said:?}");
    let status = lab.run(&["status", "-e", "dev", "-o", "json"]).ok().json();
    let of = |address: &str| {
        let resources = status["resources"].as_array().unwrap();
        resources
            .iter()
            .find(|resource| resource["address"] == address)
            .unwrap()["status"]
            .clone()
    };
    assert_eq!(
        (of("network/vpc"), of("cluster/cluster")),
        ("existing".into(), "deployed".into())
    );
    lab.destroy("dev").ok();
    let left = lab.world();
    assert!(
        theirs.iter().all(|line| left.contains(line)),
        "theirs is as it was"
    );
}
