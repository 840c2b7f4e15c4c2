//! The table of instance types: one text form for the one in the binary and the ones that are fetched later.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;

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

/// A text that is no table of instance types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TableError {
    /// The line, from 1. For something that is missing: the line where it should have been.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line of a table of instance types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A line at the start that has to be there.
    #[error("there is no `# {0}: …` before this line")]
    MissingHeader(&'static str),
    /// A line at the start with a value that can't be read.
    #[error("`# {key}: {text}` is not valid: {reason}")]
    Header {
        /// Its key.
        key: &'static str,
        /// The value.
        text: String,
        /// Why not.
        reason: String,
    },
    /// Other columns than this version reads.
    #[error("the columns have to be `{}`", COLUMNS.join(","))]
    Columns,
    /// More or fewer cells than columns.
    #[error("{found} cells instead of {}", COLUMNS.len())]
    Cells {
        /// How many there are.
        found: usize,
    },
    /// A cell that can't be read.
    #[error("{column} is `{text}`: expected {expected}")]
    Cell {
        /// Its column.
        column: &'static str,
        /// What it says.
        text: String,
        /// What it should say.
        expected: &'static str,
    },
    /// A type that the table has twice.
    #[error("{name} is in line {first} already")]
    Duplicate {
        /// The type.
        name: String,
        /// Where it was first.
        first: usize,
    },
    /// A table without types.
    #[error("there are no instance types")]
    Empty,
}

const COLUMNS: [&str; 19] = [
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
        let mut headers: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        let mut types = Vec::new();
        let mut last = 1;
        let mut columns_at = None;
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            last = line_number;
            let at_line = |problem| TableError {
                line: line_number,
                problem,
            };
            let line = line.trim_end();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some((key, value)) = comment.split_once(':') {
                    headers
                        .entry(key.trim())
                        .or_insert((line_number, value.trim()));
                }
            } else if line.is_empty() {
            } else if columns_at.is_none() {
                if !line.split(',').eq(COLUMNS) {
                    return Err(at_line(Problem::Columns));
                }
                columns_at = Some(line_number);
            } else {
                types.push((instance_type(line).map_err(at_line)?, line_number));
            }
        }
        let columns_at = columns_at.ok_or(TableError {
            line: last,
            problem: Problem::Columns,
        })?;
        if types.is_empty() {
            return Err(TableError {
                line: last,
                problem: Problem::Empty,
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
            source: header(&headers, "source", columns_at)?,
            date: header(&headers, "date", columns_at)?,
            region: header(&headers, "region", columns_at)?,
            types: types.into_iter().map(|(of, _)| of).collect(),
        })
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
            .binary_search_by(|of| (*of.name).cmp(name))
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

fn header<T>(
    headers: &BTreeMap<&str, (usize, &str)>,
    key: &'static str,
    columns_at: usize,
) -> Result<T, TableError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let (line, text) = headers.get(key).ok_or(TableError {
        line: columns_at,
        problem: Problem::MissingHeader(key),
    })?;
    text.parse().map_err(|reason: T::Err| TableError {
        line: *line,
        problem: Problem::Header {
            key,
            text: (*text).to_owned(),
            reason: reason.to_string(),
        },
    })
}

/// The cells of a line, read from the left in the order of [`COLUMNS`].
struct Cells<'line> {
    cells: [&'line str; COLUMNS.len()],
    next: usize,
}

impl<'line> Cells<'line> {
    fn read<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'line str) -> Option<T>,
    ) -> Result<T, Problem> {
        let (column, text) = (COLUMNS[self.next], self.cells[self.next]);
        self.next += 1;
        read(text).ok_or_else(|| Problem::Cell {
            column,
            text: text.to_owned(),
            expected,
        })
    }

    fn number(&mut self, least: u32) -> Result<u32, Problem> {
        let expected = if least == 0 {
            "a whole number"
        } else {
            "a whole number, not 0"
        };
        self.read(expected, |text| number(text).filter(|read| *read >= least))
    }

    fn number_or_none(&mut self) -> Result<Option<u32>, Problem> {
        self.read("a whole number or nothing", |text| optional(text, number))
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = plain.then(|| text.parse().ok()).flatten();
    read.filter(|read| *read <= MOST)
}

/// `None` for an empty text, else what `read` makes of it.
#[allow(clippy::option_option)]
fn optional<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() {
        Some(None)
    } else {
        read(text).map(Some)
    }
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
    let mut cells = Cells {
        cells: [""; COLUMNS.len()],
        next: 0,
    };
    let mut found = 0;
    for cell in line.split(',') {
        if let Some(place) = cells.cells.get_mut(found) {
            *place = cell;
        }
        found += 1;
    }
    if found != COLUMNS.len() {
        return Err(Problem::Cells { found });
    }
    let (name, dot) = cells.read("a name such as m5.large", |text| {
        let (family, size) = text.split_once('.')?;
        let whole = !family.is_empty() && !size.is_empty() && !size.contains('.');
        Some((word(text).filter(|_| whole)?, family.len()))
    })?;
    Ok(InstanceType {
        name,
        dot,
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
        vcpu: cells.number(1)?,
        memory_mib: cells.number(1)?,
        clock_mhz: cells.number(0)?,
        network_mbps: cells.number_or_none()?,
        ebs_mbps: cells.number_or_none()?,
        local_nvme_gb: cells.number_or_none()?,
        max_enis: cells.number_or_none()?,
        pod_enis: cells.number(1)?,
        ipv4_per_eni: cells.number(1)?,
        branch_enis: cells.number(0)?,
        efas: cells.number(0)?,
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
