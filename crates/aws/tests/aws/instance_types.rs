//! Fetching instance types: EC2's facts and zones as moto has them, prices of a price list that this test makes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use aws::instance_types::{Action, FetchError, Fetched, fetch};
use catalog::Date;
use catalog::ids::Region;
use catalog::instance_types::{
    CapacityType, HourlyPrice, InstanceType, NodeSettings, Offerings, Table, all, by_name,
};
use engine::Pace;

use crate::ec2_pages::{REGION, Server, World, product};
use crate::moto;

const TODAY: Date = Date::new(2026, 11, 21);

async fn fetched(server: &Server) -> Result<Fetched, FetchError> {
    fetch(&server.session().await, TODAY, Pace::new(1_000.0)).await
}

/// The `<item>`s of a set in an answer.
fn items(answer: &str, set: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(answer).unwrap();
    let set = document
        .descendants()
        .find(|node| node.tag_name().name() == set)
        .unwrap();
    set.children()
        .filter(roxmltree::Node::is_element)
        .map(|item| answer[item.range()].to_owned())
        .collect()
}

/// A tenth above the price in the table in the binary, with ten decimals as the price list has them.
fn listed(price: HourlyPrice) -> (HourlyPrice, String) {
    let micro_usd = price.micro_usd() * 11 / 10;
    let text = format!("{}.{:06}0000", micro_usd / 1_000_000, micro_usd % 1_000_000);
    (HourlyPrice::from_micro_usd(micro_usd), text)
}

/// Everything that moto knows, and prices for what the table in the binary has prices for.
async fn everything(moto: &moto::Moto) -> World {
    let (types, offerings, spot_prices) = tokio::join!(
        moto.ec2("Action=DescribeInstanceTypes"),
        moto.ec2("Action=DescribeInstanceTypeOfferings&LocationType=availability-zone"),
        moto.ec2("Action=DescribeSpotPriceHistory"),
    );
    let priced = all().iter().filter_map(|of| Some((of, of.on_demand?)));
    let mut products: Vec<_> = priced
        .map(|(of, price)| product(of.name(), &listed(price).1, &[]))
        .collect();
    // What a price list has besides: other systems, other regions, machines of one's own, reserved capacity.
    for changed in [
        ("operatingSystem", "Windows"),
        ("regionCode", "us-east-1"),
        ("tenancy", "Host"),
        ("capacitystatus", "AllocatedCapacityReservation"),
        ("preInstalledSw", "SQL Web"),
    ] {
        products.push(product("m5.large", "99.0", &[changed]));
    }
    products.push(product("m5.large", "0.0000000000", &[]));
    World {
        types: items(&types, "instanceTypeSet"),
        offerings: items(&offerings, "instanceTypeOfferingSet"),
        spot_prices: items(&spot_prices, "spotPriceHistorySet"),
        products,
        ..World::default()
    }
}

/// The columns in which two types differ, as their tables write them.
fn differences(left: &InstanceType, right: &InstanceType) -> Vec<String> {
    let region = Region::new(REGION).unwrap();
    let cells = |of: &InstanceType| -> Vec<String> {
        let table = Table::new("a test", TODAY, &region, std::slice::from_ref(of)).unwrap();
        let text = table.to_string();
        let lines = text.lines().skip(3).map(|line| line.split(','));
        lines.flatten().map(str::to_owned).collect()
    };
    let (left, right) = (cells(left), cells(right));
    let columns = left.len() / 2;
    (0..columns)
        .filter(|at| left[columns + at] != right[columns + at])
        .map(|at| left[at].clone())
        .collect()
}

/// The types in which what was fetched differs from what was expected, by column.
#[derive(Default)]
struct Differences(BTreeMap<String, Vec<String>>);

impl Differences {
    fn add(&mut self, fetched: &InstanceType, expected: &InstanceType) {
        for column in differences(fetched, expected) {
            let of = fetched.name.to_string();
            self.0.entry(column).or_default().push(of);
        }
    }

    /// moto's facts and the binary's are of different days, and AWS corrects some: clock speeds of whole families, network
    /// cards of single sizes. A rule that is wrong would differ in more than a tenth of the types, or in other columns.
    fn are_few(&self, compared: usize) {
        for (column, types) in &self.0 {
            let corrected = ["clock_mhz", "network_mbps", "pod_enis"];
            assert!(corrected.contains(&column.as_str()), "{column}: {types:?}");
            assert!(types.len() * 10 < compared, "{column}: {types:?}");
        }
    }
}

impl std::fmt::Display for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut columns = self.0.iter();
        columns.try_for_each(|(column, types)| write!(f, "{column} {} ", types.len()))
    }
}

#[tokio::test]
async fn a_table_that_is_fetched_says_what_the_one_in_the_binary_says() {
    let Some(moto) = moto::server() else { return };
    let mut world = everything(&moto).await;
    world.throttled = Action::ALL.map(Action::name).into();
    let described = world.types.len();
    let server = Server::start(world).await;
    let started = Instant::now();
    let fetched = fetched(&server).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let Fetched {
        table, offerings, ..
    } = &fetched;

    // Every type is in the table, or it is said why not.
    let macs = |name: &str| name.starts_with("mac");
    assert!(fetched.left_out.iter().all(|of| macs(&of.name)
        && (of.reason == "its architecture is arm64_mac"
            || of.reason == "its architecture is x86_64_mac")));
    assert_eq!(table.types().len() + fetched.left_out.len(), described);
    assert!(fetched.left_out.len() >= 5 && table.types().len() > 1_000);
    assert_eq!((table.region().as_str(), table.date()), (REGION, TODAY));

    // What EC2 says gives the same facts, but for interfaces that the table in the binary does not know, and the price.
    let (mut compared, mut same_size, mut other) = (0, 0, Differences::default());
    let mut newer = BTreeSet::new();
    for of in table.types() {
        let size = of.node_size(&NodeSettings::default()).allocatable();
        assert!(size.cpu_milli > 0 && size.pods > 0, "{}", of.name);
        let Some(known) = by_name(of.name()) else {
            newer.insert(&of.name);
            assert_eq!(of.branch_enis, 0);
            continue;
        };
        let mut expected = known.clone();
        expected.max_enis = known.max_enis.or(of.max_enis);
        expected.on_demand = known.on_demand.map(|price| listed(price).0);
        other.add(of, &expected);
        let published = known.node_size(&NodeSettings::default()).allocatable();
        same_size += usize::from(size == published);
        compared += 1;
    }
    assert!(compared > 1_000 && same_size * 100 >= compared * 99);
    other.are_few(compared);
    assert_eq!(newer, fetched.newer.iter().collect());

    // Zones and Spot prices, where both are.
    let m5: Vec<_> = offerings.of("m5.large").iter().collect();
    let zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"];
    assert_eq!(offerings.zones(), zones);
    assert_eq!(m5.len(), 6);
    for (offering, at) in m5.into_iter().zip(0..) {
        assert_eq!(&*offering.zone, zones[at / 2]);
        let price = match offering.capacity_type {
            CapacityType::OnDemand => listed(by_name("m5.large").unwrap().on_demand.unwrap()).0,
            CapacityType::Spot => HourlyPrice::from_micro_usd(10),
        };
        assert_eq!(offering.price, Some(price));
    }
    assert!(
        offerings
            .all()
            .iter()
            .all(|of| !macs(of.instance_type.as_str()))
    );

    // What is written reads back.
    let (text, offered) = (table.to_string(), offerings.to_string());
    assert!(Table::parse(&text).as_ref() == Ok(table));
    assert!(Offerings::parse(&offered).as_ref() == Ok(offerings));

    // Each call was throttled once, and each has more than one page.
    let mut answered = 0;
    for action in Action::ALL {
        let name = action.name();
        let throttled = if action == Action::GetProducts {
            400
        } else {
            503
        };
        assert_eq!(server.calls(name, throttled), 1, "{name}");
        assert!(server.calls(name, 200) > 1, "{name}");
        answered += server.calls(name, 200);
    }
    assert_eq!(fetched.calls, answered);
    eprintln!(
        "other than in the binary: {other}\n{} types ({compared} compared, {same_size} with the same room for pods) in {} bytes, {} offerings in {} bytes, {answered} calls, {seconds:.2} s",
        table.types().len(),
        text.len(),
        offerings.all().len(),
        offered.len()
    );
}

#[tokio::test]
async fn what_ec2_says_of_a_type_that_is_new_is_nearly_all_of_it() {
    let Some(moto) = moto::server() else { return };
    let mut world = everything(&moto).await;
    // Under these names the table in the binary knows none of them.
    for list in [&mut world.types, &mut world.offerings] {
        for item in list.iter_mut() {
            *item = item.replace("<instanceType>", "<instanceType>new-");
        }
    }
    let fetched = fetched(&Server::start(world).await).await.unwrap();
    assert_eq!(fetched.newer.len(), fetched.table.types().len());
    let (mut compared, mut other) = (0, Differences::default());
    for of in fetched.table.types() {
        let Some(known) = by_name(&of.name()[4..]) else {
            continue;
        };
        let mut expected = known.clone();
        expected.name = of.name.clone();
        expected.max_enis = known.max_enis.or(of.max_enis);
        expected.on_demand = None;
        expected.branch_enis = 0;
        other.add(of, &expected);
        compared += 1;
    }
    assert!(compared > 1_000);
    other.are_few(compared);
    eprintln!("{compared} compared; other than in the binary: {other}");
}

/// A type after the EC2 API reference's sample, with what a test changes in it.
fn item(name: &str, from: &str, to: &str) -> String {
    let text = format!(
        "<item><instanceType>{name}</instanceType><bareMetal>false</bareMetal><hypervisor>nitro</hypervisor>\
         <supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>\
         <supportedVirtualizationTypes><item>hvm</item></supportedVirtualizationTypes>\
         <processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures>\
         <sustainedClockSpeedInGhz>3.1</sustainedClockSpeedInGhz><manufacturer>Intel</manufacturer></processorInfo>\
         <vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo>\
         <ebsInfo><ebsOptimizedSupport>default</ebsOptimizedSupport><ebsOptimizedInfo><maximumBandwidthInMbps>4750</maximumBandwidthInMbps></ebsOptimizedInfo></ebsInfo>\
         <networkInfo><networkPerformance>Up to 10 Gigabit</networkPerformance><maximumNetworkInterfaces>3</maximumNetworkInterfaces>\
         <maximumNetworkCards>1</maximumNetworkCards><defaultNetworkCardIndex>0</defaultNetworkCardIndex>\
         <networkCards><item><networkCardIndex>0</networkCardIndex><baselineBandwidthInGbps>0.75</baselineBandwidthInGbps>\
         <maximumNetworkInterfaces>3</maximumNetworkInterfaces></item></networkCards>\
         <ipv4AddressesPerInterface>10</ipv4AddressesPerInterface><encryptionInTransitSupported>false</encryptionInTransitSupported></networkInfo></item>"
    );
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

fn offered(name: &str, zone: &str) -> String {
    format!(
        "<item><instanceType>{name}</instanceType><locationType>availability-zone</locationType><location>{zone}</location></item>"
    )
}

fn spot(name: &str, zone: &str, price: &str, at: &str) -> String {
    format!(
        "<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>{price}</spotPrice>\
         <timestamp>{at}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
    )
}

/// A small region: one type that everybody knows, in two zones.
fn small() -> World {
    World {
        types: vec![item("m5.large", "x86_64", "x86_64")],
        offerings: vec![
            offered("m5.large", "eu-central-1a"),
            offered("m5.large", "eu-central-1b"),
        ],
        spot_prices: vec![
            spot(
                "m5.large",
                "eu-central-1a",
                "0.0500000",
                "2026-11-20T10:00:00.000Z",
            ),
            spot(
                "m5.large",
                "eu-central-1a",
                "0.0412344",
                "2026-11-21T10:00:00.000Z",
            ),
            spot(
                "m5.large",
                "eu-central-1a",
                "0.0600000",
                "2026-11-19T10:00:00.000Z",
            ),
            spot(
                "m5.large",
                "eu-central-1x",
                "0.01",
                "2026-11-21T10:00:00.000Z",
            ),
        ],
        products: vec![product("m5.large", "0.1150000000", &[])],
        ..World::default()
    }
}

#[tokio::test]
async fn types_that_a_table_cannot_hold_are_left_out_and_said() {
    let mut world = small();
    let new = |from: &str, to: &str| item(&format!("n{}.large", to.len()), from, to);
    let gaudi = "</vCpuInfo><gpuInfo><gpus><item><name>Gaudi HL-205</name><manufacturer>Habana</manufacturer><count>8</count>\
        <memoryInfo><sizeInMiB>32768</sizeInMiB></memoryInfo></item></gpus></gpuInfo>";
    world.types.push(item("dl1.24xlarge", "</vCpuInfo>", gaudi));
    let gpu = |name: &str| {
        format!(
            "<item><name>{name}</name><manufacturer>NVIDIA</manufacturer><count>1</count><memoryInfo><sizeInMiB>1</sizeInMiB></memoryInfo></item>"
        )
    };
    let two = format!(
        "</vCpuInfo><gpuInfo><gpus>{}{}</gpus></gpuInfo>",
        gpu("T4"),
        gpu("A10G")
    );
    let comma = format!(
        "</vCpuInfo><gpuInfo><gpus>{}</gpus></gpuInfo>",
        gpu("T4, half")
    );
    let cases = [
        (
            item("q1.large", "x86_64", "riscv64"),
            "its architecture is riscv64",
        ),
        (
            item("q2.large", "hvm", "paravirtual"),
            "it is paravirtual only",
        ),
        (
            item("q3.large", ">Intel<", ">Acme<"),
            "its processors are made by acme",
        ),
        (
            item("q4.large", ">nitro<", ">qemu<"),
            "its hypervisor is qemu",
        ),
        (
            item("q5.large", "nitro", ""),
            "EC2 does not say its hypervisor",
        ),
        (item("q6.large", ">2<", "><"), "EC2 does not say its vCPUs"),
        (
            item("q7.large", ">8192<", ">0<"),
            "memory_mib is `0`: expected a whole number, not 0",
        ),
        (
            item("q8.large", "<networkCardIndex>0", "<networkCardIndex>1"),
            "EC2 does not say its default network card's interfaces",
        ),
        (
            item("q9", "x86_64", "x86_64"),
            "`q9` is not an instance type's name: expected one such as m5.large",
        ),
        (
            item("r1.large", "</vCpuInfo>", &two),
            "it has GPUs of more than one kind",
        ),
        (
            item("r2.large", "</vCpuInfo>", &comma),
            "gpu is `nvidia/t4` ",
        ),
    ];
    for (item, _) in &cases {
        world.types.push(item.clone());
    }
    // What the table in the binary knows fills what EC2 leaves out.
    world
        .types
        .push(item("c5.large", "<manufacturer>Intel</manufacturer>", ""));
    // A machine without hypervisor that is sold on demand only, newer than the binary.
    world.types.push(
        new("<hypervisor>nitro</hypervisor>", "")
            .replace(">false</bareMetal>", ">true</bareMetal>"),
    );
    world.types.push(item("b9.metal", "<item>spot</item>", ""));
    world.offerings.push(offered("b9.metal", "eu-central-1a"));
    world.spot_prices.push(spot(
        "b9.metal",
        "eu-central-1a",
        "1",
        "2026-11-21T10:00:00Z",
    ));
    let fetched = fetched(&Server::start(world).await).await.unwrap();

    let reasons: BTreeMap<&str, &str> = fetched
        .left_out
        .iter()
        .map(|of| (of.name.as_str(), of.reason.as_str()))
        .collect();
    assert_eq!(reasons.len(), cases.len(), "{reasons:#?}");
    for (item, reason) in &cases[..10] {
        let name = item.split(['<', '>']).nth(4).unwrap();
        assert_eq!(reasons[name], *reason, "{name}");
    }
    assert!(
        reasons["r2.large"].starts_with("24 cells")
            || reasons["r2.large"].contains("cells instead of 19")
    );
    let names: Vec<&str> = fetched.table.types().iter().map(|of| of.name()).collect();
    assert_eq!(
        names,
        [
            "b9.metal",
            "c5.large",
            "dl1.24xlarge",
            "m5.large",
            "n0.large"
        ]
    );
    let newer: Vec<&str> = fetched.newer.iter().map(|name| name.as_str()).collect();
    assert_eq!(newer, ["b9.metal", "dl1.24xlarge", "n0.large"]);
    let dl1 = fetched.table.by_name("dl1.24xlarge").unwrap();
    assert_eq!(dl1.extended_resources(), [("habana.ai/gaudi", 8)]);
    assert_eq!(&*dl1.gpu.as_ref().unwrap().name, "gaudi-hl-205");
    assert!(fetched.table.by_name("n0.large").unwrap().is_bare_metal());
    let metal = fetched.offerings.of("b9.metal");
    assert_eq!(
        (metal.len(), metal[0].capacity_type),
        (1, CapacityType::OnDemand)
    );
    assert_eq!(metal[0].price, None, "it is not in the price list");
}

#[tokio::test]
async fn a_spot_price_is_the_newest_of_a_zone_that_has_the_type() {
    let fetched = fetched(&Server::start(small()).await).await.unwrap();
    let text = fetched.offerings.to_string();
    let rows: Vec<&str> = text.lines().skip(4).collect();
    assert_eq!(
        rows,
        [
            "m5.large,eu-central-1a,on-demand,0.115",
            "m5.large,eu-central-1a,spot,0.041234",
            "m5.large,eu-central-1b,on-demand,0.115",
        ]
    );
    assert!(text.starts_with("# source: EC2 DescribeInstanceTypeOfferings"));
}

#[tokio::test]
async fn missing_permissions_are_named_all_at_once() {
    let mut world = small();
    world.denied = ["DescribeSpotPriceHistory", "GetProducts"].into();
    let server = Server::start(world).await;
    let error = fetched(&server).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "these credentials may not call ec2:DescribeSpotPriceHistory, pricing:GetProducts"
    );
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.starts_with("UnauthorizedOperation: User: u is not"),
        "{source}"
    );
    assert_eq!(
        server.calls("DescribeSpotPriceHistory", 403),
        1,
        "it is not tried again"
    );
}

#[tokio::test]
async fn an_answer_that_is_none_names_the_call_and_the_page() {
    let more = |mut world: World| {
        for at in 0..150 {
            world
                .types
                .push(item(&format!("n{at}.large"), "x86_64", "x86_64"));
            world
                .products
                .push(product(&format!("n{at}.large"), "1.0", &[]));
        }
        world
    };
    for (call, text, expected) in [
        (
            "DescribeInstanceTypes",
            "<DescribeInstanceTypesResponse><instanceTypeSet><item>",
            "ec2:DescribeInstanceTypes can't be read, in page 2: ",
        ),
        (
            "DescribeInstanceTypes",
            "<DescribeInstanceTypesResponse/>",
            "page 2: it has no instanceTypeSet",
        ),
        (
            "DescribeInstanceTypes",
            "<r><instanceTypeSet><item/></instanceTypeSet></r>",
            "page 2: an item has no instanceType",
        ),
        (
            "DescribeInstanceTypes",
            "<!DOCTYPE r [<!ENTITY a \"b\">]><r><instanceTypeSet>&a;</instanceTypeSet></r>",
            "page 2: ",
        ),
        (
            "GetProducts",
            "{\"FormatVersion\": \"aws_v1\"}",
            "pricing:GetProducts can't be read, in page 2: it has no PriceList",
        ),
        ("GetProducts", "{\"PriceList\": [\"{\"]}", "page 2: "),
        (
            "GetProducts",
            "{\"PriceList\": [{}]}",
            "page 2: an entry of PriceList is no text",
        ),
    ] {
        let mut world = more(small());
        world.broken = Some((call, text.to_owned()));
        let error = fetched(&Server::start(world).await)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    for (price, at) in [("-1", "2026-11-21T10:00:00Z"), ("0.1", "yesterday")] {
        let mut world = small();
        world
            .spot_prices
            .push(spot("m5.large", "eu-central-1b", price, at));
        let error = fetched(&Server::start(world).await)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(
                "the answer to ec2:DescribeSpotPriceHistory can't be read, in page 1: `"
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn pages_without_end_and_regions_without_types_are_errors() {
    for call in ["DescribeInstanceTypes", "GetProducts"] {
        let mut world = small();
        world.endless = Some(call);
        let server = Server::start(world).await;
        let error = fetched(&server).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Endless { pages: 2, .. }),
            "{error}"
        );
    }
    let emptied: [fn(&mut World); 3] = [
        |world| world.types.clear(),
        |world| world.offerings.clear(),
        |world| world.products.clear(),
    ];
    for empty in emptied {
        let mut world = small();
        empty(&mut world);
        let error = fetched(&Server::start(world).await).await.unwrap_err();
        assert!(matches!(error, FetchError::Nothing { .. }), "{error}");
    }
    let mut world = small();
    world.spot_prices.clear();
    let fetched = fetched(&Server::start(world).await).await.unwrap();
    assert_eq!(
        fetched.offerings.all().len(),
        2,
        "a region may have no spot market"
    );
}
