//! Amazon MQ for RabbitMQ: the queue between the API and its workers.

use catalog::data_services::rabbitmq::{DeploymentMode, VERSIONS};
use graph::value;
use spec::model::RabbitMqDeploymentMode;

use crate::data_services;
use crate::draft::{Draft, Drawing};
use crate::network::Network;
use crate::{secrets, types};

/// AMQP over TLS, and the management console: at 443, and at 15671 where RabbitMQ itself has it.
const PORTS: [(u16, &str); 3] = [
    (5671, "AMQP over TLS"),
    (443, "Management console"),
    (15671, "Management API over TLS"),
];

pub(crate) fn draw(drawing: &mut Drawing<'_>, network: &Network) {
    let rabbitmq = &drawing.spec().rabbitmq;
    if !rabbitmq.enabled {
        return;
    }
    let user = drawing.scope_name();
    let secret = secrets::credentials(drawing, "rabbitmq", &user, 32, "The RabbitMQ broker's user");
    let security_group =
        data_services::security_group(drawing, network, "rabbitmq", "RabbitMQ", &PORTS);
    // A single broker takes one subnet; a cluster one in each of three availability zones, never two in one
    // (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-amazonmq-broker.html).
    let (mode, subnets) = match rabbitmq.deployment_mode {
        RabbitMqDeploymentMode::SingleInstance => (DeploymentMode::SingleInstance, 1),
        RabbitMqDeploymentMode::ClusterMultiAz => (DeploymentMode::ClusterMultiAz, 3),
    };
    let subnets: Vec<_> = network.private_ids().into_iter().take(subnets).collect();
    let version = rabbitmq
        .engine_version
        .as_deref()
        .or_else(|| VERSIONS.first().copied());
    let draft = Draft::new(
        "rabbitmq/broker",
        types::BROKER,
        value!({
            "BrokerName": drawing.name("rabbitmq"),
            "EngineType": "RABBITMQ",
            "HostInstanceType": rabbitmq.instance_type.as_str(),
            "DeploymentMode": mode.as_str(),
            "SubnetIds": subnets,
            "SecurityGroups": [security_group.get("GroupId")],
            "PubliclyAccessible": false,
            // RabbitMQ from 3.13 on refuses `false`.
            "AutoMinorVersionUpgrade": true,
            // RabbitMQ has a general log only; audit logs are ActiveMQ's.
            "Logs": { "General": true },
            "Users": [{ "Username": user, "Password": secret.secret("password") }],
        }),
    );
    drawing.add(draft.with_some("EngineVersion", version));
}
