use super::*;
use serde_json::json;

fn of(name: &'static str) -> &'static ResourceSchema {
    crate::schema(&TypeName::new(name)).unwrap()
}

#[test]
fn every_schema_parses_and_says_what_identifies_a_resource() {
    let mut count = 0;
    for schema in crate::schemas() {
        count += 1;
        assert!(!schema.primary_identifier().is_empty(), "{schema:?}");
        let all = [
            schema.primary_identifier(),
            schema.read_only(),
            schema.create_only(),
            schema.write_only(),
        ];
        for path in all.into_iter().flatten() {
            assert!(
                schema.property(path).is_some(),
                "{schema:?} has no property {path}"
            );
        }
        if let Some(name) = schema.name_property() {
            assert!(
                schema.property(name).is_some(),
                "{schema:?} has no property {name}"
            );
            assert!(
                !schema.is_read_only(name),
                "{schema:?}: a user cannot set {name}"
            );
        }
        let required = schema.document()["required"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for name in required.iter().filter_map(Value::as_str) {
            assert!(
                !schema.is_read_only(&name.parse().unwrap()),
                "{schema:?} asks for {name}, which AWS sets"
            );
        }
    }
    assert_eq!(count, crate::type_names().count());
    assert!(count >= 67);
    assert!(crate::schema(&TypeName::new("AWS::EC2::Unheard")).is_none());
}

#[test]
fn corrections_name_what_is_there() {
    for (name, path) in corrections::SETS {
        let schema = of(name);
        let property = schema
            .property(&path.parse().unwrap())
            .unwrap_or_else(|| panic!("{name} has no {path}"));
        assert_eq!(property["type"], "array", "{name} {path}");
    }
    for name in corrections::NON_PROVISIONABLE {
        assert_eq!(of(name).provisioning(), Provisioning::NonProvisionable);
    }
    assert_eq!(
        of("AWS::EC2::VPCCidrBlock").provisioning(),
        Provisioning::Immutable
    );
    assert_eq!(
        of("AWS::EKS::Nodegroup").provisioning(),
        Provisioning::FullyMutable
    );
}

#[test]
fn compound_identifiers_round_trip() {
    for schema in crate::schemas() {
        let parts: Vec<String> = (0..schema.primary_identifier().len())
            .map(|at| format!("arn:aws:part/{at}"))
            .collect();
        let identifier = parts.join("|");
        let model = schema.identifier_model(&identifier);
        assert_eq!(
            schema.identifier_of(&model).as_deref(),
            Some(identifier.as_str()),
            "{schema:?}: {model}"
        );
    }
    // The order is the schema's, not the alphabet's.
    let addon = of("AWS::EKS::Addon").identifier_model("shop-dev|vpc-cni");
    assert_eq!(
        addon,
        json!({"ClusterName": "shop-dev", "AddonName": "vpc-cni"})
    );
    let entry = json!({"ClusterName": "c", "PrincipalArn": "arn:aws:iam::1:role/r"});
    assert_eq!(
        of("AWS::EKS::AccessEntry").identifier_of(&entry).as_deref(),
        Some("arn:aws:iam::1:role/r|c")
    );
    assert_eq!(
        of("AWS::EC2::Route").identifier_of(&json!({"RouteTableId": "rtb-1"})),
        None
    );
}

#[test]
fn tags_are_where_each_type_has_them() {
    for (name, property, shape) in [
        ("AWS::EC2::VPC", "Tags", TagShape::List),
        ("AWS::EKS::Nodegroup", "Tags", TagShape::Map),
        ("AWS::SSM::Parameter", "Tags", TagShape::Map),
        ("AWS::Backup::BackupVault", "BackupVaultTags", TagShape::Map),
        ("AWS::Backup::BackupPlan", "BackupPlanTags", TagShape::Map),
        ("AWS::Route53::HostedZone", "HostedZoneTags", TagShape::List),
        (
            "AWS::Route53::HealthCheck",
            "HealthCheckTags",
            TagShape::List,
        ),
        ("AWS::Budgets::Budget", "ResourceTags", TagShape::List),
        (
            "AWS::EC2::LaunchTemplate",
            "TagSpecifications",
            TagShape::Specifications("launch-template"),
        ),
    ] {
        let tagging = of(name).tagging();
        assert_eq!(
            tagging
                .property
                .as_ref()
                .map(ToString::to_string)
                .as_deref(),
            Some(property),
            "{name}"
        );
        assert_eq!(tagging.shape, shape, "{name}");
    }
    for name in [
        "AWS::EC2::Route",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::VPCCidrBlock",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::RolePolicy",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ServiceLinkedRole",
        "AWS::S3::BucketPolicy",
        "AWS::KMS::Alias",
        "AWS::Backup::BackupSelection",
    ] {
        assert!(
            !of(name).tagging().taggable && of(name).tagging().property.is_none(),
            "{name}"
        );
    }
    // Route 53 tags after it created.
    assert!(!of("AWS::Route53::HostedZone").tagging().tag_on_create);
}

#[test]
fn tags_that_are_written_are_valid() {
    let tags = [("Name".to_owned(), "x".to_owned())].into_iter().collect();
    for schema in crate::schemas().filter(|schema| schema.tagging().taggable) {
        let mut properties = json!({});
        assert!(schema.tagging().write(&mut properties, &tags));
        let property = schema.tagging().property.as_ref().unwrap();
        let wrong: Vec<_> = schema
            .validate_desired(&properties)
            .into_iter()
            .filter(|violation| property.matches_prefix_of(&violation.path))
            .collect();
        assert!(wrong.is_empty(), "{schema:?}: {wrong:?}");
    }
}

#[test]
fn what_cannot_be_read_back_is_known() {
    for (name, paths) in [
        (
            "AWS::ElastiCache::ReplicationGroup",
            "EngineVersion SecurityGroupIds CacheParameterGroupName CacheSubnetGroupName AuthToken NumNodeGroups KmsKeyId",
        ),
        ("AWS::AmazonMQ::Broker", "Users EngineVersion Configuration"),
        ("AWS::EC2::LaunchTemplate", "LaunchTemplateData"),
        (
            "AWS::SecretsManager::Secret",
            "SecretString GenerateSecretString",
        ),
        (
            "AWS::EKS::Cluster",
            "AccessConfig.BootstrapClusterCreatorAdminPermissions BootstrapSelfManagedAddons",
        ),
        (
            "AWS::EKS::Addon",
            "ResolveConflicts PreserveOnDelete PodIdentityAssociations",
        ),
        ("AWS::EKS::Nodegroup", "ForceUpdateEnabled"),
        ("AWS::KMS::Key", "PendingWindowInDays RotationPeriodInDays"),
        ("AWS::CertificateManager::Certificate", "ValidationMethod"),
    ] {
        for path in paths.split(' ') {
            assert!(
                of(name).is_write_only(&path.parse().unwrap()),
                "{name} {path}"
            );
        }
    }
}

#[test]
fn lists_and_handlers_and_replacement() {
    assert_eq!(of("AWS::EKS::Addon").list_requires(), ["ClusterName"]);
    assert_eq!(of("AWS::EC2::Route").list_requires(), ["RouteTableId"]);
    assert_eq!(of("AWS::WAFv2::WebACL").list_requires(), ["Scope"]);
    assert_eq!(
        of("AWS::ElasticLoadBalancingV2::Listener").list_requires(),
        ["LoadBalancerArn"]
    );
    assert!(of("AWS::Logs::LogGroup").list_requires().is_empty());
    assert!(
        of("AWS::IAM::RolePolicy")
            .operation(Operation::List)
            .is_none()
    );
    let timeout = |name, operation| {
        of(name)
            .operation(operation)
            .map(|handler| handler.timeout_minutes)
    };
    assert_eq!(
        timeout("AWS::ElastiCache::ReplicationGroup", Operation::Update),
        Some(1440)
    );
    assert_eq!(timeout("AWS::EC2::VPC", Operation::Create), Some(120));
    let attachment = of("AWS::EC2::VPCGatewayAttachment");
    assert_eq!(
        attachment.replacement_order(),
        ReplacementOrder::DeleteThenCreate
    );
    assert_eq!(
        of("AWS::EC2::VPC").replacement_order(),
        ReplacementOrder::CreateThenDelete
    );
}

#[test]
fn only_one_name_in_one_parent_collides() {
    let nodegroup = of("AWS::EKS::Nodegroup");
    let named = |cluster: &str, name: &str| json!({"ClusterName": cluster, "NodegroupName": name});
    assert!(nodegroup.has_fixed_name());
    assert!(nodegroup.collides(&named("c", "system"), &named("c", "system")));
    assert!(!nodegroup.collides(&named("c", "system"), &named("c", "system-2")));
    assert!(!nodegroup.collides(&named("c", "system"), &named("d", "system")));
    assert!(!nodegroup.collides(&json!({"ClusterName": "c"}), &json!({"ClusterName": "c"})));
    let route =
        |destination: &str| json!({"RouteTableId": "rtb-1", "DestinationCidrBlock": destination});
    assert!(!of("AWS::EC2::Route").collides(&route("0.0.0.0/0"), &route("10.0.0.0/8")));
    assert!(of("AWS::EC2::Route").collides(&route("0.0.0.0/0"), &route("0.0.0.0/0")));
    assert!(!of("AWS::EC2::VPC").has_fixed_name());
}
