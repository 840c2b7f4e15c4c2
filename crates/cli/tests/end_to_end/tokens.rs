//! Who is let into a cluster and what they may do there. The tokens are made by botocore's signer, not by ours.

use std::collections::BTreeMap;

use http::Method;
use serde_json::json;

use crate::inside::{Inside, ask, get};
use crate::outside::boto3;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Prints tokens by what is wrong with them, as JSON.
const TOKENS: &str = r"
import base64, datetime, os
import botocore.auth, botocore.awsrequest, botocore.credentials
endpoint, region = os.environ['AWS_ENDPOINT_URL'], os.environ['AWS_REGION']
own = boto3.Session().get_credentials().get_frozen_credentials()
def presigned(cluster='shop-dev', minutes=0, header='x-k8s-aws-id', expires=60, more='', host=endpoint, service='sts',
              key=own.access_key, secret=own.secret_key, session=None, method='GET', action='GetCallerIdentity'):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: when.replace(tzinfo=None)
    url = f'{host}/?Action={action}&Version=2011-06-15{more}'
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers={header: cluster} if header else {})
    credentials = botocore.credentials.Credentials(key, secret, session)
    botocore.auth.SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    return request.prepare().url
def token(url=None, **how):
    return 'k8s-aws-v1.' + base64.urlsafe_b64encode((url or presigned(**how)).encode()).decode().rstrip('=')
good = presigned()
forged = good[:-1] + ('0' if good[-1] != '0' else '1')
print(json.dumps({'good': [token(good), token(minutes=-14), token(expires=900)], 'bad': {
    'expired': token(minutes=-16),
    'of the future': token(minutes=16),
    'forged: another signature': token(forged),
    'forged: another date': token(good.replace('X-Amz-Date=20', 'X-Amz-Date=19')),
    'forged: another secret': token(secret='x' * 40),
    'a key that nobody has': token(key='AKIAIOSFODNN7EXAMPLE'),
    'a session that is none': token(session='session'),
    'too long': token(good) + '=' * 4096,
    'too long where it is signed': token(session='x' * 4096),
    'for another cluster': token(cluster='shop-prod'),
    'for no cluster': token(header=None),
    'for a cluster in another header': token(header='x-k8s-aws-if'),
    'no base64': 'k8s-aws-v1.!!!' ,
    'no URL': token('nonsense'),
    'no UTF-8': 'k8s-aws-v1.' + base64.urlsafe_b64encode(b'\xff\xfe').decode(),
    'nothing after the prefix': 'k8s-aws-v1.',
    'another prefix': token(good).replace('v1', 'v2'),
    'no signature': token(good.split('&X-Amz-Signature')[0]),
    'signed twice': token(good + '&X-Amz-Date=20260101T000000Z'),
    'with a parameter that has no place there': token(more='&Foo=bar'),
    'another action': token(action='GetFederationToken'),
    'good for too long': token(expires=3600),
    'from a stranger\'s STS': token(host='https://sts.example.org'),
    'from a path of STS': token(good.replace('/?', '/other?')),
    'of another service': token(service='s3'),
    'a POST': token(method='POST'),
    'a service account\'s that is none': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06bWFzdGVycyJ9.',
    'control characters': 'a\tb',
}}))
";

#[derive(serde::Deserialize)]
struct Tokens {
    good: Vec<String>,
    bad: BTreeMap<String, String>,
}

fn tokens(inside: &Inside) -> Tokens {
    serde_json::from_str(&boto3(&inside.lab, TOKENS)).unwrap()
}

/// Changes what the deployer may do, as an administrator would: through EKS.
fn access(inside: &Inside, change: &str) {
    let script = format!(
        "
cc = boto3.client('cloudcontrol')
me = boto3.client('sts').get_caller_identity()['Arn']
def done(answer):
    cc.get_waiter('resource_request_success').wait(RequestToken=answer['ProgressEvent']['RequestToken'], WaiterConfig={{'Delay': 1}})
def policy(name, **scope):
    return {{'PolicyArn': 'arn:aws:eks::aws:cluster-access-policy/' + name, 'AccessScope': scope}}
def grant(*policies):
    entry = {{'ClusterName': 'shop-dev', 'PrincipalArn': me, 'AccessPolicies': list(policies)}}
    done(cc.create_resource(TypeName='AWS::EKS::AccessEntry', DesiredState=json.dumps(entry)))
entries = cc.list_resources(TypeName='AWS::EKS::AccessEntry', ResourceModel=json.dumps({{'ClusterName': 'shop-dev'}}))
for entry in entries['ResourceDescriptions']:
    if entry['Identifier'] == me + '|shop-dev':
        done(cc.delete_resource(TypeName='AWS::EKS::AccessEntry', Identifier=entry['Identifier']))
{change}
"
    );
    boto3(&inside.lab, &script);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_and_what_they_may_do() {
    let inside = Inside::deployed();
    let tokens = tokens(&inside);
    for token in &tokens.good {
        get(&inside.bearer(Some(token)).await, PODS).await.is(200);
    }
    assert!(tokens.bad.len() > 20);
    for (what, token) in &tokens.bad {
        // What can't be a header's value is never sent: the client says so.
        if token.contains('\t') {
            continue;
        }
        eprintln!("{what}");
        let answer = get(&inside.bearer(Some(token)).await, PODS).await;
        answer.refuses(401, "Unauthorized", "Unauthorized");
        // It isn't said why.
        assert_eq!(answer.json["message"], "Unauthorized", "{what}");
    }
    let anonymous = inside.bearer(None).await;
    get(&anonymous, PODS).await.refuses(
        403,
        "Forbidden",
        r#"pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default""#,
    );
    get(&anonymous, "/version").await.is(200);
    get(&anonymous, "/livez").await.is(200);

    service_accounts(&inside).await;
    without_an_entry(&inside, &tokens.good[0]).await;
    with_less_than_all(&inside, &tokens.good[0]).await;
}

async fn service_accounts(inside: &Inside) {
    inside.kubectl(&["create", "serviceaccount", "robot"]).ok();
    let robot = inside.kubectl(&["create", "token", "robot"]).ok().stdout;
    let robot = robot.trim();
    let client = inside.bearer(Some(robot)).await;
    let forbidden = r#"User "system:serviceaccount:default:robot" cannot list resource "pods""#;
    get(&client, PODS)
        .await
        .refuses(403, "Forbidden", forbidden);
    inside
        .kubectl(&[
            "create",
            "rolebinding",
            "robot",
            "--clusterrole=view",
            "--serviceaccount=default:robot",
        ])
        .ok();
    get(&client, PODS).await.is(200);
    let mut parts: Vec<&str> = robot.split('.').collect();
    let changed = parts[1].replacen(|letter: char| letter.is_ascii_lowercase(), "A", 1);
    parts[1] = &changed;
    let forged = inside.bearer(Some(&parts.join("."))).await;
    get(&forged, PODS)
        .await
        .refuses(401, "Unauthorized", "Unauthorized");
    inside.kubectl(&["delete", "serviceaccount", "robot"]).ok();
    get(&client, PODS)
        .await
        .refuses(401, "Unauthorized", "Unauthorized");
}

async fn without_an_entry(inside: &Inside, token: &str) {
    access(inside, "");
    let client = inside.bearer(Some(token)).await;
    get(&client, PODS)
        .await
        .refuses(401, "Unauthorized", "Unauthorized");
    inside
        .kubectl(&["get", "pods"])
        .fails(1)
        .says("You must be logged in to the server");
}

async fn with_less_than_all(inside: &Inside, token: &str) {
    access(
        inside,
        "grant(policy('AmazonEKSViewPolicy', Type='cluster'), policy('AmazonEKSEditPolicy', Type='namespace', Namespaces=['default']))",
    );
    let client = inside.bearer(Some(token)).await;
    get(&client, PODS).await.is(200);
    get(&client, "/api/v1/pods").await.is(200);
    let map = json!({"metadata": {"name": "map"}}).to_string();
    let maps = |namespace: &str| format!("/api/v1/namespaces/{namespace}/configmaps");
    let json = "application/json";
    ask(&client, Method::POST, &maps("default"), json, map.clone())
        .await
        .is(201);
    let user = r#"User "arn:aws:iam::123456789012:user/seaworthy" cannot"#;
    let one = format!("{}/map", maps("kube-system"));
    for (method, path, media, verb) in [
        (Method::POST, &maps("kube-system"), json, "create"),
        (Method::PUT, &one, json, "update"),
        (Method::PATCH, &one, "application/merge-patch+json", "patch"),
        (Method::PATCH, &one, "application/apply-patch+yaml", "patch"),
        (Method::DELETE, &one, "", "delete"),
        (Method::DELETE, &maps("kube-system"), "", "deletecollection"),
    ] {
        let path = format!("{path}?fieldManager=test");
        let answer = ask(&client, method, &path, media, map.clone()).await;
        let told = format!(
            r#"{user} {verb} resource "configmaps" in API group "" in the namespace "kube-system""#
        );
        answer.refuses(403, "Forbidden", &told);
        assert_eq!(answer.json["details"]["kind"], "configmaps");
    }
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    get(&client, secrets)
        .await
        .refuses(403, "Forbidden", r#"cannot list resource "secrets""#);
    get(&client, "/api/v1/nodes").await.refuses(
        403,
        "Forbidden",
        r#"nodes is forbidden: User "arn:aws:iam::123456789012:user/seaworthy" cannot list resource "nodes" in API group "" at the cluster scope"#,
    );
    for (question, answer) in [
        (&["list", "pods", "-A"][..], "yes"),
        (&["create", "deployments"], "yes"),
        (&["create", "deployments", "-n", "kube-system"], "no"),
        (&["get", "secrets", "-n", "kube-system"], "no"),
        (&["delete", "nodes"], "no"),
        (&["*", "*"], "no"),
    ] {
        let question = [&["auth", "can-i"], question].concat();
        let said = inside.kubectl(&question);
        assert_eq!(said.stdout.trim(), answer, "{question:?}: {said:?}");
        assert_eq!(said.code, Some(i32::from(answer == "no")), "{question:?}");
    }
    let listed = inside.kubectl(&["auth", "can-i", "--list", "-n", "kube-system"]);
    let listed = listed.ok().stdout;
    let pods = listed
        .lines()
        .find(|line| line.starts_with("pods "))
        .unwrap();
    assert!(pods.contains("[get list watch]"), "{listed}");
    inside
        .kubectl(&["delete", "configmap", "map", "-n", "kube-system"])
        .fails(1)
        .says("Error from server (Forbidden)");
    // Nobody gives away what they have not.
    inside
        .kubectl(&["auth", "whoami"])
        .ok()
        .says("arn:aws:iam::123456789012:user/seaworthy");
    access(
        inside,
        "grant(policy('AmazonEKSClusterAdminPolicy', Type='cluster'))",
    );
    get(&client, "/api/v1/nodes").await.is(200);
}

#[test]
fn a_new_user_is_told_the_way() {
    let inside = Inside::deployed();
    let lab = &inside.lab;
    // What they have in their kubeconfig stays.
    let theirs = "apiVersion: v1\nkind: Config\nclusters:\n- name: work\n  cluster: {server: https://work.example.org}\n\
                  users:\n- name: work\n  user: {token: secret}\ncontexts:\n- name: work\n  context: {cluster: work, user: work}\n\
                  current-context: work\n";
    std::fs::write(inside.kubeconfig(), theirs).unwrap();
    for _ in 0..2 {
        lab.run(&["kubeconfig", "-e", "dev", "--merge"])
            .ok()
            .says("shop-dev@sandbox is the current context");
        let contexts = inside
            .kubectl(&["config", "get-contexts", "-o", "name"])
            .ok()
            .stdout;
        assert_eq!(
            contexts.lines().collect::<Vec<_>>(),
            ["shop-dev@sandbox", "work"]
        );
    }
    inside.kubectl(&["get", "nodes"]).ok().says("Ready");
    inside.kubectl(&["config", "use-context", "work"]).ok();
    inside
        .kubectl(&["--context", "shop-dev@sandbox", "get", "nodepools"])
        .ok()
        .says("general");
    // A file of its own, and kubectl from another folder.
    let printed = lab.run(&["kubeconfig", "-e", "dev"]).ok().stdout;
    assert!(!printed.contains("k8s-aws-v1"), "a token is in the file");
    let own = lab.path("own.yaml");
    std::fs::write(&own, printed).unwrap();
    let own = own.to_str().unwrap();
    inside
        .kubectl(&["--kubeconfig", own, "get", "--raw", "/readyz"])
        .ok()
        .says("ok");
    inside
        .kubectl_reads(
            &["--kubeconfig", own, "apply", "-f", "-"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n",
        )
        .ok()
        .says("configmap/mine created");
    inside
        .helm(&["--kubeconfig", own, "-n", "kube-system", "list"])
        .ok()
        .says("karpenter");
    // The token, for those who have something else to do with it.
    let token = lab.run(&["token", "-e", "dev"]).ok().json();
    let token = token["status"]["token"].as_str().unwrap();
    assert!(token.starts_with("k8s-aws-v1."));
    // Without a sandbox, kubectl says what to do.
    lab.run(&["sandbox", "stop"]).ok();
    inside
        .kubectl(&["--kubeconfig", own, "get", "nodes"])
        .fails(1)
        .says("seaworthy sandbox start");
    lab.start("max");
    inside
        .kubectl(&["--kubeconfig", own, "get", "configmap", "mine"])
        .ok();
}
