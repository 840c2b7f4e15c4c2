#!/usr/bin/env python3
"""Makes resource-schemas.json from PyPI's cfn-lint.

    python3 crates/catalog/data/refresh.py                 # downloads the newest cfn-lint
    python3 crates/catalog/data/refresh.py cfn_lint.whl    # uses a wheel that is here already

The bundle is one JSON object, resource type -> official CloudFormation resource schema, one type a
line in alphabetical order so that a refresh gives a diff that can be read. What serves people only
(descriptions, titles, comments) is dropped, as are the tag lists of `sourceUrl`s: the tool has no use for them.

A type that the platform starts to use is added to TYPES below, and the bundle is made anew. Nothing
else is edited by hand: facts that the schemas lack or have wrong stand in src/, with their source.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

# Region whose schemas are taken. The types that the platform uses do not differ between commercial regions in
# anything that it sets.
REGION = "us-east-1"

# Not here: AWS::CloudFormation::Stack, of which cfn-lint has the form inside a template (TemplateURL is required and there is
# no StackName), not the one of Cloud Control.
TYPES = """
AWS::AmazonMQ::Broker AWS::AmazonMQ::Configuration
AWS::Backup::BackupPlan AWS::Backup::BackupSelection AWS::Backup::BackupVault
AWS::Budgets::Budget
AWS::CertificateManager::Certificate
AWS::CloudTrail::Trail
AWS::CloudWatch::Alarm
AWS::DynamoDB::Table
AWS::EC2::EIP AWS::EC2::FlowLog AWS::EC2::InternetGateway AWS::EC2::LaunchTemplate AWS::EC2::NatGateway
AWS::EC2::Route AWS::EC2::RouteTable AWS::EC2::SecurityGroup AWS::EC2::SecurityGroupEgress
AWS::EC2::SecurityGroupIngress AWS::EC2::Subnet AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPC
AWS::EC2::VPCCidrBlock AWS::EC2::VPCEndpoint AWS::EC2::VPCGatewayAttachment
AWS::ECR::Repository
AWS::EKS::AccessEntry AWS::EKS::Addon AWS::EKS::Capability AWS::EKS::Cluster AWS::EKS::Nodegroup
AWS::EKS::PodIdentityAssociation
AWS::ElastiCache::ParameterGroup AWS::ElastiCache::ReplicationGroup AWS::ElastiCache::ServerlessCache
AWS::ElastiCache::SubnetGroup
AWS::ElasticLoadBalancingV2::Listener AWS::ElasticLoadBalancingV2::LoadBalancer
AWS::ElasticLoadBalancingV2::TargetGroup
AWS::Events::Rule
AWS::IAM::InstanceProfile AWS::IAM::ManagedPolicy AWS::IAM::OIDCProvider AWS::IAM::Role AWS::IAM::RolePolicy
AWS::IAM::ServiceLinkedRole
AWS::KMS::Alias AWS::KMS::Key
AWS::Logs::LogGroup
AWS::RDS::DBCluster
AWS::Route53::HealthCheck AWS::Route53::HostedZone AWS::Route53::RecordSet
AWS::S3::Bucket AWS::S3::BucketPolicy
AWS::SNS::Subscription AWS::SNS::Topic AWS::SNS::TopicInlinePolicy
AWS::SQS::Queue AWS::SQS::QueueInlinePolicy AWS::SQS::QueuePolicy
AWS::SSM::Parameter
AWS::SecretsManager::Secret
AWS::WAFv2::LoggingConfiguration AWS::WAFv2::WebACL AWS::WAFv2::WebACLAssociation
""".split()

# Keys of a schema object (not of a map from property names to schemas) that only people read.
PROSE = {"description", "title", "$comment", "markdownDescription", "examples", "sourceUrl", "documentationUrl"}
# Keys whose value maps names to schemas: the names in there are data, even one called "description".
NAMED = {"properties", "patternProperties", "definitions", "dependentSchemas"}


def trimmed(schema):
    if isinstance(schema, list):
        return [trimmed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key in PROSE:
            continue
        if key in NAMED and isinstance(value, dict):
            result[key] = {name: trimmed(inner) for name, inner in value.items()}
        else:
            result[key] = trimmed(value)
    return result


def wheel(folder):
    if len(sys.argv) > 1:
        return pathlib.Path(sys.argv[1])
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "cfn-lint"], check=True
    )
    return next(pathlib.Path(folder).glob("cfn_lint-*.whl"))


def main():
    here = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        path = wheel(folder)
        with zipfile.ZipFile(path) as archive:
            base = "cfnlint/data/schemas/"
            read = lambda name: json.loads(archive.read(base + name))
            provider = read(f"providers/{REGION}.json")
            missing = [name for name in TYPES if name not in provider]
            if missing:
                sys.exit(f"{path.name} has no schema of {', '.join(missing)}")
            lines = []
            for name in sorted(TYPES):
                schema = trimmed(read(f"resources/{provider[name]}.json"))
                assert schema["typeName"] == name, (name, schema["typeName"])
                lines.append(f"{json.dumps(name)}:{json.dumps(schema, separators=(',', ':'), sort_keys=True)}")
            date = read("version.json")["schema_date"]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (here / "resource-schemas.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    print(f"{len(lines)} types, {len(text)} bytes, from {path.name}, schemas of {date}, sha256 {digest}")
    print("Now put the version and the date into data/NOTICE.")


if __name__ == "__main__":
    main()
