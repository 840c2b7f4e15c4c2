//! EC2's read calls in pages, and the Price List Query API, on the loopback interface.
//!
//! moto knows what EC2's types have, but answers in one page and has no price list. This server takes the items that it
//! is given (moto's, or written by hand after the EC2 API reference), cuts them into pages as EC2 does (`MaxResults`,
//! `NextToken`), and answers `GetProducts` as the Price List API reference shapes it: filters that all have to match,
//! each entry a JSON document in a string. It can throttle, refuse, and answer nonsense.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws::{Session, SessionOptions, StaticCredentials};
use catalog::ids::Region;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const REGION: &str = "eu-central-1";

/// What there is, and what goes wrong.
#[derive(Clone, Default)]
pub struct World {
    /// `<item>`s.
    pub types: Vec<String>,
    pub offerings: Vec<String>,
    pub spot_prices: Vec<String>,
    /// Entries of the price list.
    pub products: Vec<Value>,
    /// Calls that are throttled the first time.
    pub throttled: BTreeSet<&'static str>,
    /// Calls that are not allowed.
    pub denied: BTreeSet<&'static str>,
    /// A call, and what is answered in place of its second page.
    pub broken: Option<(&'static str, String)>,
    /// A call that answers its first page for ever.
    pub endless: Option<&'static str>,
    /// Every call that came, and what it was answered with.
    pub log: Vec<(String, u16)>,
}

pub struct Server {
    pub world: Arc<Mutex<World>>,
    endpoint: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(world));
        let shared = world.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let world = shared.clone();
                tokio::spawn(serve(stream, world));
            }
        });
        Self {
            world,
            endpoint,
            task,
        }
    }

    pub async fn session(&self) -> Session {
        Session::new(SessionOptions {
            endpoint: Some(self.endpoint.clone()),
            region: Region::new(REGION).unwrap(),
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

    /// How many calls of this name ended with this status.
    pub fn calls(&self, name: &str, status: u16) -> usize {
        let world = self.world.lock().unwrap();
        let like = |call: &&(String, u16)| call.0 == name && call.1 == status;
        world.log.iter().filter(like).count()
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, world: Arc<Mutex<World>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    let (head, body) = loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let (status, body) = answer(&mut world.lock().unwrap(), &head, &body);
    let answer = format!(
        "HTTP/1.1 {status} As said\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn answer(world: &mut World, head: &str, body: &str) -> (u16, String) {
    let target = header(head, "x-amz-target").unwrap_or_default();
    let name = match target.strip_prefix("AWSPriceListService.") {
        Some(name) => name.to_owned(),
        None => parameter(body, "Action").expect("a call has an action"),
    };
    let (status, text) = respond(world, &name, head, body);
    world.log.push((name, status));
    (status, text)
}

fn respond(world: &mut World, name: &str, head: &str, body: &str) -> (u16, String) {
    let json = name == "GetProducts";
    let error = |status, code: &str, message: &str| {
        let text = if json {
            json!({"__type": code, "message": message}).to_string()
        } else {
            format!(
                "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
            )
        };
        (status, text)
    };
    let scope = if json {
        "/us-east-1/pricing/aws4_request"
    } else {
        "/eu-central-1/ec2/aws4_request"
    };
    if !header(head, "authorization").is_some_and(|signature| signature.contains(scope)) {
        return error(403, "SignatureDoesNotMatch", "signed for something else");
    }
    if world.throttled.remove(name) {
        return if json {
            error(400, "ThrottlingException", "Rate exceeded")
        } else {
            error(503, "RequestLimitExceeded", "Request limit exceeded.")
        };
    }
    if world.denied.contains(name) {
        let words = format!("User: u is not authorized to perform: {name}");
        return if json {
            error(400, "AccessDeniedException", &words)
        } else {
            error(403, "UnauthorizedOperation", &words)
        };
    }
    let input: Value = serde_json::from_str(body).unwrap_or_default();
    let asked = |key: &str| {
        if json {
            input[key].as_str().map(str::to_owned).or_else(|| {
                let number = input[key].as_u64();
                number.map(|number| number.to_string())
            })
        } else {
            parameter(body, key)
        }
    };
    let from: usize = asked("NextToken").map_or(0, |token| {
        token.strip_prefix("from ").unwrap().parse().unwrap()
    });
    let size: usize = asked("MaxResults").unwrap().parse().unwrap();
    if let Some((_, text)) = world.broken.as_ref().filter(|of| of.0 == name && from > 0) {
        return (200, text.clone());
    }
    let products = products(world, &input);
    let (all, set) = match name {
        "DescribeInstanceTypes" => (&world.types, "instanceTypeSet"),
        "DescribeInstanceTypeOfferings" => {
            assert_eq!(asked("LocationType").unwrap(), "availability-zone");
            (&world.offerings, "instanceTypeOfferingSet")
        }
        "DescribeSpotPriceHistory" => {
            assert!(asked("StartTime").unwrap().ends_with('Z'));
            assert_eq!(asked("ProductDescription.1").unwrap(), "Linux/UNIX");
            (&world.spot_prices, "spotPriceHistorySet")
        }
        "GetProducts" => (&products, ""),
        other => panic!("{other} is not one of the calls"),
    };
    let until = all.len().min(from + size);
    let next = match world.endless {
        Some(of) if of == name => "from 0".to_owned(),
        _ if until < all.len() => format!("from {until}"),
        _ => String::new(),
    };
    let page = &all[from..until];
    let text = if json {
        let mut answer = json!({"FormatVersion": "aws_v1", "PriceList": page});
        if !next.is_empty() {
            answer["NextToken"] = next.into();
        }
        answer.to_string()
    } else {
        let items = page.concat();
        let next = match next.is_empty() {
            true => "<nextToken/>".to_owned(),
            false => format!("<nextToken>{next}</nextToken>"),
        };
        format!(
            "<{name}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId><{set}>{items}</{set}>{next}</{name}Response>"
        )
    };
    (200, text)
}

/// The entries of the price list that match all filters, each as a text.
fn products(world: &World, input: &Value) -> Vec<String> {
    let filters = input["Filters"].as_array().cloned().unwrap_or_default();
    let matches = |product: &&Value| {
        filters.iter().all(|filter| {
            assert_eq!(filter["Type"], "TERM_MATCH");
            let product = &product["product"];
            let said = match filter["Field"].as_str().unwrap() {
                "productFamily" => &product["productFamily"],
                field => &product["attributes"][field],
            };
            *said == filter["Value"]
        })
    };
    let found = world.products.iter().filter(matches);
    found.map(Value::to_string).collect()
}

/// A parameter of a form, decoded.
fn parameter(body: &str, name: &str) -> Option<String> {
    let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (code, after) = rest.split_at(2);
            let code = std::str::from_utf8(code).unwrap();
            bytes.push(u8::from_str_radix(code, 16).unwrap());
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    Some(String::from_utf8(bytes).unwrap())
}

/// An entry of the price list, with the attributes that filters look at and a price in US dollars.
pub fn product(instance_type: &str, price: &str, changed: &[(&str, &str)]) -> Value {
    let metal = instance_type.contains("metal");
    let mut entry = json!({
        "serviceCode": "AmazonEC2",
        "product": {
            "sku": "JRTCKXETXF",
            "productFamily": if metal { "Compute Instance (bare metal)" } else { "Compute Instance" },
            "attributes": {
                "instanceType": instance_type, "regionCode": REGION, "operatingSystem": "Linux", "preInstalledSw": "NA",
                "capacitystatus": "Used", "marketoption": "OnDemand", "tenancy": if metal { "Dedicated" } else { "Shared" },
            },
        },
        "terms": {"OnDemand": {"JRTCKXETXF.JRTCKXETXF": {"priceDimensions": {"JRTCKXETXF.JRTCKXETXF.6YS6EN2CT7": {
            "unit": "Hrs", "description": "an hour", "pricePerUnit": {"USD": price},
        }}}}},
    });
    for (key, value) in changed {
        entry["product"]["attributes"][*key] = Value::from(*value);
    }
    entry
}
