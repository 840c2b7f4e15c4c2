//! Reads a list of pods of about 200 MB as YAML and as JSON; prints how long it takes and the peak of memory.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::fmt::Write;
use std::time::Instant;

use seaworthy_objects::snapshot;

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .unwrap_or(0)
        / 1024
}

fn main() {
    let size = 200 << 20;
    let mut yaml = "apiVersion: v1\nitems:\n".to_owned();
    let mut json = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[".to_owned();
    for index in 0.. {
        if yaml.len() > size {
            break;
        }
        let _ = write!(
            yaml,
            "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: web-{index}\n    namespace: shop\n    labels:\n      app: web\n  spec:\n    nodeName: node-1\n    containers:\n    - name: web\n      image: example.com/web:1.2.3\n      resources:\n        requests:\n          cpu: 100m\n          memory: 128Mi\n    tolerations:\n    - key: a\n      operator: Exists\n      effect: NoSchedule\n  status:\n    phase: Running\n"
        );
    }
    yaml.push_str("kind: List\n");
    let mut first = true;
    while json.len() < size {
        if !std::mem::take(&mut first) {
            json.push(',');
        }
        json.push_str("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\"},\"spec\":{\"containers\":[{\"name\":\"web\",\"resources\":{\"requests\":{\"cpu\":\"100m\"}}}]}}");
    }
    json.push_str("]}");
    for (what, text) in [("YAML", yaml), ("JSON", json)] {
        let start = Instant::now();
        let summary = snapshot::read(&text, &mut |_| {});
        println!(
            "{what}: {} MiB, {} objects, {} errors in {:.1} s; peak {} MiB with the text",
            text.len() >> 20,
            summary.objects,
            summary.errors.len(),
            start.elapsed().as_secs_f64(),
            peak_mib()
        );
    }
}
