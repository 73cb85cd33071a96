//! Reading quantities as people write them: a number, a space, a unit.

use std::fmt;

use super::{Bandwidth, Bytes, FlopRate, SimDuration};
use crate::base::near::did_you_mean;

/// A type that users write as a number with a unit.
pub trait Quantity: Sized {
    /// What it is called in messages: `"bandwidth"`.
    const KIND: &'static str;
    /// A good example, shown when the user's text is refused.
    const EXAMPLE: &'static str;
    /// Accepted units and the factor to the base unit.
    const UNITS: &'static [(&'static str, f64)];
    /// Other spellings that are accepted too, and the unit that each stands for.
    const SPELLINGS: &'static [(&'static str, &'static str)] = &[];
    /// The least and the greatest value accepted, in the base unit, both inclusive.
    const RANGE: (f64, f64);

    /// The value from a number of base units already known to be in [`Self::RANGE`].
    fn from_base(value: f64) -> Self;
}

/// Why a text is not a quantity; its `Display` says how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.found, self.help)
    }
}

impl std::error::Error for QuantityError {}

/// Reads `text` as a `Q`, e.g. `"450 GB/s"` as a [`Bandwidth`].
///
/// # Errors
/// If the number or the unit is missing, unknown or out of range.
pub fn parse_quantity<Q: Quantity>(text: &str) -> Result<Q, QuantityError> {
    let text = text.trim();
    let help = || format!("write a {} with its unit, such as \"{}\"", Q::KIND, Q::EXAMPLE);
    let unit_at = unit_start(text);
    let (number, unit) = (text[..unit_at].trim(), text[unit_at..].trim());
    let Ok(value) = number.replace('_', "").parse::<f64>() else {
        return Err(QuantityError {
            found: format!("`{text}` is not a valid {}", Q::KIND),
            help: help(),
        });
    };
    if unit.is_empty() {
        return Err(QuantityError { found: format!("`{text}` has no unit"), help: help() });
    }
    let spelled = Q::SPELLINGS.iter().find(|(other, _)| *other == unit);
    let unit = spelled.map_or(unit, |(_, unit)| unit);
    let Some((_, factor)) = Q::UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(QuantityError {
            found: format!("`{unit}` is not a unit of {}", Q::KIND),
            help: unit_help::<Q>(unit),
        });
    };
    let base = value * factor;
    let (least, most) = Q::RANGE;
    if !(least..=most).contains(&base) {
        return Err(QuantityError {
            found: format!("`{text}` is out of range for a {}", Q::KIND),
            help: format!("give between {} and {}", in_base::<Q>(least), in_base::<Q>(most)),
        });
    }
    Ok(Q::from_base(base))
}

/// Advice on a unit that is none: those that differ in case or joints alone, else all.
fn unit_help<Q: Quantity>(unit: &str) -> String {
    let known: Vec<&str> = Q::UNITS.iter().map(|(name, _)| *name).collect();
    let plain = |unit: &str| unit.to_lowercase().replace([' ', '/', 'p'], "");
    let alike: Vec<&str> =
        known.iter().copied().filter(|name| plain(name) == plain(unit)).collect();
    match &alike[..] {
        [] => format!("use one of {}", known.join(", ")),
        alike => did_you_mean(alike),
    }
}

/// Where the unit begins: after the digits, sign, dot, underscores and exponent.
fn unit_start(text: &str) -> usize {
    let number_like = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | '_');
    let mantissa = text.find(|c: char| !number_like(c)).unwrap_or(text.len());
    let rest = &text[mantissa..];
    let exponent = rest.strip_prefix(['e', 'E']).and_then(|after| {
        let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
        let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        (len > 0).then(|| rest.len() - digits.len() + len)
    });
    mantissa + exponent.unwrap_or(0)
}

fn in_base<Q: Quantity>(value: f64) -> String {
    let base = Q::UNITS.iter().find(|(_, factor)| *factor == 1.0).map_or("", |(name, _)| *name);
    if value == 0.0 || (1e-3..1e4).contains(&value.abs()) {
        format!("{value} {base}")
    } else {
        format!("{value:e} {base}")
    }
}

impl Quantity for Bandwidth {
    const KIND: &'static str = "bandwidth";
    const EXAMPLE: &'static str = "450 GB/s";
    const UNITS: &'static [(&'static str, f64)] = &[
        ("B/s", 1.0),
        ("kB/s", 1e3),
        ("MB/s", 1e6),
        ("GB/s", 1e9),
        ("TB/s", 1e12),
        ("KiB/s", 1024.0),
        ("MiB/s", 1_048_576.0),
        ("GiB/s", 1_073_741_824.0),
        ("b/s", 0.125),
        ("kb/s", 0.125e3),
        ("Mb/s", 0.125e6),
        ("Gb/s", 0.125e9),
        ("Tb/s", 0.125e12),
    ];
    const SPELLINGS: &'static [(&'static str, &'static str)] = &[
        ("Bps", "B/s"),
        ("kBps", "kB/s"),
        ("MBps", "MB/s"),
        ("GBps", "GB/s"),
        ("TBps", "TB/s"),
        ("bps", "b/s"),
        ("kbps", "kb/s"),
        ("Mbps", "Mb/s"),
        ("Gbps", "Gb/s"),
        ("Tbps", "Tb/s"),
        ("bit/s", "b/s"),
        ("kbit/s", "kb/s"),
        ("Mbit/s", "Mb/s"),
        ("Gbit/s", "Gb/s"),
        ("Tbit/s", "Tb/s"),
    ];
    const RANGE: (f64, f64) = (1.0, 1e18);

    fn from_base(value: f64) -> Self {
        Self::from_bytes_per_sec(value)
    }
}

impl Quantity for SimDuration {
    const KIND: &'static str = "time";
    const EXAMPLE: &'static str = "2 us";
    const UNITS: &'static [(&'static str, f64)] = &[
        ("s", 1.0),
        ("ms", 1e-3),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ns", 1e-9),
        ("ps", 1e-12),
        ("min", 60.0),
        ("h", 3600.0),
    ];
    // The Greek letter; the unit above is the micro sign. Both look alike.
    const SPELLINGS: &'static [(&'static str, &'static str)] = &[("μs", "us")];
    const RANGE: (f64, f64) = (0.0, 86_400.0);

    fn from_base(value: f64) -> Self {
        // To the nearest picosecond: "2 us" is 2e-6 s only up to the last bit of an f64, and a
        // latency as written must not grow by the rounding up that data gets.
        Self::from_ps((value * 1e12).round() as u64)
    }
}

impl Quantity for Bytes {
    const KIND: &'static str = "size";
    const EXAMPLE: &'static str = "4 KiB";
    const UNITS: &'static [(&'static str, f64)] = &[
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ];
    const RANGE: (f64, f64) = (0.0, 1e18);

    fn from_base(value: f64) -> Self {
        Self(value.round() as u64)
    }
}

impl Quantity for FlopRate {
    const KIND: &'static str = "compute rate";
    const EXAMPLE: &'static str = "312 TFLOP/s";
    const UNITS: &'static [(&'static str, f64)] = &[
        ("FLOP/s", 1.0),
        ("MFLOP/s", 1e6),
        ("GFLOP/s", 1e9),
        ("TFLOP/s", 1e12),
        ("PFLOP/s", 1e15),
    ];
    const SPELLINGS: &'static [(&'static str, &'static str)] = &[
        ("MFLOPS", "MFLOP/s"),
        ("GFLOPS", "GFLOP/s"),
        ("TFLOPS", "TFLOP/s"),
        ("PFLOPS", "PFLOP/s"),
    ];
    const RANGE: (f64, f64) = (1.0, 1e21);

    fn from_base(value: f64) -> Self {
        Self::from_flops_per_sec(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_eighths_of_bytes() {
        assert_eq!(parse_quantity::<Bandwidth>("400 Gb/s"), parse_quantity("50 GB/s"));
        assert_eq!(parse_quantity::<Bandwidth>("1e3MB/s"), parse_quantity("1 GB/s"));
    }

    /// Data sheets and vendors' tools spell one unit in several ways.
    #[test]
    fn units_are_read_as_people_write_them() {
        for same in ["400 Gb/s", "400Gbps", "400 Gbit/s", "50 GBps", "0.4 Tbps"] {
            assert_eq!(parse_quantity::<Bandwidth>(same), parse_quantity("50 GB/s"), "{same}");
        }
        for (spelling, unit) in Bandwidth::SPELLINGS.iter().chain(FlopRate::SPELLINGS) {
            let is_known = |(name, _): &(&str, f64)| name == unit;
            let known = Bandwidth::UNITS.iter().chain(FlopRate::UNITS).any(is_known);
            assert!(known, "{spelling} stands for {unit}");
        }
        assert_eq!(parse_quantity::<FlopRate>("312 TFLOPS"), parse_quantity("312 TFLOP/s"));
        assert_eq!(parse_quantity::<SimDuration>("2 μs"), parse_quantity("2 us"));
        // Bits or bytes: who knows.
        let help = parse_quantity::<Bandwidth>("400 gbps").unwrap_err().help;
        assert_eq!(help, "did you mean `GB/s` or `Gb/s`?");
    }

    #[test]
    fn a_latency_is_exactly_what_was_written() {
        for (text, ps) in [
            ("2 us", 2_000_000),
            ("0.3us", 300_000),
            ("12.6 us", 12_600_000),
            // A product that lies above the whole number by its last bit.
            ("4.9 us", 4_900_000),
            ("0.1 ns", 100),
        ] {
            assert_eq!(parse_quantity::<SimDuration>(text).unwrap().ps(), ps);
        }
    }

    #[test]
    fn each_mistake_has_its_message() {
        let message = |text| parse_quantity::<Bandwidth>(text).unwrap_err().to_string();
        assert_eq!(
            message("450"),
            "`450` has no unit (write a bandwidth with its unit, such as \"450 GB/s\")"
        );
        assert_eq!(
            message("fast"),
            "`fast` is not a valid bandwidth (write a bandwidth with its unit, such as \"450 GB/s\")"
        );
        assert_eq!(
            message("4 GB"),
            "`GB` is not a unit of bandwidth (use one of B/s, kB/s, MB/s, GB/s, TB/s, KiB/s, MiB/s, \
             GiB/s, b/s, kb/s, Mb/s, Gb/s, Tb/s)"
        );
        assert_eq!(
            message("-1 GB/s"),
            "`-1 GB/s` is out of range for a bandwidth (give between 1 B/s and 1e18 B/s)"
        );
        assert_eq!(
            message("NaN GB/s"),
            "`NaN GB/s` is not a valid bandwidth (write a bandwidth with its unit, such as \"450 GB/s\")"
        );
    }
}
