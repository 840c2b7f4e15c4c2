//! What happens to instances, by order.

use crate::lab::Lab;

#[test]
fn things_happen_to_instances_that_are_there() {
    let lab = Lab::new("accelerator");
    lab.run(&["sandbox", "interrupt", "i-1"])
        .fails(1)
        .says("no sandbox runs");
    lab.start("max");
    lab.run(&["sandbox", "interrupt", "i-1"])
        .fails(1)
        .says("there are no instances");
    lab.run(&["sandbox", "interrupt", "i-1", "--event", "terminate"])
        .fails(1)
        .says("'terminated'");
    lab.deploy("dev").ok();
    let world = lab.run(&["sandbox", "world"]).ok().json();
    let instances = || {
        let all = world["resources"].as_array().unwrap().iter();
        all.filter(|one| {
            one["type"] == "AWS::EC2::Instance" && one["properties"]["InstanceId"].is_string()
        })
    };
    let node = instances().next().unwrap()["properties"]["PrivateDnsName"].clone();
    let node = node.as_str().unwrap();
    let (host, _) = node.split_once('.').unwrap();
    lab.run(&["sandbox", "interrupt", node])
        .fails(1)
        .says("on-demand");
    lab.run(&["sandbox", "interrupt", &host[..host.len() - 1]])
        .fails(1)
        .says("there is no instance or node");
    let json = |event: &str| {
        let arguments = ["sandbox", "interrupt", host, "--event", event, "-o", "json"];
        lab.run(&arguments).ok().json()
    };
    let announced = json("scheduled-change");
    assert_eq!(announced["node"], node);
    assert!(announced["ends_in_seconds"].is_null());
    let ended = json("terminated");
    assert_eq!(ended["instance"], announced["instance"]);
    assert_eq!(ended["ends_in_seconds"], 0.0);
    let replacement = ended["replacement"].as_str().unwrap();
    assert!(instances().all(|one| one["identifier"] != replacement));
    let world = lab.run(&["sandbox", "world"]).ok();
    assert!(world.stdout.contains(replacement), "{}", world.stdout);
}
