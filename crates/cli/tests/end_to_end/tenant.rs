//! An environment's cluster from inside: what its users make there, with the token and the endpoint that a user is given.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::lab::Lab;

/// How long something in a cluster may take before the test says that it does not come.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Tenant {
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

impl Tenant {
    /// The cluster of an environment that is deployed.
    pub fn of(lab: &Lab, environment: &str) -> Self {
        let kubeconfig = lab.run(&["kubeconfig", "-e", environment]).ok().stdout;
        let value = |key: &str| {
            let line = kubeconfig.lines().find(|line| line.contains(key)).unwrap();
            line.split_once(": ")
                .unwrap()
                .1
                .trim_matches('"')
                .to_owned()
        };
        let pem = STANDARD
            .decode(value("certificate-authority-data:"))
            .unwrap();
        let pem = String::from_utf8(pem).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let token = lab.run(&["token", "-e", environment]).ok().json();
        let mut config = kube::Config::new(value("server:").parse().unwrap());
        config.root_cert = Some(vec![STANDARD.decode(body).unwrap()]);
        let token = token["status"]["token"].as_str().unwrap().to_owned();
        config.auth_info.token = Some(token.into());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = {
            let _entered = runtime.enter();
            kube::Client::try_from(config).unwrap()
        };
        Self { client, runtime }
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let bytes = match body {
            Value::Null => Vec::new(),
            body => serde_json::to_vec(body).unwrap(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(bytes)
            .unwrap();
        self.runtime
            .block_on(self.client.request(request))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Makes an object in the collection at `path`.
    pub fn make(&self, path: &str, object: &Value) {
        self.call(Method::POST, path, object);
    }

    /// The objects of the collection at `path`.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let list = self.call(Method::GET, path, &Value::Null);
        list["items"].as_array().unwrap().clone()
    }

    /// Waits until so many objects of a collection are as they should be.
    #[track_caller]
    pub fn wait(&self, path: &str, many: usize, is_so: impl Fn(&Value) -> bool) {
        let started = Instant::now();
        loop {
            let objects = self.list(path);
            if objects.iter().filter(|object| is_so(object)).count() >= many {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{path}: {objects:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What users make: a namespace with replicas that need a node of Karpenter's, behind a load balancer and a disruption
    /// budget that allows nothing; volumes; a pod that must not be disrupted; and one of those among the system's. Returns
    /// when all of it runs.
    pub fn populate(&self) {
        self.make(
            "/api/v1/namespaces",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}}),
        );
        let container = |cpu: &str| json!({"name": "c", "image": "nginx", "resources": {"requests": {"cpu": cpu, "memory": "256Mi"}}});
        let template = |name: &str, container: Value| json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}});
        self.make("/apis/apps/v1/namespaces/app/deployments", &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 30, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", container("1"))},
        }));
        self.make("/api/v1/namespaces/app/services", &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
        }));
        self.make("/apis/policy/v1/namespaces/app/poddisruptionbudgets", &json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}},
        }));
        let mut mounted = container("500m");
        mounted["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
        self.make("/apis/apps/v1/namespaces/app/statefulsets", &json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {
                "serviceName": "db", "replicas": 2, "selector": {"matchLabels": {"app": "db"}},
                "template": template("db", mounted),
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}},
                }],
            },
        }));
        for (namespace, name) in [("app", "precious"), ("kube-system", "held")] {
            self.make(&format!("/api/v1/namespaces/{namespace}/pods"), &json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "annotations": {"karpenter.sh/do-not-disrupt": "true"}},
                "spec": {"containers": [container("100m")]},
            }));
        }
        let runs = |pod: &Value| pod["status"]["phase"] == "Running";
        self.wait("/api/v1/namespaces/app/pods", 33, runs);
        let held = |pod: &Value| pod["metadata"]["name"] == "held" && runs(pod);
        self.wait("/api/v1/namespaces/kube-system/pods", 1, held);
        let bound = |claim: &Value| claim["status"]["phase"] == "Bound";
        self.wait("/api/v1/namespaces/app/persistentvolumeclaims", 2, bound);
        let entered = |service: &Value| {
            service["status"]["loadBalancer"]["ingress"][0]["hostname"].is_string()
        };
        self.wait("/api/v1/namespaces/app/services", 1, entered);
    }
}
