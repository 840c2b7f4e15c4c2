//! The way into an environment's cluster: tokens and kubeconfigs, and what is said when there is none.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::lab::Lab;

#[test]
fn a_cluster_that_is_not_there_is_said_to_be_so() {
    let lab = Lab::new("accelerator");
    lab.run(&["token", "-e", "dev"])
        .fails(1)
        .says("the sandbox does not run");
    lab.start("max");
    lab.run(&["kubeconfig", "-e", "dev"])
        .fails(1)
        .says("the cluster shop-dev of `dev` is not there")
        .says("seaworthy deploy -e dev");
    lab.run(&["kubeconfig", "-e", "shared"]).fails(1);
    lab.run(&["kubeconfig", "-e", "nowhere"])
        .fails(1)
        .says("there is no environment `nowhere`");
}

#[test]
fn kubectl_is_told_where_the_cluster_is_and_how_to_get_a_token() {
    let lab = Lab::running("accelerator", "max");
    lab.deploy("dev").ok();
    let printed = lab.run(&["kubeconfig", "-e", "dev"]).ok().stdout;
    let file = lab.path("home/config");
    let merged = ["kubeconfig", "-e", "dev", "--merge", "--file"];
    let merged: Vec<&str> = merged.into_iter().chain([file.to_str().unwrap()]).collect();
    lab.run(&merged)
        .ok()
        .says("shop-dev@sandbox is the current context");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    for wanted in [
        "current-context: shop-dev@sandbox",
        "client.authentication.k8s.io/v1",
        "SEAWORTHY_HOME",
        "server: http",
    ] {
        assert!(printed.contains(wanted), "{wanted} is not in:\n{printed}");
    }
    // What kubectl would call, from anywhere.
    let arguments: Vec<String> = printed
        .lines()
        .skip_while(|line| line.trim() != "args:")
        .skip(1)
        .map_while(|line| line.trim().strip_prefix("- "))
        .map(|argument| argument.trim_matches(['"', '\'']).to_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(arguments[..2], ["token", "--environment"], "{printed}");
    let credential = lab.run_in(&arguments, &lab.path("home")).ok().json();
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(credential["kind"], "ExecCredential");
    let status = &credential["status"];
    let expires = status["expirationTimestamp"].as_str().unwrap();
    assert!(expires.ends_with('Z') && expires.len() == 20, "{expires}");
    let token = status["token"].as_str().unwrap();
    let url = token.strip_prefix("k8s-aws-v1.").unwrap();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(url).unwrap()).unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert!(
        url.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"),
        "{url}"
    );
    // The certificate authority is the cluster's own, as it was made.
    if let Some(line) = printed
        .lines()
        .find(|line| line.contains("certificate-authority-data"))
    {
        let encoded = line.split(": ").nth(1).unwrap().trim_matches('"');
        assert!(!STANDARD.decode(encoded).unwrap().is_empty());
    }
}
