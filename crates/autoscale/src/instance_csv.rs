//! The user's own table of instance types.
//!
//! Columns: `instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,
//! spot_usd_per_hour,labels`. `zones` are separated by `;`, `labels` are `key=value;…`; an empty price means that it can't be
//! had that way.

use std::collections::HashMap;

use thiserror::Error;

use crate::instances::{CapacityType, InstanceType, MicroUsd, Offering};
use crate::names::{Key, Names};
use crate::requirement::{Requirement, Requirements};
use crate::resources::{Resource, Resources};

/// The columns, in the order in which they are documented; a table may have them in any order.
pub const COLUMNS: [&str; 12] = [
    "instance_type",
    "arch",
    "os",
    "zones",
    "vcpu",
    "memory_mib",
    "pods",
    "overhead_cpu_milli",
    "overhead_memory_mib",
    "on_demand_usd_per_hour",
    "spot_usd_per_hour",
    "labels",
];

/// What is wrong with a table, and where; both count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {reason}")]
pub struct CsvError {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads a table.
///
/// # Errors
///
/// Everything that is wrong, by line; with an error no type is given.
pub fn parse(text: &str, names: &mut Names) -> Result<Vec<InstanceType>, Vec<CsvError>> {
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_end_matches('\r')))
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((line, header)) = lines.next() else {
        return Err(vec![CsvError {
            line: 1,
            column: 1,
            reason: "the table is empty".to_owned(),
        }]);
    };
    let order = columns(line, header)?;
    let mut errors = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut types = Vec::new();
    for (line, text) in lines {
        let row = Row::new(line, text, &order);
        let name = row.cell(0).1;
        if let Some(first) = seen.insert(name.to_owned(), line) {
            errors.push(row.error(0, format!("`{name}` is in line {first} already")));
        }
        match row.read(names) {
            Ok(kind) => types.push(kind),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() && types.is_empty() {
        errors.push(CsvError {
            line,
            column: 1,
            reason: "the table has no instance type".to_owned(),
        });
    }
    if errors.is_empty() {
        Ok(types)
    } else {
        Err(errors)
    }
}

/// Where each column of [`COLUMNS`] is in the table.
fn columns(line: usize, header: &str) -> Result<[Option<usize>; 12], Vec<CsvError>> {
    let mut order = [None; 12];
    let mut errors = Vec::new();
    for (position, (column, name)) in cells(header).into_iter().enumerate() {
        match COLUMNS.iter().position(|known| *known == name.trim()) {
            Some(index) if order[index].is_none() => order[index] = Some(position),
            Some(_) => errors.push(CsvError {
                line,
                column,
                reason: format!("the column `{}` comes twice", name.trim()),
            }),
            None => errors.push(CsvError {
                line,
                column,
                reason: format!("there is no column `{}`", name.trim()),
            }),
        }
    }
    for (index, name) in COLUMNS.iter().enumerate() {
        if order[index].is_none() && *name != "labels" && *name != "spot_usd_per_hour" {
            errors.push(CsvError {
                line,
                column: 1,
                reason: format!("the column `{name}` is missing"),
            });
        }
    }
    if errors.is_empty() {
        Ok(order)
    } else {
        Err(errors)
    }
}

/// The cells of a line and the columns where they start. A cell in double quotes may have commas.
fn cells(line: &str) -> Vec<(usize, &str)> {
    let mut cells = Vec::new();
    let (mut start, mut column, mut quoted) = (0, 1, false);
    let mut start_column = 1;
    for (index, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                cells.push((start_column, &line[start..index]));
                start = index + 1;
                start_column = column + 1;
            }
            _ => {}
        }
        column += 1;
    }
    cells.push((start_column, &line[start..]));
    cells
}

struct Row<'a> {
    line: usize,
    cells: [(usize, &'a str); 12],
}

impl<'a> Row<'a> {
    fn new(line: usize, text: &'a str, order: &[Option<usize>; 12]) -> Self {
        let found = cells(text);
        let end = text.chars().count() + 1;
        let cells = order.map(|position| {
            position
                .and_then(|position| found.get(position).copied())
                .map_or((end, ""), |(column, cell)| {
                    (column, cell.trim().trim_matches('"').trim())
                })
        });
        Self { line, cells }
    }

    fn cell(&self, index: usize) -> (usize, &'a str) {
        self.cells[index]
    }

    fn error(&self, index: usize, reason: String) -> CsvError {
        CsvError {
            line: self.line,
            column: self.cells[index].0,
            reason,
        }
    }

    fn number(&self, index: usize, most: i64, errors: &mut Vec<CsvError>) -> i64 {
        let (_, text) = self.cell(index);
        match text.parse::<i64>() {
            Ok(number) if (0..=most).contains(&number) => number,
            _ => {
                let reason = format!(
                    "{}: `{text}` is no whole number from 0 to {most}",
                    COLUMNS[index]
                );
                errors.push(self.error(index, reason));
                0
            }
        }
    }

    fn price(&self, index: usize, errors: &mut Vec<CsvError>) -> Option<MicroUsd> {
        let (_, text) = self.cell(index);
        if text.is_empty() {
            return None;
        }
        let micros = micro_usd(text);
        if micros.is_none() {
            let reason = format!(
                "{}: `{text}` is no price in dollars from 0 to 1000000",
                COLUMNS[index]
            );
            errors.push(self.error(index, reason));
        }
        micros
    }

    fn read(&self, names: &mut Names) -> Result<InstanceType, Vec<CsvError>> {
        let mut errors = Vec::new();
        let (_, name) = self.cell(0);
        if name.is_empty() {
            errors.push(self.error(0, "instance_type is empty".to_owned()));
        }
        let cpu = self.vcpu(&mut errors);
        let mebibytes = |number: i64| number << 20;
        let memory = self.number(5, 1 << 30, &mut errors);
        let pods = self.number(6, 100_000, &mut errors);
        let overhead_cpu = self.number(7, 1 << 30, &mut errors);
        let overhead_memory = self.number(8, 1 << 30, &mut errors);
        let on_demand = self.price(9, &mut errors);
        let spot = self.price(10, &mut errors);
        let mut requirements = Requirements::default();
        let value = names.value(name);
        requirements.add(names, Requirement::is(Key::INSTANCE_TYPE, value));
        for (index, key) in [(1, Key::ARCH), (2, Key::OS), (3, Key::ZONE)] {
            let list: Vec<&str> = split(self.cell(index).1).collect();
            if list.is_empty() {
                errors.push(self.error(index, format!("{} is empty", COLUMNS[index])));
            }
            let values = list.into_iter().map(|text| names.value(text)).collect();
            requirements.add(names, Requirement::one_of(key, values));
        }
        for label in split(self.cell(11).1) {
            match label.split_once('=') {
                Some((key, text)) if !key.trim().is_empty() => {
                    let key = names.key(key.trim());
                    names.make_well_known(key);
                    let text = names.value(text.trim());
                    requirements.set(Requirement::is(key, text));
                }
                _ => errors.push(self.error(11, format!("labels: `{label}` is no key=value"))),
            }
        }
        let zones = requirements
            .get(Key::ZONE)
            .map(|zones| zones.values.clone())
            .unwrap_or_default();
        let mut offerings = Vec::new();
        for (capacity_type, price) in [
            (CapacityType::Spot, spot),
            (CapacityType::OnDemand, on_demand),
        ] {
            let Some(price) = price else {
                continue;
            };
            offerings.extend(zones.iter().map(|zone| Offering {
                zone: *zone,
                capacity_type,
                price,
                available: true,
            }));
        }
        let mut kinds: Vec<_> = offerings
            .iter()
            .map(|offering| offering.capacity_type.value())
            .collect();
        kinds.dedup();
        requirements.set(Requirement::one_of(Key::CAPACITY_TYPE, kinds));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(InstanceType {
            name: value,
            exotic: name.contains("metal"),
            capacity: with_disk(Resources::new(cpu, mebibytes(memory), pods), DISK),
            overhead: with_disk(
                Resources::new(overhead_cpu, mebibytes(overhead_memory), 0),
                DISK_OVERHEAD,
            ),
            requirements,
            offerings,
        })
    }

    /// Thousandths of a core; `0.5` is half of one.
    fn vcpu(&self, errors: &mut Vec<CsvError>) -> i64 {
        let (_, text) = self.cell(4);
        match text.parse::<objects::Quantity>() {
            Ok(cores) if !cores.is_negative() && cores.units() <= 100_000 => cores.milli(),
            _ => {
                errors.push(self.error(4, format!("vcpu: `{text}` is no number from 0 to 100000")));
                0
            }
        }
    }
}

/// The table has no column for the disk: it is Karpenter's default volume of 20 GiB, of which it keeps 1 GiB for Kubernetes
/// and a tenth against eviction (AWS provider, `pkg/providers/instancetype/types.go`).
const DISK: i64 = 20 << 30;
const DISK_OVERHEAD: i64 = 3 << 30;

fn with_disk(mut amounts: Resources, disk: i64) -> Resources {
    amounts[Resource::EPHEMERAL_STORAGE] = disk;
    amounts
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// Dollars as millionths, exactly; more than six decimals are rounded up.
fn micro_usd(text: &str) -> Option<MicroUsd> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !plain {
        return None;
    }
    let micros = format!("{text}e6")
        .parse::<objects::Quantity>()
        .ok()?
        .units();
    (0..=1_000_000_000_000)
        .contains(&micros)
        .then_some(MicroUsd(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,spot_usd_per_hour,labels\n";

    #[test]
    fn a_table_gives_types_with_their_offerings() {
        let mut names = Names::default();
        let text = format!(
            "{HEADER}m5.large,amd64,linux,a;b,2,8192,29,70,1289,0.096,,karpenter.k8s.aws/instance-family=m5\n"
        );
        let types = parse(&text, &mut names).unwrap();
        assert_eq!(types[0].offerings.len(), 2);
        assert_eq!(types[0].offerings[0].price, MicroUsd(96_000));
        assert_eq!(
            types[0].allocatable(),
            with_disk(Resources::new(1930, 6903 << 20, 29), 17 << 30)
        );
        let family = types[0].requirements.get(Key::INSTANCE_FAMILY).unwrap();
        assert_eq!(family.single(), names.find_value("m5"));
    }

    #[test]
    fn faults_are_told_with_line_and_column() {
        let mut names = Names::default();
        let fault = |row: &str| {
            let errors = parse(&format!("{HEADER}{row}\n"), &mut Names::default()).unwrap_err();
            errors[0].to_string()
        };
        assert_eq!(
            fault("x,amd64,linux,a,2,1,1,0,0,-0.1,,"),
            "2:27: on_demand_usd_per_hour: `-0.1` is no price in dollars from 0 to 1000000"
        );
        assert_eq!(
            fault("x,amd64,linux,a,two,1,1,0,0,0.1,,"),
            "2:17: vcpu: `two` is no number from 0 to 100000"
        );
        assert_eq!(
            fault("x,amd64,linux,,2,1,1,0,0,0.1,,"),
            "2:15: zones is empty"
        );
        assert_eq!(
            parse("a,b\n", &mut names).unwrap_err()[0].to_string(),
            "1:1: there is no column `a`"
        );
        assert_eq!(parse("", &mut names).unwrap_err()[0].line, 1);
        assert_eq!(
            parse(HEADER, &mut names).unwrap_err()[0].reason,
            "the table has no instance type"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_table_panics(text in "[ -~\n;,\"]{0,200}") {
            let _ = parse(&text, &mut Names::default());
            let _ = parse(&format!("{HEADER}{text}"), &mut Names::default());
        }
    }
}
