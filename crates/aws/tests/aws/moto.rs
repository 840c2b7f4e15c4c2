//! A `moto_server` for one test: started on a free port, killed with it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws::{S3Location, S3Store, Session, SessionOptions, StaticCredentials};
use catalog::ids::Region;

const BUCKET: &str = "seaworthy-state-test";
const TABLE: &str = "seaworthy-locks-test";

/// A running server.
pub struct Moto {
    process: Child,
    endpoint: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("SEAWORTHY_MOTO_SERVER").map(PathBuf::from);
    let usual = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/venv/bin/moto_server"
    ));
    named.or(Some(usual)).filter(|path| path.exists())
}

/// Starts a server; none, with a word about it, when it is not installed and this is not CI.
#[expect(clippy::print_stderr, reason = "a test that did not run has to say so")]
pub fn server() -> Option<Moto> {
    let Some(program) = program() else {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            !ci,
            "moto_server is not installed: `make test` installs it, or set SEAWORTHY_MOTO_SERVER"
        );
        eprintln!("NOT RUN: moto_server is not installed; `make test` installs it");
        return None;
    };
    let mut process = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("moto_server starts");
    let stderr = BufReader::new(process.stderr.take().expect("its stderr is piped"));
    let mut lines = stderr.lines().map_while(Result::ok);
    let endpoint = lines
        .find_map(|line| {
            line.split_once("Running on ")
                .map(|(_, url)| url.trim().to_owned())
        })
        .expect("moto_server says where it runs");
    // Somebody has to read what it goes on to say, or it would block.
    std::thread::spawn(move || lines.for_each(drop));
    Some(Moto { process, endpoint })
}

impl Moto {
    async fn session(&self) -> Session {
        Session::new(SessionOptions {
            endpoint: Some(self.endpoint.clone()),
            region: Region::new("eu-central-1").unwrap(),
            credentials: Some(StaticCredentials {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
                session_token: None,
            }),
            profile: None,
        })
        .await
        .unwrap()
    }

    /// A store in a bucket and a table that are made for it.
    pub async fn store(&self, prefix: &str) -> S3Store {
        self.http(
            "PUT",
            &format!("/{BUCKET}"),
            "s3",
            None,
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>",
        )
        .await;
        let table = serde_json::json!({
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
        });
        self.dynamodb("CreateTable", &table.to_string()).await;
        S3Store::new(
            self.session().await,
            S3Location {
                bucket: BUCKET.to_owned(),
                prefix: prefix.to_owned(),
                table: TABLE.to_owned(),
            },
        )
    }

    /// EC2's whole answer to a call that only reads.
    pub async fn ec2(&self, query: &str) -> String {
        self.http(
            "GET",
            &format!("/?{query}&Version=2016-11-15"),
            "ec2",
            None,
            "",
        )
        .await
    }

    /// An object's text.
    pub async fn get(&self, key: &str) -> String {
        self.http("GET", &format!("/{BUCKET}/{key}"), "s3", None, "")
            .await
    }

    /// Replaces an object behind the store's back.
    pub async fn put(&self, key: &str, body: String) {
        self.http("PUT", &format!("/{BUCKET}/{key}"), "s3", None, &body)
            .await;
    }

    /// Deletes an object behind the store's back.
    pub async fn delete(&self, key: &str) {
        self.http("DELETE", &format!("/{BUCKET}/{key}"), "s3", None, "")
            .await;
    }

    /// Deletes the lock item behind the store's back.
    pub async fn forget_lock(&self, prefix: &str) {
        let key = serde_json::json!({"TableName": TABLE, "Key": {"LockID": {"S": format!("{BUCKET}/{prefix}")}}});
        self.dynamodb("DeleteItem", &key.to_string()).await;
    }

    async fn dynamodb(&self, operation: &str, body: &str) {
        let target = format!("DynamoDB_20120810.{operation}");
        self.http("POST", "/", "dynamodb", Some(&target), body)
            .await;
    }

    /// A plain HTTP request, independent of the code under test. moto looks at the credential's scope, not at the signature.
    async fn http(
        &self,
        method: &str,
        path: &str,
        service: &str,
        target: Option<&str>,
        body: &str,
    ) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = self.endpoint.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let target = target.map_or_else(String::new, |target| {
            format!("x-amz-target: {target}\r\ncontent-type: application/x-amz-json-1.0\r\n")
        });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n{target}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 2"),
            "{method} {path}: {head}\n{body}"
        );
        body.to_owned()
    }
}
