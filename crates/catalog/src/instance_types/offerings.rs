//! Where instance types can be had, and for how much: what AWS tells an account of one region.

use std::fmt;

use super::sheet::{Cells, Problem, Sheet, TableError, head, optional};
use super::{HourlyPrice, InstanceTypeName};
use crate::date::Date;
use crate::ids::Region;

/// How capacity is bought. The names are those of Karpenter's label `karpenter.sh/capacity-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityType {
    /// By the hour, at the listed price.
    OnDemand,
    /// On the spot market: cheaper, and AWS can take it back.
    Spot,
}

impl CapacityType {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// An instance type in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offering {
    /// The type.
    pub instance_type: InstanceTypeName,
    /// The zone's name in the account that was asked (`eu-west-1a`).
    pub zone: Box<str>,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// US dollars an hour. `None`: it can be had, but the price is not known.
    pub price: Option<HourlyPrice>,
}

/// The offerings of one region on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offerings {
    source: String,
    date: Date,
    region: Region,
    /// By type, zone and capacity type.
    all: Vec<Offering>,
}

const COLUMNS: &[&str] = &["type", "zone", "capacity_type", "usd_per_hour"];

impl Offerings {
    /// Reads a table of offerings: lines `# source: …`, `# date: 2026-07-20` and `# region: us-east-1`, the line of the
    /// columns, then one line an offering, in any order. An empty price is one that is not known.
    ///
    /// # Errors
    /// The first line that can't be read, else an offering that is there twice, else what the first lines lack.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let sheet = Sheet::read(text, COLUMNS)?;
        let mut all = Vec::with_capacity(sheet.rows.len());
        for (line, row) in &sheet.rows {
            let read = offering(row).map_err(|problem| TableError {
                line: *line,
                problem,
            })?;
            all.push((read, *line));
        }
        if all.is_empty() {
            return Err(TableError {
                line: sheet.last,
                problem: Problem::Empty("offerings"),
            });
        }
        all.sort_by(|(left, _), (right, _)| key(left).cmp(&key(right)));
        for pair in all.windows(2) {
            let [(earlier, first), (of, line)] = pair else {
                continue;
            };
            if key(earlier) == key(of) {
                let name = format!(
                    "{} {} in {}",
                    of.instance_type,
                    of.capacity_type.as_str(),
                    of.zone
                );
                return Err(TableError {
                    line: *line,
                    problem: Problem::Duplicate {
                        name,
                        first: *first,
                    },
                });
            }
        }
        Ok(Self {
            source: sheet.header("source")?,
            date: sheet.header("date")?,
            region: sheet.header("region")?,
            all: all.into_iter().map(|(read, _)| read).collect(),
        })
    }

    /// A table of these offerings. It is written and read back, so that what is in a table can always be written.
    ///
    /// # Errors
    /// As [`Offerings::parse`]: an offering that is there twice, a zone that is no plain word, or none at all.
    pub fn new(
        source: &str,
        date: Date,
        region: &Region,
        offerings: &[Offering],
    ) -> Result<Self, TableError> {
        let mut text = head(source, date, region, COLUMNS);
        for offering in offerings {
            text.push_str(&row(offering));
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

    /// The region.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// All of them, by type, zone and capacity type.
    #[must_use]
    pub fn all(&self) -> &[Offering] {
        &self.all
    }

    /// Those of one type, by zone and capacity type. None: the region does not have the type.
    #[must_use]
    pub fn of(&self, instance_type: &str) -> &[Offering] {
        let name = |offering: &Offering| offering.instance_type.as_str().cmp(instance_type);
        let from = self.all.partition_point(|of| name(of).is_lt());
        let until = self.all.partition_point(|of| name(of).is_le());
        &self.all[from..until]
    }

    /// The names of the zones that have any type, in order.
    #[must_use]
    pub fn zones(&self) -> Vec<&str> {
        let mut zones: Vec<&str> = self.all.iter().map(|of| &*of.zone).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }
}

/// The text that [`Offerings::parse`] reads.
impl fmt::Display for Offerings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&head(&self.source, self.date, &self.region, COLUMNS))?;
        self.all
            .iter()
            .try_for_each(|offering| f.write_str(&row(offering)))
    }
}

fn key(of: &Offering) -> (&InstanceTypeName, &str, CapacityType) {
    (&of.instance_type, &of.zone, of.capacity_type)
}

fn row(of: &Offering) -> String {
    let price = of.price.map(|price| price.to_string()).unwrap_or_default();
    let capacity_type = of.capacity_type.as_str();
    format!("{},{},{capacity_type},{price}\n", of.instance_type, of.zone)
}

fn offering(line: &str) -> Result<Offering, Problem> {
    let mut cells = Cells::new(line, COLUMNS)?;
    Ok(Offering {
        instance_type: cells.read("a name such as m5.large", |text| text.parse().ok())?,
        zone: cells.read("a zone's name such as us-east-1a", |text| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (!text.is_empty() && text.bytes().all(plain)).then(|| text.into())
        })?,
        capacity_type: cells.read("on-demand or spot", |text| {
            [CapacityType::OnDemand, CapacityType::Spot]
                .into_iter()
                .find(|of| of.as_str() == text)
        })?,
        price: cells.read("US dollars an hour, such as 0.096, or nothing", |text| {
            optional(text, |text| text.parse::<HourlyPrice>().ok())
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# source: a test\n# date: 2026-11-21\n# region: eu-west-1\n\
        type,zone,capacity_type,usd_per_hour\n\
        m5.large,eu-west-1b,spot,0.0412\n\
        m5.large,eu-west-1a,on-demand,0.107\n\
        c5.large,eu-west-1c,on-demand,\n\
        m5.large,eu-west-1b,on-demand,0.107\n";

    fn error(text: &str) -> String {
        Offerings::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn offerings_are_found_by_type() {
        let offerings = Offerings::parse(TEXT).unwrap();
        let shown: Vec<String> = offerings.of("m5.large").iter().map(row).collect();
        assert_eq!(
            shown.concat(),
            "m5.large,eu-west-1a,on-demand,0.107\nm5.large,eu-west-1b,on-demand,0.107\nm5.large,eu-west-1b,spot,0.0412\n"
        );
        assert_eq!(offerings.of("c5.large")[0].price, None);
        assert_eq!(offerings.of("m5.xlarge"), []);
        assert_eq!(offerings.of(""), []);
        assert_eq!(
            offerings.zones(),
            ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
        );
        let (day, region) = (offerings.date(), offerings.region());
        assert_eq!(
            (day, region.as_str()),
            (Date::new(2026, 11, 21), "eu-west-1")
        );
        let again = Offerings::new(offerings.source(), day, region, offerings.all());
        assert_eq!(again.as_ref(), Ok(&offerings));
        assert_eq!(Offerings::parse(&offerings.to_string()), Ok(offerings));
    }

    #[test]
    fn errors_name_the_line() {
        for (from, to, expected) in [
            ("spot,0.0412", "spot,-1", "line 5: usd_per_hour is `-1`: "),
            ("spot", "reserved", "line 5: capacity_type is `reserved`: "),
            (
                "eu-west-1b,spot",
                "eu west,spot",
                "line 5: zone is `eu west`: ",
            ),
            ("c5.large,", "c5,", "line 7: type is `c5`: "),
            (",0.0412", "", "line 5: 3 cells instead of 4"),
            (
                "b,spot,0.0412",
                "a,on-demand,1",
                "line 6: m5.large on-demand in eu-west-1a is in line 5 already",
            ),
            ("# date", "# day", "line 4: there is no `# date: …`"),
            (
                "usd_per_hour",
                "price",
                "line 4: the columns have to be `type,zone,capacity_type,usd_per_hour`",
            ),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert!(error(&text).starts_with(expected), "{}", error(&text));
        }
        let none: String = TEXT
            .lines()
            .take(4)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(error(&none), "line 4: there are no offerings");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(at in 0..TEXT.len(), with in "\\PC{0,6}") {
            let mut text = TEXT.to_owned();
            text.replace_range(at..=at, &with);
            if let Ok(offerings) = Offerings::parse(&text) {
                prop_assert_eq!(Offerings::parse(&offerings.to_string()), Ok(offerings));
            }
        }
    }
}
