use std::net::ToSocketAddrs as _;
use std::time::Duration;

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path.
    Path,
    /// `host:port`; port 0 takes a free one.
    Address,
    /// A whole number, at least 1.
    Count,
    /// `250ms`, `4s`, `10m`, `2h`, `7d`; more than zero.
    Duration,
    /// `true` or `false`.
    Flag,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Text that is never shown.
    Secret,
}

impl Kind {
    /// What stands for the value in `--help`.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Text | Self::Secret => "TEXT",
            Self::Path => "PATH",
            Self::Address => "HOST:PORT",
            Self::Count => "NUMBER",
            Self::Duration => "DURATION",
            Self::Flag => "true|false",
            Self::OneOf(_) => "NAME",
        }
    }

    /// What the value must be, to follow "must be".
    pub(crate) fn expectation(self) -> String {
        match self {
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Address => "an address such as 127.0.0.1:8001 (port 0 takes a free one)".to_owned(),
            Self::Count => "a whole number from 1".to_owned(),
            Self::Duration => "a duration such as 250ms, 4s, 10m, 2h or 7d".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::OneOf(names) => format!("one of {}", names.join(", ")),
        }
    }

    /// Whether a setting of this kind can hold `value`, which is not empty.
    pub(crate) fn admits(self, value: &str) -> bool {
        match self {
            Self::Text | Self::Path => !value.contains('\0'),
            Self::Secret => true,
            // A name is resolved where the address is used: this is about the shape.
            Self::Address => {
                value
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
                    && (!value.starts_with(|c: char| c.is_ascii_digit() || c == '[')
                        || value.to_socket_addrs().is_ok())
            }
            Self::Count => value.parse::<u64>().is_ok_and(|number| number > 0),
            Self::Duration => duration_from_text(value).is_some(),
            Self::Flag => value.parse::<bool>().is_ok(),
            Self::OneOf(names) => names.contains(&value),
        }
    }
}

/// Reads a whole number and its unit: `250ms`, `4s`, `10m`, `2h` or `7d`. Zero and anything else is `None`.
pub fn duration_from_text(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let total = number.checked_mul(milliseconds)?;
    // A century is longer than any wait; beyond it, sums with clocks overflow.
    (1..=3_153_600_000_000).contains(&total).then(|| Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_are_more_than_nothing() {
        assert_eq!(duration_from_text("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration_from_text("7d").map(|week| week.as_secs()), Some(604_800));
        for wrong in ["", "4", "s", "0s", "-1s", "1.5s", "4 s", "4S", "99999999999999999999s", "36501d"] {
            assert_eq!(duration_from_text(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for right in ["127.0.0.1:8001", "localhost:0", "[::1]:80", "gateway.example:443"] {
            assert!(Kind::Address.admits(right), "{right}");
        }
        for wrong in ["8001", ":8001", "127.0.0.1", "127.0.0.1:70000", "127.0.0.300:1", "[::1:80"] {
            assert!(!Kind::Address.admits(wrong), "{wrong}");
        }
    }
}
