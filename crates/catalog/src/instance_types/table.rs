//! The table of instance types: one text form for the one in the binary and the ones that are fetched later.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use super::sheet::{Cells, Problem, Sheet, TableError, head, optional};
use super::{
    Accelerator, Architecture, CpuManufacturer, Gpu, HourlyPrice, Hypervisor, InstanceType, Price,
};
use crate::date::Date;
use crate::ids::Region;

/// Made by `data/refresh-instance-types.py`; its first lines say from what.
static TEXT: &str = include_str!("../../data/instance-types.csv");

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    Table::parse(TEXT).expect("the vendored table is well formed: a test of this crate parses it")
});

/// The table in the binary, parsed at its first use: some milliseconds.
#[must_use]
pub fn table() -> &'static Table {
    &TABLE
}

/// The types of the table in the binary, in the order of their names.
#[must_use]
pub fn all() -> &'static [InstanceType] {
    table().types()
}

/// The type of that name in the table in the binary.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static InstanceType> {
    table().by_name(name)
}

/// Instance types with their prices in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    source: String,
    date: Date,
    region: Region,
    types: Vec<InstanceType>,
}

const COLUMNS: &[&str] = &[
    "type",
    "arch",
    "cpu",
    "hypervisor",
    "vcpu",
    "memory_mib",
    "clock_mhz",
    "network_mbps",
    "ebs_mbps",
    "local_nvme_gb",
    "enis",
    "pod_enis",
    "ipv4_per_eni",
    "branch_enis",
    "efas",
    "encryption",
    "gpu",
    "accelerator",
    "usd_per_hour",
];

/// More than any machine has of anything, and small enough that what is computed from two of them fits 64 bits.
const MOST: u32 = 1 << 30;

impl Table {
    /// Reads a table.
    ///
    /// Lines `# source: …`, `# date: 2026-07-20` and `# region: us-east-1` come first, then the line of the columns, then
    /// one line a type, in any order. Empty cells mean "not known" or "none"; numbers are whole, prices in US dollars.
    /// `gpu` is `manufacturer/name/count/memory_mib`, `accelerator` is `manufacturer/name/count/neuron_cores`, `hypervisor` is
    /// `none` for bare metal. Empty lines and other lines that start with `#` are passed over.
    ///
    /// # Errors
    /// The first line that can't be read, else a type that is there twice, else what the first lines lack.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let sheet = Sheet::read(text, COLUMNS)?;
        let mut types = Vec::with_capacity(sheet.rows.len());
        for (line, row) in &sheet.rows {
            let of = instance_type(row).map_err(|problem| TableError {
                line: *line,
                problem,
            })?;
            types.push((of, *line));
        }
        if types.is_empty() {
            return Err(TableError {
                line: sheet.last,
                problem: Problem::Empty("instance types"),
            });
        }
        types.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
        for pair in types.windows(2) {
            let [(earlier, first), (of, line)] = pair else {
                continue;
            };
            if earlier.name == of.name {
                return Err(TableError {
                    line: *line,
                    problem: Problem::Duplicate {
                        name: of.name.to_string(),
                        first: *first,
                    },
                });
            }
        }
        Ok(Self {
            source: sheet.header("source")?,
            date: sheet.header("date")?,
            region: sheet.header("region")?,
            types: types.into_iter().map(|(of, _)| of).collect(),
        })
    }

    /// A table of these types. It is written and read back, so that what is in a table can always be written.
    ///
    /// # Errors
    /// As [`Table::parse`]: a type that is there twice, one that is out of range, or none at all.
    pub fn new(
        source: &str,
        date: Date,
        region: &Region,
        types: &[InstanceType],
    ) -> Result<Self, TableError> {
        let mut text = head(source, date, region, COLUMNS);
        for of in types {
            text.push_str(&row(of));
            text.push('\n');
        }
        Self::parse(&text)
    }

    /// Where the facts are from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The day of the prices.
    #[must_use]
    pub const fn date(&self) -> Date {
        self.date
    }

    /// The region of the prices.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The types in the order of their names.
    #[must_use]
    pub fn types(&self) -> &[InstanceType] {
        &self.types
    }

    /// The type of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&InstanceType> {
        self.types
            .binary_search_by(|of| of.name.as_str().cmp(name))
            .ok()
            .map(|at| &self.types[at])
    }

    /// The on-demand price of one of its types in a region, or in the table's own in its place. `None`: it has no listed price.
    #[must_use]
    pub fn on_demand(&self, of: &InstanceType, region: &Region) -> Option<Price<'_>> {
        let price = of.on_demand?;
        Some(if *region == self.region {
            Price::Known(price)
        } else {
            Price::Elsewhere {
                region: &self.region,
                price,
            }
        })
    }
}

/// The text that [`Table::parse`] reads.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&head(&self.source, self.date, &self.region, COLUMNS))?;
        for of in &self.types {
            writeln!(f, "{}", row(of))?;
        }
        Ok(())
    }
}

impl InstanceType {
    /// The type, if a table can hold it: no number is out of range, and names are plain words.
    ///
    /// # Errors
    /// The first cell that could not be read back.
    pub fn checked(self) -> Result<Self, Problem> {
        instance_type(&row(&self))
    }
}

fn whole(cells: &mut Cells<'_>, least: u32) -> Result<u32, Problem> {
    let expected = if least == 0 {
        "a whole number"
    } else {
        "a whole number, not 0"
    };
    cells.read(expected, |text| number(text).filter(|read| *read >= least))
}

fn whole_or_none(cells: &mut Cells<'_>) -> Result<Option<u32>, Problem> {
    cells.read("a whole number or nothing", |text| optional(text, number))
}

fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = plain.then(|| text.parse().ok()).flatten();
    read.filter(|read| *read <= MOST)
}

fn word(text: &str) -> Option<Box<str>> {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
        });
    plain.then(|| text.into())
}

/// `manufacturer/name/number/number`
fn device(text: &str) -> Option<(Box<str>, Box<str>, u32, u32)> {
    let mut parts = text.split('/');
    let read = (
        word(parts.next()?)?,
        word(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    );
    parts.next().is_none().then_some(read)
}

fn instance_type(line: &str) -> Result<InstanceType, Problem> {
    let mut cells = Cells::new(line, COLUMNS)?;
    Ok(InstanceType {
        name: cells.read("a name such as m5.large", |text| text.parse().ok())?,
        architecture: cells.read("amd64 or arm64", |text| match text {
            "amd64" => Some(Architecture::Amd64),
            "arm64" => Some(Architecture::Arm64),
            _ => None,
        })?,
        cpu_manufacturer: cells.read("aws, amd or intel", |text| match text {
            "aws" => Some(CpuManufacturer::Aws),
            "amd" => Some(CpuManufacturer::Amd),
            "intel" => Some(CpuManufacturer::Intel),
            _ => None,
        })?,
        hypervisor: cells.read("nitro, xen or none", |text| match text {
            "nitro" => Some(Hypervisor::Nitro),
            "xen" => Some(Hypervisor::Xen),
            "none" => Some(Hypervisor::BareMetal),
            _ => None,
        })?,
        vcpu: whole(&mut cells, 1)?,
        memory_mib: whole(&mut cells, 1)?,
        clock_mhz: whole(&mut cells, 0)?,
        network_mbps: whole_or_none(&mut cells)?,
        ebs_mbps: whole_or_none(&mut cells)?,
        local_nvme_gb: whole_or_none(&mut cells)?,
        max_enis: whole_or_none(&mut cells)?,
        pod_enis: whole(&mut cells, 1)?,
        ipv4_per_eni: whole(&mut cells, 1)?,
        branch_enis: whole(&mut cells, 0)?,
        efas: whole(&mut cells, 0)?,
        encryption_in_transit: cells.read("yes or no", |text| match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })?,
        gpu: cells.read("manufacturer/name/count/memory_mib or nothing", |text| {
            optional(text, |text| {
                let (manufacturer, name, count, memory_mib) = device(text)?;
                Some(Gpu {
                    manufacturer,
                    name,
                    count,
                    memory_mib,
                })
            })
        })?,
        accelerator: cells.read("manufacturer/name/count/neuron_cores or nothing", |text| {
            optional(text, |text| {
                let (manufacturer, name, count, neuron_cores) = device(text)?;
                Some(Accelerator {
                    manufacturer,
                    name,
                    count,
                    neuron_cores,
                })
            })
        })?,
        on_demand: cells.read("US dollars an hour, such as 0.096, or nothing", |text| {
            optional(text, |text| text.parse::<HourlyPrice>().ok())
        })?,
    })
}

/// The line that [`instance_type`] reads.
fn row(of: &InstanceType) -> String {
    let or_none = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut text = String::with_capacity(100);
    let hypervisor = match of.hypervisor {
        Hypervisor::BareMetal => "none",
        other => other.as_str(),
    };
    let gpu = of.gpu.as_ref().map(|gpu| {
        let (manufacturer, name) = (&gpu.manufacturer, &gpu.name);
        format!("{manufacturer}/{name}/{}/{}", gpu.count, gpu.memory_mib)
    });
    let accelerator = of.accelerator.as_ref().map(|of| {
        let (manufacturer, name) = (&of.manufacturer, &of.name);
        format!("{manufacturer}/{name}/{}/{}", of.count, of.neuron_cores)
    });
    let price = of.on_demand.map(|price| price.to_string());
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{},{},{},{hypervisor},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
        of.name,
        of.architecture.as_str(),
        of.cpu_manufacturer.as_str(),
        of.vcpu,
        of.memory_mib,
        of.clock_mhz,
        or_none(of.network_mbps),
        or_none(of.ebs_mbps),
        or_none(of.local_nvme_gb),
        or_none(of.max_enis),
        of.pod_enis,
        of.ipv4_per_eni,
        of.branch_enis,
        of.efas,
        if of.encryption_in_transit {
            "yes"
        } else {
            "no"
        },
        gpu.unwrap_or_default(),
        accelerator.unwrap_or_default(),
        price.unwrap_or_default(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::NodeSettings;
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "# source: a test\n# date: 2026-07-20\n# region: eu-west-1\n";
    const ROW: &str = "m5.large,amd64,intel,nitro,2,8192,3100,750,4750,,3,3,10,9,0,no,,,0.096";

    fn text(rows: &[&str]) -> String {
        format!("{HEAD}{}\n{}\n", COLUMNS.join(","), rows.join("\n"))
    }

    fn error(text: &str) -> String {
        Table::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_vendored_table_is_whole() {
        let table = Table::parse(TEXT).unwrap();
        assert_eq!(table.types().len(), 1363);
        assert_eq!(table.region().as_str(), "us-east-1");
        assert_eq!(table.date(), Date::new(2026, 7, 20));
        assert!(table.source().contains("karpenter-provider-aws"));
        assert!(
            table
                .types()
                .is_sorted_by(|left, right| left.name < right.name)
        );
        for of in table.types() {
            assert_eq!(table.by_name(of.name()), Some(of));
            assert_eq!(
                of.architecture == Architecture::Arm64,
                of.cpu_manufacturer == CpuManufacturer::Aws,
                "{}: only AWS's own processors are arm64",
                of.name
            );
            assert!(
                of.max_enis.is_none_or(|all| all >= of.pod_enis),
                "{}",
                of.name
            );
            assert_ne!(of.on_demand, Some(HourlyPrice::default()), "{}", of.name);
        }
        let unpriced = table.types().iter().filter(|of| of.on_demand.is_none());
        assert_eq!(unpriced.count(), 18);
        assert!(
            TEXT.len() < 150_000,
            "{} bytes go into the binary",
            TEXT.len()
        );
    }

    #[test]
    fn a_table_is_written_as_it_is_read() {
        // Cell by cell the text that it was read from; a price may have had zeros at its end.
        let written = table().to_string();
        assert_eq!(written.lines().count(), TEXT.lines().count());
        for (written, read) in written.lines().zip(TEXT.lines()) {
            let (row, price) = written.rsplit_once(',').unwrap_or((written, ""));
            let (expected, listed) = read.rsplit_once(',').unwrap_or((read, ""));
            assert_eq!(row, expected);
            assert!(
                listed.trim_end_matches(['0', '.']) == price.trim_end_matches(['0', '.']),
                "{read}"
            );
        }
        let region = Region::new("eu-west-1").unwrap();
        let day = Date::new(2026, 11, 21);
        let made = Table::new("AWS,\n# region: us-east-1", day, &region, all()).unwrap();
        assert_eq!(made.source(), "AWS, # region: us-east-1", "on one line");
        assert_eq!((made.region(), made.date()), (&region, day));
        assert!(made.types() == all());
        assert!(Table::parse(&made.to_string()).as_ref() == Ok(&made));
        assert!(Table::new("AWS", day, &region, &[]).is_err());
    }

    #[test]
    fn what_a_table_cannot_hold_is_told() {
        let of = by_name("g5.12xlarge").unwrap();
        assert_eq!(of.clone().checked().as_ref(), Ok(of));
        let mut none = of.clone();
        none.pod_enis = 0;
        let error = none.checked().unwrap_err().to_string();
        assert_eq!(error, "pod_enis is `0`: expected a whole number, not 0");
        let mut strange = of.clone();
        strange.gpu.as_mut().unwrap().name = "a,b".into();
        assert!(strange.checked().is_err());
        let mut huge = of.clone();
        huge.memory_mib = u32::MAX;
        assert!(huge.checked().is_err());
    }

    #[test]
    fn prices_say_of_which_region_they_are() {
        let (home, away) = (
            Region::new("us-east-1").unwrap(),
            Region::new("eu-west-1").unwrap(),
        );
        let of = by_name("m5.large").unwrap();
        let price = HourlyPrice::from_micro_usd(96_000);
        assert_eq!(table().on_demand(of, &home), Some(Price::Known(price)));
        assert_eq!(
            table().on_demand(of, &away),
            Some(Price::Elsewhere {
                region: &home,
                price
            })
        );
        let unpriced = by_name("trn2.48xlarge").unwrap();
        assert_eq!(table().on_demand(unpriced, &home), None);
    }

    #[test]
    fn a_table_of_ones_own() {
        let cheap = ROW.replace("m5.large", "a1.small").replace("0.096", "");
        let table = Table::parse(&text(&[ROW, "", "# between", &cheap])).unwrap();
        assert_eq!(table.types().len(), 2);
        assert_eq!(table.types()[0].name(), "a1.small");
        assert_eq!(table.by_name("m5.large"), by_name("m5.large"));
        assert_eq!(table.by_name("m5.xlarge"), None);
        assert_eq!(table.region().as_str(), "eu-west-1");
        let windows = text(&[ROW]).replace('\n', "\r\n");
        assert!(Table::parse(&windows).is_ok());
    }

    #[test]
    fn errors_name_the_line() {
        let with = |from: &str, to: &str| {
            text(&[ROW, &ROW.replace("m5.large", "m5.other").replace(from, to)])
        };
        for (table, expected) in [
            (
                with(",8192,", ",8 GiB,"),
                "line 6: memory_mib is `8 GiB`: expected a whole number, not 0",
            ),
            (
                with(",8192,", ",0,"),
                "line 6: memory_mib is `0`: expected a whole number, not 0",
            ),
            (
                with(",8192,", ",99999999999,"),
                "line 6: memory_mib is `99999999999`: expected a whole number, not 0",
            ),
            (
                with(",0.096", ",-1"),
                "line 6: usd_per_hour is `-1`: expected US dollars an hour, such as 0.096, or nothing",
            ),
            (
                with("amd64", "x86_64"),
                "line 6: arch is `x86_64`: expected amd64 or arm64",
            ),
            (
                with("m5.other", "m5"),
                "line 6: type is `m5`: expected a name such as m5.large",
            ),
            (
                with(",no,,", ",no,nvidia/t4/1,"),
                "line 6: gpu is `nvidia/t4/1`: expected manufacturer/name/count/memory_mib or nothing",
            ),
            (with(",no,,,", ",no,,"), "line 6: 18 cells instead of 19"),
            (with("0.096", "0.096,"), "line 6: 20 cells instead of 19"),
            (text(&[ROW, ROW]), "line 6: m5.large is in line 5 already"),
            (text(&[]), "line 5: there are no instance types"),
            (
                text(&[ROW]).replace("# region", "# place"),
                "line 4: there is no `# region: …` before this line",
            ),
        ] {
            assert_eq!(error(&table), expected);
        }
        assert!(error("").starts_with("line 1: the columns have to be `type,arch,"));
        assert!(error(&text(&[ROW]).replace("vcpu", "cores")).starts_with("line 4: the columns"));
        let no_day = text(&[ROW]).replace("07-20", "07-32");
        assert!(error(&no_day).starts_with("line 2: `# date: 2026-07-32` is not valid: "));
        let no_region = text(&[ROW]).replace("eu-west-1", "Ireland");
        assert!(error(&no_region).starts_with("line 3: `# region: Ireland` is not valid: "));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(at in 0..ROW.len(), with in "\\PC{0,6}", head in any::<bool>()) {
            let mut row = ROW.to_owned();
            row.replace_range(at..=at, &with);
            let table = if head { text(&[&row]) } else { row };
            if let Ok(table) = Table::parse(&table) {
                for of in table.types() {
                    prop_assert!(!of.labels().is_empty());
                    let size = of.node_size(&NodeSettings::default());
                    prop_assert!(size.allocatable().cpu_milli < size.capacity.cpu_milli);
                }
            }
        }
    }
}
