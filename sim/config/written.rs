//! Values as users write them: quantities with units and numbers within bounds.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::source::HELP_FOLLOWS;
use crate::base::units::{Quantity, parse_quantity};

/// What τ may be, in files and on the command line.
pub const TAU: RangeInclusive<f64> = 1e-3..=1e3;

/// A quantity written with its unit, such as `"450 GB/s"`; a bare number is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written<Q>(pub Q);

impl<'de, Q: Quantity> Deserialize<'de> for Written<Q> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor(PhantomData)).map(Self)
    }
}

struct QuantityVisitor<Q>(PhantomData<Q>);

impl<Q: Quantity> QuantityVisitor<Q> {
    fn refuse<E: Error>(found: impl fmt::Display) -> E {
        E::custom(format!(
            "`{found}` has no unit{HELP_FOLLOWS}write a {} with its unit, such as \"{}\"",
            Q::KIND,
            Q::EXAMPLE
        ))
    }
}

impl<Q: Quantity> Visitor<'_> for QuantityVisitor<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} with its unit, such as \"{}\"", Q::KIND, Q::EXAMPLE)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Q, E> {
        parse_quantity(text).map_err(|e| E::custom(format!("{}{HELP_FOLLOWS}{}", e.found, e.help)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Q, E> {
        Err(Self::refuse(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Q, E> {
        Err(Self::refuse(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Q, E> {
        Err(Self::refuse(number))
    }
}

/// A whole number between `LEAST` and `MOST`.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<const LEAST: u32, const MOST: u32>(pub u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Count<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor<const LEAST: u32, const MOST: u32>;
        impl<const LEAST: u32, const MOST: u32> Visitor<'_> for CountVisitor<LEAST, MOST> {
            type Value = u32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {LEAST} to {MOST}")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
                u32::try_from(number).ok().filter(|n| (LEAST..=MOST).contains(n)).ok_or_else(|| {
                    let asked = if LEAST == MOST {
                        format!("give {MOST}, the only one that this moesim reads")
                    } else {
                        format!("give a whole number from {LEAST} to {MOST}")
                    };
                    E::custom(format!("found {number}{HELP_FOLLOWS}{asked}"))
                })
            }
        }
        deserializer.deserialize_any(CountVisitor::<LEAST, MOST>).map(Self)
    }
}

impl<const LEAST: u32, const MOST: u32> Serialize for Count<LEAST, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

/// A finite number from `LEAST` to `MOST` thousandths, both inclusive; whole numbers are welcome.
///
/// The bounds are in thousandths because constants of a type must be integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<const LEAST: i64, const MOST: i64>(pub f64);

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor<const LEAST: i64, const MOST: i64>;
        impl<const LEAST: i64, const MOST: i64> Visitor<'_> for NumberVisitor<LEAST, MOST> {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from {} to {}", LEAST as f64 / 1e3, MOST as f64 / 1e3)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
                let (least, most) = (LEAST as f64 / 1e3, MOST as f64 / 1e3);
                if (least..=most).contains(&number) {
                    return Ok(number);
                }
                Err(E::custom(format!(
                    "found {number}{HELP_FOLLOWS}give a number from {least} to {most}"
                )))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_any(NumberVisitor::<LEAST, MOST>).map(Self)
    }
}

/// A number within bounds, in thousandths, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers<const LEAST: i64, const MOST: i64>(pub Vec<f64>);

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for Numbers<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumbersVisitor<const LEAST: i64, const MOST: i64>;
        impl<'de, const LEAST: i64, const MOST: i64> Visitor<'de> for NumbersVisitor<LEAST, MOST> {
            type Value = Vec<f64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (least, most) = (LEAST as f64 / 1e3, MOST as f64 / 1e3);
                write!(f, "a number from {least} to {most}, or a list of them")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Vec<f64>, E> {
                let one = Number::<LEAST, MOST>::deserialize(number.into_deserializer())?;
                Ok(vec![one.0])
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<f64>, E> {
                self.visit_f64(number as f64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<f64>, A::Error> {
                let mut numbers = vec![];
                while let Some(Number::<LEAST, MOST>(number)) = list.next_element()? {
                    numbers.push(number);
                }
                if numbers.is_empty() {
                    return Err(A::Error::custom(format!(
                        "is an empty list{HELP_FOLLOWS}give a number for each layer, or one for all"
                    )));
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_any(NumbersVisitor::<LEAST, MOST>).map(Self)
    }
}

/// A ratio as people write it, `"3:1"` or a number, from `LEAST` to `MOST` thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio<const LEAST: i64, const MOST: i64>(pub f64);

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for Ratio<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RatioVisitor<const LEAST: i64, const MOST: i64>;
        impl<const LEAST: i64, const MOST: i64> RatioVisitor<LEAST, MOST> {
            fn checked<E: Error>(ratio: f64, found: impl fmt::Display) -> Result<f64, E> {
                let (least, most) = (LEAST as f64 / 1e3, MOST as f64 / 1e3);
                if (least..=most).contains(&ratio) {
                    return Ok(ratio);
                }
                Err(E::custom(format!(
                    "found {found}{HELP_FOLLOWS}give a ratio such as \"3:1\", or a number from {least} to \
                     {most}"
                )))
            }
        }
        impl<const LEAST: i64, const MOST: i64> Visitor<'_> for RatioVisitor<LEAST, MOST> {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a ratio such as \"3:1\", or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
                let part = |text: &str| text.trim().parse::<f64>().unwrap_or(f64::NAN);
                let ratio = text.split_once(':').map(|(over, under)| part(over) / part(under));
                Self::checked(ratio.unwrap_or_else(|| part(text)), format!("`{text}`"))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
                Self::checked(number, number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
                Self::checked(number as f64, number)
            }
        }
        deserializer.deserialize_any(RatioVisitor::<LEAST, MOST>).map(Self)
    }
}

impl<const LEAST: i64, const MOST: i64> Serialize for Number<LEAST, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}
