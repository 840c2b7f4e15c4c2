//! `catalog refresh`: where its files are, what it says, and that nothing is asked that was not said.
//!
//! What AWS answers is tested where it is read (`crates/aws`); here a server on the loopback interface gives one page to
//! each call, in the shapes of the EC2 and Price List API references.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::lab::Lab;

const TYPES: &str = "<DescribeInstanceTypesResponse><instanceTypeSet>\
    <item><instanceType>m5.large</instanceType><hypervisor>nitro</hypervisor>\
    <supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>\
    <processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures><manufacturer>Intel</manufacturer></processorInfo>\
    <vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo>\
    <networkInfo><maximumNetworkInterfaces>3</maximumNetworkInterfaces><ipv4AddressesPerInterface>10</ipv4AddressesPerInterface></networkInfo></item>\
    <item><instanceType>mac1.metal</instanceType>\
    <processorInfo><supportedArchitectures><item>x86_64_mac</item></supportedArchitectures><manufacturer>Intel</manufacturer></processorInfo>\
    <networkInfo/><bareMetal>true</bareMetal></item></instanceTypeSet></DescribeInstanceTypesResponse>";
const OFFERINGS: &str = "<DescribeInstanceTypeOfferingsResponse><instanceTypeOfferingSet><item><instanceType>m5.large</instanceType>\
    <location>eu-west-1b</location></item></instanceTypeOfferingSet></DescribeInstanceTypeOfferingsResponse>";
const SPOT: &str = "<DescribeSpotPriceHistoryResponse><spotPriceHistorySet><item><instanceType>m5.large</instanceType>\
    <spotPrice>0.041200</spotPrice><timestamp>2026-11-21T05:00:00.000Z</timestamp><availabilityZone>eu-west-1b</availabilityZone></item>\
    </spotPriceHistorySet></DescribeSpotPriceHistoryResponse>";
const PRICES: &str = r#"{"PriceList": ["{\"product\": {\"attributes\": {\"instanceType\": \"m5.large\"}}, \"terms\": {\"OnDemand\": {\"a\": {\"priceDimensions\": {\"b\": {\"pricePerUnit\": {\"USD\": \"0.1070000000\"}}}}}}}"]}"#;

/// An AWS that knows one type.
struct Aws {
    endpoint: String,
    calls: Arc<AtomicUsize>,
    denies: Arc<AtomicBool>,
}

impl Aws {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::<AtomicUsize>::default();
        let denies = Arc::<AtomicBool>::default();
        let (counted, refusing) = (Arc::clone(&calls), Arc::clone(&denies));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                answer(stream, refusing.load(Ordering::Relaxed));
            }
        });
        Self {
            endpoint,
            calls,
            denies,
        }
    }

    fn lab(&self) -> Lab {
        let mut lab = Lab::new("accelerator");
        lab.set("AWS_ENDPOINT_URL", &self.endpoint);
        lab.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        lab.set(
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        lab
    }
}

fn answer(mut stream: TcpStream, denies: bool) {
    let mut request = String::new();
    let mut buffer = [0; 8192];
    let whole = |request: &str| {
        let (head, body) = request.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then_some(value)
        });
        (body.len() >= length?.parse().ok()?).then_some(())
    };
    while whole(&request).is_none() {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => request.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            _ => return,
        }
    }
    let says = |action: &str| request.contains(&format!("Action={action}&"));
    let (status, body) = if says("DescribeInstanceTypes") {
        (200, TYPES)
    } else if says("DescribeInstanceTypeOfferings") {
        (200, OFFERINGS)
    } else if says("DescribeSpotPriceHistory") {
        (200, SPOT)
    } else if denies {
        (
            400,
            r#"{"__type": "AccessDeniedException", "Message": "no identity-based policy allows it"}"#,
        )
    } else {
        (200, PRICES)
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).map(Iterator::collect::<Vec<_>>);
    let mut names: Vec<String> = entries
        .unwrap_or_default()
        .into_iter()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_region_is_renewed_and_the_files_are_where_it_says() {
    let aws = Aws::start();
    let lab = aws.lab();
    let folder = lab.path("home/seaworthy/catalog");
    let refresh = [
        "catalog",
        "refresh",
        "--region",
        "eu-west-1",
        "--target",
        "aws",
    ];
    let said = lab.run(&refresh).ok();
    let said = said.says("eu-west-1 on 2026-11-21: 1 instance types in 1 zones, 1 with an on-demand price, 1 Spot prices");
    said.says(
        &folder
            .join("instance-types-eu-west-1.csv")
            .display()
            .to_string(),
    )
    .says("mac1.metal: left out, since its architecture is x86_64_mac");
    let names = ["instance-types-eu-west-1.csv", "offerings-eu-west-1.csv"];
    assert_eq!(files(&folder), names);
    let text = |name| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(text(names[0]).ends_with(",0.107\n"), "{}", text(names[0]));
    assert!(
        text(names[1])
            .ends_with("m5.large,eu-west-1b,on-demand,0.107\nm5.large,eu-west-1b,spot,0.0412\n")
    );

    // The platform's region is taken where none is given.
    let report = lab
        .run(&["catalog", "refresh", "--target", "aws", "-o", "json"])
        .ok()
        .json();
    let region = report["region"].as_str().unwrap();
    assert_ne!(region, "eu-west-1");
    assert_eq!(report["types"], 1);
    assert_eq!(report["leftOut"][0]["type"], "mac1.metal");
    let path = report["files"][0]["path"].as_str().unwrap();
    assert_eq!(
        path,
        folder
            .join(format!("instance-types-{region}.csv"))
            .to_str()
            .unwrap()
    );
    assert_eq!(
        report["files"][0]["bytes"],
        std::fs::metadata(path).unwrap().len()
    );
}

#[test]
fn nothing_is_asked_unless_the_target_is_aws() {
    let aws = Aws::start();
    let lab = aws.lab();
    lab.run(&["catalog", "refresh", "--region", "eu-west-1"])
        .fails(3)
        .says("--target aws");
    assert_eq!(aws.calls.load(Ordering::Relaxed), 0);
    assert_eq!(
        files(&lab.path("home/seaworthy")),
        [""; 0],
        "no sandbox was started either"
    );
    lab.run(&["--help"]).ok().says("catalog");
    lab.run(&["catalog", "refresh", "--help"])
        .ok()
        .says("seaworthy catalog refresh --region eu-west-1 --target aws");
}

#[test]
fn a_missing_permission_is_named_with_what_to_do() {
    let aws = Aws::start();
    aws.denies.store(true, Ordering::Relaxed);
    let lab = aws.lab();
    lab.run(&[
        "catalog",
        "refresh",
        "--region",
        "eu-west-1",
        "--target",
        "aws",
    ])
    .fails(1)
    .says("these credentials may not call pricing:GetProducts")
    .says("no identity-based policy allows it")
    .says("docs/instance-types.md");
    assert_eq!(files(&lab.path("home/seaworthy")), [""; 0]);
}
