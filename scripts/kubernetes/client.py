#!/usr/bin/env python3
"""What the Python client does with a cluster, against what a cluster has to answer. Ends with 1 if anything did not hold.

    KUBECONFIG=… target/venv/bin/python scripts/kubernetes/client.py

It works in the namespace `python` and with objects called `python-…`, and takes all of it away again.
"""

import json
import sys
import threading
import time
import traceback

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException

SPACE = "python"
SOON = 60

config.load_kube_config()
core, apps, custom = client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi()


def deployment(name, replicas):
    container = client.V1Container(name="web", image="nginx:1.27", ports=[client.V1ContainerPort(container_port=80)])
    return client.V1Deployment(
        api_version="apps/v1",
        kind="Deployment",
        metadata=client.V1ObjectMeta(name=name, labels={"app": name}),
        spec=client.V1DeploymentSpec(
            replicas=replicas,
            selector=client.V1LabelSelector(match_labels={"app": name}),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels={"app": name}), spec=client.V1PodSpec(containers=[container])
            ),
        ),
    )


def until(true, what):
    ends = time.monotonic() + SOON
    while not (found := true()):
        assert time.monotonic() < ends, f"waited too long: {what}"
        time.sleep(0.1)
    return found


def refused(code, reason, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ApiException as error:
        said = json.loads(error.body)
        assert (error.status, said["code"], said["reason"]) == (code, code, reason), error.body
        return said["message"]
    raise AssertionError(f"not refused with {code} {reason}")


def versions():
    assert client.VersionApi().get_code().git_version.startswith("v1.")
    assert "apps" in [group.name for group in client.ApisApi().get_api_versions().groups]
    assert "pods/log" in [resource.name for resource in core.get_api_resources().resources]
    nodes = core.list_node().items
    assert nodes and all(node.status.allocatable["cpu"] for node in nodes)


def created():
    core.create_namespace({"metadata": {"name": SPACE}})
    refused(409, "AlreadyExists", core.create_namespace, {"metadata": {"name": SPACE}})
    refused(404, "NotFound", core.read_namespace, "python-nobody")
    made = apps.create_namespaced_deployment(SPACE, deployment("web", 2))
    assert made.metadata.uid and made.spec.strategy.rolling_update.max_surge == "25%"
    until(lambda: apps.read_namespaced_deployment_status("web", SPACE).status.ready_replicas == 2, "two ready pods")
    pods = core.list_namespaced_pod(SPACE, label_selector="app=web", field_selector="status.phase=Running").items
    assert len(pods) == 2 and all(pod.metadata.owner_references[0].kind == "ReplicaSet" for pod in pods)
    assert isinstance(core.read_namespaced_pod_log(pods[0].metadata.name, SPACE), str)
    service, code, _ = core.create_namespaced_service_with_http_info(
        SPACE, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    )
    assert service.spec.cluster_ip and code == 201


def listed_in_parts():
    for n in range(7):
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"part-{n}", "labels": {"part": "yes"}}})
    found, following, parts = [], None, 0
    while True:
        part = core.list_namespaced_config_map(SPACE, label_selector="part=yes", limit=3, _continue=following)
        found += [one.metadata.name for one in part.items]
        parts += 1
        following = part.metadata._continue
        if not following:
            break
    assert found == [f"part-{n}" for n in range(7)] and parts == 3, (found, parts)
    refused(400, "BadRequest", core.list_namespaced_config_map, SPACE, limit=3, _continue="nonsense")
    core.delete_collection_namespaced_config_map(SPACE, label_selector="part=yes")
    assert not core.list_namespaced_config_map(SPACE, label_selector="part=yes").items


def watched():
    seen, started = [], core.list_namespaced_config_map(SPACE).metadata.resource_version

    def look():
        stream = watch.Watch()
        for event in stream.stream(
            core.list_namespaced_config_map, SPACE, resource_version=started, label_selector="seen=yes", timeout_seconds=20
        ):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                stream.stop()

    looking = threading.Thread(target=look)
    looking.start()
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "seen", "labels": {"seen": "yes"}}})
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "unseen"}})
    core.patch_namespaced_config_map("seen", SPACE, {"data": {"a": "1"}})
    core.delete_namespaced_config_map("seen", SPACE)
    looking.join(30)
    assert seen == [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")], seen


def patched():
    # What the client sends for a dict is a strategic merge patch.
    changed = apps.patch_namespaced_deployment(
        "web", SPACE, {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": "1"}]}]}}}}
    )
    assert changed.spec.template.spec.containers[0].image == "nginx:1.27"
    # And a JSON patch for a list.
    changed = apps.patch_namespaced_deployment("web", SPACE, [{"op": "replace", "path": "/spec/replicas", "value": 3}])
    assert changed.spec.replicas == 3
    scale = apps.patch_namespaced_deployment_scale("web", SPACE, {"spec": {"replicas": 1}})
    assert scale.spec.replicas == 1
    until(lambda: len(core.list_namespaced_pod(SPACE, label_selector="app=web").items) == 1, "one pod left")
    tried = apps.patch_namespaced_deployment("web", SPACE, {"spec": {"replicas": 9}}, dry_run="All")
    assert tried.spec.replicas == 9 and apps.read_namespaced_deployment("web", SPACE).spec.replicas == 1
    refused(422, "Invalid", apps.patch_namespaced_deployment, "web", SPACE, {"spec": {"replicas": -1}})


def replaced():
    old = core.create_namespaced_config_map(SPACE, {"metadata": {"name": "python-old"}, "data": {"a": "1"}})
    old.data["a"] = "2"
    new = core.replace_namespaced_config_map("python-old", SPACE, old)
    assert new.metadata.resource_version != old.metadata.resource_version
    body = refused(409, "Conflict", core.replace_namespaced_config_map, "python-old", SPACE, old)
    assert "the object has been modified" in body, body


def applied():
    anything = dynamic.DynamicClient(client.ApiClient())
    maps = anything.resources.get(api_version="v1", kind="ConfigMap")

    def apply(data, manager, **more):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data}
        return maps.server_side_apply(body=body, namespace=SPACE, field_manager=manager, **more)

    apply({"a": "1", "b": "2"}, "first")
    assert dict(apply({"a": "1"}, "first").data) == {"a": "1"}
    try:
        apply({"a": "other"}, "second")
        raise AssertionError("no conflict")
    except dynamic.exceptions.ConflictError as error:
        assert 'conflict with "first"' in json.loads(error.body)["message"], error.body
    forced = apply({"a": "other"}, "second", force_conflicts=True)
    owners = {entry.manager: entry.operation for entry in forced.metadata.managedFields}
    assert owners.get("second") == "Apply", owners
    found = maps.get(namespace=SPACE, label_selector="nobody=has-this")
    assert not found.items


def custom_kinds():
    extensions = client.ApiextensionsV1Api()
    extensions.create_custom_resource_definition({
        "metadata": {"name": "snakes.python.seaworthy.dev"},
        "spec": {
            "group": "python.seaworthy.dev", "scope": "Namespaced",
            "names": {"plural": "snakes", "singular": "snake", "kind": "Snake"},
            "versions": [{
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"length": {"type": "integer", "minimum": 1}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                }}},
            }],
        },
    })
    place = ("python.seaworthy.dev", "v1", SPACE, "snakes")

    def made():
        try:
            return custom.create_namespaced_custom_object(*place, {
                "apiVersion": "python.seaworthy.dev/v1", "kind": "Snake", "metadata": {"name": "kaa"},
                "spec": {"length": 9, "colour": "green"},
            })
        except ApiException as error:
            if error.status != 404:
                raise

    snake = until(made, "the kind")
    assert snake["spec"] == {"length": 9}, "what the schema has not is left out"
    refused(422, "Invalid", custom.patch_namespaced_custom_object, *place, "kaa", {"spec": {"length": 0}})
    told = custom.patch_namespaced_custom_object_status(*place, "kaa", {"status": {"mood": "calm"}})
    assert told["status"] == {"mood": "calm"} and told["metadata"]["generation"] == 1
    assert len(custom.list_namespaced_custom_object(*place)["items"]) == 1
    custom.delete_namespaced_custom_object(*place, "kaa")
    extensions.delete_custom_resource_definition("snakes.python.seaworthy.dev")
    until(lambda: not [one for one in extensions.list_custom_resource_definition().items if "python" in one.metadata.name], "no kind")


def from_files():
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": SPACE}, "spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "once", "image": "busybox:1.36", "command": ["true"]}]}}}}
    utils.create_from_dict(client.ApiClient(), manifest)
    until(lambda: client.BatchV1Api().read_namespaced_job("once", SPACE).status.succeeded == 1, "the Job")


def reviewed():
    review = client.AuthorizationV1Api().create_self_subject_access_review(
        {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}}
    )
    assert review.status.allowed
    token = core.create_namespaced_service_account_token("default", SPACE, {"spec": {"audiences": [], "expirationSeconds": 600}})
    looked_at = client.AuthenticationV1Api().create_token_review({"spec": {"token": token.status.token}})
    assert looked_at.status.authenticated and looked_at.status.user.username == "system:serviceaccount:python:default"


def evicted_and_deleted():
    pod = core.list_namespaced_pod(SPACE, label_selector="app=web").items[0].metadata.name
    core.create_namespaced_pod_eviction(pod, SPACE, {"metadata": {"name": pod, "namespace": SPACE}})
    until(lambda: pod not in [one.metadata.name for one in core.list_namespaced_pod(SPACE).items], "the eviction")
    apps.delete_namespaced_deployment("web", SPACE, propagation_policy="Foreground")
    until(lambda: not apps.list_namespaced_deployment(SPACE).items, "no Deployment")
    core.delete_namespace(SPACE)
    until(lambda: SPACE not in [one.metadata.name for one in core.list_namespace().items], "no namespace")


STEPS = [versions, created, listed_in_parts, watched, patched, replaced, applied, custom_kinds, from_files, reviewed, evicted_and_deleted]
failed = []
for step in STEPS:
    try:
        step()
        print(f"ok {step.__name__}")
    except Exception:
        failed.append(step.__name__)
        print(f"failed {step.__name__}\n{traceback.format_exc()}")
print(f"{len(STEPS)} steps, {len(failed)} failed {' '.join(failed)}")
sys.exit(1 if failed else 0)
