//! Against an API server that means it, by its endpoint and the token `admin`: without controllers, so nothing that has pods
//! becomes ready.

use std::path::PathBuf;

use catalog::HELM_RELEASE;
use catalog::ids::{Address, Identifier};
use engine::Pace;
use engine::provider::{ErrorClass, Payload, Provider, Status};
use graph::Rules;
use kubernetes::HelmSettings;
use serde_json::{Value as Json, json};

use crate::{create, document, done, provider, provider_of, scope, token, type_of};

fn endpoint() -> String {
    std::env::var("SEAWORTHY_TEST_API_SERVER").expect("the URL of an API server")
}

fn drift(document: &Json, model: &Json) -> Vec<String> {
    let rules = Rules::of(&type_of(document)).unwrap();
    let differences = rules.differences(document, model);
    differences.iter().map(|one| one.path.to_string()).collect()
}

#[tokio::test]
#[ignore = "needs an API server: SEAWORTHY_TEST_API_SERVER"]
async fn objects_come_change_drift_conflict_and_go() {
    let endpoint = endpoint();
    let ours = provider(&endpoint, Pace::REAL, HelmSettings::default());
    let namespace = document(
        "services/namespace",
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-live"}}),
    );
    done(&ours, &type_of(&namespace), create(&ours, &namespace).await).await;
    let map = |value: &str| {
        document(
            "services/settings",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "settings", "namespace": "shop-live"}, "data": {"a": value, "b": "2"},
            }),
        )
    };
    let type_name = type_of(&map("1"));
    let at = Identifier::new("shop-dev|shop-live|settings").unwrap();
    done(&ours, &type_name, create(&ours, &map("1")).await).await;
    // Twice is once.
    done(&ours, &type_name, create(&ours, &map("1")).await).await;
    let model = ours
        .observe(&type_name, &at, &map("1"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drift(&map("1"), &model), [""; 0], "{model}");
    let update = |document: Json| {
        let (ours, type_name, at) = (&ours, &type_name, &at);
        async move {
            let payload = Payload::new(document);
            ours.begin_update(type_name, at, &payload, &Json::Null, &token("u"))
                .await
        }
    };
    done(&ours, &type_name, update(map("3")).await).await;
    let model = ours
        .observe(&type_name, &at, &map("1"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drift(&map("1"), &model), ["Manifest.data.a"]);

    // Somebody else takes a field.
    let client = kube::Client::try_from({
        let mut config = kube::Config::new(endpoint.parse().unwrap());
        config.auth_info.token = Some("admin".to_owned().into());
        config
    })
    .unwrap();
    let path = "/api/v1/namespaces/shop-live/configmaps";
    let theirs = kube::core::Request::new(path)
        .patch(
            "settings",
            &kube::api::PatchParams::apply("kubectl").force(),
            &kube::api::Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "theirs", "c": "new"}})),
        )
        .unwrap();
    let _: Json = client.request(theirs).await.unwrap();
    let model = ours
        .observe(&type_name, &at, &map("3"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drift(&map("3"), &model), ["Manifest.data.a"], "{model}");
    let conflict = update(map("3")).await.unwrap_err();
    assert_eq!(
        (conflict.class.clone(), conflict.code.as_str()),
        (ErrorClass::Terminal, "FieldManagerConflict")
    );
    assert!(
        conflict.message.contains(".data.a (by kubectl)"),
        "{conflict}"
    );
    let forcing = provider_of(&endpoint, Pace::REAL, HelmSettings::default(), true);
    let payload = Payload::new(map("3"));
    let begun = forcing
        .begin_update(&type_name, &at, &payload, &Json::Null, &token("f"))
        .await;
    done(&forcing, &type_name, begun).await;
    let model = ours
        .observe(&type_name, &at, &map("3"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drift(&map("3"), &model), [""; 0], "{model}");

    // A secret is kept and never told.
    let secret = |value: Json| {
        document(
            "services/secret",
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "password", "namespace": "shop-live"}, "stringData": {"password": value},
            }),
        )
    };
    let reference = secret(json!({"$secret": {"secret": "redis/secret", "key": null}}));
    let secret_type = type_of(&reference);
    done(
        &ours,
        &secret_type,
        create(&ours, &secret("hunter2".into())).await,
    )
    .await;
    let secret_at = Identifier::new("shop-dev|shop-live|password").unwrap();
    let model = ours
        .observe(&secret_type, &secret_at, &reference)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drift(&reference, &model), [""; 0], "{model}");
    for hidden in ["hunter2", "aHVudGVyMg"] {
        assert!(!model.to_string().contains(hidden));
    }

    // A deployment is not ready as long as no controller says so.
    let deployment = document(
        "services/web",
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop-live"},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{
                    "name": "web", "image": "web:1", "ports": [{"containerPort": 80}],
                    "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                }]}},
            },
        }),
    );
    let waiting = create(&ours, &deployment).await.unwrap();
    assert_eq!(waiting.status, Status::InProgress, "{waiting:?}");
    let web = Identifier::new("shop-dev|shop-live|web").unwrap();
    let model = ours
        .observe(&type_of(&deployment), &web, &deployment)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drift(&deployment, &model), [""; 0], "{model}");
    let address = Address::new("services/web").unwrap();
    let found = ours
        .find(&scope(), &address, &type_of(&deployment), &deployment)
        .await
        .unwrap();
    assert_eq!(found.as_ref(), Some(&web));

    let owned = ours.owned(&scope()).await.unwrap();
    let arns: Vec<&str> = owned.iter().map(|owned| owned.arn.as_str()).collect();
    assert!(
        arns.contains(&"kubernetes://shop-dev/v1/ConfigMap/shop-live/settings"),
        "{arns:?}"
    );
    assert_eq!(owned.len(), 4, "{arns:?}");

    // Config maps go at once.
    let begun = ours.begin_delete(&type_name, &at, &token("d")).await;
    done(&ours, &type_name, begun).await;
    assert_eq!(ours.read(&type_name, &at).await.unwrap(), None);
    // A mistake is told at once.
    let mut wrong = map("1");
    wrong["Manifest"]["datta"] = json!({});
    let error = create(&ours, &wrong).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Terminal);
    assert!(error.message.contains("datta"), "{error}");
}

#[tokio::test]
#[ignore = "needs an API server and Helm: SEAWORTHY_TEST_API_SERVER, SEAWORTHY_HELM"]
async fn a_release_comes_changes_drifts_is_mended_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(
        chart.join("Chart.yaml"),
        "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
    )
    .unwrap();
    std::fs::write(
        chart.join("templates/map.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  color: {{ .Values.color | quote }}\n",
    )
    .unwrap();
    let helm = HelmSettings {
        program: Some(PathBuf::from(std::env::var("SEAWORTHY_HELM").unwrap())),
        scratch: folder.path().join("scratch"),
        charts: None,
        registry: None,
    };
    let ours = provider(&endpoint(), Pace::REAL, helm);
    let release = |color: &str| {
        json!({
            "Cluster": "shop-dev", "Namespace": "shop-helm", "Name": "web", "CreateNamespace": true,
            "Chart": chart, "Version": "0.1.0", "Values": {"color": color}, "TimeoutSeconds": 60, "Status": "deployed",
            "Owner": {
                "seaworthy.dev/platform": "shop", "seaworthy.dev/environment": "dev",
                "seaworthy.dev/address": "charts/web",
            },
        })
    };
    let at = Identifier::new("shop-dev|shop-helm|web").unwrap();
    let rules = Rules::of(&HELM_RELEASE).unwrap();
    let apply = |color: &'static str, mark: &'static str| {
        let payload = Payload::new(release(color));
        let ours = &ours;
        async move {
            ours.begin_create(&HELM_RELEASE, &payload, &token(mark))
                .await
        }
    };
    done(&ours, &HELM_RELEASE, apply("red", "one").await).await;
    let model = ours
        .observe(&HELM_RELEASE, &at, &release("red"))
        .await
        .unwrap()
        .unwrap();
    assert!(
        rules.differences(&release("red"), &model).is_empty(),
        "{model}"
    );
    let address = Address::new("charts/web").unwrap();
    let found = ours
        .find(&scope(), &address, &HELM_RELEASE, &release("red"))
        .await
        .unwrap();
    assert_eq!(found.as_ref(), Some(&at));
    done(&ours, &HELM_RELEASE, apply("blue", "two").await).await;
    let model = ours
        .observe(&HELM_RELEASE, &at, &release("red"))
        .await
        .unwrap()
        .unwrap();
    let differences = rules.differences(&release("red"), &model);
    assert_eq!(differences[0].path.to_string(), "Values.color", "{model}");

    // What a killed Helm leaves: a newer revision that is pending.
    let client = kube::Client::try_from({
        let mut config = kube::Config::new(endpoint().parse().unwrap());
        config.auth_info.token = Some("admin".to_owned().into());
        config
    })
    .unwrap();
    let path = "/api/v1/namespaces/shop-helm/secrets";
    let get = kube::core::Request::new(path).get("sh.helm.release.v1.web.v2", &Default::default());
    let mut secret: Json = client.request(get.unwrap()).await.unwrap();
    let metadata =
        json!({"name": "sh.helm.release.v1.web.v3", "labels": secret["metadata"]["labels"]});
    secret["metadata"] = metadata;
    secret["metadata"]["labels"]["version"] = "3".into();
    secret["metadata"]["labels"]["status"] = "pending-upgrade".into();
    let packed = pending(secret["data"]["release"].as_str().unwrap());
    secret["data"]["release"] = packed.into();
    let create =
        kube::core::Request::new(path).create(&Default::default(), secret.to_string().into_bytes());
    let _: Json = client.request(create.unwrap()).await.unwrap();
    let found = ours
        .find(&scope(), &address, &HELM_RELEASE, &release("red"))
        .await
        .unwrap();
    assert_eq!(found, None, "half done is not done");
    done(&ours, &HELM_RELEASE, apply("green", "three").await).await;
    let model = ours
        .observe(&HELM_RELEASE, &at, &release("green"))
        .await
        .unwrap()
        .unwrap();
    assert!(
        rules.differences(&release("green"), &model).is_empty(),
        "{model}"
    );

    let owned = ours.owned(&scope()).await.unwrap();
    assert!(
        owned
            .iter()
            .any(|one| one.arn == "helm://shop-dev/shop-helm/web"),
        "{owned:?}"
    );
    let begun = ours.begin_delete(&HELM_RELEASE, &at, &token("four")).await;
    done(&ours, &HELM_RELEASE, begun).await;
    assert_eq!(ours.read(&HELM_RELEASE, &at).await.unwrap(), None);
    // Nothing of a command is left, but the locks.
    let left: Vec<String> = std::fs::read_dir(folder.path().join("scratch"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, [""; 0]);
}

/// The same release, pending.
fn pending(packed: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use std::io::{Read as _, Write as _};
    let bytes = STANDARD.decode(STANDARD.decode(packed).unwrap()).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    let mut release: Json = serde_json::from_str(&text).unwrap();
    release["version"] = 3.into();
    release["info"]["status"] = "pending-upgrade".into();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(release.to_string().as_bytes()).unwrap();
    STANDARD.encode(STANDARD.encode(encoder.finish().unwrap()))
}
