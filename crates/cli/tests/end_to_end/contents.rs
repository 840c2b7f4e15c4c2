//! Destroying a cluster that is in use: what others have made in it is told, goes first and in order, and nothing of it is
//! left in AWS, whatever dies on the way, and where nobody gets into the cluster any more.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Said, kill, wait};
use crate::outside::boto3;
use crate::tenant::Tenant;
use crate::times;

/// What a destroy leaves on purpose: AWS deletes keys later, and vaults are retained.
const STAYS: [&str; 2] = ["AWS::Backup::BackupVault", "AWS::KMS::Key"];

/// The types of everything in the sandbox's world.
fn types(lab: &Lab) -> Vec<String> {
    let world = lab.run(&["sandbox", "world"]).ok().json();
    let resources = world["resources"].as_array().unwrap();
    let of = |resource: &Value| resource["type"].as_str().unwrap().to_owned();
    resources.iter().map(of).collect()
}

#[track_caller]
fn nothing_is_left(lab: &Lab, but: &[&str]) {
    let left: Vec<String> = types(lab)
        .into_iter()
        .filter(|name| !STAYS.contains(&name.as_str()) && !but.contains(&name.as_str()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn populated(preset: &str, time_scale: &str) -> Lab {
    let lab = Lab::running(preset, time_scale);
    lab.deploy("dev").ok();
    Tenant::of(&lab, "dev").populate();
    lab
}

/// The line of the progress on which an address has this done to it.
#[track_caller]
fn line(said: &Said, address: &str, what: &str) -> usize {
    let wanted = format!(" {address}: {what}");
    let found = said.stderr.lines().position(|line| line.contains(&wanted));
    found.unwrap_or_else(|| panic!("`{wanted}` is not in:\n{}", said.stderr))
}

#[test]
fn what_others_have_made_is_told_and_goes_first() {
    let lab = populated("ekb", "max");
    let before = types(&lab);
    let many = |name: &str| before.iter().filter(|one| *one == name).count();
    // Two nodes of the node group, and those that Karpenter has launched.
    assert!(many("AWS::EC2::Instance") > 2, "{before:?}");
    assert_eq!(many("AWS::ElasticLoadBalancingV2::LoadBalancer"), 1);
    assert_eq!(many("AWS::EC2::Volume"), 2);

    let offline = lab.run(&["plan", "-e", "dev", "--destroy"]).ok();
    offline.says("--refresh asks the cluster");
    let plan = ["plan", "-e", "dev", "--destroy", "--refresh", "-o", "json"];
    let plan = lab.run(&plan).ok().json();
    assert_eq!(plan["contents"]["known"], "listed");
    let changes = plan["changes"].as_array().unwrap();
    let of_others: Vec<&str> = changes
        .iter()
        .filter_map(|change| change["address"].as_str())
        .filter(|address| address.starts_with("contents/"))
        .filter(|address| !address.starts_with("contents/persistent-volume/"))
        .collect();
    assert_eq!(
        of_others,
        [
            "contents/service/app/web",
            "contents/deployment/app/web",
            "contents/stateful-set/app/db",
            "contents/pod/app/precious",
            "contents/persistent-volume-claim/app/data-db-0",
            "contents/persistent-volume-claim/app/data-db-1",
        ]
    );
    assert_eq!(plan["contents"]["count"], of_others.len() + 2);

    let said = lab
        .run(&["destroy", "-e", "dev", "--yes", "--drain-timeout", "5m"])
        .ok()
        .says("To remove from the cluster first, made by others (8)")
        .says("its load balancer")
        .says("held by kube-system/held (karpenter.sh/do-not-disrupt)")
        .says("the grace is over");
    let order = [
        ("contents/service/app/web", "deleted"),
        ("contents/stateful-set/app/db", "deleting"),
        ("contents/stateful-set/app/db", "deleted"),
        ("contents/persistent-volume-claim/app/data-db-0", "deleting"),
        ("contents/persistent-volume-claim/app/data-db-0", "deleted"),
        ("karpenter/node-pool/general", "deleting"),
        ("karpenter/node-pool/general", "deleted"),
        ("karpenter/release", "deleting"),
        ("karpenter/release", "deleted"),
        ("system-nodes/node-group", "deleting"),
        ("system-nodes/node-group", "deleted"),
        ("addons/vpc-cni", "deleting"),
        ("addons/vpc-cni", "deleted"),
        ("cluster/access-entry/deployer", "deleting"),
        ("cluster/access-entry/deployer", "deleted"),
        ("cluster/cluster", "deleting"),
        ("cluster/cluster", "deleted"),
        ("cluster/log-group", "deleting"),
    ];
    for pair in order.windows(2) {
        let [(first, done), (then, begun)] = pair else {
            unreachable!("windows of two")
        };
        assert!(
            line(&said, first, done) < line(&said, then, begun),
            "{first} is {done} before {then} is {begun}:\n{}",
            said.stderr
        );
    }
    for needed in ["addons/aws-ebs-csi-driver", "network/subnet/public-a"] {
        let gone = line(&said, "contents/service/app/web", "deleted");
        assert!(gone < line(&said, needed, "deleting"), "{needed}");
    }
    nothing_is_left(&lab, &[]);
}

#[test]
fn killed_while_a_cluster_is_emptied_the_same_command_carries_on() {
    let points = times(3, 30);
    for point in 0..points {
        let lab = populated("accelerator", "120");
        let destroy = ["destroy", "-e", "dev", "--yes"];
        let child = lab.spawn(&destroy);
        // Emptying and draining take the first seconds at this scale.
        let share = (point as f64 + 0.5) / points as f64;
        std::thread::sleep(Duration::from_secs_f64(4.0 * share));
        if point % 3 == 2 {
            let interrupt = || {
                let pid = child.id().to_string();
                let kill = std::process::Command::new("kill")
                    .args(["-INT", &pid])
                    .status();
                assert!(kill.unwrap().success());
            };
            interrupt();
            std::thread::sleep(Duration::from_millis(100));
            interrupt();
        } else {
            kill(child.id());
        }
        wait(child);
        lab.run(&destroy).ok();
        nothing_is_left(&lab, &[]);
    }
}

#[test]
fn a_cluster_that_nobody_gets_into_is_destroyed_without_it_when_that_is_said() {
    let lab = populated("accelerator", "max");
    boto3(
        &lab,
        "
eks = boto3.client('cloudcontrol')
for entry in eks.list_resources(TypeName='AWS::EKS::AccessEntry', ResourceModel=json.dumps({'ClusterName': 'shop-dev'}))['ResourceDescriptions']:
    if ':user/' in entry['Identifier']:
        event = eks.delete_resource(TypeName='AWS::EKS::AccessEntry', Identifier=entry['Identifier'])['ProgressEvent']
        eks.get_waiter('resource_request_success').wait(RequestToken=event['RequestToken'], WaiterConfig={'Delay': 1})
",
    );
    let before = types(&lab);
    lab.run(&["destroy", "-e", "dev", "--yes"])
        .fails(3)
        .says("can't be asked what is in it, so nothing was deleted")
        .says("--without-cluster");
    assert_eq!(types(&lab), before);
    lab.run(&["destroy", "-e", "dev", "--yes", "--without-cluster"])
        .ok()
        .says("The cluster is not asked")
        .says("volumes of claims stay");
    nothing_is_left(&lab, &["AWS::EC2::Volume"]);
}

#[test]
fn a_cluster_that_is_gone_already_is_in_nobodys_way() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    boto3(
        &lab,
        "
cc = boto3.client('cloudcontrol')
def delete(kind, identifier):
    event = cc.delete_resource(TypeName=kind, Identifier=identifier)['ProgressEvent']
    cc.get_waiter('resource_request_success').wait(RequestToken=event['RequestToken'], WaiterConfig={'Delay': 1})
groups = cc.list_resources(TypeName='AWS::EKS::Nodegroup', ResourceModel=json.dumps({'ClusterName': 'shop-dev'}))
for group in groups['ResourceDescriptions']:
    delete('AWS::EKS::Nodegroup', group['Identifier'])
delete('AWS::EKS::Cluster', 'shop-dev')
",
    );
    lab.run(&["destroy", "-e", "dev", "--yes"])
        .ok()
        .says("The cluster is gone, and what was in it");
    nothing_is_left(&lab, &[]);
}
