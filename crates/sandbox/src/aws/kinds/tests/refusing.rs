//! What a service never takes: taken names, wrong blocks, quotas, documents and sizes.

use serde_json::{Value, json};

use super::HandlerErrorCode::{
    AccessDenied, AlreadyExists, InvalidRequest, NotFound, ServiceLimitExceeded,
};
use super::platform::{STEPS, before, built};
use super::{Account, allow, assert_refused, trust};

#[test]
fn nothing_that_has_a_name_is_made_twice() {
    let whole = built();
    // What AWS names itself can be made again and again, until a quota or another rule says no.
    let nameless = [
        "vpc",
        "igw",
        "public-table",
        "private-table",
        "eip",
        "key",
        "attachment",
        "public-a",
        "private-a",
        "private-b",
        "nat",
        "public-association",
        "association-a",
        "association-b",
        "endpoint",
        "zone",
        "certificate",
        "parameter",
    ];
    for (name, type_name, desired) in STEPS {
        let mut account = whole.clone();
        let desired = desired(&account);
        let Err(failure) = account.create(type_name, &desired) else {
            assert!(nameless.contains(name), "{name} was made twice");
            continue;
        };
        assert!(
            failure.code == AlreadyExists || nameless.contains(name),
            "{name}: {}: {}",
            failure.code,
            failure.message
        );
    }
}

fn vpc() -> Account {
    let mut account = Account::new();
    account.make("vpc", "AWS::EC2::VPC", json!({"CidrBlock": "10.0.0.0/16"}));
    account
}

fn subnet(account: &Account, block: &str, zone: &str) -> Value {
    json!({"VpcId": account.of("vpc", "VpcId"), "CidrBlock": block, "AvailabilityZone": zone})
}

#[test]
fn blocks_lie_inside_and_apart() {
    let mut account = vpc();
    let first = subnet(&account, "10.0.0.0/20", "eu-central-1a");
    account.create("AWS::EC2::Subnet", &first).unwrap();
    for (block, words) in [
        ("10.1.0.0/20", "The CIDR '10.1.0.0/20' is invalid."),
        ("10.0.0.0/8", "is invalid"),
        ("10.0.8.0/21", "conflicts with another subnet"),
        ("10.0.16.0/29", "is invalid"),
        ("10.0.16.1/20", "This is not a valid CIDR block."),
    ] {
        let desired = subnet(&account, block, "eu-central-1a");
        assert_refused(
            block,
            account.create("AWS::EC2::Subnet", &desired),
            InvalidRequest,
            words,
        );
    }
    let elsewhere = subnet(&account, "10.0.16.0/20", "eu-central-1z");
    assert_refused(
        "zone",
        account.create("AWS::EC2::Subnet", &elsewhere),
        InvalidRequest,
        "eu-central-1a, eu-central-1b, eu-central-1c",
    );
    let too_big = json!({"CidrBlock": "10.0.0.0/15"});
    assert_refused(
        "vpc",
        account.create("AWS::EC2::VPC", &too_big),
        InvalidRequest,
        "The CIDR '10.0.0.0/15' is invalid.",
    );
    // A secondary block makes room.
    let more = json!({"VpcId": account.of("vpc", "VpcId"), "CidrBlock": "10.1.0.0/16"});
    account.create("AWS::EC2::VPCCidrBlock", &more).unwrap();
    let there = subnet(&account, "10.1.0.0/20", "eu-central-1a");
    account.create("AWS::EC2::Subnet", &there).unwrap();
}

#[test]
fn quotas_hold_and_can_be_raised() {
    let address = json!({"Domain": "vpc"});
    for (type_name, desired, code, words) in [
        (
            "AWS::EC2::VPC",
            json!({"CidrBlock": "10.0.0.0/16"}),
            "L-F678F1CE",
            "The maximum number of VPCs has been reached.",
        ),
        (
            "AWS::EC2::EIP",
            address,
            "L-0263D0A3",
            "The maximum number of addresses has been reached.",
        ),
        (
            "AWS::EC2::InternetGateway",
            json!({}),
            "L-A4707A72",
            "The maximum number of internet gateways has been reached.",
        ),
    ] {
        let mut account = Account::new();
        for _ in 0..5 {
            account.create(type_name, &desired).unwrap();
        }
        assert_refused(
            type_name,
            account.create(type_name, &desired),
            ServiceLimitExceeded,
            words,
        );
        account.settings.quotas.insert(code.to_owned(), 6.0);
        account.create(type_name, &desired).unwrap();
    }
}

#[test]
fn an_address_serves_one_gateway() {
    let (mut account, type_name, desired) = before(&built(), "nat");
    account.create(type_name, &desired).unwrap();
    let failure = account.create(type_name, &desired).unwrap_err();
    assert!(
        failure.message.contains("is already associated"),
        "{}",
        failure.message
    );
}

#[test]
fn a_cluster_is_what_eks_takes() {
    let whole = built();
    let subnets = |names: &[&str]| {
        names
            .iter()
            .map(|name| whole.of(name, "SubnetId"))
            .collect::<Vec<_>>()
    };
    for (pointer, value, words) in [
        (
            "/Version",
            json!("1.99"),
            "unsupported Kubernetes version 1.99",
        ),
        (
            "/Version",
            json!("1.29"),
            "unsupported Kubernetes version 1.29",
        ),
        (
            "/Version",
            json!("1.30"),
            "unsupported Kubernetes version 1.30",
        ),
        (
            "/ResourcesVpcConfig/SubnetIds",
            json!(subnets(&["public-a", "private-a"])),
            "must be in at least two different AZs",
        ),
        ("/ResourcesVpcConfig/EndpointPublicAccess", json!(false), ""),
        (
            "/AccessConfig/AuthenticationMode",
            json!("CONFIG_MAP"),
            "must be true if cluster authentication mode is set to CONFIG_MAP",
        ),
    ] {
        let (mut account, type_name, mut desired) = before(&whole, "cluster");
        *desired.pointer_mut(pointer).unwrap() = value;
        if words.is_empty() {
            account.create(type_name, &desired).unwrap();
        } else {
            assert_refused(
                pointer,
                account.create(type_name, &desired),
                InvalidRequest,
                words,
            );
        }
    }
    let (mut account, type_name, mut desired) = before(&whole, "cluster");
    desired["ResourcesVpcConfig"]["EndpointPublicAccess"] = json!(false);
    desired["ResourcesVpcConfig"]["EndpointPrivateAccess"] = json!(false);
    assert_refused(
        "endpoints",
        account.create(type_name, &desired),
        InvalidRequest,
        "Private and public endpoint access cannot be false",
    );
}

#[test]
fn zones_that_eks_does_not_serve() {
    let mut account = Account::in_region("us-east-1");
    account.make("vpc", "AWS::EC2::VPC", json!({"CidrBlock": "10.0.0.0/16"}));
    account.make(
        "role",
        "AWS::IAM::Role",
        json!({"RoleName": "c", "AssumeRolePolicyDocument": trust("eks.amazonaws.com"),
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"]}),
    );
    let (one, two) = (
        subnet(&account, "10.0.0.0/20", "us-east-1a"),
        subnet(&account, "10.0.16.0/20", "us-east-1e"),
    );
    let one = account.create("AWS::EC2::Subnet", &one).unwrap();
    let two = account.create("AWS::EC2::Subnet", &two).unwrap();
    assert_eq!(two["AvailabilityZoneId"], "use1-az3");
    let cluster = json!({"Name": "c", "RoleArn": account.of("role", "Arn"), "ResourcesVpcConfig": {"SubnetIds": [one["SubnetId"], two["SubnetId"]]}});
    assert_refused(
        "zone",
        account.create("AWS::EKS::Cluster", &cluster),
        InvalidRequest,
        "because us-east-1e, the targeted availability zone",
    );
}

#[test]
fn a_node_group_is_what_eks_takes() {
    let whole = built();
    for (property, value, words) in [
        (
            "ScalingConfig",
            json!({"MinSize": 3, "DesiredSize": 2, "MaxSize": 3}),
            "Minimum capacity 3 can't be greater than desired size 2",
        ),
        (
            "ScalingConfig",
            json!({"MinSize": 1, "DesiredSize": 4, "MaxSize": 3}),
            "desired capacity 4 can't be greater than max size 3",
        ),
        (
            "InstanceTypes",
            json!(["m7i.large"]),
            "[m7i.large] is not a valid instance type for requested amiType AL2023_ARM_64_STANDARD",
        ),
        (
            "InstanceTypes",
            json!(["large"]),
            "[large] is not a valid instance type",
        ),
        (
            "Version",
            json!("1.34"),
            "should be equal to Cluster kubernetes version 1.35",
        ),
        (
            "Subnets",
            json!([whole.of("public-a", "SubnetId")]),
            "does not automatically assign public IP addresses",
        ),
        (
            "DiskSize",
            json!(20),
            "Disk size must be specified within the launch template.",
        ),
    ] {
        let (mut account, type_name, mut desired) = before(&whole, "nodes");
        desired[property] = value;
        assert_refused(
            property,
            account.create(type_name, &desired),
            InvalidRequest,
            words,
        );
    }
}

#[test]
fn add_ons_are_eks_own() {
    let whole = built();
    for (property, value, words) in [
        (
            "AddonName",
            "vpc-cmi",
            "Addon vpc-cmi specified is not supported in 1.35 kubernetes version",
        ),
        (
            "AddonVersion",
            "1.35",
            "Addon version specified is not supported",
        ),
        (
            "AddonVersion",
            "v1.34.0-eksbuild.2",
            "Addon version specified is not supported",
        ),
        (
            "ConfigurationValues",
            "{\"a\":",
            "ConfigurationValue provided in request is not supported",
        ),
    ] {
        let (mut account, type_name, mut desired) = before(&whole, "kube-proxy");
        desired[property] = json!(value);
        assert_refused(
            value,
            account.create(type_name, &desired),
            InvalidRequest,
            words,
        );
    }
}

fn role(document: Value) -> Value {
    json!({"RoleName": "r", "AssumeRolePolicyDocument": document})
}

fn statement(statement: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

#[test]
fn policy_documents_are_well_formed() {
    let mut account = Account::new();
    let service = json!({"Service": "ec2.amazonaws.com"});
    for (document, words) in [
        (json!({"Version": "2012-10-17"}), "Syntax errors in policy."),
        (
            json!({"Version": "2012-10-18", "Statement": []}),
            "valid version string",
        ),
        (
            statement(json!({"Effect": "Allow", "Action": "sts:AssumeRole"})),
            "Missing required field Principal",
        ),
        (
            statement(json!({"Effect": "Allow", "Principal": service, "Action": "s3:GetObject"})),
            "may only specify STS AssumeRole actions",
        ),
        (
            statement(
                json!({"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole", "Resource": "*"}),
            ),
            "Has prohibited field Resource",
        ),
        (
            trust("ec3.amazonaws.com"),
            "Invalid principal in policy: \"SERVICE\":\"ec3.amazonaws.com\"",
        ),
        (
            statement(
                json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/none"}, "Action": "sts:AssumeRole"}),
            ),
            "Invalid principal in policy: \"AWS\"",
        ),
    ] {
        assert_refused(
            &document.to_string(),
            account.create("AWS::IAM::Role", &role(document.clone())),
            InvalidRequest,
            words,
        );
    }
    for (document, words) in [
        (allow("GetObject"), "must be prefaced by a vendor"),
        (
            statement(json!({"Effect": "Allow", "Action": "s3:GetObject"})),
            "Policy statement must contain resources.",
        ),
        (
            statement(
                json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "my-bucket"}),
            ),
            "must be in ARN format",
        ),
        (
            statement(
                json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Principal": "*"}),
            ),
            "should not specify a principal",
        ),
    ] {
        let desired = json!({"ManagedPolicyName": "p", "PolicyDocument": document});
        assert_refused(
            &document.to_string(),
            account.create("AWS::IAM::ManagedPolicy", &desired),
            InvalidRequest,
            words,
        );
    }
}

#[test]
fn policies_have_their_sizes() {
    let mut account = Account::new();
    let long = |length: usize| {
        let actions: Vec<String> = (0..length / 20)
            .map(|number| format!("s3:Action{number:08}"))
            .collect();
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]})
    };
    let managed = json!({"ManagedPolicyName": "p", "PolicyDocument": long(7000)});
    assert_refused(
        "managed",
        account.create("AWS::IAM::ManagedPolicy", &managed),
        ServiceLimitExceeded,
        "Cannot exceed quota for PolicySize: 6144",
    );
    let mut inline = role(trust("ec2.amazonaws.com"));
    inline["Policies"] = json!([{"PolicyName": "p", "PolicyDocument": long(11_000)}]);
    assert_refused(
        "inline",
        account.create("AWS::IAM::Role", &inline),
        ServiceLimitExceeded,
        "Maximum policy size of 10240 bytes exceeded",
    );
    let mut many = role(trust("ec2.amazonaws.com"));
    many["ManagedPolicyArns"] = [
        "AmazonEKSClusterPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonS3ReadOnlyAccess",
        "AmazonSSMManagedInstanceCore",
        "CloudWatchAgentServerPolicy",
        "ReadOnlyAccess",
        "SecurityAudit",
        "ViewOnlyAccess",
        "AmazonSQSFullAccess",
        "AmazonEC2ReadOnlyAccess",
    ]
    .iter()
    .map(|name| format!("arn:aws:iam::aws:policy/{name}"))
    .collect();
    assert_refused(
        "many",
        account.create("AWS::IAM::Role", &many),
        ServiceLimitExceeded,
        "Cannot exceed quota for PoliciesPerRole: 10",
    );
    let mut unknown = role(trust("ec2.amazonaws.com"));
    unknown["ManagedPolicyArns"] = json!(["arn:aws:iam::aws:policy/AmazonEKSNodePolicy"]);
    assert_refused(
        "unknown",
        account.create("AWS::IAM::Role", &unknown),
        NotFound,
        "does not exist or is not attachable",
    );
}

#[test]
fn data_services_are_what_they_sell() {
    let whole = built();
    for (step, property, value, words) in [
        ("redis", "AuthToken", json!("short"), "AUTH token"),
        (
            "redis",
            "TransitEncryptionEnabled",
            json!(false),
            "encryption in transit",
        ),
        (
            "redis",
            "AutomaticFailoverEnabled",
            json!(false),
            "automatic failover",
        ),
        ("redis", "NumCacheClusters", json!(1), "two nodes or more"),
        ("redis", "EngineVersion", json!("9.9"), "9.9"),
        (
            "redis",
            "CacheNodeType",
            json!("cache.z9.huge"),
            "node type",
        ),
        ("rabbit", "EngineVersion", json!("3.8"), "3.8"),
        (
            "rabbit",
            "DeploymentMode",
            json!("ACTIVE_STANDBY_MULTI_AZ"),
            "is not supported by RabbitMQ",
        ),
        (
            "rabbit",
            "HostInstanceType",
            json!("mq.t3.micro"),
            "mq.t3.micro",
        ),
        (
            "rabbit",
            "DeploymentMode",
            json!("SINGLE_INSTANCE"),
            "exactly 1 subnet",
        ),
        (
            "rabbit",
            "Users",
            json!([{"Username": "shop", "Password": "aaaaaaaaaaaaaaa"}]),
            "password is not allowed",
        ),
        (
            "rabbit",
            "PubliclyAccessible",
            json!(true),
            "You cannot specify security groups",
        ),
        (
            "rabbit",
            "AutoMinorVersionUpgrade",
            json!(false),
            "must be set to true",
        ),
    ] {
        let (mut account, type_name, mut desired) = before(&whole, step);
        desired[property] = value;
        let failure = account.create(type_name, &desired).unwrap_err();
        assert!(
            failure.code == InvalidRequest && failure.message.contains(words),
            "{step} {property}: {}",
            failure.message
        );
        assert!(
            !failure.message.contains("correct"),
            "no secret in {}",
            failure.message
        );
    }
}

#[test]
fn a_bucket_is_not_opened_to_everybody() {
    let (mut account, type_name, mut desired) = before(&built(), "bucket-policy");
    desired["PolicyDocument"]["Statement"][0]["Principal"] = json!("*");
    assert_refused(
        "public",
        account.create(type_name, &desired),
        AccessDenied,
        "BlockPublicPolicy",
    );
}

#[test]
fn rules_of_security_groups() {
    let (mut account, type_name, desired) = before(&built(), "redis-ingress");
    for (changes, words) in [
        (
            json!({"FromPort": 7000, "ToPort": 6379}),
            "Invalid TCP/UDP port range (7000:6379)",
        ),
        (json!({"IpProtocol": "tpc"}), "Unknown protocol."),
        (
            json!({"CidrIp": "10.0.0.1/16"}),
            "This is not a valid CIDR block.",
        ),
    ] {
        let mut wrong = desired.clone();
        for (property, value) in changes.as_object().unwrap() {
            wrong[property] = value.clone();
        }
        assert_refused(
            words,
            account.create(type_name, &wrong),
            InvalidRequest,
            words,
        );
    }
    account.create(type_name, &desired).unwrap();
    assert_refused(
        "twice",
        account.create(type_name, &desired),
        AlreadyExists,
        "from port: 6379, to port: 6379, ALLOW\" already exists",
    );
}

#[test]
fn a_secrets_name_is_kept_while_it_can_be_restored() {
    let mut account = built();
    let mut entry = account.entry("redis-secret").clone();
    entry.model["__DeletedAt"] = json!(30.0);
    account.world.insert(entry);
    let again = json!({"Name": "prod/redis"});
    assert_refused(
        "secret",
        account.create("AWS::SecretsManager::Secret", &again),
        InvalidRequest,
        "already scheduled for deletion",
    );
}
